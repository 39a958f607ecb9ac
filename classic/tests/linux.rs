//! Beside Linux: what it accepts, and what its filters let through.
//!
//! What Linux 6.18 said of the programs of `verdicts` is recorded in `data/linux.txt`, and asked again where it can be asked,
//! of other programs each time. `RING3_RECORD=1` writes the record, from what the running kernel says.
#![cfg(target_os = "linux")]

mod common;
mod kernel;

use std::fmt::Write as _;

use common::{Engines, Loads, Rng, filter, program, runnable_extensions};
use kernel::{Answer, Loopback, Pair};
use ring3_classic::{Action, Arch, Extension, Fields, Filter, Insn, Op, Packet, Place, SeccompData, Style, parse};
use ring3_linux::{LoadOptions, TestRun};

const RECORD: &str = include_str!("data/linux.txt");
const SOCKET_PROGRAMS: u64 = 20_000;
const SECCOMP_PROGRAMS: u64 = 4_000;

/// A program that is nearly valid: a valid one, with something wrong in most cases.
fn spoilt(rng: &mut Rng, place: Place) -> Vec<Insn> {
    let loads = if place == Place::Socket { Loads::All } else { Loads::Seccomp };
    let mut insns = program(rng, loads, 40);
    if rng.below(2) == 0 {
        insns.drain(..2);
    }
    for _ in 0..rng.below(4) {
        let at = rng.below(insns.len() as u64) as usize;
        match rng.below(9) {
            0 => insns[at].code = rng.below(256) as u16,
            1 => insns[at].code ^= 1 << rng.below(9),
            2 => insns[at].k = rng.number(),
            3 => insns[at].k = (-0x1000i32 as u32).wrapping_add(rng.below(80) as u32),
            4 => insns[at].jt = rng.below(insns.len() as u64 + 2) as u8,
            5 => insns[at].jf = rng.next() as u8,
            6 => insns.truncate(at),
            // Cells and ways around where they are stored.
            7 => insns[at] = Insn::new(rng.of(&[0x02, 0x03, 0x60, 0x61]), 0, 0, rng.below(17) as u32),
            _ => {
                insns[at] = Insn::new(
                    rng.of(&[0x05, 0x06, 0x15, 0x16]),
                    rng.below(3) as u8,
                    rng.below(3) as u8,
                    rng.below(4) as u32,
                )
            }
        }
        if insns.is_empty() {
            break;
        }
    }
    insns
}

/// The verdicts on all programs of a place, as hexadecimal digits of four bits each.
fn verdicts(place: Place, count: u64, mut accepts: impl FnMut(&[Insn]) -> bool) -> String {
    let mut text = String::new();
    for first in (0..count).step_by(4) {
        let bit = |seed: u64| u32::from(accepts(&spoilt(&mut Rng(seed), place)));
        let digit = (first..first + 4).map(bit).fold(0, |digit, bit| digit << 1 | bit);
        if first > 0 && first % 400 == 0 {
            text.push('\n');
        }
        let _ = write!(text, "{digit:x}");
    }
    text
}

fn opcodes(mut accepts: impl FnMut(&[Insn]) -> bool) -> String {
    // A constant that suits every instruction: no zero to divide by, a cell, a shift, a word of the struct.
    let with = |code| [Insn::new(0x02, 0, 0, 4), Insn::new(code, 0, 0, 4), Insn::new(0x06, 0, 0, 0)];
    let jump = |code| [Insn::new(code, 0, 0, 0), Insn::new(0x06, 0, 0, 0), Insn::new(0x06, 0, 0, 0)];
    let codes = (0..=0xffff).filter(|code| accepts(&with(*code)) || accepts(&jump(*code)));
    codes.map(|code| format!("{code:x}")).collect::<Vec<_>>().join(" ")
}

/// Lengths from 0 to beyond the limit.
fn lengths(mut accepts: impl FnMut(&[Insn]) -> bool) -> String {
    let lengths = [0usize, 1, 2, 4095, 4096, 4097, 8192];
    let one = |length: usize| {
        let insns = vec![Insn::new(0x06, 0, 0, 0); length];
        format!("{length}:{}", u8::from(accepts(&insns)))
    };
    lengths.map(one).join(" ")
}

