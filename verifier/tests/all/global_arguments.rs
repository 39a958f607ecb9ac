//! Tags of the arguments of global functions: what Linux 6.18 says of each.

use std::sync::Arc;

use ring3_btf::{Btf, FuncEntry, Linkage, ProgramInfo, TypeId};
use ring3_platform::{ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};

/// `int g(T a)` as type 8 and `int main()` as type 9. T is one of the types in front: a number (1), a pointer to one (2), to
/// nothing (3), to `struct bpf_dynptr` (5).
#[rustfmt::skip]
fn types(argument: u32, tag: &str) -> Btf {
    let strings = format!("\0int\0bpf_dynptr\0g\0main\0arg:{tag}\0");
    let name = |text: &str| u32::try_from(strings.find(&format!("\0{text}\0")).unwrap() + 1).unwrap();
    let kind = |kind: u32, count: u32| kind << 24 | count;
    let mut types: Vec<u32> = vec![
        name("int"),
        kind(1, 0),
        4,
        1 << 24 | 32, // [1]
        0,
        kind(2, 0),
        1, // [2]
        0,
        kind(2, 0),
        0, // [3]
        name("bpf_dynptr"),
        kind(4, 0),
        16, // [4]
        0,
        kind(2, 0),
        4, // [5]
        0,
        kind(13, 1),
        1,
        0,
        argument, // [6]
        0,
        kind(13, 0),
        1, // [7]
        name("g"),
        kind(12, 1),
        6, // [8]
        name("main"),
        kind(12, 0),
        7, // [9]
    ];
    if !tag.is_empty() {
        types.extend([name(&format!("arg:{tag}")), kind(17, 0), 8, 0]);
    }
    let length = 4 * u32::try_from(types.len()).unwrap();
    let header = [24, 0, length, length, u32::try_from(strings.len()).unwrap()];
    let words = header.iter().chain(&types).flat_map(|word| word.to_le_bytes());
    let bytes: Vec<u8> = [0x9f, 0xeb, 1, 0].into_iter().chain(words).chain(strings.bytes()).collect();
    Btf::parse(&bytes).unwrap()
}

/// What is said of a call `g(R1)`, after `before`; `body` is what `g` does.
fn said(kind: ProgType, argument: u32, tag: &str, before: &str, body: &str) -> String {
    let text = format!("{before}\ncall pc+2\nr0 = 0\nexit\n{body}\nr0 = 0\nexit");
    let code = ring3_isa::assemble(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let g = u32::try_from(code.len() - body.lines().count() - 2).unwrap();
    let entry =
        |slot, name: &str, type_id, linkage| FuncEntry { slot, name: name.into(), type_id: TypeId(type_id), linkage };
    let info = ProgramInfo {
        btf: Arc::new(types(argument, tag)),
        funcs: vec![entry(0, "main", 9, Linkage::Static), entry(g, "g", 8, Linkage::Global)],
        lines: Vec::new(),
        unresolved: Vec::new(),
        pending: Vec::new(),
    };
    let program = Program { info: Some(Arc::new(info)), ..Program::new("main", kind, code) };
    let verdict = verify(Arc::new(program), Arc::new(Target::default()), LogLevel(1));
    // The words that come before those on the caller.
    verdict.map_or_else(
        |rejection| {
            let lines: Vec<&str> = rejection.log.lines().collect();
            let at = lines.iter().position(|line| *line == rejection.message).unwrap();
            if rejection.message.starts_with("Caller") { lines[at - 1].to_owned() } else { rejection.message }
        },
        |_| String::new(),
    )
}

#[test]
fn tags_say_what_an_argument_is() {
    let xdp = |argument, tag, before, body| said(ProgType::Xdp, argument, tag, before, body);
    let stack = "*(u64 *)(r10 -8) = 0\nr1 = r10\nr1 += -8";
    assert_eq!(xdp(2, "", "r1 = 0", "r0 = 0"), "");
    assert_eq!(xdp(2, "", stack, "r0 = *(u32 *)(r1 +0)"), "R1 invalid mem access 'mem_or_null'");
    assert_eq!(xdp(2, "nonnull", stack, "r0 = *(u32 *)(r1 +0)"), "");
    assert_eq!(xdp(2, "nonnull", "r1 = 0", "r0 = 0"), "arg#0 is expected to be non-NULL");
    assert_eq!(xdp(2, "nullable", stack, "r0 = 0"), "arg#0 has invalid combination of tags");
    assert_eq!(xdp(2, "other", stack, "r0 = 0"), "arg#0 has unsupported set of tags");
    assert_eq!(xdp(1, "nonnull", "r1 = 0", "r0 = 0"), "arg#0 has pointer tag, but is not a pointer type");
    assert_eq!(xdp(3, "", "r1 = 0", "r0 = 0"), "arg#0 reference type('UNKNOWN ') size cannot be determined: -22");
}

#[test]
fn contexts() {
    let packet = "r0 = *(u32 *)(r1 +0)";
    assert_eq!(said(ProgType::Xdp, 3, "ctx", "r0 = 0", packet), "");
    assert_eq!(said(ProgType::Xdp, 3, "ctx", "r1 = 0", "r0 = 0"), "arg#0 expects pointer to ctx");
    assert_eq!(said(ProgType::Xdp, 2, "ctx", "r0 = 0", "r0 = 0"), "arg#0 should be `struct xdp_md *`");
    assert_eq!(said(ProgType::LircMode2, 2, "ctx", "r0 = 0", "r0 = 0"), "arg#0 should be void pointer");
    assert_eq!(said(ProgType::Tracepoint, 2, "ctx", "r0 = 0", "r0 = 0"), "");
}

#[test]
fn what_is_read_with_faults_caught() {
    let xdp = |argument, before, body| said(ProgType::Xdp, argument, "untrusted", before, body);
    assert_eq!(xdp(3, "r1 = 5", "r0 = *(u64 *)(r1 +1000)"), "");
    assert_eq!(xdp(2, "r1 = r10", "r1 += 100000\nr0 = *(u8 *)(r1 +0)"), "");
    assert_eq!(xdp(3, "r1 = 5", "*(u64 *)(r1 +0) = 0"), "R1 cannot write into rdonly_untrusted_mem");
}

#[test]
fn addresses_of_arenas_and_dynptrs() {
    assert_eq!(said(ProgType::Xdp, 3, "arena", "r1 = 5", "r0 = r1"), "");
    let wrong = "R1 is not a pointer to arena or scalar.";
    assert_eq!(said(ProgType::Xdp, 3, "arena", "r0 = 0", "r0 = r1"), wrong);
    let wrong = "arg#0 expected pointer to stack or const struct bpf_dynptr";
    assert_eq!(said(ProgType::Xdp, 5, "", "r1 = 5", "r0 = 0"), wrong);
    assert_eq!(said(ProgType::Xdp, 5, "nonnull", "r1 = 5", "r0 = 0"), "arg#0 has invalid combination of tags");
    let never = "*(u64 *)(r10 -16) = 0\n*(u64 *)(r10 -8) = 0\nr1 = r10\nr1 += -16";
    assert_eq!(said(ProgType::Xdp, 5, "", never, "r0 = 0"), "Expected an initialized dynptr as arg #0");
}
