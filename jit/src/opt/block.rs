//! One block: which operation made what each reads, what is the same value, and what can be joined.
//!
//! Three passes. The first counts who reads what; the second goes forward with what each register holds and joins operations; the
//! third goes backward and leaves out what nobody reads. A joined operation is never deleted by the second pass: it loses its
//! reader, and the third finds that out.

use std::ops::Range;

use ring3_isa::{AluOp, EndianOp, Operand, Reg, RegSet, Size, Width};
use ring3_vm::Op;

use super::bytes::{Bytes, Order};
use super::{Effects, Step};
use crate::compile::Unit;
use crate::target::Indexed;

/// Before the block, or nobody knows.
const NOBODY: u32 = u32::MAX;

/// What a register holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Held {
    /// The operation of the block that made it.
    by: u32,
    /// Equal for equal values.
    whole: u32,
    /// Equal for values with equal low halves.
    low: u32,
    /// The upper half is 0.
    narrow: bool,
    /// Which bytes of memory it is made of.
    bytes: Bytes,
}

/// What is known of one operation.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// Who made what it reads.
    inputs: [u32; 3],
    /// Their values.
    values: [u32; 2],
    /// What of the first is equal if the low half is.
    low: u32,
    /// How many read what it makes, in the block and, once, behind it.
    uses: u32,
}

const NODE: Node = Node { inputs: [NOBODY; 3], values: [NOBODY; 2], low: NOBODY, uses: 0 };

/// Rewrites the steps of a block.
pub(super) fn rewrite(unit: &Unit<'_>, range: Range<usize>, live_out: RegSet, steps: &mut [Step]) {
    let mut block = Block {
        ops: &unit.ops[range.clone()],
        effects: range.map(|at| Effects::of(unit.ops[at], unit.is_lookup(at as u32))).collect(),
        nodes: Vec::new(),
        steps,
        held: std::array::from_fn(|index| Held {
            by: NOBODY,
            whole: index as u32,
            low: index as u32,
            narrow: false,
            bytes: Bytes::UNKNOWN,
        }),
        next_value: Reg::COUNT as u32,
        epoch: 0,
    };
    block.count(live_out);
    block.join();
    block.sweep();
}

struct Block<'a> {
    ops: &'a [Op],
    effects: Vec<Effects>,
    nodes: Vec<Node>,
    steps: &'a mut [Step],
    held: [Held; Reg::COUNT],
    next_value: u32,
    /// How often memory may have changed.
    epoch: u32,
}

