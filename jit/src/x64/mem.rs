//! Loads and stores, and what else has an operand in memory. dynasm always takes the longest form of an address, so these are encoded
//! here: Intel SDM volume 2, chapter 2.

use dynasmrt::DynasmApi;
use ring3_isa::{AluOp, CmpOp, Operand, Reg, Size};

use super::regs;
use super::{X64, emit};
use crate::target::Address;
use crate::words::Word;

/// An opcode with what must stand before it. The first byte of two is 0x0f.
#[derive(Clone, Copy)]
struct Opcode {
    size: Size,
    /// The other operand is a byte of a register.
    byte: bool,
    two: bool,
    code: u8,
}

impl Opcode {
    /// Operands of this size; the opcode for bytes is one less.
    const fn sized(size: Size, code: u8) -> Opcode {
        match size {
            Size::B => Opcode { size, byte: true, two: false, code: code - 1 },
            Size::H | Size::W | Size::Dw => Opcode { size, byte: false, two: false, code },
        }
    }

    /// The same with a field of the opcode in the place of a register, so that no register needs a prefix.
    const fn field(size: Size, code: u8) -> Opcode {
        Opcode { byte: false, ..Opcode::sized(size, code) }
    }

    /// A load that extends: `size` is that of what it makes.
    const fn extending(size: Size, code: u8) -> Opcode {
        Opcode { size, byte: false, two: true, code }
    }
}

/// The registers of the machine.
#[derive(Clone, Copy)]
struct Place {
    base: u8,
    /// And how far it is shifted.
    index: Option<(u8, u8)>,
    off: i32,
}

impl From<Address> for Place {
    fn from(at: Address) -> Place {
        let index = at.index.map(|(index, shift)| (regs::of(index), shift));
        Place { base: regs::of(at.base), index, off: at.off }
    }
}

const fn plain(base: Reg, off: i32) -> Address {
    Address { base, index: None, off }
}

/// An instruction with `reg`, or a field of its opcode, and memory at an offset from a base that has not the number which means an index.
/// Without branches, as nobody can guess which it is.
#[inline(always)]
fn with_base(opcode: Opcode, reg: u8, base: u8, off: i32) -> Word {
    let wide = u8::from(opcode.size == Size::Dw);
    let rex = 0x40 | wide << 3 | (reg >> 3) << 2 | base >> 3;
    let near = off == i32::from(off as i8);
    // No displacement with RBP or R13 means another address.
    let none = off == 0 && base & 7 != 5;
    let (form, bytes) = if none { (0, 0) } else { (2 - u8::from(near), 4 - 3 * u8::from(near)) };
    let two = u8::from(opcode.two);
    // Without a prefix four to seven are the second bytes of the first four registers.
    let some = u8::from(rex != 0x40 || (opcode.byte && reg >= 4));
    let half = u8::from(opcode.size == Size::H);
    let code = u64::from(opcode.code) | u64::from(form << 6 | (reg & 7) << 3 | base & 7) << 8;
    let code = code | u64::from(off as u32) << 16;
    let code = (code << (8 * two)) | u64::from(0x0f * two);
    let code = (code << (8 * some)) | (u64::from(rex) * u64::from(some));
    Word { code: (code << (8 * half)) | u64::from(0x66 * half), len: 2 + bytes + two + some + half }
}

/// The instruction of a load.
const fn load(size: Size, signed: bool) -> Opcode {
    match (size, signed) {
        (Size::B, false) => Opcode::extending(Size::W, 0xb6),
        (Size::H, false) => Opcode::extending(Size::W, 0xb7),
        (Size::B, true) => Opcode::extending(Size::Dw, 0xbe),
        (Size::H, true) => Opcode::extending(Size::Dw, 0xbf),
        (Size::W, true) => Opcode::sized(Size::Dw, 0x63),
        (Size::W | Size::Dw, _) => Opcode::sized(size, 0x8b),
    }
}

/// By size, and whether it extends a sign.
const LOADS: [[Opcode; 2]; Size::ALL.len()] = {
    let mut loads = [[Opcode::sized(Size::Dw, 0x8b); 2]; Size::ALL.len()];
    let mut at = 0;
    while at < loads.len() {
        let size = Size::ALL[at];
        loads[size as usize] = [load(size, false), load(size, true)];
        at += 1;
    }
    loads
};

impl X64 {
    /// An instruction with `reg`, or a field of its opcode, and a place in memory. An immediate is to be put behind it.
    #[inline(always)]
    fn with_memory(&mut self, opcode: Opcode, reg: u8, place: Place) {
        let Place { base, index, off } = place;
        if index.is_none() && base & 7 != 4 {
            return self.asm.put_word(with_base(opcode, reg, base, off));
        }
        self.with_index(opcode, reg, place);
    }

