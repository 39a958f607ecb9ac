//! The one table of operations: encodings, symbols and names.
//!
//! Decoding, encoding, the assembler, the disassembler and the lists that tests iterate over all derive from the rows
//! here (RFC 9669 sections 3 to 5, and Linux's additions).

use crate::insn::{AluOp, AtomicOp, CmpOp, EndianOp, Insn, Size, Wide, Width};
use crate::insn::{Callee, Operand};

/// Instruction classes: the low three bits of an opcode.
pub(crate) mod class {
    pub const LD: u8 = 0;
    pub const LDX: u8 = 1;
    pub const ST: u8 = 2;
    pub const STX: u8 = 3;
    pub const ALU: u8 = 4;
    pub const JMP: u8 = 5;
    pub const JMP32: u8 = 6;
    pub const ALU64: u8 = 7;
    pub const MASK: u8 = 7;
}

/// Modes of loads and stores: the high three bits of an opcode.
pub(crate) mod mode {
    pub const IMM: u8 = 0x00;
    pub const ABS: u8 = 0x20;
    pub const IND: u8 = 0x40;
    pub const MEM: u8 = 0x60;
    pub const MEMSX: u8 = 0x80;
    /// `ST` with this mode is a speculation barrier, which only the kernel writes.
    pub const NOSPEC: u8 = 0xc0;
    pub const ATOMIC: u8 = 0xc0;
    pub const MASK: u8 = 0xe0;
}

/// Operations that have no row because nothing else is like them: the high four bits of an opcode.
pub(crate) mod bits {
    pub const OP_MASK: u8 = 0xf0;
    pub const SIZE_MASK: u8 = 0x18;
    /// The second operand is a register.
    pub const X: u8 = 0x08;
    pub const NEG: u8 = 0x80;
    pub const MOV: u8 = 0xb0;
    pub const END: u8 = 0xd0;
    pub const JA: u8 = 0x00;
    pub const CALL: u8 = 0x80;
    pub const EXIT_K: u8 = EXIT | super::class::JMP;
    pub const JA_K: u8 = JA | super::class::JMP;
    pub const JA32_K: u8 = JA | super::class::JMP32;
    /// The opcode of a call.
    pub const CALL_K: u8 = CALL | super::class::JMP;
    pub const EXIT: u8 = 0x90;
    pub const JCOND: u8 = 0xe0;
    /// A call by register.
    pub const CALL_X: u8 = CALL | X | super::class::JMP;
    /// A jump to an address in a register.
    pub const JA_X: u8 = JA | X | super::class::JMP;
    /// A 64-bit immediate load, both slots together.
    pub const LD_IMM64: u8 = 0x18;
    /// `off` of a register move that is an address space cast.
    pub const ADDR_SPACE_CAST: i16 = 1;
    /// `off` of a register move that makes a per-CPU address, which only the kernel writes.
    pub const PERCPU_ADDR: i16 = -1;
    pub const LOAD_ACQ: i32 = 0x100;
    pub const STORE_REL: i32 = 0x110;
}

/// What `src` of a call selects.
pub(crate) mod call {
    pub const HELPER: u8 = 0;
    pub const LOCAL: u8 = 1;
    pub const KFUNC: u8 = 2;
}

/// What `src` of a 64-bit immediate load selects.
pub(crate) mod wide {
    pub const IMM: u8 = 0;
    pub const MAP: u8 = 1;
    pub const MAP_VALUE: u8 = 2;
    pub const BTF_ID: u8 = 3;
    pub const FUNC: u8 = 4;
    pub const MAP_IDX: u8 = 5;
    pub const MAP_IDX_VALUE: u8 = 6;
}

macro_rules! table {
    ($ty:ident: $row:ident { $($field:ident: $kind:ty,)* }
     $($variant:ident = { $($key:ident: $value:expr),* };)*) => {
        pub(crate) struct $row { $(pub $field: $kind,)* }

        impl $ty {
            /// Every value, in the order of the encodings.
            pub const ALL: &'static [$ty] = &[$($ty::$variant),*];

            pub(crate) const fn row(self) -> &'static $row {
                match self { $($ty::$variant => &$row { $($key: $value),* },)* }
            }
        }
    };
}

