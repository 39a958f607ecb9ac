//! `lpm_trie`: the value of the longest prefix of a key.
//!
//! A key is a length in bits (32 bits, native order) and as many bytes of data as the map has. The bytes behind the length do not
//! count, but come back from [`Map::next_key`] as they were put in.
//!
//! Nodes lie in one [`Region`], with their values. Lookups take no lock: an update makes a new node and puts it in place of the old
//! one, whose memory is given away again when all runs of programs have ended that may know its address. A link carries the version of the node that it leads
//! to, which changes when the node leaves the trie; who finds another version there than the link says, starts again.
//!
//! Changes find their place without the lock, too. Under it they look whether the place still is what it was, which takes the time of
//! two nodes and not that of the way to them.

use std::collections::VecDeque;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use parking_lot::{Mutex, MutexGuard};
use ring3_platform::{Errno, MapDef};

use super::direct::{Direct, DirectCalls};
use super::mem::{MAX_MAP_BYTES, Region, WORD, load_word, round8};
use super::shard::Padded;
use super::{BPF_ANY, BPF_EXIST, BPF_NOEXIST, Base, LookupCall, Map};
use crate::epoch::{Deleted, RUNS};

/// Bytes of the length in front of a key's data.
const LEN_BYTES: usize = 4;
/// No node.
const NONE: u64 = u64::MAX;
/// In the length of a node: it has a value, and is no mere fork.
const HAS_VALUE: u32 = 1 << 31;
/// Small nodes take a power of two, so that none is in two lines of the cache.
const CACHE_LINE: u64 = 64;

/// Where the parts of a node are, in words.
mod part {
    /// Bits of the prefix and [`super::HAS_VALUE`] in the lower half; in the upper one the version: a count of how often the memory was
    /// given away and came back.
    pub const HEAD: usize = 0;
    /// The two links: where the node is, in words, in the lower half, and its version in the upper one.
    pub const CHILDREN: usize = 1;
    /// The data starts here, and the value behind it.
    pub const DATA: usize = 3;
}

/// A prefix that is looked for, with its first 16 bytes as numbers.
#[derive(Clone, Copy)]
struct Prefix<'a> {
    bits: u32,
    data: &'a [u8],
    first: [u64; 2],
}

impl<'a> Prefix<'a> {
    #[inline(always)]
    fn new(bits: u32, data: &'a [u8]) -> Prefix<'a> {
        let word = |at: usize| data.get(at..).map_or(0, |rest| u64::from_be(load_word(&rest[..rest.len().min(WORD)])));
        Prefix { bits, data, first: [word(0), if data.len() > WORD { word(WORD) } else { 0 }] }
    }

    /// Bit `at` of the data, the most significant of a byte first.
    #[inline(always)]
    fn bit(&self, at: u32) -> usize {
        match at {
            0..64 => (self.first[0] >> (63 - at) & 1) as usize,
            _ => self.data.get(at as usize / 8).map_or(0, |byte| usize::from(byte >> (7 - at % 8) & 1)),
        }
    }
}

/// Where a link to a node is: which side of the node that another link leads to.
#[derive(Clone, Copy)]
enum Link {
    Root,
    Child(u64, usize),
}

/// Where a prefix is or would be.
struct Place {
    /// The link to the node that `link` is in.
    above: Option<Link>,
    /// The link to the first node that is not a shorter prefix.
    link: Link,
    /// What this link said.
    at: u64,
    /// Bits that this node has in common with the prefix.
    common: u32,
}

/// What changes under the lock, beside the links.
struct Free {
    /// Prefixes that are there.
    entries: u32,
    /// Nodes from here on were never used.
    fresh: u32,
    /// Those that left the trie, the earliest first: they wait until no run can know their address.
    freed: VecDeque<(u32, Deleted)>,
}

/// A trie.
pub(super) struct Lpm {
    base: Base,
    root: AtomicU64,
    nodes: Region,
    /// Not beside what lookups read.
    free: Padded<Mutex<Free>>,
    /// How many nodes there are addresses for: more than can be in the trie, for those that wait.
    count: u32,
    data_size: usize,
    /// Offset of the value in a node.
    value: usize,
    stride: usize,
}

/// Bits that the data of a node and a prefix have in common, `limit` at most.
#[inline(always)]
fn common(words: &[AtomicU64], prefix: &Prefix<'_>, limit: u32) -> u32 {
    let same = |word: &AtomicU64, number: u64| (u64::from_be(word.load(Ordering::Relaxed)) ^ number).leading_zeros();
    let mut bits = words.first().map_or(0, |word| same(word, prefix.first[0]));
    if bits == 64 && limit > 64 {
        bits += words.get(1).map_or(0, |word| same(word, prefix.first[1]));
        let mut rest = words.iter().zip(prefix.data.chunks(WORD)).skip(2);
        while bits < limit
            && bits.is_multiple_of(64)
            && let Some((word, chunk)) = rest.next()
        {
            bits += same(word, u64::from_be(load_word(chunk)));
        }
    }
    bits.min(limit)
}

/// The node that a link leads to: where it is, in words.
fn number(link: u64) -> u32 {
    link as u32
}

impl Lpm {
    pub(super) fn new(def: &Arc<MapDef>) -> Result<Lpm, Errno> {
        let data_size = (def.key_size as usize).checked_sub(LEN_BYTES).ok_or(Errno::EINVAL)?;
        let value = (part::DATA * WORD) as u64 + round8(data_size as u64);
        let stride = value + round8(u64::from(def.value_size));
        let stride = if stride <= CACHE_LINE { stride.next_power_of_two() } else { stride };
        let fits = u32::try_from(MAX_MAP_BYTES / stride).unwrap_or(u32::MAX);
        // A prefix has up to two nodes, and an update needs two more.
        let least = fits.min(def.max_entries.saturating_mul(2).saturating_add(2));
        let nodes = Region::zeroed_with_room(stride * u64::from(least), stride * u64::from(fits))?;
        Ok(Lpm {
            base: Base::new(def),
            root: AtomicU64::new(NONE),
            count: u32::try_from(nodes.len() as u64 / stride).unwrap_or(u32::MAX),
            nodes,
            free: Padded(Mutex::new(Free { entries: 0, fresh: 0, freed: VecDeque::new() })),
            data_size,
            value: usize::try_from(value).map_err(|_| Errno::ENOMEM)?,
            stride: usize::try_from(stride).map_err(|_| Errno::ENOMEM)?,
        })
    }

