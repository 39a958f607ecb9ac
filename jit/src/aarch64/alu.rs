//! Arithmetic, moves and byte swaps. 32-bit instructions of the machine zero-extend as those of BPF do, its shifts mask their
//! count, and its divisions give what BPF wants where others fault: 0 for a division by zero, the minimum for that by -1.

use dynasmrt::DynasmApi;
use dynasmrt::aarch64::{encode_logical_immediate_32bit, encode_logical_immediate_64bit};
use ring3_isa::{AluOp, EndianOp, Operand, Reg, Size, Width};

use super::regs::{self, X16, X17, XZR};
use super::{A64, emit, sized};
use crate::magic::{Magic, Signed};
use crate::words::Word;

/// The three operations whose immediates are patterns of bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Logic {
    And,
    Or,
    Xor,
    /// `and` that only sets flags.
    Test,
}

#[derive(Clone, Copy)]
enum Shift {
    Left,
    Right,
    Arithmetic,
}

/// What of a division is wanted, and how its operands are read.
#[derive(Clone, Copy)]
struct Division {
    width: Width,
    signed: bool,
    /// The remainder, not the quotient.
    rest: bool,
}

/// The immediate as the operation reads it, in the low bits of the width.
pub(super) fn immediate(width: Width, imm: i32) -> u64 {
    match width {
        Width::W64 => i64::from(imm) as u64,
        Width::W32 => u64::from(imm as u32),
    }
}

/// An immediate of `add` and its kin: 12 bits, shifted by 0 or 12.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Imm12 {
    Low(u32),
    High(u32),
}

impl Imm12 {
    /// `None` if the number has no such form.
    pub(super) const fn new(value: u32) -> Option<Imm12> {
        if value < 1 << 12 {
            Some(Imm12::Low(value))
        } else if value < 1 << 24 && value & 0xfff == 0 {
            Some(Imm12::High(value >> 12))
        } else {
            None
        }
    }
}

/// The bit of an instruction on all 64 bits.
const fn sf(width: Width) -> u32 {
    match width {
        Width::W64 => 1 << 31,
        Width::W32 => 0,
    }
}

/// Operations on registers that are one instruction, of 32 bits: `op d, n, m`. 0 for the others.
const ON_REGISTERS: [u32; AluOp::ALL.len()] = {
    let mut words = [0; AluOp::ALL.len()];
    let mut at = 0;
    while at < words.len() {
        let op = AluOp::ALL[at];
        words[op as usize] = match op {
            AluOp::Add => 0x0b00_0000,
            AluOp::Sub => 0x4b00_0000,
            AluOp::Or => 0x2a00_0000,
            AluOp::And => 0x0a00_0000,
            AluOp::Xor => 0x4a00_0000,
            // The product is added to zero.
            AluOp::Mul => 0x1b00_7c00,
            AluOp::Lsh => 0x1ac0_2000,
            AluOp::Rsh => 0x1ac0_2400,
            AluOp::Arsh => 0x1ac0_2800,
            AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod => 0,
        };
        at += 1;
    }
    words
};

/// How an operation with a number is encoded: `op d, n, number`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnNumber {
    /// With one of 12 bits.
    Sum,
    /// How far to the left.
    Left,
    /// How far to the right.
    Right,
    /// In another way.
    Other,
}

/// The instruction of 32 bits, and how the number stands in it.
const ON_NUMBERS: [(u32, OnNumber); AluOp::ALL.len()] = {
    let mut words = [(0, OnNumber::Other); AluOp::ALL.len()];
    let mut at = 0;
    while at < words.len() {
        let op = AluOp::ALL[at];
        words[op as usize] = match op {
            AluOp::Add => (0x1100_0000, OnNumber::Sum),
            AluOp::Sub => (0x1100_0000 | SUBTRACT, OnNumber::Sum),
            // `ubfm` and `sbfm`.
            AluOp::Lsh => (0x5300_0000, OnNumber::Left),
            AluOp::Rsh => (0x5300_0000, OnNumber::Right),
            AluOp::Arsh => (0x1300_0000, OnNumber::Right),
            AluOp::Or | AluOp::And | AluOp::Xor | AluOp::Mul | AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod => {
                (0, OnNumber::Other)
            }
        };
        at += 1;
    }
    words
};

/// What makes a subtraction of an addition.
const SUBTRACT: u32 = 1 << 30;

/// One instruction.
#[inline(always)]
fn one(code: u32) -> Word {
    Word { code: code.into(), len: 4 }
}

