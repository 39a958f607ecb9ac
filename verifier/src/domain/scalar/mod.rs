//! A 64-bit number as known bits and four ranges (unsigned and signed, whole and low half) that agree with each other.

mod alu;
mod cast;
mod log;
mod refine;

use super::num::{high32, low32, sign_extend, with_low32};
use super::span::{Span, exchange};
use super::tnum::Tnum;

pub use alu::{alu, endian, neg};
pub use refine::{branch_taken, refine, refine_same};

/// What is known about a 64-bit number.
///
/// The private fields are only ever changed by operations that make them agree again afterwards (`sync`), in the order
/// Linux does it; the exceptions are documented where Linux leaves them unsynchronised.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Scalar {
    bits: Tnum,
    u64: Span<u64>,
    s64: Span<i64>,
    u32: Span<u32>,
    s32: Span<i32>,
}

/// How a [`Scalar`] contradicts itself, which happens on paths that cannot be taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Violation {
    /// A minimum is above its maximum.
    Range,
    /// All bits are known, but a range says something else.
    Constant,
    /// All bits of the low half are known, but a range of it says something else.
    ConstantLow,
}

impl Violation {
    /// Linux's words for it in a "REG INVARIANTS VIOLATION" message.
    pub const fn message(self) -> &'static str {
        match self {
            Violation::Range => "range bounds violation",
            Violation::Constant => "const tnum out of sync with range bounds",
            Violation::ConstantLow => "const subreg tnum out of sync with range bounds",
        }
    }
}

/// Making.
impl Scalar {
    /// Any number.
    pub const UNKNOWN: Scalar = Scalar {
        bits: Tnum::UNKNOWN,
        u64: Span::new(0, u64::MAX),
        s64: Span::new(i64::MIN, i64::MAX),
        u32: Span::new(0, u32::MAX),
        s32: Span::new(i32::MIN, i32::MAX),
    };

    /// Zero.
    pub const ZERO: Scalar = Scalar::constant(0);

    /// Any number.
    pub const fn unknown() -> Scalar {
        Scalar::UNKNOWN
    }

    /// Exactly `value`.
    pub const fn constant(value: u64) -> Scalar {
        Scalar {
            bits: Tnum::constant(value),
            u64: Span::point(value),
            s64: Span::point(value.cast_signed()),
            u32: Span::point(low32(value)),
            s32: Span::point(low32(value).cast_signed()),
        }
    }

    /// An immediate operand: sign-extended to 64 bits.
    pub const fn immediate(value: i32) -> Scalar {
        Scalar::constant((value as i64).cast_unsigned())
    }

    /// What known bits alone say.
    pub fn from_tnum(bits: Tnum) -> Scalar {
        Scalar { bits, ..Scalar::UNKNOWN }.synced()
    }

    /// A number from `min` to `max`, unsigned.
    pub fn from_urange(min: u64, max: u64) -> Scalar {
        Scalar { u64: Span::new(min, max), ..Scalar::UNKNOWN }.synced()
    }

    /// A number from `min` to `max`, signed.
    pub fn from_srange(min: i64, max: i64) -> Scalar {
        Scalar { s64: Span::new(min, max), ..Scalar::UNKNOWN }.synced()
    }
}

/// Reading.
impl Scalar {
    /// The known bits.
    pub const fn bits(&self) -> Tnum {
        self.bits
    }

    /// Smallest as unsigned 64-bit.
    pub const fn umin(&self) -> u64 {
        self.u64.min
    }

    /// Largest as unsigned 64-bit.
    pub const fn umax(&self) -> u64 {
        self.u64.max
    }

    /// Smallest as signed 64-bit.
    pub const fn smin(&self) -> i64 {
        self.s64.min
    }

    /// Largest as signed 64-bit.
    pub const fn smax(&self) -> i64 {
        self.s64.max
    }

    /// Smallest low half, unsigned.
    pub const fn u32min(&self) -> u32 {
        self.u32.min
    }

