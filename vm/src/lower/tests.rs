//! Lowering with facts made by hand, and runs of what comes out of it in the interpreter that does not check.

use std::collections::BTreeMap;
use std::sync::Arc;

use ring3_isa::{Reg, assemble};
use ring3_verifier::{InsnFacts, SubprogFacts};

use super::*;
use crate::ctx::{Context, DataStart, RawContext, SkbContext, XdpContext};
use crate::env::Env;
use crate::host::TestHost;
use crate::interp::Interp;
use crate::link::tests::{link_trusted, link_with_facts};
use crate::{RunError, run};

/// Facts as a proof would give them, for texts that have the context in R1, R6 and R7 alone.
pub(crate) fn facts(code: &Code) -> Facts {
    let ctx = [Reg::R1, Reg::R6, Reg::R7];
    let insns = (0..code.len()).map(|slot| {
        let region = match code.get(slot) {
            Some(Ok(Insn::Load { base, .. } | Insn::Store { base, .. })) if ctx.contains(&base) => Region::Ctx,
            _ => Region::None,
        };
        InsnFacts { seen: true, region, direction: Direction::Both, ..InsnFacts::default() }
    });
    let mut starts = vec![0];
    for slot in 0..code.len() {
        if let Some(Ok(Insn::Call(Callee::Local(off)) | Insn::LoadImm { value: Wide::Func(off), .. })) = code.get(slot)
        {
            starts.push(resolve(code, slot, off).unwrap());
        }
    }
    starts.sort_unstable();
    starts.dedup();
    let ends = starts.iter().skip(1).copied().chain([code.len()]);
    let subprogs = starts.iter().zip(ends).map(|(&start, end)| SubprogFacts { start, end, stack_depth: 512 });
    Facts::new(insns.collect(), subprogs.collect())
}

pub(crate) fn lower_trusted(code: &Code, kind: ProgType, facts: &Facts, maps: usize) -> Result<Lowered, LowerError> {
    let subprogs = facts.subprogs.iter().map(|s| (s.start, s.stack_depth)).collect();
    Lowering::new(code, Some((facts, CtxRules::of(kind, None))), maps, subprogs).run()
}

fn lowered(kind: ProgType, text: &str) -> Vec<Op> {
    let code = assemble(text).unwrap();
    lower_trusted(&code, kind, &facts(&code), 0).unwrap().ops
}

#[test]
fn fields_move_to_their_slots() {
    let load = |text: &str| match lowered(ProgType::SchedCls, &format!("{text}\nexit"))[0] {
        Op::Load { size, off, .. } | Op::Store { size, off, .. } => (off, size),
        other => panic!("{other:?}"),
    };
    let layout = ctx::layout(ProgType::SchedCls).unwrap();
    let slot = |name| layout.host_offset(layout.by_name(name).unwrap()) as i32;
    assert_eq!(load("r0 = *(u32 *)(r1 +0)"), (slot("len"), Size::W));
    assert_eq!(load("r0 = *(u32 *)(r1 +76)"), (slot("data"), Size::Dw), "an address");
    assert_eq!(load("r0 = *(u8 *)(r1 +10)"), (slot("mark") + 2, Size::B));
    assert_eq!(load("r0 = *(u16 *)(r1 +54)"), (slot("cb") + 6, Size::H));
    assert_eq!(load("*(u32 *)(r1 +44) = 1"), (slot("tc_index"), Size::H));
    let code = assemble("r0 = *(u32 *)(r1 +77)\nexit").unwrap();
    let error = lower_trusted(&code, ProgType::SchedCls, &facts(&code), 0).unwrap_err();
    assert_eq!(error, LowerError::BadCtxAccess { slot: 0, off: 77, size: 4, kind: ProgType::SchedCls });
}

#[test]
fn fields_of_maps_of_the_kernel_are_not_read_as_nothing() {
    let code = assemble("r0 = *(u32 *)(r2 +36)\nexit").unwrap();
    let mut facts = facts(&code);
    facts.insns[0].region = Region::Map;
    let error = lower_trusted(&code, ProgType::SchedCls, &facts, 0).unwrap_err();
    let what = "a field of the kernel's structure of a map";
    assert_eq!(error, LowerError::Unsupported { slot: 0, what });
}

