//! Programs with wrong bits.

use ring3_isa::{Code, RawInsn};

use crate::entropy::Entropy;

/// Most changes of one program.
const MAX_CHANGES: u32 = 4;
const LD_IMM64: u8 = 0x18;

/// A copy of the code with a few changes of any kind: bits, fields, instructions swapped, doubled, left out. `maps` is the
/// number of maps: references stay inside.
pub fn spoil(code: &Code, maps: usize, entropy: &mut Entropy<'_>) -> Code {
    let mut raw = code.raw_slice().to_vec();
    let changes = if entropy.one_in(2) { 1 } else { 1 + entropy.below(MAX_CHANGES) };
    for _ in 0..changes {
        if raw.len() > 1 {
            change(&mut raw, entropy);
        }
    }
    for insn in &mut raw {
        if insn.code == LD_IMM64 && matches!(insn.src, 1 | 2) {
            insn.imm = insn.imm.rem_euclid(maps.max(1) as i32);
        }
    }
    Code::decode(raw)
}

/// A copy of the code with one or two fields changed: every instruction stays where it is, and so do functions.
pub(crate) fn spoil_fields(code: &Code, maps: usize, choices: &[u8]) -> Code {
    let mut entropy = Entropy::new(choices);
    for _ in 0..8 {
        let spoilt = spoil(code, maps, &mut entropy);
        if spoilt.len() == code.len() {
            return spoilt;
        }
    }
    code.clone()
}

fn change(raw: &mut Vec<RawInsn>, entropy: &mut Entropy<'_>) {
    let at = entropy.below(raw.len() as u32) as usize;
    let other = entropy.below(raw.len() as u32) as usize;
    let insn = &mut raw[at];
    match entropy.below(20) {
        0 => insn.code ^= 1 << entropy.below(8),
        1 => insn.off ^= 1 << entropy.below(16),
        2 => insn.imm ^= 1 << entropy.below(32),
        3 => raw.swap(at, other),
        4 => raw.insert(other, raw[at]),
        5 => {
            raw.remove(at);
        }
        6 | 7 => insn.dst = entropy.below(11) as u8,
        8 | 9 => insn.src = entropy.below(11) as u8,
        10 | 11 => insn.off = insn.off.wrapping_add(entropy.below(17) as i16 - 8),
        12 => insn.imm = insn.imm.wrapping_add(entropy.below(9) as i32 - 4),
        13 | 14 => insn.imm = entropy.imm(),
        15 => insn.code = insn.code & 0x0f | entropy.byte() & 0xf0,
        16 => insn.code = insn.code & !0x18 | entropy.byte() & 0x18,
        17 => insn.code = insn.code & !7 | entropy.byte() & 7,
        18 => insn.code ^= 0x08,
        _ => {
            let from = raw[other];
            raw[at] = from;
        }
    }
}