/// The operation as one instruction, if it is one.
#[inline(always)]
pub(super) fn word(width: Width, op: AluOp, dst: Reg, src: Operand) -> Word {
    let d = u32::from(regs::of(dst));
    match src {
        Operand::Reg(src) => {
            let code = ON_REGISTERS[op as usize];
            let word = one(code | sf(width) | d | d << 5 | u32::from(regs::of(src)) << 16);
            if code == 0 { Word::NONE } else { word }
        }
        Operand::Imm(imm) => by_number(width, op, d, imm),
    }
}

/// Without branches, as nobody can guess which operation it is.
#[inline(always)]
fn by_number(width: Width, op: AluOp, d: u32, imm: i32) -> Word {
    let (code, form) = ON_NUMBERS[op as usize];
    let size = imm.unsigned_abs();
    // One that ends in zeros is shifted.
    let high = u32::from(size & 0xfff == 0 && size != 0);
    let sum = (size >> (12 * high)) << 10 | high << 22 | (if imm < 0 { SUBTRACT } else { 0 });
    // Of bits in a row the lowest, how far it is rotated, and the highest; and whether they are of 64.
    let bits = 32 << u32::from(width == Width::W64);
    let count = imm as u32 & (bits - 1);
    let left = form == OnNumber::Left;
    let rotated = if left { bits - count } else { count };
    let last = if left { bits - 1 - count } else { bits - 1 };
    let shift = (rotated & (bits - 1)) << 16 | last << 10 | (bits >> 6) << 22;
    let summed = form == OnNumber::Sum;
    let fits = if summed { size >> (12 * high) < 1 << 12 } else { form != OnNumber::Other && count != 0 };
    let word = one((code ^ if summed { sum } else { shift }) | sf(width) | d << 5 | d);
    if fits { word } else { Word::NONE }
}

/// A move as one instruction or two.
#[inline(always)]
pub(super) fn move_word(width: Width, dst: Reg, src: Operand) -> Word {
    let d = regs::of(dst);
    match src {
        Operand::Reg(src) if width == Width::W64 && src == dst => Word::NONE,
        Operand::Reg(src) => one(MOVE | sf(width) | u32::from(regs::of(src)) << 16 | u32::from(d)),
        Operand::Imm(imm) => number(d, immediate(width, imm)),
    }
}

/// What loads a number that has no upper half and is no run of ones.
#[inline(always)]
fn number(d: u8, value: u64) -> Word {
    let (low, high, d) = (value as u32 & 0xffff, value as u32 >> 16, u32::from(d));
    // Of numbers without an upper half those with ones in a row, and no others, are such a run.
    let ones = (value as u32) >> ((value as u32).trailing_zeros() & 31);
    if value >> 32 != 0 {
        Word::NONE
    } else if high == 0 {
        one(MOVZ | low << 5 | d)
    } else if low == 0 {
        one(MOVZ_HIGH | high << 5 | d)
    } else if ones & ones.wrapping_add(1) != 0 {
        let second = u64::from(MOVK_HIGH | high << 5 | d);
        Word { code: u64::from(MOVZ | low << 5 | d) | second << 32, len: 8 }
    } else {
        Word::NONE
    }
}

/// `orr d, zr, m` of 32 bits.
const MOVE: u32 = 0x2a00_03e0;
/// `movz` and `movk` of 64 bits; the second sets the next 16.
const MOVZ: u32 = 0xd280_0000;
const MOVZ_HIGH: u32 = MOVZ | 1 << 21;
const MOVK_HIGH: u32 = 0xf2a0_0000;

impl A64 {
    #[inline(always)]
    pub(super) fn emit_alu(&mut self, width: Width, op: AluOp, dst: Reg, src: Operand) {
        let word = word(width, op, dst, src);
        if word.len == 0 {
            return self.other_alu(width, op, regs::of(dst), src);
        }
        self.asm.put_word(word);
    }

