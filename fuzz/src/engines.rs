//! One program on every engine, and the oracle: all of them do the same.
//!
//! The checked interpreter goes first. It looks every access up in the live memory, so if it stops a program that the verifier
//! accepted, the verifier is wrong, and the program is kept from the engines that check nothing.

use std::fmt;
use std::sync::Arc;

use ring3_jit::{Jit, JitError, Options};
use ring3_platform::{Errno, Target};
use ring3_verifier::{LogLevel, Rejection, VerifiedProgram, verify};
use ring3_vm::maps::{self, Map};
use ring3_vm::{
    Context, Env, Execute, Helpers, Interp, LinkError, RunError, TestHost, Trap, TrapKind, WatchError, XdpContext,
    link, link_unverified, run,
};

use crate::generate::Generated;

/// Instructions of one run of the checked interpreter, at most. Programs of the generator need far fewer.
pub(crate) const MAX_INSNS: u64 = 1 << 22;

/// How often a program runs, each time on what it left in its maps.
const RUNS: usize = 2;

/// How [`Engine::Guarded`] compiles.
pub(crate) const GUARDED: Options = Options { blind: true, retpolines: true, budget: true, quick: false };
/// How [`Engine::Quick`] compiles.
pub(crate) const QUICK: Options = Options { blind: false, retpolines: false, budget: false, quick: true };

/// What a program runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// The interpreter that looks every access up.
    Checked,
    /// The interpreter for verified programs.
    Interp,
    /// Machine code.
    Jit,
    /// Machine code with everything that an embedder may add: constants that cannot be seen, thunks, a budget.
    Guarded,
    /// Machine code that was made as that of long programs is.
    Quick,
}

/// What a run does that can be seen from outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// R0, or why there is none.
    pub result: Result<u64, RunError>,
    /// The packet.
    pub packet: Vec<u8>,
    /// Trace output.
    pub trace: Vec<String>,
}

/// Everything that a program does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Run by run.
    pub runs: Vec<Seen>,
    /// What the maps hold at the end: for each map its keys with their values.
    pub maps: Vec<Vec<(Vec<u8>, Vec<u8>)>>,
}

/// Something that must not happen to an accepted program.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A map cannot be created.
    #[error("no map: {0:?}")]
    Map(Errno),
    /// The program cannot be lowered or linked.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The program cannot be followed.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// Nothing here makes a context for programs of this type.
    #[error("no context for the program")]
    NoContext,
    /// The program cannot be compiled.
    #[error(transparent)]
    Jit(#[from] JitError),
    /// The verifier accepted what the checked interpreter stops.
    #[error("accepted, but {0}")]
    Unsound(RunError),
    /// The checked interpreter ran out of its budget, which is no fault: a loop of eight million rounds is allowed.
    #[error("it runs for too long")]
    TooLong,
    /// Two engines do different things.
    #[error("{left:?} and {right:?} differ: {difference}")]
    Differ {
        /// One engine.
        left: Engine,
        /// The other.
        right: Engine,
        /// What is different.
        difference: Box<Difference>,
    },
}

impl Failure {
    /// Whether it says nothing against the verifier or an engine: there was no run to its end, because the program takes too
    /// long, or has something in it that ring3 does not run, be it in code that is never reached.
    pub fn is_inconclusive(&self) -> bool {
        match self {
            Failure::TooLong | Failure::Link(_) | Failure::Watch(WatchError::Link(_)) | Failure::NoContext => true,
            Failure::Map(_)
            | Failure::Watch(WatchError::Structure(_))
            | Failure::Jit(_)
            | Failure::Unsound(_)
            | Failure::Differ { .. } => false,
        }
    }
}

/// Two outcomes that should be one.
#[derive(Debug)]
pub struct Difference {
    /// Of the first engine.
    pub left: Outcome,
    /// Of the second one.
    pub right: Outcome,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x?} against {:#x?}", self.left, self.right)
    }
}

/// Judges a generated program as Linux 6.18 does.
pub fn judge(generated: &Generated) -> Result<VerifiedProgram, Box<Rejection>> {
    verify(Arc::clone(&generated.program), Arc::new(Target::default()), LogLevel::default())
}

