//! Stores that belong together: the bytes of one value, as compilers write what may not be aligned, and neighbouring zeros.
//!
//! One of them becomes a wide store and the others go, so bytes are written earlier or later than they were. Nothing between may
//! touch them, which the register of the address, the offsets and the verifier's facts about regions must show.

use ring3_isa::{Reg, Size};

use super::bytes::{Bytes, Kinds};

/// Accesses that are looked at together: a store costs a look at each.
const WINDOW: usize = 32;

/// Zeros that are stored at once, at least.
const ZEROS: i32 = 16;

/// Zeros that are stored at once, at most: beyond that the code would be longer than a loop.
const MAX_ZEROS: i32 = 128;

/// What becomes of a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Joined {
    /// Another one does it.
    Gone,
    /// It stores more of its register.
    Wide(Size),
    /// It stores so many zeros from this offset on.
    Zeros { off: i32, bytes: u32 },
}

/// A load or a store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    /// The operation, by its place in the block.
    pub(super) at: usize,
    pub(super) kinds: Kinds,
    /// The register of the address, and which value that had.
    pub(super) base: Reg,
    pub(super) value: u32,
    pub(super) off: i32,
    pub(super) size: Size,
    /// What all of the register consists of that is stored. `None` for a load.
    pub(super) stored: Option<Bytes>,
}

impl Access {
    fn bytes(&self) -> i32 {
        self.size.bytes() as i32
    }

    fn same_base(&self, other: &Access) -> bool {
        (self.base, self.value) == (other.base, other.value)
    }

    /// Whether it lies in `bytes` from `off` on, seen from the same base.
    fn within(&self, off: i32, bytes: i32) -> bool {
        self.off >= off && self.off + self.bytes() <= off + bytes
    }

    /// Whether all that it stores is 0.
    fn is_zero(&self) -> bool {
        self.stored.is_some_and(|stored| (0..self.size.bytes() as usize).all(|lane| stored.lane(lane).is_none()))
    }
}

/// Accesses of a block, in order.
#[derive(Default)]
pub(super) struct Window {
    accesses: Vec<Access>,
    stores: usize,
}

impl Window {
    pub(super) fn is_full(&self) -> bool {
        self.accesses.len() >= WINDOW
    }

    pub(super) fn push(&mut self, access: Access) {
        self.stores += usize::from(access.stored.is_some());
        self.accesses.push(access);
    }

    /// Joins stores that are `free` to be, and forgets all accesses.
    pub(super) fn join(&mut self, free: impl Fn(usize) -> bool, joined: &mut Vec<(usize, Joined)>) {
        if self.stores > 1 {
            // What is not free stays where it is, as an obstacle to others.
            let mut taken: Vec<bool> = self.accesses.iter().map(|access| !free(access.at)).collect();
            self.join_zeros(&mut taken, joined);
            // The widest first: others would take the bytes of them.
            for size in [Size::Dw, Size::W, Size::H] {
                for index in 0..self.accesses.len() {
                    self.join_value(index, size, &mut taken, joined);
                }
            }
        }
        self.accesses.clear();
        self.stores = 0;
    }

    /// Runs of zeros.
    fn join_zeros(&self, taken: &mut [bool], joined: &mut Vec<(usize, Joined)>) {
        let mut zeros: Vec<usize> =
            (0..self.accesses.len()).filter(|index| !taken[*index] && self.accesses[*index].is_zero()).collect();
        if zeros.len() < 2 {
            return;
        }
        zeros.sort_by_key(|index| {
            let access = &self.accesses[*index];
            (access.base.index(), access.value, access.off)
        });
        let mut from = 0;
        while from < zeros.len() {
            let first = &self.accesses[zeros[from]];
            let (mut to, mut end) = (from + 1, first.off + first.bytes());
            while let Some(next) = zeros.get(to).map(|index| &self.accesses[*index])
                && next.same_base(first)
                && next.off == end
                && end - first.off < MAX_ZEROS
            {
                (to, end) = (to + 1, end + next.bytes());
            }
            if end - first.off >= ZEROS && self.may_move(&zeros[from..to], first.off, end - first.off) {
                let bytes = (end - first.off) as u32;
                let last = zeros[from..to].iter().copied().max().unwrap_or(zeros[from]);
                for index in zeros[from..to].iter().copied() {
                    taken[index] = true;
                    let zeros = Joined::Zeros { off: first.off, bytes };
                    joined.push((self.accesses[index].at, if index == last { zeros } else { Joined::Gone }));
                }
            }
            from = to;
        }
    }

    /// The other bytes of the register that this store stores a part of, if they are stored behind it in memory.
    fn join_value(&self, index: usize, size: Size, taken: &mut [bool], joined: &mut Vec<(usize, Joined)>) {
        let anchor = &self.accesses[index];
        let count = size.bytes() as i32;
        let Some(bytes) = anchor.stored.filter(|_| !taken[index] && count > anchor.bytes()) else { return };
        let Some(members) = self.members(index, bytes, count, taken) else { return };
        if !self.may_move(&members, anchor.off, count) {
            return;
        }
        for member in members {
            taken[member] = true;
            let this = if member == index { Joined::Wide(size) } else { Joined::Gone };
            joined.push((self.accesses[member].at, this));
        }
    }

    /// The stores that together write `count` bytes from where this one starts, if they are those of its register, each by one store.
    fn members(&self, index: usize, bytes: Bytes, count: i32, taken: &[bool]) -> Option<Vec<usize>> {
        let anchor = &self.accesses[index];
        let mut members = vec![index];
        let mut lane = anchor.bytes();
        while lane < count {
            let wanted = |(_, access): &(usize, &Access)| {
                access.same_base(anchor) && access.off == anchor.off + lane && access.stored.is_some()
            };
            let (member, access) = self.accesses.iter().enumerate().find(wanted)?;
            let stored = access.stored?;
            let same = (0..access.size.bytes() as usize)
                .all(|byte| lane as usize + byte < 8 && stored.lane(byte) == bytes.lane(lane as usize + byte));
            if taken[member] || !same || !access.within(anchor.off, count) {
                return None;
            }
            members.push(member);
            lane += access.bytes();
        }
        Some(members)
    }

    /// Whether all accesses between these stores, and not of them, leave `bytes` bytes from `off` on alone.
    fn may_move(&self, members: &[usize], off: i32, bytes: i32) -> bool {
        let (Some(first), Some(last)) = (members.iter().min(), members.iter().max()) else { return false };
        let store = &self.accesses[*first];
        if members.iter().any(|member| self.accesses[*member].kinds != store.kinds) {
            return false;
        }
        (*first..=*last).filter(|index| !members.contains(index)).all(|index| {
            let other = &self.accesses[index];
            let apart = other.off >= off + bytes || other.off + other.bytes() <= off;
            !other.kinds.meets(store.kinds) || (other.same_base(store) && apart)
        })
    }
}
