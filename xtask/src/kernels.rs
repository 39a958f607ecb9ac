//! `cargo xtask kernels`: other kernels than the running one, asked what they have for BPF, each in a machine of software.

use std::path::Path;
use std::process::{Command, ExitCode};

/// Runs it from the root of the workspace; what follows `kernels` on the command line is passed on.
pub fn run(args: &[String]) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let target = Path::new(&target);
    let status = Command::new(cargo)
        .args(["run", "--quiet", "--package", "ring3-conformance", "--bin", "ring3-kernels", "--"])
        .arg("--target")
        .arg(target.join("kernels"))
        .arg("--corpus")
        .arg(target.join("parity/corpus"))
        .args(args)
        .current_dir(root)
        .status();
    match status {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("kernels: cannot run cargo: {error}");
            ExitCode::FAILURE
        }
    }
}
