//! Functions of the kernel on strings at any address: `bpf_strcmp` and its kin.

use ring3_platform::Errno;

use super::helper;
use crate::env::Env;
use crate::link::HelperFn;

/// Longest string (`XATTR_SIZE_MAX`).
const MAX: usize = 65536;

/// An `int` of a function of the kernel.
fn int(result: Result<i64, Errno>) -> u64 {
    match result {
        Ok(value) => u64::from((value as i32).cast_unsigned()),
        Err(errno) => errno.as_ret() & u64::from(u32::MAX),
    }
}

/// The string at an address, of at most `max` bytes; whether it ends there by itself.
fn string(env: &Env<'_>, addr: u64, max: usize) -> Result<(Vec<u8>, bool), Errno> {
    let text = env.known_str(addr, max).ok_or(Errno::EFAULT)?;
    let ends = text.len() < max;
    Ok((text, ends))
}

/// The whole string, or `E2BIG`.
fn whole(env: &Env<'_>, addr: u64) -> Result<Vec<u8>, Errno> {
    match string(env, addr, MAX)? {
        (text, true) => Ok(text),
        (_, false) => Err(Errno::E2BIG),
    }
}

fn compare(env: &Env<'_>, a: u64, b: u64, fold: impl Fn(u8) -> u8) -> Result<i64, Errno> {
    for at in 0..MAX as u64 {
        let (mut left, mut right) = ([0], [0]);
        let known = env.known_bytes(a.wrapping_add(at), &mut left) && env.known_bytes(b.wrapping_add(at), &mut right);
        if !known {
            return Err(Errno::EFAULT);
        }
        let (left, right) = (fold(left[0]), fold(right[0]));
        match left.cmp(&right) {
            std::cmp::Ordering::Less => return Ok(-1),
            std::cmp::Ordering::Greater => return Ok(1),
            std::cmp::Ordering::Equal if left == 0 => return Ok(0),
            std::cmp::Ordering::Equal => {}
        }
    }
    Err(Errno::E2BIG)
}

helper! {
    strcmp(env, a, b) {
        Some(int(compare(env, a, b, |byte| byte)))
    }
}

helper! {
    strcasecmp(env, a, b) {
        Some(int(compare(env, a, b, |byte| byte.to_ascii_lowercase())))
    }
}

/// Where a byte is first in a string; the NUL counts.
fn find(text: &[u8], ends: bool, byte: u8) -> Result<i64, Errno> {
    let at = text.iter().position(|known| *known == byte).or((ends && byte == 0).then_some(text.len()));
    at.map(|at| at as i64).ok_or(Errno::ENOENT)
}

helper! {
    strchr(env, addr, byte) {
        Some(int(whole(env, addr).and_then(|text| find(&text, true, byte as u8))))
    }
}

helper! {
    strnchr(env, addr, count, byte) {
        let max = usize::try_from(count).unwrap_or(MAX).min(MAX);
        Some(int(string(env, addr, max).and_then(|(text, ends)| find(&text, ends, byte as u8))))
    }
}

helper! {
    strchrnul(env, addr, byte) {
        let found = whole(env, addr).map(|text| find(&text, true, byte as u8).unwrap_or(text.len() as i64));
        Some(int(found))
    }
}

helper! {
    strrchr(env, addr, byte) {
        let found = whole(env, addr).and_then(|text| {
            let last = if byte as u8 == 0 { Some(text.len()) } else { text.iter().rposition(|b| *b == byte as u8) };
            last.map(|at| at as i64).ok_or(Errno::ENOENT)
        });
        Some(int(found))
    }
}

helper! {
    strlen(env, addr) {
        Some(int(whole(env, addr).map(|text| text.len() as i64)))
    }
}

helper! {
    strnlen(env, addr, count) {
        let max = usize::try_from(count).unwrap_or(usize::MAX);
        let found = string(env, addr, max.min(MAX));
        Some(int(found.and_then(|(text, ends)| if ends || max <= MAX { Ok(text.len() as i64) } else { Err(Errno::E2BIG) })))
    }
}

/// How many bytes in front are in a set, or are not.
fn span(env: &Env<'_>, addr: u64, set: u64, inside: bool) -> Result<i64, Errno> {
    let (text, set) = (whole(env, addr)?, whole(env, set)?);
    Ok(text.iter().take_while(|byte| set.contains(byte) == inside).count() as i64)
}

helper! {
    strspn(env, addr, set) {
        Some(int(span(env, addr, set, true)))
    }
}

helper! {
    strcspn(env, addr, set) {
        Some(int(span(env, addr, set, false)))
    }
}

fn within(text: &[u8], part: &[u8]) -> Result<i64, Errno> {
    if part.is_empty() {
        return Ok(0);
    }
    text.windows(part.len()).position(|window| window == part).map(|at| at as i64).ok_or(Errno::ENOENT)
}

helper! {
    strstr(env, addr, part) {
        Some(int(whole(env, addr).and_then(|text| within(&text, &whole(env, part)?))))
    }
}

helper! {
    strnstr(env, addr, part, count) {
        let max = usize::try_from(count).unwrap_or(MAX).min(MAX);
        Some(int(string(env, addr, max).and_then(|(text, _)| within(&text, &whole(env, part)?))))
    }
}

/// The functions of the kernel of this family.
pub(super) const KFUNCS: &[(&str, HelperFn)] = &[
    ("bpf_strcmp", strcmp),
    ("bpf_strcasecmp", strcasecmp),
    ("bpf_strchr", strchr),
    ("bpf_strnchr", strnchr),
    ("bpf_strchrnul", strchrnul),
    ("bpf_strrchr", strrchr),
    ("bpf_strlen", strlen),
    ("bpf_strnlen", strnlen),
    ("bpf_strspn", strspn),
    ("bpf_strcspn", strcspn),
    ("bpf_strstr", strstr),
    ("bpf_strnstr", strnstr),
];
