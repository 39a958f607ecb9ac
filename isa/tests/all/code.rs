//! Encoding and decoding.

use proptest::prelude::*;
use ring3_isa::{Code, Dialect, Endianness, Insn, IsaError, Malformed, NoNames, RawInsn, Reserved, assemble, encode};

const ORDERS: [Endianness; 2] = [Endianness::Little, Endianness::Big];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn decoding_undoes_encoding(insns in prop::collection::vec(crate::shapes::insn(), 1..20)) {
        let code = Code::from_insns(insns.iter().copied());
        let mut slot = 0;
        for insn in insns {
            prop_assert_eq!(code.get(slot), Some(Ok(insn)));
            prop_assert_eq!(code.next(slot), slot + insn.slots());
            prop_assert_eq!(code.is_wide(slot), insn.slots() == 2);
            if insn.slots() == 2 {
                prop_assert_eq!(code.get(slot + 1), Some(Ok(Insn::WideTail)));
            }
            slot += insn.slots();
        }
        prop_assert_eq!(code.len(), slot);
        for order in ORDERS {
            prop_assert_eq!(&Code::from_bytes(&code.to_bytes(order), order).unwrap(), &code);
        }
    }

    /// Whatever the bytes: one verdict a slot, the bytes come back, and what decodes means what it says. Only EXIT has a
    /// field that Linux does not look at.
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), big in any::<bool>()) {
        let order = ORDERS[usize::from(big)];
        match Code::from_bytes(&bytes, order) {
            Err(error) => prop_assert_eq!(error, IsaError::PartialSlot { bytes: bytes.len() }),
            Ok(code) => {
                prop_assert_eq!(code.insns().len() * 8, bytes.len());
                prop_assert_eq!(code.to_bytes(order), bytes);
                check_all(&code)?;
            }
        }
    }

    #[test]
    fn nearly_valid(insns in prop::collection::vec(crate::shapes::insn(), 1..6), at in any::<prop::sample::Index>(), bit in 0usize..64) {
        let code = Code::from_insns(insns);
        let mut bytes = code.to_bytes(Endianness::Little);
        bytes[at.index(code.len()) * 8 + bit / 8] ^= 1u8 << (bit % 8);
        check_all(&Code::from_bytes(&bytes, Endianness::Little).unwrap())?;
    }
}

fn check_all(code: &Code) -> Result<(), TestCaseError> {
    for slot in 0..code.len() {
        let raw = code.raw(slot).unwrap();
        let text = code.text(slot, &NoNames).map(|text| text.with_opcode().to_string());
        match code.get(slot).unwrap() {
            Ok(Insn::WideTail) => prop_assert!(text.is_none()),
            Ok(insn) => {
                prop_assert!(text.is_some_and(|text| !text.contains("BUG")));
                let again = encode(insn);
                let unseen = RawInsn { off: raw.off, ..again.head() };
                prop_assert!(again.head() == raw || insn == Insn::Exit && unseen == raw, "{:?} {:?}", insn, raw);
            }
            Err(malformed) => prop_assert!(!malformed.to_string().is_empty()),
        }
    }
    Ok(())
}

/// The opcodes that Linux 6.18 knows and the two jumps to addresses, by class and in words, so that a slip in the table shows.
#[test]
fn all_opcodes() {
    let mut known = Vec::new();
    for class in [4u8, 7] {
        for op in [0x00u8, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xa0, 0xb0, 0xc0] {
            known.extend([op | class, op | class | 8]);
        }
        known.push(0x80 | class);
    }
    known.extend([0xd4, 0xdc, 0xd7]);
    for class in [5u8, 6] {
        for op in [0x10u8, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0] {
            known.extend([op | class, op | class | 8]);
        }
    }
    known.extend([0x05, 0x06, 0x85, 0x95, 0xe5, 0x18, 0x0d, 0x8d]);
    for size in [0x00u8, 0x08, 0x10] {
        known.extend([size | 0x20, size | 0x40, size | 0x81]);
    }
    for size in [0x00u8, 0x08, 0x10, 0x18] {
        known.extend([size | 0x61, size | 0x62, size | 0x63, size | 0xc3]);
    }
    for code in 0..=255u8 {
        for imm in [0, 1, 16, 0x100] {
            let head = RawInsn { code, imm, ..RawInsn::default() };
            let code_of_two = Code::decode(vec![head, RawInsn::default()]);
            let unknown = code_of_two.get(0) == Some(Err(Malformed::UnknownOpcode(code)));
            // Of the loads, Linux calls other modes than MEM and MEMSX, and immediates, reserved fields.
            let unknown =
                unknown || code & 7 == 1 && code_of_two.get(0) == Some(Err(Malformed::Reserved(Reserved::Ldx)));
            let known = known.contains(&code) && !(code & 7 == 1 && imm != 0);
            assert_eq!(unknown, !known, "{code:#04x}");
        }
    }
}

