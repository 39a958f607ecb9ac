//! Contexts of programs on sockets (`bpf_sock`, `bpf_sock_addr`, `bpf_sock_ops`), and what pointers to sockets lead to.

use super::Widths::{Any, AnyAnd8At, Low, No, Whole};
use super::{CtxField, CtxLayout, W12, W124, Widths, Yields};
use crate::AttachType::{self, *};
use crate::ProgSet;
use crate::ProgType;

type Access = (Widths, Widths);

const READ: Access = (Any(W124), No);
const READ_4: Access = (Any(4), No);
const READ_LOW: Access = (Low(W124), No);
const READ_8: Access = (Whole, No);
const READ_WRITE: Access = (Any(W124), Any(4));
const READ_4_WRITE: Access = (Any(4), Any(4));

const CGROUP: ProgSet = ProgSet::of(&[ProgType::CgroupSock]);
const ADDR: ProgSet = ProgSet::of(&[ProgType::CgroupSockAddr]);
const OPS: ProgSet = ProgSet::of(&[ProgType::SockOps]);
const ALL: ProgSet = ProgSet::ALL;

const CREATE_RELEASE: &[AttachType] = &[CgroupInetSockCreate, CgroupInetSockRelease];
const BIND4: &[AttachType] = &[CgroupInet4PostBind];
const BIND6: &[AttachType] = &[CgroupInet6PostBind];
const BIND: &[AttachType] = &[CgroupInet4PostBind, CgroupInet6PostBind];

const V4: &[AttachType] = &[
    CgroupInet4Bind,
    CgroupInet4Connect,
    CgroupUdp4Sendmsg,
    CgroupUdp4Recvmsg,
    CgroupInet4Getpeername,
    CgroupInet4Getsockname,
];
const V6: &[AttachType] = &[
    CgroupInet6Bind,
    CgroupInet6Connect,
    CgroupUdp6Sendmsg,
    CgroupUdp6Recvmsg,
    CgroupInet6Getpeername,
    CgroupInet6Getsockname,
];

const fn f(name: &'static str, off: u16, size: u16, access: Access, progs: ProgSet) -> CtxField {
    CtxField::new(name, off, size, access, progs)
}

/// The end of `bpf_sock` is the same for contexts and pointers. The port has 2 bytes; a read of 4 gives zeroes above it.
macro_rules! sock_tail {
    ($($head:expr,)* => $progs:expr) => {
        &[
            $($head,)*
            f("dst_port", 48, 2, (Any(W12), No), $progs),
            f("dst_port", 48, 4, (Whole, No), $progs),
            f("dst_ip4", 52, 4, READ, $progs),
            f("dst_ip6", 56, 16, READ, $progs),
            f("state", 72, 4, READ_LOW, $progs),
            f("rx_queue_mapping", 76, 4, READ_LOW, $progs),
        ]
    };
}

pub(super) static CGROUP_SOCK: CtxLayout = CtxLayout {
    name: "bpf_sock",
    identity: false,
    fields: sock_tail! {
        f("bound_dev_if", 0, 4, READ_4_WRITE, CGROUP).only(CREATE_RELEASE),
        f("family", 4, 4, READ_LOW, CGROUP),
        f("type", 8, 4, READ_LOW, CGROUP),
        f("protocol", 12, 4, READ_LOW, CGROUP),
        f("mark", 16, 4, READ_4_WRITE, CGROUP).only(CREATE_RELEASE),
        f("priority", 20, 4, READ_4_WRITE, CGROUP).only(CREATE_RELEASE),
        f("src_ip4", 24, 4, READ, CGROUP).only(BIND4),
        f("src_ip6", 28, 16, READ, CGROUP).only(BIND6),
        f("src_port", 44, 4, READ_LOW, CGROUP).only(BIND),
        => CGROUP
    },
};

pub(super) static COMMON: CtxLayout = CtxLayout {
    name: "bpf_sock",
    identity: false,
    fields: sock_tail! {
        f("bound_dev_if", 0, 4, READ_4, ALL),
        f("family", 4, 4, READ_LOW, ALL),
        f("src_ip4", 24, 4, READ, ALL),
        f("src_ip6", 28, 16, READ, ALL),
        f("src_port", 44, 4, READ_LOW, ALL),
        => ALL
    },
};

pub(super) static SOCKET: CtxLayout = CtxLayout {
    name: "bpf_sock",
    identity: false,
    fields: sock_tail! {
        f("bound_dev_if", 0, 4, READ_4, ALL),
        f("family", 4, 4, READ_LOW, ALL),
        f("type", 8, 4, READ_LOW, ALL),
        f("protocol", 12, 4, READ_LOW, ALL),
        f("mark", 16, 4, READ_4, ALL),
        f("priority", 20, 4, READ_4, ALL),
        f("src_ip4", 24, 4, READ, ALL),
        f("src_ip6", 28, 16, READ, ALL),
        f("src_port", 44, 4, READ_LOW, ALL),
        => ALL
    },
};

