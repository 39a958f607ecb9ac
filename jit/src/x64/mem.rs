//! Loads and stores.

use dynasmrt::DynasmApi;
use ring3_isa::{Operand, Reg, Size};

use super::regs;
use super::{X64, emit};
use crate::target::Indexed;

/// An instruction with a memory operand, with the shorter of the two displacements. `@` stands for the address.
macro_rules! with_mem {
    ($x64:ident, $base:expr, $off:expr, [$($before:tt)*] , [$($after:tt)*]) => {
        match i8::try_from($off) {
            Ok(off) => emit!($x64, $($before)* [BYTE Rq($base) + off] $($after)*),
            Err(_) => emit!($x64, $($before)* [DWORD Rq($base) + $off] $($after)*),
        }
    };
}
pub(super) use with_mem;

/// The same with an index.
macro_rules! with_index {
    ($x64:ident, $at:expr, [$($before:tt)*] , [$($after:tt)*]) => {{
        let (base, index) = (regs::of($at.base), regs::of($at.index));
        match i8::try_from($at.off) {
            Ok(off) => emit!($x64, $($before)* [BYTE Rq(base) + Rq(index) + off] $($after)*),
            Err(_) => emit!($x64, $($before)* [DWORD Rq(base) + Rq(index) + $at.off] $($after)*),
        }
    }};
}

impl X64 {
    pub(super) fn emit_load(&mut self, size: Size, signed: bool, dst: Reg, base: Reg, off: i32) {
        let (d, b) = (regs::of(dst), regs::of(base));
        match (size, signed) {
            (Size::B, false) => with_mem!(self, b, off, [movzx Rd(d), BYTE], []),
            (Size::H, false) => with_mem!(self, b, off, [movzx Rd(d), WORD], []),
            (Size::W, false) => with_mem!(self, b, off, [mov Rd(d), DWORD], []),
            (Size::B, true) => with_mem!(self, b, off, [movsx Rq(d), BYTE], []),
            (Size::H, true) => with_mem!(self, b, off, [movsx Rq(d), WORD], []),
            (Size::W, true) => with_mem!(self, b, off, [movsxd Rq(d), DWORD], []),
            (Size::Dw, _) => with_mem!(self, b, off, [mov Rq(d), QWORD], []),
        }
    }

    pub(super) fn emit_store(&mut self, size: Size, base: Reg, off: i32, src: Operand) {
        let b = regs::of(base);
        match (size, src) {
            (Size::B, Operand::Reg(src)) => with_mem!(self, b, off, [mov BYTE], [, Rb(regs::of(src))]),
            (Size::H, Operand::Reg(src)) => with_mem!(self, b, off, [mov WORD], [, Rw(regs::of(src))]),
            (Size::W, Operand::Reg(src)) => with_mem!(self, b, off, [mov DWORD], [, Rd(regs::of(src))]),
            (Size::Dw, Operand::Reg(src)) => with_mem!(self, b, off, [mov QWORD], [, Rq(regs::of(src))]),
            // Stores keep the low bytes of the immediate.
            (Size::B, Operand::Imm(imm)) => with_mem!(self, b, off, [mov BYTE], [, BYTE imm as i8]),
            (Size::H, Operand::Imm(imm)) => with_mem!(self, b, off, [mov WORD], [, WORD imm as i16]),
            (Size::W, Operand::Imm(imm)) => with_mem!(self, b, off, [mov DWORD], [, DWORD imm]),
            (Size::Dw, Operand::Imm(imm)) => with_mem!(self, b, off, [mov QWORD], [, DWORD imm]),
        }
    }

    pub(super) fn emit_load_indexed(&mut self, size: Size, signed: bool, dst: Reg, at: Indexed) {
        let d = regs::of(dst);
        match (size, signed) {
            (Size::B, false) => with_index!(self, at, [movzx Rd(d), BYTE], []),
            (Size::H, false) => with_index!(self, at, [movzx Rd(d), WORD], []),
            (Size::W, false) => with_index!(self, at, [mov Rd(d), DWORD], []),
            (Size::B, true) => with_index!(self, at, [movsx Rq(d), BYTE], []),
            (Size::H, true) => with_index!(self, at, [movsx Rq(d), WORD], []),
            (Size::W, true) => with_index!(self, at, [movsxd Rq(d), DWORD], []),
            (Size::Dw, _) => with_index!(self, at, [mov Rq(d), QWORD], []),
        }
    }

    pub(super) fn emit_store_indexed(&mut self, size: Size, at: Indexed, src: Operand) {
        match (size, src) {
            (Size::B, Operand::Reg(src)) => with_index!(self, at, [mov BYTE], [, Rb(regs::of(src))]),
            (Size::H, Operand::Reg(src)) => with_index!(self, at, [mov WORD], [, Rw(regs::of(src))]),
            (Size::W, Operand::Reg(src)) => with_index!(self, at, [mov DWORD], [, Rd(regs::of(src))]),
            (Size::Dw, Operand::Reg(src)) => with_index!(self, at, [mov QWORD], [, Rq(regs::of(src))]),
            // Stores keep the low bytes of the immediate.
            (Size::B, Operand::Imm(imm)) => with_index!(self, at, [mov BYTE], [, BYTE imm as i8]),
            (Size::H, Operand::Imm(imm)) => with_index!(self, at, [mov WORD], [, WORD imm as i16]),
            (Size::W, Operand::Imm(imm)) => with_index!(self, at, [mov DWORD], [, DWORD imm]),
            (Size::Dw, Operand::Imm(imm)) => with_index!(self, at, [mov QWORD], [, DWORD imm]),
        }
    }
}
