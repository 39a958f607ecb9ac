//! Queues, stacks and bloom filters, with the errors of Linux 6.18.

use std::collections::VecDeque;
use std::sync::Arc;

use proptest::prelude::*;
use ring3_platform::{Errno, MapDef, MapFlags, MapType};
use ring3_vm::maps::{self, BPF_ANY, BPF_EXIST, BPF_NOEXIST, Map};

fn map(kind: MapType, value: u32, entries: u32) -> Arc<dyn Map> {
    maps::create(&Arc::new(MapDef::new("m", kind, 0, value, entries)), 2).unwrap()
}

fn v(value: u32) -> Vec<u8> {
    value.to_ne_bytes().to_vec()
}

#[test]
fn errors_of_queues_and_stacks() {
    for kind in [MapType::Queue, MapType::Stack] {
        let map = map(kind, 4, 1);
        assert_eq!(map.read(&[]), Err(Errno::ENOENT));
        assert_eq!(map.pop(), Err(Errno::ENOENT));
        assert_eq!(map.take(&[]), Err(Errno::ENOENT));
        assert_eq!(map.push(&v(1), BPF_NOEXIST), Err(Errno::EINVAL));
        assert_eq!(map.push(&v(1), 3), Err(Errno::EINVAL));
        assert_eq!(map.push(&[1], BPF_ANY), Err(Errno::EINVAL));
        assert_eq!(map.write(&[], &v(1), BPF_ANY), Ok(()));
        assert_eq!(map.write(&[], &v(2), BPF_ANY), Err(Errno::E2BIG));
        assert_eq!(map.write(&[1], &v(2), BPF_ANY), Err(Errno::EINVAL));
        assert_eq!(map.push(&v(2), BPF_EXIST), Ok(()));
        assert_eq!(map.read(&[]), Ok(v(2)));
        assert_eq!(map.take(&[]), Ok(v(2)));
        assert_eq!(map.len(), 0);
        assert_eq!(map.next_key(None), Err(Errno::EINVAL));
        assert_eq!(map.delete(&[]), Err(Errno::EINVAL));
        assert_eq!(map.lookup_ptr(&[], 0), None);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(u32, bool),
    Pop,
    Peek,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (any::<u32>(), any::<bool>()).prop_map(|(value, replace)| Step::Push(value, replace)),
        2 => Just(Step::Pop),
        1 => Just(Step::Peek),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn queues_and_stacks_against_a_deque(entries in 1u32..6, steps in steps()) {
        for kind in [MapType::Queue, MapType::Stack] {
            let map = map(kind, 4, entries);
            let mut model: VecDeque<u32> = VecDeque::new();
            for step in &steps {
                let next = if kind == MapType::Queue { model.front() } else { model.back() };
                let next = next.map(|value| v(*value)).ok_or(Errno::ENOENT);
                match step {
                    Step::Push(value, replace) => {
                        let full = model.len() == entries as usize;
                        let expected = if full && !replace { Err(Errno::E2BIG) } else { Ok(()) };
                        if expected.is_ok() {
                            if full { model.pop_front(); }
                            model.push_back(*value);
                        }
                        prop_assert_eq!(map.push(&v(*value), if *replace { BPF_EXIST } else { BPF_ANY }), expected);
                    }
                    Step::Pop => {
                        prop_assert_eq!(map.pop(), next);
                        if kind == MapType::Queue { model.pop_front(); } else { model.pop_back(); }
                    }
                    Step::Peek => prop_assert_eq!(map.peek(), next),
                }
                prop_assert_eq!(map.len(), model.len());
            }
        }
    }
}

#[test]
fn bloom_filter() {
    let mut def = MapDef::new("m", MapType::BloomFilter, 0, 4, 100);
    def.extra = 3;
    def.flags = MapFlags::ZERO_SEED;
    let map = maps::create(&Arc::new(def), 2).unwrap();
    assert_eq!(map.contains(&v(0)), Err(Errno::ENOENT));
    for value in 0..100 {
        assert_eq!(map.push(&v(value), BPF_ANY), Ok(()));
    }
    assert!((0..100).all(|value| map.contains(&v(value)).is_ok()));
    assert_eq!(map.push(&v(0), BPF_EXIST), Err(Errno::EINVAL));
    assert_eq!(map.push(&[0], BPF_ANY), Err(Errno::EINVAL));
    assert_eq!(map.pop(), Err(Errno::EOPNOTSUPP));
    assert_eq!(map.delete(&[]), Err(Errno::EOPNOTSUPP));
    assert_eq!(map.next_key(None), Err(Errno::EOPNOTSUPP));
    let wrong: Vec<u32> = (100..1000).filter(|value| map.contains(&v(*value)).is_ok()).collect();
    assert_eq!(wrong, WRONG_OF_4_BYTES);
}

/// Sizes that are no multiple of 4 are hashed in another way.
#[test]
fn bloom_filter_of_odd_values() {
    let value = |n: u32| [&n.to_ne_bytes()[..], &(n as u16).to_ne_bytes(), &[n as u8]].concat();
    let mut def = MapDef::new("m", MapType::BloomFilter, 0, 7, 50);
    def.flags = MapFlags::ZERO_SEED;
    let map = maps::create(&Arc::new(def), 2).unwrap();
    for n in 0..50 {
        assert_eq!(map.push(&value(n), BPF_ANY), Ok(()));
    }
    let wrong: Vec<u32> = (100..5000).filter(|n| map.contains(&value(*n)).is_ok()).collect();
    assert_eq!(wrong, WRONG_OF_7_BYTES);
}

/// The false positives of Linux 6.18.
const WRONG_OF_4_BYTES: [u32; 76] = [
    100, 109, 121, 126, 141, 148, 155, 158, 166, 179, 184, 222, 223, 230, 236, 254, 261, 265, 267, 268, 272, 277, 281,
    298, 299, 309, 352, 377, 379, 428, 439, 442, 446, 452, 478, 488, 491, 493, 495, 507, 513, 519, 538, 543, 546, 547,
    571, 587, 595, 620, 630, 651, 666, 667, 669, 676, 709, 732, 753, 757, 769, 779, 784, 790, 800, 803, 834, 835, 909,
    948, 961, 965, 968, 972, 980, 981,
];
const WRONG_OF_7_BYTES: [u32; 40] = [
    139, 220, 318, 358, 388, 777, 921, 967, 998, 1008, 1213, 1234, 1277, 1545, 1569, 1757, 1870, 1897, 1912, 1953,
    2534, 2607, 3140, 3164, 3261, 3474, 3485, 3844, 4022, 4053, 4120, 4216, 4264, 4581, 4745, 4765, 4815, 4826, 4944,
    4950,
];
