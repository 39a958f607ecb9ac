//! Puts a map of one's own in place of one that an object defines: here an array whose value can be watched from outside.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ring3::vm::maps::{Base, Map};
use ring3::{Engine, Errno, Error, MapDef};

/// An array of one 64-bit counter.
#[derive(Debug)]
struct Counter {
    base: Base,
    value: Box<AtomicU64>,
}

impl Counter {
    fn index_is_zero(key: &[u8]) -> bool {
        key == 0u32.to_ne_bytes()
    }
}

impl Map for Counter {
    fn base(&self) -> &Base {
        &self.base
    }

    // The address must stay good as long as the map lives: the box never moves its content.
    fn lookup_ptr(&self, key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        Counter::index_is_zero(key).then(|| NonNull::from(&*self.value).cast())
    }

    fn update(&self, key: &[u8], value: &[u8], flags: u64, _cpu: u32) -> Result<(), Errno> {
        self.copy_in(key, value, flags)
    }

    fn delete(&self, _key: &[u8]) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        if key.is_some_and(Counter::index_is_zero) { Err(Errno::ENOENT) } else { Ok(0u32.to_ne_bytes().to_vec()) }
    }

    fn copy_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let value = Counter::index_is_zero(key).then(|| self.value.load(Ordering::Relaxed));
        value.map(|value| value.to_ne_bytes().to_vec()).ok_or(Errno::ENOENT)
    }

    fn copy_in(&self, key: &[u8], value: &[u8], _flags: u64) -> Result<(), Errno> {
        let value = value.try_into().map(u64::from_ne_bytes).map_err(|_| Errno::EINVAL)?;
        if !Counter::index_is_zero(key) {
            return Err(Errno::E2BIG);
        }
        self.value.store(value, Ordering::Relaxed);
        Ok(())
    }

    fn len(&self) -> usize {
        1
    }

    // For `bpf_probe_read_*`: these bytes can be read.
    fn holds(&self, addr: u64, len: u64) -> bool {
        let start = std::ptr::from_ref(&*self.value) as u64;
        addr >= start && addr.checked_add(len).is_some_and(|end| end <= start + 8)
    }
}

fn main() -> Result<(), Error> {
    let object = ring3::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/bpf/drop_icmp.bpf.o"))?;
    let Some(def): Option<&Arc<MapDef>> = object.map("drop_count") else { return Ok(()) };
    let counter = Arc::new(Counter { base: Base::new(def), value: Box::new(AtomicU64::new(100)) });

    let mut instance = Engine::new().map("drop_count", counter.clone()).load(&object)?;
    let ping = ring3::text::hex_bytes(
        "02000000000b02000000000a0800 4500001c00014000400126de0a0000010a000002 0800f7fd00010001",
    )
    .unwrap_or_default();
    instance.run("drop_icmp", &ping)?;
    println!("the counter stands at {}", counter.value.load(Ordering::Relaxed));
    Ok(())
}