    /// A key's length and data. `EINVAL` for a key of the wrong size or with more bits than the data has.
    #[inline(always)]
    fn prefix<'a>(&self, key: &'a [u8]) -> Result<Prefix<'a>, Errno> {
        let (bits, data) = key.split_first_chunk::<LEN_BYTES>().ok_or(Errno::EINVAL)?;
        let bits = u32::from_ne_bytes(*bits);
        if key.len() != self.base.def.key_size as usize || bits as usize > data.len() * 8 {
            return Err(Errno::EINVAL);
        }
        Ok(Prefix::new(bits, data))
    }

    /// Head, links and data of a node.
    #[inline(always)]
    fn node(&self, node: u32) -> &[AtomicU64] {
        self.nodes.words(node as usize * WORD, self.value)
    }

    /// Bits of a node's prefix, and whether it has a value.
    fn bits(&self, node: u32) -> (u32, bool) {
        let bits = self.node(node)[part::HEAD].load(Ordering::Relaxed) as u32;
        (bits & !HAS_VALUE, bits & HAS_VALUE != 0)
    }

    /// Gives a node other bits, in the version that it has.
    fn set_bits(&self, node: u32, bits: u32) {
        let head = &self.node(node)[part::HEAD];
        head.store(head.load(Ordering::Relaxed) >> 32 << 32 | u64::from(bits), Ordering::Release);
    }

    fn child(&self, node: u32, side: usize) -> &AtomicU64 {
        &self.node(node)[part::CHILDREN + side]
    }

    fn children(&self, node: u32) -> [u64; 2] {
        [0, 1].map(|side| self.child(node, side).load(Ordering::Relaxed))
    }

    /// Bits that a node and a prefix have in common, `limit` at most.
    fn common(&self, node: u32, prefix: &Prefix<'_>, limit: u32) -> u32 {
        common(&self.node(node)[part::DATA..], prefix, limit)
    }

    /// The node of the longest prefix of `key` that has a value. Takes no lock.
    #[inline(always)]
    fn longest(&self, key: &Prefix<'_>) -> Option<u32> {
        'again: loop {
            let mut found = None;
            let mut link = self.root.load(Ordering::Acquire);
            while link != NONE {
                let ([head, children @ ..], data) = self.node(number(link)).split_first_chunk::<{ part::DATA }>()?;
                let bits = head.load(Ordering::Relaxed) as u32;
                let (has_value, bits) = (bits & HAS_VALUE != 0, bits & !HAS_VALUE);
                let matches = common(data, key, bits.min(key.bits)) >= bits;
                let next = children[key.bit(bits) & 1].load(Ordering::Acquire);
                // What was read is of the node that the link meant if its version is still the same.
                fence(Ordering::Acquire);
                if head.load(Ordering::Relaxed) >> 32 != link >> 32 {
                    continue 'again;
                }
                if !matches {
                    break;
                }
                if has_value {
                    found = Some(number(link));
                }
                if bits == key.bits {
                    break;
                }
                link = next;
            }
            return found;
        }
    }

    /// Offset of a node's value.
    #[inline(always)]
    fn value_at(&self, node: u32) -> usize {
        node as usize * WORD + self.value
    }

    #[inline(always)]
    fn value_of(&self, key: &[u8]) -> Option<NonNull<u8>> {
        let node = self.longest(&self.prefix(key).ok()?)?;
        Some(self.nodes.at(self.value_at(node)))
    }

    fn at(&self, link: Link) -> u64 {
        match link {
            Link::Root => self.root.load(Ordering::Acquire),
            Link::Child(parent, side) => self.child(number(parent), side).load(Ordering::Acquire),
        }
    }

    fn set(&self, link: Link, to: u64) {
        match link {
            Link::Root => self.root.store(to, Ordering::Release),
            Link::Child(parent, side) => self.child(number(parent), side).store(to, Ordering::Release),
        }
    }

    /// Follows a prefix to where it is or would be, noting every link on the way; the last one leads to the first node that
    /// is not a shorter prefix of it. Gives the bits that this node has in common with it.
    fn descend(&self, prefix: &Prefix<'_>, path: &mut Vec<Link>) -> u32 {
        let mut link = Link::Root;
        loop {
            path.push(link);
            let at = self.at(link);
            if at == NONE {
                return 0;
            }
            let (bits, _) = self.bits(number(at));
            let common = self.common(number(at), prefix, bits.min(prefix.bits));
            if common < bits || bits == prefix.bits {
                return common;
            }
            link = Link::Child(at, prefix.bit(bits));
        }
    }

    /// Whether the node that a link leads to is still the one that the link means.
    #[inline(always)]
    fn is_same(&self, link: u64) -> bool {
        self.node(number(link))[part::HEAD].load(Ordering::Relaxed) >> 32 == link >> 32
    }

    /// As [`Lpm::descend`], keeping the last two links alone. Needs no lock; without it the place may be another at once.
    #[inline(always)]
    fn find(&self, prefix: &Prefix<'_>) -> Place {
        'again: loop {
            let (mut above, mut link) = (None, Link::Root);
            let mut at = self.at(link);
            while at != NONE {
                let (bits, _) = self.bits(number(at));
                let common = self.common(number(at), prefix, bits.min(prefix.bits));
                let last = common < bits || bits == prefix.bits;
                let side = Link::Child(at, prefix.bit(bits));
                let next = if last { NONE } else { self.at(side) };
                // What was read is of the node that the link meant if its version is still the same.
                fence(Ordering::Acquire);
                if !self.is_same(at) {
                    continue 'again;
                }
                if last {
                    return Place { above, link, at, common };
                }
                (above, link, at) = (Some(link), side, next);
            }
            return Place { above, link, at, common: 0 };
        }
    }

    /// Whether a place that was found is still in the trie and leads to the same node. Under the lock.
    ///
    /// A node that is in the trie and starts with the same bits as a prefix is on the way to it, whatever changed above.
    fn still(&self, place: &Place) -> bool {
        let in_trie = |link: Link| match link {
            Link::Root => true,
            Link::Child(parent, _) => self.is_same(parent),
        };
        let leads = place.above.is_none_or(|above| match place.link {
            Link::Root => true,
            Link::Child(parent, _) => in_trie(above) && self.at(above) == parent,
        });
        leads && in_trie(place.link) && self.at(place.link) == place.at
    }

    /// Takes the lock, and finds the place of a prefix: before, so that others wait for a short time only, and again if that was changed
    /// in between.
    #[inline(always)]
    fn lock_at(&self, prefix: &Prefix<'_>) -> (MutexGuard<'_, Free>, Place) {
        let place = self.find(prefix);
        let free = self.free.0.lock();
        let place = if self.still(&place) { place } else { self.find(prefix) };
        (free, place)
    }

    /// Whether `at` leads to a node of just this prefix that has a value.
    fn is_there(&self, at: u64, common: u32, prefix: &Prefix<'_>) -> bool {
        at != NONE && common == prefix.bits && self.bits(number(at)) == (common, true)
    }

    /// A node that nobody uses, in a new version.
    fn take(&self, free: &mut Free) -> Option<u32> {
        let ready = free.freed.pop_front_if(|(_, deleted)| RUNS.is_over(*deleted));
        let node = match ready {
            Some((node, _)) => node,
            None if free.fresh < self.count => {
                free.fresh += 1;
                // Less than a GiB has less than 2^27 words.
                ((free.fresh - 1) as usize * (self.stride / WORD)) as u32
            }
            None => return None,
        };
        self.renew(node);
        Some(node)
    }

    /// Gives a node another version, before anything else of it changes.
    fn renew(&self, node: u32) {
        let head = &self.node(node)[part::HEAD];
        head.store(head.load(Ordering::Relaxed).wrapping_add(1 << 32), Ordering::Relaxed);
        fence(Ordering::Release);
    }

    /// Notes that a node left the trie.
    fn retire(&self, free: &mut Free, node: u32) {
        self.renew(node);
        free.freed.push_back((node, RUNS.deleted()));
    }

    /// Fills a node that nobody can see yet, and gives the link to it.
    fn fill(&self, node: u32, bits: u32, data: &[u8], children: [u64; 2]) -> u64 {
        self.nodes.write((node as usize + part::DATA) * WORD, data);
        for (side, child) in children.into_iter().enumerate() {
            self.child(node, side).store(child, Ordering::Relaxed);
        }
        self.set_bits(node, bits);
        self.node(node)[part::HEAD].load(Ordering::Relaxed) >> 32 << 32 | u64::from(node)
    }

    /// Creates or replaces. `write` writes the value to an offset in the nodes.
    #[inline(always)]
    fn put(&self, key: &[u8], flags: u64, write: impl FnOnce(usize)) -> Result<(), Errno> {
        if flags > BPF_EXIST {
            return Err(Errno::EINVAL);
        }
        let prefix = self.prefix(key)?;
        let (mut free, Place { link, at, common, .. }) = self.lock_at(&prefix);
        let there = self.is_there(at, common, &prefix);
        match flags {
            BPF_NOEXIST if there => return Err(Errno::EEXIST),
            BPF_EXIST if !there => return Err(Errno::ENOENT),
            BPF_ANY | BPF_NOEXIST if !there && free.entries == self.base.def.max_entries => return Err(Errno::ENOSPC),
            _ => {}
        }
        let new = self.take(&mut free).ok_or(Errno::ENOMEM)?;
        write(self.value_at(new));
        let (bits, data) = (prefix.bits | HAS_VALUE, prefix.data);
        // The node with the same prefix is replaced, be it a fork.
        let same = at != NONE && self.bits(number(at)).0 == common && common == prefix.bits;
        let linked = if at == NONE {
            self.fill(new, bits, data, [NONE; 2])
        } else if same {
            self.fill(new, bits, data, self.children(number(at)))
        } else if common == prefix.bits {
            let mut children = [NONE; 2];
            children[self.bit_of(number(at), common)] = at;
            self.fill(new, bits, data, children)
        } else {
            let Some(fork) = self.take(&mut free) else {
                free.freed.push_front((new, Deleted::NEVER_SEEN));
                return Err(Errno::ENOMEM);
            };
            let leaf = self.fill(new, bits, data, [NONE; 2]);
            let mut children = [at; 2];
            children[prefix.bit(common)] = leaf;
            self.fill(fork, common, data, children)
        };
        free.entries += u32::from(!there);
        self.set(link, linked);
        if same {
            self.retire(&mut free, number(at));
        }
        Ok(())
    }

    /// Bit `at` of a node's data.
    fn bit_of(&self, node: u32, at: u32) -> usize {
        let word = self
            .node(node)
            .get(part::DATA + at as usize / 64)
            .map_or(0, |word| u64::from_be(word.load(Ordering::Relaxed)));
        (word >> (63 - at % 64) & 1) as usize
    }

    /// Takes a prefix out, and with its node the fork above if only one side of that is left.
    #[inline(always)]
    fn remove_key(&self, key: &[u8]) -> Result<(), Errno> {
        let prefix = self.prefix(key)?;
        let (mut free, Place { above, link, at, common }) = self.lock_at(&prefix);
        if !self.is_there(at, common, &prefix) {
            return Err(Errno::ENOENT);
        }
        free.entries -= 1;
        let node = number(at);
        match (self.children(node), link, above) {
            ([NONE, NONE], Link::Child(parent, side), Some(to_parent)) if !self.bits(number(parent)).1 => {
                self.set(to_parent, self.child(number(parent), 1 - side).load(Ordering::Relaxed));
                self.retire(&mut free, number(parent));
                self.retire(&mut free, node);
            }
            ([NONE, child], ..) | ([child, NONE], ..) => {
                self.set(link, child);
                self.retire(&mut free, node);
            }
            ([_, _], ..) => self.set_bits(node, prefix.bits),
        }
        Ok(())
    }

    /// The first node below a link in the order of keys: the longer before the shorter, 0 before 1.
    fn first(&self, mut link: u64) -> Option<u32> {
        let mut first = None;
        while link != NONE {
            first = Some(number(link));
            link = match self.children(number(link)) {
                [NONE, child] | [child, _] => child,
            };
        }
        first
    }

    /// The node after the one at the end of `path`.
    fn after(&self, path: &[Link]) -> Option<u32> {
        for &link in path.iter().rev() {
            let Link::Child(parent, side) = link else { continue };
            if side == 0
                && let Some(first) = self.first(self.children(number(parent))[1])
            {
                return Some(first);
            }
            if self.bits(number(parent)).1 {
                return Some(number(parent));
            }
        }
        None
    }

    fn key_of(&self, node: u32) -> Vec<u8> {
        let mut key = self.bits(node).0.to_ne_bytes().to_vec();
        self.nodes.read_into((node as usize + part::DATA) * WORD, self.data_size, &mut key);
        key
    }
}

