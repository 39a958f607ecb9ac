//! A frame's stack: eight-byte slots, each byte of which is nothing, part of a spilled register, data, or zero.

use std::rc::Rc;

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
    /// Part of a spilled register.
    Spill,
    /// Data.
    Misc,
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
    /// What every slot is that was not touched.
    pub const UNTOUCHED: Slot = Slot { bytes: [Byte::Invalid; SLOT], spill: Value::Uninit, object: Object::None };

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

/// Slots from the top of the frame downwards, as deep as was touched. Shared with stored states until they are written:
/// most instructions change registers alone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stack {
    slots: Rc<Vec<Slot>>,
}

/// Slot number and byte number within it of a negative frame offset.
pub fn locate(off: i64) -> (usize, usize) {
    debug_assert!((-STACK_LIMIT..0).contains(&off));
    let down = ring3_isa::num::index((-off - 1).unsigned_abs());
    (down / SLOT, down % SLOT)
}

impl Stack {
    /// Slots in use, from fp-8 down.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Slots in use.
    pub fn slots_mut(&mut self) -> &mut [Slot] {
        Rc::make_mut(&mut self.slots).as_mut_slice()
    }

    /// Slots that there is memory for, and how many stacks share it.
    pub fn held(&self) -> (usize, usize) {
        (self.slots.capacity(), Rc::strong_count(&self.slots))
    }

    /// Bytes in use.
    pub fn depth(&self) -> i64 {
        ring3_isa::num::signed_index(self.slots.len() * SLOT)
    }

    /// The slot, or an untouched one.
    pub fn slot(&self, index: usize) -> &Slot {
        self.slots.get(index).unwrap_or(&Slot::UNTOUCHED)
    }

    /// The slot for writing; the stack grows to it.
    pub fn slot_mut(&mut self, index: usize) -> &mut Slot {
        let slots = Rc::make_mut(&mut self.slots);
        if slots.len() <= index {
            slots.resize(index + 1, Slot::UNTOUCHED);
        }
        &mut slots[index]
    }

    /// Grows to hold this offset.
    pub fn grow_to(&mut self, off: i64) {
        if off < 0 && self.slots.len() <= locate(off).0 {
            self.slot_mut(locate(off).0);
        }
    }

    /// The byte at this offset.
    pub fn byte(&self, off: i64) -> Byte {
        let (slot, byte) = locate(off);
        self.slot(slot).bytes[byte]
    }
}
