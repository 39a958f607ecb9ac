//! Commands on one map.

use std::io::Read;

use ring3_platform::MapType;

use super::attr::{GetInfo, MapBatch, MapCreate, MapElem};
use super::{AsFd, BorrowedFd, Command, Failure, OwnedFd, addr, addr_mut, bpf, bpf_fd, fd};
use crate::Error;

/// A map, with what the kernel takes its keys and values for: buffers are compared with that before it writes into them.
#[derive(Debug)]
pub struct MapFd {
    fd: OwnedFd,
    kind: u32,
    key: usize,
    value: usize,
}

impl AsFd for MapFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The first five fields of `struct bpf_map_info`: type, id, sizes of key and value, entries.
const HEAD: usize = 5;

impl MapFd {
    /// BPF_MAP_CREATE.
    pub fn create(mut attr: MapCreate) -> Result<MapFd, Failure> {
        // SAFETY: no addresses.
        let fd = unsafe { bpf_fd(Command::MapCreate, &mut attr, 0)? };
        MapFd::with_sizes(fd, attr.map_type, attr.key_size, attr.value_size)
    }

    /// Takes a descriptor of a map and asks the kernel for its sizes.
    pub fn open(fd: OwnedFd) -> Result<MapFd, Failure> {
        let mut head = [0u32; HEAD];
        let mut attr =
            GetInfo { bpf_fd: fd::number(fd.as_fd()), info_len: size_of_val(&head) as u32, info: addr_mut(&mut head) };
        // SAFETY: the kernel writes at most as many bytes as is said.
        unsafe { bpf(Command::GetInfo, &mut attr, 0)? };
        let [kind, _, key, value, _] = head;
        MapFd::with_sizes(fd, kind, key, value)
    }

    fn with_sizes(fd: OwnedFd, kind: u32, key: u32, value: u32) -> Result<MapFd, Failure> {
        let value = value as usize;
        let value = match MapType::from_number(kind) {
            // A value for each CPU that could be there, each in whole words.
            Some(
                MapType::PercpuHash | MapType::PercpuArray | MapType::LruPercpuHash | MapType::PercpuCgroupStorage,
            ) => value.next_multiple_of(8) * possible_cpus()?,
            // Of maps that hold other objects, the kernel takes descriptors and gives ids.
            Some(
                MapType::PerfEventArray
                | MapType::ProgArray
                | MapType::CgroupArray
                | MapType::ArrayOfMaps
                | MapType::HashOfMaps,
            ) => size_of::<u32>(),
            _ => value,
        };
        Ok(MapFd { fd, kind, key: key as usize, value })
    }

    /// `enum bpf_map_type`.
    pub fn kind(&self) -> u32 {
        self.kind
    }

    /// Bytes of a key.
    pub fn key_bytes(&self) -> usize {
        self.key
    }

    /// Bytes of a value as user space sees it: of all CPUs.
    pub fn value_bytes(&self) -> usize {
        self.value
    }

    fn number(&self) -> u32 {
        fd::number(self.fd.as_fd())
    }

    fn check(what: &'static str, found: usize, expected: usize) -> Result<(), Error> {
        if found == expected { Ok(()) } else { Err(Error::Size { what, expected, found }) }
    }

    /// Maps without keys take no address of one.
    fn key_addr(key: &[u8]) -> u64 {
        if key.is_empty() { 0 } else { addr(key) }
    }

    /// BPF_MAP_LOOKUP_ELEM, or BPF_MAP_LOOKUP_AND_DELETE_ELEM.
    pub fn lookup(&self, command: Command, key: &[u8], flags: u64) -> Result<Result<Vec<u8>, Failure>, Error> {
        Self::check("key", key.len(), self.key)?;
        let mut value = vec![0; self.value];
        let value_addr = addr_mut(&mut value);
        let mut attr =
            MapElem { map_fd: self.number(), key: Self::key_addr(key), value: value_addr, flags, ..MapElem::default() };
        // SAFETY: key and value are as large as the map's, which the kernel told.
        Ok(unsafe { bpf(command, &mut attr, 0) }.map(|_| value))
    }

