//! The interpreter: pre-decoded cells (`cell`), each with the handler that was compiled for just its operation and the places of
//! its operands (`place`), one leading to the next (`dispatch`), generic over how memory is reached (`memory`). What often follows one
//! another has a handler of its own (`fuse`).
//!
//! What an operation computes is in `ring3_isa::eval` alone. Verified programs run without checks; all others have each
//! access looked up in the live memory of the environment, and stop with a trap where it is not there.

mod access;
mod alu;
mod cell;
mod control;
#[cfg(test)]
mod differential;
mod dispatch;
mod fuse;
mod machine;
pub(crate) mod memory;
mod place;
#[cfg(test)]
mod tests;
mod watch;

use std::fmt;
use std::mem::MaybeUninit;
use std::sync::{Arc, OnceLock};

use crate::env::{CallHook, Callback, Env, TrapKind};
use crate::exec::Execute;
use crate::link::Linked;
use crate::regions::RegionKind;
use cell::{Cell, Table};
use machine::{Machine, Stack};
pub(crate) use machine::{instructions, steps};
use memory::{Checked, Host, Memory};
use place::Places;
pub use watch::{StateReport, WatchError, Watched};

/// Frames of a program, callbacks included (`MAX_CALL_FRAMES`).
pub const MAX_FRAMES: usize = 8;
/// Bytes of one frame (`MAX_BPF_STACK`).
pub const FRAME_BYTES: u32 = 512;

/// Bytes of the native stack that one run may take. Callbacks and tail calls nest on it; what Linux allows of both fits in half of
/// this where the interpreter was compiled with optimisation.
const MAX_NATIVE_STACK: u64 = 1 << 20;

const STACK_WORDS: usize = MAX_FRAMES * FRAME_BYTES as usize / 8;

/// A program that is interpreted.
pub struct Interp {
    linked: Arc<Linked>,
    places: Places,
    cells: Box<[Cell]>,
    /// The same with a budget, made when there is one for the first time.
    counted: OnceLock<Box<[Cell]>>,
    tables: Box<[Table]>,
}

impl fmt::Debug for Interp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interp").field("linked", &self.linked).field("places", &self.places).finish_non_exhaustive()
    }
}

impl Interp {
    /// Pre-decodes a program.
    pub fn new(linked: Arc<Linked>) -> Interp {
        let places = Places::of(linked.ops());
        let tables = cell::tables(&linked);
        let cells = if linked.is_verified() {
            cell::decode::<Host<false>>(&linked, &places, &tables)
        } else {
            cell::decode::<Checked>(&linked, &places, &tables)
        };
        Interp { linked, places, cells, tables, counted: OnceLock::new() }
    }

    /// The cells of runs of a verified program with a budget.
    fn counted(&self) -> &[Cell] {
        self.counted.get_or_init(|| cell::decode::<Host<true>>(&self.linked, &self.places, &self.tables))
    }
}

// SAFETY: the program is set once, and handlers touch the environment only through helpers and the bookkeeping of frames.
unsafe impl Execute for Interp {
    fn linked(&self) -> &Arc<Linked> {
        &self.linked
    }

    unsafe fn execute(&self, env: &mut Env<'_>, ctx: u64) -> u64 {
        // SAFETY: passed on from the caller; `Checked` needs nothing of it. The cells are of the memory that they run on.
        unsafe {
            match (self.linked.is_verified(), env.budget.is_some()) {
                (true, false) => self.start::<Host<false>>(&self.cells, env, ctx),
                (true, true) => self.start::<Host<true>>(self.counted(), env, ctx),
                (false, _) => self.start::<Checked>(&self.cells, env, ctx),
            }
        }
    }

    unsafe fn execute_callback(
        &self,
        env: &mut Env<'_>,
        callback: Callback,
        args: [u64; 5],
        readable: &[(u64, u64, RegionKind)],
    ) -> u64 {
        let entry = Entry { subprog: callback.0 as usize, args, readable };
        // SAFETY: as of `execute`.
        unsafe {
            match (self.linked.is_verified(), env.budget.is_some()) {
                (true, false) => self.start_code::<Host<false>>(self.code(&self.cells), env, entry),
                (true, true) => self.start_code::<Host<true>>(self.code(self.counted()), env, entry),
                (false, _) => self.start_code::<Checked>(self.code(&self.cells), env, entry),
            }
        }
    }
}

