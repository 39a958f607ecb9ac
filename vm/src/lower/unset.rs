//! Registers that `bpf_trace_printk` prints although nobody set them: they become 0 where they lose what they had.
//!
//! Linux prints what lies in R3 to R5, whatever the format asks for and whether or not the program set them: after a call, or at the
//! start of a program, nobody knows what that is, and it would be another number on each engine. So where such a register may reach
//! a print as a call or the start left it, it gets a 0 there. What the program sets itself stays as it is, on every path, and of what
//! a format does not ask for, where it is known, nothing is to be seen.

use std::collections::BTreeMap;

use ring3_isa::{Callee, Code, Insn, RegSet};
use ring3_platform::Program;
use ring3_platform::helpers::id;

use super::{formats, resolve};

/// By slot: what a print behind it may read of R3 to R5 before the program sets it.
#[derive(Default)]
pub(super) struct Unset {
    /// Empty if nothing is printed.
    before: Vec<RegSet>,
    /// What calls leave without a value.
    behind: BTreeMap<usize, RegSet>,
}

impl Unset {
    /// Of a program whose functions start there.
    pub(super) fn of(code: &Code, program: Option<&Program>, starts: &[(usize, u32)]) -> Unset {
        let insn = |slot: usize| code.get(slot).and_then(Result::ok);
        let mut prints: Vec<usize> = (0..code.len()).filter(|slot| insn(*slot).is_some_and(is_print)).collect();
        if prints.is_empty() {
            return Unset::default();
        }
        let leads = leads_to(code);
        let mut unset = Unset { before: vec![RegSet::EMPTY; code.len()], behind: BTreeMap::new() };
        for slot in &prints {
            unset.before[*slot] = formats::printed(code, program, starts, &leads, *slot);
        }
        // A slot is looked at again when more is wanted before it: three times at most.
        while let Some(slot) = prints.pop() {
            let wanted = unset.before[slot];
            let from = leads.partition_point(|(to, _)| *to < slot);
            for &(_, before) in leads[from..].iter().take_while(|(to, _)| *to == slot) {
                let Some(insn) = insn(before) else { continue };
                let goes_on = match passes(insn, code, before, slot) {
                    Passes::Keeps(defs) => wanted.difference(defs),
                    Passes::Clobbers => {
                        let behind = unset.behind.entry(before).or_insert(RegSet::EMPTY);
                        *behind = behind.union(wanted);
                        RegSet::EMPTY
                    }
                };
                let all = unset.before[before].union(goes_on);
                if all != unset.before[before] {
                    unset.before[before] = all;
                    prints.push(before);
                }
            }
        }
        unset
    }

    /// What is to be 0 where a function begins that nobody gives these.
    pub(super) fn at_start(&self, slot: usize) -> RegSet {
        self.before.get(slot).copied().unwrap_or(RegSet::EMPTY)
    }

    /// What is to be 0 behind a call.
    pub(super) fn behind(&self, slot: usize) -> RegSet {
        self.behind.get(&slot).copied().unwrap_or(RegSet::EMPTY)
    }
}

fn is_print(insn: Insn) -> bool {
    insn == Insn::Call(Callee::Helper(id::TRACE_PRINTK as i32))
}

/// What an instruction does to registers on the way to one that may follow.
enum Passes {
    /// They have what they had, but for these.
    Keeps(RegSet),
    /// R1 to R5 have nothing that may be read.
    Clobbers,
}

fn passes(insn: Insn, code: &Code, at: usize, to: usize) -> Passes {
    match insn {
        // Into the function, which reads what its caller gives it.
        Insn::Call(Callee::Local(off)) if resolve(code, at, off).ok() == Some(to) && to != at + 1 => {
            Passes::Keeps(RegSet::EMPTY)
        }
        Insn::Call(_) | Insn::CallX { .. } | Insn::LegacyPacket { .. } => Passes::Clobbers,
        other => Passes::Keeps(other.defs()),
    }
}

/// Which slot may follow which: where to, and where from, in order. Functions follow their calls, too.
fn leads_to(code: &Code) -> Vec<(usize, usize)> {
    let mut leads = Vec::with_capacity(code.len());
    for slot in (0..code.len()).filter(|slot| !code.is_tail(*slot)) {
        let Some(Ok(insn)) = code.get(slot) else { continue };
        let (target, falls) = match insn {
            Insn::Jump { off, .. } => (Some(off), false),
            Insn::Branch { off, .. } | Insn::MayGoto { off } => (Some(off.into()), true),
            Insn::Call(Callee::Local(off)) => (Some(off), true),
            Insn::Exit | Insn::GotoX { .. } => (None, false),
            _ => (None, true),
        };
        let target = target.and_then(|off| resolve(code, slot, off).ok());
        let wide = usize::from(slot + 1 < code.len() && code.is_tail(slot + 1));
        let next = falls.then_some(slot + 1 + wide).filter(|next| *next < code.len());
        leads.extend([target, next].into_iter().flatten().map(|to| (to, slot)));
    }
    leads.sort_unstable();
    leads.dedup();
    leads
}