#[test]
fn wide_loads() {
    let head = RawInsn { code: 0x18, dst: 1, src: 0, off: 0, imm: -1 };
    let tail = RawInsn { imm: 0x1234, ..RawInsn::default() };
    let first = |raw: &[RawInsn]| Code::decode(raw.to_vec()).get(0).unwrap();
    assert_eq!(first(&[head]), Err(Malformed::BadWide));
    assert_eq!(first(&[head, RawInsn { off: 1, ..tail }]), Err(Malformed::BadWide));
    assert_eq!(first(&[RawInsn { src: 7, ..head }, tail]), Err(Malformed::UnrecognizedWide));
    assert_eq!(first(&[RawInsn { src: 1, ..head }, tail]), Err(Malformed::UnrecognizedWide));
    assert_eq!(first(&[RawInsn { off: 1, ..head }, tail]), Err(Malformed::Reserved(Reserved::LdImm64)));
    assert_eq!(first(&[RawInsn { dst: 11, ..head }, tail]), Err(Malformed::InvalidRegister(11)));
    let bad_kind = Code::decode(vec![RawInsn { src: 7, ..head }, tail, head, tail]);
    assert!(bad_kind.is_tail(1) && bad_kind.is_wide(2) && bad_kind.is_tail(3));
    assert_eq!(Code::decode(vec![head, tail]).text(0, &NoNames).unwrap().to_string(), "r1 = 0x1234ffffffff");
}

/// What Linux 6.18 says when it comes to a slot: bytes, error number and message, a case a line. Where we find a slot
/// malformed, the kernel must refuse it with that message; where the kernel speaks of encodings, we must too.
#[test]
fn refusals_of_the_kernel() {
    let about_encoding = [
        "reserved fields",
        "unknown opcode",
        " is invalid",
        "ld_imm64",
        "atomic op",
        "may_goto imm",
        "address space 1",
    ];
    let mut malformed = 0;
    for case in include_str!("../data/kernel-refusals.txt").lines().filter(|line| !line.starts_with('#')) {
        let (bytes, verdict) = case.split_once(' ').unwrap();
        let (errno, message) = verdict.split_once(' ').unwrap_or((verdict, ""));
        let bytes: Vec<u8> =
            (0..bytes.len() / 2).map(|i| u8::from_str_radix(&bytes[2 * i..2 * i + 2], 16).unwrap()).collect();
        let code = Code::from_bytes(&bytes, Endianness::Little).unwrap();
        let raw = code.raw(0).unwrap();
        // Linux 6.18 has neither call nor jump by register.
        let verdict = if raw.is_indirect() { Err(Malformed::UnknownOpcode(raw.code)) } else { code.get(0).unwrap() };
        match verdict {
            Err(ours) => {
                malformed += 1;
                // Which of two bad registers is named first depends on what the first one holds.
                let other_register = matches!(ours, Malformed::InvalidRegister(_)) && message.ends_with("!read_ok");
                assert!(
                    ours.to_string() == message && errno == "22" || other_register,
                    "{:?}: {ours}, kernel: {message}",
                    code.raw(0)
                );
            }
            Ok(insn) => {
                let encoding = about_encoding.iter().any(|words| message.contains(words));
                assert!(!encoding, "{insn:?} {:?}, kernel: {message}", code.raw(0));
            }
        }
    }
    assert!(malformed > 100);
}

/// The table of what Linux says of encodings, line by line: fields with the values they take, and rows.
struct Encodings {
    fields: [Vec<i32>; 4],
    rows: Vec<Row>,
}

struct Row {
    opcodes: Vec<u8>,
    group: &'static str,
    answers: Vec<char>,
}

