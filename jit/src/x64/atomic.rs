//! Read-modify-write operations, all of them with the full barrier that a locked instruction is.

use dynasmrt::{DynasmApi, DynasmLabelApi};
use ring3_isa::{AtomicOp, Reg, Width};

use super::regs::{self, R10, RAX};
use super::{X64, emit};

/// A locked instruction on memory with a register.
macro_rules! locked {
    ($x64:ident, $name:ident, $width:expr, $base:expr, $off:expr, $src:expr) => {
        match $width {
            Width::W64 => with_mem!($x64, $base, $off, [lock $name QWORD], [, Rq($src)]),
            Width::W32 => with_mem!($x64, $base, $off, [lock $name DWORD], [, Rd($src)]),
        }
    };
}

/// `r11 = r11 op src` of a fetching operation.
#[derive(Clone, Copy)]
enum Bits {
    Or,
    And,
    Xor,
}

/// An instruction with a memory operand, with the shorter of the two displacements. `@` stands for the address.
macro_rules! with_mem {
    ($x64:ident, $base:expr, $off:expr, [$($before:tt)*] , [$($after:tt)*]) => {
        match i8::try_from($off) {
            Ok(off) => emit!($x64, $($before)* [BYTE Rq($base) + off] $($after)*),
            Err(_) => emit!($x64, $($before)* [DWORD Rq($base) + $off] $($after)*),
        }
    };
}

impl X64 {
    pub(super) fn emit_atomic(&mut self, op: AtomicOp, width: Width, base: Reg, off: i32, src: Reg) {
        let (b, s) = (regs::of(base), regs::of(src));
        match op {
            AtomicOp::Add => locked!(self, add, width, b, off, s),
            AtomicOp::Or => locked!(self, or, width, b, off, s),
            AtomicOp::And => locked!(self, and, width, b, off, s),
            AtomicOp::Xor => locked!(self, xor, width, b, off, s),
            AtomicOp::FetchAdd => locked!(self, xadd, width, b, off, s),
            AtomicOp::FetchOr => self.fetch(Bits::Or, width, b, off, s),
            AtomicOp::FetchAnd => self.fetch(Bits::And, width, b, off, s),
            AtomicOp::FetchXor => self.fetch(Bits::Xor, width, b, off, s),
            // Locked without the prefix.
            AtomicOp::Xchg => match width {
                Width::W64 => with_mem!(self, b, off, [xchg QWORD], [, Rq(s)]),
                Width::W32 => with_mem!(self, b, off, [xchg DWORD], [, Rd(s)]),
            },
            AtomicOp::Cmpxchg => {
                locked!(self, cmpxchg, width, b, off, s);
                if width == Width::W32 {
                    // EAX is not written when the values are equal, so the upper half is still what it was.
                    emit!(self, mov eax, eax);
                }
            }
        }
    }

    /// There is no instruction that gives the old value: compare and swap until nobody was in between. RAX holds what is
    /// compared, so R0 moves to a scratch register meanwhile, also as base or source.
    fn fetch(&mut self, bits: Bits, width: Width, base: u8, off: i32, src: u8) {
        let away = |reg| if reg == RAX { R10 } else { reg };
        let (b, s) = (away(base), away(src));
        emit!(self, mov r10, rax);
        match width {
            Width::W64 => with_mem!(self, b, off, [mov rax, QWORD], []),
            Width::W32 => with_mem!(self, b, off, [mov eax, DWORD], []),
        }
        emit!(self, again:; mov r11, rax);
        match bits {
            Bits::Or => emit!(self, or r11, Rq(s)),
            Bits::And => emit!(self, and r11, Rq(s)),
            Bits::Xor => emit!(self, xor r11, Rq(s)),
        }
        match width {
            Width::W64 => with_mem!(self, b, off, [lock cmpxchg QWORD], [, r11]),
            Width::W32 => with_mem!(self, b, off, [lock cmpxchg DWORD], [, r11d]),
        }
        emit!(self, jne < again);
        if src != RAX {
            emit!(self, mov Rq(src), rax; mov rax, r10);
        }
    }
}
