//! One program before the running kernel.

use ring3_linux::{Error, LoadOptions, LogLevel};
use ring3_platform::Program;

/// What the kernel said of a program.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Said {
    /// Error number, positive; 0 if it took the program. `None`: it could not be asked, and `log` says why.
    pub errno: Option<i32>,
    /// What its verifier wrote.
    pub log: String,
}

/// What lines that say nothing of the verdict begin with: the source, and what is counted (since 7.2 also how much of it in which
/// function).
const BESIDE: [&str; 6] = [";", COUNT, "verification time ", "stack depth ", "insns processed ", "subprog "];
/// What the line with the number of instructions begins with.
const COUNT: &str = "processed ";

impl Said {
    /// Did it take the program?
    pub fn accepts(&self) -> bool {
        self.errno == Some(0)
    }

    /// Does the log have this in it?
    pub fn has(&self, text: &str) -> bool {
        self.log.contains(text)
    }

    /// The last line that is about the verdict.
    pub fn message(&self) -> &str {
        let beside = |line: &&str| BESIDE.iter().any(|start| line.starts_with(start));
        self.log.lines().rfind(|line| !line.is_empty() && !beside(line)).unwrap_or_default()
    }

    /// How many instructions were looked at, where the log tells.
    pub fn processed(&self) -> Option<u32> {
        let line = self.log.lines().rfind(|line| line.starts_with(COUNT))?;
        line.split(' ').nth(1)?.parse().ok()
    }

    /// `accept`, `reject` (by the verifier), or `environment` (before it, or not asked at all).
    pub fn class(&self) -> &'static str {
        match self.errno {
            Some(0) => "accept",
            Some(_) if self.processed().is_some() => "reject",
            Some(_) | None => "environment",
        }
    }
}

/// Loads a program, and lets go of it.
pub fn ask(program: &Program, attach_btf_id: u32, log: LogLevel) -> Said {
    let options = LoadOptions { log, attach_btf_id, ..LoadOptions::default() };
    match ring3_linux::load(program, &options) {
        Ok(loaded) => Said { errno: Some(0), log: loaded.log.text },
        Err(Error::Program { errno, log, .. }) => Said { errno: Some(errno.0), log: log.text },
        Err(error) => Said { errno: None, log: error.to_string().lines().next().unwrap_or_default().to_owned() },
    }
}
