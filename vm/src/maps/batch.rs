//! Operations on many elements in one go (`BPF_MAP_*_BATCH`), for types that have no way of their own.

use ring3_platform::{Errno, MapType};

use super::{BPF_F_LOCK, Map};

/// What a batch read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    /// Keys, one after the other.
    pub keys: Vec<u8>,
    /// Values, one after the other, as [`Map::read`] gives them.
    pub values: Vec<u8>,
    /// How many.
    pub count: usize,
    /// Where the next one goes on: what `from` takes.
    pub next: Vec<u8>,
    /// There was nothing behind these: what the kernel says by `ENOENT`.
    pub ended: bool,
}

/// Which batch operations a type has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Batches {
    pub(super) read: bool,
    pub(super) take: bool,
    pub(super) write: bool,
    pub(super) remove: bool,
}

/// The batch operations of a type; the others give `ENOTSUPP`.
pub(super) const fn batches(kind: MapType) -> Batches {
    let (read, take, write, remove) = match kind {
        MapType::Hash | MapType::PercpuHash | MapType::LruHash | MapType::LruPercpuHash | MapType::HashOfMaps => {
            (true, true, true, true)
        }
        MapType::LpmTrie => (true, false, true, true),
        MapType::Array | MapType::PercpuArray | MapType::ArrayOfMaps => (true, false, true, false),
        MapType::ProgArray
        | MapType::PerfEventArray
        | MapType::StackTrace
        | MapType::CgroupArray
        | MapType::Devmap
        | MapType::Sockmap
        | MapType::Cpumap
        | MapType::Xskmap
        | MapType::Sockhash
        | MapType::CgroupStorage
        | MapType::ReuseportSockarray
        | MapType::PercpuCgroupStorage
        | MapType::Queue
        | MapType::Stack
        | MapType::SkStorage
        | MapType::DevmapHash
        | MapType::StructOps
        | MapType::Ringbuf
        | MapType::InodeStorage
        | MapType::TaskStorage
        | MapType::BloomFilter
        | MapType::UserRingbuf
        | MapType::CgrpStorage
        | MapType::Arena => (false, false, false, false),
    };
    Batches { read, take, write, remove }
}

/// Flags of the elements of a batch: `BPF_F_LOCK` alone, of a map that has a lock.
pub(super) fn check_flags(map: &(impl Map + ?Sized), flags: u64) -> Result<(), Errno> {
    let locks = flags & BPF_F_LOCK != 0 && map.def().fields.spin_lock().is_none();
    if flags & !BPF_F_LOCK != 0 || locks { Err(Errno::EINVAL) } else { Ok(()) }
}

/// Up to `max` elements behind the key `from`, or from the first one.
pub(super) fn read(map: &(impl Map + ?Sized), from: Option<&[u8]>, max: usize) -> Result<Batch, Errno> {
    let mut batch = Batch::default();
    let mut last = from.map(<[u8]>::to_vec);
    // Elements that go while this reads cost a step, but no map has more steps than elements.
    while batch.count < max {
        let key = match map.next_key(last.as_deref()) {
            Ok(key) => key,
            Err(Errno::ENOENT) => {
                batch.ended = true;
                break;
            }
            Err(errno) => return Err(errno),
        };
        match map.copy_out(&key) {
            Ok(value) => {
                batch.keys.extend_from_slice(&key);
                batch.values.extend_from_slice(&value);
                batch.count += 1;
            }
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
        last = Some(key);
    }
    batch.next = last.unwrap_or_default();
    Ok(batch)
}

/// Writes elements until one is refused: how many, and why not the next.
pub(super) fn write(map: &(impl Map + ?Sized), keys: &[u8], values: &[u8], flags: u64) -> (usize, Result<(), Errno>) {
    let (key, count) = (map.def().key_size as usize, keys.len() / (map.def().key_size as usize).max(1));
    let value = values.len() / count.max(1);
    if key == 0 || keys.len() != count * key || values.len() != count * value {
        return (0, Err(Errno::EINVAL));
    }
    for (done, (key, value)) in keys.chunks(key).zip(values.chunks(value.max(1))).enumerate() {
        if let Err(errno) = map.copy_in(key, value, flags) {
            return (done, Err(errno));
        }
    }
    (count, Ok(()))
}

/// Removes elements until one is not there: how many, and why not the next.
pub(super) fn remove(map: &(impl Map + ?Sized), keys: &[u8]) -> (usize, Result<(), Errno>) {
    let key = map.def().key_size as usize;
    if key == 0 || !keys.len().is_multiple_of(key) {
        return (0, Err(Errno::EINVAL));
    }
    for (done, key) in keys.chunks(key).enumerate() {
        if let Err(errno) = map.delete(key) {
            return (done, Err(errno));
        }
    }
    (keys.len() / key, Ok(()))
}
