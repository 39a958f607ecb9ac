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
        Past { at: narrow(at), from, spill: None, lhs_stack: false, rhs_stack: false, linked: None }
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
    /// Up to where everything is known to be marked.
    pub traced: Option<Traced>,
}

/// A place of a trail from which registers were traced to their origins: whoever comes to it again with no more than them
/// would find everything marked.
#[derive(Clone, Copy, Debug)]
pub struct Traced {
    /// The instruction that was to be executed.
    pub at: usize,
    /// Entries of the trail there: the same instruction comes more than once.
    pub entries: usize,
    /// The frame.
    pub frame: usize,
    /// Its registers.
    pub regs: u16,
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

    /// The entry of `at`, if the newest that is not used up is its.
    pub fn entry(&self, at: usize, left: usize) -> Option<&Past> {
        left.checked_sub(1).map(|i| &self.past[i]).filter(|entry| entry.is_at(at))
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
