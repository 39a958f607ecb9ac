//! What is in maps, kept so that millions of elements can be compared.

use ring3::{Instance, MapRef, has_values};
use ring3_platform::MapType;

use super::hex;

/// Maps with more bytes of elements are not compared, and said to be left out.
const MAX_MAP: usize = 256 << 20;
/// Bytes that are looked at of a bucket without elements.
const BUCKET: usize = 8;
/// Elements and records of a map that are shown of a difference.
const SHOWN: usize = 2;

/// Elements of a map, in the order of their keys, or records of a ring buffer (without keys).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Content {
    /// One after the other.
    keys: Vec<u8>,
    /// One after the other.
    values: Vec<u8>,
    /// Bytes of a key. Those of a value are the same for all, but for records.
    key: usize,
    /// Where each value ends. Of arrays and the like it follows from the number of elements.
    ends: Ends,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Ends {
    /// After so many bytes each.
    Every(usize),
    /// Here.
    At(Vec<usize>),
}

impl Default for Ends {
    fn default() -> Ends {
        Ends::Every(0)
    }
}

impl Content {
    /// Of elements that are all of one size, sorted.
    pub(super) fn of(keys: Vec<u8>, values: Vec<u8>, key: usize, count: usize) -> Content {
        let Some(value) = values.len().checked_div(count) else { return Content::default() };
        let mut order: Vec<usize> = (0..count).collect();
        let key_at = |at: usize| &keys[at * key..(at + 1) * key];
        if order.is_sorted_by_key(|at| key_at(*at)) {
            return Content { keys, values, key, ends: Ends::Every(value) };
        }
        order.sort_unstable_by_key(|at| key_at(*at));
        let gather = |from: &[u8], size: usize| -> Vec<u8> {
            order.iter().flat_map(|at| &from[at * size..(at + 1) * size]).copied().collect()
        };
        Content { keys: gather(&keys, key), values: gather(&values, value), key, ends: Ends::Every(value) }
    }

    fn of_records(records: impl Iterator<Item = Vec<u8>>) -> Content {
        let (mut values, mut ends) = (Vec::new(), Vec::new());
        for record in records {
            values.extend(record);
            ends.push(values.len());
        }
        Content { values, ends: Ends::At(ends), ..Content::default() }
    }

    /// Keys and values; records have empty keys.
    fn elements(&self) -> Vec<(&[u8], &[u8])> {
        match &self.ends {
            Ends::Every(value) => self.keys.chunks(self.key.max(1)).zip(self.values.chunks((*value).max(1))).collect(),
            Ends::At(ends) => {
                let starts = std::iter::once(0).chain(ends.iter().copied());
                starts.zip(ends).map(|(start, end)| (&[][..], &self.values[start..*end])).collect()
            }
        }
    }

    /// The elements that the other does not have, as text.
    pub(super) fn without(&self, other: &Content) -> String {
        let theirs: std::collections::BTreeSet<_> = other.elements().into_iter().collect();
        let own: Vec<_> = self.elements().into_iter().filter(|element| !theirs.contains(element)).collect();
        let element = |(key, value): &(&[u8], &[u8])| match key {
            [] => hex(value),
            key => format!("{}={}", hex(key), hex(value)),
        };
        let mut texts: Vec<String> = own.iter().take(SHOWN).map(element).collect();
        match own.len().checked_sub(SHOWN) {
            _ if own.is_empty() => return "(nothing else)".to_owned(),
            Some(more @ 1..) => texts.push(format!("{more} more")),
            Some(0) | None => {}
        }
        texts.join(", ")
    }
}

/// Bytes that the elements of a map have at most.
fn bytes(map: &MapRef<'_>) -> usize {
    let def = map.def();
    let each = (def.key_size as usize).saturating_add(def.value_size as usize);
    let copies = if map.is_percpu() { map.cpus() as usize } else { 1 };
    (def.max_entries as usize).saturating_mul(each).saturating_mul(copies)
}

/// Whether its elements are data that a program may change.
fn is_compared(map: &MapRef<'_>) -> bool {
    has_values(map.def().kind) && !map.def().frozen
}

/// How much there is to compare behind a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Extent {
    /// Bytes that are looked at, about: all of an array, and the buckets of a hash, of which most are empty.
    pub(super) bytes: usize,
    /// Maps that are too large to be compared.
    pub(super) left_out: Vec<String>,
}

/// How much there is to compare in the maps that the program uses.
pub(super) fn extent(instance: &Instance) -> Extent {
    let (kept, left_out): (Vec<_>, Vec<_>) =
        instance.used_maps().filter(is_compared).partition(|map| bytes(map) <= MAX_MAP);
    let looked_at = |map: &MapRef<'_>| match map.def().kind {
        MapType::Array | MapType::PercpuArray => bytes(map),
        _ => (map.def().max_entries as usize).saturating_mul(BUCKET),
    };
    let bytes = kept.iter().map(looked_at).fold(0, usize::saturating_add);
    Extent { bytes, left_out: left_out.iter().map(|map| map.name().to_owned()).collect() }
}

/// What is in the maps that the program uses, by name; what was sent through ring buffers is read then.
pub(super) fn content(instance: &Instance) -> Vec<(String, Content)> {
    let of_map = |map: MapRef<'_>| {
        let (def, raw) = (map.def(), map.raw());
        if def.kind == MapType::Ringbuf {
            let records = raw.drain().into_iter().map(|event| event.data);
            return Some((map.name().to_owned(), Content::of_records(records)));
        }
        if !is_compared(&map) || bytes(&map) > MAX_MAP {
            return None;
        }
        let content = match raw.len() {
            0 => Content::default(),
            // Nobody else changes the map, so that no error can come.
            len => raw.copy_out_batch(None, len, false).map_or_else(
                |_| Content::default(),
                |all| Content::of(all.keys, all.values, def.key_size as usize, all.count),
            ),
        };
        Some((map.name().to_owned(), content))
    };
    instance.used_maps().filter_map(of_map).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_in_the_order_of_keys() {
        let this = Content::of(vec![2, 1, 3], vec![20, 21, 10, 11, 30, 31], 1, 3);
        assert_eq!(this, Content::of(vec![1, 2, 3], vec![10, 11, 20, 21, 30, 31], 1, 3));
        let that = Content::of(vec![1, 3], vec![10, 11, 30, 32], 1, 2);
        assert_eq!((this.without(&that), that.without(&this)), ("02=1415, 03=1e1f".to_owned(), "03=1e20".to_owned()));
        assert_eq!(that.without(&that), "(nothing else)");
        let records = Content::of_records([vec![1, 2], Vec::new(), vec![3]].into_iter());
        assert_eq!(records.elements(), [(&[][..], &[1, 2][..]), (&[], &[]), (&[], &[3])]);
    }
}
