//! Jumps and comparisons.

use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi};
use ring3_isa::{CmpOp, Operand, Reg, Width};

use super::abi::BUDGET_SLOT;
use super::alu::Imm12;
use super::regs::X16;
use super::{A64, Reach, emit, regs, sized};
use crate::opt::Chosen;
use crate::target::Frame;

/// A conditional branch, or its opposite around a jump that reaches further.
macro_rules! branch_if {
    ($a64:ident, $cond:ident, $opposite:ident, $target:expr) => {
        match $a64.reach {
            Reach::Near => emit!($a64, b.$cond =>$target),
            Reach::Far => emit!($a64, b.$opposite >past; b =>$target; past:),
        }
    };
}

impl A64 {
    /// `l` is a register of the machine other than X16 and X17.
    pub(super) fn emit_branch(&mut self, width: Width, op: CmpOp, l: u8, rhs: Operand, target: DynamicLabel) {
        match (op, rhs) {
            (CmpOp::Eq, Operand::Imm(0)) => return self.branch_zero(width, l, target),
            (CmpOp::Ne, Operand::Imm(0)) => return self.branch_not_zero(width, l, target),
            (CmpOp::Set, _) => self.emit_test(width, l, rhs),
            _ => self.compare(width, l, rhs),
        }
        match op {
            CmpOp::Eq => branch_if!(self, eq, ne, target),
            CmpOp::Ne | CmpOp::Set => branch_if!(self, ne, eq, target),
            CmpOp::Gt => branch_if!(self, hi, ls, target),
            CmpOp::Ge => branch_if!(self, hs, lo, target),
            CmpOp::Lt => branch_if!(self, lo, hs, target),
            CmpOp::Le => branch_if!(self, ls, hi, target),
            CmpOp::Sgt => branch_if!(self, gt, le, target),
            CmpOp::Sge => branch_if!(self, ge, lt, target),
            CmpOp::Slt => branch_if!(self, lt, ge, target),
            CmpOp::Sle => branch_if!(self, le, gt, target),
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
        let v = match value {
            Chosen::Reg(reg) => regs::of(reg),
            Chosen::Low(reg) => {
                emit!(self, mov W(X16), W(regs::of(reg)));
                X16
            }
            Chosen::Number(number) => {
                self.emit_load_imm(X16, number);
                X16
            }
        };
        let (d, l) = (regs::of(dst), regs::of(lhs));
        match op {
            CmpOp::Set => self.emit_test(width, l, rhs),
            _ => self.compare(width, l, rhs),
        }
        match op {
            CmpOp::Eq => emit!(self, csel X(d), X(d), X(v), eq),
            CmpOp::Ne | CmpOp::Set => emit!(self, csel X(d), X(d), X(v), ne),
            CmpOp::Gt => emit!(self, csel X(d), X(d), X(v), hi),
            CmpOp::Ge => emit!(self, csel X(d), X(d), X(v), hs),
            CmpOp::Lt => emit!(self, csel X(d), X(d), X(v), lo),
            CmpOp::Le => emit!(self, csel X(d), X(d), X(v), ls),
            CmpOp::Sgt => emit!(self, csel X(d), X(d), X(v), gt),
            CmpOp::Sge => emit!(self, csel X(d), X(d), X(v), ge),
            CmpOp::Slt => emit!(self, csel X(d), X(d), X(v), lt),
            CmpOp::Sle => emit!(self, csel X(d), X(d), X(v), le),
        }
    }

    fn branch_zero(&mut self, width: Width, reg: u8, target: DynamicLabel) {
        match (self.reach, width) {
            (Reach::Near, Width::W64) => emit!(self, cbz X(reg), =>target),
            (Reach::Near, Width::W32) => emit!(self, cbz W(reg), =>target),
            (Reach::Far, Width::W64) => emit!(self, cbnz X(reg), >past; b =>target; past:),
            (Reach::Far, Width::W32) => emit!(self, cbnz W(reg), >past; b =>target; past:),
        }
    }

    fn branch_not_zero(&mut self, width: Width, reg: u8, target: DynamicLabel) {
        match (self.reach, width) {
            (Reach::Near, Width::W64) => emit!(self, cbnz X(reg), =>target),
            (Reach::Near, Width::W32) => emit!(self, cbnz W(reg), =>target),
            (Reach::Far, Width::W64) => emit!(self, cbz X(reg), >past; b =>target; past:),
            (Reach::Far, Width::W32) => emit!(self, cbz W(reg), >past; b =>target; past:),
        }
    }

    /// Comparing with a negative number is adding its magnitude: the flags are the same, but for 0, which is not negative.
    fn compare(&mut self, width: Width, l: u8, rhs: Operand) {
        let small = match rhs {
            Operand::Imm(imm) => Imm12::new(imm.unsigned_abs()).map(|value| (value, imm < 0)),
            Operand::Reg(_) => None,
        };
        match (width, small) {
            (Width::W64, Some((Imm12::Low(imm), false))) => emit!(self, cmp XSP(l), imm),
            (Width::W64, Some((Imm12::High(imm), false))) => emit!(self, cmp XSP(l), imm, lsl 12),
            (Width::W64, Some((Imm12::Low(imm), true))) => emit!(self, cmn XSP(l), imm),
            (Width::W64, Some((Imm12::High(imm), true))) => emit!(self, cmn XSP(l), imm, lsl 12),
            (Width::W32, Some((Imm12::Low(imm), false))) => emit!(self, cmp WSP(l), imm),
            (Width::W32, Some((Imm12::High(imm), false))) => emit!(self, cmp WSP(l), imm, lsl 12),
            (Width::W32, Some((Imm12::Low(imm), true))) => emit!(self, cmn WSP(l), imm),
            (Width::W32, Some((Imm12::High(imm), true))) => emit!(self, cmn WSP(l), imm, lsl 12),
            (_, None) => {
                let r = self.operand(width, rhs);
                sized!(self, cmp, width, l, r);
            }
        }
    }

    /// At 0 it stays there, so that every later one in the frame jumps too.
    pub(super) fn emit_may_goto(&mut self, _frame: &Frame, target: DynamicLabel) {
        emit!(self, ldr w17, [sp, BUDGET_SLOT]);
        self.branch_zero(Width::W32, regs::X17, target);
        emit!(self, sub w17, w17, 1; str w17, [sp, BUDGET_SLOT]);
    }
}
