//! A closed interval of one machine integer type.

/// All numbers from `min` to `max`, both included. `min > max` marks a contradiction: nothing can be there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Span<T> {
    /// The smallest member.
    pub min: T,
    /// The largest member.
    pub max: T,
}

/// What interval arithmetic needs of an integer type.
pub(super) trait Word: Copy + Ord {
    const MIN: Self;
    const MAX: Self;
    fn adding(self, other: Self) -> (Self, bool);
    fn subtracting(self, other: Self) -> (Self, bool);
    fn multiplying(self, other: Self) -> Option<Self>;
    /// The next number, wrapping.
    fn next(self) -> Self;
    /// The previous number, wrapping.
    fn previous(self) -> Self;
}

/// An unsigned word and the signed word with the same bits.
pub(super) trait Unsigned:
    Word + core::ops::Shl<u32, Output = Self> + core::ops::Shr<u32, Output = Self>
{
    const BITS: u32;
    type Signed: Word;
    fn signed(self) -> Self::Signed;
    fn of(signed: Self::Signed) -> Self;
    /// `1 << bit`; `bit` is below `BITS`.
    fn bit(bit: u32) -> Self;
}

macro_rules! word {
    ($($t:ty),*) => {$(
        impl Word for $t {
            const MIN: Self = <$t>::MIN;
            const MAX: Self = <$t>::MAX;
            fn adding(self, other: Self) -> (Self, bool) {
                self.overflowing_add(other)
            }
            fn subtracting(self, other: Self) -> (Self, bool) {
                self.overflowing_sub(other)
            }
            fn multiplying(self, other: Self) -> Option<Self> {
                self.checked_mul(other)
            }
            fn next(self) -> Self {
                self.wrapping_add(1)
            }
            fn previous(self) -> Self {
                self.wrapping_sub(1)
            }
        }
    )*};
}
word!(u64, i64, u32, i32);

macro_rules! unsigned {
    ($($u:ty, $s:ty);*) => {$(
        impl Unsigned for $u {
            const BITS: u32 = <$u>::BITS;
            type Signed = $s;
            fn signed(self) -> $s {
                self.cast_signed()
            }
            fn of(signed: $s) -> $u {
                signed.cast_unsigned()
            }
            fn bit(bit: u32) -> $u {
                1 << bit
            }
        }
    )*};
}
unsigned!(u64, i64; u32, i32);

#[allow(private_bounds)]
impl<T: Word> Span<T> {
    /// Every number of the type.
    pub const FULL: Span<T> = Span { min: T::MIN, max: T::MAX };

    /// From `min` to `max`.
    pub const fn new(min: T, max: T) -> Span<T> {
        Span { min, max }
    }

    /// One number.
    pub const fn point(value: T) -> Span<T> {
        Span { min: value, max: value }
    }

    /// Whether `value` is a member.
    pub fn contains(self, value: T) -> bool {
        self.min <= value && value <= self.max
    }

    /// Whether every member of `inner` is a member.
    pub fn covers(self, inner: Span<T>) -> bool {
        self.min <= inner.min && inner.max <= self.max
    }

    /// Whether nothing can be a member.
    pub fn is_contradiction(self) -> bool {
        self.min > self.max
    }

    /// Whether this is the one number `value`.
    pub fn is_point(self, value: T) -> bool {
        self.min == value && self.max == value
    }

    /// Whether no number is in both.
    pub fn disjoint(self, other: Span<T>) -> bool {
        self.min > other.max || self.max < other.min
    }

    /// The numbers in both.
    #[must_use]
    pub fn meet(self, other: Span<T>) -> Span<T> {
        Span { min: self.min.max(other.min), max: self.max.min(other.max) }
    }

    /// An end that equals `value` moves inwards. Wraps at the ends of the type, as Linux does on dead branches.
    #[must_use]
    pub(super) fn excluding(self, value: T) -> Span<T> {
        Span {
            min: if self.min == value { self.min.next() } else { self.min },
            max: if self.max == value { self.max.previous() } else { self.max },
        }
    }

    /// Sums of signed words: everything as soon as one end overflows.
    pub(super) fn signed_sum(self, other: Span<T>) -> Span<T> {
        let ((min, below), (max, above)) = (self.min.adding(other.min), self.max.adding(other.max));
        if below || above { Span::FULL } else { Span { min, max } }
    }

    /// Differences of signed words: everything as soon as one end overflows.
    pub(super) fn signed_difference(self, other: Span<T>) -> Span<T> {
        let ((min, below), (max, above)) = (self.min.subtracting(other.max), self.max.subtracting(other.min));
        if below || above { Span::FULL } else { Span { min, max } }
    }

    /// Sums of unsigned words, modulo the word: still an interval when none or all of them wrap.
    pub(super) fn unsigned_sum(self, other: Span<T>) -> Span<T> {
        let ((min, min_wraps), (max, max_wraps)) = (self.min.adding(other.min), self.max.adding(other.max));
        if max_wraps && !min_wraps { Span::FULL } else { Span { min, max } }
    }

    /// Differences of unsigned words, modulo the word: still an interval when none or all of them wrap.
    pub(super) fn unsigned_difference(self, other: Span<T>) -> Span<T> {
        let ((min, min_wraps), (max, max_wraps)) = (self.min.subtracting(other.max), self.max.subtracting(other.min));
        if min_wraps && !max_wraps { Span::FULL } else { Span { min, max } }
    }

    /// Products: the extremes are among the four corners, if none of them overflows.
    pub(super) fn product(self, other: Span<T>) -> Span<T> {
        let corners = [
            self.min.multiplying(other.min),
            self.min.multiplying(other.max),
            self.max.multiplying(other.min),
            self.max.multiplying(other.max),
        ];
        let [Some(a), Some(b), Some(c), Some(d)] = corners else { return Span::FULL };
        Span { min: a.min(b).min(c.min(d)), max: a.max(b).max(c.max(d)) }
    }
}

#[allow(private_bounds)]
impl<U: Unsigned> Span<U> {
    /// The same numbers read as signed, or everything if the interval crosses the sign change.
    pub(super) fn as_signed(self) -> Span<U::Signed> {
        let (min, max) = (self.min.signed(), self.max.signed());
        if min <= max { Span { min, max } } else { Span::FULL }
    }

    /// Shifted left; everything if a set bit might leave the word.
    pub(super) fn shifted_left(self, by: u32) -> Span<U> {
        if by >= U::BITS || self.max > U::bit(U::BITS - 1 - by) {
            return Span::FULL;
        }
        Span { min: self.min << by, max: self.max << by }
    }

    /// Shifted right without sign; `by` is below the width.
    pub(super) fn shifted_right(self, by: u32) -> Span<U> {
        Span { min: self.min >> by, max: self.max >> by }
    }
}

/// Makes the unsigned and the signed view of one word tell each other what they know.
#[inline(always)]
pub(super) fn exchange<U: Unsigned>(unsigned: &mut Span<U>, signed: &mut Span<U::Signed>) {
    let as_signed = Span::new(unsigned.min.signed(), unsigned.max.signed());
    if as_signed.min <= as_signed.max {
        *signed = signed.meet(as_signed);
    }
    let (low, high) = (U::of(signed.min), U::of(signed.max));
    if low <= high {
        *unsigned = unsigned.meet(Span::new(low, high));
    } else if unsigned.max < low {
        // The signed range covers both ends of the unsigned one, which only reaches the lower end.
        signed.min = unsigned.min.signed();
        unsigned.max = unsigned.max.min(high);
    } else if high < unsigned.min {
        signed.max = unsigned.max.signed();
        unsigned.min = unsigned.min.max(low);
    }
}
