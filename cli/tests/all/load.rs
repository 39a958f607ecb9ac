//! `ring3 load`, against the running kernel; skipped where bpf(2) cannot be used.

use std::io::BufRead;
use std::process::{Command, Stdio};

use crate::common::{example, ring3, words};

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

/// Runs `ip` in a network namespace, which it makes with a veth pair `ring3c`, `ring3d` in it; gone when dropped.
struct Namespace(String);

impl Namespace {
    fn new() -> Option<Namespace> {
        let name = format!("ring3-cli-{}", std::process::id());
        let ip = |args: &str| Command::new("ip").args(args.split(' ')).status().is_ok_and(|status| status.success());
        if !ip(&format!("netns add {name}")) {
            return None;
        }
        let namespace = Namespace(name.clone());
        let made = ip(&format!("-n {name} link add ring3c type veth peer name ring3d"));
        let up = made && ip(&format!("-n {name} link set ring3c up")) && ip(&format!("-n {name} link set ring3d up"));
        up.then_some(namespace)
    }

    /// A command within.
    fn run(&self, program: &str, args: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]).args(args.split(' '));
        command.current_dir(example("bpf"));
        command
    }

    /// What `ip link` says of the interface.
    fn link(&self) -> String {
        let out = self.run("ip", "-d link show ring3c").output().unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

#[test]
fn programs_are_attached_where_it_is_said_and_nowhere_else() {
    if !kernel() {
        return;
    }
    let Some(namespace) = Namespace::new() else {
        println!("skipped: no network namespaces or veth interfaces");
        return;
    };
    let ring3 = env!("CARGO_BIN_EXE_ring3");
    let clean = namespace.link();
    assert!(!clean.contains("prog/xdp"), "{clean}");
    // Refused: no such interface, no such program, a way that is none; nothing stays.
    for (args, words) in [
        ("load drop_icmp.bpf.o --attach nowhere0", "interface 'nowhere0'"),
        ("load drop_icmp.bpf.o --attach none=ring3c", "there is no program 'none'"),
        ("load drop_icmp.bpf.o --attach ring3c:sideways", "neither generic nor native"),
        ("load drop_icmp.bpf.o --attach drop_icmp", "say the interface"),
    ] {
        let out = namespace.run(ring3, args).output().unwrap();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.code() == Some(2) && text.contains(words), "{args}: {text}");
        assert_eq!(namespace.link(), clean, "{args}");
    }
    let args = "load drop_icmp.bpf.o --attach ring3c:generic";
    let mut child = namespace.run(ring3, args).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("attached drop_icmp to ring3c:generic")));
    assert!(namespace.link().contains("prog/xdp"), "{}", namespace.link());
    child.kill().unwrap();
    child.wait().unwrap();
    // The kernel detaches when the last descriptor is closed, a moment later.
    let gone = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        namespace.link() == clean
    });
    assert!(gone, "{}", namespace.link());
    let out = namespace.run(ring3, "load drop_icmp.bpf.o --attach ring3c --seconds 0").output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{out:?}");
}
