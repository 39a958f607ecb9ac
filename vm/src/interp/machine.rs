//! The state of a run: registers, frames, budget, and the environment around.

use std::cell::Cell as Shared;
use std::mem::MaybeUninit;

use super::cell::Cell;
use super::dispatch::{self, ENDED, Flow, HOT, Hot};
use super::memory::Memory;
use super::{Code, FRAME_BYTES, MAX_FRAMES};
use crate::env::{Env, TrapKind};
use crate::exec::MAY_GOTO_BUDGET;
use crate::link::Linked;
use crate::regions::RegionKind;

/// Bytes of a cell, by which addresses of cells count instructions.
const STEP: i64 = size_of::<Cell>() as i64;
/// A budget of more than this counts as this, so that it can be added to an address. Nobody lives to see its end.
const MAX_BUDGET: u64 = 1 << 56;

/// A number of instructions as `Env::left` counts them.
#[inline]
pub(crate) const fn steps(instructions: u64) -> i64 {
    STEP * if instructions < MAX_BUDGET { instructions } else { MAX_BUDGET } as i64
}

/// Back from `steps`.
pub(crate) fn instructions(steps: i64) -> u64 {
    u64::try_from(steps / STEP).unwrap_or(0)
}

/// What one function runs on, with those that it calls.
pub(super) struct Machine<'m, 'h> {
    /// Registers by number; with room so that a masked number is always one. Those that are hot are stale while handlers run.
    pub(super) regs: [u64; 16],
    /// Where the hot registers are between handlers of the loop.
    pub(super) hot: Hot,
    /// The budget: the address of the cell up to which it lasts if no jump is taken from here on. A taken jump moves it by the
    /// distance of the jump, so that nothing is counted in between.
    limit: i64,
    /// How often `may_goto` still goes on in this frame.
    pub(super) may_goto: u32,
    pub(super) depth: u32,
    base: u32,
    pub(super) env: &'m mut Env<'h>,
    pub(super) code: Code<'m>,
    pub(super) linked: &'m Linked,
    pub(super) stack: Stack<'m>,
    saved: [MaybeUninit<Saved>; MAX_FRAMES],
}

/// The memory of all frames of a run, and how many are in use while a helper runs, whose callbacks take those above.
#[derive(Clone, Copy)]
pub(super) struct Stack<'m> {
    /// Start of `MAX_FRAMES` frames.
    pub(super) start: *mut u8,
    pub(super) used: &'m Shared<u32>,
}

impl Stack<'_> {
    /// R10 of a frame.
    pub(super) fn top(&self, depth: u32) -> u64 {
        self.start as u64 + (u64::from(depth) + 1) * u64::from(FRAME_BYTES)
    }
}

/// What a call puts aside.
#[derive(Clone, Copy)]
struct Saved {
    /// R6 to R10.
    regs: [u64; 5],
    back: *const Cell,
    may_goto: u32,
}

/// Why a function cannot be called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CallError {
    /// There are no more frames.
    Depth,
    /// There is no such function.
    Missing,
}

impl<'m, 'h> Machine<'m, 'h> {
    pub(super) fn new(code: Code<'m>, env: &'m mut Env<'h>, stack: Stack<'m>, base: u32) -> Machine<'m, 'h> {
        Machine {
            regs: [0; 16],
            hot: [0; HOT],
            limit: 0,
            may_goto: MAY_GOTO_BUDGET,
            depth: base,
            base,
            env,
            code,
            linked: &code.interp.linked,
            stack,
            saved: [const { MaybeUninit::uninit() }; MAX_FRAMES],
        }
    }

    /// Runs function `subprog` in frame `base` and those above, and gives its R0; 0 where it stopped with a trap.
    ///
    /// # Safety
    ///
    /// `base` is less than `MAX_FRAMES`, and frames of `stack` from there on are free. The program was verified, the arguments
    /// are what the verifier assumed and `M` is not checked; or `M` is checked.
    pub(super) unsafe fn run<M: Memory>(
        code: Code<'m>,
        env: &'m mut Env<'h>,
        stack: Stack<'m>,
        base: u32,
        subprog: usize,
        args: [u64; 5],
    ) -> u64 {
        let Some(pc) = code.entry(subprog) else { return 0 };
        let mut machine = Machine::new(code, env, stack, base);
        machine.regs[1..6].copy_from_slice(&args);
        if M::COUNTED {
            machine.set_limit(pc);
        }
        // SAFETY: the frame is free by the caller, and the cell is the first of a function.
        unsafe {
            machine.begin_frame::<M>(subprog);
            let hot = machine.reload();
            dispatch::run(pc, &mut machine, hot);
        }
        machine.regs[0]
    }