impl Direct for Lpm {
    #[inline(always)]
    fn lookup_sized<const N: usize>(&self, key: &[u8; N], _cpu: u32) -> Option<NonNull<u8>> {
        self.value_of(key)
    }

    #[inline(always)]
    unsafe fn update_sized<const N: usize>(
        &self,
        key: &[u8; N],
        value: *const u8,
        flags: u64,
        _cpu: u32,
    ) -> Result<(), Errno> {
        let size = self.base.def.value_size as usize;
        // SAFETY: by the caller.
        self.put(key, flags, |offset| unsafe { self.nodes.write_from(offset, value, size) })
    }

    #[inline(always)]
    fn delete_sized<const N: usize>(&self, key: &[u8; N]) -> Result<(), Errno> {
        self.remove_key(key)
    }
}

// SAFETY: addresses are those of values in the region, which lives as long as the map.
unsafe impl Map for Lpm {
    fn base(&self) -> &Base {
        &self.base
    }

    fn holds(&self, addr: u64, len: u64) -> bool {
        self.nodes.holds(addr, len)
    }

    fn lookup_ptr(&self, key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        self.value_of(key)
    }

    fn lookup_call(&self) -> Option<LookupCall> {
        self.direct_lookup(false)
    }

    fn direct_calls(&self) -> Option<DirectCalls> {
        self.direct()
    }

