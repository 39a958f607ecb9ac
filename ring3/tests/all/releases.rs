//! Verdicts about other releases than 6.18, held to what kernels of these releases said (`conformance/kernel/facts`).

use std::collections::BTreeSet;

use crate::common::object;
use ring3::platform::since::helper_in;
use ring3::{Engine, Error, KernelVersion, LogLevel, Object, Options, ProgType};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../conformance/kernel/facts");

/// The lines of a kind, by release.
fn facts(kind: &str) -> Vec<(KernelVersion, Vec<String>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(FOLDER).unwrap() {
        let path = entry.unwrap().path();
        let release: KernelVersion = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
        found.extend(lines.filter(|fields| fields[0] == kind).map(|fields| (release, fields)));
    }
    found
}

fn kernel_types() -> ring3::btf::Btf {
    let object = Object::parse("kernel_types.bpf.o", include_bytes!("../data/kernel_types.bpf.o")).unwrap();
    ring3::btf::Btf::clone(object.btf().unwrap())
}

#[test]
fn no_release_is_said_to_accept_what_it_refused() {
    let (mut compared, mut stricter, mut wrong) = (0, BTreeSet::new(), Vec::new());
    for (release, row) in facts("program") {
        let [_, file, name, verdict, ..] = &row[..] else { panic!("{row:?}") };
        // A million instructions each, and no release differs.
        if !matches!(verdict.as_str(), "accept" | "reject") || name == "loop_to_counter" {
            continue;
        }
        let engine = Engine::new().btf(kernel_types()).kernel(release);
        let ours = match engine.verify(&object(file), name, &Options::default(), LogLevel(0)) {
            Ok(_) => "accept",
            Err(Error::Rejected { .. }) => "reject",
            Err(_) => continue,
        };
        compared += 1;
        match (verdict.as_str(), ours) {
            ("reject", "accept") => wrong.push(format!("{release}: {file} {name}: {}", row[6])),
            ("accept", "reject") => {
                stricter.insert(format!("{release} {name}"));
            }
            _ => {}
        }
    }
    assert!(compared > 500, "{compared}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    // What ring3 refuses although such a kernel took it.
    // Debian's 5.10 has the loads at variable offsets of the stack that mainline has since 5.12.
    assert_eq!(stricter, BTreeSet::from(["5.10 nested".to_owned()]));
}

#[test]
fn helpers_are_there_for_a_program_type_since_the_table_says() {
    let contexts: Vec<_> = facts("context");
    let kinds = |release: KernelVersion| -> Vec<String> {
        contexts.iter().filter(|(of, _)| *of == release).map(|(_, row)| row[2].clone()).collect()
    };
    let mut wrong = Vec::new();
    for (release, row) in facts("helper") {
        let id: u32 = row[1].parse().unwrap();
        for (kind, mark) in kinds(release).iter().zip(row[3].chars()) {
            let kind = ProgType::from_name(kind).unwrap();
            // A context that may not call it may be of a type that may elsewhere: only what may is compared.
            let since = helper_in(id, kind);
            if mark == '+' && since.is_none_or(|since| since > release) {
                wrong.push(format!("{release}: {} in {}: {since:?}", row[2], kind.name()));
            }
        }
    }
    // Some contexts of a type got a helper later than others: then the latest counts.
    wrong.dedup();
    assert!(wrong.len() < 40, "{wrong:#?}");
}
