//! arm64: every word of the code is an instruction, as another decoder sees it, and every operation has the instructions that it
//! should have.

use yaxpeax_arch::{Decoder, U8Reader};

use super::*;

/// The instructions. Panics where the decoder finds none.
fn instructions(code: &[u8]) -> Vec<String> {
    let decoder = yaxpeax_arm::armv8::a64::InstDecoder::default();
    assert!(code.len().is_multiple_of(4));
    let decode = |(at, word): (usize, &[u8])| match decoder.decode(&mut U8Reader::new(word)) {
        Ok(insn) => insn.to_string(),
        Err(error) => panic!("no instruction at {:#x}: {word:02x?}: {error}", 4 * at),
    };
    code.chunks(4).enumerate().map(decode).collect()
}

fn check(ops: &[Op], helpers: &[Callee]) {
    for cpu in ARM64 {
        let done = assemble_main(ops, cpu, no_runtime(helpers)).unwrap();
        instructions(&done.code);
        assert_eq!(done.op_offsets.len(), ops.len() + 1);
        assert!(done.op_offsets.iter().all(|offset| offset.is_multiple_of(4)));
        assert!(done.op_offsets.is_sorted());
    }
}

/// What a single operation becomes.
fn of(op: Op, cpu: Cpu) -> Vec<String> {
    let done = assemble_main(&[op, Op::Exit], cpu, no_runtime(&[])).unwrap();
    instructions(&done.code[done.op_offsets[0] as usize..done.op_offsets[1] as usize])
}

#[test]
fn every_operation_decodes() {
    let plain: Vec<Op> = alu_ops().chain(plain_mem_ops()).chain(atomic_ops()).collect();
    assert!(plain.len() > 20_000);
    check(&[plain, vec![Op::Exit]].concat(), &[]);
    let branches: Vec<Op> = branch_ops(3).collect();
    check(&[branches, vec![Op::MayGoto { target: 0 }, Op::Jump { target: 1 }, Op::Exit]].concat(), &[]);
}

#[test]
fn calls_decode() {
    let packets = [Size::B, Size::H, Size::W].into_iter().flat_map(|size| {
        [None, Some(Reg::R1), Some(Reg::R7)].map(|index| Op::LegacyPacket { size, index, imm: -4096 })
    });
    let mut ops: Vec<Op> = packets.collect();
    ops.extend([Op::CallHelper { helper: 0 }, Op::CallHelper { helper: 1 }, Op::TailCall, Op::Exit]);
    check(&ops, &[Callee(0x7fff_1234_5678), Callee(16)]);
}

/// Numbers take as few instructions as they can.
#[test]
fn immediates() {
    let count = |value| of(Op::LoadImm { dst: Reg::R1, value }, ARM64[0]).len();
    for (value, want) in [
        (0, 1),
        (u64::MAX, 1),
        (0xffff, 1),
        (0xffff_0000, 1),
        (0x1_0000, 1),
        (0x1_0001, 2),
        (-2i64 as u64, 1),
        (0xffff_ffff, 1),
        (0x8000_0000_0000_0000, 1),
        (0x0101_0101_0101_0101, 1),
        (0xffff_ffff_1234_ffff, 1),
        (0xffff_1234_ffff_5678, 2),
        (0x1234_5678, 2),
        (0x7fff_1234_5678, 3),
        (0x0123_4567_89ab_cdef, 4),
    ] {
        assert_eq!(count(value), want, "{value:#x}");
    }
    let alu = |op, width, imm| of(Op::Alu { width, op, dst: Reg::R1, src: Operand::Imm(imm) }, ARM64[0]).len();
    for (op, imm, want) in [
        (AluOp::Add, 4095, 1),
        (AluOp::Add, 4096, 1),
        (AluOp::Add, 4097, 2),
        (AluOp::Add, -4095, 1),
        (AluOp::Sub, -0x00ff_f000, 1),
        (AluOp::Sub, 0x0100_0000, 2),
        (AluOp::And, 0xff, 1),
        (AluOp::And, -8, 1),
        (AluOp::Or, 5, 2),
        (AluOp::Xor, i32::MIN, 1),
        (AluOp::Mul, 1 << 30, 1),
        (AluOp::Mod, 1 << 20, 1),
    ] {
        assert_eq!(WIDTHS.map(|width| alu(op, width, imm)), [want; 2], "{op:?} {imm}");
    }
}

/// One instruction with LSE, a loop without.
#[test]
fn atomics_use_what_the_processor_has() {
    let op = |op| Op::Atomic { op, size: Size::Dw, base: Reg::R1, off: 0, src: Reg::R2 };
    for atomic in AtomicOp::ALL {
        let [plain, lse] = ARM64.map(|cpu| of(op(*atomic), cpu));
        assert!(plain[0].starts_with("ldxr "), "{plain:?}");
        assert!(plain.iter().any(|insn| insn.starts_with("cbnz ")), "{plain:?}");
        let complement = usize::from(matches!(atomic, AtomicOp::And | AtomicOp::FetchAnd));
        assert_eq!(lse.len(), 1 + complement, "{lse:?}");
        let fetches = atomic.fetches_into(Reg::R2).is_some();
        assert_eq!(plain.iter().any(|insn| insn.starts_with("dmb ")), fetches, "{plain:?}");
    }
}

/// A branch over more than 1 MiB goes around a jump, as do then all of the program.
#[test]
fn branches_go_far() {
    let branch =
        |target| Op::Branch { width: Width::W64, op: CmpOp::Gt, lhs: Reg::R1, rhs: Operand::Reg(Reg::R2), target };
    for (fill, want) in [((1 << 18) - 3, 2), (1 << 18, 3)] {
        let mut ops = vec![branch(fill + 1)];
        ops.extend((0..fill).map(|_| Op::Neg { width: Width::W64, dst: Reg::R3 }));
        ops.push(Op::Exit);
        let done = assemble_main(&ops, ARM64[0], no_runtime(&[])).unwrap();
        let first = instructions(&done.code[done.op_offsets[0] as usize..done.op_offsets[1] as usize]);
        assert_eq!(first.len(), want, "{first:?}");
    }
}

/// A function that runs off its end stops the machine.
#[test]
fn the_end_of_a_function_is_guarded() {
    let ops = [Op::LoadImm { dst: Reg::R0, value: 0 }];
    let done = assemble_main(&ops, ARM64[0], no_runtime(&[])).unwrap();
    assert!(done.code[..done.trampoline as usize].ends_with(&0xd420_0000u32.to_le_bytes()));
}
