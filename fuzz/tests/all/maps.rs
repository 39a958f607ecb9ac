//! Maps as programs use them: random sequences of what helpers do to a map, with good and bad keys, flags and sizes, on every engine and,
//! where bpf(2) can be used, by the running kernel's test run. What every call gives, and what is in the map afterwards, is the same.
//!
//! `RING3_MAPS_SEEDS` is how many sequences each definition gets; a failure prints the program.

use std::fmt::Write;
use std::sync::Arc;

use ring3::{Backend, Engine, Error, MapDef, MapType, ProgType, Program, has_values};
use ring3_platform::MapFlags;

/// Calls of a program.
const STEPS: usize = 40;
/// How often each program runs, each time on what the last run left.
const RUNS: usize = 3;
/// Sequences for each definition, unless told otherwise.
const SEEDS: u64 = 6;

/// A generator of random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[(self.next() % from.len() as u64) as usize]
    }
}

/// What a program can do to a map.
#[derive(Clone, Copy, Debug)]
enum Step {
    Lookup,
    /// Looks up, and adds to the first byte of the value.
    Change,
    /// Looks up, deletes, and reads what the address leads to still.
    Keep,
    Update,
    Delete,
    Push,
    Pop,
    Peek,
    OfCpu,
    ForEach,
    Output,
    Reserve,
    Query,
}

/// A definition, and what is done to it.
struct Subject {
    def: MapDef,
    steps: &'static [Step],
    keys: Vec<Vec<u8>>,
}

const KEYED: &[Step] =
    &[Step::Lookup, Step::Change, Step::Update, Step::Update, Step::Update, Step::Delete, Step::ForEach];
const KEPT: &[Step] = &[Step::Lookup, Step::Keep, Step::Update, Step::Update, Step::Delete];
const BY_CPU: &[Step] =
    &[Step::Lookup, Step::Change, Step::Update, Step::Update, Step::Delete, Step::ForEach, Step::OfCpu];
const QUEUED: &[Step] = &[Step::Push, Step::Push, Step::Pop, Step::Peek];
const BLOOM: &[Step] = &[Step::Push, Step::Peek];
const RING: &[Step] = &[Step::Output, Step::Output, Step::Reserve, Step::Query];

fn words(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(|key| key.to_le_bytes().to_vec()).collect()
}

/// Keys of a trie: lengths, good and too long, and addresses.
fn prefixes() -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    for len in [0u32, 1, 8, 12, 16, 24, 31, 32, 33] {
        for address in [[10, 0, 0, 0], [10, 16, 0, 1], [10, 16, 255, 255], [192, 168, 0, 1]] {
            keys.push([&len.to_le_bytes()[..], &address].concat());
        }
    }
    keys
}

fn subjects() -> Vec<Subject> {
    use MapType::{
        Array, BloomFilter, Hash, LpmTrie, LruHash, LruPercpuHash, PercpuArray, PercpuHash, Queue, Ringbuf, Stack,
    };
    let of = |kind, key, value, entries, flags: MapFlags, steps, keys| Subject {
        def: MapDef { flags, ..MapDef::new("subject", kind, key, value, entries) },
        steps,
        keys,
    };
    let none = MapFlags::default();
    let wide: Vec<Vec<u8>> = (0..6u8).map(|n| vec![n; 12]).collect();
    let filter = |hashes| Subject {
        def: MapDef { extra: hashes, ..MapDef::new("subject", BloomFilter, 0, 8, 4) },
        steps: BLOOM,
        keys: Vec::new(),
    };
    vec![
        of(Hash, 4, 8, 4, none, KEYED, words(6)),
        of(Hash, 12, 20, 5, none, KEYED, wide.clone()),
        of(Hash, 4, 8, 4, MapFlags::NO_PREALLOC, KEYED, words(6)),
        of(Hash, 12, 4, 4, MapFlags::NO_PREALLOC, KEPT, wide.clone()),
        of(Hash, 4, 8, 4, none, KEPT, words(6)),
        of(PercpuHash, 4, 8, 4, none, BY_CPU, words(6)),
        of(PercpuHash, 12, 12, 4, MapFlags::NO_PREALLOC, BY_CPU, wide.clone()),
        // Large enough that nothing is driven out, which depends on the CPU.
        of(LruHash, 4, 8, 1024, none, KEYED, words(6)),
        of(LruHash, 12, 20, 1024, MapFlags::NO_COMMON_LRU, KEYED, wide.clone()),
        of(LruPercpuHash, 4, 8, 1024, none, BY_CPU, words(6)),
        of(Array, 4, 8, 4, none, KEYED, words(6)),
        of(Array, 4, 20, 3, none, KEYED, words(5)),
        of(PercpuArray, 4, 8, 4, none, BY_CPU, words(6)),
        of(PercpuArray, 4, 12, 4, none, BY_CPU, words(6)),
        of(LpmTrie, 8, 8, 6, MapFlags::NO_PREALLOC, &KEYED[..6], prefixes()),
        of(LpmTrie, 8, 20, 100, MapFlags::NO_PREALLOC, &KEYED[..6], prefixes()),
        of(Queue, 0, 8, 3, none, QUEUED, Vec::new()),
        of(Queue, 0, 12, 4, none, QUEUED, Vec::new()),
        of(Stack, 0, 8, 3, none, QUEUED, Vec::new()),
        of(Stack, 0, 20, 4, none, QUEUED, Vec::new()),
        filter(0),
        filter(15),
        of(Ringbuf, 0, 0, 4096, none, RING, Vec::new()),
    ]
}

