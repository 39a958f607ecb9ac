//! The assembler and the disassembler.

mod shapes;

use std::borrow::Cow;
use std::fmt::Write;

use proptest::prelude::*;
use ring3_isa::{
    Code, Insn, IsaError, Malformed, Names, NoNames, RawInsn, Reg, Symbols, Syntax, Wide, assemble, assemble_with,
    disasm,
};

/// The text of a whole program, a line each.
fn listing(code: &Code, numbered: bool) -> String {
    let mut text = String::new();
    for slot in 0..code.len() {
        if let Some(line) = code.text(slot, &NoNames) {
            let written =
                if numbered { writeln!(text, "{slot}: {}", line.with_opcode()) } else { writeln!(text, "{line}") };
            written.unwrap();
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn assembling_undoes_disassembling(insns in prop::collection::vec(shapes::insn(), 1..12)) {
        let code = Code::from_insns(insns.iter().copied());
        for numbered in [false, true] {
            let text = listing(&code, numbered);
            prop_assert_eq!(assemble(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?, code.clone());
        }
        for insn in insns {
            prop_assert_eq!(insn.to_string(), disasm(insn, 0, &NoNames).to_string());
        }
    }

    /// No text makes it panic, and what it takes can be written and read again.
    #[test]
    fn any_text(text in "[a-z0-9_ =+\\-*/%&|^<>!(){}\\[\\]:;,#x.\n]{0,60}") {
        if let Ok(code) = assemble(&text) {
            prop_assert_eq!(assemble(&listing(&code, false)).unwrap(), code);
        }
    }

    #[test]
    fn nearly_right_text(insn in shapes::insn(), at in any::<prop::sample::Index>(), put in any::<char>(), keep in any::<bool>()) {
        let mut characters: Vec<char> = insn.to_string().chars().collect();
        let at = at.index(characters.len());
        if keep { characters.insert(at, put) } else { characters.truncate(at) }
        let text: String = characters.iter().collect();
        match assemble(&text) {
            Ok(code) => prop_assert_eq!(assemble(&listing(&code, true)).unwrap(), code),
            Err(IsaError::Syntax { line, column, .. }) => {
                prop_assert!(line >= 1 && line <= text.lines().count() && column <= text.chars().count() + 1);
            }
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
    }
}

/// Text that Linux 6.18 writes, with the bytes it stands for: a case a line in `data/kernel-text.txt`.
#[test]
fn text_of_the_kernel() {
    let cases = include_str!("data/kernel-text.txt");
    let mut count = 0;
    for case in cases.lines().filter(|line| !line.starts_with('#')) {
        let (bytes, text) = case.split_once(' ').unwrap();
        let bytes: Vec<u8> =
            (0..bytes.len() / 2).map(|i| u8::from_str_radix(&bytes[2 * i..2 * i + 2], 16).unwrap()).collect();
        let code = Code::from_bytes(&bytes, ring3_isa::Endianness::Little).unwrap();
        let written = code.text(0, &KernelNames).unwrap().with_opcode().to_string();
        assert_eq!(written, text, "{:?}", code.raw(0));
        if let Some(Ok(_)) = code.get(0) {
            if text.starts_with("(85) call") {
                continue;
            }
            assert_eq!(assemble(text).map(|code| code.to_bytes(ring3_isa::Endianness::Little)), Ok(bytes), "{text}");
        }
        count += 1;
    }
    assert!(count > 100);
}

struct KernelNames;

impl Names for KernelNames {
    fn helper(&self, id: i32) -> Option<Cow<'_, str>> {
        (id == 7).then_some(Cow::Borrowed("bpf_get_prandom_u32"))
    }

    fn kfunc(&self, _id: i32, _off: i16) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed("bpf_kfunc"))
    }

    fn local(&self, slot: usize, offset: i32) -> Option<Cow<'_, str>> {
        (offset == 100).then(|| Cow::Owned(format!("from_{slot}")))
    }

    fn wide(&self, _slot: usize, value: Wide) -> Option<Cow<'_, str>> {
        matches!(value, Wide::Map(_)).then_some(Cow::Borrowed("0x0"))
    }
}

impl Symbols for KernelNames {
    fn helper(&self, name: &str) -> Option<i32> {
        (name == "bpf_get_prandom_u32").then_some(7)
    }

    fn kfunc(&self, name: &str) -> Option<(i32, i16)> {
        (name == "bpf_kfunc").then_some((64231, 2))
    }

    fn map(&self, name: &str) -> Option<i32> {
        (name == "counts").then_some(3)
    }
}

#[test]
fn what_people_write() {
    let text = "
        # counts packets
        r6 = r1               ; the context
        r1 = map[counts]
        r2 = map[counts][0]+8 // its second value
 loop:  call bpf_get_prandom_u32
        call bpf_kfunc
        call bpf_kfunc#64000
        call helper
        if r0 > 10 goto loop
        r3 = subprog[helper]
        r3 = 7 ll
        goto end
 end:   exit
 helper:
        r0 = *(u32 *)(r1 - 4)
        w0 = *(u32 *)(r1)
        r0 = -40000
        r0 = -4000000000
        exit";
    let expected = "\
        0: (bf) r6 = r1
        1: (18) r1 = map[fd:3]
        3: (18) r2 = map[fd:3][0]+8
        5: (85) call unknown#7
        6: (85) call kernel-function[2]#64231
        7: (85) call kernel-function[2]#64000
        8: (85) call pc+7
        9: (25) if r0 > 0xa goto pc-5
        10: (18) r3 = subprog[+5]
        12: (18) r3 = 0x7
        14: (05) goto pc+0
        15: (95) exit
        16: (61) r0 = *(u32 *)(r1 -4)
        17: (61) r0 = *(u32 *)(r1 +0)
        18: (b7) r0 = -40000
        19: (18) r0 = 0xffffffff1194d800
        21: (95) exit
";
    let code = assemble_with(text, &KernelNames).unwrap();
    assert_eq!(listing(&code, true), expected.replace("        ", ""));
}

