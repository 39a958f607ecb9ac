//! The Linux BPF verifier outside the kernel.
//!
//! [`verify`] walks every path of a program over abstract register and stack values and gives either a [`VerifiedProgram`],
//! which only this crate can make, or a [`Rejection`] with the kernel's words and error number. It never edits the program.
#![forbid(unsafe_code)]
#![deny(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)]

mod cfg;
mod diag;
pub mod domain;
mod facts;
pub mod follow;
mod kernel;
#[cfg(feature = "planted")]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;
mod profile;
pub mod reference;
pub mod release;
mod state;
mod step;
mod walk;

pub use diag::codes::{Category, Code};
pub use diag::people::{Diagnosis, Example, Language, Line, Note, Part, Site, Source};
pub use facts::{Direction, Facts, InsnFacts, MapUse, Region, SubprogFacts};
pub use kernel::symbol::{CpuVariable, cpu_variable};
pub use profile::{At, Profile, Sample, profile};
pub use step::result::has_bounded_result;
pub use walk::{Differs, Point, Why};

use std::sync::Arc;

use ring3_platform::{Errno, KernelVersion, Program, Target};

/// How much to log: bits as of `log_level` of BPF_PROG_LOAD. 0 nothing, 1 the failing path, 2 everything, 4 statistics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogLevel(pub u8);

/// The numbers of the log's last line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)]
pub struct Stats {
    pub processed: u32,
    pub max_states_per_insn: u32,
    pub total_states: u32,
    pub peak_states: u32,
    /// The most memory that the walk held, in bytes: states, histories, marks and the log; not the program, and only as often
    /// as it was looked at, which is whenever there is an eighth more.
    pub peak_mem: u64,
    /// Wall time of the verification in microseconds.
    pub duration_us: u64,
}

/// Slot of the function that runs when a program throws, if it has one. A verified program's tag is a sound one.
pub fn exception_callback(program: &Program) -> Option<usize> {
    cfg::exception::callback(program).ok().flatten()
}

/// Proof that a program is safe to run under a target: only `verify` makes one.
#[derive(Clone, Debug)]
pub struct VerifiedProgram {
    program: Arc<Program>,
    target: Arc<Target>,
    facts: Facts,
    stats: Stats,
    log: String,
}

impl VerifiedProgram {
    /// The program.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// What it was judged against.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// What the proof found out.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Effort.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// What it needs that not every release since 5.4 has, newest first.
    pub fn needs(&self) -> Vec<release::Need> {
        let accepts = |without| walk::accepts_without(&self.program, &self.target, without);
        release::needs_of(&self.program, &self.facts.relied, &accepts)
    }

    /// What the verdict does not say for sure, if it is about another release than 6.18.
    pub fn notes(&self) -> Vec<String> {
        release::notes(self.target.kernel)
    }

    /// The log, as the kernel writes it.
    pub fn log(&self) -> &str {
        &self.log
    }
}

/// A program that was refused.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// What BPF_PROG_LOAD would return.
    pub errno: Errno,
    /// The rule that is broken.
    pub code: Code,
    /// The log's last line before the statistics.
    pub message: String,
    /// Slot of the offending instruction, where there is one.
    pub at: Option<usize>,
    /// The first release that has all that the program uses, if that is what it was refused for.
    pub since: Option<KernelVersion>,
    /// Effort.
    pub stats: Stats,
    /// The log, as the kernel writes it.
    pub log: String,
    program: Arc<Program>,
    target: Arc<Target>,
}

impl Rejection {
    /// What the verdict does not say for sure, if it is about another release than 6.18.
    pub fn notes(&self) -> Vec<String> {
        release::notes(self.target.kernel)
    }

    /// What it means, for people. Walks the program once more, to see how it came to that.
    pub fn diagnosis(&self) -> Diagnosis {
        walk::diagnose(&self.program, &self.target, self)
    }
}

/// Judges a program as BPF_PROG_LOAD does. `level` says how much to log.
pub fn verify(program: Arc<Program>, target: Arc<Target>, level: LogLevel) -> Result<VerifiedProgram, Box<Rejection>> {
    walk::judge(program, target, level, &mut || None)
}

/// As [`verify`], with somebody who may stop it: `watch` is asked before the first instruction of the walk and after every
/// 1,024 of them, and gives why to stop. Then the program is refused with that reason and `EAGAIN`, which is what Linux
/// returns when a signal stops its verifier.
pub fn verify_watched(
    program: Arc<Program>,
    target: Arc<Target>,
    level: LogLevel,
    watch: &mut dyn FnMut() -> Option<String>,
) -> Result<VerifiedProgram, Box<Rejection>> {
    walk::judge(program, target, level, watch)
}

/// As [`verify`], with a mistake planted.
#[cfg(feature = "planted")]
pub fn verify_planted(
    program: Arc<Program>,
    target: Arc<Target>,
    bug: planted::Bug,
) -> Result<VerifiedProgram, Box<Rejection>> {
    walk::judge_planted(program, target, bug)
}
