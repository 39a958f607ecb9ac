//! What the kernel says of its programs, maps, types and links: by id, and by descriptor.

use ring3_btf::{Btf, BtfError};
use ring3_isa::{Code, Endianness};
use ring3_platform::tag::Tag;
use ring3_platform::{MapFlags, MapType, ProgType};

use crate::sys::attr::{FuncInfo, LineInfo};
use crate::sys::{self, AsFd, ById, Command, ProgParts};
use crate::{BtfObject, Error, Link, Map, Prog};

/// Most objects of a kind that are listed.
const MAX_IDS: usize = 1 << 20;
/// Most bytes of a program's code, or of types, that are read.
const MAX_BYTES: u32 = 256 << 20;
/// Most elements of any other list that are read.
const MAX_LIST: u32 = 16 << 20;
/// Room for the name of types: that of a kernel module.
const BTF_NAME: usize = 64;

macro_rules! ids {
    ($($(#[$meta:meta])* $id:ident, $list:ident, $next:ident;)*) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $id(pub u32);

        impl std::fmt::Display for $id {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        /// All that there are now, in ascending order. One that is made or goes meanwhile may be missing or listed.
        ///
        /// Errors: the kernel's: EPERM without CAP_SYS_ADMIN.
        pub fn $list() -> Result<Vec<$id>, Error> {
            Ok(list(Command::$next)?.into_iter().map($id).collect())
        }
    )* };
}

ids! {
    /// Number of a program.
    ProgId, prog_ids, ProgNextId;
    /// Number of a map.
    MapId, map_ids, MapNextId;
    /// Number of loaded types.
    BtfId, btf_ids, BtfNextId;
    /// Number of a link.
    LinkId, link_ids, LinkNextId;
}

fn list(command: Command) -> Result<Vec<u32>, Error> {
    let mut ids: Vec<u32> = Vec::new();
    while let Some(id) = sys::next_id(command, ids.last().copied().unwrap_or(0)).map_err(|f| f.of(command))? {
        // The kernel goes upwards; anything else would never end.
        if ids.len() == MAX_IDS || ids.last().is_some_and(|last| *last >= id) {
            break;
        }
        ids.push(id);
    }
    Ok(ids)
}

fn name(raw: &[u8]) -> String {
    let end = raw.iter().position(|b| *b == 0).unwrap_or(raw.len());
    String::from_utf8_lossy(&raw[..end]).into_owned()
}

/// A program, as the kernel describes it. What an older kernel does not say is 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProgInfo {
    /// Type; `None` if it is one that ring3 does not know.
    pub kind: Option<ProgType>,
    /// Number.
    pub id: ProgId,
    /// Hash of its code.
    pub tag: Tag,
    /// At most 15 bytes.
    pub name: String,
    /// When it was loaded, in nanoseconds since the machine started.
    pub load_time_ns: u64,
    /// Who loaded it.
    pub created_by_uid: u32,
    /// May it call helpers for GPL programs only?
    pub gpl_compatible: bool,
    /// Bytes of code as the verifier left it.
    pub xlated_len: u32,
    /// Bytes of machine code; 0 if it is interpreted.
    pub jited_len: u32,
    /// Maps that it uses.
    pub maps: Vec<MapId>,
    /// Its types.
    pub btf: Option<BtfId>,
    /// Interface that it was loaded for, 0 for none.
    pub ifindex: u32,
    /// Instructions that the verifier processed.
    pub verified_insns: u32,
    /// Nanoseconds of all runs; counted while [`Stats`] is open.
    pub run_time_ns: u64,
    /// Number of runs; counted while [`Stats`] is open.
    pub run_count: u64,
    /// Runs that were left out because the program was running already.
    pub recursion_misses: u64,
    /// Types of what it is attached to, and the function in them, of `fentry` and the like.
    pub attach_btf: Option<(BtfId, u32)>,
}

/// The code of a program in the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProgCode {
    /// As the verifier left it: maps by address, helpers by distance, dead code gone. Empty without CAP_PERFMON.
    pub xlated: Code,
    /// Machine code of all functions, one after the other.
    pub jited: Vec<u8>,
    /// Of each function, where it is in the kernel (0 where that is secret) and its bytes in `jited`.
    pub functions: Vec<(u64, u32)>,
    /// A tag for each function.
    pub tags: Vec<Tag>,
    /// Where functions start and what they are.
    pub func_info: Vec<FuncInfo>,
    /// Where source lines start.
    pub line_info: Vec<LineInfo>,
    /// Address of the machine code of each entry of `line_info`.
    pub jited_lines: Vec<u64>,
}

