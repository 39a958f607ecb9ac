//! Statements on numbers in registers.

use ring3_isa::{AluOp, EndianOp, Insn, Operand, Size, Wide, Width};

use super::Generator;
use super::state::Kind;

impl Generator<'_, '_> {
    pub(super) fn alu(&mut self) {
        let (op, width) = (self.entropy.pick(AluOp::ALL), self.width());
        let dst = self.own_number();
        let src = match self.operand() {
            Operand::Imm(imm) => Operand::Imm(legal(op, width, imm)),
            reg => reg,
        };
        self.out.push(Insn::Alu { width, op, dst, src });
    }

    pub(super) fn moves(&mut self) {
        let width = self.width();
        match self.entropy.below(3) {
            0 => {
                let (dst, src) = (self.target(), self.operand());
                self.out.push(Insn::Mov { width, dst, src });
                self.state.set(dst, Kind::Number);
            }
            1 => {
                let src = self.number();
                let dst = self.target();
                let sizes: &[Size] = match width {
                    Width::W32 => &[Size::B, Size::H],
                    Width::W64 => &[Size::B, Size::H, Size::W],
                };
                let from = self.entropy.pick(sizes);
                self.out.push(Insn::MovSx { width, from, dst, src });
                self.state.set(dst, Kind::Number);
            }
            _ => {
                // An address in a second register.
                let Some(src) = self.reg_where(Kind::is_memory) else { return };
                let dst = self.target();
                if self.loops == 0 {
                    self.copy(dst, src);
                }
            }
        }
    }

    pub(super) fn unary(&mut self) {
        let dst = self.own_number();
        if self.entropy.one_in(3) {
            let width = self.width();
            self.out.push(Insn::Neg { width, dst });
        } else {
            let (op, size) = (self.entropy.pick(EndianOp::ALL), self.entropy.pick(&[Size::H, Size::W, Size::Dw]));
            self.out.push(Insn::Endian { op, size, dst });
        }
    }

    pub(super) fn wide(&mut self) {
        let (dst, value) = (self.target(), self.entropy.number());
        self.out.push(Insn::LoadImm { dst, value: Wide::Imm(value) });
        self.state.set(dst, Kind::Number);
    }
}

/// An immediate that the verifier takes: it refuses divisions by zero and shifts beyond the width.
pub(super) fn legal(op: AluOp, width: Width, imm: i32) -> i32 {
    match op {
        AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod if imm == 0 => 3,
        AluOp::Lsh | AluOp::Rsh | AluOp::Arsh => imm & (width.bits() as i32 - 1),
        AluOp::Div
        | AluOp::SDiv
        | AluOp::Mod
        | AluOp::SMod
        | AluOp::Add
        | AluOp::Sub
        | AluOp::Mul
        | AluOp::Or
        | AluOp::And
        | AluOp::Xor => imm,
    }
}