    #[inline(never)]
    fn with_index(&mut self, opcode: Opcode, reg: u8, place: Place) {
        let Place { base, index, off } = place;
        let (index, shift) = index.unwrap_or((4, 0));
        if opcode.size == Size::H {
            self.asm.push(0x66);
        }
        let wide = u8::from(opcode.size == Size::Dw);
        let rex = 0x40 | wide << 3 | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3;
        // Without a prefix four to seven are the second bytes of the first four registers.
        if rex != 0x40 || (opcode.byte && reg >= 4) {
            self.asm.push(rex);
        }
        if opcode.two {
            self.asm.push(0x0f);
        }
        self.asm.push(opcode.code);
        // No displacement with RBP or R13 means another address.
        let near = i8::try_from(off);
        let form: u8 = match near {
            Ok(0) if base & 7 != 5 => 0,
            Ok(_) => 1,
            Err(_) => 2,
        };
        if place.index.is_some() || base & 7 == 4 {
            self.asm.push(form << 6 | (reg & 7) << 3 | 4);
            self.asm.push(shift << 6 | (index & 7) << 3 | base & 7);
        } else {
            self.asm.push(form << 6 | (reg & 7) << 3 | base & 7);
        }
        match (form, near) {
            (0, _) => {}
            (_, Ok(near)) => self.asm.push_i8(near),
            (_, Err(_)) => self.asm.push_i32(off),
        }
    }

    /// The immediate of an instruction for operands of this size: the low bytes, of 64 bits those that are sign-extended.
    fn immediate(&mut self, size: Size, imm: i32) {
        match size {
            Size::B => self.asm.push_i8(imm as i8),
            Size::H => self.asm.push_i16(imm as i16),
            Size::W | Size::Dw => self.asm.push_i32(imm),
        }
    }

    /// One of the eight operations that share their opcodes, by its field, on memory.
    fn group1(&mut self, size: Size, field: u8, place: Place, operand: Operand) {
        match operand {
            Operand::Reg(reg) => self.with_memory(Opcode::sized(size, field << 3 | 1), regs::of(reg), place),
            Operand::Imm(imm) if size == Size::B => {
                self.with_memory(Opcode::field(size, 0x81), field, place);
                self.asm.push_i8(imm as i8);
            }
            Operand::Imm(imm) => match i8::try_from(imm) {
                Ok(imm) => {
                    self.with_memory(Opcode::field(size, 0x83), field, place);
                    self.asm.push_i8(imm);
                }
                Err(_) => {
                    self.with_memory(Opcode::field(size, 0x81), field, place);
                    self.immediate(size, imm);
                }
            },
        }
    }

    #[inline(always)]
    pub(super) fn emit_load(&mut self, size: Size, signed: bool, dst: Reg, base: Reg, off: i32) {
        self.emit_load_from(size, signed, dst, plain(base, off));
    }

    #[inline(always)]
    pub(super) fn emit_load_from(&mut self, size: Size, signed: bool, dst: Reg, at: Address) {
        let opcode = LOADS[size as usize][usize::from(signed)];
        self.with_memory(opcode, regs::of(dst), at.into());
    }

    #[inline(always)]
    pub(super) fn emit_store(&mut self, size: Size, base: Reg, off: i32, src: Operand) {
        self.emit_store_to(size, plain(base, off), src);
    }

    #[inline(always)]
    pub(super) fn emit_store_to(&mut self, size: Size, at: Address, src: Operand) {
        match src {
            Operand::Reg(src) => self.with_memory(Opcode::sized(size, 0x89), regs::of(src), at.into()),
            Operand::Imm(imm) => {
                self.with_memory(Opcode::field(size, 0xc7), 0, at.into());
                self.immediate(size, imm);
            }
        }
    }

    pub(super) fn emit_update(&mut self, size: Size, op: AluOp, at: Address, src: Operand) {
        let field = match op {
            AluOp::Or => 1,
            AluOp::And => 4,
            AluOp::Sub => 5,
            AluOp::Xor => 6,
            // There are no others in this step.
            AluOp::Add
            | AluOp::Mul
            | AluOp::Div
            | AluOp::SDiv
            | AluOp::Mod
            | AluOp::SMod
            | AluOp::Lsh
            | AluOp::Rsh
            | AluOp::Arsh => 0,
        };
        self.group1(size, field, at.into(), src);
    }

    /// Sets the flags to those of the comparison of memory with the operand.
    pub(super) fn compare_memory(&mut self, size: Size, op: CmpOp, at: Address, rhs: Operand) {
        match (op, rhs) {
            (CmpOp::Set, Operand::Reg(rhs)) => self.with_memory(Opcode::sized(size, 0x85), regs::of(rhs), at.into()),
            (CmpOp::Set, Operand::Imm(imm)) => {
                self.with_memory(Opcode::field(size, 0xf7), 0, at.into());
                self.immediate(size, imm);
            }
            _ => self.group1(size, 7, at.into(), rhs),
        }
    }

    /// In steps of 16 bytes, of which the last may overlap the one before.
    pub(super) fn emit_zero(&mut self, base: Reg, off: i32, bytes: u32) {
        emit!(self, pxor xmm0, xmm0);
        let last = bytes as i32 - 16;
        for from in (0..last).step_by(16).chain([last]) {
            self.with_memory(Opcode::extending(Size::W, 0x11), 0, plain(base, off + from).into());
        }
    }
}
