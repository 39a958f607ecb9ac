//! Known bits: a number of which some bits are not known.

use super::num::{low_mask, low32};
use core::fmt;

/// Bits that are set in `mask` are unknown; the others are as in `value`, which has no bit in common with `mask`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tnum {
    value: u64,
    mask: u64,
}

impl Tnum {
    /// Nothing is known.
    pub const UNKNOWN: Tnum = Tnum { value: 0, mask: u64::MAX };

    /// From known bits and a mask of unknown ones. Bits of `value` that the mask calls unknown are ignored.
    pub const fn new(value: u64, mask: u64) -> Tnum {
        Tnum { value: value & !mask, mask }
    }

    /// One number.
    pub const fn constant(value: u64) -> Tnum {
        Tnum { value, mask: 0 }
    }

    /// Nothing is known.
    pub const fn unknown() -> Tnum {
        Tnum::UNKNOWN
    }

    /// The least that holds all numbers from `min` to `max`: their common leading bits.
    pub const fn range(min: u64, max: u64) -> Tnum {
        let differing = min ^ max;
        let unknown = match 64 - differing.leading_zeros() {
            0 => 0,
            bits => u64::MAX >> (64 - bits),
        };
        Tnum::new(min, unknown)
    }

    /// The known bits; zero where unknown.
    pub const fn value(self) -> u64 {
        self.value
    }

    /// The unknown bits.
    pub const fn mask(self) -> u64 {
        self.mask
    }

    /// The largest member.
    pub const fn max(self) -> u64 {
        self.value | self.mask
    }

    /// Whether there is only one member.
    pub const fn is_const(self) -> bool {
        self.mask == 0
    }

    /// Whether nothing is known.
    pub const fn is_unknown(self) -> bool {
        self.mask == u64::MAX && self.value == 0
    }

    /// Whether `number` is a member.
    pub const fn has(self, number: u64) -> bool {
        number & !self.mask == self.value
    }

    /// Whether every member of `inner` is a member.
    pub const fn contains(self, inner: Tnum) -> bool {
        inner.mask & !self.mask == 0 && self.value == inner.value & !self.mask
    }

    /// Whether the bits known in both agree, so that there may be a common member.
    pub const fn overlaps(self, other: Tnum) -> bool {
        let known = !self.mask & !other.mask;
        self.value & known == other.value & known
    }

    /// The bits known in either. If they contradict each other the result means nothing; ranges find that out.
    #[must_use]
    pub const fn intersect(self, other: Tnum) -> Tnum {
        Tnum::new(self.value | other.value, self.mask & other.mask)
    }

    /// The bits known and equal in both.
    #[must_use]
    pub const fn union(self, other: Tnum) -> Tnum {
        Tnum::new(self.value, (self.value ^ other.value) | self.mask | other.mask)
    }

    /// Sums: a bit is unknown where either operand is, or where unknown bits below may carry into it.
    #[must_use]
    #[allow(clippy::should_implement_trait)]
    pub const fn add(self, other: Tnum) -> Tnum {
        let masks = self.mask.wrapping_add(other.mask);
        let least = self.value.wrapping_add(other.value);
        let carries = masks.wrapping_add(least) ^ least;
        Tnum::new(least, carries | self.mask | other.mask)
    }

    /// Differences, likewise with borrows.
    #[must_use]
    #[allow(clippy::should_implement_trait)]
    pub const fn sub(self, other: Tnum) -> Tnum {
        let base = self.value.wrapping_sub(other.value);
        let borrows = base.wrapping_add(self.mask) ^ base.wrapping_sub(other.mask);
        Tnum::new(base, borrows | self.mask | other.mask)
    }

    /// `0 - self`.
    #[must_use]
    #[allow(clippy::should_implement_trait)]
    pub const fn neg(self) -> Tnum {
        Tnum::constant(0).sub(self)
    }

    /// Bitwise and.
    #[must_use]
    pub const fn and(self, other: Tnum) -> Tnum {
        let ones = self.value & other.value;
        Tnum { value: ones, mask: self.max() & other.max() & !ones }
    }

    /// Bitwise or.
    #[must_use]
    pub const fn or(self, other: Tnum) -> Tnum {
        let ones = self.value | other.value;
        Tnum { value: ones, mask: (self.mask | other.mask) & !ones }
    }

    /// Bitwise exclusive or.
    #[must_use]
    pub const fn xor(self, other: Tnum) -> Tnum {
        Tnum::new(self.value ^ other.value, self.mask | other.mask)
    }

    /// Shift left; 64 and more leave zero.
    #[must_use]
    pub const fn lsh(self, by: u32) -> Tnum {
        if by >= 64 { Tnum::constant(0) } else { Tnum { value: self.value << by, mask: self.mask << by } }
    }

