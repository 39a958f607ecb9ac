//! What is known about one register or one spilled stack slot.

use super::typed::BtfPtr;
use crate::domain::Scalar;

/// How a scalar differs from the other members of its link set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delta {
    /// It is the same value.
    Same,
    /// It is the base plus this constant, added with 64 bits.
    Add64(i32),
    /// The same, added with 32 bits.
    Add32(i32),
}

impl Delta {
    /// The constant.
    pub fn off(self) -> i32 {
        match self {
            Delta::Same => 0,
            Delta::Add64(off) | Delta::Add32(off) => off,
        }
    }
}

/// Membership in a set of scalars that are known to be equal but for a constant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// Set, never 0.
    pub id: u32,
    /// Own distance.
    pub delta: Delta,
}

/// A number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScalarValue {
    /// What it can be.
    pub num: Scalar,
    /// Which others it is tied to.
    pub link: Option<Link>,
}

/// Where the memory of a dynptr is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DynptrKind {
    /// In a map's value, or wherever the caller of a global function has it.
    Local,
    /// A record of a ring buffer.
    Ringbuf,
    /// A packet.
    Skb,
    /// A packet's metadata.
    SkbMeta,
    /// A packet of an XDP program.
    Xdp,
}

impl DynptrKind {
    /// Linux's name.
    pub fn name(self) -> &'static str {
        match self {
            DynptrKind::Local => "local",
            DynptrKind::Ringbuf => "ringbuf",
            DynptrKind::Skb => "skb",
            DynptrKind::SkbMeta => "skb_meta",
            DynptrKind::Xdp => "xdp",
        }
    }

    /// Writing through it may give the packet another place.
    pub fn may_move(self) -> bool {
        match self {
            DynptrKind::Skb | DynptrKind::SkbMeta => true,
            DynptrKind::Local | DynptrKind::Ringbuf | DynptrKind::Xdp => false,
        }
    }

    /// Slices of it end where packet pointers do.
    pub fn is_packet(self) -> bool {
        match self {
            DynptrKind::Skb | DynptrKind::SkbMeta | DynptrKind::Xdp => true,
            DynptrKind::Local | DynptrKind::Ringbuf => false,
        }
    }
}

/// The dynptr that a pointer into its memory was taken from: its id, and whether it is one of a packet; or the callback that it was
/// lent to. In four bytes, as every register has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Slice(u32);

impl Slice {
    /// No slice.
    pub const NONE: Slice = Slice(0);
    const PACKET: u32 = 1 << 31;
    const LENT: u32 = 1 << 30;
    const TYPED: u32 = 1 << 29;

    /// A piece of this dynptr.
    pub fn of(id: u32, packet: bool) -> Slice {
        Slice(if packet { id | Self::PACKET } else { id & !Self::PACKET })
    }

    /// What a callback in this frame was lent: a key, or a dynptr. No id of a dynptr is so large.
    pub fn lent(frame: usize) -> Slice {
        Slice(Self::LENT | u32::try_from(frame).unwrap_or(0))
    }

    /// The same, taken by one of the kernel's functions for it (`bpf_dynptr_slice` and `bpf_dynptr_slice_rdwr`). Linux gives these pieces the type
    /// of their dynptr, so that they are less than other memory: no key nor value of a map, and no argument with an offset.
    pub fn typed(self) -> Slice {
        Slice(self.0 | Self::TYPED)
    }

    /// Whether one of those functions took it.
    pub fn is_typed(self) -> bool {
        self.0 & Self::TYPED != 0
    }

    /// Id of the dynptr.
    pub fn id(self) -> u32 {
        self.0 & !(Self::PACKET | Self::TYPED)
    }

    /// Whether it is a piece of a packet.
    pub fn is_packet(self) -> bool {
        self.0 & Self::PACKET != 0
    }

    /// Whether it is no piece of a dynptr at all.
    pub fn is_none(self) -> bool {
        self == Slice::NONE
    }
}

/// Whose memory it is that has a known size.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MemOrigin {
    /// There for certain.
    Given,
    /// A record of a ring buffer.
    Ringbuf,
    /// Variables of the kernel, which are not there elsewhere.
    Kernel,
}

/// What a pointer points to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PtrKind {
    /// The program's context.
    Ctx,
    /// A map itself: index into the program's maps.
    ConstMap(u32),
    /// A value of a map.
    MapValue(u32),
    /// A key of a map (callbacks).
    MapKey(u32),
    /// The stack of a frame, offset 0 at its top.
    Stack(u32),
    /// Packet data; `range` bytes from the pointer's fixed part are known to be there, -1 and -2 mean at and beyond the end.
    Packet { range: i32 },
    /// Packet metadata.
    PacketMeta { range: i32 },
    /// End of the packet.
    PacketEnd,
    /// Memory of a known size.
    Mem { size: u32, rdonly: bool, origin: MemOrigin },
    /// `struct bpf_flow_keys`.
    FlowKeys,
    /// `struct sock_common`.
    SockCommon,
    /// `struct bpf_sock`.
    Sock,
    /// `struct bpf_tcp_sock`.
    TcpSock,
    /// `struct bpf_xdp_sock`.
    XdpSock,
    /// Argument of a writable raw tracepoint.
    TpBuffer,
    /// A structure that BTF describes.
    Btf(BtfPtr),
    /// Memory of the kernel of which nothing is known: it can be read, with faults caught, and gives numbers.
    AnyMem,
    /// An address of the program's arena, of which nothing else is known: accesses that miss fault, and are caught.
    Arena,
    /// Memory that an iterator gives; how much was reached is looked at when it is attached.
    Buf { rdonly: bool },
    /// A subprogram, to be called back.
    Func(u32),
    /// A dynptr that is not on the stack: nobody here may change it.
    Dynptr(DynptrKind),
}

