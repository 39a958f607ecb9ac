//! Helper prototypes: arguments, results, who may call them, since when.

mod home;
mod ids;
mod table;

pub use home::{Home, home, kernel_only};
pub use ids::{ALL, helper_by_name, helper_name, helper_since, id};

use crate::attach::lsm_hook;
use crate::{AttachType, KernelVersion, ProgSet, ProgType, Program, Target};

/// What an argument must be (`enum bpf_arg_type` without its flags).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum ArgKind {
    None,
    Anything,
    Scalar,
    Ctx,
    ConstMapPtr,
    MapKey,
    MapValue,
    /// Memory whose size is the next argument.
    Mem,
    /// Memory of a fixed size in bytes.
    FixedMem(u32),
    /// Size of the preceding memory argument.
    ConstSize,
    ConstSizeOrZero,
    /// Constant size of the memory that is returned.
    ConstAllocSizeOrZero,
    SpinLock,
    SockCommon,
    BtfSockCommon,
    Socket,
    /// Pointer to a kernel type by name; empty for any.
    BtfId(&'static str),
    PercpuBtfId,
    RingbufMem,
    Timer,
    Stack,
    Func,
    ConstStr,
    KptrXchgDest,
    Dynptr,
}

/// Flags of an argument type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ArgFlags(pub u16);

#[allow(missing_docs)]
impl ArgFlags {
    pub const NONE: ArgFlags = ArgFlags(0);
    pub const MAYBE_NULL: ArgFlags = ArgFlags(1);
    pub const RDONLY: ArgFlags = ArgFlags(2);
    pub const UNINIT: ArgFlags = ArgFlags(4);
    pub const WRITE: ArgFlags = ArgFlags(8);
    pub const ALIGNED: ArgFlags = ArgFlags(16);
    pub const RELEASE: ArgFlags = ArgFlags(32);
    pub const DYNPTR_LOCAL: ArgFlags = ArgFlags(64);
    pub const DYNPTR_RINGBUF: ArgFlags = ArgFlags(128);

    /// True if every bit of `other` is set.
    pub const fn has(self, other: ArgFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both.
    pub const fn or(self, other: ArgFlags) -> ArgFlags {
        ArgFlags(self.0 | other.0)
    }
}

/// An argument's type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArgType {
    /// What it is.
    pub kind: ArgKind,
    /// How it may be.
    pub flags: ArgFlags,
}

/// What a helper returns (`enum bpf_return_type` without its flags).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum RetKind {
    Integer,
    Void,
    MapValue,
    Socket,
    SockCommon,
    TcpSock,
    RingbufMem,
    DynptrMem,
    MemOrBtfId,
    BtfId(&'static str),
    BtfIdTrusted(&'static str),
}

/// A result's type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetType {
    /// What it is.
    pub kind: RetKind,
    /// May be null.
    pub maybe_null: bool,
    /// May only be read.
    pub rdonly: bool,
}

/// When a row is offered beyond the program type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Condition {
    Always,
    Sleepable,
    NotSleepable,
    /// Attached through a BPF trampoline: fentry, fexit, fmod_ret, and LSM hooks that are not of a control group.
    Trampoline,
    Attach(&'static [AttachType]),
    NotAttach(&'static [AttachType]),
    /// Iterators over these.
    Iterator(&'static [&'static str]),
    /// Members of this structure of functions but for one.
    Ops {
        ops: &'static str,
        but: &'static str,
    },
    /// LSM programs of a control group, at these hooks.
    LsmCgroup(&'static [&'static str]),
    /// Offered to all, but what a program is attached to can forbid it: see [`Proto::allowed`].
    Hook(Hook),
    /// Never offered: the kernels whose rules ring3 has are built without the option that is named.
    Config(&'static str),
    /// Whether it is offered depends on what ring3 does not know yet; the text says what.
    Unmodelled(&'static str),
}

/// What a program has to be attached to for a helper that is not safe everywhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hook {
    /// Anything but the functions of socket storage itself.
    NotSocketStorage,
    /// An iterator, an LSM hook that may sleep, or a function that is known to hold no lock of a path.
    Path,
    /// An LSM hook that may sleep.
    SleepableLsm,
}

