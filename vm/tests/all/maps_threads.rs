//! Maps under threads that take elements from each other: nothing is lost, nothing is given away twice, and a map is full exactly when it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ring3_platform::{Errno, MapDef, MapFlags, MapType};
use ring3_vm::maps::{self, BPF_ANY, BPF_EXIST, BPF_NOEXIST, Map};

const CPUS: u32 = 2;
const ROUNDS: u32 = 10_000;

fn map(kind: MapType, key: u32, entries: u32) -> Arc<dyn Map> {
    let mut def = MapDef::new("m", kind, key, 8, entries);
    if kind == MapType::LpmTrie {
        def.flags = MapFlags::NO_PREALLOC;
    }
    maps::create(&Arc::new(def), CPUS).unwrap()
}

fn k(key: u32) -> [u8; 4] {
    key.to_ne_bytes()
}

fn v(value: u64) -> [u8; 8] {
    value.to_ne_bytes()
}

/// Runs `body` with the number of the thread, in so many threads.
fn threads(count: u32, body: impl Fn(u32) + Sync) {
    std::thread::scope(|scope| {
        for thread in 0..count {
            let body = &body;
            scope.spawn(move || body(thread));
        }
    });
}

/// More keys than there is room for: never more of them are there, and each has the value that it was given.
#[test]
fn no_more_elements_than_there_are() {
    // Fewer than a thread has keys.
    const ENTRIES: u32 = 6;
    for kind in [MapType::Hash, MapType::PercpuHash] {
        let (map, inside, refused) = (map(kind, 4, ENTRIES), AtomicU32::new(0), AtomicU32::new(0));
        threads(4, |thread| {
            let cpu = thread % CPUS;
            for round in 0..ROUNDS / 8 {
                let keys = (0..8).map(|number| thread << 16 | (round * 8 + number));
                let there = keys.filter(|key| match map.update(&k(*key), &v((*key).into()), BPF_NOEXIST, cpu) {
                    Ok(()) => {
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < ENTRIES);
                        true
                    }
                    Err(errno) => {
                        assert_eq!(errno, Errno::E2BIG);
                        refused.fetch_add(1, Ordering::Relaxed);
                        false
                    }
                });
                for key in there.collect::<Vec<_>>() {
                    let found = map.read(&k(key)).unwrap();
                    assert!(found.chunks_exact(8).any(|value| value == v(key.into())), "{key}: {found:?}");
                    inside.fetch_sub(1, Ordering::SeqCst);
                    map.delete(&k(key)).unwrap();
                }
            }
        });
        assert!(refused.into_inner() > 0);
        assert_eq!((map.len(), map.keys().len()), (0, 0));
        for key in 0..ENTRIES {
            map.update(&k(key), &v(1), BPF_NOEXIST, 0).unwrap();
        }
        assert_eq!(map.update(&k(ENTRIES), &v(1), BPF_ANY, 0), Err(Errno::E2BIG));
    }
}

