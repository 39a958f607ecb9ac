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
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// The instruction.
    pub at: usize,
    /// The one before it on this path.
    pub from: Option<usize>,
    /// Frame and slot that a register was spilled to or filled from.
    pub spill: Option<(usize, usize)>,
    /// The left operand of a comparison is a stack pointer.
    pub lhs_stack: bool,
    /// The right operand of a comparison is a stack pointer.
    pub rhs_stack: bool,
    /// Scalars that learned together.
    pub linked: Option<Rc<Linked>>,
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
        if at == self.first && (*left == 0 || (*left == 1 && self.past[0].at == at)) {
            return None;
        }
        match left.checked_sub(1).map(|i| &self.past[i]) {
            Some(entry) if entry.at == at => {
                *left -= 1;
                entry.from
            }
            Some(_) | None => at.checked_sub(1),
        }
    }

    /// The entry of `at`, if the newest that is not used up is its.
    pub fn entry(&self, at: usize, left: usize) -> Option<&Past> {
        left.checked_sub(1).map(|i| &self.past[i]).filter(|entry| entry.at == at)
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
