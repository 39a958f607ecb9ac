//! What `BPF_MAP_CREATE` refuses: sizes, capacities and flags, a row for each map type.

use ring3_platform::{Errno, MapDef, MapFlags, MapType};

/// Bytes that one kernel allocation can have (`KMALLOC_MAX_SIZE` with 4 KiB pages); elements of a hash are smaller.
const KMALLOC_MAX: u64 = 4 << 20;
/// Header of an element of a kernel hash, and what the kernel leaves between it and the limit.
const HASH_HEADER: u64 = 48;
/// The largest per-CPU value (`PCPU_MIN_UNIT_SIZE`).
const PERCPU_VALUE_MAX: u64 = 32 << 10;
/// Bytes of a page, which ring buffers are made of.
pub(super) const PAGE: u32 = 4096;

/// A size that a type takes.
#[derive(Clone, Copy)]
enum Size {
    /// One size.
    Is(u32),
    /// 4, or 8 with a program beside the target.
    FourOrEight,
    /// 1 up to `n`.
    UpTo(u32),
    /// Any but 0.
    Some,
}

impl Size {
    fn takes(self, bytes: u32) -> bool {
        match self {
            Size::Is(size) => bytes == size,
            Size::FourOrEight => bytes == 4 || bytes == 8,
            Size::UpTo(max) => bytes >= 1 && bytes <= max,
            Size::Some => bytes >= 1,
        }
    }
}

/// What a type's creation takes. `E2BIG` limits that depend on several sizes are in [`too_big`].
struct Rule {
    key: Size,
    value: Size,
    flags: u32,
}

const fn rule(key: Size, value: Size, flags: u32) -> Rule {
    Rule { key, value, flags }
}

const USER: u32 = MapFlags::RDONLY.0 | MapFlags::WRONLY.0;
const ACCESS: u32 = USER | MapFlags::RDONLY_PROG.0 | MapFlags::WRONLY_PROG.0;
const NUMA: u32 = MapFlags::NUMA_NODE.0;
const SEED: u32 = MapFlags::ZERO_SEED.0;
const ON_DEMAND: u32 = MapFlags::NO_PREALLOC.0;
const OWN_LRU: u32 = MapFlags::NO_COMMON_LRU.0;
const MMAP_INNER: u32 = MapFlags::MMAPABLE.0 | MapFlags::INNER_MAP.0;
const INDEX: Size = Size::Is(4);

/// The longest data of a longest-prefix-match key, in bytes.
pub(super) const LPM_DATA_MAX: u32 = 256;

/// The row of a type, or `None` for types that are not there yet.
fn rule_of(kind: MapType) -> Option<Rule> {
    Some(match kind {
        MapType::Hash => rule(Size::Some, Size::Some, ON_DEMAND | NUMA | ACCESS | SEED),
        MapType::Array => rule(INDEX, Size::Some, NUMA | ACCESS | MMAP_INNER),
        MapType::ProgArray => rule(INDEX, Size::Is(4), NUMA | USER),
        MapType::PerfEventArray => rule(INDEX, Size::Is(4), NUMA | USER | MapFlags::PRESERVE_ELEMS.0),
        MapType::PercpuHash => rule(Size::Some, Size::Some, ON_DEMAND | ACCESS | SEED),
        MapType::PercpuArray => rule(INDEX, Size::Some, ACCESS),
        MapType::LruHash => rule(Size::Some, Size::Some, OWN_LRU | NUMA | ACCESS | SEED),
        MapType::LruPercpuHash => rule(Size::Some, Size::Some, OWN_LRU | ACCESS | SEED),
        MapType::LpmTrie => rule(Size::UpTo(4 + LPM_DATA_MAX), Size::Some, ON_DEMAND | NUMA | ACCESS),
        MapType::ArrayOfMaps => rule(INDEX, Size::Is(4), NUMA | USER),
        MapType::HashOfMaps => rule(Size::Some, Size::Is(4), ON_DEMAND | NUMA | ACCESS | SEED),
        MapType::Devmap | MapType::DevmapHash => rule(INDEX, Size::FourOrEight, NUMA | USER),
        MapType::Cpumap => rule(INDEX, Size::FourOrEight, NUMA),
        MapType::Queue | MapType::Stack => rule(Size::Is(0), Size::Some, NUMA | ACCESS),
        MapType::BloomFilter => rule(Size::Is(0), Size::Some, NUMA | ACCESS | SEED),
        MapType::Ringbuf => rule(Size::Is(0), Size::Is(0), NUMA),
        MapType::StackTrace
        | MapType::CgroupArray
        | MapType::Sockmap
        | MapType::Xskmap
        | MapType::Sockhash
        | MapType::CgroupStorage
        | MapType::ReuseportSockarray
        | MapType::PercpuCgroupStorage
        | MapType::SkStorage
        | MapType::StructOps
        | MapType::InodeStorage
        | MapType::TaskStorage
        | MapType::UserRingbuf
        | MapType::CgrpStorage
        | MapType::Arena => return None,
    })
}

