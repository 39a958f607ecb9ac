//! Where the budget of 1,000,000 instructions goes: how often each instruction was processed, by the calls that led there, and
//! what became of stored states. Only a walk that is done for it counts.

use std::collections::BTreeMap;

use super::Walk;
use super::path::StoredId;
use crate::diag::people::words;
use crate::state::subsume::{Difference, Mode, uncovered};
use crate::state::{Kept, State};

/// Frames of the deepest call.
const MAX_FRAMES: usize = 8;
/// Differences that are told apart at one instruction.
const MAX_DIFFERENCES: usize = 64;

/// Where calls were made, outermost first, and the instruction.
type Stack = ([u32; MAX_FRAMES], u32);

/// What is counted.
#[derive(Debug, Default)]
pub struct Counts {
    /// Instructions processed.
    pub stacks: BTreeMap<Stack, u64>,
    /// Where states are compared, by slot.
    pub points: BTreeMap<usize, Point>,
}

/// What became of the states that were stored at an instruction.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Point {
    /// States stored.
    pub stored: u64,
    /// A stored state covered the path, which ended there.
    pub hits: u64,
    /// Comparisons in vain.
    pub misses: u64,
    /// Of these, with a state whose paths had not all ended, and by which nothing is proved yet.
    pub open: u64,
    /// Why they were in vain, and how often: what differed first.
    pub differences: Vec<Differs>,
}

/// Why something has to be the same in both states.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// Calls, references and regions always have to.
    Context,
    /// What the number is decided something behind this instruction.
    Precise,
    /// The number is tied to another one.
    Linked,
    /// Pointers and their bounds always have to.
    Pointer,
}

/// Something that differed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Differs {
    /// `r3`, `fp-16`, `the calls, references or regions`.
    pub place: String,
    /// Why it has to be the same.
    pub why: Why,
    /// How often.
    pub count: u64,
    /// What the state had that was stored, the last time.
    pub stored: String,
    /// What the path had.
    pub current: String,
    key: Difference,
}

impl Counts {
    /// An instruction is processed.
    pub fn step(&mut self, at: usize, state: &State) {
        let mut chain = [u32::MAX; MAX_FRAMES];
        for (slot, frame) in chain.iter_mut().zip(state.frames.iter().skip(1)) {
            *slot = u32::try_from(frame.callsite).unwrap_or(u32::MAX);
        }
        *self.stacks.entry((chain, u32::try_from(at).unwrap_or(u32::MAX))).or_insert(0) += 1;
    }
}

impl Walk<'_> {
    /// The current state was stored.
    pub(super) fn count_stored(&mut self) {
        let at = self.at;
        if let Some(counts) = &mut self.counts {
            counts.points.entry(at).or_default().stored += 1;
        }
    }

    /// The current state is covered.
    pub(super) fn count_hit(&mut self) {
        let at = self.at;
        if let Some(counts) = &mut self.counts {
            counts.points.entry(at).or_default().hits += 1;
        }
    }

    /// The current state was compared with a stored one in vain.
    #[inline]
    pub(super) fn count_miss(&mut self, id: StoredId) {
        if self.counts.is_some() {
            self.note_miss(id);
        }
    }

    #[cold]
    fn note_miss(&mut self, id: StoredId) {
        let Some(mut counts) = self.counts.take() else { return };
        let stored = self.store.get(id);
        let (kept, cur) = (&stored.kept, &self.path.state);
        let old = &kept.state;
        let point = counts.points.entry(self.at).or_default();
        point.misses += 1;
        point.open += u64::from(self.store.is_open(id));
        let live = |index| self.live(cur, index);
        if let Some(key) = uncovered(kept, cur, Mode::NotExact, live, |_| u64::MAX, None) {
            let room = point.differences.len() < MAX_DIFFERENCES;
            match point.differences.iter_mut().find(|known| known.key == key) {
                Some(known) => {
                    known.count += 1;
                    // What was compared last says as much as what was first, and loops are past their beginning then.
                    if known.count.is_power_of_two() {
                        (known.stored, known.current) = (self.told(old, key), self.told(cur, key));
                    }
                }
                None if room => {
                    let (stored, current) = (self.told(old, key), self.told(cur, key));
                    let why = reason(kept, key);
                    point.differences.push(Differs { place: place(old, key), why, count: 1, stored, current, key });
                }
                None => {}
            }
        }
        self.counts = Some(counts);
    }

    /// What a state has there.
    fn told(&self, state: &State, key: Difference) -> String {
        match key {
            Difference::Context => String::new(),
            Difference::Reg(frame, reg) => words::value(self.program, &state.frames[frame].regs[reg]),
            Difference::Slot(frame, index) => {
                let slot = state.frames[frame].stack.slot(index);
                if slot.is_spill() {
                    return words::value(self.program, &slot.spill);
                }
                let letters: String = slot.bytes.iter().map(|byte| byte.letter()).collect();
                format!("bytes {letters}")
            }
        }
    }
}

fn place(state: &State, key: Difference) -> String {
    let (frame, name) = match key {
        Difference::Context => return "the calls, references or regions".to_owned(),
        Difference::Reg(frame, reg) => (frame, format!("r{reg}")),
        Difference::Slot(frame, slot) => (frame, format!("fp-{}", (slot + 1) * 8)),
    };
    if frame == state.current() { name } else { format!("{name} of frame {frame}") }
}

/// Why the value has to be the same.
fn reason(Kept { state, marks }: &Kept, key: Difference) -> Why {
    let (value, precise) = match key {
        Difference::Context => return Why::Context,
        Difference::Reg(frame, reg) => (state.frames[frame].regs[reg], marks[frame].precise.has_reg(reg)),
        Difference::Slot(frame, slot) => {
            (state.frames[frame].stack.slot(slot).spill, marks[frame].precise.has_slot(slot))
        }
    };
    match value.as_scalar() {
        Some(_) if precise => Why::Precise,
        Some(_) => Why::Linked,
        None => Why::Pointer,
    }
}
