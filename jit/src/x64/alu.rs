//! Arithmetic, moves and byte swaps. 32-bit instructions of the machine zero-extend as those of BPF do.

use dynasmrt::{DynasmApi, DynasmLabelApi};
use ring3_isa::{AluOp, EndianOp, Operand, Reg, Size, Width};

use super::regs::{self, R10, R11, RAX, RCX, RDX};
use super::{X64, emit, form};
use crate::magic::{Magic, Signed};
use crate::words::Word;

/// A shift by a constant, by CL, and by any register (BMI2).
macro_rules! shift {
    ($x64:ident, $name:ident, $by_reg:ident, $width:expr, $dst:expr, $count:expr) => {
        match ($width, $count) {
            (Width::W64, Count::Const(count)) => emit!($x64, $name Rq($dst), BYTE count),
            (Width::W32, Count::Const(count)) => emit!($x64, $name Rd($dst), BYTE count),
            (Width::W64, Count::Cl) => emit!($x64, $name Rq($dst), cl),
            (Width::W32, Count::Cl) => emit!($x64, $name Rd($dst), cl),
            (Width::W64, Count::Reg(count)) => emit!($x64, $by_reg Rq($dst), Rq($dst), Rq(count)),
            (Width::W32, Count::Reg(count)) => emit!($x64, $by_reg Rd($dst), Rd($dst), Rd(count)),
        }
    };
}

/// How far a shift goes.
#[derive(Clone, Copy)]
enum Count {
    Const(i8),
    Cl,
    Reg(u8),
}

#[derive(Clone, Copy)]
enum Shift {
    Left,
    Right,
    Arithmetic,
}

/// A factor that needs no multiplication.
#[derive(Clone, Copy)]
enum Factor {
    /// A power of two.
    Power(i8),
    /// 1 more than a power of two that an address can have: 3, 5 and 9.
    Lea(i8),
    /// 1 less than a power of two.
    Less(i8),
    /// 1 more than a power of two.
    More(i8),
}

impl Factor {
    fn new(factor: i32) -> Option<Factor> {
        let power = |number: i32| (number > 1 && number & (number - 1) == 0).then(|| number.trailing_zeros() as i8);
        match factor {
            ..=1 | i32::MAX => None,
            3 | 5 | 9 => power(factor - 1).map(Factor::Lea),
            _ => {
                let less = power(factor + 1).map(Factor::Less);
                power(factor).map(Factor::Power).or(less).or(power(factor - 1).map(Factor::More))
            }
        }
    }
}

/// What of a division is wanted, and how its operands are read.
#[derive(Clone, Copy)]
struct Division {
    width: Width,
    signed: bool,
    /// The remainder, not the quotient.
    rest: bool,
}

/// The prefix of an instruction with these registers in the middle and at the end of its last byte.
#[inline(always)]
const fn rex(width: Width, reg: u8, rm: u8) -> u8 {
    let wide = match width {
        Width::W64 => 8,
        Width::W32 => 0,
    };
    0x40 | wide | (reg >> 3) << 2 | rm >> 3
}

/// An instruction of at most seven bytes with its prefix, which goes if it says nothing.
#[inline(always)]
fn prefixed(rex: u8, code: u64, len: u8) -> Word {
    let some = u8::from(rex != 0x40);
    let prefix = u64::from(rex) * u64::from(some);
    Word { code: code << (8 * some) | prefix, len: len + some }
}

/// An instruction of one byte on two registers: `reg` is the one in the middle of its last byte.
#[inline(always)]
fn on_registers(width: Width, code: u8, reg: u8, rm: u8) -> Word {
    prefixed(rex(width, reg, rm), u64::from(code) | u64::from(0xc0 | (reg & 7) << 3 | rm & 7) << 8, 2)
}

/// What loads a number, if it is at most eight bytes: the shortest.
#[inline(always)]
fn number(d: u8, value: u64) -> Word {
    let low = value as u32;
    if value == 0 {
        on_registers(Width::W32, 0x31, d, d)
    } else if value == u64::from(low) {
        prefixed(rex(Width::W32, 0, d), u64::from(0xb8 | d & 7) | u64::from(low) << 8, 5)
    } else if value as i64 == i64::from(low as i32) {
        prefixed(rex(Width::W64, 0, d), 0xc7 | u64::from(0xc0 | d & 7) << 8 | u64::from(low) << 16, 6)
    } else {
        Word::NONE
    }
}