/// Functions where `bpf_d_path` is safe (`btf_allowlist_d_path`).
const PATH_FUNCTIONS: [&str; 9] = [
    "dentry_open",
    "filp_close",
    "security_file_open",
    "security_file_permission",
    "security_inode_getattr",
    "security_path_truncate",
    "vfs_fallocate",
    "vfs_getattr",
    "vfs_truncate",
];

impl Hook {
    fn allows(self, program: &Program) -> bool {
        let (kind, attach) = (program.kind, program.kind.effective_attach(program.attach));
        let name = program.attach_name().unwrap_or_default();
        let entry_or_exit = matches!(attach, Some(AttachType::TraceFentry | AttachType::TraceFexit));
        match self {
            Hook::NotSocketStorage => match attach {
                _ if kind != ProgType::Tracing => false,
                Some(AttachType::TraceIter | AttachType::TraceRawTp) => true,
                _ => entry_or_exit && !name.starts_with("bpf_sk_storage"),
            },
            Hook::Path => match kind {
                ProgType::Tracing if attach == Some(AttachType::TraceIter) => true,
                ProgType::Tracing => {
                    (entry_or_exit || attach == Some(AttachType::ModifyReturn)) && PATH_FUNCTIONS.contains(&name)
                }
                ProgType::Lsm => lsm_hook(name).sleepable,
                _ => false,
            },
            Hook::SleepableLsm => kind == ProgType::Lsm && lsm_hook(name).sleepable,
        }
    }
}

impl Proto {
    /// Whether what a program is attached to lets it call the helper.
    pub fn allowed(&self, program: &Program) -> bool {
        match self.condition {
            Condition::Hook(hook) => hook.allows(program),
            _ => true,
        }
    }
}

/// One prototype. A helper can have several, for different program types.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Proto {
    /// Number.
    pub id: u32,
    /// Name without `bpf_`.
    pub name: &'static str,
    /// Arguments, `ArgKind::None` after the last.
    pub args: [ArgType; 5],
    /// Result.
    pub ret: RetType,
    /// Only for programs under a GPL-compatible licence.
    pub gpl_only: bool,
    /// May sleep.
    pub might_sleep: bool,
    /// Packet pointers may be passed as memory.
    pub pkt_access: bool,
    /// Follows the `bpf_fastcall` contract: clobbers only R0.
    pub fastcall: bool,
    /// Program types it is offered to.
    pub progs: ProgSet,
    /// What else must hold.
    pub condition: Condition,
    /// First release with this number.
    pub since: KernelVersion,
}

/// Number of a helper of Linux.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HelperId(pub u32);

/// What is known of a helper number for a program.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Lookup<'a> {
    /// There is no such number (EINVAL, "invalid func").
    Invalid,
    /// It exists, but not for this program (EINVAL, "program of this type cannot use helper").
    NotForProgram,
    /// It may be for this program; what decides that is not known here.
    Unmodelled(&'static str),
    /// The prototype that holds for the program.
    Found(&'a Proto),
}

/// Every row of the table, by number; a helper can have several.
pub const fn protos() -> &'static [Proto] {
    table::PROTOS
}

