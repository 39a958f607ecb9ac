//! A frame's stack: eight-byte slots, each byte of which is nothing, part of a spilled register, data, or zero.

use std::rc::Rc;

use smallvec::SmallVec;

use super::value::{DynptrKind, Value};

/// The deepest byte of a frame is at -512.
pub const STACK_LIMIT: i64 = 512;
/// Bytes of a slot.
pub const SLOT: usize = 8;

/// What one byte of the stack holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Byte {
    /// Never written.
    #[default]
    Invalid,
    /// Data.
    Misc,
    /// Part of a spilled register.
    Spill,
    /// Zero.
    Zero,
    /// Part of an iterator.
    Iter,
    /// Part of a saved interrupt flag.
    IrqFlag,
    /// Part of a dynptr.
    Dynptr,
}

impl Byte {
    /// Its letter in logs.
    pub fn letter(self) -> char {
        match self {
            Byte::Invalid => '?',
            Byte::Spill => 'r',
            Byte::Misc => 'm',
            Byte::Zero => '0',
            Byte::Iter => 'i',
            Byte::IrqFlag => 'f',
            Byte::Dynptr => 'd',
        }
    }

    /// Part of something that only functions of the kernel may look at or change.
    pub fn is_object(self) -> bool {
        match self {
            Byte::Iter | Byte::IrqFlag | Byte::Dynptr => true,
            Byte::Invalid | Byte::Spill | Byte::Misc | Byte::Zero => false,
        }
    }
}

/// How good what an iterator gives is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum IterTrust {
    /// It lives.
    #[default]
    Trusted,
    /// It lives until the RCU section ends.
    Rcu,
    /// The section ended, or there was none: the iterator is of no use.
    Untrusted,
}

/// What is known of an iterator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Iter {
    /// Its type: index into the functions' table.
    pub kind: u16,
    /// It gave null: there is nothing more.
    pub drained: bool,
    /// Whether what it gives is good.
    pub trust: IterTrust,
    /// Its reference, in its lowest slot; 0 in the others.
    pub ref_id: u32,
    /// How often it gave something on this path.
    pub depth: u32,
}

/// One of the two halves of a dynptr.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dynptr {
    /// Where its memory is.
    pub kind: DynptrKind,
    /// The half with the lower address, which pointers to it lead to.
    pub first: bool,
    /// Ties slices to it.
    pub id: u32,
    /// Reference that has to be given back; 0 for none.
    pub ref_id: u32,
}

/// Something that is no value: only functions of the kernel may use it. It says what the bytes are that
/// [`Byte::is_object`] names; without such bytes it says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Object {
    /// Nothing.
    #[default]
    None,
    /// An iterator.
    Iter(Iter),
    /// A flag that `bpf_local_irq_save` saved, or the taking of a lock.
    IrqFlag {
        /// Its reference.
        ref_id: u32,
        /// It was saved with a lock, and is restored with one.
        by_lock: bool,
    },
    /// Half of a dynptr.
    Dynptr(Dynptr),
}

/// Eight bytes. `bytes[0]` is the byte at the highest address, as the kernel counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Slot {
    /// Bytes, highest address first.
    pub bytes: [Byte; SLOT],
    /// What was spilled here; `Uninit` unless some byte is `Spill`.
    pub spill: Value,
    /// What lies here that is no value.
    pub object: Object,
}

impl Slot {
    /// Whether ids of other values stand here.
    pub fn is_tied(&self) -> bool {
        let tied = match &self.spill {
            Value::Uninit => false,
            Value::Scalar(scalar) => scalar.link.is_some(),
            Value::Ptr(ptr) => ptr.id != 0 || ptr.ref_id != 0 || !ptr.slice.is_none(),
        };
        tied || self.object != Object::None
    }

    /// What every slot is that was not touched.
    pub const UNTOUCHED: Slot = Slot { bytes: [Byte::Invalid; SLOT], spill: Value::Uninit, object: Object::None };

    /// All bytes are data of which nothing is known, or were never written.
    pub fn is_data(&self) -> bool {
        self.bytes.iter().fold(0, |all, byte| all | *byte as u8) <= Byte::Misc as u8
    }

    /// A register is spilled here (perhaps only its low part).
    pub fn is_spill(&self) -> bool {
        self.bytes[SLOT - 1] == Byte::Spill
    }

    /// A register is spilled here, or an object lies here: writing makes data of all of it.
    pub fn is_special(&self) -> bool {
        self.is_spill() || self.bytes[SLOT - 1].is_object()
    }

    /// An object takes the whole slot.
    pub fn set_object(&mut self, byte: Byte, object: Object) {
        *self = Slot { bytes: [byte; SLOT], spill: Value::Uninit, object };
    }

