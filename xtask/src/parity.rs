//! `cargo xtask parity`: every program of the corpora judged here and by the running kernel, in a release build.

use std::path::Path;
use std::process::{Command, ExitCode};

/// Runs it from the root of the workspace; what follows `parity` on the command line is passed on.
pub fn run(args: &[String]) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let status = Command::new(cargo)
        .args(["run", "--quiet", "--release", "--package", "ring3-conformance", "--bin", "ring3-kernel", "--"])
        .arg("--target")
        .arg(Path::new(&target).join("parity"))
        .args(args)
        .current_dir(root)
        .status();
    match status {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("parity: cannot run cargo: {error}");
            ExitCode::FAILURE
        }
    }
}
