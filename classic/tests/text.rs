//! Every form of text is read, printed again, and what is wrong with it is told with its place.

use proptest::prelude::*;
use ring3_classic::{ClassicError, Insn, Listing, MAX_INSNS, comma, ddd, from_bytes, parse, parse_any, to_bytes};
use ring3_isa::Endianness;

/// `tcpdump -d "host 1.2.3.4 and udp port 53"`, by libpcap 1.10.3.
const LISTING: &str = include_str!("data/host_and_port.d");
/// The same by `tcpdump -dd` and `tcpdump -ddd`.
const INITIALISERS: &str = include_str!("data/host_and_port.dd");
const DECIMAL: &str = include_str!("data/host_and_port.ddd");

#[test]
fn the_three_forms_of_tcpdump_are_one_program() {
    let program = parse(DECIMAL).unwrap();
    assert_eq!(program.len(), 17);
    assert_eq!(parse(LISTING), Ok(program.clone()));
    assert_eq!(parse(INITIALISERS), Ok(program.clone()));
    assert_eq!(Listing(&program).to_string(), LISTING);
    assert_eq!(ddd(&program), DECIMAL);
    assert_eq!(comma(&program), DECIMAL.trim_end().replace('\n', ","));
    assert_eq!(parse(&comma(&program)), Ok(program.clone()));
    for order in [Endianness::Little, Endianness::Big] {
        assert_eq!(from_bytes(&to_bytes(&program, order), order), Ok(program.clone()));
    }
    let host = if cfg!(target_endian = "little") { Endianness::Little } else { Endianness::Big };
    assert_eq!(parse_any(&to_bytes(&program, host)), Ok(program.clone()));
    assert_eq!(parse_any(LISTING.as_bytes()), Ok(program));
}

/// The examples of Linux's documentation of bpf_asm, in words of our own: every operand and every mnemonic.
#[test]
fn assembler() {
    let arp = parse("ldh [12]\njne #0x806, drop\nret #-1\ndrop: ret #0").unwrap();
    assert_eq!(comma(&arp), "4,40 0 0 12,21 0 1 2054,6 0 0 4294967295,6 0 0 0");
    let tcp = parse("ldh [12] ; type\njneq #0x800, drop\nldb [23]\njneq #6, drop\nret #-1\ndrop:\n  ret #0\n").unwrap();
    assert_eq!(comma(&tcp), "6,40 0 0 12,21 0 3 2048,48 0 0 23,21 0 1 6,6 0 0 4294967295,6 0 0 0");
    let vlan = parse("ld vlan_tci\njneq #10, drop\nret #-1\ndrop: ret #0").unwrap();
    assert_eq!(comma(&vlan), "4,32 0 0 4294963244,21 0 1 10,6 0 0 4294967295,6 0 0 0");
    let one_in_four = parse(
        "ldh [12]\njne #0x800, drop\nldb [23]\njneq #1, drop\nld rand\nmod #4\njneq #1, drop\nret #-1\ndrop: ret #0",
    );
    assert_eq!(one_in_four.unwrap().len(), 9);
    let all = "
        ld [8]          /* a comment
        of two lines */
        ld [x + 8]\n ld [%x+8]\n ld [x]\n ld M[3]\n ld #7\n ldi #7\n ld len\n ld #pktlen\n ld #proto\n ld [proto]
        ldh [8]\n ldh [x+8]\n ldb [8]\n ldb [x - 8]\n LDB [0x10]
        ldx 4*([14]&0xf)\n ldxb 4*([14] & 15)\n ldx #7\n ldxi #7\n ldx M[1]\n ldx len
        st M[3]\n stx M[15]
        add #1\n add x\n sub %x\n mul #2\n div #0b11\n mod #010\n neg\n and #0xff\n or x\n xor #1\n lsh #1\n rsh x\n tax\n txa
        jmp next\nnext: ja 35\n
        jeq #1, a, b\n jeq x, a, b\n jeq #1, a\n jne x, a\n jlt #1, a\n jle #1, a\n jgt #1, a, b\n jge #1, a, b\n jset #1, a, b
        jne #1, a, b\n jeq #1 jt 45 jf 46
        a: ret a\n b: ret %a\n ret #1 // done";
    let expected = "50,32 0 0 8,64 0 0 8,64 0 0 8,64 0 0 0,96 0 0 3,0 0 0 7,0 0 0 7,128 0 0 0,128 0 0 0,\
        32 0 0 4294963200,32 0 0 4294963200,\
        40 0 0 8,72 0 0 8,48 0 0 8,80 0 0 4294967288,48 0 0 16,177 0 0 14,177 0 0 14,1 0 0 7,1 0 0 7,97 0 0 1,129 0 0 0,\
        2 0 0 3,3 0 0 15,4 0 0 1,12 0 0 0,28 0 0 0,36 0 0 2,52 0 0 3,148 0 0 8,132 0 0 0,84 0 0 255,76 0 0 0,\
        164 0 0 1,100 0 0 1,124 0 0 0,7 0 0 0,135 0 0 0";
    let program = parse(&all.replace("ja 35", "ja a").replace("jt 45 jf 46", "jt 51 jf 52")).unwrap();
    assert!(comma(&program)[3..].starts_with(&expected[3..]), "{}", comma(&program));
    let tail = &program[38..];
    let brief: Vec<_> = tail.iter().map(|i| (i.code, i.jt, i.jf, i.k)).collect();
    assert_eq!(
        brief,
        [
            (0x05, 0, 0, 0),
            (0x05, 0, 0, 11),
            (0x15, 10, 11, 1),
            (0x1d, 9, 10, 0),
            (0x15, 8, 0, 1),
            (0x1d, 0, 7, 0),
            (0x35, 0, 6, 1),
            (0x25, 0, 5, 1),
            (0x25, 4, 5, 1),
            (0x35, 3, 4, 1),
            (0x45, 2, 3, 1),
            (0x15, 2, 1, 1),
            (0x15, 0, 1, 1),
            (0x16, 0, 0, 0),
            (0x16, 0, 0, 0),
            (0x06, 0, 0, 1),
        ]
    );
    // What it prints is what it reads, but for the names of extensions.
    assert_eq!(parse(&Listing(&program).to_string()), Ok(program));
}

