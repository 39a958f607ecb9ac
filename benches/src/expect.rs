//! What the programs of `bpf/` compute, written again in Rust and from the definitions rather than from the C sources.

/// A program's answer for a packet.
pub type Expect = fn(&[u8]) -> u32;

fn fold(x: u64) -> u32 {
    x as u32 ^ (x >> 32) as u32
}

fn mixed(numbers: impl IntoIterator<Item = u32>) -> u32 {
    fold(numbers.into_iter().fold(0u64, |mix, number| mix.wrapping_mul(31).wrapping_add(number.into())))
}

fn words32(packet: &[u8]) -> impl Iterator<Item = u32> {
    packet.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word))
}

fn words64(packet: &[u8]) -> impl Iterator<Item = u64> {
    packet.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word))
}

pub(crate) fn alu_chain(packet: &[u8]) -> u32 {
    let step = |x: u64, i: u64| {
        let x = x ^ x << 13;
        let x = x ^ x >> 7;
        let x = x ^ x << 17;
        x.wrapping_mul(0x2545_f491).wrapping_add(i)
    };
    fold((0..500).fold(words64(packet).next().unwrap_or(0), step))
}

pub(crate) fn byte_sum(packet: &[u8]) -> u32 {
    packet.iter().map(|byte| u32::from(*byte)).sum()
}

