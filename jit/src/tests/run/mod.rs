//! Code that is executed, and what each operation must have done by `ring3_isa::eval`.

mod alu;
mod branch;
mod calls;
mod joined;
mod mem;

use ring3_isa::{Endianness, eval};

use super::*;
use crate::exec_mem::ExecMem;

/// The signature of a main function.
type Main = unsafe extern "C" fn(ctx: *mut u8, env: *mut u8) -> u64;

/// Numbers around which results change.
const VALUES: [u64; 18] = [
    0,
    1,
    2,
    31,
    32,
    63,
    64,
    0x7f,
    0x80,
    0x8000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0001,
    0x0123_4567_89ab_cdef,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// This machine, and without what not every machine of its kind has.
fn cpus() -> Vec<Cpu> {
    let all = if cfg!(target_arch = "aarch64") { ARM64 } else { X64 };
    let mut cpus = vec![all[0]];
    cpus.extend(all.into_iter().filter(|cpu| *cpu == this_cpu()));
    cpus.dedup();
    cpus
}

/// This machine.
fn this_cpu() -> Cpu {
    if cfg!(target_arch = "aarch64") {
        Cpu::Arm64(aarch64::Features::detect())
    } else {
        Cpu::X64(x64::Features::detect())
    }
}

/// Code in executable memory.
struct Code(ExecMem);

impl Code {
    fn new(assembled: &Assembled) -> Code {
        Code(ExecMem::publish(&assembled.code).unwrap())
    }

    /// Runs it from its start.
    ///
    /// SAFETY: the caller knows what the code does with the two addresses.
    unsafe fn call(&self, ctx: *mut u8, env: *mut u8) -> u64 {
        let start = self.0.address(0).unwrap();
        // SAFETY: the code starts with a main function.
        let main = unsafe { std::mem::transmute::<*const u8, Main>(start) };
        // SAFETY: by the caller.
        unsafe { main(ctx, env) }
    }
}

/// What goes into the operations under test and what comes out.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Regs {
    before: [u64; 10],
    after: [u64; 10],
    fp: u64,
    flag: u64,
}

const fn load(dst: Reg, base: Reg, off: i32) -> Op {
    Op::Load { size: Size::Dw, signed: false, dst, base, off }
}

const fn store(base: Reg, off: i32, src: Reg) -> Op {
    Op::Store { size: Size::Dw, base, off, src: Operand::Reg(src) }
}

/// Loads R0 to R9 from the context, does the operations, whose jumps are relative to their own start, stores R0 to R10.
/// The operations may use the stack below -24. A jump to two behind their end sets `flag`.
fn around(body: &[Op]) -> Vec<Op> {
    let mut ops = vec![store(Reg::FP, -8, Reg::R1)];
    ops.extend(regs().filter(|reg| *reg != Reg::R1).map(|reg| load(reg, Reg::R1, 8 * i32::from(reg.number()))));
    ops.push(load(Reg::R1, Reg::R1, 8));
    let start = ops.len() as u32;
    ops.extend(body.iter().map(|op| match *op {
        Op::Branch { width, op, lhs, rhs, target } => Op::Branch { width, op, lhs, rhs, target: target + start },
        Op::Jump { target } => Op::Jump { target: target + start },
        other => other,
    }));
    // The flag travels in the stack: all registers are in use.
    let flag = |imm| Op::Store { size: Size::Dw, base: Reg::FP, off: -24, src: Operand::Imm(imm) };
    let out = ops.len() as u32 + 3;
    ops.extend([flag(0), Op::Jump { target: out }, flag(1)]);
    ops.extend([store(Reg::FP, -16, Reg::R9), load(Reg::R9, Reg::FP, -8)]);
    ops.extend(regs().take(9).map(|reg| store(Reg::R9, 80 + 8 * i32::from(reg.number()), reg)));
    ops.extend([load(Reg::R0, Reg::FP, -16), store(Reg::R9, 152, Reg::R0), store(Reg::R9, 160, Reg::FP)]);
    ops.extend([load(Reg::R0, Reg::FP, -24), store(Reg::R9, 168, Reg::R0), Op::Exit]);
    ops
}