    /// Largest low half, unsigned.
    pub const fn u32max(&self) -> u32 {
        self.u32.max
    }

    /// Smallest low half, signed.
    pub const fn s32min(&self) -> i32 {
        self.s32.min
    }

    /// Largest low half, signed.
    pub const fn s32max(&self) -> i32 {
        self.s32.max
    }

    /// Whether all bits are known.
    pub const fn is_const(&self) -> bool {
        self.bits.is_const()
    }

    /// The number, if all bits are known.
    pub const fn const_value(&self) -> Option<u64> {
        if self.bits.is_const() { Some(self.bits.value()) } else { None }
    }

    /// The number, if the ranges say that it is this one, too.
    #[inline]
    fn exact(&self) -> Option<u64> {
        let value = self.const_value()?;
        let low = low32(value);
        let agrees = self.u64.is_point(value)
            && self.s64.is_point(value.cast_signed())
            && self.u32.is_point(low)
            && self.s32.is_point(low.cast_signed());
        agrees.then_some(value)
    }

    /// The low half, if all its bits are known.
    pub const fn const_low(&self) -> Option<u32> {
        if self.bits.subreg_is_const() { Some(low32(self.bits.value())) } else { None }
    }

    /// Whether this is the constant zero (the null pointer, a zeroed stack byte).
    pub const fn is_zero(&self) -> bool {
        self.bits.is_const() && self.bits.value() == 0
    }

    /// Whether nothing at all is known.
    #[inline]
    pub fn is_unbounded(&self) -> bool {
        self.bits.is_unknown() && self.is(&Scalar::UNKNOWN)
    }

    /// Whether the number is known to fit in `bits` bits, unsigned.
    pub const fn fits(&self, bits: u32) -> bool {
        64 - self.u64.max.leading_zeros() <= bits
    }

    /// Whether `value` is possible.
    pub fn contains_value(&self, value: u64) -> bool {
        let low = low32(value);
        self.bits.has(value)
            && self.u64.contains(value)
            && self.s64.contains(value.cast_signed())
            && self.u32.contains(low)
            && self.s32.contains(low.cast_signed())
    }

    /// Whether all that is known of `old` is also known of this: what was safe with `old` is safe with this.
    pub fn within(&self, old: &Scalar) -> bool {
        self.ranges_within(old) && old.bits.contains(self.bits)
    }

    /// The part of [`Scalar::within`] about ranges.
    pub fn ranges_within(&self, old: &Scalar) -> bool {
        old.u64.covers(self.u64) && old.s64.covers(self.s64) && old.u32.covers(self.u32) && old.s32.covers(self.s32)
    }

    /// Whether nothing can be there, or a constant has a range that is not that constant.
    pub fn violation(&self) -> Option<Violation> {
        if self.u64.is_contradiction()
            || self.s64.is_contradiction()
            || self.u32.is_contradiction()
            || self.s32.is_contradiction()
        {
            return Some(Violation::Range);
        }
        if let Some(value) = self.const_value()
            && !(self.u64.is_point(value) && self.s64.is_point(value.cast_signed()))
        {
            return Some(Violation::Constant);
        }
        if let Some(low) = self.const_low()
            && !(self.u32.is_point(low) && self.s32.is_point(low.cast_signed()))
        {
            return Some(Violation::ConstantLow);
        }
        None
    }

    /// Whether [`Scalar::violation`] finds anything.
    pub fn violates_invariants(&self) -> bool {
        self.violation().is_some()
    }

    /// For `& constant` and `| constant` on a number that is all zeros or all ones (64 bits, or else its low half): the
    /// two cases, first zero and then ones, so that each can be followed on its own. Linux does so for `s>>= 63` masks.
    pub fn zero_or_ones(&self) -> Option<(Scalar, Scalar)> {
        if self.s64 == Span::new(-1, 0) {
            return Some((Scalar::constant(0), Scalar::constant(u64::MAX)));
        }
        if self.s32 == Span::new(-1, 0) {
            return Some((self.with_const_low(0), self.with_const_low(u32::MAX)));
        }
        None
    }

