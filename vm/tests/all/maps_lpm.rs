//! The trie against a list of prefixes, with the errors of Linux 6.18.

use std::cmp::Ordering;
use std::ptr::NonNull;
use std::sync::Arc;

use proptest::prelude::*;
use ring3_platform::{Errno, MapDef, MapFlags, MapType};
use ring3_vm::maps::{self, BPF_ANY, BPF_EXIST, BPF_NOEXIST, Map};

fn trie(data: u32, entries: u32) -> Arc<dyn Map> {
    let mut def = MapDef::new("m", MapType::LpmTrie, 4 + data, 8, entries);
    def.flags = MapFlags::NO_PREALLOC;
    maps::create(&Arc::new(def), 2).unwrap()
}

fn key(bits: u32, data: &[u8]) -> Vec<u8> {
    [&bits.to_ne_bytes(), data].concat()
}

fn v(value: u64) -> Vec<u8> {
    value.to_ne_bytes().to_vec()
}

fn word(address: Option<NonNull<u8>>) -> Option<u64> {
    // SAFETY: the maps of these tests have values of 8 bytes, and live as long as the test.
    address.map(|address| unsafe { address.cast::<u64>().read() })
}

#[test]
fn creation() {
    let error = |key, flags| {
        let mut def = MapDef::new("m", MapType::LpmTrie, key, 8, 1);
        def.flags = flags;
        maps::create(&Arc::new(def), 1).unwrap_err()
    };
    assert_eq!(error(8, MapFlags::default()), Errno::EINVAL);
    assert_eq!(error(4, MapFlags::NO_PREALLOC), Errno::EINVAL);
    assert_eq!(error(261, MapFlags::NO_PREALLOC), Errno::EINVAL);
}

#[test]
fn errors() {
    let map = trie(4, 2);
    assert_eq!(map.next_key(None), Err(Errno::ENOENT));
    assert_eq!(map.write(&key(33, &[0; 4]), &v(1), BPF_ANY), Err(Errno::EINVAL));
    assert_eq!(map.write(&key(8, &[10, 0, 0, 0]), &v(1), 3), Err(Errno::EINVAL));
    assert_eq!(map.write(&key(8, &[10, 0, 0, 0]), &v(1), 4), Err(Errno::EINVAL));
    assert_eq!(map.write(&key(8, &[10, 0, 0, 0]), &v(1), BPF_EXIST), Err(Errno::ENOENT));
    assert_eq!(map.write(&key(8, &[10, 0, 0, 0]), &v(1), BPF_NOEXIST), Ok(()));
    assert_eq!(map.write(&key(8, &[10, 9, 9, 9]), &v(1), BPF_NOEXIST), Err(Errno::EEXIST));
    assert_eq!(map.write(&key(0, &[0; 4]), &v(2), BPF_ANY), Ok(()));
    assert_eq!(map.write(&key(1, &[0; 4]), &v(2), BPF_ANY), Err(Errno::ENOSPC));
    assert_eq!(map.write(&key(1, &[0; 4]), &v(2), BPF_EXIST), Err(Errno::ENOENT));
    // A full trie still replaces; the bytes behind the prefix come from the last update.
    assert_eq!(map.write(&key(8, &[10, 1, 2, 3]), &v(3), BPF_ANY), Ok(()));
    assert_eq!(map.keys(), [key(8, &[10, 1, 2, 3]), key(0, &[0; 4])]);
    assert_eq!(map.read(&key(33, &[10, 0, 0, 0])), Err(Errno::ENOENT));
    assert_eq!(map.read(&key(32, &[10, 0, 0, 1])), Ok(v(3)));
    assert_eq!(map.read(&key(7, &[10, 0, 0, 1])), Ok(v(2)));
    assert_eq!(map.remove(&key(33, &[10, 0, 0, 0])), Err(Errno::EINVAL));
    assert_eq!(map.remove(&key(9, &[10, 0, 0, 0])), Err(Errno::ENOENT));
    assert_eq!(map.remove(&key(0, &[77; 4])), Ok(()));
    assert_eq!(map.read(&key(7, &[10, 0, 0, 1])), Err(Errno::ENOENT));
    assert_eq!(map.read(&key(8, &[10, 0, 0, 1])[1..]), Err(Errno::EINVAL));
    assert_eq!(map.take(&key(8, &[10, 0, 0, 1])), Err(Errno::ENOTSUPP));
}

#[test]
fn replaced_value_stays_readable() {
    let map = trie(1, 4);
    map.write(&key(8, &[1]), &v(1), BPF_ANY).unwrap();
    let old = map.lookup_ptr(&key(8, &[1]), 0);
    map.write(&key(8, &[1]), &v(2), BPF_ANY).unwrap();
    assert_eq!((word(old), word(map.lookup_ptr(&key(8, &[1]), 0))), (Some(1), Some(2)));
}

/// A prefix as a string of bits.
fn bits(key: &[u8]) -> Vec<u8> {
    let len = u32::from_ne_bytes(key[..4].try_into().unwrap()) as usize;
    (0..len).map(|at| key[4 + at / 8] >> (7 - at % 8) & 1).collect()
}

