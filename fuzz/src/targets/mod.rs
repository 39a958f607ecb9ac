//! What is fuzzed: for each target a function of bytes that says what it reached, or what is wrong.
//!
//! The same functions are called by cargo-fuzz (`fuzz/targets/`), by the campaign (`cargo xtask fuzz`) and by tests.

mod formats;
mod seeds;
mod subject;

use std::collections::BTreeMap;
use std::sync::Arc;

use ring3_platform::{Errno, Program, Target as Kernel};
use ring3_verifier::reference::{self, Reference, agree};
use ring3_verifier::{LogLevel, Rejection, VerifiedProgram, verify_watched};

use crate::engines::{self, Failure};
use crate::parity::{Difference, Referee};
use crate::{bytes, check_states};

pub use seeds::seeds;
pub use subject::{PACKETS, Subject, bytes_of, subject};

/// What is fuzzed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Target {
    /// The state oracle: runs of accepted programs beside the verifier's states.
    States,
    /// The verdict with pruning beside that without.
    NoPrune,
    /// Interpreter and machine code beside the checked interpreter.
    Engines,
    /// The verdict beside the running kernel's.
    Kernel,
    /// Decoder and encoder.
    Decode,
    /// Assembler and disassembler.
    Assemble,
    /// Classic BPF.
    Classic,
    /// Object files.
    Elf,
    /// BTF and BTF.ext.
    Btf,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 9] = [
        Target::States,
        Target::NoPrune,
        Target::Engines,
        Target::Kernel,
        Target::Decode,
        Target::Assemble,
        Target::Classic,
        Target::Elf,
        Target::Btf,
    ];

    /// As the command line and cargo-fuzz name it.
    pub const fn name(self) -> &'static str {
        match self {
            Target::States => "states",
            Target::NoPrune => "noprune",
            Target::Engines => "engines",
            Target::Kernel => "kernel",
            Target::Decode => "decode",
            Target::Assemble => "assemble",
            Target::Classic => "classic",
            Target::Elf => "elf",
            Target::Btf => "btf",
        }
    }

    /// By name.
    pub fn from_name(name: &str) -> Option<Target> {
        Target::ALL.into_iter().find(|target| target.name() == name)
    }

    /// Whether its bytes become a program, of which a finding can be told as text.
    pub const fn takes_program(self) -> bool {
        matches!(self, Target::States | Target::NoPrune | Target::Engines | Target::Kernel)
    }
}

/// Instructions that a walk without pruning may process: most programs need less, and those that need more need far more.
const BUDGET: u32 = 20_000;

/// Instructions that a verdict may take, in units of 1,024.
const MAX_WALK: u32 = 20;

/// One of so many accepted programs is looked at for what was accepted.
const PATHS_OF: u64 = 16;

/// What executions reached.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// Executions.
    pub executions: u64,
    /// Programs that the verifier accepted.
    pub accepted: u64,
    /// Programs of which nothing could be said: why, and how often.
    pub skipped: BTreeMap<String, u64>,
    /// By rule: how often it refused.
    pub rules: BTreeMap<String, u64>,
    /// By kind of instruction and what the proof says of it: how often that was accepted.
    pub paths: BTreeMap<String, u64>,
    /// Instructions of runs that were compared with states, and registers and slots in them.
    pub compared: (u64, u64),
}

impl Reached {
    /// Adds what another one reached.
    pub fn add(&mut self, other: Reached) {
        self.executions += other.executions;
        self.accepted += other.accepted;
        self.compared = (self.compared.0 + other.compared.0, self.compared.1 + other.compared.1);
        let maps = [(&mut self.skipped, other.skipped), (&mut self.rules, other.rules), (&mut self.paths, other.paths)];
        for (mine, theirs) in maps {
            for (key, times) in theirs {
                *mine.entry(key).or_default() += times;
            }
        }
    }

    fn skip(&mut self, why: impl Into<String>) {
        *self.skipped.entry(why.into()).or_default() += 1;
    }