table! {
    AluOp: AluRow { bits: u8, off: i16, symbol: &'static str, name: &'static str, }
    Add  = { bits: 0x00, off: 0, symbol: "+=",   name: "add" };
    Sub  = { bits: 0x10, off: 0, symbol: "-=",   name: "sub" };
    Mul  = { bits: 0x20, off: 0, symbol: "*=",   name: "mul" };
    Div  = { bits: 0x30, off: 0, symbol: "/=",   name: "div" };
    SDiv = { bits: 0x30, off: 1, symbol: "s/=",  name: "sdiv" };
    Or   = { bits: 0x40, off: 0, symbol: "|=",   name: "or" };
    And  = { bits: 0x50, off: 0, symbol: "&=",   name: "and" };
    Lsh  = { bits: 0x60, off: 0, symbol: "<<=",  name: "lsh" };
    Rsh  = { bits: 0x70, off: 0, symbol: ">>=",  name: "rsh" };
    Mod  = { bits: 0x90, off: 0, symbol: "%=",   name: "mod" };
    SMod = { bits: 0x90, off: 1, symbol: "s%=",  name: "smod" };
    Xor  = { bits: 0xa0, off: 0, symbol: "^=",   name: "xor" };
    Arsh = { bits: 0xc0, off: 0, symbol: "s>>=", name: "arsh" };
}

table! {
    CmpOp: CmpRow { bits: u8, symbol: &'static str, name: &'static str, since: (u16, u16), }
    Eq  = { bits: 0x10, symbol: "==",  name: "jeq",  since: (3, 18) };
    Gt  = { bits: 0x20, symbol: ">",   name: "jgt",  since: (3, 18) };
    Ge  = { bits: 0x30, symbol: ">=",  name: "jge",  since: (3, 18) };
    Set = { bits: 0x40, symbol: "&",   name: "jset", since: (3, 18) };
    Ne  = { bits: 0x50, symbol: "!=",  name: "jne",  since: (3, 18) };
    Sgt = { bits: 0x60, symbol: "s>",  name: "jsgt", since: (3, 18) };
    Sge = { bits: 0x70, symbol: "s>=", name: "jsge", since: (3, 18) };
    Lt  = { bits: 0xa0, symbol: "<",   name: "jlt",  since: (4, 14) };
    Le  = { bits: 0xb0, symbol: "<=",  name: "jle",  since: (4, 14) };
    Slt = { bits: 0xc0, symbol: "s<",  name: "jslt", since: (4, 14) };
    Sle = { bits: 0xd0, symbol: "s<=", name: "jsle", since: (4, 14) };
}

table! {
    AtomicOp: AtomicRow { imm: i32, symbol: &'static str, name: &'static str, since: (u16, u16), }
    Add      = { imm: 0x00, symbol: "+=", name: "add",       since: (3, 18) };
    Or       = { imm: 0x40, symbol: "|=", name: "or",        since: (5, 12) };
    And      = { imm: 0x50, symbol: "&=", name: "and",       since: (5, 12) };
    Xor      = { imm: 0xa0, symbol: "^=", name: "xor",       since: (5, 12) };
    FetchAdd = { imm: 0x01, symbol: "",   name: "fetch_add", since: (5, 12) };
    FetchOr  = { imm: 0x41, symbol: "",   name: "fetch_or",  since: (5, 12) };
    FetchAnd = { imm: 0x51, symbol: "",   name: "fetch_and", since: (5, 12) };
    FetchXor = { imm: 0xa1, symbol: "",   name: "fetch_xor", since: (5, 12) };
    Xchg     = { imm: 0xe1, symbol: "",   name: "xchg",      since: (5, 12) };
    Cmpxchg  = { imm: 0xf1, symbol: "",   name: "cmpxchg",   since: (5, 12) };
}

