//! `ring3 load`, against the running kernel; skipped where bpf(2) cannot be used.

mod common;

use common::{ring3, words};

/// False where the kernel cannot be asked: then a line says why, and the command says it, too.
fn kernel() -> bool {
    let ran = words("load hello.bpf.o");
    if ran.code == Some(0) {
        return true;
    }
    println!("skipped: {}", ran.stderr);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.starts_with("ring3: bpf(2) cannot be used: "), "{}", ran.stderr);
    false
}

#[test]
fn programs_of_objects_are_loaded() {
    if !kernel() {
        return;
    }
    let ran = words("load lb.bpf.o --log-level 4");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("PROGRAM"), "{ran:?}");
    assert!(ran.stdout.contains("| processed "), "{ran:?}");
    let ran = words("load maps.bpf.o -o json");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for row in ran.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()) {
        assert_eq!(row["file"], "maps.bpf.o");
        assert!(row["id"].as_u64().unwrap() > 0 && row["xlated_bytes"].as_u64().unwrap() > 0);
    }
    assert_eq!(words("load maps.bpf.o --program none").code, Some(2));
}

#[test]
fn what_the_kernel_rejects_has_its_log() {
    if !kernel() {
        return;
    }
    let ran = words("load errors/unchecked_lookup.bpf.o");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.contains("R0 invalid mem access 'map_value_or_null'"), "{ran:?}");
    assert!(ran.stderr.contains("is rejected by the kernel: EACCES (13)"), "{ran:?}");
}

#[test]
fn pins_stay() {
    if !kernel() {
        return;
    }
    let folder = format!("/sys/fs/bpf/ring3-load-{}", std::process::id());
    let ran = ring3(["load", "flows.bpf.o", "--pin", &folder]);
    if !std::path::Path::new(&folder).exists() {
        println!("skipped: no BPF file system: {}", ran.stderr);
        assert_eq!(ran.code, Some(2));
        return;
    }
    let pins: Vec<&str> = ran.stdout.lines().filter_map(|line| line.strip_prefix("pinned ")).collect();
    assert!(pins.len() >= 2, "{ran:?}");
    // Twice the same is an error, and leaves what is there.
    let again = ring3(["load", "flows.bpf.o", "--pin", &folder]);
    assert!(again.code == Some(2) && again.stderr.contains("EEXIST"), "{again:?}");
    for pin in pins {
        std::fs::remove_file(pin).unwrap();
    }
    std::fs::remove_dir(format!("{folder}/maps")).unwrap();
    std::fs::remove_dir(folder).unwrap();
    // Outside of a BPF file system nothing can be pinned, and nothing is left.
    let elsewhere = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-bpf-fs");
    let ran = ring3(["load", "flows.bpf.o", "--pin", elsewhere.to_str().unwrap()]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(!elsewhere.exists());
}

/// What `ring3 run` says of an example on an engine, without times and without what the kernel does not give back.
fn run(engine: &str, arguments: &str) -> Vec<serde_json::Value> {
    let ran = words(&format!("run --engine {engine} -o json {arguments}"));
    assert_eq!(ran.code, Some(0), "{engine} {arguments}: {ran:?}");
    let mut rows: Vec<serde_json::Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for row in &mut rows {
        let row = row.as_object_mut().unwrap();
        for field in ["duration_ns", "engine", "trace", "redirect", "clones"] {
            row.remove(field);
        }
        // The kernel's hash tables have an order of their own.
        for map in row.get_mut("maps").and_then(|maps| maps.as_array_mut()).into_iter().flatten() {
            let entries = map["entries"].as_array_mut().unwrap();
            entries.sort_by_key(|entry| entry["key"].to_string());
        }
    }
    rows
}

#[test]
fn the_kernel_is_an_engine() {
    if !kernel() {
        return;
    }
    for arguments in [
        "drop_icmp.bpf.o --program drop_icmp --pcap ../captures/mixed.pcap",
        "flows.bpf.o --pcap ../captures/mixed.pcap",
        "lb.bpf.o --pcap ../captures/lb.pcap --set pick=0",
        "tail.bpf.o --program dispatch --pcap ../captures/mixed.pcap",
        "tcp_options.bpf.o --program tcp_options --pcap ../captures/tcp_options.pcap",
        "socket_filter.bpf.o --program keep --pcap ../captures/ping.pcap",
    ] {
        let (ours, kernels) = (run("interp", arguments), run("kernel", arguments));
        assert_eq!(ours.len(), kernels.len(), "{arguments}");
        for (ours, kernels) in ours.iter().zip(&kernels) {
            assert_eq!(ours, kernels, "{arguments}");
        }
    }
    let ran = words("run --engine kernel openat.bpf.o --ctx openat.bpf.c");
    assert!(ran.code == Some(2) && ran.stdout.contains("BPF_PROG_TEST_RUN: ENOTSUPP (524)"), "{ran:?}");
}