    fn verdict(&mut self, verdict: &Result<VerifiedProgram, Box<Rejection>>) {
        match verdict {
            Ok(proof) => {
                self.accepted += 1;
                // Writing words for every instruction costs more than judging it.
                if self.accepted % PATHS_OF == 1 {
                    self.path(proof);
                }
            }
            Err(rejection) => *self.rules.entry(rejection.code.slug()).or_default() += 1,
        }
    }

    /// Kinds of instructions that were accepted, with what the proof says of each.
    fn path(&mut self, proof: &VerifiedProgram) {
        let code = &proof.program().code;
        for (slot, facts) in proof.facts().insns.iter().enumerate().filter(|(_, facts)| facts.seen) {
            let Some(Ok(insn)) = code.get(slot) else { continue };
            let text = format!("{insn:?}");
            let kind = text.split([' ', '(']).next().unwrap_or_default();
            let call = match insn {
                // Where a function of the program's own is says nothing.
                ring3_isa::Insn::Call(ring3_isa::Callee::Local(_)) => " Local".to_owned(),
                ring3_isa::Insn::Call(callee) => format!(" {callee:?}"),
                _ => String::new(),
            };
            let what = format!("{kind}{call} {:?} {:?}", facts.region, facts.direction).replace(" None", "");
            *self.paths.entry(what).or_default() += 1;
        }
    }
}

/// What fuzzing keeps from one execution to the next.
#[derive(Default)]
pub struct Fuzzer {
    /// What was reached.
    pub reached: Reached,
    /// The kernel, when it was asked for; `None` inside where there is none.
    referee: Option<Option<Box<Referee>>>,
}

impl Fuzzer {
    /// One execution. Errors: what is wrong.
    pub fn run(&mut self, target: Target, data: &[u8]) -> Result<(), String> {
        self.reached.executions += 1;
        match target {
            Target::States | Target::NoPrune | Target::Engines | Target::Kernel => self.judge(target, &subject(data)),
            Target::Decode => bytes::decode(data),
            Target::Assemble => bytes::assemble(data),
            Target::Classic => bytes::classic(data),
            Target::Elf => formats::elf(data, &mut self.reached),
            Target::Btf => formats::btf(data, &mut self.reached),
        }
    }

    /// The same with a program, for targets that take one. Errors: what is wrong.
    pub fn judge(&mut self, target: Target, subject: &Subject) -> Result<(), String> {
        match target {
            Target::States => self.states(subject),
            Target::NoPrune => self.noprune(&subject.program),
            Target::Engines => self.engines(subject),
            Target::Kernel => self.kernel(&subject.program),
            Target::Decode | Target::Assemble | Target::Classic | Target::Elf | Target::Btf => Ok(()),
        }
    }

    fn verdict(&mut self, program: &Arc<Program>) -> Result<VerifiedProgram, Box<Rejection>> {
        // A few programs take thousands of times as long as the others: better many of the others.
        let mut asked = 0;
        let mut watch = || {
            asked += 1;
            (asked > MAX_WALK).then(|| "long enough".to_owned())
        };
        let verdict = verify_watched(Arc::clone(program), Arc::new(Kernel::default()), LogLevel::default(), &mut watch);
        self.reached.verdict(&verdict);
        verdict
    }

    fn inconclusive(&mut self, failure: Failure) -> Result<(), String> {
        if !failure.is_inconclusive() {
            return Err(failure.to_string());
        }
        self.reached.skip(bare(&failure.to_string()));
        Ok(())
    }

    fn states(&mut self, subject: &Subject) -> Result<(), String> {
        let Ok(proof) = self.verdict(&subject.program) else { return Ok(()) };
        match check_states(Arc::new(proof), &subject.packets) {
            Ok(report) => {
                self.reached.compared.0 += report.checked.instructions;
                self.reached.compared.1 += report.checked.values;
                for (why, times) in report.checked.skipped {
                    *self.reached.skipped.entry(why.to_owned()).or_default() += times;
                }
                report.violations.first().map_or(Ok(()), |violation| Err(violation.to_string()))
            }
            Err(failure) => self.inconclusive(failure),
        }
    }

