//! Keyed maps of every type against a simple model, by one thread and by four at once: each of these has keys of its own, whose results must
//! be those of its own model, whatever the others do to the same map.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use ring3_platform::{Errno, MapDef, MapFlags, MapType};
use ring3_vm::maps::{self, BPF_ANY, BPF_EXIST, BPF_NOEXIST, Map};

const CPUS: u32 = 2;
const THREADS: u32 = 4;
/// Keys of each thread.
const KEYS: u32 = 12;

/// A step on one of a thread's keys.
#[derive(Clone, Copy, Debug)]
enum Step {
    Update(u32, u64, u64),
    Delete(u32),
    Read(u32),
    Take(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || 0..KEYS;
    let flags = prop_oneof![4 => Just(BPF_ANY), 1 => Just(BPF_NOEXIST), 1 => Just(BPF_EXIST), 1 => Just(8)];
    let step = prop_oneof![
        4 => (key(), 1..u64::from(u32::MAX), flags).prop_map(|(key, value, flags)| Step::Update(key, value, flags)),
        2 => key().prop_map(Step::Delete),
        2 => key().prop_map(Step::Read),
        1 => key().prop_map(Step::Take),
    ];
    prop::collection::vec(step, 1..150)
}

/// A map, and how it is spoken to.
struct Subject {
    map: Arc<dyn Map>,
    kind: MapType,
}

impl Subject {
    fn new(kind: MapType) -> Subject {
        let (key, value) = match kind {
            MapType::LpmTrie => (8, 8),
            MapType::Devmap | MapType::DevmapHash => (4, 4),
            _ => (4, 8),
        };
        let storage = matches!(kind, MapType::TaskStorage | MapType::InodeStorage);
        // An LRU has room for more, so that it forgets nothing.
        let entries = if storage { 0 } else { KEYS * THREADS * if is_lru(kind) { 4 } else { 1 } };
        let mut def = MapDef::new("m", kind, key, value, entries);
        if kind == MapType::LpmTrie || storage {
            def.flags = MapFlags::NO_PREALLOC;
        }
        Subject { map: maps::create(&Arc::new(def), CPUS).unwrap(), kind }
    }

    fn key(&self, thread: u32, key: u32) -> Vec<u8> {
        let number = key * THREADS + thread;
        match self.kind {
            // Prefixes of different lengths below one of 16 bits for each key.
            MapType::LpmTrie => [(16 + key).to_ne_bytes(), (number << 16).to_be_bytes()].concat(),
            _ => number.to_ne_bytes().to_vec(),
        }
    }

    fn value(&self, value: u64) -> Vec<u8> {
        match self.kind {
            MapType::Devmap | MapType::DevmapHash => (value as u32).to_ne_bytes().to_vec(),
            MapType::PercpuHash | MapType::PercpuArray | MapType::LruPercpuHash => {
                value.to_ne_bytes().repeat(CPUS as usize)
            }
            _ => value.to_ne_bytes().to_vec(),
        }
    }

    /// What the map should say to a step, and what the model has then.
    fn expect(&self, model: &mut BTreeMap<u32, u64>, step: Step) -> Result<Vec<u8>, Errno> {
        use MapType::{Array, Devmap, DevmapHash, PercpuArray};
        let array = matches!(self.kind, Array | PercpuArray);
        let empty = || self.value(0);
        match step {
            Step::Update(_, _, flags) if flags > BPF_EXIST => Err(Errno::EINVAL),
            Step::Update(_, _, BPF_NOEXIST) if array || self.kind == Devmap => Err(Errno::EEXIST),
            Step::Update(key, _, BPF_NOEXIST) if model.contains_key(&key) => Err(Errno::EEXIST),
            Step::Update(key, _, BPF_EXIST)
                if !model.contains_key(&key) && !array && !matches!(self.kind, Devmap | DevmapHash) =>
            {
                Err(Errno::ENOENT)
            }
            Step::Update(key, value, _) => {
                model.insert(key, value);
                Ok(Vec::new())
            }
            Step::Delete(_) if array => Err(Errno::EINVAL),
            Step::Delete(key) => match model.remove(&key) {
                None if self.kind != Devmap => Err(Errno::ENOENT),
                Some(_) | None => Ok(Vec::new()),
            },
            Step::Read(key) => match model.get(&key) {
                None if array => Ok(empty()),
                found => found.map(|value| self.value(*value)).ok_or(Errno::ENOENT),
            },
            Step::Take(key) if has_take(self.kind) => {
                model.remove(&key).map(|value| self.value(value)).ok_or(Errno::ENOENT)
            }
            Step::Take(_) => Err(Errno::ENOTSUPP),
        }
    }