table! {
    Size: SizeRow { bits: u8, unsigned: &'static str, signed: &'static str, suffix: &'static str, }
    W  = { bits: 0x00, unsigned: "u32", signed: "s32", suffix: "w" };
    H  = { bits: 0x08, unsigned: "u16", signed: "s16", suffix: "h" };
    B  = { bits: 0x10, unsigned: "u8",  signed: "s8",  suffix: "b" };
    Dw = { bits: 0x18, unsigned: "u64", signed: "s64", suffix: "dw" };
}

table! {
    EndianOp: EndianRow { class: u8, x: bool, name: &'static str, since: (u16, u16), }
    ToLe = { class: class::ALU,   x: false, name: "le",    since: (3, 18) };
    ToBe = { class: class::ALU,   x: true,  name: "be",    since: (3, 18) };
    Swap = { class: class::ALU64, x: false, name: "bswap", since: (6, 6) };
}

impl AluOp {
    /// As in `r1 += r2`.
    pub const fn symbol(self) -> &'static str {
        self.row().symbol
    }

    /// Lower-case mnemonic, as in RFC 9669.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The row with these opcode bits, whatever `off` says: `None` if no binary operation has them.
    pub(crate) fn with_bits(bits: u8, off: i16) -> Option<Result<AluOp, ()>> {
        let mut rows = AluOp::ALL.iter().copied().filter(|op| op.row().bits == bits).peekable();
        rows.peek()?;
        Some(rows.find(|op| op.row().off == off).ok_or(()))
    }

    /// The row with these opcode bits that an `off` without meaning comes closest to, to show it.
    pub(crate) fn nearest(bits: u8, off: i16) -> Option<AluOp> {
        let with = |off| AluOp::with_bits(bits, off).and_then(Result::ok);
        with(off).or_else(|| with(0))
    }
}

impl CmpOp {
    /// As in `if r1 s< r2 goto`.
    pub const fn symbol(self) -> &'static str {
        self.row().symbol
    }

    /// Lower-case mnemonic, as in RFC 9669.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    pub(crate) fn with_bits(bits: u8) -> Option<CmpOp> {
        CmpOp::ALL.iter().copied().find(|op| op.row().bits == bits)
    }

    /// The comparison that is true exactly where this one is false; `None` for `Set`, which has no counterpart.
    pub const fn negated(self) -> Option<CmpOp> {
        Some(match self {
            CmpOp::Eq => CmpOp::Ne,
            CmpOp::Ne => CmpOp::Eq,
            CmpOp::Gt => CmpOp::Le,
            CmpOp::Le => CmpOp::Gt,
            CmpOp::Ge => CmpOp::Lt,
            CmpOp::Lt => CmpOp::Ge,
            CmpOp::Sgt => CmpOp::Sle,
            CmpOp::Sle => CmpOp::Sgt,
            CmpOp::Sge => CmpOp::Slt,
            CmpOp::Slt => CmpOp::Sge,
            CmpOp::Set => return None,
        })
    }

    /// The comparison that gives the same answer with the operands exchanged.
    pub const fn swapped(self) -> CmpOp {
        match self {
            CmpOp::Eq => CmpOp::Eq,
            CmpOp::Ne => CmpOp::Ne,
            CmpOp::Gt => CmpOp::Lt,
            CmpOp::Lt => CmpOp::Gt,
            CmpOp::Ge => CmpOp::Le,
            CmpOp::Le => CmpOp::Ge,
            CmpOp::Sgt => CmpOp::Slt,
            CmpOp::Slt => CmpOp::Sgt,
            CmpOp::Sge => CmpOp::Sle,
            CmpOp::Sle => CmpOp::Sge,
            CmpOp::Set => CmpOp::Set,
        }
    }
}

impl AtomicOp {
    /// As in `lock *(u64 *)(r1 +0) += r2`; empty for the operations that are written as calls.
    pub const fn symbol(self) -> &'static str {
        self.row().symbol
    }

    /// As in `atomic64_fetch_add`, without the prefix.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    pub(crate) fn with_imm(imm: i32) -> Option<AtomicOp> {
        AtomicOp::ALL.iter().copied().find(|op| op.row().imm == imm)
    }
}

impl Size {
    /// 8, 16, 32 or 64.
    pub const fn bits(self) -> u32 {
        self.bytes() * 8
    }

