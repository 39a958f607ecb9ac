//! Steps of the domain proved for all numbers of 64 bits, where python3 has z3: what `domain_sound` tries out for many. The formulas
//! are written down once more in `domain_z3.py`, so a proof is about the rule, and the other tests are about its code.

use std::process::Command;

#[test]
fn rules_are_proved() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/domain_z3.py");
    let has = |python: &&str| {
        Command::new(python).args(["-c", "import z3"]).output().is_ok_and(|output| output.status.success())
    };
    // The first of PATH may be one that the system's packages do not reach.
    let Some(python) = ["python3", "/usr/bin/python3"].into_iter().find(has) else {
        return println!("skipped: python3 has no z3 here");
    };
    let output = Command::new(python).arg(script).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("refuted"), "{text}");
    assert!(text.lines().filter(|line| line.starts_with("proved")).count() >= 6, "{text}");
}