#[test]
fn errors_name_the_place() {
    for (text, place) in [
        ("", "line 1, column 1: expected the count of instructions, found the end"),
        ("x", "line 1, column 1: 'x' is no instruction"),
        ("2,6 0 0 0", "line 1, column 1: the first number says 2 instructions, but there are 1"),
        ("1,6 0 0", "line 1, column 8: expected k, found the end"),
        ("1\n6 0\n0 0", "line 2, column 4: expected jf, found the end of the line"),
        ("1\n6 0 0 4294967296", "line 2, column 7: 4294967296 is too large; at most 4294967295"),
        ("1\n6 256 0 0", "line 2, column 3: 256 is too large; at most 255"),
        ("2\n6 0 0 0 6 0 0 0", "line 2, column 9: expected a comma or the end of the line, found 6"),
        ("{ 6, 0, 0, 1 }, { 6, 0, 0 }", "line 1, column 27: expected ',', found '}'"),
        ("{ 6, 0, 300, 1 }", "line 1, column 9: 300 is too large; at most 255"),
        ("ret #0\n  jump 5", "line 2, column 3: 'jump' is no instruction"),
        ("ld x", "line 1, column 4: 'ld' does not take this operand"),
        ("tax #1", "line 1, column 5: 'tax' does not take this operand"),
        ("jeq #1, nowhere\nret #0", "line 1, column 9: there is no label 'nowhere'"),
        ("a: ret #0\na: ret #0", "line 2, column 1: the label 'a' is there twice"),
        ("a: ja a", "line 1, column 7: a jump to instruction 0, which is not after this one"),
        ("(001) ret #0", "line 1, column 2: this is instruction 0, but its number says 1"),
        ("jeq #1", "line 1, column 7: expected targets: ', label' or 'jt 2 jf 3', found the end"),
        ("jeq #1 jt 1", "line 1, column 12: expected 'jf', found the end"),
        ("ld [12", "line 1, column 7: expected ']', found the end"),
        ("ldx 4*([14]&0x1f)", "line 1, column 13: expected 0xf, found '0x1f'"),
        ("ld #foo", "line 1, column 5: expected an operand, found 'foo'"),
        ("ld #0x", "line 1, column 5: expected a number, found '0x'"),
        ("ret #0 ret #0", "line 1, column 8: expected the end of the line, found 'ret'"),
        ("ret #0 /* for ever", "line 1, column 8: a comment without end"),
        ("unimp 0x10000", "line 1, column 7: 65536 is too large; at most 65535"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), place, "{text}");
    }
    let far = format!("jeq #1, far\n{}far: ret #0", "tax\n".repeat(256));
    assert_eq!(
        parse(&far).unwrap_err().to_string(),
        "line 1, column 9: a conditional jump over 256 instructions; it reaches over at most 255"
    );
    assert_eq!(parse_any(&[0; 12]), Err(ClassicError::PartialInsn { bytes: 12 }));
}

#[test]
fn programs_have_a_limit() {
    let many = |text: &str, count| text.repeat(count);
    assert_eq!(parse(&many("tax\n", MAX_INSNS)).unwrap().len(), MAX_INSNS);
    assert!(parse(&many("tax\n", MAX_INSNS + 1)).unwrap_err().to_string().contains("more than 4096"));
    assert!(parse(&many("{ 7, 0, 0, 0 },", MAX_INSNS + 1)).unwrap_err().to_string().contains("more than 4096"));
    let decimal = format!("4097{}", many(",7 0 0 0", MAX_INSNS + 1));
    assert!(parse(&decimal).unwrap_err().to_string().contains("more than 4096"));
    assert_eq!(from_bytes(&[0; 8 * 4097], Endianness::Little), Err(ClassicError::Length { count: 4097 }));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[ -~\n]{0,60}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_words_make_it_panic(words in prop::collection::vec(prop::sample::select(&[
        "ld", "ldx", "ret", "jeq", "ja", "#", "[", "]", "x", "+", "-", "M", "4", "*", "(", "0xf", ")", "&", ",", "jt", "jf",
        "\n", "l:", "l", "999999999999", "{", "}", "%", "%x", "/*", ";", "é",
    ][..]), 0..20)) {
        let _ = parse(&words.join(" "));
    }

    #[test]
    fn numbers_are_read_back(insns in prop::collection::vec(any::<(u16, u8, u8, u32)>(), 0..40)) {
        let insns: Vec<Insn> = insns.into_iter().map(|(code, jt, jf, k)| Insn::new(code, jt, jf, k)).collect();
        prop_assert_eq!(parse(&ddd(&insns)), Ok(insns.clone()));
        prop_assert_eq!(parse(&comma(&insns)), Ok(insns.clone()));
        // The listing of anything can be read.
        if !insns.is_empty() {
            let _ = Listing(&insns).to_string();
        }
    }
}