impl Encodings {
    fn read() -> Encodings {
        let text = include_str!("../data/kernel-encodings.txt");
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap().split(' ').map(|value| value.parse().unwrap()).collect()
        };
        let fields = ["off", "imm", "dst", "src"].map(field);
        let rows = text.lines().filter(|line| !line.starts_with('#')).map(Row::read).collect();
        Encodings { fields, rows }
    }

    /// Every combination of the fields, in the order of the answers.
    fn slots(&self, code: u8) -> impl Iterator<Item = RawInsn> {
        let [offs, imms, dsts, srcs] = &self.fields;
        let pairs = offs.iter().flat_map(move |off| imms.iter().map(move |imm| (*off, *imm)));
        let all = pairs.flat_map(move |(off, imm)| {
            dsts.iter().flat_map(move |dst| srcs.iter().map(move |src| (off, imm, *dst, *src)))
        });
        all.map(move |(off, imm, dst, src)| RawInsn {
            code,
            dst: dst.try_into().unwrap(),
            src: src.try_into().unwrap(),
            off: off.try_into().unwrap(),
            imm,
        })
    }
}

impl Row {
    fn read(line: &'static str) -> Row {
        let [opcodes, group, runs] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let opcodes = opcodes.split(',').map(|code| u8::from_str_radix(code, 16).unwrap()).collect();
        let mut answers = Vec::new();
        let mut rest = runs;
        while let Some(answer) = rest.chars().next() {
            let digits = rest[1..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |at| at + 1);
            let count = if digits == 1 { 1 } else { rest[1..digits].parse().unwrap() };
            answers.extend(std::iter::repeat_n(answer, count));
            rest = &rest[digits..];
        }
        Row { opcodes, group, answers }
    }

    /// What Linux says, `None` if nothing is wrong with the encoding.
    fn message(&self, answer: char, raw: RawInsn) -> Option<String> {
        Some(match answer {
            '.' => return None,
            'u' => format!("unknown opcode {:02x}", raw.code),
            'r' => format!("{} uses reserved fields", self.group),
            'd' => format!("R{} is invalid", raw.dst),
            's' => format!("R{} is invalid", raw.src),
            'a' => format!("BPF_ATOMIC uses invalid atomic opcode {:02x}", raw.imm),
            'z' => "invalid atomic operand size".into(),
            'w' => "unrecognized bpf_ld_imm64 insn".into(),
            'm' => format!("invalid may_goto imm {}", raw.imm),
            'c' => "addr_space_cast insn can only convert between address space 1 and 0".into(),
            other => panic!("answer {other}"),
        })
    }
}

/// Every opcode with every boundary of every field: Linux and we find the same wrong with the encoding, in the same words.
/// What we decode is encoded to the same slot, and both dialects bring it back.
#[test]
fn every_opcode_and_boundary() {
    let table = Encodings::read();
    let (mut seen, mut compared, mut decoded) = (0, 0, Vec::new());
    for (row, code) in table.rows.iter().flat_map(|row| row.opcodes.iter().map(move |code| (row, *code))) {
        seen += 1;
        let slots = table.slots(code);
        let mut answers = row.answers.iter();
        for raw in slots {
            let wide = if raw.is_wide() { 2 } else { 1 };
            let program = Code::decode([raw, RawInsn::default()][..wide].to_vec());
            let ours = program.get(0).unwrap();
            if let Ok(insn) = ours {
                let again = encode(insn);
                let unseen = RawInsn { off: raw.off, ..again.head() };
                assert!(again.head() == raw || insn == Insn::Exit && unseen == raw, "{insn:?} {raw:?}");
                decoded.push(insn);
            }
            let answer = *answers.next().unwrap();
            if answer == '-' {
                continue;
            }
            let theirs = row.message(answer, raw);
            let ours = if raw.is_indirect() { Err(Malformed::UnknownOpcode(code)) } else { ours };
            // Of a cast Linux first asks whether there is an arena, and then looks at the registers.
            let no_arena = raw.code == 0xbf && raw.off == 1 && matches!(ours, Err(Malformed::InvalidRegister(_)));
            if !(no_arena && theirs.is_none()) {
                assert_eq!(ours.err().map(|bad| bad.to_string()), theirs, "{raw:?}");
            }
            compared += 1;
        }
        assert_eq!(answers.next(), None);
    }
    assert_eq!(seen, 256);
    assert!(compared > 2_500_000 && decoded.len() > 30_000, "{compared} {}", decoded.len());
    let code = Code::from_insns(decoded);
    for dialect in Dialect::ALL {
        let lines = (0..code.len()).filter_map(|slot| Some(code.text(slot, &NoNames)?.in_dialect(*dialect)));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        assert!(assemble(&text) == Ok(code.clone()), "{dialect:?}");
    }
}
