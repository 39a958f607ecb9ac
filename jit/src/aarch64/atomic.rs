//! Read-modify-write operations: in one instruction where the processor has FEAT_LSE, else in a loop that tries until nobody was
//! in between. As in Linux's memory model those that fetch order all accesses around them, and those that do not order nothing.

use dynasmrt::{DynasmApi, DynasmLabelApi};
use ring3_isa::{AtomicOp, Reg, Width};

use super::regs::{self, X7, X13, X14, X15, X17};
use super::{A64, emit, sized};

/// An instruction on memory with registers of the width.
macro_rules! on_mem {
    ($a64:ident, $name:ident, $width:expr, $addr:expr, $($reg:expr),+) => {
        match $width {
            Width::W64 => emit!($a64, $name $(X($reg)),+, [XSP($addr)]),
            Width::W32 => emit!($a64, $name $(W($reg)),+, [XSP($addr)]),
        }
    };
}

impl A64 {
    pub(super) fn emit_atomic(&mut self, op: AtomicOp, width: Width, base: Reg, off: i32, src: Reg) {
        let (s, addr) = (regs::of(src), self.address(base, off));
        if self.features.lse {
            self.atomic_at_once(op, width, addr, s);
        } else if op == AtomicOp::Cmpxchg {
            self.compare_in_loop(width, addr, s);
        } else {
            self.atomic_in_loop(op, width, addr, s);
        }
    }

    fn atomic_at_once(&mut self, op: AtomicOp, width: Width, addr: u8, s: u8) {
        match op {
            AtomicOp::Add => on_mem!(self, stadd, width, addr, s),
            AtomicOp::Or => on_mem!(self, stset, width, addr, s),
            AtomicOp::Xor => on_mem!(self, steor, width, addr, s),
            // There is `and not` only.
            AtomicOp::And => {
                sized!(self, mvn, width, X17, s);
                on_mem!(self, stclr, width, addr, X17);
            }
            AtomicOp::FetchAdd => on_mem!(self, ldaddal, width, addr, s, s),
            AtomicOp::FetchOr => on_mem!(self, ldsetal, width, addr, s, s),
            AtomicOp::FetchXor => on_mem!(self, ldeoral, width, addr, s, s),
            AtomicOp::FetchAnd => {
                sized!(self, mvn, width, X17, s);
                on_mem!(self, ldclral, width, addr, X17, s);
            }
            AtomicOp::Xchg => on_mem!(self, swpal, width, addr, s, s),
            AtomicOp::Cmpxchg => on_mem!(self, casal, width, addr, X7, s),
        }
    }

    /// Old value in X17, new one in X15, X14 says whether it was stored.
    fn atomic_in_loop(&mut self, op: AtomicOp, width: Width, addr: u8, s: u8) {
        emit!(self, again:);
        on_mem!(self, ldxr, width, addr, X17);
        let new = match op {
            AtomicOp::Add | AtomicOp::FetchAdd => {
                sized!(self, add, width, X15, X17, s);
                X15
            }
            AtomicOp::Or | AtomicOp::FetchOr => {
                sized!(self, orr, width, X15, X17, s);
                X15
            }
            AtomicOp::And | AtomicOp::FetchAnd => {
                sized!(self, and, width, X15, X17, s);
                X15
            }
            AtomicOp::Xor | AtomicOp::FetchXor => {
                sized!(self, eor, width, X15, X17, s);
                X15
            }
            AtomicOp::Xchg | AtomicOp::Cmpxchg => s,
        };
        let fetches = match op {
            AtomicOp::Add | AtomicOp::Or | AtomicOp::And | AtomicOp::Xor => false,
            AtomicOp::FetchAdd
            | AtomicOp::FetchOr
            | AtomicOp::FetchAnd
            | AtomicOp::FetchXor
            | AtomicOp::Xchg
            | AtomicOp::Cmpxchg => true,
        };
        self.store_exclusive(width, fetches, addr, new);
        emit!(self, cbnz W(X14), <again);
        if fetches {
            // The store keeps what is before it there, the barrier what comes after.
            emit!(self, dmb ish);
            sized!(self, mov, width, s, X17);
        }
    }

    /// Compares with R0 and leaves the old value there.
    fn compare_in_loop(&mut self, width: Width, addr: u8, s: u8) {
        emit!(self, again:);
        on_mem!(self, ldxr, width, addr, X17);
        sized!(self, eor, width, X13, X17, X7);
        emit!(self, cbnz X(X13), >differs);
        self.store_exclusive(width, true, addr, s);
        emit!(self, cbnz W(X14), <again; differs:; dmb ish);
        sized!(self, mov, width, X7, X17);
    }

    fn store_exclusive(&mut self, width: Width, release: bool, addr: u8, value: u8) {
        match (width, release) {
            (Width::W64, true) => emit!(self, stlxr W(X14), X(value), [XSP(addr)]),
            (Width::W32, true) => emit!(self, stlxr W(X14), W(value), [XSP(addr)]),
            (Width::W64, false) => emit!(self, stxr W(X14), X(value), [XSP(addr)]),
            (Width::W32, false) => emit!(self, stxr W(X14), W(value), [XSP(addr)]),
        }
    }
}
