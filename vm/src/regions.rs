//! Live memory of a run of an unverified program: the set in which the checked interpreter looks up every access.

use ring3_platform::MapDef;

/// What a piece of live memory is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegionKind {
    /// Stack of the program.
    Stack,
    /// Its context; addresses inside are offsets of the UAPI struct and are converted at each access.
    Ctx,
    /// The packet, metadata included.
    Packet,
    /// A value of a map.
    MapValue,
    /// A value of a map that programs only read.
    MapConst,
    /// A key of a map (callbacks), only read.
    MapKey,
    /// A record reserved in a ring buffer.
    Record,
    /// Memory of the embedder.
    Mem,
    /// Memory of the embedder that is only read.
    ReadOnly,
}

impl RegionKind {
    /// What the values of a map are.
    pub fn of_values(def: &MapDef) -> RegionKind {
        if def.is_read_only_to_programs() { RegionKind::MapConst } else { RegionKind::MapValue }
    }
}

/// One piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Region {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub len: u64,
    /// What it is.
    pub kind: RegionKind,
}

/// A sorted list of pieces that do not overlap.
#[derive(Clone, Debug, Default)]
pub struct Regions {
    list: Vec<Region>,
}

impl Regions {
    /// Adds a piece; what overlaps with it is forgotten, since its memory was given to something else.
    pub fn insert(&mut self, start: u64, len: u64, kind: RegionKind) {
        let end = start.saturating_add(len);
        let first = self.list.partition_point(|r| r.start.saturating_add(r.len) <= start);
        let last = self.list.partition_point(|r| r.start < end);
        self.list.splice(first..last.max(first), [Region { start, len, kind }]);
    }

    /// Forgets the piece that starts there.
    pub fn remove(&mut self, start: u64) {
        if let Ok(at) = self.list.binary_search_by_key(&start, |r| r.start) {
            self.list.remove(at);
        }
    }

    /// Forgets the pieces that start in a range.
    pub fn remove_range(&mut self, start: u64, len: u64) {
        let first = self.list.partition_point(|r| r.start < start);
        let last = self.list.partition_point(|r| r.start < start.saturating_add(len));
        self.list.drain(first..last.max(first));
    }

    /// Forgets all pieces of a kind.
    pub fn remove_kind(&mut self, kind: RegionKind) {
        self.list.retain(|r| r.kind != kind);
    }

    /// All pieces, by address.
    pub fn iter(&self) -> impl Iterator<Item = Region> {
        self.list.iter().copied()
    }

    /// The piece that has all of these bytes, if they may be accessed so.
    #[inline]
    pub fn find(&self, addr: u64, len: u64, write: bool) -> Option<Region> {
        let at = self.list.partition_point(|r| r.start <= addr).checked_sub(1)?;
        let region = self.list[at];
        let inside = addr - region.start;
        let fits = inside <= region.len && len <= region.len - inside;
        let allowed =
            !write || !matches!(region.kind, RegionKind::MapKey | RegionKind::MapConst | RegionKind::ReadOnly);
        (fits && allowed).then_some(region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_only_what_lies_wholly_inside() {
        let mut regions = Regions::default();
        regions.insert(100, 10, RegionKind::Mem);
        regions.insert(110, 10, RegionKind::ReadOnly);
        assert!(regions.find(100, 10, true).is_some());
        assert!(regions.find(109, 2, false).is_none(), "an access does not run from one piece into the next");
        assert!(regions.find(112, 1, true).is_none());
        assert!(regions.find(112, 1, false).is_some());
        assert!(regions.find(99, 1, false).is_none());
        assert!(regions.find(119, u64::MAX, false).is_none());
        assert!(regions.find(u64::MAX, 8, false).is_none());
        regions.insert(105, 3, RegionKind::Stack);
        assert!(regions.find(101, 1, false).is_none(), "memory given to something else is gone");
        assert!(regions.find(105, 3, true).is_some());
        regions.remove(105);
        assert!(regions.find(105, 3, true).is_none());
    }
}
