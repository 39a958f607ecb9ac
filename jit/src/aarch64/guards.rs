//! What is added for embedders who do not trust their tenants: `crate::guards`.

use dynasmrt::DynasmApi;
use ring3_isa::Reg;

use super::branch::{EQ, LT};
use super::regs::{self, ENV, X7, X15, X16};
use super::{A64, emit};
use crate::code::Label;
use crate::guards::Budget;
use crate::target::Callee;

impl A64 {
    pub(super) fn emit_push(&mut self, reg: Reg) {
        emit!(self, str X(regs::of(reg)), [sp, #-16]!);
    }

    pub(super) fn emit_pop(&mut self, reg: Reg) {
        emit!(self, ldr X(regs::of(reg)), [sp], #16);
    }

    pub(super) fn emit_count(&mut self, budget: Budget, steps: i32) {
        self.load_left(budget);
        // By way of X17 if the number is large.
        self.emit_address(X15, X15, -steps);
        emit!(self, str X(X15), [X(ENV), X(X16)]);
    }

    /// Leaves the offset in X16.
    fn load_left(&mut self, budget: Budget) {
        self.emit_load_imm(X16, budget.offset.into());
        emit!(self, ldr X(X15), [X(ENV), X(X16)]);
    }

    pub(super) fn emit_stop_if_used_up(&mut self, budget: Budget, stop: Label) {
        self.load_left(budget);
        emit!(self, cmp X(X15), xzr);
        self.branch_if(LT, stop);
    }

    pub(super) fn emit_unless_set(&mut self, offset: u32, target: Label) {
        self.emit_load_imm(X16, offset.into());
        emit!(self, ldrb W(X15), [X(ENV), X(X16)]; cmp W(X15), wzr);
        self.branch_if(EQ, target);
    }

    pub(super) fn emit_tell(&mut self, callee: Callee, slot: u32) {
        emit!(self, mov x0, X(ENV));
        self.emit_load_imm(1, slot.into());
        self.emit_load_imm(X16, callee.0 as u64);
        emit!(self, blr x16; mov X(X7), xzr);
    }
}