/// Checks a definition, in the kernel's order: flags and sizes (`EINVAL`), then what is too big (`E2BIG`).
pub(super) fn definition(def: &MapDef, cpus: u32) -> Result<(), Errno> {
    let rule = rule_of(def.kind).ok_or(Errno::ENOTSUPP)?;
    if def.extra != 0 && def.kind != MapType::BloomFilter {
        return Err(Errno::EINVAL);
    }
    lru_flags(def)?;
    let conflict = |a, b| def.flags.has(a) && def.flags.has(b);
    let refused = def.flags.0 & !rule.flags != 0
        || conflict(MapFlags::RDONLY, MapFlags::WRONLY)
        || conflict(MapFlags::RDONLY_PROG, MapFlags::WRONLY_PROG)
        || !rule.key.takes(def.key_size)
        || !rule.value.takes(def.value_size)
        || def.max_entries == 0;
    if refused {
        return Err(Errno::EINVAL);
    }
    type_rules(def)?;
    too_big(def, cpus)
}

/// An LRU needs its elements from the start, and says so with another error than other hashes do.
fn lru_flags(def: &MapDef) -> Result<(), Errno> {
    let lru = matches!(def.kind, MapType::LruHash | MapType::LruPercpuHash);
    if lru && def.flags.has(MapFlags::NO_PREALLOC) { Err(Errno::ENOTSUPP) } else { Ok(()) }
}

/// Rules of single types.
fn type_rules(def: &MapDef) -> Result<(), Errno> {
    let holds = match def.kind {
        MapType::LpmTrie => def.flags.has(MapFlags::NO_PREALLOC) && def.key_size > 4,
        MapType::Ringbuf => def.max_entries.is_power_of_two() && def.max_entries.is_multiple_of(PAGE),
        MapType::BloomFilter => def.extra <= 15,
        MapType::ArrayOfMaps | MapType::HashOfMaps => def.inner.as_ref().is_some_and(|inner| may_be_inner(inner.kind)),
        _ => true,
    };
    if holds { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Whether maps of a type can be values of a map of maps.
pub(super) fn may_be_inner(kind: MapType) -> bool {
    !matches!(
        kind,
        MapType::ProgArray
            | MapType::CgroupStorage
            | MapType::PercpuCgroupStorage
            | MapType::ArrayOfMaps
            | MapType::HashOfMaps
            | MapType::StructOps
    )
}

/// The kernel's `E2BIG`.
fn too_big(def: &MapDef, cpus: u32) -> Result<(), Errno> {
    let [key, value, entries] = [def.key_size, def.value_size, def.max_entries].map(u64::from);
    let percpu = value.next_multiple_of(8) > PERCPU_VALUE_MAX;
    let hash = key + value >= KMALLOC_MAX - HASH_HEADER || entries > 1 << 31;
    let big = match def.kind {
        MapType::Array => value > i32::MAX as u64,
        MapType::PercpuArray => percpu,
        MapType::Hash | MapType::LruHash | MapType::HashOfMaps => hash,
        MapType::PercpuHash | MapType::LruPercpuHash => hash || percpu,
        MapType::Queue | MapType::Stack => value > KMALLOC_MAX,
        MapType::LpmTrie => value > KMALLOC_MAX - HASH_HEADER - u64::from(LPM_DATA_MAX),
        MapType::Cpumap => def.max_entries > cpus,
        _ => false,
    };
    if big { Err(Errno::E2BIG) } else { Ok(()) }
}