/// Writes a program, step by step.
struct Writer<'a> {
    subject: &'a Subject,
    random: &'a mut Random,
    text: String,
    labels: usize,
}

impl Writer<'_> {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.text.write_fmt(line).unwrap();
        self.text.push('\n');
    }

    fn bytes(&mut self, at: i32, bytes: &[u8]) {
        for (n, chunk) in bytes.chunks(4).enumerate() {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            self.line(format_args!("*(u32 *)(r10 {:+}) = {}", at + 4 * n as i32, i32::from_le_bytes(word)));
        }
    }

    fn key(&mut self) {
        let random = self.random.next() as usize;
        if let Some(key) = self.subject.keys.get(random % self.subject.keys.len().max(1)).cloned() {
            self.bytes(-16, &key);
        }
    }

    fn value(&mut self) {
        let len = self.subject.def.value_size.max(16);
        let few = self.random.next() % 5;
        let value: Vec<u8> = (0..len).map(|n| (few as u8) * 16 + n as u8).collect();
        self.bytes(-64, &value);
    }

    /// R1 is the map; R2 and R3 are key and value.
    fn map(&mut self) {
        self.line(format_args!("r1 = map[fd:1]"));
    }

    fn address(&mut self, register: u8, at: i32) {
        self.line(format_args!("r{register} = r10\nr{register} += {at}"));
    }

    fn call(&mut self, id: u32) {
        self.line(format_args!("call {id}"));
    }

    /// Flags, mostly good.
    fn flags(&mut self) -> u64 {
        self.random.pick(&[0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 1 << 32, 1 << 63, 1 | 1 << 32])
    }

    /// What the call gave goes to the array.
    fn note(&mut self, at: usize) {
        self.line(format_args!("*(u64 *)(r8 +{}) = r0", at * 8));
    }

    /// What is behind the address in R0, if there is something, becomes R0.
    fn read(&mut self, change: bool) {
        let label = self.labels;
        self.labels += 1;
        let size = if self.subject.def.value_size >= 8 { "u64" } else { "u32" };
        self.line(format_args!("if r0 == 0 goto l{label}"));
        if change {
            self.line(format_args!("r1 = *(u8 *)(r0 +3)\nr1 += 7\n*(u8 *)(r0 +3) = r1"));
        }
        self.line(format_args!("r0 = *({size} *)(r0 +0)\nl{label}:"));
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Lookup | Step::Change => {
                self.key();
                self.map();
                self.address(2, -16);
                self.call(1);
                self.read(matches!(step, Step::Change));
            }
            Step::Keep => self.keep(),
            Step::Update => {
                self.key();
                self.value();
                let flags = self.flags();
                self.map();
                self.address(2, -16);
                self.address(3, -64);
                self.line(format_args!("r4 = {flags:#x} ll"));
                self.call(2);
            }
            Step::Delete => {
                self.key();
                self.map();
                self.address(2, -16);
                self.call(3);
            }
            Step::Push => {
                self.value();
                let flags = self.flags();
                self.map();
                self.address(2, -64);
                self.line(format_args!("r3 = {flags:#x} ll"));
                self.call(87);
            }
            Step::Pop | Step::Peek => {
                self.value();
                self.map();
                self.address(2, -64);
                self.call(if matches!(step, Step::Pop) { 88 } else { 89 });
                // The value where nothing came is zeroes for the program, or what was there.
                self.line(format_args!("r0 <<= 32\nr1 = *(u32 *)(r10 -60)\nr0 += r1"));
            }
            Step::OfCpu => {
                let cpu = self.random.pick(&[0u32, 0, 1, 2, 1000, u32::MAX]);
                self.key();
                self.map();
                self.address(2, -16);
                self.line(format_args!("r3 = {cpu:#x} ll"));
                self.call(195);
                // The program runs on either, and only one has values: whether there is one is all that is the same.
                self.line(format_args!("if r0 == 0 goto +1\nr0 = 1"));
            }
            Step::ForEach => {
                let flags = self.random.pick(&[0u64, 0, 0, 1]);
                self.line(format_args!("*(u64 *)(r10 -72) = 0"));
                self.map();
                self.line(format_args!("r2 = subprog[each]\nr3 = r10\nr3 += -72\nr4 = {flags}\ncall 164"));
                self.line(format_args!("r0 <<= 32\nr1 = *(u64 *)(r10 -72)\nr0 += r1"));
            }
            Step::Output => {
                self.value();
                let flags = self.flags();
                let size = self.random.pick(&[0, 1, 7, 8, 16]);
                self.map();
                self.address(2, -64);
                self.line(format_args!("r3 = {size}\nr4 = {flags:#x} ll"));
                self.call(130);
            }
            Step::Reserve => {
                let size = self.random.pick(&[8, 16, 1000, 4000, 4081, 4089, 5000]);
                let (flags, submit, label) =
                    (self.random.pick(&[0, 0, 0, 1]), self.random.pick(&[132, 133]), self.labels);
                self.labels += 1;
                self.map();
                self.line(format_args!("r2 = {size}\nr3 = {flags}\ncall 131\nif r0 == 0 goto l{label}"));
                // All of a record that is sent is written, as what was there is anybody's.
                if size > 16 {
                    self.line(format_args!("r1 = r0\nr2 = 0\ncall 133\nr0 = 2\nl{label}:"));
                } else {
                    for at in (0..size).step_by(8) {
                        self.line(format_args!("*(u64 *)(r0 +{at}) = {at}"));
                    }
                    self.line(format_args!("r1 = r0\nr2 = 0\ncall {submit}\nr0 = 1\nl{label}:"));
                }
            }
            Step::Query => {
                let what = self.random.pick(&[0u64, 1, 2, 3, 4, 5, 1 << 40]);
                self.map();
                self.line(format_args!("r2 = {what:#x} ll"));
                self.call(134);
            }
        }
    }

    /// A value whose element is deleted stays readable, and what it is stays the same as long as nothing takes its place.
    fn keep(&mut self) {
        let label = self.labels;
        self.labels += 1;
        self.key();
        self.map();
        self.address(2, -16);
        self.line(format_args!("call 1\nif r0 == 0 goto l{label}\nr7 = r0"));
        self.map();
        self.address(2, -16);
        self.line(format_args!("call 3\nr0 = *(u32 *)(r7 +0)\nl{label}:"));
    }
}

