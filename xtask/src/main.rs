//! `cargo xtask ci`: exactly what continuous integration runs, and its parts one by one. `cargo xtask arm64`: see `arm64`.

mod arm64;
mod arrows;
mod core;
#[cfg(test)]
mod docs;
mod fuzz;
mod kernels;
mod packages;
mod parity;
mod testing;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// One step: its name, the arguments of cargo, and additional environment.
struct Step {
    name: &'static str,
    cargo: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
}

const PLAIN_LOOP: &str = "profile.dev.package.ring3-vm.debug-assertions=true";
const NO_LTO: &str = "profile.release.lto=\"off\"";
const INCREMENTAL: &str = "profile.release.incremental=true";

const STEPS: &[Step] = &[
    Step { name: "fmt", cargo: &["fmt", "--all", "--check"], env: &[] },
    Step {
        name: "clippy",
        cargo: &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
        env: &[],
    },
    Step {
        name: "doc",
        cargo: &["doc", "--workspace", "--no-deps", "--quiet"],
        env: &[("RUSTDOCFLAGS", "-D warnings")],
    },
    Step { name: "test", cargo: &["test", "--workspace", "--no-fail-fast"], env: &[] },
    // The interpreter of builds with debug assertions, which goes from handler to handler in a plain loop.
    Step {
        name: "plain-loop",
        cargo: &["test", "-p", "ring3-vm", "--lib", "--tests", "--config", PLAIN_LOOP],
        env: &[],
    },
    // Handlers that only link-time optimisation makes jumps would pile up on the native stack of whoever builds without.
    Step {
        name: "no-lto",
        cargo: &["test", "--release", "-p", "ring3-vm", "--lib", "--config", NO_LTO, "--config", INCREMENTAL, "interp"],
        env: &[],
    },
];

/// A command that takes arguments of its own.
type Other = (&'static str, fn(&[String]) -> ExitCode);

const OTHERS: [Other; 5] = [
    ("parity", parity::run),
    ("core", core::run),
    ("kernels", kernels::run),
    ("fuzz", fuzz::run),
    ("differential", fuzz::differential),
];

const USAGE: &str = "usage: cargo xtask ci | fmt | clippy | doc | test | plain-loop | no-lto | packages | false-accepts | arrows | arm64 [differential [--cpu NAME] OPTIONS] | parity [OPTIONS] | core [OPTIONS] | kernels [OPTIONS] | fuzz [OPTIONS] | differential [OPTIONS]";

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = wanted.split_first()
        && let Some(run) = OTHERS.iter().find_map(|(name, run)| (first == name).then_some(run))
    {
        return run(rest);
    }
    if let [first, second, rest @ ..] = wanted.as_slice()
        && (first.as_str(), second.as_str()) == ("arm64", "differential")
    {
        let done = on_arm64(|cargo, root| arm64::differential(cargo, root, rest));
        return if done { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let run = |name: &str| wanted.iter().any(|w| w == "ci" || w == name);
    if !STEPS
        .iter()
        .map(|s| s.name)
        .chain(["ci", "arrows", "packages", "arm64", "false-accepts"])
        .any(|name| wanted.iter().any(|w| w == name))
    {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    if run("arrows") {
        if let Err(wrong) = arrows::check() {
            eprintln!("arrows: {wrong}");
            return ExitCode::FAILURE;
        }
        println!("arrows: ok");
    }
    if run("packages") {
        packages::install();
    }
    for step in STEPS.iter().filter(|s| run(s.name)) {
        if let Err(why) = take(step) {
            eprintln!("{}: {why}", step.name);
            return ExitCode::FAILURE;
        }
    }
    if run("arm64") && !on_arm64(arm64::run) {
        return ExitCode::FAILURE;
    }
    if run("false-accepts") {
        // Another release may refuse more than the one whose rules hold here.
        let args: &[String] = if is_judged_kernel() { &[] } else { &["--recorded".to_owned()] };
        println!("false-accepts: cargo xtask parity {}", args.join(" "));
        return parity::run(args);
    }
    ExitCode::SUCCESS
}

/// Runs a step to its end; the error is why it failed.
fn take(step: &Step) -> Result<(), String> {
    let start = Instant::now();
    println!("{}: cargo {}", step.name, step.cargo.join(" "));
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(step.cargo).envs(step.env.iter().copied());
    if !step.cargo.contains(&INCREMENTAL) {
        build_once(&mut command);
    }
    let done = match step.cargo {
        ["test", ..] => testing::run(&mut command),
        _ => command.status().map(|status| (status, Vec::new())),
    };
    let (status, skipped) = done.map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err(status.to_string());
    }
    for why in &skipped {
        println!("{}: {why}", step.name);
    }
    println!("{}: ok in {:.0?}", step.name, start.elapsed());
    Ok(())
}

/// Where `CI` is set nobody builds again: what would make that faster costs time and memory.
fn build_once(cargo: &mut Command) {
    if std::env::var_os("CI").is_some() {
        cargo.env("CARGO_INCREMENTAL", "0");
    }
}

/// Whether this is the release of Linux whose verdicts ring3 gives.
fn is_judged_kernel() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").is_ok_and(|release| release.starts_with("6.18."))
}

/// Runs the tests of arm64; true if they pass, or if they cannot be run here.
fn on_arm64(run: impl FnOnce(&Path, &Path) -> Result<(), arm64::Stop>) -> bool {
    let start = Instant::now();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    match run(cargo.as_ref(), root) {
        Ok(()) => println!("arm64: ok in {:.0?}", start.elapsed()),
        Err(arm64::Stop::Skipped(why)) => println!("arm64: skipped: {why}"),
        Err(arm64::Stop::Failed(why)) => {
            eprintln!("arm64: {why}");
            return false;
        }
    }
    true
}