    #[inline(never)]
    fn other_alu(&mut self, width: Width, op: AluOp, d: u8, src: Operand) {
        match op {
            AluOp::Add => self.add_sub(width, d, src, false),
            AluOp::Sub => self.add_sub(width, d, src, true),
            AluOp::Or => self.logic(width, Logic::Or, d, src),
            AluOp::And => self.logic(width, Logic::And, d, src),
            AluOp::Xor => self.logic(width, Logic::Xor, d, src),
            AluOp::Mul => self.mul(width, d, src),
            AluOp::Lsh => self.shift(width, Shift::Left, d, src),
            AluOp::Rsh => self.shift(width, Shift::Right, d, src),
            AluOp::Arsh => self.shift(width, Shift::Arithmetic, d, src),
            AluOp::Div => self.divide(Division { width, signed: false, rest: false }, d, src),
            AluOp::Mod => self.divide(Division { width, signed: false, rest: true }, d, src),
            AluOp::SDiv => self.divide(Division { width, signed: true, rest: false }, d, src),
            AluOp::SMod => self.divide(Division { width, signed: true, rest: true }, d, src),
        }
    }

    /// The operations that most programs copy for have a destination of their own.
    pub(super) fn emit_alu_of(&mut self, width: Width, op: AluOp, d: u8, l: u8, rhs: Operand) {
        match (op, rhs) {
            (AluOp::Add | AluOp::Sub, Operand::Imm(imm)) if let Some(value) = Imm12::new(imm.unsigned_abs()) => {
                self.add_imm(width, d, l, value, (op == AluOp::Sub) != (imm < 0));
            }
            // By a constant: without a division.
            (AluOp::Div | AluOp::Mod | AluOp::SDiv | AluOp::SMod, Operand::Imm(_)) => {
                sized!(self, mov, width, d, l);
                let (signed, rest) = (matches!(op, AluOp::SDiv | AluOp::SMod), matches!(op, AluOp::Mod | AluOp::SMod));
                self.divide(Division { width, signed, rest }, d, rhs);
            }
            _ => {
                let r = self.operand(width, rhs);
                self.alu_of_regs(width, op, d, l, r);
            }
        }
    }

    fn alu_of_regs(&mut self, width: Width, op: AluOp, d: u8, l: u8, r: u8) {
        let division = |signed, rest| Division { width, signed, rest };
        match op {
            AluOp::Add => sized!(self, add, width, d, l, r),
            AluOp::Sub => sized!(self, sub, width, d, l, r),
            AluOp::Or => sized!(self, orr, width, d, l, r),
            AluOp::And => sized!(self, and, width, d, l, r),
            AluOp::Xor => sized!(self, eor, width, d, l, r),
            AluOp::Mul => sized!(self, mul, width, d, l, r),
            AluOp::Lsh => sized!(self, lsl, width, d, l, r),
            AluOp::Rsh => sized!(self, lsr, width, d, l, r),
            AluOp::Arsh => sized!(self, asr, width, d, l, r),
            AluOp::Div => self.divide_regs(division(false, false), d, l, r),
            AluOp::Mod => self.divide_regs(division(false, true), d, l, r),
            AluOp::SDiv => self.divide_regs(division(true, false), d, l, r),
            AluOp::SMod => self.divide_regs(division(true, true), d, l, r),
        }
    }

    pub(super) fn emit_rotate(&mut self, width: Width, dst: Reg, src: Reg, left: u8) {
        let (d, s) = (regs::of(dst), regs::of(src));
        let right = width.bits() - u32::from(left);
        match width {
            Width::W64 => emit!(self, ror X(d), X(s), right),
            Width::W32 => emit!(self, ror W(d), W(s), right),
        }
    }

    pub(super) fn emit_field(&mut self, width: Width, dst: Reg, src: Reg, from: u8, bits: u8) {
        let (d, s, from, bits) = (regs::of(dst), regs::of(src), u32::from(from), u32::from(bits));
        match width {
            Width::W64 => emit!(self, ubfx X(d), X(s), from, bits),
            Width::W32 => emit!(self, ubfx W(d), W(s), from, bits),
        }
    }

    pub(super) fn emit_by_bit(&mut self, dst: Reg, src: Reg, value: u64) {
        self.emit_load_imm(X16, value);
        emit!(self, tst X(regs::of(src)), 1; csel X(regs::of(dst)), x16, xzr, ne);
    }

    /// The register of an operand; an immediate is loaded into X17.
    pub(super) fn operand(&mut self, width: Width, operand: Operand) -> u8 {
        match operand {
            Operand::Reg(reg) => regs::of(reg),
            Operand::Imm(0) => XZR,
            Operand::Imm(imm) => {
                self.emit_load_imm(X17, immediate(width, imm));
                X17
            }
        }
    }

    fn add_sub(&mut self, width: Width, d: u8, src: Operand, subtract: bool) {
        if let Operand::Imm(imm) = src
            && let Some(value) = Imm12::new(imm.unsigned_abs())
        {
            return self.add_imm(width, d, d, value, subtract != (imm < 0));
        }
        let s = self.operand(width, src);
        if subtract {
            sized!(self, sub, width, d, d, s);
        } else {
            sized!(self, add, width, d, d, s);
        }
    }

