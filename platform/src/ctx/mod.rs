//! Context layouts: what a program of a type sees behind R1, and what a pointer to a socket leads to.
//!
//! One row serves twice: the verifier checks accesses against it, and lowering turns an access into one of the run-time
//! context, where each field has an 8-byte slot of its own ([`CtxLayout::host_offset`]). The run-time context holds in
//! each slot what a read of the field gives, so that narrow and sub-offset reads need no further rule; slots of fields
//! that yield pointers hold a 64-bit address even where the field of the UAPI struct has 4 bytes.
//!
//! Narrow reads are described for little-endian machines, as ring3 runs on x86-64 and arm64 only.

mod cgroup;
mod net;
mod skb;
mod sock;
mod trace;

use crate::{AttachType, ProgSet, ProgType};

/// Mask of access sizes: 1 and 2 bytes.
const W12: u8 = 1 | 2;
/// Mask of access sizes: 1, 2 and 4 bytes.
const W124: u8 = 1 | 2 | 4;
/// Mask of access sizes: 1, 2, 4 and 8 bytes.
const W1248: u8 = 1 | 2 | 4 | 8;

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

impl Widths {
    /// Whether an access of `size` bytes, `rel` bytes into a field of `whole` bytes, is legal. `abs` is the offset from
    /// the start of the struct, by which natural alignment is judged. The access lies inside the field.
    const fn allow(self, abs: u32, rel: u32, size: u32, whole: u32) -> bool {
        let aligned = abs.is_multiple_of(size);
        match self {
            Widths::No => false,
            Widths::Whole => rel == 0 && size == whole,
            Widths::Any(mask) => aligned && mask as u32 & size != 0,
            Widths::Low(mask) => rel == 0 && mask as u32 & size != 0,
            Widths::AnyAnd8At { any, at } => {
                if size == 8 {
                    let mut i = 0;
                    while i < at.len() {
                        if at[i] as u32 == rel {
                            return true;
                        }
                        i += 1;
                    }
                    false
                } else {
                    aligned && any as u32 & size != 0
                }
            }
            Widths::Unaligned => true,
        }
    }
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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

impl CtxField {
    /// A row that yields a scalar, for all attach types.
    const fn new(name: &'static str, off: u16, size: u16, (read, write): (Widths, Widths), progs: ProgSet) -> CtxField {
        CtxField { name, off, size, read, write, yields: Yields::Scalar, progs, attach: &[] }
    }

    /// A read-only row of the whole field that yields a pointer.
    const fn ptr(name: &'static str, off: u16, size: u16, yields: Yields, progs: ProgSet) -> CtxField {
        CtxField { name, off, size, read: Widths::Whole, write: Widths::No, yields, progs, attach: &[] }
    }

    /// The row for these attach types only.
    const fn only(self, attach: &'static [AttachType]) -> CtxField {
        CtxField { attach, ..self }
    }

    /// One past the last byte.
    pub const fn end(&self) -> u32 {
        self.off as u32 + self.size as u32
    }

    /// Whether the row holds for programs of this type and attach type.
    pub fn applies(&self, prog: ProgType, attach: Option<AttachType>) -> bool {
        self.progs.has(prog) && (self.attach.is_empty() || attach.is_some_and(|a| self.attach.contains(&a)))
    }
}

/// A context struct.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CtxLayout {
    /// C name, such as `xdp_md`.
    pub name: &'static str,
    /// Rows, by offset. Several rows can describe one field for different programs; they have the same offset.
    pub fields: &'static [CtxField],
    /// The run-time context is the very image of the struct (registers, tracepoint records): accesses are not rewritten.
    pub identity: bool,
}

/// Bytes of a slot of the run-time context are a multiple of this.
pub const SLOT: usize = 8;

impl CtxLayout {
    /// Offset in bytes of the field's slot in the run-time context. Rows with the same offset share their slot.
    /// An index past the last row gives the size of the context.
    pub const fn host_offset(&self, field: usize) -> usize {
        if self.identity && field < self.fields.len() {
            return self.fields[field].off as usize;
        }
        let mut at = 0;
        let mut i = 0;
        while i < self.fields.len() {
            let (end, bytes) = self.slot(i);
            if field < end {
                return at;
            }
            at += bytes;
            i = end;
        }
        at
    }

