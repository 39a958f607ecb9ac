//! The interpreter: a loop over pre-decoded operations (`code`), generic over how memory is reached (`memory`).
//!
//! What an operation computes is in `ring3_isa::eval` alone. Verified programs run without checks; all others have each
//! access looked up in the live memory of the environment, and stop with a trap where it is not there.

mod code;
mod memory;

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use ring3_isa::{AluOp, CmpOp, EndianOp, Endianness, Reg, Size, Width, eval};

use crate::env::{CallHook, Env, TrapKind};
use crate::exec::{Execute, MAY_GOTO_BUDGET, legacy_packet, tail_call};
use crate::link::Linked;
use crate::regions::RegionKind;
use code::{ATOMICS, Cell, Code, PACKET_INDEXED, SIZES, Table, for_each_alu};
use memory::{Access, Checked, Host, Memory};

/// Frames of a program, callbacks included (`MAX_CALL_FRAMES`).
pub const MAX_FRAMES: usize = 8;
/// Bytes of one frame (`MAX_BPF_STACK`).
pub const FRAME_BYTES: u32 = 512;

/// Bytes of the native stack that one run may take. Callbacks and tail calls nest on it; what Linux allows of both fits in half of
/// this where the interpreter was compiled with optimisation.
const MAX_NATIVE_STACK: u64 = 1 << 20;

const STACK_WORDS: usize = MAX_FRAMES * FRAME_BYTES as usize / 8;

/// The byte order of this machine: what `le` and `be` conversions do.
const HOST_ORDER: Endianness = if cfg!(target_endian = "little") { Endianness::Little } else { Endianness::Big };

/// A program that is interpreted.
#[derive(Debug)]
pub struct Interp {
    linked: Arc<Linked>,
    cells: Box<[Cell]>,
    tables: Box<[Table]>,
}

impl Interp {
    /// Pre-decodes a program.
    pub fn new(linked: Arc<Linked>) -> Interp {
        let mut cells = code::decode(linked.ops());
        let tables = code::inline_lookups(&mut cells, &linked);
        Interp { linked, cells, tables }
    }
}

// SAFETY: the program is set once, and the loop below touches the environment only through helpers and the bookkeeping of frames.
unsafe impl Execute for Interp {
    fn linked(&self) -> &Arc<Linked> {
        &self.linked
    }

    unsafe fn execute(&self, env: &mut Env<'_>, ctx: u64) -> u64 {
        // SAFETY: passed on from the caller; `Checked` needs nothing of it.
        unsafe {
            match (self.linked.is_verified(), env.budget.is_some()) {
                (true, false) => self.start::<Host<false>>(env, ctx),
                (true, true) => self.start::<Host<true>>(env, ctx),
                (false, _) => self.start::<Checked>(env, ctx),
            }
        }
    }
}

/// A run of one program: what its callbacks need to go on where it stands.
struct Active<'a> {
    interp: &'a Interp,
    /// Start of `STACK_WORDS` words.
    stack: *mut u8,
    /// Frames in use while a helper runs.
    depth: std::cell::Cell<usize>,
}

/// What a call puts aside.
#[derive(Clone, Copy, Default)]
struct Saved {
    saved: [u64; 5],
    back: usize,
    may_goto: u32,
}

/// Registers, with room so that a masked number is always one.
type Regs = [u64; 16];

impl Interp {
    /// # Safety
    ///
    /// As of `execute`; `M` is checked unless the program was verified.
    unsafe fn start<M: Memory>(&self, env: &mut Env<'_>, ctx: u64) -> u64 {
        let mut stack = MaybeUninit::<[u64; STACK_WORDS]>::uninit();
        let active = Active { interp: self, stack: stack.as_mut_ptr().cast(), depth: std::cell::Cell::new(0) };
        let hook = CallHook { call: callback::<M>, data: (&raw const active).cast() };
        let entered = env.enter(&self.linked, hook);
        // SAFETY: the frame is free and the program has a main function; the rest is passed on.
        let ret = unsafe { active.nested::<M>(env, 0, 0, [ctx, 0, 0, 0, 0]) };
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
    let depth = active.depth.get();
    if depth >= MAX_FRAMES {
        env.set_trap(TrapKind::CallDepth);
        return 0;
    }
    // SAFETY: frame `depth` is above those in use; the rest is passed on.
    let ret = unsafe { active.nested::<M>(env, depth, subprog as usize, args) };
    active.depth.set(depth);
    ret
}

impl Active<'_> {
    /// `run`, unless those that are under way take too much of the native stack.
    ///
    /// # Safety
    ///
    /// As of `run`.
    unsafe fn nested<M: Memory>(&self, env: &mut Env<'_>, base: usize, subprog: usize, args: [u64; 5]) -> u64 {
        let here = 0u8;
        if env.stack_start.saturating_sub(&raw const here as u64) > MAX_NATIVE_STACK {
            env.set_trap(TrapKind::NativeStack);
            return 0;
        }
        // SAFETY: passed on.
        unsafe { self.run::<M>(env, base, subprog, args) }
    }

