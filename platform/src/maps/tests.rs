use super::*;
use crate::helpers::id;
use crate::{Errno, ProgType};

fn check(kind: MapType, key: u32, value: u32, entries: u32, flags: MapFlags) -> Result<(), Errno> {
    MapDef { flags, ..MapDef::new("m", kind, key, value, entries) }.check()
}

const NONE: MapFlags = MapFlags(0);

#[test]
fn plain_maps() {
    assert_eq!(check(MapType::Hash, 4, 8, 100, NONE), Ok(()));
    assert_eq!(check(MapType::Hash, 0, 8, 100, NONE), Err(Errno::EINVAL));
    assert_eq!(check(MapType::Hash, 4, 0, 100, NONE), Err(Errno::EINVAL));
    assert_eq!(check(MapType::Hash, 4, 8, 0, NONE), Err(Errno::EINVAL));
    assert_eq!(check(MapType::Hash, 4, 4_194_251, 1, NONE), Ok(()));
    assert_eq!(check(MapType::Hash, 4, 4_194_252, 1, NONE), Err(Errno::E2BIG));
    assert_eq!(check(MapType::Hash, 4, 1 << 23, 0, NONE), Err(Errno::EINVAL));
    assert_eq!(check(MapType::Hash, u32::MAX, u32::MAX, 1, NONE), Err(Errno::E2BIG));
    assert_eq!(check(MapType::Hash, 4, 4, (1 << 27) + 1, MapFlags::NO_PREALLOC), Err(Errno::E2BIG));
    assert_eq!(check(MapType::Array, 4, 8, 100, NONE), Ok(()));
    assert_eq!(check(MapType::Array, 8, 8, 100, NONE), Err(Errno::EINVAL));
    assert_eq!(check(MapType::Array, 4, 1 << 31, 1, NONE), Err(Errno::E2BIG));
    assert_eq!(check(MapType::Array, 4, 8, 1, MapFlags::NO_PREALLOC), Err(Errno::EINVAL));
    assert_eq!(check(MapType::PercpuArray, 4, 32 << 10, 1, NONE), Ok(()));
    assert_eq!(check(MapType::PercpuArray, 4, (32 << 10) + 1, 1, NONE), Err(Errno::E2BIG));
    assert_eq!(check(MapType::PercpuHash, 4, 8, 1, MapFlags::NUMA_NODE), Err(Errno::EINVAL));
}

#[test]
fn flags_that_exclude_each_other() {
    assert_eq!(check(MapType::Array, 4, 8, 1, MapFlags::RDONLY.or(MapFlags::WRONLY)), Err(Errno::EINVAL));
    assert_eq!(check(MapType::Array, 4, 8, 1, MapFlags::RDONLY_PROG.or(MapFlags::WRONLY_PROG)), Err(Errno::EINVAL));
    assert_eq!(check(MapType::Array, 4, 8, 1, MapFlags::RDONLY_PROG.or(MapFlags::WRONLY)), Ok(()));
    assert_eq!(check(MapType::LruHash, 4, 8, 1, MapFlags::NO_PREALLOC), Err(Errno::ENOTSUPP));
    assert_eq!(check(MapType::LruHash, 0, 8, 1, MapFlags::NO_PREALLOC), Err(Errno::ENOTSUPP));
    assert_eq!(check(MapType::LruHash, 4, 8, 1, MapFlags::NO_COMMON_LRU), Ok(()));
    assert_eq!(check(MapType::Hash, 4, 8, 1, MapFlags(1 << 31)), Err(Errno::EINVAL));
}

