//! The mnemonic dialect: the names of instructions in RFC 9669's own style, as the public conformance suite, ubpf and rbpf
//! write them, and the text of an instruction in it (`add %r1, %r2`, `ldxw %r2, [%r1+4]`).
//!
//! 64-bit arithmetic, jumps and atomics have the bare name (`add`, `jeq`, `lock xchg`), 32-bit ones `32` after it.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::disasm::Names;
use crate::insn::{AtomicOp, Callee, Insn, Operand, Reg, Size, Wide, Width};
use crate::num;

/// The mnemonic of an instruction, without operands.
pub(crate) struct Mnemonic(pub Insn);

/// `b`, `h`, `w` or `dw`.
pub(crate) const fn suffix(size: Size) -> &'static str {
    size.row().suffix
}

const fn narrow(width: Width) -> &'static str {
    match width {
        Width::W32 => "32",
        Width::W64 => "",
    }
}

impl fmt::Display for Mnemonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Insn::Alu { width, op, .. } => write!(f, "{}{}", op.name(), narrow(width)),
            Insn::Mov { width, .. } => write!(f, "mov{}", narrow(width)),
            Insn::MovSx { width, from, .. } => write!(f, "movsx{}{}", from.bits(), width.bits()),
            Insn::Neg { width, .. } => write!(f, "neg{}", narrow(width)),
            Insn::Endian { op, size, .. } => write!(f, "{}{}", op.name(), size.bits()),
            Insn::AddrSpaceCast { .. } => f.write_str("addr_space_cast"),
            Insn::LoadImm { .. } | Insn::WideTail => f.write_str("lddw"),
            Insn::Load { size, signed, .. } => write!(f, "ldx{}{}", if signed { "s" } else { "" }, suffix(size)),
            Insn::Store { size, src: Operand::Imm(_), .. } => write!(f, "st{}", suffix(size)),
            Insn::Store { size, src: Operand::Reg(_), .. } => write!(f, "stx{}", suffix(size)),
            Insn::Atomic { op, size, .. } => {
                write!(f, "lock {}{}", op.name(), if size == Size::Dw { "" } else { "32" })
            }
            Insn::LoadAcquire { size, .. } => write!(f, "ldx{}_acq", suffix(size)),
            Insn::StoreRelease { size, .. } => write!(f, "stx{}_rel", suffix(size)),
            Insn::Jump { long, .. } => f.write_str(if long { "ja32" } else { "ja" }),
            Insn::Branch { width, op, .. } => write!(f, "{}{}", op.name(), narrow(width)),
            Insn::MayGoto { .. } => f.write_str("may_goto"),
            Insn::Call(_) => f.write_str("call"),
            Insn::CallX { .. } => f.write_str("callx"),
            Insn::GotoX { .. } => f.write_str("gotox"),
            Insn::Exit => f.write_str("exit"),
            Insn::LegacyPacket { size, index: None, .. } => write!(f, "ldabs{}", suffix(size)),
            Insn::LegacyPacket { size, index: Some(_), .. } => write!(f, "ldind{}", suffix(size)),
        }
    }
}

/// What a wide immediate is called before its number, `None` for a plain number (RFC 9669 section 5.4).
pub(crate) const fn wide_name(value: Wide) -> Option<&'static str> {
    Some(match value {
        Wide::Imm(_) => return None,
        Wide::Map(_) => "map_by_fd",
        Wide::MapValue { .. } => "map_val_by_fd",
        Wide::BtfId { .. } => "var_addr",
        Wide::Func(_) => "code_addr",
        Wide::MapIdx(_) => "map_by_idx",
        Wide::MapIdxValue { .. } => "map_val_by_idx",
    })
}

/// What kind of callee it is; `runtime` is the public suite's word for the kernel's own functions.
pub(crate) const fn callee_name(callee: Callee) -> &'static str {
    match callee {
        Callee::Helper(_) => "helper",
        Callee::Local(_) => "local",
        Callee::Kfunc { .. } => "runtime",
    }
}

/// The text of an instruction in this dialect, without its opcode byte.
pub(crate) struct Text<'a> {
    pub insn: Insn,
    pub slot: usize,
    pub names: &'a dyn Names,
}

/// `[%r10-8]`; `[%r10]` without an offset.
struct Place(Reg, i16);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            0 => write!(f, "[%{}]", self.0),
            off => write!(f, "[%{}{off:+}]", self.0),
        }
    }
}

/// Small and negative numbers in decimal, others in hexadecimal, where they are easier to recognise.
struct Number(i32);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            number @ -999_999..=9 => write!(f, "{number}"),
            number => write!(f, "{number:#x}"),
        }
    }
}

