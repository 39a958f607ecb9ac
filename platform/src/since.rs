//! Since when Linux has what a program uses, beyond the `since` of each table: helpers by program type, kernel functions,
//! instructions, flags and special fields of maps.
//!
//! What is measured: rows of helpers and of kernel functions are what kernels from 5.10 on said (`conformance/kernel/facts`); the first
//! of them that has something stands for it where nothing more is known, so that no release is said to have what it may
//! lack. The rest are the releases of the mainline tree that brought it. Distributions port features back, so a kernel
//! may have more than its number says.

use ring3_isa::{AtomicOp, Callee, EndianOp, Insn, Wide};

use crate::maps::FieldKind;
use crate::{KernelVersion, MapFlags, ProgType, helpers};

impl KernelVersion {
    /// Releases that can be asked about, oldest first.
    pub const RELEASES: &[KernelVersion] = &releases();

    /// Those with long-term support, and the newest.
    pub const LONG_TERM: &[KernelVersion] = &[
        KernelVersion::new(5, 4),
        KernelVersion::new(5, 10),
        KernelVersion::new(5, 15),
        KernelVersion::new(6, 1),
        KernelVersion::new(6, 6),
        KernelVersion::new(6, 12),
        KernelVersion::V6_18,
        KernelVersion::new(7, 3),
    ];
}

/// 5.4 to 5.19, 6.0 to 6.19, 7.0 to 7.3.
const fn releases() -> [KernelVersion; 40] {
    let mut all = [KernelVersion::new(5, 4); 40];
    let (mut at, mut version) = (0, KernelVersion::new(5, 4));
    while at < all.len() {
        all[at] = version;
        version = if version.minor == 19 {
            KernelVersion::new(version.major + 1, 0)
        } else {
            KernelVersion::new(version.major, version.minor + 1)
        };
        at += 1;
    }
    all
}

/// The first release in which programs of a type may call a helper; `None` if there is no such helper.
pub fn helper_in(id: u32, kind: ProgType) -> Option<KernelVersion> {
    let first = helpers::helper_since(id)?.max(kind.since());
    let later = LATER.iter().filter(|(of, _, kinds)| *of == id && kinds.contains(&kind));
    Some(later.fold(first, |first, (_, (major, minor), _)| first.max(KernelVersion::new(*major, *minor))))
}

/// The first release with a kernel function, by its name without a flavour; `None` for functions that are in no table.
pub fn kfunc_since(name: &str) -> Option<KernelVersion> {
    let row = KFUNCS.iter().find(|(_, names)| names.contains(&name))?;
    Some(KernelVersion::new(row.0.0, row.0.1))
}

/// The first release with an instruction, and what it is called; `None` for those that Linux 5.4 has. Calls of helpers and
/// kernel functions have rows of their own.
pub fn insn_since(insn: Insn) -> Option<(KernelVersion, &'static str)> {
    let (major, minor, name) = match insn {
        Insn::Alu { op: ring3_isa::AluOp::SDiv | ring3_isa::AluOp::SMod, .. } => (6, 6, "signed division"),
        Insn::MovSx { .. } => (6, 6, "a sign-extending move"),
        Insn::Endian { op: EndianOp::Swap, .. } => (6, 6, "an unconditional byte swap"),
        Insn::Load { signed: true, .. } => (6, 6, "a sign-extending load"),
        Insn::Jump { long: true, .. } => (6, 6, "gotol"),
        Insn::MayGoto { .. } => (6, 9, "may_goto"),
        Insn::AddrSpaceCast { .. } => (6, 9, "addr_space_cast"),
        Insn::LoadAcquire { .. } => (6, 15, "load-acquire"),
        Insn::StoreRelease { .. } => (6, 15, "store-release"),
        Insn::GotoX { .. } => (6, 19, "an indirect jump"),
        Insn::Atomic { op, .. } => match op {
            AtomicOp::Add => return None,
            AtomicOp::Or
            | AtomicOp::And
            | AtomicOp::Xor
            | AtomicOp::FetchAdd
            | AtomicOp::FetchOr
            | AtomicOp::FetchAnd
            | AtomicOp::FetchXor
            | AtomicOp::Xchg
            | AtomicOp::Cmpxchg => (5, 12, "an atomic operation other than add without fetch"),
        },
        Insn::LoadImm { value, .. } => match value {
            Wide::Imm(_) | Wide::Map(_) | Wide::MapValue { .. } => return None,
            Wide::BtfId { .. } => (5, 10, "a reference to a kernel variable"),
            Wide::Func(_) => (5, 13, "a callback"),
            Wide::MapIdx(_) | Wide::MapIdxValue { .. } => (5, 14, "a map by index"),
        },
        Insn::Call(Callee::Kfunc { off, .. }) if off > 0 => (5, 16, "a function of a module"),
        Insn::Call(Callee::Kfunc { .. }) => (5, 13, "a call of a kernel function"),
        Insn::Alu { .. }
        | Insn::Mov { .. }
        | Insn::Neg { .. }
        | Insn::Endian { .. }
        | Insn::WideTail
        | Insn::Load { .. }
        | Insn::Store { .. }
        | Insn::Jump { .. }
        | Insn::Branch { .. }
        | Insn::Call(Callee::Helper(_) | Callee::Local(_))
        | Insn::CallX { .. }
        | Insn::Exit
        | Insn::LegacyPacket { .. } => return None,
    };
    Some((KernelVersion::new(major, minor), name))
}

