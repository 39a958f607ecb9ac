//! The contract of `ring3 run --check-states` and `ring3 verify --no-prune`.

use crate::common::words;
use serde_json::Value;

const CAPTURE: &str = "--pcap ../captures/mixed.pcap";

fn last_json(line: &str) -> (Option<i32>, Value) {
    let ran = words(line);
    let last = ran.stdout.lines().last().unwrap_or_else(|| panic!("{line} prints nothing: {}", ran.stderr));
    (ran.code, serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {last}")))
}

#[test]
fn runs_are_compared_with_states() {
    let ran = words(&format!("run drop_icmp.bpf.o {CAPTURE} --check-states"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stdout.starts_with("drop_icmp (xdp): accepted after 30 instructions, runs by states\n"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains(" registers and stack slots compared, all inside of the verifier's states\n"),
        "{}",
        ran.stdout
    );
    // What the program does is the same.
    assert!(ran.stdout.contains("24 packets: 5 × XDP_DROP, 19 × XDP_PASS; "), "{}", ran.stdout);
}

#[test]
fn what_was_compared_is_in_the_json() {
    let (code, last) = last_json(&format!("run drop_icmp.bpf.o {CAPTURE} --check-states -o json"));
    assert_eq!(code, Some(0));
    let states = &last["states"];
    let keys: Vec<&String> = states.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["instructions", "values", "skipped", "violations"]);
    assert!(
        states["instructions"].as_u64().unwrap() > 24 && states["values"].as_u64() > states["instructions"].as_u64()
    );
    assert_eq!(states["violations"], serde_json::json!([]));
    let (_, other) = last_json(&format!("run drop_icmp.bpf.o {CAPTURE} -o json"));
    assert_eq!(other.get("states"), None, "who does not ask gets none");
}

#[test]
fn many_runs_are_compared() {
    let once = last_json("run flows.bpf.o --pcap ../captures/mixed.pcap --check-states -o json").1;
    let often = last_json("run flows.bpf.o --pcap ../captures/mixed.pcap --check-states --repeat 3 -o json").1;
    assert!(often["states"]["instructions"].as_u64() > once["states"]["instructions"].as_u64());
    assert_eq!(often["states"]["violations"], serde_json::json!([]));
}

#[test]
fn states_are_refused_where_they_make_no_sense() {
    let both = words(&format!("run drop_icmp.bpf.o {CAPTURE} --check-states --engine interp"));
    assert_eq!(both.code, Some(2), "{both:?}");
    assert!(both.stderr.contains("--check-states") && both.stderr.contains("--engine"), "{}", both.stderr);
    let rejected = words("run errors/map_value_off_by_one.bpf.o --check-states --packet 00");
    assert_eq!(rejected.code, Some(1), "{rejected:?}");
    assert!(
        rejected.stderr.contains("is rejected: R2 max value is outside of the allowed memory range (EACCES)"),
        "{}",
        rejected.stderr
    );
}

#[test]
fn verdicts_are_the_same_without_pruning() {
    let plain = words("verify drop_icmp.bpf.o lb.bpf.o");
    let beside = words("verify drop_icmp.bpf.o lb.bpf.o --no-prune");
    assert_eq!((plain.code, beside.code), (Some(0), Some(0)), "{beside:?}");
    assert!(!beside.stdout.contains("without pruning"), "agreement needs no words: {}", beside.stdout);
    let rejected = words("verify errors/unchecked_lookup.bpf.o --no-prune -o json");
    let row: Value = serde_json::from_str(rejected.stdout.lines().next().unwrap()).unwrap();
    assert_eq!((rejected.code, &row["verdict"]), (Some(1), &Value::from("reject")));
    assert_eq!(row["message"], "R0 invalid mem access 'map_value_or_null'");
}

#[test]
fn a_budget_that_does_not_last_is_told() {
    let (code, row) = last_json("verify loop.bpf.o --program loop_sum --no-prune -o json");
    assert_eq!((code, &row["verdict"]), (Some(0), &Value::from("accept")), "it says nothing against the verdict");
    let message = row["message"].as_str().unwrap();
    assert!(message.starts_with("not decided without pruning in "), "{message}");
}

#[test]
fn no_prune_is_refused_where_it_would_be_ignored() {
    for (with, named) in [("--profile", "--profile"), ("--kernel all", "--kernel all")] {
        let ran = words(&format!("verify drop_icmp.bpf.o --no-prune {with}"));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains("--no-prune") && ran.stderr.contains(named), "{}", ran.stderr);
    }
}
