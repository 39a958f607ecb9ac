//! ring3 and Linux 6.18 say the same: of programs whose verdicts were recorded, and, where that kernel runs, of others.

use std::sync::Arc;

use ring3_fuzz::parity::{Difference, Referee, Source, case, listing, maps, may_crash_linux, ours, parse, program};
use ring3_isa::{Code, Insn, RawInsn, Wide};
use ring3_platform::{ProgType, Target};

/// Written by `parity record`: type, program, errno, instructions processed, states, message.
const RECORDED: &str = include_str!("../data/linux-6.18.tsv");

/// What a program whose walk has no callbacks must have in common with Linux beside the verdict: the instructions processed.
fn counts(text: &str) -> bool {
    !text.contains("subprog[")
}

#[test]
fn recorded_verdicts() {
    let (maps, target) = (maps(), Arc::new(Target::default()));
    let mut wrong = Vec::new();
    let rows: Vec<&str> = RECORDED.lines().skip(1).collect();
    assert!(rows.len() > 200, "the table is gone");
    for row in rows {
        let [kind, text, errno, processed, _states, message] = *row.split('\t').collect::<Vec<_>>() else {
            panic!("not a row: {row}");
        };
        let code = parse(text.split(';')).unwrap();
        let have = ours(program(ProgType::from_name(kind).unwrap(), code, &maps), &target);
        let same = have.errno.to_string() == errno && have.message == message;
        if !same || (counts(text) && have.stats[0].to_string() != processed) {
            wrong.push(format!("{row}\n    {have}"));
        }
    }
    assert!(wrong.is_empty(), "{} programs:\n{}", wrong.len(), wrong.join("\n"));
}

/// Programs of each source that the running kernel judges, too.
const LIVE: u64 = 250;

#[test]
fn live_verdicts() {
    let Some(mut referee) = Referee::open(maps()) else {
        println!("skipped: no Linux 6.18 with bpf(2) here");
        return;
    };
    let (mut wrong, mut left_out) = (Vec::new(), 0);
    for source in Source::ALL {
        for seed in 0..LIVE {
            let (kind, code) = case(seed, source);
            if may_crash_linux(&code) || names_no_map(&code) {
                left_out += 1;
                continue;
            }
            let pair = referee.judge(kind, code.clone()).unwrap();
            if pair.class().is_some_and(|class| class <= Difference::Message) {
                let text = listing(&code).join("; ");
                wrong.push(format!("{source:?} {seed}: {}\t{text}\n  {}\n  {}", kind.name(), pair.linux, pair.ring3));
            }
        }
    }
    let all = LIVE * Source::ALL.len() as u64;
    println!("{left_out} of {all} programs were not given to Linux, which they may crash");
    assert!(left_out < all / 2, "hardly a program was compared");
    assert!(wrong.is_empty(), "{} programs:\n{}", wrong.len(), wrong.join("\n"));
}

/// Whether a map is meant by a number that the list of maps does not reach: Linux takes for a descriptor what lies behind the list.
fn names_no_map(code: &Code) -> bool {
    let beyond = |value| match value {
        Wide::MapIdx(index) | Wide::MapIdxValue { index, .. } => {
            usize::try_from(index).map_or(true, |index| index >= maps().len())
        }
        Wide::Imm(_) | Wide::Map(_) | Wide::MapValue { .. } | Wide::BtfId { .. } | Wide::Func(_) => false,
    };
    code.insns().iter().any(|insn| matches!(insn, Ok(Insn::LoadImm { value, .. }) if beyond(*value)))
}

/// Opcodes that exist, so that random slots come further than to the first check.
fn opcodes() -> Vec<u8> {
    let exists = |code: &u8| {
        let slot = RawInsn { code: *code, ..RawInsn::default() };
        !matches!(Code::decode(vec![slot]).get(0), Some(Err(ring3_isa::Malformed::UnknownOpcode(_))))
    };
    (0..=255).filter(exists).collect()
}

/// Whatever the bytes are, there is a verdict.
#[test]
fn no_panic() {
    let (maps, target, opcodes) = (maps(), Arc::new(Target::default()), opcodes());
    let mut state = 0x0123_4567_89ab_cdef_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 16
    };
    let mut refused = 0;
    for _ in 0..20_000 {
        let len = 1 + next() % 60;
        let mut raw: Vec<RawInsn> = (0..len)
            .map(|_| RawInsn {
                code: opcodes[next() as usize % opcodes.len()],
                dst: (next() % 12) as u8,
                src: if next() % 2 == 0 { 0 } else { (next() % 12) as u8 },
                off: if next() % 3 == 0 { 0 } else { (next() % 32) as i16 - 16 },
                imm: if next() % 3 == 0 { 0 } else { next() as i32 },
            })
            .collect();
        raw.push(RawInsn { code: 0x95, ..RawInsn::default() });
        let kind = ProgType::ALL[next() as usize % ProgType::ALL.len()];
        refused += u32::from(ours(program(kind, Code::decode(raw), &maps), &target).errno != 0);
    }
    assert!(refused > 10_000);
}
