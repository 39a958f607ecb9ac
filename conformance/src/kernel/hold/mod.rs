//! Whether verdicts hold: runs of accepted programs beside the verifier's states, and verdicts beside those without pruning.
//!
//! Takes the corpora of [`super::corpus`], the objects of `examples/` and the cases of the suite. `cargo xtask parity --states`
//! and `--no-prune` call it.

mod report;
mod subjects;

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ring3_fuzz::{Effort, Failure, Outside, StateRuns, run_states};
use ring3_parity::run::inputs;
use ring3_platform::{Errno, HelperId, MapDef, Program, Target};
use ring3_verifier::reference::{Disagreement, Reference, agree, reference};
use ring3_verifier::{LogLevel, Rejection, VerifiedProgram, verify_watched};
use ring3_vm::maps::{self, Map};
use ring3_vm::{Helpers, LinkError, LowerError, WatchError, link};

pub use report::{Table, table};
pub use subjects::{Here, Source, Subject, examples, sources, suite};

/// Bytes of stack of a thread.
const STACK: usize = 64 << 20;
/// Longest input that programs run on, in bytes: what is longer shows nothing more, and takes long to follow.
const MAX_INPUT: usize = 10_000;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Threads.
    pub threads: usize,
    /// Time that a verification may take.
    pub time: Duration,
    /// Runs are compared with states, with this effort.
    pub states: Option<Effort>,
    /// Verdicts are compared with those without pruning, which may process so many instructions.
    pub no_prune: Option<u32>,
    /// Accepted programs are linked for the engines, with nothing standing for what the vm does not have.
    pub links: bool,
}

impl Settings {
    /// Contents of maps, instructions of a run and of all runs: what finds most in a few minutes.
    pub const EFFORT: Effort = Effort { contents: 3, run: 1 << 14, all: 1 << 17, stubs: true };
}

/// What became of a program's runs.
#[derive(Clone, Debug)]
pub enum States {
    /// Every moment lay inside a state.
    Held(Box<StateRuns>),
    /// One did not.
    Outside(Outside),
    /// It cannot be run here: why, in words that programs share.
    NotRun(String),
}

/// What the walk without pruning says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Plain {
    /// The same.
    Same,
    /// Nothing, as its budget did not last.
    Undecided,
    /// Something else.
    Other(Disagreement),
}

/// What ring3 says of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// Accepted.
    Accepted,
    /// Rejected.
    Rejected,
    /// Not judged, or there is no program: why.
    Nothing(String),
}

/// A program and what came of it.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its corpus.
    pub set: &'static str,
    /// File.
    pub file: String,
    /// Name.
    pub program: String,
    /// The verdict.
    pub said: Said,
    /// Its runs, if it was accepted and they were asked for.
    pub states: Option<States>,
    /// The verdict without pruning, if that was asked for.
    pub plain: Option<Plain>,
    /// Why it cannot run on the engines, in words that programs share; empty if it can. `None` if that was not asked for.
    pub refused: Option<Vec<String>>,
}

impl Held {
    /// Whether something is wrong.
    pub fn is_finding(&self) -> bool {
        matches!(self.states, Some(States::Outside(_))) || matches!(self.plain, Some(Plain::Other(_)))
    }
}

