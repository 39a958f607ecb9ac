//! Helper prototypes: arguments, results, who may call them, since when.

use crate::{KernelVersion, ProgSet};

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
    /// Attached through a BPF trampoline (fentry, fexit, fmod_ret, iterators, LSM).
    Trampoline,
    Attach(&'static [crate::AttachType]),
    NotAttach(&'static [crate::AttachType]),
    /// Never offered: the condition cannot be met in what ring3 models; the text says what it is.
    Unmodelled(&'static str),
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
