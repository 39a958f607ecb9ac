//! Jumps and comparisons.

use dynasmrt::DynasmApi;
use ring3_isa::{CmpOp, Operand, Reg, Width};

use super::abi::BUDGET_SLOT;
use super::alu::Imm12;
use super::regs::X16;
use super::{A64, Reach, emit, regs, sized};
use crate::code::Label;
use crate::opt::Chosen;
use crate::target::Frame;

/// `b`, to which the distance is added.
pub(super) const B: u32 = 0x1400_0000;
/// `bl`.
pub(super) const BL: u32 = 0x9400_0000;
/// `b.cond`, to which the condition is added too.
const B_COND: u32 = 0x5400_0000;
/// `cbz` on 32 bits of a register.
const CBZ: u32 = 0x3400_0000;
/// `cbz` and `cbnz` differ in this bit.
const NOT_ZERO: u32 = 1 << 24;
/// And these of both widths in this one.
const SF: u32 = 1 << 31;

/// Conditions by their numbers (C1.2.4 of the manual). The lowest bit inverts them.
pub(super) const EQ: u32 = 0;
const NE: u32 = 1;
const HS: u32 = 2;
const LO: u32 = 3;
const HI: u32 = 8;
const LS: u32 = 9;
const GE: u32 = 10;
pub(super) const LT: u32 = 11;
const GT: u32 = 12;
const LE: u32 = 13;

/// Puts the distance, which must be one of whole instructions, into the field of a branch: 26 bits of `b` and `bl`, 19 of the others.
pub(super) fn patch(field: &mut [u8; 4], distance: i64) -> bool {
    let word = u32::from_le_bytes(*field);
    let (bits, shift) = if word & 0x7c00_0000 == B { (26, 0) } else { (19, 5) };
    let (far, limit) = (distance / 4, 1 << (bits - 1));
    if distance % 4 != 0 || !(-limit..limit).contains(&far) {
        return false;
    }
    let mask = (1u32 << bits) - 1;
    *field = (word | (far as u32 & mask) << shift).to_le_bytes();
    true
}

/// The condition that holds after a comparison.
const fn condition(op: CmpOp) -> u32 {
    match op {
        CmpOp::Eq => EQ,
        CmpOp::Ne | CmpOp::Set => NE,
        CmpOp::Gt => HI,
        CmpOp::Ge => HS,
        CmpOp::Lt => LO,
        CmpOp::Le => LS,
        CmpOp::Sgt => GT,
        CmpOp::Sge => GE,
        CmpOp::Slt => LT,
        CmpOp::Sle => LE,
    }
}

impl A64 {
    /// `l` is a register of the machine other than X16 and X17.
    pub(super) fn emit_branch(&mut self, width: Width, op: CmpOp, l: u8, rhs: Operand, target: Label) {
        match (op, rhs) {
            (CmpOp::Eq, Operand::Imm(0)) => return self.branch_zero(width, l, target),
            (CmpOp::Ne, Operand::Imm(0)) => return self.branch_not_zero(width, l, target),
            (CmpOp::Set, _) => self.emit_test(width, l, rhs),
            _ => self.compare(width, l, rhs),
        }
        self.branch_if(condition(op), target);
    }

    /// A branch or call without a condition.
    pub(super) fn jump_with(&mut self, word: u32, target: Label) {
        self.asm.push_u32(word);
        self.asm.jumps_to(4, target);
    }

    pub(super) fn branch_if(&mut self, condition: u32, target: Label) {
        self.conditional(B_COND | condition, 1, target);
    }

    /// A conditional branch, or with this bit inverted its opposite around one that reaches further.
    fn conditional(&mut self, word: u32, opposite: u32, target: Label) {
        match self.reach {
            Reach::Near => self.jump_with(word, target),
            Reach::Far => {
                // Two instructions on.
                self.asm.push_u32((word ^ opposite) | 2 << 5);
                self.jump_with(B, target);
            }
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

    fn branch_zero(&mut self, width: Width, reg: u8, target: Label) {
        self.conditional(compare_zero(width, reg), NOT_ZERO, target);
    }

    fn branch_not_zero(&mut self, width: Width, reg: u8, target: Label) {
        self.conditional(compare_zero(width, reg) | NOT_ZERO, NOT_ZERO, target);
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
    pub(super) fn emit_may_goto(&mut self, _frame: &Frame, target: Label) {
        emit!(self, ldr w17, [sp, BUDGET_SLOT]);
        self.branch_zero(Width::W32, regs::X17, target);
        emit!(self, sub w17, w17, 1; str w17, [sp, BUDGET_SLOT]);
    }
}

/// `cbz`.
const fn compare_zero(width: Width, reg: u8) -> u32 {
    let wide = match width {
        Width::W64 => SF,
        Width::W32 => 0,
    };
    CBZ | wide | reg as u32
}
