//! Pre-decoded operations: a cell holds the operands of one, and the handler that was compiled for just its operation, width,
//! size and places of operands.

use ring3_isa::{AluOp, AtomicOp, CmpOp, EndianOp, Operand, Reg, Size, Width, eval};

use super::dispatch::Handler;
use super::fuse::fuse;
use super::memory::Memory;
use super::place::{IMM, OPERANDS, PLACES, Places};
use super::{access, alu, control};
use crate::link::Linked;
use crate::lower::{Op, Target};
use crate::maps::ArrayLayout;

/// An operation with its operands in place.
#[derive(Clone, Copy)]
pub(super) struct Cell {
    pub(super) run: Handler,
    pub(super) imm: u64,
    /// Offset of an access, or bytes from the next cell to the one that a jump leads to.
    pub(super) off: i32,
    pub(super) dst: u8,
    pub(super) src: u8,
}

impl Cell {
    /// Where the jump in the cell `pc` leads.
    #[inline(always)]
    pub(super) fn target(&self, pc: *const Cell) -> *const Cell {
        pc.wrapping_add(1).wrapping_byte_offset(self.off as isize)
    }
}

/// Defines a handler: what it gets are the cell's address, the cell, the machine's state and the hot registers. Its type is
/// `dispatch::Handler`, where the safety of calling it is described.
macro_rules! handler {
    ($(#[$meta:meta])*
     fn $name:ident[$($generics:tt)*]($pc:ident, $cell:ident, $machine:ident, $hot:ident) $body:block) => {
        $(#[$meta])*
        #[allow(unused_mut)]
        pub(super) unsafe fn $name<$($generics)*>(
            $pc: *const $crate::interp::cell::Cell,
            $machine: &mut $crate::interp::machine::Machine<'_, '_>,
            a: u64,
            b: u64,
            c: u64,
            d: u64,
        ) -> $crate::interp::dispatch::Flow {
            let mut $hot: $crate::interp::dispatch::Hot = [a, b, c, d];
            // SAFETY: a cell of the program, by the caller.
            let $cell = unsafe { &*$pc };
            $body
        }
    };
}
pub(super) use handler;

pub(super) const fn width(wide: bool) -> Width {
    if wide { Width::W64 } else { Width::W32 }
}

/// Operations by the number that handlers have as a parameter.
pub(super) const ALU_OPS: &[AluOp] = AluOp::ALL;
pub(super) const COMPARISONS: &[CmpOp] = CmpOp::ALL;
/// Atomic operations by the number in a cell's immediate.
pub(super) const ATOMICS: &[AtomicOp] = AtomicOp::ALL;
/// Sizes by number.
pub(super) const SIZES: [Size; 4] = [Size::B, Size::H, Size::W, Size::Dw];
/// Sizes of byte swaps by number.
pub(super) const SWAP_SIZES: [Size; 3] = [Size::H, Size::W, Size::Dw];

/// Mark in the immediate of a legacy packet load: the offset has an index register.
pub(super) const PACKET_INDEXED: u64 = 1 << 8;

/// Mark in the immediate of a guarded access: the value is in its upper half.
pub(super) const GUARDED_IMM: u64 = 1 << 16;

/// The index of a value in its list, which has it.
pub(super) fn number<T: PartialEq>(list: &[T], value: T) -> usize {
    list.iter().position(|known| *known == value).unwrap_or(0)
}

/// Handlers by the place of a register.
pub(super) type ByPlace = [Handler; PLACES];
/// Handlers by the places of the destination and another register.
pub(super) type ByPlaces = [[Handler; PLACES]; PLACES];
/// Handlers by the places of the destination and another operand.
pub(super) type ByOperands = [[Handler; OPERANDS]; PLACES];

/// The handlers `$name<..., PLACE>` of one register.
macro_rules! by_place {
    ($name:path, [$($generic:tt),*]) => {{
        use $name as handler;
        [
            handler::<$($generic,)* 0>, handler::<$($generic,)* 1>, handler::<$($generic,)* 2>,
            handler::<$($generic,)* 3>, handler::<$($generic,)* 4>,
        ]
    }};
}

/// The handlers `$name<..., PLACE, PLACE>` of two registers.
macro_rules! by_places {
    (@row $name:path, [$($generic:tt),*], $place:literal) => {{
        use $name as handler;
        [
            handler::<$($generic,)* $place, 0>, handler::<$($generic,)* $place, 1>, handler::<$($generic,)* $place, 2>,
            handler::<$($generic,)* $place, 3>, handler::<$($generic,)* $place, 4>,
        ]
    }};
    ($name:path, $generics:tt) => {[
        by_places!(@row $name, $generics, 0), by_places!(@row $name, $generics, 1), by_places!(@row $name, $generics, 2),
        by_places!(@row $name, $generics, 3), by_places!(@row $name, $generics, 4),
    ]};
}

/// The handlers `$name<..., PLACE, OPERAND>` of a register and an operand.
macro_rules! by_operands {
    (@row $name:path, [$($generic:tt),*], $place:literal) => {{
        use $name as handler;
        [
            handler::<$($generic,)* $place, 0>, handler::<$($generic,)* $place, 1>, handler::<$($generic,)* $place, 2>,
            handler::<$($generic,)* $place, 3>, handler::<$($generic,)* $place, 4>, handler::<$($generic,)* $place, 5>,
        ]
    }};
    ($name:path, $generics:tt) => {[
        by_operands!(@row $name, $generics, 0), by_operands!(@row $name, $generics, 1),
        by_operands!(@row $name, $generics, 2), by_operands!(@row $name, $generics, 3),
        by_operands!(@row $name, $generics, 4),
    ]};
}

pub(super) use {by_operands, by_place, by_places};

const fn alu_row<const OP: usize>() -> [ByOperands; 2] {
    const fn of<const OP: usize, const WIDE: bool>() -> ByOperands {
        by_operands!(alu::alu, [OP, WIDE])
    }
    [of::<OP, false>(), of::<OP, true>()]
}

const fn branch_row<M: Memory, const OP: usize>() -> [ByOperands; 2] {
    const fn of<M: Memory, const OP: usize, const WIDE: bool>() -> ByOperands {
        by_operands!(control::branch, [M, OP, WIDE])
    }
    [of::<M, OP, false>(), of::<M, OP, true>()]
}

const fn mov_row<const WIDE: bool>() -> ByOperands {
    by_operands!(alu::mov, [WIDE])
}

const fn mov_sx_row<const FROM: usize, const WIDE: bool>() -> ByPlaces {
    by_places!(alu::mov_sx, [FROM, WIDE])
}

const fn neg_row<const WIDE: bool>() -> ByPlace {
    by_place!(alu::neg, [WIDE])
}

const fn endian_row<const OP: usize>() -> [ByPlace; 3] {
    const fn of<const OP: usize, const SIZE: usize>() -> ByPlace {
        by_place!(alu::endian, [OP, SIZE])
    }
    [of::<OP, 0>(), of::<OP, 1>(), of::<OP, 2>()]
}

const fn load_row<M: Memory, const SIZE: usize>() -> [ByPlaces; 2] {
    const fn of<M: Memory, const SIZE: usize, const SIGNED: bool>() -> ByPlaces {
        by_places!(access::load, [M, SIZE, SIGNED])
    }
    [of::<M, SIZE, false>(), of::<M, SIZE, true>()]
}

const fn store_row<M: Memory, const SIZE: usize>() -> ByOperands {
    by_operands!(access::store, [M, SIZE])
}

const fn lookup_row() -> ByPlaces {
    by_places!(control::lookup, [])
}

/// One entry for each number of a list: `$row::<..., NUMBER>()`.
macro_rules! rows {
    ($row:ident, $($number:literal)*) => { [$($row::<$number>()),*] };
    ($memory:ident, $row:ident, $($number:literal)*) => { [$($row::<$memory, $number>()),*] };
}

pub(super) use rows;

static ALU: [[ByOperands; 2]; 13] = rows!(alu_row, 0 1 2 3 4 5 6 7 8 9 10 11 12);
static MOV: [ByOperands; 2] = [mov_row::<false>(), mov_row::<true>()];
static NEG: [ByPlace; 2] = [neg_row::<false>(), neg_row::<true>()];
static MOV_SX: [[ByPlaces; 2]; 3] = [
    [mov_sx_row::<1, false>(), mov_sx_row::<1, true>()],
    [mov_sx_row::<2, false>(), mov_sx_row::<2, true>()],
    [mov_sx_row::<4, false>(), mov_sx_row::<4, true>()],
];
static ENDIAN: [[ByPlace; 3]; 3] = rows!(endian_row, 0 1 2);
static LOOKUP: ByPlaces = lookup_row();

/// The handlers that depend on the memory.
struct Of<M>(M);

impl<M: Memory> Of<M> {
    const BRANCH: &'static [[ByOperands; 2]; 11] = &rows!(M, branch_row, 0 1 2 3 4 5 6 7 8 9 10);
    const LOAD: &'static [[ByPlaces; 2]; 4] = &rows!(M, load_row, 0 1 2 3);
    const STORE: &'static [ByOperands; 4] = &rows!(M, store_row, 0 1 2 3);
    const ATOMIC: [Handler; 2] = [access::atomic::<M, 2>, access::atomic::<M, 3>];
    const ACQUIRE: [Handler; 4] =
        [access::acquire::<M, 0>, access::acquire::<M, 1>, access::acquire::<M, 2>, access::acquire::<M, 3>];
    const RELEASE: [Handler; 4] =
        [access::release::<M, 0>, access::release::<M, 1>, access::release::<M, 2>, access::release::<M, 3>];
}

/// An array in which one call always looks up, and the interpreter without a call: value `i` is at `base + i * stride` for
/// `i < entries`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    pub(super) base: u64,
    pub(super) stride: u64,
    pub(super) entries: u32,
    call: Target,
}

/// The tables of a program, which has some only if it was verified.
pub(super) fn tables(linked: &Linked) -> Box<[Table]> {
    let table = |(call, layout): (Target, ArrayLayout)| {
        let base = layout.base.as_ptr().expose_provenance() as u64;
        Table { base, stride: layout.stride as u64, entries: layout.entries, call }
    };
    linked.array_lookups().map(table).collect()
}

/// Pre-decodes a program and puts a `fell_off` behind it. Jumps to nowhere lead there as well.
pub(super) fn decode<M: Memory>(linked: &Linked, places: &Places, tables: &[Table]) -> Box<[Cell]> {
    let ops = linked.ops();
    let cells = ops.iter().zip(0..).map(|(op, at)| cell::<M>(*op, at, ops.len(), places));
    let mut cells: Vec<Cell> = cells.chain([plain(control::fell_off::<M>)]).collect();
    if !M::CHECKED {
        fuse::<M>(&mut cells, ops, places);
        inline_lookups(&mut cells, places, tables);
    }
    cells.into()
}

fn inline_lookups(cells: &mut [Cell], places: &Places, tables: &[Table]) {
    let run = LOOKUP[places.of_reg(Reg::R0)][places.of_reg(Reg::R2)];
    for (index, table) in (0..).zip(tables) {
        if let Some(cell) = cells.get_mut(table.call as usize) {
            (cell.run, cell.imm) = (run, index);
        }
    }
}

pub(super) fn plain(run: Handler) -> Cell {
    Cell { run, imm: 0, off: 0, dst: 0, src: 0 }
}

/// Place, number and immediate of an operand.
fn operand(places: &Places, operand: Operand) -> (usize, u8, u64) {
    match operand {
        Operand::Reg(reg) => (places.of_operand(operand), reg.number(), 0),
        Operand::Imm(imm) => (places.of_operand(operand), 0, eval::immediate(imm)),
    }
}

/// Bytes from behind the cell `at` to that of a target, or to the last one if there is no such operation.
fn distance(at: usize, target: Target, ops: usize) -> i32 {
    let to = (target as usize).min(ops) as i64;
    let bytes = (to - (at as i64 + 1)) * size_of::<Cell>() as i64;
    // A program has at most twice `MAX_OPS` operations, whose cells are far less than 2 GiB.
    bytes as i32
}

fn cell<M: Memory>(op: Op, at: usize, ops: usize, places: &Places) -> Cell {
    let of = |reg: Reg| (places.of_reg(reg), reg.number());
    match op {
        Op::Alu { width, op, dst, src } => {
            let ((d, dst), (s, src, imm)) = (of(dst), operand(places, src));
            let run = ALU[number(ALU_OPS, op)][usize::from(width == Width::W64)][d][s];
            Cell { run, imm, off: 0, dst, src }
        }
        Op::Mov { width, dst, src } => {
            let ((d, dst), (s, src, imm)) = (of(dst), operand(places, src));
            Cell { run: MOV[usize::from(width == Width::W64)][d][s], imm, off: 0, dst, src }
        }
        Op::MovSx { width, from, dst, src } => {
            let ((d, dst), (s, src), wide) = (of(dst), of(src), usize::from(width == Width::W64));
            let run = match from {
                Size::B => MOV_SX[0][wide][d][s],
                Size::H => MOV_SX[1][wide][d][s],
                Size::W => MOV_SX[2][wide][d][s],
                Size::Dw => MOV[wide][d][s],
            };
            Cell { run, imm: 0, off: 0, dst, src }
        }
        Op::Neg { width, dst } => {
            let (d, dst) = of(dst);
            Cell { dst, ..plain(NEG[usize::from(width == Width::W64)][d]) }
        }
        Op::Endian { op, size, dst } => {
            let (d, dst) = of(dst);
            Cell { dst, ..plain(ENDIAN[number(EndianOp::ALL, op)][number(&SWAP_SIZES, size)][d]) }
        }
        Op::LoadImm { dst, value } => {
            let (d, dst) = of(dst);
            Cell { run: MOV[1][d][IMM], imm: value, off: 0, dst, src: 0 }
        }
        Op::Load { size, signed, dst, base, off } => {
            let ((d, dst), (b, src)) = (of(dst), of(base));
            Cell { run: Of::<M>::LOAD[number(&SIZES, size)][usize::from(signed)][d][b], imm: 0, off, dst, src }
        }
        Op::Store { size, base, off, src } => {
            let ((b, dst), (s, src, imm)) = (of(base), operand(places, src));
            Cell { run: Of::<M>::STORE[number(&SIZES, size)][b][s], imm, off, dst, src }
        }
        Op::Atomic { op, size, base, off, src } => {
            let run = Of::<M>::ATOMIC[usize::from(size == Size::Dw)];
            Cell { run, imm: number(ATOMICS, op) as u64, off, dst: base.number(), src: src.number() }
        }
        Op::LoadAcquire { size, dst, base, off } => {
            let run = Of::<M>::ACQUIRE[number(&SIZES, size)];
            Cell { run, imm: 0, off, dst: dst.number(), src: base.number() }
        }
        Op::StoreRelease { size, base, off, src } => {
            let run = Of::<M>::RELEASE[number(&SIZES, size)];
            Cell { run, imm: 0, off, dst: base.number(), src: src.number() }
        }
        Op::Guarded { access, base, off, value } => {
            // The immediate: which access, whether the value is in it, and the value.
            let (src, value) = match value {
                Operand::Reg(reg) => (reg.number(), 0),
                Operand::Imm(imm) => (0, GUARDED_IMM | u64::from(imm as u32) << 32),
            };
            let imm = u64::from(access.bits()) | value;
            Cell { run: access::guarded::<M>, imm, off, dst: base.number(), src }
        }
        Op::Jump { target } => Cell { off: distance(at, target, ops), ..plain(control::jump::<M>) },
        Op::Branch { width, op, lhs, rhs, target } => {
            let ((l, dst), (r, src, imm)) = (of(lhs), operand(places, rhs));
            let run = Of::<M>::BRANCH[number(COMPARISONS, op)][usize::from(width == Width::W64)][l][r];
            Cell { run, imm, off: distance(at, target, ops), dst, src }
        }
        Op::MayGoto { target } => Cell { off: distance(at, target, ops), ..plain(control::may_goto::<M>) },
        Op::CallHelper { helper } => Cell { imm: helper.into(), ..plain(control::helper::<M>) },
        Op::CallLocal { subprog } => Cell { imm: subprog.into(), ..plain(control::call::<M>) },
        Op::TailCall => plain(control::tail::<M>),
        Op::Exit => plain(control::exit::<M>),
        Op::LegacyPacket { size, index, imm } => {
            let mark = if index.is_some() { PACKET_INDEXED } else { 0 };
            let src = index.map_or(0, Reg::number);
            Cell { run: control::packet::<M>, imm: u64::from(size.bytes()) | mark, off: imm, dst: 0, src }
        }
    }
}

/// Every handler of one memory that does not call anything nor end a function, for tests.
#[cfg(test)]
pub(super) fn simple_handlers<M: Memory>() -> Vec<Handler> {
    let operands = ALU.as_flattened().iter().chain(&MOV).chain(Of::<M>::BRANCH.as_flattened()).chain(Of::<M>::STORE);
    let places = MOV_SX.as_flattened().iter().chain(Of::<M>::LOAD.as_flattened());
    let place = NEG.iter().chain(ENDIAN.as_flattened());
    let one = [control::jump::<M>, control::may_goto::<M>, access::guarded::<M>];
    (operands.flatten().flatten().chain(places.flatten().flatten()).chain(place.flatten()).chain(&one))
        .chain(&Of::<M>::ATOMIC)
        .chain(&Of::<M>::ACQUIRE)
        .chain(&Of::<M>::RELEASE)
        .copied()
        .collect()
}