    /// Prepares frame `depth` for a function: its part of the stack becomes zeroes. Gives R10.
    ///
    /// # Safety
    ///
    /// `depth` is less than `MAX_FRAMES`, and the frame is not in use.
    #[inline]
    unsafe fn frame<M: Memory>(&self, env: &mut Env<'_>, depth: usize, subprog: usize) -> u64 {
        let subprogs = self.interp.linked.subprogs();
        let bytes = subprogs.get(subprog).map_or(FRAME_BYTES, |s| s.stack_depth.next_multiple_of(8).min(FRAME_BYTES));
        // SAFETY: the frame is within the stack, and the bytes within the frame.
        let top = unsafe {
            let top = self.stack.add((depth + 1) * FRAME_BYTES as usize);
            top.sub(bytes as usize).write_bytes(0, bytes as usize);
            top as u64
        };
        if M::CHECKED {
            env.publish(top - u64::from(bytes), bytes.into(), RegionKind::Stack);
        }
        top
    }

    /// Forgets the frame below `top`, if anybody keeps account.
    #[inline]
    fn drop_frame<M: Memory>(&self, env: &mut Env<'_>, top: u64) {
        if M::CHECKED {
            env.retract_range(top - u64::from(FRAME_BYTES), FRAME_BYTES.into());
        }
    }

