//! Which registers an operation reads and changes: the one place that says so.

use ring3_isa::{AtomicOp, Operand, Reg, RegSet};
use ring3_vm::Op;

/// What an operation does to registers and memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Effects {
    /// The registers that it names and reads, none twice.
    pub(crate) named: [Option<Reg>; 2],
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
    /// Those of an operation that is not there.
    pub(crate) const NONE: Effects =
        Effects { named: [None; 2], reads: RegSet::EMPTY, writes: RegSet::EMPTY, pure: true, changes_memory: false };

    /// `lookup` says that of a call nothing is left but a lookup, which reads the key's address only.
    pub(crate) fn of(op: Op, lookup: bool) -> Effects {
        let named = reads(op);
        let reads = named.into_iter().flatten().fold(RegSet::EMPTY, RegSet::with);
        let writes = writes(op).map_or(RegSet::EMPTY, RegSet::one);
        let named = Effects { named, reads, writes, pure: false, changes_memory: false };
        let stores = Effects { changes_memory: true, ..named };
        let call = |reads: RegSet| Effects { reads, writes: RegSet::CALLER_SAVED, ..stores };
        match op {
            // What the verifier lets a program load is there: a load that nobody needs can go.
            Op::Alu { .. }
            | Op::Mov { .. }
            | Op::MovSx { .. }
            | Op::Neg { .. }
            | Op::Endian { .. }
            | Op::LoadImm { .. }
            | Op::Load { .. } => Effects { pure: true, ..named },
            Op::Atomic { op: AtomicOp::Cmpxchg, .. } => Effects { reads: reads.with(Reg::R0), ..stores },
            Op::Guarded { access, .. } if access.reads_r0() => Effects { reads: reads.with(Reg::R0), ..stores },
            Op::Store { .. }
            | Op::Atomic { .. }
            | Op::LoadAcquire { .. }
            | Op::StoreRelease { .. }
            | Op::Guarded { .. } => stores,
            Op::Jump { .. } | Op::MayGoto { .. } | Op::Branch { .. } => named,
            Op::CallHelper { .. } if lookup => {
                Effects { reads: RegSet::one(Reg::R2), writes: RegSet::CALLER_SAVED, ..named }
            }
            Op::CallHelper { .. } | Op::CallLocal { .. } => call(RegSet::ARGS),
            Op::TailCall => call(RegSet::args(3)),
            Op::LegacyPacket { .. } => call(reads),
            Op::Exit => Effects { reads: RegSet::one(Reg::R0), ..named },
        }
    }
}

/// The register that the operation itself changes. Calls are not counted: they change R0 to R5, which nobody saves.
pub(crate) fn writes(op: Op) -> Option<Reg> {
    match op {
        Op::Alu { dst, .. }
        | Op::Mov { dst, .. }
        | Op::MovSx { dst, .. }
        | Op::Neg { dst, .. }
        | Op::Endian { dst, .. }
        | Op::LoadImm { dst, .. }
        | Op::Load { dst, .. }
        | Op::LoadAcquire { dst, .. } => Some(dst),
        Op::Atomic { op, src, .. } => op.fetches_into(src),
        Op::Guarded { access, value, .. } => access.writes(value),
        Op::Store { .. }
        | Op::StoreRelease { .. }
        | Op::Jump { .. }
        | Op::Branch { .. }
        | Op::MayGoto { .. }
        | Op::CallHelper { .. }
        | Op::TailCall
        | Op::CallLocal { .. }
        | Op::Exit
        | Op::LegacyPacket { .. } => None,
    }
}

/// The registers that the operation names and reads, none twice.
pub(crate) fn reads(op: Op) -> [Option<Reg>; 2] {
    let operand = |operand: Operand| operand.reg();
    let [first, second] = match op {
        Op::Alu { dst, src, .. } => [Some(dst), operand(src)],
        Op::Mov { src, .. } => [operand(src), None],
        Op::MovSx { src, .. } => [Some(src), None],
        Op::Neg { dst, .. } | Op::Endian { dst, .. } => [Some(dst), None],
        Op::Load { base, .. } | Op::LoadAcquire { base, .. } => [Some(base), None],
        Op::Store { base, src, .. } => [Some(base), operand(src)],
        Op::Atomic { base, src, .. } | Op::StoreRelease { base, src, .. } => [Some(base), Some(src)],
        Op::Branch { lhs, rhs, .. } => [Some(lhs), operand(rhs)],
        Op::Guarded { access, base, value, .. } => [Some(base), access.reads(value)],
        Op::LegacyPacket { index, .. } => [Some(Reg::R6), index],
        Op::LoadImm { .. }
        | Op::Jump { .. }
        | Op::MayGoto { .. }
        | Op::CallHelper { .. }
        | Op::TailCall
        | Op::CallLocal { .. }
        | Op::Exit => [None, None],
    };
    [first, second.filter(|second| Some(*second) != first)]
}
