//! Engines: whatever runs the program of a case.

mod eval;
mod helpers;
mod kernel;
#[cfg(feature = "rbpf")]
mod peer;
mod plugin;
pub(crate) mod vm;

use std::fmt;
use std::str::FromStr;

use ring3_jit::Arch;
use ring3_platform::Errno;

use crate::Error;
use crate::format::{Case, Refusal};

pub use plugin::{Plugin, TIMEOUT};

/// Instructions of a run, at most: a program that needs more counts as one that does not end.
/// The longest loop that `may_goto` allows has some 25 million.
pub const MAX_INSNS: u64 = 1 << 25;

/// Which engine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum EngineName {
    /// The interpreter that looks every access up, for all programs.
    Checked,
    /// The interpreter, for programs that the verifier accepted.
    Interp,
    /// Machine code for x86-64, for programs that the verifier accepted.
    JitX64,
    /// Machine code for arm64.
    JitArm64,
    /// The running Linux.
    Kernel,
    /// The reference interpreter.
    Eval,
    /// `rbpf`'s interpreter.
    Rbpf,
    /// A plugin of the public suite: its command line.
    Plugin(String),
}

/// How the name of a plugin begins.
const PLUGIN: &str = "plugin:";

impl EngineName {
    /// All but plugins.
    pub const ALL: [EngineName; 7] = [
        EngineName::Checked,
        EngineName::Interp,
        EngineName::JitX64,
        EngineName::JitArm64,
        EngineName::Kernel,
        EngineName::Eval,
        EngineName::Rbpf,
    ];

    /// Those that run if none is named: the engines of ring3, and Linux.
    pub const USUAL: [EngineName; 5] =
        [EngineName::Checked, EngineName::Interp, EngineName::JitX64, EngineName::JitArm64, EngineName::Kernel];
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EngineName::Checked => f.pad("checked"),
            EngineName::Interp => f.pad("interp"),
            EngineName::JitX64 => f.pad("jit-x64"),
            EngineName::JitArm64 => f.pad("jit-arm64"),
            EngineName::Kernel => f.pad("kernel"),
            EngineName::Eval => f.pad("eval"),
            EngineName::Rbpf => f.pad("rbpf"),
            EngineName::Plugin(command) => f.pad(&format!("{PLUGIN}{command}")),
        }
    }
}

impl FromStr for EngineName {
    type Err = Error;

    fn from_str(name: &str) -> Result<EngineName, Error> {
        if let Some(command) = name.strip_prefix(PLUGIN) {
            return Ok(EngineName::Plugin(command.to_owned()));
        }
        let known = EngineName::ALL.into_iter().find(|known| known.to_string() == name);
        known.ok_or_else(|| Error::NoEngine { name: name.to_owned() })
    }
}

/// Whether an engine refuses what Linux refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judges {
    /// It runs only what Linux's verifier accepts, and speaks in its words.
    AsLinux,
    /// It runs everything as far as it goes.
    Not,
    /// Who knows: a plugin with a verifier refuses in the verifier's words.
    Perhaps,
}

/// Why a program did not come to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The verifier's verdict.
    Refused(Refusal),
    /// It needs more than [`MAX_INSNS`] instructions.
    TooLong,
    /// Anything else: it cannot be decoded, or the run was stopped.
    Failed(String),
}

impl Stop {
    /// What was said.
    pub fn message(&self) -> &str {
        match self {
            Stop::Refused(refusal) => &refusal.message,
            Stop::TooLong => "no end within 33,554,432 instructions",
            Stop::Failed(message) => message,
        }
    }
}

/// What an engine made of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It ended with this in R0.
    Returned(u64),
    /// It ended with this in the low half of R0; the rest is not known.
    ReturnedLow(u32),
    /// It did not run to its end.
    Stopped(Stop),
    /// The engine does not have what the program needs.
    Lacks {
        /// In the engine's words.
        what: String,
    },
    /// It was not tried.
    Skipped {
        /// Why.
        reason: String,
    },
}

impl Outcome {
    pub(crate) fn failed(message: impl fmt::Display) -> Outcome {
        Outcome::Stopped(Stop::Failed(message.to_string()))
    }

    /// A verdict, with the log of it: what the verifier says is all in front of its statistics.
    pub(crate) fn refused(errno: Errno, log: &str) -> Outcome {
        let is_statistic = |line: &&str| line.starts_with("verification time ") || line.starts_with("processed ");
        let lines: Vec<&str> = log.lines().take_while(|line| !is_statistic(line)).collect();
        Outcome::Stopped(Stop::Refused(Refusal { errno, message: lines.join("\n") }))
    }

    pub(crate) fn skipped(reason: impl fmt::Display) -> Outcome {
        Outcome::Skipped { reason: reason.to_string() }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Returned(r0) => write!(f, "{r0:#x}"),
            Outcome::ReturnedLow(low) => write!(f, "{low:#x} (low half of R0)"),
            Outcome::Stopped(Stop::Refused(refusal)) => write!(f, "refused: {refusal}"),
            Outcome::Stopped(stop) => write!(f, "error: {}", stop.message()),
            Outcome::Lacks { what } => write!(f, "not supported: {what}"),
            Outcome::Skipped { reason } => write!(f, "skipped: {reason}"),
        }
    }
}

/// Something that runs programs.
pub trait Engine {
    /// Whether it refuses what Linux refuses.
    fn judges(&self) -> Judges;

    /// Runs the program of a case, in fresh memory. Always comes back.
    fn run(&mut self, case: &Case) -> Outcome;
}

/// The engine of this name. The error says why it is not here.
pub fn open(name: &EngineName) -> Result<Box<dyn Engine>, String> {
    match name {
        EngineName::Checked => Ok(Box::new(vm::Vm::new(vm::Backend::Checked))),
        EngineName::Interp => Ok(Box::new(vm::Vm::new(vm::Backend::Interp))),
        EngineName::JitX64 => jit(Arch::X64),
        EngineName::JitArm64 => jit(Arch::Arm64),
        EngineName::Kernel => Ok(Box::new(kernel::Kernel::open()?)),
        EngineName::Eval => Ok(Box::new(eval::Eval)),
        #[cfg(feature = "rbpf")]
        EngineName::Rbpf => Ok(Box::new(peer::Rbpf)),
        #[cfg(not(feature = "rbpf"))]
        EngineName::Rbpf => Err("this build is without rbpf".to_owned()),
        EngineName::Plugin(command) => match Plugin::new(command, TIMEOUT) {
            Some(plugin) => Ok(Box::new(plugin)),
            None => Err("the plugin has no command".to_owned()),
        },
    }
}

/// Machine code, if this is the machine for it.
fn jit(arch: Arch) -> Result<Box<dyn Engine>, String> {
    if Arch::HOST == Some(arch) {
        Ok(Box::new(vm::Vm::new(vm::Backend::Jit)))
    } else {
        Err(format!("this machine is {}", std::env::consts::ARCH))
    }
}
