//! What the running kernel offers, found out by trying it.

use ring3_isa::{Callee, Code, Endianness, Insn, assemble};
use ring3_platform::{AttachType, MapDef, MapFlags, MapType, ProgType, Program};

use ring3_platform::maps::PAGE_SIZE;

use crate::load::Log;
use crate::sys::attr::MapCreate;
use crate::sys::{self, Command, Failure, Load, MapFd};
use crate::{BtfObject, Errno, Error, Map};

/// What some kernels can and others cannot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Feature {
    /// Instruction set v2 (`-mcpu=v2`): jumps on "less".
    InstructionsV2,
    /// v3: jumps on 32 bits.
    InstructionsV3,
    /// v4: signed loads and moves, long jumps, byte swaps.
    InstructionsV4,
    /// Atomic operations that give the old value.
    AtomicFetch,
    /// `may_goto`.
    MayGoto,
    /// Load-acquire and store-release.
    LoadAcquire,
    /// Loops that end.
    BoundedLoops,
    /// More than 4,096 instructions.
    LargePrograms,
    /// Subprograms.
    Calls,
    /// BPF_BTF_LOAD.
    Types,
}

impl Feature {
    /// Every one.
    pub const ALL: [Feature; 10] = [
        Feature::InstructionsV2,
        Feature::InstructionsV3,
        Feature::InstructionsV4,
        Feature::AtomicFetch,
        Feature::MayGoto,
        Feature::LoadAcquire,
        Feature::BoundedLoops,
        Feature::LargePrograms,
        Feature::Calls,
        Feature::Types,
    ];

    /// A name for lists.
    pub const fn name(self) -> &'static str {
        match self {
            Feature::InstructionsV2 => "instructions_v2",
            Feature::InstructionsV3 => "instructions_v3",
            Feature::InstructionsV4 => "instructions_v4",
            Feature::AtomicFetch => "atomic_fetch",
            Feature::MayGoto => "may_goto",
            Feature::LoadAcquire => "load_acquire",
            Feature::BoundedLoops => "bounded_loops",
            Feature::LargePrograms => "large_programs",
            Feature::Calls => "calls",
            Feature::Types => "types",
        }
    }

    /// A program that only a kernel with it takes. `None`: it is not about programs.
    fn program(self) -> Option<String> {
        let text = match self {
            Feature::InstructionsV2 => "r0 = 0\nif r0 < 1 goto +0\nexit",
            Feature::InstructionsV3 => "r0 = 0\nif w0 < 1 goto +0\nexit",
            Feature::InstructionsV4 => "r0 = 0\nr0 = (s8)r0\nr0 = bswap64 r0\nexit",
            Feature::AtomicFetch => {
                "r0 = 0\n*(u64 *)(r10 -8) = r0\nr0 = atomic64_fetch_add((u64 *)(r10 -8), r0)\nr0 = 0\nexit"
            }
            Feature::MayGoto => "r0 = 0\nmay_goto +1\ngoto -2\nexit",
            Feature::LoadAcquire => "r0 = 0\n*(u64 *)(r10 -8) = r0\nr0 = load_acquire((u64 *)(r10 -8))\nr0 = 0\nexit",
            Feature::BoundedLoops => "r0 = 0\nr0 += 1\nif r0 < 4 goto -2\nexit",
            Feature::LargePrograms => return Some(format!("{}exit", "r0 = 0\n".repeat(OLD_LIMIT))),
            Feature::Calls => "call +1\nexit\nr0 = 0\nexit",
            Feature::Types => return None,
        };
        Some(text.to_owned())
    }

    /// Does the running kernel have it?
    ///
    /// Errors: it could not be tried: not Linux, no permission, out of memory or descriptors.
    pub fn is_there(self) -> Result<bool, Error> {
        let result = match self.program() {
            Some(text) => {
                // That they are programs is tested below.
                let Ok(code) = assemble(&text) else { return Ok(false) };
                let program = Program::new("probe", ProgType::SocketFilter, code);
                crate::load(&program, &crate::LoadOptions::default()).map(|_| ())
            }
            None => BtfObject::load_bytes(&TYPES.map(u32::to_ne_bytes).concat()).map(|_| ()),
        };
        result.map(|()| true).or_else(no_unless_prevented)
    }
}

/// Most instructions of a program before 5.2.
const OLD_LIMIT: usize = 4096;

/// BTF with an `int` and a function without parameters: `Documentation/bpf/btf.rst`.
const TYPES: [u32; 12] = [
    // Magic and version, header's length, where types and strings are.
    if cfg!(target_endian = "little") { 0x0001_eb9f } else { 0xeb9f_0100 },
    24,
    0,
    16,
    16,
    8,
    // `int`: name, kind, size, 32 signed bits.
    1,
    1 << 24,
    4,
    1 << 24 | 32,
    // Strings.
    u32::from_ne_bytes(*b"\0int"),
    0,
];

