//! The text of cases: what is understood, where errors point, and that no text breaks the parser.

use proptest::prelude::*;
use ring3_conformance::format::{Expect, Input, parse};
use ring3_isa::{AluOp, Insn, Operand, Reg, Width};
use ring3_platform::Errno;

fn error(text: &str) -> String {
    parse("case", text).unwrap_err().to_string()
}

#[test]
fn a_case_with_everything_of_the_public_suite() {
    let text = "# Copyright (c) Somebody\n# SPDX-License-Identifier: MIT\n# Adds.\n#\n# Twice.\n-- c\nint main; # not read\n\
                -- asm\nmov %r0, 2 # a comment\n\nadd %r0, %r0\nexit\n-- mem\n aa bb  0c\n0d0e\n-- no register offset\ncall instruction\n\
                -- result\n0x4\n";
    let case = parse("adds", text).unwrap();
    assert_eq!((case.name.as_str(), case.about.as_str()), ("adds", "Adds.\nTwice."));
    assert_eq!(case.input, Input::Memory(vec![0xaa, 0xbb, 0x0c, 0x0d, 0x0e]));
    assert_eq!(case.expect, Expect::Result(4));
    assert_eq!(case.code.len(), 3);
    let add = Insn::Alu { width: Width::W64, op: AluOp::Add, dst: Reg::R0, src: Operand::Reg(Reg::R0) };
    assert_eq!(case.code.get(1), Some(Ok(add)));
    assert!(!case.linux && case.maps.is_empty() && case.unverified.is_none());
}

#[test]
fn results_are_decimal_or_hex_and_may_be_negative() {
    let result = |text: &str| parse("case", &format!("-- asm\nexit\n-- result\n{text}\n")).map(|case| case.expect);
    for (text, value) in [
        ("0", 0),
        ("0xFfffffffffffffff", u64::MAX),
        ("18446744073709551615", u64::MAX),
        ("-1", u64::MAX),
        ("-0x8000000000000000", 1 << 63),
        ("  7  ", 7),
        ("1 # one", 1),
    ] {
        assert_eq!(result(text), Ok(Expect::Result(value)), "{text}");
    }
    for text in ["", "x", "0x", "+1", "0x+1", "--1", "18446744073709551616", "-0x8000000000000001", "1 2", "1\n2"] {
        assert!(result(text).is_err(), "{text}");
    }
}

#[test]
fn a_program_as_numbers() {
    let code = |raw: &str| parse("case", &format!("-- raw\n{raw}\n-- result\n0\n")).map(|case| case.code);
    let exit = code("0x95").unwrap();
    assert_eq!(exit.get(0), Some(Ok(Insn::Exit)));
    assert_eq!(code("149").unwrap(), exit);
    assert_eq!(code("95 00 00 00 00 00 00 00").unwrap(), exit);
    assert_eq!(
        code("0x00000005000000b7 0x95").unwrap(),
        code("b7 00 00 00 05 00 00 00\n95 00 00 00 00 00 00 00").unwrap()
    );
    assert_eq!(code("0x95\n0xzz").unwrap_err().to_string(), "3:1: '0xzz' is not a slot as a number");
}

#[test]
fn text_and_numbers_of_a_program_must_agree() {
    let both = |raw: &str| parse("case", &format!("-- asm\nmov %r0, 5\nexit\n-- raw\n{raw}\n-- result\n5\n"));
    assert!(both("0x00000005000000b7 0x95").is_ok());
    assert_eq!(
        both("0x00000006000000b7 0x95").unwrap_err().to_string(),
        "4:1: text and numbers of the program differ at slot 0"
    );
    assert_eq!(
        both("0x00000005000000b7").unwrap_err().to_string(),
        "4:1: text and numbers of the program differ at slot 1"
    );
}

#[test]
fn refusals_and_what_only_linux_refuses() {
    let refused = parse("case", "-- raw\n0xe7\n-- refused\nEINVAL unknown opcode e7\n").unwrap();
    let Expect::Refused(refusal) = refused.expect else { panic!("{:?}", refused.expect) };
    assert_eq!((refusal.errno, refusal.message.as_str()), (Errno::EINVAL, "unknown opcode e7"));

    let text = "-- asm\nr0 = 1\nr0 /= 0\nexit\n-- unverified a zero\nEINVAL div by zero\n-- result\n0\n";
    let unverified = parse("case", text).unwrap().unverified.unwrap();
    assert_eq!((unverified.reason.as_str(), unverified.refusal.message.as_str()), ("a zero", "div by zero"));
}

#[test]
fn maps_make_a_case_one_of_linux() {
    let text = "-- maps\ncounts array 4 8 2 = 01 02\nflows hash 4 4 8\n-- asm\nr1 = map[flows]\nexit\n-- result\n0\n";
    let case = parse("case", text).unwrap();
    assert!(case.linux);
    assert_eq!(case.maps[0].data.as_deref(), Some(&[1, 2, 0, 0, 0, 0, 0, 0][..]));
    assert_eq!((case.maps[1].name.as_str(), case.maps[1].max_entries), ("flows", 8));
    assert_eq!(case.code.raw(0).map(|slot| (slot.src, slot.imm)), Some((1, 1)));
}

