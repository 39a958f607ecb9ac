//! What BPF_MAP_CREATE takes, and which helpers and programs a map goes with: a row for each map type.
//!
//! The limits are those of Linux 6.18 on x86-64 (`map_alloc_check` and `map_alloc` of each type). What depends on the
//! memory of the machine (ENOMEM) is not checked here.

use super::{MapDef, MapFlags, MapType};
use crate::helpers::id;
use crate::{AttachType, Errno, KernelVersion, ProgSet, ProgType};

/// Bytes of a page.
pub const PAGE_SIZE: u32 = 4096;
/// Largest object of the slab allocator (KMALLOC_MAX_SIZE).
const KMALLOC_MAX: u32 = 4 << 20;
/// Key and value of a hash map, together, are less than this: an element has a header of 48 bytes.
const HASH_ELEMENT_END: u32 = KMALLOC_MAX - 48;
/// Largest value of an LPM trie: an element has 256 bytes of key and a header.
const LPM_VALUE_MAX: u32 = KMALLOC_MAX - 256 - 24;
/// Largest value per CPU (PCPU_MIN_UNIT_SIZE).
const PERCPU_VALUE_MAX: u32 = 32 << 10;
/// Largest value of storage that is attached to an object: with its header it has less than 64 KiB.
const STORAGE_VALUE_MAX: u32 = 65407;
/// Deepest stack trace (sysctl kernel.perf_event_max_stack, by default).
const STACK_TRACE_DEPTH: u32 = 127;
/// Most buckets of a hash table: their number is a power of two, and they have less than 4 GiB at 16 bytes each.
const BUCKETS_MAX: u32 = 1 << 27;
/// Largest key of a sockhash: the program's stack (MAX_BPF_STACK).
const SOCKHASH_KEY_MAX: u32 = 512;
/// CPUs that a kernel of the distributions can have (NR_CPUS).
const CPUS_MAX: u32 = 8192;
/// Pages of an arena: 4 GiB.
const ARENA_PAGES_MAX: u32 = 1 << 20;
/// Most hash functions of a bloom filter; 0 in `map_extra` stands for 5.
const BLOOM_HASHES_MAX: u64 = 15;

/// Which sizes are legal. What is too large is E2BIG or EINVAL, by the type; all else is EINVAL.
#[derive(Clone, Copy, Debug)]
enum Size {
    /// One of these.
    Is(&'static [u32]),
    /// 1 to this.
    UpTo(u32, Errno),
    /// From the first to the second, else EINVAL.
    Within(u32, u32),
    /// Addresses of 8 bytes, or build ids of 32, up to the deepest trace.
    Trace,
}

/// Which numbers of entries are legal.
#[derive(Clone, Copy, Debug)]
enum Entries {
    /// None are to be given: the size is of something else.
    Zero,
    /// The same, asked after what is too large.
    ZeroLast,
    /// 1 to this.
    UpTo(u32, Errno),
    /// A power of two, and whole pages.
    Ring,
}

/// Which helpers a map may be given to.
#[derive(Clone, Copy, Debug)]
enum Helpers {
    /// All that have no say in it themselves.
    Any,
    /// These.
    Only(&'static [u32]),
}

/// One row.
#[derive(Clone, Copy, Debug)]
struct Rules {
    since: KernelVersion,
    key: Size,
    value: Size,
    entries: Entries,
    flags: MapFlags,
    required: MapFlags,
    helpers: Helpers,
    sleepable: bool,
    for_each: bool,
}

impl Rules {
    /// A row that may be used in sleepable programs, be given to any helper, and cannot be walked by
    /// `bpf_for_each_map_elem`.
    const fn new(since: (u8, u8), key: Size, value: Size, entries: Entries, flags: MapFlags) -> Rules {
        Rules {
            since: KernelVersion::new(since.0, since.1),
            key,
            value,
            entries,
            flags,
            required: MapFlags(0),
            helpers: Helpers::Any,
            sleepable: true,
            for_each: false,
        }
    }

    const fn requires(self, flags: MapFlags) -> Rules {
        Rules { required: flags, flags: self.flags.or(flags), ..self }
    }

    const fn for_each(self) -> Rules {
        Rules { for_each: true, ..self }
    }

