//! Program types and attach types: numbers, names, who may touch packets, what may be returned.

use crate::KernelVersion;

macro_rules! numbered {
    ($(#[$meta:meta])* $enum:ident { $($variant:ident = $id:literal $name:literal since $major:literal, $minor:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[allow(missing_docs)]
        #[repr(u32)]
        pub enum $enum { $($variant = $id),* }

        impl $enum {
            /// Every one, by number.
            pub const ALL: &'static [$enum] = &[$($enum::$variant),*];

            /// libbpf's and bpftool's name.
            pub const fn name(self) -> &'static str {
                match self { $($enum::$variant => $name),* }
            }

            /// The number of the UAPI header.
            pub const fn number(self) -> u32 {
                self as u32
            }

            /// By number.
            pub const fn from_number(number: u32) -> Option<$enum> {
                match number { $($id => Some($enum::$variant),)* _ => None }
            }

            /// First release that has it.
            pub const fn since(self) -> KernelVersion {
                match self { $($enum::$variant => KernelVersion::new($major, $minor)),* }
            }

            /// By name.
            pub fn from_name(name: &str) -> Option<$enum> {
                match name { $($name => Some($enum::$variant),)* _ => None }
            }
        }
    };
}

numbered! {
    /// `enum bpf_prog_type`.
    ProgType {
        SocketFilter = 1 "socket_filter" since 3, 19;
        Kprobe = 2 "kprobe" since 4, 1;
        SchedCls = 3 "sched_cls" since 4, 1;
        SchedAct = 4 "sched_act" since 4, 1;
        Tracepoint = 5 "tracepoint" since 4, 7;
        Xdp = 6 "xdp" since 4, 8;
        PerfEvent = 7 "perf_event" since 4, 9;
        CgroupSkb = 8 "cgroup_skb" since 4, 10;
        CgroupSock = 9 "cgroup_sock" since 4, 10;
        LwtIn = 10 "lwt_in" since 4, 10;
        LwtOut = 11 "lwt_out" since 4, 10;
        LwtXmit = 12 "lwt_xmit" since 4, 10;
        SockOps = 13 "sock_ops" since 4, 13;
        SkSkb = 14 "sk_skb" since 4, 14;
        CgroupDevice = 15 "cgroup_device" since 4, 15;
        SkMsg = 16 "sk_msg" since 4, 17;
        RawTracepoint = 17 "raw_tracepoint" since 4, 17;
        CgroupSockAddr = 18 "cgroup_sock_addr" since 4, 17;
        LwtSeg6local = 19 "lwt_seg6local" since 4, 18;
        LircMode2 = 20 "lirc_mode2" since 4, 18;
        SkReuseport = 21 "sk_reuseport" since 4, 19;
        FlowDissector = 22 "flow_dissector" since 4, 20;
        CgroupSysctl = 23 "cgroup_sysctl" since 5, 2;
        RawTracepointWritable = 24 "raw_tracepoint_writable" since 5, 2;
        CgroupSockopt = 25 "cgroup_sockopt" since 5, 3;
        Tracing = 26 "tracing" since 5, 5;
        StructOps = 27 "struct_ops" since 5, 6;
        Ext = 28 "ext" since 5, 6;
        Lsm = 29 "lsm" since 5, 7;
        SkLookup = 30 "sk_lookup" since 5, 9;
        Syscall = 31 "syscall" since 5, 14;
        Netfilter = 32 "netfilter" since 6, 4;
    }
}

