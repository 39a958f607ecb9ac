//! Values with special fields: updates go around them, user space does not see them, and what they hold is released.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ring3_btf::TypeId;
use ring3_platform::maps::{Field, FieldKind, Fields};
use ring3_platform::{Errno, MapDef, MapType};
use ring3_vm::maps::{self, BPF_ANY, BPF_F_LOCK, Map};

/// `u32; struct bpf_spin_lock; u64; kptr; u32` and padding.
fn def(kind: MapType) -> MapDef {
    let field = |kind, off| Field { kind, off, target: TypeId(0), node: 0 };
    let mut def = MapDef::new("m", kind, 4, 28, 4);
    let list = vec![field(FieldKind::SpinLock, 4), field(FieldKind::KptrRef, 16)];
    def.fields = Fields { typed: true, list: Arc::from(list) };
    def
}

fn word(map: &dyn Map, at: usize) -> &AtomicU64 {
    let value = map.lookup_ptr(&[0; 4], 0).unwrap();
    // SAFETY: within the value, which is aligned to 8 and lives as long as the map.
    unsafe { value.add(at).cast::<AtomicU64>().as_ref() }
}

fn value(first: u8) -> Vec<u8> {
    (first..).take(28).collect()
}

/// What user space reads of a value that was written.
fn shown(first: u8) -> Vec<u8> {
    let mut shown = value(first);
    shown[4..8].fill(0);
    shown[16..24].fill(0);
    shown
}

#[test]
fn updates_go_around_fields() {
    for kind in [MapType::Array, MapType::Hash] {
        let map = maps::create(&Arc::new(def(kind)), 2).unwrap();
        let released = Arc::new(AtomicU64::new(0));
        let count = released.clone();
        map.base().on_release(Box::new(move |value| {
            // SAFETY: the value is still there, with what its pointer holds.
            let held = unsafe { value.add(16).cast::<AtomicU64>().as_ref() };
            count.fetch_add(held.load(Ordering::Relaxed), Ordering::Relaxed);
        }));
        map.write(&[0; 4], &value(1), BPF_ANY).unwrap();
        assert_eq!(map.read(&[0; 4]), Ok(shown(1)));
        assert_eq!(word(map.as_ref(), 16).load(Ordering::Relaxed), 0, "user space makes no pointers");
        // A program puts an object in, and an update releases it.
        word(map.as_ref(), 16).store(1000, Ordering::Relaxed);
        assert_eq!(map.read(&[0; 4]), Ok(shown(1)));
        let before = released.load(Ordering::Relaxed);
        map.update(&[0; 4], &value(50), BPF_ANY, 0).unwrap();
        assert_eq!(released.load(Ordering::Relaxed) - before, 1000);
        assert_eq!((map.read(&[0; 4]), word(map.as_ref(), 16).load(Ordering::Relaxed)), (Ok(shown(50)), 0));
        if kind == MapType::Hash {
            word(map.as_ref(), 16).store(7, Ordering::Relaxed);
            let before = released.load(Ordering::Relaxed);
            map.delete(&[0; 4]).unwrap();
            assert_eq!(released.load(Ordering::Relaxed) - before, 7);
        }
        assert_eq!(map.freeze(), Err(Errno::ENOTSUPP));
    }
}

#[test]
fn locks_are_taken() {
    for kind in [MapType::Array, MapType::Hash] {
        let map = maps::create(&Arc::new(def(kind)), 2).unwrap();
        map.write(&[0; 4], &value(1), BPF_ANY).unwrap();
        // As long as a program holds the lock, nobody gets in.
        let lock = word(map.as_ref(), 0);
        lock.fetch_or(1 << if cfg!(target_endian = "little") { 32 } else { 0 }, Ordering::Relaxed);
        let other = map.clone();
        let writer = std::thread::spawn(move || other.write(&[0; 4], &value(90), BPF_F_LOCK));
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(word(map.as_ref(), 8).load(Ordering::Relaxed).to_ne_bytes()[..], value(1)[8..16]);
        lock.fetch_and(!(1 << if cfg!(target_endian = "little") { 32 } else { 0 }), Ordering::Release);
        assert_eq!(writer.join().unwrap(), Ok(()));
        assert_eq!(map.read_with(&[0; 4], BPF_F_LOCK), Ok(shown(90)));
    }
    let plain = maps::create(&Arc::new(MapDef::new("m", MapType::Hash, 4, 8, 4)), 2).unwrap();
    assert_eq!(plain.write(&[0; 4], &[0; 8], BPF_F_LOCK), Err(Errno::EINVAL));
    assert_eq!(plain.read_with(&[0; 4], BPF_F_LOCK), Err(Errno::EINVAL));
}

#[test]
fn memory_that_user_space_may_have() {
    use ring3_platform::MapFlags;
    let mut def = MapDef::new("m", MapType::Array, 4, 8, 600);
    assert_eq!(maps::create(&Arc::new(def.clone()), 1).unwrap().shared_memory(), Err(Errno::ENOTSUPP));
    def.flags = MapFlags::MMAPABLE;
    let map = maps::create(&Arc::new(def), 1).unwrap();
    let memory = map.shared_memory().unwrap();
    assert_eq!((memory.len, memory.start.addr().get() % 4096), (8192, 0));
    map.write(&3u32.to_ne_bytes(), &[9; 8], BPF_ANY).unwrap();
    // SAFETY: within the memory, aligned and atomic.
    let third = unsafe { memory.start.add(24).cast::<AtomicU64>().as_ref() };
    assert_eq!(third.load(Ordering::Relaxed).to_ne_bytes(), [9; 8]);
    map.freeze().unwrap();
    assert_eq!(map.shared_memory(), Err(Errno::EPERM));
}
