//! A program for every number.

use ring3_isa::Code;
use ring3_platform::ProgType;

use super::{KINDS, chaos, maps, spoil};
use crate::entropy::Entropy;
use crate::generate;

/// Choices of one program.
const BYTES: usize = 1500;

/// Where a program comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// [`chaos`].
    Random,
    /// The same with wrong bits.
    Spoilt,
    /// [`generate`], with wrong bits.
    Verified,
}

impl Source {
    /// All of them.
    pub const ALL: [Source; 3] = [Source::Random, Source::Spoilt, Source::Verified];
}

fn bytes(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(BYTES).collect()
}

/// The program of a number: the same one every time.
pub fn case(seed: u64, source: Source) -> (ProgType, Code) {
    let bytes = bytes(seed);
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    let (mut entropy, mut other) = (Entropy::new(&bytes), Entropy::new(&reversed));
    let kind = entropy.pick(&KINDS);
    match source {
        Source::Random => (kind, chaos(kind, &mut entropy)),
        Source::Spoilt => (kind, spoil(&chaos(kind, &mut entropy), maps().len(), &mut other)),
        Source::Verified => (ProgType::Xdp, spoil(&generate(&mut entropy).program.code, GENERATED_MAPS, &mut other)),
    }
}

/// Maps that [`generate`] uses; the first of ours are like them.
const GENERATED_MAPS: usize = 3;
