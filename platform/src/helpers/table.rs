//! The prototypes of Linux 6.18's helpers, and to which programs each is offered.
//!
//! A helper has several rows where its prototype differs between program types. Rows of struct_ops programs hold for all
//! of TCP congestion control, sched_ext and HID-BPF; what only one of them may call is not offered.

use super::{ArgFlags, ArgKind, ArgType, Condition, Hook, Proto, RetKind, RetType, helper_name, helper_since, id};
use crate::ProgType::*;
use crate::{AttachType, ProgSet};

const fn of(types: &[crate::ProgType]) -> ProgSet {
    ProgSet::of(types)
}

const fn arg(kind: ArgKind) -> ArgType {
    ArgType { kind, flags: ArgFlags::NONE }
}

const fn btf(name: &'static str) -> ArgType {
    arg(ArgKind::BtfId(name))
}

/// Memory of this many bytes.
const fn fixed_mem(size: u32) -> ArgType {
    arg(ArgKind::FixedMem(size))
}

const CTX: ArgType = arg(ArgKind::Ctx);
const ANY: ArgType = arg(ArgKind::Anything);
const MAP: ArgType = arg(ArgKind::ConstMapPtr);
const KEY: ArgType = arg(ArgKind::MapKey);
const VALUE: ArgType = arg(ArgKind::MapValue);
const MEM: ArgType = arg(ArgKind::Mem);
const SIZE: ArgType = arg(ArgKind::ConstSize);
const SIZE0: ArgType = arg(ArgKind::ConstSizeOrZero);
const ALLOC_SIZE0: ArgType = arg(ArgKind::ConstAllocSizeOrZero);
const SPIN_LOCK: ArgType = arg(ArgKind::SpinLock);
const SOCK_COMMON: ArgType = arg(ArgKind::SockCommon);
const BTF_SOCK_COMMON: ArgType = arg(ArgKind::BtfSockCommon);
const SOCKET: ArgType = arg(ArgKind::Socket);
const PERCPU_BTF: ArgType = arg(ArgKind::PercpuBtfId);
const RINGBUF_MEM: ArgType = arg(ArgKind::RingbufMem);
const TIMER: ArgType = arg(ArgKind::Timer);
const STACK: ArgType = arg(ArgKind::Stack);
const FUNC: ArgType = arg(ArgKind::Func);
const CONST_STR: ArgType = arg(ArgKind::ConstStr);
const KPTR_DEST: ArgType = arg(ArgKind::KptrXchgDest);
const DYNPTR: ArgType = arg(ArgKind::Dynptr);

impl ArgType {
    const fn with(self, flags: ArgFlags) -> ArgType {
        ArgType { kind: self.kind, flags: self.flags.or(flags) }
    }

    const fn or_null(self) -> ArgType {
        self.with(ArgFlags::MAYBE_NULL)
    }

    const fn rdonly(self) -> ArgType {
        self.with(ArgFlags::RDONLY)
    }

    const fn write(self) -> ArgType {
        self.with(ArgFlags::WRITE)
    }

    /// Written by the helper, and need not be initialised.
    const fn uninit(self) -> ArgType {
        self.with(ArgFlags::UNINIT.or(ArgFlags::WRITE))
    }

    const fn aligned(self) -> ArgType {
        self.with(ArgFlags::ALIGNED)
    }

    const fn release(self) -> ArgType {
        self.with(ArgFlags::RELEASE)
    }

    const fn local(self) -> ArgType {
        self.with(ArgFlags::DYNPTR_LOCAL)
    }

    const fn ringbuf(self) -> ArgType {
        self.with(ArgFlags::DYNPTR_RINGBUF)
    }
}

const fn ret(kind: RetKind) -> RetType {
    RetType { kind, maybe_null: false, rdonly: false }
}

const fn ret_btf(name: &'static str) -> RetType {
    ret(RetKind::BtfId(name))
}

const fn ret_trusted(name: &'static str) -> RetType {
    ret(RetKind::BtfIdTrusted(name))
}

const INTEGER: RetType = ret(RetKind::Integer);
const VOID: RetType = ret(RetKind::Void);
const RET_VALUE: RetType = ret(RetKind::MapValue);
const RET_SOCKET: RetType = ret(RetKind::Socket);
const RET_SOCK_COMMON: RetType = ret(RetKind::SockCommon);
const RET_TCP_SOCK: RetType = ret(RetKind::TcpSock);
const RET_RINGBUF_MEM: RetType = ret(RetKind::RingbufMem);
const RET_DYNPTR_MEM: RetType = ret(RetKind::DynptrMem);
const RET_MEM_OR_BTF: RetType = ret(RetKind::MemOrBtfId);

impl RetType {
    const fn or_null(self) -> RetType {
        RetType { maybe_null: true, ..self }
    }

    const fn rdonly(self) -> RetType {
        RetType { rdonly: true, ..self }
    }
}

/// A row; the builders below add what is less common. Numbers come from the list of helpers, so that the name is there.
const fn row(id: u32, args: &[ArgType], ret: RetType, progs: ProgSet) -> Proto {
    let mut five = [arg(ArgKind::None); 5];
    let mut i = 0;
    while i < args.len() {
        five[i] = args[i];
        i += 1;
    }
    let (Some(name), Some(since)) = (helper_name(id), helper_since(id)) else { panic!("not in the list of helpers") };
    Proto {
        id,
        name,
        args: five,
        ret,
        gpl_only: false,
        might_sleep: false,
        pkt_access: false,
        fastcall: false,
        progs,
        condition: Condition::Always,
        since,
    }
}

impl Proto {
    const fn gpl(self) -> Proto {
        Proto { gpl_only: true, ..self }
    }

    const fn sleeps(self) -> Proto {
        Proto { might_sleep: true, ..self }
    }

    const fn pkt_access(self) -> Proto {
        Proto { pkt_access: true, ..self }
    }

    const fn fastcall(self) -> Proto {
        Proto { fastcall: true, ..self }
    }

    const fn when(self, condition: Condition) -> Proto {
        Proto { condition, ..self }
    }
}

