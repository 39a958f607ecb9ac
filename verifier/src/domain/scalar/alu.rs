//! Arithmetic.

use super::{Scalar, Span, Tnum};
use crate::domain::num::low32;
use crate::domain::span::Unsigned;
use ring3_isa::{AluOp, EndianOp, Size, Width};

/// What is known after `dst op= src`. A 32-bit immediate has to be sign-extended by the caller
/// ([`Scalar::immediate`]) for either width.
pub fn alu(op: AluOp, width: Width, dst: &Scalar, src: &Scalar) -> Scalar {
    if let (Some(dst), Some(src)) = (dst.exact(), src.exact())
        && is_exact(op, width, src)
    {
        return Scalar::constant(ring3_isa::eval::alu(op, width, dst, src));
    }
    let raw = match op {
        AluOp::Add => sum(dst, src),
        AluOp::Sub => difference(dst, src),
        AluOp::Mul => product(dst, src),
        AluOp::And => bitwise(Bitwise::And, dst, src),
        AluOp::Or => bitwise(Bitwise::Or, dst, src),
        AluOp::Xor => bitwise(Bitwise::Xor, dst, src),
        AluOp::Lsh | AluOp::Rsh | AluOp::Arsh => {
            let Some(by) = shift_amount(width, src) else { return Scalar::UNKNOWN };
            match (op, width) {
                (AluOp::Lsh, Width::W64) => shift_left64(dst, by),
                (AluOp::Lsh, Width::W32) => shift_left32(dst, by),
                (AluOp::Rsh, Width::W64) => shift_right64(dst, by),
                (AluOp::Rsh, Width::W32) => shift_right32(dst, by),
                (_, Width::W64) => shift_arithmetic64(dst, by),
                (_, Width::W32) => shift_arithmetic32(dst, by),
            }
        }
        // Linux knows nothing of quotients, not even that 32-bit ones have no high half.
        AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod => return Scalar::UNKNOWN,
    };
    finish(width, raw)
}

/// Whether two numbers give one number.
const fn is_exact(op: AluOp, width: Width, src: u64) -> bool {
    match op {
        AluOp::Add | AluOp::Sub | AluOp::Mul | AluOp::And | AluOp::Or | AluOp::Xor => true,
        AluOp::Lsh | AluOp::Rsh | AluOp::Arsh => src < width.bits() as u64,
        // Linux knows nothing of quotients.
        AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod => false,
    }
}

/// What is known after `dst = -dst`.
pub fn neg(width: Width, dst: &Scalar) -> Scalar {
    finish(width, difference(&Scalar::ZERO, dst))
}

/// What is known after a byte swap of the low `size` (H, W or Dw), on a little-endian machine; smaller sizes truncate.
pub fn endian(op: EndianOp, size: Size, dst: &Scalar) -> Scalar {
    let swapped = match (op, size) {
        (EndianOp::ToLe, _) | (_, Size::B) => *dst,
        (EndianOp::ToBe | EndianOp::Swap, Size::H) => swapped(dst.bits.bswap16()),
        (EndianOp::ToBe | EndianOp::Swap, Size::W) => swapped(dst.bits.bswap32()),
        (EndianOp::ToBe | EndianOp::Swap, Size::Dw) => swapped(dst.bits.bswap64()),
    };
    match size {
        Size::Dw => swapped.synced(),
        Size::B | Size::H | Size::W => swapped.truncate_to(size),
    }
}

/// Swapping scatters a range, so only the bits survive.
fn swapped(bits: Tnum) -> Scalar {
    Scalar { bits, ..Scalar::UNKNOWN }
}

impl Scalar {
    /// The variable part of a pointer after `pointer += self`, where `pointer` is its variable part before. Linux keeps
    /// no low-half ranges for pointers and, unlike for numbers, gives up the unsigned range if any end wraps.
    #[must_use]
    pub fn pointer_plus(&self, pointer: &Scalar) -> Scalar {
        let wraps =
            pointer.u64.min.checked_add(self.u64.min).is_none() || pointer.u64.max.checked_add(self.u64.max).is_none();
        Scalar {
            bits: pointer.bits.add(self.bits),
            u64: if wraps { Span::FULL } else { pointer.u64.unsigned_sum(self.u64) },
            s64: pointer.s64.signed_sum(self.s64),
            ..Scalar::UNKNOWN
        }
        .synced()
    }

    /// The variable part of a pointer after `pointer -= self`, likewise.
    #[must_use]
    pub fn pointer_minus(&self, pointer: &Scalar) -> Scalar {
        let wraps = pointer.u64.min < self.u64.max;
        Scalar {
            bits: pointer.bits.sub(self.bits),
            u64: if wraps { Span::FULL } else { pointer.u64.unsigned_difference(self.u64) },
            s64: pointer.s64.signed_difference(self.s64),
            ..Scalar::UNKNOWN
        }
        .synced()
    }
}

fn finish(width: Width, mut result: Scalar) -> Scalar {
    match width {
        Width::W64 => result.sync(),
        Width::W32 => result = result.zext32(),
    }
    result
}