    fn add_imm(&mut self, width: Width, d: u8, n: u8, value: Imm12, subtract: bool) {
        let (imm, high) = match value {
            Imm12::Low(imm) => (imm, 0),
            Imm12::High(imm) => (imm, 1 << 22),
        };
        let word = 0x1100_0000 | sf(width) | u32::from(subtract) << 30 | high | imm << 10;
        self.asm.push_u32(word | u32::from(n) << 5 | u32::from(d));
    }

    /// `d = base + off`, by way of X17 if the offset is large. `base` may be the frame pointer.
    pub(super) fn emit_address(&mut self, d: u8, base: u8, off: i32) {
        match Imm12::new(off.unsigned_abs()) {
            Some(value) => self.add_imm(Width::W64, d, base, value, off < 0),
            None => {
                self.emit_load_imm(X17, i64::from(off) as u64);
                emit!(self, add X(d), X(base), x17);
            }
        }
    }

    fn logic(&mut self, width: Width, op: Logic, d: u8, src: Operand) {
        if let Operand::Imm(imm) = src
            && self.logic_imm(width, op, d, immediate(width, imm))
        {
            return;
        }
        let s = self.operand(width, src);
        match op {
            Logic::And => sized!(self, and, width, d, d, s),
            Logic::Or => sized!(self, orr, width, d, d, s),
            Logic::Xor => sized!(self, eor, width, d, d, s),
            Logic::Test => sized!(self, tst, width, d, s),
        }
    }

    /// Sets the flags to those of `d & src`.
    pub(super) fn emit_test(&mut self, width: Width, d: u8, src: Operand) {
        self.logic(width, Logic::Test, d, src);
    }

    /// False if the value is no repeated run of ones: nothing is emitted then. `value` is as [`immediate`] gives it.
    fn logic_imm(&mut self, width: Width, op: Logic, d: u8, value: u64) -> bool {
        let pattern = match width {
            Width::W64 => encode_logical_immediate_64bit(value),
            Width::W32 => encode_logical_immediate_32bit(value as u32),
        };
        let Some(pattern) = pattern else { return false };
        let (word, to) = match op {
            Logic::And => (0x1200_0000, d),
            Logic::Or => (0x3200_0000, d),
            Logic::Xor => (0x5200_0000, d),
            Logic::Test => (0x7200_0000, XZR),
        };
        self.asm.push_u32(word | sf(width) | u32::from(pattern) << 10 | u32::from(d) << 5 | u32::from(to));
        true
    }

    fn mul(&mut self, width: Width, d: u8, src: Operand) {
        match src {
            Operand::Imm(imm) if imm.is_positive() && imm & (imm - 1) == 0 => {
                self.shift_by(width, Shift::Left, d, imm.trailing_zeros());
            }
            Operand::Reg(_) | Operand::Imm(_) => {
                let s = self.operand(width, src);
                sized!(self, mul, width, d, d, s);
            }
        }
    }

    fn shift(&mut self, width: Width, shift: Shift, d: u8, src: Operand) {
        let count = match src {
            Operand::Imm(imm) => return self.shift_by(width, shift, d, imm as u32 & (width.bits() - 1)),
            Operand::Reg(src) => regs::of(src),
        };
        match shift {
            Shift::Left => sized!(self, lsl, width, d, d, count),
            Shift::Right => sized!(self, lsr, width, d, d, count),
            Shift::Arithmetic => sized!(self, asr, width, d, d, count),
        }
    }

    /// The count is less than the width.
    fn shift_by(&mut self, width: Width, shift: Shift, d: u8, count: u32) {
        match (width, shift) {
            // The alias for a shift by 0 has no encoding of its own.
            (Width::W64, _) if count == 0 => {}
            (Width::W32, _) if count == 0 => emit!(self, mov W(d), W(d)),
            (Width::W64, Shift::Left) => emit!(self, lsl X(d), X(d), count),
            (Width::W64, Shift::Right) => emit!(self, lsr X(d), X(d), count),
            (Width::W64, Shift::Arithmetic) => emit!(self, asr X(d), X(d), count),
            (Width::W32, Shift::Left) => emit!(self, lsl W(d), W(d), count),
            (Width::W32, Shift::Right) => emit!(self, lsr W(d), W(d), count),
            (Width::W32, Shift::Arithmetic) => emit!(self, asr W(d), W(d), count),
        }
    }

