//! Helpers on strings and on memory at any address.

use ring3_platform::Errno;

use super::helper;
use crate::env::{Env, ret};

/// The base, in the flags of `bpf_strtol`.
const BASE: u64 = 0x1f;
/// How many characters of a number count.
const MAX_DIGITS: usize = 63;
/// Longest string of a map that a helper reads.
const MAX_STRING: usize = 1 << 16;

/// A string argument without its NUL: in a verified program part of a map that cannot change and has a NUL.
///
/// # Safety
///
/// As of `Env::mem`, up to the NUL.
pub(super) unsafe fn string(env: &mut Env<'_>, addr: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_STRING {
        // SAFETY: by the caller, all bytes up to the NUL are live.
        match unsafe { env.mem(addr.wrapping_add(bytes.len() as u64), 1) }? {
            [0] | [] => break,
            [byte, ..] => bytes.push(*byte),
        }
    }
    Some(bytes)
}

/// A number in front of a text: whether it has a minus, its magnitude, and how many bytes it takes.
fn number(text: &[u8], flags: u64) -> Result<(bool, u64, usize), Errno> {
    let base = flags & BASE;
    if text.is_empty() || !matches!(base, 0 | 8 | 10 | 16) || flags & !BASE != 0 {
        return Err(Errno::EINVAL);
    }
    let blanks = text.iter().take_while(|b| matches!(b, b' ' | 9..=13 | 0xa0)).count();
    let negative = text.get(blanks) == Some(&b'-');
    let start = blanks + usize::from(negative);
    let digits = &text[start..text.len().min(start + MAX_DIGITS)];
    let prefixed = |digits: &[u8]| matches!(digits, [b'0', b'x' | b'X', h, ..] if h.is_ascii_hexdigit());
    let (base, prefix) = match base {
        0 if prefixed(digits) => (16, 2),
        0 if digits.first() == Some(&b'0') => (8, 0),
        0 => (10, 0),
        16 if matches!(digits, [b'0', b'x' | b'X', ..]) => (16, 2),
        base => (base as u32, 0),
    };
    let mut value = 0u64;
    let mut overflow = false;
    let mut len = 0;
    for digit in digits[prefix..].iter().map_while(|b| char::from(*b).to_digit(base)) {
        let next = value.checked_mul(base.into()).and_then(|v| v.checked_add(digit.into()));
        overflow |= next.is_none();
        value = next.unwrap_or(value);
        len += 1;
    }
    if overflow {
        return Err(Errno::ERANGE);
    }
    if len == 0 { Err(Errno::EINVAL) } else { Ok((negative, value, start + prefix + len)) }
}

fn signed(text: &[u8], flags: u64) -> Result<(u64, usize), Errno> {
    let (negative, magnitude, len) = number(text, flags)?;
    let value = if negative { magnitude.wrapping_neg() } else { magnitude };
    let fits = if negative { value as i64 <= 0 } else { value as i64 >= 0 };
    if fits { Ok((value, len)) } else { Err(Errno::ERANGE) }
}

fn unsigned(text: &[u8], flags: u64) -> Result<(u64, usize), Errno> {
    match number(text, flags)? {
        (true, _, _) => Err(Errno::EINVAL),
        (false, value, len) => Ok((value, len)),
    }
}

/// Reads a number into 8 bytes, which are 0 where there is an error.
///
/// # Safety
///
/// `buf` is memory of `len` bytes, `res` of 8.
unsafe fn read(
    env: &mut Env<'_>,
    (buf, len, res): (u64, u64, u64),
    read: impl FnOnce(&[u8]) -> Result<(u64, usize), Errno>,
) -> Option<u64> {
    // SAFETY: by the caller; the text is looked at before the result is written, which may be the same memory.
    let result = read(unsafe { env.mem(buf, len) }?);
    // SAFETY: by the caller.
    let out = unsafe { env.mem_mut(res, 8) }?;
    out.copy_from_slice(&result.map_or(0, |(value, _)| value).to_ne_bytes());
    Some(ret(result.map(|(_, len)| len as u64)))
}