/// Whether the error says that the kernel lacks something, and not that it could not be asked.
fn no_unless_prevented(error: Error) -> Result<bool, Error> {
    match error.errno() {
        Some(Errno::EPERM | Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EINTR | Errno::EAGAIN) | None => {
            Err(error)
        }
        Some(_) => Ok(false),
    }
}

/// BPF_F_SLEEPABLE.
const SLEEPABLE: u32 = 1 << 4;
/// Room for what the verifier says of a program of two instructions.
const LOG_BYTES: usize = 16 << 10;

/// How a program type is tried.
struct Trial {
    attach: Option<AttachType>,
    flags: u32,
    /// Type number of what to attach to: one that is no function.
    target: u32,
    /// Says that the type is known, if the program is refused.
    known_by: Option<Sign>,
}

/// What only a kernel that knows the type answers.
#[derive(Clone, Copy)]
enum Sign {
    Errno(Errno),
    Log(&'static str),
}

const fn trial(kind: ProgType) -> Trial {
    let plain = Trial { attach: None, flags: 0, target: 0, known_by: None };
    let no_function = Some(Sign::Log("is not a function"));
    match kind {
        ProgType::CgroupSockAddr => Trial { attach: Some(AttachType::CgroupInet4Connect), ..plain },
        ProgType::CgroupSockopt => Trial { attach: Some(AttachType::CgroupGetsockopt), ..plain },
        ProgType::SkLookup => Trial { attach: Some(AttachType::SkLookup), ..plain },
        ProgType::Netfilter => Trial { attach: Some(AttachType::Netfilter), ..plain },
        ProgType::Syscall => Trial { flags: SLEEPABLE, ..plain },
        ProgType::Tracing => Trial { attach: Some(AttachType::TraceFentry), target: 1, known_by: no_function, ..plain },
        ProgType::Lsm => Trial { attach: Some(AttachType::LsmMac), target: 1, known_by: no_function, ..plain },
        ProgType::Ext => Trial { target: 1, known_by: Some(Sign::Log("Cannot replace kernel functions")), ..plain },
        ProgType::StructOps => Trial { known_by: Some(Sign::Errno(Errno::ENOTSUPP)), ..plain },
        ProgType::SocketFilter
        | ProgType::Kprobe
        | ProgType::SchedCls
        | ProgType::SchedAct
        | ProgType::Tracepoint
        | ProgType::Xdp
        | ProgType::PerfEvent
        | ProgType::CgroupSkb
        | ProgType::CgroupSock
        | ProgType::LwtIn
        | ProgType::LwtOut
        | ProgType::LwtXmit
        | ProgType::SockOps
        | ProgType::SkSkb
        | ProgType::CgroupDevice
        | ProgType::SkMsg
        | ProgType::RawTracepoint
        | ProgType::LwtSeg6local
        | ProgType::LircMode2
        | ProgType::SkReuseport
        | ProgType::FlowDissector
        | ProgType::CgroupSysctl
        | ProgType::RawTracepointWritable => plain,
    }
}

/// Loads bare code as [`trial`] says, with a log.
fn attempt(kind: ProgType, code: &Code) -> (Result<(), Failure>, Log) {
    let trial = trial(kind);
    let order = if cfg!(target_endian = "little") { Endianness::Little } else { Endianness::Big };
    let insns: Vec<[u8; 8]> = code.raw_slice().iter().map(|insn| insn.to_bytes(order)).collect();
    let load = Load {
        kind: kind.number(),
        insns: &insns,
        license: b"GPL\0",
        log_level: 1,
        flags: trial.flags,
        attach_type: trial.attach.map_or(0, AttachType::number),
        attach_btf_id: trial.target,
        ..Load::default()
    };
    let mut log = vec![0; LOG_BYTES];
    let result = sys::prog_load(&load, &mut log).result.map(|_| ());
    (result, Log::read(&log))
}

/// Does the running kernel have programs of this type?
///
/// Errors: it could not be tried: not Linux, no permission, out of memory or descriptors.
pub fn has_program_type(kind: ProgType) -> Result<bool, Error> {
    let Ok(code) = assemble("r0 = 0\nexit") else { return Ok(false) };
    let (result, log) = attempt(kind, &code);
    let Err(failure) = result else { return Ok(true) };
    let is_known = match trial(kind).known_by {
        Some(Sign::Errno(errno)) => failure.is(errno),
        Some(Sign::Log(text)) => log.text.contains(text),
        None => false,
    };
    if is_known { Ok(true) } else { no_unless_prevented(failure.of(Command::ProgLoad)) }
}

/// Texts by which the verifier refuses a helper, rather than its arguments.
const NO_HELPER: [&str; 3] = ["invalid func ", "unknown func ", "program of this type cannot use helper "];

/// May programs of this type call this helper?
///
/// `None` for types that must be attached to something to be tried: `tracing`, `lsm`, `ext`, `struct_ops`.
/// Errors: it could not be tried: not Linux, no permission, out of memory or descriptors.
pub fn has_helper(kind: ProgType, helper: i32) -> Result<Option<bool>, Error> {
    if trial(kind).known_by.is_some() {
        return Ok(None);
    }
    let code = Code::from_insns([Insn::Call(Callee::Helper(helper)), Insn::Exit]);
    let (result, log) = attempt(kind, &code);
    match result {
        Ok(()) => Ok(Some(true)),
        Err(_) if NO_HELPER.iter().any(|text| log.text.contains(text)) => Ok(Some(false)),
        // The arguments are wrong, but the helper is there.
        Err(_) if !log.text.is_empty() => Ok(Some(true)),
        Err(failure) => no_unless_prevented(failure.of(Command::ProgLoad)).map(Some),
    }
}

/// Does the running kernel have maps of this type?
///
/// Errors: it could not be tried: not Linux, no permission, out of memory or descriptors.
pub fn has_map_type(kind: MapType) -> Result<bool, Error> {
    if kind == MapType::StructOps {
        // The type of the kernel that it is to implement is none: only a kernel that looks it up says so.
        let attr = MapCreate {
            map_type: kind.number(),
            key_size: 4,
            value_size: 256,
            max_entries: 1,
            btf_vmlinux_value_type_id: 1,
            ..MapCreate::default()
        };
        return match MapFd::create(attr) {
            Err(failure) if failure.is(Errno::ENOTSUPP) => Ok(true),
            Err(failure) => no_unless_prevented(failure.of(Command::MapCreate)),
            Ok(_) => Ok(true),
        };
    }
    let (def, needs_types) = sample(kind);
    let result = if needs_types {
        let types = BtfObject::load_bytes(&TYPES.map(u32::to_ne_bytes).concat())?;
        Map::create_typed(&def, Some(&types))
    } else {
        Map::create(&def)
    };
    match result {
        Ok(_) => Ok(true),
        Err(error) => no_unless_prevented(error),
    }
}

/// A small map of this type, and whether it must have types.
fn sample(kind: MapType) -> (MapDef, bool) {
    let of = |key, value, entries| MapDef::new("probe", kind, key, value, entries);
    let storage = || MapDef { flags: MapFlags::NO_PREALLOC, key_type: 1, value_type: 1, ..of(4, 4, 0) };
    match kind {
        MapType::SkStorage | MapType::InodeStorage | MapType::TaskStorage | MapType::CgrpStorage => (storage(), true),
        MapType::LpmTrie => (MapDef { flags: MapFlags::NO_PREALLOC, ..of(8, 4, 1) }, false),
        MapType::StackTrace => (of(4, 8, 1), false),
        MapType::CgroupStorage | MapType::PercpuCgroupStorage => (of(16, 4, 0), false),
        MapType::Queue | MapType::Stack | MapType::BloomFilter => (of(0, 4, 1), false),
        MapType::Ringbuf | MapType::UserRingbuf => (of(0, 0, PAGE_SIZE), false),
        MapType::Arena => (MapDef { flags: MapFlags::MMAPABLE, ..of(0, 0, 1) }, false),
        MapType::ArrayOfMaps | MapType::HashOfMaps => {
            let inner = MapDef::new("inner", MapType::Array, 4, 4, 1);
            (MapDef { inner: Some(Box::new(inner)), ..of(4, 4, 1) }, false)
        }
        MapType::Hash
        | MapType::Array
        | MapType::ProgArray
        | MapType::PerfEventArray
        | MapType::PercpuHash
        | MapType::PercpuArray
        | MapType::CgroupArray
        | MapType::LruHash
        | MapType::LruPercpuHash
        | MapType::Devmap
        | MapType::Sockmap
        | MapType::Cpumap
        | MapType::Xskmap
        | MapType::Sockhash
        | MapType::ReuseportSockarray
        | MapType::DevmapHash
        | MapType::StructOps => (of(4, 4, 1), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_have_names_and_programs() {
        let names: std::collections::BTreeSet<&str> = Feature::ALL.iter().map(|feature| feature.name()).collect();
        assert_eq!(names.len(), Feature::ALL.len());
        for text in Feature::ALL.iter().filter_map(|feature| feature.program()) {
            assert!(assemble(&text).unwrap().insns().iter().all(Result::is_ok), "{text}");
        }
    }
}