impl Condition {
    /// Whether it holds for a program.
    fn holds(self, program: &Program) -> bool {
        let (kind, attach, sleepable) = (program.kind, program.attach, program.sleepable);
        // Attach type 0 has a meaning of its own only for control groups, and there a missing one is that.
        let attach = kind.effective_attach(attach).unwrap_or(AttachType::CgroupInetIngress);
        match self {
            Condition::Always => true,
            Condition::Sleepable => sleepable,
            Condition::NotSleepable => !sleepable,
            Condition::Trampoline => matches!(
                (kind, attach),
                (ProgType::Tracing, AttachType::TraceFentry | AttachType::TraceFexit | AttachType::ModifyReturn)
                    | (ProgType::Lsm, AttachType::LsmMac)
            ),
            Condition::Attach(of) => of.contains(&attach),
            Condition::NotAttach(of) => !of.contains(&attach),
            Condition::Iterator(of) => {
                attach == AttachType::TraceIter && program.attach_name().is_some_and(|name| of.contains(&name))
            }
            Condition::Ops { ops, but } => {
                program.ops.as_ref().is_some_and(|member| member.ops == ops && member.member != but)
            }
            Condition::LsmCgroup(of) => {
                attach == AttachType::LsmCgroup && program.attach_name().is_some_and(|name| of.contains(&name))
            }
            Condition::Hook(_) => true,
            Condition::Config(_) | Condition::Unmodelled(_) => false,
        }
    }
}

/// Functions of this structure, which is for tests of the kernel, are offered no helper at all.
const WITHOUT_HELPERS: &str = "bpf_dummy_ops";

impl Target {
    /// The prototype of helper `id` for calls from `program`. All capabilities are assumed, as for root.
    pub fn helper<'a>(&'a self, program: &Program, id: u32) -> Lookup<'a> {
        let has_any = program.ops.as_ref().is_none_or(|member| member.ops != WITHOUT_HELPERS);
        let offered = |proto: &&Proto| has_any && proto.progs.has(program.kind) && proto.condition.holds(program);
        let mut known = false;
        if id >= Target::FIRST_CUSTOM_HELPER {
            let mut rows = self.helpers.iter().filter(|proto| proto.id == id).inspect(|_| known = true);
            return rows.find(offered).map_or_else(|| Lookup::absent(known), Lookup::Found);
        }
        let first = table::PROTOS.partition_point(|proto| proto.id < id);
        let rows = || table::PROTOS[first..].iter().take_while(|proto| proto.id == id);
        known = helper_since(id).is_some_and(|since| since <= self.kernel);
        let unmodelled = || {
            let mut here = rows().filter(|proto| proto.progs.has(program.kind));
            here.find_map(|proto| if let Condition::Unmodelled(what) = proto.condition { Some(what) } else { None })
        };
        match rows().find(offered) {
            Some(proto) if known => Lookup::Found(proto),
            None if known => unmodelled().map_or(Lookup::NotForProgram, Lookup::Unmodelled),
            Some(_) | None => Lookup::absent(known),
        }
    }
}

impl Lookup<'_> {
    fn absent(known: bool) -> Self {
        if known { Lookup::NotForProgram } else { Lookup::Invalid }
    }
}

/// Helpers that may move or resize the packet: packet pointers are lost behind such a call.
pub const fn changes_packet(id: u32) -> bool {
    matches!(
        id,
        id::CLONE_REDIRECT
            | id::L3_CSUM_REPLACE
            | id::L4_CSUM_REPLACE
            | id::LWT_PUSH_ENCAP
            | id::LWT_SEG6_ACTION
            | id::LWT_SEG6_ADJUST_SRH
            | id::LWT_SEG6_STORE_BYTES
            | id::MSG_POP_DATA
            | id::MSG_PULL_DATA
            | id::MSG_PUSH_DATA
            | id::SKB_ADJUST_ROOM
            | id::SKB_CHANGE_HEAD
            | id::SKB_CHANGE_PROTO
            | id::SKB_CHANGE_TAIL
            | id::SKB_PULL_DATA
            | id::SKB_STORE_BYTES
            | id::SKB_VLAN_POP
            | id::SKB_VLAN_PUSH
            | id::STORE_HDR_OPT
            | id::XDP_ADJUST_HEAD
            | id::XDP_ADJUST_META
            | id::XDP_ADJUST_TAIL
            | id::TAIL_CALL
    )
}

#[cfg(test)]
mod tests;
