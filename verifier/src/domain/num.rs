//! Cutting words, on top of [`ring3_isa::num`].

pub(super) use ring3_isa::num::{high32, low32};

/// The low `bytes` bytes (1, 2, 4 or 8) of `x`, sign-extended.
pub(super) const fn sign_extend(x: u64, bytes: u32) -> i64 {
    let unused = 64 - 8 * bytes;
    (x << unused).cast_signed() >> unused
}

/// A mask of the low `bytes` bytes (1, 2, 4 or 8).
pub(super) const fn low_mask(bytes: u32) -> u64 {
    u64::MAX >> (64 - 8 * bytes)
}

/// `x` with another low half.
pub(super) const fn with_low32(x: u64, low: u32) -> u64 {
    ring3_isa::num::join(high32(x), low)
}
