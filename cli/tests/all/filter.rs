//! The contract of `ring3 filter`, and its selections beside tcpdump's.
//!
//! `data/selection.txt` is what tcpdump compiled of the lines of `data/expressions.txt`, and which packets of
//! `selection.pcap` it then showed. `RING3_RECORD=1` writes it from the tcpdump that is installed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{Ran, example, ring3, scratch, words};
use serde_json::Value;

const EXPRESSIONS: &str = include_str!("../data/expressions.txt");
const RECORD: &str = include_str!("../data/selection.txt");
const ARP: &str = "4,40 0 0 12,21 0 1 2054,6 0 0 262144,6 0 0 0";

fn rows(ran: &Ran) -> Vec<Value> {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn engines() -> &'static [&'static str] {
    if ring3::jit::Jit::is_supported() { &["interp", "jit", "classic"] } else { &["interp", "classic"] }
}

/// Numbers of the packets that a filter keeps.
fn kept(code: &str, capture: &Path, engine: &str) -> Vec<u64> {
    let capture = capture.to_str().unwrap();
    let rows = rows(&ring3(["filter", "--ddd", code, capture, "--engine", engine, "-o", "json"]));
    rows.iter().filter(|row| row["kept"] == true).filter_map(|row| row["packet"].as_u64()).collect()
}