    /// The iterator that lies here, if it is whole.
    pub fn iter(&self) -> Option<&Iter> {
        match &self.object {
            Object::Iter(iter) if self.bytes == [Byte::Iter; SLOT] => Some(iter),
            Object::Iter(_) | Object::IrqFlag { .. } | Object::Dynptr(_) | Object::None => None,
        }
    }

    /// The half of a dynptr that lies here.
    pub fn dynptr(&self) -> Option<&Dynptr> {
        match &self.object {
            Object::Dynptr(dynptr) if self.bytes == [Byte::Dynptr; SLOT] => Some(dynptr),
            Object::Dynptr(_) | Object::Iter(_) | Object::IrqFlag { .. } | Object::None => None,
        }
    }

    /// A register is spilled here in full.
    pub fn is_full_spill(&self) -> bool {
        self.bytes[0] == Byte::Spill
    }

    /// How many low bytes the spill covers.
    pub fn spill_size(&self) -> u32 {
        self.bytes.iter().rev().take_while(|b| **b == Byte::Spill).map(|_| 1).sum()
    }

    /// Forgets what is known: bytes that were written stay readable as data.
    pub fn scrub(&mut self) {
        for byte in &mut self.bytes {
            if *byte != Byte::Invalid {
                *byte = Byte::Misc;
            }
        }
        self.spill = Value::Uninit;
        self.object = Object::None;
    }

    /// Whether nothing was ever written.
    pub fn is_invalid(&self) -> bool {
        self.bytes.iter().all(|b| *b == Byte::Invalid)
    }
}

/// So many slots are copied together when one of them is written.
const CHUNK: usize = 4;
/// So many chunks need no memory of their own: the upper half of the deepest stack.
const INLINE: usize = 8;

type Chunk = [Slot; CHUNK];

/// Slots from the top of the frame downwards, as deep as was touched. Shared with stored states until they are written, a few
/// slots at a time: most instructions change registers alone, and most others one slot.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stack(Rc<Slots>);

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Slots {
    chunks: SmallVec<[Rc<Chunk>; INLINE]>,
    /// Slots in use.
    len: usize,
}

/// Slot number and byte number within it of a negative frame offset.
pub fn locate(off: i64) -> (usize, usize) {
    debug_assert!((-STACK_LIMIT..0).contains(&off));
    let down = ring3_isa::num::index((-off - 1).unsigned_abs());
    (down / SLOT, down % SLOT)
}

impl Stack {
    /// How many slots are in use, from fp-8 down.
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Slots in use.
    pub fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.0.chunks.iter().flat_map(|chunk| chunk.iter()).take(self.0.len)
    }

    /// Changes every slot in use for which `f` gives another one.
    pub fn update(&mut self, mut f: impl FnMut(usize, &Slot) -> Option<Slot>) {
        for index in 0..self.0.len {
            if let Some(new) = f(index, self.slot(index)) {
                *self.slot_mut(index) = new;
            }
        }
    }

    /// The share in bytes of what other stacks have, too.
    pub fn held(&self) -> usize {
        let counts = 2 * size_of::<usize>();
        let share = |chunk: &Rc<Chunk>| (size_of::<Chunk>() + counts) / Rc::strong_count(chunk);
        let chunks: usize = self.0.chunks.iter().map(share).sum();
        let spilled = if self.0.chunks.spilled() { self.0.chunks.capacity() * size_of::<Rc<Chunk>>() } else { 0 };
        let own = spilled + size_of::<Slots>() + counts;
        (chunks + own) / Rc::strong_count(&self.0)
    }

    /// Bytes in use.
    pub fn depth(&self) -> i64 {
        ring3_isa::num::signed_index(self.0.len * SLOT)
    }

    /// The slot, or an untouched one.
    pub fn slot(&self, index: usize) -> &Slot {
        self.0.chunks.get(index / CHUNK).map_or(&Slot::UNTOUCHED, |chunk| &chunk[index % CHUNK])
    }

    /// The slot for writing; the stack grows to it.
    pub fn slot_mut(&mut self, index: usize) -> &mut Slot {
        let Slots { chunks, len } = Rc::make_mut(&mut self.0);
        *len = (index + 1).max(*len);
        while chunks.len() <= index / CHUNK {
            chunks.push(Rc::new([Slot::UNTOUCHED; CHUNK]));
        }
        &mut Rc::make_mut(&mut chunks[index / CHUNK])[index % CHUNK]
    }

    /// Whether it holds this offset.
    pub fn reaches(&self, off: i64) -> bool {
        off >= 0 || locate(off).0 < self.0.len
    }

    /// Grows to hold this offset.
    pub fn grow_to(&mut self, off: i64) {
        if !self.reaches(off) {
            self.slot_mut(locate(off).0);
        }
    }

    /// The byte at this offset.
    pub fn byte(&self, off: i64) -> Byte {
        let (slot, byte) = locate(off);
        self.slot(slot).bytes[byte]
    }
}
