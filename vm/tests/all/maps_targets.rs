//! Maps of where to go: interfaces, CPUs, sockets, programs, other maps; with the errors of Linux 6.18.

use std::sync::Arc;

use ring3_platform::{Errno, MapDef, MapType, ProgType};
use ring3_vm::maps::{self, BPF_ANY, BPF_EXIST, BPF_NOEXIST, Map};
use ring3_vm::{Execute, Helpers, Interp, MapHandle, link_unverified};

fn map(kind: MapType, value: u32, entries: u32) -> Arc<dyn Map> {
    maps::create(&Arc::new(MapDef::new("m", kind, 4, value, entries)), 2).unwrap()
}

fn k(key: u32) -> [u8; 4] {
    key.to_ne_bytes()
}

fn v(first: u32, second: u32) -> [u8; 8] {
    let mut value = [0; 8];
    value[..4].copy_from_slice(&first.to_ne_bytes());
    value[4..].copy_from_slice(&second.to_ne_bytes());
    value
}

fn keys(map: &dyn Map) -> Vec<u32> {
    map.keys().iter().map(|key| u32::from_ne_bytes(key[..].try_into().unwrap())).collect()
}

#[test]
fn devmap() {
    let map = map(MapType::Devmap, 8, 2);
    assert_eq!(map.write(&k(2), &v(1, 0), BPF_NOEXIST), Err(Errno::E2BIG));
    assert_eq!(map.write(&k(0), &v(1, 0), 3), Err(Errno::EINVAL));
    assert_eq!(map.write(&k(0), &v(1, 0), BPF_NOEXIST), Err(Errno::EEXIST));
    assert_eq!(map.write(&k(0), &v(1, u32::MAX), BPF_EXIST), Ok(()));
    assert_eq!(map.read(&k(0)), Ok(v(1, 0).to_vec()));
    assert_eq!((map.target(0), map.target(1), map.target(2)), (Some(1), None, None));
    assert_eq!(map.write(&k(1), &v(1, 77), BPF_ANY), Err(Errno::EINVAL));
    assert_eq!(map.write(&k(1), &v(0, 77), BPF_ANY), Err(Errno::EINVAL));
    assert_eq!(map.write(&k(0), &v(0, 0), BPF_ANY), Ok(()));
    assert_eq!((map.read(&k(0)), map.read(&k(2))), (Err(Errno::ENOENT), Err(Errno::ENOENT)));
    assert_eq!((map.remove(&k(2)), map.remove(&k(1))), (Err(Errno::EINVAL), Ok(())));
    assert_eq!(keys(map.as_ref()), [0, 1]);
    assert_eq!(map.lookup_ptr(&k(0), 0), None);
}

#[test]
fn devmap_hash() {
    let map = map(MapType::DevmapHash, 4, 3);
    assert_eq!(map.write(&k(9), &k(0), BPF_ANY), Err(Errno::EINVAL));
    assert_eq!(map.write(&k(9), &k(1), 3), Err(Errno::EINVAL));
    assert_eq!(map.write(&k(9), &k(1), BPF_EXIST), Ok(()));
    assert_eq!(map.write(&k(9), &k(1), BPF_NOEXIST), Err(Errno::EEXIST));
    assert_eq!((map.write(&k(5), &k(1), BPF_ANY), map.write(&k(1), &k(1), BPF_ANY)), (Ok(()), Ok(())));
    assert_eq!(map.write(&k(2), &k(1), BPF_ANY), Err(Errno::E2BIG));
    assert_eq!((map.remove(&k(2)), map.read(&k(2))), (Err(Errno::ENOENT), Err(Errno::ENOENT)));
    assert_eq!(map.read(&k(9)), Ok(k(1).to_vec()));
    assert_eq!(keys(map.as_ref()), [1, 5, 9]);
    map.write(&k(9), &k(4), BPF_ANY).unwrap();
    assert_eq!((keys(map.as_ref()), map.target(9)), (vec![9, 1, 5], Some(4)));
    map.remove(&k(5)).unwrap();
    map.write(&k(2), &k(1), BPF_ANY).unwrap();
    assert_eq!(keys(map.as_ref()), [9, 1, 2]);
    assert_eq!(map.next_key(Some(&k(77))), Ok(k(9).to_vec()));
}