/// Flags of maps that are younger than Linux 5.4, as far as a program notices: loaders leave out what a kernel does not know
/// of the others.
pub const MAP_FLAGS: &[(MapFlags, KernelVersion, &str)] = &[
    (MapFlags::PRESERVE_ELEMS, KernelVersion::new(5, 10), "BPF_F_PRESERVE_ELEMS"),
    (MapFlags::INNER_MAP, KernelVersion::new(5, 10), "BPF_F_INNER_MAP"),
    (MapFlags::LINK, KernelVersion::new(6, 4), "BPF_F_LINK"),
    (MapFlags::SEGV_ON_FAULT, KernelVersion::new(6, 9), "BPF_F_SEGV_ON_FAULT"),
    (MapFlags::NO_USER_CONV, KernelVersion::new(6, 9), "BPF_F_NO_USER_CONV"),
];

impl FieldKind {
    /// The first release with such fields of map values.
    pub const fn since(self) -> KernelVersion {
        let (major, minor) = match self {
            FieldKind::SpinLock => (5, 1),
            FieldKind::Timer => (5, 15),
            FieldKind::KptrUnref | FieldKind::KptrRef => (5, 19),
            FieldKind::ListHead => (6, 2),
            FieldKind::RbRoot => (6, 3),
            FieldKind::Refcount => (6, 4),
            FieldKind::ListNode => (6, 2),
            FieldKind::RbNode => (6, 3),
            FieldKind::KptrPercpu => (6, 7),
            FieldKind::Workqueue => (6, 10),
            FieldKind::Uptr => (6, 13),
            FieldKind::ResSpinLock => (6, 15),
            FieldKind::TaskWork => (6, 18),
        };
        KernelVersion::new(major, minor)
    }
}

