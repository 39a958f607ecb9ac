//! Operations that often follow one another, done by one handler.
//!
//! The handler of the first cell does the work of those behind it too and goes on after them. Those cells stay as they are: a jump
//! may lead to any of them, and distances, which the budget counts by, do not change. Only programs that were proved safe have
//! these; the checked interpreter does one operation at a time.

use std::hint::cold_path;

use ring3_isa::{AluOp, CmpOp, Operand, Reg, Size, Width, eval};

use super::cell::{ALU_OPS, ByOperands, ByPlace, ByPlaces, COMPARISONS, Cell, SIZES, number};
use super::cell::{by_operands, by_place, by_places, handler, rows, width};
use super::control::jump_to;
use super::dispatch::{Handler, next};
use super::memory::{self, Memory, Place};
use super::place::{IMM, PLACES, Places, get, set};
use crate::lower::Op;

/// The address of the cell that is `$count` behind another, which `fuse` made sure of.
macro_rules! ahead {
    ($pc:ident, $count:literal) => {
        // SAFETY: `fuse` found the operation there.
        unsafe { $pc.add($count) }
    };
}

/// That cell.
macro_rules! behind {
    ($pc:ident, $count:literal) => {
        // SAFETY: as above.
        unsafe { &*$pc.add($count) }
    };
}

/// Goes on `$count` cells after the first.
macro_rules! skip {
    ($pc:ident, $count:literal, $machine:ident, $hot:ident) => {
        // SAFETY: only `fell_off` is the last cell, and it is not part of anything.
        unsafe { next($pc.add($count), $machine, $hot) }
    };
}

// Where both ways are jumps, `cold_path` keeps the compiler from choosing between them without a branch: that would make everything
// behind wait for the comparison, which the processor else predicts.

/// A load of proved memory.
macro_rules! load {
    ($base:expr, $cell:expr, $size:expr) => {
        // SAFETY: the program was verified.
        unsafe { memory::load(Place::new($base.wrapping_add($cell.off as i64 as u64), $size)) }
    };
}

handler! {
    /// `d = b; d += x`. Where one of both is an immediate, it is that of the first cell.
    fn sum[const D: usize, const B: usize, const X: usize](pc, cell, machine, hot) {
        let more = if X == IMM { cell.imm } else { get::<X>(machine, &hot, behind!(pc, 1).src) };
        let value = get::<B>(machine, &hot, cell.src).wrapping_add(more);
        set::<D>(machine, &mut hot, cell.dst, value);
        skip!(pc, 2, machine, hot)
    }
}

handler! {
    /// `d = b; d += x; d = *(size *)(d + off)`, the sum as in `sum`.
    fn indexed[const SIZE: usize, const D: usize, const B: usize, const X: usize](pc, cell, machine, hot) {
        let more = if X == IMM { cell.imm } else { get::<X>(machine, &hot, behind!(pc, 1).src) };
        let base = get::<B>(machine, &hot, cell.src).wrapping_add(more);
        let access = behind!(pc, 2);
        let value = load!(base, access, SIZES[SIZE]);
        set::<D>(machine, &mut hot, cell.dst, value);
        skip!(pc, 3, machine, hot)
    }
}

handler! {
    /// `d = s; d op= imm`
    fn derived[const OP: usize, const WIDE: bool, const D: usize, const S: usize](pc, cell, machine, hot) {
        let value = eval::mov(width(WIDE), get::<S>(machine, &hot, cell.src));
        let value = eval::alu(ALU_OPS[OP], width(WIDE), value, behind!(pc, 1).imm);
        set::<D>(machine, &mut hot, cell.dst, value);
        skip!(pc, 2, machine, hot)
    }
}

handler! {
    /// `d += imm; if d op r goto`
    fn step[M: Memory, const OP: usize, const WIDE: bool, const D: usize, const R: usize](pc, cell, machine, hot) {
        let value = eval::alu(AluOp::Add, width(WIDE), get::<D>(machine, &hot, cell.dst), cell.imm);
        set::<D>(machine, &mut hot, cell.dst, value);
        let branch = behind!(pc, 1);
        let rhs = if R == IMM { branch.imm } else { get::<R>(machine, &hot, branch.src) };
        if eval::compare(COMPARISONS[OP], width(WIDE), value, rhs) {
            let pc = ahead!(pc, 1);
            jump_to!(M, pc, branch, machine, hot)
        } else {
            skip!(pc, 2, machine, hot)
        }
    }
}