    /// The type name in text: `u32`, or `s32` where the load sign-extends.
    pub const fn type_name(self, signed: bool) -> &'static str {
        if signed { self.row().signed } else { self.row().unsigned }
    }

    /// The size with this many bits.
    pub fn with_width(bits: i32) -> Option<Size> {
        Size::ALL.iter().copied().find(|size| i64::from(size.bits()) == i64::from(bits))
    }

    pub(crate) fn of(code: u8) -> Size {
        match code & bits::SIZE_MASK {
            0x00 => Size::W,
            0x08 => Size::H,
            0x10 => Size::B,
            _ => Size::Dw,
        }
    }
}

impl EndianOp {
    /// `le`, `be` or `bswap`.
    pub const fn name(self) -> &'static str {
        self.row().name
    }
}

/// Conformance groups of RFC 9669 section 2.4, and two for what is not in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub enum Group {
    Base32,
    Base64,
    Divmul32,
    Divmul64,
    Atomic32,
    Atomic64,
    Packet,
    /// Not in the RFC: calls by register, as the public conformance suite groups them.
    Callx,
    /// Not in the RFC: address space casts, `may_goto`, `gotox`, load-acquire and store-release.
    Linux,
}

impl Group {
    /// Every group.
    pub const ALL: &'static [Group] = &[
        Group::Base32,
        Group::Base64,
        Group::Divmul32,
        Group::Divmul64,
        Group::Atomic32,
        Group::Atomic64,
        Group::Packet,
        Group::Callx,
        Group::Linux,
    ];

    /// The label in the RFC, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Base32 => "base32",
            Group::Base64 => "base64",
            Group::Divmul32 => "divmul32",
            Group::Divmul64 => "divmul64",
            Group::Atomic32 => "atomic32",
            Group::Atomic64 => "atomic64",
            Group::Packet => "packet",
            Group::Callx => "callx",
            Group::Linux => "linux",
        }
    }

    /// The group with this label.
    pub fn named(name: &str) -> Option<Group> {
        Group::ALL.iter().copied().find(|group| group.name() == name)
    }

    /// Who supports `self` supports `other`, too: base64 includes base32, and so on.
    pub fn includes(self, other: Group) -> bool {
        let narrower = match self {
            Group::Base64 => Some(Group::Base32),
            Group::Divmul64 => Some(Group::Divmul32),
            Group::Atomic64 => Some(Group::Atomic32),
            Group::Base32 | Group::Divmul32 | Group::Atomic32 | Group::Packet | Group::Callx | Group::Linux => None,
        };
        self == other || narrower == Some(other)
    }
}

impl core::fmt::Display for Group {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.name())
    }
}

/// Where an instruction is specified.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Origin {
    /// RFC 9669.
    Rfc {
        /// Its section, as in `4.1`.
        section: &'static str,
    },
    /// Linux alone.
    Linux,
    /// Compilers write it, and other runtimes run it; Linux never had it.
    Compilers,
}

const fn by_width(width: Width, narrow: Group, wide: Group) -> Group {
    match width {
        Width::W32 => narrow,
        Width::W64 => wide,
    }
}

const fn by_size(size: Size, narrow: Group, wide: Group) -> Group {
    match size {
        Size::Dw => wide,
        Size::B | Size::H | Size::W => narrow,
    }
}

impl Insn {
    /// The conformance group it belongs to.
    pub const fn group(self) -> Group {
        match self {
            Insn::Alu { width, op: AluOp::Mul | AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod, .. } => {
                by_width(width, Group::Divmul32, Group::Divmul64)
            }
            Insn::Alu { width, .. }
            | Insn::Mov { width, .. }
            | Insn::MovSx { width, .. }
            | Insn::Neg { width, .. }
            | Insn::Branch { width, .. } => by_width(width, Group::Base32, Group::Base64),
            Insn::LoadImm { .. } | Insn::WideTail => Group::Base64,
            Insn::Endian { size, .. } | Insn::Load { size, .. } | Insn::Store { size, .. } => {
                by_size(size, Group::Base32, Group::Base64)
            }
            Insn::Atomic { size, .. } => by_size(size, Group::Atomic32, Group::Atomic64),
            // EXIT is where every program ends: the public suite, too, has it in the group that all must support.
            Insn::Jump { .. } | Insn::Call(_) | Insn::Exit => Group::Base32,
            Insn::CallX { .. } => Group::Callx,
            Insn::LegacyPacket { .. } => Group::Packet,
            Insn::AddrSpaceCast { .. }
            | Insn::LoadAcquire { .. }
            | Insn::StoreRelease { .. }
            | Insn::MayGoto { .. }
            | Insn::GotoX { .. } => Group::Linux,
        }
    }