impl X64 {
    #[inline(always)]
    pub(super) fn emit_alu(&mut self, width: Width, op: AluOp, dst: Reg, src: Operand) {
        let word = form::alu(width, op, dst, src);
        if word.len == 0 {
            return self.other_alu(width, op, regs::of(dst), src);
        }
        self.asm.put_word(word);
        self.note_result(op, width, dst);
    }

    /// What was emitted last was this operation.
    #[inline(always)]
    pub(super) fn note_result(&mut self, op: AluOp, width: Width, dst: Reg) {
        match op {
            AluOp::Add | AluOp::Sub | AluOp::Or | AluOp::And | AluOp::Xor => self.set_flags(regs::of(dst), width),
            AluOp::Mul
            | AluOp::Div
            | AluOp::SDiv
            | AluOp::Mod
            | AluOp::SMod
            | AluOp::Lsh
            | AluOp::Rsh
            | AluOp::Arsh => {}
        }
    }

    #[inline(never)]
    fn other_alu(&mut self, width: Width, op: AluOp, d: u8, src: Operand) {
        let division = |signed, rest| Division { width, signed, rest };
        match op {
            AluOp::Mul => self.mul(width, d, src),
            AluOp::Lsh => self.shift(width, Shift::Left, d, src),
            AluOp::Rsh => self.shift(width, Shift::Right, d, src),
            AluOp::Arsh => self.shift(width, Shift::Arithmetic, d, src),
            AluOp::Div => self.divide(division(false, false), d, src),
            AluOp::Mod => self.divide(division(false, true), d, src),
            AluOp::SDiv => self.divide(division(true, false), d, src),
            AluOp::SMod => self.divide(division(true, true), d, src),
            // All of them have a field.
            AluOp::Add | AluOp::Sub | AluOp::Or | AluOp::And | AluOp::Xor => {}
        }
    }

    /// An operation of the group of eight that share their forms, by its field: on two registers, with a byte, or with four of them.
    /// Without branches, as nobody can guess which operand comes next.
    #[inline(always)]
    pub(super) fn group1_register(&mut self, width: Width, field: u8, d: u8, src: Operand) {
        let (by_imm, src, imm) = match src {
            Operand::Reg(src) => (false, src, 0),
            Operand::Imm(imm) => (true, Reg::R0, imm),
        };
        // R0 has number 0, as what says nothing has.
        let s = regs::of(src);
        let byte = imm == i32::from(imm as i8);
        let bytes = if byte { 1 } else { 4 };
        let (code, reg) = if by_imm { (if byte { 0x83 } else { 0x81 }, field) } else { (field << 3 | 1, s & 7) };
        let word = u64::from(code) | u64::from(0xc0 | reg << 3 | d & 7) << 8 | u64::from(imm as u32) << 16;
        self.asm.put_word(prefixed(rex(width, s, d), word, 2 + if by_imm { bytes } else { 0 }));
    }

    /// An instruction of one byte on two registers: `reg` is the one in the middle of its last byte.
    #[inline(always)]
    pub(super) fn two_registers(&mut self, width: Width, code: u8, reg: u8, rm: u8) {
        self.asm.put_word(on_registers(width, code, reg, rm));
    }

    /// `lea` and `imul` have a destination of their own; the others get a copy first, which costs the processor nothing.
    pub(super) fn emit_alu_of(&mut self, width: Width, op: AluOp, dst: Reg, lhs: Reg, rhs: Operand) {
        let (d, l) = (regs::of(dst), regs::of(lhs));
        match (op, rhs) {
            (AluOp::Add, Operand::Imm(imm)) => return self.lea(width, d, l, imm),
            (AluOp::Sub, Operand::Imm(imm)) if imm != i32::MIN => return self.lea(width, d, l, -imm),
            (AluOp::Add, Operand::Reg(rhs)) => match width {
                Width::W64 => return emit!(self, lea Rq(d), [BYTE Rq(l) + Rq(regs::of(rhs)) + 0]),
                Width::W32 => return emit!(self, lea Rd(d), [BYTE Rq(l) + Rq(regs::of(rhs)) + 0]),
            },
            (AluOp::Mul, Operand::Imm(imm)) if Factor::new(imm).is_none() => match width {
                Width::W64 => return emit!(self, imul Rq(d), Rq(l), DWORD imm),
                Width::W32 => return emit!(self, imul Rd(d), Rd(l), DWORD imm),
            },
            (AluOp::And, Operand::Imm(0xff)) => return emit!(self, movzx Rd(d), Rb(l)),
            (AluOp::And, Operand::Imm(0xffff)) => return emit!(self, movzx Rd(d), Rw(l)),
            _ => {}
        }
        self.emit_mov(width, dst, Operand::Reg(lhs));
        self.emit_alu(width, op, dst, rhs);
    }

