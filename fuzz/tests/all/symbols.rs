//! What the addresses of the kernel's functions and variables lead to, by the types of the kernel that runs here, and what that
//! kernel says.

use std::sync::Arc;

use ring3_btf::{Kind, TypeId};
use ring3_fuzz::parity::{Referee, parse, program};
use ring3_linux::LoadOptions;
use ring3_parity::Kernel;
use ring3_platform::{ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};

type Row = (&'static str, Kind, &'static str, &'static str);

/// The name of a symbol of this kind, a program that has its number for `ID`, and what is said; nothing if it is accepted.
const ROWS: &[Row] = &[
    ("bpf_fentry_test1", Kind::Func, "r1 = btf[id:ID]; r0 = 0; exit", ""),
    // An address that is never null, and nothing behind it.
    ("bpf_fentry_test1", Kind::Func, "r1 = btf[id:ID]; r0 = 0; if r1 != 0 goto +1; r0 = *(u64 *)(r9 +0); exit", ""),
    (
        "bpf_fentry_test1",
        Kind::Func,
        "r1 = btf[id:ID]; r0 = *(u8 *)(r1 +0); exit",
        "R1 min value is outside of the allowed memory range",
    ),
    (
        "bpf_fentry_test1",
        Kind::Func,
        "r1 = btf[id:ID]; call 154; r0 = 0; exit",
        "R1 type=rdonly_mem expected=percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_",
    ),
    // A structure of each CPU: this CPU's is there, another's may not be.
    ("runqueues", Kind::Var, "r1 = btf[id:ID]; call 154; r0 = *(u32 *)(r0 +0); exit", ""),
    (
        "runqueues",
        Kind::Var,
        "r1 = btf[id:ID]; r2 = 0; call 153; if r0 == 0 goto +1; r0 = *(u32 *)(r0 +0); r0 = 0; exit",
        "",
    ),
    (
        "runqueues",
        Kind::Var,
        "r1 = btf[id:ID]; r2 = 0; call 153; r0 = *(u32 *)(r0 +0); exit",
        "R0 invalid mem access 'ptr_or_null_'",
    ),
    ("runqueues", Kind::Var, "r1 = btf[id:ID]; r0 = *(u32 *)(r1 +0); exit", "R1 is ptr_rq access percpu memory: off=0"),
    ("runqueues", Kind::Var, "r1 = btf[id:ID]; call 154; *(u32 *)(r0 +0) = 1; r0 = 0; exit", "only read is supported"),
    // A number of each CPU: memory of its size, to be read.
    ("cpu_number", Kind::Var, "r1 = btf[id:ID]; call 154; r0 = *(u32 *)(r0 +0); exit", ""),
    (
        "cpu_number",
        Kind::Var,
        "r1 = btf[id:ID]; call 154; r0 = *(u64 *)(r0 +0); exit",
        "R0 min value is outside of the allowed memory range",
    ),
    (
        "cpu_number",
        Kind::Var,
        "r1 = btf[id:ID]; call 154; *(u32 *)(r0 +0) = 1; r0 = 0; exit",
        "R0 cannot write into rdonly_mem",
    ),
    (
        "cpu_number",
        Kind::Var,
        "r1 = btf[id:ID]; r2 = 0; call 153; r0 = *(u32 *)(r0 +0); exit",
        "R0 invalid mem access 'rdonly_mem_or_null'",
    ),
    (
        "task_struct",
        Kind::Struct,
        "r1 = btf[id:ID]; r0 = 0; exit",
        "pseudo btf_id ID in ldimm64 isn't KIND_VAR or KIND_FUNC",
    ),
];

/// Programs with what is to be said of them, by the kernel's types; and whether a variable is in them.
fn programs(target: &Target) -> Vec<(&'static str, Program, String, Option<&'static str>)> {
    let Some(btf) = &target.btf else { return Vec::new() };
    let row = |&(name, kind, text, says): &Row| {
        let TypeId(id) = btf.find(name, kind)?;
        let with_id = |text: &str| text.replace("ID", &id.to_string());
        let code = parse(with_id(text).split("; ")).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        Some((text, program(ProgType::RawTracepoint, code, &[]), with_id(says), (kind == Kind::Var).then_some(name)))
    };
    ROWS.iter().filter_map(row).collect()
}

fn target() -> Option<Arc<Target>> {
    let kernel = Kernel::open().ok().filter(|_| Referee::open(Vec::new()).is_some());
    if kernel.is_none() {
        println!("skipped: no Linux 6.18 with bpf(2) here");
    }
    kernel.map(|kernel| kernel.target())
}

#[test]
fn addresses_lead_to_what_the_types_say() {
    let Some(target) = target() else { return };
    let knowing = Arc::new(Target { knows_variables: true, ..(*target).clone() });
    let programs = programs(&target);
    assert!(programs.len() > 10, "{}", programs.len());
    for (text, program, says, _) in programs {
        let said =
            verify(Arc::new(program), Arc::clone(&knowing), LogLevel(1)).map_or_else(|r| r.message, |_| String::new());
        assert_eq!(said, says, "{text}");
    }
}

#[test]
fn linux_says_the_same() {
    let Some(target) = target() else { return };
    for (text, program, says, variable) in programs(&target) {
        let unknown = variable.filter(|_| !target.knows_variables);
        let says = match unknown {
            Some(name) => format!("ldimm64 failed to find the address for kernel symbol '{name}'."),
            None => says,
        };
        let log = match ring3_linux::load_with(&program, &[], &LoadOptions::default()) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        assert!(says.is_empty() == log.is_empty() && log.contains(&says), "{text}: {log}");
        let said =
            verify(Arc::new(program), Arc::clone(&target), LogLevel(1)).map_or_else(|r| r.message, |_| String::new());
        assert_eq!(said, says, "{text}");
    }
}
