//! Random programs, fused and not, counted and not, checked and not: all compute the same in the same number of instructions.

use std::sync::Arc;

use proptest::prelude::*;
use ring3_platform::{MapDef, MapType, ProgType};

use super::*;
use crate::exec::run;
use crate::link::tests::link_trusted;
use crate::maps::Map;
use crate::{Context, DataStart, Helpers, RunError, SkbContext, TestHost, Trap, link_unverified};

const KIND: ProgType = ProgType::Tracepoint;
const MEMORY: usize = 64;
/// What programs that may not end are given.
const MUCH: u64 = 1500;

/// A program in the forms that the interpreter knows, on one context, so that addresses are the same for each.
struct Forms {
    fused: Interp,
    checked: Interp,
}

impl Forms {
    fn of(text: &str, maps: &[Arc<dyn Map>]) -> Forms {
        let code = ring3_isa::assemble(text).unwrap_or_else(|e| panic!("{e}: {text}"));
        let fused = link_trusted(&code, KIND, maps).unwrap();
        let checked = link_unverified(&code, KIND, maps, &Helpers::new()).unwrap();
        Forms { fused: Interp::new(fused.into()), checked: Interp::new(checked.into()) }
    }

    /// R0, the memory, and how many instructions it took if they were counted.
    fn run(program: &Interp, env: &mut Env<'_>, budget: Option<u64>) -> (Result<u64, RunError>, Vec<u8>, Option<u64>) {
        let Context::Raw(raw) = &mut env.ctx else { panic!("the context is raw") };
        for word in 0..MEMORY / 8 {
            let addr = raw.addr() + 8 * word as u64;
            // SAFETY: the context has these bytes.
            unsafe { (addr as *mut u64).write((word as u64).wrapping_mul(0x81f3_7b05_a2c9_6d11)) };
        }
        env.budget = budget;
        let ret = run(program, env);
        let Context::Raw(raw) = &env.ctx else { panic!("the context is raw") };
        (ret.clone(), raw.to_vec()[..MEMORY].to_vec(), env.executed().filter(|_| ret.is_ok()))
    }

    /// Runs all forms around the budget that the program needs. Its R0 and how many instructions it takes, if it ends.
    fn agree(&self, text: &str) -> Option<(u64, u64)> {
        let mut host = TestHost::default();
        let mut env = Env::new(&mut host);
        env.ctx = crate::ctx::from_image(KIND, &[]).unwrap();
        let checked = Forms::run(&self.checked, &mut env, Some(MUCH));
        if let Err(RunError::Trap(trap)) = &checked.0
            && matches!(trap.kind, TrapKind::BadAccess { .. })
        {
            return None;
        }
        assert_eq!(Forms::run(&self.fused, &mut env, Some(MUCH)), checked, "{text}");
        let need = checked.2?;
        let free = Forms::run(&self.fused, &mut env, None);
        assert_eq!((&free.0, &free.1), (&checked.0, &checked.1), "{text}");
        for program in [&self.fused, &self.checked] {
            for budget in [need, need + 1, u64::MAX] {
                assert_eq!(Forms::run(program, &mut env, Some(budget)), checked, "budget {budget} of {need}: {text}");
            }
        }
        let few = [&self.fused, &self.checked].map(|program| Forms::run(program, &mut env, Some(need - 1)));
        let budget = need - 1;
        assert!(
            matches!(few[0].0, Err(RunError::Trap(Trap { kind: TrapKind::Budget { budget: b }, .. })) if b == budget),
            "{:?}, {need} needed: {text}",
            few[0].0
        );
        assert_eq!(few[0], few[1], "{text}");
        Some((checked.0.ok()?, need))
    }
}

/// Registers of random programs: more than are hot. R1 is the memory.
const REGISTERS: [u8; 6] = [0, 2, 3, 7, 8, 9];
const IMMEDIATES: [i32; 16] = [0, 1, -1, 2, -2, 7, 8, 31, 32, 63, 64, 127, 255, 0x1_0000, i32::MAX, i32::MIN];
const CONSTANTS: [u64; 8] = [0, 1, u64::MAX, 1 << 63, 0x7fff_ffff_ffff_ffff, 0xffff_ffff, 0x8000_0000, 0x1_0000_0000];

