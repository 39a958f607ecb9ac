//! Instructions as text, exactly as Linux's verifier and bpftool write them, or in the mnemonic dialect.
//!
//! Text is made from the encoding and not from the decoded form: a log also shows instructions that nothing will ever
//! decode, because they are dead or are about to be refused.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::code::{Code, Encoded, RawInsn, decode_slot, encode};
use crate::insn::{AluOp, AtomicOp, CmpOp, EndianOp, Insn, Size, Wide, Width};
use crate::mnemonic::Text;
use crate::num;
use crate::op::{bits, call, class, mode, wide};

/// Names for the numbers in a program. Every method may answer `None` for the text that needs no knowledge.
pub trait Names {
    /// A helper's name with its `bpf_`; else `unknown`. The number is printed after it.
    fn helper(&self, _id: i32) -> Option<Cow<'_, str>> {
        None
    }

    /// A kernel function's name; else `kernel-function`. The id is printed after it.
    fn kfunc(&self, _id: i32, _off: i16) -> Option<Cow<'_, str>> {
        None
    }

    /// The number that is printed after a kernel function's name: the id of the call where nobody knows another.
    fn kfunc_number(&self, id: i32, _off: i16) -> i32 {
        id
    }

    /// What is called from `slot` at `offset` slots after the following one; else `pc+7`.
    fn local(&self, _slot: usize, _offset: i32) -> Option<Cow<'_, str>> {
        None
    }

    /// A 64-bit immediate other than a plain number; else `map[fd:3]` and the like. Linux writes an address or `0x0`.
    fn wide(&self, _slot: usize, _value: Wide) -> Option<Cow<'_, str>> {
        None
    }
}

/// Numbers only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NoNames;

impl Names for NoNames {}

/// Which of the two languages an instruction is written in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Dialect {
    /// `r1 += r2`, as Linux's verifier and bpftool write it.
    #[default]
    Kernel,
    /// `add %r1, %r2`, as the public conformance suite and ubpf write it.
    Mnemonic,
}

impl Dialect {
    /// Both.
    pub const ALL: &'static [Dialect] = &[Dialect::Kernel, Dialect::Mnemonic];
}

/// The text of one instruction, to be displayed.
#[derive(Clone, Copy)]
pub struct Disasm<'a> {
    raw: RawInsn,
    /// Immediate of the second slot.
    high: i32,
    slot: usize,
    names: &'a dyn Names,
    opcode: bool,
    dialect: Dialect,
}

impl fmt::Debug for Disasm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

impl Disasm<'_> {
    /// With the opcode byte before it: `(b7) r0 = 2`.
    #[must_use]
    pub fn with_opcode(self) -> Self {
        Disasm { opcode: true, ..self }
    }

    /// In this dialect. The mnemonic one has no text for what is malformed, and says in a comment what is wrong with it.
    #[must_use]
    pub fn in_dialect(self, dialect: Dialect) -> Self {
        Disasm { dialect, ..self }
    }
}

/// The text of a decoded instruction that stands at `slot`; `WideTail` has none.
pub fn disasm(insn: Insn, slot: usize, names: &dyn Names) -> Disasm<'_> {
    let encoded: Encoded = encode(insn);
    let high = encoded.get(1).map_or(0, |tail| tail.imm);
    Disasm { raw: encoded.head(), high, slot, names, opcode: false, dialect: Dialect::Kernel }
}

impl Code {
    /// The text of the instruction at a slot, also of one that is malformed; `None` for the second slot of a wide load
    /// and after the end.
    pub fn text<'a>(&self, slot: usize, names: &'a dyn Names) -> Option<Disasm<'a>> {
        let raw = self.raw(slot).filter(|_| !self.is_tail(slot))?;
        let high = self.raw(slot + 1).filter(|_| raw.is_wide()).map_or(0, |tail| tail.imm);
        Some(Disasm { raw, high, slot, names, opcode: false, dialect: Dialect::Kernel })
    }
}

impl fmt::Display for Disasm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dialect == Dialect::Mnemonic {
            return self.mnemonic(f);
        }
        match self.raw.code & class::MASK {
            class::LD => self.load_special(f),
            class::LDX => self.load(f),
            class::ST => self.store_imm(f),
            class::STX => self.store(f),
            class::ALU => self.alu(f, Width::W32),
            class::ALU64 => self.alu(f, Width::W64),
            class::JMP => self.jump(f, Width::W64),
            _ => self.jump(f, Width::W32),
        }
    }
}

/// `r1` or `w1`.
struct Narrow(Width, u8);

impl fmt::Display for Narrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.0 {
            Width::W32 => 'w',
            Width::W64 => 'r',
        };
        write!(f, "{letter}{}", self.1)
    }
}

/// `(u64 *)(r10 -8)`.
struct Place(&'static str, u8, i16);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place(kind, base, off) = self;
        write!(f, "({kind} *)(r{base} {off:+})")
    }
}