helper! {
    /// `bpf_strtol(buf, buf_len, flags, res)`: how many bytes the number takes.
    strtol(env, buf, len, flags, res) {
        // SAFETY: by the caller, R1 is memory of R2 bytes and R4 of 8.
        unsafe { read(env, (buf, len, res), |text| signed(text, flags)) }
    }
}

helper! {
    /// `bpf_strtoul(buf, buf_len, flags, res)`.
    strtoul(env, buf, len, flags, res) {
        // SAFETY: by the caller, R1 is memory of R2 bytes and R4 of 8.
        unsafe { read(env, (buf, len, res), |text| unsigned(text, flags)) }
    }
}

helper! {
    /// `bpf_strncmp(s1, s1_size, s2)`: -1, 0 or 1.
    strncmp(env, left, len, right) {
        // SAFETY: by the caller, R3 is a string in a map and R1 memory of R2 bytes.
        let (right, left) = unsafe { (string(env, right)?, env.mem(left, u64::from(len as u32))?) };
        let right = right.iter().copied().chain([0]);
        for (a, b) in left.iter().copied().zip(right) {
            if a != b {
                return Some(if a < b { u64::MAX } else { 1 });
            }
            if a == 0 {
                break;
            }
        }
        Some(0)
    }
}

/// What Linux says of an address that cannot be read: `ERANGE` unless it is one of the kernel's.
fn unreadable(addr: u64) -> Errno {
    let kernel = (addr as i64) < 0 && addr >> 47 == 0x1_ffff;
    if kernel { Errno::EFAULT } else { Errno::ERANGE }
}

helper! {
    /// `bpf_probe_read_kernel(dst, size, address)`: an error and zeroes where the memory is not that of the run.
    probe_read(env, dst, size, from) {
        // SAFETY: by the caller, R1 is memory of R2 bytes.
        let dst = unsafe { env.mem_mut(dst, u64::from(size as u32)) }?;
        let mut bytes = vec![0; dst.len()];
        let known = env.known_bytes(from, &mut bytes);
        dst.copy_from_slice(&bytes);
        Some(ret(if known { Ok(0) } else { Err(unreadable(from)) }))
    }
}

helper! {
    /// `bpf_probe_read_kernel_str(dst, size, address)`: the length with its NUL.
    probe_read_str(env, dst, size, from) {
        // SAFETY: by the caller, R1 is memory of R2 bytes.
        let dst = unsafe { env.mem_mut(dst, u64::from(size as u32)) }?;
        let Some(room) = dst.len().checked_sub(1) else { return Some(0) };
        let text = if env.is_live(from, 1) { env.known_str(from, room) } else { None };
        dst.fill(0);
        let Some(text) = text else { return Some(unreadable(from).as_ret()) };
        dst[..text.len()].copy_from_slice(&text);
        Some(text.len() as u64 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_texts() {
        assert_eq!(signed(b"  -42x", 0), Ok((-42i64 as u64, 5)));
        assert_eq!(signed(b"0x1f", 0), Ok((31, 4)));
        assert_eq!(signed(b"017", 0), Ok((15, 3)));
        assert_eq!(signed(b"0x1f", 16), Ok((31, 4)));
        assert_eq!(signed(b"9223372036854775808", 10), Err(Errno::ERANGE));
        assert_eq!(signed(b"-9223372036854775808", 10), Ok((1 << 63, 20)));
        assert_eq!(unsigned(b"18446744073709551615", 10), Ok((u64::MAX, 20)));
        assert_eq!(unsigned(b"18446744073709551616", 10), Err(Errno::ERANGE));
        for (text, flags) in [(&b"-1"[..], 0), (b"", 0), (b"x", 0), (b"1", 3), (b"1", 32), (b"-", 10), (b"8", 8)] {
            assert_eq!(unsigned(text, flags), Err(Errno::EINVAL), "{text:?} {flags}");
        }
    }
}