/// A pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ptr {
    /// What it points to.
    pub kind: PtrKind,
    /// Fixed part of the offset.
    pub off: i32,
    /// Variable part of the offset.
    pub var: Scalar,
    /// Ties copies together, for null checks and packet ranges; 0 for none.
    pub id: u32,
    /// Reference that has to be released; 0 for none.
    pub ref_id: u32,
    /// The dynptr that it is a piece of; of maps that have callbacks, and of values in them, which of those that look alike.
    pub slice: Slice,
    /// May be null.
    pub nullable: bool,
}

impl Ptr {
    /// A pointer to the start of something.
    pub const fn new(kind: PtrKind) -> Ptr {
        Ptr { kind, off: 0, var: Scalar::constant(0), id: 0, ref_id: 0, slice: Slice::NONE, nullable: false }
    }

    /// Constant offset from the start, if it is known.
    pub fn const_off(&self) -> Option<i64> {
        self.var.const_value().map(|var| i64::from(self.off).wrapping_add(ring3_isa::num::s64(var)))
    }
}

/// What a register or slot holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Value {
    /// Never written, or written with something that may not be read.
    #[default]
    Uninit,
    /// A number.
    Scalar(ScalarValue),
    /// A pointer.
    Ptr(Ptr),
}

impl Value {
    /// An unknown number.
    pub fn unknown() -> Value {
        Value::number(Scalar::unknown())
    }

    /// This constant.
    pub fn constant(value: u64) -> Value {
        Value::number(Scalar::constant(value))
    }

    /// A number that is tied to nothing.
    pub fn number(num: Scalar) -> Value {
        Value::Scalar(ScalarValue { num, link: None })
    }

    /// A pointer to the start of something.
    pub const fn ptr(kind: PtrKind) -> Value {
        Value::Ptr(Ptr::new(kind))
    }

    /// The number, if it is one.
    pub fn as_scalar(&self) -> Option<&ScalarValue> {
        match self {
            Value::Scalar(s) => Some(s),
            Value::Uninit | Value::Ptr(_) => None,
        }
    }

    /// The pointer, if it is one.
    pub fn as_ptr(&self) -> Option<&Ptr> {
        match self {
            Value::Ptr(p) => Some(p),
            Value::Uninit | Value::Scalar(_) => None,
        }
    }

    /// The constant, if it is one.
    pub fn const_value(&self) -> Option<u64> {
        self.as_scalar().and_then(|s| s.num.const_value())
    }

    /// Whether this is the constant 0.
    pub fn is_zero(&self) -> bool {
        self.const_value() == Some(0)
    }
}

/// The kernel's name for the type of a value, as it stands in logs (`map_value_or_null`).
pub fn type_name(value: &Value) -> String {
    let nullable = value.as_ptr().is_some_and(|ptr| ptr.nullable);
    match plain_name(value) {
        Ok(base) => format!("{base}{}", if nullable { "_or_null" } else { "" }),
        // The word for null stands in front of the structure's name, which only states have.
        Err(to) => format!("{}ptr_{}", to.trust.prefix(), if nullable { "or_null_" } else { "" }),
    }
}

/// The same as if it cannot be null; the structure, where the name is made of it.
pub fn plain_name(value: &Value) -> Result<&'static str, BtfPtr> {
    let ptr = match value {
        Value::Uninit => return Ok("?"),
        Value::Scalar(_) => return Ok("scalar"),
        Value::Ptr(ptr) => ptr,
    };
    Ok(match ptr.kind {
        PtrKind::Ctx => "ctx",
        PtrKind::ConstMap(_) => "map_ptr",
        PtrKind::MapValue(_) => "map_value",
        PtrKind::MapKey(_) => "map_key",
        PtrKind::Stack(_) => "fp",
        PtrKind::Packet { .. } => "pkt",
        PtrKind::PacketMeta { .. } => "pkt_meta",
        PtrKind::PacketEnd => "pkt_end",
        PtrKind::Mem { rdonly: true, .. } => "rdonly_mem",
        PtrKind::Mem { origin: MemOrigin::Ringbuf, .. } => "ringbuf_mem",
        PtrKind::Mem { .. } => "mem",
        PtrKind::FlowKeys => "flow_keys",
        PtrKind::SockCommon => "sock_common",
        PtrKind::Sock => "sock",
        PtrKind::TcpSock => "tcp_sock",
        PtrKind::XdpSock => "xdp_sock",
        PtrKind::TpBuffer => "tp_buffer",
        PtrKind::AnyMem => "rdonly_untrusted_mem",
        PtrKind::Arena => "arena",
        PtrKind::Buf { rdonly: true } => "rdonly_buf",
        PtrKind::Buf { rdonly: false } => "buf",
        PtrKind::Func(_) => "func",
        PtrKind::Dynptr(_) => "dynptr_ptr",
        PtrKind::Btf(to) => return Err(to),
    })
}