/// The subject is map 1; map 0 has one value, where what the calls gave is noted.
fn program(subject: &Subject, random: &mut Random) -> (Program, String) {
    let mut writer = Writer { subject, random, text: String::new(), labels: 0 };
    // All that may be read is written first.
    for at in (-72..0).step_by(8) {
        writer.line(format_args!("*(u64 *)(r10 {at:+}) = 0"));
    }
    writer.line(format_args!(
        "*(u32 *)(r10 -80) = 0\nr1 = map[fd:0]\nr2 = r10\nr2 += -80\ncall 1\nif r0 == 0 goto out\nr8 = r0"
    ));
    let takes_all = matches!(subject.def.kind, MapType::Queue | MapType::Stack);
    for at in 0..STEPS {
        let step = if takes_all && at > STEPS - 5 { Step::Pop } else { writer.random.pick(subject.steps) };
        writer.step(step);
        writer.note(at);
    }
    writer.text += "r0 = 7\nexit\nout:\nr0 = 0\nexit\n";
    // Adds up the first words of keys and values, which comes to the same in any order.
    if writer.text.contains("subprog[each]") {
        writer.text += "each:\nr1 = *(u32 *)(r2 +0)\nr0 = *(u32 *)(r3 +0)\nr1 *= r0\nr1 &= 0xffffff\nr2 = *(u64 *)(r4 +0)\n\
                        r2 += r1\nr2 += 1\n*(u64 *)(r4 +0) = r2\nr0 = 0\nexit\n";
    }
    let text = writer.text;
    let code = ring3_isa::assemble(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    let noted = MapDef::new("noted", MapType::Array, 4, 8 * STEPS as u32, 1);
    let maps = vec![Arc::new(noted), Arc::new(subject.def.clone())];
    let program = ring3_fuzz::parity::program(ProgType::SchedCls, code, &maps);
    (Program { name: "steps".to_owned(), ..program }, text)
}

/// What each run gave, what each of its calls gave, and what was in the map behind it.
type Seen = Vec<(u32, Vec<u64>, Vec<(Vec<u8>, Vec<u8>)>)>;

fn run(backend: Backend, program: &Program, subject: &Subject) -> Result<Seen, Error> {
    let mut instance = Engine::new().cpus(cpus()).backend(backend).load_program(program.clone());
    let mut all = Vec::new();
    for _ in 0..RUNS {
        let mut runner = instance.runner("steps")?;
        let retval = runner.run(&[0; 64])?.retval;
        runner.finish()?;
        let noted = instance.map("noted")?.raw().copy_out(&[0; 4]).unwrap();
        let noted = noted.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
        let map = instance.map("subject")?;
        let mut content: Vec<(Vec<u8>, Vec<u8>)> = match subject.def.kind {
            MapType::Ringbuf => map.raw().drain().into_iter().map(|event| (Vec::new(), event.data)).collect(),
            kind if has_values(kind) => map.iter_bytes().collect(),
            _ => Vec::new(),
        };
        if subject.steps.iter().any(|step| matches!(step, Step::OfCpu)) {
            content.iter_mut().for_each(|(_, value)| *value = of_some_cpu(value, subject.def.value_size));
        }
        if subject.def.kind != MapType::Ringbuf {
            content.sort();
        }
        all.push((retval, noted, content));
    }
    Ok(all)
}

/// The value of the one CPU on which the program ran.
fn of_some_cpu(value: &[u8], size: u32) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = value.chunks(size.next_multiple_of(8) as usize).collect();
    parts.sort_unstable();
    parts.concat()
}