/// `%r2` or a number.
struct Source(Operand);

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Operand::Reg(reg) => write!(f, "%{reg}"),
            Operand::Imm(imm) => write!(f, "{}", Number(imm)),
        }
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Mnemonic(self.insn);
        match self.insn {
            Insn::Alu { dst, src, .. } | Insn::Mov { dst, src, .. } => write!(f, "{name} %{dst}, {}", Source(src)),
            Insn::MovSx { dst, src, .. } => write!(f, "{name} %{dst}, %{src}"),
            Insn::AddrSpaceCast { dst, src, imm } => {
                let spaces = num::u32(imm);
                write!(f, "{name} %{dst}, %{src}, {}, {}", spaces >> 16, spaces & 0xffff)
            }
            Insn::Neg { dst, .. } | Insn::Endian { dst, .. } => write!(f, "{name} %{dst}"),
            Insn::LoadImm { dst, value } => {
                write!(f, "{name} %{dst}, ")?;
                self.wide(f, value)
            }
            Insn::WideTail => Ok(()),
            Insn::Load { dst, base, off, .. } | Insn::LoadAcquire { dst, base, off, .. } => {
                write!(f, "{name} %{dst}, {}", Place(base, off))
            }
            Insn::Store { base, off, src, .. } => write!(f, "{name} {}, {}", Place(base, off), Source(src)),
            Insn::StoreRelease { base, off, src, .. } => write!(f, "{name} {}, %{src}", Place(base, off)),
            Insn::Atomic { op, size, base, off, src } => {
                let (fetch, name) = locked(op);
                let width = if size == Size::Dw { "" } else { "32" };
                write!(f, "lock {fetch}{name}{width} {}, %{src}", Place(base, off))
            }
            Insn::Jump { off, .. } => write!(f, "{name} {off:+}"),
            Insn::Branch { lhs, rhs, off, .. } => write!(f, "{name} %{lhs}, {}, {off:+}", Source(rhs)),
            Insn::MayGoto { off } => write!(f, "{name} {off:+}"),
            Insn::Call(callee) => self.call(f, callee),
            Insn::CallX { target } | Insn::GotoX { target } => write!(f, "{name} %{target}"),
            Insn::Exit => write!(f, "{name}"),
            Insn::LegacyPacket { index: None, imm, .. } => write!(f, "{name} {}", Number(imm)),
            Insn::LegacyPacket { index: Some(index), imm, .. } => write!(f, "{name} %{index}, {}", Number(imm)),
        }
    }
}

/// The public suite writes `lock fetch add`.
fn locked(op: AtomicOp) -> (&'static str, &'static str) {
    match op.name().strip_prefix("fetch_") {
        Some(name) => ("fetch ", name),
        None => ("", op.name()),
    }
}

impl Text<'_> {
    /// Names are comments here: the dialect has numbers only.
    fn wide(&self, f: &mut fmt::Formatter<'_>, value: Wide) -> fmt::Result {
        let name = wide_name(value).unwrap_or_default();
        match value {
            Wide::Imm(number) => write!(f, "{number:#x}"),
            Wide::Map(number) | Wide::MapIdx(number) | Wide::BtfId { id: number, fd: 0 } => {
                write!(f, "{name}({number})")
            }
            Wide::BtfId { id, fd } => write!(f, "{name}({id}, {fd})"),
            Wide::MapValue { map, off } => {
                write!(f, "map_val({}({map}))+{off}", wide_name(Wide::Map(map)).unwrap_or_default())
            }
            Wide::MapIdxValue { index, off } => {
                write!(f, "map_val({}({index}))+{off}", wide_name(Wide::MapIdx(index)).unwrap_or_default())
            }
            Wide::Func(off) => write!(f, "{name}({off:+})"),
        }?;
        let comment = if matches!(value, Wide::Imm(_)) { None } else { self.names.wide(self.slot, value) };
        comment.map_or(Ok(()), |comment| write!(f, " # {comment}"))
    }

    fn call(&self, f: &mut fmt::Formatter<'_>, callee: Callee) -> fmt::Result {
        let kind = callee_name(callee);
        let comment = match callee {
            Callee::Helper(id) => {
                write!(f, "call {kind} {id}")?;
                self.names.helper(id)
            }
            Callee::Local(off) => {
                write!(f, "call {kind} {off:+}")?;
                self.names.local(self.slot, off)
            }
            Callee::Kfunc { id, off } => {
                write!(f, "call {kind} {id}")?;
                if off != 0 {
                    write!(f, ", {off}")?;
                }
                self.names.kfunc(id, off)
            }
        };
        comment.map_or(Ok(()), |comment| write!(f, " # {comment}"))
    }
}

/// The name closest to one that was written: at most two letters wrong, and fewer than half.
pub(crate) struct NearMiss<'w> {
    word: &'w str,
    best: Option<(usize, String)>,
}

impl<'w> NearMiss<'w> {
    /// Longer words are close to nothing.
    const LONGEST: usize = 24;

    pub fn new(word: &'w str) -> NearMiss<'w> {
        NearMiss { word, best: None }
    }

    /// A name that might have been meant.
    pub fn offer(&mut self, name: &str) {
        if self.word.len() > Self::LONGEST {
            return;
        }
        let distance = edits(self.word.as_bytes(), name.as_bytes());
        let limit = 2.min(self.word.len().saturating_sub(1) / 2);
        if distance <= limit && self.best.as_ref().is_none_or(|(best, _)| distance < *best) {
            self.best = Some((distance, name.to_owned()));
        }
    }

    /// The closest of those offered; of several the first.
    pub fn found(self) -> Option<String> {
        self.best.map(|(_, name)| name)
    }
}

/// How many bytes must be put in, taken out or replaced to make one word the other.
fn edits(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}
