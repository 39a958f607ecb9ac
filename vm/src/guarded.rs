//! Accesses of memory that may not be there: structures of the kernel that a run has no copies of, and pages of arenas.
//!
//! Linux lets such an access fault and goes on behind it: a load gives 0, a store is dropped. Here each of them is a call of
//! [`guarded`], which looks whether the memory is there, in every engine.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use ring3_isa::{AtomicOp, Operand, Reg, Size};
use ring3_platform::maps::PAGE_SIZE;

use crate::env::Env;
use crate::interp::memory::{self, Place};
use crate::maps::ArenaLayout;

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Loads a number, with its sign or without.
    Load {
        /// Fills the register with the sign.
        signed: bool,
    },
    /// Stores one.
    Store,
    /// Changes one.
    Atomic(AtomicOp),
    /// Accesses nothing: the base as an address of user space, of an arena.
    ToUser,
}

/// Whose memory it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Space {
    /// The kernel's: addresses as they are.
    Kernel,
    /// The arena's of the program: the low half of an address is the place in it.
    Arena,
}

/// An access, in as few bits as an operation has room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guarded(u16);

const SIGNED: u16 = 1 << 2;
const ARENA: u16 = 1 << 3;
const KIND: u16 = 4;
const OPERATION: u16 = 8;

impl Guarded {
    /// This access.
    pub fn new(action: Action, size: Size, space: Space) -> Guarded {
        let (kind, operation, signed) = match action {
            Action::Load { signed } => (0, 0, signed),
            Action::Store => (1, 0, false),
            Action::ToUser => (3, 0, false),
            Action::Atomic(op) => (2, AtomicOp::ALL.iter().position(|known| *known == op).unwrap_or(0) as u16, false),
        };
        let size = size.bytes().trailing_zeros() as u16;
        let flag = |set: bool, bit| if set { bit } else { 0 };
        Guarded(
            size | flag(signed, SIGNED) | flag(space == Space::Arena, ARENA) | kind << KIND | operation << OPERATION,
        )
    }

    /// The number by which [`guarded`] is told.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Back from there.
    pub const fn from_bits(bits: u16) -> Guarded {
        Guarded(bits)
    }

    /// What is done.
    pub fn action(self) -> Action {
        match self.0 >> KIND & 3 {
            0 => Action::Load { signed: self.0 & SIGNED != 0 },
            1 => Action::Store,
            3 => Action::ToUser,
            _ => Action::Atomic(AtomicOp::ALL[usize::from(self.0 >> OPERATION) % AtomicOp::ALL.len()]),
        }
    }

    /// How many bytes.
    pub const fn size(self) -> Size {
        match self.0 & 3 {
            0 => Size::B,
            1 => Size::H,
            2 => Size::W,
            _ => Size::Dw,
        }
    }

    /// Whose memory.
    pub const fn space(self) -> Space {
        if self.0 & ARENA == 0 { Space::Kernel } else { Space::Arena }
    }

    /// The register that it changes, of an operation with this operand.
    pub fn writes(self, value: Operand) -> Option<Reg> {
        match (self.action(), value) {
            (Action::Load { .. } | Action::ToUser, Operand::Reg(dst)) => Some(dst),
            (Action::Atomic(op), Operand::Reg(src)) => op.fetches_into(src),
            (Action::Store, _) | (_, Operand::Imm(_)) => None,
        }
    }

    /// The register with what is stored.
    pub fn reads(self, value: Operand) -> Option<Reg> {
        match (self.action(), value) {
            (Action::Store | Action::Atomic(_), Operand::Reg(src)) => Some(src),
            (Action::Load { .. } | Action::ToUser, _) | (_, Operand::Imm(_)) => None,
        }
    }

    /// Whether it compares with R0.
    pub fn reads_r0(self) -> bool {
        self.action() == Action::Atomic(AtomicOp::Cmpxchg)
    }
}

/// Does the access `what` at `base + off`. `value` is what is stored, and `r0` what a compare-and-exchange compares with. Gives what
/// is loaded, or what the operation fetches; where nothing is there, 0 for loads, and what the register had for others.
///
/// # Safety
///
/// As of a helper, whatever the address.
pub unsafe extern "C" fn guarded(base: u64, what: u64, value: u64, r0: u64, off: u64, env: &mut Env<'_>) -> u64 {
    let access = Guarded::from_bits(what as u16);
    let (size, action) = (access.size(), access.action());
    if action == Action::ToUser {
        return env.arena().map_or(0, |arena| arena.to_user(base));
    }
    let write = !matches!(action, Action::Load { .. });
    let found = match access.space() {
        Space::Kernel => env.kernel_place(base.wrapping_add(off), size.bytes().into(), write),
        Space::Arena => env.arena().and_then(|arena| {
            // SAFETY: the running program holds its maps.
            unsafe { arena.place(base, off, size.bytes().into()) }
        }),
    };
    let Some(addr) = found else {
        return match action {
            Action::Load { .. } | Action::Store | Action::ToUser => 0,
            Action::Atomic(AtomicOp::Cmpxchg) => r0,
            Action::Atomic(_) => value,
        };
    };
    let place = Place::new(addr, size);
    // SAFETY: the place is live and stays so, as it was just found.
    unsafe {
        match action {
            Action::Load { signed: false } => memory::load(place),
            Action::Load { signed: true } => {
                let unused = 64 - 8 * size.bytes();
                ((memory::load(place) << unused) as i64 >> unused) as u64
            }
            Action::Store => {
                memory::store(place, value);
                0
            }
            Action::Atomic(op) => memory::atomic(addr, op, size, value, r0),
            Action::ToUser => 0,
        }
    }
}