/// Runs an accepted program on every engine that this machine has, and gives what all of them did.
pub fn agree(generated: &Generated, verified: &VerifiedProgram) -> Result<Outcome, Failure> {
    let want = check_accepted(generated, verified)?;
    let engines: &[Engine] = if Jit::is_supported() {
        &[Engine::Interp, Engine::Jit, Engine::Guarded, Engine::Quick]
    } else {
        &[Engine::Interp]
    };
    for &right in engines {
        let have = execute(right, generated, verified)?;
        if have != want {
            let difference = Box::new(Difference { left: want, right: have });
            return Err(Failure::Differ { left: Engine::Checked, right, difference });
        }
    }
    Ok(want)
}

/// Runs an accepted program in the checked interpreter, which must not stop it.
pub fn check_accepted(generated: &Generated, _proof: &VerifiedProgram) -> Result<Outcome, Failure> {
    let outcome = check(generated)?;
    match outcome.runs.iter().find_map(|seen| seen.result.as_ref().err()) {
        None => Ok(outcome),
        Some(RunError::Trap(Trap { kind: TrapKind::Budget { .. }, .. })) => Err(Failure::TooLong),
        Some(trap) => Err(Failure::Unsound(trap.clone())),
    }
}

/// Runs a program, accepted or not, in the checked interpreter.
pub fn check(generated: &Generated) -> Result<Outcome, Failure> {
    let program = &generated.program;
    let maps = fresh_maps(generated, Target::default().cpus)?;
    let linked = link_unverified(&program.code, program.kind, &maps, &Helpers::new())?;
    Ok(run_all(&Interp::new(Arc::new(linked)), generated, &maps, [Some(MAX_INSNS); RUNS]))
}

/// Runs an accepted program.
pub fn execute(engine: Engine, generated: &Generated, verified: &VerifiedProgram) -> Result<Outcome, Failure> {
    let maps = fresh_maps(generated, verified.target().cpus)?;
    let linked = || link(verified, &maps, &Helpers::new()).map(Arc::new);
    match engine {
        Engine::Checked => check(generated),
        // Once counted and once not.
        Engine::Interp => Ok(run_all(&Interp::new(linked()?), generated, &maps, [Some(MAX_INSNS), None])),
        Engine::Jit => Ok(run_all(&Jit::compile(linked()?)?, generated, &maps, [None; RUNS])),
        Engine::Guarded => {
            let compiled = Jit::compile_with(linked()?, GUARDED)?;
            Ok(run_all(&compiled, generated, &maps, [Some(MAX_INSNS), None]))
        }
        Engine::Quick => {
            let compiled = Jit::compile_with(linked()?, QUICK)?;
            Ok(run_all(&compiled, generated, &maps, [None; RUNS]))
        }
    }
}

fn fresh_maps(generated: &Generated, cpus: u32) -> Result<Vec<Arc<dyn Map>>, Failure> {
    generated.program.maps.iter().map(|def| maps::create(def, cpus).map_err(Failure::Map)).collect()
}

/// Runs the program a few times, with a clock and random numbers that are the same each time.
fn run_all(
    program: &dyn Execute,
    generated: &Generated,
    maps: &[Arc<dyn Map>],
    budgets: [Option<u64>; RUNS],
) -> Outcome {
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    let one = |budget| {
        env.budget = budget;
        if let Some(mut xdp) = XdpContext::new() {
            xdp.load(&generated.packet);
            env.ctx = Context::Xdp(xdp);
        }
        let result = run(program, &mut env);
        let packet = env.ctx.packet().map(|packet| packet.bytes().to_vec()).unwrap_or_default();
        Seen { result, packet, trace: env.trace.take() }
    };
    let runs = budgets.into_iter().map(one).collect();
    let content = |map: &Arc<dyn Map>| {
        map.keys().into_iter().map(|key| (key.clone(), map.read(&key).unwrap_or_default())).collect()
    };
    Outcome { runs, maps: maps.iter().map(content).collect() }
}
