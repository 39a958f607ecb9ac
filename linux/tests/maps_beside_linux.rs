//! Maps of `ring3-vm` beside those of the running kernel: the same random operations of user space on both must give the same values
//! and error numbers. Skipped, with a line that says why, where bpf(2) cannot be used.
//!
//! `RING3_MAPS_SEEDS` is how many sequences each definition gets; a failure prints what to look at.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::kernel;
use ring3_linux::{Error, Map as Theirs};
use ring3_platform::{MapDef, MapFlags, MapType};
use ring3_vm::maps::{self, Map as Ours};

/// Operations of a sequence.
const STEPS: usize = 120;
/// Sequences for each definition, unless told otherwise.
const SEEDS: u64 = 12;

/// A generator of random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// What an operation gave: bytes, or an error number.
type Outcome = Result<Vec<u8>, i32>;

fn theirs<T>(result: Result<T, Error>, bytes: impl FnOnce(T) -> Vec<u8>) -> Outcome {
    match result {
        Ok(value) => Ok(bytes(value)),
        Err(error) => Err(error.errno().unwrap_or_else(|| panic!("{error}")).0),
    }
}

fn ours<T>(result: Result<T, ring3_platform::Errno>, bytes: impl FnOnce(T) -> Vec<u8>) -> Outcome {
    result.map(bytes).map_err(|errno| errno.number())
}

fn none((): ()) -> Vec<u8> {
    Vec::new()
}

#[derive(Clone, Debug)]
enum Op {
    Lookup(Vec<u8>, u64),
    Update(Vec<u8>, Vec<u8>, u64),
    Delete(Vec<u8>),
    Take(Vec<u8>, u64),
    /// Of a key that is there the errors are compared, of another one also the key, where the order is the same.
    Next(Option<Vec<u8>>),
    /// All keys and values.
    Walk,
    ReadAll(usize),
    TakeAll(usize),
    UpdateMany(Vec<u8>, Vec<u8>),
    DeleteMany(Vec<u8>),
    Freeze,
}

/// Both maps.
struct Pair {
    def: Arc<MapDef>,
    ours: Arc<dyn Ours>,
    theirs: Theirs,
}

/// Whether both walk through keys in the same order.
fn is_ordered(kind: MapType) -> bool {
    use MapType::{Array, Cpumap, Devmap, DevmapHash, LpmTrie, PercpuArray, ProgArray, Xskmap};
    matches!(kind, Array | PercpuArray | ProgArray | LpmTrie | Devmap | DevmapHash | Cpumap | Xskmap)
}

/// Elements, sorted: what a batch gave.
fn sorted(keys: &[u8], values: &[u8], count: usize) -> Vec<u8> {
    let mut pairs: Vec<(&[u8], &[u8])> = keys
        .chunks(keys.len().checked_div(count).unwrap_or(1).max(1))
        .zip(values.chunks(values.len().checked_div(count).unwrap_or(1).max(1)))
        .collect();
    pairs.sort_unstable();
    pairs.into_iter().flat_map(|(key, value)| [key, value].concat()).collect()
}

impl Pair {
    fn new(def: MapDef) -> Pair {
        let def = Arc::new(def);
        let cpus = ring3_linux::possible_cpus().unwrap() as u32;
        let theirs = Theirs::create(&def).unwrap_or_else(|error| panic!("{def:?}: {error}"));
        let ours = maps::create(&def, cpus).unwrap_or_else(|errno| panic!("{def:?}: {errno}"));
        Pair { def, ours, theirs }
    }

    /// Whether the outcome depends on the order of keys, which is each map's own.
    fn is_by_order(&self, op: &Op) -> bool {
        match op {
            Op::Next(Some(key)) => !is_ordered(self.def.kind) && self.ours.keys().contains(key),
            _ => false,
        }
    }