/// Where a run begins, and with what.
struct Entry<'a> {
    subprog: usize,
    args: [u64; 5],
    /// What may be accessed beside what belongs to the program.
    readable: &'a [(u64, u64, RegionKind)],
}

impl Entry<'_> {
    /// At the main function.
    fn main(ctx: u64) -> Entry<'static> {
        Entry { subprog: 0, args: [ctx, 0, 0, 0, 0], readable: &[] }
    }
}

/// A run of one program: what its callbacks need to go on where it stands.
struct Active<'a> {
    code: Code<'a>,
    /// Start of `STACK_WORDS` words.
    stack: *mut u8,
    /// Frames in use while a helper runs.
    used: std::cell::Cell<u32>,
}

/// A program's cells for the memory that it runs on.
#[derive(Clone, Copy)]
struct Code<'a> {
    interp: &'a Interp,
    cells: &'a [Cell],
    /// Who is shown every moment of the run.
    watch: Option<&'a dyn watch::Watch>,
}

impl Code<'_> {
    /// The first cell of a function.
    #[inline]
    fn entry(&self, subprog: usize) -> Option<*const Cell> {
        let entry = self.interp.linked.subprogs().get(subprog)?.entry as usize;
        // An address that may reach every cell, which that of one alone would not.
        (entry < self.cells.len()).then(|| self.cells.as_ptr().wrapping_add(entry))
    }
}

impl Interp {
    /// # Safety
    ///
    /// As of `execute`; the cells were decoded for `M`, which is checked unless the program was verified.
    unsafe fn start<M: Memory>(&self, cells: &[Cell], env: &mut Env<'_>, ctx: u64) -> u64 {
        // SAFETY: passed on.
        unsafe { self.start_code::<M>(self.code(cells), env, Entry::main(ctx)) }
    }

    fn code<'a>(&'a self, cells: &'a [Cell]) -> Code<'a> {
        Code { interp: self, cells, watch: None }
    }

    /// # Safety
    ///
    /// As of `start`; the cells are those of this program.
    unsafe fn start_code<M: Memory>(&self, code: Code<'_>, env: &mut Env<'_>, entry: Entry<'_>) -> u64 {
        let mut stack = MaybeUninit::<[u64; STACK_WORDS]>::uninit();
        let active = Active { code, stack: stack.as_mut_ptr().cast(), used: std::cell::Cell::new(0) };
        let hook = CallHook { call: callback::<M>, data: (&raw const active).cast() };
        let entered = env.enter(&self.linked, hook);
        entry.readable.iter().for_each(|(addr, len, kind)| env.publish(*addr, *len, *kind));
        // SAFETY: the frame is free and the program has the function; the rest is passed on.
        let ret = unsafe { active.nested::<M>(env, 0, entry.subprog, entry.args) };
        env.leave(entered);
        ret
    }
}

/// What the hook of the environment calls.
///
/// # Safety
///
/// `data` is an `Active` that runs now, and the arguments are what the verifier assumed, or the memory is checked.
unsafe fn callback<M: Memory>(data: *const (), env: &mut Env<'_>, subprog: u32, args: [u64; 5]) -> u64 {
    // SAFETY: `start` put it there, and takes the hook back before `active` ends.
    let active = unsafe { &*data.cast::<Active<'_>>() };
    let used = active.used.get();
    if used as usize >= MAX_FRAMES {
        env.set_trap(TrapKind::CallDepth);
        return 0;
    }
    // SAFETY: frame `used` is above those in use; the rest is passed on.
    let ret = unsafe { active.nested::<M>(env, used, subprog as usize, args) };
    active.used.set(used);
    ret
}

impl Active<'_> {
    /// Runs a function in frame `base`, unless those that are under way take too much of the native stack.
    ///
    /// # Safety
    ///
    /// As of `Machine::run`.
    unsafe fn nested<M: Memory>(&self, env: &mut Env<'_>, base: u32, subprog: usize, args: [u64; 5]) -> u64 {
        let here = 0u8;
        if env.stack_start.saturating_sub(&raw const here as u64) > MAX_NATIVE_STACK {
            env.set_trap(TrapKind::NativeStack);
            return 0;
        }
        let stack = Stack { start: self.stack, used: &self.used };
        // SAFETY: passed on.
        unsafe { Machine::run::<M>(self.code, env, stack, base, subprog, args) }
    }
}
