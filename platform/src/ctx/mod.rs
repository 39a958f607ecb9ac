//! Context layouts: what a program of a type sees behind R1.
//!
//! One row serves twice: the verifier checks accesses against it, and lowering turns an access into one of the run-time
//! context, where each field has an 8-byte slot of its own (`CtxLayout::host_offset`).

use crate::{AttachType, ProgSet};

/// Which accesses of a field are legal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Widths {
    /// None.
    No,
    /// The whole field at its start.
    Whole,
    /// Naturally aligned accesses of the given sizes (a mask: 1, 2, 4, 8) anywhere inside the field.
    Any(u8),
    /// As `Any`, but narrower than the field only at its low-order end.
    Low(u8),
    /// Sizes of `any` anywhere, and 8 bytes only at these offsets from the start of the field.
    AnyAnd8At {
        /// Mask of sizes.
        any: u8,
        /// Offsets.
        at: &'static [u16],
    },
    /// Any size at any offset.
    Unaligned,
}

/// What a read yields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Yields {
    Scalar,
    Packet,
    PacketEnd,
    PacketMeta,
    FlowKeys,
    SockCommonOrNull,
    Sock,
    SockOrNull,
    TpBuffer,
    /// Trusted pointer to a kernel struct.
    Btf(&'static str),
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct CtxField {
    /// Name in the UAPI struct.
    pub name: &'static str,
    /// Offset in bytes.
    pub off: u16,
    /// Size in bytes, of all elements if it is an array.
    pub size: u16,
    /// Legal reads.
    pub read: Widths,
    /// Legal writes.
    pub write: Widths,
    /// Result of a read.
    pub yields: Yields,
    /// For which program types this row holds.
    pub progs: ProgSet,
    /// For which attach types; empty for all.
    pub attach: &'static [AttachType],
}

/// A context struct.
#[derive(Clone, Copy, Debug)]
pub struct CtxLayout {
    /// C name, such as `xdp_md`.
    pub name: &'static str,
    /// Rows, by offset.
    pub fields: &'static [CtxField],
    /// The run-time context is the very image of the struct (registers, tracepoint records): accesses are not rewritten.
    pub identity: bool,
}