pub(crate) fn checksum(packet: &[u8]) -> u32 {
    let mut sum: u32 = packet.as_chunks().0.iter().map(|word| u32::from(u16::from_le_bytes(*word))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !sum & 0xffff
}

pub(crate) fn histogram(packet: &[u8]) -> u32 {
    mixed((0..=255).map(|byte| packet.iter().filter(|other| **other == byte).count() as u32))
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for bit in bytes.iter().flat_map(|byte| (0..8).map(move |bit| u32::from(byte >> bit & 1))) {
        let odd = (crc ^ bit) & 1 == 1;
        crc = crc >> 1 ^ if odd { 0xedb8_8320 } else { 0 };
    }
    !crc
}

pub(crate) fn crc32(packet: &[u8]) -> u32 {
    crc(packet)
}

pub(crate) fn crc32_bits(packet: &[u8]) -> u32 {
    crc(&packet[..64])
}

pub(crate) fn jhash(packet: &[u8]) -> u32 {
    let bytes = packet.len() / 12 * 12;
    let [mut a, mut b, mut c] = [0xdead_beef_u32.wrapping_add(bytes as u32); 3];
    let words: Vec<u32> = words32(&packet[..bytes]).collect();
    for &[x, y, z] in words.as_chunks().0 {
        (a, b, c) = (a.wrapping_add(x), b.wrapping_add(y), c.wrapping_add(z));
        // The six steps are three registers taking turns.
        for rotate in [4, 6, 8, 16, 19, 4] {
            a = a.wrapping_sub(c) ^ c.rotate_left(rotate);
            c = c.wrapping_add(b);
            (a, b, c) = (b, c, a);
        }
    }
    // So are the seven last ones.
    for rotate in [14, 11, 25, 16, 4, 14, 24] {
        c = (c ^ b).wrapping_sub(b.rotate_left(rotate));
        (a, b, c) = (b, c, a);
    }
    // The register that was changed last.
    b
}

pub(crate) fn siphash(packet: &[u8]) -> u32 {
    const KEY: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
    let rounds = |[mut a, mut b, mut c, mut d]: [u64; 4], count: usize| {
        for _ in 0..count {
            (a, c) = (a.wrapping_add(b), c.wrapping_add(d));
            (b, d) = (b.rotate_left(13) ^ a, d.rotate_left(16) ^ c);
            a = a.rotate_left(32);
            (c, a) = (c.wrapping_add(b), a.wrapping_add(d));
            (b, d) = (b.rotate_left(17) ^ c, d.rotate_left(21) ^ a);
            c = c.rotate_left(32);
        }
        [a, b, c, d]
    };
    let magic = *b"uespemosmodnarodarenegylsetybdet";
    let mut v: [u64; 4] = std::array::from_fn(|i| words64(&magic).nth(i).unwrap_or(0) ^ KEY[i % 2]);
    for word in words64(packet).chain([(packet.len() as u64) << 56]) {
        v[3] ^= word;
        v = rounds(v, 2);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    fold(rounds(v, 4).into_iter().fold(0, |all, part| all ^ part))
}

pub(crate) fn sort(packet: &[u8]) -> u32 {
    let mut numbers: Vec<u32> = words32(packet).take(64).collect();
    numbers.sort_unstable();
    mixed(numbers)
}

pub(crate) fn search(packet: &[u8]) -> u32 {
    // The table has the squares, so that the place of a key is its root.
    mixed(words32(packet).take(128).map(|word| (word & 0xffff).isqrt()))
}

pub(crate) fn parser(packet: &[u8]) -> u32 {
    mixed((0..4).flat_map(|_| packet.chunks(64)).map(|frame| parsed(frame, packet)))
}

/// One frame of the packet; `frame` starts where it does, and what it has may go on until the end of the packet.
fn parsed(frame: &[u8], packet: &[u8]) -> u32 {
    let start = frame.as_ptr() as usize - packet.as_ptr() as usize;
    let bytes = &packet[start..];
    let word = |at: usize| u32::from(bytes[at]) << 8 | u32::from(bytes[at + 1]);
    let (mut at, mut kind, mut tags, mut mix) = (14, word(12), 0, 0u32);
    while tags < 2 && matches!(kind, 0x8100 | 0x88a8) {
        mix = mix * 31 + (word(at) & 0xfff);
        kind = word(at + 2);
        at += 4;
        tags += 1;
    }
    let ports = |found: u32, at: usize| found << 24 ^ word(at) << 8 ^ word(at + 2);
    let found = match kind {
        0x0806 => 1 << 24,
        0x0800 if word(at + 6) & 0x1fff != 0 => 4 << 24 | word(at + 4),
        0x0800 => {
            let transport = at + usize::from(bytes[at] & 15) * 4;
            match bytes[at + 9] {
                1 => 3 << 24 | word(transport),
                6 => ports(7, transport),
                17 => ports(8, transport),
                other => 2 << 24 | u32::from(other),
            }
        }
        0x86dd => match bytes[at + 6] {
            58 => 6 << 24 | word(at + 40),
            6 => ports(7, at + 40),
            17 => ports(8, at + 40),
            other => 5 << 24 | u32::from(other),
        },
        _ => 0,
    };
    mix ^ found
}

pub(crate) fn helper_calls(_: &[u8]) -> u32 {
    let mut state = crate::engine::SEED;
    fold((0..1000).map(|i| u64::from(crate::engine::next_random(&mut state) ^ i)).sum())
}

pub(crate) fn array_map(packet: &[u8]) -> u32 {
    let mut values: [u64; 64] = std::array::from_fn(|i| i as u64);
    let sum = packet.iter().enumerate().take(512).fold(0u64, |sum, (i, byte)| {
        let value = &mut values[if i < 64 { i } else { usize::from(*byte) % 64 }];
        *value = value.wrapping_mul(3).wrapping_add(u64::from(*byte));
        sum.wrapping_add(*value)
    });
    fold(sum)
}

pub(crate) fn hash_map(packet: &[u8]) -> u32 {
    fold(packet.iter().take(512).map(|byte| (u64::from(*byte) * 0x10001) ^ 0x5555).sum())
}

pub(crate) fn memory(packet: &[u8]) -> u32 {
    let different = 1;
    ((packet.len() / 8 - different) as u32) << 8 | u32::from(packet[100] ^ 1)
}

pub(crate) fn words(packet: &[u8]) -> u32 {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\t');
    let starts = packet.split(blank).filter_map(|token| token.first());
    let (numbers, words): (Vec<u8>, Vec<u8>) = starts.partition(|first| first.is_ascii_digit());
    let lines = packet.iter().filter(|byte| **byte == b'\n').count();
    (words.len() << 20 | numbers.len() << 10 | lines) as u32
}

pub(crate) fn calls(packet: &[u8]) -> u32 {
    fn mix(a: u32, b: u32) -> u32 {
        let a = a ^ b.rotate_left(5);
        a ^ b.wrapping_add(a.wrapping_mul(9))
    }
    words32(packet).take(256).fold(1, |sum, word| mix(sum, word).wrapping_add(mix(word, sum)))
}

pub(crate) fn decimal(packet: &[u8]) -> u32 {
    let text: Vec<String> = words32(packet).take(64).map(|number| format!("{number:010}")).collect();
    mixed(text.iter().flat_map(|text| text.bytes().rev()).map(u32::from))
}

pub(crate) fn byte_order(packet: &[u8]) -> u32 {
    fold(packet.chunks_exact(30).fold(0u64, |mix, record| {
        let number =
            |range: std::ops::Range<usize>| record[range].iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
        let cookie = record[22..30].iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
        let kind = u64::from(record[0] ^ record[19]);
        let sum = u64::from((number(3..7) as u32).wrapping_add(number(7..11) as u32));
        let port = u64::from((number(1..3) as u16).wrapping_add(number(20..22) as u16));
        [kind, sum, number(11..19).wrapping_add(cookie), port].into_iter().fold(mix.wrapping_mul(31), u64::wrapping_add)
    }))
}

pub(crate) fn automaton(packet: &[u8]) -> u32 {
    let text: Vec<u8> = packet.iter().map(|byte| byte & 0x7f).collect();
    let (mut names, mut numbers, mut strings, mut comments, mut other) = (0u32, 0u32, 0u32, 0u32, 0u32);
    let mut rest = text.as_slice();
    let skip = |rest: &[u8], keep: fn(&u8) -> bool| rest.iter().position(|byte| !keep(byte)).unwrap_or(rest.len());
    while let Some((first, after)) = rest.split_first() {
        rest = match first {
            b'a'..=b'z' => {
                names += 1;
                &after[skip(after, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())..]
            }
            b'0'..=b'9' => {
                numbers += 1;
                &after[skip(after, u8::is_ascii_digit)..]
            }
            b'"' => {
                strings += 1;
                let mut escaped = false;
                let end = after.iter().position(|byte| {
                    let ends = *byte == b'"' && !escaped;
                    escaped = *byte == b'\\' && !escaped;
                    ends
                });
                end.map_or(&[][..], |end| &after[end + 1..])
            }
            b'/' if after.first() == Some(&b'/') => {
                comments += 1;
                after.iter().skip(1).position(|byte| *byte < 8).map_or(&[][..], |end| &after[end + 2..])
            }
            // The slash that is the last byte is still waited for.
            b'/' if after.is_empty() => after,
            byte => {
                other += u32::from(*byte >= b'!');
                after
            }
        };
    }
    names << 20 ^ numbers << 15 ^ strings << 10 ^ comments << 5 ^ other
}

pub(crate) fn select(packet: &[u8]) -> u32 {
    let (mut before, mut track, mut sum) = (0u32, 0i32, 0u64);
    for word in words32(packet) {
        track += if (word as i32) < 0 { -3 } else { 2 };
        if track < 0 {
            track = 7;
        }
        sum += u64::from(word.abs_diff(before).clamp(1000, 1 << 30) + track as u32);
        before = word;
    }
    let (low, high) = words32(packet).fold((u32::MAX, 0), |(low, high), word| (low.min(word), high.max(word)));
    fold(sum.wrapping_mul(31).wrapping_add((low ^ high).into()))
}

pub(crate) fn percpu_map(packet: &[u8]) -> u32 {
    let mut values: [u64; 64] = std::array::from_fn(|i| i as u64);
    fold(packet.iter().enumerate().take(512).fold(0u64, |sum, (i, byte)| {
        let value = &mut values[if i < 64 { i } else { usize::from(*byte) % 64 }];
        *value += u64::from(*byte);
        sum + *value
    }))
}

pub(crate) fn rotates(packet: &[u8]) -> u32 {
    let (mut a, mut b) = (0x9e37_79b9_7f4a_7c15_u64, 1u32);
    for word in words64(packet) {
        a = (a ^ word).rotate_left(27).wrapping_mul(5);
        b = b.wrapping_add((a >> 13) as u32 & 0x7ff).rotate_left(11) ^ a as u32;
        if word >> 37 & 1 == 1 {
            b = b.wrapping_add((word >> 40) as u32 & 0xff);
        }
        if b >> 6 & 1 == 1 {
            a = a.wrapping_add(b.into());
        }
    }
    fold(a) ^ b
}

/// All three: values are 0 in arrays, and numbered in the table.
pub(crate) fn lookups(packet: &[u8]) -> u32 {
    fold(u64::from(packet[0]) + (0..u64::from(crate::workload::LOOKED_UP)).sum::<u64>())
}