fn cpus() -> u32 {
    ring3_linux::possible_cpus().map_or(1, |cpus| cpus as u32)
}

#[test]
fn programs_find_in_maps_what_they_find_in_those_of_linux() {
    let mut backends = vec![Backend::Checked, Backend::Interpreter];
    backends.extend(ring3::jit::Jit::is_supported().then_some(Backend::Jit));
    match ring3_linux::available() {
        Ok(()) => backends.insert(0, Backend::Kernel),
        Err(why) => println!("skipped: the kernel's part: {why}"),
    }
    let seeds = std::env::var("RING3_MAPS_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let mut wrong = Vec::new();
    for (nth, subject) in subjects().iter().enumerate() {
        for seed in 0..seeds {
            let (program, text) = program(subject, &mut Random((nth as u64) << 32 | seed));
            let all: Vec<_> = backends.iter().map(|backend| run(*backend, &program, subject)).collect();
            let first = all[0].as_ref().unwrap_or_else(|error| panic!("{text}\n{}: {error}", backends[0].name()));
            assert!(first.iter().all(|(retval, ..)| *retval == 7), "{text}");
            for (backend, seen) in backends.iter().zip(&all).skip(1) {
                let seen = seen.as_ref().unwrap_or_else(|error| panic!("{text}\n{}: {error}", backend.name()));
                if let Some(why) = difference(first, seen) {
                    let (kind, flags) = (subject.def.kind, subject.def.flags);
                    wrong.push(format!(
                        "{kind:?} {flags:?} seed {seed}: {} and {}: {why}",
                        backends[0].name(),
                        backend.name()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong[..wrong.len().min(30)].join("\n"));
}

fn difference(one: &Seen, other: &Seen) -> Option<String> {
    for (run, ((_, noted, content), (_, others, contents))) in one.iter().zip(other).enumerate() {
        if let Some(at) = noted.iter().zip(others).position(|(one, other)| one != other) {
            return Some(format!("run {run}, call {at}: {:#x} and {:#x}", noted[at], others[at]));
        }
        if content != contents {
            return Some(format!("run {run}: {content:x?} and {contents:x?}"));
        }
    }
    None
}
