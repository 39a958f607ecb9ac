//! Programs of any size, to measure compilers on: what a compiler takes for an instruction, and whether that grows with the program.

use std::sync::Arc;

use ring3_isa::{AluOp, CmpOp, Code, Insn, Operand, Reg, Size, Width};
use ring3_platform::{ProgType, Program};

/// What a program consists of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Arithmetic, moves, loads and stores.
    Straight,
    /// The same with a branch over one of them for every eight.
    Branches,
}

impl Shape {
    /// Both.
    pub const ALL: [Shape; 2] = [Shape::Straight, Shape::Branches];

    /// A short name.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Straight => "straight",
            Shape::Branches => "branches",
        }
    }

    /// A program of so many instructions; not fewer than 32.
    pub fn program(self, size: usize) -> Arc<Program> {
        let mut random = Random(size as u64 | 1);
        let imm = |imm| Operand::Imm(imm);
        let mut insns = vec![Insn::Mov { width: Width::W64, dst: Reg::R9, src: imm(9) }];
        let scalars = [Reg::R0, Reg::R2, Reg::R3, Reg::R4, Reg::R5, Reg::R6, Reg::R7, Reg::R8];
        insns.extend(scalars.map(|dst| Insn::Mov { width: Width::W64, dst, src: imm(random.below(1 << 30) as i32) }));
        insns.extend((1..=8).map(|slot| Insn::Store { size: Size::Dw, base: Reg::FP, off: -8 * slot, src: imm(0) }));
        while insns.len() + 2 < size {
            if self == Shape::Branches && insns.len().is_multiple_of(8) {
                let op = [CmpOp::Eq, CmpOp::Gt, CmpOp::Slt, CmpOp::Ne][random.below(4)];
                let rhs = if random.below(2) == 0 { imm(random.below(100) as i32) } else { Operand::Reg(Reg::R9) };
                insns.push(Insn::Branch { width: Width::W64, op, lhs: scalars[random.below(8)], rhs, off: 1 });
            }
            insns.push(random.insn(scalars));
        }
        insns.truncate(size.max(32) - 2);
        insns.extend([Insn::Mov { width: Width::W64, dst: Reg::R0, src: imm(0) }, Insn::Exit]);
        Arc::new(Program::new(self.name(), ProgType::SocketFilter, Code::from_insns(insns)))
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }

    /// As in compiled programs: every fourth instruction reaches memory, every third has an immediate.
    fn insn(&mut self, regs: [Reg; 8]) -> Insn {
        let (dst, src) = (regs[self.below(8)], regs[self.below(8)]);
        let width = if self.below(3) == 0 { Width::W32 } else { Width::W64 };
        let off = -8 * (1 + self.below(8) as i16);
        let plain = [AluOp::Add, AluOp::Sub, AluOp::And, AluOp::Or, AluOp::Xor, AluOp::Mul];
        match self.below(12) {
            0 | 1 => Insn::Load { size: Size::Dw, signed: false, dst, base: Reg::FP, off },
            2 => Insn::Store { size: Size::Dw, base: Reg::FP, off, src: Operand::Reg(src) },
            3 => Insn::Mov { width, dst, src: Operand::Reg(src) },
            4 => Insn::Mov { width, dst, src: Operand::Imm(self.below(1 << 20) as i32) },
            5 => {
                let op = [AluOp::Lsh, AluOp::Rsh, AluOp::Arsh][self.below(3)];
                Insn::Alu { width, op, dst, src: Operand::Imm(self.below(32) as i32) }
            }
            6 | 7 => Insn::Alu { width, op: plain[self.below(6)], dst, src: Operand::Imm(self.below(1 << 12) as i32) },
            _ => Insn::Alu { width, op: plain[self.below(6)], dst, src: Operand::Reg(src) },
        }
    }
}

/// The shortest of several times that the thread itself ran, in nanoseconds for each of `per`.
pub fn best(rounds: usize, per: usize, mut once: impl FnMut()) -> f64 {
    let mut best = u64::MAX;
    for _ in 0..rounds.max(1) {
        let start = thread_time();
        once();
        best = best.min(thread_time() - start);
    }
    best as f64 / per as f64
}

fn thread_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the address is that of a `timespec`.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