    fn walk(&self) -> (Outcome, Outcome) {
        let ordered = is_ordered(self.def.kind);
        let element = |key: &[u8], value: Outcome| [key.to_vec(), format!("{value:?}").into_bytes()].concat();
        let all = |mut elements: Vec<Vec<u8>>| {
            if !ordered {
                elements.sort();
            }
            elements.concat()
        };
        let keys = self.theirs.keys(10_000);
        let them = theirs(keys, |keys| {
            all(keys.iter().map(|key| element(key, theirs(self.theirs.lookup_with(key, 0), |v| v))).collect())
        });
        let us = match self.ours.key_after(None) {
            Err(ring3_platform::Errno::ENOENT) => Ok(Vec::new()),
            Err(errno) => Err(errno.number()),
            Ok(_) => {
                Ok(all(self.ours.keys().iter().map(|key| element(key, ours(self.ours.read(key), |v| v))).collect()))
            }
        };
        (us, them)
    }

    fn run(&self, op: &Op) -> (Outcome, Outcome) {
        let (us, them) = (&self.ours, &self.theirs);
        match op {
            Op::Lookup(key, flags) if self.def.kind == MapType::BloomFilter => {
                let _ = flags;
                (ours(us.contains(key), none), theirs(them.contains(key), none))
            }
            Op::Lookup(key, flags) => {
                (ours(us.read_with(key, *flags), |v| v), theirs(them.lookup_with(key, *flags), |v| v))
            }
            Op::Update(key, value, flags) => {
                (ours(us.write(key, value, *flags), none), theirs(them.update_with(key, value, *flags), none))
            }
            Op::Delete(key) => (ours(us.remove(key), none), theirs(them.delete_key(key), none)),
            Op::Take(key, flags) => {
                (ours(us.take_with(key, *flags), |v| v), theirs(them.take_with(key, *flags), |v| v))
            }
            Op::Next(key) => {
                let keep = |next| if is_ordered(self.def.kind) { next } else { Vec::new() };
                let them = them.next_key(key.as_deref()).and_then(|next| next.ok_or(missing()));
                (ours(us.key_after(key.as_deref()), keep), theirs(them, keep))
            }
            Op::Walk => self.walk(),
            Op::ReadAll(max) | Op::TakeAll(max) => {
                let take = matches!(op, Op::TakeAll(_));
                let ours_batch = if take { us.take_batch(None, *max, 0) } else { us.read_batch(None, *max, 0) };
                let their_batch = if take { them.take_batch(None, *max) } else { them.lookup_batch(None, *max) };
                (
                    ours(ours_batch, |b| [sorted(&b.keys, &b.values, b.count), vec![u8::from(b.ended)]].concat()),
                    theirs(their_batch, |b| {
                        [sorted(&b.keys, &b.values, b.count), vec![u8::from(b.next.is_none())]].concat()
                    }),
                )
            }
            Op::UpdateMany(keys, values) => {
                (ours(us.write_batch(keys, values, 0).1, none), theirs(them.update_batch(keys, values), none))
            }
            Op::DeleteMany(keys) => (ours(us.remove_batch(keys, 0).1, none), theirs(them.delete_batch(keys), none)),
            Op::Freeze => (ours(us.freeze(), none), theirs(them.freeze(), none)),
        }
    }
}

fn missing() -> Error {
    Error::Map { map: String::new(), command: ring3_linux::Command::MapNextKey, errno: ring3_linux::Errno::ENOENT }
}

/// Makes operations for a definition.
struct Maker<'a> {
    def: &'a MapDef,
    random: Random,
    /// Bytes of a value for user space.
    value: usize,
}