handler! {
    /// `d += imm; if d == imm goto; goto`
    fn step_either[M: Memory, const WIDE: bool, const D: usize](pc, cell, machine, hot) {
        let value = eval::alu(AluOp::Add, width(WIDE), get::<D>(machine, &hot, cell.dst), cell.imm);
        set::<D>(machine, &mut hot, cell.dst, value);
        let pc = if eval::compare(CmpOp::Eq, width(WIDE), value, behind!(pc, 1).imm) {
            cold_path();
            ahead!(pc, 1)
        } else {
            ahead!(pc, 2)
        };
        let cell = behind!(pc, 0);
        jump_to!(M, pc, cell, machine, hot)
    }
}

handler! {
    /// `if l == imm goto; goto`
    fn either[M: Memory, const WIDE: bool, const L: usize](pc, cell, machine, hot) {
        let pc = if eval::compare(CmpOp::Eq, width(WIDE), get::<L>(machine, &hot, cell.dst), cell.imm) {
            cold_path();
            pc
        } else {
            ahead!(pc, 1)
        };
        let cell = behind!(pc, 0);
        jump_to!(M, pc, cell, machine, hot)
    }
}

handler! {
    /// `d = *(size *)(b + off); if d == imm goto`, or `!=`
    fn load_branch[M: Memory, const SIZE: usize, const NE: bool, const D: usize, const B: usize](pc, cell, machine, hot) {
        let value = load!(get::<B>(machine, &hot, cell.src), cell, SIZES[SIZE]);
        set::<D>(machine, &mut hot, cell.dst, value);
        let branch = behind!(pc, 1);
        if (value == branch.imm) != NE {
            let pc = ahead!(pc, 1);
            jump_to!(M, pc, branch, machine, hot)
        } else {
            skip!(pc, 2, machine, hot)
        }
    }
}

handler! {
    /// `d = *(size *)(b + off); d += x; *(size *)(b + off) = d`
    fn load_add_store[const WIDE: bool, const D: usize, const B: usize, const X: usize](pc, cell, machine, hot) {
        let (base, add, access) = (get::<B>(machine, &hot, cell.src), behind!(pc, 1), behind!(pc, 2));
        let size = if WIDE { Size::Dw } else { Size::W };
        let value = load!(base, cell, size);
        let more = if X == IMM { add.imm } else { get::<X>(machine, &hot, add.src) };
        let value = eval::alu(AluOp::Add, width(WIDE), value, more);
        set::<D>(machine, &mut hot, cell.dst, value);
        // SAFETY: the program was verified.
        unsafe { memory::store(Place::new(base.wrapping_add(access.off as i64 as u64), size), value) };
        skip!(pc, 3, machine, hot)
    }
}

const fn sum_row<const D: usize>() -> ByOperands {
    by_operands!(sum, [D])
}

const fn indexed_row<const SIZE: usize>() -> [ByOperands; PLACES] {
    const fn of<const SIZE: usize, const D: usize>() -> ByOperands {
        by_operands!(indexed, [SIZE, D])
    }
    [of::<SIZE, 0>(), of::<SIZE, 1>(), of::<SIZE, 2>(), of::<SIZE, 3>(), of::<SIZE, 4>()]
}

const fn derived_row<const OP: usize>() -> [ByPlaces; 2] {
    const fn of<const OP: usize, const WIDE: bool>() -> ByPlaces {
        by_places!(derived, [OP, WIDE])
    }
    [of::<OP, false>(), of::<OP, true>()]
}

const fn step_row<M: Memory, const OP: usize>() -> [ByOperands; 2] {
    const fn of<M: Memory, const OP: usize, const WIDE: bool>() -> ByOperands {
        by_operands!(step, [M, OP, WIDE])
    }
    [of::<M, OP, false>(), of::<M, OP, true>()]
}

const fn load_branch_row<M: Memory, const SIZE: usize>() -> [ByPlaces; 2] {
    const fn of<M: Memory, const SIZE: usize, const NE: bool>() -> ByPlaces {
        by_places!(load_branch, [M, SIZE, NE])
    }
    [of::<M, SIZE, false>(), of::<M, SIZE, true>()]
}

const fn load_add_store_row<const WIDE: bool>() -> [ByOperands; PLACES] {
    const fn of<const WIDE: bool, const D: usize>() -> ByOperands {
        by_operands!(load_add_store, [WIDE, D])
    }
    [of::<WIDE, 0>(), of::<WIDE, 1>(), of::<WIDE, 2>(), of::<WIDE, 3>(), of::<WIDE, 4>()]
}

