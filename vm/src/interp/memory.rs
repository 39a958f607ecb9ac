//! How the interpreter reaches memory: plainly for verified programs, through the live regions for others.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ring3_isa::{AtomicOp, Size, eval};

use crate::env::{Env, TrapKind};
use crate::link::Linked;
use crate::regions::RegionKind;

/// Memory as a program sees it.
pub(super) trait Memory {
    /// Every access is checked, as are frames and what helpers are given.
    const CHECKED: bool;
    /// Instructions are counted against the budget.
    const COUNTED: bool;

    /// Where an access of the program really goes. `Nowhere`: the environment has a trap.
    ///
    /// # Safety
    ///
    /// Unless `CHECKED`, the access is one that the verifier allowed.
    unsafe fn at(env: &mut Env<'_>, linked: &Linked, addr: u64, size: Size, access: Access) -> Place;
}

/// Where an access goes: the address, and how many bytes it has there; 0 is nowhere.
///
/// Two numbers, which come back in registers: what came through memory of the caller would keep a handler from ending in a jump.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(super) addr: u64,
    pub(super) bytes: u64,
}

impl Place {
    const NOWHERE: Place = Place { addr: 0, bytes: 0 };

    #[inline(always)]
    pub(crate) fn new(addr: u64, size: Size) -> Place {
        Place { addr, bytes: size.bytes().into() }
    }
}

/// What is done there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
    Atomic,
}

/// For programs that were proved safe.
pub(super) struct Host<const COUNTED: bool>;

impl<const COUNTED: bool> Memory for Host<COUNTED> {
    const CHECKED: bool = false;
    const COUNTED: bool = COUNTED;

    #[inline(always)]
    unsafe fn at(_: &mut Env<'_>, _: &Linked, addr: u64, size: Size, _: Access) -> Place {
        Place::new(addr, size)
    }
}

/// For all others.
pub(super) struct Checked;

impl Memory for Checked {
    const CHECKED: bool = true;
    const COUNTED: bool = true;

    #[inline(never)]
    unsafe fn at(env: &mut Env<'_>, linked: &Linked, addr: u64, size: Size, access: Access) -> Place {
        let len = u64::from(size.bytes());
        let write = access != Access::Read;
        let region = env.regions.as_ref().and_then(|regions| regions.find(addr, len, write));
        let found = match region {
            Some(region) if region.kind == RegionKind::Ctx && access == Access::Atomic => None,
            Some(region) if region.kind == RegionKind::Ctx => in_context(env, linked, addr - region.start, size, write),
            Some(_) => Some(Place::new(addr, size)),
            None => None,
        };
        if let (Access::Atomic, Size::Dw, Some(place)) = (access, size, &found) {
            // SAFETY: the bytes are live, as was looked up.
            let word = unsafe { load(*place) };
            let is_address = env.regions.as_ref().is_some_and(|regions| regions.find(word, 1, false).is_some());
            env.counts_with_addresses |= is_address;
        }
        found.unwrap_or_else(|| {
            env.set_trap(TrapKind::BadAccess { addr, len, write });
            Place::NOWHERE
        })
    }
}

/// Offsets of the context are those of the UAPI struct, and become those of the slots.
fn in_context(env: &mut Env<'_>, linked: &Linked, off: u64, size: Size, write: bool) -> Option<Place> {
    let rules = linked.rules();
    let (slot, size) = rules.convert(i32::try_from(off).ok()?, size, write)?;
    let slots = env.ctx.slots_mut().filter(|slots| rules.layout().is_some_and(|layout| slots.is_of(layout)))?;
    let slot = usize::try_from(slot).ok()?;
    let inside = slot.checked_add(size.bytes() as usize).is_some_and(|end| end <= slots.bytes());
    inside.then(|| Place::new(slots.addr() + slot as u64, size))
}

/// Loads a number, zero-extended.
///
/// # Safety
///
/// The bytes are live.
#[inline(always)]
pub(crate) unsafe fn load(Place { addr, bytes }: Place) -> u64 {
    // SAFETY: live by the caller; no alignment is asked for.
    unsafe {
        match bytes {
            1 => (addr as *const u8).read().into(),
            2 => (addr as *const u16).read_unaligned().into(),
            4 => (addr as *const u32).read_unaligned().into(),
            _ => (addr as *const u64).read_unaligned(),
        }
    }
}

/// Stores the low bytes of a number.
///
/// # Safety
///
/// The bytes are live and may be written.
#[inline(always)]
pub(crate) unsafe fn store(Place { addr, bytes }: Place, value: u64) {
    // SAFETY: live by the caller; no alignment is asked for.
    unsafe {
        match bytes {
            1 => (addr as *mut u8).write(value as u8),
            2 => (addr as *mut u16).write_unaligned(value as u16),
            4 => (addr as *mut u32).write_unaligned(value as u32),
            _ => (addr as *mut u64).write_unaligned(value),
        }
    }
}

/// Does an atomic operation of 4 or 8 bytes and gives the old value. Memory that is not aligned is changed without being
/// atomic, for which the machine has no portable way.
///
/// # Safety
///
/// The bytes are live and may be written.
#[inline(always)]
pub(crate) unsafe fn atomic(addr: u64, op: AtomicOp, size: Size, src: u64, r0: u64) -> u64 {
    let bytes = u64::from(size.bytes());
    if !addr.is_multiple_of(bytes) {
        // SAFETY: live by the caller.
        unsafe {
            let place = Place::new(addr, size);
            let (new, old) = eval::atomic(op, size, load(place), src, r0);
            store(place, new);
            return old;
        }
    }
    let order = Ordering::SeqCst;
    if size == Size::W {
        // SAFETY: live by the caller, aligned by the check; programs on other threads use atomics on it too.
        let cell = unsafe { AtomicU32::from_ptr(addr as *mut u32) };
        let new = |old: u32| eval::atomic(op, size, old.into(), src, r0).0 as u32;
        cell.fetch_update(order, order, |old| Some(new(old))).unwrap_or_else(|old| old).into()
    } else {
        // SAFETY: as above.
        let cell = unsafe { AtomicU64::from_ptr(addr as *mut u64) };
        cell.fetch_update(order, order, |old| Some(eval::atomic(op, size, old, src, r0).0)).unwrap_or_else(|old| old)
    }
}
