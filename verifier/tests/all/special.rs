//! Locks, dynptrs and other special fields: what Linux 6.18 says of each program.

use std::sync::Arc;

use ring3_btf::TypeId;
use ring3_isa::assemble;
use ring3_platform::maps::{Field, FieldKind, Fields};
use ring3_platform::{MapDef, MapType, ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};

/// The last words of the log, or nothing if the program is accepted.
fn said(kind: ProgType, map: MapDef, text: &str) -> String {
    let code = assemble(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let program = Program { maps: vec![Arc::new(map)], ..Program::new("test", kind, code) };
    verify(Arc::new(program), Arc::new(Target::default()), LogLevel(1)).map_or_else(|r| r.message, |_| String::new())
}

/// Values of 32 bytes with a special field at offset 8.
fn with(field: FieldKind) -> MapDef {
    let field = Field { kind: field, off: 8, target: TypeId::VOID, node: 0 };
    MapDef { fields: Fields { typed: true, list: Arc::new([field]) }, ..MapDef::new("vals", MapType::Hash, 4, 32, 4) }
}

const LOOKUP: &str =
    "*(u32 *)(r10 -4) = 0\nr1 = map[fd:0]\nr2 = r10\nr2 += -4\ncall map_lookup_elem#1\nif r0 == 0 goto end\n";
const LOCK: &str = "r1 = r6\nr1 += 8\ncall spin_lock#93\n";
const UNLOCK: &str = "r1 = r6\nr1 += 8\ncall spin_unlock#94\n";

fn locked(body: &str) -> String {
    let text = format!("{LOOKUP}r6 = r0\n{body}end: r0 = 0\nexit");
    said(ProgType::Xdp, with(FieldKind::SpinLock), &text)
}

#[test]
fn locks() {
    let region = "BPF_EXIT instruction in main prog cannot be used inside bpf_spin_lock-ed region";
    assert_eq!(locked(&format!("{LOCK}*(u32 *)(r6 +0) = 1\n{UNLOCK}")), "");
    assert_eq!(locked(LOCK), region);
    assert_eq!(locked(UNLOCK), "bpf_spin_unlock without taking a lock");
    let calls = "function calls are not allowed while holding a lock";
    assert_eq!(locked(&format!("{LOCK}{LOCK}{UNLOCK}")), calls);
    assert_eq!(locked(&format!("{LOCK}call ktime_get_ns#5\n{UNLOCK}")), calls);
    assert_eq!(
        locked("r1 = r6\nr1 += 4\ncall spin_lock#93\n"),
        "off 4 doesn't point to 'struct bpf_spin_lock' that is at 8"
    );
    // Another look-up may have found another element.
    let again = format!("{LOOKUP}r6 = r0\n").replace("goto end", "goto other");
    let text = format!(
        "{LOOKUP}r7 = r0\nr8 = 0\n{again}{LOCK}r1 = r7\nr1 += 8\ncall spin_unlock#94\nother: end: r0 = 0\nexit"
    );
    let text = text.replace("other: end:", "end:").replace("goto other", "goto end");
    assert_eq!(said(ProgType::Xdp, with(FieldKind::SpinLock), &text), "bpf_spin_unlock of different lock");
    let untyped = MapDef { fields: Fields::default(), ..with(FieldKind::SpinLock) };
    let text = format!("{LOOKUP}r6 = r0\n{LOCK}{UNLOCK}end: r0 = 0\nexit");
    assert_eq!(said(ProgType::Xdp, untyped, &text), "map 'vals' has to have BTF in order to use bpf_spin_lock");
    assert_eq!(
        said(ProgType::SocketFilter, with(FieldKind::SpinLock), &text),
        "socket filter progs cannot use bpf_spin_lock yet"
    );
    assert_eq!(said(ProgType::Kprobe, with(FieldKind::SpinLock), &text), "tracing progs cannot use bpf_spin_lock yet");
}

#[test]
fn what_only_helpers_touch() {
    let touch = |field: FieldKind, access: &str| {
        let text = format!("{LOOKUP}{access}\nend: r0 = 0\nexit");
        said(ProgType::Xdp, with(field), &text)
    };
    assert_eq!(touch(FieldKind::SpinLock, "r1 = *(u64 *)(r0 +0)"), "");
    assert_eq!(
        touch(FieldKind::SpinLock, "r1 = *(u8 *)(r0 +11)"),
        "bpf_spin_lock cannot be accessed directly by load/store"
    );
    assert_eq!(touch(FieldKind::SpinLock, "*(u32 *)(r0 +12) = 1"), "");
    assert_eq!(touch(FieldKind::Timer, "*(u64 *)(r0 +16) = 1"), "bpf_timer cannot be accessed directly by load/store");
    assert_eq!(touch(FieldKind::KptrRef, "*(u32 *)(r0 +8) = 1"), "kptr access size must be BPF_DW");
    assert_eq!(touch(FieldKind::KptrRef, "*(u64 *)(r0 +4) = 1"), "kptr access misaligned expected=8 off=4");
}

fn record(body: &str) -> String {
    let reserve = "r1 = map[fd:0]\nr2 = 8\nr3 = 0\nr4 = r10\nr4 += -16\ncall ringbuf_reserve_dynptr#198\n";
    let text = format!("{reserve}{body}r0 = 0\nexit");
    said(ProgType::Xdp, MapDef::new("rb", MapType::Ringbuf, 0, 0, 4096), &text)
}

#[test]
fn dynptrs() {
    let submit = "r1 = r10\nr1 += -16\nr2 = 0\ncall ringbuf_submit_dynptr#199\n";
    let data = "r1 = r10\nr1 += -16\nr2 = 0\nr3 = 8\ncall dynptr_data#203\n";
    assert_eq!(record(submit), "");
    assert_eq!(record(""), "BPF_EXIT instruction in main prog would lead to reference leak");
    assert_eq!(record(&format!("{submit}{submit}")), "arg 1 is an unacquired reference");
    assert_eq!(record("*(u64 *)(r10 -8) = 0\n"), "cannot overwrite referenced dynptr");
    assert_eq!(record("r1 = *(u64 *)(r10 -16)\n"), "invalid read from stack off -16+0 size 8");
    assert_eq!(record(&format!("{data}if r0 == 0 goto out\n*(u64 *)(r0 +0) = 1\nout: {submit}")), "");
    assert_eq!(
        record(&format!(
            "{data}r6 = r0\nif r0 == 0 goto out\nout: {submit}if r6 == 0 goto over\nr1 = *(u8 *)(r6 +0)\nover: "
        )),
        "R6 invalid mem access 'scalar'"
    );
    // Not the first of its two slots.
    assert_eq!(
        record(&format!("r1 = r10\nr1 += -8\nr2 = 0\nr3 = 8\ncall dynptr_data#203\n{submit}")),
        "Expected an initialized dynptr as arg #0"
    );
}