numbered! {
    /// `enum bpf_attach_type`.
    AttachType {
        CgroupInetIngress = 0 "cgroup_inet_ingress" since 4, 10;
        CgroupInetEgress = 1 "cgroup_inet_egress" since 4, 10;
        CgroupInetSockCreate = 2 "cgroup_inet_sock_create" since 4, 10;
        CgroupSockOps = 3 "cgroup_sock_ops" since 4, 13;
        SkSkbStreamParser = 4 "sk_skb_stream_parser" since 4, 14;
        SkSkbStreamVerdict = 5 "sk_skb_stream_verdict" since 4, 14;
        CgroupDevice = 6 "cgroup_device" since 4, 15;
        SkMsgVerdict = 7 "sk_msg_verdict" since 4, 17;
        CgroupInet4Bind = 8 "cgroup_inet4_bind" since 4, 17;
        CgroupInet6Bind = 9 "cgroup_inet6_bind" since 4, 17;
        CgroupInet4Connect = 10 "cgroup_inet4_connect" since 4, 17;
        CgroupInet6Connect = 11 "cgroup_inet6_connect" since 4, 17;
        CgroupInet4PostBind = 12 "cgroup_inet4_post_bind" since 4, 17;
        CgroupInet6PostBind = 13 "cgroup_inet6_post_bind" since 4, 17;
        CgroupUdp4Sendmsg = 14 "cgroup_udp4_sendmsg" since 4, 18;
        CgroupUdp6Sendmsg = 15 "cgroup_udp6_sendmsg" since 4, 18;
        LircMode2 = 16 "lirc_mode2" since 4, 18;
        FlowDissector = 17 "flow_dissector" since 4, 20;
        CgroupSysctl = 18 "cgroup_sysctl" since 5, 2;
        CgroupUdp4Recvmsg = 19 "cgroup_udp4_recvmsg" since 5, 2;
        CgroupUdp6Recvmsg = 20 "cgroup_udp6_recvmsg" since 5, 2;
        CgroupGetsockopt = 21 "cgroup_getsockopt" since 5, 3;
        CgroupSetsockopt = 22 "cgroup_setsockopt" since 5, 3;
        TraceRawTp = 23 "trace_raw_tp" since 5, 5;
        TraceFentry = 24 "trace_fentry" since 5, 5;
        TraceFexit = 25 "trace_fexit" since 5, 5;
        ModifyReturn = 26 "modify_return" since 5, 7;
        LsmMac = 27 "lsm_mac" since 5, 7;
        TraceIter = 28 "trace_iter" since 5, 8;
        CgroupInet4Getpeername = 29 "cgroup_inet4_getpeername" since 5, 8;
        CgroupInet6Getpeername = 30 "cgroup_inet6_getpeername" since 5, 8;
        CgroupInet4Getsockname = 31 "cgroup_inet4_getsockname" since 5, 8;
        CgroupInet6Getsockname = 32 "cgroup_inet6_getsockname" since 5, 8;
        XdpDevmap = 33 "xdp_devmap" since 5, 8;
        CgroupInetSockRelease = 34 "cgroup_inet_sock_release" since 5, 9;
        XdpCpumap = 35 "xdp_cpumap" since 5, 9;
        SkLookup = 36 "sk_lookup" since 5, 9;
        Xdp = 37 "xdp" since 5, 9;
        SkSkbVerdict = 38 "sk_skb_verdict" since 5, 13;
        SkReuseportSelect = 39 "sk_reuseport_select" since 5, 14;
        SkReuseportSelectOrMigrate = 40 "sk_reuseport_select_or_migrate" since 5, 14;
        PerfEvent = 41 "perf_event" since 5, 15;
        TraceKprobeMulti = 42 "trace_kprobe_multi" since 5, 18;
        LsmCgroup = 43 "lsm_cgroup" since 6, 0;
        StructOps = 44 "struct_ops" since 6, 4;
        Netfilter = 45 "netfilter" since 6, 4;
        TcxIngress = 46 "tcx_ingress" since 6, 6;
        TcxEgress = 47 "tcx_egress" since 6, 6;
        TraceUprobeMulti = 48 "trace_uprobe_multi" since 6, 6;
        CgroupUnixConnect = 49 "cgroup_unix_connect" since 6, 7;
        CgroupUnixSendmsg = 50 "cgroup_unix_sendmsg" since 6, 7;
        CgroupUnixRecvmsg = 51 "cgroup_unix_recvmsg" since 6, 7;
        CgroupUnixGetpeername = 52 "cgroup_unix_getpeername" since 6, 7;
        CgroupUnixGetsockname = 53 "cgroup_unix_getsockname" since 6, 7;
        NetkitPrimary = 54 "netkit_primary" since 6, 7;
        NetkitPeer = 55 "netkit_peer" since 6, 7;
        TraceKprobeSession = 56 "trace_kprobe_session" since 6, 10;
        TraceUprobeSession = 57 "trace_uprobe_session" since 6, 13;
    }
}

/// A set of program types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProgSet(pub u64);

impl ProgSet {
    /// Every type.
    pub const ALL: ProgSet = ProgSet(u64::MAX);

    /// The set of these.
    pub const fn of(types: &[ProgType]) -> ProgSet {
        let mut bits = 0;
        let mut i = 0;
        while i < types.len() {
            bits |= 1 << types[i] as u64;
            i += 1;
        }
        ProgSet(bits)
    }

    /// Union.
    pub const fn or(self, other: ProgSet) -> ProgSet {
        ProgSet(self.0 | other.0)
    }

    /// The set but for these.
    pub const fn without(self, types: &[ProgType]) -> ProgSet {
        ProgSet(self.0 & !ProgSet::of(types).0)
    }

