//! From one handler to the next.
//!
//! Where the compiler optimises (`threaded`, set by the build script) and does not add checks of its own, a handler ends by
//! calling the next one, which becomes a jump: each handler has an indirect jump of its own, which the processor predicts by what
//! came before. Elsewhere a handler puts the hot registers away and returns to a plain loop. Handlers are the same for both, and
//! never look behind [`next`].

use super::cell::Cell;
use super::machine::Machine;

/// How many BPF registers live in registers of the machine: what six arguments leave beside the cell and the machine's state.
pub(super) const HOT: usize = 4;

/// The values of the hot registers.
pub(super) type Hot = [u64; HOT];

/// What a cell does: gets the cell, the state and the hot registers, and gives what [`next`] or [`stop`](super::control::stop)
/// gives.
///
/// # Safety
///
/// The cell is one of the program that the machine runs, and the rest as of `Machine::run`.
pub(super) type Handler = for<'c, 'm, 'h> unsafe fn(*const Cell, &'c mut Machine<'m, 'h>, u64, u64, u64, u64) -> Flow;

/// Where a run that goes on stands, for the loop; null where it has ended.
pub(super) type Flow = *const Cell;

/// The run has ended; R0 is in the state.
pub(super) const ENDED: Flow = std::ptr::null();

/// Goes on with the cell `pc`.
///
/// # Safety
///
/// `pc` is a cell of the program that the machine runs.
#[cfg(all(threaded, not(debug_assertions)))]
#[inline(always)]
pub(super) unsafe fn next(pc: *const Cell, machine: &mut Machine<'_, '_>, hot: Hot) -> Flow {
    // SAFETY: a cell of the program, by the caller.
    unsafe { ((*pc).run)(pc, machine, hot[0], hot[1], hot[2], hot[3]) }
}

/// Goes on with the cell `pc`.
///
/// # Safety
///
/// `pc` is a cell of the program that the machine runs.
#[cfg(not(all(threaded, not(debug_assertions))))]
#[inline(always)]
pub(super) unsafe fn next(pc: *const Cell, machine: &mut Machine<'_, '_>, hot: Hot) -> Flow {
    machine.hot = hot;
    pc
}

/// Runs from the cell `pc` to the end.
///
/// # Safety
///
/// As of `next`.
pub(super) unsafe fn run(pc: *const Cell, machine: &mut Machine<'_, '_>, hot: Hot) {
    // SAFETY: by the caller for the first cell; handlers give cells of the program.
    unsafe {
        let mut pc = next(pc, machine, hot);
        // Threaded handlers only come back at the end.
        while !pc.is_null() {
            let [a, b, c, d] = machine.hot;
            pc = ((*pc).run)(pc, machine, a, b, c, d);
        }
    }
}
