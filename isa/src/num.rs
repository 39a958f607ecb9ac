//! Every conversion between integer types that can change the value or its sign, by name.
//!
//! The rest of the crate (and the verifier) may not use a lossy `as`: a slip of sign or width there is how a verifier
//! accepts what it must refuse. A name says which of truncation, sign extension or reinterpretation is meant.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)]

/// Low 32 bits.
#[inline]
pub const fn low32(value: u64) -> u32 {
    value as u32
}

/// High 32 bits.
#[inline]
pub const fn high32(value: u64) -> u32 {
    (value >> 32) as u32
}

/// Low 16 bits.
#[inline]
pub const fn low16(value: u64) -> u16 {
    value as u16
}

/// Low 8 bits.
#[inline]
pub const fn low8(value: u64) -> u8 {
    value as u8
}

/// A 64-bit value from its halves.
#[inline]
pub const fn join(high: u32, low: u32) -> u64 {
    ((high as u64) << 32) | low as u64
}

/// The same 64 bits read as signed.
#[inline]
pub const fn s64(value: u64) -> i64 {
    value as i64
}

/// The same 64 bits read as unsigned.
#[inline]
pub const fn u64(value: i64) -> u64 {
    value as u64
}

/// The same 32 bits read as signed.
#[inline]
pub const fn s32(value: u32) -> i32 {
    value as i32
}

/// The same 32 bits read as unsigned.
#[inline]
pub const fn u32(value: i32) -> u32 {
    value as u32
}

/// The same 16 bits read as signed.
#[inline]
pub const fn s16(value: u16) -> i16 {
    value as i16
}

/// The same 16 bits read as unsigned.
#[inline]
pub const fn u16(value: i16) -> u16 {
    value as u16
}

/// The same 8 bits read as signed.
#[inline]
pub const fn s8(value: u8) -> i8 {
    value as i8
}

/// Sign extension of an immediate to 64 bits.
#[inline]
pub const fn sext32(value: i32) -> u64 {
    value as i64 as u64
}

/// Sign extension of an offset to 64 bits.
#[inline]
pub const fn sext16(value: i16) -> u64 {
    value as i64 as u64
}

/// Low 32 bits, read as signed.
#[inline]
pub const fn low_s32(value: u64) -> i32 {
    value as u32 as i32
}

/// Low 32 bits of a signed number, read as signed.
#[inline]
pub const fn trunc_s32(value: i64) -> i32 {
    value as i32
}

/// Low 64 bits of a 128-bit number.
#[inline]
pub const fn low64(value: u128) -> u64 {
    value as u64
}

/// A number as an index: on a machine with narrower addresses the largest index, which no slice has.
#[inline]
pub const fn index(value: u64) -> usize {
    if value > usize::MAX as u64 { usize::MAX } else { value as usize }
}

/// An index as a number.
#[inline]
pub const fn from_index(value: usize) -> u64 {
    value as u64
}

/// An index as a signed number; slices are never so long that it could wrap.
#[inline]
pub const fn signed_index(value: usize) -> i64 {
    value as i64
}

/// A slot number moved by a signed distance; `None` below zero or above what an index can hold.
#[inline]
pub const fn offset_index(base: usize, distance: i64) -> Option<usize> {
    if distance >= 0 {
        base.checked_add(index(distance as u64))
    } else {
        base.checked_sub(index(distance.unsigned_abs()))
    }
}
