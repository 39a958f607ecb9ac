//! Engines: whatever runs the program of a case.

mod helpers;
mod vm;

use std::fmt;
use std::str::FromStr;

use ring3_platform::Errno;

use crate::Error;
use crate::format::{Case, Refusal};

/// Names of engines as the command line takes them.
pub const NAMES: [&str; 3] = ["interp", "checked", "jit-x64"];

/// Instructions of a run, at most: a program that needs more counts as one that does not end.
pub const MAX_INSNS: u64 = 1 << 24;

/// Which engine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum EngineName {
    /// The interpreter, for programs that the verifier accepted.
    Interp,
    /// The interpreter that looks every access up, for all programs.
    Checked,
    /// Machine code for x86-64, for programs that the verifier accepted.
    JitX64,
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EngineName::Interp => f.write_str("interp"),
            EngineName::Checked => f.write_str("checked"),
            EngineName::JitX64 => f.write_str("jit-x64"),
        }
    }
}

impl FromStr for EngineName {
    type Err = Error;

    fn from_str(name: &str) -> Result<EngineName, Error> {
        match name {
            "interp" => Ok(EngineName::Interp),
            "checked" => Ok(EngineName::Checked),
            "jit-x64" => Ok(EngineName::JitX64),
            _ => Err(Error::NoEngine { name: name.to_owned() }),
        }
    }
}

/// Whether an engine refuses what Linux refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judges {
    /// It runs only what Linux's verifier accepts, and speaks in its words.
    AsLinux,
    /// It runs everything as far as it goes.
    Not,
}

/// Why a program did not come to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The verifier's verdict.
    Refused(Refusal),
    /// Anything else: it cannot be decoded, or the run was stopped.
    Failed(String),
}

impl Stop {
    /// What was said.
    pub fn message(&self) -> &str {
        match self {
            Stop::Refused(refusal) => &refusal.message,
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

    pub(crate) fn refused(errno: Errno, message: &str) -> Outcome {
        Outcome::Stopped(Stop::Refused(Refusal { errno, message: message.to_owned() }))
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
            Outcome::Stopped(Stop::Failed(message)) => write!(f, "error: {message}"),
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

/// The engine of this name. The error says why this machine does not have it.
pub fn open(name: &EngineName) -> Result<Box<dyn Engine>, String> {
    match name {
        EngineName::Interp => Ok(Box::new(vm::Vm::new(vm::Backend::Interp))),
        EngineName::Checked => Ok(Box::new(vm::Vm::new(vm::Backend::Checked))),
        EngineName::JitX64 if ring3_jit::Jit::is_supported() => Ok(Box::new(vm::Vm::new(vm::Backend::Jit))),
        EngineName::JitX64 => Err(format!("this machine is {}", std::env::consts::ARCH)),
    }
}

/// The engines that this machine has.
pub fn all() -> Vec<EngineName> {
    let names = [EngineName::Checked, EngineName::Interp, EngineName::JitX64];
    names.into_iter().filter(|name| open(name).is_ok()).collect()
}