impl Maker<'_> {
    /// One of few keys, some of which are out of range.
    fn key(&mut self) -> Vec<u8> {
        let size = self.def.key_size as usize;
        if self.def.kind == MapType::LpmTrie {
            let data = size - 4;
            let bits = match self.random.below(12) {
                0 => data as u32 * 8 + 1,
                1 => 0,
                2 => data as u32 * 8,
                _ => self.random.below(data as u64 * 8) as u32,
            };
            let mut key = bits.to_ne_bytes().to_vec();
            key.extend((0..data).map(|_| self.random.pick(&[0, 0x80, 0xff, 0xc0])));
            return key;
        }
        let mut key = vec![0; size];
        let number = match self.random.below(30) {
            0 => u32::MAX,
            1 => self.def.max_entries,
            _ => self.random.below(u64::from(self.def.max_entries.min(8)) + 3) as u32,
        };
        let len = size.min(4);
        key[..len].copy_from_slice(&number.to_ne_bytes()[..len]);
        key
    }

    fn value(&mut self) -> Vec<u8> {
        match self.def.kind {
            // Numbers of interfaces that are there, of CPUs and descriptors that are not.
            MapType::Devmap | MapType::DevmapHash => {
                let mut value = self.random.pick(&[1u32, 1, 1, 0]).to_ne_bytes().to_vec();
                value.resize(self.value, 0);
                value
            }
            MapType::Cpumap => {
                let mut value = self.random.pick(&[192u32, 64, 0, 16384, 16385]).to_ne_bytes().to_vec();
                value.resize(self.value, 0);
                value
            }
            MapType::ProgArray
            | MapType::PerfEventArray
            | MapType::CgroupArray
            | MapType::ArrayOfMaps
            | MapType::HashOfMaps
            | MapType::Sockmap
            | MapType::Sockhash
            | MapType::ReuseportSockarray => {
                // No descriptors.
                let mut value = self.random.pick(&[1_000_000, u64::MAX]).to_ne_bytes().to_vec();
                value.truncate(self.value);
                value
            }
            // Here any number of 0 or more is a socket.
            MapType::Xskmap => vec![0xff; self.value],
            _ => self.random.bytes(self.value),
        }
    }

    fn op(&mut self) -> Op {
        let flags = self.random.pick(&[0u64, 0, 0, 0, 1, 2, 3, 4, 8]);
        match self.random.below(48) {
            0..12 => Op::Update(self.key(), self.value(), flags),
            12..20 if self.def.kind == MapType::BloomFilter => Op::Lookup(self.value(), 0),
            12..20 => Op::Lookup(self.key(), self.random.pick(&[0, 0, 0, 0, 4, 1])),
            20..26 => Op::Delete(self.key()),
            26..30 => Op::Take(self.key(), self.random.pick(&[0, 0, 0, 4, 1])),
            30..34 => Op::Next(Some(self.key())),
            34 => Op::Next(None),
            35..39 => Op::Walk,
            39..48 if self.def.kind == MapType::BloomFilter => Op::Lookup(self.value(), 0),
            39..48 if self.def.key_size == 0 => Op::Lookup(self.key(), 0),
            39 => Op::ReadAll(4096),
            40 => Op::ReadAll(self.random.pick(&[0, 1, 2])),
            41 => Op::TakeAll(self.random.pick(&[0, 4096, 4096])),
            42..44 => {
                let count = self.random.below(4) as usize;
                let keys: Vec<Vec<u8>> = (0..count).map(|_| self.key()).collect();
                let values: Vec<Vec<u8>> = (0..count).map(|_| self.value()).collect();
                Op::UpdateMany(keys.concat(), values.concat())
            }
            44..47 => {
                let count = self.random.below(3) as usize;
                Op::DeleteMany((0..count).flat_map(|_| self.key()).collect())
            }
            _ if self.random.below(8) == 0 => Op::Freeze,
            _ => Op::Walk,
        }
    }
}

/// Whether the outcome of a batch depends on how keys fall into buckets.
fn is_by_bucket(def: &MapDef, op: &Op) -> bool {
    let hash = matches!(
        def.kind,
        MapType::Hash | MapType::PercpuHash | MapType::LruHash | MapType::LruPercpuHash | MapType::HashOfMaps
    );
    hash && matches!(op, Op::ReadAll(1..=2) | Op::TakeAll(1..=2))
}