    fn lea(&mut self, width: Width, d: u8, l: u8, imm: i32) {
        match (width, i8::try_from(imm)) {
            (Width::W64, Ok(imm)) => emit!(self, lea Rq(d), [BYTE Rq(l) + imm]),
            (Width::W64, Err(_)) => emit!(self, lea Rq(d), [DWORD Rq(l) + imm]),
            (Width::W32, Ok(imm)) => emit!(self, lea Rd(d), [BYTE Rq(l) + imm]),
            (Width::W32, Err(_)) => emit!(self, lea Rd(d), [DWORD Rq(l) + imm]),
        }
    }

    pub(super) fn emit_rotate(&mut self, width: Width, dst: Reg, src: Reg, left: u8) {
        let (d, s) = (regs::of(dst), regs::of(src));
        let right = (width.bits() - u32::from(left)) as i8;
        match (dst == src, self.features.bmi2, width) {
            (false, true, Width::W64) => return emit!(self, rorx Rq(d), Rq(s), BYTE right),
            (false, true, Width::W32) => return emit!(self, rorx Rd(d), Rd(s), BYTE right),
            (false, false, _) => self.emit_mov(width, dst, Operand::Reg(src)),
            (true, ..) => {}
        }
        match width {
            Width::W64 => emit!(self, rol Rq(d), BYTE left as i8),
            Width::W32 => emit!(self, rol Rd(d), BYTE left as i8),
        }
    }

    /// One instruction where there is one, else a shift to the right and what clears the bits above.
    pub(super) fn emit_field(&mut self, width: Width, dst: Reg, src: Reg, from: u8, bits: u8) {
        let (d, s) = (regs::of(dst), regs::of(src));
        let (left, right) = (width.bits() as u8 - from - bits, width.bits() as u8 - bits);
        match (from, bits) {
            (0, 8) => return emit!(self, movzx Rd(d), Rb(s)),
            (0, 16) => return emit!(self, movzx Rd(d), Rw(s)),
            (0, 32) => return emit!(self, mov Rd(d), Rd(s)),
            // The second byte of one of the first four registers, into one of the first eight.
            (8, 8) if s < 4 && d < 8 => return self.asm.put(0xb60f | u64::from(0xc4 | d << 3 | s) << 16, 3),
            _ => {}
        }
        let narrow = if from + bits <= 32 { Width::W32 } else { width };
        if left > 0 && from > 0 && self.features.bmi1 {
            emit!(self, mov r11d, DWORD i32::from(bits) << 8 | i32::from(from));
            return match narrow {
                Width::W64 => emit!(self, bextr Rq(d), Rq(s), r11),
                Width::W32 => emit!(self, bextr Rd(d), Rd(s), r11d),
            };
        }
        if dst != src {
            self.emit_mov(narrow, dst, Operand::Reg(src));
        }
        if left > 0 && bits < 32 {
            if from > 0 {
                self.shift_by(narrow, Shift::Right, d, Count::Const(from as i8));
            }
            return self.group1_register(Width::W32, 4, d, Operand::Imm((1i32 << bits).wrapping_sub(1)));
        }
        if left > 0 {
            self.shift_by(width, Shift::Left, d, Count::Const(left as i8));
        }
        self.shift_by(width, Shift::Right, d, Count::Const(right as i8));
    }

    /// What loads a number changes no flags, unless it is 0.
    pub(super) fn emit_by_bit(&mut self, dst: Reg, src: Reg, value: u64) {
        let (d, s) = (regs::of(dst), regs::of(src));
        emit!(self, xor r11d, r11d; test Rb(s), BYTE 1);
        self.emit_load_imm(d, value);
        emit!(self, cmovz Rq(d), r11);
    }

