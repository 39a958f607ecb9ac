//! Which registers have an upper half of zeros, which makes extensions needless and divisions short.

use ring3_isa::{AluOp, Operand, Reg, RegSet, Size, Width};
use ring3_vm::Op;

/// What is known of the upper half of a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Upper {
    Zero,
    Any,
    /// What it was in this register at the start of the block.
    AsIn(Reg),
}

/// The upper half of what an operation makes, by those of the registers that it reads.
pub(super) fn made_by(op: Op, of: impl Fn(Reg) -> Upper) -> Upper {
    let zero_if = |zero| if zero { Upper::Zero } else { Upper::Any };
    match op {
        Op::Alu { width: Width::W32, .. }
        | Op::Mov { width: Width::W32, .. }
        | Op::MovSx { width: Width::W32, .. }
        | Op::Neg { width: Width::W32, .. } => Upper::Zero,
        Op::Mov { src: Operand::Reg(src), .. } => of(src),
        Op::Mov { src: Operand::Imm(imm), .. } => zero_if(imm >= 0),
        Op::LoadImm { value, .. } => zero_if(u32::try_from(value).is_ok()),
        Op::Load { size, signed, .. } => zero_if(!signed && size != Size::Dw),
        Op::Endian { size, .. } if size != Size::Dw => Upper::Zero,
        Op::Alu { op, dst, src, .. } => match (op, src) {
            (AluOp::And, Operand::Imm(0..)) => Upper::Zero,
            (AluOp::And, Operand::Reg(src)) if of(src) == Upper::Zero => Upper::Zero,
            (AluOp::Or | AluOp::Xor, Operand::Reg(src)) if of(src) == Upper::Zero => of(dst),
            (AluOp::Rsh, Operand::Imm(imm)) if imm & 63 >= 32 => Upper::Zero,
            // What makes a number smaller, or clears bits of it.
            (AluOp::And, _) | (AluOp::Rsh, _) | (AluOp::Mod | AluOp::Div, _) => of(dst),
            (AluOp::Or | AluOp::Xor, Operand::Imm(0..)) => of(dst),
            _ => Upper::Any,
        },
        _ => Upper::Any,
    }
}

/// What a block makes of the upper halves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Transfer {
    after: [Upper; Reg::COUNT],
}

impl Transfer {
    /// Nothing happened yet.
    pub(super) fn start() -> Transfer {
        Transfer { after: std::array::from_fn(|index| Reg::new(index as u8).map_or(Upper::Any, Upper::AsIn)) }
    }

    /// An operation that writes these registers.
    pub(super) fn step(&mut self, op: Op, writes: RegSet, pure: bool) {
        let made = if pure { made_by(op, |reg| self.after[reg.index()]) } else { Upper::Any };
        for reg in writes.iter() {
            self.after[reg.index()] = made;
        }
    }

    /// The registers with an upper half of zeros behind the block, by those before it.
    pub(super) fn apply(&self, before: RegSet) -> RegSet {
        let zero = |reg: &Reg| match self.after[reg.index()] {
            Upper::Zero => true,
            Upper::Any => false,
            Upper::AsIn(from) => before.contains(from),
        };
        RegSet::ALL.iter().filter(zero).fold(RegSet::EMPTY, RegSet::with)
    }
}
