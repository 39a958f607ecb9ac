//! Ring buffers against a model of their positions, and perf event arrays.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use ring3_platform::{Errno, MapDef, MapType};
use ring3_vm::maps::{self, Map};

const SIZE: u64 = 4096;
const AVAILABLE: u64 = 0;
const READER: u64 = 2;
const WRITER: u64 = 3;

fn ring() -> Arc<dyn Map> {
    maps::create(&Arc::new(MapDef::new("m", MapType::Ringbuf, 0, 0, SIZE as u32)), 2).unwrap()
}

/// What a program writes into its record.
fn fill(record: NonNull<u8>, data: &[u8]) {
    // SAFETY: the record was reserved for as many bytes.
    unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), record.as_ptr(), data.len()) }
}

fn send(ring: &dyn Map, data: &[u8]) -> bool {
    let Some(record) = ring.reserve(data.len() as u64) else { return false };
    fill(record, data);
    assert!(ring.commit(record, false));
    true
}

fn drained(ring: &dyn Map) -> Vec<Vec<u8>> {
    ring.drain().into_iter().map(|event| event.data).collect()
}

#[test]
fn creation_and_elements() {
    for size in [0, 1, 4095, 12288] {
        let def = Arc::new(MapDef::new("m", MapType::Ringbuf, 0, 0, size));
        assert_eq!(maps::create(&def, 1).unwrap_err(), Errno::EINVAL);
    }
    let ring = ring();
    assert_eq!(ring.read(&[]), Err(Errno::ENOTSUPP));
    assert_eq!(ring.write(&[], &[1], 0), Err(Errno::ENOTSUPP));
    assert_eq!(ring.remove(&[]), Err(Errno::ENOTSUPP));
    assert_eq!(ring.next_key(None), Err(Errno::ENOTSUPP));
    assert_eq!((ring.query(1), ring.query(4)), (SIZE, 0));
}

#[test]
fn never_quite_full() {
    let ring = ring();
    assert!(ring.reserve(SIZE - 8).is_none());
    assert!(ring.reserve(u64::MAX).is_none());
    assert!(ring.reserve(1 << 32).is_none());
    assert!(send(ring.as_ref(), &[7; SIZE as usize - 16]));
    assert!(ring.reserve(0).is_none());
    assert_eq!(ring.query(AVAILABLE), SIZE - 8);
    assert_eq!(drained(ring.as_ref()), [[7; SIZE as usize - 16]]);
    assert!(send(ring.as_ref(), &[]));
    // This one starts at the very end and goes on behind it.
    assert!(send(ring.as_ref(), &[9; 100]));
    assert_eq!(drained(ring.as_ref()), [vec![], vec![9; 100]]);
}

#[test]
fn only_reserved_records_are_committed() {
    let ring = ring();
    let record = ring.reserve(16).unwrap();
    let beside = NonNull::new(record.as_ptr().wrapping_add(8)).unwrap();
    assert!(!ring.commit(beside, false));
    assert!(!ring.commit(NonNull::dangling(), false));
    assert!(ring.commit(record, true));
    assert!(!ring.commit(record, false));
    assert!(ring.drain().is_empty());
    assert_eq!((ring.query(READER), ring.query(WRITER)), (24, 24));
}

#[derive(Clone, Debug)]
enum Step {
    Reserve(u16),
    /// Commits the record with this number of the open ones; discards it if set.
    Commit(usize, bool),
    Drain,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop_oneof![0u16..64, 0u16..4096].prop_map(Step::Reserve),
        4 => (0usize..8, any::<bool>()).prop_map(|(which, discard)| Step::Commit(which, discard)),
        1 => Just(Step::Drain),
    ];
    prop::collection::vec(step, 0..200)
}

#[derive(Clone)]
struct Record {
    start: u64,
    data: Vec<u8>,
    /// `None` while it is open, then whether it was discarded.
    done: Option<bool>,
    at: NonNull<u8>,
}

