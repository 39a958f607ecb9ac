//! Which registers an operation reads and changes.

use ring3_isa::{AtomicOp, Operand, Reg, RegSet};
use ring3_vm::Op;

/// What an operation does to registers and memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Effects {
    /// Read.
    pub(crate) reads: RegSet,
    /// Written, or left with nothing that anybody may read.
    pub(crate) writes: RegSet,
    /// All that it does is to set the registers that it writes.
    pub(crate) pure: bool,
    /// What a load gives may be another before and after it.
    pub(crate) changes_memory: bool,
}

impl Effects {
    /// `lookup` says that of a call nothing is left but a lookup, which reads the key's address only.
    pub(crate) fn of(op: Op, lookup: bool) -> Effects {
        let none = RegSet::EMPTY;
        let operand = |operand: Operand| operand.reg().map_or(none, RegSet::one);
        let pure =
            |reads: RegSet, dst: Reg| Effects { reads, writes: RegSet::one(dst), pure: true, changes_memory: false };
        let stores = |reads: RegSet| Effects { reads, changes_memory: true, ..Effects::default() };
        let call = |reads: RegSet| Effects { writes: RegSet::CALLER_SAVED, ..stores(reads) };
        match op {
            Op::Alu { dst, src, .. } => pure(operand(src).with(dst), dst),
            Op::Mov { dst, src, .. } => pure(operand(src), dst),
            Op::MovSx { dst, src, .. } => pure(RegSet::one(src), dst),
            Op::Neg { dst, .. } | Op::Endian { dst, .. } => pure(RegSet::one(dst), dst),
            Op::LoadImm { dst, .. } => pure(none, dst),
            // What the verifier lets a program load is there: a load that nobody needs can go.
            Op::Load { dst, base, .. } => pure(RegSet::one(base), dst),
            Op::Store { base, src, .. } => stores(operand(src).with(base)),
            Op::Atomic { op, base, src, .. } => {
                let compared = if op == AtomicOp::Cmpxchg { RegSet::one(Reg::R0) } else { none };
                let writes = op.fetches_into(src).map_or(none, RegSet::one);
                Effects { writes, ..stores(compared.with(base).with(src)) }
            }
            Op::LoadAcquire { dst, base, .. } => Effects { writes: RegSet::one(dst), ..stores(RegSet::one(base)) },
            Op::StoreRelease { base, src, .. } => stores(RegSet::one(base).with(src)),
            Op::Jump { .. } | Op::MayGoto { .. } => Effects::default(),
            Op::Branch { lhs, rhs, .. } => Effects { reads: operand(rhs).with(lhs), ..Effects::default() },
            Op::CallHelper { .. } if lookup => {
                Effects { reads: RegSet::one(Reg::R2), writes: RegSet::CALLER_SAVED, ..Effects::default() }
            }
            Op::CallHelper { .. } | Op::CallLocal { .. } => call(RegSet::ARGS),
            Op::TailCall => call(RegSet::args(3)),
            Op::LegacyPacket { index, .. } => call(index.map_or(none, RegSet::one).with(Reg::R6)),
            Op::Exit => Effects { reads: RegSet::one(Reg::R0), ..Effects::default() },
        }
    }
}