    /// With shifts where they take less time than the three cycles of a multiplication.
    fn mul_by(&mut self, width: Width, factor: Factor, dst: u8) {
        let shift = |x64: &mut Self, reg, by| x64.shift_by(width, Shift::Left, reg, Count::Const(by));
        match (factor, width) {
            (Factor::Power(by), _) => shift(self, dst, by),
            (Factor::Lea(1), Width::W64) => emit!(self, lea Rq(dst), [Rq(dst) + Rq(dst) * 2]),
            (Factor::Lea(1), Width::W32) => emit!(self, lea Rd(dst), [Rq(dst) + Rq(dst) * 2]),
            (Factor::Lea(2), Width::W64) => emit!(self, lea Rq(dst), [Rq(dst) + Rq(dst) * 4]),
            (Factor::Lea(2), Width::W32) => emit!(self, lea Rd(dst), [Rq(dst) + Rq(dst) * 4]),
            (Factor::Lea(_), Width::W64) => emit!(self, lea Rq(dst), [Rq(dst) + Rq(dst) * 8]),
            (Factor::Lea(_), Width::W32) => emit!(self, lea Rd(dst), [Rq(dst) + Rq(dst) * 8]),
            (Factor::Less(by), _) => {
                emit!(self, mov r11, Rq(dst));
                shift(self, dst, by);
                match width {
                    Width::W64 => emit!(self, sub Rq(dst), r11),
                    Width::W32 => emit!(self, sub Rd(dst), r11d),
                }
            }
            (Factor::More(by), _) => {
                emit!(self, mov r11, Rq(dst));
                shift(self, dst, by);
                match width {
                    Width::W64 => emit!(self, add Rq(dst), r11),
                    Width::W32 => emit!(self, add Rd(dst), r11d),
                }
            }
        }
    }

    fn mul(&mut self, width: Width, dst: u8, src: Operand) {
        if let Operand::Imm(imm) = src
            && let Some(factor) = Factor::new(imm)
        {
            return self.mul_by(width, factor, dst);
        }
        match (width, src) {
            (Width::W64, Operand::Reg(src)) => emit!(self, imul Rq(dst), Rq(regs::of(src))),
            (Width::W32, Operand::Reg(src)) => emit!(self, imul Rd(dst), Rd(regs::of(src))),
            (Width::W64, Operand::Imm(imm)) => match i8::try_from(imm) {
                Ok(imm) => emit!(self, imul Rq(dst), Rq(dst), BYTE imm),
                Err(_) => emit!(self, imul Rq(dst), Rq(dst), DWORD imm),
            },
            (Width::W32, Operand::Imm(imm)) => match i8::try_from(imm) {
                Ok(imm) => emit!(self, imul Rd(dst), Rd(dst), BYTE imm),
                Err(_) => emit!(self, imul Rd(dst), Rd(dst), DWORD imm),
            },
        }
    }

    fn shift(&mut self, width: Width, shift: Shift, dst: u8, src: Operand) {
        let count = match src {
            Operand::Imm(imm) => {
                // The mask leaves at most 63.
                let count = (imm as u32 & (width.bits() - 1)) as i8;
                return self.shift_by(width, shift, dst, Count::Const(count));
            }
            Operand::Reg(src) => regs::of(src),
        };
        if self.features.bmi2 {
            self.shift_by(width, shift, dst, Count::Reg(count));
        } else if count == RCX && dst != RCX {
            self.shift_by(width, shift, dst, Count::Cl);
        } else if dst == RCX {
            emit!(self, mov r11, rcx; mov ecx, Rd(count));
            self.shift_by(width, shift, R11, Count::Cl);
            emit!(self, mov rcx, r11);
        } else {
            emit!(self, mov r11, rcx; mov ecx, Rd(count));
            self.shift_by(width, shift, dst, Count::Cl);
            emit!(self, mov rcx, r11);
        }
    }

    fn shift_by(&mut self, width: Width, shift: Shift, dst: u8, count: Count) {
        match shift {
            Shift::Left => shift!(self, shl, shlx, width, dst, count),
            Shift::Right => shift!(self, shr, shrx, width, dst, count),
            Shift::Arithmetic => shift!(self, sar, sarx, width, dst, count),
        }
    }

