//! Tests of the code that is emitted: it is decoded by another program's decoder, and executed and compared with `ring3_isa::eval`.
//!
//! Decoders look at the code for both machines on any host. Code is executed where it is at home.

mod decode;
mod decode_arm64;
mod known;
#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), unix))]
mod run;

use ring3_isa::{AluOp, AtomicOp, CmpOp, EndianOp, Operand, Reg, Size, Width};
use ring3_verifier::Region;
use ring3_vm::Op;

use crate::JitError;
use crate::compile::{Assembled, Function, Runtime, Unit};
use crate::guards::Guards;
use crate::target::Callee;
use crate::{aarch64, x64};

/// A kind of processor: a machine, with or without the instructions that not every one of them has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cpu {
    X64(x64::Features),
    Arm64(aarch64::Features),
}

const X64: [Cpu; 2] =
    [Cpu::X64(x64::Features { bmi1: false, bmi2: false }), Cpu::X64(x64::Features { bmi1: true, bmi2: true })];
const ARM64: [Cpu; 2] = [Cpu::Arm64(aarch64::Features { lse: false }), Cpu::Arm64(aarch64::Features { lse: true })];

/// Immediates around which encodings or results change.
const IMMS: [i32; 21] =
    [0, 1, -1, 2, 3, 7, 8, 31, 32, 33, 63, 64, 127, 128, -128, -129, 255, 0x1234_5678, 1 << 30, i32::MAX, i32::MIN];

const WIDTHS: [Width; 2] = [Width::W32, Width::W64];

/// Functions that are not there: code with them can be looked at, not run.
pub(crate) fn no_runtime(helpers: &[Callee]) -> Runtime<'_> {
    Runtime {
        helpers,
        tail_call: Callee(0x1111),
        legacy_packet: Callee(0x2222_3333_4444),
        guarded: Callee(0x3333_4444_5555),
        may_goto_budget: 100,
        guards: Guards::default(),
        stopped: None,
    }
}

/// Assembles a program.
fn assemble_for(unit: &Unit<'_>, cpu: Cpu) -> Result<Assembled, JitError> {
    match cpu {
        Cpu::X64(features) => x64::assemble(unit, features, false),
        Cpu::Arm64(features) => aarch64::assemble(unit, features),
    }
}

/// Assembles one function with a whole frame of stack, each operation as it is.
fn assemble_main(ops: &[Op], cpu: Cpu, runtime: Runtime<'_>) -> Result<Assembled, JitError> {
    let functions = [Function { start: 0, end: ops.len() as u32, stack: 512 }];
    assemble_for(
        &Unit {
            slots: &[],
            ops,
            functions: &functions,
            lookups: &[],
            regions: &[],
            constants: &[],
            runtime,
            joined: false,
        },
        cpu,
    )
}

/// The same with operations joined and left out.
fn assemble_joined(ops: &[Op], cpu: Cpu) -> Result<Assembled, JitError> {
    let functions = [Function { start: 0, end: ops.len() as u32, stack: 512 }];
    let regions = regions(ops);
    let runtime = no_runtime(&[]);
    assemble_for(
        &Unit {
            slots: &[],
            ops,
            functions: &functions,
            lookups: &[],
            regions: &regions,
            constants: &[],
            runtime,
            joined: true,
        },
        cpu,
    )
}

/// What the verifier would say of operations that reach the stack by R10 and other memory by the other registers.
fn regions(ops: &[Op]) -> Vec<Region> {
    let region = |op: &Op| match op {
        Op::Load { base, .. } | Op::Store { base, .. } if *base == Reg::FP => Region::Stack,
        Op::Load { .. } | Op::Store { .. } => Region::Packet,
        _ => Region::None,
    };
    ops.iter().map(region).collect()
}

/// R0 to R9.
fn regs() -> impl Iterator<Item = Reg> + Clone {
    (0..10).filter_map(Reg::new)
}

/// Every ordered pair of R0 to R9, a register with itself too.
fn reg_pairs() -> impl Iterator<Item = (Reg, Reg)> {
    regs().flat_map(|a| regs().map(move |b| (a, b)))
}

