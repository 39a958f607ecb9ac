//! The contract of `ring3 run`, and of those dumps that need a proof.

use crate::common::{example, ring3, scratch, words};
use serde_json::Value;

const PING: &str = "02000000000b02000000000a08004500001c00014000400126de0a0000010a0000020800f7fd00010001";

fn json(line: &str) -> (Option<i32>, Vec<Value>) {
    let ran = words(line);
    let rows = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")));
    (ran.code, rows.collect())
}

/// The engines of this machine.
fn engines() -> &'static [&'static str] {
    if ring3::jit::Jit::is_supported() { &["interp", "jit"] } else { &["interp"] }
}

#[test]
fn json_of_a_capture() {
    for engine in engines() {
        let (code, rows) =
            json(&format!("run drop_icmp.bpf.o --pcap ../captures/mixed.pcap --engine {engine} -o json"));
        assert_eq!((code, rows.len()), (Some(0), 25));
        let names: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
        assert_eq!(names, ["packet", "retval", "retval_name", "data_out", "duration_ns", "engine"]);
        assert_eq!(rows[2]["packet"], 3);
        assert_eq!((&rows[2]["retval"], &rows[2]["retval_name"]), (&Value::from(1), &Value::from("XDP_DROP")));
        assert_eq!(rows[2]["engine"], *engine);
        assert!(rows[2]["data_out"].as_str().unwrap().starts_with("02000000000b02000000000a08004500003c"));
        let last = rows[24].as_object().unwrap();
        assert_eq!(last.keys().collect::<Vec<_>>(), ["maps", "trace", "events"]);
        assert_eq!(last["maps"][0]["name"], "drop_count");
        assert_eq!(last["maps"][0]["entries"][0], serde_json::json!({ "key": 0, "value": 5 }));
        assert_eq!(last["trace"].as_array().unwrap().len(), 5);
        assert_eq!(last["trace"][0], "dropped an ICMP packet");
    }
}

#[test]
fn changes_are_shown_byte_by_byte_and_written_to_a_capture() {
    let written = scratch("lb.out.pcap", b"");
    let path = written.to_str().unwrap();
    let ran = ring3(["run", "lb.bpf.o", "--pcap", "../captures/lb.pcap", "--set", "pick=1", "--write-pcap", path]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("XDP_TX (3)"), "{}", ran.stdout);
    assert!(ran.stdout.contains("5 bytes changed\n                  0x0005  05 -> 03\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("8 packets: 1 × XDP_ABORTED, 3 × XDP_PASS, 4 × XDP_TX; "), "{}", ran.stdout);
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 100), "{}", ran.stdout);
    // The aborted one is not there; the others are packets again.
    let (code, rows) = json(&format!("run drop_icmp.bpf.o --pcap {path} -o json"));
    assert_eq!((code, rows.len()), (Some(0), 8));
    assert_eq!(&rows[0]["data_out"].as_str().unwrap()[..24], "0242ac1100030242ac110005");
}

#[test]
fn maps_and_globals_are_set_by_type() {
    let packet = "--packet ".to_owned() + PING;
    let route = |element: &str| json(&format!("run maps.bpf.o --program route {packet} --map {element} -o json")).1;
    assert_eq!(route("routes:10.0.0.0/8=1")[0]["retval_name"], "XDP_DROP");
    assert_eq!(route("routes:{32,10.0.0.2}=3")[0]["retval_name"], "XDP_TX");
    assert_eq!(route("routes:hex:080000000b000000=1")[0]["retval_name"], "XDP_PASS");
    let rows = route("routes:10.0.0.0/8=1");
    assert_eq!(rows[1]["maps"][0]["entries"][0]["key"]["bits"], 8);
    for bad in ["routes", "routes:10.0.0.0/8", "routes:10.0.0.0/33=1", "none:1=1", "routes:10.0.0.0/8=x"] {
        let ran = words(&format!("run maps.bpf.o --program route {packet} --map {bad}"));
        assert_eq!(ran.code, Some(2), "{bad}: {ran:?}");
        assert!(ran.stderr.starts_with("ring3: "), "{ran:?}");
    }
}

#[test]
fn per_cpu_values_are_lists() {
    let (_, rows) = json("run maps.bpf.o --program count_per_cpu --pcap ../captures/mixed.pcap -o json");
    let maps = rows.last().unwrap()["maps"].as_array().unwrap();
    let sizes = maps.iter().find(|map| map["name"] == "sizes").unwrap();
    assert_eq!(sizes["entries"][0], serde_json::json!({ "key": 0, "values": [24, 0] }));
}

