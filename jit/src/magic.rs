//! Division by a constant as a multiplication (Granlund and Montgomery, "Division by Invariant Integers using Multiplication", 1994,
//! figure 6.2 for numbers without a sign, figure 5.2 for those with one).

use ring3_isa::Width;

/// `n / divisor` is `high(n >> before, multiplier) >> after`, where `high` is the upper half of a product of twice the width; with
/// `carry` the multiplier has one more bit on top, so that with `t = high(n, multiplier)` it is `(((n - t) >> 1) + t) >> (after - 1)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Magic {
    pub(crate) multiplier: u64,
    pub(crate) before: u32,
    pub(crate) after: u32,
    pub(crate) carry: bool,
}

impl Magic {
    /// For numbers of this width. `None` for what needs no multiplication: 0 and powers of two, and divisors of more than half the range.
    pub(crate) fn new(width: Width, divisor: u64) -> Option<Magic> {
        let bits = width.bits();
        if divisor < 3 || divisor.is_power_of_two() || divisor >> (bits - 1) != 0 {
            return None;
        }
        let (multiplier, after, carry) = multiplier(bits, bits, divisor);
        if !carry {
            return Some(Magic { multiplier, before: 0, after, carry });
        }
        let before = divisor.trailing_zeros();
        if before > 0 {
            // Numbers have fewer bits after the shift, so the multiplier needs fewer.
            let (multiplier, after, carry) = self::multiplier(bits, bits - before, divisor >> before);
            if !carry {
                return Some(Magic { multiplier, before, after, carry });
            }
        }
        Some(Magic { multiplier, before: 0, after, carry })
    }
}

/// How a number with a sign is divided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signed {
    /// `(n + (n >> (power - 1) >>> (bits - power))) >> power`, the first shift with the sign, the second without: that adds what makes the
    /// last one round to zero. Then negated, if the divisor is negative.
    Power(u32),
    /// `(high(n, multiplier) >> after) + (n >>> (bits - 1))`, where `high` is the upper half of the product of `n` with its sign and
    /// the multiplier without one. Then negated, if the divisor is negative.
    Multiply { multiplier: u64, after: u32 },
}

impl Signed {
    /// For numbers of this width. `None` for 0, 1 and -1.
    pub(crate) fn new(width: Width, divisor: i32) -> Option<Signed> {
        let magnitude = u64::from(divisor.unsigned_abs());
        match magnitude {
            0 | 1 => None,
            _ if magnitude.is_power_of_two() => Some(Signed::Power(magnitude.trailing_zeros())),
            // One bit of the number is its sign, so the multiplier needs no bit more than the width.
            _ => {
                let (multiplier, after, _) = multiplier(width.bits(), width.bits() - 1, magnitude);
                Some(Signed::Multiply { multiplier, after })
            }
        }
    }
}

/// The low bits of the multiplier for numbers of `precision` bits, the shift, and whether the multiplier has one bit more.
fn multiplier(bits: u32, precision: u32, divisor: u64) -> (u64, u32, bool) {
    let divisor = u128::from(divisor);
    // The divisor is no power of two and less than half the range, so this is at least 2 and less than `bits`.
    let mut after = u128::BITS - divisor.leading_zeros();
    let mut low = (1u128 << (bits + after)) / divisor;
    let mut high = ((1u128 << (bits + after)) + (1u128 << (bits + after - precision))) / divisor;
    while low >> 1 < high >> 1 && after > 0 {
        (low, high, after) = (low >> 1, high >> 1, after - 1);
    }
    let carry = high >> bits != 0;
    let mask = u128::MAX >> (u128::BITS - bits);
    ((high & mask) as u64, after, carry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divide(width: Width, magic: Magic, n: u64) -> u64 {
        let high = |n: u64| ((u128::from(n) * u128::from(magic.multiplier)) >> width.bits()) as u64;
        if magic.carry {
            let t = high(n);
            (((n - t) >> 1) + t) >> (magic.after - 1)
        } else {
            high(n >> magic.before) >> magic.after
        }
    }

    /// Around every multiple that matters, for small and large divisors and those next to powers of two.
    #[test]
    fn quotients_are_exact() {
        let mut kinds = [0u32; 3];
        for width in [Width::W32, Width::W64] {
            let max = u64::MAX >> (64 - width.bits());
            let powers =
                (2..width.bits() - 1).flat_map(|bit| [-3i64, -1, 1, 3].map(|by| (1u64 << bit).wrapping_add_signed(by)));
            for divisor in (3..3000).chain(powers).chain([1_000_003, 0x7fff_ffff, 0x1234_5678]) {
                let Some(magic) = Magic::new(width, divisor) else {
                    assert!(divisor < 3 || divisor.is_power_of_two() || divisor > max / 2);
                    continue;
                };
                kinds[if magic.carry { 2 } else { usize::from(magic.before > 0) }] += 1;
                let multiples = [0, 1, 2, 7, max / divisor / 3, max / divisor / 2, max / divisor - 1, max / divisor];
                let near = multiples.into_iter().flat_map(|of| {
                    [0, 1, divisor - 1].map(|by| of.saturating_mul(divisor).saturating_add(by).min(max))
                });
                for n in near.chain([max, max - 1, max / 2, max / 2 + 1]) {
                    assert_eq!(divide(width, magic, n), n / divisor, "{n} / {divisor}, {width:?}, {magic:?}");
                }
            }
        }
        assert!(kinds.iter().all(|kind| *kind > 100), "{kinds:?}");
    }
}
