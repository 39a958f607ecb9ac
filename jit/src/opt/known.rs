//! Numbers that registers hold on every way to an operation, put in the place of the registers, and what then is never reached.
//!
//! The numbers are found from the operations alone. What the verifier knew of registers is no help: it compares states only in the
//! numbers that something relied on, so a register of which every state that it walked on from had one number may have another one in a
//! run. Branches that it decided are another matter, as it then relied on the numbers that decide them.
//! What is loaded from a map whose content never changes is a number, too: linking compared it with what the verifier read there.

use std::ops::Range;

use ring3_isa::{AluOp, Endianness, Operand, Reg, Size, Width, eval};
use ring3_vm::Op;

use super::effects::writes;
use super::flow::Flow;
use super::worklist::Worklist;
use super::{live, slots};
use crate::compile::{Function, Unit};
use crate::planted::Bug;

/// What a register holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Value {
    /// Any number, or an address of memory other than the frame's stack.
    Any,
    /// This number.
    Number(u64),
    /// The address so many bytes from R10 on.
    Stack(i32),
    /// It may be an address of the stack, but which?
    Somewhere,
}

/// What all registers hold.
pub(super) type Values = [Value; Reg::COUNT];

/// Addresses further from R10 are those of no frame.
const FAR: i64 = 1 << 20;

impl Value {
    /// Whether it may lead to the stack.
    pub(super) fn is_stack(self) -> bool {
        match self {
            Value::Stack(_) | Value::Somewhere => true,
            Value::Any | Value::Number(_) => false,
        }
    }

    fn number(self) -> Option<u64> {
        match self {
            Value::Number(number) => Some(number),
            Value::Any | Value::Stack(_) | Value::Somewhere => None,
        }
    }

    /// What holds whichever of both it is.
    fn or(self, other: Value) -> Value {
        match (self, other) {
            _ if self == other => self,
            (Value::Any | Value::Number(_), Value::Any | Value::Number(_)) => Value::Any,
            (Value::Stack(_) | Value::Somewhere, _) | (_, Value::Stack(_) | Value::Somewhere) => Value::Somewhere,
        }
    }

    /// What arithmetic that nobody follows makes of it.
    fn lost(self) -> Value {
        if self.is_stack() { Value::Somewhere } else { Value::Any }
    }

    /// So many bytes further.
    fn moved(off: i32, by: u64) -> Value {
        let to = i64::from(off).wrapping_add(by as i64);
        if to.abs() > FAR || (by as i64).abs() > FAR { Value::Somewhere } else { Value::Stack(to as i32) }
    }
}

/// What was found out about a program.
#[derive(Default)]
pub(crate) struct Known {
    /// The operations, with numbers in them.
    pub(crate) ops: Vec<Op>,
    /// Operations that nothing reaches, and stores to the stack that nobody reads.
    pub(crate) gone: Vec<bool>,
    /// By function: bytes below R10 that may be read before they are written. The others need not be zeroed.
    pub(crate) unset: Vec<Range<u32>>,
}

impl Known {
    /// Of a program.
    pub(crate) fn of(unit: &Unit<'_>) -> Known {
        let mut known = Known {
            ops: unit.ops.to_vec(),
            gone: vec![false; unit.ops.len()],
            unset: Vec::with_capacity(unit.functions.len()),
        };
        let leaders = live::leaders(unit);
        let shared = slots::Shared::nothing(unit);
        for function in unit.functions {
            let unset = known.function(unit, function, &leaders, shared);
            known.unset.push(unset);
        }
        known
    }

    fn function(
        &mut self,
        unit: &Unit<'_>,
        function: &Function,
        leaders: &[bool],
        mut shared: slots::Shared,
    ) -> Range<u32> {
        let flow = Flow::of(unit, function, leaders);
        let starts = spread(unit, &flow, &mut flow.forwards());
        for (block, start) in flow.blocks.iter().zip(&starts) {
            let Some(start) = start else {
                self.gone[block.clone()].fill(true);
                continue;
            };
            let mut values = *start;
            for at in block.clone() {
                shared.look(unit, at, &values);
                self.ops[at] = numbered(unit, at, &values);
                // What is jumped over is not there any more.
                self.gone[at] = matches!(self.ops[at], Op::Jump { target } if target as usize == at + 1);
                step(unit, at, &mut values);
            }
        }
        slots::find(unit, &flow, &starts, shared, &mut self.gone)
    }
}