    /// The machine divides RDX:RAX, and faults where BPF has an answer: those cases branch off before.
    fn divide(&mut self, division: Division, dst: u8, src: Operand) {
        let Division { width, signed, rest } = division;
        match src {
            Operand::Imm(imm) if self.divide_by_constant(division, dst, imm) => return,
            Operand::Imm(imm) => self.emit_load_imm(R11, i64::from(imm) as u64),
            Operand::Reg(src) => match width {
                Width::W64 => emit!(self, mov r11, Rq(regs::of(src)); test r11, r11; jz >zero),
                Width::W32 => emit!(self, mov r11d, Rd(regs::of(src)); test r11d, r11d; jz >zero),
            },
        }
        if signed && matches!(src, Operand::Reg(_)) {
            self.compare_byte(width, R11, -1);
            emit!(self, je > minus_one);
        }
        self.divide_by_r11(division, dst);
        if matches!(src, Operand::Imm(_)) {
            return;
        }
        emit!(self, jmp > done);
        if signed {
            emit!(self, minus_one:);
            if rest {
                emit!(self, xor Rd(dst), Rd(dst))
            } else {
                self.emit_neg(width, dst)
            }
            emit!(self, jmp > done);
        }
        emit!(self, zero:);
        self.divide_by_zero(division, dst);
        emit!(self, done:);
    }

    /// The constants that need no division; false for the others, which then are neither 0 nor -1.
    fn divide_by_constant(&mut self, division: Division, dst: u8, imm: i32) -> bool {
        let Division { width, signed, rest } = division;
        match (imm, signed, rest) {
            (0, ..) => self.divide_by_zero(division, dst),
            (-1, true, false) => self.emit_neg(width, dst),
            (-1, true, true) => emit!(self, xor Rd(dst), Rd(dst)),
            (1.., false, _) if imm & (imm - 1) == 0 => {
                if rest {
                    self.group1_register(width, 4, dst, Operand::Imm(imm - 1));
                } else {
                    self.shift_by(width, Shift::Right, dst, Count::Const(imm.trailing_zeros() as i8));
                }
            }
            (_, false, _) => {
                let divisor = match width {
                    Width::W32 => u64::from(imm as u32),
                    Width::W64 => i64::from(imm) as u64,
                };
                let Some(magic) = Magic::new(width, divisor) else { return false };
                self.multiply_high(width, magic, dst);
                self.finish_quotient(width, magic, dst);
                if rest {
                    // What the quotient leaves.
                    match width {
                        Width::W64 => emit!(self, imul r11, r11, DWORD imm; sub Rq(dst), r11),
                        Width::W32 => emit!(self, imul r11d, r11d, DWORD imm; sub Rd(dst), r11d),
                    }
                } else {
                    match width {
                        Width::W64 => emit!(self, mov Rq(dst), r11),
                        Width::W32 => emit!(self, mov Rd(dst), r11d),
                    }
                }
            }
            (1, true, true) => emit!(self, xor Rd(dst), Rd(dst)),
            (1, true, false) if width == Width::W32 => emit!(self, mov Rd(dst), Rd(dst)),
            (1, true, false) => {}
            (_, true, _) => {
                let Some(signed) = Signed::new(width, imm) else { return false };
                self.signed_quotient(width, signed, dst);
                self.finish_signed(width, imm, rest, dst);
            }
        }
        true
    }

