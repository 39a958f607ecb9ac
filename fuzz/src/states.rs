//! The state oracle: before every instruction of an accepted program, what it has in registers and stack lies inside a state that
//! the verifier's rules have there.

use std::sync::Arc;

use ring3_btf::{Kind, Type};
use ring3_platform::helpers::{Lookup, id};
use ring3_platform::{ArgKind, HelperId, MapType, ProgType, RetKind, ctx};
use ring3_verifier::{Region, VerifiedProgram, has_bounded_result};
use ring3_vm::ctx::{from_image, standing_in};
use ring3_vm::maps::{self, BPF_ANY, Map};
use ring3_vm::{
    Call, Context, DataStart, Env, Helpers, LinkError, MAX_PACKET, RunError, SkbContext, StateReport, TestHost, Trap,
    TrapKind, WatchError, Watched, XdpContext, run,
};

use crate::engines::Failure;

/// Instructions of one run, at most; what comes behind is not compared.
const MAX_INSNS: u64 = 1 << 14;

/// Bytes of an image of a context, at least.
const CONTEXT_BYTES: usize = 4096;

/// Elements that a map is filled with, at most.
const MAX_ELEMENTS: usize = 24;
/// Values of maps that are filled are no longer than this, in bytes.
const MAX_VALUE: usize = 1 << 20;

/// How much of a program is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effort {
    /// Contents of maps that are tried, beside what the program's definitions give them.
    pub contents: u64,
    /// Instructions of one run, at most.
    pub run: u64,
    /// Instructions of all runs, at most.
    pub all: u64,
    /// Whether something stands for what the vm does not have, so that the program runs on: helpers that give some number, maps
    /// with nothing in them, memory in place of the kernel's objects. Else it is not run.
    pub stubs: bool,
}

/// Where a run and the states disagree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outside {
    /// What is wrong.
    pub what: String,
    /// Why the run was stopped, if not by the oracle.
    pub stop: Option<RunError>,
    /// The packet, or the beginning of the context.
    pub input: Vec<u8>,
    /// What the maps were filled by; 0 is nothing.
    pub content: u64,
}

/// What the runs of a program showed.
#[derive(Clone, Debug, Default)]
pub struct StateRuns {
    /// What was compared.
    pub report: StateReport,
    /// Runs that were stopped by the bound of instructions.
    pub long: u64,
    /// Runs that ended where a program reads memory of the kernel for which nothing stands.
    pub ended: u64,
    /// Inputs that programs of this type do not take.
    pub refused: u64,
    /// Helpers that the vm does not have, for which a number was given.
    pub stubs: Vec<u32>,
    /// The first disagreement.
    pub outside: Option<Outside>,
}

/// Runs a verified program on each of these packets, all on the same maps, and compares every moment. Whoever wants to know what
/// was found reads the report's violations.
pub fn check_states(proof: Arc<VerifiedProgram>, packets: &[Vec<u8>]) -> Result<StateReport, Failure> {
    let effort = Effort { contents: 0, run: MAX_INSNS, all: u64::MAX, stubs: false };
    let runs = run_states(&proof, packets, effort)?;
    if packets.len() as u64 == runs.refused && !packets.is_empty() {
        return Err(Failure::NoContext);
    }
    match runs.outside.and_then(|outside| outside.stop) {
        Some(error) => Err(Failure::Unsound(error)),
        None => Ok(runs.report),
    }
}

/// The same with several contents of maps, within some effort. Stops at the first disagreement, or at a trap, which is one too.
///
/// Errors: those of linking, and maps that cannot be made.
pub fn run_states(proof: &Arc<VerifiedProgram>, inputs: &[Vec<u8>], effort: Effort) -> Result<StateRuns, Failure> {
    let (kind, cpus) = (proof.program().kind, proof.target().cpus);
    let (mut runs, mut left) = (StateRuns::default(), effort.all);
    for content in 0..=effort.contents {
        let make = |def| match maps::create(def, cpus) {
            Err(_) if effort.stubs => Ok(Arc::new(maps::Nothing::new(def)) as Arc<dyn Map>),
            made => made.map_err(Failure::Map),
        };
        let maps = proof.program().maps.iter().map(make).collect::<Result<Vec<_>, _>>()?;
        if content > 0 {
            maps.iter().for_each(|map| fill(map.as_ref(), content));
        }
        let mut host = TestHost::default();
        let mut env = Env::new(&mut host);
        let zero = result_argument(proof);
        let object = if effort.stubs { Some(env.stand_in_for_kernel()) } else { None };
        let watched = match object {
            Some(object) => watched(proof, &maps, object, &mut runs.stubs)?,
            None => Watched::new(Arc::clone(proof), &maps, &Helpers::new())?,
        };
        for input in inputs {
            let Some(context) = context(kind, input, object, zero) else {
                runs.refused += 1;
                continue;
            };
            let before = watched.report().checked.instructions;
            (env.budget, env.ctx) = (Some(effort.run.min(left)), context);
            let outside = |what, stop| Some(Outside { what, stop, input: input.clone(), content });
            runs.outside = match run(&watched, &mut env) {
                Ok(_) => None,
                Err(RunError::Trap(trap)) if matches!(trap.kind, TrapKind::Budget { .. }) => {
                    runs.long += 1;
                    None
                }
                // Engines refuse such programs; nothing stands for what is there.
                Err(RunError::Trap(trap)) if object.is_some_and(|object| is_kernels(proof, trap, object)) => {
                    runs.ended += 1;
                    None
                }
                Err(RunError::Trap(trap)) if trap.kind == TrapKind::OutsideStates => {
                    let first = watched.report().violations.first().map(ToString::to_string);
                    outside(first.unwrap_or_else(|| trap.to_string()), None)
                }
                Err(error) => outside(format!("accepted, but {error}"), Some(error)),
            };
            left = left.saturating_sub(watched.report().checked.instructions - before);
            if left == 0 || runs.outside.is_some() {
                break;
            }
        }
        runs.add(&watched.report());
        if left == 0 || runs.outside.is_some() {
            break;
        }
    }
    Ok(runs)
}

