//! `bloom_filter`: a set that may say yes for what was never put in.
//!
//! The hash is lookup3 of Bob Jenkins (public domain), which the kernel uses too; with `BPF_F_ZERO_SEED` the same values are
//! false positives as there. Without it the kernel's seed is random, and here it is 0.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ring3_platform::{Errno, MapDef};

use super::mem::Region;
use super::{BPF_ANY, Base, Map};

/// Hash functions of a filter that asks for none.
const DEFAULT_HASHES: u32 = 5;
/// Fewest bits of a filter.
const MIN_BITS: u64 = 64;
/// Filters that need more bits than this get 2^32, which is all that the hash can tell apart.
const MAX_ROUNDED_BITS: u64 = 1 << 31;

/// A bloom filter.
pub(super) struct Bloom {
    base: Base,
    bits: Region,
    mask: u32,
    hashes: u32,
}

impl Bloom {
    pub(super) fn new(def: &Arc<MapDef>) -> Result<Bloom, Errno> {
        let hashes = match u32::try_from(def.extra).map_err(|_| Errno::EINVAL)? {
            0 => DEFAULT_HASHES,
            hashes => hashes,
        };
        // 7/5 is about 1/ln 2, the best number of bits for an element and a hash; the kernel computes in 32 bits.
        let wanted = def.max_entries.checked_mul(hashes).and_then(|bits| (bits / 5).checked_mul(7));
        let mask = match wanted.map(u64::from) {
            Some(bits) if bits <= MAX_ROUNDED_BITS => (bits.max(MIN_BITS).next_power_of_two() - 1) as u32,
            Some(_) | None => u32::MAX,
        };
        let bits = Region::zeroed((u64::from(mask) + 1) / 8)?;
        Ok(Bloom { base: Base::new(def), bits, mask, hashes })
    }

    /// The bits of a value, as byte offset of the word and mask in it.
    fn bits_of(&self, value: &[u8]) -> impl Iterator<Item = (usize, u64)> {
        (0..self.hashes)
            .map(|seed| lookup3(value, seed) & self.mask)
            .map(|bit| (bit as usize / 64 * 8, 1 << (bit % 64)))
    }
}

// SAFETY: no lookup gives an address.
unsafe impl Map for Bloom {
    fn base(&self) -> &Base {
        &self.base
    }

    fn update(&self, _key: &[u8], _value: &[u8], _flags: u64, _cpu: u32) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    /// A filter is asked about a value, so that user space calls [`Map::contains`].
    fn copy_out(&self, _key: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(Errno::EINVAL)
    }

    fn copy_in(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        if key.is_empty() { self.push(value, flags) } else { Err(Errno::EINVAL) }
    }

    fn push(&self, value: &[u8], flags: u64) -> Result<(), Errno> {
        if flags != BPF_ANY || value.len() != self.base.def.value_size as usize {
            return Err(Errno::EINVAL);
        }
        for (word, bit) in self.bits_of(value) {
            self.bits.words(word, 8)[0].fetch_or(bit, Ordering::Relaxed);
        }
        Ok(())
    }

    fn contains(&self, value: &[u8]) -> Result<(), Errno> {
        if value.len() != self.base.def.value_size as usize {
            return Err(Errno::EINVAL);
        }
        let there =
            self.bits_of(value).all(|(word, bit)| self.bits.words(word, 8)[0].load(Ordering::Relaxed) & bit != 0);
        if there { Ok(()) } else { Err(Errno::ENOENT) }
    }
}

impl fmt::Debug for Bloom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bloom").field("name", &self.base.def.name).finish_non_exhaustive()
    }
}

/// Jenkins's hash of bytes, read as little-endian words.
pub(super) fn lookup3(bytes: &[u8], seed: u32) -> u32 {
    let start = 0xdead_beef_u32.wrapping_add(bytes.len() as u32).wrapping_add(seed);
    let mut state = [start; 3];
    let mut rest = bytes;
    while rest.len() > 12 {
        add(&mut state, &rest[..12]);
        mix(&mut state);
        rest = &rest[12..];
    }
    if !rest.is_empty() {
        add(&mut state, rest);
        finish(&mut state);
    }
    state[2]
}

fn add(state: &mut [u32; 3], bytes: &[u8]) {
    for (number, chunk) in state.iter_mut().zip(bytes.chunks(4)) {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        *number = number.wrapping_add(u32::from_le_bytes(word));
    }
}

fn mix([a, b, c]: &mut [u32; 3]) {
    fn step(x: &mut u32, y: &mut u32, z: u32, by: u32) {
        *x = x.wrapping_sub(*y) ^ y.rotate_left(by);
        *y = y.wrapping_add(z);
    }
    step(a, c, *b, 4);
    step(b, a, *c, 6);
    step(c, b, *a, 8);
    step(a, c, *b, 16);
    step(b, a, *c, 19);
    step(c, b, *a, 4);
}

fn finish([a, b, c]: &mut [u32; 3]) {
    fn step(x: &mut u32, y: u32, by: u32) {
        *x = (*x ^ y).wrapping_sub(y.rotate_left(by));
    }
    step(c, *b, 14);
    step(a, *c, 11);
    step(b, *a, 25);
    step(c, *b, 16);
    step(a, *c, 4);
    step(b, *a, 14);
    step(c, *b, 24);
}

#[cfg(test)]
mod tests {
    use super::lookup3;

    #[test]
    fn hashes_as_its_author_says() {
        let text = b"Four score and seven years ago";
        assert_eq!([lookup3(text, 0), lookup3(text, 1)], [0x1777_0551, 0xcd62_8161]);
        assert_eq!(lookup3(b"", 0), 0xdead_beef);
    }
}