impl Record {
    fn end(&self) -> u64 {
        self.start + (8 + self.data.len() as u64).next_multiple_of(8)
    }
}

proptest! {
    #[test]
    fn against_a_list_of_records(steps in steps()) {
        let ring = ring();
        // Everything that was not read yet.
        let mut records: VecDeque<Record> = VecDeque::new();
        let (mut reader, mut writer) = (0, 0);
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Reserve(len) => {
                    let record = Record {
                        start: writer,
                        data: vec![number as u8; len.into()],
                        done: None,
                        at: NonNull::dangling(),
                    };
                    let reserved = ring.reserve(len.into());
                    prop_assert_eq!(reserved.is_some(), record.end() - reader < SIZE);
                    if let Some(at) = reserved {
                        prop_assert!(at.cast::<u64>().is_aligned());
                        fill(at, &record.data);
                        writer = record.end();
                        records.push_back(Record { at, ..record });
                    }
                }
                Step::Commit(which, discard) => {
                    if let Some(record) = records.iter_mut().filter(|record| record.done.is_none()).nth(which) {
                        prop_assert!(ring.commit(record.at, discard));
                        record.done = Some(discard);
                    }
                }
                Step::Drain => {
                    let mut expected = Vec::new();
                    while let Some(discarded) = records.front().and_then(|record| record.done) {
                        let record = records.pop_front().unwrap();
                        reader = record.end();
                        if !discarded {
                            expected.push(record.data);
                        }
                    }
                    prop_assert_eq!(drained(ring.as_ref()), expected);
                }
            }
            prop_assert_eq!(
                [ring.query(AVAILABLE), ring.query(READER), ring.query(WRITER)],
                [writer - reader, reader, writer]
            );
        }
    }
}

