//! Each mistake planted in the compiler is found: machine code with it does something else than the interpreter.

use std::process::{Command, exit};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ring3_fuzz::differential::Differential;
use ring3_jit::Jit;
use ring3_jit::planted::Bug;

/// Programs after which a mistake must have been found.
const PROGRAMS: u64 = 100_000;
const SEED: u64 = 7;
/// A program that runs for so long does not end any more.
const ENDLESS: Duration = Duration::from_secs(10);
/// Says to a process of its own, as code with a mistake may do anything, which mistake it is about.
const WHICH: &str = "RING3_PLANTED_BUG";
/// How that process says that no program showed it.
const MISSED: i32 = 3;

static PROGRAM: AtomicU64 = AtomicU64::new(0);

/// Runs programs until one shows the mistake.
fn find(bug: Bug) -> ! {
    std::thread::spawn(|| {
        loop {
            let before = PROGRAM.load(Ordering::Relaxed);
            std::thread::sleep(ENDLESS);
            if PROGRAM.load(Ordering::Relaxed) == before {
                println!("program {before} does not end");
                exit(0);
            }
        }
    });
    let compiler = move |room, linked, options| Jit::compile_planted(room, linked, options, bug);
    let mut fuzzer = Differential::new(0, false).unwrap().with_compiler(Box::new(compiler));
    while fuzzer.tally().programs < PROGRAMS {
        PROGRAM.store(fuzzer.tally().next, Ordering::Relaxed);
        if fuzzer.step(SEED).is_err() {
            println!("program {} differs", fuzzer.tally().next - 1);
            exit(0);
        }
    }
    exit(MISSED);
}

#[test]
fn every_planted_mistake_is_found() {
    if !Jit::is_supported() {
        println!("skipped: there is no compiler for this machine");
        return;
    }
    if let Some(which) = std::env::var(WHICH).ok().and_then(|which| which.parse::<usize>().ok()) {
        find(Bug::ALL[which]);
    }
    let mut missed = Vec::new();
    for (which, bug) in Bug::ALL.iter().enumerate() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", "planted_jit::every_planted_mistake_is_found", "--nocapture"])
            .env(WHICH, which.to_string());
        let done = child.output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        println!("{bug:?}: {}, {}", done.status, said.lines().last().unwrap_or_default());
        // By a signal: it reached for memory that is not there.
        if done.status.code().is_some_and(|code| code != 0) {
            missed.push(*bug);
        }
    }
    assert!(missed.is_empty(), "nothing finds {missed:?}");
}