fn record(
    mut socket: impl FnMut(&[Insn]) -> bool,
    mut seccomp: impl FnMut(&[Insn]) -> bool,
) -> Vec<(&'static str, String)> {
    // seccomp is asked in a child process each time: only of what sockets take, as it checks that first.
    let mut both = |insns: &[Insn]| socket(insns) && seccomp(insns);
    let sections = vec![
        ("seccomp programs", verdicts(Place::Seccomp, SECCOMP_PROGRAMS, &mut both)),
        ("seccomp opcodes", opcodes(&mut both)),
        ("seccomp lengths", lengths(&mut both)),
    ];
    let mut all = vec![
        ("socket programs", verdicts(Place::Socket, SOCKET_PROGRAMS, &mut socket)),
        ("socket opcodes", opcodes(&mut socket)),
        ("socket lengths", lengths(&mut socket)),
    ];
    all.extend(sections);
    all
}

fn takes(place: Place) -> impl Fn(&[Insn]) -> bool {
    move |insns| filter(place, insns.to_vec()).is_some()
}

fn sections(record: &str) -> Vec<(&str, &str)> {
    record.split("\n\n").skip(1).filter_map(|part| part.trim().split_once(":\n")).collect()
}

#[test]
fn verdicts_are_those_that_linux_gave() {
    if std::env::var_os("RING3_RECORD").is_some() {
        let pair = Pair::new().unwrap();
        let said =
            record(|insns| pair.attach(insns) == Answer::Accepted, |insns| kernel::seccomp(insns) == Answer::Accepted);
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut text = format!("What Linux {} takes of the programs of tests/linux.rs.\n", release.trim());
        for (name, content) in said {
            let _ = write!(text, "\n{name}:\n{content}\n");
        }
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/linux.txt"), text).unwrap();
        return;
    }
    let ours = record(takes(Place::Socket), takes(Place::Seccomp));
    let theirs = sections(RECORD);
    assert_eq!(ours.len(), theirs.len());
    for ((name, ours), (same_name, theirs)) in ours.iter().zip(theirs) {
        assert_eq!(*name, same_name);
        assert_eq!(ours, theirs, "{name}");
    }
    // There is something in it: neither nearly all nor nearly nothing is accepted.
    for name in ["socket programs", "seccomp programs"] {
        let digits = &ours.iter().find(|section| section.0 == name).unwrap().1;
        let ones: u32 = digits.chars().filter_map(|c| c.to_digit(16)).map(u32::count_ones).sum();
        let all = digits.chars().filter(|c| c.is_ascii_hexdigit()).count() as u32 * 4;
        assert!((all / 5..all * 4 / 5).contains(&ones), "{name}: {ones} of {all}");
    }
}

/// Another seed every day and run would make a failure hard to find again; so the process's number, which is printed.
fn fresh_seed() -> u64 {
    let seed = u64::from(std::process::id()) << 32;
    println!("seed {seed:#x}");
    seed
}

#[test]
fn verdicts_are_those_of_the_running_kernel() {
    let Some(pair) = Pair::new() else { return println!("skipped: no socket to attach filters to") };
    let mut rng = Rng(fresh_seed());
    for _ in 0..5_000 {
        let insns = spoilt(&mut rng, Place::Socket);
        let ours = if Filter::socket(insns.clone()).is_ok() { Answer::Accepted } else { Answer::Refused(libc::EINVAL) };
        assert_eq!(pair.attach(&insns), ours, "{insns:?}");
    }
    if kernel::seccomp(&[Insn::new(0x06, 0, 0, 0)]) != Answer::Accepted {
        return println!("skipped: no filters of seccomp here");
    }
    for _ in 0..500 {
        let insns = spoilt(&mut rng, Place::Seccomp);
        let ours =
            if Filter::seccomp(insns.clone()).is_ok() { Answer::Accepted } else { Answer::Refused(libc::EINVAL) };
        assert_eq!(kernel::seccomp(&insns), ours, "{insns:?}");
    }
}

/// How many bytes of a packet get through.
fn kept(retval: u32, length: usize) -> Option<usize> {
    (retval != 0).then(|| length.min(retval as usize))
}

