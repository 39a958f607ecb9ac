//! `struct __sk_buff`.

use super::Widths::{Any, AnyAnd8At, No, Whole};
use super::{CtxField, CtxLayout, W124, Widths, Yields};
use crate::ProgSet;
use crate::ProgType::*;

type Access = (Widths, Widths);

const READ: Access = (Any(W124), No);
const READ_WRITE: Access = (Any(W124), Whole);
const READ_4: Access = (Any(4), No);
const CB: Widths = AnyAnd8At { any: W124, at: &[0, 8] };

const FILTER: ProgSet = ProgSet::of(&[SocketFilter]);
const TC: ProgSet = ProgSet::of(&[SchedCls, SchedAct]);
const CGROUP: ProgSet = ProgSet::of(&[CgroupSkb]);
const LWT: ProgSet = ProgSet::of(&[LwtIn, LwtOut, LwtXmit, LwtSeg6local]);
const STREAM: ProgSet = ProgSet::of(&[SkSkb]);
const DISSECTOR: ProgSet = ProgSet::of(&[FlowDissector]);

const ALL: ProgSet = FILTER.or(TC).or(CGROUP).or(LWT).or(STREAM);
const WITH_PACKET: ProgSet = TC.or(CGROUP).or(LWT).or(STREAM).or(DISSECTOR);
const WITH_SOCKET: ProgSet = CGROUP.or(STREAM);

pub(super) static SK_BUFF: CtxLayout = CtxLayout { name: "__sk_buff", fields: FIELDS, identity: false };

const fn f(name: &'static str, off: u16, size: u16, access: Access, progs: ProgSet) -> CtxField {
    CtxField::new(name, off, size, access, progs)
}

const FIELDS: &[CtxField] = &[
    f("len", 0, 4, READ, ALL),
    f("pkt_type", 4, 4, READ, ALL),
    f("mark", 8, 4, READ, FILTER),
    f("mark", 8, 4, READ_WRITE, TC.or(CGROUP).or(LWT)),
    f("queue_mapping", 12, 4, READ, FILTER.or(CGROUP).or(LWT).or(STREAM)),
    f("queue_mapping", 12, 4, READ_WRITE, TC),
    f("protocol", 16, 4, READ, ALL),
    f("vlan_present", 20, 4, READ, ALL),
    f("vlan_tci", 24, 4, READ, ALL),
    f("vlan_proto", 28, 4, READ, ALL),
    f("priority", 32, 4, READ, FILTER),
    f("priority", 32, 4, READ_WRITE, TC.or(CGROUP).or(LWT).or(STREAM)),
    f("ingress_ifindex", 36, 4, READ, ALL),
    f("ifindex", 40, 4, READ, ALL),
    f("tc_index", 44, 4, READ, FILTER.or(CGROUP).or(LWT)),
    f("tc_index", 44, 4, READ_WRITE, TC.or(STREAM)),
    f("cb", 48, 20, (CB, CB), FILTER.or(TC).or(CGROUP).or(LWT)),
    f("cb", 48, 20, (CB, No), STREAM),
    f("hash", 68, 4, READ, ALL),
    f("tc_classid", 72, 4, READ_WRITE, TC),
    CtxField::ptr("data", 76, 4, Yields::Packet, WITH_PACKET),
    CtxField::ptr("data_end", 80, 4, Yields::PacketEnd, WITH_PACKET),
    f("napi_id", 84, 4, READ, ALL),
    f("family", 88, 4, READ, WITH_SOCKET),
    f("remote_ip4", 92, 4, READ_4, WITH_SOCKET),
    f("local_ip4", 96, 4, READ_4, WITH_SOCKET),
    f("remote_ip6", 100, 16, READ_4, WITH_SOCKET),
    f("local_ip6", 116, 16, READ_4, WITH_SOCKET),
    f("remote_port", 132, 4, READ, WITH_SOCKET),
    f("local_port", 136, 4, READ, WITH_SOCKET),
    CtxField::ptr("data_meta", 140, 4, Yields::PacketMeta, TC),
    CtxField::ptr("flow_keys", 144, 8, Yields::FlowKeys, DISSECTOR),
    f("tstamp", 152, 8, (Whole, Whole), TC.or(CGROUP)),
    f("wire_len", 160, 4, READ, TC),
    f("gso_segs", 164, 4, READ, ALL),
    CtxField::ptr("sk", 168, 8, Yields::SockCommonOrNull, ALL),
    f("gso_size", 176, 4, READ, ALL),
    f("tstamp_type", 180, 1, (Whole, No), TC),
    f("hwtstamp", 184, 8, (Whole, No), TC.or(CGROUP)),
];
