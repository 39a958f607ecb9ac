//! The assembler and the disassembler.

use std::borrow::Cow;
use std::fmt::Write;

use proptest::prelude::*;
use ring3_isa::{
    Code, Dialect, Insn, IsaError, Malformed, Names, NoNames, RawInsn, Reg, Symbols, Syntax, Wide, assemble,
    assemble_with, disasm,
};

/// What statements begin with, and some of what follows.
const WORDS: &[&str] = &[
    "add",
    "mov32",
    "jeq",
    "ja",
    "call",
    "lock",
    "fetch",
    "xchg",
    "lddw",
    "map_by_fd",
    "map_val",
    "code_addr",
    "local",
    "helper",
    "runtime",
    "exit",
    "goto",
    "if",
    "r1",
    "%r2",
    "w3",
    "[",
    "]",
    "(",
    ")",
    ",",
    "+4",
    "-8",
    "7",
    "0x80000000",
    ":",
    "=",
    "+=",
    "==",
    "*",
    "u32",
    "s8",
    "#",
    ";",
    "\n",
    "end",
    "ldxw",
    "stb",
    "be16",
    "neg",
    "may_goto",
    "callx",
];

/// The text of a whole program, a line each.
fn listing(code: &Code, numbered: bool) -> String {
    listing_in(Dialect::Kernel, code, numbered)
}