    /// The remainder is what the quotient leaves: by zero that is all of it, by -1 nothing.
    fn divide(&mut self, division: Division, d: u8, src: Operand) {
        let Division { width, signed, rest } = division;
        if let Operand::Imm(imm @ 1..) = src
            && !signed
            && imm & (imm - 1) == 0
        {
            return if rest {
                self.logic(width, Logic::And, d, Operand::Imm(imm - 1));
            } else {
                self.shift_by(width, Shift::Right, d, imm.trailing_zeros());
            };
        }
        if let Operand::Imm(imm) = src
            && !signed
            && let Some(magic) = Magic::new(width, immediate(width, imm))
        {
            self.multiply_high(width, magic, d);
            return if rest {
                self.emit_load_imm(X17, immediate(width, imm));
                sized!(self, msub, width, d, X16, X17, d);
            } else {
                sized!(self, mov, width, d, X16);
            };
        }
        if let Operand::Imm(imm) = src
            && signed
            && let Some(how) = Signed::new(width, imm)
        {
            self.signed_quotient(width, how, d);
            if imm < 0 {
                self.emit_neg(width, X16);
            }
            return if rest {
                self.emit_load_imm(X17, immediate(width, imm));
                sized!(self, msub, width, d, X16, X17, d);
            } else {
                sized!(self, mov, width, d, X16);
            };
        }
        let s = self.operand(width, src);
        self.divide_regs(division, d, d, s);
    }

    /// X16 = what the magnitude of the divisor gives.
    fn signed_quotient(&mut self, width: Width, signed: Signed, d: u8) {
        match (signed, width) {
            // Only the sign counts, so any shift to the right with it does that brings it where it is needed.
            (Signed::Power(power), Width::W64) => {
                emit!(self, asr x16, X(d), 63; add x16, X(d), x16, lsr 64 - power; asr x16, x16, power);
            }
            (Signed::Power(power), Width::W32) => {
                emit!(self, asr w16, W(d), 31; add w16, W(d), w16, lsr 32 - power; asr w16, w16, power);
            }
            (Signed::Multiply { multiplier, after }, Width::W32) => {
                self.emit_load_imm(X17, multiplier);
                emit!(self, sxtw x16, W(d); mul x16, x16, x17; asr x16, x16, 32 + after; add w16, w16, W(d), lsr 31);
            }
            (Signed::Multiply { multiplier, after }, Width::W64) => {
                self.emit_load_imm(X17, multiplier);
                emit!(self, smulh x16, X(d), x17);
                if multiplier >> 63 != 0 {
                    // The instruction took it for a negative number.
                    emit!(self, add x16, x16, X(d));
                }
                if after > 0 {
                    emit!(self, asr x16, x16, after);
                }
                emit!(self, add x16, x16, X(d), lsr 63);
            }
        }
    }

    /// X16 = the quotient: the upper half of a product, shifted.
    fn multiply_high(&mut self, width: Width, magic: Magic, d: u8) {
        let Magic { multiplier, before, after, carry } = magic;
        self.emit_load_imm(X17, multiplier);
        let n = if before > 0 {
            match width {
                Width::W64 => emit!(self, lsr x16, X(d), before),
                Width::W32 => emit!(self, lsr w16, W(d), before),
            }
            X16
        } else {
            d
        };
        match width {
            Width::W64 => emit!(self, umulh x16, X(n), x17),
            // Without a carry all of it is shifted at once.
            Width::W32 if !carry => return emit!(self, umull x16, W(n), w17; lsr x16, x16, 32 + after),
            Width::W32 => emit!(self, umull x16, W(n), w17; lsr x16, x16, 32),
        }
        let after = if carry {
            match width {
                Width::W64 => emit!(self, sub x17, X(d), x16; add x16, x16, x17, lsr 1),
                Width::W32 => emit!(self, sub w17, W(d), w16; add w16, w16, w17, lsr 1),
            }
            after - 1
        } else {
            after
        };
        match width {
            _ if after == 0 => {}
            Width::W64 => emit!(self, lsr x16, x16, after),
            Width::W32 => emit!(self, lsr w16, w16, after),
        }
    }

    fn divide_regs(&mut self, Division { width, signed, rest }: Division, d: u8, l: u8, s: u8) {
        let quotient = if rest { X16 } else { d };
        if signed {
            sized!(self, sdiv, width, quotient, l, s);
        } else {
            sized!(self, udiv, width, quotient, l, s);
        }
        if rest {
            sized!(self, msub, width, d, X16, s, l);
        }
    }