pub(super) static SOCK_ADDR: CtxLayout = CtxLayout {
    name: "bpf_sock_addr",
    identity: false,
    fields: &[
        f("user_family", 0, 4, READ_4, ADDR),
        f("user_ip4", 4, 4, READ_WRITE, ADDR).only(V4),
        f("user_ip6", 8, 16, (AnyAnd8At { any: W124, at: &[0, 8] }, AnyAnd8At { any: 4, at: &[0, 8] }), ADDR).only(V6),
        f("user_port", 24, 4, READ_WRITE, ADDR),
        f("family", 28, 4, READ_4, ADDR),
        f("type", 32, 4, READ_4, ADDR),
        f("protocol", 36, 4, READ_4, ADDR),
        f("msg_src_ip4", 40, 4, READ_WRITE, ADDR).only(&[CgroupUdp4Sendmsg]),
        // The array starts at an offset that is no multiple of 8, so that only its middle can be accessed by 8 bytes.
        f("msg_src_ip6", 44, 16, (AnyAnd8At { any: W124, at: &[4] }, AnyAnd8At { any: 4, at: &[4] }), ADDR)
            .only(&[CgroupUdp6Sendmsg]),
        CtxField::ptr("sk", 64, 8, Yields::Sock, ADDR),
    ],
};

pub(super) static SOCK_OPS: CtxLayout = CtxLayout {
    name: "bpf_sock_ops",
    identity: false,
    fields: &[
        f("op", 0, 4, READ_4, OPS),
        // A union of `args`, `reply` and `replylong`, of which the first word can be written.
        f("args", 4, 16, READ_4, OPS),
        f("reply", 4, 4, READ_4_WRITE, OPS),
        f("family", 20, 4, READ_4, OPS),
        f("remote_ip4", 24, 4, READ_4, OPS),
        f("local_ip4", 28, 4, READ_4, OPS),
        f("remote_ip6", 32, 16, READ_4, OPS),
        f("local_ip6", 48, 16, READ_4, OPS),
        f("remote_port", 64, 4, READ_4, OPS),
        f("local_port", 68, 4, READ_4, OPS),
        f("is_fullsock", 72, 4, READ_4, OPS),
        f("snd_cwnd", 76, 4, READ_4, OPS),
        f("srtt_us", 80, 4, READ_4, OPS),
        f("bpf_sock_ops_cb_flags", 84, 4, READ_4, OPS),
        f("state", 88, 4, READ_4, OPS),
        f("rtt_min", 92, 4, READ_4, OPS),
        f("snd_ssthresh", 96, 4, READ_4, OPS),
        f("rcv_nxt", 100, 4, READ_4, OPS),
        f("snd_nxt", 104, 4, READ_4, OPS),
        f("snd_una", 108, 4, READ_4, OPS),
        f("mss_cache", 112, 4, READ_4, OPS),
        f("ecn_flags", 116, 4, READ_4, OPS),
        f("rate_delivered", 120, 4, READ_4, OPS),
        f("rate_interval_us", 124, 4, READ_4, OPS),
        f("packets_out", 128, 4, READ_4, OPS),
        f("retrans_out", 132, 4, READ_4, OPS),
        f("total_retrans", 136, 4, READ_4, OPS),
        f("segs_in", 140, 4, READ_4, OPS),
        f("data_segs_in", 144, 4, READ_4, OPS),
        f("segs_out", 148, 4, READ_4, OPS),
        f("data_segs_out", 152, 4, READ_4, OPS),
        f("lost_out", 156, 4, READ_4, OPS),
        f("sacked_out", 160, 4, READ_4, OPS),
        f("sk_txhash", 164, 4, READ_4_WRITE, OPS),
        f("bytes_received", 168, 8, READ_8, OPS),
        f("bytes_acked", 176, 8, READ_8, OPS),
        CtxField::ptr("sk", 184, 8, Yields::SockOrNull, OPS),
        CtxField::ptr("skb_data", 192, 8, Yields::Packet, OPS),
        CtxField::ptr("skb_data_end", 200, 8, Yields::PacketEnd, OPS),
        f("skb_len", 208, 4, READ_4, OPS),
        f("skb_tcp_flags", 212, 4, READ_LOW, OPS),
        f("skb_hwtstamp", 216, 8, READ_8, OPS),
    ],
};

pub(super) static TCP: CtxLayout = CtxLayout {
    name: "bpf_tcp_sock",
    identity: false,
    fields: &[
        f("snd_cwnd", 0, 4, READ_4, ALL),
        f("srtt_us", 4, 4, READ_4, ALL),
        f("rtt_min", 8, 4, READ_4, ALL),
        f("snd_ssthresh", 12, 4, READ_4, ALL),
        f("rcv_nxt", 16, 4, READ_4, ALL),
        f("snd_nxt", 20, 4, READ_4, ALL),
        f("snd_una", 24, 4, READ_4, ALL),
        f("mss_cache", 28, 4, READ_4, ALL),
        f("ecn_flags", 32, 4, READ_4, ALL),
        f("rate_delivered", 36, 4, READ_4, ALL),
        f("rate_interval_us", 40, 4, READ_4, ALL),
        f("packets_out", 44, 4, READ_4, ALL),
        f("retrans_out", 48, 4, READ_4, ALL),
        f("total_retrans", 52, 4, READ_4, ALL),
        f("segs_in", 56, 4, READ_4, ALL),
        f("data_segs_in", 60, 4, READ_4, ALL),
        f("segs_out", 64, 4, READ_4, ALL),
        f("data_segs_out", 68, 4, READ_4, ALL),
        f("lost_out", 72, 4, READ_4, ALL),
        f("sacked_out", 76, 4, READ_4, ALL),
        f("bytes_received", 80, 8, READ_8, ALL),
        f("bytes_acked", 88, 8, READ_8, ALL),
        f("dsack_dups", 96, 4, READ_4, ALL),
        f("delivered", 100, 4, READ_4, ALL),
        f("delivered_ce", 104, 4, READ_4, ALL),
        f("icsk_retransmits", 108, 4, READ_4, ALL),
    ],
};
