//! Operations that are one instruction of the machine or two, put together kind by kind.
//!
//! Nobody can guess of which kind the next operation of a program is, and a wrong guess takes a processor longer than all else that an
//! instruction costs. So of a run of operations those of one kind are looked at in a row, which needs no guess, and what they become is put
//! in order behind that.

use ring3_isa::{Reg, RegSet};
use ring3_vm::Op;

use crate::target::Target;

/// Operations that are taken together: what is known of them fits into the processor's nearest memory.
pub(crate) const RUN: usize = 128;

/// What an operation becomes, if that does not depend on what stands around it, and is at most eight bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Word {
    /// The first byte lowest.
    pub(crate) code: u64,
    /// How many bytes; 0 for what is to be emitted in another way.
    pub(crate) len: u8,
}

impl Word {
    /// What is to be emitted in another way.
    pub(crate) const NONE: Word = Word { code: 0, len: 0 };
}

/// Kinds of operations of which there are many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Alu,
    Mov,
    Load,
    Store,
    Other,
}

const KINDS: usize = 5;

impl Kind {
    #[inline(always)]
    fn of(op: &Op) -> Kind {
        match op {
            Op::Alu { .. } => Kind::Alu,
            Op::Mov { .. } => Kind::Mov,
            Op::Load { .. } => Kind::Load,
            Op::Store { .. } => Kind::Store,
            Op::MovSx { .. }
            | Op::Neg { .. }
            | Op::Endian { .. }
            | Op::LoadImm { .. }
            | Op::Atomic { .. }
            | Op::LoadAcquire { .. }
            | Op::StoreRelease { .. }
            | Op::Guarded { .. }
            | Op::Jump { .. }
            | Op::Branch { .. }
            | Op::MayGoto { .. }
            | Op::CallHelper { .. }
            | Op::TailCall
            | Op::CallLocal { .. }
            | Op::Exit
            | Op::LegacyPacket { .. } => Kind::Other,
        }
    }
}

/// What a run of operations becomes.
pub(crate) struct Words {
    words: [Word; RUN],
    /// By kind, the places of its operations.
    places: [[u8; RUN]; KINDS],
}

/// How many operations of each kind there are, a byte each: in one register, as memory that is changed again and again takes longer.
#[derive(Clone, Copy)]
struct Counts(u64);

const _: () = assert!(KINDS <= 8 && RUN <= u8::MAX as usize);

impl Counts {
    #[inline(always)]
    fn of(self, kind: Kind) -> usize {
        (self.0 >> (8 * kind as u32)) as usize & 0xff
    }

    #[inline(always)]
    fn one_more(&mut self, kind: Kind) {
        self.0 += 1 << (8 * kind as u32);
    }
}

impl Words {
    pub(crate) fn new() -> Words {
        Words { words: [Word::NONE; RUN], places: [[0; RUN]; KINDS] }
    }

    /// Of these operations, of which at most [`RUN`] count. Gives a word for each, and which registers those with words set.
    pub(crate) fn of<T: Target>(&mut self, target: &T, ops: &[Op]) -> (&[Word], RegSet) {
        let ops = &ops[..ops.len().min(RUN)];
        let mut counts = Counts(0);
        for (place, op) in ops.iter().enumerate() {
            let kind = Kind::of(op);
            self.places[kind as usize][counts.of(kind) % RUN] = place as u8;
            counts.one_more(kind);
        }
        let mut written = self.put(ops, Kind::Alu, counts, |op| match *op {
            Op::Alu { width, op, dst, src } => Some((target.alu_word(width, op, dst, src), Some(dst))),
            _ => None,
        });
        written = written.union(self.put(ops, Kind::Mov, counts, |op| match *op {
            Op::Mov { width, dst, src } => Some((target.mov_word(width, dst, src), Some(dst))),
            _ => None,
        }));
        written = written.union(self.put(ops, Kind::Load, counts, |op| match *op {
            Op::Load { size, signed, dst, base, off } => {
                Some((target.load_word(size, signed, dst, base, off), Some(dst)))
            }
            _ => None,
        }));
        self.put(ops, Kind::Store, counts, |op| match *op {
            Op::Store { size, base, off, src } => Some((target.store_word(size, base, off, src), None)),
            _ => None,
        });
        self.put(ops, Kind::Other, counts, |_| Some((Word::NONE, None)));
        (&self.words[..ops.len()], written)
    }

    /// The words of one kind. Gives what these operations set. Apart from those of other kinds, so that all that it needs is in registers.
    #[inline(never)]
    fn put(
        &mut self,
        ops: &[Op],
        kind: Kind,
        counts: Counts,
        word: impl Fn(&Op) -> Option<(Word, Option<Reg>)>,
    ) -> RegSet {
        let mut written = RegSet::EMPTY;
        for place in &self.places[kind as usize][..counts.of(kind).min(RUN)] {
            let place = usize::from(*place);
            let (Some(op), Some(to)) = (ops.get(place), self.words.get_mut(place)) else { continue };
            let Some((word, dst)) = word(op) else { continue };
            *to = word;
            written = dst.map_or(written, |dst| written.with(dst));
        }
        written
    }
}