#[test]
fn a_copy_that_was_sent_is_shown() {
    let (_, rows) = json("run ping.bpf.o --pcap ../captures/ping.pcap -o json");
    assert_eq!(rows[0]["retval_name"], "TC_ACT_SHOT");
    assert_eq!(rows[0]["clones"][0]["ifindex"], 1);
    assert_eq!(rows[0]["clones"][0]["data"], rows[0]["data_out"]);
    assert!(rows[1].get("clones").is_none());
}

#[test]
fn contexts_of_types_without_packets() {
    // common fields, number, directory, path, flags, mode
    let record: Vec<u8> = [0u64, 257, 3, 0x1000, 0, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let path = scratch("openat.ctx", &record);
    let ran = ring3(["run", "openat.bpf.o", "--ctx", path.to_str().unwrap(), "--repeat", "3", "-o", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let rows: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows[0]["retval_name"], Value::Null);
    assert_eq!(rows[1]["maps"][0]["entries"][0]["value"], 3);
    assert_eq!(rows[1]["maps"][0]["entries"][0]["key"]["comm"], "ring3");
    // The wrong kind of input is told.
    let ran = words("run openat.bpf.o --packet 00");
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("give --ctx instead"), "{ran:?}");
    let ran = ring3(["run", "drop_icmp.bpf.o", "--ctx", path.to_str().unwrap()]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("give --packet or --pcap instead"), "{ran:?}");
}

#[test]
fn contexts_by_the_names_of_their_fields() {
    let run = |rest: &str| words(&format!("run events/sockets.bpf.o {rest}"));
    let proxy = "--program to_proxy --field user_ip4=93.184.215.14 --field user_port=be:80 --field sk.protocol";
    let ran = run(&format!("{proxy}=6"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("user_ip4  0xed7b85d -> 0x100007f"), "{ran:?}");
    assert!(ran.stdout.contains("user_port  0x5000 -> 0x380c"), "{ran:?}");
    assert!(ran.stdout.contains("redirected = 1"), "{ran:?}");
    let json = run(&format!("{proxy}=6 -o json"));
    let row: Value = serde_json::from_str(json.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(row["fields_changed"], serde_json::json!({ "user_ip4": "0x100007f", "user_port": "0x380c" }));
    assert!(!run(&format!("{proxy}=17")).stdout.contains("->"));
    let option = run("--program tos_limit --field level=0 --field optname=1 --data 60");
    assert!(option.stdout.contains("60 -> 20"), "{option:?}");
    for (name, allowed) in [("net/ipv4/tcp_wmem", 1), ("net/ipv4/ip_forward", 0)] {
        let ran = run(&format!("--program settings --field name={name} --field current=0 --field new=1 -o json"));
        let row: Value = serde_json::from_str(ran.stdout.lines().next().unwrap()).unwrap();
        assert_eq!(row["retval"], allowed, "{ran:?}");
    }
    let wrong = run("--program to_proxy --field user_ipv4=10.0.0.1");
    assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(2), ""));
    assert!(wrong.stderr.contains("bpf_sock_addr has no number 'user_ipv4', but user_family, user_ip4"), "{wrong:?}");
}

#[test]
fn a_rejected_program_does_not_run_and_its_log_is_shown() {
    let ran = words(&format!("run errors/data_end_moved.bpf.o --packet {PING}"));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.contains("R1 pointer arithmetic on pkt_end prohibited\nprocessed 3 insns"), "{ran:?}");
    let last = ran.stderr.lines().last().unwrap();
    assert!(last.starts_with("ring3: errors/data_end_moved.bpf.o: program 'data_end_moved' is rejected: "), "{last}");
}

#[test]
fn packets_and_captures_that_are_damaged() {
    for (bad, says) in [("0", "not pairs"), ("zz", "not pairs"), ("00", "shorter than an Ethernet header")] {
        let ran = words(&format!("run drop_icmp.bpf.o --packet {bad} -o json"));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains(says), "{ran:?}");
    }
    let whole = std::fs::read(example("captures/mixed.pcap")).unwrap();
    for length in (0..24).chain([30, 41, 100, whole.len() - 1]) {
        let path = scratch("cut.pcap", &whole[..length]);
        let ran = ring3(["run", "drop_icmp.bpf.o", "--pcap", path.to_str().unwrap()]);
        assert_eq!(ran.code, Some(2), "{length}: {ran:?}");
        assert!(ran.stderr.contains("cut.pcap: offset 0x"), "{length}: {ran:?}");
    }
}