    /// Runs a function in frame `base` and those above it.
    ///
    /// # Safety
    ///
    /// `base` is less than `MAX_FRAMES`, and frames from there on are free. The program was verified and the arguments are what
    /// the verifier assumed, or `M` is checked.
    #[allow(clippy::too_many_lines)] // One arm for each operation: a dispatch that only reads well in one piece.
    unsafe fn run<M: Memory>(&self, env: &mut Env<'_>, base: usize, subprog: usize, args: [u64; 5]) -> u64 {
        let linked: &Linked = &self.interp.linked;
        let cells: &[Cell] = &self.interp.cells;
        let mut regs: Regs = [0; 16];
        regs[1..6].copy_from_slice(&args);
        // SAFETY: by the caller.
        regs[10] = unsafe { self.frame::<M>(env, base, subprog) };
        let mut saved = [Saved::default(); MAX_FRAMES];
        let mut depth = base;
        let mut may_goto = MAY_GOTO_BUDGET;
        let Some(mut pc) = linked.subprogs().get(subprog).map(|s| s.entry as usize) else { return 0 };

        macro_rules! reg {
            ($n:expr) => {
                regs[usize::from($n & 15)]
            };
        }
        // Ends the run with a trap that somebody else or `$kind` set.
        macro_rules! stop {
            () => {{
                env.locate_trap(linked.slots().get(pc - 1).copied().unwrap_or(0));
                for depth in base..=depth {
                    self.drop_frame::<M>(env, self.top(depth));
                }
                return 0;
            }};
            ($kind:expr) => {{
                env.set_trap($kind);
                stop!()
            }};
        }
        // Ends the frame with what is in R0.
        macro_rules! leave {
            () => {{
                self.drop_frame::<M>(env, self.top(depth));
                if depth == base {
                    return regs[0];
                }
                depth -= 1;
                let frame = saved[depth - base];
                regs[6..11].copy_from_slice(&frame.saved);
                (pc, may_goto) = (frame.back, frame.may_goto);
            }};
        }
        macro_rules! place {
            ($base:expr, $cell:ident, $size:expr, $access:expr) => {{
                let addr = reg!($base).wrapping_add($cell.off as i64 as u64);
                // SAFETY: the program was verified, or `M` is checked.
                match unsafe { M::at(env, linked, addr, $size, $access) } {
                    Some(place) => place,
                    None => stop!(),
                }
            }};
        }
        macro_rules! load {
            ($cell:ident, $size:expr, $signed:expr) => {{
                let (addr, size) = place!($cell.src, $cell, $size, Access::Read);
                // SAFETY: `at` vouches for these bytes.
                let raw = unsafe { memory::load(addr, size) };
                reg!($cell.dst) = if $signed { eval::load_extend($size, true, raw) } else { raw };
            }};
        }
        macro_rules! store {
            ($cell:ident, $size:expr, $value:expr) => {{
                let (addr, size) = place!($cell.dst, $cell, $size, Access::Write);
                let value = $value;
                // SAFETY: `at` vouches for these bytes.
                unsafe { memory::store(addr, size, value) };
            }};
        }
        macro_rules! atomic {
            ($cell:ident, $size:expr) => {{
                let (addr, _) = place!($cell.dst, $cell, $size, Access::Atomic);
                let op = ATOMICS[$cell.imm as usize % ATOMICS.len()];
                // SAFETY: `at` vouches for these bytes.
                let old = unsafe { memory::atomic(addr, op, $size, reg!($cell.src), regs[0]) };
                match op.fetches_into(Reg::R1) {
                    None => {}
                    Some(Reg::R0) => regs[0] = old,
                    Some(_) => reg!($cell.src) = old,
                }
            }};
        }
        macro_rules! dispatch {
            ($cell:ident; { $($rest:tt)* }
             $(alu $alu:ident $a64:ident $a64k:ident $a32:ident $a32k:ident;)*
             $(cmp $cmp:ident $c64:ident $c64k:ident $c32:ident $c32k:ident;)*
             $(endian $end:ident $e16:ident $e32:ident $e64:ident;)*) => {
                match $cell.code {
                    $(Code::$a64 => reg!($cell.dst) = eval::alu(AluOp::$alu, Width::W64, reg!($cell.dst), reg!($cell.src)),
                    Code::$a64k => reg!($cell.dst) = eval::alu(AluOp::$alu, Width::W64, reg!($cell.dst), $cell.imm),
                    Code::$a32 => reg!($cell.dst) = eval::alu(AluOp::$alu, Width::W32, reg!($cell.dst), reg!($cell.src)),
                    Code::$a32k => reg!($cell.dst) = eval::alu(AluOp::$alu, Width::W32, reg!($cell.dst), $cell.imm),)*
                    $(Code::$c64 => if eval::compare(CmpOp::$cmp, Width::W64, reg!($cell.dst), reg!($cell.src)) { pc = $cell.off as usize },
                    Code::$c64k => if eval::compare(CmpOp::$cmp, Width::W64, reg!($cell.dst), $cell.imm) { pc = $cell.off as usize },
                    Code::$c32 => if eval::compare(CmpOp::$cmp, Width::W32, reg!($cell.dst), reg!($cell.src)) { pc = $cell.off as usize },
                    Code::$c32k => if eval::compare(CmpOp::$cmp, Width::W32, reg!($cell.dst), $cell.imm) { pc = $cell.off as usize },)*
                    $(Code::$e16 => reg!($cell.dst) = eval::endian(EndianOp::$end, Size::H, reg!($cell.dst), HOST_ORDER),
                    Code::$e32 => reg!($cell.dst) = eval::endian(EndianOp::$end, Size::W, reg!($cell.dst), HOST_ORDER),
                    Code::$e64 => reg!($cell.dst) = eval::endian(EndianOp::$end, Size::Dw, reg!($cell.dst), HOST_ORDER),)*
                    $($rest)*
                }
            };
        }

        loop {
            // SAFETY: `pc` is the entry of a function, a checked target of a jump or one past a cell that is not the last:
            // `decode` puts a cell at the end after which the loop ends.
            let cell = unsafe { *cells.get_unchecked(pc) };
            pc += 1;
            if M::COUNTED && !env.spend() {
                stop!(TrapKind::Budget { budget: env.budget_of_run() });
            }
            for_each_alu!(dispatch!(cell; {
                Code::Mov64 => reg!(cell.dst) = reg!(cell.src),
                Code::Mov32 => reg!(cell.dst) = eval::mov(Width::W32, reg!(cell.src)),
                Code::Const => reg!(cell.dst) = cell.imm,
                Code::MovSx8To64 => reg!(cell.dst) = eval::mov_sx(Width::W64, Size::B, reg!(cell.src)),
                Code::MovSx16To64 => reg!(cell.dst) = eval::mov_sx(Width::W64, Size::H, reg!(cell.src)),
                Code::MovSx32To64 => reg!(cell.dst) = eval::mov_sx(Width::W64, Size::W, reg!(cell.src)),
                Code::MovSx8To32 => reg!(cell.dst) = eval::mov_sx(Width::W32, Size::B, reg!(cell.src)),
                Code::MovSx16To32 => reg!(cell.dst) = eval::mov_sx(Width::W32, Size::H, reg!(cell.src)),
                Code::Neg64 => reg!(cell.dst) = eval::neg(Width::W64, reg!(cell.dst)),
                Code::Neg32 => reg!(cell.dst) = eval::neg(Width::W32, reg!(cell.dst)),
                Code::Load8 => load!(cell, Size::B, false),
                Code::Load16 => load!(cell, Size::H, false),
                Code::Load32 => load!(cell, Size::W, false),
                Code::Load64 => load!(cell, Size::Dw, false),
                Code::LoadS8 => load!(cell, Size::B, true),
                Code::LoadS16 => load!(cell, Size::H, true),
                Code::LoadS32 => load!(cell, Size::W, true),
                Code::Store8 => store!(cell, Size::B, reg!(cell.src)),
                Code::Store16 => store!(cell, Size::H, reg!(cell.src)),
                Code::Store32 => store!(cell, Size::W, reg!(cell.src)),
                Code::Store64 => store!(cell, Size::Dw, reg!(cell.src)),
                Code::Store8K => store!(cell, Size::B, cell.imm),
                Code::Store16K => store!(cell, Size::H, cell.imm),
                Code::Store32K => store!(cell, Size::W, cell.imm),
                Code::Store64K => store!(cell, Size::Dw, cell.imm),
                Code::Atomic32 => atomic!(cell, Size::W),
                Code::Atomic64 => atomic!(cell, Size::Dw),
                Code::Acquire => {
                    load!(cell, SIZES[cell.imm as usize % SIZES.len()], false);
                    fence(Ordering::Acquire);
                }
                Code::Release => {
                    fence(Ordering::Release);
                    store!(cell, SIZES[cell.imm as usize % SIZES.len()], reg!(cell.src));
                }
                Code::Jump => pc = cell.off as usize,
                Code::MayGoto => match may_goto.checked_sub(1) {
                    Some(left) => may_goto = left,
                    None => pc = cell.off as usize,
                },
                Code::Call => {
                    let Some(helper) = linked.helpers().get(cell.imm as usize) else {
                        stop!(TrapKind::Unsupported { what: "a helper without a row in the table" })
                    };
                    if M::CHECKED {
                        env.set_helper(helper.id.0);
                    }
                    self.depth.set(depth + 1);
                    // SAFETY: the verifier proved the arguments, or the environment knows the live memory.
                    regs[0] = unsafe { (helper.func)(regs[1], regs[2], regs[3], regs[4], regs[5], env) };
                    if env.trapped() {
                        stop!();
                    }
                }
                Code::Lookup => {
                    let Some(table) = self.interp.tables.get(cell.imm as usize) else {
                        stop!(TrapKind::Unsupported { what: "a lookup without a table" })
                    };
                    // SAFETY: only verified programs have these, and R2 is a key of the map.
                    let key = unsafe { memory::load(regs[2], Size::W) };
                    regs[0] = if key < table.entries.into() { table.base + key * table.stride } else { 0 };
                }
                Code::TailCall => {
                    if M::CHECKED {
                        env.set_helper(crate::lower::TAIL_CALL as u32);
                    }
                    // SAFETY: as for helpers.
                    let done = unsafe { tail_call(regs[1], regs[2], regs[3], env) };
                    if env.trapped() {
                        stop!();
                    }
                    regs[0] = done.r0;
                    if done.taken != 0 {
                        leave!();
                    }
                }
                Code::CallLocal => {
                    if depth + 1 >= MAX_FRAMES {
                        stop!(TrapKind::CallDepth);
                    }
                    let subprog = cell.imm as usize;
                    let Some(entry) = linked.subprogs().get(subprog).map(|s| s.entry as usize) else {
                        stop!(TrapKind::FellOff)
                    };
                    let mut frame = Saved { saved: [0; 5], back: pc, may_goto };
                    frame.saved.copy_from_slice(&regs[6..11]);
                    saved[depth - base] = frame;
                    depth += 1;
                    // SAFETY: `depth` is less than MAX_FRAMES, and the frame above all in use.
                    regs[10] = unsafe { self.frame::<M>(env, depth, subprog) };
                    (pc, may_goto) = (entry, MAY_GOTO_BUDGET);
                }
                Code::Exit => leave!(),
                Code::Packet => {
                    if M::CHECKED && !env.check_ctx(regs[6]) {
                        stop!();
                    }
                    let index = if cell.imm & PACKET_INDEXED == 0 { 0 } else { reg!(cell.src) };
                    let load = legacy_packet(cell.imm & 0xff, index.wrapping_add(cell.off as i64 as u64), env);
                    regs[0] = load.value;
                    if load.ok == 0 {
                        leave!();
                    }
                }
                Code::FellOff => stop!(TrapKind::FellOff),
            }));
        }
    }

    /// R10 of a frame.
    fn top(&self, depth: usize) -> u64 {
        self.stack as u64 + (depth as u64 + 1) * u64::from(FRAME_BYTES)
    }
}
