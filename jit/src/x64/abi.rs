//! Frames: what a function builds at its start and takes down at its exits.
//!
//! From the top: the return address, what is saved for the caller (R10 last), the stack of BPF that ends at R10, the slots of
//! the function itself, padding. RSP stays at the bottom and, where the function calls something, is a multiple of 16.

use dynasmrt::DynasmApi;
use ring3_isa::Reg;

use super::regs::{R12, R13, R14, R15, RBP, RBX};
use super::{X64, emit};
use crate::symbols::Unwind;
use crate::target::Frame;

/// Registers that a function may have to save, as of BPF and of the machine.
const SAVED: [(Reg, u8); 4] = [(Reg::R6, RBX), (Reg::R7, R13), (Reg::R8, R14), (Reg::R9, R15)];

/// Offset from RSP of the budget of `may_goto`.
pub(super) const BUDGET_SLOT: i32 = 0;

/// Bytes of that slot.
const SLOTS: u32 = 8;

/// The registers that the function saves, in the order of their pushes.
fn saved(frame: &Frame) -> impl DoubleEndedIterator<Item = u8> {
    SAVED.into_iter().filter(|(reg, _)| frame.saved.contains(*reg)).map(|(_, machine)| machine)
}

/// Whether the function must keep and set the register of the environment: the others are called with it in place.
const fn sets_env(frame: &Frame) -> bool {
    frame.entry && frame.calls
}

/// Bytes below what is pushed.
fn local_bytes(frame: &Frame) -> u32 {
    let stack = if frame.uses_stack { frame.stack.next_multiple_of(8) } else { 0 };
    let slots = if frame.may_goto.is_some() { SLOTS } else { 0 };
    let pushes = saved(frame).count() + usize::from(sets_env(frame)) + usize::from(frame.uses_stack);
    // With the return address, `pushes + 1` words are above. R10 is a multiple of 8 for any number of them.
    let odd = (pushes as u32 + 1 + (stack + slots) / 8) % 2;
    stack + slots + if frame.calls { odd * 8 } else { 0 }
}

/// DWARF's numbers of the registers that a function saves, by number of the machine (System V ABI, figure 3.36).
const fn dwarf(machine: u8) -> u8 {
    match machine {
        RBX => 3,
        RBP => 6,
        other => other,
    }
}

/// Frames as `emit_prologue` builds them.
pub(super) fn unwind(frame: &Frame) -> Unwind {
    let env = sets_env(frame).then_some(R12);
    let pushed = saved(frame).chain(env).chain(frame.uses_stack.then_some(RBP));
    // The return address is the first word below the place that is counted from.
    let saved: Vec<(u8, u32)> = pushed.zip(2..).map(|(machine, word)| (dwarf(machine), 8 * word)).collect();
    Unwind { prologue: 0, frame: 8 * (saved.len() as u32 + 1) + local_bytes(frame), saved }
}

/// The frame of `emit_callback_trampoline`.
pub(super) fn trampoline_unwind() -> Unwind {
    Unwind { prologue: 2, frame: 16, saved: vec![(dwarf(R12), 16)] }
}

impl X64 {
    pub(super) fn emit_prologue(&mut self, frame: &Frame) {
        for machine in saved(frame) {
            emit!(self, push Rq(machine));
        }
        if sets_env(frame) {
            emit!(self, push r12; mov r12, rsi);
        }
        if frame.uses_stack {
            emit!(self, push rbp; mov rbp, rsp);
        }
        match local_bytes(frame) {
            0 => {}
            bytes @ 1..128 => emit!(self, sub rsp, BYTE bytes as i8),
            bytes => emit!(self, sub rsp, DWORD bytes as i32),
        }
        if let Some(budget) = frame.may_goto {
            emit!(self, mov DWORD [rsp + BUDGET_SLOT], budget as i32);
        }
        if frame.uses_stack {
            self.emit_clear_stack(frame.zeroed);
        }
    }

    /// Zeroes bytes of the stack of BPF.
    fn emit_clear_stack(&mut self, (from, to): (u32, u32)) {
        let bytes = to.saturating_sub(from);
        if bytes >= 16 {
            emit!(self, pxor xmm0, xmm0);
        }
        for end in (0..bytes / 16).map(|chunk| -(from as i32) - (chunk + 1) as i32 * 16) {
            emit!(self, movups[rbp + end], xmm0);
        }
        if !bytes.is_multiple_of(16) {
            emit!(self, mov QWORD [rbp - to as i32], 0);
        }
    }

    /// Takes the frame down; RAX and the argument registers stay. The return address is on top then.
    pub(super) fn emit_epilogue(&mut self, frame: &Frame) {
        match local_bytes(frame) {
            0 => {}
            bytes @ 1..128 => emit!(self, add rsp, BYTE bytes as i8),
            bytes => emit!(self, add rsp, DWORD bytes as i32),
        }
        if frame.uses_stack {
            emit!(self, pop rbp);
        }
        if sets_env(frame) {
            emit!(self, pop r12);
        }
        for machine in saved(frame).rev() {
            emit!(self, pop Rq(machine));
        }
    }

    /// `extern "C" fn(entry: *const u8, args: *const [u64; 5], env: *mut Env) -> u64`. Only the register of the environment is
    /// to be saved: the callee saves what else it changes.
    pub(super) fn emit_callback_trampoline(&mut self) {
        emit!(self, push r12
            ; mov r12, rdx
            ; mov rax, rdi
            ; mov r10, rsi
            ; mov rdi, [r10]
            ; mov rsi, [r10 + 8]
            ; mov rdx, [r10 + 16]
            ; mov rcx, [r10 + 24]
            ; mov r8, [r10 + 32]
        );
        self.emit_call_rax();
        emit!(self, pop r12; ret);
    }
}
