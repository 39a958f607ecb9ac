//! Programs in which features meet: a few of a table, begun, used and ended in turns, and pieces of that in functions, callbacks,
//! loops and regions. Each is judged by ring3 and by the running kernel.
//!
//! What verifiers get wrong is rarely a rule alone: it is what a rule knows of another one. So the table (`table.rs`) has one entry
//! for each feature, and nothing of the others.

mod draft;
mod referee;
mod table;
mod world;

use ring3_platform::helpers::helper_by_name;
use ring3_platform::{LoadFlags, ProgType};

use crate::entropy::Entropy;
use crate::parity::{Difference, Pair};
pub use draft::Draft;
use draft::{Block, HOSTS, Host};
pub use referee::Referee;
use table::{FEATURES, Feature, Function, PLACES, Place};
pub use world::{Signature, World};

/// Bytes of the frame that each feature, and each place, has for itself.
const REGION: i32 = 32;
/// The context lies in front of them.
const CTX: i32 = 8;
/// Features in one program, at most.
const MAX_FEATURES: u32 = 3;
/// Places around pieces of one program, at most.
const MAX_PLACES: u32 = 3;
/// Bytes of choices.
const CHOICES: usize = 256;

/// How two verdicts on a combination differ, but for what ring3 refuses on purpose where Linux 6.18 goes on: global functions that throw
/// while their caller holds something, and what writes through dynptrs of packets.
pub fn difference(draft: &Draft, pair: &Pair) -> Option<Difference> {
    let (said, calls) = (&pair.ring3.message, |name: &str| draft.kfuncs.iter().any(|known| known == name));
    let throws = said.contains("bpf_throw ") && calls("bpf_throw");
    let moves = said.ends_with("invalid mem access 'scalar'") && calls("bpf_dynptr_from_skb");
    pair.class().filter(|_| !throws && !moves)
}

/// Features of the table, for counting through pairs.
pub fn features() -> usize {
    FEATURES.len()
}

/// Places of the table.
pub fn places() -> usize {
    PLACES.len()
}

/// A feature in a program.
#[derive(Clone, Copy, Debug)]
struct Instance {
    feature: &'static Feature,
    /// Number of its region.
    region: i32,
    /// The frame that it was begun in.
    base: Option<u32>,
}

/// One step of a feature.
#[derive(Clone, Copy, Debug)]
enum Step {
    Begin,
    Use,
    End,
}

