//! What every operation computes: the one concrete semantics (RFC 9669 sections 4 and 5).
//!
//! The interpreter runs these functions, the verifier folds constants with them and its tests compare their results with
//! what it claims. Registers are 64 bits; a 32-bit operation reads the low halves and zero-extends its result.

use crate::code::Endianness;
use crate::insn::{AluOp, AtomicOp, CmpOp, EndianOp, Operand, Size, Width};
use crate::num;

/// The value of an immediate second operand: sign-extended, of which a 32-bit operation uses the low half.
#[inline]
pub const fn immediate(imm: i32) -> u64 {
    num::sext32(imm)
}

/// The value of a second operand, given the registers.
#[inline]
pub const fn operand(operand: Operand, regs: &[u64; 11]) -> u64 {
    match operand {
        Operand::Reg(reg) => regs[reg.index()],
        Operand::Imm(imm) => immediate(imm),
    }
}

/// Binary arithmetic. Division by zero gives 0, modulo zero leaves the destination; the smallest number divided by -1 is
/// itself, with remainder 0; shifts use the low 5 or 6 bits of their count.
#[inline]
pub const fn alu(op: AluOp, width: Width, dst: u64, src: u64) -> u64 {
    match width {
        Width::W64 => alu64(op, dst, src),
        Width::W32 => alu32(op, num::low32(dst), num::low32(src)) as u64,
    }
}

#[inline]
const fn alu64(op: AluOp, dst: u64, src: u64) -> u64 {
    match op {
        AluOp::Add => dst.wrapping_add(src),
        AluOp::Sub => dst.wrapping_sub(src),
        AluOp::Mul => dst.wrapping_mul(src),
        AluOp::Div => match dst.checked_div(src) {
            Some(quotient) => quotient,
            None => 0,
        },
        AluOp::Mod => match dst.checked_rem(src) {
            Some(rest) => rest,
            None => dst,
        },
        AluOp::SDiv if src == 0 => 0,
        AluOp::SDiv => num::u64(num::s64(dst).wrapping_div(num::s64(src))),
        AluOp::SMod if src == 0 => dst,
        AluOp::SMod => num::u64(num::s64(dst).wrapping_rem(num::s64(src))),
        AluOp::Or => dst | src,
        AluOp::And => dst & src,
        AluOp::Xor => dst ^ src,
        AluOp::Lsh => dst.wrapping_shl(num::low32(src)),
        AluOp::Rsh => dst.wrapping_shr(num::low32(src)),
        AluOp::Arsh => num::u64(num::s64(dst).wrapping_shr(num::low32(src))),
    }
}

#[inline]
const fn alu32(op: AluOp, dst: u32, src: u32) -> u32 {
    match op {
        AluOp::Add => dst.wrapping_add(src),
        AluOp::Sub => dst.wrapping_sub(src),
        AluOp::Mul => dst.wrapping_mul(src),
        AluOp::Div => match dst.checked_div(src) {
            Some(quotient) => quotient,
            None => 0,
        },
        AluOp::Mod => match dst.checked_rem(src) {
            Some(rest) => rest,
            None => dst,
        },
        AluOp::SDiv if src == 0 => 0,
        AluOp::SDiv => num::u32(num::s32(dst).wrapping_div(num::s32(src))),
        AluOp::SMod if src == 0 => dst,
        AluOp::SMod => num::u32(num::s32(dst).wrapping_rem(num::s32(src))),
        AluOp::Or => dst | src,
        AluOp::And => dst & src,
        AluOp::Xor => dst ^ src,
        AluOp::Lsh => dst.wrapping_shl(src),
        AluOp::Rsh => dst.wrapping_shr(src),
        AluOp::Arsh => num::u32(num::s32(dst).wrapping_shr(src)),
    }
}

/// Plain move.
#[inline]
pub const fn mov(width: Width, src: u64) -> u64 {
    narrow(width, src)
}