    /// The hot registers, after what was written to `regs`.
    #[inline(always)]
    pub(super) fn reload(&self) -> Hot {
        // Not `map`, here and in handlers: if that is not inlined, the array comes back on the native stack.
        let [a, b, c, d] = self.code.interp.places.hot;
        let register = |number: u8| self.regs[usize::from(number & 15)];
        [register(a), register(b), register(c), register(d)]
    }

    /// Puts the hot registers into `regs`.
    #[inline(always)]
    pub(super) fn spill(&mut self, hot: &Hot) {
        // No loop: while there is one, the array is on the native stack, and the compiler looks for calls that can be jumps before
        // it takes loops apart. What it does when it links (LTO) would find them, but not everybody builds so.
        let [a, b, c, d] = self.code.interp.places.hot;
        self.regs[usize::from(a & 15)] = hot[0];
        self.regs[usize::from(b & 15)] = hot[1];
        self.regs[usize::from(c & 15)] = hot[2];
        self.regs[usize::from(d & 15)] = hot[3];
    }

    /// Prepares the frame at `depth` for a function: its part of the stack becomes zeroes, and R10 its end.
    ///
    /// # Safety
    ///
    /// `depth` is less than `MAX_FRAMES`, and the frame is not in use.
    #[inline(always)]
    unsafe fn begin_frame<M: Memory>(&mut self, subprog: usize) {
        let subprogs = self.linked.subprogs();
        let bytes = subprogs.get(subprog).map_or(FRAME_BYTES, |s| s.stack_depth.next_multiple_of(8).min(FRAME_BYTES));
        let top = self.stack.top(self.depth);
        if bytes > 0 {
            // SAFETY: the frame is within the stack, and the bytes within the frame.
            unsafe {
                let end = self.stack.start.add((self.depth as usize + 1) * FRAME_BYTES as usize);
                let fill = if M::CHECKED { self.env.stack_fill } else { 0 };
                end.sub(bytes as usize).write_bytes(fill, bytes as usize);
            }
        }
        if M::CHECKED {
            self.env.publish(top - u64::from(bytes), bytes.into(), RegionKind::Stack);
        }
        self.regs[10] = top;
    }

    /// Forgets the frame at a depth, if anybody keeps account.
    #[inline(always)]
    fn drop_frame<M: Memory>(&mut self, depth: u32) {
        if M::CHECKED {
            let top = self.stack.top(depth);
            self.env.retract_range(top - u64::from(FRAME_BYTES), FRAME_BYTES.into());
        }
    }

    /// Where function `subprog` begins, if it may be called from here. A trap would lie on the native stack, and nothing of it may be
    /// there when the handler goes on.
    #[inline(always)]
    pub(super) fn callee(&self, subprog: usize) -> Result<*const Cell, CallError> {
        if self.depth as usize + 1 >= MAX_FRAMES {
            return Err(CallError::Depth);
        }
        self.code.entry(subprog).ok_or(CallError::Missing)
    }

    /// Enters function `subprog`, which begins at `entry`, from the cell `pc`. `regs` are up to date, here and after.
    ///
    /// # Safety
    ///
    /// As of handlers, and `entry` is what `callee` gave.
    #[inline(always)]
    pub(super) unsafe fn call<M: Memory>(&mut self, pc: *const Cell, entry: *const Cell, subprog: usize) {
        // SAFETY: a call is never the last cell.
        let back = unsafe { pc.add(1) };
        let [_, _, _, _, _, _, r6, r7, r8, r9, r10, ..] = self.regs;
        let saved = self.saved[(self.depth - self.base) as usize].as_mut_ptr();
        // SAFETY: a place of the array. Written part by part, as the whole would lie on the native stack first.
        unsafe {
            (&raw mut (*saved).regs).write([r6, r7, r8, r9, r10]);
            (&raw mut (*saved).back).write(back);
            (&raw mut (*saved).may_goto).write(self.may_goto);
        }
        self.depth += 1;
        self.may_goto = MAY_GOTO_BUDGET;
        if M::COUNTED {
            self.jump(pc, entry);
        }
        // SAFETY: `depth` is less than `MAX_FRAMES`, and the frame above all in use.
        unsafe { self.begin_frame::<M>(subprog) };
    }