/// A piece of a program.
#[derive(Clone, Debug)]
enum Piece {
    Step(usize, Step),
    Inside(&'static Place, Vec<Piece>),
}

/// Where instructions are written.
#[derive(Clone, Copy, Debug)]
struct Spot {
    block: usize,
    base: u32,
    ctx: bool,
}

/// The program of a number: the same one every time. The first `features² × places` numbers are all pairs in all places; behind them
/// come any number of features and places.
pub fn combination(seed: u64, world: &World) -> Draft {
    let bytes = choices(seed);
    let mut entropy = Entropy::new(&bytes);
    let (features, places) = (FEATURES.len() as u64, PLACES.len() as u64);
    let chosen = (seed < features * features * places).then(|| {
        let (first, rest) = (seed % features, seed / features);
        ([first as usize, (rest % features) as usize], (rest / features) as usize)
    });
    let instances: Vec<usize> = match chosen {
        Some((pair, _)) => pair.to_vec(),
        None => (0..1 + entropy.below(MAX_FEATURES)).map(|_| entropy.below(features as u32) as usize).collect(),
    };
    let mut pieces = steps(&instances, &mut entropy);
    let nested = match chosen {
        Some((_, place)) => vec![place],
        None => (0..entropy.below(MAX_PLACES + 1)).map(|_| entropy.below(places as u32) as usize).collect(),
    };
    for place in nested {
        nest(&mut pieces, &PLACES[place], &mut entropy);
    }
    let host = host(&instances, &pieces, &mut entropy);
    let instance = |(at, &number): (usize, &usize)| {
        let region = 1 + at as i32;
        Instance { feature: &FEATURES[number], region, base: None }
    };
    let instances = instances.iter().enumerate().map(instance).collect();
    let mut writer =
        Writer { world, host, entropy, instances, draft: Draft::begin(host), labels: 0, regions: 0, bases: 1 };
    writer.regions = writer.instances.len() as i32;
    writer.all(&pieces);
    let spoilt = if writer.entropy.one_in(5) { bytes[CHOICES / 2..].to_vec() } else { Vec::new() };
    let flags = if writer.entropy.one_in(4) { LoadFlags::TEST_STATE_FREQ } else { LoadFlags::default() };
    Draft { spoilt, flags, ..writer.draft }
}

fn choices(seed: u64) -> Vec<u8> {
    let mut state = (seed ^ 0x5851_f42d_4c95_7f2d).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(CHOICES).collect()
}

/// The steps of all features, those of each in their order; sometimes one is missing.
fn steps(instances: &[usize], entropy: &mut Entropy<'_>) -> Vec<Piece> {
    let mut queues: Vec<Vec<Piece>> = Vec::new();
    for at in 0..instances.len() {
        let mut queue = vec![Piece::Step(at, Step::Begin)];
        let uses = 1 + entropy.below(3);
        queue.extend((0..uses).map(|_| Piece::Step(at, Step::Use)));
        if !entropy.one_in(16) {
            queue.push(Piece::Step(at, Step::End));
        }
        queue.reverse();
        queues.push(queue);
    }
    let mut all = Vec::new();
    loop {
        queues.retain(|queue| !queue.is_empty());
        let Some(last) = (queues.len() as u32).checked_sub(1) else { return all };
        let queue = entropy.below(last + 1) as usize;
        all.extend(queues[queue].pop());
    }
}

/// Puts some of the pieces into a place.
fn nest(pieces: &mut Vec<Piece>, place: &'static Place, entropy: &mut Entropy<'_>) {
    let inside = pieces.iter().position(|piece| matches!(piece, Piece::Inside(..)));
    if let Some(Piece::Inside(_, inner)) = inside.map(|at| &mut pieces[at])
        && entropy.one_in(2)
    {
        return nest(inner, place, entropy);
    }
    let len = pieces.len() as u32;
    let from = entropy.below(len.max(1)) as usize;
    let to = from + entropy.below(len - from as u32 + 1) as usize;
    let moved: Vec<Piece> = pieces.drain(from..to.max(from)).collect();
    pieces.insert(from, Piece::Inside(place, moved));
}

/// A type of program that has what the features need, mostly.
fn host(instances: &[usize], pieces: &[Piece], entropy: &mut Entropy<'_>) -> Host {
    let uses = |name: &str| instances.iter().any(|at| FEATURES[*at].name == name);
    let packets = ["packet", "move_packet", "packet_dynptr", "socket"];
    let sleeps = uses("sleep") && entropy.one_in(2);
    let has_vma = format!("{pieces:?}").contains("\"vma\"");
    let fits = |host: &Host| {
        (!packets.iter().any(|name| uses(name)) || matches!(host.kind, ProgType::SchedCls | ProgType::Xdp))
            && (!sleeps || host.sleepable)
            && (!has_vma || matches!(host.kind, ProgType::PerfEvent | ProgType::Kprobe))
    };
    let fitting: Vec<Host> = HOSTS.iter().copied().filter(|host| fits(host)).collect();
    if fitting.is_empty() || entropy.one_in(12) { entropy.pick(HOSTS) } else { entropy.pick(&fitting) }
}

impl Draft {
    fn begin(host: Host) -> Draft {
        let main = Block { label: "main".to_owned(), signature: Signature::Main, lines: Vec::new() };
        let (flags, what) = (LoadFlags::default(), String::new());
        Draft { host, flags, blocks: vec![main], kfuncs: Vec::new(), what, spoilt: Vec::new() }
    }
}

struct Writer<'w, 'e> {
    world: &'w World,
    host: Host,
    entropy: Entropy<'e>,
    instances: Vec<Instance>,
    draft: Draft,
    labels: u32,
    regions: i32,
    bases: u32,
}

/// What the names in a text stand for.
struct Names<'n> {
    own: i32,
    other: i32,
    /// In front of labels.
    label: String,
    /// In front of functions, and which there are.
    function: String,
    functions: &'n [&'n str],
}

