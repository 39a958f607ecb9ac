//! Registers that a compiler saves around calls which leave them alone (`bpf_fastcall`). Linux takes such stores and loads out, and
//! the stack that only they used counts no more. Nothing is taken out here: a run is the same with them.

use ring3_isa::{Callee, Insn, Operand, Reg, Size};
use ring3_platform::{ArgKind, KfuncFlags, Program, RetKind, Target};

use super::Structure;
use super::kfuncs::Ret;

/// R0 to R5, which calls may change.
const CALLER_SAVED: u16 = 0x3f;
/// Bytes of a register on the stack.
const BYTES: i16 = 8;

/// What a function saves.
#[derive(Clone, Debug, Default)]
pub struct Saves {
    /// Slots of instructions that store or load what is saved, ascending.
    insns: Vec<usize>,
    /// Above this offset of R10, the stack is for something else; 0 if nothing is saved.
    pub own: i16,
    /// Linux takes the stores and loads out.
    pub goes: bool,
    /// It is saved around a call that does not follow the contract.
    keep: bool,
}

impl Saves {
    /// An instruction that is none of the stores and loads uses the stack from this offset on: whether that is theirs.
    pub fn is_broken_by(&self, slot: usize, off: i64) -> bool {
        off < i64::from(self.own) && self.insns.binary_search(&slot).is_err()
    }
}

/// Which registers a call changes, and whether it leaves alone all others.
struct Call {
    changes: u16,
    keeps: bool,
}

/// By function.
pub fn find(program: &Program, target: &Target, structure: &Structure) -> Vec<Saves> {
    structure.subprogs.iter().map(|subprog| of(program, target, structure, (subprog.start, subprog.end))).collect()
}

fn of(program: &Program, target: &Target, structure: &Structure, (start, end): (usize, usize)) -> Saves {
    let insns = &program.code.insns()[start..end];
    let lowest = insns.iter().filter_map(|insn| Some(stored((*insn).ok()?)?.1)).min().unwrap_or(0).min(0);
    let mut saves = Saves::default();
    for (slot, call) in (start..end).filter_map(|slot| Some((slot, call(program, target, structure, slot)?))) {
        let mut open = CALLER_SAVED & !call.changes;
        let (mut off, before) = (lowest, saves.insns.len());
        for distance in 1..=6 {
            let at = |slot: usize| program.code.insns().get(slot).copied().and_then(Result::ok);
            let pair =
                slot.checked_sub(distance).and_then(at).and_then(stored).zip(at(slot + distance).and_then(loaded));
            let Some((store, _)) = pair.filter(|(store, load)| store == load) else { break };
            let bit = 1 << store.0.number();
            if open & bit == 0 || store.1 != off {
                break;
            }
            open &= !bit;
            saves.insns.extend([slot - distance, slot + distance]);
            off += BYTES;
        }
        if saves.insns.len() > before {
            saves.own = saves.own.min(off);
            saves.goes |= call.keeps;
            saves.keep |= !call.keeps;
        }
    }
    saves.goes &= !saves.keep;
    saves.insns.sort_unstable();
    saves
}

/// A register that goes to the stack as a whole, and where.
fn stored(insn: Insn) -> Option<(Reg, i16)> {
    match insn {
        Insn::Store { size: Size::Dw, base: Reg::FP, off, src: Operand::Reg(reg) } => Some((reg, off)),
        _ => None,
    }
}

/// A register that comes back.
fn loaded(insn: Insn) -> Option<(Reg, i16)> {
    match insn {
        Insn::Load { size: Size::Dw, signed: false, dst, base: Reg::FP, off } => Some((dst, off)),
        _ => None,
    }
}

fn call(program: &Program, target: &Target, structure: &Structure, slot: usize) -> Option<Call> {
    let (args, void, keeps) = match program.code.insns()[slot] {
        Ok(Insn::Call(Callee::Helper(id))) => match super::proto(program, target, id) {
            Some(proto) => {
                let args = proto.args.iter().take_while(|arg| arg.kind != ArgKind::None).count();
                (args, proto.ret.kind == RetKind::Void, proto.fastcall)
            }
            None => return Some(UNKNOWN),
        },
        Ok(Insn::Call(Callee::Kfunc { .. })) => match structure.kfuncs.at(program, slot) {
            Some(proto) => (proto.params.len(), proto.ret == Ret::Void, proto.has(KfuncFlags::FASTCALL)),
            None => return Some(UNKNOWN),
        },
        Ok(_) | Err(_) => return None,
    };
    // R1 and on; types of a kernel that come out of a file may say anything.
    let arguments = (1u16 << (args.min(5) + 1)) - 2;
    Some(Call { changes: arguments | u16::from(!void), keeps })
}

/// As much may be saved around it as around any, and it stays.
const UNKNOWN: Call = Call { changes: 0, keeps: false };
