//! Bytes of stack of each function as the statistics of the log have them: with what Linux needs for the code that it puts
//! in, and without functions that are never reached.

use ring3_isa::{Callee, Insn};

use super::Walk;

/// A `may_goto` keeps its count and a time.
const MAY_GOTO: u32 = 16;
/// A call of `bpf_loop` that becomes a loop saves three registers.
const LOOP: u32 = 24;

impl Walk<'_> {
    /// A call of `bpf_loop` with this callback, with flags that are zero or not. It becomes a loop if both stay as they are.
    pub fn note_loop(&mut self, callback: Option<usize>, no_flags: bool) {
        let fits = callback.filter(|_| no_flags);
        let known = self.loops.entry(self.at).or_insert(fits);
        if *known != fits {
            *known = None;
        }
    }

    /// By function, as found so far.
    pub(super) fn depths(&self) -> Vec<u32> {
        self.facts.subprogs.iter().map(|subprog| subprog.stack_depth).collect()
    }

    /// Bytes of stack of a function that count, once the program was walked: not those for registers that Linux does not save.
    pub fn counted_depth(&self, subprog: usize) -> u32 {
        if self.saves_only[subprog] {
            return u32::from(self.structure.saves[subprog].own.unsigned_abs());
        }
        self.facts.subprogs[subprog].stack_depth
    }

    /// By function, once the program is accepted.
    pub(super) fn final_depths(&self) -> Vec<u32> {
        let mut throws = false;
        let mut depths = Vec::new();
        for (index, subprog) in self.facts.subprogs.iter().enumerate() {
            let mut reached = (subprog.start..subprog.end).filter(|slot| self.facts.insns[*slot].seen).peekable();
            if reached.peek().is_none() {
                continue;
            }
            let mut depth = self.counted_depth(index);
            let (mut loops, mut may_goto) = (false, false);
            for slot in reached {
                match self.decoded(slot) {
                    Some(Insn::MayGoto { off }) => may_goto |= off != 0,
                    Some(Insn::Call(Callee::Kfunc { .. })) => throws |= self.throws(slot),
                    _ => loops |= self.loops.get(&slot).is_some_and(Option::is_some),
                }
            }
            if loops {
                depth = depth.next_multiple_of(8) + LOOP;
            }
            depths.push(depth + if may_goto { MAY_GOTO } else { 0 });
        }
        // Linux adds the function that runs when a program throws, where the program has none.
        if throws && self.structure.exception_callback.is_none() {
            depths.push(0);
        }
        depths
    }

    /// Whether the program throws somewhere that it can come to.
    pub(super) fn throws_anywhere(&self) -> bool {
        (0..self.program.code.len()).any(|slot| self.facts.insns[slot].seen && self.throws(slot))
    }

    fn throws(&self, slot: usize) -> bool {
        self.structure.kfuncs.at(self.program, slot).is_some_and(|proto| proto.row.name == "bpf_throw")
    }
}
