//! One program and its inputs on every engine: the kernel (BPF_PROG_TEST_RUN), the checked interpreter, the interpreter, and
//! the JIT.
//!
//! All start with equal maps and run the same inputs, one after the other; after each of them results, packets, contexts, maps
//! and ring buffers are compared. After a difference all start afresh.

mod depends;
mod inputs;
mod seen;
mod single;

use std::fmt;

use ring3::{Backend, Engine, Error, Input, Instance, Object, takes_packet};
use ring3_object::Options;
use ring3_platform::{ProgType, Program};
use serde_json::{Value, json};

pub use depends::{Depends, depends};
pub use inputs::{MAX_INPUT, inputs};
pub use seen::{Ran, Refusal, Seen};
pub use single::{Results, Single};

/// Bytes of stack of a thread that verifies and runs.
const STACK: usize = 64 << 20;

/// Elements of maps whose loader is to say how many.
const ENTRIES: u32 = 16;

/// Differences of a program that are told; then it is not run any more.
const MAX_DIFFERENCES: usize = 16;

/// One thing that two engines do differently.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunDifference {
    /// What: `result`, `packet`, `metadata`, `context`, or a map.
    pub what: String,
    /// The engine that the others are compared with, and what it has there.
    pub one: (&'static str, String),
    /// The others, which have the same.
    pub others: (Vec<&'static str>, String),
    /// The input that shows it: a packet or a context.
    pub input: Vec<u8>,
}

impl fmt::Display for RunDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((one, this), (others, that)) = (&self.one, &self.others);
        write!(f, "{}: {one} {this}, {} {that}; input {}", self.what, others.join(" and "), hex(&self.input))
    }
}

/// What became of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was not run: not accepted by both, or of a type that BPF_PROG_TEST_RUN cannot run.
    NotRun(String),
    /// It was.
    Ran(Comparison),
}

/// A program that was run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Comparison {
    /// Engines that were compared, the one that the others are compared with first.
    pub engines: Vec<&'static str>,
    /// Inputs that all took.
    pub inputs: usize,
    /// Inputs that the first engine did not take; most of them the others do not take either.
    pub refused: usize,
    /// Of those, inputs that others took: the kernel's test run has no room for long packets.
    pub only_here: usize,
    /// Inputs whose end was in fragments, as the kernel's test run has long packets of XDP.
    pub fragments: usize,
    /// What results depend on beside the input. Then the kernel is not one of the engines, and where they depend on addresses or on
    /// stack that nobody wrote, nothing is compared any more.
    pub depends: Vec<Depends>,
    /// What differs.
    pub differences: Vec<RunDifference>,
}

/// A program and what became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunRow {
    /// File of its object.
    pub file: String,
    /// Its name.
    pub program: String,
    /// What became of it.
    pub outcome: Outcome,
}

impl RunRow {
    /// What differs.
    pub fn differences(&self) -> &[RunDifference] {
        match &self.outcome {
            Outcome::NotRun(_) => &[],
            Outcome::Ran(comparison) => &comparison.differences,
        }
    }

    /// The row as JSON.
    pub fn json(&self) -> Value {
        let mut row = json!({ "file": self.file, "program": self.program });
        match &self.outcome {
            Outcome::NotRun(why) => row["not_run"] = why.as_str().into(),
            Outcome::Ran(ran) => {
                let difference = |difference: &RunDifference| {
                    let ((one, this), (others, that)) = (&difference.one, &difference.others);
                    let (one, others) =
                        (json!({ "engine": one, "has": this }), json!({ "engines": others, "has": that }));
                    json!({ "what": difference.what, "one": one, "others": others, "input": hex(&difference.input) })
                };
                row["engines"] = json!(ran.engines);
                row["inputs"] = ran.inputs.into();
                row["refused"] = ran.refused.into();
                row["only_here"] = ran.only_here.into();
                row["fragments"] = ran.fragments.into();
                row["depends"] = ran.depends.iter().map(|depends| depends.words()).collect();
                row["differences"] = ran.differences.iter().map(difference).collect();
            }
        }
        row
    }
}

/// Runs all programs of an object that `wanted` takes by name, each on `given` and generated inputs.
///
/// `engine` has the target. With `kernel`, the running kernel is one of the engines.
pub fn run_object(
    object: &Object,
    engine: &Engine,
    kernel: bool,
    given: &[Vec<u8>],
    wanted: impl Fn(&str) -> bool,
) -> Vec<RunRow> {
    let sized = with_sizes(object);
    let object = &sized;
    let row = |entry: &ring3_object::ProgramEntry| RunRow {
        file: object.file().to_owned(),
        program: entry.name.clone(),
        outcome: run_program(object, &entry.name, engine, kernel, given),
    };
    object.programs().iter().filter(|entry| wanted(&entry.name)).map(row).collect()
}

