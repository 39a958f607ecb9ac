//! Loads and stores.

use dynasmrt::DynasmApi;
use ring3_isa::{AluOp, Operand, Reg, Size, Width};

use super::regs::{self, X14, X15, X16, XZR};
use super::{A64, emit};
use crate::target::Address;
use crate::words::Word;

/// The instructions for bytes: with an offset that counts accesses, with one that counts bytes, and with one in a register.
const SCALED: u32 = 0x3900_0000;
const NEAR: u32 = 0x3800_0000;
const BY_REGISTER: u32 = 0x3820_6800;

/// What an access does, as its instruction has it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Store = 0,
    Load = 1,
    /// Extends the sign to 64 bits.
    LoadSigned = 2,
}

impl Access {
    /// Of all 64 bits there is no sign to extend.
    #[inline(always)]
    pub(super) fn load(size: Size, signed: bool) -> Access {
        if signed && size != Size::Dw { Access::LoadSigned } else { Access::Load }
    }
}

/// An access of this size without its offset; `t` and `b` are registers of the machine.
#[inline(always)]
fn access(size: Size, access: Access, t: u8, b: u8) -> u32 {
    size.bytes().trailing_zeros() << 30 | (access as u32) << 22 | u32::from(b) << 5 | u32::from(t)
}

/// The same with its offset, if there is an instruction that holds it.
#[inline(always)]
pub(super) fn with_offset(size: Size, kind: Access, t: u8, b: u8, off: i32) -> Word {
    let (code, shift) = (access(size, kind, t, b), size.bytes().trailing_zeros());
    let count = off as u32 >> shift;
    let scaled = off as u32 == count << shift && count < 1 << 12;
    let near = (-256..256).contains(&off);
    let offset = if scaled { SCALED | count << 10 } else { NEAR | (off as u32 & 0x1ff) << 12 };
    if scaled || near { Word { code: (code | offset).into(), len: 4 } } else { Word::NONE }
}

#[inline(always)]
pub(super) fn load_word(size: Size, signed: bool, dst: Reg, base: Reg, off: i32) -> Word {
    with_offset(size, Access::load(size, signed), regs::of(dst), regs::of(base), off)
}

/// Of a register or of 0.
#[inline(always)]
pub(super) fn store_word(size: Size, base: Reg, off: i32, src: Operand) -> Word {
    let (s, one) = match src {
        Operand::Reg(src) => (regs::of(src), true),
        Operand::Imm(imm) => (XZR, imm == 0),
    };
    let word = with_offset(size, Access::Store, s, regs::of(base), off);
    if one { word } else { Word::NONE }
}

impl A64 {
    /// `t` and `b` are registers of the machine, and `b` is not X16.
    fn access(&mut self, size: Size, kind: Access, t: u8, b: u8, off: i32) {
        let word = with_offset(size, kind, t, b, off);
        if word.len == 0 {
            self.emit_load_imm(X16, i64::from(off) as u64);
            return self.asm.push_u32(BY_REGISTER | u32::from(X16) << 16 | access(size, kind, t, b));
        }
        self.asm.put_word(word);
    }

    /// `d` and `b` are registers of the machine, and `b` is not X16.
    pub(super) fn emit_load(&mut self, size: Size, signed: bool, d: u8, b: u8, off: i32) {
        self.access(size, Access::load(size, signed), d, b, off);
    }

    /// `b` as of `emit_load`.
    pub(super) fn emit_store(&mut self, size: Size, b: u8, off: i32, src: Operand) {
        // Stores keep the low bytes of the immediate.
        let s = self.operand(Width::W64, src);
        self.store_register(size, b, off, s);
    }

    pub(super) fn store_register(&mut self, size: Size, b: u8, off: i32, s: u8) {
        self.access(size, Access::Store, s, b, off);
    }

    /// A load from the sum of two registers, the second shifted by nothing or as far as the size. False if that is not what the address
    /// is: nothing is emitted then.
    pub(super) fn load_by_register(&mut self, size: Size, signed: bool, d: u8, at: Address) -> bool {
        let Some((b, i, shifted)) = by_register(size, at) else { return false };
        match (size, signed, shifted) {
            (Size::B, false, _) => emit!(self, ldrb W(d), [XSP(b), X(i)]),
            (Size::B, true, _) => emit!(self, ldrsb X(d), [XSP(b), X(i)]),
            (Size::H, false, false) => emit!(self, ldrh W(d), [XSP(b), X(i)]),
            (Size::H, false, true) => emit!(self, ldrh W(d), [XSP(b), X(i), lsl 1]),
            (Size::H, true, false) => emit!(self, ldrsh X(d), [XSP(b), X(i)]),
            (Size::H, true, true) => emit!(self, ldrsh X(d), [XSP(b), X(i), lsl 1]),
            (Size::W, false, false) => emit!(self, ldr W(d), [XSP(b), X(i)]),
            (Size::W, false, true) => emit!(self, ldr W(d), [XSP(b), X(i), lsl 2]),
            (Size::W, true, false) => emit!(self, ldrsw X(d), [XSP(b), X(i)]),
            (Size::W, true, true) => emit!(self, ldrsw X(d), [XSP(b), X(i), lsl 2]),
            (Size::Dw, _, false) => emit!(self, ldr X(d), [XSP(b), X(i)]),
            (Size::Dw, _, true) => emit!(self, ldr X(d), [XSP(b), X(i), lsl 3]),
        }
        true
    }

    /// The same for a store.
    pub(super) fn store_by_register(&mut self, size: Size, at: Address, src: Operand) -> bool {
        let Some((b, i, shifted)) = by_register(size, at) else { return false };
        let s = self.operand(Width::W64, src);
        match (size, shifted) {
            (Size::B, _) => emit!(self, strb W(s), [XSP(b), X(i)]),
            (Size::H, false) => emit!(self, strh W(s), [XSP(b), X(i)]),
            (Size::H, true) => emit!(self, strh W(s), [XSP(b), X(i), lsl 1]),
            (Size::W, false) => emit!(self, str W(s), [XSP(b), X(i)]),
            (Size::W, true) => emit!(self, str W(s), [XSP(b), X(i), lsl 2]),
            (Size::Dw, false) => emit!(self, str X(s), [XSP(b), X(i)]),
            (Size::Dw, true) => emit!(self, str X(s), [XSP(b), X(i), lsl 3]),
        }
        true
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

/// Base, index, and whether the index is shifted, if an access of this size takes the address as it is.
fn by_register(size: Size, at: Address) -> Option<(u8, u8, bool)> {
    let (index, shift) = at.index.filter(|_| at.off == 0)?;
    let fits = shift == 0 || 1 << shift == size.bytes();
    fits.then(|| (regs::of(at.base), regs::of(index), shift != 0))
}