#[test]
fn dumps_of_a_proved_program() {
    let ran = words("dump xlated drop_icmp.bpf.o");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("r1 = map[drop_count]\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("r1 = map[drop_icm.rodata][0]+0\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("call bpf_map_lookup_elem#1\n") || ran.stdout.contains("r0"), "{}", ran.stdout);
    let ran = words("dump xlated errors/data_end_moved.bpf.o");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for arch in ["", " --arch host", " --arch x86_64", " --arch arm64"] {
        let ran = words(&format!("dump jited hello_func.bpf.o{arch}"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stdout.contains("ret\n"), "{}", ran.stdout);
        assert!(ran.stdout.contains("get_opcode:\n"), "{}", ran.stdout);
        assert!(!ran.stdout.contains("(bad)"), "{}", ran.stdout);
        assert_eq!(ran.stdout.contains("%r"), !ran.stdout.contains("x29"), "{}", ran.stdout);
        assert!(!arch.ends_with("arm64") || ran.stdout.contains("x29"), "{}", ran.stdout);
    }
    assert_eq!(words("dump xlated hello_func.bpf.o --arch arm64").code, Some(2));
}

#[test]
fn what_is_added_to_machine_code() {
    let run = "run drop_icmp.bpf.o --pcap ../captures/mixed.pcap -o json";
    let values = |args: &str| {
        let (code, rows) = json(&format!("{run} {args}"));
        assert_eq!(code, Some(0), "{args}");
        rows.iter().map(|row| row["retval"].clone()).collect::<Vec<_>>()
    };
    let plain = values("");
    assert_eq!(values("--engine interp --budget 100000"), plain);
    // What is for machine code is refused elsewhere, not passed over.
    for args in ["--engine interp --jit-blind", "--engine checked --perf", "--engine kernel --budget 1"] {
        assert_eq!(words(&format!("{run} {args}")).code, Some(2), "{args}");
    }
    if !ring3::jit::Jit::is_supported() {
        return;
    }
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("perf.folder");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).unwrap();
    let dumped = format!("--perf={}", folder.display());
    for args in
        ["--jit-blind", "--jit-retpolines", "--budget 100000", "--jit-blind --jit-retpolines --budget 9999", &dumped]
    {
        assert_eq!(values(&format!("--engine jit {args}")), plain, "{args}");
    }
    let dump = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(dump.filter(|name| name.starts_with("jit-") && name.ends_with(".dump")).count(), 1);
    // A budget that is too small ends every run.
    for engine in engines() {
        let ran = words(&format!("run drop_icmp.bpf.o --packet {PING} --engine {engine} --budget 3"));
        let told = ran.stdout.clone() + &ran.stderr;
        assert!(told.contains("the budget of 3 instructions is used up"), "{engine}: {ran:?}");
    }
}

#[test]
fn blinded_code_has_none_of_the_constants() {
    let dump = |args: &str| {
        let ran = words(&format!("dump jited lb.bpf.o {args}"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout
    };
    for arch in ["x86_64", "arm64"] {
        let (plain, blind) = (dump(&format!("--arch {arch}")), dump(&format!("--arch {arch} --jit-blind")));
        assert!(blind.len() > plain.len() + plain.len() / 4, "{arch}");
        assert_ne!(dump(&format!("--arch {arch} --jit-blind")), blind, "other numbers each time");
    }
    assert!(dump("--arch x86_64 --jit-retpolines").contains("pause"));
    assert_eq!(words("dump xlated lb.bpf.o --jit-blind").code, Some(2));
}

#[test]
fn configurations_of_kernels() {
    let event = ["--event", "raw_tp/sys_enter"];
    let run = |kconfig: &[&str]| ring3([&["run", "events/ticks.bpf.o"][..], kconfig, &event].concat());
    let ran = run(&["--kconfig", "CONFIG_HZ=1000"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("1000 ticks a second, each 1000 us"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("hooks of security modules"), "a weak value that is not there is 0: {}", ran.stdout);
    // What comes first counts; the rest may be a file.
    let file = scratch("config", b"# CONFIG_X is not set\nCONFIG_HZ=300\nCONFIG_BPF_LSM=y\n");
    let file = file.to_str().unwrap();
    let ran = run(&["--kconfig", "CONFIG_HZ=100", "--kconfig", file]);
    assert!(ran.stdout.contains("100 ticks a second") && ran.stdout.contains("hooks of security modules"), "{ran:?}");
    assert!(run(&["--kconfig", file]).stdout.contains("300 ticks a second"));
    let ran = run(&[]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("'CONFIG_HZ' is not in the kernel's configuration (--kconfig says it)"),
        "{}",
        ran.stderr
    );
    let ran = run(&["--kconfig", "CONFIG_HZ=many"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("'CONFIG_HZ' has a value of another type"), "{ran:?}");
    assert_eq!(run(&["--kconfig", "no-such-file"]).code, Some(2));
    let ran = words("verify events/ticks.bpf.o --kconfig CONFIG_HZ=250");
    assert!(ran.code == Some(0) && ran.stdout.contains("accept"), "{ran:?}");
    assert_eq!(words("verify events/ticks.bpf.o").code, Some(2));
}