    /// R11 = what the magnitude of the divisor gives.
    fn signed_quotient(&mut self, width: Width, signed: Signed, dst: u8) {
        let top = width.bits() as i8;
        match (signed, width) {
            (Signed::Power(power), _) => {
                let power = power as i8;
                self.move_machine(width, R11, dst);
                if power > 1 {
                    self.shift_by(width, Shift::Arithmetic, R11, Count::Const(power - 1));
                }
                self.shift_by(width, Shift::Right, R11, Count::Const(top - power));
                match width {
                    Width::W64 => emit!(self, add r11, Rq(dst)),
                    Width::W32 => emit!(self, add r11d, Rd(dst)),
                }
                self.shift_by(width, Shift::Arithmetic, R11, Count::Const(power));
            }
            (Signed::Multiply { multiplier, after }, Width::W32) => {
                emit!(self, movsxd r11, Rd(dst));
                self.emit_load_imm(R10, multiplier);
                emit!(self, imul r11, r10; sar r11, BYTE (32 + after as i8); mov r10d, Rd(dst); shr r10d, 31; add r11d, r10d);
            }
            (Signed::Multiply { multiplier, after }, Width::W64) => {
                emit!(self, mov r11, Rq(dst); mov r10, rax; mov r9, rdx);
                self.emit_load_imm(RAX, multiplier);
                emit!(self, imul r11);
                if multiplier >> 63 != 0 {
                    // The instruction took it for a negative number.
                    emit!(self, add rdx, r11);
                }
                if after > 0 {
                    emit!(self, sar rdx, BYTE after as i8);
                }
                emit!(self, shr r11, 63; add r11, rdx; mov rdx, r9; mov rax, r10);
            }
        }
    }

    /// The quotient or what it leaves, which is the same for both signs of the divisor.
    fn finish_signed(&mut self, width: Width, imm: i32, rest: bool, dst: u8) {
        if imm < 0 {
            self.emit_neg(width, R11);
        }
        match (rest, width) {
            (true, Width::W64) => {
                emit!(self, imul r11, r11, DWORD imm; sub Rq(dst), r11);
            }
            (true, Width::W32) => {
                emit!(self, imul r11d, r11d, DWORD imm; sub Rd(dst), r11d);
            }
            (false, _) => self.move_machine(width, dst, R11),
        }
    }

    fn move_machine(&mut self, width: Width, dst: u8, src: u8) {
        self.two_registers(width, 0x89, src, dst);
    }

    /// R11 = the upper half of the product of `dst >> before` and the multiplier. Numbers of 32 bits have all of it in one register.
    fn multiply_high(&mut self, width: Width, magic: Magic, dst: u8) {
        let Magic { multiplier, before, .. } = magic;
        match width {
            Width::W32 => {
                emit!(self, mov r11d, Rd(dst));
                if before > 0 {
                    emit!(self, shr r11d, BYTE before as i8);
                }
                self.emit_load_imm(R10, multiplier);
                let after = if magic.carry { 0 } else { magic.after };
                emit!(self, imul r11, r10; shr r11, BYTE (32 + after) as i8);
            }
            Width::W64 => {
                let factor = if before > 0 {
                    emit!(self, mov r11, Rq(dst); shr r11, BYTE before as i8);
                    R11
                } else {
                    dst
                };
                if self.features.bmi2 {
                    // The other factor is RDX. The lower half goes where the upper one is put after it.
                    self.emit_load_imm(R10, multiplier);
                    if factor == RDX {
                        emit!(self, mulx r11, r10, r10);
                    } else {
                        emit!(self, mov r9, rdx; mov rdx, r10; mulx r11, r10, Rq(factor); mov rdx, r9);
                    }
                } else {
                    emit!(self, mov r11, Rq(factor); mov r10, rax; mov r9, rdx);
                    self.emit_load_imm(RAX, multiplier);
                    emit!(self, mul r11; mov r11, rdx; mov rdx, r9; mov rax, r10);
                }
                if !magic.carry && magic.after > 0 {
                    emit!(self, shr r11, BYTE magic.after as i8);
                }
            }
        }
    }

    /// Where the multiplier has one more bit, its product with the number is added without the sum growing out of the width.
    fn finish_quotient(&mut self, width: Width, magic: Magic, dst: u8) {
        if !magic.carry {
            return;
        }
        let after = (magic.after - 1) as i8;
        match width {
            Width::W64 => {
                emit!(self, mov r10, Rq(dst); sub r10, r11; shr r10, 1; add r11, r10);
                if after > 0 {
                    emit!(self, shr r11, BYTE after);
                }
            }
            Width::W32 => {
                emit!(self, mov r10d, Rd(dst); sub r10d, r11d; shr r10d, 1; add r11d, r10d);
                if after > 0 {
                    emit!(self, shr r11d, BYTE after);
                }
            }
        }
    }