#[test]
fn maps_of_particular_shape() {
    assert_eq!(check(MapType::LpmTrie, 8, 8, 1, MapFlags::NO_PREALLOC), Ok(()));
    assert_eq!(check(MapType::LpmTrie, 8, 8, 1, NONE), Err(Errno::EINVAL));
    assert_eq!(check(MapType::LpmTrie, 4, 8, 1, MapFlags::NO_PREALLOC), Err(Errno::EINVAL));
    assert_eq!(check(MapType::LpmTrie, 261, 8, 1, MapFlags::NO_PREALLOC), Err(Errno::EINVAL));
    assert_eq!(check(MapType::LpmTrie, 8, 4_194_025, 1, MapFlags::NO_PREALLOC), Err(Errno::EINVAL));
    for (entries, expected) in [(0, false), (2048, false), (4096, true), (12288, false), (1 << 31, true)] {
        assert_eq!(check(MapType::Ringbuf, 0, 0, entries, NONE).is_ok(), expected, "{entries}");
    }
    assert_eq!(check(MapType::Ringbuf, 4, 0, 4096, NONE), Err(Errno::EINVAL));
    assert_eq!(check(MapType::Queue, 0, 8, 3, NONE), Ok(()));
    assert_eq!(check(MapType::Queue, 4, 8, 3, NONE), Err(Errno::EINVAL));
    assert_eq!(check(MapType::StackTrace, 4, 1016, 3, NONE), Ok(()));
    assert_eq!(check(MapType::StackTrace, 4, 1024, 3, NONE), Err(Errno::EINVAL));
    assert_eq!(check(MapType::StackTrace, 4, 127 * 32, 3, MapFlags::STACK_BUILD_ID), Ok(()));
    assert_eq!(check(MapType::Sockhash, 513, 4, 3, NONE), Err(Errno::E2BIG));
    assert_eq!(check(MapType::CgroupStorage, 8, 8, 1, NONE), Err(Errno::EINVAL));
    assert_eq!(check(MapType::TaskStorage, 4, 65408, 0, MapFlags::NO_PREALLOC), Err(Errno::E2BIG));
}

#[test]
fn extra_words() {
    let with = |kind, entries, flags, extra| {
        let (key, value) = if kind == MapType::Hash { (4, 4) } else { (0, if kind == MapType::Arena { 0 } else { 8 }) };
        MapDef { flags, extra, ..MapDef::new("m", kind, key, value, entries) }.check()
    };
    assert_eq!(with(MapType::BloomFilter, 1, NONE, 15), Ok(()));
    assert_eq!(with(MapType::BloomFilter, 1, NONE, 16), Err(Errno::EINVAL));
    assert_eq!(with(MapType::Hash, 1, NONE, 1), Err(Errno::EINVAL));
    assert_eq!(with(MapType::Arena, 1, MapFlags::MMAPABLE, 1 << 32), Ok(()));
    assert_eq!(with(MapType::Arena, 1, MapFlags::MMAPABLE, 1), Err(Errno::EINVAL));
    assert_eq!(with(MapType::Arena, 2, MapFlags::MMAPABLE, (1 << 32) - 4096), Err(Errno::ERANGE));
    assert_eq!(with(MapType::Arena, 2, MapFlags::MMAPABLE, u64::MAX - 4095), Err(Errno::ERANGE));
    assert_eq!(with(MapType::Arena, (1 << 20) + 1, MapFlags::MMAPABLE, 0), Err(Errno::E2BIG));
    assert_eq!(with(MapType::Arena, 1, NONE, 0), Err(Errno::EINVAL));
}

#[test]
fn maps_of_maps() {
    let outer = |inner: Option<MapDef>| MapDef {
        inner: inner.map(Box::new),
        ..MapDef::new("m", MapType::ArrayOfMaps, 4, 4, 2)
    };
    assert_eq!(outer(None).check(), Err(Errno::EBADF));
    assert_eq!(outer(Some(MapDef::new("i", MapType::Hash, 4, 4, 2))).check(), Ok(()));
    assert_eq!(outer(Some(MapDef::new("i", MapType::ProgArray, 4, 4, 2))).check(), Err(Errno::ENOTSUPP));
    let nested = outer(Some(MapDef::new("i", MapType::Hash, 4, 4, 2)));
    assert_eq!(outer(Some(nested)).check(), Err(Errno::EINVAL));
    let array = |entries, flags| MapDef { flags, ..MapDef::new("i", MapType::Array, 4, 4, entries) };
    assert!(array(2, NONE).fits_template(&array(2, NONE)));
    assert!(!array(3, NONE).fits_template(&array(2, NONE)));
    assert!(array(3, MapFlags::INNER_MAP).fits_template(&array(2, MapFlags::INNER_MAP)));
}