#[test]
fn threads_send_and_one_reads() {
    const EACH: u32 = 5000;
    let ring = ring();
    let done = AtomicBool::new(false);
    let mut seen = [0u32; 3];
    let mut take = || {
        for data in drained(ring.as_ref()) {
            // Every record is whole: the sender and its count, as often as its length says.
            let (sender, count) = (data[0], u32::from_ne_bytes(data[4..8].try_into().unwrap()));
            assert!(data.chunks(8).all(|part| part == &data[..8]));
            assert_eq!(count, seen[sender as usize]);
            seen[sender as usize] += 1;
        }
    };
    std::thread::scope(|scope| {
        let ring = &ring;
        let senders: Vec<_> = (0..3u8)
            .map(|sender| {
                scope.spawn(move || {
                    for count in 0..EACH {
                        let part = [&[sender, 0, 0, 0][..], &count.to_ne_bytes()].concat();
                        let data = part.repeat(1 + count as usize % 5);
                        if count % 7 == 0
                            && let Some(record) = ring.reserve(40)
                        {
                            assert!(ring.commit(record, true));
                        }
                        while !send(ring.as_ref(), &data) {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            for sender in senders {
                sender.join().unwrap();
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            take();
        }
        take();
    });
    assert_eq!(seen, [EACH; 3]);
}

/// Eight producers that do not wait, and a reader that is slow: what is missing is what they were told was dropped, and the rest is in
/// the order of each.
#[test]
fn nothing_is_lost_that_was_not_reported() {
    const PRODUCERS: u32 = 8;
    const EACH: u32 = 3000;
    let ring = ring();
    let done = AtomicBool::new(false);
    let mut seen: Vec<Vec<u32>> = vec![Vec::new(); PRODUCERS as usize];
    let mut read = || {
        ring.consume(&mut |_, data| {
            let half = |at: usize| u32::from_ne_bytes(data[at..at + 4].try_into().unwrap());
            assert!(data.chunks(8).all(|part| part == &data[..8]));
            seen[half(0) as usize].push(half(4));
            ControlFlow::Continue(())
        })
    };
    let refused: Vec<Vec<u32>> = std::thread::scope(|scope| {
        let producer = |number: u32| {
            let ring = &ring;
            scope.spawn(move || {
                let mut refused = Vec::new();
                for count in 0..EACH {
                    let data = [number, count].map(u32::to_ne_bytes).concat().repeat(1 + count as usize % 3);
                    if !send(ring.as_ref(), &data) {
                        refused.push(count);
                        std::thread::yield_now();
                    }
                }
                refused
            })
        };
        let producers: Vec<_> = (0..PRODUCERS).map(producer).collect();
        let waiter = scope.spawn(|| {
            let refused = producers.into_iter().map(|producer| producer.join().unwrap()).collect();
            done.store(true, Ordering::Release);
            refused
        });
        while !done.load(Ordering::Acquire) {
            read();
            std::thread::sleep(std::time::Duration::from_micros(300));
        }
        read();
        waiter.join().unwrap()
    });
    assert_eq!(ring.lost(), refused.iter().map(|refused| refused.len() as u64).sum());
    for (seen, refused) in seen.iter().zip(&refused) {
        let expected: Vec<u32> = (0..EACH).filter(|count| refused.binary_search(count).is_err()).collect();
        assert_eq!(seen, &expected);
    }
}

/// The memory of a ring as the kernel shows it: whoever reads it as libbpf does finds the records.
#[test]
fn shared_memory_is_the_kernels() {
    let ring = ring();
    let memory = ring.shared_memory().unwrap();
    assert_eq!((memory.len as u64, memory.start.addr().get() % 4096), (2 * 4096 + 2 * SIZE, 0));
    // SAFETY: within the memory, aligned, and atomic.
    let word = |offset: usize| unsafe { memory.start.add(offset).cast::<std::sync::atomic::AtomicU64>().as_ref() };
    assert!(send(ring.as_ref(), b"12345678"));
    assert_eq!((word(0).load(Ordering::Acquire), word(4096).load(Ordering::Acquire)), (0, 16));
    // The header has the length, the data is behind it.
    assert_eq!(word(8192).load(Ordering::Acquire) as u32, 8);
    assert_eq!(word(8200).load(Ordering::Acquire).to_ne_bytes(), *b"12345678");
    word(0).store(16, Ordering::Release);
    assert_eq!((ring.query(AVAILABLE), ring.query(READER), drained(ring.as_ref()).len()), (0, 16, 0));
    // A position that is nonsense harms nobody else.
    word(0).store(u64::MAX / 2, Ordering::Release);
    assert!(ring.reserve(8).is_none());
    assert_eq!(drained(ring.as_ref()).len(), 0);
}

/// A reader may have written anything into the page of its position.
#[test]
fn positions_that_nobody_got_to_by_reading() {
    let ring = ring();
    let memory = ring.shared_memory().unwrap();
    // SAFETY: within the memory, aligned, and atomic.
    let position =
        |page: usize| unsafe { memory.start.add(4096 * page).cast::<std::sync::atomic::AtomicU64>().as_ref() };
    let consumer = position(0);
    for round in 0..3 {
        assert!(send(ring.as_ref(), &[1; 2000]) && send(ring.as_ref(), &[2; 1000]));
        let end = ring.query(WRITER);
        let wrong = [end - 1, end - 12, end.saturating_sub(SIZE + 8)][round];
        consumer.store(wrong, Ordering::Release);
        assert!(drained(ring.as_ref()).is_empty() || wrong == 0, "{wrong}");
        assert_eq!(ring.query(READER), end);
        assert!(send(ring.as_ref(), b"next"));
        assert_eq!(drained(ring.as_ref()), [b"next"]);
    }

    let user = maps::create(&Arc::new(MapDef::new("u", MapType::UserRingbuf, 0, 0, SIZE as u32)), 1).unwrap();
    let memory = user.shared_memory().unwrap();
    // SAFETY: as above.
    let position =
        |page: usize| unsafe { memory.start.add(4096 * page).cast::<std::sync::atomic::AtomicU64>().as_ref() };
    user.send_sample(b"sample").unwrap();
    position(0).store(1, Ordering::Release);
    assert_eq!(user.peek_sample().err(), Some(Errno::EINVAL));
    position(0).store(0, Ordering::Release);
    assert_eq!(user.peek_sample().unwrap().unwrap().len, 6);
    position(1).store(17, Ordering::Release);
    assert_eq!(user.send_sample(b"sample"), Err(Errno::EINVAL));
    assert_eq!(user.peek_sample().err(), Some(Errno::EINVAL));
}

#[test]
fn wakeups() {
    let ring = ring();
    let soon = std::time::Duration::from_millis(1);
    assert!(!ring.wait(soon));
    let record = ring.reserve(8).unwrap();
    assert!(ring.commit_with(record, false, maps::BPF_RB_NO_WAKEUP));
    // What is there is found without a wakeup.
    assert!(ring.wait(soon));
    assert_eq!(ring.drain().len(), 1);
    let sender = ring.clone();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(send(sender.as_ref(), b"wake"));
    });
    assert!(ring.wait(std::time::Duration::from_secs(60)));
    thread.join().unwrap();
}

#[test]
fn perf_events() {
    let map = maps::create(&Arc::new(MapDef::new("m", MapType::PerfEventArray, 4, 4, 3)), 2).unwrap();
    let key = |index: u32| index.to_ne_bytes();
    assert_eq!(map.output(0, 0, b"x"), Err(Errno::ENOENT));
    assert_eq!(map.output(3, 0, b"x"), Err(Errno::E2BIG));
    assert_eq!(map.open_event(3, 0), Err(Errno::E2BIG));
    assert_eq!(map.open_event(0, 2), Err(Errno::EINVAL));
    assert_eq!((map.open_event(0, 0), map.open_event(1, 1)), (Ok(()), Ok(())));
    assert_eq!(map.output(1, 0, b"x"), Err(Errno::EOPNOTSUPP));
    assert_eq!(map.output(1, 1, b"four"), Ok(()));
    assert_eq!(map.output(0, 0, b"fives"), Ok(()));
    let events = map.drain();
    // With the length in front, data is padded to 8 bytes.
    assert_eq!(
        events.iter().map(|event| (event.cpu, &event.data[..])).collect::<Vec<_>>(),
        [(Some(0), &b"fives\0\0\0\0\0\0\0"[..]), (Some(1), &b"four"[..]),]
    );
    assert!(map.drain().is_empty());
    // A record's length has 16 bits. Linux cuts that of a longer one and damages the buffer.
    assert_eq!(map.output(0, 0, &[0; 65516]), Ok(()));
    assert_eq!(map.drain().len(), 1);
    assert_eq!(map.output(0, 0, &[0; 65517]), Err(Errno::ENOSPC));
    // 64 pages, of which a byte stays free: 255 records of 1 KiB, and the record of the loss before.
    let sent = (0..1000).take_while(|_| map.output(0, 0, &[1; 1012]).is_ok()).count();
    assert_eq!((sent, map.lost(), map.drain().len()), (255, 2, 255));
    assert_eq!(map.output(0, 0, &[1; 1012]), Ok(()));

    assert_eq!(map.write(&key(0), &key(0), 1), Err(Errno::EINVAL));
    assert_eq!(map.write(&key(3), &key(0), 0), Err(Errno::E2BIG));
    assert_eq!(map.write(&key(0), &key(0), 0), Err(Errno::EBADF));
    assert_eq!(map.read(&key(0)), Err(Errno::ENOTSUPP));
    assert_eq!((map.remove(&key(0)), map.remove(&key(0))), (Ok(()), Err(Errno::ENOENT)));
    assert_eq!(map.remove(&key(3)), Err(Errno::E2BIG));
    assert_eq!(map.next_key(Some(&key(0))), Ok(key(1).to_vec()));
}