#[test]
fn slot_numbers_may_start_anywhere() {
    let code = assemble("7: (b7) r1 = 0x5\n8: (18) r1 = 5\n10: exit").unwrap();
    assert_eq!(listing(&code, false), "r1 = 5\nr1 = 0x5\nexit\n");
}

#[test]
fn errors_tell_where_and_what() {
    let unknown = |kind, name: &str| Syntax::Unknown { kind, name: name.into() };
    let range = |value: &str, field| Syntax::Range { value: value.into(), field };
    let cases: &[(&str, usize, usize, Syntax)] = &[
        ("exit\n  frob r1", 2, 3, Syntax::Expected("an instruction")),
        ("exit now", 1, 6, Syntax::Expected("the end of the line")),
        ("r11 = 0", 1, 1, Syntax::Register("r11".into())),
        ("r1 = r01", 1, 6, Syntax::Register("r01".into())),
        ("r1 += 0x80000000", 1, 7, range("0x80000000", "a 32-bit immediate")),
        ("r1 = *(u8 *)(r2 +32768)", 1, 17, range("+32768", "a 16-bit offset")),
        ("r1 = 18446744073709551616", 1, 6, range("18446744073709551616", "64 bits")),
        ("goto pc+32768", 1, 6, range("32768", "the offset of the instruction")),
        ("w1 += r2", 1, 7, Syntax::MixedWidth),
        ("w1 = *(u64 *)(r2 +0)", 1, 7, Syntax::NeedsWide),
        ("r1 = -r2", 1, 7, Syntax::MustMatch),
        ("r1 = be16 r2", 1, 11, Syntax::MustMatch),
        ("r1 = atomic64_xchg((u64 *)(r10 -8), r2)", 1, 37, Syntax::MustMatch),
        ("w1 = (s32)w2", 1, 1, Syntax::NoEncoding(Malformed::Reserved(ring3_isa::Reserved::Mov))),
        ("  lock *(u8 *)(r1 +0) += r2", 1, 3, Syntax::NoEncoding(Malformed::AtomicSize)),
        ("r0 = addr_space_cast(r1, 2, 0)", 1, 1, Syntax::NoEncoding(Malformed::AddrSpace)),
        ("goto nowhere", 1, 6, unknown("label", "nowhere")),
        ("call bpf_nothing", 1, 6, unknown("label", "bpf_nothing")),
        ("r1 = map[nothing]", 1, 10, unknown("map", "nothing")),
        ("a: exit\n a: exit", 2, 2, Syntax::Duplicate("a".into())),
        ("(b4) r1 = 5", 1, 1, Syntax::Opcode { written: 0xb4, actual: 0xb7 }),
        ("0: exit\n2: exit", 2, 1, Syntax::Slot { written: 2 }),
        ("é", 1, 1, Syntax::Expected("an instruction")),
    ];
    for (text, line, column, problem) in cases {
        let expected = IsaError::Syntax { line: *line, column: *column, problem: problem.clone() };
        assert_eq!(assemble(text), Err(expected), "{text}");
    }
}

#[test]
fn a_label_too_far() {
    let text = format!("if r0 == 0 goto end\n{}end: exit", "r0 = 0\n".repeat(40000));
    let problem = Syntax::TooFar { name: "end".into(), distance: 40000 };
    assert_eq!(assemble(&text), Err(IsaError::Syntax { line: 1, column: 17, problem }));
    let long = text.replace("if r0 == 0 goto end", "gotol end");
    assert_eq!(assemble(&long).unwrap().get(0), Some(Ok(Insn::Jump { off: 40000, long: true })));
}

/// What the verifier's log shows of slots that are no instructions: never a decoded form, always the fields.
#[test]
fn malformed_slots_have_text() {
    let text = |raw| Code::decode(vec![raw]).text(0, &NoNames).unwrap().to_string();
    let raw = RawInsn { code: 0x07, dst: 12, src: 3, off: 5, imm: -1 };
    assert_eq!(text(raw), "r12 += -1");
    assert_eq!(text(RawInsn { code: 0x37, off: 2, ..raw }), "r12 /= -1");
    assert_eq!(text(RawInsn { code: 0xbf, off: -1, ..raw }), "r12 = &(void __percpu *)(r3)");
    assert_eq!(text(RawInsn { code: 0xc2, ..raw }), "nospec");
    assert_eq!(text(RawInsn { code: 0xdb, imm: 2, ..raw }), "BUG_db");
    for code in 0..=255u8 {
        assert!(!text(RawInsn { code, ..raw }).is_empty());
    }
}

#[test]
fn names_reach_the_text() {
    let text = |insn| disasm(insn, 4, &KernelNames).to_string();
    assert_eq!(text(Insn::Call(ring3_isa::Callee::Helper(7))), "call bpf_get_prandom_u32#7");
    assert_eq!(text(Insn::Call(ring3_isa::Callee::Helper(-1))), "call unknown#-1");
    assert_eq!(text(Insn::Call(ring3_isa::Callee::Kfunc { id: 9, off: 3 })), "call bpf_kfunc#9");
    assert_eq!(text(Insn::Call(ring3_isa::Callee::Local(100))), "call from_4");
    assert_eq!(text(Insn::LoadImm { dst: Reg::R1, value: Wide::Map(9) }), "r1 = 0x0");
}