    fn act(&self, thread: u32, step: Step) -> Result<Vec<u8>, Errno> {
        match step {
            Step::Update(key, value, flags) => {
                self.map.write(&self.key(thread, key), &self.value(value), flags).map(|()| Vec::new())
            }
            Step::Delete(key) => self.map.remove(&self.key(thread, key)).map(|()| Vec::new()),
            Step::Read(key) => {
                let key = self.key(thread, key);
                let address = self.map.lookup_ptr(&key, 0);
                let read = self.map.read(&key);
                // Programs find what user space does; nobody else changes this key.
                if !matches!(self.kind, MapType::TaskStorage | MapType::InodeStorage) {
                    assert_eq!(address.is_some(), read.is_ok());
                }
                read
            }
            Step::Take(key) => self.map.take(&self.key(thread, key)),
        }
    }

    /// Runs a thread's steps; the first that differs.
    fn run(&self, thread: u32, steps: &[Step]) -> Result<BTreeMap<u32, u64>, String> {
        let mut model = BTreeMap::new();
        for step in steps {
            let (expected, found) = (self.expect(&mut model, *step), self.act(thread, *step));
            if expected != found {
                return Err(format!("{} {step:?}: {found:?} instead of {expected:?}", self.kind.name()));
            }
        }
        Ok(model)
    }
}

fn is_lru(kind: MapType) -> bool {
    matches!(kind, MapType::LruHash | MapType::LruPercpuHash)
}

fn has_take(kind: MapType) -> bool {
    matches!(kind, MapType::Hash | MapType::PercpuHash | MapType::LruHash | MapType::LruPercpuHash)
}

fn kinds() -> impl Strategy<Value = MapType> {
    use MapType::*;
    prop::sample::select(vec![
        Hash,
        Array,
        PercpuHash,
        PercpuArray,
        LruHash,
        LruPercpuHash,
        LpmTrie,
        Devmap,
        DevmapHash,
        TaskStorage,
        InodeStorage,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn one_thread(kind in kinds(), steps in steps()) {
        let subject = Subject::new(kind);
        let model = subject.run(0, &steps).map_err(TestCaseError::fail)?;
        if !matches!(kind, MapType::Array | MapType::PercpuArray | MapType::Devmap) {
            prop_assert_eq!(subject.map.len(), model.len());
        }
    }

    #[test]
    fn four_threads(kind in kinds(), steps in prop::collection::vec(steps(), THREADS as usize)) {
        let subject = Subject::new(kind);
        let models = std::thread::scope(|scope| {
            let run = |(thread, steps): (u32, &'_ Vec<Step>)| {
                let (subject, steps) = (&subject, steps.clone());
                scope.spawn(move || subject.run(thread, &steps))
            };
            let threads: Vec<_> = (0..THREADS).zip(&steps).map(run).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Result<Vec<_>, String>>()
        });
        let models = models.map_err(TestCaseError::fail)?;
        // Afterwards all is there that the models have, and nothing else.
        let elements: usize = models.iter().map(BTreeMap::len).sum();
        if !matches!(kind, MapType::Array | MapType::PercpuArray | MapType::Devmap) {
            prop_assert_eq!(subject.map.len(), elements);
        }
        for (thread, model) in (0..).zip(&models) {
            for (key, value) in model {
                prop_assert_eq!(subject.map.read(&subject.key(thread, *key)), Ok(subject.value(*value)));
            }
        }
    }
}

fn map(kind: MapType, key: u32, value: u32, entries: u32) -> Arc<dyn Map> {
    maps::create(&Arc::new(MapDef::new("m", kind, key, value, entries)), CPUS).unwrap()
}

/// Values go in and out of a queue by four threads; none is lost or doubled, and those of one thread stay in order.
#[test]
fn queues_by_four_threads() {
    const EACH: u32 = 4000;
    let queue = map(MapType::Queue, 0, 8, 64);
    let taken = std::thread::scope(|scope| {
        for thread in 0..2u32 {
            let queue = &queue;
            scope.spawn(move || {
                for number in 0..EACH {
                    let value = [thread, number].map(u32::to_ne_bytes).concat();
                    while queue.push(&value, BPF_ANY).is_err() {
                        std::thread::yield_now();
                    }
                }
            });
        }
        let taker = || {
            let mut taken: Vec<(u32, u32)> = Vec::new();
            while taken.len() < EACH as usize {
                let Ok(value) = queue.pop() else {
                    std::thread::yield_now();
                    continue;
                };
                let half = |at: usize| u32::from_ne_bytes(value[at..at + 4].try_into().unwrap());
                taken.push((half(0), half(4)));
            }
            taken
        };
        let takers = [scope.spawn(taker), scope.spawn(taker)];
        takers.map(|taker| taker.join().unwrap())
    });
    for part in &taken {
        for thread in 0..2 {
            assert!(part.iter().filter(|(t, _)| *t == thread).map(|(_, number)| number).is_sorted());
        }
    }
    let mut all = taken.concat();
    all.sort_unstable();
    let expected: Vec<(u32, u32)> = (0..2).flat_map(|thread| (0..EACH).map(move |number| (thread, number))).collect();
    assert_eq!(all, expected);
}

#[test]
fn stacks_have_numbers() {
    let stacks = map(MapType::StackTrace, 4, 32, 16);
    let id = stacks.stack_id(&[1, 2, 3], 0).unwrap();
    assert_eq!(stacks.stack_id(&[1, 2, 3], 0), Ok(id));
    // Frames beyond the value's are cut off.
    let long = stacks.stack_id(&[1, 2, 3, 4], 1 << 10).unwrap();
    assert_eq!(stacks.stack_id(&[1, 2, 3, 4, 5], 0), Ok(long));
    let read = stacks.read(&long.to_ne_bytes()).unwrap();
    assert_eq!(read, [1u64, 2, 3, 4].map(u64::to_ne_bytes).concat());
    let other = (4..200u64).find(|frame| stacks.stack_id(&[*frame], 0) == Err(Errno::EEXIST)).unwrap();
    let taken = stacks.stack_id(&[other], 1 << 10).unwrap();
    assert_eq!(stacks.read(&taken.to_ne_bytes()).unwrap()[..8], other.to_ne_bytes());
    assert_eq!(stacks.remove(&taken.to_ne_bytes()), Ok(()));
    assert_eq!(stacks.remove(&taken.to_ne_bytes()), Err(Errno::ENOENT));
    assert_eq!(stacks.stack_id(&[], 0), Err(Errno::EFAULT));
}

#[test]
fn objects_are_numbers() {
    let sockets = map(MapType::Sockhash, 4, 8, 2);
    assert_eq!(sockets.set_object(&[1; 4], 77, BPF_NOEXIST), Ok(()));
    assert_eq!(sockets.set_object(&[1; 4], 78, BPF_NOEXIST), Err(Errno::EEXIST));
    assert_eq!(sockets.set_object(&[2; 4], 78, BPF_ANY), Ok(()));
    assert_eq!(sockets.set_object(&[3; 4], 79, BPF_ANY), Err(Errno::E2BIG));
    assert_eq!((sockets.object(&[1; 4]), sockets.object(&[3; 4])), (Some(77), None));
    assert_eq!(sockets.read(&[2; 4]), Ok(78u64.to_ne_bytes().to_vec()));
    assert_eq!((sockets.remove(&[1; 4]), sockets.object(&[1; 4])), (Ok(()), None));
    let groups = map(MapType::CgroupArray, 4, 4, 2);
    assert_eq!(groups.set_object(&2u32.to_ne_bytes(), 5, BPF_ANY), Err(Errno::E2BIG));
    assert_eq!(groups.set_object(&1u32.to_ne_bytes(), 5, BPF_ANY), Ok(()));
    assert_eq!(groups.object(&1u32.to_ne_bytes()), Some(5));
}

#[test]
fn storage_belongs_to_objects() {
    let storage = map(MapType::PercpuCgroupStorage, 8, 8, 0);
    assert_eq!(storage.storage(9, 0, None), Err(Errno::ENOENT));
    let first = storage.storage(9, 0, Some(&[1; 8])).unwrap();
    assert_eq!(storage.storage(9, 0, None), Ok(first));
    let second = storage.storage(9, 1, Some(&[2; 8])).unwrap();
    assert_eq!(second.addr().get() - first.addr().get(), 8);
    assert_eq!(storage.read(&9u64.to_ne_bytes()), Ok(vec![1; 16]));
    assert_eq!(storage.storage(9, CPUS, None), Err(Errno::EINVAL));
    assert_eq!(storage.next_key(None), Ok(9u64.to_ne_bytes().to_vec()));
    // Addresses stay when many more come, and what is freed is given to others.
    for owner in 10..500 {
        storage.storage(owner, 0, Some(&[3; 8])).unwrap();
    }
    assert_eq!(storage.storage(9, 0, None), Ok(first));
    assert_eq!((storage.forget_object(9), storage.forget_object(9)), (Ok(()), Err(Errno::ENOENT)));
}

#[test]
fn user_rings_bring_samples() {
    let ring = map(MapType::UserRingbuf, 0, 0, 4096);
    assert_eq!(ring.send_sample(&[0; 4096]), Err(Errno::E2BIG));
    let mut sent = 0u64;
    while ring.send_sample(&sent.to_ne_bytes()).is_ok() {
        sent += 1;
    }
    assert_eq!((sent, ring.send_sample(&[0; 8])), (256, Err(Errno::ENOSPC)));
    assert_eq!((ring.begin_drain(), ring.begin_drain()), (Ok(()), Err(Errno::EBUSY)));
    for number in 0..sent {
        let sample = ring.peek_sample().unwrap().unwrap();
        // SAFETY: a sample of 8 bytes, which nobody writes to until it is released.
        let data = unsafe { sample.start.cast::<u64>().read() };
        assert_eq!((data, sample.len, sample.discarded), (number, 8, false));
        ring.release_sample(sample.len);
    }
    assert_eq!(ring.peek_sample(), Ok(None));
    ring.end_drain();
    assert_eq!(ring.send_sample(&[1; 100]), Ok(()));
}

#[test]
#[cfg(unix)]
fn arenas_have_pages() {
    let mut def = MapDef::new("m", MapType::Arena, 0, 0, 4);
    def.flags = MapFlags::MMAPABLE;
    let arena = maps::create(&Arc::new(def.clone()), 1).unwrap();
    let layout = arena.arena().unwrap();
    assert_eq!((layout.base.addr().get() as u32, layout.start), (0, layout.base.addr().get() as u64));
    let first = arena.alloc_pages(0, 2).unwrap();
    assert_eq!(first, layout.start);
    assert_eq!(arena.alloc_pages(layout.start + 4096, 1), Err(Errno::ENOMEM));
    assert_eq!(arena.alloc_pages(0, 3), Err(Errno::ENOMEM));
    assert_eq!(arena.alloc_pages(0, 2), Ok(layout.start + 2 * 4096));
    arena.write_arena(first + 4094, &[1, 2, 3, 4]).unwrap();
    assert_eq!(arena.read_arena(first + 4093, 6), Ok(vec![0, 1, 2, 3, 4, 0]));
    // A page that comes back is empty.
    arena.free_pages(first, 1);
    assert_eq!((arena.len(), arena.alloc_pages(0, 1)), (3, Ok(first)));
    assert_eq!(arena.read_arena(first + 4093, 6), Ok(vec![0, 0, 0, 3, 4, 0]));
    assert_eq!(arena.read_arena(first + 4 * 4096, 1), Err(Errno::EFAULT));
    // What is beyond, and in the guards, can be read and written without harm.
    for offset in [-65536isize, -8, 5 * 4096, 1 << 31, (1 << 32) - 8, (1 << 32) + 65528] {
        // SAFETY: all of the reserve and its guards may be read and written.
        unsafe { layout.base.offset(offset).cast::<u64>().write(7) };
    }
    def.flags = def.flags.or(MapFlags::SEGV_ON_FAULT);
    def.extra = 0x7000_1000_0000;
    let strict = maps::create(&Arc::new(def), 1).unwrap();
    assert_eq!(strict.read_arena(0x7000_1000_0000, 1), Err(Errno::EFAULT));
    assert_eq!(strict.alloc_pages(0x7000_1000_1000, 1), Ok(0x7000_1000_1000));
    assert_eq!(strict.write_arena(0x7000_1000_1ff8, &[5; 8]), Ok(()));
    assert_eq!(strict.write_arena(0x7000_1000_1ff9, &[5; 8]), Err(Errno::EFAULT));
}
