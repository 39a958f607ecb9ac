//! What the generator knows of registers and stack where it writes the next instruction.
//!
//! It knows less than the verifier: which registers hold numbers and which hold addresses, and how far those reach. That is
//! enough to write programs that are mostly accepted.

use ring3_isa::Reg;

/// Which of the maps of a generated program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MapNo {
    Array,
    Hash,
    PercpuArray,
}

impl MapNo {
    pub(crate) const ALL: [MapNo; 3] = [MapNo::Array, MapNo::Hash, MapNo::PercpuArray];

    /// Index into the program's maps.
    pub(crate) const fn index(self) -> i32 {
        self as i32
    }

    pub(crate) const fn key_bytes(self) -> u32 {
        match self {
            MapNo::Array | MapNo::PercpuArray => 4,
            MapNo::Hash => 8,
        }
    }

    pub(crate) const fn value_bytes(self) -> u32 {
        match self {
            MapNo::Array => 64,
            MapNo::Hash => 32,
            MapNo::PercpuArray => 24,
        }
    }
}

/// What a register or an 8-byte word of the stack holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Nothing that may be read, as far as the generator knows.
    Unknown,
    Number,
    /// The context of an XDP program.
    Ctx,
    /// A value of a map, at its start, not null.
    Value(MapNo),
    /// A packet, of which this many bytes are there.
    Packet(u8),
    /// 16 bytes of numbers in a caller's stack.
    Pair,
}

impl Kind {
    pub(crate) const fn is_number(self) -> bool {
        matches!(self, Kind::Number)
    }

    /// An address that may be read and written.
    pub(crate) const fn is_memory(self) -> bool {
        matches!(self, Kind::Value(_) | Kind::Packet(_) | Kind::Pair)
    }
}

/// 8-byte words of the stack of one function that the generator uses. Eight frames fit into the 512 bytes of all.
pub(crate) const WORDS: usize = 12;

/// Registers and stack at one place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct State {
    pub(crate) regs: [Kind; 10],
    pub(crate) words: [Kind; WORDS],
}

impl State {
    pub(crate) const EMPTY: State = State { regs: [Kind::Unknown; 10], words: [Kind::Unknown; WORDS] };

    pub(crate) fn get(&self, reg: Reg) -> Kind {
        self.regs.get(reg.index()).copied().unwrap_or(Kind::Unknown)
    }

    pub(crate) fn set(&mut self, reg: Reg, kind: Kind) {
        if let Some(slot) = self.regs.get_mut(reg.index()) {
            *slot = kind;
        }
    }

    /// What is known where two paths meet.
    pub(crate) fn join(&mut self, other: &State) {
        let meet = |a: &mut Kind, b: &Kind| {
            if a != b {
                *a = Kind::Unknown;
            }
        };
        self.regs.iter_mut().zip(&other.regs).for_each(|(a, b)| meet(a, b));
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| meet(a, b));
    }

    /// What a call leaves: R0 is its result.
    pub(crate) fn called(&mut self) {
        self.regs[1..6].fill(Kind::Unknown);
        self.regs[0] = Kind::Number;
    }

    /// Forgets everything for which `gone` holds.
    pub(crate) fn forget(&mut self, gone: impl Fn(Kind) -> bool) {
        for kind in self.regs.iter_mut().chain(&mut self.words) {
            if gone(*kind) {
                *kind = Kind::Unknown;
            }
        }
    }
}
