//! `lpm_trie`: the value of the longest prefix that a key starts with.
//!
//! A binary trie without chains: a node is a prefix that was put in, or the place where two of them part. Its links are plain
//! data under a lock, which lookups take for reading; values have a memory of their own, so that their addresses stay.
//!
//! A key is a length in bits (host byte order) and as many bytes of data as the map has. The bytes behind the length do not
//! count, but come back from [`Map::next_key`] as they were put in.

use std::collections::VecDeque;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use parking_lot::RwLock;
use ring3_platform::{Errno, MapDef};

use super::mem::{MAX_MAP_BYTES, Region, load_word, round8};
use super::{BPF_ANY, BPF_EXIST, BPF_NOEXIST, Base, Map};

/// Bytes of the length in front of a key's data.
const LEN_BYTES: usize = 4;
/// No node, no value.
const NONE: u32 = u32::MAX;
/// How many values must be freed before the first of them is given away again. The kernel waits until no program can hold
/// the address any more; this is the nearest to it without knowing who runs.
const GRACE: u32 = 64;

/// A prefix that is looked for.
#[derive(Clone, Copy)]
struct Prefix<'a> {
    bits: u32,
    data: &'a [u8],
}

/// A node. Its data is at the same place in [`Trie::data`].
#[derive(Clone, Copy)]
struct Node {
    bits: u32,
    children: [u32; 2],
    /// Number of its value, [`NONE`] for a mere fork.
    value: u32,
}

/// The link that leads to a node.
#[derive(Clone, Copy)]
enum Link {
    Root,
    Child(u32, usize),
}

struct Trie {
    nodes: Vec<Node>,
    data: Vec<u8>,
    data_size: usize,
    unused: Vec<u32>,
    root: u32,
    /// Prefixes that are there.
    entries: u32,
    /// Values from here on were never used.
    fresh: u32,
    freed: VecDeque<u32>,
}

impl Trie {
    fn node(&self, node: u32) -> &Node {
        &self.nodes[node as usize]
    }

    fn data(&self, node: u32) -> &[u8] {
        let start = node as usize * self.data_size;
        &self.data[start..start + self.data_size]
    }

    /// Bits that a node and a prefix have in common.
    fn common(&self, node: u32, prefix: Prefix<'_>) -> u32 {
        common(self.data(node), prefix.data, self.node(node).bits.min(prefix.bits))
    }

    fn at(&self, link: Link) -> u32 {
        match link {
            Link::Root => self.root,
            Link::Child(parent, side) => self.node(parent).children[side],
        }
    }

    fn set(&mut self, link: Link, node: u32) {
        match link {
            Link::Root => self.root = node,
            Link::Child(parent, side) => self.nodes[parent as usize].children[side] = node,
        }
    }

    /// The value of the longest prefix of `key`.
    fn longest(&self, key: Prefix<'_>) -> Option<u32> {
        let mut found = None;
        let mut at = self.root;
        while at != NONE {
            let node = self.node(at);
            if self.common(at, key) < node.bits {
                break;
            }
            if node.value != NONE {
                found = Some(node.value);
            }
            if node.bits == key.bits {
                break;
            }
            at = node.children[bit(key.data, node.bits)];
        }
        found
    }

    /// Follows a prefix to where it is or would be, noting every link on the way; the last one leads to the first node that
    /// is not a shorter prefix of it. Gives the bits that this node has in common with it.
    fn descend(&self, prefix: Prefix<'_>, path: &mut Vec<Link>) -> u32 {
        let mut link = Link::Root;
        loop {
            path.push(link);
            let at = self.at(link);
            if at == NONE {
                return 0;
            }
            let (bits, common) = (self.node(at).bits, self.common(at, prefix));
            if common < bits || bits == prefix.bits {
                return common;
            }
            link = Link::Child(at, bit(prefix.data, bits));
        }
    }

    /// The links from the root to a prefix that is there; the last one leads to its node.
    fn path_to(&self, prefix: Prefix<'_>) -> Option<Vec<Link>> {
        let mut path = Vec::new();
        let common = self.descend(prefix, &mut path);
        let at = self.at(*path.last()?);
        let there = at != NONE && self.node(at).bits == common && self.node(at).value != NONE;
        there.then_some(path)
    }

    /// A new node with this data; room for it was reserved.
    fn add(&mut self, prefix: Prefix<'_>, children: [u32; 2], value: u32) -> u32 {
        let node = Node { bits: prefix.bits, children, value };
        match self.unused.pop() {
            Some(at) => {
                self.nodes[at as usize] = node;
                self.set_data(at, prefix.data);
                at
            }
            None => {
                self.nodes.push(node);
                self.data.extend_from_slice(prefix.data);
                (self.nodes.len() - 1) as u32
            }
        }
    }