    /// BPF_MAP_LOOKUP_ELEM of a bloom filter, whose value the kernel reads.
    pub fn contains(&self, value: &[u8]) -> Result<Result<(), Failure>, Error> {
        Self::check("value", value.len(), self.value)?;
        // The kernel writes the value back that it has read.
        let mut value = value.to_vec();
        let mut attr = MapElem { map_fd: self.number(), value: addr_mut(&mut value), ..MapElem::default() };
        // SAFETY: the value is as large as the map's, which the kernel told.
        Ok(unsafe { bpf(Command::MapLookup, &mut attr, 0) }.map(|_| ()))
    }

    /// The value of a key into a buffer of the value's size.
    pub fn lookup_into(&self, key: &[u8], value: &mut [u8], flags: u64) -> Result<Result<(), Failure>, Error> {
        Self::check("key", key.len(), self.key)?;
        Self::check("value", value.len(), self.value)?;
        let value = addr_mut(value);
        let mut attr = MapElem { map_fd: self.number(), key: Self::key_addr(key), value, flags, ..MapElem::default() };
        // SAFETY: key and value are as large as the map's, which the kernel told.
        Ok(unsafe { bpf(Command::MapLookup, &mut attr, 0) }.map(|_| ()))
    }

    /// BPF_MAP_UPDATE_ELEM.
    pub fn update(&self, key: &[u8], value: &[u8], flags: u64) -> Result<Result<(), Failure>, Error> {
        Self::check("key", key.len(), self.key)?;
        Self::check("value", value.len(), self.value)?;
        let mut attr = MapElem {
            map_fd: self.number(),
            key: Self::key_addr(key),
            value: addr(value),
            flags,
            ..MapElem::default()
        };
        // SAFETY: key and value are as large as the map's.
        Ok(unsafe { bpf(Command::MapUpdate, &mut attr, 0) }.map(|_| ()))
    }

    /// BPF_MAP_DELETE_ELEM.
    pub fn delete(&self, key: &[u8]) -> Result<Result<(), Failure>, Error> {
        Self::check("key", key.len(), self.key)?;
        let mut attr = MapElem { map_fd: self.number(), key: Self::key_addr(key), ..MapElem::default() };
        // SAFETY: the key is as large as the map's.
        Ok(unsafe { bpf(Command::MapDelete, &mut attr, 0) }.map(|_| ()))
    }

    /// BPF_MAP_GET_NEXT_KEY; the first key if none is given.
    pub fn next_key(&self, key: Option<&[u8]>) -> Result<Result<Vec<u8>, Failure>, Error> {
        if let Some(key) = key {
            Self::check("key", key.len(), self.key)?;
        }
        let mut next = vec![0; self.key];
        let mut attr = MapElem {
            map_fd: self.number(),
            key: key.map_or(0, Self::key_addr),
            value: addr_mut(&mut next),
            ..MapElem::default()
        };
        // SAFETY: both keys are as large as the map's.
        Ok(unsafe { bpf(Command::MapNextKey, &mut attr, 0) }.map(|_| next))
    }

    /// BPF_MAP_FREEZE.
    pub fn freeze(&self) -> Result<(), Failure> {
        let mut attr = MapElem { map_fd: self.number(), ..MapElem::default() };
        // SAFETY: no addresses.
        unsafe { bpf(Command::MapFreeze, &mut attr, 0) }.map(|_| ())
    }
}

/// What a command on many elements did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// How it ended: ENOENT after the last element.
    pub result: Result<(), Failure>,
    /// Elements that it was done for.
    pub count: usize,
}

/// Bytes of the attributes up to the count, which the kernel writes.
const BATCH_WITH_COUNT: usize = std::mem::offset_of!(MapBatch, count) + 4;

impl MapFd {
    /// Bytes of the place where a batch goes on: a key, or (of hash maps) the number of a bucket.
    pub fn cursor_bytes(&self) -> usize {
        self.key.max(size_of::<u32>())
    }