impl Block<'_> {
    fn count(&mut self, live_out: RegSet) {
        let mut by = [NOBODY; Reg::COUNT];
        self.nodes = vec![NODE; self.ops.len()];
        for (at, effects) in self.effects.iter().enumerate() {
            for reg in effects.reads.iter() {
                if let Some(node) = self.nodes.get_mut(by[reg.index()] as usize) {
                    node.uses += 1;
                }
            }
            let [first, second] = operands(self.ops[at]).map(|reg| reg.map_or(NOBODY, |reg| by[reg.index()]));
            self.nodes[at].inputs = [first, second, NOBODY];
            for reg in effects.writes.iter() {
                by[reg.index()] = at as u32;
            }
        }
        for reg in live_out.iter() {
            if let Some(node) = self.nodes.get_mut(by[reg.index()] as usize) {
                node.uses += 1;
            }
        }
    }

    fn join(&mut self) {
        for at in 0..self.ops.len() {
            let op = self.ops[at];
            let [first, second] = operands(op).map(|reg| reg.map(|reg| self.held[reg.index()]));
            self.nodes[at].values = [first, second].map(|held| held.map_or(NOBODY, |held| held.whole));
            self.nodes[at].low = first.map_or(NOBODY, |held| held.low);
            let made = self.result(at, op);
            self.match_at(at, op, made.map(|(_, held)| held.bytes));
            if self.effects[at].changes_memory {
                self.epoch += 1;
            }
            let writes = self.effects[at].writes;
            for reg in writes.iter() {
                self.held[reg.index()] = self.unknown(at as u32);
            }
            if let Some((dst, held)) = made {
                self.held[dst.index()] = held;
            }
        }
    }

    /// A value that nothing is known of.
    fn unknown(&mut self, by: u32) -> Held {
        self.next_value += 1;
        Held { by, whole: self.next_value, low: self.next_value, narrow: false, bytes: Bytes::UNKNOWN }
    }

    /// What a pure operation makes.
    fn result(&mut self, at: usize, op: Op) -> Option<(Reg, Held)> {
        let fresh = self.unknown(at as u32);
        let held = |reg: Reg| self.held[reg.index()];
        Some(match op {
            Op::Mov { width: Width::W64, dst, src: Operand::Reg(src) } => (dst, Held { by: at as u32, ..held(src) }),
            Op::Mov { width: Width::W32, dst, src: Operand::Reg(src) } => {
                let source = held(src);
                let whole = if source.narrow { source.whole } else { fresh.whole };
                (dst, Held { whole, low: source.low, narrow: true, bytes: source.bytes.low(4), ..fresh })
            }
            Op::Mov { width, dst, src: Operand::Imm(imm) } => {
                (dst, Held { narrow: width == Width::W32 || imm >= 0, ..fresh })
            }
            Op::Alu { width, op, dst, src } => {
                let bytes = match (op, src) {
                    (AluOp::Lsh, Operand::Imm(imm)) => held(dst).bytes.shifted(imm),
                    (AluOp::Or | AluOp::Xor | AluOp::Add, Operand::Reg(src)) => held(dst).bytes.joined(held(src).bytes),
                    _ => Bytes::UNKNOWN,
                };
                let bytes = if width == Width::W32 { bytes.low(4) } else { bytes };
                (dst, Held { narrow: width == Width::W32, bytes, ..fresh })
            }
            Op::Load { size, signed: false, dst, base, off } => {
                let bytes = Bytes::loaded(base, held(base).whole, self.epoch, off, size);
                (dst, Held { narrow: size != Size::Dw, bytes, ..fresh })
            }
            Op::Endian { op, size, dst } => {
                let swaps = matches!(op, EndianOp::ToBe | EndianOp::Swap);
                let bytes = held(dst).bytes.low(size.bytes() as usize);
                let bytes = if swaps { bytes.swapped(size) } else { bytes };
                (dst, Held { narrow: size != Size::Dw, bytes, ..fresh })
            }
            Op::MovSx { width, dst, .. } | Op::Neg { width, dst } => {
                (dst, Held { narrow: width == Width::W32, ..fresh })
            }
            Op::LoadImm { dst, value } => (dst, Held { narrow: u32::try_from(value).is_ok(), ..fresh }),
            _ => return None,
        })
    }

    /// Joins what the operation completes.
    fn match_at(&mut self, at: usize, op: Op, made: Option<Bytes>) {
        if made.is_some_and(|bytes| self.wide_load(at, op, bytes)) {
            return;
        }
        match op {
            Op::Alu { width, op: AluOp::Or | AluOp::Xor | AluOp::Add, dst, src: Operand::Reg(src) }
                if self.rotate(at, width, dst, src) => {}
            Op::Alu { width: Width::W64, op, dst, src: Operand::Imm(32) } if self.extension(at, op, dst) => {}
            Op::Alu { width, op, dst, src } => self.three_operands(at, width, op, dst, src),
            Op::Mov { width: Width::W32, dst, src: Operand::Reg(src) }
                if dst == src && self.held[dst.index()].narrow =>
            {
                self.steps[at] = Step::Nothing;
            }
            Op::Load { size, signed, dst, base, off } => {
                if let Some((base, index)) = self.indexed(at, base, None) {
                    self.steps[at] = Step::LoadIndexed { size, signed, dst, at: Indexed { base, index, off } };
                }
            }
            Op::Store { size, base, off, src } if src != Operand::Reg(base) => {
                if let Some((base, index)) = self.indexed(at, base, src.reg()) {
                    self.steps[at] = Step::StoreIndexed { size, at: Indexed { base, index, off }, src };
                }
            }
            _ => {}
        }
    }

    /// The last step of what puts bytes of memory together becomes one load.
    fn wide_load(&mut self, at: usize, op: Op, bytes: Bytes) -> bool {
        let dst = match op {
            Op::Alu { op: AluOp::Or | AluOp::Xor | AluOp::Add, dst, .. } => dst,
            // Whoever needs the bytes in the other order too has them already.
            Op::Endian { dst, .. } if self.is_read_once(self.held[dst.index()].by) => dst,
            _ => return false,
        };
        let Some(run) = bytes.run() else { return false };
        if run.epoch != self.epoch || self.held[run.base.index()].whole != run.value {
            return false;
        }
        let (size, base, off) = (run.size, run.base, run.off);
        self.steps[at] = match run.order {
            Order::LowFirst => Step::Other(Op::Load { size, signed: false, dst, base, off }),
            Order::HighFirst => Step::LoadSwapped { size, dst, base, off },
        };
        self.read_instead(at, [Some(base), None]);
        true
    }

    /// `x << n | x >> (width - n)`: the shift that `dst` went through becomes a rotation.
    fn rotate(&mut self, at: usize, width: Width, dst: Reg, src: Reg) -> bool {
        let (Some(mine), Some(other)) = (self.shift_of(dst, width), self.shift_of(src, width)) else { return false };
        let opposite = (mine.left > 0) != (other.left > 0);
        let whole = mine.left.unsigned_abs() + other.left.unsigned_abs() == width.bits();
        if dst == src || !opposite || !whole || mine.value != other.value || self.nodes[mine.by].uses != 1 {
            return false;
        }
        let left = mine.left.rem_euclid(width.bits() as i32) as u8;
        self.steps[mine.by] = Step::Rotate { width, dst, src: mine.src, left };
        self.steps[at] = Step::Nothing;
        self.unread(other.by as u32);
        self.nodes[at].inputs = [mine.by as u32, NOBODY, NOBODY];
        true
    }

    /// The shift by a constant that made what is in a register.
    fn shift_of(&self, reg: Reg, width: Width) -> Option<Shift> {
        let by = self.held[reg.index()].by as usize;
        let Op::Alu { width: shifted, op, dst, src: Operand::Imm(count) } = *self.ops.get(by)? else { return None };
        let src = match self.steps[by] {
            Step::Plain => dst,
            Step::Alu { lhs, .. } => lhs,
            Step::Nothing
            | Step::Other(_)
            | Step::Rotate { .. }
            | Step::LoadSwapped { .. }
            | Step::LoadIndexed { .. }
            | Step::StoreIndexed { .. }
            | Step::SelectUnless { .. } => return None,
        };
        if shifted != width || dst != reg || !(1..width.bits() as i32).contains(&count) {
            return None;
        }
        let node = self.nodes[by];
        let value = if width == Width::W64 { node.values[0] } else { node.low };
        match op {
            AluOp::Lsh => Some(Shift { by, src, left: count, value }),
            AluOp::Rsh => Some(Shift { by, src, left: -count, value }),
            _ => None,
        }
    }

    /// Left by 32 and right by 32 is an extension of the low half.
    fn extension(&mut self, at: usize, op: AluOp, dst: Reg) -> bool {
        let Some(shift) = self.shift_of(dst, Width::W64) else { return false };
        let held = self.held[shift.src.index()];
        // In place, the register has what it had before if the first shift goes.
        let there = shift.src == dst || held.whole == shift.value;
        if shift.left != 32 || self.nodes[shift.by].uses != 1 || !there {
            return false;
        }
        let other = match op {
            AluOp::Rsh => Op::Mov { width: Width::W32, dst, src: Operand::Reg(shift.src) },
            AluOp::Arsh => Op::MovSx { width: Width::W64, from: Size::W, dst, src: shift.src },
            _ => return false,
        };
        self.steps[at] = Step::Other(other);
        self.read_of(at, [self.nodes[shift.by].inputs[0], NOBODY]);
        true
    }

    /// A copy that is changed at once: both in one step, on the register that was copied.
    fn three_operands(&mut self, at: usize, width: Width, op: AluOp, dst: Reg, src: Operand) {
        let copy = self.held[dst.index()];
        let Some(Op::Mov { dst: copied, src: Operand::Reg(lhs), .. }) = self.ops.get(copy.by as usize).copied() else {
            return;
        };
        let original = self.held[lhs.index()];
        let same = if width == Width::W64 { original.whole == copy.whole } else { original.low == copy.low };
        if copied != dst || lhs == dst || !same || !self.is_read_once(copy.by) || src == Operand::Reg(dst) {
            return;
        }
        self.steps[at] = Step::Alu { width, op, dst, lhs, rhs: src };
        self.read_instead(at, [Some(lhs), src.reg().filter(|src| *src != lhs)]);
    }

    /// Base and index of an address that was added up for this access only. `other` is what the access reads too.
    fn indexed(&mut self, at: usize, address: Reg, other: Option<Reg>) -> Option<(Reg, Reg)> {
        let by = self.held[address.index()].by;
        let sum = self.nodes.get(by as usize).copied()?;
        let Op::Alu { width: Width::W64, op: AluOp::Add, dst, src: Operand::Reg(index) } = self.ops[by as usize] else {
            return None;
        };
        let there = index != dst && self.held[index.index()].whole == sum.values[1];
        if dst != address || !there || !self.is_read_once(by) {
            return None;
        }
        match self.steps[by as usize] {
            Step::Plain => {
                // Without the sum the register has what it had before, which is not what `held` says.
                let mut inputs = vec![sum.inputs[0], self.held[index.index()].by];
                inputs.extend(other.filter(|other| *other != index).map(|other| self.held[other.index()].by));
                self.read_all(at, &inputs);
                self.held[address.index()] = self.unknown(NOBODY);
                Some((address, index))
            }
            Step::Alu { lhs, .. } if self.held[lhs.index()].whole == sum.values[0] => {
                let mut inputs = vec![self.held[lhs.index()].by];
                let more = [Some(index), other.filter(|other| *other != index)].into_iter().flatten();
                inputs.extend(more.filter(|more| *more != lhs).map(|more| self.held[more.index()].by));
                self.read_all(at, &inputs);
                Some((lhs, index))
            }
            _ => None,
        }
    }

    fn is_read_once(&self, by: u32) -> bool {
        self.nodes.get(by as usize).is_some_and(|node| node.uses == 1)
    }

    fn unread(&mut self, by: u32) {
        if let Some(node) = self.nodes.get_mut(by as usize) {
            node.uses = node.uses.saturating_sub(1);
        }
    }

    /// The operation reads these registers instead of what it read; no register twice.
    fn read_instead(&mut self, at: usize, regs: [Option<Reg>; 2]) {
        self.read_of(at, regs.map(|reg| reg.map_or(NOBODY, |reg| self.held[reg.index()].by)));
    }

    fn read_of(&mut self, at: usize, inputs: [u32; 2]) {
        self.read_all(at, &inputs);
    }

    fn read_all(&mut self, at: usize, inputs: &[u32]) {
        for by in inputs {
            if let Some(node) = self.nodes.get_mut(*by as usize) {
                node.uses += 1;
            }
        }
        for by in std::mem::replace(&mut self.nodes[at].inputs, [NOBODY; 3]) {
            self.unread(by);
        }
        for (slot, by) in self.nodes[at].inputs.iter_mut().zip(inputs) {
            *slot = *by;
        }
    }

    /// Backwards: what nobody reads goes, and with it what only that read.
    fn sweep(&mut self) {
        for at in (0..self.ops.len()).rev() {
            if self.effects[at].pure && self.nodes[at].uses == 0 {
                self.steps[at] = Step::Nothing;
                for by in self.nodes[at].inputs {
                    self.unread(by);
                }
            }
        }
    }
}

