//! Conditional jumps.

use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi};
use ring3_isa::{CmpOp, Operand, Reg, Width};

use super::abi::BUDGET_SLOT;
use super::regs::{self, R11};
use super::{Flags, X64, emit};
use crate::opt::Chosen;
use crate::target::Frame;

impl X64 {
    pub(super) fn emit_branch(&mut self, width: Width, op: CmpOp, lhs: Reg, rhs: Operand, target: DynamicLabel) {
        let result = self.flags(width, op, lhs, rhs);
        self.jump_if(op, result, target);
    }

    /// By the flags of a comparison, or of a result that is compared with 0.
    pub(super) fn jump_if(&mut self, op: CmpOp, result: bool, target: DynamicLabel) {
        match op {
            CmpOp::Slt if result => emit!(self, js =>target),
            CmpOp::Sge if result => emit!(self, jns =>target),
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

    pub(super) fn emit_select_unless(
        &mut self,
        width: Width,
        op: CmpOp,
        lhs: Reg,
        rhs: Operand,
        dst: Reg,
        value: Chosen,
    ) {
        // Before the comparison: what loads a number may change the flags.
        let v = match value {
            Chosen::Reg(reg) => regs::of(reg),
            Chosen::Low(reg) => {
                let before = self.asm.offset().0;
                emit!(self, mov r11d, Rd(regs::of(reg)));
                self.keep_flags(before, R11);
                R11
            }
            Chosen::Number(number) => {
                self.emit_load_imm(R11, number);
                R11
            }
        };
        let result = self.flags(width, op, lhs, rhs);
        let d = regs::of(dst);
        match op {
            CmpOp::Slt if result => emit!(self, cmovns Rq(d), Rq(v)),
            CmpOp::Sge if result => emit!(self, cmovs Rq(d), Rq(v)),
            CmpOp::Eq => emit!(self, cmovne Rq(d), Rq(v)),
            CmpOp::Ne | CmpOp::Set => emit!(self, cmove Rq(d), Rq(v)),
            CmpOp::Gt => emit!(self, cmovbe Rq(d), Rq(v)),
            CmpOp::Ge => emit!(self, cmovb Rq(d), Rq(v)),
            CmpOp::Lt => emit!(self, cmovae Rq(d), Rq(v)),
            CmpOp::Le => emit!(self, cmova Rq(d), Rq(v)),
            CmpOp::Sgt => emit!(self, cmovle Rq(d), Rq(v)),
            CmpOp::Sge => emit!(self, cmovl Rq(d), Rq(v)),
            CmpOp::Slt => emit!(self, cmovge Rq(d), Rq(v)),
            CmpOp::Sle => emit!(self, cmovg Rq(d), Rq(v)),
        }
    }

    /// True if they are not those of a comparison, but of the register itself, which is compared with 0.
    fn flags(&mut self, width: Width, op: CmpOp, lhs: Reg, rhs: Operand) -> bool {
        let lhs = regs::of(lhs);
        let here = Flags { offset: self.asm.offset().0, reg: lhs, width };
        let by_result = matches!(op, CmpOp::Eq | CmpOp::Ne | CmpOp::Slt | CmpOp::Sge) && rhs == Operand::Imm(0);
        if by_result && self.flags == Some(here) {
            return true;
        }
        if op == CmpOp::Set {
            self.test(width, lhs, rhs);
        } else {
            self.compare(width, lhs, rhs);
        }
        false
    }

    /// The flags are those of this result now.
    pub(super) fn set_flags(&mut self, reg: u8, width: Width) {
        self.flags = Some(Flags { offset: self.asm.offset().0, reg, width });
    }

    /// What was emitted since `before` changed this register, and no flags.
    pub(super) fn keep_flags(&mut self, before: usize, changed: u8) {
        let offset = self.asm.offset().0;
        self.flags = self.flags.filter(|flags| flags.offset == before && flags.reg != changed);
        if let Some(flags) = &mut self.flags {
            flags.offset = offset;
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
