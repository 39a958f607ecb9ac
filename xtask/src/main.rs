//! `cargo xtask ci`: exactly what continuous integration runs, and its parts one by one.

mod arrows;
#[cfg(test)]
mod docs;
mod parity;

use std::process::{Command, ExitCode};
use std::time::Instant;

/// One step: its name, the arguments of cargo, and additional environment.
struct Step {
    name: &'static str,
    cargo: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
}

const PLAIN_LOOP: &str = "profile.dev.package.ring3-vm.debug-assertions=true";

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
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = wanted.split_first()
        && first == "parity"
    {
        return parity::run(rest);
    }
    let run = |name: &str| wanted.iter().any(|w| w == "ci" || w == name);
    if !STEPS.iter().map(|s| s.name).chain(["ci", "arrows"]).any(|name| wanted.iter().any(|w| w == name)) {
        eprintln!("usage: cargo xtask ci | fmt | clippy | doc | test | plain-loop | arrows | parity [OPTIONS]");
        return ExitCode::from(2);
    }
    if run("arrows") {
        if let Err(wrong) = arrows::check() {
            eprintln!("arrows: {wrong}");
            return ExitCode::FAILURE;
        }
        println!("arrows: ok");
    }
    for step in STEPS.iter().filter(|s| run(s.name)) {
        let start = Instant::now();
        println!("{}: cargo {}", step.name, step.cargo.join(" "));
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo).args(step.cargo).envs(step.env.iter().copied()).status();
        match status {
            Ok(status) if status.success() => println!("{}: ok in {:.0?}", step.name, start.elapsed()),
            Ok(status) => {
                eprintln!("{}: {status}", step.name);
                return ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("{}: cannot run cargo: {error}", step.name);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
