//! Programs with a few wrong bits: most are refused, and those that are accepted find out where the verifier is too kind.

use std::sync::Arc;

use ring3_isa::{Code, RawInsn};

use crate::entropy::Entropy;
use crate::generate::Generated;

/// Most changes of one program.
const MAX_CHANGES: u32 = 3;
/// Random changes until one can be decoded.
const MAX_TRIES: u32 = 8;
/// Bits of an opcode that say what kind of second operand it has.
const OPERAND_BIT: u8 = 0x08;

/// A copy of the program with one to three instructions changed. What it computes may depend on addresses.
pub fn mutate(generated: &Generated, entropy: &mut Entropy<'_>) -> Generated {
    let mut program = (*generated.program).clone();
    let code = &program.code;
    let mut raw = code.raw_slice().to_vec();
    for _ in 0..1 + entropy.below(MAX_CHANGES) {
        let slot = entropy.below(raw.len() as u32) as usize;
        if code.is_tail(slot) {
            raw[slot].imm = entropy.imm();
        } else if code.is_wide(slot) {
            raw[slot].dst = entropy.below(11) as u8;
        } else {
            raw[slot] = legal_change(raw[slot], entropy);
        }
    }
    program.code = Code::decode(raw);
    Generated { program: Arc::new(program), packet: generated.packet.clone() }
}

/// Another instruction that can be decoded: most wrong bits are in reserved fields, where every verifier finds them.
fn legal_change(insn: RawInsn, entropy: &mut Entropy<'_>) -> RawInsn {
    let legal = |insn: &RawInsn| matches!(Code::decode(vec![*insn]).get(0), Some(Ok(_)));
    (0..MAX_TRIES).map(|_| change(insn, entropy)).find(|changed| *changed != insn && legal(changed)).unwrap_or(insn)
}

fn change(mut insn: RawInsn, entropy: &mut Entropy<'_>) -> RawInsn {
    match entropy.below(9) {
        0 => insn.dst = entropy.below(11) as u8,
        1 => insn.src = entropy.below(11) as u8,
        2 => insn.off = insn.off.wrapping_add(entropy.below(33) as i16 - 16),
        3 => insn.imm = insn.imm.wrapping_add(entropy.below(5) as i32 - 2),
        4 => insn.imm = entropy.imm(),
        // Another operation of the class, another class, another kind of operand, another size.
        5 => insn.code = insn.code & 0x0f | entropy.byte() & 0xf0,
        6 => insn.code = insn.code & !7 | entropy.byte() & 7,
        7 => insn.code ^= OPERAND_BIT,
        // Nothing: a jump to the next instruction.
        _ => insn = RawInsn { code: 0x05, ..RawInsn::default() },
    }
    insn
}