    /// Where it is specified.
    pub const fn origin(self) -> Origin {
        let section = match self {
            Insn::Alu { .. } | Insn::Mov { .. } | Insn::MovSx { .. } | Insn::Neg { .. } => "4.1",
            Insn::Endian { .. } => "4.2",
            Insn::Jump { .. } | Insn::Branch { .. } | Insn::Exit => "4.3",
            Insn::Call(Callee::Helper(_) | Callee::Kfunc { .. }) => "4.3.1",
            Insn::Call(Callee::Local(_)) => "4.3.2",
            Insn::Load { signed: false, .. } | Insn::Store { .. } => "5.1",
            Insn::Load { signed: true, .. } => "5.2",
            Insn::Atomic { .. } => "5.3",
            Insn::LoadImm { .. } | Insn::WideTail => "5.4",
            Insn::LegacyPacket { .. } => "5.5",
            Insn::AddrSpaceCast { .. }
            | Insn::LoadAcquire { .. }
            | Insn::StoreRelease { .. }
            | Insn::MayGoto { .. }
            | Insn::GotoX { .. } => return Origin::Linux,
            Insn::CallX { .. } => return Origin::Compilers,
        };
        Origin::Rfc { section }
    }

    /// The first kernel (major, minor) that has it, `None` if none has.
    pub const fn since(self) -> Option<(u16, u16)> {
        const ORIGIN: (u16, u16) = (3, 18);
        const MCPU_V4: (u16, u16) = (6, 6);
        Some(match self {
            Insn::CallX { .. } => return None,
            Insn::GotoX { .. } => (6, 19),
            Insn::Alu { op: AluOp::SDiv | AluOp::SMod, .. }
            | Insn::MovSx { .. }
            | Insn::Load { signed: true, .. }
            | Insn::Jump { long: true, .. } => MCPU_V4,
            Insn::Endian { op, .. } => op.row().since,
            Insn::Atomic { op, .. } => op.row().since,
            Insn::Branch { width: Width::W32, .. } => (5, 1),
            Insn::Branch { width: Width::W64, op, .. } => op.row().since,
            Insn::AddrSpaceCast { .. } | Insn::MayGoto { .. } => (6, 9),
            Insn::LoadAcquire { .. } | Insn::StoreRelease { .. } => (6, 15),
            Insn::Call(Callee::Local(_)) => (4, 16),
            Insn::Call(Callee::Kfunc { .. }) => (5, 13),
            Insn::LoadImm { value, .. } => match value {
                Wide::Imm(_) | Wide::Map(_) => ORIGIN,
                Wide::MapValue { .. } => (5, 2),
                Wide::BtfId { .. } => (5, 10),
                Wide::Func(_) => (5, 13),
                Wide::MapIdx(_) | Wide::MapIdxValue { .. } => (5, 14),
            },
            Insn::Alu { .. }
            | Insn::Mov { .. }
            | Insn::Neg { .. }
            | Insn::WideTail
            | Insn::Load { signed: false, .. }
            | Insn::Store { .. }
            | Insn::Jump { long: false, .. }
            | Insn::Call(Callee::Helper(_))
            | Insn::Exit
            | Insn::LegacyPacket { .. } => ORIGIN,
        })
    }
}

impl From<i32> for Operand {
    fn from(value: i32) -> Operand {
        Operand::Imm(value)
    }
}

impl From<crate::insn::Reg> for Operand {
    fn from(value: crate::insn::Reg) -> Operand {
        Operand::Reg(value)
    }
}
