//! Frames: what a function builds at its start and takes down at its exits.
//!
//! From the top: what is saved for the caller in pairs, the frame record (X29 and X30, where X29 is R10 then), the stack of BPF
//! that ends there, the slots of the function itself, padding. SP is a multiple of 16 throughout, as the machine demands.

use dynasmrt::DynasmApi;
use ring3_isa::Reg;

use super::regs::{self, ENV, X0, X7, XZR};
use super::{A64, emit};
use crate::symbols::Unwind;
use crate::target::Frame;

/// Registers among those of BPF that a function may have to save.
const SAVED: [Reg; 4] = [Reg::R6, Reg::R7, Reg::R8, Reg::R9];

/// Offset from SP of the budget of `may_goto`.
pub(super) const BUDGET_SLOT: u32 = 0;

/// Bytes of that slot.
const SLOTS: u32 = 8;

/// What the function saves, in pairs; the zero register stands for nothing.
fn saved(frame: &Frame) -> impl DoubleEndedIterator<Item = (u8, u8)> {
    let mut registers = [XZR; 6];
    let mut count = 0;
    let env = sets_env(frame).then_some(ENV);
    for machine in SAVED.into_iter().filter(|reg| frame.saved.contains(*reg)).map(regs::of).chain(env) {
        registers[count] = machine;
        count += 1;
    }
    (0..count.div_ceil(2)).map(move |pair| (registers[2 * pair], registers[2 * pair + 1]))
}

/// Whether the function must keep and set the register of the environment: the others are called with it in place.
const fn sets_env(frame: &Frame) -> bool {
    frame.entry && frame.calls
}

/// Whether the function has a frame record: calls overwrite X30, and R10 is X29.
const fn has_record(frame: &Frame) -> bool {
    frame.calls || frame.uses_stack
}

/// Bytes of BPF's stack, in whole words.
const fn stack_bytes(frame: &Frame) -> u32 {
    if frame.uses_stack { frame.stack.next_multiple_of(8) } else { 0 }
}

/// Bytes below what is pushed: at most 528, which fits any immediate.
fn local_bytes(frame: &Frame) -> u32 {
    let slots = if frame.may_goto.is_some() { SLOTS } else { 0 };
    (stack_bytes(frame) + slots).next_multiple_of(16)
}

/// Frames as `emit_prologue` builds them. DWARF numbers registers as the machine does.
pub(super) fn unwind(frame: &Frame) -> Unwind {
    let record = has_record(frame).then_some((29, 30));
    let mut bytes = 0;
    let mut registers = Vec::new();
    for (first, second) in saved(frame).chain(record) {
        bytes += 16;
        registers.push((first, bytes));
        if second != XZR {
            registers.push((second, bytes - 8));
        }
    }
    Unwind { prologue: 0, frame: bytes + local_bytes(frame), saved: registers }
}

/// The frame of `emit_callback_trampoline`.
pub(super) fn trampoline_unwind() -> Unwind {
    Unwind { prologue: 12, frame: 32, saved: vec![(29, 32), (30, 24), (ENV, 16)] }
}

impl A64 {
    pub(super) fn emit_prologue(&mut self, frame: &Frame) {
        for (first, second) in saved(frame) {
            if second == XZR {
                emit!(self, str X(first), [sp, #-16]!);
            } else {
                emit!(self, stp X(first), X(second), [sp, #-16]!);
            }
        }
        if sets_env(frame) {
            emit!(self, mov X(ENV), x1);
        }
        if has_record(frame) {
            emit!(self, stp x29, x30, [sp, #-16]!; mov x29, sp);
        }
        let locals = local_bytes(frame);
        if locals > 0 {
            emit!(self, sub sp, sp, locals);
        }
        if let Some(budget) = frame.may_goto {
            self.emit_load_imm(regs::X17, budget.into());
            emit!(self, str w17, [sp, BUDGET_SLOT]);
        }
        if frame.uses_stack {
            self.emit_clear_stack(frame.zeroed);
        }
    }

    /// Zeroes bytes of the stack of BPF.
    fn emit_clear_stack(&mut self, (from, to): (u32, u32)) {
        let bytes = to.saturating_sub(from);
        if bytes >= 32 {
            emit!(self, movi v0.d2, 0);
        }
        for end in (0..bytes / 32).map(|chunk| -(from as i32) - (chunk + 1) as i32 * 32) {
            emit!(self, stp q0, q0, [x29, end]);
        }
        let bottom = -(to as i32);
        // What is left is less than 32 bytes; the two forms for words reach 512 and 256 bytes down.
        match bytes % 32 / 8 {
            0 => {}
            1 => self.store_zero(bottom),
            2 => emit!(self, stp xzr, xzr, [x29, bottom]),
            _ => {
                emit!(self, stp xzr, xzr, [x29, bottom]);
                self.store_zero(bottom + 16);
            }
        }
    }

    /// Zeroes the word at this offset from R10.
    fn store_zero(&mut self, off: i32) {
        self.emit_store(ring3_isa::Size::Dw, super::regs::of(Reg::FP), off, ring3_isa::Operand::Imm(0));
    }

    /// Takes the frame down and returns `result`, as R0 to functions of the program and as the ABI says to the outside.
    pub(super) fn emit_exit(&mut self, frame: &Frame, result: u8) {
        let to = if frame.entry { X0 } else { X7 };
        if to != result {
            emit!(self, mov X(to), X(result));
        }
        let locals = local_bytes(frame);
        if locals > 0 {
            emit!(self, add sp, sp, locals);
        }
        if has_record(frame) {
            emit!(self, ldp x29, x30, [sp], #16);
        }
        for (first, second) in saved(frame).rev() {
            if second == XZR {
                emit!(self, ldr X(first), [sp], #16);
            } else {
                emit!(self, ldp X(first), X(second), [sp], #16);
            }
        }
        emit!(self, ret);
    }

    /// `extern "C" fn(entry: *const u8, args: *const [u64; 5], env: *mut Env) -> u64`. Only the register of the environment is
    /// to be saved: the callee saves what else it changes.
    pub(super) fn emit_callback_trampoline(&mut self) {
        emit!(self, stp x29, x30, [sp, #-32]!
            ; mov x29, sp
            ; str X(ENV), [sp, 16]
            ; mov X(ENV), x2
            ; mov x16, x0
            ; mov x17, x1
            ; ldp x0, x1, [x17]
            ; ldp x2, x3, [x17, 16]
            ; ldr x4, [x17, 32]
            ; blr x16
            ; mov x0, X(X7)
            ; ldr X(ENV), [sp, 16]
            ; ldp x29, x30, [sp], #32
            ; ret
        );
    }
}
