//! Bytes of the stack that somebody still reads: stores of others go, and what is written before it is read need not be zeroed.
//!
//! A byte is read
//!
//! - by a load or an atomic operation whose address is known to be there;
//! - by a lookup in a map that gets the address of its key: the key begins there, so no byte further down is of it;
//! - by whatever else was *shared*: addresses that calls of helpers get lead to bytes from there up, as the verifier holds what they do to
//!   memory that begins there, and any later call, or load by an address that nobody here made, may read these bytes. Functions of the
//!   program, and callbacks, may go down from an address as well. So what they get, and what is stored anywhere, shares all of the frame;
//! - by an access through an address that may be anywhere in the frame.
//!
//! Behind the end of a function there is no frame: exits and tail calls read nothing of it.

use std::ops::Range;

use ring3_isa::{Operand, Reg, Size};
use ring3_verifier::Region;
use ring3_vm::{Callback, Op};

use super::bytes::Kinds;
use super::flow::Flow;
use super::known::{Value, Values, step};
use super::worklist::{Edges, Worklist};
use crate::compile::Unit;
use crate::planted::Bug;
use crate::target::Shortcut;

/// Bytes of a frame.
const FRAME: i32 = 512;

/// R1 to R5.
const ARGS: Range<usize> = Reg::R1.index()..Reg::R5.index() + 1;

/// What others than the function's own accesses may read of its stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shared {
    /// From which byte on, seen from R10: 0 if they read nothing.
    from: i32,
    /// Helpers may call functions of the program.
    calls_back: bool,
}

impl Shared {
    /// Nothing yet, of a function of this program.
    pub(super) fn nothing(unit: &Unit<'_>) -> Shared {
        let is_token = |op: &Op| matches!(op, Op::LoadImm { value, .. } if Callback::from_token(*value).is_some());
        Shared { from: 0, calls_back: unit.ops.iter().any(is_token) }
    }

    /// What an operation gives away.
    pub(super) fn look(&mut self, unit: &Unit<'_>, at: usize, values: &Values) {
        let is_stack = |reg: Reg| values[reg.index()].is_stack();
        let any = |given: bool| if given { -FRAME } else { 0 };
        let from = match unit.ops[at] {
            Op::Store { src: Operand::Reg(src), .. } | Op::Atomic { src, .. } | Op::StoreRelease { src, .. } => {
                any(is_stack(src))
            }
            Op::Guarded { base, value, .. } => any(is_stack(base) || value.reg().is_some_and(is_stack)),
            Op::CallHelper { .. } => match unit.lookup(at as u32) {
                Some(_) => 0,
                None => values[ARGS].iter().map(|value| self.given(*value)).min().unwrap_or(0),
            },
            Op::CallLocal { .. } | Op::TailCall | Op::LegacyPacket { .. } => {
                any(values[ARGS].iter().any(|value| value.is_stack()))
            }
            Op::Alu { .. }
            | Op::Mov { .. }
            | Op::MovSx { .. }
            | Op::Neg { .. }
            | Op::Endian { .. }
            | Op::LoadImm { .. }
            | Op::Load { .. }
            | Op::Store { src: Operand::Imm(_), .. }
            | Op::LoadAcquire { .. }
            | Op::Jump { .. }
            | Op::Branch { .. }
            | Op::MayGoto { .. }
            | Op::Exit => 0,
        };
        self.from = self.from.min(from);
    }

    /// From which byte on a helper may use the stack that it is given.
    fn given(self, value: Value) -> i32 {
        match value {
            Value::Any | Value::Number(_) => 0,
            Value::Stack(off) if !self.calls_back => off.clamp(-FRAME, 0),
            Value::Stack(_) | Value::Somewhere => -FRAME,
        }
    }

    fn bits(self) -> Bits {
        Bits::of(self.from..0)
    }
}

/// A set of bytes of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Bits([u64; 8]);

impl Bits {
    const ALL: Bits = Bits([u64::MAX; 8]);