static SUM: [ByOperands; PLACES] = rows!(sum_row, 0 1 2 3 4);
static INDEXED: [[ByOperands; PLACES]; 4] = rows!(indexed_row, 0 1 2 3);
static DERIVED: [[ByPlaces; 2]; 13] = rows!(derived_row, 0 1 2 3 4 5 6 7 8 9 10 11 12);
static LOAD_ADD_STORE: [[ByOperands; PLACES]; 2] = [load_add_store_row::<false>(), load_add_store_row::<true>()];

/// The handlers that depend on the memory.
struct Of<M>(M);

impl<M: Memory> Of<M> {
    const STEP: &'static [[ByOperands; 2]; 11] = &rows!(M, step_row, 0 1 2 3 4 5 6 7 8 9 10);
    const STEP_EITHER: [ByPlace; 2] = [by_place!(step_either, [M, false]), by_place!(step_either, [M, true])];
    const EITHER: [ByPlace; 2] = [by_place!(either, [M, false]), by_place!(either, [M, true])];
    const LOAD_BRANCH: &'static [[ByPlaces; 2]; 4] = &rows!(M, load_branch_row, 0 1 2 3);
}

/// Replaces the handlers of cells that begin something that is known here.
pub(super) fn fuse<M: Memory>(cells: &mut [Cell], ops: &[Op], places: &Places) {
    for (at, cell) in cells.iter_mut().enumerate().take(ops.len()) {
        if let Some(fused) = three::<M>(*cell, &ops[at..], places).or_else(|| two::<M>(*cell, &ops[at..], places)) {
            *cell = fused;
        }
    }
}

/// The cell for the first three of these operations, of which the first has `cell`.
fn three<M: Memory>(cell: Cell, ops: &[Op], places: &Places) -> Option<Cell> {
    let place = |reg| places.of_reg(reg);
    let run = match *ops.first_chunk()? {
        [first, second, Op::Load { size, signed: false, dst, base, .. }] if dst == base => {
            let sum = Sum::of(first, second).filter(|sum| sum.dst == dst)?;
            let run = INDEXED[number(&SIZES, size)][place(dst)][place(sum.base)][sum.operand(places)];
            return Some(sum.cell(cell, run));
        }
        [
            Op::Alu { width, op: AluOp::Add, dst, src: Operand::Imm(_) },
            Op::Branch { width: compared, op: CmpOp::Eq, lhs, rhs: Operand::Imm(_), .. },
            Op::Jump { .. },
        ] if lhs == dst && compared == width => Of::<M>::STEP_EITHER[wide(width)][place(dst)],
        [
            Op::Load { size, signed: false, dst, base, off },
            Op::Alu { width, op: AluOp::Add, dst: sum, src },
            Op::Store { size: stored, base: to, off: at, src: Operand::Reg(value) },
        ] if (size, base, off, dst) == (stored, to, at, value)
            && (sum, size) == (dst, if width == Width::W64 { Size::Dw } else { Size::W })
            && dst != base
            && src != Operand::Reg(dst) =>
        {
            LOAD_ADD_STORE[wide(width)][place(dst)][place(base)][places.of_operand(src)]
        }
        _ => return None,
    };
    Some(Cell { run, ..cell })
}

/// The cell for the first two of these operations, of which the first has `cell`.
fn two<M: Memory>(cell: Cell, ops: &[Op], places: &Places) -> Option<Cell> {
    let place = |reg| places.of_reg(reg);
    let [first, second] = *ops.first_chunk()?;
    if let Some(sum) = Sum::of(first, second) {
        return Some(sum.cell(cell, SUM[place(sum.dst)][place(sum.base)][sum.operand(places)]));
    }
    let run = match (first, second) {
        (
            Op::Mov { width, dst, src: Operand::Reg(src) },
            Op::Alu { width: same, op, dst: derived, src: Operand::Imm(_) },
        ) if dst == derived && width == same => DERIVED[number(ALU_OPS, op)][wide(width)][place(dst)][place(src)],
        (
            Op::Alu { width, op: AluOp::Add, dst, src: Operand::Imm(_) },
            Op::Branch { width: compared, op, lhs, rhs, .. },
        ) if lhs == dst && compared == width => {
            Of::<M>::STEP[number(COMPARISONS, op)][wide(width)][place(dst)][places.of_operand(rhs)]
        }
        (
            Op::Load { size, signed: false, dst, base, .. },
            Op::Branch { width, op: op @ (CmpOp::Eq | CmpOp::Ne), lhs, rhs: Operand::Imm(imm), .. },
        ) if lhs == dst && (width == Width::W64 || (size != Size::Dw && imm >= 0)) => {
            Of::<M>::LOAD_BRANCH[number(&SIZES, size)][usize::from(op == CmpOp::Ne)][place(dst)][place(base)]
        }
        (Op::Branch { width, op: CmpOp::Eq, lhs, rhs: Operand::Imm(_), .. }, Op::Jump { .. }) => {
            Of::<M>::EITHER[wide(width)][place(lhs)]
        }
        _ => return None,
    };
    Some(Cell { run, ..cell })
}