    /// Membership.
    pub const fn has(self, kind: ProgType) -> bool {
        self.0 >> (kind as u64) & 1 != 0
    }
}

/// Values that a program of a type may return, inclusive; `None` is any scalar.
pub type ReturnRange = Option<(i32, i32)>;

/// Types that trace the kernel, and may not use maps with locks, timers or lists in their values.
pub const TRACING_TYPES: ProgSet = ProgSet::of(&[
    ProgType::Kprobe,
    ProgType::Tracepoint,
    ProgType::PerfEvent,
    ProgType::RawTracepoint,
    ProgType::RawTracepointWritable,
]);

/// Types that may store through packet pointers, and give them to helpers that write.
pub const PACKET_WRITERS: ProgSet = ProgSet::of(&[
    ProgType::SchedCls,
    ProgType::SchedAct,
    ProgType::Xdp,
    ProgType::LwtXmit,
    ProgType::SkSkb,
    ProgType::SkMsg,
    ProgType::CgroupSockopt,
]);

/// Types that may give packet pointers to helpers that read (the helper must allow it, too).
pub const PACKET_READERS: ProgSet = PACKET_WRITERS.or(ProgSet::of(&[
    ProgType::LwtIn,
    ProgType::LwtOut,
    ProgType::LwtSeg6local,
    ProgType::SkReuseport,
    ProgType::FlowDissector,
    ProgType::CgroupSkb,
]));

impl ProgType {
    /// The attach type that Linux takes a program to have, where it was loaded with none.
    pub const fn effective_attach(self, given: Option<AttachType>) -> Option<AttachType> {
        if given.is_some() {
            given
        } else if matches!(self, ProgType::CgroupSock) {
            Some(AttachType::CgroupInetSockCreate)
        } else if matches!(self, ProgType::CgroupSkb) {
            // Attach type 0 is this one.
            Some(AttachType::CgroupInetIngress)
        } else if matches!(self, ProgType::SkReuseport) {
            Some(AttachType::SkReuseportSelect)
        } else {
            None
        }
    }

    /// Whether a program of this type may be loaded with that expected attach type (BPF_PROG_LOAD gives EINVAL if not).
    /// Most types take any, as they look at it later or never.
    pub fn may_attach(self, given: Option<AttachType>) -> bool {
        use AttachType::*;
        let one_of = |types: &[AttachType]| self.effective_attach(given).is_some_and(|attach| types.contains(&attach));
        match self {
            ProgType::CgroupSock => {
                one_of(&[CgroupInetSockCreate, CgroupInetSockRelease, CgroupInet4PostBind, CgroupInet6PostBind])
            }
            ProgType::CgroupSockAddr => one_of(&[
                CgroupInet4Bind,
                CgroupInet6Bind,
                CgroupInet4Connect,
                CgroupInet6Connect,
                CgroupUnixConnect,
                CgroupInet4Getpeername,
                CgroupInet6Getpeername,
                CgroupUnixGetpeername,
                CgroupInet4Getsockname,
                CgroupInet6Getsockname,
                CgroupUnixGetsockname,
                CgroupUdp4Sendmsg,
                CgroupUdp6Sendmsg,
                CgroupUnixSendmsg,
                CgroupUdp4Recvmsg,
                CgroupUdp6Recvmsg,
                CgroupUnixRecvmsg,
            ]),
            ProgType::CgroupSkb => one_of(&[CgroupInetIngress, CgroupInetEgress]),
            ProgType::CgroupSockopt => one_of(&[CgroupGetsockopt, CgroupSetsockopt]),
            ProgType::SkLookup => one_of(&[SkLookup]),
            ProgType::SkReuseport => one_of(&[SkReuseportSelect, SkReuseportSelectOrMigrate]),
            ProgType::Netfilter => one_of(&[Netfilter]),
            ProgType::Syscall | ProgType::Ext => given.is_none(),
            ProgType::SocketFilter
            | ProgType::Kprobe
            | ProgType::SchedCls
            | ProgType::SchedAct
            | ProgType::Tracepoint
            | ProgType::Xdp
            | ProgType::PerfEvent
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
            | ProgType::FlowDissector
            | ProgType::CgroupSysctl
            | ProgType::RawTracepointWritable
            | ProgType::Tracing
            | ProgType::StructOps
            | ProgType::Lsm => true,
        }
    }

    /// Whether it may store through packet pointers.
    pub const fn may_write_packet(self) -> bool {
        PACKET_WRITERS.has(self)
    }

