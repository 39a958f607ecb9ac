//! What happened on the path that is followed now, for who explains a rejection. Only a walk that is done again for that
//! keeps one: a program that is accepted, or whose rejection nobody asks about, pays nothing.

use crate::state::{State, Value};

/// Steps that are kept, at least; of twice as many the older half goes.
const KEPT: usize = 1 << 16;

/// An instruction that was executed on the path.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Its slot.
    pub at: usize,
    /// The frame that it ran in.
    pub frame: usize,
    /// Where its values begin.
    values: usize,
}

/// The path so far.
#[derive(Debug, Default)]
pub struct Trace {
    steps: Vec<Step>,
    /// Registers that a step changed, in the frame of the step after it, and what was in them then.
    values: Vec<(u8, Value)>,
    /// Steps that are gone.
    dropped: usize,
    /// What was known before the last step.
    before: Option<State>,
}

impl Trace {
    /// An instruction is going to be executed.
    pub fn step(&mut self, at: usize, state: &State) {
        self.settle(state);
        if self.steps.len() >= 2 * KEPT {
            self.forget_half();
        }
        self.steps.push(Step { at, frame: state.current(), values: self.values.len() });
        self.before = Some(state.clone());
    }

    /// Notes what the last step did.
    fn settle(&mut self, state: &State) {
        if self.steps.is_empty() {
            return;
        }
        let old = self.before.as_ref().filter(|old| old.frames.len() == state.frames.len()).map(State::frame);
        for (number, value) in (0u8..).zip(state.frame().regs.held()) {
            if old.is_none_or(|old| old.regs[usize::from(number)] != *value) {
                self.values.push((number, *value));
            }
        }
    }

    fn forget_half(&mut self) {
        let cut = self.steps[KEPT].values;
        self.steps.drain(..KEPT);
        self.steps.iter_mut().for_each(|step| step.values -= cut);
        self.values.drain(..cut);
        self.dropped += KEPT;
    }

    /// How long the path is.
    pub fn position(&self) -> usize {
        self.dropped + self.steps.len()
    }

    /// Goes back to where another path was put aside. What its last step did is noted anew.
    pub fn rewind(&mut self, position: usize) {
        self.steps.truncate(position.saturating_sub(self.dropped));
        self.values.truncate(self.steps.last().map_or(0, |step| step.values));
        self.before = None;
    }

    /// Another function begins.
    pub fn clear(&mut self) {
        *self = Trace::default();
    }

    /// The steps, oldest first.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What a step changed.
    pub fn values(&self, step: usize) -> &[(u8, Value)] {
        let start = self.steps[step].values;
        let end = self.steps.get(step + 1).map_or(self.values.len(), |next| next.values);
        &self.values[start..end]
    }

    /// What was known before the last step.
    pub fn before(&self) -> Option<&State> {
        self.before.as_ref()
    }
}
