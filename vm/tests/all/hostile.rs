//! Programs that nobody would write: whatever they do, the run ends with a result or a trap, and the process lives on.

use std::sync::Arc;

use crate::common::*;
use proptest::prelude::*;
use ring3_isa::{AluOp, AtomicOp, Callee, CmpOp, Code, Insn, Operand, Reg, Size, Wide, Width};
use ring3_platform::{MapType, ProgType};
use ring3_vm::maps::Map;
use ring3_vm::{Env, Helpers, Interp, TestHost, helpers, link_unverified, run};

const ALU: [AluOp; 7] = [AluOp::Add, AluOp::Sub, AluOp::Mul, AluOp::Div, AluOp::And, AluOp::Lsh, AluOp::Rsh];
const CMP: [CmpOp; 4] = [CmpOp::Eq, CmpOp::Ne, CmpOp::Gt, CmpOp::Slt];
const ATOMIC: [AtomicOp; 4] = [AtomicOp::Add, AtomicOp::FetchOr, AtomicOp::Xchg, AtomicOp::Cmpxchg];
const SIZES: [Size; 4] = [Size::B, Size::H, Size::W, Size::Dw];
/// Maps that programs may name.
const MAPS: usize = 3;

fn reg() -> impl Strategy<Value = Reg> {
    (0..11u8).prop_map(|number| Reg::new(number).unwrap())
}

fn operand() -> impl Strategy<Value = Operand> {
    prop_oneof![reg().prop_map(Operand::Reg), (-600..600).prop_map(Operand::Imm), any::<i32>().prop_map(Operand::Imm)]
}

/// Offsets that often lie in the stack, the context or the packet.
fn offset() -> impl Strategy<Value = i16> {
    prop_oneof![(-64..64i16).prop_map(|n| n * 8), -512..200i16, any::<i16>()]
}

fn helper() -> impl Strategy<Value = Insn> {
    let known: Vec<u32> = (1..300).filter(|id| helpers::builtin(*id).is_some()).chain([12]).collect();
    proptest::sample::select(known).prop_map(|id| Insn::Call(Callee::Helper(id as i32)))
}

/// Instructions that put something meaningful into the registers of arguments.
fn argument() -> impl Strategy<Value = Vec<Insn>> {
    let reg = || (0..6u8).prop_map(|number| Reg::new(number).unwrap());
    let mov = |dst, src| Insn::Mov { width: Width::W64, dst, src };
    prop_oneof![
        (reg(), 0..MAPS as i32)
            .prop_map(|(dst, map)| vec![Insn::LoadImm { dst, value: Wide::Map(map) }, Insn::WideTail]),
        (reg(), -64..0i32).prop_map(move |(dst, off)| vec![
            mov(dst, Operand::Reg(Reg::FP)),
            Insn::Alu { width: Width::W64, op: AluOp::Add, dst, src: Operand::Imm(off * 8) },
        ]),
        reg().prop_map(move |dst| vec![mov(dst, Operand::Reg(Reg::R6))]),
        (reg(), 0..64i32).prop_map(move |(dst, value)| vec![mov(dst, Operand::Imm(value))]),
        (reg(), -20..20i32).prop_map(|(dst, off)| vec![Insn::LoadImm { dst, value: Wide::Func(off) }, Insn::WideTail]),
    ]
}

fn insns() -> impl Strategy<Value = Vec<Insn>> {
    let width = || prop_oneof![Just(Width::W32), Just(Width::W64)];
    let size = || proptest::sample::select(SIZES.to_vec());
    let one = |insn| vec![insn];
    prop_oneof![
        3 => (width(), proptest::sample::select(ALU.to_vec()), reg(), operand())
            .prop_map(move |(width, op, dst, src)| one(Insn::Alu { width, op, dst, src })),
        2 => (width(), reg(), operand()).prop_map(move |(width, dst, src)| one(Insn::Mov { width, dst, src })),
        3 => (size(), reg(), reg(), offset())
            .prop_map(move |(size, dst, base, off)| one(Insn::Load { size, signed: false, dst, base, off })),
        3 => (size(), reg(), offset(), operand())
            .prop_map(move |(size, base, off, src)| one(Insn::Store { size, base, off, src })),
        1 => (proptest::sample::select(ATOMIC.to_vec()), reg(), offset(), reg())
            .prop_map(move |(op, base, off, src)| one(Insn::Atomic { op, size: Size::Dw, base, off, src })),
        2 => (width(), proptest::sample::select(CMP.to_vec()), reg(), operand(), -12..12i16)
            .prop_map(move |(width, op, lhs, rhs, off)| one(Insn::Branch { width, op, lhs, rhs, off })),
        1 => (-20..20i32).prop_map(move |off| one(Insn::Call(Callee::Local(off)))),
        1 => (proptest::sample::select(SIZES[..3].to_vec()), -100..100i32).prop_map(move |(size, imm)| one(Insn::LegacyPacket { size, index: None, imm })),
        1 => Just(one(Insn::Exit)),
        6 => argument(),
        4 => helper().prop_map(one),
    ]
}

/// What would keep the program from being lowered goes: calls and jumps that lead into the middle of something, and writes
/// of R10.
fn tame(insns: Vec<Insn>) -> Code {
    let start = Insn::Mov { width: Width::W64, dst: Reg::R6, src: Operand::Reg(Reg::R1) };
    let mut insns: Vec<Insn> = [start].into_iter().chain(insns).chain([Insn::Exit]).collect();
    let tails: Vec<bool> = insns.iter().map(|insn| matches!(insn, Insn::WideTail)).collect();
    let good = |slot: usize, off: i32| {
        usize::try_from(slot as i64 + 1 + i64::from(off)).is_ok_and(|at| tails.get(at) == Some(&false))
    };
    for (slot, insn) in insns.iter_mut().enumerate() {
        match *insn {
            Insn::Branch { off, .. } if !good(slot, off.into()) => *insn = Insn::Exit,
            Insn::Call(Callee::Local(off)) if !good(slot, off) => *insn = Insn::Exit,
            Insn::LoadImm { dst, value: Wide::Func(off) } if !good(slot, off) => {
                *insn = Insn::LoadImm { dst, value: Wide::Imm(7) };
            }
            _ if insn.defs().contains(Reg::FP) => *insn = Insn::Exit,
            _ => {}
        }
    }
    Code::from_insns(insns)
}

fn attack(kind: ProgType, code: &Code) {
    let maps: [Arc<dyn Map>; MAPS] =
        [map(MapType::Hash, 4, 8, 4), map(MapType::Array, 4, 64, 4), map(MapType::PercpuArray, 4, 8, 1)];
    let linked = Arc::new(link_unverified(code, kind, &maps, &Helpers::new()).unwrap());
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.budget = Some(20_000);
    env.ctx = if kind == ProgType::Xdp { xdp(&FRAME) } else { skb(&FRAME) };
    let program = Interp::new(linked);
    // What is left of a run does not help the next one.
    for _ in 0..2 {
        let _ = run(&program, &mut env);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_process_lives_on(xdp in any::<bool>(), parts in proptest::collection::vec(insns(), 1..60)) {
        let code = tame(parts.concat());
        attack(if xdp { ProgType::Xdp } else { ProgType::SchedCls }, &code);
    }
}
