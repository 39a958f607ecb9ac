//! Loads and stores.

use dynasmrt::DynasmApi;
use ring3_isa::{Operand, Reg, Size, Width};

use super::regs::{self, X15, X16};
use super::{A64, emit};
use crate::target::Indexed;

/// How an instruction reaches its address.
#[derive(Clone, Copy)]
enum Place {
    /// Not negative and a multiple of the size, less than 4096 of them.
    Scaled(u32),
    /// From -256 to 255.
    Near(i32),
    /// The offset is in X16.
    Indexed,
}

/// An instruction in the form that suits the place: scaled, unscaled, indexed.
macro_rules! at {
    ($a64:ident, $base:expr, $place:expr, $scaled:ident, $unscaled:ident, $family:ident, $reg:expr) => {
        match $place {
            Place::Scaled(off) => emit!($a64, $scaled $family($reg), [XSP($base), off]),
            Place::Near(off) => emit!($a64, $unscaled $family($reg), [XSP($base), off]),
            Place::Indexed => emit!($a64, $scaled $family($reg), [XSP($base), x16]),
        }
    };
}

impl A64 {
    fn access(&mut self, size: Size, off: i32) -> Place {
        let bytes = size.bytes() as u32;
        match u32::try_from(off) {
            Ok(off) if off.is_multiple_of(bytes) && off / bytes < 4096 => Place::Scaled(off),
            _ if (-256..256).contains(&off) => Place::Near(off),
            _ => {
                self.emit_load_imm(X16, i64::from(off) as u64);
                Place::Indexed
            }
        }
    }

    /// `b` is a register of the machine other than X16.
    pub(super) fn emit_load(&mut self, size: Size, signed: bool, dst: Reg, b: u8, off: i32) {
        let d = regs::of(dst);
        let place = self.access(size, off);
        match (size, signed) {
            (Size::B, false) => at!(self, b, place, ldrb, ldurb, W, d),
            (Size::H, false) => at!(self, b, place, ldrh, ldurh, W, d),
            (Size::W, false) => at!(self, b, place, ldr, ldur, W, d),
            (Size::B, true) => at!(self, b, place, ldrsb, ldursb, X, d),
            (Size::H, true) => at!(self, b, place, ldrsh, ldursh, X, d),
            (Size::W, true) => at!(self, b, place, ldrsw, ldursw, X, d),
            (Size::Dw, _) => at!(self, b, place, ldr, ldur, X, d),
        }
    }

    /// `b` as of `emit_load`.
    pub(super) fn emit_store(&mut self, size: Size, b: u8, off: i32, src: Operand) {
        // Stores keep the low bytes of the immediate.
        let s = self.operand(Width::W64, src);
        let place = self.access(size, off);
        match size {
            Size::B => at!(self, b, place, strb, sturb, W, s),
            Size::H => at!(self, b, place, strh, sturh, W, s),
            Size::W => at!(self, b, place, str, stur, W, s),
            Size::Dw => at!(self, b, place, str, stur, X, s),
        }
    }

    /// The register that holds the sum of base and index: X15, as both X16 and X17 may be needed after it.
    pub(super) fn indexed(&mut self, at: Indexed) -> u8 {
        emit!(self, add X(X15), X(regs::of(at.base)), X(regs::of(at.index)));
        X15
    }

    /// The register that holds `base + off`: the base itself or X16.
    pub(super) fn address(&mut self, base: Reg, off: i32) -> u8 {
        let base = regs::of(base);
        if off == 0 {
            return base;
        }
        self.emit_address(X16, base, off);
        X16
    }

    /// The processor keeps these in order with each other too, which is more than BPF asks for.
    pub(super) fn emit_load_acquire(&mut self, size: Size, dst: Reg, base: Reg, off: i32) {
        let (d, a) = (regs::of(dst), self.address(base, off));
        match size {
            Size::B => emit!(self, ldarb W(d), [XSP(a)]),
            Size::H => emit!(self, ldarh W(d), [XSP(a)]),
            Size::W => emit!(self, ldar W(d), [XSP(a)]),
            Size::Dw => emit!(self, ldar X(d), [XSP(a)]),
        }
    }

    pub(super) fn emit_store_release(&mut self, size: Size, base: Reg, off: i32, src: Reg) {
        let (s, a) = (regs::of(src), self.address(base, off));
        match size {
            Size::B => emit!(self, stlrb W(s), [XSP(a)]),
            Size::H => emit!(self, stlrh W(s), [XSP(a)]),
            Size::W => emit!(self, stlr W(s), [XSP(a)]),
            Size::Dw => emit!(self, stlr X(s), [XSP(a)]),
        }
    }
}