#[test]
fn cpumap() {
    let map = map(MapType::Cpumap, 8, 4);
    assert_eq!(map.write(&k(4), &v(8, 0), BPF_ANY), Err(Errno::E2BIG));
    assert_eq!(map.write(&k(0), &v(8, 0), 3), Err(Errno::EINVAL));
    assert_eq!(map.write(&k(0), &v(8, 0), BPF_NOEXIST), Err(Errno::EEXIST));
    assert_eq!(map.write(&k(3), &v(16385, 0), BPF_ANY), Err(Errno::EOVERFLOW));
    assert_eq!(map.write(&k(3), &v(0, 0), BPF_ANY), Err(Errno::ENODEV));
    assert_eq!(map.write(&k(0), &v(8, 77), BPF_ANY), Err(Errno::ENOMEM));
    assert_eq!(map.write(&k(0), &v(0, 77), BPF_ANY), Ok(()));
    assert_eq!(map.target(0), None);
    assert_eq!(map.write(&k(1), &v(8, 0), BPF_ANY), Ok(()));
    assert_eq!((map.target(1), map.read(&k(1))), (Some(1), Ok(v(8, 0).to_vec())));
    assert_eq!((map.remove(&k(4)), map.remove(&k(3)), map.remove(&k(1))), (Err(Errno::EINVAL), Ok(()), Ok(())));
    assert_eq!(map.read(&k(1)), Err(Errno::ENOENT));
}

#[test]
fn xskmap() {
    let map = map(MapType::Xskmap, 4, 2);
    assert_eq!(map.write(&k(2), &k(0), BPF_ANY), Err(Errno::E2BIG));
    assert_eq!(map.write(&k(0), &k(0), 3), Err(Errno::EINVAL));
    assert_eq!(map.write(&k(0), &k(u32::MAX), BPF_ANY), Err(Errno::EBADF));
    assert_eq!(map.write(&k(0), &k(3), BPF_EXIST), Err(Errno::ENOENT));
    assert_eq!(map.write(&k(0), &k(3), BPF_NOEXIST), Ok(()));
    assert_eq!(map.write(&k(0), &k(3), BPF_NOEXIST), Err(Errno::EEXIST));
    assert_eq!((map.target(0), map.target(1)), (Some(0), None));
    assert_eq!(map.read(&k(0)), Err(Errno::EOPNOTSUPP));
    assert_eq!((map.remove(&k(0)), map.remove(&k(2))), (Ok(()), Err(Errno::EINVAL)));
    assert_eq!(map.lookup_ptr(&k(0), 0), None);
}

fn program(kind: ProgType, maps: &[Arc<dyn Map>]) -> Arc<dyn Execute> {
    let code = ring3_isa::assemble("r0 = 0\nexit").unwrap();
    Arc::new(Interp::new(Arc::new(link_unverified(&code, kind, maps, &Helpers::new()).unwrap())))
}

#[test]
fn prog_array() {
    let map = map(MapType::ProgArray, 4, 2);
    let xdp = program(ProgType::Xdp, &[]);
    assert_eq!(map.set_program(2, Some(xdp.clone())), Err(Errno::E2BIG));
    assert_eq!(map.set_program(2, None), Err(Errno::E2BIG));
    assert_eq!(map.set_program(0, None), Err(Errno::ENOENT));
    assert_eq!(map.set_program(0, Some(xdp.clone())), Ok(()));
    assert_eq!(map.set_program(1, Some(program(ProgType::SchedCls, &[]))), Err(Errno::EINVAL));
    assert!(map.program(0).is_some() && map.program(1).is_none() && map.program(2).is_none());
    assert_eq!((map.read(&k(0)), map.read(&k(1))), (Ok(k(1).to_vec()), Err(Errno::ENOENT)));
    assert_eq!(map.write(&k(0), &k(9), BPF_NOEXIST), Err(Errno::EINVAL));
    assert_eq!((map.write(&k(0), &k(9), 0), map.write(&k(2), &k(9), 0)), (Err(Errno::EBADF), Err(Errno::E2BIG)));
    assert_eq!((map.remove(&k(0)), map.remove(&k(0))), (Ok(()), Err(Errno::ENOENT)));
    assert_eq!((map.remove(&k(2)), map.next_key(Some(&k(1)))), (Err(Errno::E2BIG), Err(Errno::ENOENT)));
}

#[test]
fn clearing_breaks_the_circle() {
    let map = map(MapType::ProgArray, 4, 2);
    map.set_program(1, Some(program(ProgType::Xdp, std::slice::from_ref(&map)))).unwrap();
    assert_eq!(Arc::strong_count(&map), 2);
    map.clear();
    assert_eq!(Arc::strong_count(&map), 1);
}