    pub(super) fn emit_mov(&mut self, width: Width, dst: Reg, src: Operand) {
        let d = regs::of(dst);
        match (width, src) {
            (Width::W64, Operand::Reg(src)) if src == dst => {}
            (_, Operand::Reg(src)) => {
                self.asm.push_u32(MOVE | sf(width) | u32::from(regs::of(src)) << 16 | u32::from(d));
            }
            (_, Operand::Imm(imm)) => self.emit_load_imm(d, immediate(width, imm)),
        }
    }

    /// The fewest instructions for the value: one if it is a repeated run of ones, else one for each 16 bits that are neither
    /// what all the others can be set to at once.
    pub(super) fn emit_load_imm(&mut self, d: u8, value: u64) {
        let word = number(d, value);
        if word.len == 0 {
            return self.load_large(d, value);
        }
        self.asm.put_word(word);
    }

    #[inline(never)]
    fn load_large(&mut self, d: u8, value: u64) {
        let halves = [0, 16, 32, 48].map(|shift| (value >> shift) as u16);
        let other_than = |filler: u16| halves.iter().filter(|half| **half != filler).count();
        let inverted = other_than(u16::MAX) < other_than(0);
        let filler = if inverted { u16::MAX } else { 0 };
        if other_than(filler) > 1 && encode_logical_immediate_64bit(value).is_some() {
            return emit!(self, orr XSP(d), xzr, value);
        }
        let mut first = true;
        for (index, half) in halves.into_iter().enumerate() {
            // The last one is emitted if none was.
            if half == filler && !(first && index == 3) {
                continue;
            }
            match (first, inverted) {
                (true, true) => self.move_half(Half::Inverted, d, !half, index),
                (true, false) => self.move_half(Half::Zeroed, d, half, index),
                (false, _) => self.move_half(Half::Kept, d, half, index),
            }
            first = false;
        }
    }

    fn move_half(&mut self, rest: Half, d: u8, half: u16, index: usize) {
        let (half, shift) = (u32::from(half), 16 * index as u32);
        match rest {
            Half::Zeroed => emit!(self, movz X(d), half, lsl shift),
            Half::Inverted => emit!(self, movn X(d), half, lsl shift),
            Half::Kept => emit!(self, movk X(d), half, lsl shift),
        }
    }

    pub(super) fn emit_mov_sx(&mut self, width: Width, from: Size, dst: Reg, src: Reg) {
        let (d, s) = (regs::of(dst), regs::of(src));
        match (width, from) {
            (Width::W64, Size::B) => emit!(self, sxtb X(d), W(s)),
            (Width::W64, Size::H) => emit!(self, sxth X(d), W(s)),
            (Width::W64, Size::W) => emit!(self, sxtw X(d), W(s)),
            (Width::W64, Size::Dw) => emit!(self, mov X(d), X(s)),
            (Width::W32, Size::B) => emit!(self, sxtb W(d), W(s)),
            (Width::W32, Size::H) => emit!(self, sxth W(d), W(s)),
            (Width::W32, Size::W | Size::Dw) => emit!(self, mov W(d), W(s)),
        }
    }

    pub(super) fn emit_neg(&mut self, width: Width, d: u8) {
        sized!(self, neg, width, d, d);
    }

    pub(super) fn emit_endian(&mut self, op: EndianOp, size: Size, dst: Reg) {
        let d = regs::of(dst);
        let swap = match op {
            EndianOp::ToLe => false,
            EndianOp::ToBe | EndianOp::Swap => true,
        };
        match (size, swap) {
            (Size::B, _) => emit!(self, uxtb W(d), W(d)),
            (Size::H, true) => emit!(self, rev16 W(d), W(d); uxth W(d), W(d)),
            (Size::H, false) => emit!(self, uxth W(d), W(d)),
            (Size::W, true) => emit!(self, rev W(d), W(d)),
            (Size::W, false) => emit!(self, mov W(d), W(d)),
            (Size::Dw, true) => emit!(self, rev X(d), X(d)),
            (Size::Dw, false) => {}
        }
    }
}

/// What becomes of the other 48 bits when 16 are set.
#[derive(Clone, Copy)]
enum Half {
    Zeroed,
    /// They are ones, and so the 16 bits are given inverted.
    Inverted,
    Kept,
}