/// What registers hold where each block starts; `None` for a block that nothing reaches.
pub(super) fn spread(unit: &Unit<'_>, flow: &Flow, work: &mut Worklist) -> Vec<Option<Values>> {
    let mut starts: Vec<Option<Values>> = vec![None; flow.blocks.len()];
    let mut entered = [Value::Any; Reg::COUNT];
    entered[Reg::FP.index()] = Value::Stack(0);
    if let Some(first) = starts.first_mut() {
        *first = Some(entered);
    }
    // What a register holds gets less certain three times at most.
    while let Some(index) = work.next() {
        let Some(mut values) = starts[index] else { continue };
        let block = flow.blocks[index].clone();
        let last = block.end - 1;
        (block.start..last).for_each(|at| step(unit, at, &mut values));
        // A branch that numbers decide is a jump now, and so leads one way.
        let ways = if let Op::Jump { target } = numbered(unit, last, &values) {
            [Some(target as usize), None]
        } else {
            flow.next[index].map(|next| next.map(|next| flow.blocks[next].start))
        };
        step(unit, last, &mut values);
        for start in ways.into_iter().flatten() {
            let Ok(next) = flow.blocks.binary_search_by_key(&start, |block| block.start) else { continue };
            let joined = match starts[next] {
                Some(before) if unit.has_bug(Bug::KnownOneWay) => before,
                Some(before) => std::array::from_fn(|reg| before[reg].or(values[reg])),
                None => values,
            };
            if starts[next] != Some(joined) {
                starts[next] = Some(joined);
                work.open(next);
            }
        }
    }
    starts
}

/// What an operation does to the registers.
pub(super) fn step(unit: &Unit<'_>, at: usize, values: &mut Values) {
    let op = unit.ops[at];
    if matches!(op, Op::CallHelper { .. } | Op::CallLocal { .. } | Op::TailCall | Op::LegacyPacket { .. }) {
        // R1 to R5 nobody reads, and an address of the stack in R0 leads to what the call was given.
        values[..=Reg::R5.index()].fill(Value::Any);
    } else if let Some(dst) = writes(op) {
        values[dst.index()] = made(unit, op, values);
    }
}

/// What the register holds that an operation writes.
fn made(unit: &Unit<'_>, op: Op, values: &Values) -> Value {
    let of = |reg: Reg| values[reg.index()];
    let operand = |operand| match operand {
        Operand::Reg(reg) => of(reg),
        Operand::Imm(imm) => Value::Number(eval::immediate(imm)),
    };
    let map = |value: Value, make: &dyn Fn(u64) -> u64| match value {
        Value::Number(number) => Value::Number(make(number)),
        other => other.lost(),
    };
    match op {
        Op::Mov { width: Width::W64, src, .. } => operand(src),
        Op::Mov { width: Width::W32, src, .. } => map(operand(src), &|number| eval::mov(Width::W32, number)),
        Op::MovSx { width, from, src, .. } => map(of(src), &|number| eval::mov_sx(width, from, number)),
        Op::Neg { width, dst } => map(of(dst), &|number| eval::neg(width, number)),
        // Machines that code is made for have the low byte first.
        Op::Endian { op, size, dst } => map(of(dst), &|number| eval::endian(op, size, number, Endianness::Little)),
        Op::LoadImm { value, .. } => Value::Number(value),
        Op::Alu { width, op, dst, src } => match (op, of(dst), operand(src)) {
            (_, Value::Number(lhs), Value::Number(rhs)) => Value::Number(eval::alu(op, width, lhs, rhs)),
            (AluOp::Add, Value::Stack(off), Value::Number(by)) | (AluOp::Add, Value::Number(by), Value::Stack(off))
                if width == Width::W64 =>
            {
                Value::moved(off, by)
            }
            (AluOp::Sub, Value::Stack(off), Value::Number(by)) if width == Width::W64 => {
                Value::moved(off, by.wrapping_neg())
            }
            (_, lhs, rhs) => lhs.lost().or(rhs.lost()),
        },
        Op::Load { size, signed, base, off, .. } => match of(base) {
            Value::Number(base) => constant(unit, base.wrapping_add_signed(off.into()), size)
                .map_or(Value::Any, |raw| Value::Number(eval::load_extend(size, signed, raw))),
            Value::Any | Value::Stack(_) | Value::Somewhere => Value::Any,
        },
        // What memory holds: no address of the stack, as long as none was put there. Where one is, all of the stack is shared.
        Op::LoadAcquire { .. } | Op::Atomic { .. } | Op::Guarded { .. } => Value::Any,
        Op::Store { .. }
        | Op::StoreRelease { .. }
        | Op::Jump { .. }
        | Op::Branch { .. }
        | Op::MayGoto { .. }
        | Op::CallHelper { .. }
        | Op::TailCall
        | Op::CallLocal { .. }
        | Op::Exit
        | Op::LegacyPacket { .. } => Value::Any,
    }
}