/// Helpers that program types got later than there was the helper: number, the first of the measured releases that has it, types.
const LATER: &[(u32, (u8, u8), &[ProgType])] = &[
    // get_current_pid_tgid
    (14, (6, 1), &[ProgType::CgroupDevice, ProgType::CgroupSockopt, ProgType::CgroupSysctl]),
    // get_current_pid_tgid
    (
        14,
        (6, 12),
        &[
            ProgType::CgroupSkb,
            ProgType::FlowDissector,
            ProgType::LwtIn,
            ProgType::LwtOut,
            ProgType::LwtSeg6local,
            ProgType::LwtXmit,
            ProgType::SchedAct,
            ProgType::SchedCls,
            ProgType::SkLookup,
            ProgType::SkReuseport,
            ProgType::SkSkb,
            ProgType::SockOps,
            ProgType::SocketFilter,
            ProgType::StructOps,
            ProgType::Xdp,
        ],
    ),
    // get_current_uid_gid
    (
        15,
        (6, 17),
        &[
            ProgType::CgroupSkb,
            ProgType::FlowDissector,
            ProgType::LwtIn,
            ProgType::LwtOut,
            ProgType::LwtSeg6local,
            ProgType::LwtXmit,
            ProgType::Netfilter,
            ProgType::SchedAct,
            ProgType::SchedCls,
            ProgType::SkLookup,
            ProgType::SkReuseport,
            ProgType::SkSkb,
            ProgType::SockOps,
            ProgType::SocketFilter,
            ProgType::StructOps,
            ProgType::Xdp,
        ],
    ),
    // get_current_comm
    (16, (6, 1), &[ProgType::CgroupDevice, ProgType::CgroupSockopt, ProgType::CgroupSysctl]),
    // get_current_comm
    (
        16,
        (6, 17),
        &[
            ProgType::CgroupSkb,
            ProgType::FlowDissector,
            ProgType::LwtIn,
            ProgType::LwtOut,
            ProgType::LwtSeg6local,
            ProgType::LwtXmit,
            ProgType::Netfilter,
            ProgType::SchedAct,
            ProgType::SchedCls,
            ProgType::SkLookup,
            ProgType::SkMsg,
            ProgType::SkReuseport,
            ProgType::SkSkb,
            ProgType::SockOps,
            ProgType::SocketFilter,
            ProgType::StructOps,
            ProgType::Xdp,
        ],
    ),
    // get_cgroup_classid
    (17, (6, 1), &[ProgType::CgroupDevice, ProgType::CgroupSockopt, ProgType::CgroupSysctl]),
    // get_cgroup_classid
    (
        17,
        (6, 17),
        &[
            ProgType::CgroupSkb,
            ProgType::FlowDissector,
            ProgType::Kprobe,
            ProgType::Lsm,
            ProgType::Netfilter,
            ProgType::PerfEvent,
            ProgType::RawTracepoint,
            ProgType::RawTracepointWritable,
            ProgType::SkLookup,
            ProgType::SkReuseport,
            ProgType::SkSkb,
            ProgType::SockOps,
            ProgType::SocketFilter,
            ProgType::StructOps,
            ProgType::Syscall,
            ProgType::Tracepoint,
            ProgType::Tracing,
            ProgType::Xdp,
        ],
    ),
    // perf_event_read
    (
        22,
        (6, 17),
        &[
            ProgType::CgroupDevice,
            ProgType::CgroupSkb,
            ProgType::CgroupSock,
            ProgType::CgroupSockAddr,
            ProgType::CgroupSockopt,
            ProgType::CgroupSysctl,
            ProgType::FlowDissector,
            ProgType::LwtIn,
            ProgType::LwtOut,
            ProgType::LwtSeg6local,
            ProgType::LwtXmit,
            ProgType::Netfilter,
            ProgType::SchedAct,
            ProgType::SchedCls,
            ProgType::SkLookup,
            ProgType::SkMsg,
            ProgType::SkReuseport,
            ProgType::SkSkb,
            ProgType::SockOps,
            ProgType::SocketFilter,
            ProgType::StructOps,
            ProgType::Xdp,
        ],
    ),
    // current_task_under_cgroup
    (
        37,
        (6, 12),
        &[
            ProgType::CgroupDevice,
            ProgType::CgroupSock,
            ProgType::CgroupSockAddr,
            ProgType::CgroupSockopt,
            ProgType::CgroupSysctl,
        ],
    ),
    // current_task_under_cgroup
    (
        37,
        (6, 17),
        &[
            ProgType::CgroupSkb,
            ProgType::FlowDissector,
            ProgType::LwtIn,
            ProgType::LwtOut,
            ProgType::LwtSeg6local,
            ProgType::LwtXmit,
            ProgType::Netfilter,
            ProgType::SchedAct,
            ProgType::SchedCls,
            ProgType::SkLookup,
            ProgType::SkMsg,
            ProgType::SkReuseport,
            ProgType::SkSkb,
            ProgType::SockOps,
            ProgType::SocketFilter,
            ProgType::StructOps,
            ProgType::Xdp,
        ],
    ),
    // get_socket_cookie
    (46, (6, 1), &[ProgType::Lsm, ProgType::SkReuseport, ProgType::Tracing]),
    // setsockopt
    (49, (6, 1), &[ProgType::CgroupSockAddr, ProgType::CgroupSockopt]),
    // perf_event_read_value
    (
        55,
        (6, 17),
        &[
            ProgType::CgroupDevice,
            ProgType::CgroupSkb,
            ProgType::CgroupSock,
            ProgType::CgroupSockAddr,
            ProgType::CgroupSockopt,
            ProgType::CgroupSysctl,
            ProgType::FlowDissector,
            ProgType::LwtIn,
            ProgType::LwtOut,
            ProgType::LwtSeg6local,
            ProgType::LwtXmit,
            ProgType::Netfilter,
            ProgType::SchedAct,
            ProgType::SchedCls,
            ProgType::SkLookup,
            ProgType::SkMsg,
            ProgType::SkReuseport,
            ProgType::SkSkb,
            ProgType::SockOps,
            ProgType::SocketFilter,
            ProgType::StructOps,
            ProgType::Xdp,
        ],
    ),
    // getsockopt
    (57, (6, 1), &[ProgType::CgroupSockAddr, ProgType::CgroupSockopt]),
    // get_current_cgroup_id
    (
        80,
        (6, 12),
        &[
            ProgType::CgroupSkb,
            ProgType::FlowDissector,
            ProgType::LwtIn,
            ProgType::LwtOut,
            ProgType::LwtSeg6local,
            ProgType::LwtXmit,
            ProgType::SchedAct,
            ProgType::SchedCls,
            ProgType::SkLookup,
            ProgType::SkReuseport,
            ProgType::SkSkb,
            ProgType::SockOps,
            ProgType::SocketFilter,
            ProgType::StructOps,
            ProgType::Xdp,
        ],
    ),
    // spin_lock
    (
        93,
        (6, 1),
        &[
            ProgType::Kprobe,
            ProgType::Lsm,
            ProgType::PerfEvent,
            ProgType::RawTracepoint,
            ProgType::RawTracepointWritable,
            ProgType::Tracepoint,
            ProgType::Tracing,
        ],
    ),
    // spin_unlock
    (
        94,
        (6, 1),
        &[
            ProgType::Kprobe,
            ProgType::Lsm,
            ProgType::PerfEvent,
            ProgType::RawTracepoint,
            ProgType::RawTracepointWritable,
            ProgType::Tracepoint,
            ProgType::Tracing,
        ],
    ),
    // strtol
    (
        105,
        (6, 1),
        &[
            ProgType::CgroupDevice,
            ProgType::CgroupSkb,
            ProgType::CgroupSock,
            ProgType::CgroupSockAddr,
            ProgType::CgroupSockopt,
            ProgType::FlowDissector,
            ProgType::Kprobe,
            ProgType::Lsm,
            ProgType::LwtIn,
            ProgType::LwtOut,
            ProgType::LwtSeg6local,
            ProgType::LwtXmit,
            ProgType::PerfEvent,
            ProgType::RawTracepoint,
            ProgType::RawTracepointWritable,
            ProgType::SchedAct,
            ProgType::SchedCls,
            ProgType::SkLookup,
            ProgType::SkMsg,
            ProgType::SkReuseport,
            ProgType::SkSkb,
            ProgType::SockOps,
            ProgType::SocketFilter,
            ProgType::Tracepoint,
            ProgType::Tracing,
            ProgType::Xdp,
        ],
    ),
    // strtoul
    (
        106,
        (6, 1),
        &[
            ProgType::CgroupDevice,
            ProgType::CgroupSkb,
            ProgType::CgroupSock,
            ProgType::CgroupSockAddr,
            ProgType::CgroupSockopt,
            ProgType::FlowDissector,
            ProgType::Kprobe,
            ProgType::Lsm,
            ProgType::LwtIn,
            ProgType::LwtOut,
            ProgType::LwtSeg6local,
            ProgType::LwtXmit,
            ProgType::PerfEvent,
            ProgType::RawTracepoint,
            ProgType::RawTracepointWritable,
            ProgType::SchedAct,
            ProgType::SchedCls,
            ProgType::SkLookup,
            ProgType::SkMsg,
            ProgType::SkReuseport,
            ProgType::SkSkb,
            ProgType::SockOps,
            ProgType::SocketFilter,
            ProgType::Tracepoint,
            ProgType::Tracing,
            ProgType::Xdp,
        ],
    ),
    // sk_storage_get
    (107, (6, 1), &[ProgType::Tracing]),
    // sk_storage_delete
    (108, (6, 1), &[ProgType::Tracing]),
    // send_signal
    (
        109,
        (6, 17),
        &[
            ProgType::CgroupDevice,
            ProgType::CgroupSkb,
            ProgType::CgroupSock,
            ProgType::CgroupSockAddr,
            ProgType::CgroupSockopt,
            ProgType::CgroupSysctl,
            ProgType::FlowDissector,
            ProgType::LwtIn,
            ProgType::LwtOut,
            ProgType::LwtSeg6local,
            ProgType::LwtXmit,
            ProgType::Netfilter,
            ProgType::SchedAct,
            ProgType::SchedCls,
            ProgType::SkLookup,
            ProgType::SkMsg,
            ProgType::SkReuseport,
            ProgType::SkSkb,
            ProgType::SockOps,
            ProgType::SocketFilter,
            ProgType::StructOps,
            ProgType::Xdp,
        ],
    ),
    // send_signal_thread
    (
        117,
        (6, 17),
        &[
            ProgType::CgroupDevice,
            ProgType::CgroupSkb,
            ProgType::CgroupSock,
            ProgType::CgroupSockAddr,
            ProgType::CgroupSockopt,
            ProgType::CgroupSysctl,
            ProgType::FlowDissector,
            ProgType::LwtIn,
            ProgType::LwtOut,
            ProgType::LwtSeg6local,
            ProgType::LwtXmit,
            ProgType::Netfilter,
            ProgType::SchedAct,
            ProgType::SchedCls,
            ProgType::SkLookup,
            ProgType::SkMsg,
            ProgType::SkReuseport,
            ProgType::SkSkb,
            ProgType::SockOps,
            ProgType::SocketFilter,
            ProgType::StructOps,
            ProgType::Xdp,
        ],
    ),
    // get_ns_current_pid_tgid
    (
        120,
        (6, 12),
        &[
            ProgType::CgroupDevice,
            ProgType::CgroupSkb,
            ProgType::CgroupSock,
            ProgType::CgroupSockAddr,
            ProgType::CgroupSockopt,
            ProgType::CgroupSysctl,
            ProgType::FlowDissector,
            ProgType::LwtIn,
            ProgType::LwtOut,
            ProgType::LwtSeg6local,
            ProgType::LwtXmit,
            ProgType::SchedAct,
            ProgType::SchedCls,
            ProgType::SkLookup,
            ProgType::SkMsg,
            ProgType::SkReuseport,
            ProgType::SkSkb,
            ProgType::SockOps,
            ProgType::SocketFilter,
            ProgType::StructOps,
            ProgType::Xdp,
        ],
    ),
    // get_netns_cookie
    (122, (6, 1), &[ProgType::CgroupSockopt, ProgType::SkMsg, ProgType::SockOps]),
    // get_netns_cookie
    (122, (6, 17), &[ProgType::CgroupSkb, ProgType::SchedAct, ProgType::SchedCls, ProgType::SocketFilter]),
    // get_current_ancestor_cgroup_id
    (
        123,
        (6, 1),
        &[
            ProgType::CgroupDevice,
            ProgType::CgroupSockopt,
            ProgType::CgroupSysctl,
            ProgType::Kprobe,
            ProgType::Lsm,
            ProgType::PerfEvent,
            ProgType::RawTracepoint,
            ProgType::RawTracepointWritable,
            ProgType::Tracepoint,
            ProgType::Tracing,
        ],
    ),
    // get_current_ancestor_cgroup_id
    (
        123,
        (6, 12),
        &[
            ProgType::CgroupSkb,
            ProgType::FlowDissector,
            ProgType::LwtIn,
            ProgType::LwtOut,
            ProgType::LwtSeg6local,
            ProgType::LwtXmit,
            ProgType::SchedAct,
            ProgType::SchedCls,
            ProgType::SkLookup,
            ProgType::SkReuseport,
            ProgType::SkSkb,
            ProgType::SockOps,
            ProgType::SocketFilter,
            ProgType::StructOps,
            ProgType::Xdp,
        ],
    ),
    // get_task_stack
    (
        141,
        (6, 17),
        &[
            ProgType::CgroupDevice,
            ProgType::CgroupSkb,
            ProgType::CgroupSock,
            ProgType::CgroupSockAddr,
            ProgType::CgroupSockopt,
            ProgType::CgroupSysctl,
            ProgType::FlowDissector,
            ProgType::LwtIn,
            ProgType::LwtOut,
            ProgType::LwtSeg6local,
            ProgType::LwtXmit,
            ProgType::Netfilter,
            ProgType::SchedAct,
            ProgType::SchedCls,
            ProgType::SkLookup,
            ProgType::SkMsg,
            ProgType::SkReuseport,
            ProgType::SkSkb,
            ProgType::SockOps,
            ProgType::SocketFilter,
            ProgType::StructOps,
            ProgType::Xdp,
        ],
    ),
    // task_storage_get
    (
        156,
        (6, 17),
        &[
            ProgType::CgroupDevice,
            ProgType::CgroupSkb,
            ProgType::CgroupSock,
            ProgType::CgroupSockAddr,
            ProgType::CgroupSockopt,
            ProgType::CgroupSysctl,
            ProgType::FlowDissector,
            ProgType::LwtIn,
            ProgType::LwtOut,
            ProgType::LwtSeg6local,
            ProgType::LwtXmit,
            ProgType::Netfilter,
            ProgType::SchedAct,
            ProgType::SchedCls,
            ProgType::SkLookup,
            ProgType::SkMsg,
            ProgType::SkReuseport,
            ProgType::SkSkb,
            ProgType::SockOps,
            ProgType::SocketFilter,
            ProgType::StructOps,
            ProgType::Xdp,
        ],
    ),
    // task_storage_delete
    (
        157,
        (6, 17),
        &[
            ProgType::CgroupDevice,
            ProgType::CgroupSkb,
            ProgType::CgroupSock,
            ProgType::CgroupSockAddr,
            ProgType::CgroupSockopt,
            ProgType::CgroupSysctl,
            ProgType::FlowDissector,
            ProgType::LwtIn,
            ProgType::LwtOut,
            ProgType::LwtSeg6local,
            ProgType::LwtXmit,
            ProgType::Netfilter,
            ProgType::SchedAct,
            ProgType::SchedCls,
            ProgType::SkLookup,
            ProgType::SkMsg,
            ProgType::SkReuseport,
            ProgType::SkSkb,
            ProgType::SockOps,
            ProgType::SocketFilter,
            ProgType::StructOps,
            ProgType::Xdp,
        ],
    ),
    // get_attach_cookie
    (174, (6, 12), &[ProgType::RawTracepoint, ProgType::RawTracepointWritable, ProgType::Tracing]),
    // get_branch_snapshot
    (
        176,
        (6, 17),
        &[
            ProgType::CgroupDevice,
            ProgType::CgroupSkb,
            ProgType::CgroupSock,
            ProgType::CgroupSockAddr,
            ProgType::CgroupSockopt,
            ProgType::CgroupSysctl,
            ProgType::FlowDissector,
            ProgType::LwtIn,
            ProgType::LwtOut,
            ProgType::LwtSeg6local,
            ProgType::LwtXmit,
            ProgType::Netfilter,
            ProgType::SchedAct,
            ProgType::SchedCls,
            ProgType::SkLookup,
            ProgType::SkMsg,
            ProgType::SkReuseport,
            ProgType::SkSkb,
            ProgType::SockOps,
            ProgType::SocketFilter,
            ProgType::StructOps,
            ProgType::Xdp,
        ],
    ),
    // find_vma
    (
        180,
        (6, 17),
        &[
            ProgType::CgroupDevice,
            ProgType::CgroupSkb,
            ProgType::CgroupSock,
            ProgType::CgroupSockAddr,
            ProgType::CgroupSockopt,
            ProgType::CgroupSysctl,
            ProgType::FlowDissector,
            ProgType::LwtIn,
            ProgType::LwtOut,
            ProgType::LwtSeg6local,
            ProgType::LwtXmit,
            ProgType::Netfilter,
            ProgType::SchedAct,
            ProgType::SchedCls,
            ProgType::SkLookup,
            ProgType::SkMsg,
            ProgType::SkReuseport,
            ProgType::SkSkb,
            ProgType::SockOps,
            ProgType::SocketFilter,
            ProgType::StructOps,
            ProgType::Xdp,
        ],
    ),
];