    const fn only(self, helpers: &'static [u32]) -> Rules {
        Rules { helpers: Helpers::Only(helpers), ..self }
    }

    const fn not_sleepable(self) -> Rules {
        Rules { sleepable: false, ..self }
    }
}

const NO_KEY: Size = Size::Is(&[0]);
const FOUR: Size = Size::Is(&[4]);
/// An index, or a descriptor and a cookie or program.
const FOUR_OR_EIGHT: Size = Size::Is(&[4, 8]);
const STORAGE_KEY: Size = Size::Is(&[8, 16]);
const ANY_SIZE: Size = Size::UpTo(u32::MAX, Errno::E2BIG);
const PERCPU: Size = Size::UpTo(PERCPU_VALUE_MAX, Errno::E2BIG);
const STORAGE: Size = Size::UpTo(STORAGE_VALUE_MAX, Errno::E2BIG);
const SLAB: Size = Size::UpTo(KMALLOC_MAX, Errno::E2BIG);

const ANY_ENTRIES: Entries = Entries::UpTo(u32::MAX, Errno::E2BIG);
const BUCKETS: Entries = Entries::UpTo(BUCKETS_MAX, Errno::E2BIG);

const SYSCALL: MapFlags = MapFlags::RDONLY.or(MapFlags::WRONLY);
const PROG: MapFlags = MapFlags::RDONLY_PROG.or(MapFlags::WRONLY_PROG);
const BOTH: MapFlags = SYSCALL.or(PROG);
const NUMA: MapFlags = MapFlags::NUMA_NODE;
const NUMA_SYSCALL: MapFlags = NUMA.or(SYSCALL);
const NUMA_BOTH: MapFlags = NUMA.or(BOTH);
const HASH: MapFlags = BOTH.or(MapFlags::ZERO_SEED);
const PREALLOC: MapFlags = MapFlags::NO_PREALLOC;

const PERF: &[u32] =
    &[id::PERF_EVENT_READ, id::PERF_EVENT_OUTPUT, id::SKB_OUTPUT, id::PERF_EVENT_READ_VALUE, id::XDP_OUTPUT];
const REDIRECT_OR_LOOKUP: &[u32] = &[id::REDIRECT_MAP, id::MAP_LOOKUP_ELEM];
const QUEUE: &[u32] = &[id::MAP_PEEK_ELEM, id::MAP_POP_ELEM, id::MAP_PUSH_ELEM];
const RINGBUF: &[u32] = &[
    id::RINGBUF_OUTPUT,
    id::RINGBUF_RESERVE,
    id::RINGBUF_QUERY,
    id::RINGBUF_RESERVE_DYNPTR,
    id::RINGBUF_SUBMIT_DYNPTR,
    id::RINGBUF_DISCARD_DYNPTR,
];
const SOCKMAP: &[u32] =
    &[id::SK_REDIRECT_MAP, id::SOCK_MAP_UPDATE, id::MSG_REDIRECT_MAP, id::SK_SELECT_REUSEPORT, id::MAP_LOOKUP_ELEM];
const SOCKHASH: &[u32] =
    &[id::SK_REDIRECT_HASH, id::SOCK_HASH_UPDATE, id::MSG_REDIRECT_HASH, id::SK_SELECT_REUSEPORT, id::MAP_LOOKUP_ELEM];

/// The row of a type.
const fn rules(kind: MapType) -> Rules {
    const fn row(since: (u8, u8), key: Size, value: Size, entries: Entries, flags: MapFlags) -> Rules {
        Rules::new(since, key, value, entries, flags)
    }
    match kind {
        MapType::Hash => row((3, 19), ANY_SIZE, ANY_SIZE, BUCKETS, HASH.or(NUMA).or(PREALLOC)).for_each(),
        MapType::Array => row(
            (3, 19),
            FOUR,
            Size::UpTo(i32::MAX as u32, Errno::E2BIG),
            ANY_ENTRIES,
            NUMA_BOTH.or(MapFlags::MMAPABLE).or(MapFlags::INNER_MAP),
        )
        .for_each(),
        MapType::ProgArray => row((4, 2), FOUR, FOUR, ANY_ENTRIES, NUMA_SYSCALL).only(&[id::TAIL_CALL]).not_sleepable(),
        MapType::PerfEventArray => {
            row((4, 3), FOUR, FOUR, ANY_ENTRIES, NUMA_SYSCALL.or(MapFlags::PRESERVE_ELEMS)).only(PERF).not_sleepable()
        }
        MapType::PercpuHash => row((4, 6), ANY_SIZE, PERCPU, BUCKETS, HASH.or(PREALLOC)).for_each(),
        MapType::PercpuArray => row((4, 6), FOUR, PERCPU, ANY_ENTRIES, BOTH).for_each(),
        MapType::StackTrace => row(
            (4, 6),
            FOUR,
            Size::Trace,
            Entries::UpTo(1 << 31, Errno::E2BIG),
            NUMA_SYSCALL.or(MapFlags::STACK_BUILD_ID),
        )
        .only(&[id::GET_STACKID])
        .not_sleepable(),
        MapType::CgroupArray => row((4, 8), FOUR, FOUR, ANY_ENTRIES, NUMA_SYSCALL)
            .only(&[id::SKB_UNDER_CGROUP, id::CURRENT_TASK_UNDER_CGROUP])
            .not_sleepable(),
        MapType::LruHash => {
            row((4, 10), ANY_SIZE, ANY_SIZE, BUCKETS, HASH.or(NUMA).or(MapFlags::NO_COMMON_LRU)).for_each()
        }
        MapType::LruPercpuHash => row((4, 10), ANY_SIZE, PERCPU, BUCKETS, HASH.or(MapFlags::NO_COMMON_LRU)).for_each(),
        MapType::LpmTrie => {
            row((4, 11), Size::Within(5, 260), Size::UpTo(LPM_VALUE_MAX, Errno::EINVAL), ANY_ENTRIES, NUMA_BOTH)
                .requires(PREALLOC)
                .not_sleepable()
        }
        MapType::ArrayOfMaps => row((4, 12), FOUR, FOUR, ANY_ENTRIES, NUMA_SYSCALL).only(&[id::MAP_LOOKUP_ELEM]),
        MapType::HashOfMaps => {
            row((4, 12), ANY_SIZE, FOUR, BUCKETS, HASH.or(NUMA).or(PREALLOC)).only(&[id::MAP_LOOKUP_ELEM])
        }
        MapType::Devmap => {
            row((4, 14), FOUR, FOUR_OR_EIGHT, ANY_ENTRIES, NUMA_SYSCALL).only(REDIRECT_OR_LOOKUP).not_sleepable()
        }
        MapType::Sockmap => row((4, 14), FOUR, FOUR_OR_EIGHT, ANY_ENTRIES, NUMA_SYSCALL).only(SOCKMAP).not_sleepable(),
        MapType::Cpumap => row((4, 15), FOUR, FOUR_OR_EIGHT, Entries::UpTo(CPUS_MAX, Errno::E2BIG), NUMA)
            .only(&[id::REDIRECT_MAP])
            .not_sleepable(),
        MapType::Xskmap => row((4, 18), FOUR, FOUR, ANY_ENTRIES, NUMA_SYSCALL).only(REDIRECT_OR_LOOKUP).not_sleepable(),
        MapType::Sockhash => row(
            (4, 18),
            Size::UpTo(SOCKHASH_KEY_MAX, Errno::E2BIG),
            FOUR_OR_EIGHT,
            Entries::UpTo(BUCKETS_MAX, Errno::EINVAL),
            NUMA_SYSCALL,
        )
        .only(SOCKHASH)
        .not_sleepable(),
        MapType::CgroupStorage => row((4, 19), STORAGE_KEY, STORAGE, Entries::ZeroLast, NUMA_BOTH)
            .only(&[id::GET_LOCAL_STORAGE])
            .not_sleepable(),
        MapType::ReuseportSockarray => {
            row((4, 19), FOUR, FOUR_OR_EIGHT, ANY_ENTRIES, NUMA_BOTH).only(&[id::SK_SELECT_REUSEPORT]).not_sleepable()
        }
        MapType::PercpuCgroupStorage => row((4, 20), STORAGE_KEY, PERCPU, Entries::ZeroLast, NUMA_BOTH)
            .only(&[id::GET_LOCAL_STORAGE])
            .not_sleepable(),
        MapType::Queue | MapType::Stack => row((4, 20), NO_KEY, SLAB, ANY_ENTRIES, NUMA_BOTH).only(QUEUE),
        MapType::SkStorage => object_storage((5, 2), &[id::SK_STORAGE_GET, id::SK_STORAGE_DELETE, id::KPTR_XCHG]),
        MapType::DevmapHash => row((5, 4), FOUR, FOUR_OR_EIGHT, Entries::UpTo(1 << 31, Errno::EINVAL), NUMA_SYSCALL)
            .only(REDIRECT_OR_LOOKUP)
            .not_sleepable(),
        MapType::StructOps => {
            row((5, 6), FOUR, ANY_SIZE, Entries::UpTo(1, Errno::EINVAL), MapFlags::LINK).only(&[]).not_sleepable()
        }
        MapType::Ringbuf => row((5, 8), NO_KEY, NO_KEY, Entries::Ring, NUMA).only(RINGBUF),
        MapType::InodeStorage => {
            object_storage((5, 10), &[id::INODE_STORAGE_GET, id::INODE_STORAGE_DELETE, id::KPTR_XCHG])
        }
        MapType::TaskStorage => {
            object_storage((5, 11), &[id::TASK_STORAGE_GET, id::TASK_STORAGE_DELETE, id::KPTR_XCHG])
        }
        MapType::BloomFilter => row((5, 16), NO_KEY, SLAB, ANY_ENTRIES, NUMA_BOTH.or(MapFlags::ZERO_SEED))
            .only(&[id::MAP_PEEK_ELEM, id::MAP_PUSH_ELEM])
            .not_sleepable(),
        MapType::UserRingbuf => row((6, 1), NO_KEY, NO_KEY, Entries::Ring, NUMA).only(&[id::USER_RINGBUF_DRAIN]),
        MapType::CgrpStorage => object_storage((6, 2), &[id::CGRP_STORAGE_GET, id::CGRP_STORAGE_DELETE, id::KPTR_XCHG]),
        MapType::Arena => row(
            (6, 9),
            NO_KEY,
            NO_KEY,
            Entries::UpTo(ARENA_PAGES_MAX, Errno::E2BIG),
            MapFlags::SEGV_ON_FAULT.or(MapFlags::NO_USER_CONV),
        )
        .requires(MapFlags::MMAPABLE),
    }
}

/// Storage attached to sockets, inodes, tasks or control groups.
const fn object_storage(since: (u8, u8), helpers: &'static [u32]) -> Rules {
    Rules::new(since, FOUR, STORAGE, Entries::Zero, MapFlags::CLONE).requires(PREALLOC).only(helpers)
}

impl Size {
    /// EINVAL comes first for all sizes, so that what is too large is asked in a second round.
    fn check(self, size: u32, flags: MapFlags, too_large: bool) -> Result<(), Errno> {
        let (illegal, over) = match self {
            Size::Is(sizes) => (!sizes.contains(&size), None),
            Size::UpTo(max, errno) => (size == 0, (size > max).then_some(errno)),
            Size::Within(min, max) => (size < min || size > max, None),
            Size::Trace => {
                let entry = if flags.has(MapFlags::STACK_BUILD_ID) { 32 } else { 8 };
                (size == 0 || !size.is_multiple_of(entry) || size / entry > STACK_TRACE_DEPTH, None)
            }
        };
        verdict(illegal, over, too_large)
    }
}

impl Entries {
    fn check(self, entries: u32, too_large: bool) -> Result<(), Errno> {
        match self {
            Entries::Zero => verdict(entries != 0, None, too_large),
            Entries::ZeroLast => verdict(too_large && entries != 0, None, too_large),
            Entries::UpTo(max, errno) => verdict(entries == 0, (entries > max).then_some(errno), too_large),
            Entries::Ring => verdict(!entries.is_power_of_two() || !entries.is_multiple_of(PAGE_SIZE), None, too_large),
        }
    }
}

fn verdict(illegal: bool, over: Option<Errno>, too_large: bool) -> Result<(), Errno> {
    match (illegal, over) {
        (true, _) => Err(Errno::EINVAL),
        (false, Some(errno)) if too_large || errno == Errno::EINVAL => Err(errno),
        (false, _) => Ok(()),
    }
}

impl MapDef {
    /// Whether Linux would create the map, but for lack of memory or of rights: the rules of its type for key, value,
    /// entries, flags, `map_extra` and the inner map.
    ///
    /// # Errors
    ///
    /// What BPF_MAP_CREATE gives: EINVAL for most, E2BIG for what is too large, ENOTSUPP for an LRU map that is not
    /// pre-allocated or an inner map that cannot be one, EBADF for a map of maps without an inner map, ERANGE for an
    /// arena over a border of 4 GiB.
    pub fn check(&self) -> Result<(), Errno> {
        let rules = rules(self.kind);
        if self.extra != 0 && !matches!(self.kind, MapType::BloomFilter | MapType::Arena) {
            return Err(Errno::EINVAL);
        }
        self.check_flags(&rules)?;
        for too_large in [false, true] {
            rules.key.check(self.key_size, self.flags, too_large)?;
            rules.value.check(self.value_size, self.flags, too_large)?;
            rules.entries.check(self.max_entries, too_large)?;
        }
        self.check_element()?;
        self.check_extra()?;
        self.check_inner()
    }

