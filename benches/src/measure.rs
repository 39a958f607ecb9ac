//! What an executed instruction costs on each engine.

use std::sync::Arc;
use std::time::Duration;

use ring3_linux::{LoadOptions, Loaded, TestRun};
use ring3_verifier::VerifiedProgram;
use ring3_vm::{Execute, Linked};

use crate::count::{self, Counted};
use crate::engine::{self, BenchHost, EngineError};
use crate::native::Native;
use crate::peer::{self, Input, Prepared};
use crate::sbpf::{self, Checks, Mode};
use crate::workload::Workload;

/// What runs a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// ring3's interpreter, as verified programs run on it.
    Interp,
    /// The same with a budget of instructions that is never used up.
    Budgeted,
    /// ring3's interpreter with every access checked, as programs run on it that were not verified.
    Checked,
    /// ring3's machine code.
    Jit,
    /// The interpreter of `rbpf`, which checks every access.
    Rbpf,
    /// The interpreter of `solana-sbpf`, which translates every address.
    Sbpf,
    /// The same with translation turned off: accesses are not checked, as in `Interp`.
    SbpfPlain,
    /// The same C as machine code of `clang -O2`.
    Native,
    /// The running kernel's machine code (`BPF_PROG_TEST_RUN`).
    Kernel,
    /// The machine code of `rbpf`, which checks nothing.
    RbpfJit,
    /// The machine code of `solana-sbpf`, which translates every address.
    SbpfJit,
    /// The same with translation turned off.
    SbpfPlainJit,
}

impl Engine {
    /// All.
    pub const ALL: [Engine; 12] = [
        Engine::Interp,
        Engine::Budgeted,
        Engine::Checked,
        Engine::Jit,
        Engine::Rbpf,
        Engine::Sbpf,
        Engine::SbpfPlain,
        Engine::Native,
        Engine::Kernel,
        Engine::RbpfJit,
        Engine::SbpfJit,
        Engine::SbpfPlainJit,
    ];

    /// What the interpreter is compared with, in the order of the columns of a table.
    pub const INTERPRETERS: [Engine; 7] =
        [Engine::Interp, Engine::Budgeted, Engine::Checked, Engine::Jit, Engine::Rbpf, Engine::Sbpf, Engine::SbpfPlain];

    /// What machine code is compared with, in the order of the columns of a table.
    pub const COMPILERS: [Engine; 7] = [
        Engine::Native,
        Engine::Jit,
        Engine::Interp,
        Engine::Kernel,
        Engine::RbpfJit,
        Engine::SbpfJit,
        Engine::SbpfPlainJit,
    ];

    /// A short name.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Interp => "interp",
            Engine::Budgeted => "budgeted",
            Engine::Checked => "checked",
            Engine::Jit => "jit",
            Engine::Rbpf => "rbpf",
            Engine::Sbpf => "sbpf",
            Engine::SbpfPlain => "sbpf_plain",
            Engine::Native => "native",
            Engine::Kernel => "kernel",
            Engine::RbpfJit => "rbpf_jit",
            Engine::SbpfJit => "sbpf_jit",
            Engine::SbpfPlainJit => "sbpf_plain_jit",
        }
    }

    /// An engine of somebody else.
    pub fn is_peer(self) -> bool {
        match self {
            Engine::Interp | Engine::Budgeted | Engine::Checked | Engine::Jit => false,
            Engine::Rbpf
            | Engine::Sbpf
            | Engine::SbpfPlain
            | Engine::Native
            | Engine::Kernel
            | Engine::RbpfJit
            | Engine::SbpfJit
            | Engine::SbpfPlainJit => true,
        }
    }
}

/// More than any run needs.
const BUDGET: u64 = 1 << 40;

/// A workload on all engines.
#[derive(Debug)]
pub struct Subject {
    workload: Workload,
    verified: VerifiedProgram,
    linked: Arc<Linked>,
    checked: Box<dyn Execute>,
    prepared: Prepared,
    counted: Counted,
    sbpf: Option<sbpf::Program>,
    kernel: Option<Loaded>,
}

