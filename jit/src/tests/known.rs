//! What is known of programs: numbers in registers, and bytes of the stack that nobody reads.

use std::ops::Range;
use std::sync::Arc;

use ring3_isa::eval;
use ring3_platform::{MapDef, MapFlags, MapType};
use ring3_vm::Callback;
use ring3_vm::maps;

use super::*;
use crate::constants::Constant;
use crate::opt::Known;
use crate::target::Shortcut;

const R0: Reg = Reg::R0;
const R1: Reg = Reg::R1;
const R2: Reg = Reg::R2;
const R6: Reg = Reg::R6;
const FP: Reg = Reg::FP;

const fn mov(dst: Reg, imm: i32) -> Op {
    Op::Mov { width: Width::W64, dst, src: Operand::Imm(imm) }
}

const fn copy(dst: Reg, src: Reg) -> Op {
    Op::Mov { width: Width::W64, dst, src: Operand::Reg(src) }
}

const fn add(dst: Reg, src: Operand) -> Op {
    Op::Alu { width: Width::W64, op: AluOp::Add, dst, src }
}

const fn store(size: Size, base: Reg, off: i32) -> Op {
    Op::Store { size, base, off, src: Operand::Imm(7) }
}

const fn load(size: Size, dst: Reg, base: Reg, off: i32) -> Op {
    Op::Load { size, signed: false, dst, base, off }
}

const fn if_zero(lhs: Reg, target: u32) -> Op {
    Op::Branch { width: Width::W64, op: CmpOp::Eq, lhs, rhs: Operand::Imm(0), target }
}

const CALL: Op = Op::CallHelper { helper: 0 };

