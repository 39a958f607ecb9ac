//! Choices out of bytes: the same bytes give the same choices, and when they are used up every choice is the first one.
//!
//! So proptest can make a program smaller by making its bytes fewer, and a fuzzer that knows only bytes can drive it.

/// A source of choices.
#[derive(Clone, Debug)]
pub struct Entropy<'a> {
    bytes: &'a [u8],
}

/// Numbers around which arithmetic changes its ways.
const EDGES: [u64; 20] = [
    0,
    1,
    u64::MAX,
    2,
    7,
    8,
    31,
    32,
    63,
    64,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
];

impl<'a> Entropy<'a> {
    /// Choices out of these bytes.
    pub fn new(bytes: &'a [u8]) -> Entropy<'a> {
        Entropy { bytes }
    }

    /// Whether all bytes are used up.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next byte, 0 at the end.
    pub fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => 0,
        }
    }

    /// The last part of the bytes, one of so many: for something that comes later and is to have some, too.
    pub fn split_off(&mut self, parts: usize) -> Entropy<'a> {
        let (mine, other) = self.bytes.split_at(self.bytes.len() - self.bytes.len() / parts.max(1));
        self.bytes = mine;
        Entropy { bytes: other }
    }

    /// A number less than `n`, which is not 0; of more than 256 only as many are likely as 2 bytes can name.
    pub fn below(&mut self, n: u32) -> u32 {
        if n <= 256 {
            return u32::from(self.byte()) % n.max(1);
        }
        u32::from(u16::from_le_bytes([self.byte(), self.byte()])) % n
    }

    /// True once in `n` times; false at the end.
    pub fn one_in(&mut self, n: u32) -> bool {
        self.below(n) + 1 == n && n > 1
    }

    /// One of these, the first at the end. There must be one.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u32) as usize]
    }

    /// Any number, often one at an edge or near one.
    pub fn number(&mut self) -> u64 {
        match self.below(4) {
            0 => self.pick(&EDGES),
            1 => self.pick(&EDGES).wrapping_add(self.below(5).into()).wrapping_sub(2),
            2 => u64::from(self.byte()),
            _ => u64::from_le_bytes(std::array::from_fn(|_| self.byte())),
        }
    }

    /// Any immediate, often one at an edge.
    pub fn imm(&mut self) -> i32 {
        self.number() as i32
    }
}

#[cfg(test)]
mod tests {
    use super::Entropy;

    #[test]
    fn bytes_decide_and_run_out() {
        let mut entropy = Entropy::new(&[3, 255, 7, 1]);
        assert_eq!((entropy.below(4), entropy.one_in(256), entropy.pick(&[10, 11, 12])), (3, true, 11));
        assert_eq!((entropy.byte(), entropy.is_empty()), (1, true));
        assert_eq!((entropy.below(9), entropy.one_in(2), entropy.number(), entropy.pick(&[5, 6])), (0, false, 0, 5));
    }
}
