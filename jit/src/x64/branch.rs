//! Conditional jumps.

use dynasmrt::DynasmApi;
use ring3_isa::{CmpOp, Operand, Reg, Width};

use super::abi::BUDGET_SLOT;
use super::regs::{self, R11};
use super::{Flags, NEVER, Reach, X64, emit};
use crate::code::Label;
use crate::opt::Chosen;
use crate::target::Frame;

impl X64 {
    #[inline(always)]
    pub(super) fn emit_branch(&mut self, width: Width, op: CmpOp, lhs: Reg, rhs: Operand, target: Label) {
        let result = self.flags(width, op, lhs, rhs);
        self.jump_if(op, result, target);
    }

    /// By the flags of a comparison, or of a result that is compared with 0.
    #[inline(always)]
    pub(super) fn jump_if(&mut self, op: CmpOp, result: bool, target: Label) {
        let condition = condition(op, result);
        match self.short(target) {
            Some(distance) => self.asm.put(u64::from(0x70 | condition) | u64::from(distance as u8) << 8, 2),
            None if self.is_near(target) => {
                self.asm.put((0x70 | condition).into(), 2);
                self.asm.jumps_near(target);
            }
            None => {
                self.asm.put(0x0f | u64::from(0x80 | condition) << 8, 6);
                self.asm.jumps_to(4, target);
            }
        }
    }

    pub(super) fn jump_to(&mut self, target: Label) {
        match self.short(target) {
            Some(distance) => self.asm.put(0xeb | u64::from(distance as u8) << 8, 2),
            None if self.is_near(target) => {
                self.asm.put(0xeb, 2);
                self.asm.jumps_near(target);
            }
            None => {
                self.asm.put(0xe9, 5);
                self.asm.jumps_to(4, target);
            }
        }
    }

    pub(super) fn call_to(&mut self, function: Label) {
        self.asm.put(0xe8, 5);
        self.asm.jumps_to(4, function);
    }

    /// How far back the label is for an instruction of two bytes, if that can hold it.
    fn short(&self, target: Label) -> Option<i8> {
        let place = self.asm.placed(target)?;
        i8::try_from(i64::from(place) - self.asm.offset().0 as i64 - 2).ok()
    }

    /// Whether an instruction of two bytes is to do for a label that is further down.
    fn is_near(&self, target: Label) -> bool {
        target.is_near() && self.reach == Reach::Near
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
        // `cmov` with the opposite condition: the lowest bit inverts it.
        let rex = 0x48 | (d >> 3) << 2 | v >> 3;
        let code = [rex, 0x0f, 0x40 | condition(op, result) ^ 1, 0xc0 | (d & 7) << 3 | v & 7];
        self.asm.put(u64::from(u32::from_le_bytes(code)), 4);
    }

    /// True if they are not those of a comparison, but of the register itself, which is compared with 0.
    #[inline(always)]
    fn flags(&mut self, width: Width, op: CmpOp, lhs: Reg, rhs: Operand) -> bool {
        let lhs = regs::of(lhs);
        let here = Flags { offset: self.asm.offset().0, reg: lhs, width };
        let by_result = matches!(op, CmpOp::Eq | CmpOp::Ne | CmpOp::Slt | CmpOp::Sge) && rhs == Operand::Imm(0);
        if by_result && self.flags == here {
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
        self.flags = Flags { offset: self.asm.offset().0, reg, width };
    }

    /// What was emitted since `before` changed this register, and no flags.
    pub(super) fn keep_flags(&mut self, before: usize, changed: u8) {
        let kept = self.flags.offset == before && self.flags.reg != changed;
        self.flags.offset = if kept { self.asm.offset().0 } else { NEVER };
    }

    #[inline(always)]
    fn compare(&mut self, width: Width, lhs: u8, rhs: Operand) {
        if rhs == Operand::Imm(0) {
            // Sets the same flags as a comparison with 0, and is shorter.
            return self.two_registers(width, 0x85, lhs, lhs);
        }
        self.group1_register(width, 7, lhs, rhs);
    }

    /// `cmp` with a byte, which is sign-extended.
    pub(super) fn compare_byte(&mut self, width: Width, lhs: u8, imm: i8) {
        self.group1_register(width, 7, lhs, Operand::Imm(imm.into()));
    }

    fn test(&mut self, width: Width, lhs: u8, rhs: Operand) {
        match (width, rhs) {
            (_, Operand::Reg(rhs)) => self.two_registers(width, 0x85, regs::of(rhs), lhs),
            // The sign-extended half of the immediate matters only if it is not zero.
            (Width::W64, Operand::Imm(imm @ ..0)) => emit!(self, test Rq(lhs), DWORD imm),
            (Width::W64 | Width::W32, Operand::Imm(imm)) => emit!(self, test Rd(lhs), DWORD imm),
        }
    }

    /// At 0 it stays there, so that every later one in the frame jumps too.
    pub(super) fn emit_may_goto(&mut self, _frame: &Frame, target: Label) {
        emit!(self, cmp DWORD [rsp + BUDGET_SLOT], 0);
        self.jump_if(CmpOp::Eq, false, target);
        emit!(self, dec DWORD [rsp + BUDGET_SLOT]);
    }
}

/// The condition as the machine's instructions have it, of flags as of `X64::flags`.
const fn condition(op: CmpOp, result: bool) -> u8 {
    match op {
        CmpOp::Lt => 2,
        CmpOp::Ge => 3,
        CmpOp::Eq => 4,
        CmpOp::Ne | CmpOp::Set => 5,
        CmpOp::Le => 6,
        CmpOp::Gt => 7,
        CmpOp::Slt if result => 8,
        CmpOp::Sge if result => 9,
        CmpOp::Slt => 0xc,
        CmpOp::Sge => 0xd,
        CmpOp::Sle => 0xe,
        CmpOp::Sgt => 0xf,
    }
}
