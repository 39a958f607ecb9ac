//! Arrays and hash maps against models, and their errors.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::ptr::NonNull;
use std::sync::Arc;

use proptest::prelude::*;
use ring3_platform::{Errno, MapDef, MapFlags, MapType};
use ring3_vm::maps::{self, BPF_ANY, BPF_EXIST, BPF_NOEXIST, Map};

const CPUS: u32 = 3;

fn def(kind: MapType, key: u32, value: u32, entries: u32) -> MapDef {
    MapDef::new("m", kind, key, value, entries)
}

fn map(def: MapDef) -> Arc<dyn Map> {
    maps::create(&Arc::new(def), CPUS).unwrap()
}

fn error(def: MapDef) -> Errno {
    maps::create(&Arc::new(def), CPUS).unwrap_err()
}

/// The word at an address that a map gave.
fn word(address: NonNull<u8>) -> u64 {
    assert!(address.cast::<u64>().is_aligned());
    // SAFETY: the maps of these tests have values of 8 bytes, and live as long as the test.
    unsafe { address.cast::<u64>().read() }
}

/// What a program stores through such an address.
fn poke(address: NonNull<u8>, value: u64) {
    // SAFETY: as for `word`.
    unsafe { address.cast::<u64>().write(value) }
}

fn k(key: u32) -> [u8; 4] {
    key.to_ne_bytes()
}

fn v(value: u64) -> [u8; 8] {
    value.to_ne_bytes()
}

