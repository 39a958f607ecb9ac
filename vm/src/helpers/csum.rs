//! The Internet checksum (RFC 1071, RFC 1624), as the helpers compute it: on numbers in memory order.

use ring3_platform::Errno;

use super::{helper, skb};
use crate::env::{Env, ret};

/// The 16-bit one's complement sum of two words.
fn add16(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u16::from(carry)
}

/// The 32-bit one's complement sum.
fn add32(a: u32, b: u32) -> u32 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u32::from(carry)
}

fn sub32(a: u32, b: u32) -> u32 {
    add32(a, !b)
}

/// 32 bits of sum to 16.
fn to16(sum: u32) -> u16 {
    add16((sum >> 16) as u16, sum as u16)
}

/// A checksum of a sum.
fn fold(sum: u32) -> u16 {
    !to16(sum)
}

/// Sum of bytes as 32-bit words; a rest is filled with zeroes.
fn partial(bytes: &[u8], start: u32) -> u32 {
    bytes.chunks(4).fold(start, |sum, chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        add32(sum, u32::from_ne_bytes(word))
    })
}

/// The checksum of bytes, as it stands in a header.
pub(super) fn of(bytes: &[u8]) -> [u8; 2] {
    fold(partial(bytes, 0)).to_ne_bytes()
}

/// Adds the difference of sums.
fn by_difference(check: u16, difference: u32) -> u16 {
    fold(add32(difference, !u32::from(check)))
}

/// Replaces a 32-bit number of the data.
fn replace4(check: u16, from: u32, to: u32) -> u16 {
    fold(add32(sub32(!u32::from(check), from), to))
}

/// Replaces a 16-bit number of the data.
fn replace2(check: u16, from: u16, to: u16) -> u16 {
    !add16(add16(!check, !from), to)
}

/// Size of the replaced field, in the flags (`BPF_F_HDR_FIELD_MASK`).
const FIELD: u64 = 0xf;
/// The field is part of the pseudo header (`BPF_F_PSEUDO_HDR`).
const PSEUDO: u64 = 0x10;
/// A checksum of 0 means that there is none (`BPF_F_MARK_MANGLED_0`).
const MANGLED_0: u64 = 0x20;
/// ... but compute it all the same (`BPF_F_MARK_ENFORCE`).
const ENFORCE: u64 = 0x40;
/// The pseudo header is of IPv6 (`BPF_F_IPV6`).
const IPV6: u64 = 0x80;

/// The two bytes of a checksum. `EFAULT` where they are not in the packet or not at an even offset.
fn place(packet: &mut [u8], offset: u64) -> Result<&mut [u8; 2], Errno> {
    let offset = offset as u32;
    if offset > 0xffff || !offset.is_multiple_of(2) {
        return Err(Errno::EFAULT);
    }
    packet.get_mut(offset as usize..).and_then(|rest| rest.first_chunk_mut()).ok_or(Errno::EFAULT)
}

fn l3(packet: &mut [u8], offset: u64, from: u64, to: u64, flags: u64) -> Result<u64, Errno> {
    if flags & !FIELD != 0 {
        return Err(Errno::EINVAL);
    }
    let place = place(packet, offset)?;
    let check = u16::from_ne_bytes(*place);
    let new = match flags & FIELD {
        0 if from != 0 => return Err(Errno::EINVAL),
        0 => by_difference(check, to as u32),
        2 => replace2(check, from as u16, to as u16),
        4 => replace4(check, from as u32, to as u32),
        _ => return Err(Errno::EINVAL),
    };
    *place = new.to_ne_bytes();
    Ok(0)
}

fn l4(packet: &mut [u8], offset: u64, from: u64, to: u64, flags: u64) -> Result<u64, Errno> {
    if flags & !(FIELD | PSEUDO | MANGLED_0 | ENFORCE | IPV6) != 0 {
        return Err(Errno::EINVAL);
    }
    let place = place(packet, offset)?;
    let check = u16::from_ne_bytes(*place);
    if flags & MANGLED_0 != 0 && flags & ENFORCE == 0 && check == 0 {
        return Ok(0);
    }
    // The pseudo header makes no difference where the checksum is complete in the packet, as it is here.
    let new = match flags & FIELD {
        0 if from != 0 => return Err(Errno::EINVAL),
        0 => by_difference(check, to as u32),
        2 => replace4(check, u32::from(from as u16), u32::from(to as u16)),
        4 => replace4(check, from as u32, to as u32),
        _ => return Err(Errno::EINVAL),
    };
    let new = if flags & MANGLED_0 != 0 && new == 0 { 0xffff } else { new };
    *place = new.to_ne_bytes();
    Ok(0)
}

