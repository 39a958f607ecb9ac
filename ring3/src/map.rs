//! Maps as users see them: bytes, numbers, or values by BTF.

use std::sync::Arc;

use ring3_btf::{Btf, TypeId, Value, format_value};
use ring3_platform::{MapDef, MapType};
use ring3_vm::maps::{BPF_ANY, Event, Map};

use crate::text;
use crate::{Error, TextError};

/// Numbers, arrays and structures of them: what keys and values of simple maps are, in this machine's byte order.
pub trait Plain: Sized {
    /// The bytes in memory.
    fn to_bytes(&self) -> Vec<u8>;
    /// From the bytes in memory; `None` for a wrong number of them.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

macro_rules! plain_numbers {
    ($($type:ty)*) => {$(
        impl Plain for $type {
            fn to_bytes(&self) -> Vec<u8> {
                self.to_ne_bytes().to_vec()
            }

            fn from_bytes(bytes: &[u8]) -> Option<Self> {
                Some(<$type>::from_ne_bytes(bytes.try_into().ok()?))
            }
        }
    )*};
}

plain_numbers!(u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64);

impl Plain for bool {
    fn to_bytes(&self) -> Vec<u8> {
        vec![u8::from(*self)]
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        u8::from_bytes(bytes).map(|byte| byte != 0)
    }
}

impl<T: Plain, const N: usize> Plain for [T; N] {
    fn to_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(Plain::to_bytes).collect()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if N == 0 || !bytes.len().is_multiple_of(N) {
            return bytes.is_empty().then(|| Vec::new().try_into().ok())?;
        }
        // Elements without bytes are none.
        let each = (bytes.len() / N).max(1);
        bytes.chunks_exact(each).map(T::from_bytes).collect::<Option<Vec<T>>>()?.try_into().ok()
    }
}

/// One element, by its types where BTF has them, else as bytes.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// The key.
    pub key: Value,
    /// The value; of a per-CPU map one for each CPU.
    pub values: Vec<Value>,
    /// All bytes of the values are zero.
    pub is_zero: bool,
}

/// A map of an instance.
#[derive(Clone, Copy, Debug)]
pub struct MapRef<'i> {
    map: &'i Arc<dyn Map>,
    btf: Option<&'i Arc<Btf>>,
    cpus: u32,
}