fn wide(width: Width) -> usize {
    usize::from(width == Width::W64)
}

/// `dst = base + more`, made of a move and an addition.
struct Sum {
    dst: Reg,
    base: Reg,
    more: More,
}

enum More {
    /// A register, which the second cell names.
    Reg(Reg),
    Imm(u64),
}

impl Sum {
    fn of(first: Op, second: Op) -> Option<Sum> {
        let Op::Alu { width: Width::W64, op: AluOp::Add, dst, src } = second else { return None };
        let (base, more) = match (first, src) {
            (_, Operand::Reg(src)) if src == dst => return None,
            (Op::Mov { width: Width::W64, dst: to, src: Operand::Reg(base) }, Operand::Reg(src)) if to == dst => {
                (base, More::Reg(src))
            }
            (Op::Mov { width: Width::W64, dst: to, src: Operand::Reg(base) }, Operand::Imm(imm)) if to == dst => {
                (base, More::Imm(eval::immediate(imm)))
            }
            (Op::LoadImm { dst: to, value }, Operand::Reg(src)) if to == dst => (src, More::Imm(value)),
            _ => return None,
        };
        Some(Sum { dst, base, more })
    }

    fn operand(&self, places: &Places) -> usize {
        match self.more {
            More::Reg(reg) => places.of_reg(reg),
            More::Imm(_) => IMM,
        }
    }

    fn cell(&self, cell: Cell, run: Handler) -> Cell {
        let imm = match self.more {
            More::Reg(_) => 0,
            More::Imm(imm) => imm,
        };
        Cell { run, imm, src: self.base.number(), ..cell }
    }
}

/// Those that load from the sum of two operands, for tests.
#[cfg(test)]
pub(super) fn indexed_handlers() -> Vec<Handler> {
    INDEXED.as_flattened().as_flattened().as_flattened().to_vec()
}