/// The object with a size for maps that their loader is to give one.
fn with_sizes(object: &Object) -> Object {
    let mut object = object.clone();
    let unsized_maps = |object: &Object| -> Vec<String> {
        let maps = object.maps().iter().filter(|def| def.max_entries == 0 && crate::judge::needs_entries(def.kind));
        maps.map(|def| def.name.clone()).collect()
    };
    for name in unsized_maps(&object) {
        object.resize_map(&name, ENTRIES);
    }
    object
}

/// Runs one program of an object.
pub fn run_program(object: &Object, name: &str, engine: &Engine, kernel: bool, given: &[Vec<u8>]) -> Outcome {
    let program = match object.program(name, &engine.options(&Options::default())) {
        Ok(program) => program,
        Err(error) => return Outcome::NotRun(error.to_string()),
    };
    let depends = depends(object, &program);
    let mut backends = vec![Backend::Checked, Backend::Interpreter];
    backends.extend(ring3::jit::Jit::is_supported().then_some(Backend::Jit));
    // Test runs of those call functions of the kernel's own, at which the program is not attached; those of struct_ops programs take
    // addresses of this process (`parity/tests/struct_ops.rs`).
    let elsewhere = matches!(program.kind, ProgType::Tracing | ProgType::Lsm | ProgType::StructOps);
    if kernel && depends.is_empty() && !elsewhere {
        backends.insert(0, Backend::Kernel);
    }
    let subject = Subject { object, name, engine, backends };
    subject.compare(&program, given, depends).unwrap_or_else(|error| Outcome::NotRun(why_not(&error)))
}

/// A program that is to be run.
struct Subject<'a> {
    object: &'a Object,
    name: &'a str,
    engine: &'a Engine,
    backends: Vec<Backend>,
}