impl Writer<'_, '_> {
    fn all(&mut self, pieces: &[Piece]) {
        let main = Spot { block: 0, base: 0, ctx: true };
        let none = Names { own: 0, other: 0, label: String::new(), function: String::new(), functions: &[] };
        self.write(main, "r6 = r1; r7 = r10; *(u64 *)(r7 -8) = r6", &none);
        self.clear(main);
        self.pieces(main, pieces);
        self.write(main, "r0 = 0; exit", &none);
    }

    fn pieces(&mut self, spot: Spot, pieces: &[Piece]) {
        for piece in pieces {
            match piece {
                Piece::Step(at, step) => self.step(spot, *at, *step),
                Piece::Inside(place, inner) => self.inside(spot, place, inner),
            }
        }
    }

    fn step(&mut self, spot: Spot, at: usize, step: Step) {
        let Instance { feature, region, base } = self.instances[at];
        if feature.ctx && !spot.ctx {
            return;
        }
        let text = match step {
            Step::Begin => {
                self.instances[at].base = Some(spot.base);
                feature.begin
            }
            _ if !feature.begin.is_empty() && base != Some(spot.base) && !self.entropy.one_in(8) => return,
            Step::Use if feature.uses.is_empty() => return,
            Step::Use => self.entropy.pick(feature.uses),
            Step::End => feature.end,
        };
        if text.is_empty() {
            return;
        }
        self.draft.what.push_str(&format!("{}.{step:?} ", feature.name));
        let count = self.instances.len() as i32;
        let other =
            if count > 1 { 1 + (region - 1 + 1 + self.entropy.below(count as u32 - 1) as i32) % count } else { region };
        let label = self.label();
        let known: Vec<&str> = feature.functions.iter().map(|(name, ..)| *name).collect();
        let names = Names { own: region, other, label, function: format!("f{at}"), functions: &known };
        self.write(spot, text, &names);
        for function in feature.functions {
            let (name, signature, _) = function;
            let called = [format!("call ${name}"), format!("subprog[${name}]")].iter().any(|call| mentions(text, call));
            if called {
                self.function(&format!("f{at}{name}"), *signature, function, region);
            }
        }
    }

    fn function(&mut self, label: &str, signature: Signature, function: &Function, region: i32) {
        if self.draft.blocks.iter().any(|block| block.label == label) {
            return;
        }
        let (label, lines) = (label.to_owned(), Vec::new());
        self.draft.blocks.push(Block { label, signature, lines });
        let spot = Spot { block: self.draft.blocks.len() - 1, base: u32::MAX, ctx: false };
        let label = self.label();
        let names = Names { own: region, other: region, label, function: String::new(), functions: &[] };
        self.write(spot, function.2, &names);
    }

    fn inside(&mut self, spot: Spot, place: &'static Place, inner: &[Piece]) {
        if place.ctx && !spot.ctx {
            return self.pieces(spot, inner);
        }
        self.regions += 1;
        self.draft.what.push_str(&format!("{}( ", place.name));
        let (region, label) = (self.regions, self.label());
        let function = format!("p{region}");
        let names = Names { own: region, other: region, label, function: function.clone(), functions: &["f"] };
        self.write(spot, place.before, &names);
        match &place.body {
            None => self.pieces(spot, inner),
            Some(body) => {
                let (label, lines) = (format!("{function}f"), Vec::new());
                self.draft.blocks.push(Block { label, signature: body.signature, lines });
                let base = if body.shares { spot.base } else { self.bases };
                self.bases += u32::from(!body.shares);
                let ctx = body.ctx && (spot.ctx || body.signature == Signature::Ctx);
                let within = Spot { block: self.draft.blocks.len() - 1, base, ctx };
                self.write(within, body.prologue, &names);
                if !body.shares {
                    self.clear(within);
                }
                self.pieces(within, inner);
                self.write(within, body.epilogue, &names);
            }
        }
        self.write(spot, place.after, &names);
        self.draft.what.push_str(") ");
    }

