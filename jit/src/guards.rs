//! What an embedder may add to the code of tenants that it does not trust: constants that are not the program's own, indirect calls that
//! cannot be mispredicted, and an end to every run.
//!
//! **What constants are blinded against.** Whoever writes a program chooses its constants, and so could choose what bytes stand in
//! executable memory: another bug that lets a jump go astray would find instructions of that author's choice in there. With
//! [`Options::blind`] each constant is put together from two random numbers that no program sees, drawn anew at every compilation. What
//! stays as it is: offsets of loads and stores (16 bits), distances of jumps, and what the tables of ring3 itself hold (addresses of
//! helpers and of maps are blinded as well, as they cannot be told from numbers).
//!
//! **What retpolines are against.** A processor may guess where an indirect call goes from what ran before, be it another tenant, and run
//! ahead there (branch target injection, Spectre variant 2). With [`Options::retpolines`] calls of helpers go through a return whose
//! guess is caught in an endless loop. On arm64 there is no such sequence: processors that need one get it from firmware, and the option
//! changes nothing.
//!
//! Neither is against what a program may read by running ahead of its own checks (variants 1 and 4), which is the verifier's part.

use std::hash::{BuildHasher, Hasher, RandomState};

use ring3_isa::{AluOp, Operand, Reg, RegSet, Width};
use ring3_vm::Op;

use crate::code::Label;
use crate::target::{Callee, Target};

/// What is added to the code, and how it is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// No constant of the program is in the code. Nothing is joined then, and lookups are calls: the code is slower.
    pub blind: bool,
    /// Indirect calls go through a thunk that stops wrong guesses (x86-64).
    pub retpolines: bool,
    /// Runs end when [`Env::budget`](ring3_vm::Env::budget) is used up, if there is one. As in the interpreter, it counts operations,
    /// and is looked at where the program jumps, calls or ends: what stands before still runs.
    pub budget: bool,
    /// Only loops are optimised, as in programs of 8,192 operations and more: compiling takes a tenth of the time, and what is
    /// executed once is slower. For programs that run a few times only.
    pub quick: bool,
}

/// The same as the walk needs it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Guards {
    /// The random numbers that constants are blinded with come from this.
    pub(crate) blind: Option<u64>,
    pub(crate) budget: Option<Budget>,
    /// The program is looked at as a long one is.
    pub(crate) quick: bool,
    /// The mistake that is planted.
    #[cfg(feature = "planted")]
    pub(crate) planted: Option<crate::planted::Bug>,
}

/// From so many operations on, what a program saves by joining them is less than what it costs to look for them, where they are
/// executed once in a run at most: only loops are worth it.
const LONG: usize = 8192;

/// How the budget is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Where in the environment 8 bytes say what is left.
    pub(crate) offset: u32,
    /// What an operation takes away.
    pub(crate) step: i32,
    /// `callee(env, slot)` notes that the run was stopped.
    pub(crate) used_up: Callee,
}

impl Guards {
    /// Whether so many operations are looked at in loops only.
    pub(crate) fn is_long(&self, ops: usize) -> bool {
        self.quick || ops >= LONG
    }

    /// With fresh random numbers.
    pub(crate) fn new(options: Options) -> Guards {
        let budget = Budget {
            offset: ring3_vm::Env::LEFT_OFFSET as u32,
            step: ring3_vm::Env::STEP,
            used_up: Callee(ring3_vm::budget_used_up as *const () as usize),
        };
        Guards {
            blind: options.blind.then(seed),
            budget: options.budget.then_some(budget),
            quick: options.quick,
            #[cfg(feature = "planted")]
            planted: None,
        }
    }
}

/// What the system gives to hash tables that must not be guessed.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Gives random numbers (SplitMix64).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blinder(u64);

impl Blinder {
    pub(crate) fn new(seed: u64) -> Blinder {
        Blinder(seed)
    }

    fn next(&mut self) -> i32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as i32
    }

    /// `dst = value`, of which only random numbers are seen.
    pub(crate) fn load<T: Target>(&mut self, target: &mut T, dst: Reg, value: u64) {
        let xor = |target: &mut T, width, imm| target.alu(width, AluOp::Xor, dst, Operand::Imm(imm));
        let key = self.next();
        if let Ok(value) = u32::try_from(value) {
            target.load_imm(dst, u64::from(value ^ key as u32));
            return xor(target, Width::W32, key);
        }
        // The low half comes last, from two numbers whose signs both reach into the upper half: an odd count of them inverts it.
        let (first, low, high) = (self.next(), value as i32, (value >> 32) as u32);
        let high = if low < 0 { !high } else { high };
        target.load_imm(dst, u64::from(high ^ key as u32));
        xor(target, Width::W32, key);
        target.alu(Width::W64, AluOp::Lsh, dst, Operand::Imm(32));
        xor(target, Width::W64, first);
        xor(target, Width::W64, first ^ low);
    }

    /// Emits an operation that has a constant; false if it has none.
    pub(crate) fn emit<T: Target>(&mut self, target: &mut T, op: Op) -> bool {
        match op {
            Op::Alu { width, op, dst, src: Operand::Imm(imm) } => {
                self.with(target, imm, RegSet::one(dst), |target, imm| target.alu(width, op, dst, Operand::Reg(imm)));
            }
            Op::Mov { width: Width::W64, dst, src: Operand::Imm(imm) } => self.load(target, dst, i64::from(imm) as u64),
            Op::Mov { width: Width::W32, dst, src: Operand::Imm(imm) } => self.load(target, dst, u64::from(imm as u32)),
            Op::LoadImm { dst, value } => self.load(target, dst, value),
            Op::Store { size, base, off, src: Operand::Imm(imm) } => {
                let store = |target: &mut T, imm| target.store(size, base, off, Operand::Reg(imm));
                self.with(target, imm, RegSet::one(base), store);
            }
            _ => return false,
        }
        true
    }

    /// The same of a branch, whose constant's register must be back to what it was on both ways.
    pub(crate) fn branch<T: Target>(&mut self, target: &mut T, op: Op, to: Label) -> bool {
        let Op::Branch { width, op, lhs, rhs: Operand::Imm(imm), .. } = op else { return false };
        let reg = other_than(RegSet::one(lhs));
        let (taken, past) = (target.label(), target.label());
        target.push(reg);
        self.load(target, reg, i64::from(imm) as u64);
        target.branch(width, op, lhs, Operand::Reg(reg), taken);
        target.pop(reg);
        target.jump(past);
        target.place(taken);
        target.pop(reg);
        target.jump(to);
        target.place(past);
        true
    }

    /// The register that holds index and immediate of a packet load. R1 to R5 have nothing that is read after it.
    pub(crate) fn packet_index<T: Target>(&mut self, target: &mut T, index: Option<Reg>, imm: i32) -> Reg {
        let reg = if index == Some(Reg::R2) { Reg::R3 } else { Reg::R2 };
        self.load(target, reg, u64::from(imm as u32));
        if let Some(index) = index {
            target.alu(Width::W32, AluOp::Add, reg, Operand::Reg(index));
        }
        reg
    }

    /// With the constant in a register that the operation does not use.
    fn with<T: Target>(&mut self, target: &mut T, imm: i32, used: RegSet, emit: impl FnOnce(&mut T, Reg)) {
        let reg = other_than(used);
        target.push(reg);
        self.load(target, reg, i64::from(imm) as u64);
        emit(target, reg);
        target.pop(reg);
    }
}

/// One of the first registers; the set has one at most.
fn other_than(used: RegSet) -> Reg {
    if used.contains(Reg::R2) { Reg::R3 } else { Reg::R2 }
}