    /// The low half known; nothing else changes and nothing is deduced.
    fn with_const_low(&self, low: u32) -> Scalar {
        let (u32, s32) = (Span::point(low), Span::point(low.cast_signed()));
        Scalar { bits: self.bits.const_subreg(low), u32, s32, ..*self }
    }
}

/// Learning from outside: return values, and what an access proves.
impl Scalar {
    /// Additionally known to lie in `min..=max`, unsigned.
    #[must_use]
    pub fn meet_urange(&self, min: u64, max: u64) -> Scalar {
        Scalar { u64: self.u64.meet(Span::new(min, max)), ..*self }.synced()
    }

    /// Additionally known to lie in `min..=max`, signed.
    #[must_use]
    pub fn meet_srange64(&self, min: i64, max: i64) -> Scalar {
        Scalar { s64: self.s64.meet(Span::new(min, max)), ..*self }.synced()
    }

    /// Additionally known to lie in `min..=max`, as the sign-extended 32-bit return value of a helper or program.
    #[must_use]
    pub fn meet_s32range(&self, min: i32, max: i32) -> Scalar {
        let s64 = self.s64.meet(Span::new(min.into(), max.into()));
        let s32 = self.s32.meet(Span::new(min, max));
        Scalar { s64, s32, ..*self }.synced()
    }

    /// Nothing known of the ranges while the known bits stay, unsynchronised: Linux's answer to a [`Violation`].
    #[must_use]
    pub const fn forget_ranges(&self) -> Scalar {
        Scalar { bits: self.bits, ..Scalar::UNKNOWN }
    }
}

/// Agreement between the parts.
impl Scalar {
    fn synced(mut self) -> Scalar {
        self.sync();
        self
    }

    /// Lets the parts learn from each other. The order and the number of rounds are Linux's: it is not a fixpoint, and
    /// the rounds left out here are those that would find nothing.
    fn sync(&mut self) {
        if self.exact().is_none() && !self.is_unbounded() {
            *self = self.agreed();
        }
    }

    /// That, by value: so the parts stay in registers.
    fn agreed(self) -> Scalar {
        let mut all = self;
        if all.ranges_from_bits() {
            return all;
        }
        let start = all;
        for _ in 0..3 {
            let before = all;
            all.low_ranges_from_whole();
            exchange(&mut all.u32, &mut all.s32);
            exchange(&mut all.u64, &mut all.s64);
            all.whole_ranges_from_low();
            if all.is(&before) {
                break;
            }
        }
        all.bits_from_ranges();
        if !all.is(&start) {
            all.ranges_from_bits();
        }
        all
    }

    /// Whether they are the same, part by part: compared as memory, what was just written there would be waited for.
    #[inline(always)]
    pub fn is(&self, other: &Scalar) -> bool {
        let Scalar { bits, u64, s64, u32, s32 } = *other;
        let whole = (self.u64.min ^ u64.min) | (self.u64.max ^ u64.max);
        let signed = (self.s64.min ^ s64.min) | (self.s64.max ^ s64.max);
        let low = (self.u32.min ^ u32.min) | (self.u32.max ^ u32.max);
        let low_signed = (self.s32.min ^ s32.min) | (self.s32.max ^ s32.max);
        let known = (self.bits.value() ^ bits.value()) | (self.bits.mask() ^ bits.mask());
        whole | known == 0 && signed == 0 && low == 0 && low_signed == 0
    }

    /// Known bits bound each range; and if only one number has these bits and lies in the range, that is it. Tells whether
    /// it is.
    #[inline(always)]
    fn ranges_from_bits(&mut self) -> bool {
        self.low_ranges_from_bits();
        let sign = self.bits.mask() & (1 << 63);
        let (min, max) = (self.bits.value(), self.bits.max());
        self.s64 = self.s64.meet(Span::new((min | sign).cast_signed(), (max & !sign).cast_signed()));
        self.u64 = self.u64.meet(Span::new(min, max));
        let only = self.only_member();
        if let Some(value) = only {
            *self = Scalar::constant(value);
        }
        only.is_some()
    }

