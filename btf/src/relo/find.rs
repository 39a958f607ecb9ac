//! The types of a kernel by the part of their names that counts.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::Btf;
use crate::types::{Kind, TypeId};

/// A kernel's types, and an index of them. Building it takes one pass over all types: make one and share it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CoreTarget {
    btf: Arc<Btf>,
    /// Where the numbers of each bucket start in `ids`; one more than there are buckets.
    starts: Vec<u32>,
    /// Types that have a name, by bucket, ascending in each.
    ids: Vec<TypeId>,
}

impl CoreTarget {
    /// Indexes a kernel's types.
    pub fn new(btf: Arc<Btf>) -> CoreTarget {
        let buckets = btf.types().len().next_power_of_two();
        let named = |id: u32| {
            let name = essential(btf.name(TypeId(id)));
            (!name.is_empty()).then(|| bucket(name, buckets))
        };
        let homes: Vec<Option<usize>> = (0..btf.types().len() as u32).map(named).collect();
        let mut starts = alloc::vec![0u32; buckets + 1];
        homes.iter().flatten().for_each(|home| starts[home + 1] += 1);
        (1..starts.len()).for_each(|at| starts[at] += starts[at - 1]);
        let mut next = starts.clone();
        let mut ids = alloc::vec![TypeId::VOID; starts.last().map_or(0, |n| *n as usize)];
        for (id, home) in (0u32..).zip(&homes) {
            if let Some(home) = home {
                ids[next[*home] as usize] = TypeId(id);
                next[*home] += 1;
            }
        }
        CoreTarget { btf, starts, ids }
    }

    /// The types.
    pub fn btf(&self) -> &Arc<Btf> {
        &self.btf
    }

    /// Types of the same kind and essential name, in the order of their numbers.
    pub(crate) fn candidates(&self, name: &str, kind: Kind) -> Vec<TypeId> {
        let name = essential(name);
        let home = bucket(name, self.starts.len() - 1);
        let ids = &self.ids[self.starts[home] as usize..self.starts[home + 1] as usize];
        let is_it = |id: &TypeId| {
            self.btf.get(*id).is_some_and(|ty| same_kind(ty.kind(), kind)) && essential(self.btf.name(*id)) == name
        };
        ids.iter().copied().filter(is_it).collect()
    }
}

/// FNV-1a; `buckets` is a power of two.
fn bucket(name: &str, buckets: usize) -> usize {
    let hash = name.bytes().fold(0x811c_9dc5u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash ^ (hash >> 15)) as usize & (buckets - 1)
}

/// A name without its flavour: what is before the last `___` that has neither an underscore before nor behind it.
pub(crate) fn essential(name: &str) -> &str {
    let is_mark = |w: &[u8]| w[0] != b'_' && &w[1..4] == b"___" && w[4] != b'_';
    match name.as_bytes().windows(5).rposition(is_mark) {
        // The byte before the mark may be the last of a longer character, never the first.
        Some(at) => name.get(..=at).unwrap_or(name),
        None => name,
    }
}

/// The two kinds of enums count as one.
pub(crate) fn same_kind(a: Kind, b: Kind) -> bool {
    let one = |kind| if kind == Kind::Enum64 { Kind::Enum } else { kind };
    one(a) == one(b)
}
