//! The mnemonic dialect: the names of instructions in RFC 9669's own style, as the public conformance suite, ubpf and rbpf
//! write them, and the text of an instruction in it (`add %r1, %r2`, `ldxw %r2, [%r1+4]`).
//!
//! 64-bit arithmetic, jumps and atomics have the bare name (`add`, `jeq`, `lock xchg`), 32-bit ones `32` after it.

use core::fmt;

use crate::insn::{Callee, Insn, Operand, Size, Wide, Width};

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