impl Prog {
    /// The program with this number.
    pub fn by_id(id: ProgId) -> Result<Prog, Error> {
        let fd = sys::by_id(ById::Prog, id.0).map_err(|f| f.of(Command::ProgById))?;
        Prog::open(fd)
    }

    /// Takes a descriptor of a program, and asks the kernel for its name and type.
    ///
    /// Errors: it is none of a program.
    pub fn open(fd: sys::OwnedFd) -> Result<Prog, Error> {
        sys::expect("bpf-prog", fd.as_fd())?;
        let raw = sys::prog_info(fd.as_fd(), ProgParts::default()).map_err(|f| f.of(Command::GetInfo))?;
        Ok(Prog::from_fd(&name(&raw.name), ProgType::from_number(raw.kind), fd))
    }

    /// What the kernel says of it.
    ///
    /// Errors: the kernel's.
    pub fn info(&self) -> Result<ProgInfo, Error> {
        let fail = |f: sys::Failure| f.of(Command::GetInfo);
        let counts = sys::prog_info(self.as_fd(), ProgParts::default()).map_err(fail)?;
        let mut maps = vec![0; counts.nr_map_ids.min(MAX_LIST) as usize];
        let raw =
            sys::prog_info(self.as_fd(), ProgParts { map_ids: &mut maps, ..ProgParts::default() }).map_err(fail)?;
        maps.truncate(raw.nr_map_ids as usize);
        Ok(ProgInfo {
            kind: ProgType::from_number(raw.kind),
            id: ProgId(raw.id),
            tag: Tag(raw.tag),
            name: name(&raw.name),
            load_time_ns: raw.load_time,
            created_by_uid: raw.created_by_uid,
            gpl_compatible: raw.gpl_compatible & 1 != 0,
            // Without buffers the kernel gives the lengths.
            xlated_len: counts.xlated_prog_len,
            jited_len: counts.jited_prog_len,
            maps: maps.into_iter().map(MapId).collect(),
            btf: (raw.btf_id != 0).then_some(BtfId(raw.btf_id)),
            ifindex: raw.ifindex,
            verified_insns: raw.verified_insns,
            run_time_ns: raw.run_time_ns,
            run_count: raw.run_cnt,
            recursion_misses: raw.recursion_misses,
            attach_btf: (raw.attach_btf_id != 0).then_some((BtfId(raw.attach_btf_obj_id), raw.attach_btf_id)),
        })
    }