#[test]
fn errors_point_at_what_is_wrong() {
    let asm = "-- asm\nexit\n";
    for (text, expected) in [
        ("", "1:1: there is no program"),
        ("-- asm\n# nothing\n-- result\n0\n", "1:1: there is no instruction"),
        ("exit\n", "1:1: text in front of the first section that is no comment"),
        ("-- asm\nexit\n-- nothing\n", "3:4: no section is called 'nothing'"),
        ("-- asm\nexit\n-- asm\nexit\n", "3:4: the section 'asm' stands twice"),
        ("-- asm\nexit\n", "2:1: there is no result"),
        ("-- asm\nexit\n-- result\n1\n-- refused\nEINVAL x\n", "5:1: 'result' and 'refused' cannot stand in one case"),
        ("-- asm\nexit\n-- refused\nEFOO x\n", "4:1: 'EFOO' is not an error number such as EINVAL"),
        ("-- asm\nexit\n-- refused\nEINVAL\n", "4:1: there is no message behind the error number"),
        ("-- asm\nexit\n-- unverified\nEINVAL x\n-- result\n0", "3:1: there is no reason behind 'unverified'"),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
    for (section, expected) in [
        ("-- mem\n00 1\n", "4:4: '1' is not a byte of two hex digits, or several"),
        ("-- packet\n00\n", "3:1: a packet has at least an Ethernet header of 14 bytes, this one has 1"),
        ("-- maps\na array 4 8\n", "4:12: there is no number of elements"),
        ("-- maps\na thing 4 8 1\n", "4:3: 'thing' is not a map type"),
        ("-- maps\na array 8 8 1\n", "4:1: map 'a' cannot be created: EINVAL"),
        ("-- maps\na array 4 70000 1\n", "4:1: more than 65536 bytes in a map"),
        ("-- maps\na hash 4 8 1 = 00\n", "4:1: map 'a': content is for arrays, and at most a value"),
    ] {
        assert_eq!(error(&format!("{asm}{section}-- result\n0\n")), expected, "{section}");
    }
    assert!(
        error("-- asm\nexit\n  r0 = r99\n-- result\n0\n").starts_with("3:"),
        "the assembler's place, counted in the file"
    );
}

#[test]
fn sizes_are_limited() {
    let mem = |bytes: usize| parse("case", &format!("-- asm\nexit\n-- mem\n{}\n-- result\n0\n", "00".repeat(bytes)));
    assert!(mem(1 << 16).is_ok());
    assert_eq!(mem((1 << 16) + 1).unwrap_err().to_string(), "4:1: more than 65536 bytes");
    let slots = |count: usize| parse("case", &format!("-- raw\n{}\n-- result\n0\n", "0x95 ".repeat(count)));
    assert!(slots(1 << 16).is_ok());
    assert_eq!(slots((1 << 16) + 1).unwrap_err().to_string(), "1:1: more than 65536 slots");
}

/// Lines that mean something, in any order.
fn line() -> impl Strategy<Value = String> {
    let known = [
        "-- asm",
        "-- raw",
        "-- mem",
        "-- packet",
        "-- maps",
        "-- linux",
        "-- result",
        "-- refused",
        "-- error",
        "-- c",
        "-- unverified why",
        "-- no register offset",
        "exit",
        "mov %r0, 1",
        "r0 = 1",
        "0x95",
        "00 11 22",
        "a array 4 8 1 = 0102",
        "EINVAL no",
        "# words",
        "-1",
        "lock add [%r10-8], %r1",
        "l:",
        "jeq %r1, 2, l",
        "call local l",
    ];
    prop_oneof![
        5 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => "\\PC{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_case_or_an_error_inside_of_it(lines in proptest::collection::vec(line(), 0..16)) {
        let text = lines.join("\n");
        if let Err(error) = parse("case", &text) {
            let count = text.lines().count().max(1);
            prop_assert!((1..=count + 1).contains(&error.line), "{error} in {text:?}");
            let width = text.lines().nth(error.line - 1).map_or(0, |line| line.chars().count());
            prop_assert!((1..=width + 1).contains(&error.column), "{error} in {text:?}");
        }
    }

    #[test]
    fn any_bytes_are_a_case_or_an_error(text in "\\PC{0,200}") {
        let _ = parse("case", &text);
        let _ = parse("case", &format!("-- asm\n{text}"));
        let _ = parse("case", &format!("-- maps\n{text}\n-- raw\n{text}"));
    }

    #[test]
    fn memory_and_result_come_out_as_they_went_in(memory in proptest::collection::vec(any::<u8>(), 0..64), result in any::<u64>()) {
        let hex: Vec<String> = memory.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!("-- asm\nexit\n-- mem\n{}\n-- result\n{result:#x}\n", hex.join(" "));
        let case = parse("case", &text).unwrap();
        prop_assert_eq!(case.input, Input::Memory(memory));
        prop_assert_eq!(case.expect, Expect::Result(result));
    }
}
