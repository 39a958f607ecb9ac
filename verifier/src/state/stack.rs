//! A frame's stack: eight-byte slots, each byte of which is nothing, part of a spilled register, data, or zero.

use super::value::Value;

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
}

impl Byte {
    /// Its letter in logs.
    pub fn letter(self) -> char {
        match self {
            Byte::Invalid => '?',
            Byte::Spill => 'r',
            Byte::Misc => 'm',
            Byte::Zero => '0',
        }
    }
}

/// Eight bytes. `bytes[0]` is the byte at the highest address, as the kernel counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Slot {
    /// Bytes, highest address first.
    pub bytes: [Byte; SLOT],
    /// What was spilled here; `Uninit` unless some byte is `Spill`.
    pub spill: Value,
}

impl Slot {
    /// A register is spilled here (perhaps only its low part).
    pub fn is_spill(&self) -> bool {
        self.bytes[SLOT - 1] == Byte::Spill
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
    }

    /// Whether nothing was ever written.
    pub fn is_invalid(&self) -> bool {
        self.bytes.iter().all(|b| *b == Byte::Invalid)
    }
}

/// Slots from the top of the frame downwards, as deep as was touched.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stack {
    slots: Vec<Slot>,
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
        &mut self.slots
    }

    /// Bytes in use.
    pub fn depth(&self) -> i64 {
        ring3_isa::num::signed_index(self.slots.len() * SLOT)
    }

    /// The slot, or an untouched one.
    pub fn slot(&self, index: usize) -> Slot {
        self.slots.get(index).copied().unwrap_or_default()
    }

    /// The slot for writing; the stack grows to it.
    pub fn slot_mut(&mut self, index: usize) -> &mut Slot {
        if self.slots.len() <= index {
            self.slots.resize(index + 1, Slot::default());
        }
        &mut self.slots[index]
    }

    /// Grows to hold this offset.
    pub fn grow_to(&mut self, off: i64) {
        if off < 0 {
            self.slot_mut(locate(off).0);
        }
    }

    /// The byte at this offset.
    pub fn byte(&self, off: i64) -> Byte {
        let (slot, byte) = locate(off);
        self.slot(slot).bytes[byte]
    }
}