helper! {
    /// `bpf_l3_csum_replace(skb, offset, from, to, size)`.
    l3_replace(env, ctx, offset, from, to, flags) {
        Some(ret(l3(skb::packet(env, ctx)?.bytes_mut(), offset, from, to, flags)))
    }
}

helper! {
    /// `bpf_l4_csum_replace(skb, offset, from, to, flags)`.
    l4_replace(env, ctx, offset, from, to, flags) {
        Some(ret(l4(skb::packet(env, ctx)?.bytes_mut(), offset, from, to, flags)))
    }
}

helper! {
    /// `bpf_csum_diff(from, from_size, to, to_size, seed)`: 16 bits of sum.
    diff(env, from, from_size, to, to_size, seed) {
        let (from_size, to_size) = (from_size as u32, to_size as u32);
        // SAFETY: by the caller, these are memory of those sizes.
        let (from, to) = unsafe { (env.mem(from, from_size.into())?, env.mem(to, to_size.into())?) };
        let seed = seed as u32;
        let sum = match (from.is_empty(), to.is_empty()) {
            (false, false) => sub32(partial(to, seed), partial(from, 0)),
            (true, false) => partial(to, seed),
            (false, true) => !partial(from, !seed),
            (true, true) => seed,
        };
        Some(to16(sum).into())
    }
}

helper! {
    /// `bpf_csum_update(skb, csum)`: only of packets whose checksum a device computed, which there are none of here.
    update(env, ctx, _) {
        skb::packet(env, ctx)?;
        Some(Errno::ENOTSUPP.as_ret())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The IPv4 header of RFC 1071's neighbours: 0xb861 is its checksum.
    const HEADER: [u8; 20] =
        [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7];

    fn sum_of(header: &[u8]) -> u16 {
        fold(partial(header, 0))
    }

    #[test]
    fn replacing_keeps_a_header_valid() {
        for flags in [2, 4] {
            let mut header = HEADER;
            assert_eq!(sum_of(&header), 0);
            header[16..20].copy_from_slice(&[10, 1, 2, 3]);
            let (from, to) = if flags == 4 {
                (u32::from_ne_bytes([0xc0, 0xa8, 0, 0xc7]), u32::from_ne_bytes([10, 1, 2, 3]))
            } else {
                header[18..20].copy_from_slice(&HEADER[18..20]);
                (u16::from_ne_bytes([0xc0, 0xa8]).into(), u16::from_ne_bytes([10, 1]).into())
            };
            assert_eq!(l3(&mut header, 10, from.into(), to.into(), flags), Ok(0));
            assert_eq!(sum_of(&header), 0, "{flags}");
        }
    }

    #[test]
    fn differences_are_added() {
        let mut header = HEADER;
        header[8] = 0x3f;
        let diff = sub32(partial(&header[8..12], 0), partial(&HEADER[8..12], 0));
        assert_eq!(l3(&mut header, 10, 0, diff.into(), 0), Ok(0));
        assert_eq!(sum_of(&header), 0);
    }

    #[test]
    fn refusals() {
        let mut header = HEADER;
        assert_eq!(l3(&mut header, 11, 0, 0, 4), Err(Errno::EFAULT));
        assert_eq!(l3(&mut header, 20, 0, 0, 4), Err(Errno::EFAULT));
        assert_eq!(l3(&mut header, 0x1_0000, 0, 0, 4), Err(Errno::EFAULT));
        assert_eq!(l3(&mut header, 10, 0, 0, 3), Err(Errno::EINVAL));
        assert_eq!(l3(&mut header, 10, 0, 0, 0x14), Err(Errno::EINVAL));
        assert_eq!(l3(&mut header, 10, 1, 0, 0), Err(Errno::EINVAL));
        assert_eq!(header, HEADER);
    }

    #[test]
    fn no_checksum_stays_no_checksum() {
        let mut packet = [0; 4];
        assert_eq!(l4(&mut packet, 0, 1, 2, 4 | MANGLED_0), Ok(0));
        assert_eq!(packet, [0; 4]);
        assert_eq!(l4(&mut packet, 0, 1, 2, 4 | MANGLED_0 | ENFORCE), Ok(0));
        assert_ne!(packet, [0; 4]);
    }
}
