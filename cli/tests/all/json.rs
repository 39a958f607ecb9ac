//! `cli/JSON.md` is what is written: its tables have just the fields that there are.

use std::collections::BTreeSet;

use crate::common::words;
use serde_json::Value;

/// The fields of the table under a heading.
fn documented(heading: &str) -> BTreeSet<String> {
    let text = include_str!("../../JSON.md");
    let part = text.split("\n## ").find(|part| part.starts_with(heading)).unwrap_or_else(|| panic!("no {heading}"));
    let field = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    part.lines().filter_map(field).collect()
}

fn rows(line: &str) -> Vec<Value> {
    let ran = words(line);
    assert!(ran.code.is_some() && !ran.stdout.is_empty(), "{line}: {ran:?}");
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn fields(of: &Value) -> BTreeSet<String> {
    of.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn every_field_is_documented_and_there() {
    let plain = rows("verify -o json drop_icmp.bpf.o errors/unchecked_lookup.bpf.o errors/bad_section.bpf.o");
    let old = rows("verify --kernel 5.10 -o json loop.bpf.o");
    let all: BTreeSet<String> = plain.iter().chain(&old).flat_map(fields).collect();
    assert_eq!(all, documented("`ring3 verify -o json`"));
    let found = plain.iter().map(|row| &row["diagnosis"]).find(|found| found.is_object()).unwrap();
    assert_eq!(fields(found), documented("`diagnosis`"));
    assert_eq!(fields(&found["at"]), documented("A place"));
    assert_eq!(fields(&found["path"][0]["at"]), documented("A place"));
    assert_eq!(fields(&rows("verify --kernel all -o json loop.bpf.o")[0]), documented("`ring3 verify --kernel all"));
    let features = rows("feature -o json");
    assert_eq!(fields(&features[0]), documented("`ring3 feature"));
    let count = |kind: &str| features.iter().filter(|row| row["kind"] == kind).count();
    assert_eq!((count("helper"), count("map type") > 30, count("program type") > 30), (211, true, true));
    let lookup = features.iter().find(|row| row["name"] == "bpf_map_lookup_elem").unwrap();
    assert_eq!((lookup["where"].as_str(), lookup["since"].as_str()), (Some("native"), Some("3.19")));
    // What is left to kernels says why.
    for row in features.iter().filter(|row| row["kind"] == "helper") {
        assert_eq!(row["where"] == "kernel only", row["why"].is_string(), "{row}");
    }
    assert_eq!(fields(&rows("explain -o json R3-3001")[0]), documented("`ring3 explain"));
}
