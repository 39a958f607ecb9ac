//! One program and its inputs on every engine: the kernel (BPF_PROG_TEST_RUN), the checked interpreter, the interpreter, and
//! the JIT.
//!
//! All start with equal maps and run the same inputs on the same processor, one after the other; after each of them results, packets,
//! contexts, maps and ring buffers are compared. After a difference all start afresh. Large maps are compared after many
//! inputs; if they differ then, the first input that shows it is searched for.

mod content;
mod depends;
mod inputs;
mod seen;
mod single;
mod subject;

use std::fmt;

use ring3::{Backend, Engine, Error, Object};
use ring3_linux::OnOneCpu;
use ring3_object::Options;
use ring3_platform::{ProgType, Program};
use serde_json::{Value, json};

pub use content::Content;
pub use depends::{Depends, depends};
pub use inputs::{MAX_INPUT, inputs};
pub use seen::{Ran, Refusal, Seen, Unlike};
pub use single::{Results, Single};
use subject::{Source, Subject};

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
    /// Maps were compared behind many inputs and not behind each, as they are large.
    pub together: bool,
    /// Inputs that were not run, as those before took too long.
    pub inputs_left_out: usize,
    /// Maps that were not compared, as they are too large even for that.
    pub left_out: Vec<String>,
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
                row["inputs_left_out"] = ran.inputs_left_out.into();
                row["maps_together"] = ran.together.into();
                row["maps_left_out"] = json!(ran.left_out);
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
    match object.program(name, &engine.options(&Options::default())) {
        Ok(program) => run_it(Source::Object(object), &program, depends(object, &program), engine, kernel, given),
        Err(error) => Outcome::NotRun(error.to_string()),
    }
}

/// Runs a program that comes without an object.
pub fn run_alone(program: &Program, engine: &Engine, kernel: bool, given: &[Vec<u8>]) -> Outcome {
    run_it(Source::Alone(program), program, depends::depends_alone(program), engine, kernel, given)
}

fn run_it(
    source: Source<'_>,
    program: &Program,
    depends: Vec<Depends>,
    engine: &Engine,
    kernel: bool,
    given: &[Vec<u8>],
) -> Outcome {
    let mut backends = vec![Backend::Checked, Backend::Interpreter];
    backends.extend(ring3::jit::Jit::is_supported().then_some(Backend::Jit));
    // Test runs of those call functions of the kernel's own, at which the program is not attached; those of struct_ops programs take
    // addresses of this process (`parity/tests/all/struct_ops.rs`).
    let elsewhere = matches!(program.kind, ProgType::Tracing | ProgType::Lsm | ProgType::StructOps);
    let kernel = kernel && depends.is_empty() && !elsewhere;
    if kernel {
        backends.insert(0, Backend::Kernel);
    }
    // Values by CPU, and its number, are those of one processor then.
    let here = if kernel { OnOneCpu::stay().map(Some) } else { Ok(None) };
    let cpu = match &here {
        Ok(here) => here.as_ref().map_or(0, OnOneCpu::cpu),
        Err(error) => return Outcome::NotRun(error.to_string()),
    };
    let subject = Subject { source, name: &program.name, kind: program.kind, engine, backends, cpu };
    subject.compare(given, depends).unwrap_or_else(|error| Outcome::NotRun(why_not(&error)))
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
    use ring3_platform::{MapDef, MapType};

    use super::*;

    fn seen(retval: u32, value: u8) -> Seen {
        let ran = Ran { retval, packet: vec![1], meta: Vec::new(), context: Vec::new() };
        Seen { results: vec![Ok(ran)], maps: vec![("counts".to_owned(), Content::of(vec![0], vec![value], 1, 1))] }
    }

    #[test]
    fn differences_are_found_and_engines_that_agree_are_told_together() {
        let mut comparison = Comparison { engines: vec!["kernel", "checked", "jit"], ..Comparison::default() };
        comparison.add(&[seen(2, 1), seen(2, 1), seen(2, 1)], 0, &[0xab]);
        assert!(comparison.differences.is_empty());
        comparison.add(&[seen(2, 1), seen(3, 1), seen(3, 2)], 0, &[0xab]);
        let [result, map] = &comparison.differences[..] else { panic!("{:?}", comparison.differences) };
        assert_eq!(result.to_string(), "result: kernel 2, checked and jit 3; input ab");
        assert_eq!(map.to_string(), "map 'counts': kernel 00=01, jit 00=02; input ab");
        let stopped = Seen { results: vec![Err(Refusal::Error("a trap".to_owned()))], ..seen(2, 1) };
        comparison.add(&[seen(2, 1), stopped], 0, &[]);
        assert_eq!(comparison.differences[2].to_string(), "result: kernel 2, checked a trap; input (empty)");
    }

    struct Sums;

    impl ring3_isa::Symbols for Sums {
        fn map(&self, name: &str) -> Option<i32> {
            (name == "sums").then_some(0)
        }
    }

    /// A program that adds each packet's length to an element of an array of so many elements.
    fn sums(entries: u32) -> Program {
        let text = "r6 = *(u32 *)(r1 + 4)\nr2 = *(u32 *)(r1 + 0)\nr6 -= r2\n*(u32 *)(r10 - 4) = 5\nr2 = r10\nr2 += -4\n\
                    r1 = map[sums]\ncall 1\nif r0 == 0 goto +3\nr1 = *(u64 *)(r0 + 0)\nr1 += r6\n*(u64 *)(r0 + 0) = r1\nr0 = 2\nexit";
        let mut program = Program::new("sums", ProgType::Xdp, ring3_isa::assemble_with(text, &Sums).unwrap());
        program.maps = vec![std::sync::Arc::new(MapDef::new("sums", MapType::Array, 4, 8, entries))];
        program
    }

    /// Where a map is large, it is compared once, and a difference is found with the first input that shows it.
    #[test]
    fn large_maps_are_compared_together() {
        let kernel = ring3_linux::available().is_ok();
        for (entries, together) in [(16, false), (1 << 14, true)] {
            let Outcome::Ran(ran) = run_alone(&sums(entries), &Engine::new(), kernel, &[]) else { panic!() };
            assert_eq!((ran.together, &ran.left_out[..], &ran.differences[..]), (together, &[][..], &[][..]));
            // On a machine that is slow enough, some are left out, which is told.
            assert!(ran.inputs > 0 && ran.inputs + ran.inputs_left_out > 90, "{ran:?}");
        }
        let huge = run_alone(&sums(100 << 20), &Engine::new(), false, &[]);
        assert!(matches!(&huge, Outcome::Ran(ran) if ran.left_out == ["sums"]), "{huge:?}");
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
            seen::run(&mut instance, "frags", &[packet.to_vec()], seen::Way { packets: true, fill: 0, until: None })
                .unwrap()
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
        assert_eq!(seen.results[0].as_ref().map(|ran| ran.retval), Ok(9000));
    }
}