#[test]
fn datagrams_get_through_as_with_linux() {
    let Some(pair) = Pair::new() else { return println!("skipped: no socket to attach filters to") };
    let mut rng = Rng(fresh_seed());
    let mut seen = [0; 3];
    for _ in 0..1_500 {
        let length = 1 + rng.below(90) as usize;
        let Some(filter) = filter(Place::Socket, program(&mut rng, Loads::Bytes, length)) else { continue };
        assert_eq!(pair.attach(filter.insns()), Answer::Accepted);
        let engines = Engines::new(&filter, Style::Plain);
        for _ in 0..4 {
            let data = rng.bytes(length);
            // No headers: what a load from them would find is not told.
            let packet = Packet { network: u32::MAX, ..Packet::ethernet(&data) };
            let ours = kept(filter.run(&packet).unwrap(), length);
            assert_eq!(pair.pass(&data), ours, "{data:?} {filter:?}");
            for (engine, retval) in engines.packet(&packet) {
                assert_eq!(kept(retval, length), ours, "{engine} {data:?} {filter:?}");
            }
            seen[ours.map_or(0, |kept| 1 + usize::from(kept < length))] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 100), "dropped, whole, cut: {seen:?}");
}

/// A frame, as it is sent and as filters see it: Linux takes VLAN tags out before.
fn frame(rng: &mut Rng) -> (Vec<u8>, Vec<u8>, Fields) {
    let length = 20 + rng.below(60) as usize;
    let mut seen = rng.bytes(length);
    let destination = rng.of(&[[0; 6], [0xff; 6], [1, 0, 0x5e, 0, 0, 1], [2, 0, 0, 0, 0, 9]]);
    seen[..6].copy_from_slice(&destination);
    let kind: u16 = rng.of(&[0x0800, 0x86dd, 0x0806, 0x1234, 46, 0x05ff]);
    seen[12..14].copy_from_slice(&kind.to_be_bytes());
    let mut fields = Packet::ethernet(&seen).fields;
    let mut sent = seen.clone();
    if rng.below(3) == 0 {
        let (proto, tag): (u16, u16) = (rng.of(&[0x8100, 0x88a8]), rng.next() as u16);
        fields = Fields { vlan_present: true, vlan_tag: tag, vlan_proto: proto, ..fields };
        sent.splice(12..12, [proto.to_be_bytes(), tag.to_be_bytes()].concat());
    }
    (sent, seen, fields)
}

#[test]
fn frames_get_through_as_with_linux() {
    let Some(loopback) = Loopback::new() else {
        return println!("skipped: no network namespace of our own (needs root)");
    };
    let mut rng = Rng(fresh_seed());
    let told = |e: &Extension| !matches!(e, Extension::Cpu | Extension::RxHash);
    let extensions: Vec<Extension> = runnable_extensions().into_iter().filter(told).collect();
    let mut seen = [0; 3];
    let mut loads = 0;
    for _ in 0..1_000 {
        let mut insns = program(&mut rng, Loads::All, 60);
        for insn in &mut insns {
            if let Some(extension) = insn.extension() {
                loads += 1;
                insn.k = if told(&extension) { extension } else { rng.of(&extensions) }.k();
            }
        }
        let Some(filter) = filter(Place::Socket, insns) else { continue };
        assert_eq!(loopback.attach(filter.insns()), Answer::Accepted);
        let engines = Engines::new(&filter, Style::Plain);
        for _ in 0..3 {
            let (sent, frame, fields) = frame(&mut rng);
            let packet = Packet { fields, ..Packet::ethernet(&frame) };
            let ours = kept(filter.run(&packet).unwrap(), frame.len());
            assert_eq!(loopback.pass(&sent), ours, "{packet:?} {filter:?}");
            for (engine, retval) in engines.packet(&packet) {
                assert_eq!(kept(retval, frame.len()), ours, "{engine} {packet:?} {filter:?}");
            }
            seen[ours.map_or(0, |kept| 1 + usize::from(kept < frame.len()))] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 50) && loads > 50, "dropped, whole, cut: {seen:?}; {loads} extensions");
}

/// Each extension once, with its value as the number of bytes to keep.
#[test]
fn extensions_are_what_linux_says() {
    let Some(loopback) = Loopback::new() else {
        return println!("skipped: no network namespace of our own (needs root)");
    };
    let mut rng = Rng(7);
    for (name, shift) in [
        ("proto", 8),
        ("proto", 0),
        ("type", 0),
        ("ifidx", 0),
        ("mark", 0),
        ("queue", 0),
        ("vlan_tci", 8),
        ("vlan_tci", 0),
        ("vlan_avail", 0),
        ("vlan_tpid", 8),
    ] {
        let text = format!("ld {name}\nrsh #{shift}\nand #63\nadd #1\nret a");
        let filter = Filter::socket(parse(&text).unwrap()).unwrap();
        assert_eq!(loopback.attach(filter.insns()), Answer::Accepted);
        for _ in 0..20 {
            let (sent, frame, fields) = frame(&mut rng);
            let ours = kept(filter.run(&Packet { fields, ..Packet::ethernet(&frame) }).unwrap(), frame.len());
            assert_eq!(loopback.pass(&sent), ours, "{text} {fields:?}");
        }
    }
}