    fn set_data(&mut self, node: u32, data: &[u8]) {
        let start = node as usize * self.data_size;
        self.data[start..start + self.data_size].copy_from_slice(data);
    }

    /// Makes room for the two nodes that an update may add.
    fn reserve(&mut self) -> Result<(), Errno> {
        let room = self.nodes.try_reserve(2).and_then(|()| self.data.try_reserve(2 * self.data_size));
        room.and_then(|()| self.unused.try_reserve(2)).map_err(|_| Errno::ENOMEM)
    }

    /// The number of a value that nobody uses, of `count`.
    fn take_value(&mut self, count: u32) -> Option<u32> {
        if self.fresh < count && self.freed.len() < GRACE as usize {
            self.fresh += 1;
            return Some(self.fresh - 1);
        }
        self.freed.pop_front().or_else(|| {
            let fresh = (self.fresh < count).then_some(self.fresh)?;
            self.fresh += 1;
            Some(fresh)
        })
    }

    /// Enters a prefix at `link`, in front of or beside what is there, which has `common` bits in common with it.
    fn insert(&mut self, link: Link, prefix: Prefix<'_>, common: u32, value: u32) {
        let at = self.at(link);
        let new = if at == NONE {
            self.add(prefix, [NONE; 2], value)
        } else if common == prefix.bits {
            let mut children = [NONE; 2];
            children[bit(self.data(at), common)] = at;
            self.add(prefix, children, value)
        } else {
            let leaf = self.add(prefix, [NONE; 2], value);
            let mut children = [at; 2];
            children[bit(prefix.data, common)] = leaf;
            self.add(Prefix { bits: common, data: prefix.data }, children, NONE)
        };
        self.set(link, new);
    }

    /// Takes the node at the end of `path` out, and with it the fork above if only one side of that is left.
    fn remove(&mut self, path: &[Link]) {
        let Some((&link, above)) = path.split_last() else { return };
        let at = self.at(link);
        let node = *self.node(at);
        self.entries -= 1;
        self.freed.push_back(node.value);
        match (node.children, link, above.last()) {
            ([NONE, NONE], Link::Child(parent, side), Some(&to_parent)) if self.node(parent).value == NONE => {
                let sibling = self.node(parent).children[1 - side];
                self.set(to_parent, sibling);
                self.unused.extend([at, parent]);
            }
            ([NONE, child], ..) | ([child, NONE], ..) => {
                self.set(link, child);
                self.unused.push(at);
            }
            ([_, _], ..) => self.nodes[at as usize].value = NONE,
        }
    }

    /// The first node below `at` in the order of keys: the longer before the shorter, 0 before 1.
    fn first(&self, mut at: u32) -> Option<u32> {
        let mut first = None;
        while at != NONE {
            first = Some(at);
            at = match self.node(at).children {
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
                && let Some(first) = self.first(self.node(parent).children[1])
            {
                return Some(first);
            }
            if self.node(parent).value != NONE {
                return Some(parent);
            }
        }
        None
    }
}

/// A trie.
pub(super) struct Lpm {
    base: Base,
    trie: RwLock<Trie>,
    values: Region,
    stride: usize,
    /// How many values there is memory for.
    count: u32,
}

impl Lpm {
    pub(super) fn new(def: &Arc<MapDef>) -> Result<Lpm, Errno> {
        let data_size = (def.key_size as usize).checked_sub(LEN_BYTES).ok_or(Errno::EINVAL)?;
        let stride = round8(u64::from(def.value_size));
        // A prefix has up to two nodes.
        let bytes = stride + 2 * (data_size + size_of::<Node>()) as u64;
        let fits = u32::try_from(MAX_MAP_BYTES / bytes).unwrap_or(NONE);
        let count = fits.min(def.max_entries.saturating_add(GRACE));
        let trie = Trie {
            nodes: Vec::new(),
            data: Vec::new(),
            data_size,
            unused: Vec::new(),
            root: NONE,
            entries: 0,
            fresh: 0,
            freed: VecDeque::new(),
        };
        Ok(Lpm {
            base: Base::new(def),
            trie: RwLock::new(trie),
            values: Region::zeroed(stride * u64::from(count))?,
            stride: usize::try_from(stride).map_err(|_| Errno::ENOMEM)?,
            count,
        })
    }

