//! Maps of the kernel.

use ring3_platform::maps::PAGE_SIZE;
use ring3_platform::{MapDef, MapType};

use crate::sys::attr::{self, MapCreate};
use crate::sys::{self, AsFd, BorrowedFd, Command, Failure, MapFd, OwnedFd, Ring};
use crate::{BtfObject, Errno, Error};

/// Most bytes of keys or values that are read in one go.
const MAX_BATCH_BYTES: usize = 1 << 30;

/// Whether an update may add or replace (BPF_ANY, BPF_NOEXIST, BPF_EXIST).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u64)]
pub enum UpdateFlag {
    /// Both.
    #[default]
    Any = 0,
    /// Only add: EEXIST if the key is there.
    NoExist = 1,
    /// Only replace: ENOENT if the key is not there.
    Exist = 2,
}

/// A map of the kernel. It lives as long as anything refers to it: this, programs that use it, pins.
#[derive(Debug)]
pub struct Map {
    name: String,
    fd: MapFd,
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// CPUs for which a map with values by CPU has room.
///
/// Errors: not Linux, or no `/sys`.
pub fn possible_cpus() -> Result<usize, Error> {
    sys::possible_cpus().map_err(|failure| failure.of(Command::MapLookup))
}

impl Map {
    /// Creates a map with the content that its definition has; freezes it if the definition says so. Slots that are to hold
    /// programs or maps stay empty.
    ///
    /// Errors: the kernel's.
    pub fn create(def: &MapDef) -> Result<Map, Error> {
        Map::create_typed(def, None)
    }

    /// As [`Map::create`], with the types of key and value, whose numbers the definition has.
    pub fn create_typed(def: &MapDef, types: Option<&BtfObject>) -> Result<Map, Error> {
        let inner = def.inner.as_deref().map(|inner| Map::create_typed(inner, types)).transpose()?;
        let fd = create(def, inner.as_ref(), types).map_err(|failure| failure.of_map(&def.name, Command::MapCreate))?;
        let map = Map { name: def.name.clone(), fd };
        let content = def.data.as_deref().unwrap_or_default();
        if def.kind == MapType::Arena && (def.extra == 0 || !content.is_empty()) {
            // As libbpf.
            let bytes = def.max_entries as usize * PAGE_SIZE as usize;
            let given = sys::give_address(map.as_fd(), bytes, def.extra, content);
            given.map_err(|failure| failure.of_map(&def.name, Command::MapCreate))?;
        } else if let Some(data) = &def.data {
            map.update(&0u32.to_ne_bytes(), data, UpdateFlag::Any)?;
        }
        if def.frozen {
            map.freeze()?;
        }
        Ok(map)
    }

    /// Takes a descriptor of a map. `name` is for errors.
    ///
    /// Errors: it is not one of a map.
    pub fn from_fd(name: &str, fd: OwnedFd) -> Result<Map, Error> {
        sys::expect("bpf-map", fd.as_fd())?;
        let fd = MapFd::open(fd).map_err(|failure| failure.of_map(name, Command::GetInfo))?;
        Ok(Map { name: name.to_owned(), fd })
    }

    /// The name that it was created or opened by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kernel keeps 15 bytes of a name; an object knows it whole.
    pub(crate) fn renamed(self, name: &str) -> Map {
        Map { name: name.to_owned(), ..self }
    }

    /// Its type; `None` if it is one that ring3 does not know.
    pub fn kind(&self) -> Option<MapType> {
        MapType::from_number(self.fd.kind())
    }

    /// Bytes of a key; 0 for maps without keys.
    pub fn key_size(&self) -> usize {
        self.fd.key_bytes()
    }

    /// Bytes of a value as it is read and written here: of maps with values by CPU, those of all possible CPUs, each in
    /// whole 8 bytes.
    pub fn value_size(&self) -> usize {
        self.fd.value_bytes()
    }

    fn error(&self, command: Command) -> impl Fn(Failure) -> Error {
        move |failure| failure.of_map(&self.name, command)
    }

    /// The value of a key; `None` if there is none. In queues and stacks (empty key) the next value, which stays.
    ///
    /// Errors: a key of another size, map types that user space cannot read, the kernel's.
    pub fn lookup(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.found(Command::MapLookup, self.fd.lookup(Command::MapLookup, key, 0)?)
    }

