//! Map types: numbers, definitions, flags; their rules are in `rules`.

mod fields;
mod rules;

pub use fields::{Field, FieldKind, Fields};
pub use rules::{PAGE_SIZE, Unusable, allows_helper, may_update_sockmap, usable_in};

/// Flags of BPF_MAP_CREATE (`BPF_F_*` of the UAPI header), as bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct MapFlags(pub u32);

#[allow(missing_docs)]
impl MapFlags {
    pub const NO_PREALLOC: MapFlags = MapFlags(1 << 0);
    pub const NO_COMMON_LRU: MapFlags = MapFlags(1 << 1);
    pub const NUMA_NODE: MapFlags = MapFlags(1 << 2);
    pub const RDONLY: MapFlags = MapFlags(1 << 3);
    pub const WRONLY: MapFlags = MapFlags(1 << 4);
    pub const STACK_BUILD_ID: MapFlags = MapFlags(1 << 5);
    pub const ZERO_SEED: MapFlags = MapFlags(1 << 6);
    pub const RDONLY_PROG: MapFlags = MapFlags(1 << 7);
    pub const WRONLY_PROG: MapFlags = MapFlags(1 << 8);
    pub const CLONE: MapFlags = MapFlags(1 << 9);
    pub const MMAPABLE: MapFlags = MapFlags(1 << 10);
    pub const PRESERVE_ELEMS: MapFlags = MapFlags(1 << 11);
    pub const INNER_MAP: MapFlags = MapFlags(1 << 12);
    pub const LINK: MapFlags = MapFlags(1 << 13);
    pub const PATH_FD: MapFlags = MapFlags(1 << 14);
    pub const VTYPE_BTF_OBJ_FD: MapFlags = MapFlags(1 << 15);
    pub const TOKEN_FD: MapFlags = MapFlags(1 << 16);
    pub const SEGV_ON_FAULT: MapFlags = MapFlags(1 << 17);
    pub const NO_USER_CONV: MapFlags = MapFlags(1 << 18);

    /// Both.
    pub const fn or(self, other: MapFlags) -> MapFlags {
        MapFlags(self.0 | other.0)
    }

    /// True if every bit of `other` is set.
    pub const fn has(self, other: MapFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Where a map is to be pinned (libbpf's `pinning` attribute).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Pinning {
    /// Not pinned.
    #[default]
    None,
    /// By its name.
    ByName,
}

/// An initial value of a slot of a program array or map of maps (the `values` field of a BTF-defined map), by symbol name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SlotInit {
    /// Index of the slot.
    pub index: u32,
    /// Name of the program or map.
    pub symbol: String,
}

/// A map to be created: what a proof about a program relies on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MapDef {
    /// Name, at most 15 bytes reach the kernel.
    pub name: String,
    /// Type.
    pub kind: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value, for one CPU.
    pub value_size: u32,
    /// Capacity.
    pub max_entries: u32,
    /// Creation flags.
    pub flags: MapFlags,
    /// Type-specific (`map_extra`).
    pub extra: u64,
    /// Template of the inner maps.
    pub inner: Option<Box<MapDef>>,
    /// Where to pin.
    pub pinning: Pinning,
    /// BTF type ids of key and value in the object's BTF, 0 for none.
    pub key_type: u32,
    /// See `key_type`.
    pub value_type: u32,
    /// Parts of a value that only helpers may touch: what a loader made of the types ([`Fields::of`]).
    pub fields: Fields,
    /// Content of a global-data map; of an arena, its first bytes.
    pub data: Option<std::sync::Arc<[u8]>>,
    /// Frozen after initialisation: no writes from user space, so that the verifier may read constants.
    pub frozen: bool,
    /// Slots to be filled at load.
    pub slots: Vec<SlotInit>,
}

impl MapDef {
    /// A map without BTF, pinning or content.
    pub fn new(name: &str, kind: MapType, key_size: u32, value_size: u32, max_entries: u32) -> Self {
        MapDef {
            name: name.to_owned(),
            kind,
            key_size,
            value_size,
            max_entries,
            flags: MapFlags::default(),
            extra: 0,
            inner: None,
            pinning: Pinning::None,
            key_type: 0,
            value_type: 0,
            fields: Fields::default(),
            data: None,
            frozen: false,
            slots: Vec::new(),
        }
    }
}

macro_rules! map_types {
    ($($variant:ident = $id:literal $name:literal;)*) => {
        /// `enum bpf_map_type`.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[allow(missing_docs)]
        #[repr(u32)]
        pub enum MapType { $($variant = $id),* }

        impl MapType {
            /// Every type, by number.
            pub const ALL: &'static [MapType] = &[$(MapType::$variant),*];

            /// bpftool's name, such as `percpu_hash`.
            pub const fn name(self) -> &'static str {
                match self { $(MapType::$variant => $name),* }
            }

            /// The number of the UAPI header.
            pub const fn number(self) -> u32 {
                self as u32
            }

            /// By number.
            pub const fn from_number(number: u32) -> Option<MapType> {
                match number { $($id => Some(MapType::$variant),)* _ => None }
            }
        }
    };
}

map_types! {
    Hash = 1 "hash";
    Array = 2 "array";
    ProgArray = 3 "prog_array";
    PerfEventArray = 4 "perf_event_array";
    PercpuHash = 5 "percpu_hash";
    PercpuArray = 6 "percpu_array";
    StackTrace = 7 "stack_trace";
    CgroupArray = 8 "cgroup_array";
    LruHash = 9 "lru_hash";
    LruPercpuHash = 10 "lru_percpu_hash";
    LpmTrie = 11 "lpm_trie";
    ArrayOfMaps = 12 "array_of_maps";
    HashOfMaps = 13 "hash_of_maps";
    Devmap = 14 "devmap";
    Sockmap = 15 "sockmap";
    Cpumap = 16 "cpumap";
    Xskmap = 17 "xskmap";
    Sockhash = 18 "sockhash";
    CgroupStorage = 19 "cgroup_storage";
    ReuseportSockarray = 20 "reuseport_sockarray";
    PercpuCgroupStorage = 21 "percpu_cgroup_storage";
    Queue = 22 "queue";
    Stack = 23 "stack";
    SkStorage = 24 "sk_storage";
    DevmapHash = 25 "devmap_hash";
    StructOps = 26 "struct_ops";
    Ringbuf = 27 "ringbuf";
    InodeStorage = 28 "inode_storage";
    TaskStorage = 29 "task_storage";
    BloomFilter = 30 "bloom_filter";
    UserRingbuf = 31 "user_ringbuf";
    CgrpStorage = 32 "cgrp_storage";
    Arena = 33 "arena";
}

#[cfg(test)]
mod tests;
