//! `cargo xtask fuzz [--minutes N] [--targets a,b] [--seed N] [--out DIR]`: every fuzzing target for some time, in a release build.
//! Says executions a second, which rules refused and what was accepted, and keeps a small reproducer of each finding.
//!
//! `cargo xtask differential [--programs N] [--seed N] [--first N] [--minutes N] [--short yes] [--out DIR]`: verified programs on the interpreter
//! and as machine code, very many of them.

use std::path::Path;
use std::process::{Command, ExitCode};

/// Runs the targets from the root of the workspace; what follows `fuzz` on the command line is passed on.
pub fn run(args: &[String]) -> ExitCode {
    start("campaign", args)
}

/// The same with `differential`.
pub fn differential(args: &[String]) -> ExitCode {
    start("differential", args)
}

fn start(binary: &str, args: &[String]) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let status = Command::new(cargo)
        .args(["run", "--quiet", "--release", "--package", "ring3-fuzz", "--bin", binary, "--"])
        .args(args)
        .current_dir(root)
        .status();
    match status {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("{binary}: cannot run cargo: {error}");
            ExitCode::FAILURE
        }
    }
}