fn reg() -> impl Strategy<Value = u8> + Clone {
    // The first ones more often, so that there are hot ones and patterns on one register.
    prop_oneof![3 => Just(0usize), 3 => Just(1), 1 => 2..REGISTERS.len()].prop_map(|at| REGISTERS[at])
}

fn imm() -> impl Strategy<Value = i32> + Clone {
    prop_oneof![6 => proptest::sample::select(&IMMEDIATES[..]), 1 => any::<i32>(), 4 => -3..4i32]
}

/// `r` or `w`.
fn wide() -> impl Strategy<Value = char> + Clone {
    prop_oneof![Just('r'), Just('w')]
}

fn operand() -> impl Strategy<Value = Result<u8, i32>> + Clone {
    prop_oneof![reg().prop_map(Ok), imm().prop_map(Err)]
}

fn print(width: char, operand: Result<u8, i32>) -> String {
    operand.map_or_else(|imm| imm.to_string(), |reg| format!("{width}{reg}"))
}

fn alu() -> impl Strategy<Value = &'static str> + Clone {
    proptest::sample::select(
        &["+=", "+=", "+=", "-=", "*=", "/=", "%=", "s/=", "s%=", "|=", "&=", "^=", "<<=", ">>=", "s>>="][..],
    )
}

fn compare() -> impl Strategy<Value = &'static str> + Clone {
    proptest::sample::select(&["==", "==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&"][..])
}

fn size() -> impl Strategy<Value = &'static str> + Clone {
    proptest::sample::select(&["u8", "u16", "u32", "u64", "u8", "s8", "s16", "s32"][..])
}

/// What often follows one another, and what is nearly that. `@` and a number is an instruction of the program.
fn snippet() -> impl Strategy<Value = Vec<String>> {
    let off = || 0..MEMORY as i32 - 8;
    let one = (wide(), alu(), reg(), operand());
    let branch = (wide(), compare(), reg(), operand(), any::<u8>());
    prop_oneof![
        one.clone().prop_map(|(w, op, d, s)| vec![format!("{w}{d} {op} {}", print(w, s))]),
        branch.clone().prop_map(|(w, op, d, s, to)| vec![format!("if {w}{d} {op} {} goto @{to}", print(w, s))]),
        any::<u8>().prop_map(|to| vec![format!("goto @{to}")]),
        (reg(), proptest::sample::select(&CONSTANTS[..])).prop_map(|(d, v)| vec![format!("r{d} = {v:#x} ll")]),
        // Sums, and operations on copies.
        (wide(), reg(), reg(), one.clone(), any::<bool>()).prop_map(|(w, d, b, (x, op, y, s), same)| {
            vec![format!("{w}{d} = {w}{b}"), format!("{x}{} {op} {}", if same { d } else { y }, print(x, s))]
        }),
        (reg(), reg(), proptest::sample::select(&CONSTANTS[..]))
            .prop_map(|(d, x, v)| vec![format!("r{d} = {v:#x} ll"), format!("r{d} += r{x}")]),
        // Loads from sums.
        (reg(), reg(), reg(), off(), size(), any::<bool>()).prop_map(|(d, x, y, off, size, swap)| {
            let [base, more] = if swap { [x, 1] } else { [1, x] };
            vec![
                format!("r{x} &= 7"),
                format!("r{d} = r{base}"),
                format!("r{d} += r{more}"),
                format!("r{} = *({size} *)(r{d} +{off})", if y % 2 == 0 { d } else { y }),
            ]
        }),
        (reg(), off(), 0..8i32, size()).prop_map(|(d, off, more, size)| {
            vec![format!("r{d} = r1"), format!("r{d} += {more}"), format!("r{d} = *({size} *)(r{d} +{off})")]
        }),
        // Loads that are compared, with what may just have been stored there.
        (reg(), off(), size(), branch.clone(), any::<(bool, bool, bool)>()).prop_map(
            |(d, off, size, (w, op, l, s, to), (same, stored, half))| {
                let l = if same { d } else { l };
                let half = if half { "u32" } else { "u64" };
                let store = s.err().filter(|_| stored).map(|imm| format!("*({half} *)(r1 +{off}) = {imm}"));
                let load = format!("r{d} = *({size} *)(r1 +{off})");
                store.into_iter().chain([load, format!("if {w}{l} {op} {} goto @{to}", print(w, s))]).collect()
            }
        ),
        // Counters in memory.
        (reg(), off(), size(), wide(), operand(), prop_oneof![4 => Just(0), 1 => 0..4i32], size()).prop_map(
            |(d, off, size, w, s, more, other)| {
                let stored = if more == 3 { other } else { size }.replace('s', "u");
                let load = format!("r{d} = *({size} *)(r1 +{off})");
                vec![load, format!("{w}{d} += {}", print(w, s)), format!("*({stored} *)(r1 +{}) = r{d}", off + more)]
            }
        ),
        // Steps of loops.
        (wide(), reg(), imm(), branch.clone(), any::<(bool, bool, u8)>()).prop_map(
            |(x, d, imm, (w, op, l, s, to), (same, either, other))| {
                let (w, l) = if same { (x, d) } else { (w, l) };
                let mut lines = vec![format!("{x}{d} += {imm}"), format!("if {w}{l} {op} {} goto @{to}", print(w, s))];
                lines.extend(either.then(|| format!("goto @{other}")));
                lines
            }
        ),
        (branch, any::<u8>()).prop_map(|((w, op, l, s, to), other)| {
            vec![format!("if {w}{l} {op} {} goto @{to}", print(w, s)), format!("goto @{other}")]
        }),
        Just(vec!["call f".to_owned()]),
        Just(vec!["exit".to_owned()]),
    ]
}