impl StateRuns {
    fn add(&mut self, report: &StateReport) {
        self.report.runs += report.runs;
        self.report.checked.add(&report.checked);
        self.report.violations.extend(report.violations.iter().cloned());
    }
}

/// Whether a run was stopped at an access that engines refuse, of memory of the kernel, or where an object of the kernel is a map,
/// as the one that an iterator is at: `object` stands for all of them.
fn is_kernels(proof: &VerifiedProgram, trap: Trap, object: u64) -> bool {
    let facts = proof.facts().insns.get(trap.slot as usize);
    let reaches_kernel = facts.is_some_and(|facts| matches!(facts.region, Region::Kernel | Region::Map));
    matches!(trap.kind, TrapKind::BadAccess { .. }) && reaches_kernel
        || matches!(trap.kind, TrapKind::BadHelperArgument { value, .. } if value == object)
}

/// The hooks of security modules have the result so far behind their arguments, a number that is not above 0.
fn result_argument(proof: &VerifiedProgram) -> Option<usize> {
    let program = proof.program();
    let btf = proof.target().btf.as_ref().filter(|_| program.kind == ProgType::Lsm)?;
    let Type::Func { proto, .. } = btf.get(btf.find(&format!("bpf_lsm_{}", program.attach_name()?), Kind::Func)?)?
    else {
        return None;
    };
    match btf.get(*proto)? {
        Type::FuncProto { params, .. } => Some(params.len()),
        _ => None,
    }
}

/// The program, ready to run beside its states; where helpers are missing, with others in their place. `object` stands for all
/// objects of the kernel.
fn watched(
    proof: &Arc<VerifiedProgram>,
    maps: &[Arc<dyn Map>],
    object: u64,
    missing: &mut Vec<u32>,
) -> Result<Watched, WatchError> {
    // These take the context of a packet elsewhere, and here a structure of the kernel.
    let takes_object = |id: &u32| match proof.target().helper(proof.program(), *id) {
        Lookup::Found(proto) => !matches!(proto.args[0].kind, ArgKind::Ctx),
        Lookup::Invalid | Lookup::NotForProgram | Lookup::Unmodelled(_) => false,
    };
    let others: Vec<u32> = [id::GET_SOCKET_COOKIE].into_iter().filter(takes_object).collect();
    loop {
        let mut helpers = Helpers::new();
        for id in missing.iter().chain(&others) {
            let Some(gives) = gives(proof, *id) else {
                let name = ring3_platform::helper_name(*id).unwrap_or("unknown").to_owned();
                return Err(LinkError::NoHelper { id: *id, name }.into());
            };
            let stub = move |call: &mut Call<'_, '_>, _: [u64; 5]| match gives {
                Gives::Number => edge(u64::from(call.prandom_u32())),
                Gives::Zero => 0,
                Gives::Object => object,
                Gives::ObjectOrNull => object * u64::from(call.prandom_u32() % 2),
            };
            // A number that is taken cannot be missing.
            let _ = helpers.register(HelperId(*id), stub);
        }
        match Watched::loosely(Arc::clone(proof), maps, &helpers) {
            Err(WatchError::Link(LinkError::NoHelper { id, .. })) if !missing.contains(&id) => missing.push(id),
            other => return other,
        }
    }
}

/// What stands for a helper's result.
#[derive(Clone, Copy)]
enum Gives {
    Number,
    /// Nothing else is known to be right: null, or within bounds of the verifier.
    Zero,
    Object,
    ObjectOrNull,
}

/// `None` where nothing can stand for it: a value of a map that is always there.
fn gives(proof: &VerifiedProgram, id: u32) -> Option<Gives> {
    let Lookup::Found(proto) = proof.target().helper(proof.program(), id) else { return Some(Gives::Zero) };
    let maybe_null = proto.ret.maybe_null;
    match proto.ret.kind {
        _ if has_bounded_result(id) => Some(Gives::Zero),
        RetKind::Integer | RetKind::Void => Some(Gives::Number),
        RetKind::MapValue | RetKind::RingbufMem | RetKind::DynptrMem => maybe_null.then_some(Gives::Zero),
        RetKind::Socket
        | RetKind::SockCommon
        | RetKind::TcpSock
        | RetKind::MemOrBtfId
        | RetKind::BtfId(_)
        | RetKind::BtfIdTrusted(_) => Some(if maybe_null { Gives::ObjectOrNull } else { Gives::Object }),
    }
}