    /// Known bits of the low half bound its ranges.
    #[inline(always)]
    fn low_ranges_from_bits(&mut self) {
        // The smallest signed member has an unknown sign bit set and all other unknown bits clear; the largest contrariwise.
        let sign = low32(self.bits.mask()) & (1 << 31);
        let (min, max) = (low32(self.bits.value()), low32(self.bits.max()));
        self.s32 = self.s32.meet(Span::new((min | sign).cast_signed(), (max & !sign).cast_signed()));
        self.u32 = self.u32.meet(Span::new(min, max));
    }

    /// The single number that both has these bits and lies in the unsigned range, if there is just one.
    #[inline(always)]
    fn only_member(&self) -> Option<u64> {
        let Span { min, max } = self.u64;
        let next = self.bits.next_above(min);
        if self.bits.has(min) {
            return (next > max).then_some(min);
        }
        if next == self.bits.max() {
            return Some(next);
        }
        (next <= max && self.bits.next_above(next) > max).then_some(next)
    }

    /// If the high halves of both ends are equal (or follow each other), the low halves are an interval too.
    #[inline(always)]
    fn low_ranges_from_whole(&mut self) {
        let ends =
            [(self.u64.min, self.u64.max, true), (self.s64.min.cast_unsigned(), self.s64.max.cast_unsigned(), false)];
        for (first, last, unsigned) in ends {
            let (low_first, low_last) = (low32(first), low32(last));
            let signed = Span::new(low_first.cast_signed(), low_last.cast_signed());
            match high32(last).wrapping_sub(high32(first)) {
                0 => {
                    if unsigned || low_first <= low_last {
                        self.u32 = self.u32.meet(Span::new(low_first, low_last));
                    }
                    if signed.min <= signed.max {
                        self.s32 = self.s32.meet(signed);
                    }
                }
                1 if signed.min < 0 && signed.max >= 0 => self.s32 = self.s32.meet(signed),
                _ => {}
            }
        }
    }

    /// The low half of each end can be replaced by the range of the low half.
    #[inline(always)]
    fn whole_ranges_from_low(&mut self) {
        let Span { min, max } = self.u32;
        self.u64 = self.u64.meet(Span::new(with_low32(self.u64.min, min), with_low32(self.u64.max, max)));
        let smin = with_low32(self.s64.min.cast_unsigned(), min).cast_signed();
        let smax = with_low32(self.s64.max.cast_unsigned(), max).cast_signed();
        self.s64 = self.s64.meet(Span::new(smin, smax));

        // A sign-extended 32-bit number that is not negative: both halves are known by the low one.
        let int = Span::new(i64::from(i32::MIN), i64::from(i32::MAX));
        if self.s32.min >= 0 && int.covers(self.s64) {
            self.s64 = Span::new(self.s32.min.into(), self.s32.max.into());
            self.u64 = Span::new(self.s64.min.cast_unsigned(), self.s64.max.cast_unsigned());
            self.bits = self.bits.intersect(Tnum::range(self.u64.min, self.u64.max));
        }
    }

    /// The leading bits that the ends of the unsigned ranges share are known.
    #[inline(always)]
    fn bits_from_ranges(&mut self) {
        let whole = self.bits.intersect(Tnum::range(self.u64.min, self.u64.max));
        let low = whole.subreg().intersect(Tnum::range(self.u32.min.into(), self.u32.max.into()));
        self.bits = whole.clear_subreg().or(low);
    }
}

/// The sign-extended low `bytes` bytes of both ends, if the interval stays within one run of them with one sign.
fn sign_extended(min: u64, max: u64, bytes: u32) -> Option<Span<i64>> {
    let (low, high) = (sign_extend(min, bytes), sign_extend(max, bytes));
    let above = |end: u64| end & !super::num::low_mask(bytes);
    (above(min) == above(max) && (low < 0) == (high < 0)).then(|| Span::new(low.min(high), low.max(high)))
}
