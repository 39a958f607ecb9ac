//! Functions of a program: where they start, that jumps stay inside, how they end.

use ring3_isa::{Callee, Code, Flow, Insn, Wide};
use ring3_platform::Program;

use super::{At, MAX_SUBPROGS, TAIL_CALL, target};
use crate::diag::reject::Reject;

/// A function.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Subprog {
    /// First slot.
    pub start: usize,
    /// Slot behind the last.
    pub end: usize,
    /// Calls bpf_tail_call.
    pub has_tail_call: bool,
    /// Has legacy packet loads.
    pub has_legacy: bool,
    /// May change the packet, itself or through what it calls.
    pub changes_packet: bool,
    /// Is called back by a helper.
    pub is_callback: bool,
}

/// Starts of all functions: what calls and function references name.
pub fn discover(program: &Program) -> Result<Vec<Subprog>, At> {
    let code = &program.code;
    let mut starts = vec![0];
    let mut callbacks = Vec::new();
    let mut slot = 0;
    while slot < code.len() {
        let named = match code.insns()[slot] {
            Ok(Insn::Call(Callee::Local(off))) => Some((off, false)),
            Ok(Insn::LoadImm { value: Wide::Func(off), .. }) => Some((off, true)),
            Ok(_) | Err(_) => None,
        };
        if let Some((off, is_callback)) = named {
            let Some(start) = target(code, slot, off).filter(|to| !code.is_tail(*to)) else {
                return Err((Reject::BadCallTarget { at: slot }, Some(slot)));
            };
            starts.push(start);
            if is_callback {
                callbacks.push(start);
            }
        }
        slot = code.next(slot);
    }
    starts.sort_unstable();
    starts.dedup();
    if starts.len() > MAX_SUBPROGS {
        return Err((Reject::TooManySubprogs {}, None));
    }
    let ends = starts.iter().skip(1).copied().chain([code.len()]);
    let subprog = |(start, end)| Subprog { start, end, is_callback: callbacks.contains(&start), ..Subprog::default() };
    Ok(starts.iter().copied().zip(ends).map(subprog).collect())
}

/// Jumps stay inside their function; a function ends with an exit or a jump.
pub fn check_borders(code: &Code, subprogs: &mut [Subprog]) -> Result<(), At> {
    for subprog in subprogs {
        for slot in subprog.start..subprog.end {
            match code.insns()[slot] {
                Ok(Insn::Call(Callee::Helper(TAIL_CALL))) => subprog.has_tail_call = true,
                Ok(Insn::LegacyPacket { .. }) => subprog.has_legacy = true,
                Ok(_) | Err(_) => {}
            }
            let flow = if code.is_tail(slot) { Flow::Next } else { code.raw_slice()[slot].flow() };
            if let Flow::Goto(off) | Flow::Branch(off) = flow {
                let to = slot as i64 + 1 + i64::from(off);
                if to < subprog.start as i64 || to >= subprog.end as i64 {
                    return Err((Reject::JumpOutOfRange { from: slot, to }, Some(slot)));
                }
            }
            if slot + 1 == subprog.end && !matches!(flow, Flow::Exit | Flow::Goto(_)) {
                return Err((Reject::LastInsn {}, Some(slot)));
            }
        }
    }
    Ok(())
}