/// Numbers that helpers give: success, usual errors, and anything.
fn edge(random: u64) -> u64 {
    match random % 8 {
        0..=2 => 0,
        3 => 1,
        4 => u64::from((-22i32).cast_unsigned()) | 0xffff_ffff_0000_0000,
        5 => u64::MAX,
        6 => random >> 3,
        _ => random.wrapping_mul(0x9e37_79b9_7f4a_7c15),
    }
}

/// Puts elements into a map: keys that programs often ask for and others, values of all kinds. What it does not take it has not.
fn fill(map: &dyn Map, content: u64) {
    let def = Arc::clone(map.def());
    let (key_size, value_size) = (def.key_size as usize, def.value_size as usize);
    if map.is_frozen() || !def.fields.list.is_empty() || value_size > MAX_VALUE {
        return;
    }
    let mut random = Random(content.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    match def.kind {
        MapType::Array | MapType::PercpuArray => {
            for index in 0..def.max_entries.min(MAX_ELEMENTS as u32) {
                let value = random.value(map.copy_out(&index.to_ne_bytes()).map_or(value_size, |value| value.len()));
                let _ = map.copy_in(&index.to_ne_bytes(), &value, BPF_ANY);
            }
        }
        MapType::Hash | MapType::LruHash | MapType::PercpuHash | MapType::LruPercpuHash | MapType::LpmTrie => {
            let percpu = matches!(def.kind, MapType::PercpuHash | MapType::LruPercpuHash);
            let size = if percpu { value_size.next_multiple_of(8) * map.cpus() as usize } else { value_size };
            for nth in 0..MAX_ELEMENTS as u64 {
                let mut key = if nth < 12 { vec![0; key_size] } else { random.value(key_size) };
                for (byte, number) in key.iter_mut().zip(if nth < 12 { nth.to_ne_bytes() } else { [0; 8] }) {
                    *byte |= number;
                }
                let _ = map.copy_in(&key, &random.value(size), BPF_ANY);
            }
        }
        MapType::Queue | MapType::Stack | MapType::BloomFilter => {
            for _ in 0..def.max_entries.min(MAX_ELEMENTS as u32) {
                let _ = map.push(&random.value(value_size), BPF_ANY);
            }
        }
        // What is in the others is no data, or comes from the program.
        MapType::ProgArray
        | MapType::PerfEventArray
        | MapType::StackTrace
        | MapType::CgroupArray
        | MapType::ArrayOfMaps
        | MapType::HashOfMaps
        | MapType::Devmap
        | MapType::Sockmap
        | MapType::Cpumap
        | MapType::Xskmap
        | MapType::Sockhash
        | MapType::CgroupStorage
        | MapType::ReuseportSockarray
        | MapType::PercpuCgroupStorage
        | MapType::SkStorage
        | MapType::DevmapHash
        | MapType::StructOps
        | MapType::Ringbuf
        | MapType::InodeStorage
        | MapType::TaskStorage
        | MapType::UserRingbuf
        | MapType::CgrpStorage
        | MapType::Arena => {}
    }
}

/// Random numbers (xorshift), the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }

    /// So many bytes: anything, words that are small, or the greatest there are.
    fn value(&mut self, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = Vec::with_capacity(len + 8);
        let style = self.next() % 4;
        while bytes.len() < len {
            let word = match style {
                0 => self.next() % 16,
                1 => u64::MAX,
                2 => self.next().wrapping_mul(0x9e37_79b9_7f4a_7c15),
                _ => edge(self.next()),
            };
            bytes.extend(word.to_ne_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

/// A context for a program of this type: a packet where it takes one, else an image that begins with these bytes; if need be, with
/// this address in place of objects of the kernel.
fn context(kind: ProgType, packet: &[u8], object: Option<u64>, zero: Option<usize>) -> Option<Context> {
    let is_skb = ctx::layout(kind).is_some_and(|layout| layout.name == "__sk_buff");
    let context = if kind == ProgType::Xdp {
        let mut xdp = XdpContext::new()?;
        xdp.load(packet.get(..MAX_PACKET).unwrap_or(packet));
        Context::Xdp(xdp)
    } else if is_skb && kind != ProgType::FlowDissector {
        let mut skb = SkbContext::new()?;
        skb.load(packet.get(..MAX_PACKET).unwrap_or(packet), DataStart::of(kind));
        Context::Skb(skb)
    } else {
        let mut image = packet.to_vec();
        image.resize(image.len().max(CONTEXT_BYTES), 0);
        from_image(kind, &image).unwrap_or_default()
    };
    // The kernel gives the functions of a struct nothing but objects that live.
    let only_objects = kind == ProgType::StructOps;
    match object {
        Some(object) if only_objects || !context.suits(kind) => standing_in(kind, packet, object, zero),
        None if only_objects => None,
        Some(_) | None => context.suits(kind).then_some(context),
    }
}
