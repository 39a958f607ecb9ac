//! Reads gzip files (RFC 1952, RFC 1951), for `/proc/config.gz`: slow, small, and without a dependency.

/// Longest content, in bytes.
const MAX_CONTENT: usize = 16 << 20;
/// Longest code of a symbol, in bits.
const MAX_BITS: usize = 15;
/// What a length symbol (257 and up) starts at, and how many bits follow it.
const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];
/// The order in which the lengths of the codes of code lengths are given.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The content of a gzip file with one member. `None` if it is none, or longer than 16 MiB. The checksum is not looked at:
/// what reads this takes files that the kernel makes.
pub(crate) fn gunzip(file: &[u8]) -> Option<Vec<u8>> {
    let [0x1f, 0x8b, 8, flags, ..] = *file else { return None };
    let mut at = 10;
    if flags & 4 != 0 {
        at += 2 + usize::from(u16::from_le_bytes([*file.get(at)?, *file.get(at + 1)?]));
    }
    // A name, a comment: both end with a zero.
    for flag in [8, 16] {
        if flags & flag != 0 {
            at += file.get(at..)?.iter().position(|byte| *byte == 0)? + 1;
        }
    }
    at += if flags & 2 != 0 { 2 } else { 0 };
    inflate(&mut Bits { bytes: file.get(at..)?, bit: 0 })
}

/// The bits of a stream, lowest first.
struct Bits<'a> {
    bytes: &'a [u8],
    bit: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u8) -> Option<u16> {
        let mut value = 0;
        for i in 0..count {
            let byte = *self.bytes.get(self.bit / 8)?;
            value |= u16::from(byte >> (self.bit % 8) & 1) << i;
            self.bit += 1;
        }
        Some(value)
    }
}

/// Codes of symbols: how many there are of each length, and the symbols in the order of codes.
struct Codes {
    counts: [u16; MAX_BITS + 1],
    symbols: Vec<u16>,
}

impl Codes {
    fn new(lengths: &[u8]) -> Codes {
        let mut counts = [0; MAX_BITS + 1];
        let mut symbols: Vec<u16> = (0..lengths.len() as u16).filter(|s| lengths[usize::from(*s)] != 0).collect();
        symbols.sort_by_key(|symbol| lengths[usize::from(*symbol)]);
        lengths.iter().filter(|len| **len != 0).for_each(|len| counts[usize::from(*len) & MAX_BITS] += 1);
        Codes { counts, symbols }
    }

    fn symbol(&self, bits: &mut Bits<'_>) -> Option<u16> {
        let (mut code, mut first, mut index) = (0i32, 0i32, 0i32);
        for count in &self.counts[1..] {
            code |= i32::from(bits.take(1)?);
            let count = i32::from(*count);
            if code - first < count {
                return self.symbols.get(usize::try_from(index + code - first).ok()?).copied();
            }
            index += count;
            (first, code) = ((first + count) << 1, code << 1);
        }
        None
    }
}

fn inflate(bits: &mut Bits<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let is_last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => stored(bits, &mut out)?,
            1 => {
                let lengths: Vec<u8> = (0..288u16)
                    .map(|s| {
                        if s < 144 {
                            8
                        } else if s < 256 {
                            9
                        } else if s < 280 {
                            7
                        } else {
                            8
                        }
                    })
                    .collect();
                block(bits, &mut out, &Codes::new(&lengths), &Codes::new(&[5; 30]))?;
            }
            2 => {
                let (literals, distances) = described(bits)?;
                block(bits, &mut out, &literals, &distances)?;
            }
            _ => return None,
        }
        if is_last {
            return Some(out);
        }
    }
}

/// Bytes as they are.
fn stored(bits: &mut Bits<'_>, out: &mut Vec<u8>) -> Option<()> {
    let at = bits.bit.div_ceil(8);
    let len = usize::from(u16::from_le_bytes([*bits.bytes.get(at)?, *bits.bytes.get(at + 1)?]));
    out.extend_from_slice(bits.bytes.get(at + 4..at + 4 + len)?);
    bits.bit = (at + 4 + len) * 8;
    (out.len() <= MAX_CONTENT).then_some(())
}

/// The codes that a block brings along.
fn described(bits: &mut Bits<'_>) -> Option<(Codes, Codes)> {
    let literals = usize::from(bits.take(5)?) + 257;
    let distances = usize::from(bits.take(5)?) + 1;
    let given = usize::from(bits.take(4)?) + 4;
    let mut lengths = [0; 19];
    for place in &ORDER[..given] {
        lengths[*place] = bits.take(3)? as u8;
    }
    let codes = Codes::new(&lengths);
    let mut lengths: Vec<u8> = Vec::new();
    while lengths.len() < literals + distances {
        let (value, times) = match codes.symbol(bits)? {
            16 => (*lengths.last()?, bits.take(2)? + 3),
            17 => (0, bits.take(3)? + 3),
            18 => (0, bits.take(7)? + 11),
            symbol => (symbol as u8, 1),
        };
        lengths.extend(std::iter::repeat_n(value, times.into()));
    }
    Some((Codes::new(lengths.get(..literals)?), Codes::new(lengths.get(literals..literals + distances)?)))
}

fn block(bits: &mut Bits<'_>, out: &mut Vec<u8>, literals: &Codes, distances: &Codes) -> Option<()> {
    loop {
        if out.len() > MAX_CONTENT {
            return None;
        }
        let symbol = literals.symbol(bits)?;
        if symbol < 256 {
            out.push(symbol as u8);
            continue;
        }
        if symbol == 256 {
            return Some(());
        }
        let (base, extra) = *LENGTHS.get(usize::from(symbol) - 257)?;
        let len = usize::from(base + bits.take(extra)?);
        let symbol = distances.symbol(bits)?;
        let extra = (symbol / 2).saturating_sub(1) as u8;
        let base = if symbol < 2 { u32::from(symbol) + 1 } else { 1 + ((2 + u32::from(symbol & 1)) << extra.min(13)) };
        let distance = base as usize + usize::from(bits.take(extra.min(13))?);
        let start = out.len().checked_sub(distance)?;
        for at in start..start + len {
            out.push(out[at]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::gunzip;

    /// `printf 'CONFIG_HZ=250\nCONFIG_HZ=250\nCONFIG_HZ=250\n' | gzip -n9`.
    const FILE: &[u8] = &[
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 115, 246, 247, 115, 243, 116, 143, 247, 136, 178, 53, 50, 53, 224, 114, 198,
        195, 3, 0, 119, 2, 139, 143, 42, 0, 0, 0,
    ];

    #[test]
    fn reads_what_gzip_wrote() {
        assert_eq!(gunzip(FILE).as_deref(), Some(&b"CONFIG_HZ=250\nCONFIG_HZ=250\nCONFIG_HZ=250\n"[..]));
        for end in 0..FILE.len() - 8 {
            assert_eq!(gunzip(&FILE[..end]), None);
        }
    }

    #[test]
    fn the_running_configuration() {
        let Ok(file) = std::fs::read("/proc/config.gz") else {
            println!("skipped: no /proc/config.gz");
            return;
        };
        let text = String::from_utf8(gunzip(&file).unwrap_or_default()).unwrap_or_default();
        let (len, end) = (text.len() as u32, file.len() - 4);
        assert_eq!(len.to_le_bytes(), file[end..]);
        assert!(text.contains("\nCONFIG_BPF=y\n"));
    }
}