    /// Bytes of the run-time context, at least.
    pub const fn host_size(&self) -> usize {
        if !self.identity {
            return self.host_offset(self.fields.len());
        }
        let mut size = 0;
        let mut i = 0;
        while i < self.fields.len() {
            if self.fields[i].end() as usize > size {
                size = self.fields[i].end() as usize;
            }
            i += 1;
        }
        size
    }

    /// One past the last of the rows that share a slot with row `first`, and the slot's bytes.
    const fn slot(&self, first: usize) -> (usize, usize) {
        let mut end = first;
        let mut size = 0;
        while end < self.fields.len() && self.fields[end].off == self.fields[first].off {
            if self.fields[end].size as usize > size {
                size = self.fields[end].size as usize;
            }
            end += 1;
        }
        (end, size.next_multiple_of(SLOT))
    }

    /// The row by which a program may access `size` bytes at `off`; `None` if the access is illegal (EACCES,
    /// "invalid bpf_context access"). `attach` as [`ProgType::effective_attach`] gives it.
    pub fn field_index(
        &self,
        prog: ProgType,
        attach: Option<AttachType>,
        off: i64,
        size: u32,
        write: bool,
    ) -> Option<usize> {
        let off = u32::try_from(off).ok()?;
        if !matches!(size, 1 | 2 | 4 | 8) {
            return None;
        }
        self.fields.iter().position(|field| {
            let start = u32::from(field.off);
            let inside = off >= start && off.checked_add(size).is_some_and(|end| end <= field.end());
            let widths = if write { field.write } else { field.read };
            inside && field.applies(prog, attach) && widths.allow(off, off - start, size, u32::from(field.size))
        })
    }

    /// The first row of that name.
    pub fn by_name(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }
}

/// The context of a program type. `None` where it is described by BTF (function arguments) or by another program.
#[inline]
pub const fn layout(kind: ProgType) -> Option<&'static CtxLayout> {
    match kind {
        ProgType::SocketFilter
        | ProgType::SchedCls
        | ProgType::SchedAct
        | ProgType::CgroupSkb
        | ProgType::LwtIn
        | ProgType::LwtOut
        | ProgType::LwtXmit
        | ProgType::LwtSeg6local
        | ProgType::SkSkb
        | ProgType::FlowDissector => Some(&skb::SK_BUFF),
        ProgType::Xdp => Some(&net::XDP_MD),
        ProgType::SkMsg => Some(&net::SK_MSG_MD),
        ProgType::SkReuseport => Some(&net::SK_REUSEPORT_MD),
        ProgType::SkLookup => Some(&net::SK_LOOKUP),
        ProgType::Netfilter => Some(&net::NF_CTX),
        ProgType::CgroupSock => Some(&sock::CGROUP_SOCK),
        ProgType::CgroupSockAddr => Some(&sock::SOCK_ADDR),
        ProgType::SockOps => Some(&sock::SOCK_OPS),
        ProgType::CgroupDevice => Some(&cgroup::DEVICE),
        ProgType::CgroupSysctl => Some(&cgroup::SYSCTL),
        ProgType::CgroupSockopt => Some(&cgroup::SOCKOPT),
        ProgType::Kprobe => Some(&trace::PT_REGS),
        ProgType::Tracepoint => Some(&trace::TRACEPOINT),
        ProgType::PerfEvent => Some(&trace::PERF_EVENT),
        ProgType::RawTracepoint | ProgType::RawTracepointWritable => Some(&trace::RAW_TRACEPOINT),
        ProgType::LircMode2 => Some(&trace::LIRC),
        ProgType::Syscall => Some(&trace::SYSCALL),
        ProgType::Tracing | ProgType::Lsm | ProgType::StructOps | ProgType::Ext => None,
    }
}

/// What a pointer of the type `sock_common` leads to: the part of `bpf_sock` that every socket has.
pub const fn sock_common() -> &'static CtxLayout {
    &sock::COMMON
}

/// What a pointer of the type `sock` (a full socket) leads to.
pub const fn socket() -> &'static CtxLayout {
    &sock::SOCKET
}

/// What a pointer of the type `tcp_sock` leads to.
pub const fn tcp_sock() -> &'static CtxLayout {
    &sock::TCP
}

/// What a pointer of the type `xdp_sock` leads to.
pub const fn xdp_sock() -> &'static CtxLayout {
    &net::XDP_SOCK
}

/// What a flow dissector's `flow_keys` leads to.
pub const fn flow_keys() -> &'static CtxLayout {
    &net::FLOW_KEYS
}

#[cfg(test)]
mod tests;