    fn check_flags(&self, rules: &Rules) -> Result<(), Errno> {
        let flags = self.flags;
        let lru = matches!(self.kind, MapType::LruHash | MapType::LruPercpuHash);
        let known = if lru { rules.flags.or(PREALLOC) } else { rules.flags };
        if !known.has(flags) || !flags.has(rules.required) || flags.has(SYSCALL) || flags.has(PROG) {
            return Err(Errno::EINVAL);
        }
        // Elements that may be taken from others have to be there from the start.
        if lru && flags.has(PREALLOC) { Err(Errno::ENOTSUPP) } else { Ok(()) }
    }

    /// Key and value of a hash map are one object of the allocator.
    fn check_element(&self) -> Result<(), Errno> {
        let hash = matches!(
            self.kind,
            MapType::Hash | MapType::PercpuHash | MapType::LruHash | MapType::LruPercpuHash | MapType::HashOfMaps
        );
        let bytes = u64::from(self.key_size) + u64::from(self.value_size);
        if hash && bytes >= u64::from(HASH_ELEMENT_END) { Err(Errno::E2BIG) } else { Ok(()) }
    }

    fn check_extra(&self) -> Result<(), Errno> {
        match self.kind {
            MapType::BloomFilter if self.extra <= BLOOM_HASHES_MAX => Ok(()),
            MapType::Arena => {
                let bytes = u64::from(self.max_entries) * u64::from(PAGE_SIZE);
                let last = self.extra.checked_add(bytes - 1).ok_or(Errno::ERANGE)?;
                if !self.extra.is_multiple_of(u64::from(PAGE_SIZE)) {
                    Err(Errno::EINVAL)
                } else if self.extra >> 32 != last >> 32 {
                    Err(Errno::ERANGE)
                } else {
                    Ok(())
                }
            }
            _ if self.extra == 0 => Ok(()),
            _ => Err(Errno::EINVAL),
        }
    }