/// A shift by a constant.
struct Shift {
    by: usize,
    /// The register that is shifted, and which value that was: of 32 bits, its low half.
    src: Reg,
    value: u32,
    /// How far; to the right if negative.
    left: i32,
}

/// The registers that an operation reads of which `Block` keeps track: none twice. What is never left out has none.
fn operands(op: Op) -> [Option<Reg>; 2] {
    match op {
        Op::Alu { dst, src, .. } => [Some(dst), src.reg().filter(|src| *src != dst)],
        Op::Mov { src, .. } => [src.reg(), None],
        Op::MovSx { src, .. } => [Some(src), None],
        Op::Neg { dst, .. } | Op::Endian { dst, .. } => [Some(dst), None],
        Op::Load { base, .. } => [Some(base), None],
        Op::Store { base, src, .. } => [Some(base), src.reg().filter(|src| *src != base)],
        Op::LoadImm { .. }
        | Op::Atomic { .. }
        | Op::LoadAcquire { .. }
        | Op::StoreRelease { .. }
        | Op::Jump { .. }
        | Op::Branch { .. }
        | Op::MayGoto { .. }
        | Op::CallHelper { .. }
        | Op::TailCall
        | Op::CallLocal { .. }
        | Op::Exit
        | Op::LegacyPacket { .. } => [None, None],
    }
}
