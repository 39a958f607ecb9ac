//! ELF section names of programs, by libbpf's rules ("Program Types and ELF Sections" of its documentation).

use crate::{AttachType, ProgType};

/// How a name continues after the row's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tail {
    /// It does not.
    Exact,
    /// It may, by `/` and at least one character, which says where to attach. libbpf writes this `name+`.
    Extras,
}

/// One row.
struct Section {
    name: &'static str,
    tail: Tail,
    kind: ProgType,
    attach: Option<AttachType>,
    sleepable: bool,
    frags: bool,
}

/// What a section name says about the programs in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SectionMatch {
    /// The row's name, such as `xdp/devmap` or `tracepoint`.
    pub prefix: &'static str,
    /// Program type.
    pub kind: ProgType,
    /// Expected attach type.
    pub attach: Option<AttachType>,
    /// `.s` variants.
    pub sleepable: bool,
    /// `.frags` variants.
    pub frags: bool,
}

/// Reads a section name, without the `?` in front that says "not to be loaded by default". `None` if no program type
/// has such a section.
pub fn section(name: &str) -> Option<SectionMatch> {
    let row = SECTIONS.iter().find(|row| match (name.strip_prefix(row.name), row.tail) {
        (Some(""), _) => true,
        (Some(rest), Tail::Extras) => rest.len() > 1 && rest.starts_with('/'),
        (Some(_), Tail::Exact) | (None, _) => false,
    })?;
    Some(SectionMatch {
        prefix: row.name,
        kind: row.kind,
        attach: row.attach,
        sleepable: row.sleepable,
        frags: row.frags,
    })
}

/// Every section name, for messages and documentation; `name+` may go on with `/` and where to attach.
pub fn section_names() -> impl Iterator<Item = String> {
    SECTIONS.iter().map(|row| match row.tail {
        Tail::Exact => row.name.to_owned(),
        Tail::Extras => format!("{}+", row.name),
    })
}

const fn exact(name: &'static str, kind: ProgType, attach: Option<AttachType>) -> Section {
    Section { name, tail: Tail::Exact, kind, attach, sleepable: false, frags: false }
}

const fn plus(name: &'static str, kind: ProgType, attach: Option<AttachType>) -> Section {
    Section { name, tail: Tail::Extras, kind, attach, sleepable: false, frags: false }
}

impl Section {
    const fn sleepable(self) -> Section {
        Section { sleepable: true, ..self }
    }

    const fn frags(self) -> Section {
        Section { frags: true, ..self }
    }
}

