//! Verified programs as machine code: what the interpreter does is what the code does.
#![cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), unix))]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ring3_isa::{Code, Symbols, assemble_with};
use ring3_jit::{Compiled, Jit, Origin};
use ring3_platform::{HelperId, MapDef, MapType, ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};
use ring3_vm::maps::{self, Map};
use ring3_vm::{
    Call, Context, DataStart, Env, Execute, Helpers, Interp, Linked, SkbContext, TestHost, XdpContext, link, run,
};

struct Names;

impl Symbols for Names {
    fn helper(&self, name: &str) -> Option<i32> {
        [("lookup", 1), ("tail_call", 12), ("loop", 181), ("skb_load_bytes", 26)]
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, id)| *id)
    }
    fn map(&self, name: &str) -> Option<i32> {
        ["progs", "array"].iter().position(|known| *known == name).map(|index| index as i32)
    }
}

fn code(text: &str) -> Code {
    assemble_with(text, &Names).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// `map[progs]` and `map[array]`, whose values are 24 bytes long.
fn fresh_maps() -> Vec<Arc<dyn Map>> {
    let defs = [MapDef::new("progs", MapType::ProgArray, 4, 4, 4), MapDef::new("array", MapType::Array, 4, 24, 3)];
    defs.map(|def| maps::create(&Arc::new(def), 1).unwrap()).to_vec()
}

fn linked(kind: ProgType, text: &str, maps: &[Arc<dyn Map>]) -> Arc<Linked> {
    linked_with(kind, text, maps, &Helpers::new())
}

fn linked_with(kind: ProgType, text: &str, maps: &[Arc<dyn Map>], helpers: &Helpers) -> Arc<Linked> {
    let mut program = Program::new("test", kind, code(text));
    program.maps = maps.iter().map(|map| Arc::clone(map.def())).collect();
    let verified = verify(Arc::new(program), Arc::new(Target::default()), LogLevel::default());
    let verified = verified.unwrap_or_else(|refused| panic!("{refused}: {text}"));
    Arc::new(link(&verified, maps, helpers).unwrap())
}

fn load(jit: bool, linked: Arc<Linked>) -> Arc<dyn Execute> {
    if jit { Arc::new(Jit::compile(linked).unwrap()) } else { Arc::new(Interp::new(linked)) }
}

fn context(kind: ProgType, packet: &[u8]) -> Context {
    if kind == ProgType::Xdp {
        let mut xdp = XdpContext::new().unwrap();
        xdp.load(packet);
        return Context::Xdp(xdp);
    }
    let mut skb = SkbContext::new().unwrap();
    skb.load(packet, DataStart::of(kind));
    Context::Skb(skb)
}

/// Runs the first program, with all of them in the slots of `map[progs]`; gives R0 and the values of `map[array]`.
fn outcome(jit: bool, kind: ProgType, texts: &[&str], packet: &[u8]) -> (u64, Vec<Vec<u8>>) {
    let maps = fresh_maps();
    let programs: Vec<_> = texts.iter().map(|text| load(jit, linked(kind, text, &maps))).collect();
    for (slot, program) in (0..).zip(&programs) {
        maps[0].set_program(slot, Some(Arc::clone(program))).unwrap();
    }
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.ctx = context(kind, packet);
    let ret = run(programs[0].as_ref(), &mut env).unwrap();
    maps[0].clear();
    (ret, maps[1].keys().iter().map(|key| maps[1].read(key).unwrap()).collect())
}

/// Both engines give this result and leave the same behind.
fn both(kind: ProgType, texts: &[&str], packet: &[u8], want: u64) {
    let (interp, jit) = (outcome(false, kind, texts, packet), outcome(true, kind, texts, packet));
    assert_eq!(interp.0, want, "{texts:?}");
    assert_eq!(jit, interp, "{texts:?}");
}

fn packet() -> Vec<u8> {
    (0..64).map(|i| 0x80 ^ i).collect()
}

#[test]
fn loads_of_the_packet_by_number_and_register() {
    let run = |text: &str, want| both(ProgType::SocketFilter, &[text], &packet(), want);
    run("r6 = r1\nr0 = *(u8 *)skb[5]\nexit", 0x85);
    run("r6 = r1\nr0 = *(u16 *)skb[20]\nexit", 0x9495);
    run("r6 = r1\nr7 = 7\nr0 = *(u32 *)skb[r7 + 13]\nr0 += r7\nexit", 0x9495_9697 + 7);
    // Out of bounds: the program ends with 0, be it in front, behind or across the end.
    run("r6 = r1\nr0 = *(u32 *)skb[61]\nr0 = 9\nexit", 0);
    run("r6 = r1\nr7 = -9\nr0 = *(u8 *)skb[r7 + 3]\nr0 = 9\nexit", 0);
    run("r6 = r1\nr0 = *(u8 *)skb[1000000]\nr0 = 9\nexit", 0);
    // Where the link-layer header starts.
    run("r6 = r1\nr0 = *(u8 *)skb[-2097150]\nexit", 0x82);
}

const COUNT: &str = "
    *(u32 *)(r10 -4) = 1
    r2 = r10
    r2 += -4
    r1 = map[array]
    call lookup
    if r0 == 0 goto none
    r1 = *(u64 *)(r0 +8)
    r1 += 1
    *(u64 *)(r0 +8) = r1
    none: ";

fn tail_call(slot: i32) -> String {
    format!("r1 = r6\nr2 = map[progs]\nr3 = {slot}\ncall tail_call\n")
}

#[test]
fn tail_calls() {
    let xdp = |texts: &[&str], want| both(ProgType::Xdp, texts, &packet(), want);
    let itself = format!("r6 = r1\n{COUNT}{}r0 = 5\nexit", tail_call(0));
    xdp(&[&itself], 5);
    assert_eq!(outcome(true, ProgType::Xdp, &[&itself], &packet()).1[1][8..16], 34u64.to_le_bytes());
    let first = format!("r6 = r1\nr7 = 100\nr8 = 1000\nr9 = 1\n{}r0 = 5\nexit", tail_call(1));
    xdp(&[&first, "r6 = 1\nr7 = 2\nr8 = 3\nr9 = 4\nr0 = 9\nexit"], 9);
    for slot in [1, 4, -1] {
        xdp(&[&format!("r6 = r1\n{}r0 = 5\nexit", tail_call(slot))], 5);
    }
}

/// A look-up of the third element of `map[array]`, whose address and a number that nobody knows stay.
const THIRD: &str = "
    r6 = *(u32 *)(r1 +0)
    *(u32 *)(r10 -4) = 2
    r2 = r10
    r2 += -4
    r1 = map[array]
    call lookup
    if r0 == 0 goto none
    r2 = r6
    r2 &= 1
    r5 = r2
    r2 <<= 3
    r3 = r0
    r3 += r2
    r4 = *(u16 *)(r3 +2)";

/// A sum that an access takes apart, with its shift, is gone whatever is joined with the access afterwards: the index is not shifted
/// any more for those who take it from the register in which it was.
#[test]
fn an_address_that_was_taken_apart_does_not_come_back() {
    for swap in ["r4 = be16 r4", "r4 = le16 r4", "r4 = bswap16 r4", "r4 &= 0xff"] {
        let stored =
            "r5 += 1\nr5 <<= 3\nr0 += r5\nr1 = 0x4141\n*(u64 *)(r0 +0) = r1\nr0 = r4\nexit\nnone: r0 = 77\nexit";
        let text = format!("{THIRD}\n{swap}\n{stored}");
        both(ProgType::SchedCls, &[&text], &packet(), 0);
        let odd = &packet()[..61];
        both(ProgType::SchedCls, &[&text], odd, 0);
        assert_eq!(outcome(true, ProgType::SchedCls, &[&text], odd).1[2][16..18], [0x41, 0x41], "{swap}");
    }
}

/// Programs that call a helper again and again, which stops the run when it is called for the second time.
const STOPPED: [&str; 3] = [
    "call 7\ncall 7\ncall 7\nr0 = 1\nexit",
    "call f\ncall f\ncall f\nexit\nf: r6 = 1\ncall 7\nr0 = r6\nexit",
    "r2 = map[progs]\nr3 = 1\ncall tail_call\nr0 = 5\nexit",
];

/// Whatever stops a run ends it behind the call, in all functions, at the same slot and with the same words on every engine.
#[test]
fn helpers_stop_runs() {
    for text in STOPPED {
        let stopped = [false, true].map(|jit| {
            let calls = Arc::new(AtomicU64::new(0));
            let count = Arc::clone(&calls);
            let mut helpers = Helpers::new();
            let helper = move |call: &mut Call<'_, '_>, _: [u64; 5]| {
                if count.fetch_add(1, Relaxed) == 1 {
                    call.trap(7, "nothing");
                }
                0
            };
            helpers.register(HelperId(7), helper).unwrap();
            let maps = fresh_maps();
            let second = load(jit, linked_with(ProgType::Xdp, "call 7\ncall 7\ncall 7\nr0 = 1\nexit", &maps, &helpers));
            maps[0].set_program(1, Some(second)).unwrap();
            let first = load(jit, linked_with(ProgType::Xdp, text, &maps, &helpers));
            let mut host = TestHost::default();
            let mut env = Env::new(&mut host);
            env.ctx = context(ProgType::Xdp, &[0; 64]);
            let why = run(first.as_ref(), &mut env).unwrap_err().to_string();
            maps[0].clear();
            (why, calls.load(Relaxed))
        });
        assert_eq!(stopped[0], stopped[1], "{text}");
        assert_eq!(stopped[1].1, 2, "{text}");
        assert!(stopped[1].0.contains("helper 7 was given 0x7 where it needs nothing"), "{}", stopped[1].0);
    }
}

/// The two engines can call each other's programs.
#[test]
fn tail_calls_between_engines() {
    for jit_first in [false, true] {
        let maps = fresh_maps();
        let first = load(jit_first, linked(ProgType::Xdp, &format!("r6 = r1\n{}r0 = 5\nexit", tail_call(1)), &maps));
        let second = load(!jit_first, linked(ProgType::Xdp, &format!("r6 = r1\n{COUNT}r0 = 8\nexit"), &maps));
        maps[0].set_program(1, Some(second)).unwrap();
        let mut host = TestHost::default();
        let mut env = Env::new(&mut host);
        env.ctx = context(ProgType::Xdp, &packet());
        assert_eq!(run(first.as_ref(), &mut env), Ok(8));
        assert_eq!(maps[1].read(&1u32.to_ne_bytes()).unwrap()[8..16], 1u64.to_ne_bytes());
        maps[0].clear();
    }
}

#[test]
fn every_index_of_an_array() {
    for index in [0, 1, 2, 3, 4, -1, i32::MIN] {
        let text = format!(
            "r7 = 0\n*(u32 *)(r10 -4) = {index}\nr2 = r10\nr2 += -4\nr1 = map[array]\ncall lookup\n\
             if r0 == 0 goto none\nr7 = 1\n*(u64 *)(r0 +16) = 77\nnone: r0 = r7\nexit"
        );
        both(ProgType::Xdp, &[&text], &packet(), u64::from((0..3).contains(&index)));
        // The proof knows the map, so there is no call.
        assert_eq!(linked(ProgType::Xdp, &text, &fresh_maps()).array_lookups().count(), 1);
    }
}

/// Functions keep their callers' registers and stacks, eight frames deep.
#[test]
fn nested_functions() {
    let mut text = String::new();
    for depth in 0..8 {
        let call = if depth < 7 { format!("call f{}", depth + 1) } else { "r0 = 1".to_owned() };
        text += &format!(
            "f{depth}: r6 = {depth}\nr7 = r1\n*(u64 *)(r10 -16) = r6\nr1 = {depth}\n{call}\n\
             r1 = *(u64 *)(r10 -16)\nr1 += r6\nr0 += r1\nexit\n"
        );
    }
    both(ProgType::Xdp, &[&text], &packet(), 1 + 2 * 28);
}

#[test]
fn open_loops_end() {
    let text = "r0 = 0\ntop: may_goto out\nr0 += 1\nif r0 != 1000 goto top\nout: exit";
    both(ProgType::Xdp, &[text], &packet(), 1000);
}

fn compiled(text: &str) -> Compiled {
    Jit::compile(linked(ProgType::Xdp, text, &fresh_maps())).unwrap()
}

/// Listings cover all of the code, and name each instruction once.
#[test]
fn listing() {
    let code = compiled(
        "r1 = 5\ncall f\nr0 += 1\nexit\nf: r6 = r1\ncall bpf_get_prandom_u32#7\nif r6 > 3 goto out\nr0 = 1\nout: exit",
    );
    let pieces = code.listing();
    let mut at = 0;
    for piece in &pieces {
        assert_eq!(piece.code.start, at);
        assert!(piece.code.end > at);
        at = piece.code.end;
    }
    assert_eq!(at, code.code().len());
    let slots: Vec<u32> = pieces
        .iter()
        .filter_map(|piece| if let Origin::Slot(slot) = piece.origin { Some(slot) } else { None })
        .collect();
    assert_eq!(slots.first(), Some(&0));
    assert!(slots.is_sorted_by(|a, b| a < b));
    assert_eq!(pieces.last().unwrap().origin, Origin::Trampoline);
    assert_eq!(code.functions().len(), 2);
    assert!(pieces.iter().any(|piece| piece.origin == Origin::Prologue { function: 0 }));
}

/// The memory of code can be executed and read, not written.
#[test]
fn code_is_not_writable() {
    let code = compiled("r0 = 0\nexit");
    // The list is read piece by piece, most slowly under an emulator, while other tests map memory: some of it can be missing.
    let seen = (0..100).map(|_| rights_around(code.address())).find(Result::is_ok);
    assert!(seen.is_some(), "{:?}", rights_around(code.address()));
}

/// Whether memory is as that of code is to be; else all of the process's.
fn rights_around(address: u64) -> Result<(), String> {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return Ok(()) };
    let range = |line: &str| {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        Some(u64::from_str_radix(from, 16).ok()?..u64::from_str_radix(to, 16).ok()?)
    };
    let rights_of = |address: u64| {
        let line = maps.lines().find(|line| range(line).is_some_and(|range| range.contains(&address)))?;
        Some((range(line)?, line.split(' ').nth(1)?))
    };
    let is_guarded = || {
        let (code, rights) = rights_of(address)?;
        // The pages on both sides can be neither read nor written nor executed.
        let around = [rights_of(code.start - 1)?.1, rights_of(code.end)?.1];
        Some(rights == "r-xp" && around == ["---p", "---p"])
    };
    let never_both = maps.lines().all(|line| !line.contains(" rwx"));
    if is_guarded() == Some(true) && never_both { Ok(()) } else { Err(maps) }
}

