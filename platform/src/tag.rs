//! Program tags: the hash by which Linux and its tools name a program's code (`bpftool prog`, `bpf_prog_<tag>_<name>`).
//!
//! The hash is over the instructions as they were given to BPF_PROG_LOAD, but for the numbers in map loads, which differ
//! from load to load. It was SHA-1 up to Linux 6.17 and is SHA-256 since 6.18; the first 8 bytes are the tag.

use core::fmt;

use ring3_isa::{Endianness, RawInsn};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::{KernelVersion, Program};

/// First release whose tags are of SHA-256.
const SHA256_SINCE: KernelVersion = KernelVersion::new(6, 18);

/// Source register of a wide load that says "map by descriptor" (BPF_PSEUDO_MAP_FD).
const MAP: u8 = 1;
/// The same for "address of a map's value" (BPF_PSEUDO_MAP_VALUE).
const MAP_VALUE: u8 = 2;

/// The tag of a program. Written as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tag(pub [u8; 8]);

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The tag that a kernel of that release gives to the program.
pub fn tag(program: &Program, kernel: KernelVersion) -> Tag {
    tag_of(program.code.raw_slice(), kernel)
}

/// The tag of bare instructions: of a whole program, or of one subprogram as it is listed in the kernel's symbols.
pub fn tag_of(insns: &[RawInsn], kernel: KernelVersion) -> Tag {
    if kernel >= SHA256_SINCE { Tag(first_bytes::<Sha256>(insns)) } else { Tag(first_bytes::<Sha1>(insns)) }
}

fn first_bytes<D: Digest>(insns: &[RawInsn]) -> [u8; 8] {
    let mut hash = D::new();
    let mut in_map_load = false;
    for &insn in insns {
        let starts = insn.is_wide() && matches!(insn.src, MAP | MAP_VALUE);
        let ends = in_map_load && (insn.code, insn.dst, insn.src, insn.off) == (0, 0, 0, 0);
        let imm = if starts || ends { 0 } else { insn.imm };
        hash.update(RawInsn { imm, ..insn }.to_bytes(Endianness::Little));
        in_map_load = starts;
    }
    let mut tag = [0; 8];
    for (to, from) in tag.iter_mut().zip(hash.finalize().iter()) {
        *to = *from;
    }
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tags that Linux printed, of programs from books and talks.
    const TAGS: &str = include_str!("../../examples/expected/tags.tsv");

    fn insns(hex: &str) -> Vec<RawInsn> {
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
        bytes.as_chunks::<8>().0.iter().map(|&slot| RawInsn::from_bytes(slot, Endianness::Little)).collect()
    }

    #[test]
    fn known_tags_of_both_kinds() {
        let mut rows = 0;
        for line in TAGS.lines().skip(1) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [name, _, code, sha1, sha256] = fields[..] else { panic!("{line}") };
            assert_eq!(tag_of(&insns(code), KernelVersion::new(6, 12)).to_string(), sha1, "{name}");
            assert_eq!(tag_of(&insns(code), KernelVersion::V6_18).to_string(), sha256, "{name}");
            rows += 1;
        }
        assert!(rows >= 5);
    }

    #[test]
    fn numbers_of_map_loads_do_not_count() {
        let with = |hex: &str| tag_of(&insns(hex), KernelVersion::V6_18);
        let map = "1811000003000000000000000000000095000000000000";
        let map = format!("{map}00");
        assert_eq!(with(&map), with(&map.replacen("03000000", "0a000000", 1)));
        // A value's offset, in the second slot, does not count either; whether it is a map or its value does.
        let value = "182100000300000000000000040000009500000000000000";
        assert_eq!(with(value), with(&value.replacen("04000000", "08000000", 1)));
        assert_ne!(with(&value.replacen("1821", "1811", 1)), with(value));
        // A plain constant counts.
        let constant = "180100000300000000000000040000009500000000000000";
        assert_ne!(with(constant), with(&constant.replacen("04000000", "08000000", 1)));
        // So does what follows a map load that is not closed.
        let open = "1811000003000000b7000000010000009500000000000000";
        assert_ne!(with(open), with(&open.replacen("01000000", "02000000", 1)));
    }
}