    fn noprune(&mut self, program: &Arc<Program>) -> Result<(), String> {
        let verdict = self.verdict(program);
        if verdict.as_ref().is_err_and(|rejection| rejection.errno == Errno::EAGAIN) {
            self.reached.skip("a long walk");
            return Ok(());
        }
        let kernel = Arc::new(Kernel::default());
        let other = reference::reference(Arc::clone(program), kernel, LogLevel::default(), BUDGET);
        if let Reference::Undecided { .. } = other {
            self.reached.skip("the budget without pruning");
        }
        agree(program, &verdict, &other).map_err(|disagreement| disagreement.to_string())
    }

    fn engines(&mut self, subject: &Subject) -> Result<(), String> {
        let Some(generated) = subject.comparable() else {
            self.reached.skip("not the same on every engine");
            return Ok(());
        };
        let Ok(proof) = self.verdict(&subject.program) else { return Ok(()) };
        match engines::agree(&generated, &proof) {
            Ok(_) => Ok(()),
            Err(failure) => self.inconclusive(failure),
        }
    }

    fn kernel(&mut self, program: &Arc<Program>) -> Result<(), String> {
        let referee = self.referee.get_or_insert_with(|| Referee::open(crate::parity::maps()).map(Box::new));
        let Some(referee) = referee else {
            self.reached.skip("no Linux 6.18 with bpf(2) here");
            return Ok(());
        };
        if crate::parity::may_crash_linux(&program.code) {
            self.reached.skip("a program that may crash Linux 6.18");
            return Ok(());
        }
        if program.maps != referee.maps() {
            *referee = match Referee::open(program.maps.clone()) {
                Some(other) => Box::new(other),
                None => return Ok(()),
            };
        }
        match referee.judge_program((**program).clone()) {
            Ok(pair) => match pair.class() {
                Some(class) if class <= Difference::Message => {
                    Err(format!("{class:?}: Linux {}, ring3 {}", pair.linux, pair.ring3))
                }
                Some(_) | None => {
                    self.reached.accepted += u64::from(pair.ring3.errno == 0);
                    Ok(())
                }
            },
            Err(error) => {
                self.reached.skip(bare(&error.to_string()));
                Ok(())
            }
        }
    }
}

/// A message without its numbers.
pub fn bare(text: &str) -> String {
    let words = text.lines().next().unwrap_or_default().split(' ');
    let words: Vec<&str> = words.map(|word| if word.starts_with("0x") { "0x" } else { word }).collect();
    words.join(" ").chars().filter(|c| !c.is_ascii_digit()).take(100).collect()
}

/// Words that inputs of a target are made of, in the form of AFL's and libFuzzer's dictionaries.
pub fn dictionary(target: Target) -> String {
    let quoted = |bytes: &[u8]| format!("\"{}\"\n", bytes.iter().map(|b| format!("\\x{b:02x}")).collect::<String>());
    match target {
        Target::Assemble => ["goto ", "call ", "map[fd:", "atomic64_fetch_add", "*(u64 *)(r10 ", "r0 = ", "exit"]
            .map(|word| format!("\"{word}\"\n"))
            .concat(),
        Target::Classic => {
            ["ldh [12]", "jeq #0x800", "ret #0", "ldxb 4*([14]&0xf)"].map(|w| format!("\"{w}\"\n")).concat()
        }
        Target::Elf => [&b"\x7fELF\x02\x01\x01"[..], b".BTF\0", b".BTF.ext\0", b".maps\0", b"license\0", b"xdp\0"]
            .map(quoted)
            .concat(),
        Target::Btf => [&b"\x9f\xeb\x01\x00\x18\x00\x00\x00"[..], b"int\0"].map(quoted).concat(),
        Target::States | Target::NoPrune | Target::Engines | Target::Kernel | Target::Decode => {
            [0xff_u64, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, u64::MAX, 1 << 63]
                .map(|n| quoted(&n.to_le_bytes()))
                .concat()
        }
    }
}