/// The program: a label before each instruction, all registers set before and mixed into R0 behind, and a function.
fn program(snippets: &[Vec<String>], function: &[Vec<String>], seeds: [u64; 6]) -> String {
    let mut text = String::new();
    for (reg, seed) in REGISTERS.into_iter().zip(seeds) {
        text += &format!("r{reg} = {seed:#x} ll\n");
    }
    let main: usize = snippets.iter().map(Vec::len).sum();
    let rest: usize = function.iter().map(Vec::len).sum();
    for (at, line) in snippets.iter().chain(function).flatten().enumerate() {
        if at == main {
            text += "goto out\nf: r3 += 5\n";
        }
        // Jumps stay in their function.
        let (start, len) = if at < main { (0, main) } else { (main, rest) };
        let line = match line.split_once('@') {
            Some((before, to)) => format!("{before}l{}", start + to.parse::<usize>().unwrap() % len),
            None => line.clone(),
        };
        text += &format!("l{at}: {line}\n");
    }
    text += "exit\nout: ";
    for reg in &REGISTERS[1..] {
        text += &format!("r0 *= 0x1003f\nr0 += r{reg}\n");
    }
    text + "exit"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_forms_agree(
        main in proptest::collection::vec(snippet(), 1..14),
        function in proptest::collection::vec(snippet(), 1..5),
        seeds in proptest::array::uniform6(prop_oneof![proptest::sample::select(&CONSTANTS[..]), 0..9u64]),
    ) {
        let text = program(&main, &function, seeds);
        Forms::of(&text, &[]).agree(&text);
    }
}