/// Every form of every arithmetic operation.
fn alu_ops() -> impl Iterator<Item = Op> {
    let binary = AluOp::ALL.iter().flat_map(|op| WIDTHS.map(|width| (*op, width))).flat_map(|(op, width)| {
        let by_reg = reg_pairs().map(move |(dst, src)| Op::Alu { width, op, dst, src: Operand::Reg(src) });
        let by_fp = regs().map(move |dst| Op::Alu { width, op, dst, src: Operand::Reg(Reg::FP) });
        let by_imm = regs().flat_map(move |dst| IMMS.map(|imm| Op::Alu { width, op, dst, src: Operand::Imm(imm) }));
        by_reg.chain(by_fp).chain(by_imm)
    });
    binary.chain(move_ops()).chain(unary_ops())
}

fn move_ops() -> impl Iterator<Item = Op> {
    WIDTHS.into_iter().flat_map(|width| {
        let by_reg = reg_pairs().map(move |(dst, src)| Op::Mov { width, dst, src: Operand::Reg(src) });
        let by_fp = regs().map(move |dst| Op::Mov { width, dst, src: Operand::Reg(Reg::FP) });
        let by_imm = regs().flat_map(move |dst| IMMS.map(|imm| Op::Mov { width, dst, src: Operand::Imm(imm) }));
        let signed = Size::ALL
            .iter()
            .flat_map(move |from| reg_pairs().map(move |(dst, src)| Op::MovSx { width, from: *from, dst, src }));
        by_reg.chain(by_fp).chain(by_imm).chain(signed)
    })
}

fn unary_ops() -> impl Iterator<Item = Op> {
    let neg = WIDTHS.into_iter().flat_map(|width| regs().map(move |dst| Op::Neg { width, dst }));
    let sizes = [Size::H, Size::W, Size::Dw];
    let endian = EndianOp::ALL.iter().flat_map(move |op| {
        sizes.into_iter().flat_map(move |size| regs().map(move |dst| Op::Endian { op: *op, size, dst }))
    });
    const WIDE: [u64; 8] =
        [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX, 0x0123_4567_89ab_cdef];
    let wide = regs().flat_map(|dst| WIDE.map(|value| Op::LoadImm { dst, value }));
    neg.chain(endian).chain(wide)
}

/// Offsets around which encodings change, and the ends of what an instruction can hold.
const OFFSETS: [i32; 10] = [0, 1, 8, -8, 127, 128, -128, -129, i16::MAX as i32, i16::MIN as i32];

/// Loads and stores of every size with every base, R10 too.
fn plain_mem_ops() -> impl Iterator<Item = Op> {
    let bases = || regs().chain([Reg::FP]);
    let places = move || bases().flat_map(|base| OFFSETS.map(|off| (base, off)));
    Size::ALL.iter().flat_map(move |size| {
        let size = *size;
        let loads = places().flat_map(move |(base, off)| {
            regs().flat_map(move |dst| {
                let signed = (size != Size::Dw).then_some(Op::Load { size, signed: true, dst, base, off });
                signed
                    .into_iter()
                    .chain([Op::Load { size, signed: false, dst, base, off }, Op::LoadAcquire { size, dst, base, off }])
            })
        });
        let stores = places().flat_map(move |(base, off)| {
            let by_reg = regs().flat_map(move |src| {
                [Op::Store { size, base, off, src: Operand::Reg(src) }, Op::StoreRelease { size, base, off, src }]
            });
            by_reg.chain(IMMS.map(|imm| Op::Store { size, base, off, src: Operand::Imm(imm) }))
        });
        loads.chain(stores)
    })
}

/// Read-modify-write operations on every base with every source.
fn atomic_ops() -> impl Iterator<Item = Op> {
    let shapes = AtomicOp::ALL.iter().flat_map(|op| [Size::W, Size::Dw].map(|size| (*op, size)));
    shapes.flat_map(|(op, size)| {
        reg_pairs().flat_map(move |(base, src)| [0, -128, 1024].map(|off| Op::Atomic { op, size, base, off, src }))
    })
}

/// Every form of every comparison, with this target.
fn branch_ops(target: u32) -> impl Iterator<Item = Op> {
    let shapes = CmpOp::ALL.iter().flat_map(|op| WIDTHS.map(|width| (*op, width)));
    shapes.flat_map(move |(op, width)| {
        let by_reg = reg_pairs().map(move |(lhs, rhs)| Op::Branch { width, op, lhs, rhs: Operand::Reg(rhs), target });
        let by_imm =
            regs().flat_map(move |lhs| IMMS.map(|imm| Op::Branch { width, op, lhs, rhs: Operand::Imm(imm), target }));
        by_reg.chain(by_imm)
    })
}
