//! Contexts of programs on packets and sockets other than `__sk_buff`: `xdp_md`, `sk_msg_md`, `sk_reuseport_md`,
//! `bpf_sk_lookup`, `bpf_nf_ctx`; and what `flow_keys` and an AF_XDP socket lead to.

use super::Widths::{Any, No, Unaligned, Whole};
use super::{CtxField, CtxLayout, W124, Widths, Yields};
use crate::AttachType;
use crate::ProgSet;
use crate::ProgType::*;

type Access = (Widths, Widths);

const READ: Access = (Any(W124), No);
const READ_4: Access = (Any(4), No);

const XDP: ProgSet = ProgSet::of(&[Xdp]);
const MSG: ProgSet = ProgSet::of(&[SkMsg]);
const REUSEPORT: ProgSet = ProgSet::of(&[SkReuseport]);
const LOOKUP: ProgSet = ProgSet::of(&[SkLookup]);
const NF: ProgSet = ProgSet::of(&[Netfilter]);

const fn f(name: &'static str, off: u16, size: u16, access: Access, progs: ProgSet) -> CtxField {
    CtxField::new(name, off, size, access, progs)
}

pub(super) static XDP_MD: CtxLayout = CtxLayout {
    name: "xdp_md",
    identity: false,
    fields: &[
        CtxField::ptr("data", 0, 4, Yields::Packet, XDP),
        CtxField::ptr("data_end", 4, 4, Yields::PacketEnd, XDP),
        CtxField::ptr("data_meta", 8, 4, Yields::PacketMeta, XDP),
        f("ingress_ifindex", 12, 4, READ_4, XDP),
        // Writable only for programs offloaded to a device, which do not run here.
        f("rx_queue_index", 16, 4, READ_4, XDP),
        f("egress_ifindex", 20, 4, READ_4, XDP).only(&[AttachType::XdpDevmap]),
    ],
};

pub(super) static SK_MSG_MD: CtxLayout = CtxLayout {
    name: "sk_msg_md",
    identity: false,
    fields: &[
        CtxField::ptr("data", 0, 8, Yields::Packet, MSG),
        CtxField::ptr("data_end", 8, 8, Yields::PacketEnd, MSG),
        f("family", 16, 4, READ_4, MSG),
        f("remote_ip4", 20, 4, READ_4, MSG),
        f("local_ip4", 24, 4, READ_4, MSG),
        f("remote_ip6", 28, 16, READ_4, MSG),
        f("local_ip6", 44, 16, READ_4, MSG),
        f("remote_port", 60, 4, READ_4, MSG),
        f("local_port", 64, 4, READ_4, MSG),
        f("size", 68, 4, READ_4, MSG),
        CtxField::ptr("sk", 72, 8, Yields::Sock, MSG),
    ],
};

pub(super) static SK_REUSEPORT_MD: CtxLayout = CtxLayout {
    name: "sk_reuseport_md",
    identity: false,
    fields: &[
        CtxField::ptr("data", 0, 8, Yields::Packet, REUSEPORT),
        CtxField::ptr("data_end", 8, 8, Yields::PacketEnd, REUSEPORT),
        f("len", 16, 4, READ, REUSEPORT),
        f("eth_protocol", 20, 4, (Any(2 | 4), No), REUSEPORT),
        f("ip_protocol", 24, 4, READ, REUSEPORT),
        f("bind_inany", 28, 4, READ, REUSEPORT),
        f("hash", 32, 4, READ_4, REUSEPORT),
        CtxField::ptr("sk", 40, 8, Yields::Sock, REUSEPORT),
        CtxField::ptr("migrating_sk", 48, 8, Yields::SockCommonOrNull, REUSEPORT),
    ],
};

pub(super) static SK_LOOKUP: CtxLayout = CtxLayout {
    name: "bpf_sk_lookup",
    identity: false,
    fields: &[
        CtxField::ptr("sk", 0, 8, Yields::SockOrNull, LOOKUP),
        f("family", 8, 4, READ, LOOKUP),
        f("protocol", 12, 4, READ, LOOKUP),
        f("remote_ip4", 16, 4, READ, LOOKUP),
        f("remote_ip6", 20, 16, READ, LOOKUP),
        // A port of 2 bytes and 2 bytes of padding, which reads as zero.
        f("remote_port", 36, 4, READ, LOOKUP),
        f("local_ip4", 40, 4, READ, LOOKUP),
        f("local_ip6", 44, 16, READ, LOOKUP),
        f("local_port", 60, 4, READ, LOOKUP),
        f("ingress_ifindex", 64, 4, READ, LOOKUP),
    ],
};

pub(super) static NF_CTX: CtxLayout = CtxLayout {
    name: "bpf_nf_ctx",
    identity: false,
    fields: &[
        CtxField::ptr("state", 0, 8, Yields::Btf("nf_hook_state"), NF),
        CtxField::ptr("skb", 8, 8, Yields::Btf("sk_buff"), NF),
    ],
};

pub(super) static XDP_SOCK: CtxLayout =
    CtxLayout { name: "bpf_xdp_sock", identity: false, fields: &[f("queue_id", 0, 4, (Whole, No), ProgSet::ALL)] };

pub(super) static FLOW_KEYS: CtxLayout = CtxLayout {
    name: "bpf_flow_keys",
    identity: true,
    fields: &[f("flow_keys", 0, 56, (Unaligned, Unaligned), ProgSet::ALL)],
};
