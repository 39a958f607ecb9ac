//! Programs over the kernel's own types: ring3's verdict and message beside the running kernel's. Skipped, with a line that
//! says why, where bpf(2) cannot be used or the kernel has no types.

use std::sync::Arc;

use ring3_parity::{Answer, Kernel, Referee};
use ring3_platform::{AttachType, ProgType, Program};
use ring3_verifier::{LogLevel, verify};

/// The section, the program, and the last line of the log (empty: it is accepted).
const ROWS: &[(&str, &str, &str)] = &[
    // Arguments of a tracepoint.
    ("tp_btf/sched_switch", "r0 = *(u64 *)(r1 +8)\nr0 = 0\nexit", ""),
    ("tp_btf/sched_switch", "r0 = *(u8 *)(r1 +0)\nexit", ""),
    ("tp_btf/sched_switch", "r0 = *(u64 *)(r1 +4)\nexit", "invalid bpf_context access off=4 size=8"),
    ("tp_btf/sched_switch", "r0 = *(u32 *)(r1 +8)\nexit", "invalid bpf_context access off=8 size=4"),
    ("tp_btf/sched_switch", "r0 = *(u64 *)(r1 +32)\nexit", "invalid bpf_context access off=32 size=8"),
    ("tp_btf/sched_switch", "r2 = 0\n*(u64 *)(r1 +0) = r2\nexit", "invalid bpf_context access off=0 size=8"),
    // One that may be null.
    (
        "tp_btf/kfree_skb",
        "r1 = *(u64 *)(r1 +24)\nr0 = *(u8 *)(r1 +0)\nexit",
        "R1 invalid mem access 'trusted_ptr_or_null_'",
    ),
    ("tp_btf/kfree_skb", "r1 = *(u64 *)(r1 +24)\nif r1 == 0x0 goto +1\nr0 = *(u8 *)(r1 +18)\nr0 = 0\nexit", ""),
    // Structures.
    (
        "tp_btf/sched_switch",
        "r1 = *(u64 *)(r1 +8)\nr0 = *(u32 *)(r1 +30000)\nexit",
        "access beyond struct task_struct at off 30000 size 4",
    ),
    (
        "tp_btf/sched_switch",
        "r1 = *(u64 *)(r1 +8)\nr0 = *(u64 *)(r1 -8)\nexit",
        "R1 is ptr_task_struct invalid negative access: off=-8",
    ),
    (
        "tp_btf/sched_switch",
        "r1 = *(u64 *)(r1 +8)\nr2 = 0\n*(u32 *)(r1 +28) = r2\nr0 = 0\nexit",
        "only read is supported",
    ),
    // Iterators.
    ("iter/task", "r1 = *(u64 *)(r1 +8)\nr0 = *(u8 *)(r1 +0)\nexit", "R1 invalid mem access 'trusted_ptr_or_null_'"),
    ("iter/task", "r0 = 2\nexit", "At program exit the register R0 has smin=2 smax=2 should have been in [0, 1]"),
    ("iter/bpf_map_elem", "r1 = *(u64 *)(r1 +24)\nif r1 == 0x0 goto +1\nr0 = *(u64 *)(r1 +8)\nr0 = 0\nexit", ""),
    (
        "iter/bpf_map_elem",
        "r1 = *(u64 *)(r1 +24)\nif r1 == 0x0 goto +1\nr0 = *(u64 *)(r1 -8)\nr0 = 0\nexit",
        "R1 invalid rdwr buffer access: off=-8, size=8",
    ),
    (
        "iter/bpf_map_elem",
        "r1 = *(u64 *)(r1 +16)\nif r1 == 0x0 goto +2\nr2 = 0\n*(u64 *)(r1 +0) = r2\nr0 = 0\nexit",
        "R1 cannot write into rdonly_buf",
    ),
    // Helpers that give and take structures.
    ("tp_btf/sched_switch", "call 158\nr1 = r0\ncall 175\nr0 = 0\nexit", ""),
    (
        "tp_btf/sched_switch",
        "r1 = *(u64 *)(r1 +0)\ncall 175\nr0 = 0\nexit",
        "R1 type=scalar expected=ptr_, trusted_ptr_, rcu_ptr_",
    ),
    (
        "tp_btf/kfree_skb",
        "r1 = *(u64 *)(r1 +0)\ncall 175\nr0 = 0\nexit",
        "R1 is of type sk_buff but task_struct is expected",
    ),
];

fn program(section: &str, text: &str) -> Program {
    let attach = if section.starts_with("iter") { AttachType::TraceIter } else { AttachType::TraceRawTp };
    let code = ring3_isa::assemble(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    Program { section: section.to_owned(), attach: Some(attach), ..Program::new("test", ProgType::Tracing, code) }
}

#[test]
fn verdicts_about_structures_of_the_kernel() {
    let mut kernel = match Kernel::open() {
        Ok(kernel) if kernel.target().btf.is_some() => kernel,
        Ok(_) => return println!("skipped: the kernel has no types"),
        Err(why) => return println!("skipped: {why}"),
    };
    let target = kernel.target();
    for (section, text, message) in ROWS {
        let program = program(section, text);
        let theirs = match kernel.judge("", &program) {
            Answer::Judged(verdict) => verdict.message,
            other => panic!("{section}: {text}: {other:?}"),
        };
        assert_eq!(theirs, *message, "the kernel: {section}: {text}");
        let ours = match verify(Arc::new(program), Arc::clone(&target), LogLevel(1)) {
            Ok(_) => String::new(),
            Err(rejection) => rejection.message,
        };
        assert_eq!(ours, *message, "ring3: {section}: {text}");
    }
}

#[test]
fn what_is_not_there_is_refused() {
    let Ok(kernel) = Kernel::open() else { return println!("skipped: bpf(2) cannot be used") };
    if kernel.target().btf.is_none() {
        return println!("skipped: the kernel has no types");
    }
    for section in ["tp_btf/no_such_tracepoint", "iter/no_such_iterator"] {
        let program = program(section, "r0 = 0\nexit");
        assert!(verify(Arc::new(program), kernel.target(), LogLevel(1)).is_err(), "{section}");
    }
}
