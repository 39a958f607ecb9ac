//! The suite of ring3 on every engine: nothing fails, and nothing is skipped that is not in the table.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ring3_conformance::coverage::CpuVersion;
use ring3_conformance::report::Column;
use ring3_conformance::select::{self, Filter};
use ring3_conformance::{EngineName, Selected, Verdict, coverage};
use ring3_isa::Kind;

/// Engine, how many cases, and why they are skipped there.
const SKIPS: &str = include_str!("skips.tsv");

fn suite() -> Vec<Selected> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/suite"));
    let (cases, errors) = select::load(&[path], &Filter::default()).unwrap();
    assert!(errors.is_empty(), "{errors:#?}");
    assert!(cases.len() > 2000, "{} cases", cases.len());
    cases
}

/// The rows of the table for an engine.
fn allowed(engine: &EngineName) -> Vec<(usize, &'static str)> {
    let rows = SKIPS.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut cells = line.splitn(3, '\t');
        (cells.next().unwrap(), cells.next().unwrap().parse().unwrap(), cells.next().unwrap())
    });
    rows.filter(|(name, ..)| *name == engine.to_string()).map(|(_, count, reason)| (count, reason)).collect()
}

fn failures(column: &Column, cases: &[Selected]) -> Vec<String> {
    let verdicts = column.verdicts.as_deref().unwrap().iter().zip(cases);
    let failed = verdicts.filter(|(verdict, _)| matches!(verdict, Verdict::Fail { .. }));
    failed.map(|(verdict, selected)| format!("{}: {verdict:?}", selected.path.display())).collect()
}

fn passes(engine: EngineName) {
    let cases = suite();
    let column = Column::run(&engine, &cases);
    if let Err(reason) = &column.verdicts {
        let optional = matches!(engine, EngineName::Kernel | EngineName::JitX64 | EngineName::JitArm64);
        assert!(optional, "{engine}: {reason}");
        println!("skipped: {engine}: {reason}");
        return;
    }
    let failed = failures(&column, &cases);
    assert!(failed.is_empty(), "{} failures on {engine}:\n{}", failed.len(), failed.join("\n"));
    let skips = column.skips(&cases);
    for (reason, names) in &skips {
        println!("{} skipped on {engine}: {reason}: {}", names.len(), names.join(" "));
    }
    let mut skips: Vec<(usize, &str)> = skips.iter().map(|(reason, names)| (names.len(), *reason)).collect();
    let mut expected = allowed(&engine);
    skips.sort_unstable();
    expected.sort_unstable();
    let table: Vec<String> = skips.iter().map(|(count, reason)| format!("{engine}\t{count}\t{reason}")).collect();
    assert_eq!(skips, expected, "conformance/tests/skips.tsv should have:\n{}\n", table.join("\n"));
}

#[test]
fn on_the_checked_interpreter() {
    passes(EngineName::Checked);
}

#[test]
fn on_the_interpreter() {
    passes(EngineName::Interp);
}

#[test]
fn on_the_x64_jit() {
    passes(EngineName::JitX64);
}

#[test]
fn on_the_arm64_jit() {
    passes(EngineName::JitArm64);
}

#[test]
fn on_the_kernel() {
    passes(EngineName::Kernel);
}

#[test]
fn on_the_reference_interpreter() {
    passes(EngineName::Eval);
}

#[test]
fn every_kind_of_instruction_has_a_case() {
    let cases = suite();
    let uncovered = coverage::unused(cases.iter().flat_map(|selected| &selected.kinds));
    assert!(uncovered.is_empty(), "{uncovered:?}");
}

/// Names are what tables and messages call a case by.
#[test]
fn every_case_has_a_name_of_its_own_and_says_what_it_shows() {
    let cases = suite();
    let mut seen = BTreeSet::new();
    for Selected { path, case, .. } in &cases {
        assert!(!case.about.is_empty(), "{}", path.display());
        assert!(seen.insert((path.parent(), &case.name)), "{}", path.display());
    }
}

/// Where rbpf 0.4 does not do what the RFC says, or what these cases need.
#[cfg(feature = "rbpf")]
const PEER_DIFFERS: &[&str] = &[
    // Modulo zero on 32 bits leaves the upper half.
    "mod32-imm-by-zero",
    "mod32-reg-by-zero",
    "mod32-reg-by-zero-in-low-half",
    // Immediates are not sign-extended for unsigned comparisons on 64 bits.
    "jeq64-imm-imm-sign-extends",
    "jeq64-imm-int-min",
    "jge64-imm-imm-sign-extends",
    "jge64-imm-int-min",
    "jge64-imm-negative-one-less",
    "jgt64-imm-negative-one-less",
    "jle64-imm-negative-one-less",
    "jlt64-imm-imm-sign-extends",
    "jlt64-imm-int-min",
    "jlt64-imm-negative-one-less",
    "jne64-imm-imm-sign-extends",
    "jne64-imm-int-min",
    // Jumps of 32767 panic.
    "conditional-furthest",
    "ja-forward-furthest",
    // There are no 8 stacks of 512 bytes.
    "nested-8-stacks",
    // Helper 4 reads memory at addresses, which takes `unsafe` code.
    "pointer-argument",
    "pointer-argument-differs",
];

/// A runtime that shares no code with ring3 gives the results that the cases expect, as far as it has the instructions: neither those
/// of the generation v4 nor atomic ones. Where it differs, the RFC decided.
#[cfg(feature = "rbpf")]
#[test]
fn a_peer_agrees() {
    let atomic = [ring3_isa::Group::Atomic32, ring3_isa::Group::Atomic64];
    let mut cases = suite();
    cases.retain(|Selected { case, kinds, .. }| {
        // What must be refused says nothing about values.
        let value = matches!(case.expect, ring3_conformance::format::Expect::Result(_));
        let had = |kind: &Kind| CpuVersion::of(*kind) < CpuVersion::V4 && !atomic.contains(&kind.group());
        value && kinds.iter().all(had)
    });
    let column = Column::run(&EngineName::Rbpf, &cases);
    let names = column.verdicts.as_deref().unwrap().iter().zip(&cases).filter_map(|(verdict, selected)| {
        matches!(verdict, Verdict::Fail { .. }).then_some(selected.case.name.as_str())
    });
    let differs: BTreeSet<&str> = names.collect();
    assert_eq!(differs, PEER_DIFFERS.iter().copied().collect());
    assert!(column.tally().pass > 1000, "{:?}", column.tally());
}