/// What is known of a main function.
fn known_with(ops: &[Op], regions: &[Region], lookups: &[(u32, Shortcut)], constants: &[Constant<'_>]) -> Known {
    let functions = [Function { start: 0, end: ops.len() as u32, stack: 512 }];
    let helpers = [Callee(1)];
    let runtime = no_runtime(&helpers);
    let unit = Unit { slots: &[], ops, functions: &functions, lookups, regions, constants, runtime, joined: true };
    Known::of(&unit)
}

fn known(ops: &[Op]) -> Known {
    known_with(ops, &[], &[], &[])
}

/// The operations that are gone.
fn gone(ops: &[Op]) -> Vec<usize> {
    gone_of(&known(ops))
}

fn gone_of(known: &Known) -> Vec<usize> {
    (0..known.gone.len()).filter(|at| known.gone[*at]).collect()
}

#[test]
fn numbers_stand_where_registers_held_them() {
    let shift = Op::Alu { width: Width::W64, op: AluOp::Lsh, dst: R2, src: Operand::Imm(3) };
    let ops = [mov(R1, 5), copy(R2, R1), shift, add(R6, Operand::Reg(R2)), copy(R0, R6), Op::Exit];
    let wanted = [mov(R1, 5), mov(R2, 5), mov(R2, 40), add(R6, Operand::Imm(40)), copy(R0, R6), Op::Exit];
    assert_eq!(known(&ops).ops, wanted);
    // What is not as short as a number of 32 bits stays as it is.
    let wide = Op::LoadImm { dst: R1, value: 1 << 40 };
    let ops = [wide, copy(R2, R1), add(R6, Operand::Reg(R2)), Op::Exit];
    assert_eq!(known(&ops).ops, ops);
    // Calls leave nothing in R0 to R5.
    let ops = [mov(R1, 5), mov(R6, 6), CALL, copy(R0, R1), copy(R2, R6), Op::Exit];
    assert_eq!(known(&ops).ops[3..5], [copy(R0, R1), mov(R2, 6)]);
}

/// Every form of arithmetic on numbers that are known gives what `eval` says.
#[test]
fn arithmetic_with_numbers_is_that_of_eval() {
    let numbers = [0, 1, 31, 32, 63, 64, 0x80, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, u64::MAX, 1 << 63, 1 << 33];
    for (op, width) in AluOp::ALL.iter().flat_map(|op| WIDTHS.map(|width| (*op, width))) {
        for (lhs, rhs) in numbers.iter().flat_map(|lhs| numbers.map(|rhs| (*lhs, rhs))) {
            let alu = |dst| Op::Alu { width, op, dst, src: Operand::Reg(R2) };
            let set = |dst, value| Op::LoadImm { dst, value };
            let ops = known(&[set(R1, lhs), set(R2, rhs), alu(R1), alu(R6), Op::Exit]).ops;
            if let Op::Mov { width: set, src: Operand::Imm(imm), .. } = ops[2] {
                let made = eval::mov(set, eval::immediate(imm));
                assert_eq!(made, eval::alu(op, width, lhs, rhs), "{op:?} {width:?} {lhs:#x} {rhs:#x}");
            }
            if let Op::Alu { src: Operand::Imm(imm), .. } = ops[3] {
                for before in numbers {
                    let (with, without) =
                        (eval::alu(op, width, before, eval::immediate(imm)), eval::alu(op, width, before, rhs));
                    assert_eq!(with, without, "{op:?} {width:?} {before:#x} {rhs:#x}");
                }
            }
        }
    }
}

#[test]
fn branches_and_stores_get_numbers() {
    for (op, width) in CmpOp::ALL.iter().flat_map(|op| WIDTHS.map(|width| (*op, width))) {
        for (lhs, rhs) in [(1, 2), (2, 1), (5, 5), (u64::MAX, 1), (1 << 32, 0), (0x8000_0000, 1)] {
            let set = |dst, value| Op::LoadImm { dst, value };
            let branch = Op::Branch { width, op, lhs: R1, rhs: Operand::Reg(R2), target: 4 };
            let found = known(&[set(R1, lhs), set(R2, rhs), branch, mov(R0, 1), Op::Exit]);
            let taken = eval::compare(op, width, lhs, rhs);
            assert_eq!(found.ops[2], Op::Jump { target: if taken { 4 } else { 3 } }, "{op:?} {width:?} {lhs} {rhs}");
            assert_eq!(
                (found.gone[2], found.gone[3]),
                (!taken, taken),
                "a jump to what follows, or what nothing reaches"
            );
        }
    }
    let put = |size, src| Op::Store { size, base: R1, off: 0, src };
    for (size, number, imm) in
        [(Size::B, 0x1ff, -1), (Size::H, 0x18000, -0x8000), (Size::W, 1 << 32, 0), (Size::Dw, 9, 9)]
    {
        let ops = known(&[Op::LoadImm { dst: R2, value: number }, put(size, Operand::Reg(R2)), Op::Exit]).ops;
        assert_eq!(ops[1], put(size, Operand::Imm(imm)));
    }
    let wide = [Op::LoadImm { dst: R2, value: 1 << 32 }, put(Size::Dw, Operand::Reg(R2)), Op::Exit];
    assert_eq!(known(&wide).ops, wide);
}

#[test]
fn numbers_hold_on_every_way() {
    let ways = |first, second| {
        [if_zero(R6, 3), mov(R1, first), Op::Jump { target: 4 }, mov(R1, second), copy(R0, R1), Op::Exit]
    };
    assert_eq!(known(&ways(3, 3)).ops[4], mov(R0, 3));
    assert_eq!(known(&ways(3, 4)).ops[4], copy(R0, R1));
    // A counter is another number each time, and what does not change is not.
    let again = Op::Branch { width: Width::W64, op: CmpOp::Lt, lhs: R1, rhs: Operand::Imm(9), target: 2 };
    let ops = [mov(R1, 0), mov(R2, 2), add(R1, Operand::Reg(R2)), again, copy(R0, R1), Op::Exit];
    let wanted = [mov(R1, 0), mov(R2, 2), add(R1, Operand::Imm(2)), again, copy(R0, R1), Op::Exit];
    assert_eq!(known(&ops).ops, wanted);
}

#[test]
fn what_never_changes_in_memory_is_a_number() {
    let create = |frozen, flags| {
        let mut def = MapDef::new("m", MapType::Array, 4, 16, 1);
        def.flags = flags;
        def.data = Some((1..=16).collect());
        def.frozen = frozen;
        maps::create(&Arc::new(def), 1).unwrap()
    };
    let map = create(true, MapFlags::RDONLY_PROG);
    let constant = [Constant::of(map.as_ref()).unwrap()];
    let start = map.direct_value().unwrap().as_ptr() as u64;
    let loaded = |size, off| {
        let ops = [Op::LoadImm { dst: R1, value: start }, add(R1, Operand::Imm(4)), load(size, R0, R1, off), Op::Exit];
        known_with(&ops, &[], &[], &constant).ops[2]
    };
    assert_eq!(loaded(Size::B, 0), mov(R0, 5));
    assert_eq!(loaded(Size::H, -4), mov(R0, 0x0201));
    assert_eq!(loaded(Size::W, 8), mov(R0, 0x100f_0e0d));
    assert_eq!(loaded(Size::Dw, 4), load(Size::Dw, R0, R1, 4), "longer than a number of 32 bits");
    assert_eq!(loaded(Size::W, 9), load(Size::W, R0, R1, 9), "beyond the end");
    assert!(Constant::of(create(false, MapFlags::RDONLY_PROG).as_ref()).is_none(), "users may write");
    assert!(Constant::of(create(true, MapFlags::default()).as_ref()).is_none(), "programs may write");
}

#[test]
fn stores_that_nobody_reads_go() {
    assert_eq!(gone(&[store(Size::Dw, FP, -8), Op::Exit]), [0]);
    assert_eq!(gone(&[store(Size::Dw, FP, -8), load(Size::Dw, R0, FP, -8), Op::Exit]), []);
    assert_eq!(gone(&[store(Size::Dw, FP, -8), store(Size::Dw, FP, -8), load(Size::B, R0, FP, -1), Op::Exit]), [0]);
    // Another part of it is written, or of what is there a part.
    assert_eq!(gone(&[store(Size::Dw, FP, -8), store(Size::W, FP, -8), load(Size::Dw, R0, FP, -8), Op::Exit]), []);
    assert_eq!(gone(&[store(Size::Dw, FP, -8), load(Size::B, R0, FP, -8), store(Size::W, FP, -4), Op::Exit]), [2]);
    // By a copy of R10.
    let copied =
        [copy(R1, FP), add(R1, Operand::Imm(-16)), store(Size::Dw, R1, 8), load(Size::Dw, R0, FP, -8), Op::Exit];
    assert_eq!(gone(&copied), []);
    assert_eq!(gone(&[copy(R1, FP), add(R1, Operand::Imm(-16)), store(Size::Dw, R1, 8), Op::Exit]), [2]);
    // On one way only, and around a loop.
    let one_way = [store(Size::Dw, FP, -8), if_zero(R6, 3), load(Size::Dw, R0, FP, -8), Op::Exit];
    assert_eq!(gone(&one_way), []);
    let around = [load(Size::Dw, R0, FP, -8), store(Size::Dw, FP, -8), if_zero(R0, 0), Op::Exit];
    assert_eq!(gone(&around), []);
    // Read and written at once.
    let atomic = Op::Atomic { op: AtomicOp::Add, size: Size::Dw, base: FP, off: -8, src: R1 };
    assert_eq!(gone(&[store(Size::Dw, FP, -8), atomic, Op::Exit]), []);
    // Not of the stack.
    assert_eq!(gone(&[store(Size::Dw, R1, -8), Op::Exit]), []);
}

#[test]
fn an_address_that_may_be_anywhere_reads_all() {
    let anywhere =
        [copy(R1, FP), add(R1, Operand::Reg(R6)), store(Size::Dw, FP, -64), load(Size::B, R0, R1, 0), Op::Exit];
    assert_eq!(gone(&anywhere), []);
    let two = [
        copy(R1, FP),
        store(Size::Dw, FP, -64),
        if_zero(R6, 4),
        add(R1, Operand::Imm(-8)),
        load(Size::B, R0, R1, -56),
        Op::Exit,
    ];
    assert_eq!(gone(&two), []);
    // Where it was put, others find it.
    let kept = [
        copy(R1, FP),
        store(Size::Dw, FP, -64),
        Op::Store { size: Size::Dw, base: FP, off: -8, src: Operand::Reg(R1) },
    ];
    let kept = [&kept[..], &[load(Size::Dw, R2, FP, -8), load(Size::B, R0, R2, -64), Op::Exit]].concat();
    assert_eq!(gone(&kept), []);
}

#[test]
fn helpers_read_what_they_are_given_and_above() {
    let call = |rest: &[Op]| {
        let start = [store(Size::Dw, FP, -8), store(Size::Dw, FP, -16), store(Size::Dw, FP, -24), copy(R2, FP)];
        [&start[..], &[add(R2, Operand::Imm(-16)), CALL], rest].concat()
    };
    assert_eq!(gone(&call(&[Op::Exit])), [2]);
    // A later one may know it still, and so may what it gave.
    assert_eq!(gone(&call(&[store(Size::Dw, FP, -16), CALL, Op::Exit])), [2]);
    assert_eq!(gone(&call(&[store(Size::Dw, FP, -16), load(Size::B, R0, R0, 0), Op::Exit])), [2]);
    assert_eq!(gone(&call(&[store(Size::Dw, FP, -16), Op::Exit])), [2, 6]);
    // Callbacks go anywhere from there.
    let token = Op::LoadImm { dst: R6, value: Callback(0).token() };
    assert_eq!(gone(&[&[token][..], &call(&[Op::Exit])].concat()), []);
    // A load of other memory does not.
    let ops = call(&[store(Size::Dw, FP, -16), load(Size::B, R0, R6, 0), Op::Exit]);
    let regions = |last| (0..ops.len()).map(|at| if at == 7 { last } else { Region::None }).collect::<Vec<_>>();
    assert_eq!(gone_of(&known_with(&ops, &regions(Region::Packet), &[], &[])), [2, 6]);
    assert_eq!(gone_of(&known_with(&ops, &regions(Region::Mixed), &[], &[])), [2]);
}

#[test]
fn lookups_read_their_key_only() {
    let start = [store(Size::Dw, FP, -8), store(Size::Dw, FP, -16), copy(R2, FP), add(R2, Operand::Imm(-8)), CALL];
    let ops = [&start[..], &[store(Size::Dw, FP, -8), CALL, Op::Exit]].concat();
    let lookup = Shortcut::Call { map: 1, callee: Callee(1), per_cpu: false };
    assert_eq!(gone_of(&known_with(&ops, &[], &[(4, lookup), (6, Shortcut::Random)], &[])), [1, 5]);
    // Who knows what another helper does with it.
    assert_eq!(gone(&ops), [1]);
}

#[test]
fn functions_may_read_all_of_what_they_can_reach() {
    let ops = [
        store(Size::Dw, FP, -64),
        copy(R1, FP),
        Op::CallLocal { subprog: 1 },
        Op::Exit,
        load(Size::B, R0, R1, -64),
        Op::Exit,
    ];
    let functions = [Function { start: 0, end: 4, stack: 64 }, Function { start: 4, end: 6, stack: 0 }];
    let runtime = no_runtime(&[]);
    let unit = Unit {
        slots: &[],
        ops: &ops,
        functions: &functions,
        lookups: &[],
        regions: &[],
        constants: &[],
        runtime,
        joined: true,
    };
    assert_eq!(gone_of(&Known::of(&unit)), []);
    // Its own arguments are no addresses of its stack.
    let ops = [&ops[..5], &[store(Size::Dw, FP, -8), load(Size::B, R0, R1, -64), Op::Exit]].concat();
    let functions = [Function { start: 0, end: 4, stack: 64 }, Function { start: 4, end: 8, stack: 8 }];
    let unit = Unit { ops: &ops, functions: &functions, ..unit };
    assert_eq!(gone_of(&Known::of(&unit)), [5]);
}

#[test]
fn only_what_is_read_first_need_be_zero() {
    let unset = |ops: &[Op]| -> Range<u32> { known(ops).unset[0].clone() };
    assert_eq!(unset(&[store(Size::Dw, FP, -8), load(Size::Dw, R0, FP, -8), Op::Exit]), 0..0);
    assert_eq!(unset(&[load(Size::Dw, R0, FP, -8), Op::Exit]), 0..8);
    assert_eq!(unset(&[store(Size::W, FP, -24), load(Size::Dw, R0, FP, -24), Op::Exit]), 16..20);
    assert_eq!(unset(&[load(Size::B, R0, FP, -512), load(Size::B, R0, FP, -1), Op::Exit]), 0..512);
    // Set on one way.
    assert_eq!(unset(&[if_zero(R6, 2), store(Size::Dw, FP, -8), load(Size::Dw, R0, FP, -8), Op::Exit]), 0..8);
    assert_eq!(unset(&[copy(R2, FP), add(R2, Operand::Imm(-16)), CALL, Op::Exit]), 0..16);
    assert_eq!(unset(&[copy(R2, FP), add(R2, Operand::Reg(R6)), load(Size::B, R0, R2, 0), Op::Exit]), 0..512);
}

/// Nothing is left of a stack that nobody reads.
#[test]
fn code_for_what_goes_is_not_there() {
    for cpu in X64.into_iter().chain(ARM64) {
        let code = |ops: &[Op]| assemble_joined(ops, cpu).unwrap().code;
        let stores = [mov(R0, 1), store(Size::Dw, FP, -8), store(Size::W, FP, -12), Op::Exit];
        assert_eq!(code(&stores), code(&[mov(R0, 1), Op::Exit]));
        let constant = [mov(R1, 1), copy(R0, R1), add(R0, Operand::Reg(R1)), if_zero(R0, 5), mov(R0, 7), Op::Exit];
        assert_eq!(code(&constant), code(&[mov(R0, 7), Op::Exit]));
        // The prologue zeroes 512 bytes for the second one.
        let (set, unset) = (
            [store(Size::Dw, FP, -512), load(Size::Dw, R0, FP, -512), Op::Exit],
            [load(Size::Dw, R0, FP, -512), load(Size::Dw, R0, FP, -8), Op::Exit],
        );
        assert!(code(&set).len() + 40 < code(&unset).len());
    }
}