fn seeds() -> u64 {
    std::env::var("RING3_MAPS_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS)
}

/// Runs the sequences of a definition; what differs first in each.
fn compare(def: &MapDef) -> Vec<String> {
    let mut differences = Vec::new();
    for seed in 0..seeds() {
        let pair = Pair::new(def.clone());
        let value = pair.theirs.value_size();
        let mut maker = Maker { def, random: Random(seed), value };
        let mut history = Vec::new();
        for step in 0..STEPS {
            let op = maker.op();
            if is_by_bucket(def, &op) || pair.is_by_order(&op) {
                continue;
            }
            let (us, them) = pair.run(&op);
            history.push(format!("{op:?} -> {them:?}"));
            if us != them {
                let last = history[history.len().saturating_sub(4)..].join("\n    ");
                differences.push(format!(
                    "{} (key {}, value {}, entries {}, flags {:#x}), seed {seed}, step {step}:\n    {last}\n    ours {us:?}",
                    def.kind.name(),
                    def.key_size,
                    def.value_size,
                    def.max_entries,
                    def.flags.0
                ));
                break;
            }
        }
    }
    differences
}

fn check(test: &str, defs: impl IntoIterator<Item = MapDef>) {
    if !kernel(test) {
        return;
    }
    let differences: Vec<String> = defs.into_iter().flat_map(|def| compare(&def)).collect();
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

fn def(kind: MapType, key: u32, value: u32, entries: u32, flags: &[MapFlags]) -> MapDef {
    let flags = flags.iter().fold(MapFlags::default(), |all, flag| all.or(*flag));
    MapDef { flags, ..MapDef::new("beside", kind, key, value, entries) }
}

#[test]
fn arrays() {
    use MapType::{Array, PercpuArray};
    let flags: [&[MapFlags]; 5] =
        [&[], &[MapFlags::RDONLY], &[MapFlags::WRONLY], &[MapFlags::RDONLY_PROG], &[MapFlags::WRONLY_PROG]];
    let kinds = [Array, PercpuArray].into_iter().flat_map(|kind| flags.map(|flags| def(kind, 4, 8, 5, flags)));
    let sizes =
        [1, 3, 12, 64, 1000].into_iter().flat_map(|size| [Array, PercpuArray].map(|kind| def(kind, 4, size, 3, &[])));
    let more = [MapFlags::MMAPABLE, MapFlags::INNER_MAP].map(|flag| def(Array, 4, 12, 5, &[flag]));
    check("arrays", kinds.chain(sizes).chain(more));
}

#[test]
fn hashes() {
    use MapType::{Hash, PercpuHash};
    let flags: [&[MapFlags]; 7] = [
        &[],
        &[MapFlags::NO_PREALLOC],
        &[MapFlags::ZERO_SEED],
        &[MapFlags::RDONLY],
        &[MapFlags::WRONLY],
        &[MapFlags::RDONLY_PROG],
        &[MapFlags::NO_PREALLOC, MapFlags::WRONLY_PROG],
    ];
    let kinds = [Hash, PercpuHash].into_iter().flat_map(|kind| flags.map(|flags| def(kind, 4, 8, 5, flags)));
    let sizes = [(1, 1), (3, 3), (7, 12), (16, 64), (40, 1000)]
        .into_iter()
        .flat_map(|(key, value)| [Hash, PercpuHash].map(|kind| def(kind, key, value, 7, &[])));
    check("hashes", kinds.chain(sizes));
}

/// With room for all: the order of eviction is a matter of its own, below.
#[test]
fn hashes_that_forget() {
    use MapType::{LruHash, LruPercpuHash};
    let flags: [&[MapFlags]; 3] = [&[], &[MapFlags::NO_COMMON_LRU], &[MapFlags::ZERO_SEED, MapFlags::RDONLY_PROG]];
    check(
        "LRU hashes",
        [LruHash, LruPercpuHash].into_iter().flat_map(|kind| flags.map(|flags| def(kind, 4, 12, 4000, flags))),
    );
}

/// Keys of a small map, sorted.
fn kept(keys: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = keys.into_iter().collect();
    keys.sort_unstable();
    keys
}

/// Without lookups by programs and second writes the oldest goes, one at a time: in maps so small that the kernel takes no more at once,
/// and on one processor, as each has a list of its own. (Marked elements it keeps on a list apart, for longer than we do.)
#[test]
fn what_came_first_is_forgotten_first() {
    use MapType::{LruHash, LruPercpuHash};
    if !kernel("the order of eviction") {
        return;
    }
    let _here = match ring3_linux::OnOneCpu::stay() {
        Ok(here) => here,
        Err(error) => return println!("skipped: the order of eviction: {error}"),
    };
    let mut evictions = 0;
    for (kind, entries) in [LruHash, LruPercpuHash].into_iter().flat_map(|kind| (1..=7).map(move |n| (kind, n))) {
        let pair = Pair::new(def(kind, 4, 8, entries, &[]));
        let (value, mut random) = (vec![1; pair.theirs.value_size()], Random(entries.into()));
        for step in 0u32..300 {
            let keys = kept(pair.ours.keys());
            let op = match random.below(4) {
                0 if !keys.is_empty() => Op::Delete(keys[random.below(keys.len() as u64) as usize].clone()),
                // What user space looks up is not marked.
                1 if !keys.is_empty() => Op::Lookup(keys[0].clone(), 0),
                _ => Op::Update(step.to_ne_bytes().to_vec(), value.clone(), 1),
            };
            evictions += usize::from(matches!(op, Op::Update(..)) && keys.len() == entries as usize);
            let (us, them) = pair.run(&op);
            assert_eq!(us, them, "{} of {entries}, step {step}: {op:?}", kind.name());
            let theirs = kept(pair.theirs.keys(100).unwrap());
            assert_eq!(kept(pair.ours.keys()), theirs, "{} of {entries}, step {step}: {op:?}", kind.name());
        }
    }
    println!("{evictions} evictions compared");
    assert!(evictions > 1000);
}

/// Thousands of prefixes that begin alike: what is there, in which order, and what each of thousands of addresses finds.
#[test]
fn tries_of_many_prefixes() {
    if !kernel("tries of many prefixes") {
        return;
    }
    for (bytes, seed) in [(4, 1), (8, 2), (16, 3)] {
        let pair = Pair::new(def(MapType::LpmTrie, 4 + bytes as u32, 8, 4000, &[MapFlags::NO_PREALLOC]));
        let mut random = Random(seed);
        let mut prefix = |len: Option<u32>| {
            let most = bytes as u64 * 8;
            let len = len.unwrap_or_else(|| (most - random.below(most + 1) * random.below(most + 1) / most) as u32);
            let data =
                (0..bytes).map(|at| random.pick(if at < bytes / 2 { &[10, 10, 10, 11] } else { &[0, 1, 128, 255] }));
            [len.to_ne_bytes().to_vec(), data.collect()].concat()
        };
        for at in 0u64..6000 {
            let op = match at % 5 {
                4 => Op::Delete(prefix(None)),
                _ => Op::Update(prefix(None), at.to_ne_bytes().to_vec(), 0),
            };
            let (us, them) = pair.run(&op);
            assert_eq!(us, them, "{bytes} bytes, {at}: {op:?}");
        }
        let (us, them) = pair.run(&Op::Walk);
        assert_eq!(us, them, "{bytes} bytes");
        println!("{bytes} bytes: {} prefixes", pair.ours.len());
        assert!(pair.ours.len() > 200);
        for _ in 0..3000 {
            let op = Op::Lookup(prefix(Some(bytes as u32 * 8)), 0);
            let (us, them) = pair.run(&op);
            assert_eq!(us, them, "{bytes} bytes: {op:?}");
        }
    }
}

#[test]
fn tries() {
    let prealloc = MapFlags::NO_PREALLOC;
    check(
        "LPM tries",
        [(5, 4, 100), (8, 8, 6), (8, 1, 40), (20, 12, 100), (260, 3, 100)]
            .map(|(key, value, entries)| def(MapType::LpmTrie, key, value, entries, &[prealloc])),
    );
}

#[test]
fn maps_without_keys() {
    let queues = [MapType::Queue, MapType::Stack]
        .into_iter()
        .flat_map(|kind| [(4, 1), (8, 5), (3, 4)].map(|(value, entries)| def(kind, 0, value, entries, &[])));
    let blooms = [(4, 1, 0), (8, 100, 1), (3, 10, 15), (20, 50, 3)].map(|(value, entries, extra)| MapDef {
        extra,
        ..def(MapType::BloomFilter, 0, value, entries, &[MapFlags::ZERO_SEED])
    });
    check("maps without keys", queues.chain(blooms));
}

#[test]
fn redirect_targets() {
    use MapType::{Cpumap, Devmap, DevmapHash, Xskmap};
    check(
        "redirect targets",
        [
            def(Devmap, 4, 4, 5, &[]),
            def(Devmap, 4, 8, 5, &[]),
            def(DevmapHash, 4, 4, 5, &[]),
            def(DevmapHash, 4, 8, 5, &[]),
            def(Cpumap, 4, 4, 5, &[]),
            def(Cpumap, 4, 8, 2, &[]),
            def(Xskmap, 4, 4, 5, &[]),
        ],
    );
}

/// What they take is descriptors; of none that are good, as those are the kernel's.
#[test]
fn maps_of_other_objects() {
    use MapType::*;
    let inner = |kind| MapDef { inner: Some(Box::new(MapDef::new("in", Array, 4, 4, 1))), ..def(kind, 4, 4, 5, &[]) };
    check(
        "maps of other objects",
        [
            def(ProgArray, 4, 4, 5, &[]),
            def(PerfEventArray, 4, 4, 5, &[]),
            def(CgroupArray, 4, 4, 5, &[]),
            def(StackTrace, 4, 80, 5, &[]),
            def(Sockmap, 4, 4, 5, &[]),
            def(Sockmap, 4, 8, 5, &[]),
            def(Sockhash, 4, 4, 5, &[]),
            def(ReuseportSockarray, 4, 8, 5, &[]),
            def(Ringbuf, 0, 0, 4096, &[]),
            def(UserRingbuf, 0, 0, 4096, &[]),
            def(CgroupStorage, 8, 8, 0, &[]),
            def(PercpuCgroupStorage, 8, 8, 0, &[]),
            inner(ArrayOfMaps),
            inner(HashOfMaps),
        ],
    );
}

/// Random definitions: whether they can be created, and why not.
#[test]
fn definitions() {
    if !kernel("definitions") {
        return;
    }
    let cpus = ring3_linux::possible_cpus().unwrap() as u32;
    let mut random = Random(1);
    let mut differences = BTreeMap::new();
    for _ in 0..3000 * seeds() / SEEDS {
        let kind = random.pick(MapType::ALL);
        let size = |random: &mut Random| {
            random.pick(&[0, 1, 4, 4, 4, 8, 8, 16, 20, 32, 260, 261, 512, 513, 1016, 1024, 4096, 40000])
        };
        let mut def =
            def(kind, size(&mut random), size(&mut random), random.pick(&[0, 1, 2, 4, 5, 4096, 8192, 5000, 9000]), &[]);
        if random.below(3) == 0 {
            // Three bits are the system call's own.
            def.flags = MapFlags(1 << random.pick(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 17, 18, 19]));
        }
        if kind == MapType::PerfEventArray {
            // 0 is libbpf's way of saying "as many as CPUs".
            def.max_entries = def.max_entries.max(1);
        }
        if matches!(kind, MapType::LpmTrie | MapType::SkStorage | MapType::InodeStorage | MapType::TaskStorage) {
            def.flags = def.flags.or(MapFlags::NO_PREALLOC);
        }
        if random.below(8) == 0 {
            def.extra = random.pick(&[1, 15, 16, 4096, 1 << 32]);
        }
        if kind.is_map_of_maps() {
            def.inner = Some(Box::new(MapDef::new("in", random.pick(&[MapType::Array, MapType::Hash]), 4, 4, 1)));
        }
        // These need types, which are another matter; an arena's address is chosen by libbpf's way.
        let typed = matches!(
            kind,
            MapType::SkStorage
                | MapType::InodeStorage
                | MapType::TaskStorage
                | MapType::CgrpStorage
                | MapType::StructOps
                | MapType::Arena
        );
        if typed {
            continue;
        }
        let them =
            Theirs::create(&def).map(|_| ()).map_err(|error| error.errno().unwrap_or_else(|| panic!("{error}")).0);
        let us = maps::create(&Arc::new(def.clone()), cpus).map(|_| ()).map_err(|errno| errno.number());
        if us != them && them != Err(12) {
            let MapDef { key_size, value_size, max_entries, flags, extra, .. } = def;
            let shape = (key_size, value_size, max_entries, flags, extra);
            differences.insert(format!("{}: ours {us:?}, theirs {them:?}", kind.name()), shape);
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}