/// What is at an address that never changes.
fn constant(unit: &Unit<'_>, address: u64, size: Size) -> Option<u64> {
    unit.constants.iter().find_map(|memory| memory.read(address, size.bytes() as usize))
}

/// The operation with numbers in the place of registers that hold them.
fn numbered(unit: &Unit<'_>, at: usize, values: &Values) -> Op {
    let op = unit.ops[at];
    let number = |reg: Reg| values[reg.index()].number();
    let by_number = |src: Operand, fits: &dyn Fn(u64) -> Option<i32>| match src {
        Operand::Reg(reg) => number(reg).and_then(fits).map(Operand::Imm),
        Operand::Imm(_) => None,
    };
    match op {
        Op::LoadImm { .. } | Op::Mov { src: Operand::Imm(_), .. } => op,
        Op::Mov { dst, .. }
        | Op::MovSx { dst, .. }
        | Op::Neg { dst, .. }
        | Op::Endian { dst, .. }
        | Op::Load { dst, .. } => made(unit, op, values).number().and_then(|number| set(dst, number)).unwrap_or(op),
        Op::Alu { width, op: alu, dst, src } => {
            let whole = made(unit, op, values).number().and_then(|number| set(dst, number));
            let operand = || by_number(src, &|number| immediate(width, alu, number));
            whole.or_else(|| operand().map(|src| Op::Alu { width, op: alu, dst, src })).unwrap_or(op)
        }
        Op::Store { size, base, off, src } => {
            let src = by_number(src, &|number| stored(size, number)).unwrap_or(src);
            Op::Store { size, base, off, src }
        }
        Op::Branch { width, op: compare, lhs, rhs, target } => {
            let right = match rhs {
                Operand::Reg(reg) => number(reg),
                Operand::Imm(imm) => Some(eval::immediate(imm)),
            };
            match (number(lhs), right) {
                (Some(left), Some(right)) if eval::compare(compare, width, left, right) => Op::Jump { target },
                (Some(_), Some(_)) => Op::Jump { target: at as u32 + 1 },
                _ => {
                    let rhs = by_number(rhs, &|number| of_width(width, number)).unwrap_or(rhs);
                    Op::Branch { width, op: compare, lhs, rhs, target }
                }
            }
        }
        Op::Atomic { .. }
        | Op::LoadAcquire { .. }
        | Op::StoreRelease { .. }
        | Op::Guarded { .. }
        | Op::Jump { .. }
        | Op::MayGoto { .. }
        | Op::CallHelper { .. }
        | Op::TailCall
        | Op::CallLocal { .. }
        | Op::Exit
        | Op::LegacyPacket { .. } => op,
    }
}

/// A register set to a number, if that is shorter than what computes it.
fn set(dst: Reg, number: u64) -> Option<Op> {
    let mov = |width, imm| Op::Mov { width, dst, src: Operand::Imm(imm) };
    match (i32::try_from(number as i64), u32::try_from(number)) {
        (Ok(imm), _) => Some(mov(Width::W64, imm)),
        (Err(_), Ok(imm)) => Some(mov(Width::W32, imm as i32)),
        (Err(_), Err(_)) => None,
    }
}

/// A second operand of so many bits as an immediate.
fn of_width(width: Width, number: u64) -> Option<i32> {
    match width {
        Width::W32 => Some(number as i32),
        Width::W64 => i32::try_from(number as i64).ok(),
    }
}

/// The same of arithmetic, as programs may have it: no division by 0, and no shift by more than there is.
fn immediate(width: Width, op: AluOp, number: u64) -> Option<i32> {
    let imm = of_width(width, number);
    match op {
        AluOp::Lsh | AluOp::Rsh | AluOp::Arsh => Some((number & u64::from(width.bits() - 1)) as i32),
        AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod => imm.filter(|imm| *imm != 0),
        AluOp::Add | AluOp::Sub | AluOp::Mul | AluOp::Or | AluOp::And | AluOp::Xor => imm,
    }
}

/// What is stored, as an immediate.
fn stored(size: Size, number: u64) -> Option<i32> {
    match size {
        Size::B | Size::H | Size::W => Some(eval::sign_extend(size, number) as i32),
        Size::Dw => i32::try_from(number as i64).ok(),
    }
}

/// The program with what is known of it.
impl<'a> Unit<'a> {
    pub(crate) fn known(self, known: Option<&'a Known>) -> Unit<'a> {
        Unit { ops: known.map_or(self.ops, |known| &known.ops), ..self }
    }
}