    /// Shift right without sign; 64 and more leave zero.
    #[must_use]
    pub const fn rsh(self, by: u32) -> Tnum {
        if by >= 64 { Tnum::constant(0) } else { Tnum { value: self.value >> by, mask: self.mask >> by } }
    }

    /// Shift right with the sign of a word of 64 bits, by less than 64.
    #[must_use]
    pub const fn arsh64(self, by: u32) -> Tnum {
        let by = if by > 63 { 63 } else { by };
        Tnum {
            value: (self.value.cast_signed() >> by).cast_unsigned(),
            mask: (self.mask.cast_signed() >> by).cast_unsigned(),
        }
    }

    /// Shift of the low half right with its own sign, by less than 32; the high half is zero afterwards.
    #[must_use]
    pub const fn arsh32(self, by: u32) -> Tnum {
        let by = if by > 31 { 31 } else { by };
        Tnum {
            value: ((low32(self.value).cast_signed() >> by).cast_unsigned()) as u64,
            mask: ((low32(self.mask).cast_signed() >> by).cast_unsigned()) as u64,
        }
    }

    /// Products: long multiplication; an unknown bit of `self` gives the union of adding and not adding.
    #[must_use]
    #[allow(clippy::should_implement_trait)]
    pub const fn mul(self, other: Tnum) -> Tnum {
        let (mut left, mut addend, mut sum) = (self, other, Tnum::constant(0));
        while left.max() != 0 {
            if left.value & 1 == 1 {
                sum = sum.add(addend);
            } else if left.mask & 1 == 1 {
                sum = sum.union(sum.add(addend));
            }
            left = left.rsh(1);
            addend = addend.lsh(1);
        }
        sum
    }

    /// The low `bytes` bytes (1, 2, 4 or 8); the rest is zero.
    #[must_use]
    pub const fn cast(self, bytes: u32) -> Tnum {
        let kept = low_mask(bytes);
        Tnum { value: self.value & kept, mask: self.mask & kept }
    }

    /// The low half; the high half is zero.
    #[must_use]
    pub const fn subreg(self) -> Tnum {
        self.cast(4)
    }

    /// The high half; the low half is zero.
    #[must_use]
    pub const fn clear_subreg(self) -> Tnum {
        self.rsh(32).lsh(32)
    }

    /// This high half with the low half of `low`.
    #[must_use]
    pub const fn with_subreg(self, low: Tnum) -> Tnum {
        self.clear_subreg().or(low.subreg())
    }

    /// This high half with a known low half.
    #[must_use]
    pub const fn const_subreg(self, low: u32) -> Tnum {
        self.with_subreg(Tnum::constant(low as u64))
    }

    /// Whether the low half is known.
    pub const fn subreg_is_const(self) -> bool {
        low32(self.mask) == 0
    }

    /// The low two bytes swapped; the rest is zero.
    #[must_use]
    pub const fn bswap16(self) -> Tnum {
        self.bswap64().rsh(48)
    }

    /// The low four bytes reversed; the rest is zero.
    #[must_use]
    pub const fn bswap32(self) -> Tnum {
        self.bswap64().rsh(32)
    }

    /// All eight bytes reversed.
    #[must_use]
    pub const fn bswap64(self) -> Tnum {
        Tnum { value: self.value.swap_bytes(), mask: self.mask.swap_bytes() }
    }

    /// The smallest member above `number`, or the largest member if there is none.
    #[inline]
    pub const fn next_above(self, number: u64) -> u64 {
        if number >= self.max() {
            return self.max();
        }
        if number < self.value {
            return self.value;
        }
        // Known bits above the first disagreement allow the unknown bits there to stay as they are.
        let wrong = (number & !self.mask) ^ self.value;
        let settled = match wrong {
            0 => 0,
            _ => u64::MAX >> wrong.leading_zeros(),
        };
        let top = settled & !(settled >> 1);
        if wrong != 0 && self.value & top != 0 {
            // Already above `number` by that bit: the rest as small as possible.
            return (number & self.mask & !settled) | self.value;
        }
        ((number | !self.mask | settled).wrapping_add(1) & self.mask) | self.value
    }
}

/// As in the verifier log: a number (decimal to 65535, else hexadecimal), or `(value; mask)`.
impl fmt::Display for Tnum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.mask, self.value) {
            (0, small @ 0..=0xffff) => write!(f, "{small}"),
            (0, large) => write!(f, "{large:#x}"),
            (mask, value) => write!(f, "({value:#x}; {mask:#x})"),
        }
    }
}
