//! `ring3 parity`, beside the running kernel; what is about verdicts is skipped where bpf(2) cannot be used.

use crate::common::{Ran, ring3};
use serde_json::Value;

/// The kernel whose rules ring3 judges by.
const RELEASE: &str = "6.18.";

/// Every object of the examples that a subfolder or none has.
fn objects(folder: &str) -> Vec<String> {
    let path = crate::common::example("bpf").join(folder);
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.filter(|name| name.ends_with(".o")).map(|n| format!("{folder}{n}")).collect();
    names.sort();
    names
}

fn parity(arguments: &[&str], objects: &[String]) -> Ran {
    ring3(["parity"].iter().chain(arguments).copied().chain(objects.iter().map(String::as_str)))
}

/// Can verdicts be compared here?
fn comparable(ran: &Ran) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let comparable = release.starts_with(RELEASE) && !ran.stderr.contains("bpf(2) cannot be used");
    if !comparable {
        println!("skipped: no Linux {RELEASE} with bpf(2) here: {}", ran.stderr);
    }
    comparable
}

#[test]
fn examples_have_the_kernels_verdicts() {
    let all = [objects(""), objects("errors/"), objects("variants/")].concat();
    let ran = parity(&["-o", "json"], &all);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let programs = report["programs"].as_array().unwrap();
    let count = |class: &str| report["totals"][class].as_u64().unwrap();
    assert_eq!(count("programs") as usize, programs.len());
    assert!(programs.len() > 70);
    if !comparable(&ran) {
        return;
    }
    let (agree, same) = (count("agree"), count("same_message"));
    assert_eq!((count("false_accept"), count("false_reject"), count("stopped")), (0, 0, 0));
    assert!(agree > 65 && count("both_reject") - same <= 1, "{agree} agree, {same} messages are the same");
    let lb = programs.iter().find(|row| row["program"] == "lb").unwrap();
    assert_eq!((&lb["kernel"], &lb["ours"], &lb["class"]), (&"accept".into(), &"accept".into(), &"both_accept".into()));
    assert_eq!(lb["kernel_processed"], lb["ours_processed"]);
    assert!((0.9..1.1).contains(&report["processed"]["geometric_mean"].as_f64().unwrap()));
}

#[test]
fn nothing_is_said_of_programs_that_are_not_there() {
    let ran = ring3(["parity", "/nothing/here.bpf.o"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("/nothing/here.bpf.o"), "{}", ran.stderr);
}

#[test]
fn forms_and_filters() {
    let objects = ["lb.bpf.o", "errors/instructions.bpf.o", "errors/bad_section.bpf.o"].map(String::from);
    let ran = parity(&["--programs", "lb,pointer_*", "-o", "csv"], &objects);
    assert_eq!(ran.code, Some(0));
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines[0].starts_with("file,program,class,kernel,ours,same_message,"), "{}", lines[0]);
    assert_eq!(lines.len(), 5, "{lines:#?}");
    assert!(lines[1].starts_with("lb.bpf.o,lb,"));
    let ran = parity(&[], &objects);
    assert!(ran.stdout.contains("     0 FALSE ACCEPTS"), "{}", ran.stdout);
    assert!(ran.stdout.contains("     1 not read or linked by ring3"), "{}", ran.stdout);
    assert_eq!(parity(&[], &["no_such.bpf.o".to_owned()]).code, Some(2));
}

#[test]
fn engines_and_kernel_do_the_same() {
    let objects = [
        "drop_icmp",
        "flows",
        "hello_func",
        "lb",
        "loop",
        "maps",
        "openat",
        "ping",
        "socket_filter",
        "subprogs",
        "tail",
    ];
    let objects: Vec<String> = objects.iter().map(|name| format!("{name}.bpf.o")).collect();
    let capture = crate::common::example("captures/mixed.pcap");
    let ran = parity(&["--run", "--pcap", capture.to_str().unwrap(), "--data", "00", "-o", "json"], &objects);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &report["totals"]["differences"]), (Some(0), &0.into()), "{}", ran.stdout);
    let programs = report["programs"].as_array().unwrap();
    let of = |name: &str| programs.iter().find(|row| row["program"] == name).unwrap();
    assert!(programs.iter().all(|row| row["inputs"].as_u64().unwrap() > 5), "{}", ran.stdout);
    assert_eq!((&of("lb")["depends"][0], &of("openat")["depends"][0]), (&"chance".into(), &"process".into()));
    assert!(of("drop_icmp")["refused"].as_u64().unwrap() >= 4);
    if comparable(&ran) {
        assert_eq!(of("drop_icmp")["engines"][0], "kernel");
        assert_eq!(of("keep")["engines"][0], "kernel");
        assert!(of("drop_icmp")["fragments"].as_u64().unwrap() > 0);
    }
    assert_eq!(parity(&["--run", "--data", "0g"], &objects[..1]).code, Some(2));
    assert_eq!(parity(&["--data", "00"], &objects[..1]).code, Some(2));
}