/// The order in which keys come: what is longer before what it starts with, else by the first bit that differs.
fn order(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (bits(a), bits(b));
    if a.starts_with(&b) || b.starts_with(&a) { b.len().cmp(&a.len()) } else { a.cmp(&b) }
}

#[derive(Clone, Debug)]
enum Step {
    Update(Vec<u8>, u64, u64),
    Delete(Vec<u8>),
    Lookup(Vec<u8>),
    Next(Vec<u8>),
}

/// Few different bits, so that prefixes meet; 9 bytes, so that words are crossed.
fn a_key() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => Just(0u8), 1 => Just(255u8), 1 => Just(128u8), 1 => Just(1u8), 1 => any::<u8>()];
    let data = (byte.clone(), prop::array::uniform7(Just(0u8)), byte);
    let len = prop_oneof![0u32..=9, 55u32..=74];
    (len, data).prop_map(|(len, (first, middle, last))| key(len, &[&[first][..], &middle, &[last]].concat()))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (a_key(), any::<u64>(), 0u64..=3).prop_map(|(key, value, flags)| Step::Update(key, value, flags)),
        2 => a_key().prop_map(Step::Delete),
        2 => a_key().prop_map(Step::Lookup),
        1 => a_key().prop_map(Step::Next),
    ];
    prop::collection::vec(step, 0..120)
}

fn check(map: &dyn Map, model: &mut Vec<(Vec<u8>, u64)>, entries: usize, step: &Step) -> Result<(), TestCaseError> {
    let same = |model: &[(Vec<u8>, u64)], key: &[u8]| model.iter().position(|(have, _)| bits(have) == bits(key));
    let valid = |key: &[u8]| u32::from_ne_bytes(key[..4].try_into().unwrap()) <= 72;
    match step {
        Step::Update(key, value, flags) => {
            let expected = match (*flags, valid(key).then(|| same(model, key))) {
                (3, _) | (_, None) => Err(Errno::EINVAL),
                (BPF_NOEXIST, Some(Some(_))) => Err(Errno::EEXIST),
                (BPF_EXIST, Some(None)) => Err(Errno::ENOENT),
                (_, Some(None)) if model.len() == entries => Err(Errno::ENOSPC),
                (_, Some(None)) => {
                    model.push((key.clone(), *value));
                    Ok(())
                }
                (_, Some(Some(at))) => {
                    model[at] = (key.clone(), *value);
                    Ok(())
                }
            };
            prop_assert_eq!(map.update(key, &v(*value), *flags, 0), expected);
        }
        Step::Delete(key) => {
            let expected = match valid(key).then(|| same(model, key)) {
                None => Err(Errno::EINVAL),
                Some(None) => Err(Errno::ENOENT),
                Some(Some(at)) => {
                    model.remove(at);
                    Ok(())
                }
            };
            prop_assert_eq!(map.delete(key), expected);
        }
        Step::Lookup(key) => {
            let found = model.iter().filter(|(have, _)| valid(key) && bits(key).starts_with(&bits(have)));
            let longest = found.max_by_key(|(have, _)| bits(have).len()).map(|(_, value)| *value);
            prop_assert_eq!(word(map.lookup_ptr(key, 0)), longest);
            prop_assert_eq!(map.read(key), longest.map(v).ok_or(Errno::ENOENT));
        }
        Step::Next(key) => {
            model.sort_by(|a, b| order(&a.0, &b.0));
            let at = valid(key).then(|| same(model, key)).flatten().map_or(0, |at| at + 1);
            prop_assert_eq!(map.next_key(Some(key)), model.get(at).map(|(key, _)| key.clone()).ok_or(Errno::ENOENT));
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn against_a_list(entries in 1u32..40, steps in steps()) {
        let map = trie(9, entries);
        let mut model = Vec::new();
        for step in &steps {
            check(map.as_ref(), &mut model, entries as usize, step)?;
            prop_assert_eq!(map.len(), model.len());
        }
        model.sort_by(|a, b| order(&a.0, &b.0));
        prop_assert_eq!(map.keys(), model.into_iter().map(|(key, _)| key).collect::<Vec<_>>());
    }
}

#[test]
fn threads() {
    let map = trie(4, 1000);
    map.write(&key(8, &[10, 0, 0, 0]), &v(u64::MAX), BPF_ANY).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..3u8 {
            let map = &map;
            scope.spawn(move || {
                for round in 0..2000u32 {
                    let key = key(32, &[10, thread, 0, (round % 7) as u8]);
                    map.update(&key, &v(round.into()), BPF_ANY, 0).unwrap();
                    assert_eq!(word(map.lookup_ptr(&key, 0)), Some(round.into()));
                    if round % 3 == 0 {
                        map.delete(&key).unwrap();
                        assert_eq!(word(map.lookup_ptr(&key, 0)), Some(u64::MAX));
                    }
                }
            });
        }
    });
}