/// Names match whole, or up to a slash where the row allows it, so that the order of rows does not matter.
#[rustfmt::skip]
const SECTIONS: &[Section] = &[
    exact("socket", ProgType::SocketFilter, None),
    exact("sk_reuseport/migrate", ProgType::SkReuseport, Some(AttachType::SkReuseportSelectOrMigrate)),
    exact("sk_reuseport", ProgType::SkReuseport, Some(AttachType::SkReuseportSelect)),
    plus("kprobe", ProgType::Kprobe, None),
    plus("uprobe", ProgType::Kprobe, None),
    plus("uprobe.s", ProgType::Kprobe, None).sleepable(),
    plus("kretprobe", ProgType::Kprobe, None),
    plus("uretprobe", ProgType::Kprobe, None),
    plus("uretprobe.s", ProgType::Kprobe, None).sleepable(),
    plus("kprobe.multi", ProgType::Kprobe, Some(AttachType::TraceKprobeMulti)),
    plus("kretprobe.multi", ProgType::Kprobe, Some(AttachType::TraceKprobeMulti)),
    plus("kprobe.session", ProgType::Kprobe, Some(AttachType::TraceKprobeSession)),
    plus("uprobe.multi", ProgType::Kprobe, Some(AttachType::TraceUprobeMulti)),
    plus("uretprobe.multi", ProgType::Kprobe, Some(AttachType::TraceUprobeMulti)),
    plus("uprobe.session", ProgType::Kprobe, Some(AttachType::TraceUprobeSession)),
    plus("uprobe.multi.s", ProgType::Kprobe, Some(AttachType::TraceUprobeMulti)).sleepable(),
    plus("uretprobe.multi.s", ProgType::Kprobe, Some(AttachType::TraceUprobeMulti)).sleepable(),
    plus("uprobe.session.s", ProgType::Kprobe, Some(AttachType::TraceUprobeSession)).sleepable(),
    plus("ksyscall", ProgType::Kprobe, None),
    plus("kretsyscall", ProgType::Kprobe, None),
    plus("usdt", ProgType::Kprobe, None),
    plus("usdt.s", ProgType::Kprobe, None).sleepable(),
    exact("tc/ingress", ProgType::SchedCls, Some(AttachType::TcxIngress)),
    exact("tc/egress", ProgType::SchedCls, Some(AttachType::TcxEgress)),
    exact("tcx/ingress", ProgType::SchedCls, Some(AttachType::TcxIngress)),
    exact("tcx/egress", ProgType::SchedCls, Some(AttachType::TcxEgress)),
    exact("tc", ProgType::SchedCls, None),
    exact("classifier", ProgType::SchedCls, None),
    exact("action", ProgType::SchedAct, None),
    exact("netkit/primary", ProgType::SchedCls, Some(AttachType::NetkitPrimary)),
    exact("netkit/peer", ProgType::SchedCls, Some(AttachType::NetkitPeer)),
    plus("tracepoint", ProgType::Tracepoint, None),
    plus("tp", ProgType::Tracepoint, None),
    plus("raw_tracepoint", ProgType::RawTracepoint, None),
    plus("raw_tp", ProgType::RawTracepoint, None),
    plus("raw_tracepoint.w", ProgType::RawTracepointWritable, None),
    plus("raw_tp.w", ProgType::RawTracepointWritable, None),
    plus("tp_btf", ProgType::Tracing, Some(AttachType::TraceRawTp)),
    plus("fentry", ProgType::Tracing, Some(AttachType::TraceFentry)),
    plus("fmod_ret", ProgType::Tracing, Some(AttachType::ModifyReturn)),
    plus("fexit", ProgType::Tracing, Some(AttachType::TraceFexit)),
    plus("fentry.s", ProgType::Tracing, Some(AttachType::TraceFentry)).sleepable(),
    plus("fmod_ret.s", ProgType::Tracing, Some(AttachType::ModifyReturn)).sleepable(),
    plus("fexit.s", ProgType::Tracing, Some(AttachType::TraceFexit)).sleepable(),
    plus("freplace", ProgType::Ext, None),
    plus("lsm", ProgType::Lsm, Some(AttachType::LsmMac)),
    plus("lsm.s", ProgType::Lsm, Some(AttachType::LsmMac)).sleepable(),
    plus("lsm_cgroup", ProgType::Lsm, Some(AttachType::LsmCgroup)),
    plus("iter", ProgType::Tracing, Some(AttachType::TraceIter)),
    plus("iter.s", ProgType::Tracing, Some(AttachType::TraceIter)).sleepable(),
    exact("syscall", ProgType::Syscall, None).sleepable(),
    exact("xdp.frags/devmap", ProgType::Xdp, Some(AttachType::XdpDevmap)).frags(),
    exact("xdp/devmap", ProgType::Xdp, Some(AttachType::XdpDevmap)),
    exact("xdp.frags/cpumap", ProgType::Xdp, Some(AttachType::XdpCpumap)).frags(),
    exact("xdp/cpumap", ProgType::Xdp, Some(AttachType::XdpCpumap)),
    exact("xdp.frags", ProgType::Xdp, Some(AttachType::Xdp)).frags(),
    exact("xdp", ProgType::Xdp, Some(AttachType::Xdp)),
    exact("perf_event", ProgType::PerfEvent, None),
    exact("lwt_in", ProgType::LwtIn, None),
    exact("lwt_out", ProgType::LwtOut, None),
    exact("lwt_xmit", ProgType::LwtXmit, None),
    exact("lwt_seg6local", ProgType::LwtSeg6local, None),
    exact("sockops", ProgType::SockOps, Some(AttachType::CgroupSockOps)),
    exact("sk_skb/stream_parser", ProgType::SkSkb, Some(AttachType::SkSkbStreamParser)),
    exact("sk_skb/stream_verdict", ProgType::SkSkb, Some(AttachType::SkSkbStreamVerdict)),
    exact("sk_skb/verdict", ProgType::SkSkb, Some(AttachType::SkSkbVerdict)),
    exact("sk_skb", ProgType::SkSkb, None),
    exact("sk_msg", ProgType::SkMsg, Some(AttachType::SkMsgVerdict)),
    // libbpf knows the bare name; the decoders of ir-keytable have theirs behind it.
    plus("lirc_mode2", ProgType::LircMode2, Some(AttachType::LircMode2)),
    exact("flow_dissector", ProgType::FlowDissector, Some(AttachType::FlowDissector)),
    exact("cgroup_skb/ingress", ProgType::CgroupSkb, Some(AttachType::CgroupInetIngress)),
    exact("cgroup_skb/egress", ProgType::CgroupSkb, Some(AttachType::CgroupInetEgress)),
    exact("cgroup/skb", ProgType::CgroupSkb, None),
    exact("cgroup/sock_create", ProgType::CgroupSock, Some(AttachType::CgroupInetSockCreate)),
    exact("cgroup/sock_release", ProgType::CgroupSock, Some(AttachType::CgroupInetSockRelease)),
    exact("cgroup/sock", ProgType::CgroupSock, Some(AttachType::CgroupInetSockCreate)),
    exact("cgroup/post_bind4", ProgType::CgroupSock, Some(AttachType::CgroupInet4PostBind)),
    exact("cgroup/post_bind6", ProgType::CgroupSock, Some(AttachType::CgroupInet6PostBind)),
    exact("cgroup/bind4", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet4Bind)),
    exact("cgroup/bind6", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet6Bind)),
    exact("cgroup/connect4", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet4Connect)),
    exact("cgroup/connect6", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet6Connect)),
    exact("cgroup/connect_unix", ProgType::CgroupSockAddr, Some(AttachType::CgroupUnixConnect)),
    exact("cgroup/sendmsg4", ProgType::CgroupSockAddr, Some(AttachType::CgroupUdp4Sendmsg)),
    exact("cgroup/sendmsg6", ProgType::CgroupSockAddr, Some(AttachType::CgroupUdp6Sendmsg)),
    exact("cgroup/sendmsg_unix", ProgType::CgroupSockAddr, Some(AttachType::CgroupUnixSendmsg)),
    exact("cgroup/recvmsg4", ProgType::CgroupSockAddr, Some(AttachType::CgroupUdp4Recvmsg)),
    exact("cgroup/recvmsg6", ProgType::CgroupSockAddr, Some(AttachType::CgroupUdp6Recvmsg)),
    exact("cgroup/recvmsg_unix", ProgType::CgroupSockAddr, Some(AttachType::CgroupUnixRecvmsg)),
    exact("cgroup/getpeername4", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet4Getpeername)),
    exact("cgroup/getpeername6", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet6Getpeername)),
    exact("cgroup/getpeername_unix", ProgType::CgroupSockAddr, Some(AttachType::CgroupUnixGetpeername)),
    exact("cgroup/getsockname4", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet4Getsockname)),
    exact("cgroup/getsockname6", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet6Getsockname)),
    exact("cgroup/getsockname_unix", ProgType::CgroupSockAddr, Some(AttachType::CgroupUnixGetsockname)),
    exact("cgroup/sysctl", ProgType::CgroupSysctl, Some(AttachType::CgroupSysctl)),
    exact("cgroup/getsockopt", ProgType::CgroupSockopt, Some(AttachType::CgroupGetsockopt)),
    exact("cgroup/setsockopt", ProgType::CgroupSockopt, Some(AttachType::CgroupSetsockopt)),
    exact("cgroup/dev", ProgType::CgroupDevice, Some(AttachType::CgroupDevice)),
    plus("struct_ops", ProgType::StructOps, None),
    plus("struct_ops.s", ProgType::StructOps, None).sleepable(),
    exact("sk_lookup", ProgType::SkLookup, Some(AttachType::SkLookup)),
    exact("netfilter", ProgType::Netfilter, Some(AttachType::Netfilter)),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str) -> (&'static str, ProgType, Option<AttachType>, bool, bool) {
        let m = section(name).unwrap_or_else(|| panic!("{name} is not found"));
        (m.prefix, m.kind, m.attach, m.sleepable, m.frags)
    }

    #[test]
    fn every_row_finds_itself_and_only_itself() {
        for row in SECTIONS {
            assert_eq!(section(row.name).map(|m| m.prefix), Some(row.name));
            let longer = section(&format!("{}/x", row.name)).map(|m| m.prefix);
            assert_eq!(longer, (row.tail == Tail::Extras).then_some(row.name), "{}", row.name);
            assert_eq!(section(&format!("{}x", row.name)), None, "{}", row.name);
            assert_eq!(section(&format!("{}/", row.name)), None, "{}", row.name);
        }
    }

    #[test]
    fn forms() {
        assert_eq!(found("xdp"), ("xdp", ProgType::Xdp, Some(AttachType::Xdp), false, false));
        assert_eq!(
            found("xdp.frags/devmap"),
            ("xdp.frags/devmap", ProgType::Xdp, Some(AttachType::XdpDevmap), false, true)
        );
        assert_eq!(found("tp/sched/sched_switch"), ("tp", ProgType::Tracepoint, None, false, false));
        assert_eq!(
            found("fentry.s/do_unlinkat"),
            ("fentry.s", ProgType::Tracing, Some(AttachType::TraceFentry), true, false)
        );
        assert_eq!(found("uprobe.s//bin/sh:main"), ("uprobe.s", ProgType::Kprobe, None, true, false));
        assert_eq!(found("syscall"), ("syscall", ProgType::Syscall, None, true, false));
        assert_eq!(found("kprobe.multi/tcp_*").2, Some(AttachType::TraceKprobeMulti));
        for name in ["", "xdp/foo", "xdp_pass", "kprobe.s/x", "socket1", ".text", "license", "cgroup"] {
            assert_eq!(section(name), None, "{name}");
        }
        assert!(section_names().any(|name| name == "kprobe+"));
    }
}