/// The constant distance of a shift; `None` if it is not known or too far.
fn shift_amount(width: Width, src: &Scalar) -> Option<u32> {
    let by = match width {
        Width::W64 => src.const_value().filter(|&by| src.u64.is_point(by) && src.s64.is_point(by.cast_signed()))?,
        Width::W32 => {
            let low = src.const_low().filter(|&by| src.u32.is_point(by) && src.s32.is_point(by.cast_signed()))?;
            // Linux looks at the whole register here.
            src.u64.max.max(low.into())
        }
    };
    (by < u64::from(width.bits())).then_some(low32(by))
}

fn sum(dst: &Scalar, src: &Scalar) -> Scalar {
    Scalar {
        bits: dst.bits.add(src.bits),
        u64: dst.u64.unsigned_sum(src.u64),
        s64: dst.s64.signed_sum(src.s64),
        u32: dst.u32.unsigned_sum(src.u32),
        s32: dst.s32.signed_sum(src.s32),
    }
}

fn difference(dst: &Scalar, src: &Scalar) -> Scalar {
    Scalar {
        bits: dst.bits.sub(src.bits),
        u64: dst.u64.unsigned_difference(src.u64),
        s64: dst.s64.signed_difference(src.s64),
        u32: dst.u32.unsigned_difference(src.u32),
        s32: dst.s32.signed_difference(src.s32),
    }
}

fn product(dst: &Scalar, src: &Scalar) -> Scalar {
    Scalar {
        bits: dst.bits.mul(src.bits),
        u64: dst.u64.product(src.u64),
        s64: dst.s64.product(src.s64),
        u32: dst.u32.product(src.u32),
        s32: dst.s32.product(src.s32),
    }
}

#[derive(Clone, Copy)]
enum Bitwise {
    And,
    Or,
    Xor,
}

fn bitwise(op: Bitwise, dst: &Scalar, src: &Scalar) -> Scalar {
    let bits = match op {
        Bitwise::And => dst.bits.and(src.bits),
        Bitwise::Or => dst.bits.or(src.bits),
        Bitwise::Xor => dst.bits.xor(src.bits),
    };
    if src.bits.is_const() && bits.is_const() {
        return Scalar::constant(bits.value());
    }
    let u32 = if src.bits.subreg_is_const() && bits.subreg_is_const() {
        Span::point(low32(bits.value()))
    } else {
        bitwise_range(op, low32(bits.value()), low32(bits.max()), dst.u32, src.u32)
    };
    let u64 = bitwise_range(op, bits.value(), bits.max(), dst.u64, src.u64);
    // With one sign throughout, signed order is unsigned order.
    let mut result = Scalar { bits, u64, s64: u64.as_signed(), u32, s32: u32.as_signed() };
    result.ranges_from_bits();
    result
}

/// The unsigned range of a bitwise result whose smallest and largest numbers by bits alone are `least` and `most`.
fn bitwise_range<U: Unsigned>(op: Bitwise, least: U, most: U, dst: Span<U>, src: Span<U>) -> Span<U> {
    match op {
        Bitwise::And => Span::new(least, dst.max.min(src.max)),
        Bitwise::Or => Span::new(dst.min.max(src.min), most),
        Bitwise::Xor => Span::new(least, most),
    }
}

fn shift_left64(dst: &Scalar, by: u32) -> Scalar {
    // `<<= 32; s>>= 32` is how compilers sign-extend an int, so the signed range survives that distance.
    let s64 = match by {
        32 => Span::new(i64::from(dst.s32.min) << 32, i64::from(dst.s32.max) << 32),
        _ => Span::FULL,
    };
    let mut result = Scalar {
        bits: dst.bits.lsh(by),
        u64: dst.u64.shifted_left(by),
        s64,
        u32: dst.u32.shifted_left(by),
        s32: Span::FULL,
    };
    result.ranges_from_bits();
    result
}

fn shift_left32(dst: &Scalar, by: u32) -> Scalar {
    low_only(dst.bits.subreg().lsh(by).subreg(), dst.u32.shifted_left(by), Span::FULL)
}

fn shift_right64(dst: &Scalar, by: u32) -> Scalar {
    let mut result = Scalar { bits: dst.bits.rsh(by), u64: dst.u64.shifted_right(by), ..Scalar::UNKNOWN };
    result.ranges_from_bits();
    result
}

fn shift_right32(dst: &Scalar, by: u32) -> Scalar {
    low_only(dst.bits.subreg().rsh(by), dst.u32.shifted_right(by), Span::FULL)
}

fn shift_arithmetic64(dst: &Scalar, by: u32) -> Scalar {
    let s64 = Span::new(dst.s64.min >> by, dst.s64.max >> by);
    let mut result = Scalar { bits: dst.bits.arsh64(by), s64, ..Scalar::UNKNOWN };
    result.ranges_from_bits();
    result
}

fn shift_arithmetic32(dst: &Scalar, by: u32) -> Scalar {
    low_only(dst.bits.arsh32(by), Span::FULL, Span::new(dst.s32.min >> by, dst.s32.max >> by))
}

/// A 32-bit result before zero extension.
fn low_only(bits: Tnum, u32: Span<u32>, s32: Span<i32>) -> Scalar {
    let mut result = Scalar { bits, u32, s32, ..Scalar::UNKNOWN };
    result.low_ranges_from_bits();
    result
}