impl Subject<'_> {
    /// An instance for each engine, ready to run.
    fn start(&self) -> Result<Vec<Instance>, Error> {
        self.backends.iter().map(|backend| self.start_on(*backend)).collect()
    }

    fn start_on(&self, backend: Backend) -> Result<Instance, Error> {
        let mut instance = self.engine.clone().backend(backend).load(self.object)?;
        instance.set_host(ring3::vm::TestHost::default());
        instance.runner(self.name)?;
        Ok(instance)
    }

    /// What the program's doing depends on beside these inputs, of which it did something else with the last. The checked interpreter
    /// tells of stack that nobody wrote, where that holds what one wants, and of addresses that are taken for numbers; runs at other
    /// addresses tell the rest.
    fn why_erratic(&self, inputs: &[Vec<u8>], packets: bool) -> Result<Option<Depends>, Error> {
        let of = |bytes| if packets { Input::Packet(bytes) } else { Input::Context(bytes) };
        let run = |fill: u8| -> Result<Vec<(Seen, bool)>, Error> {
            let mut instance = self.start_on(Backend::Checked)?;
            inputs.iter().map(|bytes| seen::run_on_stack(&mut instance, self.name, of(bytes), fill)).collect()
        };
        let (zero, other) = (run(0)?, run(0x5a)?);
        if zero.iter().zip(&other).any(|((this, _), (that, _))| !this.differences(that).is_empty()) {
            return Ok(Some(Depends::Stack));
        }
        let counted = zero.iter().any(|(_, counted)| *counted);
        let Some(last) = inputs.last() else { return Ok(None) };
        Ok((counted || self.is_erratic(of(last))?).then_some(Depends::Addresses))
    }

    /// Do two runs on one engine differ, that begin with the same?
    fn is_erratic(&self, input: Input<'_>) -> Result<bool, Error> {
        let run = |instances: &mut Vec<Instance>| {
            let seen = instances.iter_mut().map(|instance| seen::run(instance, self.name, input));
            seen.collect::<Result<Vec<Seen>, Error>>()
        };
        let mut instances = self.start()?;
        paint(0x5a);
        let these = run(&mut instances)?;
        // In another thread while these live, so that neither stack nor maps nor packets are at the same address.
        let those = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK);
            let again = || {
                let mut instances = self.start()?;
                paint(0xc3);
                run(&mut instances)
            };
            thread.spawn_scoped(scope, again).ok()?.join().ok()
        });
        // Whoever panics there has said why; without a thread, nobody knows.
        let Some(those) = those else { return Ok(false) };
        Ok(these.iter().zip(&those?).any(|(this, that)| !this.differences(that).is_empty()))
    }

    fn compare(&self, program: &Program, given: &[Vec<u8>], depends: Vec<Depends>) -> Result<Outcome, Error> {
        let engines = self.backends.iter().map(|backend| backend.name()).collect();
        let mut comparison = Comparison { engines, depends, ..Comparison::default() };
        let mut instances = self.start()?;
        let packets = takes_packet(program.kind);
        // Inputs since all started.
        let mut since: Vec<Vec<u8>> = Vec::new();
        for bytes in inputs(program.kind, given) {
            since.push(bytes.clone());
            let input = if packets { Input::Packet(&bytes) } else { Input::Context(&bytes) };
            let in_fragments = program.kind == ProgType::Xdp && bytes.len() > ring3::vm::LINEAR;
            let seen = instances.iter_mut().map(|instance| seen::run(instance, self.name, input));
            let seen: Vec<Seen> = seen.collect::<Result<_, _>>()?;
            let Some((first, others)) = seen.split_first() else { break };
            if let Err(Refusal::CannotRun(why)) = &first.result {
                return Ok(Outcome::NotRun(why.clone()));
            }
            // Where only the kernel refuses, nothing ran there that could be compared.
            if first.result.is_err() {
                let taken = others.iter().any(|other| other.result.is_ok());
                comparison.refused += 1;
                comparison.only_here += usize::from(taken);
                if taken {
                    instances = self.start()?;
                    since.clear();
                }
                continue;
            }
            comparison.inputs += 1;
            comparison.fragments += usize::from(in_fragments);
            let known = comparison.differences.len();
            if comparison.add(&seen, &bytes) {
                let new = comparison.differences.len() > known;
                let why = if new { self.why_erratic(&since, packets)? } else { None };
                if let Some(why) = why {
                    comparison.differences.clear();
                    comparison.depends.push(why);
                    break;
                }
                if comparison.differences.len() >= MAX_DIFFERENCES {
                    break;
                }
                instances = self.start()?;
                since.clear();
            }
        }
        Ok(Outcome::Ran(comparison))
    }
}

impl Comparison {
    /// Notes what the others did differently from the first. Was there anything?
    fn add(&mut self, seen: &[Seen], input: &[u8]) -> bool {
        let Some((first, others)) = seen.split_first() else { return false };
        let mut found: Vec<RunDifference> = Vec::new();
        for (name, other) in self.engines.iter().skip(1).zip(others) {
            for (what, this, that) in first.differences(other) {
                let same =
                    |known: &&mut RunDifference| known.what == what && known.one.1 == this && known.others.1 == that;
                match found.iter_mut().find(same) {
                    Some(known) => known.others.0.push(name),
                    None => {
                        let (one, others) = ((self.engines[0], this), (vec![*name], that));
                        found.push(RunDifference { what, one, others, input: input.to_vec() });
                    }
                }
            }
        }
        let any = !found.is_empty();
        self.differences.append(&mut found);
        any
    }
}

/// Leaves these bytes on the part of the native stack that is used next: a program in machine code that reads stack which it did not
/// write finds them.
#[inline(never)]
fn paint(byte: u8) {
    std::hint::black_box([byte; 1 << 15]);
}

/// Why a program cannot be run at all.
fn why_not(error: &Error) -> String {
    match error {
        Error::Rejected { rejection, .. } => format!("ring3 rejects it: {rejection}"),
        Error::Kernel { source, .. } => match source.as_ref() {
            ring3_linux::Error::Program { errno, .. } => format!("the kernel refuses it: {errno}"),
            source => source.to_string().lines().next().unwrap_or_default().to_owned(),
        },
        error => error.to_string(),
    }
}

/// Bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "(empty)".to_owned();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(retval: u32, value: u8) -> Seen {
        let ran = Ran { retval, packet: vec![1], meta: Vec::new(), context: Vec::new() };
        Seen { result: Ok(ran), maps: vec![("counts".to_owned(), vec![(vec![0], vec![vec![value]])])] }
    }

    #[test]
    fn differences_are_found_and_engines_that_agree_are_told_together() {
        let mut comparison = Comparison { engines: vec!["kernel", "checked", "jit"], ..Comparison::default() };
        assert!(!comparison.add(&[seen(2, 1), seen(2, 1), seen(2, 1)], &[0xab]));
        assert!(comparison.add(&[seen(2, 1), seen(3, 1), seen(3, 2)], &[0xab]));
        let [result, map] = &comparison.differences[..] else { panic!("{:?}", comparison.differences) };
        assert_eq!(result.to_string(), "result: kernel 2, checked and jit 3; input ab");
        assert_eq!(map.to_string(), "map 'counts': kernel 00=01, jit 00=02; input ab");
        let stopped = Seen { result: Err(Refusal::Error("a trap".to_owned())), ..seen(2, 1) };
        assert!(comparison.add(&[seen(2, 1), stopped], &[]));
        assert_eq!(comparison.differences[2].to_string(), "result: kernel 2, checked a trap; input (empty)");
    }

    #[test]
    fn a_program_that_gives_addresses_away_is_told() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/bpf/errors/instructions.bpf.o");
        let object = ring3::open(path).unwrap();
        let one = |name: &str| match run_program(&object, name, &Engine::new(), false, &[]) {
            Outcome::Ran(comparison) => comparison,
            Outcome::NotRun(why) => panic!("{name}: {why}"),
        };
        let addresses = one("pointer_returned");
        assert_eq!((addresses.depends, addresses.differences.len()), (vec![Depends::Addresses], 0));
        let plain = one("exit_offset");
        assert_eq!((plain.depends.len(), plain.differences.len()), (0, 0));
        assert!(plain.inputs > 50);
    }

    /// What a program that knows of fragments does to this packet on all engines, the kernel first if it is there.
    fn in_fragments(text: &str, packet: &[u8]) -> Vec<Seen> {
        let mut program = Program::new("frags", ProgType::Xdp, ring3_isa::assemble(text).unwrap());
        program.frags = true;
        let kernel = ring3_linux::available().is_ok().then_some(Backend::Kernel);
        if kernel.is_none() {
            println!("skipped: the kernel's part, as bpf(2) cannot be used here");
        }
        let jit = ring3::jit::Jit::is_supported().then_some(Backend::Jit);
        let backends = kernel.into_iter().chain([Backend::Checked, Backend::Interpreter]).chain(jit);
        let one = |backend| {
            let mut instance = Engine::new().backend(backend).load_program(program.clone());
            seen::run(&mut instance, "frags", Input::Packet(packet)).unwrap()
        };
        backends.map(one).collect()
    }

    #[test]
    fn packets_in_fragments_are_as_the_kernel_has_them() {
        let adjust = |helper: u32, delta: i32| {
            format!("r6 = r1\nr2 = {delta}\ncall {helper}\nif r0 != 0 goto +2\nr1 = r6\ncall 188\nexit")
        };
        let (tail, head) = (65, 44);
        let copy = |offset: u32| {
            format!(
                "r6 = r1\nr7 = 0x1122334455667788 ll\n*(u64 *)(r10 - 8) = r7\nr2 = {offset}\nr3 = r10\nr3 += -8\nr4 = 8\n\
                 call 190\nif r0 != 0 goto +8\nr1 = r6\nr2 = {}\nr3 = r10\nr3 += -8\nr4 = 8\ncall 189\n\
                 if r0 != 0 goto +1\nr0 = *(u32 *)(r10 - 8)\nexit",
                offset - 2
            )
        };
        let linear = "r0 = *(u32 *)(r1 + 4)\nr2 = *(u32 *)(r1 + 0)\nr0 -= r2\nexit".to_owned();
        let mut programs = vec![linear, "call 188\nexit".to_owned(), copy(3515), copy(3600), copy(7612), copy(8995)];
        let deltas = [0, 1, 100, 2700, 2712, 2713, -1, -1384, -1385, -5480, -5481, -8986, -8987, 5000];
        programs.extend(deltas.map(|delta| adjust(tail, delta)));
        programs.extend([100, 3506, 3507, -100, -300].map(|delta| adjust(head, delta)));
        let packet: Vec<u8> = (0..9000u32).map(|n| (n % 251) as u8).collect();
        for text in programs {
            let all = in_fragments(&text, &packet);
            for other in &all[1..] {
                assert_eq!(all[0].differences(other), [], "{text}");
            }
        }
        let seen = &in_fragments("call 188\nexit", &packet)[0];
        assert_eq!(seen.result.as_ref().map(|ran| ran.retval), Ok(9000));
    }
}