    fn check_inner(&self) -> Result<(), Errno> {
        if !self.kind.is_map_of_maps() {
            return Ok(());
        }
        let inner = self.inner.as_deref().ok_or(Errno::EBADF)?;
        inner.kind.check_as_inner()?;
        inner.check()
    }

    /// Whether a program may have the address of its value in an instruction (`BPF_PSEUDO_MAP_VALUE`).
    pub const fn has_direct_value(&self) -> bool {
        matches!(self.kind, MapType::Array) && self.max_entries == 1 || matches!(self.kind, MapType::Arena)
    }

    /// Whether its content is that of the definition for ever: neither programs nor user space can write to it. What there is no
    /// data for is zero.
    pub const fn is_constant(&self) -> bool {
        self.frozen && self.flags.has(MapFlags::RDONLY_PROG) && self.has_direct_value()
    }

    /// Whether programs may not write into its values: by `BPF_F_RDONLY_PROG`, which Linux sets itself for the interfaces of
    /// a devmap.
    pub const fn is_read_only_to_programs(&self) -> bool {
        self.flags.has(MapFlags::RDONLY_PROG) || matches!(self.kind, MapType::Devmap | MapType::DevmapHash)
    }

    /// Whether a map made by `self` may stand in a slot whose template is `template` (`map_meta_equal`).
    pub fn fits_template(&self, template: &MapDef) -> bool {
        // Linux lets per-CPU arrays of other lengths in, though its verifier takes a constant index below the template's length
        // as one that is always there.
        let entries_differ = matches!(self.kind, MapType::Array | MapType::PercpuArray)
            && !template.flags.has(MapFlags::INNER_MAP)
            && self.max_entries != template.max_entries;
        self.kind == template.kind
            && self.key_size == template.key_size
            && self.value_size == template.value_size
            && self.flags == template.flags
            && self.fields == template.fields
            && !entries_differ
    }
}

/// Types that may update sockmaps with `bpf_map_update_elem` and `bpf_map_delete_elem`, for they cannot run while the
/// socket's lock is held.
const SOCKMAP_UPDATERS: ProgSet = ProgSet::of(&[
    ProgType::SocketFilter,
    ProgType::SchedCls,
    ProgType::SchedAct,
    ProgType::Xdp,
    ProgType::SkReuseport,
    ProgType::FlowDissector,
    ProgType::SkLookup,
]);

/// Whether helper `helper` may be given a map of type `kind` by any program ("cannot pass map_type", EINVAL): what the
/// map's type says, and what the helper says. Some programs may also update sockmaps: see [`may_update_sockmap`].
pub fn allows_helper(kind: MapType, helper: u32) -> bool {
    let by_map = match rules(kind).helpers {
        Helpers::Any => true,
        Helpers::Only(helpers) => helpers.contains(&helper),
    };
    by_map && maps_of(helper).is_none_or(|kinds| kinds.contains(&kind))
}

/// Whether a program may give a map of type `kind`, a sockmap or sockhash, to `helper`, which is `bpf_map_update_elem` or
/// `bpf_map_delete_elem`.
pub fn may_update_sockmap(kind: MapType, helper: u32, prog: ProgType, attach: Option<AttachType>) -> bool {
    let deletes = helper == id::MAP_DELETE_ELEM;
    let by_prog = SOCKMAP_UPDATERS.has(prog)
        || (prog == ProgType::Tracing && attach == Some(AttachType::TraceIter))
        || (prog == ProgType::SockOps && deletes);
    matches!(kind, MapType::Sockmap | MapType::Sockhash) && (deletes || helper == id::MAP_UPDATE_ELEM) && by_prog
}

/// The map types that a helper takes; `None` if it leaves that to the map.
const fn maps_of(helper: u32) -> Option<&'static [MapType]> {
    use MapType::*;
    Some(match helper {
        id::TAIL_CALL => &[ProgArray],
        id::PERF_EVENT_READ | id::PERF_EVENT_OUTPUT | id::PERF_EVENT_READ_VALUE | id::SKB_OUTPUT | id::XDP_OUTPUT => {
            &[PerfEventArray]
        }
        id::RINGBUF_OUTPUT
        | id::RINGBUF_RESERVE
        | id::RINGBUF_QUERY
        | id::RINGBUF_RESERVE_DYNPTR
        | id::RINGBUF_SUBMIT_DYNPTR
        | id::RINGBUF_DISCARD_DYNPTR => &[Ringbuf],
        id::USER_RINGBUF_DRAIN => &[UserRingbuf],
        id::GET_STACKID => &[StackTrace],
        id::SKB_UNDER_CGROUP | id::CURRENT_TASK_UNDER_CGROUP => &[CgroupArray],
        id::REDIRECT_MAP => &[Devmap, DevmapHash, Cpumap, Xskmap],
        id::SK_REDIRECT_MAP | id::MSG_REDIRECT_MAP | id::SOCK_MAP_UPDATE => &[Sockmap],
        id::SK_REDIRECT_HASH | id::MSG_REDIRECT_HASH | id::SOCK_HASH_UPDATE => &[Sockhash],
        id::GET_LOCAL_STORAGE => &[CgroupStorage, PercpuCgroupStorage],
        id::SK_SELECT_REUSEPORT => &[ReuseportSockarray, Sockmap, Sockhash],
        id::MAP_POP_ELEM => &[Queue, Stack],
        id::MAP_PEEK_ELEM | id::MAP_PUSH_ELEM => &[Queue, Stack, BloomFilter],
        id::MAP_LOOKUP_PERCPU_ELEM => &[PercpuArray, PercpuHash, LruPercpuHash],
        id::SK_STORAGE_GET | id::SK_STORAGE_DELETE => &[SkStorage],
        id::INODE_STORAGE_GET | id::INODE_STORAGE_DELETE => &[InodeStorage],
        id::TASK_STORAGE_GET | id::TASK_STORAGE_DELETE => &[TaskStorage],
        id::CGRP_STORAGE_GET | id::CGRP_STORAGE_DELETE => &[CgrpStorage],
        _ => return None,
    })
}

/// Why a program may not refer to a map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unusable {
    /// "bpf_struct_ops map cannot be used in prog", EINVAL.
    StructOps,
    /// "Sleepable programs can only use ...", EINVAL.
    Sleepable,
}

