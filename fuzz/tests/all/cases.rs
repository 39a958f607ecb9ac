//! Programs of `fuzz/cases`: known mistakes of verifiers, and what fuzzing found. Each gets its verdict, and what is accepted holds
//! against every oracle.

use std::path::{Path, PathBuf};

use ring3_fuzz::case::{Case, Expect};
use ring3_fuzz::targets::{Fuzzer, Subject, Target};
use ring3_platform::{ProgType, Target as Rules};
use ring3_verifier::{LogLevel, verify};

fn cases() -> Vec<(String, Case)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let case = Case::parse(&std::fs::read_to_string(&path).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        (name, case)
    };
    files.into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "bpf")).map(read).collect()
}

#[test]
fn cases_have_their_verdicts() {
    let mut wrong = Vec::new();
    for (name, case) in cases() {
        let verdict = verify(case.program.clone(), Rules::default().into(), LogLevel(0));
        let same = match (&verdict, &case.expect) {
            (Ok(_), Expect::Accepted) => true,
            (Err(rejection), Expect::Rejected(why)) => rejection.message.contains(why.as_str()) && !why.is_empty(),
            (Ok(_), Expect::Rejected(_)) | (Err(_), Expect::Accepted) => false,
        };
        if !same {
            let said = verdict.map_or_else(|r| format!("{} at {:?}", r.message, r.at), |_| "accepted".to_owned());
            wrong.push(format!("{name}: {said}, expected {:?}", case.expect));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn cases_hold_against_every_oracle() {
    let mut wrong = Vec::new();
    for (name, case) in cases() {
        let subject = Subject::new(case.program.clone(), case.program.kind == ProgType::Xdp);
        for target in [Target::States, Target::NoPrune, Target::Engines] {
            if let Err(what) = Fuzzer::default().judge(target, &subject) {
                wrong.push(format!("{name}: {}: {what}", target.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What Linux 6.18 says otherwise is said in the case.
#[test]
fn cases_are_judged_as_linux_does() {
    let (mut fuzzer, mut wrong) = (Fuzzer::default(), Vec::new());
    for (name, case) in cases() {
        let excused = case.comment.iter().any(|line| line.contains("Linux 6.18.44"));
        if let (false, Err(what)) = (excused, fuzzer.judge(Target::Kernel, &Subject::new(case.program, false))) {
            wrong.push(format!("{name}: {what}"));
        }
    }
    if let Some(why) = fuzzer.reached.skipped.keys().next() {
        println!("skipped: {why}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
