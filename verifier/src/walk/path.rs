//! A path: the abstract state at its end, and how it got there since the last stored state.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::state::{Place, State};

/// Index of a stored state.
pub type StoredId = usize;

/// Linked scalars that one conditional jump records, at most.
pub const MAX_LINKED: usize = 6;

/// Linked scalars that a conditional jump taught something.
pub type Linked = SmallVec<[Place; MAX_LINKED]>;

/// What has to be known of an executed instruction to walk back over it. Straight-line code leaves no entry.
#[derive(Clone, Debug)]
pub struct Past {
    /// The instruction. Programs are shorter than 2^32, and there are many entries.
    at: u32,
    /// The one before it on this path; `NOWHERE` for none.
    from: u32,
    /// Frame and slot that a register was spilled to or filled from.
    spill: Option<(u8, u8)>,
    /// The left operand of a comparison is a stack pointer.
    pub lhs_stack: bool,
    /// The right operand of a comparison is a stack pointer.
    pub rhs_stack: bool,
    /// Registers and slots of its frame whose origins were looked for from here already.
    traced: (u16, u64),
    /// Scalars that learned together.
    pub linked: Option<Rc<Linked>>,
}

const NOWHERE: u32 = u32::MAX;

fn narrow(slot: usize) -> u32 {
    u32::try_from(slot).unwrap_or(NOWHERE)
}

impl Past {
    /// The instruction at `at` after the one at `from`.
    pub fn new(at: usize, from: Option<usize>) -> Past {
        let from = from.map_or(NOWHERE, narrow);
        Past { at: narrow(at), from, spill: None, lhs_stack: false, rhs_stack: false, traced: (0, 0), linked: None }
    }

    /// A register was spilled to this frame and slot, or filled from there.
    pub fn set_spill(&mut self, frame: usize, slot: usize) {
        // Eight frames of 64 slots.
        self.spill = u8::try_from(frame).ok().zip(u8::try_from(slot).ok());
    }

    /// Frame and slot that a register was spilled to or filled from.
    pub fn spill(&self) -> Option<(usize, usize)> {
        self.spill.map(|(frame, slot)| (frame.into(), slot.into()))
    }

    /// Notes that the origins of these registers and slots of its frame are looked for from here. Tells whether that is new.
    pub fn trace(&mut self, regs: u16, slots: u64) -> bool {
        let (old_regs, old_slots) = self.traced;
        self.traced = (old_regs | regs, old_slots | slots);
        self.traced != (old_regs, old_slots)
    }

    fn is_at(&self, slot: usize) -> bool {
        self.at as usize == slot
    }

    fn before(&self) -> Option<usize> {
        (self.from != NOWHERE).then_some(self.from as usize)
    }
}

/// The way from the last stored state.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    /// That state.
    pub parent: Option<StoredId>,
    /// First instruction behind it.
    pub first: usize,
    /// Last executed instruction.
    pub last: Option<usize>,
    /// Entries, oldest first.
    pub past: Vec<Past>,
}

impl Trail {
    /// The instruction before `at`, where `left` counts the entries that are not used up; `None` at the start.
    pub fn before(&self, at: usize, left: &mut usize) -> Option<usize> {
        if at == self.first && (*left == 0 || (*left == 1 && self.past[0].is_at(at))) {
            return None;
        }
        match left.checked_sub(1).map(|i| &self.past[i]) {
            Some(entry) if entry.is_at(at) => {
                *left -= 1;
                entry.before()
            }
            Some(_) | None => at.checked_sub(1),
        }
    }

    /// Index of the entry of `at`, if the newest that is not used up is its.
    pub fn entry(&self, at: usize, left: usize) -> Option<usize> {
        left.checked_sub(1).filter(|i| self.past[*i].is_at(at))
    }
}

/// Everything about one path.
#[derive(Clone, Debug)]
pub struct Path {
    /// What is known at its end.
    pub state: State,
    /// How it got there.
    pub trail: Trail,
}

/// A path to be followed later.
#[derive(Debug)]
pub struct Pending {
    /// The path.
    pub path: Path,
    /// Where it goes on.
    pub at: usize,
    /// Where it comes from.
    pub from: Option<usize>,
    /// How long the log was.
    pub log: usize,
    /// How long the trace was.
    pub trace: usize,
}