    /// Whether a bloom filter may have a value; ENOENT if it has not.
    pub fn contains(&self, value: &[u8]) -> Result<(), Error> {
        self.fd.contains(value)?.map_err(self.error(Command::MapLookup))
    }

    /// As [`Map::delete`]; what is not there is ENOENT.
    pub fn delete_key(&self, key: &[u8]) -> Result<(), Error> {
        self.fd.delete(key)?.map_err(self.error(Command::MapDelete))
    }

    /// As [`Map::lookup`], with flags as numbers (`BPF_F_LOCK`); what is not there is ENOENT.
    pub fn lookup_with(&self, key: &[u8], flags: u64) -> Result<Vec<u8>, Error> {
        self.fd.lookup(Command::MapLookup, key, flags)?.map_err(self.error(Command::MapLookup))
    }

    /// As [`Map::take`], with flags as numbers; what is not there is ENOENT.
    pub fn take_with(&self, key: &[u8], flags: u64) -> Result<Vec<u8>, Error> {
        let command = Command::MapLookupAndDelete;
        self.fd.lookup(command, key, flags)?.map_err(self.error(command))
    }

    /// As [`Map::update`], with flags as numbers.
    pub fn update_with(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Error> {
        self.fd.update(key, value, flags)?.map_err(self.error(Command::MapUpdate))
    }

    /// As [`Map::lookup`], and removes it. `pop` of queues and stacks.
    pub fn take(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let command = Command::MapLookupAndDelete;
        self.found(command, self.fd.lookup(command, key, 0)?)
    }

    /// As [`Map::lookup`], into a buffer of the value's size. `false` if there is no such key.
    pub fn lookup_into(&self, key: &[u8], value: &mut [u8]) -> Result<bool, Error> {
        let result = self.fd.lookup_into(key, value, 0)?;
        Ok(self.found(Command::MapLookup, result)?.is_some())
    }

    fn found<T>(&self, command: Command, result: Result<T, Failure>) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(failure) if failure.is(Errno::ENOENT) => Ok(None),
            Err(failure) => Err(self.error(command)(failure)),
        }
    }

    /// Sets the value of a key. Pushes in queues and stacks (empty key).
    ///
    /// Errors: other sizes than the map's, what the flag forbids (EEXIST, ENOENT), a full map (E2BIG), the kernel's.
    pub fn update(&self, key: &[u8], value: &[u8], flag: UpdateFlag) -> Result<(), Error> {
        self.fd.update(key, value, flag as u64)?.map_err(self.error(Command::MapUpdate))
    }

    /// Puts a program or an inner map into a slot.
    pub fn put(&self, key: &[u8], object: &impl AsFd) -> Result<(), Error> {
        let value = sys::fd_number(object.as_fd()).to_ne_bytes();
        self.update(key, &value, UpdateFlag::Any)
    }

    /// Removes a key. `false` if it was not there.
    pub fn delete(&self, key: &[u8]) -> Result<bool, Error> {
        Ok(self.found(Command::MapDelete, self.fd.delete(key)?)?.is_some())
    }

    /// The key after this one in the map's own order, or its first. `None` after the last.
    ///
    /// A key that is not there (any more) gives the first one again: loops over a map that others change need a bound.
    pub fn next_key(&self, key: Option<&[u8]>) -> Result<Option<Vec<u8>>, Error> {
        self.found(Command::MapNextKey, self.fd.next_key(key)?)
    }

    /// All keys, in the map's order, `limit` at most.
    pub fn keys(&self, limit: usize) -> Result<Vec<Vec<u8>>, Error> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        while keys.len() < limit {
            let Some(key) = self.next_key(keys.last().map(Vec::as_slice))? else { break };
            keys.push(key);
        }
        Ok(keys)
    }

    /// No more writes from user space, for ever.
    pub fn freeze(&self) -> Result<(), Error> {
        self.fd.freeze().map_err(self.error(Command::MapFreeze))
    }
}

/// Where a batch goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor(Vec<u8>);

/// Elements that were read in one go: keys and values one after the other, in the same order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Elements {
    /// Keys.
    pub keys: Vec<u8>,
    /// Values.
    pub values: Vec<u8>,
    /// How many.
    pub count: usize,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

impl Map {
    /// Reads up to `limit` elements in one go, from the start or from where another batch ended.
    ///
    /// Errors: EINVAL for map types without batches (and before 5.6); ENOSPC if a bucket of a hash map has more elements
    /// than the limit.
    pub fn lookup_batch(&self, from: Option<&Cursor>, limit: usize) -> Result<Elements, Error> {
        self.read_batch(Command::MapLookupBatch, from, limit)
    }

