//! What is found out of a stored state after it was stored. It stands beside the state, whose frames stay as they are and are
//! shared with the path that goes on.

use ring3_isa::Reg;
use smallvec::SmallVec;

use super::{Frame, Slot, State, Value};

/// Registers and stack slots of one frame, a bit each.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Places {
    /// Registers.
    pub regs: u16,
    /// Slots of the stack.
    pub slots: u64,
}

impl Places {
    /// None.
    pub const NONE: Places = Places { regs: 0, slots: 0 };
    /// All.
    pub const ALL: Places = Places { regs: u16::MAX, slots: u64::MAX };

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Places::NONE
    }

    /// Whether a register is one of them.
    pub fn has_reg(self, reg: usize) -> bool {
        self.regs >> reg & 1 != 0
    }

    /// Whether a slot is one of them.
    pub fn has_slot(self, slot: usize) -> bool {
        self.slots >> slot & 1 != 0
    }

    /// Those of either.
    #[must_use]
    pub fn or(self, other: Places) -> Places {
        Places { regs: self.regs | other.regs, slots: self.slots | other.slots }
    }

    /// Those that `other` has not.
    #[must_use]
    pub fn without(self, other: Places) -> Places {
        Places { regs: self.regs & !other.regs, slots: self.slots & !other.slots }
    }
}

/// What became known of a frame of a stored state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marks {
    /// Numbers that some decision relied on: pruning must compare them. Places without a number mean nothing.
    pub precise: Places,
    /// Slots that something may still read; the others count as never written.
    pub live: u64,
    /// Those of them that demand something of a path that is to be covered where not every number counts.
    pub demands: u64,
}

/// A slot that counts as never written.
const GONE: &Slot = &Slot::UNTOUCHED;

impl Marks {
    /// Nothing became known yet.
    pub const NEW: Marks = Marks { precise: Places::NONE, live: u64::MAX, demands: u64::MAX };

    /// Nothing reads any slot but these.
    pub fn keep(&mut self, frame: &Frame, live: u64) {
        self.live = live;
        let demanding = bits(live & touched(frame)).filter(|slot| !frame.stack.slot(*slot).is_data());
        self.demands = demanding.fold(0, |all, slot| all | 1 << slot);
    }

    /// A slot, as it counts.
    pub fn slot<'f>(&self, frame: &'f Frame, slot: usize) -> &'f Slot {
        if self.live >> slot & 1 != 0 { frame.stack.slot(slot) } else { GONE }
    }

    /// Marks what is asked for; only what was marked now is asked for any more. Tells whether that is anything.
    pub fn mark(&mut self, frame: &Frame, wanted: &mut Places) -> bool {
        *wanted = self.numbers(frame, wanted.without(self.precise));
        self.precise = self.precise.or(*wanted);
        !wanted.is_empty()
    }

    /// Those of the places that hold a number.
    pub fn numbers(&self, frame: &Frame, of: Places) -> Places {
        let number = |value: &Value| matches!(value, Value::Scalar(_));
        let mut found = Places::NONE;
        for reg in bits((of.regs & ((1 << Reg::COUNT) - 1)).into()) {
            found.regs |= u16::from(number(&frame.regs[reg])) << reg;
        }
        for slot in bits(of.slots & self.live & touched(frame)) {
            let held = frame.stack.slot(slot);
            found.slots |= u64::from(held.is_spill() && number(&held.spill)) << slot;
        }
        found
    }
}

/// A state that was stored.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What was known.
    pub state: State,
    /// What became known since, by frame.
    pub marks: SmallVec<[Marks; 2]>,
}

impl Kept {
    /// A state of which nothing more is known yet.
    pub fn new(state: State) -> Kept {
        let marks = SmallVec::from_elem(Marks::NEW, state.frames.len());
        Kept { state, marks }
    }

    /// The frames with their marks, outermost first.
    pub fn frames(&self) -> impl DoubleEndedIterator<Item = (&Frame, &Marks)> + ExactSizeIterator {
        self.state.frames.iter().map(|frame| &**frame).zip(&self.marks)
    }

    /// The same, to be marked.
    pub fn frames_mut(&mut self) -> impl ExactSizeIterator<Item = (&Frame, &mut Marks)> {
        self.state.frames.iter().map(|frame| &**frame).zip(&mut self.marks)
    }
}

/// The slots that a frame's stack has.
fn touched(frame: &Frame) -> u64 {
    u64::MAX.checked_shr(64u32.saturating_sub(u32::try_from(frame.stack.len()).unwrap_or(64))).unwrap_or(0)
}

/// The numbers of the bits that are set, the lowest first.
pub(super) fn bits(mut rest: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (rest != 0).then_some(rest.trailing_zeros() as usize)?;
        rest &= rest - 1;
        Some(lowest)
    })
}
