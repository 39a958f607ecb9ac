//! What is added for embedders who do not trust their tenants: `crate::guards`.

use dynasmrt::{DynasmApi, DynasmLabelApi};
use ring3_isa::{CmpOp, Reg};

use super::regs::{self, RAX};
use super::{X64, emit};
use crate::code::Label;
use crate::guards::Budget;
use crate::target::Callee;

impl X64 {
    pub(super) fn emit_push(&mut self, reg: Reg) {
        emit!(self, push Rq(regs::of(reg)));
    }

    pub(super) fn emit_pop(&mut self, reg: Reg) {
        emit!(self, pop Rq(regs::of(reg)));
    }

    pub(super) fn emit_count(&mut self, budget: Budget, steps: i32) {
        emit!(self, sub QWORD [r12 + budget.offset as i32], DWORD steps);
    }

    pub(super) fn emit_stop_if_used_up(&mut self, budget: Budget, stop: Label) {
        emit!(self, cmp QWORD [r12 + budget.offset as i32], 0);
        self.jump_if(CmpOp::Slt, false, stop);
    }

    pub(super) fn emit_unless_set(&mut self, offset: u32, target: Label) {
        emit!(self, cmp BYTE [r12 + offset as i32], 0);
        self.jump_if(CmpOp::Eq, false, target);
    }

    pub(super) fn emit_tell(&mut self, callee: Callee, slot: u32) {
        emit!(self, mov rdi, r12; mov esi, DWORD slot as i32);
        self.emit_indirect_call(callee.0 as u64);
        emit!(self, xor eax, eax);
    }

    /// Calls a function outside of the program: RAX is overwritten.
    pub(super) fn emit_indirect_call(&mut self, address: u64) {
        self.emit_load_imm(RAX, address);
        self.emit_call_rax();
    }

    pub(super) fn emit_call_rax(&mut self) {
        match self.thunk {
            Some(thunk) => self.call_to(thunk),
            None => emit!(self, call rax),
        }
    }

    /// Goes to the address in RAX by a return: where the processor guesses that a return goes to is the endless loop.
    pub(super) fn emit_thunk(&mut self) {
        let Some(thunk) = self.thunk else { return };
        self.asm.place(thunk);
        emit!(self, call >go; trap:; pause; lfence; jmp <trap; go:; mov [rsp], rax; ret);
    }
}