    /// As [`Map::lookup_batch`], and removes them.
    pub fn take_batch(&self, from: Option<&Cursor>, limit: usize) -> Result<Elements, Error> {
        self.read_batch(Command::MapLookupAndDeleteBatch, from, limit)
    }

    fn read_batch(&self, command: Command, from: Option<&Cursor>, limit: usize) -> Result<Elements, Error> {
        let bytes = limit.saturating_mul(self.key_size().max(self.value_size()));
        if bytes > MAX_BATCH_BYTES {
            return Err(Error::Limit { what: "bytes of a batch", found: bytes, limit: MAX_BATCH_BYTES });
        }
        let mut keys = vec![0; limit * self.key_size()];
        let mut values = vec![0; limit * self.value_size()];
        let mut next = vec![0; self.fd.cursor_bytes()];
        let from = from.map(|cursor| cursor.0.as_slice());
        let batch = self.fd.lookup_batch(command, from, &mut next, &mut keys, &mut values)?;
        let is_end = matches!(batch.result, Err(failure) if failure.is(Errno::ENOENT));
        if !is_end {
            batch.result.map_err(self.error(command))?;
        }
        keys.truncate(batch.count * self.key_size());
        values.truncate(batch.count * self.value_size());
        Ok(Elements { keys, values, count: batch.count, next: (!is_end).then_some(Cursor(next)) })
    }

    /// Sets many elements, whether they are there or not: keys and values one after the other.
    ///
    /// Errors: the kernel's; what stands before the element that it refused is done.
    pub fn update_batch(&self, keys: &[u8], values: &[u8]) -> Result<(), Error> {
        let batch = self.fd.update_batch(keys, values)?;
        batch.result.map_err(self.error(Command::MapUpdateBatch))
    }

    /// Removes many elements: keys one after the other.
    ///
    /// Errors: the kernel's: ENOENT at the first key that is not there; those before it are gone.
    pub fn delete_batch(&self, keys: &[u8]) -> Result<(), Error> {
        self.fd.delete_batch(keys)?.result.map_err(self.error(Command::MapDeleteBatch))
    }
}

/// Elements that [`Map::elements`] reads in one go.
const STRIDE: usize = 1024;

/// A key and its value.
pub type Element = (Vec<u8>, Vec<u8>);

impl Map {
    /// All elements, `limit` at most: as [`Map::content`].
    pub fn elements(&self, limit: usize) -> Result<Vec<Element>, Error> {
        let all = self.content(limit)?;
        let pairs = all.keys.chunks(self.key_size().max(1)).zip(all.values.chunks(self.value_size().max(1)));
        Ok(pairs.map(|(key, value)| (key.to_vec(), value.to_vec())).collect())
    }

    /// All elements, `limit` at most, one after the other: in batches where the kernel has them for this type, else one by one. What
    /// others change meanwhile may be missing, or there in part.
    ///
    /// Errors: map types without keys, the kernel's.
    pub fn content(&self, limit: usize) -> Result<Elements, Error> {
        match self.content_in_batches(limit) {
            Err(error) if error.errno().is_some_and(is_without_batches) => {}
            result => return result,
        }
        let mut all = Elements { keys: Vec::new(), values: Vec::new(), count: 0, next: None };
        for key in self.keys(limit)? {
            if let Some(value) = self.lookup(&key)? {
                all.keys.extend(key);
                all.values.extend(value);
                all.count += 1;
            }
        }
        Ok(all)
    }

    fn content_in_batches(&self, limit: usize) -> Result<Elements, Error> {
        let mut all = Elements { keys: Vec::new(), values: Vec::new(), count: 0, next: None };
        let mut from = None;
        while all.count < limit {
            // A bucket is read whole, whatever is left.
            let part = self.lookup_batch(from.as_ref(), STRIDE)?;
            all.keys.extend(part.keys);
            all.values.extend(part.values);
            all.count += part.count;
            from = part.next;
            if from.is_none() {
                break;
            }
        }
        all.count = all.count.min(limit);
        all.keys.truncate(all.count * self.key_size());
        all.values.truncate(all.count * self.value_size());
        Ok(all)
    }