fn listing_in(dialect: Dialect, code: &Code, numbered: bool) -> String {
    let mut text = String::new();
    for slot in 0..code.len() {
        if let Some(line) = code.text(slot, &NoNames) {
            let line = line.in_dialect(dialect);
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
    fn assembling_undoes_disassembling(insns in prop::collection::vec(crate::shapes::insn(), 1..12)) {
        let code = Code::from_insns(insns.iter().copied());
        for (dialect, numbered) in Dialect::ALL.iter().flat_map(|dialect| [(*dialect, false), (*dialect, true)]) {
            let text = listing_in(dialect, &code, numbered);
            prop_assert_eq!(assemble(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?, code.clone());
        }
        for insn in insns {
            prop_assert_eq!(insn.to_string(), disasm(insn, 0, &NoNames).to_string());
        }
    }

    /// Both dialects in one text.
    #[test]
    fn dialects_mix(insns in prop::collection::vec((crate::shapes::insn(), any::<bool>()), 1..12)) {
        let code = Code::from_insns(insns.iter().map(|(insn, _)| *insn));
        let line = |insn: Insn, mnemonic: bool| {
            let dialect = if mnemonic { Dialect::Mnemonic } else { Dialect::Kernel };
            disasm(insn, 0, &NoNames).in_dialect(dialect).to_string()
        };
        let lines: Vec<String> = insns.iter().map(|(insn, mnemonic)| line(*insn, *mnemonic)).collect();
        prop_assert_eq!(assemble(&lines.join("\n")), Ok(code));
    }

    /// No text makes it panic, and what it takes can be written and read again.
    #[test]
    fn any_text(text in "[a-z0-9_ =+\\-*/%&|^<>!(){}\\[\\]:;,#x.\n]{0,60}") {
        if let Ok(code) = assemble(&text) {
            prop_assert_eq!(assemble(&listing(&code, false)).unwrap(), code);
        }
    }

    /// The words of both dialects in any order.
    #[test]
    fn any_words(words in prop::collection::vec(prop::sample::select(WORDS), 0..12)) {
        if let Ok(code) = assemble(&words.join(" ")) {
            prop_assert_eq!(assemble(&listing_in(Dialect::Mnemonic, &code, true)).unwrap(), code);
        }
    }

    #[test]
    fn nearly_right_text(insn in crate::shapes::insn(), mnemonic in any::<bool>(), at in any::<prop::sample::Index>(), put in any::<char>(), keep in any::<bool>()) {
        let dialect = if mnemonic { Dialect::Mnemonic } else { Dialect::Kernel };
        let mut characters: Vec<char> = disasm(insn, 0, &NoNames).in_dialect(dialect).to_string().chars().collect();
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
    let cases = include_str!("../data/kernel-text.txt");
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

/// What each dialect of mnemonics writes, and the same in the kernel's.
#[test]
fn mnemonics_of_all_assemblers() {
    let cases = [
        // The public suite.
        ("mov %r0, -1", "r0 = -1"),
        ("mov %r0, 0x80000000", "r0 = -2147483648"),
        ("mov32 %r0, 0xffffffff", "w0 = -1"),
        ("add %r1, %r2", "r1 += r2"),
        ("add32 %r1, %r2", "w1 += w2"),
        ("sdiv32 %r1, 0x2", "w1 s/= 2"),
        ("smod %r1, %r2", "r1 s%= r2"),
        ("arsh %r1, 3", "r1 s>>= 3"),
        ("neg %r3", "r3 = -r3"),
        ("neg32 %r3", "w3 = -w3"),
        ("movsx832 %r1, %r2", "w1 = (s8)w2"),
        ("movsx3264 %r1, %r2", "r1 = (s32)r2"),
        ("le16 %r1", "r1 = le16 r1"),
        ("be64 %r1", "r1 = be64 r1"),
        ("swap32 %r1", "r1 = bswap32 r1"),
        ("bswap64 %r1", "r1 = bswap64 r1"),
        ("lddw %r1, 0x1122334455667788", "r1 = 0x1122334455667788"),
        ("lddw %r1, -1", "r1 = 0xffffffffffffffff"),
        ("ldxb %r1, [%r2]", "r1 = *(u8 *)(r2 +0)"),
        ("ldxsw %r1, [%r2-4]", "r1 = *(s32 *)(r2 -4)"),
        ("stdw [%r10-8], 5", "*(u64 *)(r10 -8) = 5"),
        ("stxh [%r1+0x10], %r2", "*(u16 *)(r1 +16) = r2"),
        ("lock add32 [%r10-8], %r1", "lock *(u32 *)(r10 -8) += r1"),
        ("lock fetch or [%r10-8], %r1", "r1 = atomic64_fetch_or((u64 *)(r10 -8), r1)"),
        ("lock xchg32 [%r10-8], %r1", "r1 = atomic_xchg((u32 *)(r10 -8), r1)"),
        ("lock cmpxchg [%r10-8], %r1", "r0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r1)"),
        ("ja +2", "goto pc+2"),
        ("ja32 -3", "gotol pc-3"),
        ("jeq %r1, 3, +2", "if r1 == 0x3 goto pc+2"),
        ("jsle32 %r1, %r2, -1", "if w1 s<= w2 goto pc-1"),
        ("jset %r1, -1, +0x10", "if r1 & 0xffffffff goto pc+16"),
        ("call 5", "call unknown#5"),
        ("call helper 0x5", "call unknown#5"),
        ("call local +5", "call pc+5"),
        ("call runtime 7", "call kernel-function#7"),
        ("call runtime 7, 2", "call kernel-function[2]#7"),
        ("call %r2", "callx r2"),
        ("call helper %r2", "callx r2"),
        ("exit", "exit"),
        // rbpf.
        ("mov64 r1, 0x2", "r1 = 2"),
        ("add64 r1, r2", "r1 += r2"),
        ("neg64 r1", "r1 = -r1"),
        ("ldxw r2, [r1+0x4]", "r2 = *(u32 *)(r1 +4)"),
        ("stxdw [r1 + 0x8], r2", "*(u64 *)(r1 +8) = r2"),
        ("ldabsw 0x3", "r0 = *(u32 *)skb[3]"),
        ("ldindb r1, 0x3", "r0 = *(u8 *)skb[r1 + 3]"),
        ("stxxaddw [r1+0x2], r3", "lock *(u32 *)(r1 +2) += r3"),
        ("jne r1, 0x3, +0x1", "if r1 != 0x3 goto pc+1"),
        // The pseudocode of RFC 9669 section 5.4, and what Linux has beyond it.
        ("lddw %r1, map_by_fd(3)", "r1 = map[fd:3]"),
        ("lddw %r1, map_by_fd 3", "r1 = map[fd:3]"),
        ("lddw %r1, map_val(map_by_fd(3))+8", "r1 = map[fd:3][0]+8"),
        ("lddw %r1, var_addr(7)", "r1 = btf[id:7]"),
        ("lddw %r1, var_addr(7, 3)", "r1 = btf[id:7,fd:3]"),
        ("lddw %r1, code_addr(+4)", "r1 = subprog[+4]"),
        ("lddw %r1, map_by_idx(2)", "r1 = map[idx:2]"),
        ("lddw %r1, map_val(map_by_idx(2))+0", "r1 = map[idx:2][0]+0"),
        ("lddw %r1, map[fd:3]", "r1 = map[fd:3]"),
        ("addr_space_cast %r1, %r2, 0, 1", "r1 = addr_space_cast(r2, 0, 1)"),
        ("ldxh_acq %r1, [%r2+2]", "r1 = load_acquire((u16 *)(r2 +2))"),
        ("stxdw_rel [%r1-8], %r2", "store_release((u64 *)(r1 -8), r2)"),
        ("may_goto +3", "may_goto pc+3"),
        ("callx %r2", "callx r2"),
        ("gotox %r2", "gotox r2"),
    ];
    for (mnemonic, kernel) in cases {
        let code = assemble(mnemonic).unwrap_or_else(|error| panic!("{mnemonic}: {error}"));
        assert_eq!(listing(&code, false).trim_end(), kernel, "{mnemonic}");
        assert_eq!(assemble(kernel), Ok(code), "{kernel}");
    }
}

#[test]
fn labels_and_comments_of_mnemonics() {
    let text = "
        mov %r0, 0   # a comment
    # another
        jeq %r1, 0, exit
    again: jne %r1, 1, done# no space before it
        call local double # callee
        ja again#call
        exit
    done:
        lddw %r2, code_addr(double)
        exit
    double: add %r0, %r0
        exit";
    let expected = "\
        0: mov %r0, 0
        1: jeq %r1, 0, +3
        2: jne %r1, 1, +3
        3: call local +5
        4: ja -3
        5: exit
        6: lddw %r2, code_addr(+2)
        8: exit
        9: add %r0, %r0
        10: exit
";
    let code = assemble(text).unwrap();
    let lines =
        (0..code.len()).filter_map(|slot| Some((slot, code.text(slot, &NoNames)?.in_dialect(Dialect::Mnemonic))));
    let written: String = lines.map(|(slot, line)| format!("{slot}: {line}\n")).collect();
    assert_eq!(written, expected.replace("        ", ""));
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
    let mnemonic = |name: &str, near: Option<&str>| Syntax::Mnemonic { name: name.into(), near: near.map(Into::into) };
    let cases: &[(&str, usize, usize, Syntax)] = &[
        ("exit\n  frob r1", 2, 3, mnemonic("frob", None)),
        ("  ldxq %r1, [%r2]", 1, 3, mnemonic("ldxq", Some("ldxb"))),
        ("movv %r1, 2", 1, 1, mnemonic("movv", Some("mov"))),
        ("gote end", 1, 1, mnemonic("gote", Some("goto"))),
        ("lock fetch ad [%r1], %r2", 1, 6, mnemonic("lock fetch ad", Some("lock fetch_add"))),
        ("lock xor64 [%r1], %r11", 1, 20, Syntax::Register("r11".into())),
        ("add %r1 %r2", 1, 9, Syntax::Expected(",")),
        ("add %w1, 2", 1, 5, Syntax::NeedsWide),
        ("mov %r1, 2 3", 1, 12, Syntax::Expected("the end of the line")),
        ("mov %, 2", 1, 6, Syntax::Expected("a register")),
        ("mov %r1, 4294967296", 1, 10, range("4294967296", "a 32-bit immediate")),
        ("mov %r1, 4294967295", 1, 10, range("4294967295", "a 32-bit immediate")),
        ("ldxw %r1, [%r2+32768]", 1, 15, range("+32768", "a 16-bit offset")),
        ("ja +32768", 1, 4, range("32768", "the offset of the instruction")),
        ("jeq %r1, 2, nowhere\nexit", 1, 13, unknown("label", "nowhere")),
        ("ja exit", 1, 4, unknown("label", "exit")),
        ("lddw %r1, map_val(var_addr(1))", 1, 19, Syntax::Expected("map_by_fd or map_by_idx")),
        ("ldxsdw %r1, [%r2]", 1, 1, mnemonic("ldxsdw", Some("ldxdw"))),
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
