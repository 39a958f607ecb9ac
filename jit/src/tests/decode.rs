//! x86-64: every byte of the code is part of an instruction, as another decoder sees it, and every operation starts at one.

use iced_x86::{Decoder, DecoderOptions, Mnemonic};

use super::*;

/// The starts of the instructions. Panics where the decoder finds none.
fn starts(code: &[u8]) -> Vec<u32> {
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let mut starts = Vec::new();
    while decoder.can_decode() {
        let insn = decoder.decode();
        assert!(!insn.is_invalid(), "no instruction at {:#x} of {code:02x?}", insn.ip());
        starts.push(insn.ip() as u32);
    }
    starts
}

fn check(ops: &[Op], helpers: &[Callee]) {
    for cpu in X64 {
        let done = assemble_main(ops, cpu, no_runtime(helpers)).unwrap();
        let starts = starts(&done.code);
        assert_eq!(done.op_offsets.len(), ops.len() + 1);
        for (offset, op) in done.op_offsets.iter().zip(ops) {
            assert!(starts.binary_search(offset).is_ok(), "{op:?} starts inside of an instruction");
        }
        assert!(done.op_offsets.is_sorted());
    }
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

/// All widths of shift are there without BMI2, and with it no shift goes through CL.
#[test]
fn shifts_use_what_the_processor_has() {
    let shifts: Vec<Op> = alu_ops()
        .filter(|op| matches!(op, Op::Alu { op: AluOp::Lsh | AluOp::Rsh | AluOp::Arsh, src: Operand::Reg(_), .. }))
        .chain([Op::Exit])
        .collect();
    for cpu in X64 {
        let done = assemble_main(&shifts, cpu, no_runtime(&[])).unwrap();
        let decoder = Decoder::with_ip(64, &done.code, 0, DecoderOptions::NONE);
        let by_any = [Mnemonic::Shlx, Mnemonic::Shrx, Mnemonic::Sarx];
        let found = decoder.into_iter().filter(|insn| by_any.contains(&insn.mnemonic())).count();
        assert_eq!(found, if cpu == X64[1] { shifts.len() - 1 } else { 0 });
    }
}

#[test]
fn what_no_lowered_program_has_is_refused() {
    let fails = |ops: &[Op]| assemble_main(ops, X64[0], no_runtime(&[])).unwrap_err().to_string();
    assert_eq!(fails(&[]), "function 0 covers operations 0 to 0, which is out of place");
    assert_eq!(fails(&[Op::Jump { target: 1 }]), "operation 0 jumps to 1, outside of its function");
    assert_eq!(fails(&[Op::CallHelper { helper: 0 }]), "operation 0 calls helper 0, which is not there");
    assert_eq!(fails(&[Op::CallLocal { subprog: 0 }]), "operation 0 calls function 0, which is not there");
    assert_eq!(fails(&[Op::CallLocal { subprog: 1 }]), "operation 0 calls function 1, which is not there");
    assert_eq!(fails(&[Op::LoadImm { dst: Reg::FP, value: 0 }]), "operation 0 writes the frame pointer");
    let atomic = Op::Atomic { op: AtomicOp::Add, size: Size::H, base: Reg::R1, off: 0, src: Reg::R2 };
    assert_eq!(fails(&[Op::Exit, atomic]), "operation 1 has no form for H");
}

#[test]
fn functions_tile_the_operations() {
    let ops = [Op::Exit, Op::Exit, Op::Exit];
    let unit = |functions: &[(u32, u32, u32)]| {
        let functions: Vec<_> = functions.iter().map(|&(start, end, stack)| Function { start, end, stack }).collect();
        assemble_for(
            &Unit {
                slots: &[],
                ops: &ops,
                functions: &functions,
                lookups: &[],
                regions: &[],
                constants: &[],
                runtime: no_runtime(&[]),
                joined: false,
            },
            X64[0],
        )
    };
    assert!(unit(&[(0, 1, 0), (1, 1, 0), (1, 3, 512)]).is_ok());
    for gap in [&[(0, 1, 0), (2, 3, 0)][..], &[(0, 2, 0)], &[(0, 4, 0)], &[(1, 3, 0)], &[(0, 2, 0), (1, 3, 0)], &[]] {
        assert!(matches!(unit(gap), Err(JitError::BadFunction { .. })), "{gap:?}");
    }
    assert!(matches!(unit(&[(0, 3, 513)]), Err(JitError::Stack { function: 0, bytes: 513, limit: 512 })));
}

/// A function that runs off its end stops the machine.
#[test]
fn the_end_of_a_function_is_guarded() {
    let ops = [Op::LoadImm { dst: Reg::R0, value: 0 }];
    let done = assemble_main(&ops, X64[0], no_runtime(&[])).unwrap();
    assert!(done.code[..done.trampoline as usize].ends_with(&[0x0f, 0x0b]));
}