/// A workload on one engine.
pub struct Runner<'a> {
    /// The engine.
    pub engine: Engine,
    /// Instructions that one run executes on it. `solana-sbpf` gets a few more than the others.
    pub executed: u64,
    run: Box<dyn FnMut(u32) -> Option<u64> + 'a>,
}

impl Runner<'_> {
    /// So many runs, at least one: R0 of the last.
    pub fn run(&mut self, times: u32) -> Option<u64> {
        (self.run)(times)
    }
}

/// Runs something so often.
fn repeated<'a>(mut once: impl FnMut() -> Option<u64> + 'a) -> Box<dyn FnMut(u32) -> Option<u64> + 'a> {
    Box::new(move |times| {
        for _ in 1..times {
            std::hint::black_box(once());
        }
        once()
    })
}

impl std::fmt::Debug for Runner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("engine", &self.engine).field("executed", &self.executed).finish_non_exhaustive()
    }
}

impl Subject {
    /// Verifies and links a program, and counts what a run executes. Programs that peers do not run are refused.
    pub fn new(workload: Workload) -> Result<Subject, EngineError> {
        let verified = engine::judge(&workload)?;
        let linked = engine::linked(&verified)?;
        let checked = engine::checked(&workload)?;
        let prepared = peer::prepare(&verified).ok_or(EngineError::Uncounted)?;
        let counted = count::count(&prepared, &mut Input::new(&workload.packet)).ok_or(EngineError::Uncounted)?;
        let sbpf = sbpf::Program::new(&prepared).ok();
        // Whoever may not load programs has no such column.
        let kernel = ring3_linux::load(&workload.program, &LoadOptions::default()).ok();
        Ok(Subject { workload, verified, linked, checked, prepared, counted, sbpf, kernel })
    }

    /// Name of the workload.
    pub fn name(&self) -> &str {
        &self.workload.name
    }

    /// What it is to return.
    pub fn want(&self) -> u64 {
        self.workload.want.map_or(self.counted.ret, u64::from)
    }

    /// One run on the reference engine.
    pub fn counted(&self) -> Counted {
        self.counted
    }

    /// The program, as verified.
    pub fn verified(&self) -> &VerifiedProgram {
        &self.verified
    }

    /// The program as peers get it.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// The program on an engine. `None` if that engine does not run it, or not on this machine.
    pub fn runner(&self, engine: Engine) -> Option<Runner<'_>> {
        let packet = &self.workload.packet;
        let mut executed = self.counted.executed;
        let run = match engine {
            Engine::Interp => ring3_run(Own(engine::interp(&self.linked)), packet, None),
            Engine::Budgeted => ring3_run(Own(engine::interp(&self.linked)), packet, Some(BUDGET)),
            Engine::Checked => ring3_run(Lent(self.checked.as_ref()), packet, Some(BUDGET)),
            Engine::Jit => ring3_run(Own(engine::jit(&self.linked).ok()?), packet, None),
            Engine::Rbpf => {
                let vm = peer::load(&self.prepared).ok()?;
                let mut input = Input::new(packet);
                repeated(move || peer::interpret(&vm, &mut input))
            }
            Engine::RbpfJit => {
                let mut vm = peer::load(&self.prepared).ok()?;
                vm.jit_compile().ok()?;
                let mut input = Input::new(packet);
                // SAFETY: the verifier accepted the program.
                repeated(move || unsafe { peer::execute(&vm, &mut input) })
            }
            Engine::Sbpf => self.sbpf(Checks::Regions, Mode::Interpreted, &mut executed)?,
            Engine::SbpfPlain => self.sbpf(Checks::None, Mode::Interpreted, &mut executed)?,
            Engine::SbpfJit => self.sbpf(Checks::Regions, Mode::Compiled, &mut executed)?,
            Engine::SbpfPlainJit => self.sbpf(Checks::None, Mode::Compiled, &mut executed)?,
            Engine::Native => {
                let mut native = Native::new(&self.workload).ok()?;
                repeated(move || Some(native.run().into()))
            }
            Engine::Kernel => {
                let prog = &self.kernel.as_ref()?.prog;
                Box::new(move |times| {
                    let run = TestRun { data: Some(packet), repeat: times, ..TestRun::default() };
                    prog.test_run(&run).ok().map(|output| output.retval.into())
                })
            }
        };
        Some(Runner { engine, executed, run })
    }

    fn sbpf(&self, checks: Checks, mode: Mode, executed: &mut u64) -> Option<Box<dyn FnMut(u32) -> Option<u64> + '_>> {
        let mut vm = self.sbpf.as_ref()?.load(&self.prepared, &self.workload.packet, checks, mode).ok()?;
        *executed = vm.executed();
        Some(repeated(move || vm.run()))
    }
}

