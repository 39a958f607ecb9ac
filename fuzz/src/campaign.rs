//! A campaign: the targets in turn for some time, on one thread, with numbers of what was reached and a small reproducer for each
//! finding.
//!
//! Inputs that reach what no other input reached are kept, and changed further. At the end the directory has them as files,
//! `corpus/TARGET/HASH`, which libFuzzer takes as a corpus, and what ClusterFuzzLite and OSS-Fuzz read: `TARGET_seed_corpus.zip`,
//! `TARGET.dict`, and `crash-HASH` files.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring3_isa::Code;

use crate::archive;
use crate::case::{Case, Expect};
use crate::parity::shrink;
use crate::targets::{Fuzzer, Reached, Subject, Target, bare, bytes_of, seeds, subject};

/// Findings of a target that are kept.
const MAX_FINDINGS: usize = 32;
/// Inputs of a target that are kept.
const MAX_CORPUS: usize = 2000;
/// Bytes of the longest input that is changed.
const MAX_INPUT: usize = 1 << 18;
/// One target after the other gets so much time.
const TURN: Duration = Duration::from_secs(5);
/// Runs that making one finding smaller may take.
const MAX_SHRINK: u32 = 3000;

/// What a campaign does.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Targets.
    pub targets: Vec<Target>,
    /// How long, all of them together.
    pub time: Duration,
    /// Executions of each target, at most.
    pub executions: u64,
    /// Number of the first input.
    pub seed: u64,
    /// Files out of which the first inputs of targets without programs are taken.
    pub seeds: Vec<Vec<u8>>,
    /// Where corpora and findings go.
    pub out: PathBuf,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Where it was found.
    pub target: Target,
    /// What is wrong.
    pub what: String,
    /// How often it was seen.
    pub times: u64,
    /// The input.
    pub data: Vec<u8>,
    /// The small program, for targets that take one.
    pub case: Option<Case>,
}

/// What one target did.
#[derive(Debug, Default)]
pub struct Tally {
    /// What was reached.
    pub reached: Reached,
    /// Time in it.
    pub time: Duration,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

struct Lane {
    target: Target,
    fuzzer: Fuzzer,
    time: Duration,
    next: u64,
    corpus: Vec<Vec<u8>>,
    findings: BTreeMap<String, Finding>,
}

impl Lane {
    fn new(target: Target, settings: &Settings) -> Lane {
        let corpus = seeds(target, &settings.seeds);
        Lane {
            target,
            fuzzer: Fuzzer::default(),
            time: Duration::ZERO,
            next: settings.seed,
            corpus,
            findings: BTreeMap::new(),
        }
    }

    /// The next input: of its number alone, or one that was interesting, with changes.
    fn input(&mut self) -> Vec<u8> {
        let fresh = bytes_of(self.next);
        self.next += 1;
        if self.corpus.is_empty() || (self.target.takes_program() && fresh[0] < 160) {
            return fresh;
        }
        let number = usize::from(u16::from_le_bytes([fresh[1], fresh[2]]));
        let mut data = self.corpus[number % self.corpus.len()].clone();
        for change in fresh[4..].chunks_exact(6).take(1 + usize::from(fresh[3] % 4)) {
            let at = u32::from_le_bytes([change[0], change[1], change[2], 0]) as usize % data.len().max(1);
            match change[3] % 4 {
                _ if data.is_empty() => data.push(change[4]),
                0 => data[at] ^= 1 << (change[4] % 8),
                1 => data[at] = change[4],
                2 if data.len() < MAX_INPUT => data.insert(at, change[4]),
                _ => {
                    data.remove(at);
                }
            }
        }
        data
    }

    fn turn(&mut self, until: Duration, executions: u64, out: &Path) -> io::Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < until && self.fuzzer.reached.executions < executions {
            let data = self.input();
            let before = (self.fuzzer.reached.rules.len(), self.fuzzer.reached.paths.len());
            if let Err(what) = guarded(&mut self.fuzzer, self.target, &data) {
                if let Some(finding) = self.found(data, what) {
                    keep_finding(out, finding)?;
                }
            } else if before != (self.fuzzer.reached.rules.len(), self.fuzzer.reached.paths.len())
                && self.corpus.len() < MAX_CORPUS
            {
                self.corpus.push(data);
            }
        }
        self.time += begin.elapsed();
        Ok(())
    }

    /// Notes what is wrong; gives it if it is new.
    fn found(&mut self, data: Vec<u8>, what: String) -> Option<&Finding> {
        let shape = bare(&what);
        if let Some(finding) = self.findings.get_mut(&shape) {
            finding.times += 1;
            return None;
        }
        if self.findings.len() >= MAX_FINDINGS {
            return None;
        }
        let case = self.target.takes_program().then(|| self.small(&subject(&data), &shape, &what));
        let finding = Finding { target: self.target, what, times: 1, data, case };
        Some(self.findings.entry(shape).or_insert(finding))
    }