/// R0 and the number of instructions.
fn agreed(text: &str) -> (u64, u64) {
    Forms::of(text, &[]).agree(text).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn callbacks_share_the_budget() {
    // 12 calls of `f`, three instructions each, but for the last one, which has four.
    let text = "r1 = 100\nr2 = subprog[f]\nr3 = 0\nr4 = 0\ncall unknown#181\nexit\n\
                f: r0 = 0\nif r1 != 11 goto out\nr0 = 1\nout: exit";
    assert_eq!(agreed(text), (12, 6 + 11 * 3 + 4));
    let nested = "r6 = 0\ncall g\nr0 += 1\nexit\n\
                  g: r1 = 3\nr2 = subprog[f]\nr3 = 0\nr4 = 0\ncall unknown#181\ncall h\nexit\n\
                  f: r1 = 2\nr2 = subprog[h]\nr3 = 0\nr4 = 0\ncall unknown#181\nr0 = 0\nexit\n\
                  h: r0 = 0\nexit";
    assert_eq!(agreed(nested), (1, 4 + 7 + 2 + 3 * (7 + 2 * 2)));
}

#[test]
fn tail_calls_share_the_budget() {
    let map: Arc<dyn Map> = crate::maps::create(&Arc::new(MapDef::new("m", MapType::ProgArray, 4, 4, 2)), 1).unwrap();
    let text = "r6 = r1\nr7 = 3\nagain: r1 = r6\nr2 = map[fd:0]\nr3 = 1\ncall unknown#12\nr7 += -1\nif r7 != 0 goto again\n\
                call f\nr0 += 1\nexit\n\
                f: r1 = r6\nr2 = map[fd:0]\nr3 = 0\ncall unknown#12\nr0 = 7\nexit";
    let maps = [map];
    let forms = Forms::of(text, &maps);
    let target = link_trusted(&ring3_isa::assemble("r0 = 1\nr0 += 1\nexit").unwrap(), KIND, &[]).unwrap();
    maps[0].set_program(0, Some(Arc::new(Interp::new(target.into())))).unwrap();
    assert_eq!(forms.agree(text), Some((3, 2 + 3 * 6 + 3 + 4 + 3)));
    maps[0].clear();
}

/// A load outside of the packet ends the function, as `exit` does.
#[test]
fn packet_loads_that_end_the_program_are_counted() {
    assert_eq!(agreed("r6 = r1\nr0 = *(u8 *)skb[0]\nexit"), (0, 2));
    assert_eq!(agreed("r6 = r1\ncall f\nr0 += 3\nexit\nf: r0 = *(u8 *)skb[0]\nexit"), (3, 5));
}

#[test]
fn instructions_are_counted_one_by_one() {
    assert_eq!(agreed("r0 = 1\nr0 += 2\nr0 *= 3\nexit"), (9, 4));
    assert_eq!(agreed("r0 = 5\nif r0 == 5 goto pc+1\nr0 = 0\nexit"), (5, 3));
    assert_eq!(agreed("r0 = 5\nr0 += 1\nif r0 == 6 goto pc+1\ngoto pc-2\nexit"), (6, 4));
    assert_eq!(agreed("r0 = 0\nagain: r0 += 1\nif r0 != 5 goto again\nexit"), (5, 12));
}

/// Whatever is done, a hundred thousand times, on a native stack that is far too small for a frame each time.
#[test]
fn long_runs_take_no_native_stack() {
    let map: Arc<dyn Map> = crate::maps::create(&Arc::new(MapDef::new("m", MapType::ProgArray, 4, 4, 2)), 1).unwrap();
    let parts = [
        "r1 = r6\nr2 = map[fd:0]\nr3 = 1\ncall unknown#12\n",
        "r0 = *(u8 *)skb[1]\n",
        "call f\ncall g\n",
        "call unknown#7\n",
        "may_goto pc+0\n",
        "r2 = 1\nlock *(u64 *)(r10 -8) += r2\n*(u64 *)(r10 -16) = r2\nr3 = *(u64 *)(r10 -8)\n",
    ];
    let bodies: Vec<String> = parts.iter().map(|part| (*part).to_owned()).chain([parts.concat()]).collect();
    for body in bodies {
        let text = format!(
            "r6 = r1\nr9 = 100000\nagain: {body}r9 += -1\nif r9 != 0 goto again\nr0 = 4\nexit\n\
             f: r0 = 0\nexit\ng: r0 = *(u8 *)skb[60]\nexit"
        );
        let code = ring3_isa::assemble(&text).unwrap();
        let maps = [Arc::clone(&map)];
        let verified = link_trusted(&code, ProgType::SocketFilter, &maps).unwrap();
        let unverified = link_unverified(&code, ProgType::SocketFilter, &maps, &Helpers::new()).unwrap();
        for program in [verified, unverified].map(|linked| Interp::new(linked.into())) {
            for budget in [None, Some(1 << 40)] {
                let run = || {
                    let mut host = TestHost::default();
                    let mut env = Env::new(&mut host);
                    let mut skb = SkbContext::new().unwrap();
                    skb.load(&[7; 40], DataStart::Ethernet);
                    env.ctx = Context::Skb(skb);
                    env.budget = budget;
                    run(&program, &mut env)
                };
                let ret = std::thread::scope(|scope| {
                    std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, run).unwrap().join().unwrap()
                });
                assert_eq!(ret, Ok(4), "{text}");
            }
        }
    }
}