/// A process of its own that touches the code, or what is around it, in a way that is not allowed: it dies.
#[test]
#[cfg(target_os = "linux")]
fn touching_the_code_is_fatal() {
    const NAME: &str = "RING3_TEST_TOUCH";
    let code = compiled("r0 = 7\nexit");
    let len = code.code().len().next_multiple_of(4096) as u64;
    let first = code.address();
    if let Ok(what) = std::env::var(NAME) {
        let at = |addr: u64| std::ptr::with_exposed_provenance_mut::<u8>(addr as usize);
        // SAFETY: none; the process is to die of it.
        unsafe {
            match what.as_str() {
                "write" => at(first).write_volatile(0),
                "before" => assert_ne!(at(first - 1).read_volatile(), 0),
                "behind" => assert_ne!(at(first + len).read_volatile(), 0),
                _ => {
                    let rest = std::mem::transmute::<*mut u8, extern "C" fn()>(at(first + len - 16));
                    rest();
                }
            }
        }
        println!("alive");
        return;
    }
    for what in ["write", "before", "behind", "execute"] {
        let mut test = std::process::Command::new(std::env::current_exe().unwrap());
        test.args(["--exact", "touching_the_code_is_fatal", "--nocapture"]).env(NAME, what);
        let Ok(done) = test.output() else { return };
        assert!(!done.status.success(), "{what}");
        assert!(!String::from_utf8_lossy(&done.stdout).contains("alive"), "{what}");
    }
}