/// Writes a line with its opcode byte, if that is wanted. What has no text is written without, as Linux does.
macro_rules! say {
    ($self:ident, $f:ident, $($text:tt)*) => {
        $self.opcode($f).and_then(|()| write!($f, $($text)*))
    };
}

impl Disasm<'_> {
    fn opcode(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.opcode { write!(f, "({:02x}) ", self.raw.code) } else { Ok(()) }
    }

    fn mnemonic(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = RawInsn { imm: self.high, ..RawInsn::default() };
        match decode_slot(self.raw, Some(tail)) {
            Ok(insn) => say!(self, f, "{}", Text { insn, slot: self.slot, names: self.names }),
            Err(malformed) => write!(f, "# {malformed}"),
        }
    }

    fn place(&self, base: u8, signed: bool) -> Place {
        Place(Size::of(self.raw.code).type_name(signed), base, self.raw.off)
    }

    fn load_special(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawInsn { code, dst, src, imm, .. } = self.raw;
        let kind = Size::of(code).type_name(false);
        match code & mode::MASK {
            mode::ABS => say!(self, f, "r0 = *({kind} *)skb[{imm}]"),
            mode::IND => say!(self, f, "r0 = *({kind} *)skb[r{src} + {imm}]"),
            mode::IMM if self.raw.is_wide() => say!(self, f, "r{dst} = {}", self.wide()),
            _ => write!(f, "BUG_ld_{code:02x}"),
        }
    }

    fn wide(&self) -> Cow<'_, str> {
        let RawInsn { src, imm, .. } = self.raw;
        let off = num::u32(self.high);
        let value = match src {
            wide::MAP => Wide::Map(imm),
            wide::MAP_VALUE => Wide::MapValue { map: imm, off },
            wide::BTF_ID => Wide::BtfId { id: imm, fd: self.high },
            wide::FUNC => Wide::Func(imm),
            wide::MAP_IDX => Wide::MapIdx(imm),
            wide::MAP_IDX_VALUE => Wide::MapIdxValue { index: imm, off },
            _ => Wide::Imm(num::join(off, num::u32(imm))),
        };
        let name = if matches!(value, Wide::Imm(_)) { None } else { self.names.wide(self.slot, value) };
        name.unwrap_or_else(|| Cow::Owned(plain_wide(value)))
    }

    fn load(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawInsn { code, dst, src, .. } = self.raw;
        match code & mode::MASK {
            mode::MEM => say!(self, f, "r{dst} = *{}", self.place(src, false)),
            mode::MEMSX => say!(self, f, "r{dst} = *{}", self.place(src, true)),
            _ => write!(f, "BUG_ldx_{code:02x}"),
        }
    }

    fn store_imm(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawInsn { code, dst, imm, .. } = self.raw;
        match code & mode::MASK {
            mode::MEM => say!(self, f, "*{} = {imm}", self.place(dst, false)),
            mode::NOSPEC => say!(self, f, "nospec"),
            _ => write!(f, "BUG_st_{code:02x}"),
        }
    }

    fn store(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawInsn { code, dst, src, .. } = self.raw;
        match code & mode::MASK {
            mode::MEM => say!(self, f, "*{} = r{src}", self.place(dst, false)),
            mode::ATOMIC => self.atomic(f),
            _ => write!(f, "BUG_{code:02x}"),
        }
    }

    fn atomic(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawInsn { code, dst, src, imm, .. } = self.raw;
        let place = self.place(dst, false);
        let Some(op) = AtomicOp::with_imm(imm) else {
            return match imm {
                bits::LOAD_ACQ => say!(self, f, "r{dst} = load_acquire({})", self.place(src, false)),
                bits::STORE_REL => say!(self, f, "store_release({place}, r{src})"),
                _ => write!(f, "BUG_{code:02x}"),
            };
        };
        let width = if Size::of(code) == Size::Dw { "64" } else { "" };
        let name = op.name();
        match op {
            AtomicOp::Add | AtomicOp::Or | AtomicOp::And | AtomicOp::Xor => {
                say!(self, f, "lock *{place} {} r{src}", op.symbol())
            }
            AtomicOp::Cmpxchg => say!(self, f, "r0 = atomic{width}_{name}({place}, r0, r{src})"),
            AtomicOp::FetchAdd | AtomicOp::FetchOr | AtomicOp::FetchAnd | AtomicOp::FetchXor | AtomicOp::Xchg => {
                say!(self, f, "r{src} = atomic{width}_{name}({place}, r{src})")
            }
        }
    }

    fn alu(&self, f: &mut fmt::Formatter<'_>, width: Width) -> fmt::Result {
        let RawInsn { code, dst, src, off, imm } = self.raw;
        let register = code & bits::X != 0;
        let target = Narrow(width, dst);
        let symbol = match code & bits::OP_MASK {
            bits::NEG => return say!(self, f, "{target} = -{target}"),
            bits::END => {
                let name = match width {
                    Width::W64 => EndianOp::Swap.name(),
                    Width::W32 if register => EndianOp::ToBe.name(),
                    Width::W32 => EndianOp::ToLe.name(),
                };
                return say!(self, f, "r{dst} = {name}{imm} r{dst}");
            }
            bits::MOV if register && width == Width::W64 && off == bits::ADDR_SPACE_CAST => {
                let spaces = num::u32(imm);
                return say!(self, f, "r{dst} = addr_space_cast(r{src}, {}, {})", spaces >> 16, spaces & 0xffff);
            }
            bits::MOV if register && width == Width::W64 && off == bits::PERCPU_ADDR => {
                return say!(self, f, "r{dst} = &(void __percpu *)(r{src})");
            }
            bits::MOV => "=",
            op => match AluOp::nearest(op, off) {
                Some(op) => op.symbol(),
                None => return write!(f, "BUG_alu_{code:02x}"),
            },
        };
        if register {
            let is_move = code & bits::OP_MASK == bits::MOV;
            let cast = Size::with_width(i32::from(off)).filter(|from| is_move && *from != Size::Dw);
            let src = Narrow(width, src);
            match cast {
                Some(from) => say!(self, f, "{target} {symbol} ({}){src}", from.type_name(true)),
                None => say!(self, f, "{target} {symbol} {src}"),
            }
        } else {
            say!(self, f, "{target} {symbol} {imm}")
        }
    }

    fn jump(&self, f: &mut fmt::Formatter<'_>, width: Width) -> fmt::Result {
        let RawInsn { code, dst, src, off, imm } = self.raw;
        match (code & bits::OP_MASK, width) {
            (bits::CALL, Width::W64) if code == bits::CALL_X => say!(self, f, "callx r{dst}"),
            (bits::JA, Width::W64) if code == bits::JA_X => say!(self, f, "gotox r{dst}"),
            (bits::CALL, _) => self.call(f),
            (bits::JA, Width::W64) => say!(self, f, "goto pc{off:+}"),
            (bits::JA, Width::W32) => say!(self, f, "gotol pc{imm:+}"),
            (bits::JCOND, Width::W64) if src == 0 => say!(self, f, "may_goto pc{off:+}"),
            (bits::EXIT, Width::W64) => say!(self, f, "exit"),
            (op, _) => match CmpOp::with_bits(op) {
                Some(op) if code & bits::X != 0 => {
                    let (lhs, rhs) = (Narrow(width, dst), Narrow(width, src));
                    say!(self, f, "if {lhs} {} {rhs} goto pc{off:+}", op.symbol())
                }
                Some(op) => say!(self, f, "if {} {} {imm:#x} goto pc{off:+}", Narrow(width, dst), op.symbol()),
                // Linux has no symbol for the kinds of conditional jump that are not `may_goto`.
                None if op == bits::JCOND => say!(self, f, "if {} (null) {imm:#x} goto pc{off:+}", Narrow(width, dst)),
                None => write!(f, "BUG_jmp_{code:02x}"),
            },
        }
    }

    fn call(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawInsn { src, off, imm, .. } = self.raw;
        match src {
            call::LOCAL => match self.names.local(self.slot, imm) {
                Some(name) => say!(self, f, "call {name}"),
                None => say!(self, f, "call pc{imm:+}"),
            },
            call::KFUNC => match self.names.kfunc(imm, off) {
                Some(name) => say!(self, f, "call {name}#{}", self.names.kfunc_number(imm, off)),
                None if off == 0 => say!(self, f, "call kernel-function#{imm}"),
                None => say!(self, f, "call kernel-function[{off}]#{imm}"),
            },
            _ => say!(self, f, "call {}#{imm}", self.names.helper(imm).unwrap_or(Cow::Borrowed("unknown"))),
        }
    }
}

fn plain_wide(value: Wide) -> String {
    match value {
        Wide::Imm(number) => format!("{number:#x}"),
        Wide::Map(map) => format!("map[fd:{map}]"),
        Wide::MapValue { map, off } => format!("map[fd:{map}][0]+{off}"),
        Wide::BtfId { id, fd: 0 } => format!("btf[id:{id}]"),
        Wide::BtfId { id, fd } => format!("btf[id:{id},fd:{fd}]"),
        Wide::Func(off) => format!("subprog[{off:+}]"),
        Wide::MapIdx(index) => format!("map[idx:{index}]"),
        Wide::MapIdxValue { index, off } => format!("map[idx:{index}][0]+{off}"),
    }
}

impl fmt::Display for Insn {
    /// The text without names; the second slot of a wide load is empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Insn::WideTail { Ok(()) } else { write!(f, "{}", disasm(*self, 0, &NoNames)) }
    }
}