    /// Bytes by their offsets from R10; there are none outside of the frame.
    fn of(range: Range<i32>) -> Bits {
        let place = |off: i32| (off.saturating_add(FRAME)).clamp(0, FRAME) as u32;
        let (from, to) = (place(range.start), place(range.end));
        // Those below an offset.
        let below = |to: u32, word: u32| match to.saturating_sub(64 * word) {
            0 => 0,
            bits @ 1..64 => (1 << bits) - 1,
            _ => u64::MAX,
        };
        Bits(std::array::from_fn(|word| below(to, word as u32) & !below(from, word as u32)))
    }

    fn with(self, other: Bits) -> Bits {
        Bits(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    fn without(self, other: Bits) -> Bits {
        Bits(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    fn meets(self, other: Bits) -> bool {
        self.0.iter().zip(other.0).any(|(word, other)| word & other != 0)
    }

    /// The lowest and the highest of them, as bytes below R10: the range is empty if there are none.
    fn span(self) -> Range<u32> {
        let bits = || (0..FRAME as u32).filter(|bit| self.0[*bit as usize / 64] >> (bit % 64) & 1 != 0);
        match (bits().next(), bits().next_back()) {
            (Some(lowest), Some(highest)) => FRAME as u32 - highest - 1..FRAME as u32 - lowest,
            _ => 0..0,
        }
    }
}

/// What an operation does to the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Touch {
    Nothing,
    Reads(Bits),
    Writes(Bits),
}

/// Marks the stores that nobody reads, and gives the bytes that somebody may read before they are written.
pub(super) fn find(
    unit: &Unit<'_>,
    flow: &Flow,
    starts: &[Option<Values>],
    shared: Shared,
    gone: &mut [bool],
) -> Range<u32> {
    let used = flow.blocks.iter().flat_map(|block| &unit.ops[block.clone()]);
    if !used.flat_map(|op| op.registers()).any(|reg| reg == Reg::FP) {
        return 0..0;
    }
    let touched: Vec<Vec<Touch>> =
        flow.blocks.iter().zip(starts).map(|(block, start)| touches(unit, block, start, shared)).collect();
    let (following, preceding) = (flow.following(), flow.preceding());
    let passed: Vec<Passed> = touched.iter().map(|touched| Passed::of(touched)).collect();
    let live_in = spread(&passed, &following, &preceding, &mut Worklist::new(&preceding, true));
    let live_out = |index: usize| live_behind(&live_in, &following, index);
    for (index, block) in flow.blocks.iter().enumerate() {
        let mut live = live_out(index);
        for (at, touch) in block.clone().zip(&touched[index]).rev() {
            if let Touch::Writes(bits) = touch {
                gone[at] |= !live.meets(*bits);
            }
            live = before(live, *touch);
        }
    }
    live_in.first().filter(|_| !unit.has_bug(Bug::NothingIsZero)).map_or(0..0, |live| live.span())
}

/// What all operations of a block together make of what is read behind it.
#[derive(Clone, Copy, Default)]
pub(super) struct Passed {
    /// Read before it is written.
    reads: Bits,
    writes: Bits,
}

impl Passed {
    fn of(touched: &[Touch]) -> Passed {
        touched.iter().rev().fold(Passed::default(), |passed, touch| match *touch {
            Touch::Nothing => passed,
            Touch::Reads(bits) => Passed { reads: passed.reads.with(bits), ..passed },
            Touch::Writes(bits) => Passed { reads: passed.reads.without(bits), writes: passed.writes.with(bits) },
        })
    }
}

/// All blocks of a function that shares nothing.
#[cfg(test)]
pub(super) fn all(unit: &Unit<'_>, flow: &Flow, starts: &[Option<Values>]) -> Vec<Passed> {
    let blocks = flow.blocks.iter().zip(starts);
    blocks.map(|(block, start)| Passed::of(&touches(unit, block, start, Shared::nothing(unit)))).collect()
}

/// What is read from the start of each block on.
pub(super) fn spread(passed: &[Passed], following: &Edges, preceding: &Edges, work: &mut Worklist) -> Vec<Bits> {
    let mut live_in = vec![Bits::default(); passed.len()];
    while let Some(index) = work.next() {
        let Passed { reads, writes } = passed[index];
        let live = live_behind(&live_in, following, index).without(writes).with(reads);
        if live != live_in[index] {
            live_in[index] = live;
            preceding.from(index).for_each(|before| work.open(before));
        }
    }
    live_in
}

/// What is read behind a block.
fn live_behind(live_in: &[Bits], following: &Edges, index: usize) -> Bits {
    following.from(index).fold(Bits::default(), |live, next| live.with(live_in[next]))
}

/// What is read in front of an operation or behind it.
fn before(live: Bits, touch: Touch) -> Bits {
    match touch {
        Touch::Nothing => live,
        Touch::Reads(bits) => live.with(bits),
        Touch::Writes(bits) => live.without(bits),
    }
}

/// What the operations of a block do; nothing if nobody reaches it.
fn touches(unit: &Unit<'_>, block: &Range<usize>, start: &Option<Values>, shared: Shared) -> Vec<Touch> {
    let Some(mut values) = *start else { return vec![Touch::Nothing; block.len()] };
    let each = block.clone().map(|at| {
        let touch = touch(unit, at, &values, shared);
        step(unit, at, &mut values);
        touch
    });
    each.collect()
}

fn touch(unit: &Unit<'_>, at: usize, values: &Values, shared: Shared) -> Touch {
    let reads = |base: Reg, off: i32, size: Size| match values[base.index()] {
        Value::Stack(at) => Touch::Reads(bytes(at, off, size)),
        Value::Somewhere if unit.has_bug(Bug::AnywhereIsNowhere) => Touch::Nothing,
        Value::Somewhere => Touch::Reads(Bits::ALL),
        Value::Any | Value::Number(_) => {
            // By the verifier's fact which memory an access reaches.
            let kinds = unit.regions.get(at).map_or(Kinds::ANY, |region| Kinds::of(*region));
            if kinds.meets(Kinds::of(Region::Stack)) { Touch::Reads(shared.bits()) } else { Touch::Nothing }
        }
    };
    match unit.ops[at] {
        Op::Load { size, base, off, .. }
        | Op::LoadAcquire { size, base, off, .. }
        | Op::Atomic { size, base, off, .. } => reads(base, off, size),
        Op::Store { size, base, off, .. } => match values[base.index()] {
            Value::Stack(at) if unit.has_bug(Bug::SlotsAreWritten) => {
                let slot = at.saturating_add(off) & !7;
                Touch::Writes(Bits::of(slot..slot.saturating_add(8)))
            }
            Value::Stack(at) => {
                let from = at.saturating_add(off);
                // What is not in the frame is no store that this knows of.
                let inside = from >= -FRAME && from <= -(size.bytes() as i32);
                if inside { Touch::Writes(bytes(at, off, size)) } else { Touch::Nothing }
            }
            Value::Any | Value::Number(_) | Value::Somewhere => Touch::Nothing,
        },
        Op::CallHelper { .. } => match unit.lookup(at as u32) {
            Some(Shortcut::ProcessorId | Shortcut::Random) => Touch::Nothing,
            Some(Shortcut::Array(_) | Shortcut::PerCpu(..) | Shortcut::Call { .. }) if unit.has_bug(Bug::KeyUnread) => {
                Touch::Nothing
            }
            Some(Shortcut::Array(_) | Shortcut::PerCpu(..) | Shortcut::Call { .. }) => match values[Reg::R2.index()] {
                Value::Stack(at) => Touch::Reads(Bits::of(at..0)),
                Value::Somewhere => Touch::Reads(Bits::ALL),
                Value::Any | Value::Number(_) => Touch::Reads(shared.bits()),
            },
            None if unit.has_bug(Bug::HelpersReadNothing) => Touch::Nothing,
            None => Touch::Reads(shared.bits()),
        },
        Op::CallLocal { .. } | Op::Guarded { .. } => Touch::Reads(shared.bits()),
        Op::Alu { .. }
        | Op::Mov { .. }
        | Op::MovSx { .. }
        | Op::Neg { .. }
        | Op::Endian { .. }
        | Op::LoadImm { .. }
        | Op::StoreRelease { .. }
        | Op::Jump { .. }
        | Op::Branch { .. }
        | Op::MayGoto { .. }
        | Op::TailCall
        | Op::Exit
        | Op::LegacyPacket { .. } => Touch::Nothing,
    }
}

/// The bytes of an access.
fn bytes(at: i32, off: i32, size: Size) -> Bits {
    let from = at.saturating_add(off);
    Bits::of(from..from.saturating_add(size.bytes() as i32))
}