/// The verifier of Linux takes the translations as ours does, and runs those of seccomp on the words that they are given.
#[test]
fn translations_are_accepted_by_linux() {
    if let Err(why) = ring3_linux::available() {
        return println!("skipped: {why}");
    }
    let mut rng = Rng(fresh_seed());
    for (place, loads) in [(Place::Socket, Loads::All), (Place::Seccomp, Loads::Seccomp)] {
        for round in 0..150 {
            let Some(filter) = filter(place, program(&mut rng, loads, 60)) else { continue };
            let style = if round % 2 == 0 { Style::Plain } else { Style::Opaque };
            let translation = filter.translate(style).unwrap();
            let loaded = ring3_linux::load(&translation, &LoadOptions::default())
                .unwrap_or_else(|error| panic!("{error}\n{filter:?}"));
            if place == Place::Seccomp {
                let call = call(&mut rng);
                let bytes = call.to_bytes();
                let run = TestRun { ctx: Some(&bytes), ..TestRun::default() };
                assert_eq!(loaded.prog.test_run(&run).unwrap().retval, filter.run_seccomp(&call), "{filter:?}");
            }
        }
    }
}

fn call(rng: &mut Rng) -> SeccompData {
    let args = [(); 6].map(|()| if rng.below(2) == 0 { rng.next() } else { rng.number().into() });
    SeccompData { nr: rng.number().cast_signed(), arch: rng.next() as u32, instruction_pointer: rng.next(), args }
}

/// Filters of seccomp at work: each makes one system call fail with the error number that it computes of the arguments.
#[test]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn system_calls_fail_as_with_linux() {
    if kernel::seccomp(&[Insn::new(0x06, 0, 0, 0)]) != Answer::Accepted {
        return println!("skipped: no filters of seccomp here");
    }
    let arch = Arch::from_name(std::env::consts::ARCH).unwrap();
    let nr = arch.syscall("personality").unwrap();
    let mut rng = Rng(fresh_seed());
    let mut others = 0;
    for _ in 0..300 {
        // All other calls are allowed. What computes ends with an error number below 64 thousand.
        let mut insns = parse(&format!("ld [0]\njeq #{nr}, on\nret #0x7fff0000\non: ld #0")).unwrap();
        let mut body = program(&mut rng, Loads::Seccomp, 64);
        body.pop();
        for insn in &mut body {
            match insn.op() {
                Some(Op::RetK | Op::RetA) => *insn = Insn::new(0x06, 0, 0, 0x5_0000 | insn.k),
                // The address is not known beforehand.
                Some(Op::LoadAbs(_)) if matches!(insn.k, 8 | 12) => insn.k = 16,
                _ => {}
            }
        }
        insns.extend(body);
        insns.extend(parse("and #0xfff\nor #0x50000\nret a").unwrap());
        let Some(filter) = filter(Place::Seccomp, insns) else { continue };
        let engines = Engines::new(&filter, Style::Plain);
        let calls = (0..8).map(|_| SeccompData { nr, arch: arch.audit, instruction_pointer: 0, ..call(&mut rng) });
        // A division by zero kills.
        let (killed, calls): (Vec<_>, Vec<_>) = calls.partition(|call| filter.run_seccomp(call) == 0);
        let said = kernel::errors(filter.insns(), nr.into(), &calls.iter().map(|call| call.args).collect::<Vec<_>>());
        for (call, said) in calls.iter().zip(said.unwrap()) {
            let retval = filter.run_seccomp(call);
            assert_eq!(Action::of(retval), Action::Errno(said), "{call:?} {filter:?}");
            assert!(engines.call(call).iter().all(|(_, have)| *have == retval));
            others += u32::from(said != 0);
        }
        for call in killed.iter().take(1) {
            assert_eq!(kernel::errors(filter.insns(), nr.into(), &[call.args]), None, "{call:?} {filter:?}");
        }
    }
    assert!(others > 100, "{others}");
}