/// Whether a program of type `prog` may refer to a map of that type. What depends on special fields in values (locks,
/// timers, lists) is not asked here, as it needs the map's BTF.
///
/// # Errors
///
/// The reason why not; the load fails with EINVAL.
pub fn usable_in(kind: MapType, prog: ProgType, sleepable: bool) -> Result<(), Unusable> {
    if kind == MapType::StructOps {
        Err(Unusable::StructOps)
    } else if (sleepable || prog == ProgType::Syscall) && !rules(kind).sleepable {
        Err(Unusable::Sleepable)
    } else {
        Ok(())
    }
}

impl MapType {
    /// First release that has it.
    pub const fn since(self) -> KernelVersion {
        rules(self).since
    }

    /// Flags that may be given at creation.
    pub const fn flags(self) -> MapFlags {
        rules(self).flags
    }

    /// Whether `bpf_for_each_map_elem` walks it.
    pub const fn supports_for_each(self) -> bool {
        rules(self).for_each
    }

    /// Whether its slots hold maps.
    pub const fn is_map_of_maps(self) -> bool {
        matches!(self, MapType::ArrayOfMaps | MapType::HashOfMaps)
    }

    /// Whether values are one per CPU.
    pub const fn is_percpu(self) -> bool {
        matches!(
            self,
            MapType::PercpuHash | MapType::PercpuArray | MapType::LruPercpuHash | MapType::PercpuCgroupStorage
        )
    }

