//! One block: which operation made what each reads, what is the same value, and what can be joined.
//!
//! Three passes. The first counts who reads what; the second goes forward with what each register holds and joins operations; the
//! third goes backward and leaves out what nobody reads. A joined operation is never deleted by the second pass: it loses its
//! reader, and the third finds that out.

use ring3_isa::{AluOp, CmpOp, EndianOp, Operand, Reg, RegSet, Size, Width};
use ring3_verifier::Region;
use ring3_vm::Op;

use super::bytes::{Bytes, Epochs, Kinds, Order};
use super::stores::{Access, Joined, Window};
use super::upper::{self, Upper};
use super::{Effects, Step, live};
use crate::compile::Unit;
use crate::planted::Bug;
use crate::target::Address;

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
    /// How often memory that it accesses had changed before it.
    epoch: u32,
    /// How many read what it makes, in the block and, once, behind it.
    uses: u32,
    /// What a load found in the register that it changes.
    before: Option<Held>,
}

const NODE: Node = Node { inputs: [NOBODY; 3], values: [NOBODY; 2], low: NOBODY, epoch: 0, uses: 0, before: None };

/// Rewrites block after block. What is asked of each operation again and again is found out once.
pub(super) struct Rewriter<'a> {
    unit: &'a Unit<'a>,
    effects: Vec<Effects>,
    /// Of the block that is rewritten.
    nodes: Vec<Node>,
    window: Window,
}

impl<'a> Rewriter<'a> {
    pub(super) fn new(unit: &'a Unit<'a>, effects: Vec<Effects>) -> Rewriter<'a> {
        Rewriter { unit, effects, nodes: Vec::new(), window: Window::default() }
    }

    /// Of all operations.
    pub(super) fn effects(&self) -> &[Effects] {
        &self.effects
    }

    /// Rewrites the steps of a block.
    pub(super) fn rewrite(&mut self, of: &live::Block, steps: &mut [Step]) {
        let range = of.range.clone();
        self.nodes.clear();
        self.nodes.resize(range.len(), NODE);
        let mut block = Block {
            unit: self.unit,
            ops: &self.unit.ops[range.clone()],
            effects: &self.effects[range.clone()],
            regions: self.unit.regions.get(range).unwrap_or(&[]),
            nodes: &mut self.nodes,
            steps,
            held: std::array::from_fn(|index| Held {
                by: NOBODY,
                whole: index as u32,
                low: index as u32,
                narrow: Reg::new(index as u8).is_some_and(|reg| of.narrow_in.contains(reg)),
                bytes: Bytes::value(index as u32),
            }),
            next_value: Reg::COUNT as u32,
            epochs: Epochs::default(),
            window: &mut self.window,
        };
        block.count(of.live_out);
        block.join();
        block.sweep();
    }
}

struct Block<'a> {
    unit: &'a Unit<'a>,
    ops: &'a [Op],
    effects: &'a [Effects],
    /// Memory that each operation accesses; empty if nobody knows.
    regions: &'a [Region],
    nodes: &'a mut Vec<Node>,
    steps: &'a mut [Step],
    /// What the registers of the machine hold, with what was joined so far.
    held: [Held; Reg::COUNT],
    next_value: u32,
    epochs: Epochs,
    /// Accesses among which stores may be joined.
    window: &'a mut Window,
}

