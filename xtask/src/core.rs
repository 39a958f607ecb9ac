//! `cargo xtask core [--only TEXT] [--list] [PATH...]`: ring3's loader beside libbpf, on the objects of the corpora (see `parity`)
//! and the examples. Skipped, visibly, where libbpf cannot be built.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Builds the comparison and runs it from the root of the workspace.
pub fn run(args: &[String]) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let target: PathBuf = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()).into();
    let build = ["build", "--quiet", "--release", "--package", "ring3-libbpf", "--features", "libbpf"];
    match Command::new(cargo).args(build).current_dir(root).status() {
        Ok(status) if status.success() => {}
        Ok(_) | Err(_) => {
            println!(
                "core: skipped: libbpf does not build here (it takes a C compiler, make, libelf-dev and zlib1g-dev)"
            );
            return ExitCode::SUCCESS;
        }
    }
    let mut compare = Command::new(root.join(&target).join("release/ring3-core"));
    compare.args(args).current_dir(root);
    let is_value = |at: usize| at > 0 && args[at - 1] == "--only";
    if args.iter().enumerate().all(|(at, arg)| arg.starts_with("--") || is_value(at)) {
        compare.args(["examples/bpf", "object/tests/data"]);
        let corpora = target.join("parity/corpus");
        if root.join(&corpora).is_dir() {
            compare.arg(corpora);
        } else {
            println!("core: the corpora are not there: cargo xtask parity makes them");
        }
    }
    match compare.status() {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("core: {error}");
            ExitCode::FAILURE
        }
    }
}