    /// Whether it may give packet pointers to helpers that read.
    pub const fn may_pass_packet(self) -> bool {
        PACKET_READERS.has(self)
    }

    /// Whether a program of this type may be sleepable, given how it is attached.
    pub const fn may_sleep(self, attach: Option<AttachType>) -> bool {
        match self {
            ProgType::Syscall | ProgType::StructOps | ProgType::Kprobe => true,
            ProgType::Tracing => matches!(
                attach,
                Some(
                    AttachType::TraceFentry | AttachType::TraceFexit | AttachType::ModifyReturn | AttachType::TraceIter
                )
            ),
            ProgType::Lsm => !matches!(attach, Some(AttachType::LsmCgroup)),
            ProgType::SocketFilter
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
            | ProgType::CgroupSockAddr
            | ProgType::LwtSeg6local
            | ProgType::LircMode2
            | ProgType::SkReuseport
            | ProgType::FlowDissector
            | ProgType::CgroupSysctl
            | ProgType::RawTracepointWritable
            | ProgType::CgroupSockopt
            | ProgType::Ext
            | ProgType::SkLookup
            | ProgType::Netfilter => false,
        }
    }
}

/// What a program may return; checked at the exit of the main program. LSM programs are judged by their hook: the range
/// here is that of most hooks.
pub const fn return_range(kind: ProgType, attach: Option<AttachType>) -> ReturnRange {
    match kind {
        ProgType::SocketFilter
        | ProgType::SchedCls
        | ProgType::SchedAct
        | ProgType::Xdp
        | ProgType::Tracepoint
        | ProgType::PerfEvent
        | ProgType::RawTracepoint
        | ProgType::RawTracepointWritable
        | ProgType::LwtIn
        | ProgType::LwtOut
        | ProgType::LwtXmit
        | ProgType::LwtSeg6local
        | ProgType::SkSkb
        | ProgType::SkMsg
        | ProgType::SkReuseport
        | ProgType::FlowDissector
        | ProgType::Syscall
        | ProgType::LircMode2
        | ProgType::StructOps
        | ProgType::Ext => None,
        ProgType::Kprobe => match attach {
            Some(AttachType::TraceKprobeSession | AttachType::TraceUprobeSession) => Some((0, 1)),
            _ => None,
        },
        ProgType::CgroupSkb => match attach {
            Some(AttachType::CgroupInetEgress) => Some((0, 3)),
            _ => Some((0, 1)),
        },
        ProgType::CgroupSockAddr => Some(sock_addr_range(attach)),
        ProgType::CgroupSock
        | ProgType::SockOps
        | ProgType::CgroupDevice
        | ProgType::CgroupSysctl
        | ProgType::CgroupSockopt
        | ProgType::SkLookup
        | ProgType::Netfilter => Some((0, 1)),
        ProgType::Tracing => match attach {
            Some(AttachType::TraceRawTp | AttachType::ModifyReturn) => None,
            Some(AttachType::TraceIter) => Some((0, 1)),
            _ => Some((0, 0)),
        },
        ProgType::Lsm => match attach {
            Some(AttachType::LsmCgroup) => Some((0, 1)),
            _ => Some((-MAX_ERRNO, 0)),
        },
    }
}

/// Largest error number that fits in a pointer.
const MAX_ERRNO: i32 = 4095;

/// Hooks that answer cannot refuse; bind hooks have a second bit, to skip the capability check of low ports.
const fn sock_addr_range(attach: Option<AttachType>) -> (i32, i32) {
    match attach {
        Some(AttachType::CgroupInet4Bind | AttachType::CgroupInet6Bind) => (0, 3),
        Some(
            AttachType::CgroupUdp4Recvmsg
            | AttachType::CgroupUdp6Recvmsg
            | AttachType::CgroupUnixRecvmsg
            | AttachType::CgroupInet4Getpeername
            | AttachType::CgroupInet6Getpeername
            | AttachType::CgroupUnixGetpeername
            | AttachType::CgroupInet4Getsockname
            | AttachType::CgroupInet6Getsockname
            | AttachType::CgroupUnixGetsockname,
        ) => (1, 1),
        _ => (0, 1),
    }
}