/// Every other handler of one memory, for tests.
#[cfg(test)]
pub(super) fn handlers<M: Memory>() -> Vec<Handler> {
    let operands = SUM.iter().chain(LOAD_ADD_STORE.as_flattened());
    let operands = operands.chain(Of::<M>::STEP.as_flattened()).flatten().flatten();
    let places = DERIVED.as_flattened().iter().chain(Of::<M>::LOAD_BRANCH.as_flattened()).flatten().flatten();
    let place = Of::<M>::STEP_EITHER.iter().chain(&Of::<M>::EITHER).flatten();
    operands.chain(places).chain(place).copied().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ring3_platform::ProgType;

    use super::*;
    use crate::exec::run;
    use crate::interp::Interp;
    use crate::{Env, TestHost};

    /// What a program of moves, sums, loads and steps over the 64 bytes of its context computes: fused (as if proved), and one
    /// operation at a time.
    fn both(text: &str) -> [u64; 2] {
        let code = ring3_isa::assemble(text).unwrap_or_else(|e| panic!("{e}: {text}"));
        let kind = ProgType::Tracepoint;
        let fused = crate::link::tests::link_trusted(&code, kind, &[]).unwrap();
        let plain = crate::link_unverified(&code, kind, &[], &crate::Helpers::new()).unwrap();
        [fused, plain].map(|linked| {
            let interp = Interp::new(Arc::new(linked));
            let mut host = TestHost::default();
            let mut env = Env::new(&mut host);
            env.ctx =
                crate::ctx::from_image(kind, &std::array::from_fn::<u8, 64, _>(|i| (i as u8).wrapping_mul(5))).unwrap();
            env.budget = Some(1000);
            run(&interp, &mut env).unwrap_or_else(|e| panic!("{e}: {text}")) ^ env.executed().unwrap() << 48
        })
    }

    /// Texts in which `D`, `B` and `X` are registers: sums of them in R0, with the context in `B` where there is a load.
    const TEXTS: [&str; 12] = [
        "B = r1\nX = 5\nD = B\nD += X\nD -= r1",
        "B = r1\nX = 5\nD = B\nD += X\nD = *(u16 *)(D +3)",
        "B = r1\nD = B\nD += 9\nD = *(u8 *)(D +1)",
        "X = r1\nD = 0x7 ll\nD += X\nD = *(u32 *)(D +2)",
        "B = 0x123456789 ll\nD = B\nD s>>= 3",
        "B = 0x8123456789 ll\nD = B\nwD *= 77",
        "X = 0\nD = 3\nD += -4\nif D == X goto pc+1\nD *= 3",
        "D = 0\nagain: D += 3\nif D == 30 goto pc+1\ngoto again",
        "D = 0\nagain: wD += 3\nif wD > 50 goto pc+1\ngoto again",
        "B = r1\nD = *(u8 *)(B +7)\nif D != 35 goto pc+1\nD = 77",
        "B = r10\n*(u64 *)(B -8) = 41\nX = 2\nD = *(u64 *)(B -8)\nD += X\n*(u64 *)(B -8) = D\nD = *(u64 *)(B -8)",
        "B = r10\n*(u64 *)(B -8) = -1\nD = *(u32 *)(B -8)\nwD += 2\n*(u32 *)(B -8) = D\nD = *(u64 *)(B -8)",
    ];

    #[test]
    fn what_is_fused_computes_the_same() {
        let registers = [0, 2, 3, 4, 5, 6, 7, 8, 9];
        for text in TEXTS {
            for d in registers {
                for b in registers.into_iter().filter(|b| *b != d) {
                    for x in registers.into_iter().filter(|x| ![b, d].contains(x)) {
                        let text = text.replace("wD", &format!("w{d}")).replace('D', &format!("r{d}"));
                        let text = text.replace('B', &format!("r{b}")).replace('X', &format!("r{x}"));
                        let text = format!("r0 = 0\n{text}\nr1 = r{d}\nr0 ^= r{b}\nr0 = r1\nexit");
                        let [fused, plain] = both(&text);
                        assert_eq!(fused, plain, "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_jump_may_lead_into_the_middle() {
        let text = "r2 = 1\nr3 = 5\nr4 = 40\nif r2 == 1 goto middle\nr4 = r3\nmiddle: r4 += r3\nr0 = r4\nexit";
        let [fused, plain] = both(text);
        assert_eq!((fused & 0xffff, fused), (45, plain));
    }

    #[test]
    fn what_is_named_is_found() {
        let found = |text: &str| {
            let code = ring3_isa::assemble(&format!("{text}\nexit")).unwrap();
            let linked = crate::link_unverified(&code, ProgType::Xdp, &[], &crate::Helpers::new()).unwrap();
            let places = Places::of(linked.ops());
            let cell = crate::interp::cell::plain(crate::interp::control::exit::<memory::Host<false>>);
            let three = three::<memory::Host<false>>(cell, linked.ops(), &places).map(|_| 3);
            three.or_else(|| two::<memory::Host<false>>(cell, linked.ops(), &places).map(|_| 2)).unwrap_or(0)
        };
        for (text, count) in [
            ("r1 = r2\nr1 += r3\nr1 = *(u8 *)(r1 +0)", 3),
            ("r1 = r2\nr1 += r3\nr4 = *(u8 *)(r1 +0)", 2),
            ("r1 = r2\nr1 += r1", 0),
            ("r1 = *(u64 *)(r10 -8)\nr1 += 1\n*(u64 *)(r10 -8) = r1", 3),
            ("r1 = *(u64 *)(r10 -8)\nr1 += r1\n*(u64 *)(r10 -8) = r1", 0),
            ("r1 = *(u64 *)(r1 +0)\nr1 += 1\n*(u64 *)(r1 +0) = r1", 0),
            ("r1 = *(u64 *)(r10 -8)\nw1 += 1\n*(u64 *)(r10 -8) = r1", 0),
            ("r1 = *(u64 *)(r10 -8)\nr1 += 1\n*(u64 *)(r10 -16) = r1", 0),
            ("r1 = *(u8 *)(r10 -8)\nif r1 == 3 goto pc+0", 2),
            ("r1 = *(u8 *)(r10 -8)\nif w1 == -3 goto pc+0", 0),
            ("r1 = *(u64 *)(r10 -8)\nif w1 == 3 goto pc+0", 0),
            ("r1 = *(s8 *)(r10 -8)\nif r1 == 3 goto pc+0", 0),
            ("r1 += 1\nif r1 != r2 goto pc+0", 2),
            ("r1 += 1\nif w1 != w2 goto pc+0", 0),
            ("r1 += 1\nif r2 != 3 goto pc+0", 0),
            ("if r1 == 3 goto pc+1\ngoto pc-2", 2),
        ] {
            assert_eq!(found(text), count, "{text}");
        }
    }
}