    /// Its code: after the verifier, and as machine code.
    ///
    /// Errors: the kernel's.
    pub fn code(&self) -> Result<ProgCode, Error> {
        let fail = |f: sys::Failure| f.of(Command::GetInfo);
        let has = sys::prog_info(self.as_fd(), ProgParts::default()).map_err(fail)?;
        let list = |count: u32| count.min(MAX_LIST) as usize;
        let mut xlated = vec![0u8; has.xlated_prog_len.min(MAX_BYTES) as usize];
        let mut jited = vec![0u8; has.jited_prog_len.min(MAX_BYTES) as usize];
        let mut ksyms = vec![0; list(has.nr_jited_ksyms)];
        let mut func_lens = vec![0; list(has.nr_jited_func_lens)];
        let mut funcs = vec![FuncInfo::default(); list(has.nr_func_info)];
        let mut lines = vec![LineInfo::default(); list(has.nr_line_info)];
        let mut jited_lines = vec![0; list(has.nr_jited_line_info)];
        let mut tags = vec![[0; 8]; list(has.nr_prog_tags)];
        let parts = ProgParts {
            xlated: &mut xlated,
            jited: &mut jited,
            ksyms: &mut ksyms,
            func_lens: &mut func_lens,
            funcs: &mut funcs,
            lines: &mut lines,
            jited_lines: &mut jited_lines,
            tags: &mut tags,
            ..ProgParts::default()
        };
        let got = sys::prog_info(self.as_fd(), parts).map_err(fail)?;
        // What the kernel keeps secret it says to be empty, or leaves as it was: all zeros.
        if got.xlated_prog_insns == 0 || got.xlated_prog_len == 0 {
            xlated.clear();
        }
        if got.jited_prog_insns == 0 || got.jited_prog_len == 0 {
            jited.clear();
        }
        ksyms.resize(func_lens.len(), 0);
        let order = if cfg!(target_endian = "little") { Endianness::Little } else { Endianness::Big };
        Ok(ProgCode {
            // The kernel gives whole slots.
            xlated: Code::from_bytes(&xlated, order).unwrap_or_default(),
            jited,
            functions: ksyms.into_iter().zip(func_lens).collect(),
            tags: tags.into_iter().map(Tag).collect(),
            func_info: funcs,
            line_info: lines,
            jited_lines,
        })
    }
}

/// A map, as the kernel describes it. What an older kernel does not say is 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MapInfo {
    /// Type; `None` if it is one that ring3 does not know.
    pub kind: Option<MapType>,
    /// Number.
    pub id: MapId,
    /// At most 15 bytes.
    pub name: String,
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
    /// Types of key and value: where, and which.
    pub btf: Option<(BtfId, u32, u32)>,
    /// Interface that it was made for, 0 for none.
    pub ifindex: u32,
}

impl Map {
    /// The map with this number.
    pub fn by_id(id: MapId) -> Result<Map, Error> {
        Map::open(sys::by_id(ById::Map, id.0).map_err(|f| f.of(Command::MapById))?)
    }

    /// Takes a descriptor of a map, and asks the kernel for its name.
    ///
    /// Errors: it is none of a map.
    pub fn open(fd: sys::OwnedFd) -> Result<Map, Error> {
        sys::expect("bpf-map", fd.as_fd())?;
        let raw = sys::map_info(fd.as_fd()).map_err(|f| f.of(Command::GetInfo))?;
        Map::from_fd(&name(&raw.name), fd)
    }

    /// What the kernel says of it.
    ///
    /// Errors: the kernel's.
    pub fn info(&self) -> Result<MapInfo, Error> {
        let raw = sys::map_info(self.as_fd()).map_err(|f| f.of_map(self.name(), Command::GetInfo))?;
        Ok(MapInfo {
            kind: MapType::from_number(raw.kind),
            id: MapId(raw.id),
            name: name(&raw.name),
            key_size: raw.key_size,
            value_size: raw.value_size,
            max_entries: raw.max_entries,
            flags: MapFlags(raw.map_flags),
            extra: raw.map_extra,
            btf: (raw.btf_id != 0).then_some((BtfId(raw.btf_id), raw.btf_key_type_id, raw.btf_value_type_id)),
            ifindex: raw.ifindex,
        })
    }
}

/// Types, as the kernel describes them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BtfInfo {
    /// Number.
    pub id: BtfId,
    /// `vmlinux`, a module's name, or empty for types that a program brought.
    pub name: String,
    /// Are they the kernel's own, or a module's?
    pub is_kernel: bool,
    /// Bytes.
    pub size: u32,
}

impl BtfObject {
    /// The types with this number.
    pub fn by_id(id: BtfId) -> Result<BtfObject, Error> {
        sys::by_id(ById::Btf, id.0).map(BtfObject::from_fd).map_err(|f| f.of(Command::BtfById))
    }

    /// What the kernel says of them.
    ///
    /// Errors: the kernel's.
    pub fn info(&self) -> Result<BtfInfo, Error> {
        let mut text = [0; BTF_NAME];
        let raw = sys::btf_info(self.as_fd(), &mut [], &mut text).map_err(|f| f.of(Command::GetInfo))?;
        Ok(BtfInfo { id: BtfId(raw.id), name: name(&text), is_kernel: raw.kernel_btf != 0, size: raw.btf_size })
    }

