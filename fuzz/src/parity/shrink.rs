//! Smaller programs with the same fault.

use ring3_isa::{Code, RawInsn};

/// Opcode classes whose offset is a jump, and the exceptions.
const CLASS: u8 = 7;
const JMP: u8 = 5;
const JMP32: u8 = 6;
const CALL: u8 = 0x80;
const EXIT: u8 = 0x90;
const LD_IMM64: u8 = 0x18;
/// `src` of a load of a function's address, and of a call of a function.
const FUNC: u8 = 4;
const LOCAL: u8 = 1;

/// Deletes slots as long as `fails` says that the fault is still there.
pub fn shrink(code: &Code, mut fails: impl FnMut(&Code) -> bool) -> Code {
    let mut best = code.raw_slice().to_vec();
    let mut width = (best.len() / 2).max(1);
    loop {
        let mut changed = false;
        let mut at = 0;
        while at < best.len() {
            let len = width.min(best.len() - at);
            match without(&best, at, len) {
                Some(smaller) if fails(&Code::decode(smaller.clone())) => {
                    best = smaller;
                    changed = true;
                }
                Some(_) | None => at += width,
            }
        }
        if !changed && width == 1 {
            return Code::decode(best);
        }
        if !changed {
            width /= 2;
        }
    }
}

/// The distance of a slot's jump or call.
fn distance(insn: RawInsn) -> Option<i64> {
    let class = insn.code & CLASS;
    if insn.code == LD_IMM64 && insn.src == FUNC {
        return Some(insn.imm.into());
    }
    match insn.code & 0xf0 {
        _ if class != JMP && class != JMP32 => None,
        CALL => (insn.src == LOCAL).then_some(insn.imm.into()),
        EXIT => None,
        0 if class == JMP32 => Some(insn.imm.into()),
        _ => Some(insn.off.into()),
    }
}

fn set_distance(insn: &mut RawInsn, to: i64) -> Option<()> {
    let wide =
        insn.code == LD_IMM64 || insn.code & 0xf0 == CALL || (insn.code & 0xf0 == 0 && insn.code & CLASS == JMP32);
    if wide {
        insn.imm = i32::try_from(to).ok()?;
    } else {
        insn.off = i16::try_from(to).ok()?;
    }
    Some(())
}

/// The program without some slots; what jumped to one of them goes to what follows.
fn without(raw: &[RawInsn], at: usize, len: usize) -> Option<Vec<RawInsn>> {
    let (at, end) = (at as i64, (at + len) as i64);
    let place = |slot: i64| if slot >= end { slot - (end - at) } else { slot.min(at) };
    let mut smaller = Vec::with_capacity(raw.len() - len);
    for (slot, insn) in raw.iter().enumerate() {
        let slot = slot as i64;
        if (at..end).contains(&slot) {
            continue;
        }
        let mut insn = *insn;
        let is_tail = slot > 0 && raw[slot as usize - 1].code == LD_IMM64 && insn.code == 0;
        if let Some(off) = distance(insn).filter(|_| !is_tail) {
            set_distance(&mut insn, place(slot + 1 + off) - place(slot) - 1)?;
        }
        smaller.push(insn);
    }
    (!smaller.is_empty()).then_some(smaller)
}