    /// 0, or for the remainder what was there.
    fn divide_by_zero(&mut self, division: Division, dst: u8) {
        match (division.rest, division.width) {
            (false, _) => emit!(self, xor Rd(dst), Rd(dst)),
            (true, Width::W32) => emit!(self, mov Rd(dst), Rd(dst)),
            (true, Width::W64) => {}
        }
    }

    fn divide_by_r11(&mut self, Division { width, signed, rest }: Division, dst: u8) {
        if dst != RAX {
            emit!(self, mov r10, rax);
        }
        if dst != RDX {
            emit!(self, mov r9, rdx);
        }
        if dst != RAX {
            emit!(self, mov rax, Rq(dst));
        }
        match (signed, width) {
            (true, Width::W64) => emit!(self, cqo; idiv r11),
            (true, Width::W32) => emit!(self, cdq; idiv r11d),
            (false, Width::W64) => emit!(self, xor edx, edx; div r11),
            (false, Width::W32) => emit!(self, xor edx, edx; div r11d),
        }
        let result = if rest { RDX } else { RAX };
        if dst != result {
            emit!(self, mov Rq(dst), Rq(result));
        }
        if dst != RAX {
            emit!(self, mov rax, r10);
        }
        if dst != RDX {
            emit!(self, mov rdx, r9);
        }
    }

    #[inline(always)]
    pub(super) fn emit_mov(&mut self, width: Width, dst: Reg, src: Operand) {
        let d = regs::of(dst);
        let before = self.asm.offset().0;
        match (width, src) {
            (Width::W64, Operand::Reg(src)) if src == dst => return,
            (_, Operand::Reg(src)) => self.two_registers(width, 0x89, regs::of(src), d),
            (Width::W64, Operand::Imm(imm)) => return self.emit_load_imm(d, i64::from(imm) as u64),
            (Width::W32, Operand::Imm(imm)) => return self.emit_load_imm(d, u64::from(imm as u32)),
        }
        self.keep_flags(before, d);
    }

    /// The shortest instruction for the value.
    pub(super) fn emit_load_imm(&mut self, dst: u8, value: u64) {
        let before = self.asm.offset().0;
        let word = number(dst, value);
        if word.len == 0 {
            emit!(self, mov Rq(dst), QWORD value as i64);
        } else {
            self.asm.put_word(word);
        }
        // What makes a zero changes them.
        if value != 0 {
            self.keep_flags(before, dst);
        }
    }

    pub(super) fn emit_mov_sx(&mut self, width: Width, from: Size, dst: Reg, src: Reg) {
        let (d, s) = (regs::of(dst), regs::of(src));
        match (width, from) {
            (Width::W64, Size::B) => emit!(self, movsx Rq(d), Rb(s)),
            (Width::W64, Size::H) => emit!(self, movsx Rq(d), Rw(s)),
            (Width::W64, Size::W) => emit!(self, movsxd Rq(d), Rd(s)),
            (Width::W64, Size::Dw) => emit!(self, mov Rq(d), Rq(s)),
            (Width::W32, Size::B) => emit!(self, movsx Rd(d), Rb(s)),
            (Width::W32, Size::H) => emit!(self, movsx Rd(d), Rw(s)),
            (Width::W32, Size::W | Size::Dw) => emit!(self, mov Rd(d), Rd(s)),
        }
    }

    pub(super) fn emit_neg(&mut self, width: Width, dst: u8) {
        match width {
            Width::W64 => emit!(self, neg Rq(dst)),
            Width::W32 => emit!(self, neg Rd(dst)),
        }
    }

    pub(super) fn emit_endian(&mut self, op: EndianOp, size: Size, dst: Reg) {
        let d = regs::of(dst);
        let swap = match op {
            EndianOp::ToLe => false,
            EndianOp::ToBe | EndianOp::Swap => true,
        };
        match (size, swap) {
            (Size::B, _) => emit!(self, movzx Rd(d), Rb(d)),
            (Size::H, true) => emit!(self, rol Rw(d), 8; movzx Rd(d), Rw(d)),
            (Size::H, false) => emit!(self, movzx Rd(d), Rw(d)),
            (Size::W, true) => emit!(self, bswap Rd(d)),
            (Size::W, false) => emit!(self, mov Rd(d), Rd(d)),
            (Size::Dw, true) => emit!(self, bswap Rq(d)),
            (Size::Dw, false) => {}
        }
    }
}
