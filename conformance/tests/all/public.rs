//! The public suite, whose directory `tests` is in RING3_PUBLIC_SUITE: its files are not part of ring3.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ring3_conformance::report::Column;
use ring3_conformance::select::{self, Filter, Selected};
use ring3_conformance::{EngineName, Verdict, public};

/// Files of the suite at commit f558566; a later one may have more.
const FILES: usize = 313;

fn suite() -> Option<Vec<Selected>> {
    let Some(path) = std::env::var_os("RING3_PUBLIC_SUITE").map(PathBuf::from) else {
        println!("skipped: RING3_PUBLIC_SUITE is not set");
        return None;
    };
    let tests = path.join("tests");
    let path = if tests.is_dir() { tests } else { path };
    let (cases, errors) = select::load(&[path], &Filter::default()).unwrap();
    assert!(errors.is_empty(), "every file can be read: {errors:#?}");
    assert!(cases.len() >= FILES, "{}", cases.len());
    Some(cases)
}

/// What every file came to: failures, and names of those that were skipped.
fn run<'c>(engine: &EngineName, cases: &'c [Selected]) -> (Vec<String>, BTreeSet<&'c str>) {
    let column = Column::run(engine, cases);
    let (mut failed, mut skipped) = (Vec::new(), BTreeSet::new());
    for (verdict, Selected { case, .. }) in column.verdicts.as_deref().unwrap().iter().zip(cases) {
        match verdict {
            Verdict::Pass => {}
            Verdict::Fail { .. } => failed.push(format!("{}: {verdict:?}", case.name)),
            Verdict::Skip { .. } => {
                skipped.insert(case.name.as_str());
            }
        }
    }
    println!("{engine}: {:?}", column.tally());
    (failed, skipped)
}

fn runs_all(engine: &EngineName) {
    let Some(cases) = suite() else { return };
    let (failed, skipped) = run(engine, &cases);
    assert!(failed.is_empty() && skipped.is_empty(), "{failed:#?} {skipped:?}");
}

fn runs_what_linux_accepts(engine: &EngineName) {
    let Some(cases) = suite() else { return };
    let (failed, skipped) = run(engine, &cases);
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(skipped, public::refused().collect::<BTreeSet<_>>());
}

#[test]
fn on_engines_without_a_verifier() {
    runs_all(&EngineName::Checked);
    runs_all(&EngineName::Eval);
}

#[test]
fn on_the_interpreter() {
    runs_what_linux_accepts(&EngineName::Interp);
}

#[test]
fn on_the_jit() {
    if cfg!(all(target_arch = "x86_64", unix)) {
        runs_what_linux_accepts(&EngineName::JitX64);
    } else {
        println!("skipped: no JIT for this machine");
    }
}

#[test]
fn through_the_plugin() {
    let plugin = |option: &str| EngineName::Plugin(format!("{} {option}", env!("CARGO_BIN_EXE_ring3-plugin")));
    runs_all(&plugin("--interpret"));
    if cfg!(all(target_arch = "x86_64", unix)) {
        runs_what_linux_accepts(&plugin("--jit"));
    }
}

/// The table is what the kernel says, too.
#[test]
fn on_the_kernel() {
    let Some(cases) = suite() else { return };
    if let Err(reason) = ring3_conformance::engine::open(&EngineName::Kernel) {
        println!("skipped: {reason}");
        return;
    }
    let (failed, skipped) = run(&EngineName::Kernel, &cases);
    assert!(failed.is_empty(), "{failed:#?}");
    // Helper 5 of Linux is another one.
    assert_eq!(skipped, public::refused().chain(["call_unwind_fail"]).collect::<BTreeSet<_>>());
}