/// Kernel functions by the release that brought them; where that is not known, by the first measured one that has them.
const KFUNCS: &[((u8, u8), &[&str])] = &[
    (
        (5, 10),
        &[
            "bpf_fentry_test1",
            "bpf_modify_return_test",
            "crash_kexec",
            "tcp_cong_avoid_ai",
            "tcp_reno_cong_avoid",
            "tcp_reno_ssthresh",
            "tcp_reno_undo_cwnd",
            "tcp_slow_start",
        ],
    ),
    (
        (6, 1),
        &[
            "bpf_key_put",
            "bpf_kfunc_call_memb_release",
            "bpf_kfunc_call_test_release",
            "bpf_lookup_system_key",
            "bpf_lookup_user_key",
            "bpf_verify_pkcs7_signature",
            "cubictcp_acked",
            "cubictcp_cong_avoid",
            "cubictcp_cwnd_event",
            "cubictcp_init",
            "cubictcp_recalc_ssthresh",
            "cubictcp_state",
        ],
    ),
    (
        (6, 2),
        &[
            "bpf_cast_to_kern_ctx",
            "bpf_cgroup_acquire",
            "bpf_cgroup_release",
            "bpf_list_pop_back",
            "bpf_list_pop_front",
            "bpf_list_push_back_impl",
            "bpf_list_push_front_impl",
            "bpf_obj_drop_impl",
            "bpf_obj_new_impl",
            "bpf_rcu_read_lock",
            "bpf_rcu_read_unlock",
            "bpf_rdonly_cast",
            "bpf_task_acquire",
            "bpf_task_release",
        ],
    ),
    (
        (6, 3),
        &[
            "bpf_rbtree_add_impl",
            "bpf_rbtree_first",
            "bpf_rbtree_remove",
            "bpf_xdp_metadata_rx_hash",
            "bpf_xdp_metadata_rx_timestamp",
        ],
    ),
    (
        (6, 4),
        &[
            "bpf_dynptr_from_skb",
            "bpf_dynptr_from_xdp",
            "bpf_dynptr_slice",
            "bpf_dynptr_slice_rdwr",
            "bpf_iter_num_destroy",
            "bpf_iter_num_new",
            "bpf_iter_num_next",
            "bpf_refcount_acquire_impl",
        ],
    ),
    (
        (6, 5),
        &[
            "bpf_dynptr_adjust",
            "bpf_dynptr_clone",
            "bpf_dynptr_is_null",
            "bpf_dynptr_is_rdonly",
            "bpf_dynptr_size",
            "bpf_sock_destroy",
            "bpf_task_under_cgroup",
        ],
    ),
    ((6, 6), &["bpf_map_sum_elem_count"]),
    (
        (6, 7),
        &[
            "bpf_iter_css_destroy",
            "bpf_iter_css_new",
            "bpf_iter_css_next",
            "bpf_iter_css_task_destroy",
            "bpf_iter_css_task_new",
            "bpf_iter_css_task_next",
            "bpf_iter_task_destroy",
            "bpf_iter_task_new",
            "bpf_iter_task_next",
            "bpf_iter_task_vma_destroy",
            "bpf_iter_task_vma_new",
            "bpf_iter_task_vma_next",
            "bpf_percpu_obj_drop_impl",
            "bpf_percpu_obj_new_impl",
            "bpf_sock_addr_set_sun_path",
            "bpf_throw",
        ],
    ),
    (
        (6, 8),
        &[
            "bpf_get_file_xattr",
            "bpf_get_fsverity_digest",
            "bpf_task_get_cgroup1",
            "bpf_xdp_get_xfrm_state",
            "bpf_xdp_metadata_rx_vlan_tag",
        ],
    ),
    ((6, 9), &["bpf_arena_alloc_pages", "bpf_arena_free_pages", "bpf_sk_assign_tcp_reqsk"]),
    (
        (6, 10),
        &[
            "bpf_preempt_disable",
            "bpf_preempt_enable",
            "bpf_session_cookie",
            "bpf_session_is_return",
            "bpf_wq_init",
            "bpf_wq_set_callback_impl",
            "bpf_wq_start",
        ],
    ),
    ((6, 11), &["bpf_iter_bits_destroy", "bpf_iter_bits_new", "bpf_iter_bits_next"]),
    (
        (6, 12),
        &[
            "bpf_cgroup_ancestor",
            "bpf_cgroup_from_id",
            "bpf_copy_from_user_str",
            "bpf_cpumask_acquire",
            "bpf_cpumask_and",
            "bpf_cpumask_any_and_distribute",
            "bpf_cpumask_any_distribute",
            "bpf_cpumask_clear",
            "bpf_cpumask_clear_cpu",
            "bpf_cpumask_copy",
            "bpf_cpumask_create",
            "bpf_cpumask_empty",
            "bpf_cpumask_equal",
            "bpf_cpumask_first",
            "bpf_cpumask_first_and",
            "bpf_cpumask_first_zero",
            "bpf_cpumask_full",
            "bpf_cpumask_intersects",
            "bpf_cpumask_or",
            "bpf_cpumask_release",
            "bpf_cpumask_set_cpu",
            "bpf_cpumask_setall",
            "bpf_cpumask_subset",
            "bpf_cpumask_test_and_clear_cpu",
            "bpf_cpumask_test_and_set_cpu",
            "bpf_cpumask_test_cpu",
            "bpf_cpumask_weight",
            "bpf_cpumask_xor",
            "bpf_crypto_ctx_acquire",
            "bpf_crypto_ctx_create",
            "bpf_crypto_ctx_release",
            "bpf_crypto_decrypt",
            "bpf_crypto_encrypt",
            "bpf_get_dentry_xattr",
            "bpf_get_task_exe_file",
            "bpf_modify_return_test2",
            "bpf_modify_return_test_tp",
            "bpf_path_d_path",
            "bpf_put_file",
            "bpf_task_from_pid",
            "bpf_xdp_xfrm_state_release",
            "update_socket_protocol",
        ],
    ),
    ((6, 13), &["bpf_get_kmem_cache", "bpf_send_signal_task"]),
    ((6, 14), &["bpf_local_irq_restore", "bpf_local_irq_save"]),
    (
        (6, 15),
        &[
            "bpf_copy_from_user_task_str",
            "bpf_dynptr_copy",
            "bpf_remove_dentry_xattr",
            "bpf_res_spin_lock",
            "bpf_res_spin_lock_irqsave",
            "bpf_res_spin_unlock",
            "bpf_res_spin_unlock_irqrestore",
            "bpf_set_dentry_xattr",
        ],
    ),
    ((6, 16), &["bpf_list_back", "bpf_list_front", "bpf_rbtree_left", "bpf_rbtree_right", "bpf_rbtree_root"]),
    (
        (6, 17),
        &[
            "__bpf_trap",
            "bpf_arena_reserve_pages",
            "bpf_cgroup_read_xattr",
            "bpf_copy_from_user_dynptr",
            "bpf_copy_from_user_str_dynptr",
            "bpf_copy_from_user_task_dynptr",
            "bpf_copy_from_user_task_str_dynptr",
            "bpf_cpumask_populate",
            "bpf_dynptr_memset",
            "bpf_iter_dmabuf_destroy",
            "bpf_iter_dmabuf_new",
            "bpf_iter_dmabuf_next",
            "bpf_iter_kmem_cache_destroy",
            "bpf_iter_kmem_cache_new",
            "bpf_iter_kmem_cache_next",
            "bpf_iter_scx_dsq_destroy",
            "bpf_iter_scx_dsq_new",
            "bpf_iter_scx_dsq_next",
            "bpf_kfree_skb",
            "bpf_probe_read_kernel_dynptr",
            "bpf_probe_read_kernel_str_dynptr",
            "bpf_probe_read_user_dynptr",
            "bpf_probe_read_user_str_dynptr",
            "bpf_qdisc_bstats_update",
            "bpf_qdisc_init_prologue",
            "bpf_qdisc_reset_destroy_epilogue",
            "bpf_qdisc_skb_drop",
            "bpf_qdisc_watchdog_schedule",
            "bpf_skb_get_hash",
            "bpf_sock_ops_enable_tx_tstamp",
            "bpf_strchr",
            "bpf_strchrnul",
            "bpf_strcmp",
            "bpf_strcspn",
            "bpf_strlen",
            "bpf_strnchr",
            "bpf_strnlen",
            "bpf_strnstr",
            "bpf_strrchr",
            "bpf_strspn",
            "bpf_strstr",
            "bpf_task_from_vpid",
            "css_rstat_flush",
            "css_rstat_updated",
            "scx_bpf_cpu_node",
            "scx_bpf_cpu_rq",
            "scx_bpf_cpuperf_cap",
            "scx_bpf_cpuperf_cur",
            "scx_bpf_cpuperf_set",
            "scx_bpf_create_dsq",
            "scx_bpf_destroy_dsq",
            "scx_bpf_dispatch_cancel",
            "scx_bpf_dispatch_nr_slots",
            "scx_bpf_dsq_insert",
            "scx_bpf_dsq_insert_vtime",
            "scx_bpf_dsq_move",
            "scx_bpf_dsq_move_set_slice",
            "scx_bpf_dsq_move_set_vtime",
            "scx_bpf_dsq_move_to_local",
            "scx_bpf_dsq_move_vtime",
            "scx_bpf_dsq_nr_queued",
            "scx_bpf_dump_bstr",
            "scx_bpf_error_bstr",
            "scx_bpf_events",
            "scx_bpf_exit_bstr",
            "scx_bpf_get_idle_cpumask",
            "scx_bpf_get_idle_cpumask_node",
            "scx_bpf_get_idle_smtmask",
            "scx_bpf_get_idle_smtmask_node",
            "scx_bpf_get_online_cpumask",
            "scx_bpf_get_possible_cpumask",
            "scx_bpf_kick_cpu",
            "scx_bpf_now",
            "scx_bpf_nr_cpu_ids",
            "scx_bpf_nr_node_ids",
            "scx_bpf_pick_any_cpu",
            "scx_bpf_pick_any_cpu_node",
            "scx_bpf_pick_idle_cpu",
            "scx_bpf_pick_idle_cpu_node",
            "scx_bpf_put_cpumask",
            "scx_bpf_put_idle_cpumask",
            "scx_bpf_reenqueue_local",
            "scx_bpf_select_cpu_and",
            "scx_bpf_select_cpu_dfl",
            "scx_bpf_task_cgroup",
            "scx_bpf_task_cpu",
            "scx_bpf_task_running",
            "scx_bpf_test_and_clear_cpu_idle",
        ],
    ),
    (
        (6, 18),
        &[
            "bpf_dynptr_from_skb_meta",
            "bpf_strcasecmp",
            "bpf_stream_vprintk_impl",
            "bpf_task_work_schedule_resume_impl",
            "bpf_task_work_schedule_signal_impl",
            "bpf_xdp_pull_data",
            "scx_bpf_cpu_curr",
            "scx_bpf_locked_rq",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    const fn v(major: u8, minor: u8) -> KernelVersion {
        KernelVersion::new(major, minor)
    }

    #[test]
    fn releases_follow_one_another() {
        let all = KernelVersion::RELEASES;
        assert_eq!((all.first(), all.last()), (Some(&v(5, 4)), Some(&v(7, 3))));
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(KernelVersion::LONG_TERM.iter().all(|release| all.contains(release)));
    }

    #[test]
    fn helpers_by_program_type() {
        assert_eq!(helper_in(helpers::id::LOOP, ProgType::Xdp), Some(v(5, 17)));
        assert_eq!(helper_in(helpers::id::GET_CURRENT_COMM, ProgType::Xdp), Some(v(6, 17)));
        assert_eq!(helper_in(helpers::id::GET_CURRENT_COMM, ProgType::Kprobe), Some(v(4, 2)));
        assert_eq!(helper_in(9999, ProgType::Xdp), None);
        assert!(LATER.iter().all(|(id, _, _)| helpers::helper_since(*id).is_some()));
    }

    #[test]
    fn kernel_functions_by_name() {
        assert_eq!(kfunc_since("bpf_iter_num_new"), Some(v(6, 4)));
        assert_eq!(kfunc_since("bpf_throw"), Some(v(6, 7)));
        assert_eq!(kfunc_since("bpf_testmod_ctx_create"), None);
        let known = |(_, names): &((u8, u8), &[&str])| names.iter().all(|name| crate::kfunc(name).is_some());
        assert!(KFUNCS.iter().filter(|row| known(row)).count() > KFUNCS.len() / 2);
    }
}