    /// The smallest program that is found to be wrong in the same way.
    fn small(&mut self, whole: &Subject, shape: &str, what: &str) -> Case {
        let mut left = MAX_SHRINK;
        let mut fuzzer = Fuzzer::default();
        let of = |code: &Code| {
            let mut program = (*whole.program).clone();
            program.code = code.clone();
            whole.with(Arc::new(with_functions(program)))
        };
        let code = shrink(&whole.program.code, |code| {
            left = left.saturating_sub(1);
            let subject = of(code);
            left > 0 && judged(&mut fuzzer, self.target, &subject).is_err_and(|what| bare(&what) == shape)
        });
        let comment = vec![format!("Found by the target {}: {what}", self.target.name())];
        Case { comment, program: of(&code).program, expect: Expect::Accepted }
    }
}

/// A program whose functions may have moved.
fn with_functions(program: ring3_platform::Program) -> ring3_platform::Program {
    let flags = program.flags;
    let mut program = crate::parity::program(program.kind, program.code, &program.maps);
    program.flags = flags;
    program
}

/// One execution; a panic is a finding, too.
fn guarded(fuzzer: &mut Fuzzer, target: Target, data: &[u8]) -> Result<(), String> {
    caught(AssertUnwindSafe(|| fuzzer.run(target, data)))
}

fn judged(fuzzer: &mut Fuzzer, target: Target, subject: &Subject) -> Result<(), String> {
    caught(AssertUnwindSafe(|| fuzzer.judge(target, subject)))
}

fn caught(run: AssertUnwindSafe<impl FnOnce() -> Result<(), String>>) -> Result<(), String> {
    catch_unwind(run).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

/// Runs a campaign; `tell` gets a line now and then. Errors: the directory cannot be written.
pub fn run(settings: &Settings, tell: &mut dyn FnMut(&str)) -> io::Result<BTreeMap<Target, Tally>> {
    let mut lanes: Vec<Lane> = settings.targets.iter().map(|target| Lane::new(*target, settings)).collect();
    let begin = Instant::now();
    let mut told = 0;
    while begin.elapsed() < settings.time {
        let open = |lane: &Lane| lane.fuzzer.reached.executions < settings.executions;
        if !lanes.iter().any(open) {
            break;
        }
        for lane in lanes.iter_mut() {
            let left = settings.time.saturating_sub(begin.elapsed());
            lane.turn(TURN.min(left), settings.executions, &settings.out)?;
        }
        if begin.elapsed().as_secs() / 60 > told {
            told = begin.elapsed().as_secs() / 60;
            lanes
                .iter()
                .for_each(|lane| tell(&line(lane.target, &lane.fuzzer.reached, lane.time, lane.findings.len())));
        }
    }
    let mut tallies = BTreeMap::new();
    for lane in lanes {
        keep(&settings.out, &lane)?;
        let findings = lane.findings.into_values().collect();
        tallies.insert(lane.target, Tally { reached: lane.fuzzer.reached, time: lane.time, findings });
    }
    Ok(tallies)
}

/// A target's numbers in one line.
pub fn line(target: Target, reached: &Reached, time: Duration, findings: usize) -> String {
    let seconds = time.as_secs_f64().max(0.001);
    format!(
        "{:9} {:9} executions in {seconds:.0} s, {:.0} a second, {} accepted, {} rules, {} paths, {findings} findings",
        target.name(),
        reached.executions,
        reached.executions as f64 / seconds,
        reached.accepted,
        reached.rules.len(),
        reached.paths.len(),
    )
}

fn keep(out: &Path, lane: &Lane) -> io::Result<()> {
    let name = lane.target.name();
    let corpus = out.join("corpus").join(name);
    std::fs::create_dir_all(&corpus)?;
    let named = lane.corpus.iter().filter(|data| data.len() <= MAX_INPUT);
    let files: Vec<(String, &[u8])> = named.map(|data| (archive::name_of(data), data.as_slice())).collect();
    for (hash, data) in &files {
        std::fs::write(corpus.join(hash), data)?;
    }
    std::fs::write(out.join(format!("{name}_seed_corpus.zip")), archive::zip(&files))?;
    std::fs::write(out.join(format!("{name}.dict")), crate::targets::dictionary(lane.target))?;
    Ok(())
}

/// Writes the input, and the small program if there is one, ready to be moved to `fuzz/cases`.
fn keep_finding(out: &Path, finding: &Finding) -> io::Result<()> {
    let dir = out.join("findings").join(finding.target.name());
    std::fs::create_dir_all(&dir)?;
    let hash = archive::name_of(&finding.data);
    std::fs::write(dir.join(format!("crash-{hash}")), &finding.data)?;
    match &finding.case {
        Some(case) => std::fs::write(dir.join(format!("{hash}.bpf")), case.text()),
        None => Ok(()),
    }
}