enum Program<'a> {
    Own(Box<dyn Execute>),
    Lent(&'a dyn Execute),
}
use Program::{Lent, Own};

fn ring3_run<'a>(program: Program<'a>, packet: &[u8], budget: Option<u64>) -> Box<dyn FnMut(u32) -> Option<u64> + 'a> {
    // Without any size, so that nothing is leaked.
    let host: &'static mut BenchHost = Box::leak(Box::new(BenchHost));
    let mut env = engine::env(host, packet);
    env.budget = budget;
    repeated(move || {
        let program = match &program {
            Own(program) => program.as_ref(),
            Lent(program) => *program,
        };
        engine::once(program, &mut env)
    })
}

/// Nanoseconds for an executed instruction.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Cost {
    /// Median of all rounds.
    pub median: f64,
    /// The best round: what is left when the machine does nothing else.
    pub best: f64,
    /// Instructions of one run on this engine.
    pub executed: u64,
}

/// How long to measure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effort {
    /// How often each engine takes its turn.
    pub rounds: usize,
    /// How long a turn is.
    pub turn: Duration,
}

/// Measures programs on engines: each program on each engine has a turn in each round, so that a change of the machine's
/// speed meets all of them. One row for each program, `None` in it where there is no such engine.
pub fn measure(subjects: &[Subject], engines: &[Engine], effort: Effort) -> Vec<Vec<Option<Cost>>> {
    let mut cells = Vec::with_capacity(subjects.len() * engines.len());
    for (subject, engine) in subjects.iter().flat_map(|subject| engines.iter().map(move |engine| (subject, *engine))) {
        cells.push(subject.runner(engine).map(|mut runner| {
            let runs = runs_of_a_turn(&mut runner, effort.turn);
            (runner, runs, Vec::with_capacity(effort.rounds))
        }));
    }
    for _ in 0..effort.rounds {
        for (runner, runs, times) in cells.iter_mut().flatten() {
            // The first run finds the caches as another program left them.
            runner.run(1);
            let took = time(runner, *runs);
            times.push(took.as_secs_f64() * 1e9 / f64::from(*runs) / runner.executed as f64);
        }
    }
    let costs: Vec<Option<Cost>> = cells
        .into_iter()
        .map(|cell| {
            let (runner, _, mut times) = cell?;
            times.sort_by(f64::total_cmp);
            Some(Cost { median: *times.get(times.len() / 2)?, best: *times.first()?, executed: runner.executed })
        })
        .collect();
    costs.chunks(engines.len().max(1)).map(<[_]>::to_vec).collect()
}

/// How long so many runs take.
fn time(runner: &mut Runner<'_>, runs: u32) -> Duration {
    let start = thread_time();
    std::hint::black_box(runner.run(runs));
    thread_time().saturating_sub(start)
}

/// The time that this thread has had a processor: what others do on the machine meanwhile is left out, as far as it goes.
fn thread_time() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is there to be written; a clock that is not there leaves it as it is.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Runs that take about so long; warms up as it finds out.
fn runs_of_a_turn(runner: &mut Runner<'_>, turn: Duration) -> u32 {
    let mut runs = 1u32;
    loop {
        let took = time(runner, runs);
        if took >= turn / 2 || runs >= 1 << 24 {
            let wanted = f64::from(runs) * turn.as_secs_f64() / took.as_secs_f64().max(1e-9);
            return (wanted as u32).max(1);
        }
        runs *= 2;
    }
}

/// The geometric mean; `None` of nothing.
pub fn geometric_mean(numbers: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) = numbers.into_iter().fold((0.0, 0u32), |(sum, count), number| (sum + number.ln(), count + 1));
    (count > 0).then(|| (sum / f64::from(count)).exp())
}
