//! Truncation, zero extension and sign extension.

use super::{Scalar, Span, Tnum, sign_extended};
use crate::domain::num::{low_mask, low32, sign_extend};
use ring3_isa::{Size, Width};

impl Scalar {
    /// The low half, zero-extended: `w = w`, and the end of every 32-bit operation.
    #[must_use]
    pub fn zext32(&self) -> Scalar {
        let s64 = match self.s32.min {
            0.. if self.s32.max >= 0 => Span::new(self.s32.min.into(), self.s32.max.into()),
            _ => Span::new(0, u32::MAX.into()),
        };
        let u64 = Span::new(self.u32.min.into(), self.u32.max.into());
        Scalar { bits: self.bits.subreg(), u64, s64, u32: self.u32, s32: self.s32 }.synced()
    }

    /// The same as [`Scalar::zext32`]: what a 32-bit move gives.
    #[must_use]
    pub fn mov32(&self) -> Scalar {
        self.zext32()
    }

    /// A sign-extending move from the low `from` bytes, into the register or (zero-extended) its low half.
    #[must_use]
    pub fn mov_sx(&self, from: Size, width: Width) -> Scalar {
        match width {
            Width::W64 => self.sign_extend_load(from),
            Width::W32 => self.sign_extend_low(from).zext32(),
        }
    }

    /// The low `size` bytes, zero-extended: what a narrow load or a narrow fill gives.
    #[must_use]
    pub fn truncate_to(&self, size: Size) -> Scalar {
        if size == Size::Dw {
            return *self;
        }
        if self.is_unbounded() {
            return Scalar::bytes(size);
        }
        let mask = low_mask(size.bytes());
        let same_above = self.u64.min & !mask == self.u64.max & !mask;
        let (min, max) = if same_above { (self.u64.min & mask, self.u64.max & mask) } else { (0, mask) };
        let (u32, s32) = if size == Size::W { (self.u32, self.s32) } else { (Span::FULL, Span::FULL) };
        Scalar {
            bits: self.bits.cast(size.bytes()),
            u64: Span::new(min, max),
            s64: Span::new(min.cast_signed(), max.cast_signed()),
            u32,
            s32,
        }
        .synced()
    }

    /// Any number of so many bytes (1, 2 or 4), zero-extended.
    const fn bytes(size: Size) -> Scalar {
        let max = low_mask(size.bytes());
        let (u32, s32) = match size {
            Size::W | Size::Dw => (Scalar::UNKNOWN.u32, Scalar::UNKNOWN.s32),
            Size::B | Size::H => (Span::new(0, low32(max)), Span::new(0, low32(max).cast_signed())),
        };
        Scalar { bits: Tnum::new(0, max), u64: Span::new(0, max), s64: Span::new(0, max.cast_signed()), u32, s32 }
    }

    /// The low `size` bytes, sign-extended to 64 bits: what a sign-extending load gives. Like Linux, the parts are not
    /// made to agree afterwards: the next operation does that.
    #[must_use]
    pub fn sign_extend_load(&self, size: Size) -> Scalar {
        if size == Size::Dw {
            return *self;
        }
        let bytes = size.bytes();
        if let Some(value) = self.const_value() {
            return Scalar::constant(sign_extend(value, bytes).cast_unsigned());
        }
        let ends = (self.s64.min.cast_unsigned(), self.s64.max.cast_unsigned());
        match sign_extended(ends.0, ends.1, bytes) {
            Some(s64) => {
                let (min, max) = (s64.min.cast_unsigned(), s64.max.cast_unsigned());
                let (low_min, low_max) = (low32(min), low32(max));
                Scalar {
                    bits: Tnum::range(min, max),
                    u64: Span::new(min, max),
                    s64,
                    u32: Span::new(low_min, low_max),
                    s32: Span::new(low_min.cast_signed(), low_max.cast_signed()),
                }
            }
            None => {
                let s64 = signed_range(bytes);
                let low = |end: i64| low32(end.cast_unsigned()).cast_signed();
                Scalar { s64, s32: Span::new(low(s64.min), low(s64.max)), ..Scalar::UNKNOWN }
            }
        }
    }

    /// The low half sign-extended from its low `from` bytes; the high half is for the caller to clear.
    fn sign_extend_low(&self, from: Size) -> Scalar {
        if from >= Size::W {
            return *self;
        }
        let bytes = from.bytes();
        if let Some(value) = self.const_value() {
            return Scalar::constant(u64::from(low32(sign_extend(value, bytes).cast_unsigned())));
        }
        let ends = (self.s32.min.cast_unsigned(), self.s32.max.cast_unsigned());
        let (s64, bits) = match sign_extended(ends.0.into(), ends.1.into(), bytes) {
            Some(s64) => (s64, Tnum::range(s64.min.cast_unsigned(), s64.max.cast_unsigned())),
            None => (signed_range(bytes), Tnum::UNKNOWN),
        };
        let (low_min, low_max) = (low32(s64.min.cast_unsigned()), low32(s64.max.cast_unsigned()));
        let u32 = if bits.is_unknown() { Span::FULL } else { Span::new(low_min, low_max) };
        let s32 = Span::new(low_min.cast_signed(), low_max.cast_signed());
        Scalar { bits: bits.subreg(), u32, s32, ..*self }
    }
}

/// All numbers of `bytes` bytes (1, 2 or 4) with sign.
fn signed_range(bytes: u32) -> Span<i64> {
    let max = (low_mask(bytes) >> 1).cast_signed();
    Span::new(-max - 1, max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known of any number of so many bytes beforehand is what would be found out.
    #[test]
    fn bytes_agree() {
        for size in [Size::B, Size::H, Size::W] {
            let Scalar { u32, s32, .. } = Scalar::UNKNOWN;
            let max = low_mask(size.bytes());
            let (u64, s64) = (Span::new(0, max), Span::new(0, max.cast_signed()));
            let bits = Tnum::UNKNOWN.cast(size.bytes());
            assert_eq!(Scalar::bytes(size), Scalar { bits, u64, s64, u32, s32 }.synced(), "{size:?}");
        }
    }
}
