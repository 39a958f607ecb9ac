//! Loads and stores.

use dynasmrt::DynasmApi;
use ring3_isa::{AluOp, Operand, Reg, Size, Width};

use super::regs::{self, X14, X15, X16, XZR};
use super::{A64, emit};
use crate::target::Address;

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

    /// `d` and `b` are registers of the machine, and `b` is not X16.
    pub(super) fn emit_load(&mut self, size: Size, signed: bool, d: u8, b: u8, off: i32) {
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
        self.store_register(size, b, off, s);
    }

    pub(super) fn store_register(&mut self, size: Size, b: u8, off: i32, s: u8) {
        let place = self.access(size, off);
        match size {
            Size::B => at!(self, b, place, strb, sturb, W, s),
            Size::H => at!(self, b, place, strh, sturh, W, s),
            Size::W => at!(self, b, place, str, stur, W, s),
            Size::Dw => at!(self, b, place, str, stur, X, s),
        }
    }

    /// The register that holds the sum of base and index: the base alone or X15, as X14, X16 and X17 may be needed after it.
    pub(super) fn indexed(&mut self, at: Address) -> u8 {
        let base = regs::of(at.base);
        match at.index {
            None => return base,
            Some((index, 0)) => emit!(self, add X(X15), X(base), X(regs::of(index))),
            Some((index, shift)) => emit!(self, add X(X15), X(base), X(regs::of(index)), lsl u32::from(shift)),
        }
        X15
    }

    pub(super) fn emit_update(&mut self, size: Size, op: AluOp, at: Address, src: Operand) {
        let sum = self.indexed(at);
        self.emit_load(size, false, X14, sum, at.off);
        self.emit_alu_of(Width::W64, op, X14, X14, src);
        self.store_register(size, sum, at.off, X14);
    }

    /// In steps of 8 bytes, of which the last may overlap the one before.
    pub(super) fn emit_zero(&mut self, base: Reg, off: i32, bytes: u32) {
        let last = bytes as i32 - 8;
        for from in (0..last).step_by(8).chain([last]) {
            self.store_register(Size::Dw, regs::of(base), off + from, XZR);
        }
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
