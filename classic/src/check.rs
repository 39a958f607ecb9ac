//! What Linux accepts as a classic program. Every refusal is `EINVAL`.

use ring3_isa::{AluOp, Size};

use crate::error::{ClassicError, Refusal};
use crate::insn::{AD_OFF, Insn, MAX_INSNS, MEM_CELLS, Op, Source};
use crate::seccomp::SeccompData;

/// Where a program is attached.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// To a socket (`SO_ATTACH_FILTER`): it runs on packets, and returns how many bytes of one to keep.
    Socket,
    /// To system calls (`SECCOMP_SET_MODE_FILTER`): it runs on a [`SeccompData`], and returns an
    /// [`Action`](crate::Action).
    Seccomp,
}

/// A program that Linux accepts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    insns: Vec<Insn>,
    ops: Vec<Op>,
    place: Place,
}

impl Filter {
    /// Checks a program as `setsockopt(SO_ATTACH_FILTER)` does. Errors: `Length`, `Refused`.
    pub fn socket(insns: Vec<Insn>) -> Result<Filter, ClassicError> {
        let ops = check(&insns)?;
        Ok(Filter { insns, ops, place: Place::Socket })
    }

    /// Checks a program as `seccomp(SECCOMP_SET_MODE_FILTER)` does. Errors: `Length`, `Refused`.
    pub fn seccomp(insns: Vec<Insn>) -> Result<Filter, ClassicError> {
        let ops = check(&insns)?;
        for (slot, (op, insn)) in ops.iter().zip(&insns).enumerate() {
            check_seccomp(*op, *insn).or_else(|why| refused(slot, why))?;
        }
        Ok(Filter { insns, ops, place: Place::Seccomp })
    }

    /// The instructions.
    pub fn insns(&self) -> &[Insn] {
        &self.insns
    }

    /// Where it is attached.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Each instruction with what it does.
    pub(crate) fn steps(&self) -> impl ExactSizeIterator<Item = (Op, Insn)> + '_ {
        self.ops.iter().copied().zip(self.insns.iter().copied())
    }

    /// One instruction with what it does.
    pub(crate) fn step(&self, slot: usize) -> Option<(Op, Insn)> {
        Some((*self.ops.get(slot)?, *self.insns.get(slot)?))
    }
}

fn refused<T>(slot: usize, why: Refusal) -> Result<T, ClassicError> {
    Err(ClassicError::Refused { slot, why })
}

fn check(insns: &[Insn]) -> Result<Vec<Op>, ClassicError> {
    if insns.is_empty() || insns.len() > MAX_INSNS {
        return Err(ClassicError::Length { count: insns.len() });
    }
    let mut ops = Vec::with_capacity(insns.len());
    for (slot, insn) in insns.iter().enumerate() {
        let behind = insns.len() - slot - 1;
        ops.push(check_insn(*insn, behind).or_else(|why| refused(slot, why))?);
    }
    if !matches!(ops.last(), Some(Op::RetK | Op::RetA)) {
        return refused(insns.len() - 1, Refusal::NoReturn);
    }
    check_cells(&ops, insns)?;
    Ok(ops)
}

/// One instruction, with so many behind it.
fn check_insn(insn: Insn, behind: usize) -> Result<Op, Refusal> {
    let op = insn.op().ok_or(Refusal::UnknownOpcode(insn.code))?;
    let reaches = |distance: usize| if distance < behind { Ok(()) } else { Err(Refusal::JumpOut) };
    match op {
        Op::Alu(AluOp::Div | AluOp::Mod, Source::K) if insn.k == 0 => Err(Refusal::DivisionByZero),
        Op::Alu(AluOp::Lsh | AluOp::Rsh, Source::K) if insn.k >= 32 => Err(Refusal::Shift(insn.k)),
        Op::LoadMem | Op::LoadXMem | Op::Store | Op::StoreX if insn.k >= MEM_CELLS => Err(Refusal::NoCell(insn.k)),
        Op::LoadAbs(_) if insn.k >= AD_OFF && insn.extension().is_none() => Err(Refusal::NoExtension(insn.k)),
        Op::Jump if insn.k.cast_signed() < 0 => Err(Refusal::JumpBack),
        Op::Jump => reaches(insn.k as usize).map(|()| op),
        Op::Branch(..) => {
            reaches(insn.jt.into())?;
            reaches(insn.jf.into()).map(|()| op)
        }
        Op::LoadAbs(_)
        | Op::LoadInd(_)
        | Op::LoadLen
        | Op::LoadImm
        | Op::LoadMem
        | Op::LoadXMsh
        | Op::LoadXLen
        | Op::LoadXImm
        | Op::LoadXMem
        | Op::Store
        | Op::StoreX
        | Op::Alu(..)
        | Op::Neg
        | Op::RetK
        | Op::RetA
        | Op::Tax
        | Op::Txa => Ok(op),
    }
}

/// A cell of the scratch memory is read only where on every way something was stored in it. What a jump does not reach counts
/// as every cell stored, what stands after a return as reached from there.
fn check_cells(ops: &[Op], insns: &[Insn]) -> Result<(), ClassicError> {
    let mut at_target = vec![u16::MAX; ops.len()];
    let mut stored = 0;
    for (slot, (op, insn)) in ops.iter().zip(insns).enumerate() {
        stored &= at_target[slot];
        let mut goes = |distance: usize| {
            if let Some(target) = at_target.get_mut(slot + 1 + distance) {
                *target &= stored;
            }
        };
        match op {
            Op::Store | Op::StoreX => stored |= 1 << insn.k,
            Op::LoadMem | Op::LoadXMem if stored & 1 << insn.k == 0 => {
                return refused(slot, Refusal::NotStored(insn.k));
            }
            Op::Jump => {
                goes(insn.k as usize);
                stored = u16::MAX;
            }
            Op::Branch(..) => {
                goes(insn.jt.into());
                goes(insn.jf.into());
                stored = u16::MAX;
            }
            Op::LoadAbs(_)
            | Op::LoadInd(_)
            | Op::LoadLen
            | Op::LoadImm
            | Op::LoadMem
            | Op::LoadXMsh
            | Op::LoadXLen
            | Op::LoadXImm
            | Op::LoadXMem
            | Op::Alu(..)
            | Op::Neg
            | Op::RetK
            | Op::RetA
            | Op::Tax
            | Op::Txa => {}
        }
    }
    Ok(())
}

fn check_seccomp(op: Op, insn: Insn) -> Result<(), Refusal> {
    match op {
        Op::LoadAbs(Size::W) if !insn.k.is_multiple_of(4) || insn.k as usize >= SeccompData::BYTES => {
            Err(Refusal::SeccompOffset(insn.k))
        }
        Op::LoadAbs(Size::W) => Ok(()),
        Op::LoadAbs(Size::B | Size::H | Size::Dw) | Op::LoadInd(_) | Op::LoadXMsh | Op::Alu(AluOp::Mod, _) => {
            Err(Refusal::NotSeccomp)
        }
        Op::LoadLen
        | Op::LoadImm
        | Op::LoadMem
        | Op::LoadXLen
        | Op::LoadXImm
        | Op::LoadXMem
        | Op::Store
        | Op::StoreX
        | Op::Alu(..)
        | Op::Neg
        | Op::Jump
        | Op::Branch(..)
        | Op::RetK
        | Op::RetA
        | Op::Tax
        | Op::Txa => Ok(()),
    }
}
