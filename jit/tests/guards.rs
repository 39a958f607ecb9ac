//! What embedders may add: constants that are not in the code, calls that are not guessed, runs that end.
#![cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), unix))]

use std::sync::Arc;

use iced_x86::{Code, Decoder, DecoderOptions, Mnemonic, OpKind};
use ring3_isa::assemble;
use ring3_jit::{Arch, Jit, Options, Origin};
use ring3_platform::{MapDef, MapType, ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};
use ring3_vm::maps;
use ring3_vm::{Context, DataStart, Env, Execute, Helpers, Interp, Linked, RunError, SkbContext, TestHost, link, run};

const ALL: Options = Options { blind: true, retpolines: true, budget: true, quick: false };

fn options() -> [Options; 6] {
    let none = Options::default();
    let quick = Options { quick: true, ..none };
    let [blind, retpolines] = [Options { blind: true, ..none }, Options { retpolines: true, ..none }];
    [none, blind, retpolines, Options { budget: true, ..none }, quick, ALL]
}

fn linked(text: &str) -> Arc<Linked> {
    let mut program = Program::new("guarded", ProgType::SocketFilter, assemble(text).unwrap());
    let def = Arc::new(MapDef::new("m", MapType::Array, 4, 8, 4));
    program.maps.push(Arc::clone(&def));
    let verified = verify(Arc::new(program), Arc::new(Target::default()), LogLevel::default());
    let verified = verified.unwrap_or_else(|refused| panic!("{refused}: {text}"));
    let maps = [maps::create(&def, 2).unwrap()];
    Arc::new(link(&verified, &maps, &Helpers::new()).unwrap())
}

/// R0 or why there is none, and how many operations were executed if there was a budget.
fn outcome(engine: &dyn Execute, budget: Option<u64>) -> (Result<u64, String>, Option<u64>) {
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    let mut skb = SkbContext::new().unwrap();
    skb.load(&[0x5a; 64], DataStart::of(ProgType::SocketFilter));
    env.ctx = Context::Skb(skb);
    env.budget = budget;
    let ret = run(engine, &mut env).map_err(|error| match error {
        RunError::Trap(trap) => trap.kind.to_string(),
        other => panic!("{other}"),
    });
    let executed = ret.is_ok().then(|| env.executed()).flatten();
    (ret, executed)
}

/// Every form of instruction that has a constant, each with other ones that no other instruction has a reason for, on numbers that
/// nobody knows: what is computed of constants alone is one.
const CONSTANTS: &str = "
    r6 = r1
    r9 = *(u32 *)(r1 +0)
    r0 = 0x11a1b1c1
    w2 = 0x12a2b2c2
    r3 = 0x13a3b3c3d3e3f313 ll
    r4 = -0x14a4b4c4
    r0 ^= r9
    w2 ^= w9
    r3 ^= r9
    r4 ^= r9
    r0 += 0x15a5b5c5
    w0 -= 0x16a6b6c6
    r0 *= 0x17a7b7c7
    r0 ^= 0x18a8b8c8
    w2 |= 0x19a9b9c9
    r3 &= 0x1aaababa
    r0 += r2
    r0 += r3
    r0 += r4
    w3 /= 0x1babbbcb
    r0 %= 0x1cacbccc
    r0 += r3
    *(u32 *)(r10 -8) = 0x1dadbdcd
    *(u64 *)(r10 -16) = 0x1eaebece
    r1 = *(u64 *)(r10 -16)
    r0 ^= r1
    w1 = *(u32 *)(r10 -8)
    r0 += r1
    if r0 > 0x1fafbfcf goto over
    r0 += 0x2111b1c1
    over: if w0 s< 0x2212b2c2 goto next
    r0 ^= 0x2313b3c3
    next: if r0 & 0x2414b4c4 goto last
    r0 += 0x2515b5c5
    last: r7 = r0
    r8 = 0x26163646
    r8 ^= r9
    r8 &= 7
    r0 = *(u32 *)skb[r8 + 17]
    r0 += r7
    exit";

/// The numbers after `0x` in the text, in halves of 32 bits.
fn numbers(text: &str) -> Vec<u32> {
    let digits = text.split("0x").skip(1).map(|rest| rest.split(|c: char| !c.is_ascii_hexdigit()).next().unwrap());
    digits
        .flat_map(|digits| {
            let value = u64::from_str_radix(digits, 16).unwrap();
            [value as u32, (value >> 32) as u32]
        })
        .filter(|half| *half != 0)
        .collect()
}

/// How many of the numbers, or of what stands for them, can be found in the code.
fn found(code: &[u8], arch: Arch) -> usize {
    let seen = |value: u32| match arch {
        Arch::X64 => code.windows(4).any(|bytes| bytes == value.to_le_bytes()),
        // Both halves of it as the immediates of moves that follow one another.
        Arch::Arm64 => {
            let words: Vec<u32> =
                code.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
            let half = |word: u32| (word & 0x1f80_0000 == 0x1280_0000).then_some(word >> 5 & 0xffff);
            words.windows(2).any(|pair| half(pair[0]) == Some(value & 0xffff) && half(pair[1]) == Some(value >> 16))
        }
    };
    numbers(CONSTANTS).into_iter().filter(|value| seen(*value) || seen(value.wrapping_neg()) || seen(!value)).count()
}