    /// A key's length and data. `EINVAL` for a key of the wrong size or with more bits than the data has.
    fn prefix<'a>(&self, key: &'a [u8]) -> Result<Prefix<'a>, Errno> {
        let (bits, data) = key.split_first_chunk::<LEN_BYTES>().ok_or(Errno::EINVAL)?;
        let bits = u32::from_ne_bytes(*bits);
        if key.len() != self.base.def.key_size as usize || bits as usize > data.len() * 8 {
            return Err(Errno::EINVAL);
        }
        Ok(Prefix { bits, data })
    }

    fn offset(&self, value: u32) -> usize {
        value as usize * self.stride
    }

    fn key_of(trie: &Trie, node: u32) -> Vec<u8> {
        let mut key = trie.node(node).bits.to_ne_bytes().to_vec();
        key.extend_from_slice(trie.data(node));
        key
    }
}

// SAFETY: addresses are those of values in the region, which lives as long as the map.
unsafe impl Map for Lpm {
    fn base(&self) -> &Base {
        &self.base
    }

    fn holds(&self, addr: u64, len: u64) -> bool {
        self.values.holds(addr, len)
    }

    fn lookup_ptr(&self, key: &[u8], _cpu: u32) -> Option<NonNull<u8>> {
        let value = self.trie.read().longest(self.prefix(key).ok()?)?;
        Some(self.values.at(self.offset(value)))
    }

    fn update(&self, key: &[u8], value: &[u8], flags: u64, _cpu: u32) -> Result<(), Errno> {
        if flags > BPF_EXIST || value.len() != self.base.def.value_size as usize {
            return Err(Errno::EINVAL);
        }
        let prefix = self.prefix(key)?;
        let mut trie = self.trie.write();
        let mut path = Vec::new();
        let common = trie.descend(prefix, &mut path);
        let link = *path.last().ok_or(Errno::EINVAL)?;
        let at = trie.at(link);
        let same = at != NONE && trie.node(at).bits == common;
        let old = if same { trie.node(at).value } else { NONE };
        match flags {
            BPF_NOEXIST if old != NONE => return Err(Errno::EEXIST),
            BPF_EXIST if old == NONE => return Err(Errno::ENOENT),
            BPF_ANY | BPF_NOEXIST if old == NONE && trie.entries == self.base.def.max_entries => {
                return Err(Errno::ENOSPC);
            }
            _ => {}
        }
        trie.reserve()?;
        let new = trie.take_value(self.count).ok_or(Errno::ENOMEM)?;
        self.values.write(self.offset(new), value);
        if same {
            trie.nodes[at as usize].value = new;
            trie.set_data(at, prefix.data);
        } else {
            trie.insert(link, prefix, common, new);
        }
        if old == NONE {
            trie.entries += 1
        } else {
            trie.freed.push_back(old)
        }
        Ok(())
    }

    fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        let prefix = self.prefix(key)?;
        let mut trie = self.trie.write();
        let path = trie.path_to(prefix).ok_or(Errno::ENOENT)?;
        trie.remove(&path);
        Ok(())
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        let trie = self.trie.read();
        if let Some(key) = key
            && key.len() != self.base.def.key_size as usize
        {
            return Err(Errno::EINVAL);
        }
        let path = key.and_then(|key| trie.path_to(self.prefix(key).ok()?));
        let next = match path {
            Some(path) => trie.after(&path),
            None => trie.first(trie.root),
        };
        next.map(|node| Lpm::key_of(&trie, node)).ok_or(Errno::ENOENT)
    }

    fn copy_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        if key.len() != self.base.def.key_size as usize {
            return Err(Errno::EINVAL);
        }
        let trie = self.trie.read();
        let value = trie.longest(self.prefix(key).map_err(|_| Errno::ENOENT)?).ok_or(Errno::ENOENT)?;
        Ok(self.values.read(self.offset(value), self.base.def.value_size as usize))
    }

    fn copy_in(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        self.update(key, value, flags, 0)
    }

    fn len(&self) -> usize {
        self.trie.read().entries as usize
    }
}

impl fmt::Debug for Lpm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lpm").field("name", &self.base.def.name).field("len", &self.len()).finish_non_exhaustive()
    }
}

/// How many of the first `limit` bits are the same.
fn common(a: &[u8], b: &[u8], limit: u32) -> u32 {
    let mut bits = 0;
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        let same = u64::from_be(load_word(a) ^ load_word(b)).leading_zeros();
        bits += same;
        if same < 64 || bits >= limit {
            break;
        }
    }
    bits.min(limit)
}

/// Bit `at` of the data, the most significant of a byte first.
fn bit(data: &[u8], at: u32) -> usize {
    data.get(at as usize / 8).map_or(0, |byte| usize::from(byte >> (7 - at % 8) & 1))
}