/// What tcpdump makes of an expression: the filter and the packets; `None` if there is no tcpdump.
fn tcpdump(expression: &str, capture: &Path) -> Option<(String, Vec<u64>)> {
    let run = |options: &[&str]| {
        let mut command = Command::new("tcpdump");
        command.arg("-nr").arg(capture).args(options).arg(expression).stdin(Stdio::null());
        let output = command.output().ok()?;
        output.status.success().then_some(output.stdout)
    };
    let code = String::from_utf8(run(&["-ddd"])?).ok()?;
    let selected = run(&["-w", "-"])?;
    // Packets come a millisecond after each other, beginning with a full second.
    let order = u32::from_le_bytes;
    let mut numbers = Vec::new();
    let mut rest = selected.get(24..)?;
    while let Some((header, behind)) = rest.split_first_chunk::<16>() {
        let word = |at: usize| order([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        numbers.push(u64::from(word(4)) / 1000 + 1);
        rest = behind.get(word(8) as usize..)?;
    }
    Some((code.trim().replace('\n', ","), numbers))
}

fn has_tcpdump() -> bool {
    Command::new("tcpdump").arg("--version").output().is_ok_and(|output| output.status.success())
}

fn list(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

#[test]
fn selections_are_those_that_tcpdump_made() {
    let capture = example("captures/selection.pcap");
    if std::env::var_os("RING3_RECORD").is_some() {
        let mut text = String::new();
        for expression in EXPRESSIONS.lines() {
            let (code, numbers) = tcpdump(expression, &capture).unwrap();
            let _ = writeln!(text, "{expression}\n{code}\n{}", list(&numbers));
        }
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/selection.txt"), text).unwrap();
        return;
    }
    let recorded: Vec<&str> = RECORD.lines().collect();
    assert_eq!(recorded.len(), EXPRESSIONS.lines().count() * 3);
    for (expression, part) in EXPRESSIONS.lines().zip(recorded.chunks(3)) {
        assert_eq!(expression, part[0]);
        for engine in engines() {
            assert_eq!(list(&kept(part[1], &capture, engine)), part[2], "{engine}: {expression}");
        }
    }
    // The filter that everything began with.
    let [_, code, numbers] = recorded[..3] else { panic!("an empty record") };
    assert_eq!(code.split(',').next(), Some("17"));
    assert_eq!(numbers, "1 2 9 10 11 18 35 64");
}

#[test]
fn selections_are_those_of_the_tcpdump_at_hand() {
    if !has_tcpdump() {
        return println!("skipped: there is no tcpdump");
    }
    for capture in ["captures/selection.pcap", "captures/mixed.pcap"] {
        let capture = example(capture);
        for expression in EXPRESSIONS.lines() {
            // Other releases of libpcap know other words.
            let Some((code, numbers)) = tcpdump(expression, &capture) else {
                println!("skipped: tcpdump does not take '{expression}'");
                continue;
            };
            assert_eq!(list(&kept(&code, &capture, "interp")), list(&numbers), "{expression}");
        }
    }
}

/// Packets of other link types, and a snapshot length that is shorter than packets.
#[test]
fn link_types_and_snapshot_lengths_are_as_with_tcpdump() {
    let frames = std::fs::read(example("captures/selection.pcap")).unwrap();
    let mut raw = frames.clone();
    raw[16..20].copy_from_slice(&30u32.to_le_bytes());
    let short = scratch("snap.pcap", &raw);
    // The bytes are Ethernet frames no more, but that is no matter as long as both take them for the same.
    let linked: Vec<(u32, PathBuf)> = [101u32, 113, 127]
        .map(|link| {
            let mut bytes = frames.clone();
            bytes[20..24].copy_from_slice(&link.to_le_bytes());
            (link, scratch(&format!("link{link}.pcap"), &bytes))
        })
        .to_vec();
    for (link, path) in &linked {
        let out = scratch(&format!("link{link}.out.pcap"), b"");
        let ran =
            ring3(["filter", "--ddd", "1,6 0 0 40", path.to_str().unwrap(), "--write-pcap", out.to_str().unwrap()]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let written = std::fs::read(&out).unwrap();
        assert_eq!(written[20..24], link.to_le_bytes());
        // 40 of the 61 bytes of the first packet.
        assert_eq!(written[32..40], [40u32, 61].map(u32::to_le_bytes).concat());
        let ran = ring3(["filter", "--ddd", "2,48 0 0 4293918729,22 0 0 0", path.to_str().unwrap()]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(&format!("link type {link}: instruction 0 loads what")), "{ran:?}");
    }
    if !has_tcpdump() {
        return println!("skipped: there is no tcpdump");
    }
    let captures = linked.iter().map(|(_, path)| path).chain([&short]);
    for capture in captures {
        for expression in ["ip", "udp port 53", "host 1.2.3.4", "less 60", "greater 100", "tcp"] {
            let Some((code, numbers)) = tcpdump(expression, capture) else { continue };
            assert_eq!(list(&kept(&code, capture, "interp")), list(&numbers), "{}: {expression}", capture.display());
        }
    }
}

#[test]
fn json_and_table_of_packets() {
    for engine in engines() {
        let ran = words(&format!("filter --bytecode {} ../captures/mixed.pcap --engine {engine} -o json", arp_file()));
        let rows = rows(&ran);
        assert_eq!(rows.len(), 25);
        let first = serde_json::json!({ "packet": 1, "bytes": 42, "length": 42, "retval": 262144, "kept": true,
            "kept_bytes": 42, "engine": engine });
        assert_eq!(rows[0], first);
        assert_eq!((&rows[2]["kept"], &rows[2]["kept_bytes"]), (&Value::Bool(false), &Value::from(0)));
        assert_eq!(rows[24], serde_json::json!({ "packets": 24, "kept": 2, "dropped": 22 }));
    }
    let ran = ring3([
        "filter",
        "--ddd",
        "4,40 0 0 12,21 0 1 2054,6 0 0 20,6 0 0 0",
        "../captures/mixed.pcap",
        "--engine",
        "interp",
    ]);
    assert!(ran.stdout.starts_with("4 instructions, 9 of eBPF, runs by interp\nPACKET"), "{ran:?}");
    assert!(ran.stdout.contains("\n     1      42      42          20  kept, cut to 20\n"), "{ran:?}");
    assert!(ran.stdout.ends_with("\n24 packets: 2 kept, 22 dropped\n"), "{ran:?}");
    let empty = std::fs::read(example("captures/mixed.pcap")).unwrap()[..24].to_vec();
    let empty = scratch("empty.pcap", &empty);
    let ran = ring3(["filter", "--ddd", ARP, empty.to_str().unwrap()]);
    assert!(ran.stdout.ends_with("no packets: the capture is empty\n"), "{ran:?}");
}

fn arp_file() -> String {
    let text = "(000) ldh [12]\n(001) jeq #0x806 jt 2 jf 3\n(002) ret #262144\n(003) ret #0\n";
    scratch("arp.txt", text.as_bytes()).to_str().unwrap().to_owned()
}

#[test]
fn every_form_of_the_program_is_taken_and_shown() {
    let insns = ring3::classic::parse(ARP).unwrap();
    let order =
        if cfg!(target_endian = "little") { ring3::isa::Endianness::Little } else { ring3::isa::Endianness::Big };
    let bytes = scratch("arp.bpf", &ring3::classic::to_bytes(&insns, order));
    for file in [arp_file().as_str(), bytes.to_str().unwrap()] {
        let ran = words(&format!("filter --bytecode {file} --dump ddd"));
        assert_eq!(ran.stdout, ARP.replace(',', "\n") + "\n");
        let ran = words(&format!("filter --bytecode {file} --dump listing"));
        assert_eq!(ran.stdout.lines().nth(1), Some("(001) jeq      #0x806           jt 2\tjf 3"));
        let ran = words(&format!("filter --bytecode {file} --dump ebpf"));
        assert!(ran.stdout.contains("   3: r0 = *(u16 *)skb[12]\n"), "{ran:?}");
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_ring3"))
        .args(["filter", "--bytecode", "-", "--dump", "ddd"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), ARP.as_bytes()).unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, (ARP.replace(',', "\n") + "\n").as_bytes());
}

#[test]
fn kept_packets_are_written() {
    let out = scratch("kept.pcap", b"");
    let path = out.to_str().unwrap();
    let ran = ring3(["filter", "--ddd", ARP, "../captures/mixed.pcap", "--write-pcap", path]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(kept(ARP, &out, "interp"), [1, 2]);
    // A packet that was cut short when captured keeps the length that it had.
    let selection = example("captures/selection.pcap");
    let ran = ring3(["filter", "--ddd", "1,6 0 0 65535", selection.to_str().unwrap(), "--write-pcap", path]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let all = rows(&ring3(["filter", "--ddd", ARP, path, "-o", "json"]));
    let before = rows(&ring3(["filter", "--ddd", ARP, selection.to_str().unwrap(), "-o", "json"]));
    assert_eq!(all, before);
}

const POLICY: &str = "
    ld [4]                  /* the architecture */
    jne #0xc000003e, bad
    ld [0]
    jeq #257, openat        ; openat on x86-64
    jeq #1, write
    jeq #2, trap
    jeq #3, trace
    jeq #4, log
    jeq #5, notify
    ret #0x50026            ; ENOSYS
    openat: ld [32]         ; flags
    and #0x3
    jeq #0, good
    ret #0x50001            ; EPERM
    write: ld [16]
    jgt #2, kill, good
    trap: ret #0x30007
    trace: ret #0x7ff00009
    log: ret #0x7ffc0000
    notify: ret #0x7fc00000
    kill: ret #0
    good: ret #0x7fff0000
    bad: ret #0x80000000";

#[test]
fn seccomp_filters_say_what_becomes_of_a_call() {
    let policy = scratch("policy.txt", POLICY.as_bytes());
    let policy = policy.to_str().unwrap();
    for engine in engines() {
        for (call, action, errno) in [
            ("--syscall openat --arch x86_64 --arg 2=0", "SECCOMP_RET_ALLOW", Value::Null),
            ("--syscall openat --arch x86_64 --arg 2=0x241", "SECCOMP_RET_ERRNO", "EPERM".into()),
            ("--syscall 257 --arch amd64 --arg 1=-1 --arg 2=1", "SECCOMP_RET_ERRNO", "EPERM".into()),
            ("--syscall write --arch x86_64 --arg 0=1", "SECCOMP_RET_ALLOW", Value::Null),
            ("--syscall write --arch x86_64 --arg 0=3", "SECCOMP_RET_KILL_THREAD", Value::Null),
            ("--syscall open --arch x86_64", "SECCOMP_RET_TRAP", Value::Null),
            ("--syscall close --arch x86_64", "SECCOMP_RET_TRACE", Value::Null),
            ("--syscall stat --arch x86_64", "SECCOMP_RET_LOG", Value::Null),
            ("--syscall fstat --arch x86_64", "SECCOMP_RET_USER_NOTIF", Value::Null),
            ("--syscall mseal --arch x86_64", "SECCOMP_RET_ERRNO", "ENOSYS".into()),
            ("--syscall openat --arch aarch64", "SECCOMP_RET_KILL_PROCESS", Value::Null),
            ("--syscall 0x101 --arch riscv64", "SECCOMP_RET_KILL_PROCESS", Value::Null),
        ] {
            let ran = words(&format!("filter --seccomp --bytecode {policy} {call} --engine {engine} -o json"));
            let rows = rows(&ran);
            assert_eq!((rows.len(), &rows[0]["action"], &rows[0]["errno"]), (1, &action.into(), &errno), "{call}");
        }
    }
    let ran = words(&format!("filter --seccomp --bytecode {policy} --arch x86_64 --syscall close --syscall openat"));
    let expected =
        "SYSCALL  NUMBER  ACTION\nclose         3  SECCOMP_RET_TRACE(9)\nopenat      257  SECCOMP_RET_ALLOW\n";
    assert_eq!(ran.stdout, expected);
    let ran = words(&format!("filter --seccomp --bytecode {policy} --arch x86_64 --syscall all"));
    assert!(ran.stdout.contains("\nmmap         ") && ran.stdout.lines().count() > 350, "{ran:?}");
}

#[test]
fn what_linux_refuses_is_told_with_exit_status_1() {
    for (code, why) in [
        ("1,7 0 0 0", "instruction 0: the program does not end with a return (EINVAL)"),
        ("2,52 0 0 0,22 0 0 0", "instruction 0: division by zero (EINVAL)"),
        (
            "2,96 0 0 1,22 0 0 0",
            "instruction 0: M[1] is read, but not on every way here anything was stored in it (EINVAL)",
        ),
        ("2,5 0 0 1,6 0 0 0", "instruction 0: a jump behind the end of the program (EINVAL)"),
        // `tcpdump -ddd ip protochain 17` has such a loop, and Linux refuses it as well.
        ("2,5 0 0 4294967295,6 0 0 0", "instruction 0: a jump backwards, which libpcap alone would take (EINVAL)"),
        ("1,255 0 0 0", "instruction 0: unknown opcode 0x00ff (EINVAL)"),
        ("0", "0 instructions; a program has 1 to 4096 (EINVAL)"),
    ] {
        let ran = ring3(["filter", "--ddd", code, "../captures/mixed.pcap"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
        assert_eq!(ran.stderr, format!("ring3: --ddd: Linux refuses this filter: {why}\n"));
    }
    let ran = ring3(["filter", "--seccomp", "--ddd", "2,48 0 0 0,22 0 0 0", "--syscall", "read", "--arch", "x86_64"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("instruction 0: seccomp does not take this instruction"), "{ran:?}");
}

#[test]
fn bad_input_is_told_with_exit_status_2() {
    let text = scratch("bad.txt", b"ldh [12]\n  jeq #1, nowhere\nret #0\n");
    let cut = scratch("cut.bpf", &[0; 12]);
    let (text, cut) = (text.to_str().unwrap(), cut.to_str().unwrap());
    for (line, says) in [
        (
            format!("filter --bytecode {text} ../captures/mixed.pcap"),
            "bad.txt: line 2, column 11: there is no label 'nowhere'",
        ),
        (format!("filter --bytecode {cut} ../captures/mixed.pcap"), "cut.bpf: 12 bytes are not whole instructions"),
        ("filter --bytecode nothing ../captures/mixed.pcap".to_owned(), "nothing: No such file"),
        (
            "filter --ddd 1 ../captures/mixed.pcap".to_owned(),
            "--ddd: line 1, column 1: the first number says 1 instructions",
        ),
        ("filter --ddd 0".to_owned(), "required arguments were not provided"),
        ("filter ../captures/mixed.pcap".to_owned(), "required arguments were not provided"),
        ("filter --seccomp --ddd 0 ../captures/mixed.pcap".to_owned(), "cannot be used with"),
        ("filter --ddd 0 --syscall read".to_owned(), "required arguments were not provided"),
    ] {
        let ran = words(&line);
        assert_eq!(ran.code, Some(2), "{line}: {ran:?}");
        assert!(ran.stderr.contains(says), "{line}: {ran:?}");
    }
    let allow = "1,6 0 0 2147418112";
    for (arguments, says) in [
        (&["--syscall", "opnat", "--arch", "x86_64"][..], "--syscall opnat: x86_64 has no such system call"),
        (&["--syscall", "open", "--arch", "arm64"], "--syscall open: aarch64 has no such system call"),
        (&["--syscall", "read", "--arch", "s390x"], "give its number"),
        (&["--syscall", "read", "--arch", "vax"], "there is no such architecture; there are x86_64, aarch64"),
        (&["--syscall", "read", "--arg", "6=1"], "arguments have the numbers 0 to 5"),
        (&["--syscall", "read", "--arg", "1"], "not of the form N=VALUE"),
        (&["--syscall", "read", "--arg", "1=0xfffffffffffffffff"], "not a number of 64 bits"),
    ] {
        let ran = ring3(["filter", "--seccomp", "--ddd", allow].iter().chain(arguments));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(says), "{ran:?}");
    }
    let poff = "2,32 0 0 4294963252,22 0 0 0";
    let ran = ring3(["filter", "--ddd", poff, "../captures/mixed.pcap"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("instruction 0: 'poff' has no equivalent in eBPF"), "{ran:?}");
    // A capture that ends in the middle: the rows of the packets before it, then the place.
    let whole = std::fs::read(example("captures/mixed.pcap")).unwrap();
    let half = scratch("half.pcap", &whole[..200]);
    let ran = ring3(["filter", "--ddd", ARP, half.to_str().unwrap()]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stdout.contains("     2      42") && ran.stderr.contains("half.pcap: offset 0x"), "{ran:?}");
}