/// Some threads make elements, which others delete: memory goes from these to those, and as long as there is room nobody is told otherwise.
#[test]
fn a_map_with_room_is_never_full() {
    const ENTRIES: u32 = 24;
    for kind in [MapType::Hash, MapType::PercpuHash] {
        let (map, inside) = (map(kind, 4, ENTRIES), AtomicU32::new(0));
        threads(4, |thread| {
            let (makes, pair) = (thread % 2 == 0, thread / 2);
            for key in (0..ROUNDS / 2).map(|round| pair << 16 | round) {
                if makes {
                    let room = |inside| (inside < ENTRIES).then_some(inside + 1);
                    while inside.fetch_update(Ordering::SeqCst, Ordering::SeqCst, room).is_err() {
                        std::thread::yield_now();
                    }
                    assert_eq!(map.update(&k(key), &v(key.into()), BPF_NOEXIST, 0), Ok(()));
                } else {
                    while map.delete(&k(key)) == Err(Errno::ENOENT) {
                        std::thread::yield_now();
                    }
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
            }
        });
        assert_eq!(map.len(), 0);
    }
}

/// A full map stays full for new keys while the old ones get new values.
#[test]
fn a_full_map_replaces_and_refuses() {
    const ENTRIES: u32 = 32;
    let map = map(MapType::Hash, 4, ENTRIES);
    for key in 0..ENTRIES {
        map.update(&k(key), &v(0), BPF_ANY, 0).unwrap();
    }
    threads(4, |thread| {
        for round in 0..ROUNDS {
            assert_eq!(map.update(&k(round % ENTRIES), &v(round.into()), BPF_EXIST, thread % CPUS), Ok(()));
            assert_eq!(map.update(&k(ENTRIES + round), &v(0), BPF_ANY, thread % CPUS), Err(Errno::E2BIG));
        }
    });
    assert_eq!(map.len(), ENTRIES as usize);
}

/// What another thread wrote long ago goes before what this one wrote just now.
#[test]
fn the_oldest_of_all_threads_goes() {
    const ENTRIES: u32 = 1000;
    let map = map(MapType::LruHash, 4, ENTRIES);
    threads(1, |_| {
        for key in 0..ENTRIES {
            map.update(&k(key), &v(0), BPF_ANY, 0).unwrap();
        }
    });
    // One after the other; each is a thread of its own.
    for part in 0..4 {
        threads(1, |_| {
            for key in 0..ENTRIES / 8 {
                map.update(&k(ENTRIES + part * ENTRIES / 8 + key), &v(0), BPF_ANY, 0).unwrap();
            }
        });
    }
    let mut keys: Vec<u32> = map.keys().iter().map(|key| u32::from_ne_bytes(key[..].try_into().unwrap())).collect();
    keys.sort_unstable();
    assert_eq!(keys, (ENTRIES / 2..ENTRIES * 3 / 2).collect::<Vec<_>>());
}

/// An LRU map with more keys than room: whoever evicts, every element is in use once, and none gets lost.
#[test]
fn evicted_elements_are_not_lost() {
    const ENTRIES: u32 = 64;
    for kind in [MapType::LruHash, MapType::LruPercpuHash] {
        let map = map(kind, 4, ENTRIES);
        threads(4, |thread| {
            for round in 0..ROUNDS {
                let key = round.wrapping_mul(0x9e37_79b9) >> 24 | (thread % 2) << 8;
                map.update(&k(key), &v(key.into()), BPF_ANY, thread % CPUS).unwrap();
                if round % 5 == 0 {
                    // Another thread may have been first, or an evictor.
                    assert!(matches!(map.delete(&k(key)), Ok(()) | Err(Errno::ENOENT)));
                }
                if let Ok(found) = map.read(&k(key)) {
                    assert!(found.chunks_exact(8).all(|value| value == v(key.into()) || value == v(0)));
                }
            }
        });
        assert_eq!(map.len(), map.keys().len());
        for key in 0..ENTRIES {
            map.update(&k(1 << 20 | key), &v(1), BPF_ANY, 0).unwrap();
        }
        let all = |key: &Vec<u8>| u32::from_ne_bytes(key[..].try_into().unwrap()) >> 20 == 1;
        assert!(map.len() == ENTRIES as usize && map.keys().iter().all(all));
    }
}

/// Prefixes that differ in their last bits, so that threads make and remove each other's forks: each thread finds what it put in.
#[test]
fn forks_of_others_come_and_go() {
    const KEYS: u32 = 6;
    let map = map(MapType::LpmTrie, 8, 4 * KEYS);
    let key = |thread: u32, number: u32| [32u32.to_ne_bytes(), (number * 4 + thread).to_be_bytes()].concat();
    let put_in = |thread: u32| {
        let (mut model, mut random) = (BTreeMap::new(), thread + 1);
        for round in 0..ROUNDS {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (number, value) = ((random >> 16) % KEYS, u64::from(round) << 2 | u64::from(thread));
            let name = key(thread, number);
            if random >> 30 == 0 {
                let expected = model.remove(&number).map(drop).ok_or(Errno::ENOENT);
                assert_eq!(map.delete(&name), expected);
            } else {
                map.update(&name, &v(value), BPF_ANY, 0).unwrap();
                model.insert(number, value);
            }
            for number in 0..KEYS {
                let expected = model.get(&number).map(|value| v(*value).to_vec()).ok_or(Errno::ENOENT);
                assert_eq!(map.read(&key(thread, number)), expected);
                assert_eq!(map.lookup_ptr(&key(thread, number), 0).is_some(), expected.is_ok());
            }
        }
        model.len()
    };
    let put_in = &put_in;
    let all: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || put_in(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((map.len(), map.keys().len()), (all, all));
}