#[test]
fn stack_that_was_never_written_is_zero() {
    // A function leaves marks where its sister's frame comes to lie; both depths, with and without a half chunk.
    for depth in [8, 16, 24, 248] {
        let text = format!(
            "call pc+2
            call pc+5
            exit
            r1 = -1
            *(u64 *)(r10 -{depth}) = r1
            r0 = *(u64 *)(r10 -{depth})
            exit
            r0 = *(u64 *)(r10 -{depth})
            exit"
        );
        both(ProgType::SocketFilter, &[&text], &[0; 64], 0);
    }
}

/// Programs whose functions are small and call nothing, with what they give, and whether their calls can go. The number of the packet's
/// receive queue is 0, which the compiler does not know.
const LEAVES: [(&str, u64, bool); 8] = [
    // What the caller has in R6 to R9 stays, whatever the function does with them.
    (
        "r0 = *(u32 *)(r1 +16)\nr6 = r0\nr6 += 1\nr7 = r0\nr7 += 20\nr8 = r0\nr8 += 300\nr9 = r0\nr9 += 4000\nr1 = r0\nr1 += 5\ncall f
        r0 += r6\nr0 += r7\nr0 += r8\nr0 += r9\nexit
        f: r6 = r1\nr7 = r1\nr7 += 5\nr8 = r1\nr8 += 95\nr9 = r1\nr9 += 995\nr0 = r6\nr0 += r7\nr0 += r8\nr0 += r9\nexit",
        1115 + 4321,
        true,
    ),
    // There is nothing to use instead.
    (
        "r6 = 1\nr7 = 2\nr8 = 3\nr9 = 4\nr1 = 5\ncall f\nr0 += r6\nr0 += r7\nr0 += r8\nr0 += r9\nexit
        f: r6 = r1\nr2 = 1\nr3 = 2\nr4 = 3\nr5 = 4\nr0 = r6\nr0 += r2\nr0 += r3\nr0 += r4\nr0 += r5\nr6 = 77\nexit",
        15 + 10,
        false,
    ),
    // Registers of R6 to R9 that only the function uses, in two calls of two functions.
    (
        "r6 = *(u32 *)(r1 +16)\nr6 += 5\nr1 = r6\ncall f\nr7 = r0\nr1 = r6\ncall g\nr0 += r7\nexit
        f: r8 = r1\nr9 = 3\nr0 = r8\nr0 *= r9\nexit
        g: r9 = r1\nr8 = 4\nr0 = r9\nr0 *= r8\nexit",
        35,
        true,
    ),
    // Several ways out, one of them from a loop, and a call that is jumped to.
    (
        "r6 = 0\nr7 = 0\nagain: r1 = r6\ncall f\nr7 += r0\nr6 += 1\nif r6 < 5 goto again\nr0 = r7\nexit
        f: if r1 == 2 goto two\nr0 = 0\nr2 = 0\nmore: if r2 >= r1 goto out\nr0 += r1\nr2 += 1\nif r2 < 8 goto more\nexit
        two: r0 = 100\nout: exit",
        100 + 1 + 9 + 16,
        true,
    ),
    // A stack of its own below that of the caller, zeroed each time, reached by R10 and by copies of it.
    (
        "*(u64 *)(r10 -8) = 7\nr6 = 0\nr7 = 0\nagain: r1 = r6\ncall f\nr7 += r0\nr6 += 1\nif r6 < 3 goto again
        r0 = *(u64 *)(r10 -8)\nr0 += r7\nexit
        f: r2 = r10\nr2 += -16\nr0 = *(u64 *)(r10 -8)\nr3 = *(u64 *)(r2 +0)\nr0 += r3\n*(u64 *)(r10 -8) = 1000\n*(u64 *)(r2 +0) = r1
        r4 = *(u64 *)(r10 -16)\nr0 += r4\nexit",
        3 + 7,
        true,
    ),
    // The stack of the caller through an argument, beside its own.
    (
        "*(u32 *)(r10 -4) = 11\nr1 = r10\nr1 += -4\ncall f\nr1 = *(u32 *)(r10 -4)\nr0 += r1\nexit
        f: *(u32 *)(r10 -4) = 500\nr0 = *(u32 *)(r1 +0)\nr0 += 1\n*(u32 *)(r1 +0) = r0\nr2 = *(u32 *)(r10 -4)\nr0 += r2\nexit",
        12 + 500 + 12,
        true,
    ),
    // Functions that call nothing any more once what they called is gone.
    (
        "r1 = *(u32 *)(r1 +16)\nr6 = r1\nr6 += 3\nr1 += 2\ncall f\nr0 += r6\nexit
        f: r6 = r1\ncall g\nr7 = r0\nr1 = r6\nr1 += 1\ncall g\nr0 += r7\nexit
        g: r0 = r1\nr0 *= r1\nexit",
        3 + 4 + 9,
        true,
    ),
    // An exchange that means R0.
    (
        "*(u64 *)(r10 -8) = 5\nr6 = 6\nr1 = r10\nr1 += -8\ncall f\nr2 = *(u64 *)(r10 -8)\nr0 += r2\nr0 += r6\nexit
        f: r6 = 9\nr0 = 5\nr0 = atomic64_cmpxchg((u64 *)(r1 +0), r0, r6)\nexit",
        5 + 9 + 6,
        true,
    ),
];

#[test]
fn small_functions_stand_where_they_are_called() {
    for (text, want, gone) in LEAVES {
        both(ProgType::Xdp, &[text], &[0; 64], want);
        let maps = fresh_maps();
        let linked = linked(ProgType::Xdp, text, &maps);
        let first = linked.slots()[linked.subprogs()[1].entry as usize];
        let code = Jit::compile(linked).unwrap();
        let main = code.functions()[1] as usize;
        let pieces = code.listing();
        assert!(pieces.iter().zip(pieces.iter().skip(1)).all(|(one, next)| one.code.end == next.code.start), "{text}");
        // What stands in the main function says where it came from.
        let elsewhere = |piece: &ring3_jit::Piece| matches!(piece.origin, Origin::Slot(slot) if slot >= first);
        let found = pieces.iter().any(|piece| piece.code.end <= main && elsewhere(piece));
        assert_eq!(found, gone, "{text}");
    }
}