#[test]
fn helpers_and_maps_agree_both_ways() {
    assert!(allows_helper(MapType::Hash, id::MAP_LOOKUP_ELEM));
    assert!(!allows_helper(MapType::Hash, id::TAIL_CALL));
    assert!(allows_helper(MapType::ProgArray, id::TAIL_CALL));
    assert!(!allows_helper(MapType::ProgArray, id::MAP_LOOKUP_ELEM));
    assert!(!allows_helper(MapType::PerfEventArray, id::MAP_UPDATE_ELEM));
    assert!(allows_helper(MapType::PercpuHash, id::MAP_LOOKUP_PERCPU_ELEM));
    assert!(!allows_helper(MapType::Hash, id::MAP_LOOKUP_PERCPU_ELEM));
    assert!(!allows_helper(MapType::Queue, id::MAP_LOOKUP_ELEM));
    assert!(!allows_helper(MapType::BloomFilter, id::MAP_POP_ELEM));
    assert!(allows_helper(MapType::Cpumap, id::REDIRECT_MAP));
    assert!(!allows_helper(MapType::Array, id::REDIRECT_MAP));
    assert!(!allows_helper(MapType::Sockmap, id::MAP_UPDATE_ELEM));
    assert!(may_update_sockmap(MapType::Sockmap, id::MAP_DELETE_ELEM, ProgType::SockOps, None));
    assert!(!may_update_sockmap(MapType::Sockmap, id::MAP_UPDATE_ELEM, ProgType::SockOps, None));
    assert!(!may_update_sockmap(MapType::Hash, id::MAP_UPDATE_ELEM, ProgType::Xdp, None));
    // A type that names a helper is named by it.
    for &kind in MapType::ALL {
        assert!(crate::helpers::ALL.iter().any(|&h| allows_helper(kind, h)) || kind == MapType::StructOps, "{kind:?}");
    }
}

#[test]
fn sleepable_programs_use_few_maps() {
    assert_eq!(usable_in(MapType::Hash, ProgType::Syscall, true), Ok(()));
    assert_eq!(usable_in(MapType::LpmTrie, ProgType::Syscall, true), Err(Unusable::Sleepable));
    assert_eq!(usable_in(MapType::LpmTrie, ProgType::Xdp, false), Ok(()));
    assert_eq!(usable_in(MapType::StructOps, ProgType::Xdp, false), Err(Unusable::StructOps));
}

#[test]
fn interfaces_of_a_devmap_are_read_only() {
    for kind in MapType::ALL {
        let mut def = MapDef::new("m", *kind, 4, 8, 1);
        assert_eq!(def.is_read_only_to_programs(), matches!(kind, MapType::Devmap | MapType::DevmapHash));
        def.flags = MapFlags::RDONLY_PROG;
        assert!(def.is_read_only_to_programs());
    }
}

/// Types of an object that is in a list and has a list: of `contained`.
fn objects_with_lists(contained: &str) -> ring3_btf::Btf {
    let mut strings = vec![0u8];
    let mut name = |text: &str| {
        let at = strings.len() as u32;
        strings.extend(text.bytes().chain([0]));
        at
    };
    let kind = |kind: u32, count: u32| kind << 24 | count;
    let (structure, tag) = (4, 17);
    let [head, node, lock] = ["bpf_list_head", "bpf_list_node", "bpf_spin_lock"].map(&mut name);
    let [owner, leaf, member, list] = ["owner", "leaf", "node", "list"].map(&mut name);
    let contains = name(&format!("contains:{contained}:node"));
    let words = [
        &[head, kind(structure, 0), 16][..],
        &[node, kind(structure, 0), 24],
        &[lock, kind(structure, 0), 4],
        &[owner, kind(structure, 3), 48, member, 2, 0, list, 1, 24 * 8, 0, 3, 40 * 8],
        &[leaf, kind(structure, 1), 24, member, 2, 0],
        &[contains, kind(tag, 0), 4, 1],
    ];
    let types: Vec<u8> = words.concat().iter().flat_map(|word| word.to_le_bytes()).collect();
    let header = [0x1_eb9f, 24, 0, types.len() as u32, types.len() as u32, strings.len() as u32];
    let header: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    ring3_btf::Btf::parse(&[header, types, strings].concat()).unwrap()
}

#[test]
fn what_is_owned_does_not_own_owners() {
    use super::fields::Fields;
    assert!(Fields::are_sound(&objects_with_lists("leaf")));
    // Linux 6.18 does not take these types (ELOOP), nor ones whose fields it cannot make out.
    assert!(!Fields::are_sound(&objects_with_lists("owner")));
    assert!(!Fields::are_sound(&objects_with_lists("nobody")));
}