#[test]
fn queue_numbers_that_do_not_fit_are_ignored() {
    let run = |text: &str| {
        let mut host = TestHost::default();
        let mut env = Env::new(&mut host);
        let mut skb = SkbContext::new().unwrap();
        skb.load(&[0; 60], DataStart::Ethernet);
        env.ctx = Context::Skb(skb);
        trusted(&mut env, ProgType::SchedCls, &format!("{text}\nr0 = *(u32 *)(r1 +12)\nexit")).unwrap()
    };
    assert_eq!(run("*(u32 *)(r1 +12) = 65534"), 65534);
    assert_eq!(run("*(u32 *)(r1 +12) = 65535"), 0);
    assert_eq!(run("*(u32 *)(r1 +12) = -1"), 0);
    assert_eq!(run("r2 = 65534\n*(u32 *)(r1 +12) = r2"), 65534);
    assert_eq!(run("r2 = 65535\n*(u32 *)(r1 +12) = r2"), 0);
    assert_eq!(run("r2 = 3\nif r2 == 3 goto store\nr2 = 4\nstore: *(u32 *)(r1 +12) = r2"), 3);
}

#[test]
fn what_the_proof_did_not_reach_goes() {
    let code =
        assemble("r1 = 5 ll\nif r1 == 5 goto there\nr0 = 1\nexit\nthere: r0 = 2\nif r1 == 5 goto pc+1\nr0 = 3\nexit")
            .unwrap();
    let mut facts = facts(&code);
    facts.insns[2].direction = Direction::Taken;
    facts.insns[3].seen = false;
    facts.insns[4].seen = false;
    let lowered = lower_trusted(&code, ProgType::Xdp, &facts, 0).unwrap();
    let branch = Op::Branch { width: Width::W64, op: CmpOp::Eq, lhs: Reg::R1, rhs: Operand::Imm(5), target: 5 };
    let mov = |value| Op::Mov { width: Width::W64, dst: Reg::R0, src: Operand::Imm(value) };
    let expected = [Op::LoadImm { dst: Reg::R1, value: 5 }, Op::Jump { target: 2 }, mov(2), branch, mov(3), Op::Exit];
    assert_eq!(lowered.ops, expected);
    assert_eq!(lowered.slots, [0, 2, 5, 6, 7, 8]);
}

#[test]
fn functions_tile_the_operations() {
    let text = "call f\ncall g\nexit\nf: r0 = 1\nexit\ng: r0 = 2\nexit";
    let code = assemble(text).unwrap();
    let lowered = lower_trusted(&code, ProgType::Xdp, &facts(&code), 0).unwrap();
    let ranges: Vec<_> = lowered.subprogs.iter().map(|s| (s.entry, s.end)).collect();
    assert_eq!(ranges, [(0, 3), (3, 5), (5, 7)]);
    assert_eq!(lowered.ops[1], Op::CallLocal { subprog: 2 });
}

#[test]
fn programs_without_a_result_give_nothing() {
    let code = assemble("if r1 == 0 goto pc+1\ncall f\nexit\nf: exit").unwrap();
    let mut facts = facts(&code);
    facts.returns_nothing = true;
    let lowered = lower_trusted(&code, ProgType::StructOps, &facts, 0).unwrap();
    // What the function left in R0 is nobody's, whichever way the end was reached.
    let nothing = Op::Mov { width: Width::W64, dst: Reg::R0, src: Operand::Imm(0) };
    assert_eq!(lowered.ops[1..], [Op::CallLocal { subprog: 1 }, nothing, Op::Exit, Op::Exit]);
    assert!(matches!(lowered.ops[0], Op::Branch { target: 2, .. }), "{:?}", lowered.ops[0]);
}