#[test]
fn no_constant_is_in_the_code() {
    let linked = linked(CONSTANTS);
    let total = numbers(CONSTANTS).len();
    for arch in [Arch::X64, Arch::Arm64] {
        let emit = |blind| {
            let options = Options { blind, ..Options::default() };
            Jit::emit_with(Arc::clone(&linked), arch, options).unwrap().code().to_vec()
        };
        let plain = found(&emit(false), arch);
        assert!(plain > total / 2, "the test finds what is there: {plain} of {total}, {arch:?}");
        // Were a random number to make one of them, it would not make it again.
        assert!((0..3).map(|_| found(&emit(true), arch)).min() == Some(0), "{arch:?}");
        assert_ne!(emit(true), emit(true), "other random numbers each time");
    }
}

/// Programs with calls, maps, loops and early ends. Callbacks are among the random programs of `fuzz/`.
const PROGRAMS: [&str; 5] = [
    CONSTANTS,
    "r0 = 7\nexit",
    "
    r6 = 0
    r7 = 0
    top: r8 = r6
    r8 &= 3
    *(u32 *)(r10 -4) = r8
    r2 = r10
    r2 += -4
    r1 = map[fd:0]
    call lookup#1
    if r0 == 0 goto out
    r1 = *(u64 *)(r0 +0)
    r1 += 0x12345678
    *(u64 *)(r0 +0) = r1
    r7 += r1
    r6 += 1
    if r6 < 20 goto top
    out: r0 = r7
    exit",
    "
    r6 = r1
    r1 = 5
    call f
    r7 = r0
    r0 = *(u8 *)skb[3]
    r0 += r7
    exit
    f: r2 = 0
    r0 = 0
    again: r0 += r1
    r0 *= 3
    r2 += 1
    if r2 < 9 goto again
    exit",
    "
    r0 = 0
    top: may_goto out
    r0 += 1
    if r0 < 1000 goto top
    out: exit",
];

#[test]
fn runs_give_the_same() {
    for text in PROGRAMS {
        let linked = linked(text);
        let want = outcome(&Interp::new(Arc::clone(&linked)), None).0;
        assert!(want.is_ok());
        for options in options() {
            // Maps keep what runs leave: a fresh one for each.
            let compiled = Jit::compile_with(self::linked(text), options).unwrap();
            assert_eq!(outcome(&compiled, None).0, want, "{options:?}: {text}");
        }
    }
}

#[test]
fn budgets_end_runs_as_in_the_interpreter() {
    for text in PROGRAMS {
        for options in [Options { budget: true, ..Options::default() }, ALL] {
            let run_both = |budget| {
                let interp = outcome(&Interp::new(linked(text)), Some(budget));
                let jit = outcome(&Jit::compile_with(linked(text), options).unwrap(), Some(budget));
                assert_eq!(jit, interp, "{options:?}, {budget}: {text}");
                interp
            };
            let executed = run_both(1 << 40).1.unwrap();
            assert!(run_both(executed).0.is_ok());
            for budget in [executed - 1, executed / 2, executed / 7, 1, 0] {
                assert!(run_both(budget).0.is_err(), "{budget}: {text}");
            }
        }
    }
}

/// Nothing but the thunk knows where a call goes, and there the processor's guess ends in a loop.
#[test]
fn indirect_calls_go_through_a_thunk() {
    for text in PROGRAMS {
        let count = |retpolines| {
            let options = Options { retpolines, ..Options::default() };
            let emitted = Jit::emit_with(linked(text), Arch::X64, options).unwrap();
            let decoder = Decoder::with_ip(64, emitted.code(), 0, DecoderOptions::NONE);
            let (mut indirect, mut fences) = (0, 0);
            for instruction in decoder {
                let goes = matches!(instruction.mnemonic(), Mnemonic::Call | Mnemonic::Jmp);
                indirect += usize::from(goes && matches!(instruction.op0_kind(), OpKind::Register | OpKind::Memory));
                fences += usize::from(instruction.code() == Code::Lfence);
            }
            (indirect, fences)
        };
        assert!(count(false).0 > 0 && count(false).1 == 0);
        assert_eq!(count(true), (0, 1), "{text}");
    }
}

/// Code for each instruction as it is: what is known of numbers joins nothing.
#[test]
fn what_is_made_quickly_is_as_it_stands() {
    let text = "r1 = 4\nr1 <<= 3\nr0 = r1\nr0 += 1\nexit";
    for arch in [Arch::X64, Arch::Arm64] {
        let code = |quick| Jit::emit_with(linked(text), arch, Options { quick, ..Options::default() }).unwrap();
        let pieces =
            |quick| code(quick).listing().iter().filter(|piece| matches!(piece.origin, Origin::Slot(_))).count();
        assert_eq!(pieces(true), 5);
        assert!(pieces(false) < 5);
    }
}
