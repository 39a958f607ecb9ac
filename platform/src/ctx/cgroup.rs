//! Contexts of the control-group programs that are not about sockets or packets, and of socket options.

use super::Widths::{Any, No, Whole};
use super::{CtxField, CtxLayout, W124, Widths, Yields};
use crate::AttachType::{CgroupGetsockopt, CgroupSetsockopt};
use crate::ProgSet;
use crate::ProgType;

type Access = (Widths, Widths);

const READ: Access = (Any(W124), No);
const READ_4: Access = (Any(4), No);
const READ_4_WRITE: Access = (Any(4), Any(4));

const DEV: ProgSet = ProgSet::of(&[ProgType::CgroupDevice]);
const CTL: ProgSet = ProgSet::of(&[ProgType::CgroupSysctl]);
const OPT: ProgSet = ProgSet::of(&[ProgType::CgroupSockopt]);

const fn f(name: &'static str, off: u16, size: u16, access: Access, progs: ProgSet) -> CtxField {
    CtxField::new(name, off, size, access, progs)
}

pub(super) static DEVICE: CtxLayout = CtxLayout {
    name: "bpf_cgroup_dev_ctx",
    identity: false,
    fields: &[f("access_type", 0, 4, READ, DEV), f("major", 4, 4, READ_4, DEV), f("minor", 8, 4, READ_4, DEV)],
};

pub(super) static SYSCTL: CtxLayout = CtxLayout {
    name: "bpf_sysctl",
    identity: false,
    fields: &[f("write", 0, 4, READ, CTL), f("file_pos", 4, 4, (Any(W124), Whole), CTL)],
};

pub(super) static SOCKOPT: CtxLayout = CtxLayout {
    name: "bpf_sockopt",
    identity: false,
    fields: &[
        CtxField::ptr("sk", 0, 8, Yields::Sock, OPT),
        CtxField::ptr("optval", 8, 8, Yields::Packet, OPT),
        CtxField::ptr("optval_end", 16, 8, Yields::PacketEnd, OPT),
        f("level", 24, 4, READ_4, OPT).only(&[CgroupGetsockopt]),
        f("level", 24, 4, READ_4_WRITE, OPT).only(&[CgroupSetsockopt]),
        f("optname", 28, 4, READ_4, OPT).only(&[CgroupGetsockopt]),
        f("optname", 28, 4, READ_4_WRITE, OPT).only(&[CgroupSetsockopt]),
        f("optlen", 32, 4, READ_4_WRITE, OPT),
        f("retval", 36, 4, READ_4_WRITE, OPT).only(&[CgroupGetsockopt]),
    ],
};