/// Where the arena of a program is. It lives as long as the map does, which the linked program holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Arena {
    /// Address here of the offset 0. All 4 GiB from there on, and some bytes around, may be read and written as long as the map lives.
    base: u64,
    /// Address of the first page, as programs and user space know it.
    pub(crate) start: u64,
    /// How many pages there may be.
    pages: u32,
    /// Where there is a bit for each of them that is allocated.
    allocated: NonNull<AtomicU64>,
}

// SAFETY: words that many threads may read and change, which stay as long as the map lives.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    pub(crate) fn of(layout: ArenaLayout) -> Arena {
        let ArenaLayout { base, start, pages, allocated } = layout;
        Arena { base: base.as_ptr().expose_provenance() as u64, start, pages, allocated }
    }

    /// Where an access of this pointer goes; `None` where a part of it is on a page that is not allocated.
    ///
    /// # Safety
    ///
    /// The map still is there.
    unsafe fn place(self, pointer: u64, off: u64, len: u64) -> Option<u64> {
        let at = u64::from(pointer as u32).checked_add_signed(off as i64)?;
        let last = at + (len - 1);
        // SAFETY: passed on from the caller.
        let there = last <= u64::from(u32::MAX) && unsafe { self.has_page(at) && self.has_page(last) };
        there.then_some(self.base + at)
    }

    /// Whether the page of this offset is allocated.
    ///
    /// # Safety
    ///
    /// The map still is there.
    unsafe fn has_page(self, at: u64) -> bool {
        let page = (at as u32).wrapping_sub(self.start as u32) / PAGE_SIZE;
        // SAFETY: the map has a bit for each of its pages, as long as it is there.
        page < self.pages
            && unsafe { self.allocated.add(page as usize / 64).as_ref() }.load(Ordering::Acquire) >> (page % 64) & 1
                == 1
    }

    /// The pointer that the low half of a number is in user space: 0 stays 0.
    fn to_user(self, value: u64) -> u64 {
        let low = u64::from(value as u32);
        if low == 0 { 0 } else { self.start & !u64::from(u32::MAX) | low }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_of_arenas() {
        let allocated = [AtomicU64::new(0b1011)];
        let (pages, start) = (4, 0x1000_ffff_e000);
        let arena = Arena { base: 1 << 40, start, pages, allocated: NonNull::from(&allocated[0]) };
        // SAFETY: the words are there.
        let place = |pointer: u64, off: i64, len| unsafe { arena.place(pointer, off.cast_unsigned(), len) };
        let at = |offset: u64| Some((1 << 40) + offset);
        assert_eq!(place(start, 8, 8), at(0xffff_e008));
        assert_eq!(place(0xffff_e000, 8, 8), at(0xffff_e008));
        assert_eq!(place(start + 0x1ff8, 0, 8), at(0xffff_fff8));
        // Beyond the lower half there are no pages, though the third one is in front of it.
        assert_eq!((place(start + 0x1ff9, 0, 8), place(start + 0x1ff8, 8, 8)), (None, None));
        assert_eq!((place(0, 0, 1), place(0x1000, 0, 1), place(0xffc, 0, 8)), (None, at(0x1000), None));
        assert_eq!((place(start, -1, 1), place(4, -8, 1), place(0x2000, -8, 8)), (None, None, at(0x1ff8)));
        assert_eq!((place(0x1ffc, 0, 8), place(0x2000, 0, 1), place(7 << 32, i64::MAX, 8)), (None, None, None));
        assert_eq!((arena.to_user(0x55), arena.to_user(1 << 32)), (0x1000_0000_0055, 0));
    }

    #[test]
    fn accesses_are_what_they_were_made_of() {
        let atomics = AtomicOp::ALL.iter().map(|op| Action::Atomic(*op));
        let actions = [Action::Load { signed: false }, Action::Load { signed: true }, Action::Store].into_iter();
        for action in actions.chain(atomics).chain([Action::ToUser]) {
            for size in [Size::B, Size::H, Size::W, Size::Dw] {
                for space in [Space::Kernel, Space::Arena] {
                    let access = Guarded::from_bits(Guarded::new(action, size, space).bits());
                    assert_eq!((access.action(), access.size(), access.space()), (action, size, space));
                }
            }
        }
    }
}