#[test]
fn programs_that_make_no_sense_are_refused() {
    let unverified = |text: &str| lower_unverified(&assemble(text).unwrap(), 0).unwrap_err();
    assert_eq!(unverified("goto pc+7\nexit"), LowerError::BadTarget { slot: 0, target: 8 });
    assert_eq!(unverified("goto pc+1\nr1 = 5 ll\nexit"), LowerError::BadTarget { slot: 0, target: 2 });
    assert_eq!(unverified("r1 = map[fd:3]\nexit"), LowerError::NoSuchMap { slot: 0, map: 3 });
    assert_eq!(lower_unverified(&Code::decode(Vec::new()), 0).unwrap_err(), LowerError::Empty);
    let code = assemble("r0 = 0\nexit").unwrap();
    let program = lower_trusted(&code, ProgType::Xdp, &Facts::default(), 0);
    assert_eq!(program.unwrap_err(), LowerError::Empty);
}

#[test]
fn lookups_in_arrays_need_no_call() {
    let def = Arc::new(MapDef::new("m", MapType::Array, 4, 12, 3));
    let maps = [crate::maps::create(&def, 1).unwrap()];
    for key in 0..3u32 {
        maps[0].write(&key.to_ne_bytes(), &[key as u8 + 7; 12], 0).unwrap();
    }
    let lookup = |key: u32| {
        let text = format!(
            "*(u32 *)(r10 -4) = {key}\nr2 = r10\nr2 += -4\nr1 = map[fd:0]\ncall bpf_map_lookup_elem\nif r0 == 0 goto out\n\
             r0 = *(u8 *)(r0 +11)\nout: exit"
        );
        let code = ring3_isa::assemble_with(&text, &Names).unwrap();
        let mut facts = facts(&code);
        facts.insns[5].map = MapUse::One(0);
        let linked = link_with_facts(&code, ProgType::Tracepoint, &facts, &maps).unwrap();
        assert_eq!(linked.array_lookups().count(), 1);
        let mut host = TestHost::default();
        let mut env = Env::new(&mut host);
        env.ctx = crate::ctx::from_image(ProgType::Tracepoint, &[]).unwrap();
        run(&Interp::new(Arc::new(linked)), &mut env)
    };
    assert_eq!([0, 2, 3, u32::MAX >> 1].map(lookup), [Ok(7), Ok(9), Ok(0), Ok(0)]);
}

fn trusted(env: &mut Env<'_>, kind: ProgType, text: &str) -> Result<u64, RunError> {
    let code = ring3_isa::assemble_with(text, &Names).unwrap();
    run(&Interp::new(Arc::new(link_trusted(&code, kind, &[]).unwrap())), env)
}

struct Names;