fn sorted_keys(map: &dyn Map) -> Vec<u32> {
    let mut keys: Vec<u32> = map.keys().iter().map(|key| u32::from_ne_bytes(key[..].try_into().unwrap())).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn array_errors() {
    let array = map(def(MapType::Array, 4, 8, 2));
    assert_eq!(array.update(&k(2), &v(1), BPF_ANY, 0), Err(Errno::E2BIG));
    assert_eq!(array.update(&k(2), &v(1), BPF_NOEXIST, 0), Err(Errno::E2BIG));
    assert_eq!(array.update(&k(2), &v(1), 3, 0), Err(Errno::EINVAL));
    assert_eq!(array.update(&k(1), &v(1), 4, 0), Err(Errno::EINVAL));
    assert_eq!(array.update(&k(1), &v(1), BPF_NOEXIST, 0), Err(Errno::EEXIST));
    assert_eq!(array.update(&k(1), &v(7), BPF_EXIST, 0), Ok(()));
    assert_eq!(array.update(&k(1), &[0; 7], BPF_ANY, 0), Err(Errno::EINVAL));
    assert_eq!(array.delete(&k(1)), Err(Errno::EINVAL));
    assert_eq!(array.lookup_ptr(&k(2), 0), None);
    assert_eq!(array.lookup_ptr(&[0; 3], 0), None);
    assert_eq!(array.read(&k(2)), Err(Errno::ENOENT));
    assert_eq!(array.read(&k(1)), Ok(v(7).to_vec()));
    assert_eq!(word(array.lookup_ptr(&k(1), 9).unwrap()), 7);
    assert_eq!(array.next_key(Some(&k(1))), Err(Errno::ENOENT));
    assert_eq!(array.next_key(Some(&k(9))), Ok(k(0).to_vec()));
    assert_eq!(array.keys(), [k(0), k(1)]);
    assert_eq!(array.direct_value(), None);
    assert_eq!(array.array_layout().unwrap().stride, 8);
}

#[test]
fn global_data() {
    let mut global = def(MapType::Array, 4, 12, 1);
    global.data = Some(Arc::from([1, 2, 3]));
    global.frozen = true;
    let map = map(global.clone());
    assert_eq!(map.direct_value(), map.lookup_ptr(&k(0), 0));
    assert_eq!(map.read(&k(0)).unwrap(), [1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(map.write(&k(0), &[0; 12], BPF_ANY), Err(Errno::EPERM));
    assert_eq!(map.update(&k(0), &[9; 12], BPF_ANY, 0), Ok(()));
    assert_eq!(map.freeze(), Err(Errno::EPERM));
    global.data = Some(Arc::from([0; 13]));
    assert_eq!(error(global), Errno::EINVAL);
}

#[test]
fn percpu_array_planes() {
    let map = map(def(MapType::PercpuArray, 4, 4, 5));
    for cpu in 0..CPUS {
        assert_eq!(map.update(&k(3), &(cpu + 1).to_ne_bytes(), BPF_ANY, cpu), Ok(()));
    }
    let all = [[1, 0, 0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0, 0]].concat();
    assert_eq!(map.read(&k(3)).unwrap(), all);
    assert_eq!(map.lookup_ptr(&k(3), CPUS), None);
    assert_eq!(map.update(&k(3), &[0; 4], BPF_ANY, CPUS), Err(Errno::EINVAL));
    assert_eq!(map.write(&k(4), &all[..16], BPF_ANY), Err(Errno::EINVAL));
    assert_eq!(map.write(&k(4), &all, BPF_ANY), Ok(()));
    assert_eq!(word(map.lookup_ptr(&k(4), 2).unwrap()), 3);
}

#[test]
fn array_for_each_gives_the_index() {
    let map = map(def(MapType::Array, 4, 8, 5));
    let mut keys = Vec::new();
    let visits = map.for_each(0, &mut |key, value| {
        // SAFETY: the key is an index of 4 bytes, there during the call.
        keys.push(unsafe { key.cast::<u32>().read() });
        poke(value, 3);
        if keys.len() == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((visits, keys), (Ok(4), vec![0, 1, 2, 3]));
    assert_eq!(map.read(&k(3)), Ok(v(3).to_vec()));
    assert_eq!(map.read(&k(4)), Ok(v(0).to_vec()));
}

#[test]
fn access_flags() {
    let with = |flags| {
        let mut def = def(MapType::Hash, 4, 8, 2);
        def.flags = flags;
        def
    };
    let hidden = map(with(MapFlags::WRONLY));
    assert_eq!(hidden.write(&k(1), &v(1), BPF_ANY), Ok(()));
    assert_eq!(hidden.read(&k(1)), Err(Errno::EPERM));
    let fixed = map(with(MapFlags::RDONLY));
    assert_eq!(fixed.write(&k(1), &v(1), BPF_ANY), Err(Errno::EPERM));
    assert_eq!(fixed.remove(&k(1)), Err(Errno::EPERM));
    assert_eq!(fixed.update(&k(1), &v(1), BPF_ANY, 0), Ok(()));
    assert_eq!(fixed.read(&k(1)), Ok(v(1).to_vec()));
    assert_eq!(error(with(MapFlags(MapFlags::RDONLY.0 | MapFlags::WRONLY.0))), Errno::EINVAL);
    assert_eq!(error(with(MapFlags::MMAPABLE)), Errno::EINVAL);
}

#[test]
fn hash_errors() {
    for kind in [MapType::Hash, MapType::PercpuHash] {
        let map = map(def(kind, 4, 8, 2));
        assert_eq!(map.next_key(None), Err(Errno::ENOENT));
        assert_eq!(map.update(&k(1), &v(1), BPF_EXIST, 0), Err(Errno::ENOENT));
        assert_eq!(map.update(&k(1), &v(1), BPF_NOEXIST, 0), Ok(()));
        assert_eq!(map.update(&k(1), &v(1), BPF_NOEXIST, 0), Err(Errno::EEXIST));
        assert_eq!(map.update(&k(1), &v(2), 3, 0), Err(Errno::EINVAL));
        assert_eq!(map.update(&k(1), &v(2), 4, 0), Err(Errno::EINVAL));
        assert_eq!(map.update(&k(2), &v(1), BPF_ANY, 0), Ok(()));
        assert_eq!(map.update(&k(3), &v(1), BPF_ANY, 0), Err(Errno::E2BIG));
        assert_eq!(map.update(&k(3), &v(1), BPF_EXIST, 0), Err(Errno::ENOENT));
        assert_eq!(map.update(&k(2), &v(5), BPF_EXIST, 0), Ok(()));
        assert_eq!(word(map.lookup_ptr(&k(2), 0).unwrap()), 5);
        assert_eq!(map.len(), 2);
        assert_eq!(map.delete(&k(3)), Err(Errno::ENOENT));
        assert_eq!(map.delete(&k(2)), Ok(()));
        assert_eq!(map.read(&k(2)), Err(Errno::ENOENT));
        assert_eq!(map.update(&[0; 3], &v(1), BPF_ANY, 0), Err(Errno::EINVAL));
        assert_eq!(map.delete(&[0; 5]), Err(Errno::EINVAL));
    }
}

#[test]
fn creation_errors() {
    assert_eq!(error(def(MapType::Array, 8, 8, 1)), Errno::EINVAL);
    assert_eq!(error(def(MapType::Array, 4, 0, 1)), Errno::EINVAL);
    assert_eq!(error(def(MapType::Array, 4, 8, 0)), Errno::EINVAL);
    assert_eq!(error(def(MapType::Array, 4, 1 << 31, 1)), Errno::E2BIG);
    assert_eq!(error(def(MapType::Array, 4, 1 << 20, 1 << 20)), Errno::ENOMEM);
    assert_eq!(error(def(MapType::PercpuArray, 4, 32769, 1)), Errno::E2BIG);
    assert_eq!(error(def(MapType::Hash, 0, 8, 1)), Errno::EINVAL);
    assert_eq!(error(def(MapType::Hash, 4, 4 << 20, 1)), Errno::E2BIG);
    assert_eq!(error(def(MapType::Hash, 4, 8, u32::MAX)), Errno::E2BIG);
    assert_eq!(error(def(MapType::PercpuHash, 4, 32769, 1)), Errno::E2BIG);
    assert_eq!(error(def(MapType::Arena, 0, 0, 1)), Errno::EINVAL);
    assert_eq!(error(def(MapType::StackTrace, 4, 7, 1)), Errno::EINVAL);
    let mut lru = def(MapType::LruHash, 4, 8, 1);
    lru.flags = MapFlags::NO_PREALLOC;
    assert_eq!(error(lru), Errno::ENOTSUPP);
    assert_eq!(maps::create(&Arc::new(def(MapType::Array, 4, 8, 1)), 0).unwrap_err(), Errno::EINVAL);
}

#[test]
fn a_big_map_on_demand_is_created() {
    let mut big = def(MapType::Hash, 64, 4096, 1 << 20);
    assert_eq!(error(big.clone()), Errno::ENOMEM);
    big.flags = MapFlags::NO_PREALLOC;
    assert_eq!(map(big).update(&[1; 64], &[2; 4096], BPF_ANY, 0), Ok(()));
}

#[test]
fn memory_is_reused_as_the_kernel_does() {
    let map = map(def(MapType::Hash, 4, 8, 4));
    map.update(&k(1), &v(1), BPF_ANY, 0).unwrap();
    let first = map.lookup_ptr(&k(1), 0).unwrap();
    // A replacement is another element: who holds the old address still reads the old value.
    map.update(&k(1), &v(2), BPF_ANY, 0).unwrap();
    let second = map.lookup_ptr(&k(1), 0).unwrap();
    assert_ne!(first, second);
    assert_eq!((word(first), word(second)), (1, 2));
    map.update(&k(2), &v(3), BPF_ANY, 0).unwrap();
    assert_eq!(word(first), 1);
    // The old one is the spare of this CPU now, and the next replacement's.
    map.update(&k(1), &v(4), BPF_ANY, 0).unwrap();
    assert_eq!(map.lookup_ptr(&k(1), 0), Some(first));
    // A deleted element keeps its value until the next new key gets it.
    map.delete(&k(1)).unwrap();
    assert_eq!(word(first), 4);
    map.update(&k(9), &v(9), BPF_ANY, 0).unwrap();
    assert_eq!(map.lookup_ptr(&k(9), 0), Some(first));
}

#[test]
fn percpu_hash_writes_in_place() {
    let map = map(def(MapType::PercpuHash, 4, 8, 4));
    map.update(&k(1), &v(1), BPF_ANY, 1).unwrap();
    assert_eq!(map.read(&k(1)).unwrap(), [v(0), v(1), v(0)].concat());
    let address = map.lookup_ptr(&k(1), 1).unwrap();
    map.update(&k(1), &v(2), BPF_ANY, 1).unwrap();
    map.update(&k(1), &v(3), BPF_ANY, 2).unwrap();
    assert_eq!(word(address), 2);
    assert_eq!(map.read(&k(1)).unwrap(), [v(0), v(2), v(3)].concat());
    // A new key does not see what the memory held before.
    map.delete(&k(1)).unwrap();
    map.update(&k(7), &v(8), BPF_ANY, 0).unwrap();
    assert_eq!(map.read(&k(7)).unwrap(), [v(8), v(0), v(0)].concat());
    map.write(&k(7), &[v(4), v(5), v(6)].concat(), BPF_EXIST).unwrap();
    assert_eq!(word(map.lookup_ptr(&k(7), 2).unwrap()), 6);
}

#[test]
fn for_each_sees_all_and_may_delete() {
    for kind in [MapType::Hash, MapType::LruHash, MapType::PercpuHash] {
        let map = map(def(kind, 4, 8, 100));
        for key in 0..100 {
            map.update(&k(key), &v(u64::from(key)), BPF_ANY, 1).unwrap();
        }
        let mut sum = 0;
        let visits = map.for_each(1, &mut |key, value| {
            // SAFETY: keys have 4 bytes, and the element stays there during the call.
            let key = unsafe { key.cast::<u32>().read() };
            assert_eq!(u64::from(key), word(value));
            sum += key;
            poke(value, 1000);
            map.delete(&k(key)).unwrap();
            ControlFlow::Continue(())
        });
        assert_eq!((visits, sum, map.len()), (Ok(100), 4950, 0));
    }
}

#[test]
fn lru_keeps_what_is_used() {
    let map = map(def(MapType::LruHash, 4, 8, 8));
    for key in 0..8 {
        map.update(&k(key), &v(u64::from(key)), BPF_ANY, 0).unwrap();
    }
    map.lookup_ptr(&k(0), 0).unwrap();
    map.read(&k(1)).unwrap();
    map.update(&k(2), &v(22), BPF_EXIST, 0).unwrap();
    for key in 8..12 {
        map.update(&k(key), &v(u64::from(key)), BPF_NOEXIST, 0).unwrap();
    }
    // 0 was looked up by a program and 2 written; the user's reading of 1 does not count.
    assert_eq!(sorted_keys(map.as_ref()), [0, 2, 6, 7, 8, 9, 10, 11]);
}

#[derive(Clone, Debug)]
enum Op {
    Update(u32, u64, u64, u32),
    Write(u32, u64, u64),
    Delete(u32),
    Poke(u32, u64, u32),
}

fn op() -> impl Strategy<Value = Op> {
    let key = 0..24u32;
    prop_oneof![
        4 => (key.clone(), any::<u64>(), 0..4u64, 0..CPUS).prop_map(|(k, v, f, c)| Op::Update(k, v, f, c)),
        1 => (key.clone(), any::<u64>(), 0..4u64).prop_map(|(k, v, f)| Op::Write(k, v, f)),
        2 => key.clone().prop_map(Op::Delete),
        1 => (key, any::<u64>(), 0..CPUS).prop_map(|(k, v, c)| Op::Poke(k, v, c)),
    ]
}

/// A hash map of CPUs' values, as the manual describes it.
struct Model {
    values: BTreeMap<u32, Vec<u64>>,
    copies: usize,
    max: usize,
}

impl Model {
    fn check(&self, key: u32, flags: u64) -> Result<(), Errno> {
        let there = self.values.contains_key(&key);
        match flags {
            1 if there => Err(Errno::EEXIST),
            2 if !there => Err(Errno::ENOENT),
            3.. => Err(Errno::EINVAL),
            _ if !there && self.values.len() == self.max => Err(Errno::E2BIG),
            _ => Ok(()),
        }
    }

    fn apply(&mut self, map: &dyn Map, op: &Op) {
        match *op {
            Op::Update(key, value, flags, cpu) => {
                let expected = self.check(key, flags);
                assert_eq!(map.update(&k(key), &v(value), flags, cpu), expected);
                if expected.is_ok() {
                    let copies = self.copies;
                    self.values.entry(key).or_insert(vec![0; copies])[cpu as usize % copies] = value;
                }
            }
            Op::Write(key, value, flags) => {
                let values: Vec<u64> = (0..self.copies as u64).map(|cpu| value ^ cpu).collect();
                let bytes: Vec<u8> = values.iter().flat_map(|&value| v(value)).collect();
                let expected = self.check(key, flags);
                assert_eq!(map.write(&k(key), &bytes, flags), expected);
                if expected.is_ok() {
                    self.values.insert(key, values);
                }
            }
            Op::Delete(key) => {
                let expected = self.values.remove(&key).map(drop).ok_or(Errno::ENOENT);
                assert_eq!(map.delete(&k(key)), expected);
            }
            Op::Poke(key, value, cpu) => {
                let found = map.lookup_ptr(&k(key), cpu);
                assert_eq!(found.is_some(), self.values.contains_key(&key));
                if let (Some(address), Some(values)) = (found, self.values.get_mut(&key)) {
                    let old = &mut values[cpu as usize % self.copies];
                    assert_eq!(word(address), *old);
                    poke(address, value);
                    *old = value;
                }
            }
        }
    }

    fn compare(&self, map: &dyn Map) {
        assert_eq!(map.len(), self.values.len());
        assert_eq!(sorted_keys(map), self.values.keys().copied().collect::<Vec<_>>());
        for (&key, values) in &self.values {
            let bytes: Vec<u8> = values.iter().flat_map(|&value| v(value)).collect();
            assert_eq!(map.read(&k(key)).unwrap(), bytes);
        }
    }
}

proptest! {
    #[test]
    fn hash_is_a_model(ops in prop::collection::vec(op(), 0..200), percpu: bool, on_demand: bool) {
        let mut def = def(if percpu { MapType::PercpuHash } else { MapType::Hash }, 4, 8, 16);
        if on_demand {
            def.flags = MapFlags::NO_PREALLOC;
        }
        let map = map(def);
        let mut model = Model { values: BTreeMap::new(), copies: if percpu { 3 } else { 1 }, max: 16 };
        for op in &ops {
            model.apply(map.as_ref(), op);
        }
        model.compare(map.as_ref());
    }

    #[test]
    fn lru_never_lies(ops in prop::collection::vec(op(), 0..200), percpu: bool) {
        let map = map(def(if percpu { MapType::LruPercpuHash } else { MapType::LruHash }, 4, 8, 16));
        let mut written = BTreeSet::new();
        for op in &ops {
            if let Op::Update(key, value, _, cpu) = *op {
                let full = map.len() == 16 || map.lookup_ptr(&k(key), cpu).is_some();
                let before = map.len();
                map.update(&k(key), &v(value), BPF_ANY, cpu).unwrap();
                prop_assert_eq!(map.len(), before + usize::from(!full));
                written.insert(key);
                prop_assert_eq!(word(map.lookup_ptr(&k(key), cpu).unwrap()), value);
            }
            if let Op::Delete(key) = *op {
                let there = map.lookup_ptr(&k(key), 0).is_some();
                prop_assert_eq!(map.delete(&k(key)).is_ok(), there);
                written.remove(&key);
            }
        }
        prop_assert_eq!(map.len(), map.keys().len());
        for key in sorted_keys(map.as_ref()) {
            prop_assert!(written.contains(&key));
        }
    }

    #[test]
    fn keys_of_any_size(keys in prop::collection::btree_set(prop::collection::vec(any::<u8>(), 13), 0..40)) {
        let map = map(def(MapType::Hash, 13, 8, 40));
        for (value, key) in keys.iter().enumerate() {
            map.update(key, &v(value as u64), BPF_NOEXIST, 0).unwrap();
        }
        let found: BTreeSet<Vec<u8>> = map.keys().into_iter().collect();
        prop_assert_eq!(found, keys);
    }
}

/// Threads fight for few keys; each value says which key it belongs to.
fn fight(kind: MapType, entries: u32) {
    let map = map(def(kind, 4, 8, entries));
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let map = &map;
            scope.spawn(move || {
                let mut random = u64::from(thread) + 1;
                for _ in 0..20_000 {
                    random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    let key = (random >> 40) as u32 % 24;
                    let value = v(u64::from(key));
                    match (random >> 33) % 4 {
                        0 | 1 => {
                            let done = map.update(&k(key), &value, BPF_ANY, thread % CPUS);
                            assert!(matches!(done, Ok(()) | Err(Errno::E2BIG | Errno::ENOMEM)), "{done:?}");
                        }
                        2 => drop(map.delete(&k(key))),
                        _ => match map.read(&k(key)) {
                            Ok(read) => assert!(read.chunks(8).all(|read| read == value || read == v(0))),
                            Err(errno) => assert_eq!(errno, Errno::ENOENT),
                        },
                    }
                    map.lookup_ptr(&k(key), 0);
                }
            });
        }
    });
    assert_eq!(map.len(), map.keys().len());
    // Nothing leaked: after deleting all, the whole capacity is there again.
    for key in map.keys() {
        map.delete(&key).unwrap();
    }
    assert_eq!(map.len(), 0);
    for key in 0..entries {
        map.update(&k(key), &v(1), BPF_NOEXIST, 0).unwrap();
    }
    assert_eq!(map.len(), entries as usize);
}

#[test]
fn threads() {
    fight(MapType::Hash, 16);
    fight(MapType::PercpuHash, 16);
    fight(MapType::LruHash, 8);
    fight(MapType::LruPercpuHash, 8);
}