    fn update(&self, key: &[u8], value: &[u8], flags: u64, _cpu: u32) -> Result<(), Errno> {
        if value.len() != self.base.def.value_size as usize {
            return Err(Errno::EINVAL);
        }
        self.put(key, flags, |offset| self.nodes.write(offset, value))
    }

    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        self.remove_key(key)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        if let Some(key) = key
            && key.len() != self.base.def.key_size as usize
        {
            return Err(Errno::EINVAL);
        }
        let _no_change = self.free.0.lock();
        let path = key.and_then(|key| {
            let prefix = self.prefix(key).ok()?;
            let mut path = Vec::new();
            let common = self.descend(&prefix, &mut path);
            let there = self.is_there(self.at(*path.last()?), common, &prefix);
            there.then_some(path)
        });
        let next = match path {
            Some(path) => self.after(&path),
            None => self.first(self.root.load(Ordering::Relaxed)),
        };
        next.map(|node| self.key_of(node)).ok_or(Errno::ENOENT)
    }

    fn copy_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        if key.len() != self.base.def.key_size as usize {
            return Err(Errno::EINVAL);
        }
        // Under the lock the node cannot become another prefix's while its value is copied.
        let _no_change = self.free.0.lock();
        let prefix = self.prefix(key).map_err(|_| Errno::ENOENT)?;
        let node = self.longest(&prefix).ok_or(Errno::ENOENT)?;
        Ok(self.nodes.read(self.value_at(node), self.base.def.value_size as usize))
    }

    fn copy_in(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        self.update(key, value, flags, 0)
    }

    fn len(&self) -> usize {
        self.free.0.lock().entries as usize
    }
}

impl fmt::Debug for Lpm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lpm").field("name", &self.base.def.name).field("len", &self.len()).finish_non_exhaustive()
    }
}