    /// How many keys these are.
    fn keys(&self, keys: &[u8]) -> Result<usize, Error> {
        let count = keys.len() / self.key.max(1);
        Self::check("keys", keys.len(), count * self.key)?;
        if count > u32::MAX as usize {
            return Err(Error::Limit { what: "elements of a batch", found: count, limit: u32::MAX as usize });
        }
        Ok(count)
    }

    /// BPF_MAP_LOOKUP_BATCH or BPF_MAP_LOOKUP_AND_DELETE_BATCH, of as many elements as `keys` and `values` have room for.
    /// `from` and `to` are places of [`MapFd::cursor_bytes`].
    pub fn lookup_batch(
        &self,
        command: Command,
        from: Option<&[u8]>,
        to: &mut [u8],
        keys: &mut [u8],
        values: &mut [u8],
    ) -> Result<Batch, Error> {
        let count = self.keys(keys)?;
        Self::check("values", values.len(), count * self.value)?;
        Self::check("cursor", to.len(), self.cursor_bytes())?;
        Self::check("cursor", from.map_or(self.cursor_bytes(), <[u8]>::len), self.cursor_bytes())?;
        let mut attr = MapBatch {
            in_batch: from.map_or(0, addr),
            out_batch: addr_mut(to),
            keys: addr_mut(keys),
            values: addr_mut(values),
            count: count as u32,
            map_fd: self.number(),
            ..MapBatch::default()
        };
        // SAFETY: keys and values are as large as so many of the map's; the places are as large as the kernel's.
        let result = unsafe { bpf(command, &mut attr, BATCH_WITH_COUNT) };
        Ok(Batch { result: result.map(|_| ()), count: count.min(attr.count as usize) })
    }

    /// BPF_MAP_UPDATE_BATCH.
    pub fn update_batch(&self, keys: &[u8], values: &[u8]) -> Result<Batch, Error> {
        let count = self.keys(keys)?;
        Self::check("values", values.len(), count * self.value)?;
        Ok(self.change(Command::MapUpdateBatch, count, addr(keys), addr(values)))
    }

    /// BPF_MAP_DELETE_BATCH.
    pub fn delete_batch(&self, keys: &[u8]) -> Result<Batch, Error> {
        let count = self.keys(keys)?;
        Ok(self.change(Command::MapDeleteBatch, count, addr(keys), 0))
    }

    /// Both addresses are of as much as so many elements have.
    fn change(&self, command: Command, count: usize, keys: u64, values: u64) -> Batch {
        let mut attr = MapBatch { keys, values, count: count as u32, map_fd: self.number(), ..MapBatch::default() };
        // SAFETY: the callers have checked the sizes of keys and values.
        let result = unsafe { bpf(command, &mut attr, BATCH_WITH_COUNT) };
        Batch { result: result.map(|_| ()), count: count.min(attr.count as usize) }
    }
}

/// Where the kernel says which CPUs there could be.
const POSSIBLE_CPUS: &str = "/sys/devices/system/cpu/possible";

/// CPUs that could ever be there: a value by CPU has room for each.
pub fn possible_cpus() -> Result<usize, Failure> {
    let mut text = String::new();
    let file = std::fs::File::open(POSSIBLE_CPUS);
    let read = file.and_then(|file| file.take(1 << 16).read_to_string(&mut text));
    // A guess could be too low, and the kernel would write past the end of a buffer.
    read.ok().and_then(|_| count_cpus(text.trim())).ok_or(Failure::File(POSSIBLE_CPUS))
}

/// How many numbers a list such as `0-3,8` has.
fn count_cpus(list: &str) -> Option<usize> {
    list.split(',').try_fold(0usize, |sum, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        let none = ["", "x", "3-1", "0-", "0,"].map(|list| (list, None));
        let some = [("0", Some(1)), ("0-3", Some(4)), ("0-3,8-15", Some(12)), ("0,2", Some(2))];
        for (list, count) in none.into_iter().chain(some) {
            assert_eq!(count_cpus(list), count, "{list}");
        }
    }
}
