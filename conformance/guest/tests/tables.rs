//! What other kernels were found to have for BPF, beside the tables that say since when there is what.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ring3_guest::context::{Context, contexts};
use ring3_guest::facts::Facts;
use ring3_guest::probes::PROBES;
use ring3_guest::survey::RETURNED;
use ring3_isa::Code;
use ring3_platform::helpers::{Lookup, helper_since};
use ring3_platform::since::kfunc_since;
use ring3_platform::{KernelVersion, MapType, ProgType, Target, ctx, kfunc, return_range};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../kernel/facts");

/// Every table, by release.
fn tables() -> BTreeMap<KernelVersion, Facts> {
    let files = std::fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let version = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        (version, Facts::parse(&std::fs::read_to_string(path).unwrap()))
    };
    files.map(read).collect()
}

fn v6_18() -> Facts {
    tables().remove(&KernelVersion::V6_18).unwrap()
}

/// Kernels of Debian for clouds have no infrared.
fn is_configured(kind: ProgType) -> bool {
    kind != ProgType::LircMode2
}

#[test]
fn program_types_are_there_since_the_table_says() {
    let mut wrong = Vec::new();
    for (version, facts) in tables() {
        for row in facts.of("program_type") {
            let kind = ProgType::from_name(&row[0]).unwrap();
            let expected = if kind.since() <= version && is_configured(kind) { "yes" } else { "no" };
            if row[1] != expected {
                wrong.push(format!("{version}: {}: {}", row[0], row[1]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn map_types_are_there_since_the_table_says() {
    let mut wrong = Vec::new();
    for (version, facts) in tables() {
        for row in facts.of("map_type") {
            let kind = MapType::ALL.iter().find(|kind| kind.name() == row[0]).unwrap();
            if (row[1] == "yes") != (kind.since() <= version) {
                wrong.push(format!("{version}: {}: {}", row[0], row[1]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn attach_types_are_there_since_the_table_says() {
    let mut wrong = Vec::new();
    for (version, facts) in tables() {
        for (context, row) in contexts().iter().zip(facts.of("context")) {
            let (kind, attach) = (context.kind, context.attach);
            let since = attach.map_or(kind.since(), |attach| attach.since().max(kind.since()));
            // Before 5.14 nobody looked at the attach type of such a program, and before 5.13 the structure's first member was none
            // that a program can stand for.
            let is_special = matches!(kind, ProgType::SkReuseport | ProgType::StructOps);
            let is_special = is_special && version < KernelVersion::new(5, 14);
            if context.section.is_empty() && !context.sleepable && !is_special {
                let expected = since <= version && is_configured(kind);
                if (row[5] == "0") != expected {
                    wrong.push(format!("{version}: {row:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn helpers_are_there_since_the_table_says() {
    let mut wrong = Vec::new();
    for (version, facts) in tables() {
        for row in facts.of("helper") {
            let is_there = row[2].contains(['+', '-', 's']);
            let expected = row[0].parse().ok().and_then(helper_since).is_some_and(|since| since <= version);
            if is_there != expected {
                wrong.push(format!("{version}: {} {}: {}", row[0], row[1], row[2]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_release_is_said_to_have_a_function_that_it_lacks() {
    let (now, mut wrong) = (v6_18(), Vec::new());
    for (version, facts) in tables().into_iter().filter(|(version, _)| *version <= KernelVersion::V6_18) {
        for row in now.of("kfunc") {
            let is_there = facts.of("kfunc").iter().any(|older| older[0] == row[0]);
            if kfunc_since(&row[0]).is_some_and(|since| since <= version) && !is_there {
                wrong.push(format!("{version}: {}", row[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn small_programs_are_taken_since_the_probes_say() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (version, facts) in tables() {
        for row in facts.of("probe") {
            let probe = PROBES.iter().find(|probe| probe.name == row[0]).unwrap();
            seen += 1;
            if (row[1] == "accept") != (probe.since <= version) {
                wrong.push(format!("{version}: {row:?}"));
            }
        }
    }
    assert!(wrong.is_empty() && seen > 0, "{seen}: {wrong:#?}");
}

/// Contexts of a table with what it says of each.
fn answers<'a>(all: &'a [Context], row: &'a str) -> impl Iterator<Item = (&'a Context, char)> {
    all.iter().zip(row.chars()).filter(|(_, answer)| *answer != '.')
}

#[test]
fn programs_may_call_the_helpers_of_the_table() {
    let (facts, all, target) = (v6_18(), contexts(), Target::default());
    let mut wrong = Vec::new();
    for row in facts.of("helper") {
        for (context, answer) in answers(&all, &row[2]) {
            let program = context.program(Code::from_insns([]));
            let expected = match target.helper(&program, row[0].parse().unwrap()) {
                Lookup::Invalid => 'x',
                Lookup::NotForProgram => '-',
                Lookup::Found(proto) if proto.might_sleep && !context.sleepable => 's',
                Lookup::Found(_) => '+',
                // ring3 refuses it by name: nothing is claimed.
                Lookup::Unmodelled(_) => continue,
            };
            // What only some structures may call is not offered to any.
            let is_less = context.kind == ProgType::StructOps && (answer, expected) == ('+', '-');
            if answer != expected && !is_less {
                wrong.push(format!(
                    "{} {:?} {:?} {}: {answer}, the table has {expected}",
                    row[1], context.kind, context.attach, context.sleepable
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Functions for which more than the program's type decides, and what: the verifier refuses these by name.
const FINER: &[(&str, &str)] = &[
    ("bpf_kfree_skb", "only queueing disciplines"),
    ("bpf_qdisc_", "only queueing disciplines"),
    ("bpf_skb_get_hash", "only queueing disciplines"),
    ("bpf_session_", "only programs of sessions"),
    ("bpf_sock_destroy", "only iterators"),
    ("bpf_verify_pkcs7_signature", "the kernel's configuration: 6.18.44 has it not"),
    ("bpf_xdp_metadata_", "only programs of a device"),
];

#[test]
fn programs_may_call_the_functions_of_the_table() {
    let (facts, all) = (v6_18(), contexts());
    let mut wrong = Vec::new();
    for row in facts.of("kfunc").iter().filter(|row| !FINER.iter().any(|(name, _)| row[0].starts_with(name))) {
        let Some(known) = kfunc(&row[0]) else {
            wrong.push(format!("{}: not in the table", row[0]));
            continue;
        };
        let bad: Vec<String> = answers(&all, &row[2])
            .filter_map(|(context, answer)| {
                let expected = known.allows(context.kind)?;
                ((answer != '-') != expected).then(|| format!("{:?} {:?} {answer}", context.kind, context.attach))
            })
            .collect();
        if !bad.is_empty() {
            wrong.push(format!("{}: {bad:?}", row[0]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn programs_may_access_the_fields_of_the_table() {
    let (facts, all) = (v6_18(), contexts());
    let mut wrong = Vec::new();
    for row in facts.of("field") {
        let context = &all[row[0].parse::<usize>().unwrap()];
        let attach = context.kind.effective_attach(context.attach);
        let layout = ctx::layout(context.kind).unwrap();
        let (off, size) = (row[2].parse().unwrap(), row[3].parse().unwrap());
        let may = |write| layout.field_index(context.kind, attach, off, size, write).is_some();
        let expected = match (may(false), may(true)) {
            (true, true) => "rw",
            (true, false) => "r",
            (false, true) => "w",
            (false, false) => "-",
        };
        // Whether registers may be written depends on how the kernel is configured: 6.18.44 without function tracing refuses it.
        let is_less = context.kind == ProgType::Kprobe && (row[4].as_str(), expected) == ("rw", "r");
        if row[4] != expected && !is_less {
            wrong.push(format!("{:?} {attach:?}: {row:?}, the table has {expected}", context.kind));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn programs_may_return_what_the_table_says() {
    let (facts, all) = (v6_18(), contexts());
    let mut wrong = Vec::new();
    for row in facts.of("returns") {
        let context = &all[row[0].parse::<usize>().unwrap()];
        let range = return_range(context.kind, context.kind.effective_attach(context.attach));
        let expected = |value: i32| range.is_none_or(|(from, to)| (from..=to).contains(&value));
        let expected: String = RETURNED.map(|value| if expected(value) { '+' } else { '-' }).collect();
        if row[1] != expected {
            wrong.push(format!("{:?} {:?}: {}, the table has {expected}", context.kind, context.attach, row[1]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_examples_are_judged_as_the_running_6_18_judged_them() {
    let expected =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/expected/verdicts.tsv")).unwrap();
    let mut recorded = BTreeMap::new();
    for line in expected.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        recorded.insert((columns[0], columns[2]), (columns[3], columns[4].trim_start_matches('-'), columns[8]));
    }
    let facts = v6_18();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for row in facts.of("program").iter().filter(|row| row[2] != "open") {
        let Some((verdict, errno, message)) = recorded.get(&(row[0].as_str(), row[1].as_str())) else { continue };
        seen += 1;
        if (row[2].as_str(), row[3].as_str(), row[5].as_str()) != (*verdict, *errno, *message) {
            wrong.push(format!("{row:?}: {verdict} {errno} {message}"));
        }
    }
    assert!(wrong.is_empty() && seen > 60, "{seen}: {wrong:#?}");
}

#[test]
fn tables_are_of_the_contexts_that_are_asked_for() {
    for (version, facts) in tables() {
        let name = |context: &Context| {
            let attach = context.attach.map_or("-", |attach| attach.name());
            (context.kind.name().to_owned(), attach.to_owned(), context.sleepable)
        };
        let found: Vec<_> =
            facts.of("context").iter().map(|row| (row[1].clone(), row[2].clone(), row[3] == "sleepable")).collect();
        assert_eq!(found, contexts().iter().map(name).collect::<Vec<_>>(), "{version}");
        let release = facts.value("release").unwrap();
        assert!(release.starts_with(&format!("{version}.")), "{release}");
    }
}