impl<'i> MapRef<'i> {
    pub(crate) fn new(map: &'i Arc<dyn Map>, btf: Option<&'i Arc<Btf>>, cpus: u32) -> MapRef<'i> {
        MapRef { map, btf, cpus }
    }

    /// Its definition.
    pub fn def(&self) -> &'i Arc<MapDef> {
        self.map.def()
    }

    /// Its name.
    pub fn name(&self) -> &'i str {
        &self.map.def().name
    }

    /// For how many CPUs it was made, if it has values for each.
    pub fn cpus(&self) -> u32 {
        self.cpus
    }

    /// The map itself, with everything that bpf(2) and helpers can do.
    pub fn raw(&self) -> &'i Arc<dyn Map> {
        self.map
    }

    /// The value of a key: `map.get::<u32, u64>(0)`. `None` if it is not there or the sizes differ; of a per-CPU map see
    /// [`MapRef::get_percpu`].
    pub fn get<K: Plain, V: Plain>(&self, key: K) -> Option<V> {
        V::from_bytes(&self.map.read(&key.to_bytes()).ok()?)
    }

    /// The values of all CPUs.
    pub fn get_percpu<K: Plain, V: Plain>(&self, key: K) -> Option<Vec<V>> {
        let bytes = self.map.read(&key.to_bytes()).ok()?;
        self.parts(&bytes).into_iter().map(V::from_bytes).collect()
    }

    /// Creates or replaces an element.
    pub fn set<K: Plain, V: Plain>(&self, key: K, value: V) -> Result<(), Error> {
        self.write(&key.to_bytes(), &value.to_bytes())
    }

    /// Removes an element.
    pub fn remove<K: Plain>(&self, key: K) -> Result<(), Error> {
        self.map.remove(&key.to_bytes()).map_err(|errno| Error::Map { map: self.name().to_owned(), errno })
    }

    /// Every element as bytes, one after the other. Ends also if the map changes all the time meanwhile.
    pub fn iter_bytes(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        let (map, mut last): (_, Option<Vec<u8>>) = (self.map, None);
        let keys = (0..map.len()).map_while(move |_| {
            last = map.next_key(last.as_deref()).ok();
            last.clone()
        });
        keys.filter_map(move |key| map.copy_out(&key).ok().map(|value| (key, value)))
    }

    /// Every element, by its types. Nothing for types whose elements are no data (program arrays, rings).
    pub fn entries(&self) -> Vec<Entry> {
        self.entries_that(|_| true)
    }

    /// Those elements whose bytes are not all zero: of a large array that is mostly empty.
    pub fn nonzero_entries(&self) -> Vec<Entry> {
        self.entries_that(|is_zero| !is_zero)
    }

    fn entries_that(&self, keep: impl Fn(bool) -> bool) -> Vec<Entry> {
        if !has_values(self.def().kind) {
            return Vec::new();
        }
        let entry = |(key, bytes): (Vec<u8>, Vec<u8>)| {
            let is_zero = bytes.iter().all(|byte| *byte == 0);
            let values =
                || self.parts(&bytes).into_iter().map(|part| self.typed(self.def().value_type, part)).collect();
            let key = || self.typed(self.def().key_type, &key);
            keep(is_zero).then(|| Entry { key: key(), values: values(), is_zero })
        };
        self.iter_bytes().filter_map(entry).collect()
    }

    /// The value of a key, by its type; of a per-CPU map the first CPU's.
    pub fn value(&self, key: &[u8]) -> Option<Value> {
        let bytes = self.map.copy_out(key).ok()?;
        Some(self.typed(self.def().value_type, self.parts(&bytes).first()?))
    }

    /// Takes what programs sent through a ring buffer or perf event array.
    pub fn drain(&self) -> Vec<Event> {
        self.map.drain()
    }

    /// A record of this ring buffer or perf event array, by the map's value type if it has one.
    pub fn typed_event(&self, event: &Event) -> Value {
        self.typed(self.def().value_type, &event.data)
    }

    /// Whether values are kept for each CPU.
    pub fn is_percpu(&self) -> bool {
        is_percpu(self.def().kind)
    }

    /// Sets an element from text, by the types of key and value: see [`text`]. Of a per-CPU map every CPU gets the value.
    pub fn set_text(&self, key: &str, value: &str) -> Result<(), Error> {
        let def = self.def();
        let wrap = |problem: TextError| Error::Text { map: def.name.clone(), problem };
        let btf = self.btf.map(Arc::as_ref);
        let key = if def.kind == MapType::LpmTrie && key.contains('/') {
            text::prefix(key, def.key_size as usize).map_err(wrap)?
        } else {
            text::parse(btf, TypeId(def.key_type), def.key_size as usize, key).map_err(wrap)?
        };
        let mut value = text::parse(btf, TypeId(def.value_type), def.value_size as usize, value).map_err(wrap)?;
        if self.is_percpu() {
            value.resize(value.len().next_multiple_of(8), 0);
            value = value.repeat(self.cpus as usize);
        }
        self.write(&key, &value)
    }

    pub(crate) fn write(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.map.write(key, value, BPF_ANY).map_err(|errno| Error::Map { map: self.name().to_owned(), errno })
    }

    /// The CPUs' values in what a read gave.
    fn parts<'b>(&self, bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let size = self.def().value_size as usize;
        if !self.is_percpu() || size == 0 {
            return vec![bytes];
        }
        bytes.chunks(size.next_multiple_of(8)).map(|chunk| &chunk[..size.min(chunk.len())]).collect()
    }

    fn typed(&self, id: u32, bytes: &[u8]) -> Value {
        let typed = self.btf.filter(|_| id != 0).and_then(|btf| format_value(btf, TypeId(id), bytes).ok());
        typed.unwrap_or_else(|| untyped(bytes))
    }
}

/// Bytes without a type: those of the usual sizes of numbers are shown as one.
fn untyped(bytes: &[u8]) -> Value {
    match bytes.len() {
        4 => u32::from_bytes(bytes).map_or_else(|| Value::Bytes(bytes.to_vec()), |n| Value::Unsigned(n.into())),
        8 => u64::from_bytes(bytes).map_or_else(|| Value::Bytes(bytes.to_vec()), Value::Unsigned),
        _ => Value::Bytes(bytes.to_vec()),
    }
}

fn is_percpu(kind: MapType) -> bool {
    matches!(kind, MapType::PercpuArray | MapType::PercpuHash | MapType::LruPercpuHash | MapType::PercpuCgroupStorage)
}

/// Whether the elements are data that can be shown.
pub fn has_values(kind: MapType) -> bool {
    matches!(
        kind,
        MapType::Hash
            | MapType::Array
            | MapType::PercpuHash
            | MapType::PercpuArray
            | MapType::LruHash
            | MapType::LruPercpuHash
            | MapType::LpmTrie
    )
}
