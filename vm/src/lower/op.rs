//! The lowered instruction, which the interpreters and both JITs execute.
//!
//! What is different from `ring3_isa::Insn`: targets are absolute indexes of operations, wide loads are one operation with
//! their final value, context accesses are accesses of the run-time context, calls name a table entry, and code that the
//! proof never reached is gone.

use crate::guarded::Guarded;
use ring3_isa::{AluOp, AtomicOp, CmpOp, EndianOp, Operand, Reg, Size, Width};

/// Index of an operation in `Lowered::ops`.
pub type Target = u32;

/// One operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Op {
    Alu {
        width: Width,
        op: AluOp,
        dst: Reg,
        src: Operand,
    },
    Mov {
        width: Width,
        dst: Reg,
        src: Operand,
    },
    MovSx {
        width: Width,
        from: Size,
        dst: Reg,
        src: Reg,
    },
    Neg {
        width: Width,
        dst: Reg,
    },
    Endian {
        op: EndianOp,
        size: Size,
        dst: Reg,
    },
    /// A constant: a number, the address of a map's value, a map handle (`Env::map`), or a callback (`Callback::token`).
    LoadImm {
        dst: Reg,
        value: u64,
    },
    Load {
        size: Size,
        signed: bool,
        dst: Reg,
        base: Reg,
        off: i32,
    },
    Store {
        size: Size,
        base: Reg,
        off: i32,
        src: Operand,
    },
    Atomic {
        op: AtomicOp,
        size: Size,
        base: Reg,
        off: i32,
        src: Reg,
    },
    LoadAcquire {
        size: Size,
        dst: Reg,
        base: Reg,
        off: i32,
    },
    StoreRelease {
        size: Size,
        base: Reg,
        off: i32,
        src: Reg,
    },
    /// An access of memory that may not be there, by a function of the vm (`guarded`). `value` is what is stored, or the register
    /// that is loaded into.
    Guarded {
        access: Guarded,
        base: Reg,
        off: i32,
        value: Operand,
    },
    Jump {
        target: Target,
    },
    Branch {
        width: Width,
        op: CmpOp,
        lhs: Reg,
        rhs: Operand,
        target: Target,
    },
    /// Counts down the frame's budget; jumps when it is used up.
    MayGoto {
        target: Target,
    },
    /// Helper number `helper` of the table of the linked program; R1 to R5 in, R0 out.
    CallHelper {
        helper: u16,
    },
    /// `bpf_tail_call(ctx = R1, map = R2, index = R3)`: on success the frame ends with the callee's R0.
    TailCall,
    /// Subprogram by index; the callee gets a frame of its own below.
    CallLocal {
        subprog: u16,
    },
    Exit,
    /// R0 from the packet of the context in R6; ends the program with 0 when out of bounds.
    LegacyPacket {
        size: Size,
        index: Option<Reg>,
        imm: i32,
    },
}

impl Op {
    /// Whether somebody is called that may look at the environment for the program.
    pub(crate) fn needs_env(&self) -> bool {
        match self {
            Op::CallHelper { .. } | Op::TailCall | Op::LegacyPacket { .. } | Op::Guarded { .. } => true,
            Op::Alu { .. }
            | Op::Mov { .. }
            | Op::MovSx { .. }
            | Op::Neg { .. }
            | Op::Endian { .. }
            | Op::LoadImm { .. }
            | Op::Load { .. }
            | Op::Store { .. }
            | Op::Atomic { .. }
            | Op::LoadAcquire { .. }
            | Op::StoreRelease { .. }
            | Op::Jump { .. }
            | Op::Branch { .. }
            | Op::MayGoto { .. }
            | Op::CallLocal { .. }
            | Op::Exit => false,
        }
    }

    /// The registers that it names, once for each time.
    pub fn registers(self) -> impl Iterator<Item = Reg> {
        let operand = |operand| match operand {
            Operand::Reg(reg) => Some(reg),
            Operand::Imm(_) => None,
        };
        let regs = match self {
            Op::Alu { dst, src, .. } | Op::Mov { dst, src, .. } => [Some(dst), operand(src)],
            Op::MovSx { dst, src, .. } => [Some(dst), Some(src)],
            Op::Neg { dst, .. } | Op::Endian { dst, .. } | Op::LoadImm { dst, .. } => [Some(dst), None],
            Op::Load { dst, base, .. } | Op::LoadAcquire { dst, base, .. } => [Some(dst), Some(base)],
            Op::Store { base, src, .. } => [Some(base), operand(src)],
            Op::Atomic { base, src, .. } | Op::StoreRelease { base, src, .. } => [Some(base), Some(src)],
            Op::Branch { lhs, rhs, .. } => [Some(lhs), operand(rhs)],
            Op::Guarded { base, value, .. } => [Some(base), operand(value)],
            Op::LegacyPacket { index, .. } => [index, None],
            Op::Jump { .. }
            | Op::MayGoto { .. }
            | Op::CallHelper { .. }
            | Op::TailCall
            | Op::CallLocal { .. }
            | Op::Exit => [None, None],
        };
        regs.into_iter().flatten()
    }
}
