//! Functions of the kernel that are more than their prototypes say: what they do to packets, which programs they are for, and how
//! many a program may call. What Linux 6.18 says of each.

use std::sync::Arc;

use ring3_fuzz::parity::{Referee, parse, program};
use ring3_parity::{Answer, Kernel};
use ring3_platform::{KfuncRef, ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};

/// The function that is called as number 0, the program, and what is said; nothing if it is accepted.
const ROWS: &[(&str, &str, &str)] = &[
    ("bpf_xdp_pull_data", "r2 = 4; call kernel-function[-1]#0; r0 = 2; exit", ""),
    // The packet is elsewhere then.
    (
        "bpf_xdp_pull_data",
        "r6 = r1; r7 = *(u32 *)(r6 +0); r8 = *(u32 *)(r6 +4); r9 = r7; r9 += 1; if r9 > r8 goto +3; r2 = 4; \
         call kernel-function[-1]#0; r0 = *(u8 *)(r7 +0); r0 = 2; exit",
        "R7 invalid mem access 'scalar'",
    ),
    // Only for programs of one device; even where nothing reaches the call.
    (
        "bpf_xdp_metadata_rx_hash",
        "r0 = 2; exit; call kernel-function[-1]#0; exit",
        "metadata kfuncs require device-bound program",
    ),
    (
        "bpf_put_file",
        "r1 = 0; call kernel-function[-1]#0; r0 = 2; exit",
        "calling kernel function bpf_put_file is not allowed",
    ),
];

fn calling(name: &str, text: &str) -> Program {
    let code = parse(text.split("; ")).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    let kfuncs = vec![KfuncRef { name: name.to_owned(), weak: false }];
    Program { kfuncs, ..program(ProgType::Xdp, code, &[]) }
}

fn said(program: Program, target: &Arc<Target>) -> String {
    verify(Arc::new(program), Arc::clone(target), LogLevel(1)).map_or_else(|no| no.message, |_| String::new())
}

#[test]
fn linux_and_ring3_say_the_same() {
    let kernel = Kernel::open().ok().filter(|_| Referee::open(Vec::new()).is_some());
    let Some(kernel) = kernel else {
        println!("skipped: no Linux 6.18 with bpf(2) here");
        return;
    };
    for &(name, text, says) in ROWS {
        let (answer, _) = kernel.judge_logged(&calling(name, text), ring3_linux::LogLevel::STATS);
        let Answer::Judged(verdict) = answer else { panic!("{text}: {answer:?}") };
        assert_eq!(verdict.message, says, "{text}");
        assert_eq!(said(calling(name, text), &kernel.target()), says, "{text}");
    }
}

#[test]
fn a_program_calls_so_many_and_no_more() {
    let calls = |count: usize| {
        let text: String = (0..count).map(|number| format!("call kernel-function[-1]#{number}; ")).collect();
        let names =
            ring3_platform::kfuncs::KFUNCS.iter().filter(|row| !row.name.starts_with("bpf_xdp_metadata_")).take(count);
        let kfuncs: Vec<_> = names.map(|row| KfuncRef { name: row.name.to_owned(), weak: false }).collect();
        assert_eq!(kfuncs.len(), count, "the table has too few");
        Program { kfuncs, ..calling("", &(text + "r0 = 2; exit")) }
    };
    let many = "too many different kernel function calls";
    assert_ne!(said(calls(256), &Arc::default()), many);
    assert_eq!(said(calls(257), &Arc::default()), many);
}