impl ring3_isa::Symbols for Names {
    fn helper(&self, name: &str) -> Option<i32> {
        ring3_platform::helpers::helper_by_name(name.strip_prefix("bpf_")?)?.try_into().ok()
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// The cases of `tests/all/linux.rs`, all of which Linux verified, without checks.
#[test]
fn results_without_checks_are_those_of_linux() {
    let mut packets = BTreeMap::new();
    for line in include_str!("../../tests/data/linux-6.18.tsv").lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        if let ["packet", name, hex] = fields[..] {
            packets.insert(name, bytes(hex));
            continue;
        }
        let [kind, packet, ret, _, text] = fields[..] else { panic!("{line}") };
        let text = text.replace("\\n", "\n");
        let mut host = TestHost::default();
        let mut env = Env::new(&mut host);
        let (kind, start) = match kind {
            "xdp" => (ProgType::Xdp, None),
            "tc" => (ProgType::SchedCls, Some(DataStart::Ethernet)),
            _ => (ProgType::SocketFilter, Some(DataStart::Network)),
        };
        env.ctx = match start {
            None => {
                let mut xdp = XdpContext::new().unwrap();
                xdp.load(&packets[packet]);
                Context::Xdp(xdp)
            }
            Some(start) => {
                let mut skb = SkbContext::new().unwrap();
                skb.load(&packets[packet], start);
                Context::Skb(skb)
            }
        };
        let now = trusted(&mut env, kind, &text);
        assert_eq!(now.map(|ret| ret as u32), Ok(ret.parse().unwrap()), "{text}");
    }
}

#[test]
fn contexts_must_suit() {
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    let wrong = |kind| Err(RunError::WrongContext { kind });
    assert_eq!(trusted(&mut env, ProgType::Xdp, "r0 = 0\nexit"), wrong(ProgType::Xdp));
    env.ctx = Context::Raw(RawContext::new(&[0; 64]));
    assert_eq!(trusted(&mut env, ProgType::SchedCls, "r0 = 0\nexit"), wrong(ProgType::SchedCls));
}

#[test]
fn budgets_stop_verified_programs_too() {
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.ctx = crate::ctx::from_image(ProgType::Tracepoint, &[1, 2, 3]).unwrap();
    env.budget = Some(10);
    let text = "r2 = 0\nagain: r2 += 1\nif r2 < 20 goto again\nr0 = r2\nexit";
    assert!(matches!(trusted(&mut env, ProgType::Tracepoint, text), Err(RunError::Trap(_))));
    env.budget = Some(100);
    assert_eq!(trusted(&mut env, ProgType::Tracepoint, text), Ok(20));
    assert_eq!(trusted(&mut env, ProgType::Tracepoint, "r0 = *(u8 *)(r1 +1)\nexit"), Ok(2));
}

#[test]
fn verified_callbacks_share_the_stack() {
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.ctx = crate::ctx::from_image(ProgType::Tracepoint, &[]).unwrap();
    let text = "r8 = 0\n*(u64 *)(r10 -8) = 0\nr1 = 4\nr2 = subprog[f]\nr3 = r10\nr3 += -8\nr4 = 0\ncall bpf_loop\n\
                r0 = *(u64 *)(r10 -8)\nexit\n\
                f: *(u64 *)(r10 -8) = 100\nr8 = r2\nr3 = *(u64 *)(r8 +0)\nr3 += r1\nr3 += 10\n*(u64 *)(r8 +0) = r3\nr0 = 0\nexit";
    assert_eq!(trusted(&mut env, ProgType::Tracepoint, text), Ok(46));
}

#[test]
fn programs_that_were_not_verified_call_verified_ones_with_a_fit_context_only() {
    let def = Arc::new(MapDef::new("m", MapType::ProgArray, 4, 4, 1));
    let maps = [crate::maps::create(&def, 1).unwrap()];
    let target = assemble("r2 = *(u32 *)(r1 +0)\nr0 = 7\nexit").unwrap();
    let target = Interp::new(Arc::new(link_trusted(&target, ProgType::Xdp, &[]).unwrap()));
    maps[0].set_program(0, Some(Arc::new(target))).unwrap();
    let text = "r2 = map[fd:0]\nr3 = 0\ncall bpf_tail_call\nr0 = 1\nexit";
    let code = ring3_isa::assemble_with(text, &Names).unwrap();
    let first = crate::link_unverified(&code, ProgType::Xdp, &maps, &crate::Helpers::new()).unwrap();
    let first = Interp::new(Arc::new(first));
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    assert_eq!(run(&first, &mut env), Ok(1), "no context");
    let mut xdp = XdpContext::new().unwrap();
    xdp.load(&[0; 60]);
    env.ctx = Context::Xdp(xdp);
    assert_eq!(run(&first, &mut env), Ok(7));
}

#[test]
fn what_nobody_set_is_zero_where_it_is_printed() {
    let zero = |dst| Op::Mov { width: Width::W64, dst, src: Operand::Imm(0) };
    // A jump to the first instruction leads behind what comes before it: R3 keeps its number.
    let ops = lowered(ProgType::Xdp, "top: call 6\nr3 = 1\nr4 = 2\nif r0 == 0 goto top\nexit");
    assert_eq!(&ops[..3], [zero(Reg::R3), zero(Reg::R4), zero(Reg::R5)]);
    // R5 is what the call leaves, the others are set.
    assert!(matches!(ops[3], Op::CallHelper { .. }) && ops[4] == zero(Reg::R5), "{ops:?}");
    assert!(matches!(ops[7], Op::Branch { target: 3, .. }), "{ops:?}");
    // Behind the last print nobody needs anything, and where nothing is printed nothing happens.
    let ops = lowered(ProgType::Xdp, "r3 = 1\nr4 = 2\nr5 = 3\ncall 6\nr0 = 0\nexit");
    assert_eq!(ops.len(), 6);
    assert_eq!(lowered(ProgType::Xdp, "call 7\nr0 = 0\nexit").len(), 3);
}

/// Registers that become 0 in a program that prints this format.
fn zeros_of(format: &str, in_map: bool) -> RegSet {
    let mut bytes = format.as_bytes().to_vec();
    bytes.resize(16, 0);
    let words = bytes.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    let mut text: String =
        (0..).zip(words).map(|(at, word)| format!("r1 = {word} ll\n*(u64 *)(r10 {}) = r1\n", at * 8 - 16)).collect();
    text += if in_map { "r1 = map[fd:0][0]+8\n" } else { "r1 = r10\nr1 += -16\n" };
    text += "r2 = 16\ncall 6\nr0 = 0\nexit";
    let mut def = MapDef::new("fmt", MapType::Array, 4, 24, 1);
    def.flags = MapFlags::RDONLY_PROG;
    def.frozen = true;
    def.data = Some([&[b'%'; 8][..], &bytes].concat().into());
    let mut program = Program::new("prints", ProgType::Xdp, assemble(&text).unwrap());
    program.maps = vec![Arc::new(def)];
    let mut lowering = Lowering::new(&program.code, None, 1, whole_frames(&program.code).unwrap());
    lowering.set_program(&program);
    let lowered = lowering.run().unwrap();
    let zeros = lowered.ops.iter().map_while(|op| match *op {
        Op::Mov { width: Width::W64, dst, src: Operand::Imm(0) } => Some(dst),
        _ => None,
    });
    zeros.fold(RegSet::EMPTY, RegSet::with)
}

#[test]
fn what_a_known_format_does_not_print_stays() {
    let first = |count: usize| [Reg::R3, Reg::R4, Reg::R5].into_iter().take(count).fold(RegSet::EMPTY, RegSet::with);
    let cases = [("none", 0), ("100%%", 0), ("%d", 1), ("%s and %lx", 2), ("%d %d %d", 3), ("refused %", 0)];
    for (format, count) in cases {
        assert_eq!(zeros_of(format, false), first(count), "{format} on the stack");
        assert_eq!(zeros_of(format, true), first(count), "{format} in a map");
    }
}

#[test]
fn formats_that_are_not_known_print_all() {
    let all = RegSet::one(Reg::R3).with(Reg::R4).with(Reg::R5);
    let code = |text: &str| {
        let lowered = lower_unverified(&assemble(text).unwrap(), 1).unwrap();
        let zeros = lowered.ops.into_iter().take(3).map_while(|op| match op {
            Op::Mov { dst, src: Operand::Imm(0), .. } => Some(dst),
            _ => None,
        });
        zeros.fold(RegSet::EMPTY, RegSet::with)
    };
    let print = "r1 = r10\nr1 += -8\nr2 = 8\ncall 6\nr0 = 0\nexit";
    assert_eq!(code(&format!("*(u64 *)(r10 -8) = 0\n{print}")), RegSet::EMPTY);
    // Somebody may have written there.
    assert_eq!(code(&format!("*(u64 *)(r10 -8) = 0\n*(u8 *)(r6 +0) = 1\n{print}")), all);
    assert_eq!(code(&format!("*(u64 *)(r10 -8) = 0\nlock *(u64 *)(r6 +0) += r1\n{print}")), all);
    // Half of it nobody wrote.
    assert_eq!(code(&format!("*(u32 *)(r10 -8) = 0\n{print}")), all);
    // There are two ways to it.
    assert_eq!(code(&format!("*(u64 *)(r10 -8) = 0\nif r6 == 0 goto +1\n*(u8 *)(r10 -8) = 1\n{print}")), all);
    // The map is not there, or may change.
    assert_eq!(code("r1 = map[fd:0][0]\nr2 = 8\ncall 6\nr0 = 0\nexit"), all);
}
