//! Values that are put together from bytes of memory, as compilers read what may not be aligned: `b[0] | b[1] << 8 | ...`.

use ring3_isa::{Reg, Size};
use ring3_verifier::Region;

/// A byte that is 0.
const ZERO: i8 = i8::MIN;

/// Of which bytes a value consists: each is 0, or a byte of one source. A source is memory as it was when it was loaded, or another value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bytes {
    source: Source,
    /// For memory how far the first byte is from the address.
    off: i32,
    /// Lowest first: `ZERO`, or how far behind `off`.
    lanes: [i8; 8],
}

/// Where bytes come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// A value of the block, by its number.
    Value(u32),
    /// Memory.
    Memory {
        /// The register that held the address, and which value that was.
        base: Reg,
        value: u32,
        /// Which memory that can be, and how often it had changed.
        kinds: Kinds,
        epoch: u32,
    },
}

/// Kinds of memory that do not overlap, as bits: the stack, the packet, values of maps, the context.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Kinds(u8);

impl Kinds {
    const COUNT: usize = 4;
    /// Nobody knows.
    pub(super) const ANY: Kinds = Kinds(0xf);

    /// By the fact of the verifier which memory an access reaches over all paths. Memory of other regions may lie in any of these:
    /// a slice of a packet is `Mem`, and so is the buffer on the stack that it may be copied to.
    pub(super) fn of(region: Region) -> Kinds {
        match region {
            Region::Stack => Kinds(1),
            Region::Packet => Kinds(2),
            Region::MapValue => Kinds(4),
            Region::Ctx => Kinds(8),
            Region::None
            | Region::MapKey
            | Region::Mem
            | Region::Map
            | Region::Kernel
            | Region::Arena
            | Region::Mixed => Kinds::ANY,
        }
    }

    /// Whether accesses of both can meet.
    pub(super) const fn meets(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }
}

/// How often memory of each kind may have changed.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Epochs([u32; Kinds::COUNT]);

impl Epochs {
    /// Memory of these kinds changes.
    pub(super) fn change(&mut self, kinds: Kinds) {
        for (bit, count) in self.0.iter_mut().enumerate() {
            *count += u32::from(kinds.0 >> bit & 1);
        }
    }

    /// Equal at two times if memory of these kinds did not change between them.
    pub(super) fn of(&self, kinds: Kinds) -> u32 {
        self.0.iter().enumerate().map(|(bit, count)| count * u32::from(kinds.0 >> bit & 1)).sum()
    }
}

/// Which byte comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    LowFirst,
    HighFirst,
}

/// Bytes of memory that lie in a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Run {
    pub(super) base: Reg,
    pub(super) value: u32,
    pub(super) kinds: Kinds,
    pub(super) epoch: u32,
    pub(super) off: i32,
    pub(super) size: Size,
    pub(super) order: Order,
}

impl Bytes {
    /// The number 0.
    pub(super) const NONE: Bytes = Bytes { source: Source::Value(u32::MAX), off: 0, lanes: [ZERO; 8] };

    /// A value of which nothing else is known.
    pub(super) fn value(number: u32) -> Bytes {
        Bytes { source: Source::Value(number), off: 0, lanes: std::array::from_fn(|lane| lane as i8) }
    }

    /// What a load without a sign gives.
    pub(super) fn loaded(base: Reg, value: u32, (kinds, epoch): (Kinds, u32), off: i32, size: Size) -> Bytes {
        let source = Source::Memory { base, value, kinds, epoch };
        Bytes { source, off, ..Bytes::value(0).low(size.bytes() as usize) }
    }

    /// Only so many low bytes.
    pub(super) fn low(self, bytes: usize) -> Bytes {
        self.mapped(|lane| if lane < bytes { self.lanes[lane] } else { ZERO })
    }

    /// Shifted left by so many bits, to the right if negative. `None` if that is no number of bytes.
    pub(super) fn shifted(self, bits: i32) -> Option<Bytes> {
        if bits % 8 != 0 || !(-63..64).contains(&bits) {
            return None;
        }
        let from = |lane: usize| lane.checked_add_signed(-(bits / 8) as isize).and_then(|from| self.lanes.get(from));
        Some(self.mapped(|lane| from(lane).copied().unwrap_or(ZERO)))
    }

    /// Without the bytes that are 0 in a mask whose bytes are 0 or 0xff. `None` for other masks.
    pub(super) fn masked(self, mask: u64) -> Option<Bytes> {
        let mask = mask.to_le_bytes();
        mask.iter()
            .all(|byte| matches!(byte, 0 | 0xff))
            .then(|| self.mapped(|lane| if mask[lane] == 0 { ZERO } else { self.lanes[lane] }))
    }

    /// The low bytes in the other order; the others are 0.
    pub(super) fn swapped(self, size: Size) -> Bytes {
        self.mapped(|lane| (size.bytes() as usize - 1).checked_sub(lane).map_or(ZERO, |from| self.lanes[from]))
    }

    /// Both together. `None` unless they have one source, and no byte is in both.
    pub(super) fn joined(self, other: Bytes) -> Option<Bytes> {
        let distance = other.off.checked_sub(self.off).filter(|_| self.source == other.source)?;
        let mut lanes = self.lanes;
        for (lane, more) in lanes.iter_mut().zip(other.lanes).filter(|(_, more)| *more != ZERO) {
            let at = i8::try_from(i32::from(more).saturating_add(distance)).ok().filter(|at| *at != ZERO)?;
            if *lane != ZERO {
                return None;
            }
            *lane = at;
        }
        Some(Bytes { lanes, ..self })
    }

    /// One byte, to be compared with others: `None` if it is 0.
    pub(super) fn lane(self, lane: usize) -> Option<(Source, i32)> {
        let at = self.lanes.get(lane).copied().filter(|at| *at != ZERO)?;
        Some((self.source, self.off.saturating_add(at.into())))
    }

    fn mapped(self, lane: impl Fn(usize) -> i8) -> Bytes {
        let lanes: [i8; 8] = std::array::from_fn(lane);
        if lanes == [ZERO; 8] { Bytes::NONE } else { Bytes { lanes, ..self } }
    }

    /// If all that is not 0 are 2, 4 or 8 bytes of memory in a row, in the lowest places.
    pub(super) fn run(self) -> Option<Run> {
        let Source::Memory { base, value, kinds, epoch } = self.source else { return None };
        let count = self.lanes.iter().take_while(|lane| **lane != ZERO).count();
        let size = match count {
            2 => Size::H,
            4 => Size::W,
            8 => Size::Dw,
            _ => return None,
        };
        let (used, rest) = self.lanes.split_at(count);
        if rest.iter().any(|lane| *lane != ZERO) {
            return None;
        }
        let steps_by = |step: i16| used.windows(2).all(|pair| i16::from(pair[1]) - i16::from(pair[0]) == step);
        let (order, first) = match (steps_by(1), steps_by(-1)) {
            (true, _) => (Order::LowFirst, used[0]),
            (false, true) => (Order::HighFirst, used[count - 1]),
            (false, false) => return None,
        };
        let off = self.off.checked_add(first.into())?;
        Some(Run { base, value, kinds, epoch, off, size, order })
    }
}