/// The UAPI name of a return value (the 32-bit result), such as `XDP_DROP`.
pub const fn return_name(kind: ProgType, value: i32) -> Option<&'static str> {
    let names: &[&str] = match kind {
        ProgType::Xdp => &["XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"],
        ProgType::SchedCls | ProgType::SchedAct if value == -1 => return Some("TC_ACT_UNSPEC"),
        ProgType::SchedCls | ProgType::SchedAct => &[
            "TC_ACT_OK",
            "TC_ACT_RECLASSIFY",
            "TC_ACT_SHOT",
            "TC_ACT_PIPE",
            "TC_ACT_STOLEN",
            "TC_ACT_QUEUED",
            "TC_ACT_REPEAT",
            "TC_ACT_REDIRECT",
            "TC_ACT_TRAP",
        ],
        ProgType::SkSkb | ProgType::SkMsg | ProgType::SkReuseport | ProgType::SkLookup => &["SK_DROP", "SK_PASS"],
        ProgType::LwtIn | ProgType::LwtOut | ProgType::LwtXmit | ProgType::LwtSeg6local => match value {
            0 => return Some("BPF_OK"),
            2 => return Some("BPF_DROP"),
            7 => return Some("BPF_REDIRECT"),
            128 => return Some("BPF_LWT_REROUTE"),
            _ => &[],
        },
        ProgType::FlowDissector => match value {
            0 => return Some("BPF_OK"),
            2 => return Some("BPF_DROP"),
            129 => return Some("BPF_FLOW_DISSECTOR_CONTINUE"),
            _ => &[],
        },
        ProgType::Netfilter => &["NF_DROP", "NF_ACCEPT"],
        ProgType::SocketFilter
        | ProgType::Kprobe
        | ProgType::Tracepoint
        | ProgType::PerfEvent
        | ProgType::CgroupSkb
        | ProgType::CgroupSock
        | ProgType::SockOps
        | ProgType::CgroupDevice
        | ProgType::RawTracepoint
        | ProgType::CgroupSockAddr
        | ProgType::LircMode2
        | ProgType::CgroupSysctl
        | ProgType::RawTracepointWritable
        | ProgType::CgroupSockopt
        | ProgType::Tracing
        | ProgType::StructOps
        | ProgType::Ext
        | ProgType::Lsm
        | ProgType::Syscall => &[],
    };
    if value >= 0 && (value as usize) < names.len() { Some(names[value as usize]) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_go_both_ways() {
        for &kind in ProgType::ALL {
            assert_eq!(ProgType::from_number(kind.number()), Some(kind));
            assert_eq!(ProgType::from_name(kind.name()), Some(kind));
        }
        for &attach in AttachType::ALL {
            assert_eq!(AttachType::from_number(attach.number()), Some(attach));
            assert_eq!(AttachType::from_name(attach.name()), Some(attach));
        }
        assert_eq!((ProgType::ALL.len(), AttachType::ALL.len()), (32, 58));
    }

    #[test]
    fn return_ranges_of_cgroup_programs() {
        let addr = |attach| return_range(ProgType::CgroupSockAddr, Some(attach));
        assert_eq!(addr(AttachType::CgroupInet4Bind), Some((0, 3)));
        assert_eq!(addr(AttachType::CgroupInet4Connect), Some((0, 1)));
        assert_eq!(addr(AttachType::CgroupUnixGetpeername), Some((1, 1)));
        assert_eq!(return_range(ProgType::CgroupSkb, Some(AttachType::CgroupInetEgress)), Some((0, 3)));
        assert_eq!(return_range(ProgType::CgroupSkb, Some(AttachType::CgroupInetIngress)), Some((0, 1)));
        assert_eq!(return_range(ProgType::Xdp, None), None);
        assert_eq!(return_range(ProgType::Tracing, Some(AttachType::TraceFexit)), Some((0, 0)));
    }

    #[test]
    fn return_names() {
        assert_eq!(return_name(ProgType::Xdp, 1), Some("XDP_DROP"));
        assert_eq!(return_name(ProgType::Xdp, 5), None);
        assert_eq!(return_name(ProgType::SchedCls, -1), Some("TC_ACT_UNSPEC"));
        assert_eq!(return_name(ProgType::SchedCls, 2), Some("TC_ACT_SHOT"));
        assert_eq!(return_name(ProgType::SchedCls, i32::MIN), None);
        assert_eq!(return_name(ProgType::SkMsg, 1), Some("SK_PASS"));
        assert_eq!(return_name(ProgType::SocketFilter, 0), None);
    }

    #[test]
    fn packets_are_written_by_few() {
        assert!(ProgType::Xdp.may_write_packet() && ProgType::SchedCls.may_write_packet());
        assert!(!ProgType::CgroupSkb.may_write_packet() && ProgType::CgroupSkb.may_pass_packet());
        assert!(!ProgType::SockOps.may_pass_packet() && !ProgType::SocketFilter.may_pass_packet());
    }
}