    /// Leaves a function at the cell `pc` with what is in R0; gives where its caller goes on, or `ENDED`. `regs` are up to date,
    /// here and after.
    ///
    /// # Safety
    ///
    /// As of handlers.
    #[inline(always)]
    pub(super) unsafe fn leave<M: Memory>(&mut self, pc: *const Cell) -> Flow {
        self.drop_frame::<M>(self.depth);
        if self.depth == self.base {
            if M::COUNTED {
                self.account(pc);
            }
            return ENDED;
        }
        self.depth -= 1;
        // SAFETY: `call` wrote it when it made the frame that ends here.
        let saved = unsafe { self.saved[(self.depth - self.base) as usize].assume_init_ref() };
        let ([r6, r7, r8, r9, r10], back, may_goto) = (saved.regs, saved.back, saved.may_goto);
        let [.., own6, own7, own8, own9, own10, _, _, _, _, _] = &mut self.regs;
        (*own6, *own7, *own8, *own9, *own10) = (r6, r7, r8, r9, r10);
        self.may_goto = may_goto;
        if M::COUNTED {
            self.jump(pc, back);
        }
        back
    }

    /// Ends the run at the cell `pc` with the trap that somebody set.
    #[cold]
    #[inline(never)]
    pub(super) fn stop<M: Memory>(&mut self, pc: *const Cell) -> Flow {
        let index = (pc as usize).wrapping_sub(self.code.cells.as_ptr() as usize) / size_of::<Cell>();
        self.env.locate_trap(self.linked.slots().get(index).copied().unwrap_or(0));
        for depth in self.base..=self.depth {
            self.drop_frame::<M>(depth);
        }
        self.regs[0] = 0;
        ENDED
    }

    /// Ends the run at the cell `pc` with this trap.
    #[cold]
    #[inline(never)]
    pub(super) fn trap<M: Memory>(&mut self, pc: *const Cell, kind: TrapKind) -> Flow {
        self.env.set_trap(kind);
        self.stop::<M>(pc)
    }

    /// Ends the run at the cell `pc` because the budget is used up.
    #[cold]
    #[inline(never)]
    pub(super) fn exhausted<M: Memory>(&mut self, pc: *const Cell) -> Flow {
        let budget = self.env.budget_of_run();
        self.trap::<M>(pc, TrapKind::Budget { budget })
    }

    /// The cell `pc` is the next one, and the budget is what the environment has left.
    #[inline(always)]
    pub(super) fn set_limit(&mut self, pc: *const Cell) {
        self.limit = pc as i64 + self.env.left;
    }

    /// Whether the budget lasts for the cell `pc`.
    #[inline(always)]
    pub(super) fn affords(&self, pc: *const Cell) -> bool {
        pc as i64 + STEP <= self.limit
    }

    /// A jump over `off` bytes, counted from the next cell, is executed.
    #[inline(always)]
    pub(super) fn jump_by(&mut self, off: i32) {
        self.limit += i64::from(off);
    }

    /// The cell `pc` is executed, and `to` is the next one.
    fn jump(&mut self, pc: *const Cell, to: *const Cell) {
        self.limit += to as i64 - (pc as i64 + STEP);
    }

    /// Tells the environment what is left of the budget after the cell `pc`.
    #[inline(always)]
    fn account(&mut self, pc: *const Cell) {
        self.env.left = self.limit - (pc as i64 + STEP);
    }

    /// Around a call from the cell `pc` of something that may run programs: the budget is shared with them, as are the frames.
    #[inline(always)]
    pub(super) fn outside<M: Memory, T>(&mut self, pc: *const Cell, call: impl FnOnce(&mut Self) -> T) -> T {
        if M::COUNTED {
            self.account(pc);
        }
        self.stack.used.set(self.depth + 1);
        let value = call(self);
        if M::COUNTED {
            self.set_limit(pc.wrapping_add(1));
        }
        value
    }
}
