//! What arithmetic gave the last time: the paths through an instruction mostly bring it the same numbers.

use ring3_isa::num;

use crate::domain::Scalar;

/// Instructions of which results are kept, at most.
const MAX_KNOWN: usize = 1 << 14;
/// So often running an instruction may get other numbers than the last time before nothing is kept of it any more.
const PATIENCE: u32 = 8;

/// So often an instruction is executed before its results are kept: in long programs most are hardly executed more often.
const OFTEN: u32 = 6;
/// Nothing is kept of an instruction.
const NEVER: u32 = OFTEN + 1;
/// The first place in `known`.
const FIRST: u32 = NEVER + 1;

/// The last results.
#[derive(Debug, Default)]
pub struct Memo {
    /// By instruction, how often it was executed, `NEVER`, or its place in `known`; empty before the first result.
    places: Vec<u32>,
    known: Vec<Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    patience: u32,
    operands: (Scalar, Scalar),
    result: Scalar,
}

fn are_constants(operands: (&Scalar, &Scalar)) -> bool {
    operands.0.is_const() && operands.1.is_const()
}

impl Memo {
    /// What these operands gave at an instruction, if they are the last that it had. It may depend on nothing else.
    #[inline]
    pub(super) fn recall(&mut self, at: usize, operands: (&Scalar, &Scalar)) -> Option<Scalar> {
        let known = self.known.get_mut(self.places.get(at)?.checked_sub(FIRST)? as usize)?;
        if !known.operands.0.is(operands.0) || !known.operands.1.is(operands.1) {
            return None;
        }
        known.patience = PATIENCE;
        Some(known.result)
    }

    /// Notes what operands gave at an instruction of a program with `len` of them. Constants are as soon computed again.
    #[inline(never)]
    pub(super) fn note(&mut self, (at, len): (usize, usize), operands: (Scalar, Scalar), result: Scalar) {
        if are_constants((&operands.0, &operands.1)) {
            return;
        }
        if self.places.is_empty() {
            self.places = vec![0; len];
        }
        let Some(place) = self.places.get_mut(at) else { return };
        match *place {
            0..OFTEN => *place += 1,
            OFTEN if self.known.len() == MAX_KNOWN => *place = NEVER,
            OFTEN => {
                *place = FIRST + num::low32(num::from_index(self.known.len()));
                self.known.push(Known { patience: PATIENCE, operands, result });
            }
            NEVER => {}
            index => match self.known.get_mut((index - FIRST) as usize) {
                Some(Known { patience: 0, .. }) | None => *place = NEVER,
                Some(known) => *known = Known { patience: known.patience - 1, operands, result },
            },
        }
    }

    /// Bytes that it takes.
    pub(crate) fn held(&self) -> usize {
        size_of_val(&self.places[..]) + self.known.capacity() * size_of::<Known>()
    }
}