/// Looks at all programs of these sources. `progress` is told how many of how many sources are done.
pub fn hold(sources: &[Source<'_>], settings: &Settings, progress: &(dyn Fn(usize, usize) + Sync)) -> Vec<Held> {
    let (next, found) = (Mutex::new(0usize), Mutex::new(Vec::new()));
    let work = || {
        let here = Here::new();
        loop {
            let at = {
                let Ok(mut next) = next.lock() else { return };
                *next += 1;
                *next - 1
            };
            let Some(source) = sources.get(at) else { return };
            let held: Vec<Held> = source.subjects(&here).iter().map(|subject| one(subject, &here, settings)).collect();
            if let Ok(mut found) = found.lock() {
                found.extend(held);
            }
            progress(at + 1, sources.len());
        }
    };
    thread::scope(|scope| {
        for _ in 0..settings.threads.max(1) {
            // A thread that cannot be started leaves its part to the others.
            let _ = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        }
    });
    let mut found = found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    found.sort_by(|a, b| (a.set, &a.file, &a.program).cmp(&(b.set, &b.file, &b.program)));
    found
}

fn one(subject: &Subject, here: &Here, settings: &Settings) -> Held {
    let (set, file, name) = (subject.set, subject.file.clone(), subject.name.clone());
    let held = |said, states, plain| Held { set, file, program: name, said, states, plain, refused: None };
    let program = match &subject.program {
        Ok(program) => program,
        Err(why) => return held(Said::Nothing(why.clone()), None, None),
    };
    let start = Instant::now();
    let mut late = false;
    let mut watch = || {
        late |= start.elapsed() > settings.time;
        late.then(|| "too long".to_owned())
    };
    let verdict = verify_watched(Arc::clone(program), Arc::clone(&here.target), LogLevel(0), &mut watch);
    if late {
        return held(Said::Nothing("its verification takes too long".to_owned()), None, None);
    }
    if let Err(rejection) = &verdict
        && rejection.errno == Errno::EOPNOTSUPP
    {
        return held(Said::Nothing(rejection.message.clone()), None, None);
    }
    let plain = settings.no_prune.map(|budget| plain(program, &here.target, &verdict, budget));
    let said = if verdict.is_ok() { Said::Accepted } else { Said::Rejected };
    let refused = verdict.as_ref().ok().filter(|_| settings.links).map(refused);
    let states = settings.states.zip(verdict.ok()).map(|(effort, proof)| states(proof, &subject.given, effort));
    Held { refused, ..held(said, states, plain) }
}

/// Everything that keeps a program from being linked for the engines, in words that programs share.
fn refused(proof: &VerifiedProgram) -> Vec<String> {
    let (mut all, mut stubs) = (Vec::new(), Helpers::new());
    let make = |def: &Arc<MapDef>| match maps::create(def, proof.target().cpus) {
        Ok(map) => (map, None),
        // Sizes that a loader fills in are another matter.
        Err(errno) => {
            let missing = (errno == Errno::ENOTSUPP).then(|| def.kind.name());
            (Arc::new(maps::Nothing::new(def)) as Arc<dyn Map>, missing)
        }
    };
    let (maps, failed): (Vec<_>, Vec<_>) = proof.program().maps.iter().map(make).unzip();
    all.extend(failed.into_iter().flatten().map(|kind| format!("a map of type {kind}")));
    loop {
        match link(proof, &maps, &stubs) {
            Ok(_) => break,
            // Something else may be missing behind it.
            Err(LinkError::NoHelper { id, name }) if stubs.register(HelperId(id), |_, _| 0).is_ok() => {
                all.push(format!("helper {name}"));
            }
            // What a stub is told by, and was noted before.
            Err(LinkError::CustomReturnsPointer { .. } | LinkError::CustomReturnsAnything { .. }) => break,
            // Of what stands for a map that cannot be made.
            Err(LinkError::MapMismatch { .. } | LinkError::NoDirectValue { .. }) => break,
            Err(error) => {
                all.push(why(&Failure::Link(error)));
                break;
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

/// Compares the runs of a program with the verifier's states.
fn states(proof: VerifiedProgram, given: &[Vec<u8>], effort: Effort) -> States {
    let mut inputs = inputs(proof.program().kind, given);
    inputs.retain(|input| input.len() <= MAX_INPUT);
    match run_states(&Arc::new(proof), &inputs, effort) {
        Ok(StateRuns { outside: Some(outside), .. }) => States::Outside(outside),
        Ok(runs) if runs.report.runs == 0 => States::NotRun("a context that the vm does not make".to_owned()),
        Ok(runs) => States::Held(Box::new(runs)),
        Err(failure) => States::NotRun(why(&failure)),
    }
}

/// Compares a verdict with that without pruning.
fn plain(
    program: &Arc<Program>,
    target: &Arc<Target>,
    verdict: &Result<VerifiedProgram, Box<Rejection>>,
    budget: u32,
) -> Plain {
    let other = reference(Arc::clone(program), Arc::clone(target), LogLevel(0), budget);
    match agree(program, verdict, &other) {
        Err(disagreement) => Plain::Other(disagreement),
        Ok(()) if matches!(other, Reference::Undecided { .. }) => Plain::Undecided,
        Ok(()) => Plain::Same,
    }
}

/// Why a program cannot be run, without slots and names of its own.
fn why(failure: &Failure) -> String {
    let link = match failure {
        Failure::Link(error) | Failure::Watch(WatchError::Link(error)) => error,
        Failure::Map(errno) => return format!("a map cannot be made: {errno}"),
        Failure::Watch(WatchError::Structure(_))
        | Failure::NoContext
        | Failure::Jit(_)
        | Failure::Unsound(_)
        | Failure::TooLong
        | Failure::Differ { .. } => return failure.to_string(),
    };
    match link {
        LinkError::Lower(LowerError::Unsupported { what, .. }) => (*what).to_owned(),
        LinkError::Lower(LowerError::Kfunc { name, .. }) => format!("kernel function {name}"),
        LinkError::Lower(LowerError::BadCtxAccess { .. }) => {
            "an access of the context that the vm does not have".into()
        }
        LinkError::SpecialField { what, .. } => format!("a {what} in values of a map"),
        LinkError::NoHelper { name, .. } => format!("helper {name}"),
        LinkError::CustomReturnsPointer { id } | LinkError::CustomReturnsAnything { id } => {
            format!("helper {}, which gives more than a number", ring3_platform::helper_name(*id).unwrap_or("unknown"))
        }
        LinkError::Lower(LowerError::WritesFramePointer { .. }) => "R10 written where nothing leads".to_owned(),
        LinkError::Lower(error) => error.to_string(),
        LinkError::MapCount { .. }
        | LinkError::MapMismatch { .. }
        | LinkError::NoDirectValue { .. }
        | LinkError::Extension
        | LinkError::DuplicateHelper { .. }
        | LinkError::OtherSort { .. }
        | LinkError::LargeVariables
        | LinkError::TooManyCustomHelpers { .. } => link.to_string(),
    }
}