/// Every type with helpers of its own; EXT programs have those of their target.
const ALL: ProgSet = ProgSet::of(crate::ProgType::ALL).without(&[Ext]);
const ALL_BUT_LIRC: ProgSet = ALL.without(&[LircMode2]);
const BTF3: ProgSet = of(&[Tracing, Lsm, Syscall]);
const RAW_TP: ProgSet = of(&[RawTracepoint, RawTracepointWritable]);
const TRACE8: ProgSet = BTF3.or(RAW_TP).or(of(&[Kprobe, Tracepoint, PerfEvent]));
const TC: ProgSet = of(&[SchedCls, SchedAct]);
/// The functions that control congestion of TCP.
const TCP: &str = "tcp_congestion_ops";
const TCP_OPS: Condition = Condition::Ops { ops: TCP, but: "" };
const LWT: ProgSet = of(&[LwtIn, LwtOut, LwtXmit, LwtSeg6local]);
const CGROUP7: ProgSet =
    of(&[CgroupSkb, CgroupSock, CgroupSockAddr, SockOps, CgroupDevice, CgroupSysctl, CgroupSockopt]);
/// Types around packets and sockets.
const SK15: ProgSet =
    TC.or(LWT).or(of(&[SocketFilter, Xdp, CgroupSkb, CgroupSockAddr, SockOps, SkSkb, SkMsg, FlowDissector, SkLookup]));

const CONNECT_HOOKS: &[AttachType] = &[AttachType::CgroupInet4Connect, AttachType::CgroupInet6Connect];

/// Hooks of security modules that know the socket and whether it is locked: in the last two it is not, and the helper locks it.
const SOCKET_HOOKS: &[&str] =
    &["inet_conn_established", "inet_csk_clone", "sock_graft", "socket_post_create", "socket_socketpair"];

/// Socket address hooks in which the socket is locked.
const SOCKOPT_HOOKS: &[AttachType] = &[
    AttachType::CgroupInet4Bind,
    AttachType::CgroupInet6Bind,
    AttachType::CgroupInet4Connect,
    AttachType::CgroupInet6Connect,
    AttachType::CgroupUnixConnect,
    AttachType::CgroupUdp4Recvmsg,
    AttachType::CgroupUdp6Recvmsg,
    AttachType::CgroupUnixRecvmsg,
    AttachType::CgroupUdp4Sendmsg,
    AttachType::CgroupUdp6Sendmsg,
    AttachType::CgroupUnixSendmsg,
    AttachType::CgroupInet4Getpeername,
    AttachType::CgroupInet6Getpeername,
    AttachType::CgroupInet4Getsockname,
    AttachType::CgroupInet6Getsockname,
    AttachType::CgroupUnixGetpeername,
    AttachType::CgroupUnixGetsockname,
];

/// Control group hooks whose result is not a return value of a system call.
const WITHOUT_RETVAL: &[AttachType] = &[
    AttachType::CgroupInetIngress,
    AttachType::CgroupInetEgress,
    AttachType::CgroupSockOps,
    AttachType::CgroupUdp4Recvmsg,
    AttachType::CgroupUdp6Recvmsg,
    AttachType::CgroupUnixRecvmsg,
    AttachType::CgroupInet4Getpeername,
    AttachType::CgroupInet6Getpeername,
    AttachType::CgroupUnixGetpeername,
    AttachType::CgroupInet4Getsockname,
    AttachType::CgroupInet6Getsockname,
    AttachType::CgroupUnixGetsockname,
];

const KPROBE_MULTI: &[AttachType] = &[AttachType::TraceKprobeMulti, AttachType::TraceKprobeSession];
const UPROBE_MULTI: &[AttachType] = &[AttachType::TraceUprobeMulti, AttachType::TraceUprobeSession];
const MULTI: &[AttachType] = &[
    AttachType::TraceKprobeMulti,
    AttachType::TraceKprobeSession,
    AttachType::TraceUprobeMulti,
    AttachType::TraceUprobeSession,
];

