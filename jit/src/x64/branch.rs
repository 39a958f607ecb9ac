//! Conditional jumps.

use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi};
use ring3_isa::{CmpOp, Operand, Reg, Width};

use super::abi::BUDGET_SLOT;
use super::regs;
use super::{X64, emit};
use crate::target::Frame;

impl X64 {
    pub(super) fn emit_branch(&mut self, width: Width, op: CmpOp, lhs: Reg, rhs: Operand, target: DynamicLabel) {
        if op == CmpOp::Set {
            self.test(width, regs::of(lhs), rhs);
        } else {
            self.compare(width, regs::of(lhs), rhs);
        }
        match op {
            CmpOp::Eq => emit!(self, je =>target),
            CmpOp::Ne | CmpOp::Set => emit!(self, jne =>target),
            CmpOp::Gt => emit!(self, ja =>target),
            CmpOp::Ge => emit!(self, jae =>target),
            CmpOp::Lt => emit!(self, jb =>target),
            CmpOp::Le => emit!(self, jbe =>target),
            CmpOp::Sgt => emit!(self, jg =>target),
            CmpOp::Sge => emit!(self, jge =>target),
            CmpOp::Slt => emit!(self, jl =>target),
            CmpOp::Sle => emit!(self, jle =>target),
        }
    }

    fn compare(&mut self, width: Width, lhs: u8, rhs: Operand) {
        match (width, rhs) {
            (Width::W64, Operand::Reg(rhs)) => emit!(self, cmp Rq(lhs), Rq(regs::of(rhs))),
            (Width::W32, Operand::Reg(rhs)) => emit!(self, cmp Rd(lhs), Rd(regs::of(rhs))),
            // Sets the same flags as a comparison with 0, and is shorter.
            (Width::W64, Operand::Imm(0)) => emit!(self, test Rq(lhs), Rq(lhs)),
            (Width::W32, Operand::Imm(0)) => emit!(self, test Rd(lhs), Rd(lhs)),
            (Width::W64, Operand::Imm(imm)) => match i8::try_from(imm) {
                Ok(imm) => self.compare_byte(width, lhs, imm),
                Err(_) => emit!(self, cmp Rq(lhs), DWORD imm),
            },
            (Width::W32, Operand::Imm(imm)) => match i8::try_from(imm) {
                Ok(imm) => self.compare_byte(width, lhs, imm),
                Err(_) => emit!(self, cmp Rd(lhs), DWORD imm),
            },
        }
    }

    /// `cmp` with a sign-extended byte, for which dynasm takes the form with four.
    pub(super) fn compare_byte(&mut self, width: Width, lhs: u8, imm: i8) {
        let rex = 0x40 | if width == Width::W64 { 8 } else { 0 } | (lhs >> 3);
        if rex != 0x40 {
            self.asm.push(rex);
        }
        self.asm.push(0x83);
        self.asm.push(0xc0 | 7 << 3 | (lhs & 7));
        self.asm.push_i8(imm);
    }

    fn test(&mut self, width: Width, lhs: u8, rhs: Operand) {
        match (width, rhs) {
            (Width::W64, Operand::Reg(rhs)) => emit!(self, test Rq(lhs), Rq(regs::of(rhs))),
            (Width::W32, Operand::Reg(rhs)) => emit!(self, test Rd(lhs), Rd(regs::of(rhs))),
            // The sign-extended half of the immediate matters only if it is not zero.
            (Width::W64, Operand::Imm(imm @ ..0)) => emit!(self, test Rq(lhs), DWORD imm),
            (Width::W64 | Width::W32, Operand::Imm(imm)) => emit!(self, test Rd(lhs), DWORD imm),
        }
    }

    /// At 0 it stays there, so that every later one in the frame jumps too.
    pub(super) fn emit_may_goto(&mut self, _frame: &Frame, target: DynamicLabel) {
        emit!(self, cmp DWORD [rsp + BUDGET_SLOT], 0; je =>target; dec DWORD [rsp + BUDGET_SLOT]);
    }
}
