//! Which registers an instruction reads and writes, and where it goes.

use core::fmt;

use crate::insn::{Insn, Operand, Reg};
use crate::num;

/// A set of registers: a bit each, R0 lowest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RegSet(u16);

impl RegSet {
    /// No register.
    pub const EMPTY: RegSet = RegSet(0);
    /// R1 to R5, which carry arguments.
    pub const ARGS: RegSet = RegSet(0x3e);
    /// R0 to R5, which a call overwrites.
    pub const CALLER_SAVED: RegSet = RegSet(0x3f);
    /// R0 to R10.
    pub const ALL: RegSet = RegSet(0x7ff);

    /// Just this register.
    #[inline]
    pub const fn one(reg: Reg) -> RegSet {
        RegSet(1 << reg.number())
    }

    /// The first `count` argument registers, at most five.
    #[inline]
    pub const fn args(count: usize) -> RegSet {
        RegSet(RegSet::ARGS.0 & ((2 << if count < 5 { count } else { 5 }) - 1))
    }

    /// In either.
    #[must_use]
    #[inline]
    pub const fn union(self, other: RegSet) -> RegSet {
        RegSet(self.0 | other.0)
    }

    /// In both.
    #[must_use]
    #[inline]
    pub const fn intersection(self, other: RegSet) -> RegSet {
        RegSet(self.0 & other.0)
    }

    /// In this one only.
    #[must_use]
    #[inline]
    pub const fn difference(self, other: RegSet) -> RegSet {
        RegSet(self.0 & !other.0)
    }

    /// With one more.
    #[must_use]
    #[inline]
    pub const fn with(self, reg: Reg) -> RegSet {
        self.union(RegSet::one(reg))
    }

    /// Whether it is in the set.
    #[inline]
    pub const fn contains(self, reg: Reg) -> bool {
        self.0 & (1 << reg.number()) != 0
    }

    /// Whether the set has no register.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The bits, R0 lowest.
    #[inline]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// R0 to R10 of a bit mask.
    #[inline]
    pub const fn from_bits(bits: u16) -> RegSet {
        RegSet(bits & RegSet::ALL.0)
    }

    /// Its registers, lowest first.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = Reg> {
        let mut left = self.0;
        core::iter::from_fn(move || {
            let lowest = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            Reg::new(u8::try_from(lowest).ok()?)
        })
    }
}

impl fmt::Debug for RegSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromIterator<Reg> for RegSet {
    fn from_iter<T: IntoIterator<Item = Reg>>(regs: T) -> RegSet {
        regs.into_iter().fold(RegSet::EMPTY, RegSet::with)
    }
}

impl Operand {
    /// The register, if it is one.
    #[inline]
    pub const fn reg(self) -> Option<Reg> {
        match self {
            Operand::Reg(reg) => Some(reg),
            Operand::Imm(_) => None,
        }
    }

    const fn set(self) -> RegSet {
        match self {
            Operand::Reg(reg) => RegSet::one(reg),
            Operand::Imm(_) => RegSet::EMPTY,
        }
    }
}

impl Insn {
    /// How many slots it takes: 2 for a 64-bit immediate load, else 1.
    #[inline]
    pub const fn slots(self) -> usize {
        if matches!(self, Insn::LoadImm { .. }) { 2 } else { 1 }
    }

    /// Where it may jump to from `slot`: the target slot, which may lie after the end of the program. `None` if it is no
    /// jump, or one to before slot 0. Calls are no jumps.
    #[inline]
    pub fn jump_target(self, slot: usize) -> Option<usize> {
        target(slot, self.jump_offset()?)
    }

    /// The offset of a jump in slots from the following one, `None` if it is no jump or one to an address.
    #[inline]
    pub const fn jump_offset(self) -> Option<i32> {
        match self {
            Insn::Jump { off, .. } => Some(off),
            Insn::Branch { off, .. } | Insn::MayGoto { off } => Some(off as i32),
            Insn::Alu { .. }
            | Insn::Mov { .. }
            | Insn::MovSx { .. }
            | Insn::AddrSpaceCast { .. }
            | Insn::Neg { .. }
            | Insn::Endian { .. }
            | Insn::LoadImm { .. }
            | Insn::WideTail
            | Insn::Load { .. }
            | Insn::Store { .. }
            | Insn::Atomic { .. }
            | Insn::LoadAcquire { .. }
            | Insn::StoreRelease { .. }
            | Insn::Call(_)
            | Insn::CallX { .. }
            | Insn::GotoX { .. }
            | Insn::Exit
            | Insn::LegacyPacket { .. } => None,
        }
    }

    /// Registers it reads. A call reads all argument registers here, as how many it takes is its callee's affair.
    #[inline]
    pub const fn uses(self) -> RegSet {
        match self {
            Insn::Alu { dst, src, .. } => src.set().with(dst),
            Insn::Mov { src, .. } => src.set(),
            Insn::MovSx { src, .. } | Insn::AddrSpaceCast { src, .. } => RegSet::one(src),
            Insn::Neg { dst, .. } | Insn::Endian { dst, .. } => RegSet::one(dst),
            Insn::LoadImm { .. } | Insn::WideTail | Insn::Jump { .. } | Insn::MayGoto { .. } => RegSet::EMPTY,
            Insn::Load { base, .. } | Insn::LoadAcquire { base, .. } => RegSet::one(base),
            Insn::Store { base, src, .. } => src.set().with(base),
            Insn::Atomic { op: crate::AtomicOp::Cmpxchg, base, src, .. } => RegSet::one(src).with(base).with(Reg::R0),
            Insn::Atomic { base, src, .. } | Insn::StoreRelease { base, src, .. } => RegSet::one(src).with(base),
            Insn::Branch { lhs, rhs, .. } => rhs.set().with(lhs),
            Insn::Call(_) => RegSet::ARGS,
            Insn::CallX { target } => RegSet::ARGS.with(target),
            Insn::GotoX { target } => RegSet::one(target),
            Insn::Exit => RegSet::one(Reg::R0),
            Insn::LegacyPacket { index: Some(index), .. } => RegSet::one(Reg::R6).with(index),
            Insn::LegacyPacket { index: None, .. } => RegSet::one(Reg::R6),
        }
    }

    /// Registers it overwrites.
    #[inline]
    pub const fn defs(self) -> RegSet {
        match self {
            Insn::Alu { dst, .. }
            | Insn::Mov { dst, .. }
            | Insn::MovSx { dst, .. }
            | Insn::AddrSpaceCast { dst, .. }
            | Insn::Neg { dst, .. }
            | Insn::Endian { dst, .. }
            | Insn::LoadImm { dst, .. }
            | Insn::Load { dst, .. }
            | Insn::LoadAcquire { dst, .. } => RegSet::one(dst),
            Insn::Atomic { op, src, .. } => match op.fetches_into(src) {
                Some(reg) => RegSet::one(reg),
                None => RegSet::EMPTY,
            },
            Insn::Call(_) | Insn::CallX { .. } | Insn::LegacyPacket { .. } => RegSet::CALLER_SAVED,
            Insn::WideTail
            | Insn::Store { .. }
            | Insn::StoreRelease { .. }
            | Insn::Jump { .. }
            | Insn::Branch { .. }
            | Insn::MayGoto { .. }
            | Insn::GotoX { .. }
            | Insn::Exit => RegSet::EMPTY,
        }
    }
}

/// The slot at a distance from the one after `slot`.
pub(crate) fn target(slot: usize, offset: i32) -> Option<usize> {
    num::offset_index(slot, i64::from(offset) + 1)
}
