//! Values that are put together from bytes of memory, as compilers read what may not be aligned: `b[0] | b[1] << 8 | ...`.

use ring3_isa::{Reg, Size};

/// A byte that is 0.
const ZERO: i8 = i8::MIN;

/// Of which bytes a value consists: each is 0, or a byte at a distance from one address, as it was when it was loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bytes {
    /// The register that held the address, `None` if the value is made of anything else.
    base: Option<Reg>,
    /// Which value that register had.
    value: u32,
    /// How often memory had changed.
    epoch: u32,
    off: i32,
    /// Lowest first: `ZERO`, or how far behind `off`.
    lanes: [i8; 8],
}

/// Which byte comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    LowFirst,
    HighFirst,
}

/// Bytes that lie in a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Run {
    pub(super) base: Reg,
    pub(super) value: u32,
    pub(super) epoch: u32,
    pub(super) off: i32,
    pub(super) size: Size,
    pub(super) order: Order,
}

impl Bytes {
    /// Nothing is known.
    pub(super) const UNKNOWN: Bytes = Bytes { base: None, value: 0, epoch: 0, off: 0, lanes: [ZERO; 8] };

    /// What a load without a sign gives.
    pub(super) fn loaded(base: Reg, value: u32, epoch: u32, off: i32, size: Size) -> Bytes {
        let lanes = std::array::from_fn(|lane| if lane < size.bytes() as usize { lane as i8 } else { ZERO });
        Bytes { base: Some(base), value, epoch, off, lanes }
    }

    /// Only so many low bytes.
    pub(super) fn low(self, bytes: usize) -> Bytes {
        self.mapped(|lane| if lane < bytes { self.lanes[lane] } else { ZERO })
    }

    /// Shifted left by so many bits.
    pub(super) fn shifted(self, bits: i32) -> Bytes {
        match usize::try_from(bits) {
            Ok(bits) if bits % 8 == 0 && bits < 64 => {
                self.mapped(|lane| lane.checked_sub(bits / 8).map_or(ZERO, |from| self.lanes[from]))
            }
            Ok(_) | Err(_) => Bytes::UNKNOWN,
        }
    }

    /// The low bytes in the other order; the others are 0.
    pub(super) fn swapped(self, size: Size) -> Bytes {
        self.mapped(|lane| (size.bytes() as usize - 1).checked_sub(lane).map_or(ZERO, |from| self.lanes[from]))
    }

    /// Both together: no byte may be in both.
    pub(super) fn joined(self, other: Bytes) -> Bytes {
        let same = self.base.is_some() && (self.base, self.value, self.epoch) == (other.base, other.value, other.epoch);
        let Some(distance) = other.off.checked_sub(self.off).filter(|_| same) else { return Bytes::UNKNOWN };
        let mut lanes = self.lanes;
        for (lane, more) in lanes.iter_mut().zip(other.lanes).filter(|(_, more)| *more != ZERO) {
            let at = i8::try_from(i32::from(more).saturating_add(distance)).ok().filter(|at| *at != ZERO);
            match at {
                Some(at) if *lane == ZERO => *lane = at,
                Some(_) | None => return Bytes::UNKNOWN,
            }
        }
        Bytes { lanes, ..self }
    }

    fn mapped(self, lane: impl Fn(usize) -> i8) -> Bytes {
        let lanes: [i8; 8] = std::array::from_fn(lane);
        if lanes == [ZERO; 8] { Bytes::UNKNOWN } else { Bytes { lanes, ..self } }
    }

    /// If all that is not 0 are 2, 4 or 8 bytes in a row, in the lowest places.
    pub(super) fn run(self) -> Option<Run> {
        let base = self.base?;
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
        Some(Run { base, value: self.value, epoch: self.epoch, off, size, order })
    }
}
