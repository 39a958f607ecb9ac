//! Each known mistake, planted in the verifier, is found: by the verdict of a case, or by an oracle on what is then accepted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring3_fuzz::case::{Case, Expect};
use ring3_fuzz::check_states;
use ring3_platform::Target;
use ring3_verifier::planted::Bug;
use ring3_verifier::reference::{BUDGET, agree, reference};
use ring3_verifier::{LogLevel, verify_planted};

fn cases() -> Vec<(String, Case)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "bpf"));
    files.sort();
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), Case::parse(&std::fs::read_to_string(path).unwrap()).unwrap())).collect()
}

/// How a case finds a mistake, if it does.
fn found(case: &Case, bug: Bug) -> Option<&'static str> {
    let target = Arc::new(Target::default());
    let verdict = verify_planted(case.program.clone(), target.clone(), bug);
    match (&verdict, &case.expect) {
        (Ok(_), Expect::Rejected(_)) => return Some("verdict"),
        (Err(_), Expect::Accepted) => return Some("verdict"),
        (Err(rejection), Expect::Rejected(why)) if !rejection.message.contains(why.as_str()) => return Some("words"),
        (Ok(_), Expect::Accepted) | (Err(_), Expect::Rejected(_)) => {}
    }
    let other = reference(case.program.clone(), target, LogLevel(0), BUDGET);
    if agree(&case.program, &verdict, &other).is_err() {
        return Some("no-prune");
    }
    let report = check_states(Arc::new(verdict.ok()?), &[vec![0x35; 64], vec![0; 14]]);
    match report {
        Ok(report) => (!report.violations.is_empty()).then_some("states"),
        Err(failure) => (!failure.is_inconclusive()).then_some("states"),
    }
}

#[test]
fn every_planted_mistake_is_found() {
    let cases = cases();
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        let finders: Vec<String> =
            cases.iter().filter_map(|(name, case)| Some(format!("{name} ({})", found(case, *bug)?))).collect();
        println!("{bug:?}: {}", finders.join(", "));
        if finders.is_empty() {
            missed.push(*bug);
        }
    }
    assert!(missed.is_empty(), "nothing finds {missed:?}");
}