fn outer(kind: MapType, inner: MapDef) -> Arc<dyn Map> {
    let mut def = MapDef::new("outer", kind, 4, 4, 2);
    def.inner = Some(Box::new(inner));
    maps::create(&Arc::new(def), 2).unwrap()
}

/// The map that a program has after a lookup.
fn looked_up(outer: &dyn Map, key: u32) -> Option<Arc<dyn Map>> {
    let handle = outer.lookup_ptr(&k(key), 0)?;
    assert!(outer.gives_handle(handle.as_ptr() as u64));
    // SAFETY: what a map of maps gives is the address of a handle, which lives as long as the map.
    Some(Arc::clone(&unsafe { handle.cast::<MapHandle>().as_ref() }.map))
}

#[test]
fn array_of_maps() {
    let outer = outer(MapType::ArrayOfMaps, MapDef::new("inner", MapType::Array, 4, 8, 1));
    let (array, other) = (map(MapType::Array, 8, 1), map(MapType::Array, 8, 1));
    let hash = map(MapType::Hash, 8, 1);
    assert_eq!(outer.set_inner(&k(2), hash.clone(), 0), Err(Errno::E2BIG));
    assert_eq!(outer.set_inner(&k(0), array.clone(), BPF_NOEXIST), Err(Errno::EINVAL));
    assert_eq!(outer.set_inner(&k(0), map(MapType::Array, 8, 2), 0), Err(Errno::EINVAL));
    assert_eq!(outer.set_inner(&k(0), hash, 0), Err(Errno::EINVAL));
    assert_eq!(outer.set_inner(&k(0), array.clone(), 0), Ok(()));
    assert!(Arc::ptr_eq(&looked_up(outer.as_ref(), 0).unwrap(), &array));
    let kept = outer.lookup_ptr(&k(0), 0);
    assert_eq!(outer.set_inner(&k(0), other.clone(), 0), Ok(()));
    assert!(Arc::ptr_eq(&looked_up(outer.as_ref(), 0).unwrap(), &other));
    assert!(Arc::ptr_eq(&outer.inner(&k(0)).unwrap(), &other));
    assert_eq!(outer.set_inner(&k(1), array, 0), Ok(()));
    assert_eq!(outer.lookup_ptr(&k(1), 0), kept);
    assert_eq!((outer.remove(&k(2)), outer.remove(&k(1))), (Err(Errno::E2BIG), Ok(())));
    assert_eq!((outer.remove(&k(1)), outer.read(&k(1))), (Err(Errno::ENOENT), Err(Errno::ENOENT)));
    assert!(outer.lookup_ptr(&k(1), 0).is_none() && outer.inner(&k(1)).is_none());
}

#[test]
fn hash_of_maps() {
    let outer = outer(MapType::HashOfMaps, MapDef::new("inner", MapType::Ringbuf, 0, 0, 4096));
    let ring = || maps::create(&Arc::new(MapDef::new("ring", MapType::Ringbuf, 0, 0, 4096)), 2).unwrap();
    let inner = ring();
    assert_eq!(outer.set_inner(&k(7), inner.clone(), BPF_EXIST), Err(Errno::ENOENT));
    assert_eq!(outer.set_inner(&k(7), inner.clone(), BPF_NOEXIST), Ok(()));
    assert_eq!(outer.set_inner(&k(7), inner.clone(), BPF_NOEXIST), Err(Errno::EEXIST));
    assert_eq!(outer.set_inner(&k(7), inner.clone(), 3), Err(Errno::EINVAL));
    assert_eq!(outer.set_inner(&k(8), ring(), 0), Ok(()));
    assert_eq!(outer.set_inner(&k(9), ring(), 0), Err(Errno::E2BIG));
    assert_eq!(outer.set_inner(&k(9), map(MapType::Array, 8, 1), 0), Err(Errno::EINVAL));
    assert_eq!(outer.remove(&k(9)), Err(Errno::ENOENT));
    let found = looked_up(outer.as_ref(), 7).unwrap();
    assert!(Arc::ptr_eq(&found, &inner));
    // A record of an inner ring is committed by whoever has the outer map.
    let record = found.reserve(8).unwrap();
    assert!(outer.commit(record, false));
    assert_eq!(inner.drain().len(), 1);
    assert_eq!((outer.remove(&k(8)), outer.len()), (Ok(()), 1));
}