impl Block<'_> {
    /// Whether this mistake is planted.
    fn has_bug(&self, bug: Bug) -> bool {
        self.unit.has_bug(bug)
    }

    /// Memory that the operation accesses.
    fn kinds(&self, at: usize) -> Kinds {
        self.regions.get(at).map_or(Kinds::ANY, |region| Kinds::of(*region))
    }

    fn count(&mut self, live_out: RegSet) {
        let mut by = [NOBODY; Reg::COUNT];
        for (at, effects) in self.effects.iter().enumerate() {
            for reg in effects.reads.iter() {
                if let Some(node) = self.nodes.get_mut(by[reg.index()] as usize) {
                    node.uses += 1;
                }
            }
            let [first, second] = effects.named.map(|reg| reg.map_or(NOBODY, |reg| by[reg.index()]));
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
            if self.effects[at] == Effects::NONE {
                continue;
            }
            let op = self.ops[at];
            let [first, second] = self.effects[at].named.map(|reg| reg.map(|reg| self.held[reg.index()]));
            self.nodes[at].values = [first, second].map(|held| held.map_or(NOBODY, |held| held.whole));
            self.nodes[at].low = first.map_or(NOBODY, |held| held.low);
            self.nodes[at].epoch = self.epochs.of(self.kinds(at));
            if let Op::Load { dst, .. } = op {
                self.nodes[at].before = Some(self.held[dst.index()]);
            }
            let made = self.result(at, op);
            self.match_at(at, op, made.map(|(_, held)| held.bytes));
            self.note_access(at, op);
            if self.effects[at].changes_memory {
                self.epochs.change(self.kinds(at));
            }
            let writes = self.effects[at].writes;
            for reg in writes.iter() {
                self.held[reg.index()] = self.unknown(at as u32);
            }
            if let Some((dst, held)) = made {
                self.held[dst.index()] = held;
            }
        }
        self.join_stores();
    }

    /// Keeps accesses for `join_stores`, up to where the order of accesses must stay as it is.
    fn note_access(&mut self, at: usize, op: Op) {
        let (base, off, size, src) = match op {
            Op::Load { .. } if self.has_bug(Bug::LoadsMove) => return,
            Op::Load { size, base, off, .. } => (base, off, size, None),
            Op::Store { size, base, off, src } => (base, off, size, Some(src)),
            _ if self.effects[at].changes_memory => return self.join_stores(),
            // Lookups read the key.
            Op::CallHelper { .. } => return self.join_stores(),
            _ => return,
        };
        let stored = src.map(|src| match src {
            Operand::Reg(reg) => self.held[reg.index()].bytes,
            Operand::Imm(0) => Bytes::NONE,
            Operand::Imm(_) => self.unknown(NOBODY).bytes,
        });
        let value = self.nodes[at].values[0];
        self.window.push(Access { at, kinds: self.kinds(at), base, value, off, size, stored });
        if self.window.is_full() {
            self.join_stores();
        }
    }

    /// Stores of bytes that belong together become one, where it stands among them.
    fn join_stores(&mut self) {
        let mut joined = Vec::new();
        self.window.join(|at| matches!(self.steps[at], Step::Plain), &mut joined);
        for (at, this) in joined {
            let Op::Store { base, off: old, src, .. } = self.ops[at] else { continue };
            self.steps[at] = match this {
                Joined::Wide(size) => Step::Other(Op::Store { size, base, off: old, src }),
                Joined::Zeros { off, bytes } => {
                    self.keep_inputs(at, 1);
                    Step::Zero { base, off, bytes }
                }
                Joined::Gone => {
                    self.keep_inputs(at, 0);
                    Step::Nothing
                }
            };
        }
    }

    /// The operation reads only so many of what it read.
    fn keep_inputs(&mut self, at: usize, count: usize) {
        for slot in count..3 {
            let by = std::mem::replace(&mut self.nodes[at].inputs[slot], NOBODY);
            self.unread(by);
        }
    }

    /// A value that nothing is known of.
    fn unknown(&mut self, by: u32) -> Held {
        self.next_value += 1;
        let number = self.next_value;
        Held { by, whole: number, low: number, narrow: false, bytes: Bytes::value(number) }
    }

    /// What a pure operation makes.
    fn result(&mut self, at: usize, op: Op) -> Option<(Reg, Held)> {
        if !self.effects[at].pure {
            return None;
        }
        let dst = super::effects::writes(op)?;
        let mut fresh = self.unknown(at as u32);
        let held = |reg: Reg| self.held[reg.index()];
        let upper = |reg: Reg| if held(reg).narrow { Upper::Zero } else { Upper::Any };
        fresh.narrow = upper::made_by(op, upper) == Upper::Zero;
        if fresh.narrow {
            fresh.bytes = fresh.bytes.low(4);
        }
        let made = match op {
            Op::Mov { width: Width::W64, src: Operand::Reg(src), .. } => Held { by: at as u32, ..held(src) },
            Op::Mov { width: Width::W32, src: Operand::Reg(src), .. } => {
                let source = held(src);
                let whole = if source.narrow || self.has_bug(Bug::LowIsWhole) { source.whole } else { fresh.whole };
                Held { whole, low: source.low, bytes: source.bytes.low(4), ..fresh }
            }
            Op::Mov { src: Operand::Imm(0), .. } | Op::LoadImm { value: 0, .. } => Held { bytes: Bytes::NONE, ..fresh },
            Op::Alu { width, op, dst, src } => match self.arithmetic(width, op, dst, src) {
                Some(bytes) => Held { bytes, ..fresh },
                None => fresh,
            },
            Op::Load { size, signed: false, base, off, .. } => {
                let kinds = self.kinds(at);
                let bytes = Bytes::loaded(base, held(base).whole, (kinds, self.epochs.of(kinds)), off, size);
                Held { bytes, ..fresh }
            }
            Op::Endian { op, size, .. } => {
                let swaps = matches!(op, EndianOp::ToBe | EndianOp::Swap);
                let bytes = held(dst).bytes.low(size.bytes() as usize);
                Held { bytes: if swaps { bytes.swapped(size) } else { bytes }, ..fresh }
            }
            _ => fresh,
        };
        Some((dst, made))
    }

    /// Of which bytes the result consists, if it is only made of those of its operands.
    fn arithmetic(&self, width: Width, op: AluOp, dst: Reg, src: Operand) -> Option<Bytes> {
        let operand = |reg: Reg| {
            let bytes = self.held[reg.index()].bytes;
            if width == Width::W32 { bytes.low(4) } else { bytes }
        };
        let count = |imm: i32| imm & (width.bits() as i32 - 1);
        let bytes = match (op, src) {
            (AluOp::Lsh, Operand::Imm(imm)) => operand(dst).shifted(count(imm)),
            (AluOp::Rsh, Operand::Imm(imm)) => operand(dst).shifted(-count(imm)),
            (AluOp::And, Operand::Imm(imm)) => operand(dst).masked(i64::from(imm) as u64),
            (AluOp::Or | AluOp::Xor | AluOp::Add, Operand::Reg(src)) => operand(dst).joined(operand(src)),
            _ => None,
        };
        bytes.map(|bytes| if width == Width::W32 { bytes.low(4) } else { bytes })
    }

    /// Joins what the operation completes.
    fn match_at(&mut self, at: usize, op: Op, made: Option<Bytes>) {
        if made.is_some_and(|bytes| self.wide_load(at, op, bytes)) {
            return;
        }
        match op {
            Op::Alu { width, op: AluOp::Or | AluOp::Xor | AluOp::Add, dst, src: Operand::Reg(src) }
                if self.rotate(at, width, dst, src) => {}
            Op::Alu { width, op: op @ (AluOp::Rsh | AluOp::Arsh), dst, src: Operand::Imm(count) }
                if self.extension(at, width, op, dst, count) => {}
            Op::Alu { width, op: AluOp::And, dst, src: Operand::Imm(mask) }
                if self.by_bit(at, width, dst, mask) || self.field(at, dst, mask) => {}
            Op::Alu { width: Width::W64, op, dst, src: src @ Operand::Imm(1..) }
                if matches!(op, AluOp::Div | AluOp::Mod) && self.held[dst.index()].narrow =>
            {
                // Both are less than 2 to the power of 32, and so are quotient and remainder.
                self.steps[at] = Step::Other(Op::Alu { width: Width::W32, op, dst, src });
            }
            Op::Alu { width, op, dst, src } => self.three_operands(at, width, op, dst, src),
            Op::Mov { width: Width::W32, dst, src: Operand::Reg(src) } if self.held[src.index()].narrow => {
                self.steps[at] = if dst == src {
                    Step::Nothing
                } else {
                    Step::Other(Op::Mov { width: Width::W64, dst, src: Operand::Reg(src) })
                };
            }
            Op::Load { size, signed, dst, base, off } => {
                if let Some((at_address, inputs)) = self.indexed(base, off, 1) {
                    self.read_all(at, &inputs);
                    self.steps[at] = Step::LoadIndexed { size, signed, dst, at: at_address };
                }
            }
            Op::Store { size, base, off, src } if src != Operand::Reg(base) => {
                if self.update(at, size, base, off, src) {
                    return;
                }
                if let Some((at_address, inputs)) = self.indexed(base, off, 1) {
                    self.read_with(at, &inputs, src.reg());
                    self.steps[at] = Step::StoreIndexed { size, at: at_address, src };
                }
            }
            Op::Branch { width, op, lhs, rhs, target } if rhs != Operand::Reg(lhs) => {
                self.compare_loaded(at, width, op, lhs, rhs, target);
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
        let changed = run.epoch != self.epochs.of(run.kinds) && !self.has_bug(Bug::WideChanged);
        if changed || self.held[run.base.index()].whole != run.value {
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
        if dst == src
            || !opposite
            || !whole
            || mine.value != other.value
            || !self.is_read_once(mine.by as u32) && !self.has_bug(Bug::RotateShared)
        {
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
            | Step::Field { .. }
            | Step::ByBit { .. }
            | Step::LoadSwapped { .. }
            | Step::LoadIndexed { .. }
            | Step::StoreIndexed { .. }
            | Step::Update { .. }
            | Step::Zero { .. }
            | Step::BranchLoaded { .. }
            | Step::SelectUnless { .. } => return None,
        };
        if shifted != width || dst != reg || !(1..width.bits() as i32).contains(&count) {
            return None;
        }
        let node = self.nodes[by];
        let value = if width == Width::W64 { node.values[0] } else { node.low };
        // In place, the register has what it had before.
        let from =
            if src == reg || self.has_bug(Bug::ShiftReadFirst) { node.inputs[0] } else { self.held[src.index()].by };
        match op {
            AluOp::Lsh => Some(Shift { by, src, from, left: count, value }),
            AluOp::Rsh => Some(Shift { by, src, from, left: -count, value }),
            _ => None,
        }
    }

    /// A shift by a constant that this operation alone reads, of a register that still is there if the shift goes.
    fn own_shift_of(&self, reg: Reg, width: Width) -> Option<Shift> {
        let shift = self.shift_of(reg, width)?;
        let held = self.held[shift.src.index()];
        let value = if width == Width::W64 { held.whole } else { held.low };
        // In place, the register has what it had before.
        let there = shift.src == reg || value == shift.value || self.has_bug(Bug::ShiftGone);
        (there && self.nodes[shift.by].uses == 1).then_some(shift)
    }

    /// Left and then right takes bits out of the middle: those at the bottom, if both go as far.
    fn extension(&mut self, at: usize, width: Width, op: AluOp, dst: Reg, count: i32) -> bool {
        let all = width.bits() as i32;
        let Some(shift) = self.own_shift_of(dst, width).filter(|shift| shift.left > 0) else { return false };
        if !(shift.left..all).contains(&count) {
            return false;
        }
        let src = shift.src;
        self.steps[at] = match (op, count == shift.left, all - count) {
            (AluOp::Rsh, true, 32) => Step::Other(Op::Mov { width: Width::W32, dst, src: Operand::Reg(src) }),
            (AluOp::Rsh, _, bits) => {
                Step::Field { width, dst, src, from: (count - shift.left) as u8, bits: bits as u8 }
            }
            (AluOp::Arsh, true, 8) => Step::Other(Op::MovSx { width, from: Size::B, dst, src }),
            (AluOp::Arsh, true, 16) => Step::Other(Op::MovSx { width, from: Size::H, dst, src }),
            (AluOp::Arsh, true, 32) => Step::Other(Op::MovSx { width, from: Size::W, dst, src }),
            _ => return false,
        };
        self.read_of(at, [shift.from, NOBODY]);
        true
    }

    /// `x >> n & mask`, where the mask is of ones at the bottom.
    fn field(&mut self, at: usize, dst: Reg, mask: i32) -> bool {
        // The mask may be of another width than the shift: it keeps less than 32 bits.
        let wide = self.own_shift_of(dst, Width::W64).map(|shift| (Width::W64, shift));
        let found = wide.or_else(|| self.own_shift_of(dst, Width::W32).map(|shift| (Width::W32, shift)));
        let Some((shifted, shift)) = found.filter(|(_, shift)| shift.left < 0) else { return false };
        // Ones of a sign-extended mask would reach to the top.
        let ones = mask > 0 && mask & (mask.wrapping_add(1)) == 0;
        let (from, bits) = (-shift.left, mask.trailing_ones() as i32);
        if !ones {
            return false;
        }
        // What is above the width is 0.
        let bits = bits.min(shifted.bits() as i32 - from);
        self.steps[at] = Step::Field { width: shifted, dst, src: shift.src, from: from as u8, bits: bits as u8 };
        self.read_of(at, [shift.from, NOBODY]);
        true
    }

    /// `-(x & 1) & number`: the number or 0.
    fn by_bit(&mut self, at: usize, width: Width, dst: Reg, mask: i32) -> bool {
        let by = self.held[dst.index()].by;
        let Some(Op::Neg { width: negated, dst: turned }) = self.ops.get(by as usize).copied() else { return false };
        let bit = self.nodes[by as usize].inputs[0];
        let Some(Op::Alu { op: AluOp::And, dst: tested, src: Operand::Imm(1), .. }) =
            self.ops.get(bit as usize).copied()
        else {
            return false;
        };
        let alone = self.is_read_once(by) && self.is_read_once(bit) && self.steps[by as usize] == Step::Plain;
        let node = self.nodes[bit as usize];
        let (src, made) = match self.steps[bit as usize] {
            // In place: it has what it had before.
            Step::Plain => (dst, node.inputs[0]),
            Step::Alu { lhs, .. } if self.held[lhs.index()].low == node.low || self.has_bug(Bug::BitGone) => {
                (lhs, self.held[lhs.index()].by)
            }
            _ => return false,
        };
        let ones = |width, number: u64| if width == Width::W64 { number } else { number & u64::from(u32::MAX) };
        let value = ones(negated, ones(width, i64::from(mask) as u64));
        if !alone || (turned, tested) != (dst, dst) || value == 0 {
            return false;
        }
        self.steps[at] = Step::ByBit { dst, src, value };
        self.read_of(at, [made, NOBODY]);
        true
    }

    /// A copy that is changed at once: both in one step, on the register that was copied.
    fn three_operands(&mut self, at: usize, width: Width, op: AluOp, dst: Reg, src: Operand) {
        let copy = self.held[dst.index()];
        let Some(Op::Mov { dst: copied, src: Operand::Reg(lhs), .. }) = self.ops.get(copy.by as usize).copied() else {
            return;
        };
        let original = self.held[lhs.index()];
        let same = if width == Width::W64 { original.whole == copy.whole } else { original.low == copy.low }
            || self.has_bug(Bug::CopyGone);
        if copied != dst || lhs == dst || !same || !self.is_read_once(copy.by) || src == Operand::Reg(dst) {
            return;
        }
        self.steps[at] = Step::Alu { width, op, dst, lhs, rhs: src };
        self.read_instead(at, [Some(lhs), src.reg().filter(|src| *src != lhs)]);
    }

    /// An address that was added up for accesses that read it so often, and who made what it consists of. The caller must read
    /// these instead of the address.
    fn indexed(&mut self, address: Reg, off: i32, uses: u32) -> Option<(Address, [u32; 2])> {
        let by = self.held[address.index()].by;
        let sum = self.nodes.get(by as usize).copied()?;
        let Op::Alu { width: Width::W64, op: AluOp::Add, dst, src: Operand::Reg(index) } = self.ops[by as usize] else {
            return None;
        };
        let same = self.held[index.index()].whole == sum.values[1] || self.has_bug(Bug::IndexGone);
        let there = index != dst && same;
        if dst != address || !there || sum.uses != uses {
            return None;
        }
        let base = match self.steps[by as usize] {
            Step::Plain => {
                // Without the sum the register has what it had before.
                self.held[address.index()] = Held { by: sum.inputs[0], whole: sum.values[0], ..self.unknown(NOBODY) };
                address
            }
            Step::Alu { lhs, .. } if self.held[lhs.index()].whole == sum.values[0] => {
                self.forget(address, by);
                lhs
            }
            _ => return None,
        };
        let plain = |block: &Self, reg: Reg| (reg, block.held[reg.index()].by);
        // One of them only: what is scaled here has no shift any more.
        let (base, (index, shift)) = if let Some(scaled) = self.scaled(index) {
            (plain(self, base), scaled)
        } else if let Some(scaled) = self.scaled(base) {
            (plain(self, index), scaled)
        } else {
            (plain(self, base), (plain(self, index), 0))
        };
        let address = Address { base: base.0, index: Some((index.0, shift)), off };
        Some((address, [base.1, index.1]))
    }

    /// What was shifted to the left by 1 to 3 for an address only: the register with what it was before, who made that, and how far.
    fn scaled(&mut self, reg: Reg) -> Option<((Reg, u32), u8)> {
        let by = self.held[reg.index()].by;
        let shift = self.nodes.get(by as usize).copied().filter(|shift| shift.uses == 1)?;
        let Op::Alu { width: Width::W64, op: AluOp::Lsh, dst, src: Operand::Imm(count @ 1..=3) } =
            self.ops[by as usize]
        else {
            return None;
        };
        if dst != reg {
            return None;
        }
        match self.steps[by as usize] {
            Step::Plain => {
                // Without the shift the register has what it had before.
                self.held[reg.index()] = Held { by: shift.inputs[0], whole: shift.values[0], ..self.unknown(NOBODY) };
                Some(((reg, shift.inputs[0]), count as u8))
            }
            Step::Alu { lhs, .. } if self.held[lhs.index()].whole == shift.values[0] => {
                self.forget(reg, by);
                Some(((lhs, self.held[lhs.index()].by), count as u8))
            }
            _ => None,
        }
    }

    /// The register does not have any more what this operation made, since the operation will go. Whoever still found it there would
    /// bring the operation back, with those before it whose registers already have again what was there before them.
    fn forget(&mut self, reg: Reg, by: u32) {
        if !self.has_bug(Bug::SumStays) {
            self.held[reg.index()] = self.unknown(by);
        }
    }

    /// Where what an operation of the block loaded is still to be had: nothing may have changed it, or the registers of its address.
    fn loaded(&self, by: u32) -> Option<(Size, Address)> {
        let node = self.nodes.get(by as usize)?;
        let Op::Load { size, signed: false, base, off, .. } = self.ops[by as usize] else { return None };
        if node.epoch != self.epochs.of(self.kinds(by as usize)) && !self.has_bug(Bug::LoadedChanged) {
            return None;
        }
        match self.steps[by as usize] {
            Step::Plain if self.held[base.index()].whole == node.values[0] => {
                Some((size, Address { base, index: None, off }))
            }
            Step::LoadIndexed { at, .. } => {
                let same = |reg: Reg, input: u32| self.held[reg.index()].by == input;
                let index = at.index.is_none_or(|(index, _)| same(index, node.inputs[1]));
                (same(at.base, node.inputs[0]) && index).then_some((size, at))
            }
            _ => None,
        }
    }

    /// A load, an operation and a store of the same place, with nothing between that changes it, in one step.
    fn update(&mut self, at: usize, size: Size, base: Reg, off: i32, src: Operand) -> bool {
        let Operand::Reg(stored) = src else { return false };
        let by = self.held[stored.index()].by;
        let Some(Op::Alu { width, op, dst, src: value }) = self.ops.get(by as usize).copied() else { return false };
        let (node, load) = (self.nodes[by as usize], self.nodes[by as usize].inputs[0]);
        let simple = matches!(op, AluOp::Add | AluOp::Sub | AluOp::And | AluOp::Or | AluOp::Xor);
        let same = |reg: Reg| self.held[reg.index()].whole == node.values[1] || self.has_bug(Bug::UpdateOperand);
        let there = value.reg().is_none_or(|reg| reg != dst && reg != base && same(reg));
        let wide = width.bits() >= size.bytes() * 8;
        if !simple || !there || !wide || dst != stored || !self.is_read_once(by) || !self.is_read_once(load) {
            return false;
        }
        let here = (size, Address { base, index: None, off });
        if self.steps[by as usize] != Step::Plain || self.loaded(load) != Some(here) {
            return false;
        }
        // The load goes, so its register has what it had before: often the index.
        if let Some(before) = self.nodes[load as usize].before {
            self.held[stored.index()] = before;
        }
        // The address is read by the load too.
        let (place, inputs) = match self.indexed(base, off, 2) {
            Some(found) => found,
            None => (here.1, [self.held[base.index()].by, NOBODY]),
        };
        self.read_with(at, &inputs, value.reg());
        self.steps[at] = Step::Update { size, op, at: place, src: value };
        true
    }

    /// A comparison of what was loaded for it alone with a number or another register.
    fn compare_loaded(&mut self, at: usize, width: Width, op: CmpOp, lhs: Reg, rhs: Operand, target: u32) {
        let by = self.held[lhs.index()].by;
        let Some((size, place)) = self.loaded(by) else { return };
        let whole = size.bytes() * 8 == width.bits();
        // A byte is compared as a byte if neither has a sign.
        let byte = size == Size::B
            && matches!(rhs, Operand::Imm(0..=255))
            && matches!(op, CmpOp::Eq | CmpOp::Ne | CmpOp::Gt | CmpOp::Ge | CmpOp::Lt | CmpOp::Le | CmpOp::Set);
        let written = super::effects::writes(self.ops[by as usize]) == Some(lhs);
        if !written || !(whole || byte) || !self.is_read_once(by) {
            return;
        }
        let inputs = [Some(place.base), place.index.map(|(index, _)| index)];
        let inputs = inputs.map(|reg| reg.map_or(NOBODY, |reg| self.held[reg.index()].by));
        self.read_with(at, &inputs, rhs.reg());
        self.steps[at] = Step::BranchLoaded { size, op, at: place, rhs, target };
    }

    /// The operation reads an address and a register instead of what it read.
    fn read_with(&mut self, at: usize, address: &[u32; 2], other: Option<Reg>) {
        let other = other.map_or(NOBODY, |reg| self.held[reg.index()].by);
        self.read_all(at, &[address[0], address[1], other]);
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
    /// Who made what that register has now: if the value went elsewhere and came back, somebody else than the shift read.
    from: u32,
    /// How far; to the right if negative.
    left: i32,
}
