//! Stack on which compilers save registers around calls that leave them alone does not count: as Linux says in its last lines.

use std::sync::Arc;

use ring3_fuzz::parity::{Referee, parse, program};
use ring3_linux::LoadOptions;
use ring3_platform::{ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};

/// Programs, and the bytes of stack of their functions.
const ROWS: &[(&str, &str)] = &[
    // One register, two registers, and a function of its own beside.
    ("*(u64 *)(r10 -8) = 1; r1 = 1; *(u64 *)(r10 -16) = r1; call 8; r1 = *(u64 *)(r10 -16); r0 = r1; exit", "8"),
    (
        "r1 = 1; r2 = 2; *(u64 *)(r10 -8) = r1; *(u64 *)(r10 -16) = r2; call 8; r2 = *(u64 *)(r10 -16); \
         r1 = *(u64 *)(r10 -8); r0 = 0; exit",
        "0",
    ),
    ("*(u64 *)(r10 -32) = 1; r1 = 1; *(u64 *)(r10 -16) = r1; call 8; r1 = *(u64 *)(r10 -16); r0 = 0; exit", "32"),
    // Something else reads or writes what is saved, directly or by a pointer.
    ("r1 = 1; *(u64 *)(r10 -8) = r1; call 8; r1 = *(u64 *)(r10 -8); r0 = *(u64 *)(r10 -8); exit", "8"),
    ("r1 = 1; *(u64 *)(r10 -8) = r1; call 8; r1 = *(u64 *)(r10 -8); *(u32 *)(r10 -8) = 1; r0 = 0; exit", "8"),
    (
        "r1 = 1; *(u64 *)(r10 -8) = r1; call 8; r1 = *(u64 *)(r10 -8); r1 = r10; r1 += -8; call pc+2; r0 = 0; exit; \
         *(u64 *)(r1 +0) = 1; r0 = 0; exit",
        "8+0",
    ),
    // Another register, another place, a call that does not follow the contract.
    ("r1 = 1; r2 = 1; *(u64 *)(r10 -8) = r1; call 8; r2 = *(u64 *)(r10 -8); r0 = 0; exit", "8"),
    ("r6 = 1; *(u64 *)(r10 -8) = r6; call 8; r6 = *(u64 *)(r10 -8); r0 = 0; exit", "8"),
    ("r1 = 1; *(u64 *)(r10 -8) = r1; call 7; r1 = *(u64 *)(r10 -8); r0 = 0; exit", "8"),
    (
        "r1 = 1; *(u64 *)(r10 -8) = r1; call 8; r1 = *(u64 *)(r10 -8); *(u64 *)(r10 -8) = r1; call 7; \
         r1 = *(u64 *)(r10 -8); r0 = 0; exit",
        "8",
    ),
    // R0 is changed by the call, so it is not saved by it.
    ("r0 = 1; *(u64 *)(r10 -8) = r0; call 8; r0 = *(u64 *)(r10 -8); exit", "8"),
];

fn programs() -> impl Iterator<Item = (&'static str, Program, &'static str)> {
    let parsed = |text: &str| program(ProgType::Xdp, parse(text.split("; ")).unwrap(), &[]);
    ROWS.iter().map(move |(text, depth)| (*text, parsed(text), *depth))
}

/// What the log says of the stack.
fn told(log: &str) -> &str {
    log.lines().find_map(|line| line.strip_prefix("stack depth ")).unwrap_or("nothing")
}

#[test]
fn saved_registers_do_not_count() {
    for (text, program, depth) in programs() {
        let proof =
            verify(Arc::new(program), Arc::new(Target::default()), LogLevel(4)).unwrap_or_else(|no| panic!("{no}"));
        assert_eq!(told(proof.log()), depth, "{text}");
    }
}

#[test]
fn linux_counts_the_same() {
    if Referee::open(Vec::new()).is_none() {
        println!("skipped: no Linux 6.18 with bpf(2) here");
        return;
    }
    let statistics = LoadOptions { log: ring3_linux::LogLevel::STATS, ..LoadOptions::default() };
    for (text, program, depth) in programs() {
        let loaded = ring3_linux::load_with(&program, &[], &statistics).unwrap();
        assert_eq!(told(&loaded.log.text), depth, "{text}");
    }
}