    /// Sets elements, whether they are there or not: in one go where the kernel can, else one by one. Keys and values one after the other.
    ///
    /// Errors: the kernel's; what stands before the element that it refused is done.
    pub fn update_all(&self, keys: &[u8], values: &[u8]) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        match self.update_batch(keys, values) {
            Err(error) if error.errno().is_some_and(is_without_batches) => {}
            result => return result,
        }
        let mut pairs = keys.chunks(self.key_size().max(1)).zip(values.chunks(self.value_size().max(1)));
        pairs.try_for_each(|(key, value)| self.update(key, value, UpdateFlag::Any))
    }
}

/// Whether a batch was refused with this as the map's type has none, or as a bucket has more elements than were asked for.
const fn is_without_batches(errno: Errno) -> bool {
    matches!(errno, Errno::EINVAL | Errno::ENOTSUPP | Errno::ENOSPC)
}

/// Reads what programs send through a ring buffer.
#[derive(Debug)]
pub struct RingReader {
    ring: Ring,
}

impl RingReader {
    /// Of a map of type `ringbuf`. There should be only one reader.
    ///
    /// Errors: another type of map, the kernel's.
    pub fn open(map: &Map) -> Result<RingReader, Error> {
        let size = match map.kind() {
            Some(MapType::Ringbuf) => map.info()?.max_entries,
            _ => return Err(Error::Kind { expected: "ringbuf", found: format!("map '{}'", map.name) }),
        };
        Ok(RingReader { ring: Ring::open(map.as_fd(), size).map_err(|f| f.of_call("mmap(2)"))? })
    }
}

impl Iterator for RingReader {
    type Item = Vec<u8>;

    /// The oldest record that was not read; `None` if there is none now.
    fn next(&mut self) -> Option<Vec<u8>> {
        self.ring.next()
    }
}

/// Whether the kernel takes types of keys and values for such maps (it refuses them for those that hold its own objects).
const fn takes_types(kind: MapType) -> bool {
    match kind {
        MapType::PerfEventArray
        | MapType::CgroupArray
        | MapType::StackTrace
        | MapType::ArrayOfMaps
        | MapType::HashOfMaps
        | MapType::Devmap
        | MapType::DevmapHash
        | MapType::Cpumap
        | MapType::Xskmap
        | MapType::Sockmap
        | MapType::Sockhash
        | MapType::Queue
        | MapType::Stack => false,
        MapType::Hash
        | MapType::Array
        | MapType::ProgArray
        | MapType::PercpuHash
        | MapType::PercpuArray
        | MapType::LruHash
        | MapType::LruPercpuHash
        | MapType::LpmTrie
        | MapType::CgroupStorage
        | MapType::ReuseportSockarray
        | MapType::PercpuCgroupStorage
        | MapType::SkStorage
        | MapType::StructOps
        | MapType::Ringbuf
        | MapType::InodeStorage
        | MapType::TaskStorage
        | MapType::BloomFilter
        | MapType::UserRingbuf
        | MapType::CgrpStorage
        | MapType::Arena => true,
    }
}

fn create(def: &MapDef, inner: Option<&Map>, types: Option<&BtfObject>) -> Result<MapFd, Failure> {
    let mut attr = MapCreate {
        map_type: def.kind.number(),
        key_size: def.key_size,
        value_size: def.value_size,
        max_entries: def.max_entries,
        map_flags: def.flags.0,
        inner_map_fd: inner.map_or(0, |map| sys::fd_number(map.as_fd())),
        map_name: attr::name(&def.name),
        map_extra: def.extra,
        ..MapCreate::default()
    };
    if def.kind == MapType::PerfEventArray && def.max_entries == 0 {
        // As libbpf: an element for each CPU.
        attr.max_entries = sys::possible_cpus()? as u32;
    }
    let bare = attr;
    let typed = takes_types(def.kind) && (def.key_type != 0 || def.value_type != 0);
    if let Some(types) = types.filter(|_| typed) {
        attr.btf_fd = sys::fd_number(types.as_fd());
        attr.btf_key_type_id = def.key_type;
        attr.btf_value_type_id = def.value_type;
    }
    match MapFd::create(attr) {
        // As libbpf: types are a convenience for most maps, and kernels differ in which they take.
        Err(_) if attr != bare => MapFd::create(bare),
        // Before 4.15 there were no names; the attributes were too long, then.
        Err(failure) if failure.is(Errno::E2BIG) => MapFd::create(MapCreate { map_name: [0; 16], ..bare }),
        result => result,
    }
}