    /// What features keep beside what they begin with is zero at first, so that uses of what was never made are passed over.
    fn clear(&mut self, spot: Spot) {
        for region in 1..=self.instances.len() as i32 {
            for off in (8..REGION).step_by(8) {
                let line = format!("*(u64 *)(r7 {}) = 0", off - CTX - REGION * region);
                self.draft.blocks[spot.block].lines.push(line);
            }
        }
    }

    fn label(&mut self) -> String {
        self.labels += 1;
        format!("l{}", self.labels)
    }

    fn write(&mut self, spot: Spot, text: &str, names: &Names<'_>) {
        for line in text.split(';').map(str::trim).filter(|line| !line.is_empty()) {
            let line = self.line(line, names);
            self.draft.blocks[spot.block].lines.push(line);
        }
    }

    /// A line with numbers in place of names.
    fn line(&mut self, line: &str, names: &Names<'_>) -> String {
        let (move_packet, dynptr) = match self.host.kind {
            ProgType::Xdp => ("xdp_adjust_head", "bpf_dynptr_from_xdp"),
            _ => ("skb_pull_data", "bpf_dynptr_from_skb"),
        };
        let fields = if self.host.kind == ProgType::Xdp { ("0", "4") } else { ("76", "80") };
        let line = line.replace("MOVE", move_packet).replace("PACKET_DYNPTR", dynptr);
        let line = line.replace("%data", fields.0).replace("%end", fields.1);
        let mut out = String::new();
        let mut rest = line.as_str();
        while let Some(at) = rest.find(['@', '^', '$', '%', '!', '#', '[']) {
            out.push_str(&rest[..at]);
            let sign = rest.as_bytes()[at];
            let tail = &rest[at + 1..];
            let len = tail.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(tail.len());
            let word = &tail[..len];
            match self.name(sign, word, names) {
                Some(text) => {
                    out.push_str(&text);
                    rest = &tail[len..];
                }
                None => {
                    out.push(char::from(sign));
                    rest = tail;
                }
            }
        }
        out.push_str(rest);
        out
    }

    fn name(&mut self, sign: u8, word: &str, names: &Names<'_>) -> Option<String> {
        let place = |region: i32| word.parse::<i32>().ok().map(|off| (off - CTX - REGION * region).to_string());
        match sign {
            b'@' => place(names.own),
            b'^' => place(names.other),
            b'$' if names.functions.contains(&word) => Some(format!("{}{word}", names.function)),
            b'$' => Some(format!("{}{word}", names.label)),
            b'%' => helper_by_name(word).map(|number| format!("{word}#{number}")),
            b'!' if !word.is_empty() => Some(format!("kernel-function[-1]#{}", self.kfunc(word))),
            b'#' => self.world.type_id(word).map(|id| id.0.to_string()),
            b'[' => self.world.map(word).map(|index| format!("[fd:{index}")),
            _ => None,
        }
    }

    fn kfunc(&mut self, name: &str) -> usize {
        let known = self.draft.kfuncs.iter().position(|known| known == name);
        known.unwrap_or_else(|| {
            self.draft.kfuncs.push(name.to_owned());
            self.draft.kfuncs.len() - 1
        })
    }
}

/// Whether a text has these words, and no longer ones in their place.
fn mentions(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(at, _)| !text[at + words.len()..].starts_with(|c: char| c.is_ascii_alphanumeric()))
}