/// Sign-extending move from the low `from` bits.
#[inline]
pub const fn mov_sx(width: Width, from: Size, src: u64) -> u64 {
    narrow(width, sign_extend(from, src))
}

/// Two's complement negation.
#[inline]
pub const fn neg(width: Width, dst: u64) -> u64 {
    narrow(width, dst.wrapping_neg())
}

/// Byte swap of the low `size` bits as a machine of byte order `host` does it; the bits above become zero, also where
/// there is nothing to swap.
#[inline]
pub const fn endian(op: EndianOp, size: Size, dst: u64, host: Endianness) -> u64 {
    let swap = match (op, host) {
        (EndianOp::Swap, Endianness::Little | Endianness::Big)
        | (EndianOp::ToBe, Endianness::Little)
        | (EndianOp::ToLe, Endianness::Big) => true,
        (EndianOp::ToLe, Endianness::Little) | (EndianOp::ToBe, Endianness::Big) => false,
    };
    let value = truncate(size, dst);
    if swap { value.swap_bytes() >> (64 - size.bits()) } else { value }
}

/// Whether a conditional jump is taken.
#[inline]
pub const fn compare(op: CmpOp, width: Width, lhs: u64, rhs: u64) -> bool {
    let (a, b, sa, sb) = match width {
        Width::W64 => (lhs, rhs, num::s64(lhs), num::s64(rhs)),
        Width::W32 => (
            narrow(width, lhs),
            narrow(width, rhs),
            num::s64(sign_extend(Size::W, lhs)),
            num::s64(sign_extend(Size::W, rhs)),
        ),
    };
    match op {
        CmpOp::Eq => a == b,
        CmpOp::Ne => a != b,
        CmpOp::Gt => a > b,
        CmpOp::Ge => a >= b,
        CmpOp::Lt => a < b,
        CmpOp::Le => a <= b,
        CmpOp::Sgt => sa > sb,
        CmpOp::Sge => sa >= sb,
        CmpOp::Slt => sa < sb,
        CmpOp::Sle => sa <= sb,
        CmpOp::Set => a & b != 0,
    }
}

/// What an atomic operation does: the value that memory then holds and the old value, zero-extended, for the register
/// that [`AtomicOp::fetches_into`] names. `Cmpxchg` stores `src` if memory equals `r0`, of which it uses `size` bits.
#[inline]
pub const fn atomic(op: AtomicOp, size: Size, old: u64, src: u64, r0: u64) -> (u64, u64) {
    let old = truncate(size, old);
    let new = match op {
        AtomicOp::Add | AtomicOp::FetchAdd => old.wrapping_add(src),
        AtomicOp::Or | AtomicOp::FetchOr => old | src,
        AtomicOp::And | AtomicOp::FetchAnd => old & src,
        AtomicOp::Xor | AtomicOp::FetchXor => old ^ src,
        AtomicOp::Xchg => src,
        AtomicOp::Cmpxchg if old == truncate(size, r0) => src,
        AtomicOp::Cmpxchg => old,
    };
    (truncate(size, new), old)
}

/// The register after a load of `raw`, of which the low `size` bits count.
#[inline]
pub const fn load_extend(size: Size, signed: bool, raw: u64) -> u64 {
    if signed { sign_extend(size, raw) } else { truncate(size, raw) }
}

/// The low `size` bits, zero-extended.
#[inline]
pub const fn truncate(size: Size, value: u64) -> u64 {
    value & (u64::MAX >> (64 - size.bits()))
}

/// The low `size` bits, sign-extended.
#[inline]
pub const fn sign_extend(size: Size, value: u64) -> u64 {
    let unused = 64 - size.bits();
    num::u64(num::s64(value << unused) >> unused)
}

#[inline]
const fn narrow(width: Width, value: u64) -> u64 {
    match width {
        Width::W32 => truncate(Size::W, value),
        Width::W64 => value,
    }
}