/// All rows, by number.
#[rustfmt::skip]
pub(super) const PROTOS: &[Proto] = &[
    row(id::MAP_LOOKUP_ELEM, &[MAP, KEY], RET_VALUE.or_null(), ALL).pkt_access(),
    row(id::MAP_UPDATE_ELEM, &[MAP, KEY, VALUE, ANY], INTEGER, ALL).pkt_access(),
    row(id::MAP_DELETE_ELEM, &[MAP, KEY], INTEGER, ALL).pkt_access(),
    row(id::PROBE_READ, &[MEM.uninit(), SIZE0, ANY], INTEGER, TRACE8).gpl(),
    row(id::KTIME_GET_NS, &[], INTEGER, ALL),
    row(id::TRACE_PRINTK, &[MEM.rdonly(), SIZE], INTEGER, ALL).gpl(),
    row(id::GET_PRANDOM_U32, &[], INTEGER, ALL),
    row(id::GET_SMP_PROCESSOR_ID, &[], INTEGER, CGROUP7.or(of(&[SocketFilter, SkSkb, SkMsg, SkReuseport, FlowDissector, StructOps, SkLookup, Netfilter]))),
    row(id::GET_SMP_PROCESSOR_ID, &[], INTEGER, TRACE8.or(LWT).or(TC).or(of(&[Xdp]))).fastcall(),
    row(id::SKB_STORE_BYTES, &[CTX, ANY, MEM.rdonly(), SIZE, ANY], INTEGER, TC.or(of(&[LwtXmit, SkSkb]))),
    row(id::L3_CSUM_REPLACE, &[CTX, ANY, ANY, ANY, ANY], INTEGER, TC.or(of(&[LwtXmit]))),
    row(id::L4_CSUM_REPLACE, &[CTX, ANY, ANY, ANY, ANY], INTEGER, TC.or(of(&[LwtXmit]))),
    row(id::TAIL_CALL, &[CTX, MAP, ANY], VOID, ALL),
    row(id::CLONE_REDIRECT, &[CTX, ANY, ANY], INTEGER, TC.or(of(&[LwtXmit]))),
    row(id::GET_CURRENT_PID_TGID, &[], INTEGER, ALL_BUT_LIRC),
    row(id::GET_CURRENT_UID_GID, &[], INTEGER, ALL_BUT_LIRC),
    row(id::GET_CURRENT_COMM, &[MEM.uninit(), SIZE], INTEGER, ALL_BUT_LIRC),
    row(id::GET_CGROUP_CLASSID, &[], INTEGER, ALL_BUT_LIRC.without(&[SchedCls, SchedAct, LwtIn, LwtOut, LwtXmit, LwtSeg6local])),
    row(id::GET_CGROUP_CLASSID, &[CTX], INTEGER, LWT.or(TC)),
    row(id::SKB_VLAN_PUSH, &[CTX, ANY, ANY], INTEGER, TC),
    row(id::SKB_VLAN_POP, &[CTX], INTEGER, TC),
    row(id::SKB_GET_TUNNEL_KEY, &[CTX, MEM.uninit(), SIZE, ANY], INTEGER, TC.or(of(&[LwtXmit]))),
    row(id::SKB_SET_TUNNEL_KEY, &[CTX, MEM.rdonly(), SIZE, ANY], INTEGER, TC.or(of(&[LwtXmit]))),
    row(id::PERF_EVENT_READ, &[MAP, ANY], INTEGER, ALL_BUT_LIRC).gpl(),
    row(id::REDIRECT, &[ANY, ANY], INTEGER, TC.or(of(&[Xdp, LwtXmit]))),
    row(id::GET_ROUTE_REALM, &[CTX], INTEGER, LWT.or(TC)),
    row(id::PERF_EVENT_OUTPUT, &[CTX, MAP, ANY, MEM.rdonly(), SIZE0], INTEGER, ALL.without(&[LircMode2, SkReuseport, FlowDissector, StructOps, Netfilter])).gpl(),
    row(id::SKB_LOAD_BYTES, &[CTX, ANY, MEM.uninit(), SIZE], INTEGER, LWT.or(TC).or(of(&[SocketFilter, CgroupSkb, SkSkb, SkReuseport, FlowDissector]))),
    row(id::GET_STACKID, &[CTX, MAP, ANY], INTEGER, BTF3.or(RAW_TP).or(of(&[Kprobe, Tracepoint]))).gpl(),
    row(id::GET_STACKID, &[CTX, MAP, ANY], INTEGER, of(&[PerfEvent])),
    row(id::CSUM_DIFF, &[MEM.or_null().rdonly(), SIZE0, MEM.or_null().rdonly(), SIZE0, ANY], INTEGER, LWT.or(TC).or(of(&[Xdp]))).pkt_access(),
    row(id::SKB_GET_TUNNEL_OPT, &[CTX, MEM.uninit(), SIZE], INTEGER, TC.or(of(&[LwtXmit]))),
    row(id::SKB_SET_TUNNEL_OPT, &[CTX, MEM.rdonly(), SIZE], INTEGER, TC.or(of(&[LwtXmit]))),
    row(id::SKB_CHANGE_PROTO, &[CTX, ANY, ANY], INTEGER, TC),
    row(id::SKB_CHANGE_TYPE, &[CTX, ANY], INTEGER, TC),
    row(id::SKB_UNDER_CGROUP, &[CTX, MAP, ANY], INTEGER, LWT.or(TC)),
    row(id::GET_HASH_RECALC, &[CTX], INTEGER, LWT.or(TC)),
    row(id::GET_CURRENT_TASK, &[], INTEGER, ALL_BUT_LIRC).gpl(),
    row(id::PROBE_WRITE_USER, &[ANY, MEM.rdonly(), SIZE], INTEGER, TRACE8).gpl().when(Condition::Unmodelled("a kernel that is not locked down")),
    row(id::CURRENT_TASK_UNDER_CGROUP, &[MAP, ANY], INTEGER, ALL_BUT_LIRC),
    row(id::SKB_CHANGE_TAIL, &[CTX, ANY, ANY], INTEGER, TC.or(of(&[LwtXmit, SkSkb]))),
    row(id::SKB_PULL_DATA, &[CTX, ANY], INTEGER, LWT.or(TC).or(of(&[SkSkb]))),
    row(id::CSUM_UPDATE, &[CTX, ANY], INTEGER, TC.or(of(&[LwtXmit]))),
    row(id::SET_HASH_INVALID, &[CTX], INTEGER, TC.or(of(&[LwtXmit]))),
    row(id::GET_NUMA_NODE_ID, &[], INTEGER, ALL_BUT_LIRC),
    row(id::SKB_CHANGE_HEAD, &[CTX, ANY, ANY], INTEGER, TC.or(of(&[LwtXmit, SkSkb]))),
    row(id::XDP_ADJUST_HEAD, &[CTX, ANY], INTEGER, of(&[Xdp])),
    row(id::PROBE_READ_STR, &[MEM.uninit(), SIZE0, ANY], INTEGER, TRACE8).gpl(),
    row(id::GET_SOCKET_COOKIE, &[CTX], INTEGER, TC.or(of(&[SocketFilter, CgroupSkb, CgroupSock, SockOps, SkSkb, CgroupSockAddr]))),
    row(id::GET_SOCKET_COOKIE, &[BTF_SOCK_COMMON.or_null()], INTEGER, BTF3.or(of(&[SkReuseport]))),
    row(id::GET_SOCKET_UID, &[CTX], INTEGER, TC.or(of(&[SocketFilter, CgroupSkb, SkSkb]))),
    row(id::SET_HASH, &[CTX, ANY], INTEGER, TC),
    row(id::SETSOCKOPT, &[CTX, ANY, ANY, MEM.rdonly(), SIZE], INTEGER, of(&[CgroupSockAddr])).when(Condition::Attach(SOCKOPT_HOOKS)),
    row(id::SETSOCKOPT, &[CTX, ANY, ANY, MEM.rdonly(), SIZE], INTEGER, of(&[SockOps])),
    row(id::SETSOCKOPT, &[BTF_SOCK_COMMON, ANY, ANY, MEM.rdonly(), SIZE], INTEGER, of(&[StructOps])).when(Condition::Ops { ops: TCP, but: "release" }),
    row(id::SETSOCKOPT, &[BTF_SOCK_COMMON, ANY, ANY, MEM.rdonly(), SIZE], INTEGER, of(&[Tracing])).when(Condition::Iterator(&["tcp", "unix"])),
    row(id::SETSOCKOPT, &[BTF_SOCK_COMMON, ANY, ANY, MEM.rdonly(), SIZE], INTEGER, of(&[CgroupSockopt])).when(Condition::Attach(&[AttachType::CgroupSetsockopt])),
    row(id::SETSOCKOPT, &[BTF_SOCK_COMMON, ANY, ANY, MEM.rdonly(), SIZE], INTEGER, of(&[Lsm])).when(Condition::LsmCgroup(SOCKET_HOOKS)),
    row(id::SKB_ADJUST_ROOM, &[CTX, ANY, ANY, ANY], INTEGER, TC.or(of(&[SkSkb]))),
    row(id::REDIRECT_MAP, &[MAP, ANY, ANY], INTEGER, of(&[Xdp])),
    row(id::SK_REDIRECT_MAP, &[CTX, MAP, ANY, ANY], INTEGER, of(&[SkSkb])),
    row(id::SOCK_MAP_UPDATE, &[CTX, MAP, KEY, ANY], INTEGER, of(&[SockOps])).pkt_access(),
    row(id::XDP_ADJUST_META, &[CTX, ANY], INTEGER, of(&[Xdp])),
    row(id::PERF_EVENT_READ_VALUE, &[MAP, ANY, MEM.uninit(), SIZE], INTEGER, ALL_BUT_LIRC).gpl(),
    row(id::PERF_PROG_READ_VALUE, &[CTX, MEM.uninit(), SIZE], INTEGER, of(&[PerfEvent])).gpl(),
    row(id::GETSOCKOPT, &[CTX, ANY, ANY, MEM.uninit(), SIZE], INTEGER, of(&[CgroupSockAddr])).when(Condition::Attach(SOCKOPT_HOOKS)),
    row(id::GETSOCKOPT, &[CTX, ANY, ANY, MEM.uninit(), SIZE], INTEGER, of(&[SockOps])),
    row(id::GETSOCKOPT, &[BTF_SOCK_COMMON, ANY, ANY, MEM.uninit(), SIZE], INTEGER, of(&[StructOps])).when(Condition::Ops { ops: TCP, but: "release" }),
    row(id::GETSOCKOPT, &[BTF_SOCK_COMMON, ANY, ANY, MEM.uninit(), SIZE], INTEGER, of(&[Tracing])).when(Condition::Iterator(&["tcp", "unix"])),
    row(id::GETSOCKOPT, &[BTF_SOCK_COMMON, ANY, ANY, MEM.uninit(), SIZE], INTEGER, of(&[CgroupSockopt])).when(Condition::Attach(&[AttachType::CgroupSetsockopt])),
    row(id::GETSOCKOPT, &[BTF_SOCK_COMMON, ANY, ANY, MEM.uninit(), SIZE], INTEGER, of(&[Lsm])).when(Condition::LsmCgroup(SOCKET_HOOKS)),
    row(id::OVERRIDE_RETURN, &[CTX, ANY], INTEGER, of(&[Kprobe])).gpl().when(Condition::Config("CONFIG_BPF_KPROBE_OVERRIDE")),
    row(id::SOCK_OPS_CB_FLAGS_SET, &[CTX, ANY], INTEGER, of(&[SockOps])),
    row(id::MSG_REDIRECT_MAP, &[CTX, MAP, ANY, ANY], INTEGER, of(&[SkMsg])),
    row(id::MSG_APPLY_BYTES, &[CTX, ANY], INTEGER, of(&[SkMsg])),
    row(id::MSG_CORK_BYTES, &[CTX, ANY], INTEGER, of(&[SkMsg])),
    row(id::MSG_PULL_DATA, &[CTX, ANY, ANY, ANY], INTEGER, of(&[SkMsg])),
    row(id::BIND, &[CTX, MEM.rdonly(), SIZE], INTEGER, of(&[CgroupSockAddr])).when(Condition::Attach(CONNECT_HOOKS)),
    row(id::XDP_ADJUST_TAIL, &[CTX, ANY], INTEGER, of(&[Xdp])),
    row(id::SKB_GET_XFRM_STATE, &[CTX, ANY, MEM.uninit(), SIZE, ANY], INTEGER, TC),
    row(id::GET_STACK, &[CTX, MEM.uninit(), SIZE0, ANY], INTEGER, TRACE8).gpl(),
    row(id::SKB_LOAD_BYTES_RELATIVE, &[CTX, ANY, MEM.uninit(), SIZE, ANY], INTEGER, TC.or(of(&[SocketFilter, CgroupSkb, SkReuseport]))),
    row(id::FIB_LOOKUP, &[CTX, MEM.write(), SIZE, ANY], INTEGER, TC.or(of(&[Xdp]))).gpl(),
    row(id::SOCK_HASH_UPDATE, &[CTX, MAP, KEY, ANY], INTEGER, of(&[SockOps])).pkt_access(),
    row(id::MSG_REDIRECT_HASH, &[CTX, MAP, KEY, ANY], INTEGER, of(&[SkMsg])),
    row(id::SK_REDIRECT_HASH, &[CTX, MAP, KEY, ANY], INTEGER, of(&[SkSkb])),
    row(id::LWT_PUSH_ENCAP, &[CTX, ANY, MEM.rdonly(), SIZE], INTEGER, of(&[LwtIn, LwtXmit])),
    row(id::LWT_SEG6_STORE_BYTES, &[CTX, ANY, MEM.rdonly(), SIZE], INTEGER, of(&[LwtSeg6local])),
    row(id::LWT_SEG6_ADJUST_SRH, &[CTX, ANY, ANY], INTEGER, of(&[LwtSeg6local])),
    row(id::LWT_SEG6_ACTION, &[CTX, ANY, MEM.rdonly(), SIZE], INTEGER, of(&[LwtSeg6local])),
    row(id::RC_REPEAT, &[CTX], INTEGER, of(&[LircMode2])).gpl(),
    row(id::RC_KEYDOWN, &[CTX, ANY, ANY, ANY], INTEGER, of(&[LircMode2])).gpl(),
    row(id::SKB_CGROUP_ID, &[CTX], INTEGER, TC.or(of(&[CgroupSkb]))),
    row(id::GET_CURRENT_CGROUP_ID, &[], INTEGER, ALL_BUT_LIRC),
    row(id::GET_LOCAL_STORAGE, &[MAP, ANY], RET_VALUE, CGROUP7),
    row(id::GET_LOCAL_STORAGE, &[MAP, ANY], RET_VALUE, of(&[Lsm])).when(Condition::Attach(&[AttachType::LsmCgroup])),
    row(id::SK_SELECT_REUSEPORT, &[CTX, MAP, KEY, ANY], INTEGER, of(&[SkReuseport])),
    row(id::SKB_ANCESTOR_CGROUP_ID, &[CTX, ANY], INTEGER, TC.or(of(&[CgroupSkb]))),
    row(id::SK_LOOKUP_TCP, &[CTX, MEM.rdonly(), SIZE0, ANY, ANY], RET_SOCKET.or_null(), TC.or(of(&[Xdp, CgroupSkb, SkSkb]))).pkt_access(),
    row(id::SK_LOOKUP_TCP, &[CTX, MEM.rdonly(), SIZE0, ANY, ANY], RET_SOCKET.or_null(), of(&[CgroupSockAddr])),
    row(id::SK_LOOKUP_UDP, &[CTX, MEM.rdonly(), SIZE0, ANY, ANY], RET_SOCKET.or_null(), TC.or(of(&[Xdp, CgroupSkb, SkSkb]))).pkt_access(),
    row(id::SK_LOOKUP_UDP, &[CTX, MEM.rdonly(), SIZE0, ANY, ANY], RET_SOCKET.or_null(), of(&[CgroupSockAddr])),
    row(id::SK_RELEASE, &[BTF_SOCK_COMMON.release()], INTEGER, TC.or(of(&[Xdp, CgroupSkb, SkSkb, CgroupSockAddr, SkLookup]))),
    row(id::MAP_PUSH_ELEM, &[MAP, VALUE, ANY], INTEGER, ALL).pkt_access(),
    row(id::MAP_POP_ELEM, &[MAP, VALUE.uninit()], INTEGER, ALL),
    row(id::MAP_PEEK_ELEM, &[MAP, VALUE.uninit()], INTEGER, ALL),
    row(id::MSG_PUSH_DATA, &[CTX, ANY, ANY, ANY], INTEGER, of(&[SkMsg])),
    row(id::MSG_POP_DATA, &[CTX, ANY, ANY, ANY], INTEGER, of(&[SkMsg])),
    row(id::RC_POINTER_REL, &[CTX, ANY, ANY], INTEGER, of(&[LircMode2])).gpl(),
    row(id::SPIN_LOCK, &[SPIN_LOCK], VOID, ALL_BUT_LIRC),
    row(id::SPIN_UNLOCK, &[SPIN_LOCK], VOID, ALL_BUT_LIRC),
    row(id::SK_FULLSOCK, &[SOCK_COMMON], RET_SOCKET.or_null(), TC.or(of(&[CgroupSkb]))),
    row(id::TCP_SOCK, &[SOCK_COMMON], RET_TCP_SOCK.or_null(), TC.or(of(&[CgroupSkb, SockOps, CgroupSockopt]))),
    row(id::SKB_ECN_SET_CE, &[CTX], INTEGER, TC.or(of(&[CgroupSkb]))),
    row(id::GET_LISTENER_SOCK, &[SOCK_COMMON], RET_SOCKET.or_null(), TC.or(of(&[CgroupSkb]))),
    row(id::SKC_LOOKUP_TCP, &[CTX, MEM.rdonly(), SIZE0, ANY, ANY], RET_SOCK_COMMON.or_null(), TC.or(of(&[Xdp, CgroupSkb, SkSkb]))).pkt_access(),
    row(id::SKC_LOOKUP_TCP, &[CTX, MEM.rdonly(), SIZE0, ANY, ANY], RET_SOCK_COMMON.or_null(), of(&[CgroupSockAddr])),
    row(id::TCP_CHECK_SYNCOOKIE, &[BTF_SOCK_COMMON, MEM.rdonly(), SIZE, MEM.rdonly(), SIZE], INTEGER, TC.or(of(&[Xdp]))).gpl().pkt_access(),
    row(id::SYSCTL_GET_NAME, &[CTX, MEM.write(), SIZE, ANY], INTEGER, of(&[CgroupSysctl])),
    row(id::SYSCTL_GET_CURRENT_VALUE, &[CTX, MEM.uninit(), SIZE], INTEGER, of(&[CgroupSysctl])),
    row(id::SYSCTL_GET_NEW_VALUE, &[CTX, MEM.uninit(), SIZE], INTEGER, of(&[CgroupSysctl])),
    row(id::SYSCTL_SET_NEW_VALUE, &[CTX, MEM.rdonly(), SIZE], INTEGER, of(&[CgroupSysctl])),
    row(id::STRTOL, &[MEM.rdonly(), SIZE, ANY, fixed_mem(8).uninit().aligned()], INTEGER, ALL_BUT_LIRC),
    row(id::STRTOUL, &[MEM.rdonly(), SIZE, ANY, fixed_mem(8).uninit().aligned()], INTEGER, ALL_BUT_LIRC),
    row(id::SK_STORAGE_GET, &[MAP, BTF_SOCK_COMMON, VALUE.or_null(), ANY], RET_VALUE.or_null(), TC.or(of(&[CgroupSkb, SockOps, SkMsg, CgroupSockAddr, CgroupSockopt, Lsm]))),
    row(id::SK_STORAGE_GET, &[MAP, CTX, VALUE.or_null(), ANY], RET_VALUE.or_null(), of(&[CgroupSock])),
    row(id::SK_STORAGE_GET, &[MAP, btf("sock_common").or_null(), VALUE.or_null(), ANY], RET_VALUE.or_null(), of(&[Tracing, Syscall])).when(Condition::Hook(Hook::NotSocketStorage)),
    row(id::SK_STORAGE_GET, &[MAP, BTF_SOCK_COMMON, VALUE.or_null(), ANY], RET_VALUE.or_null(), of(&[StructOps])).when(TCP_OPS),
    row(id::SK_STORAGE_DELETE, &[MAP, BTF_SOCK_COMMON], INTEGER, TC.or(of(&[CgroupSkb, SockOps, SkMsg, CgroupSockAddr, CgroupSockopt, Lsm]))),
    row(id::SK_STORAGE_DELETE, &[MAP, btf("sock_common").or_null()], INTEGER, of(&[Tracing, Syscall])).when(Condition::Hook(Hook::NotSocketStorage)),
    row(id::SK_STORAGE_DELETE, &[MAP, BTF_SOCK_COMMON], INTEGER, of(&[StructOps])).when(TCP_OPS),
    row(id::SEND_SIGNAL, &[ANY], INTEGER, ALL_BUT_LIRC),
    row(id::TCP_GEN_SYNCOOKIE, &[BTF_SOCK_COMMON, MEM.rdonly(), SIZE, MEM.rdonly(), SIZE], INTEGER, TC.or(of(&[Xdp]))).gpl().pkt_access(),
    row(id::SKB_OUTPUT, &[btf("sk_buff"), MAP, ANY, MEM.rdonly(), SIZE0], INTEGER, BTF3).gpl(),
    row(id::PROBE_READ_USER, &[MEM.uninit(), SIZE0, ANY], INTEGER, ALL_BUT_LIRC).gpl(),
    row(id::PROBE_READ_KERNEL, &[MEM.uninit(), SIZE0, ANY], INTEGER, ALL_BUT_LIRC).gpl(),
    row(id::PROBE_READ_USER_STR, &[MEM.uninit(), SIZE0, ANY], INTEGER, ALL_BUT_LIRC).gpl(),
    row(id::PROBE_READ_KERNEL_STR, &[MEM.uninit(), SIZE0, ANY], INTEGER, ALL_BUT_LIRC).gpl(),
    row(id::TCP_SEND_ACK, &[btf("tcp_sock"), ANY], INTEGER, of(&[StructOps])).when(TCP_OPS),
    row(id::SEND_SIGNAL_THREAD, &[ANY], INTEGER, ALL_BUT_LIRC),
    row(id::JIFFIES64, &[], INTEGER, ALL_BUT_LIRC),
    row(id::READ_BRANCH_RECORDS, &[CTX, MEM.or_null().write(), SIZE0, ANY], INTEGER, of(&[PerfEvent])).gpl(),
    row(id::GET_NS_CURRENT_PID_TGID, &[ANY, ANY, MEM.uninit(), SIZE], INTEGER, ALL_BUT_LIRC),
    row(id::XDP_OUTPUT, &[btf("xdp_buff"), MAP, ANY, MEM.rdonly(), SIZE0], INTEGER, BTF3).gpl(),
    row(id::GET_NETNS_COOKIE, &[CTX.or_null()], INTEGER, TC.or(of(&[SocketFilter, CgroupSkb, CgroupSock, SockOps, SkMsg, CgroupSockAddr, CgroupSockopt]))),
    row(id::GET_CURRENT_ANCESTOR_CGROUP_ID, &[ANY], INTEGER, ALL_BUT_LIRC),
    row(id::SK_ASSIGN, &[CTX, BTF_SOCK_COMMON, ANY], INTEGER, TC),
    row(id::SK_ASSIGN, &[CTX, SOCKET.or_null(), ANY], INTEGER, of(&[SkLookup])),
    row(id::KTIME_GET_BOOT_NS, &[], INTEGER, ALL),
    row(id::SEQ_PRINTF, &[btf("seq_file"), MEM.rdonly(), SIZE, MEM.or_null().rdonly(), SIZE0], INTEGER, BTF3).gpl().when(Condition::Attach(&[AttachType::TraceIter])),
    row(id::SEQ_WRITE, &[btf("seq_file"), MEM.rdonly(), SIZE0], INTEGER, BTF3).gpl().when(Condition::Attach(&[AttachType::TraceIter])),
    row(id::SK_CGROUP_ID, &[BTF_SOCK_COMMON], INTEGER, of(&[CgroupSkb])),
    row(id::SK_ANCESTOR_CGROUP_ID, &[BTF_SOCK_COMMON, ANY], INTEGER, of(&[CgroupSkb])),
    row(id::RINGBUF_OUTPUT, &[MAP, MEM.rdonly(), SIZE0, ANY], INTEGER, ALL_BUT_LIRC),
    row(id::RINGBUF_RESERVE, &[MAP, ALLOC_SIZE0, ANY], RET_RINGBUF_MEM.or_null(), ALL_BUT_LIRC),
    row(id::RINGBUF_SUBMIT, &[RINGBUF_MEM.release(), ANY], VOID, ALL_BUT_LIRC),
    row(id::RINGBUF_DISCARD, &[RINGBUF_MEM.release(), ANY], VOID, ALL_BUT_LIRC),
    row(id::RINGBUF_QUERY, &[MAP, ANY], INTEGER, ALL_BUT_LIRC),
    row(id::CSUM_LEVEL, &[CTX, ANY], INTEGER, TC.or(of(&[LwtXmit]))),
    row(id::SKC_TO_TCP6_SOCK, &[BTF_SOCK_COMMON], ret_btf("tcp6_sock").or_null(), SK15.or(BTF3)),
    row(id::SKC_TO_TCP_SOCK, &[BTF_SOCK_COMMON], ret_btf("tcp_sock").or_null(), SK15.or(BTF3)),
    row(id::SKC_TO_TCP_TIMEWAIT_SOCK, &[BTF_SOCK_COMMON], ret_btf("tcp_timewait_sock").or_null(), SK15.or(BTF3)),
    row(id::SKC_TO_TCP_REQUEST_SOCK, &[BTF_SOCK_COMMON], ret_btf("tcp_request_sock").or_null(), SK15.or(BTF3)),
    row(id::SKC_TO_UDP6_SOCK, &[BTF_SOCK_COMMON], ret_btf("udp6_sock").or_null(), SK15.or(BTF3)),
    row(id::GET_TASK_STACK, &[btf("task_struct"), MEM.uninit(), SIZE0, ANY], INTEGER, ALL_BUT_LIRC),
    row(id::LOAD_HDR_OPT, &[CTX, MEM.write(), SIZE, ANY], INTEGER, of(&[SockOps])),
    row(id::STORE_HDR_OPT, &[CTX, MEM.rdonly(), SIZE, ANY], INTEGER, of(&[SockOps])),
    row(id::RESERVE_HDR_OPT, &[CTX, ANY, ANY], INTEGER, of(&[SockOps])),
    row(id::INODE_STORAGE_GET, &[MAP, btf("inode").or_null(), VALUE.or_null(), ANY], RET_VALUE.or_null(), of(&[Lsm])),
    row(id::INODE_STORAGE_DELETE, &[MAP, btf("inode").or_null()], INTEGER, of(&[Lsm])),
    row(id::D_PATH, &[btf("path"), MEM.write(), SIZE0], INTEGER, BTF3).when(Condition::Hook(Hook::Path)),
    row(id::COPY_FROM_USER, &[MEM.uninit(), SIZE0, ANY], INTEGER, ALL_BUT_LIRC).sleeps(),
    row(id::SNPRINTF_BTF, &[MEM.write(), SIZE, MEM.rdonly(), SIZE, ANY], INTEGER, ALL_BUT_LIRC),
    row(id::SEQ_PRINTF_BTF, &[btf("seq_file"), MEM.rdonly(), SIZE0, ANY], INTEGER, BTF3).gpl().when(Condition::Attach(&[AttachType::TraceIter])),
    row(id::SKB_CGROUP_CLASSID, &[CTX], INTEGER, TC),
    row(id::REDIRECT_NEIGH, &[ANY, MEM.or_null().rdonly(), SIZE0, ANY], INTEGER, TC),
    row(id::PER_CPU_PTR, &[PERCPU_BTF, ANY], RET_MEM_OR_BTF.or_null().rdonly(), ALL_BUT_LIRC),
    row(id::THIS_CPU_PTR, &[PERCPU_BTF], RET_MEM_OR_BTF.rdonly(), ALL_BUT_LIRC),
    row(id::REDIRECT_PEER, &[ANY, ANY], INTEGER, TC),
    row(id::TASK_STORAGE_GET, &[MAP, btf("task_struct").or_null(), VALUE.or_null(), ANY], RET_VALUE.or_null(), ALL_BUT_LIRC),
    row(id::TASK_STORAGE_DELETE, &[MAP, btf("task_struct").or_null()], INTEGER, ALL_BUT_LIRC),
    row(id::GET_CURRENT_TASK_BTF, &[], ret_trusted("task_struct"), ALL_BUT_LIRC).gpl(),
    row(id::BPRM_OPTS_SET, &[btf("linux_binprm"), ANY], INTEGER, of(&[Lsm])),
    row(id::KTIME_GET_COARSE_NS, &[], INTEGER, SK15.or(of(&[CgroupSock, SkReuseport, CgroupSysctl]))),
    row(id::KTIME_GET_COARSE_NS, &[], INTEGER, of(&[StructOps])).when(TCP_OPS),
    row(id::IMA_INODE_HASH, &[btf("inode"), MEM.uninit(), SIZE], INTEGER, of(&[Lsm])).sleeps().when(Condition::Hook(Hook::SleepableLsm)),
    row(id::SOCK_FROM_FILE, &[btf("file")], ret_btf("socket").or_null(), BTF3),
    row(id::CHECK_MTU, &[CTX, ANY, fixed_mem(4).write().aligned(), ANY, ANY], INTEGER, TC.or(of(&[Xdp]))).gpl(),
    row(id::FOR_EACH_MAP_ELEM, &[MAP, FUNC, STACK.or_null(), ANY], INTEGER, ALL_BUT_LIRC),
    row(id::SNPRINTF, &[MEM.or_null().write(), SIZE0, CONST_STR, MEM.or_null().rdonly(), SIZE0], INTEGER, ALL_BUT_LIRC).gpl(),
    row(id::SYS_BPF, &[ANY, MEM.rdonly(), SIZE], INTEGER, of(&[Syscall])),
    row(id::BTF_FIND_BY_NAME_KIND, &[MEM.rdonly(), SIZE, ANY, ANY], INTEGER, of(&[Syscall])),
    row(id::SYS_CLOSE, &[ANY], INTEGER, of(&[Syscall])),
    row(id::TIMER_INIT, &[TIMER, MAP, ANY], INTEGER, ALL_BUT_LIRC).gpl(),
    row(id::TIMER_SET_CALLBACK, &[TIMER, FUNC], INTEGER, ALL_BUT_LIRC).gpl(),
    row(id::TIMER_START, &[TIMER, ANY, ANY], INTEGER, ALL_BUT_LIRC).gpl(),
    row(id::TIMER_CANCEL, &[TIMER], INTEGER, ALL_BUT_LIRC).gpl(),
    row(id::GET_FUNC_IP, &[CTX], INTEGER, of(&[Kprobe])).gpl().when(Condition::NotAttach(MULTI)),
    row(id::GET_FUNC_IP, &[CTX], INTEGER, of(&[Kprobe])).when(Condition::Attach(KPROBE_MULTI)),
    row(id::GET_FUNC_IP, &[CTX], INTEGER, of(&[Kprobe])).when(Condition::Attach(UPROBE_MULTI)),
    row(id::GET_FUNC_IP, &[CTX], INTEGER, BTF3.or(RAW_TP).or(of(&[Tracepoint, PerfEvent]))).gpl(),
    row(id::GET_ATTACH_COOKIE, &[CTX], INTEGER, of(&[Kprobe])).when(Condition::Attach(KPROBE_MULTI)),
    row(id::GET_ATTACH_COOKIE, &[CTX], INTEGER, of(&[Kprobe])).when(Condition::NotAttach(MULTI)),
    row(id::GET_ATTACH_COOKIE, &[CTX], INTEGER, of(&[Kprobe])).when(Condition::Attach(UPROBE_MULTI)),
    row(id::GET_ATTACH_COOKIE, &[CTX], INTEGER, RAW_TP.or(of(&[Tracepoint, PerfEvent]))),
    row(id::GET_ATTACH_COOKIE, &[CTX], INTEGER, of(&[Tracing, Syscall])).when(Condition::Attach(&[AttachType::TraceRawTp])),
    row(id::GET_ATTACH_COOKIE, &[CTX], INTEGER, BTF3).when(Condition::Trampoline),
    row(id::TASK_PT_REGS, &[btf("task_struct")], ret_btf("pt_regs"), ALL_BUT_LIRC).gpl(),
    row(id::GET_BRANCH_SNAPSHOT, &[MEM.uninit(), SIZE0], INTEGER, ALL_BUT_LIRC).gpl(),
    row(id::TRACE_VPRINTK, &[MEM.rdonly(), SIZE, MEM.or_null().rdonly(), SIZE0], INTEGER, ALL_BUT_LIRC).gpl(),
    row(id::SKC_TO_UNIX_SOCK, &[BTF_SOCK_COMMON], ret_btf("unix_sock").or_null(), SK15.or(BTF3)),
    row(id::KALLSYMS_LOOKUP_NAME, &[MEM.rdonly(), SIZE0, ANY, fixed_mem(8).uninit().aligned()], INTEGER, of(&[Syscall])),
    row(id::FIND_VMA, &[btf("task_struct"), ANY, FUNC, STACK.or_null(), ANY], INTEGER, ALL_BUT_LIRC),
    row(id::LOOP, &[ANY, FUNC, STACK.or_null(), ANY], INTEGER, ALL_BUT_LIRC),
    row(id::STRNCMP, &[MEM.rdonly(), SIZE, CONST_STR], INTEGER, ALL_BUT_LIRC),
    row(id::GET_FUNC_ARG, &[CTX, ANY, fixed_mem(8).uninit().aligned()], INTEGER, BTF3).when(Condition::Trampoline),
    row(id::GET_FUNC_RET, &[CTX, fixed_mem(8).uninit().aligned()], INTEGER, BTF3).when(Condition::Trampoline),
    row(id::GET_FUNC_ARG_CNT, &[CTX], INTEGER, BTF3).when(Condition::Trampoline),
    row(id::GET_RETVAL, &[], INTEGER, CGROUP7).when(Condition::NotAttach(WITHOUT_RETVAL)),
    row(id::GET_RETVAL, &[], INTEGER, of(&[Lsm])).when(Condition::Attach(&[AttachType::LsmCgroup])),
    row(id::SET_RETVAL, &[ANY], INTEGER, CGROUP7).when(Condition::NotAttach(WITHOUT_RETVAL)),
    row(id::SET_RETVAL, &[ANY], INTEGER, of(&[Lsm])).when(Condition::Attach(&[AttachType::LsmCgroup])),
    row(id::XDP_GET_BUFF_LEN, &[CTX], INTEGER, of(&[Xdp])),
    row(id::XDP_GET_BUFF_LEN, &[btf("xdp_buff")], INTEGER, BTF3),
    row(id::XDP_LOAD_BYTES, &[CTX, ANY, MEM.uninit(), SIZE], INTEGER, of(&[Xdp])),
    row(id::XDP_STORE_BYTES, &[CTX, ANY, MEM.rdonly(), SIZE], INTEGER, of(&[Xdp])),
    row(id::COPY_FROM_USER_TASK, &[MEM.uninit(), SIZE0, ANY, btf("task_struct"), ANY], INTEGER, ALL_BUT_LIRC).gpl().sleeps(),
    row(id::SKB_SET_TSTAMP, &[CTX, ANY, ANY], INTEGER, TC),
    row(id::IMA_FILE_HASH, &[btf("file"), MEM.uninit(), SIZE], INTEGER, of(&[Lsm])).sleeps().when(Condition::Hook(Hook::SleepableLsm)),
    row(id::KPTR_XCHG, &[KPTR_DEST, btf("").or_null().release()], ret_btf("").or_null(), ALL_BUT_LIRC),
    row(id::MAP_LOOKUP_PERCPU_ELEM, &[MAP, KEY, ANY], RET_VALUE.or_null(), ALL_BUT_LIRC).pkt_access(),
    row(id::SKC_TO_MPTCP_SOCK, &[SOCK_COMMON], ret_btf("mptcp_sock").or_null(), SK15.or(BTF3)),
    row(id::DYNPTR_FROM_MEM, &[MEM.uninit(), SIZE0, ANY, DYNPTR.uninit().local()], INTEGER, ALL_BUT_LIRC),
    row(id::RINGBUF_RESERVE_DYNPTR, &[MAP, ANY, ANY, DYNPTR.uninit().ringbuf()], INTEGER, ALL_BUT_LIRC),
    row(id::RINGBUF_SUBMIT_DYNPTR, &[DYNPTR.release().ringbuf(), ANY], VOID, ALL_BUT_LIRC),
    row(id::RINGBUF_DISCARD_DYNPTR, &[DYNPTR.release().ringbuf(), ANY], VOID, ALL_BUT_LIRC),
    row(id::DYNPTR_READ, &[MEM.uninit(), SIZE0, DYNPTR.rdonly(), ANY, ANY], INTEGER, ALL_BUT_LIRC),
    row(id::DYNPTR_WRITE, &[DYNPTR.rdonly(), ANY, MEM.rdonly(), SIZE0, ANY], INTEGER, ALL_BUT_LIRC),
    row(id::DYNPTR_DATA, &[DYNPTR.rdonly(), ANY, ALLOC_SIZE0], RET_DYNPTR_MEM.or_null(), ALL_BUT_LIRC),
    row(id::TCP_RAW_GEN_SYNCOOKIE_IPV4, &[fixed_mem(20).rdonly(), MEM.rdonly(), SIZE0], INTEGER, TC.or(of(&[Xdp]))).gpl().pkt_access(),
    row(id::TCP_RAW_GEN_SYNCOOKIE_IPV6, &[fixed_mem(40).rdonly(), MEM.rdonly(), SIZE0], INTEGER, TC.or(of(&[Xdp]))).gpl().pkt_access(),
    row(id::TCP_RAW_CHECK_SYNCOOKIE_IPV4, &[fixed_mem(20).rdonly(), fixed_mem(20).rdonly()], INTEGER, TC.or(of(&[Xdp]))).gpl().pkt_access(),
    row(id::TCP_RAW_CHECK_SYNCOOKIE_IPV6, &[fixed_mem(40).rdonly(), fixed_mem(20).rdonly()], INTEGER, TC.or(of(&[Xdp]))).gpl().pkt_access(),
    row(id::KTIME_GET_TAI_NS, &[], INTEGER, ALL_BUT_LIRC),
    row(id::USER_RINGBUF_DRAIN, &[MAP, FUNC, STACK.or_null(), ANY], INTEGER, ALL_BUT_LIRC),
    row(id::CGRP_STORAGE_GET, &[MAP, btf("cgroup").or_null(), VALUE.or_null(), ANY], RET_VALUE.or_null(), ALL_BUT_LIRC),
    row(id::CGRP_STORAGE_DELETE, &[MAP, btf("cgroup").or_null()], INTEGER, ALL_BUT_LIRC),
];