    /// Whether maps of this type may be in a map of maps.
    ///
    /// # Errors
    ///
    /// What BPF_MAP_CREATE of the outer map gives: EINVAL for nesting, ENOTSUPP for the others.
    pub const fn check_as_inner(self) -> Result<(), Errno> {
        match self {
            MapType::ArrayOfMaps | MapType::HashOfMaps => Err(Errno::EINVAL),
            MapType::ProgArray | MapType::CgroupStorage | MapType::PercpuCgroupStorage | MapType::StructOps => {
                Err(Errno::ENOTSUPP)
            }
            MapType::Hash
            | MapType::Array
            | MapType::PerfEventArray
            | MapType::PercpuHash
            | MapType::PercpuArray
            | MapType::StackTrace
            | MapType::CgroupArray
            | MapType::LruHash
            | MapType::LruPercpuHash
            | MapType::LpmTrie
            | MapType::Devmap
            | MapType::Sockmap
            | MapType::Cpumap
            | MapType::Xskmap
            | MapType::Sockhash
            | MapType::ReuseportSockarray
            | MapType::Queue
            | MapType::Stack
            | MapType::SkStorage
            | MapType::DevmapHash
            | MapType::Ringbuf
            | MapType::InodeStorage
            | MapType::TaskStorage
            | MapType::BloomFilter
            | MapType::UserRingbuf
            | MapType::CgrpStorage
            | MapType::Arena => Ok(()),
        }
    }
}