/// `body` between the loads and stores of the registers.
fn compile(body: &[Op], cpu: Cpu) -> Code {
    Code::new(&assemble_main(&around(body), cpu, no_runtime(&[])).unwrap())
}

/// Runs what `compile` gave.
fn run(code: &Code, before: [u64; 10]) -> Regs {
    let mut regs = Regs { before, ..Regs::default() };
    // SAFETY: the code is that of `around`, which accesses a `Regs` and its stack; what the operations in it access is up to
    // the test, which points them to memory of its own.
    unsafe { code.call((&raw mut regs).cast(), std::ptr::null_mut()) };
    regs
}

/// The memory of a test, at its real address.
struct Memory<'a>(&'a mut [u8]);

impl Memory<'_> {
    fn at(&mut self, addr: u64, size: Size, real: u64) -> &mut [u8] {
        let at = addr.wrapping_sub(real) as usize;
        &mut self.0[at..at + size.bytes() as usize]
    }
}

fn read(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// What the operation does to R0 to R10, and to memory that starts at `real`.
fn model(op: Op, regs: &mut [u64; 11], mem: &mut Memory<'_>, real: u64) {
    let at = |regs: &[u64; 11], base: Reg, off: i32| regs[base.index()].wrapping_add(off as i64 as u64);
    match op {
        Op::Alu { width, op, dst, src } => {
            regs[dst.index()] = eval::alu(op, width, regs[dst.index()], eval::operand(src, regs));
        }
        Op::Mov { width, dst, src } => regs[dst.index()] = eval::mov(width, eval::operand(src, regs)),
        Op::MovSx { width, from, dst, src } => regs[dst.index()] = eval::mov_sx(width, from, regs[src.index()]),
        Op::Neg { width, dst } => regs[dst.index()] = eval::neg(width, regs[dst.index()]),
        Op::Endian { op, size, dst } => {
            regs[dst.index()] = eval::endian(op, size, regs[dst.index()], Endianness::Little);
        }
        Op::LoadImm { dst, value } => regs[dst.index()] = value,
        Op::Load { size, signed, dst, base, off } => {
            let raw = read(mem.at(at(regs, base, off), size, real));
            regs[dst.index()] = eval::load_extend(size, signed, raw);
        }
        Op::LoadAcquire { size, dst, base, off } => {
            regs[dst.index()] = read(mem.at(at(regs, base, off), size, real));
        }
        Op::Store { size, base, off, src } => {
            let bytes = eval::operand(src, regs).to_le_bytes();
            mem.at(at(regs, base, off), size, real).copy_from_slice(&bytes[..size.bytes() as usize]);
        }
        Op::StoreRelease { size, base, off, src } => {
            let bytes = regs[src.index()].to_le_bytes();
            mem.at(at(regs, base, off), size, real).copy_from_slice(&bytes[..size.bytes() as usize]);
        }
        Op::Atomic { op, size, base, off, src } => {
            let place = mem.at(at(regs, base, off), size, real);
            let (new, old) = eval::atomic(op, size, read(place), regs[src.index()], regs[0]);
            place.copy_from_slice(&new.to_le_bytes()[..size.bytes() as usize]);
            if let Some(fetched) = op.fetches_into(src) {
                regs[fetched.index()] = old;
            }
        }
        Op::Guarded { .. }
        | Op::Jump { .. }
        | Op::Branch { .. }
        | Op::MayGoto { .. }
        | Op::CallHelper { .. }
        | Op::TailCall
        | Op::CallLocal { .. }
        | Op::Exit
        | Op::LegacyPacket { .. } => unreachable!("not of this model"),
    }
}

/// The registers that an operation reads, to try values in.
fn inputs(op: Op) -> Vec<Reg> {
    crate::opt::reads(op).into_iter().flatten().filter(|reg| *reg != Reg::FP).collect()
}

/// A register file in which every register has another value.
fn distinct() -> [u64; 10] {
    std::array::from_fn(|i| (0xf0e1_d2c3_b4a5_9600u64 ^ i as u64).rotate_left(5 * i as u32))
}