    /// The types as bytes. Those of a module go on where those of `vmlinux` end.
    ///
    /// Errors: the kernel's.
    pub fn bytes(&self) -> Result<Vec<u8>, Error> {
        let size = self.info()?.size.min(MAX_BYTES) as usize;
        let mut bytes = vec![0; size];
        sys::btf_info(self.as_fd(), &mut bytes, &mut []).map_err(|f| f.of(Command::GetInfo))?;
        Ok(bytes)
    }

    /// The types, parsed.
    ///
    /// Errors: the kernel's; bytes that are no types on their own (of modules).
    pub fn read(&self) -> Result<Result<Btf, BtfError>, Error> {
        Ok(Btf::parse(&self.bytes()?))
    }
}

macro_rules! link_kinds {
    ($($(#[$meta:meta])* $variant:ident = $number:literal $name:literal)*) => {
        /// `enum bpf_link_type`.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[allow(missing_docs)]
        pub enum LinkKind { $($(#[$meta])* $variant,)* /// One that ring3 does not know.
            Other(u32) }

        impl LinkKind {
            /// By number.
            pub const fn from_number(number: u32) -> LinkKind {
                match number { $($number => LinkKind::$variant,)* other => LinkKind::Other(other) }
            }

            /// bpftool's name; `None` of one that ring3 does not know.
            pub const fn name(self) -> Option<&'static str> {
                match self { $(LinkKind::$variant => Some($name),)* LinkKind::Other(_) => None }
            }
        }
    };
}

link_kinds! {
    RawTracepoint = 1 "raw_tracepoint"
    Tracing = 2 "tracing"
    Cgroup = 3 "cgroup"
    Iter = 4 "iter"
    Netns = 5 "netns"
    Xdp = 6 "xdp"
    PerfEvent = 7 "perf_event"
    KprobeMulti = 8 "kprobe_multi"
    StructOps = 9 "struct_ops"
    Netfilter = 10 "netfilter"
    Tcx = 11 "tcx"
    UprobeMulti = 12 "uprobe_multi"
    Netkit = 13 "netkit"
    Sockmap = 14 "sockmap"
}

/// A link, as the kernel describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkInfo {
    /// Kind.
    pub kind: LinkKind,
    /// Number.
    pub id: LinkId,
    /// The program.
    pub prog: ProgId,
    /// The interface, of XDP, tcx and netkit links.
    pub ifindex: Option<u32>,
}

impl Link {
    /// The link with this number. It lives on without this descriptor if it has others.
    pub fn by_id(id: LinkId) -> Result<Link, Error> {
        sys::by_id(ById::Link, id.0).map(Link::from_fd).map_err(|f| f.of(Command::LinkById))
    }

    /// What the kernel says of it.
    ///
    /// Errors: the kernel's; EINVAL for what is attached without a link, on old kernels.
    pub fn info(&self) -> Result<LinkInfo, Error> {
        let raw = sys::link_info(self.as_fd()).map_err(|f| f.of(Command::GetInfo))?;
        let kind = LinkKind::from_number(raw.kind);
        let ifindex = matches!(kind, LinkKind::Xdp | LinkKind::Tcx | LinkKind::Netkit).then_some(raw.first);
        Ok(LinkInfo { kind, id: LinkId(raw.id), prog: ProgId(raw.prog_id), ifindex })
    }
}

/// While this lives, the kernel measures all programs' runs (BPF_ENABLE_STATS, since 5.8).
#[derive(Debug)]
pub struct Stats {
    #[allow(dead_code, reason = "open is all that it has to be")]
    fd: sys::OwnedFd,
}

impl Stats {
    /// Starts measuring.
    ///
    /// Errors: the kernel's: EPERM without CAP_SYS_ADMIN.
    pub fn enable() -> Result<Stats, Error> {
        sys::enable_stats().map(|fd| Stats { fd }).map_err(|f| f.of(Command::EnableStats))
    }
}
