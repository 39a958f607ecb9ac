//! A path: the abstract state at its end, and how it got there since the last stored state.

use crate::state::{Place, State};

/// Index of a stored state.
pub type StoredId = usize;

/// Linked scalars that one conditional jump records, at most.
pub const MAX_LINKED: usize = 6;

/// Linked scalars that a conditional jump taught something: a few places, in few bytes, as every entry of a history has room
/// for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Linked {
    /// Frame, and register or slot.
    places: [(u8, u8); MAX_LINKED],
    len: u8,
}

impl Linked {
    /// None.
    pub const NONE: Linked = Linked { places: [(0, 0); MAX_LINKED], len: 0 };
    /// Set in the number of a slot.
    const SLOT: u8 = 1 << 7;

    fn pack(place: Place) -> (u8, u8) {
        // Eight frames of 64 slots.
        let narrow = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
        match place {
            Place::Reg { frame, reg } => (narrow(frame), narrow(reg)),
            Place::Slot { frame, slot } => (narrow(frame), narrow(slot) | Linked::SLOT),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len.into()
    }

    /// Adds one, even if it is there already, as in Linux. Tells whether there was room: there is for few.
    pub fn add(&mut self, place: Place) -> bool {
        let Some(room) = self.places.get_mut(usize::from(self.len)) else { return false };
        *room = Linked::pack(place);
        self.len += 1;
        true
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Place> + '_ {
        self.places[..self.len()].iter().map(|&(frame, number)| match number & Linked::SLOT {
            0 => Place::Reg { frame: frame.into(), reg: number.into() },
            _ => Place::Slot { frame: frame.into(), slot: (number & !Linked::SLOT).into() },
        })
    }
}

/// What has to be known of an executed instruction to walk back over it. Straight-line code leaves no entry. Copied with
/// every path that is put aside: it is small, and owns nothing.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    /// The instruction. Programs are shorter than 2^32, and there are many entries.
    at: u32,
    /// The one before it on this path; `NOWHERE` for none.
    from: u32,
    /// Slots of its frame whose origins were looked for from here already.
    traced_slots: u64,
    /// Registers likewise.
    traced_regs: u16,
    /// Frame and slot that a register was spilled to or filled from; `NO_SPILL` for none.
    spill: (u8, u8),
    /// The left operand of a comparison is a stack pointer.
    pub lhs_stack: bool,
    /// The right operand of a comparison is a stack pointer.
    pub rhs_stack: bool,
    /// Scalars that learned together: which of the trail's, from 1; 0 for none.
    linked: u16,
}

const _: () = assert!(size_of::<Past>() <= 24);

const NOWHERE: u32 = u32::MAX;
const NO_SPILL: (u8, u8) = (u8::MAX, u8::MAX);

fn narrow(slot: usize) -> u32 {
    u32::try_from(slot).unwrap_or(NOWHERE)
}

impl Past {
    /// The instruction at `at` after the one at `from`.
    pub fn new(at: usize, from: Option<usize>) -> Past {
        Past {
            at: narrow(at),
            from: from.map_or(NOWHERE, narrow),
            traced_slots: 0,
            traced_regs: 0,
            spill: NO_SPILL,
            lhs_stack: false,
            rhs_stack: false,
            linked: 0,
        }
    }

    /// A register was spilled to this frame and slot, or filled from there.
    pub fn set_spill(&mut self, frame: usize, slot: usize) {
        // Eight frames of 64 slots.
        self.spill = u8::try_from(frame).ok().zip(u8::try_from(slot).ok()).unwrap_or(NO_SPILL);
    }

    /// Frame and slot that a register was spilled to or filled from.
    pub fn spill(&self) -> Option<(usize, usize)> {
        (self.spill != NO_SPILL).then(|| (self.spill.0.into(), self.spill.1.into()))
    }

    /// Notes that the origins of these registers and slots of its frame are looked for from here. Tells whether that is new.
    pub fn trace(&mut self, regs: u16, slots: u64) -> bool {
        let is_new = regs & !self.traced_regs != 0 || slots & !self.traced_slots != 0;
        self.traced_regs |= regs;
        self.traced_slots |= slots;
        is_new
    }

    /// It has nothing to say of what the instruction read or wrote.
    pub fn is_plain(&self) -> bool {
        self.linked == 0 && self.spill == NO_SPILL
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
    /// Scalars that learned together, of the entries that have some.
    pub(super) linked: Vec<Linked>,
}

impl Trail {
    /// From a stored state on.
    pub fn restart(&mut self, parent: StoredId, first: usize) {
        (self.parent, self.first, self.last) = (Some(parent), first, None);
        self.past.clear();
        self.linked.clear();
    }

    /// A copy in memory that was another one's.
    pub fn copy_into(&self, mut spare: Trail) -> Trail {
        let Trail { parent, first, last, past, linked } = self;
        (spare.parent, spare.first, spare.last) = (*parent, *first, *last);
        spare.past.clone_from(past);
        spare.linked.clone_from(linked);
        spare
    }

    /// Gives the memory of its entries back.
    pub fn free(&mut self) {
        (self.past, self.linked) = (Vec::new(), Vec::new());
    }

    /// Bytes of its entries.
    pub fn held(&self) -> usize {
        self.past.capacity() * size_of::<Past>() + self.linked.capacity() * size_of::<Linked>()
    }

    /// The newest entry's scalars learned together.
    pub fn link(&mut self, linked: Linked) {
        if let Some(entry) = self.past.last_mut() {
            self.linked.push(linked);
            // A state is stored long before there are so many branches.
            entry.linked = u16::try_from(self.linked.len()).unwrap_or(u16::MAX);
        }
    }

    /// The scalars that learned together at an entry.
    pub fn linked(&self, entry: &Past) -> Option<&Linked> {
        entry.linked.checked_sub(1).and_then(|index| self.linked.get(usize::from(index)))
    }

    /// The oldest instruction back to which there is nothing but code in a straight line that left no entry, if `left` entries
    /// are not used up.
    pub fn plain_from(&self, left: usize) -> usize {
        left.checked_sub(1).map_or(self.first, |newest| self.past[newest].at as usize)
    }

    /// The newest of `left` entries, if it is that of `at`.
    pub fn entry(&self, at: usize, left: usize) -> Option<&Past> {
        self.past.get(left.wrapping_sub(1)).filter(|entry| entry.is_at(at))
    }

    /// The instruction before `at`, where `left` counts the entries that are not used up, the newest of which may be its;
    /// `None` at the start.
    pub fn before(&self, at: usize, has_entry: bool, left: &mut usize) -> Option<usize> {
        if at == self.first && *left == usize::from(has_entry) {
            return None;
        }
        if !has_entry {
            return at.checked_sub(1);
        }
        *left -= 1;
        self.past[*left].before()
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
