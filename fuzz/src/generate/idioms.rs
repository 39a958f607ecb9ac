//! What compilers write again and again, and what machine code therefore joins: fields of bits, rotations, numbers put together from
//! bytes, choices, sums of products.
//!
//! A compiler of machine code is wrong where it takes an idiom for one that it is not. So between the instructions of an idiom, now and
//! then, a register is put aside, overwritten and brought back, or not brought back; and what was only on the way is mostly
//! forgotten, as an optimiser deletes only what nobody reads.

use ring3_isa::{AluOp, CmpOp, Insn, Operand, Reg, Size, Wide, Width};

use super::state::Kind;
use super::{Generator, offset, regs};

/// What an idiom can be.
#[derive(Clone, Copy)]
enum Idiom {
    Field,
    Extension,
    Rotation,
    BytesRead,
    BytesWritten,
    Zeros,
    Choice,
    Diamond,
    Either,
    Sum,
    Scaled,
    Swapped,
    Division,
    Products,
    ByBit,
    Changed,
    Compared,
    Tested,
    AcrossCall,
}

/// What calls keep and numbers that are added to addresses are rarer otherwise, so they stand here twice.
const IDIOMS: [Idiom; 21] = {
    use Idiom::*;
    [
        Field,
        Extension,
        Rotation,
        BytesRead,
        BytesWritten,
        Zeros,
        Choice,
        Diamond,
        Either,
        Sum,
        Scaled,
        Scaled,
        Swapped,
        Division,
        Products,
        ByBit,
        Changed,
        Compared,
        Tested,
        AcrossCall,
        AcrossCall,
    ]
};

/// Divisors that are not like others, for some width or sign.
const DIVISORS: [i32; 16] = [1, 2, 3, 5, 7, 10, 16, 60, 255, 641, 1000, 0x10000, i32::MAX, -1, -10, i32::MIN];

/// Operations that are done to memory in one instruction, and some that are not.
const SIMPLE: [AluOp; 8] =
    [AluOp::Add, AluOp::Sub, AluOp::And, AluOp::Or, AluOp::Xor, AluOp::Add, AluOp::Mul, AluOp::Lsh];

impl Generator<'_, '_> {
    pub(super) fn idiom(&mut self) {
        if self.frames && self.entropy.one_in(2) {
            let number = self.own_number();
            self.hide(number);
        }
        match self.entropy.pick(&IDIOMS) {
            Idiom::Field => self.bit_field(),
            Idiom::Extension => self.extension(),
            Idiom::Rotation => self.rotation(),
            Idiom::BytesRead => self.bytes_read(),
            Idiom::BytesWritten => self.bytes_written(),
            Idiom::Zeros => self.zeros(),
            Idiom::Choice => self.choice(),
            Idiom::Diamond => self.diamond(),
            Idiom::Either => self.either(),
            Idiom::Sum => self.sum(),
            Idiom::Scaled => self.scaled(),
            Idiom::Swapped => self.swapped(),
            Idiom::Division => self.division(),
            Idiom::Products => self.products(),
            Idiom::ByBit => self.by_bit(),
            Idiom::Changed => self.changed(),
            Idiom::Compared => self.compared(),
            Idiom::Tested => self.tested(),
            Idiom::AcrossCall => self.across_call(),
        }
    }

    /// Bits out of the middle: left and right, or right and a mask.
    fn bit_field(&mut self) {
        let (dst, src, width) = (self.target(), self.number(), self.width());
        self.begin(dst, src);
        let most = width.bits();
        let first = 1 + self.entropy.below(most - 1);
        if self.entropy.one_in(2) {
            self.alu_imm(width, AluOp::Lsh, dst, first as i32);
            self.between(&[src, dst]);
            let op = self.entropy.pick(&[AluOp::Rsh, AluOp::Arsh, AluOp::Rsh]);
            let second = if self.entropy.one_in(3) { first } else { self.entropy.below(most) };
            let width = self.mostly(width);
            self.alu_imm(width, op, dst, second as i32 & (width.bits() as i32 - 1));
        } else {
            let op = self.entropy.pick(&[AluOp::Rsh, AluOp::Rsh, AluOp::Arsh, AluOp::Lsh]);
            self.alu_imm(width, op, dst, first as i32);
            self.between(&[src, dst]);
            let mask = match self.entropy.below(4) {
                0 => self.entropy.imm(),
                bits => (1 << (bits * 8 - 1 - first % 8)) - 1,
            };
            let width = self.mostly(width);
            self.alu_imm(width, AluOp::And, dst, mask);
        }
        self.spent(&[src], dst);
    }

    /// The low byte, half-word or word with its sign or zeros above it.
    fn extension(&mut self) {
        let (dst, src, width) = (self.target(), self.number(), self.width());
        let sizes: &[Size] = if width == Width::W64 { &[Size::W, Size::H, Size::B] } else { &[Size::H, Size::B] };
        let from = self.entropy.pick(sizes);
        if self.entropy.one_in(4) {
            self.out.push(Insn::MovSx { width, from, dst, src });
            self.state.set(dst, Kind::Number);
        } else {
            self.begin(dst, src);
            let count = (width.bits() - 8 * from.bytes()) as i32;
            self.alu_imm(width, AluOp::Lsh, dst, count);
            self.between(&[src, dst]);
            let op = self.entropy.pick(&[AluOp::Rsh, AluOp::Arsh]);
            self.alu_imm(width, op, dst, count);
        }
        self.between(&[src, dst]);
        // Of whoever goes on with it, the narrow ones may think that nothing is above.
        let (op, width) = (self.entropy.pick(&SIMPLE[..5]), self.width());
        let operand = self.operand();
        self.out.push(Insn::Alu { width, op, dst, src: operand });
        if self.entropy.one_in(2) {
            self.out.push(Insn::Mov { width: Width::W32, dst, src: dst.into() });
        }
        self.spent(&[src], dst);
    }

    /// `x << n | x >> (width - n)`, in either order, and with the wrong distance now and then.
    fn rotation(&mut self) {
        let (src, width) = (self.number(), self.width());
        let [left, right] = self.targets(src);
        let n = 1 + self.entropy.below(width.bits() - 1) as i32;
        let back = if self.entropy.one_in(8) { n } else { width.bits() as i32 - n };
        self.begin(left, src);
        self.alu_imm(width, AluOp::Lsh, left, n);
        self.between(&[src, left]);
        // The second half of the value itself, if that is not needed.
        let right = if self.is_pinned(src) || self.entropy.one_in(2) { right } else { src };
        self.begin(right, src);
        let width = self.mostly(width);
        self.alu_imm(width, AluOp::Rsh, right, back & (width.bits() as i32 - 1));
        self.between(&[src, right, left]);
        let (dst, other) = if self.entropy.one_in(2) { (left, right) } else { (right, left) };
        let op = self.entropy.pick(&[AluOp::Or, AluOp::Xor, AluOp::Add, AluOp::Or]);
        self.out.push(Insn::Alu { width, op, dst, src: other.into() });
        self.spent(&[other, src], dst);
    }

    /// Memory that may be read and written: the register, how far the first byte is from it, and how many there are.
    fn some_memory(&mut self) -> (Reg, i16, u32) {
        match self.reg_where(Kind::is_memory) {
            Some(base) if !self.entropy.one_in(4) => (base, 0, super::memory::reach(self.state.get(base))),
            Some(_) | None => (Reg::FP, offset(self.number_pair()), 16),
        }
    }

    /// A number out of bytes, or half-words, in the one order or the other.
    fn bytes_read(&mut self) {
        let (base, start, room) = self.some_memory();
        let part = self.entropy.pick(&[Size::B, Size::B, Size::H]);
        let count = self.entropy.pick(&[2, 4, 2, 8 / part.bytes()]);
        let bytes = part.bytes();
        let Some(spare) = room.checked_sub(count * bytes) else { return self.zeros() };
        let first = start + (self.entropy.below(spare + 1) & !(bytes - 1)) as i16;
        let [dst, piece] = self.targets(base);
        let (high_first, wrong) = (self.entropy.one_in(2), self.entropy.one_in(8));
        let width = if count * bytes == 8 { Width::W64 } else { self.width() };
        let op = self.entropy.pick(&[AluOp::Or, AluOp::Or, AluOp::Add, AluOp::Xor]);
        for at in 0..count {
            let into = if at == 0 { dst } else { piece };
            let off = first + (at * bytes) as i16;
            self.out.push(Insn::Load { size: part, signed: wrong && at == 1, dst: into, base, off });
            let lane = if high_first { count - 1 - at } else { at } * bytes * 8;
            if lane > 0 {
                self.alu_imm(width, AluOp::Lsh, into, (lane & (width.bits() - 1)) as i32);
            }
            self.state.set(into, Kind::Number);
            if at + 1 == count && self.entropy.one_in(8) {
                // They change before they are together.
                let off = first + (self.entropy.below(count) * bytes) as i16;
                self.out.push(Insn::Store { size: part, base, off, src: dst.into() });
            }
            if at > 0 {
                self.out.push(Insn::Alu { width, op, dst, src: piece.into() });
            }
            if at == 0 || self.entropy.one_in(4) {
                self.beside(base, |this| this.between(&[dst]));
            }
        }
        if self.entropy.one_in(4) {
            let (op, size) = (self.entropy.pick(ring3_isa::EndianOp::ALL), self.entropy.pick(&[Size::H, Size::W]));
            self.out.push(Insn::Endian { op, size, dst });
        }
        self.spent(&[piece], dst);
    }

    /// A number into bytes, or half-words.
    fn bytes_written(&mut self) {
        let (base, start, room) = self.some_memory();
        let src = self.beside(base, Self::number);
        let part = self.entropy.pick(&[Size::B, Size::B, Size::H]);
        let count = self.entropy.pick(&[2, 4, 2, 8 / part.bytes()]);
        let bytes = part.bytes();
        let Some(spare) = room.checked_sub(count * bytes) else { return self.zeros() };
        let first = start + (self.entropy.below(spare + 1) & !(bytes - 1)) as i16;
        let [piece] = self.beside(src, |this| this.targets(base));
        let (high_first, in_place) = (self.entropy.one_in(2), self.entropy.one_in(2));
        let width = if count * bytes == 8 { Width::W64 } else { self.width() };
        for at in 0..count {
            let by = (bytes * 8) as i32;
            // From the number itself, or what is left of it.
            if at == 0 || !in_place {
                self.begin(piece, src);
            }
            let by = if in_place { by.min(by * at as i32) } else { by * at as i32 };
            if by > 0 {
                self.alu_imm(width, AluOp::Rsh, piece, by & (width.bits() as i32 - 1));
            }
            let lane = if high_first { count - 1 - at } else { at };
            let off = first + (lane * bytes) as i16;
            self.out.push(Insn::Store { size: part, base, off, src: piece.into() });
            if self.entropy.one_in(4) {
                // Another access, which may lie among these bytes.
                let off = first + (self.entropy.below(count) * bytes) as i16;
                if self.entropy.one_in(2) {
                    let [dst] = self.beside(src, |this| this.beside(piece, |this| this.targets(base)));
                    self.out.push(Insn::Load { size: part, signed: false, dst, base, off });
                    self.state.set(dst, Kind::Number);
                } else {
                    self.out.push(Insn::Store { size: part, base, off, src: src.into() });
                }
            }
        }
        self.spent(&[piece, src], base);
    }

    /// Zeros in a row, not always in order, with something between.
    fn zeros(&mut self) {
        let word = 4 + self.entropy.below(super::WORDS as u32 - 4) as usize;
        let size = self.entropy.pick(&[Size::Dw, Size::Dw, Size::W]);
        let down = self.entropy.one_in(2);
        let count = 2 + self.entropy.below(3);
        for at in 0..count {
            let at = if down { count - 1 - at } else { at };
            // All words become numbers, of which half may have been there before.
            let off = offset(word) + (at * size.bytes()) as i16;
            let src = if self.entropy.one_in(8) { self.operand() } else { Operand::Imm(0) };
            self.out.push(Insn::Store { size, base: Reg::FP, off, src });
            if size == Size::Dw {
                self.state.words[word - at as usize] = Kind::Number;
            } else if !self.state.words[word - at as usize / 2].is_number() {
                let of = word - at as usize / 2;
                self.out.push(Insn::Store { size: Size::Dw, base: Reg::FP, off: offset(of), src });
                self.state.words[of] = Kind::Number;
            }
            if self.entropy.one_in(4) {
                self.access();
            }
        }
    }

    /// One or more `if (a < b) c = d`.
    fn choice(&mut self) {
        let dst = self.own_number();
        for _ in 0..1 + self.entropy.below(3) {
            let (width, op) = (self.width(), self.entropy.pick(CmpOp::ALL));
            let lhs = if self.entropy.one_in(2) { dst } else { self.number() };
            let rhs = self.operand();
            let around = self.out.label();
            self.out.branch(width, op, lhs, rhs, around);
            let from = match rhs {
                Operand::Reg(rhs) if self.entropy.one_in(2) => Operand::Reg(rhs),
                // A bound, or one beside it.
                Operand::Imm(bound) if self.entropy.one_in(2) => {
                    Operand::Imm(bound.wrapping_add(self.entropy.below(3) as i32 - 1))
                }
                Operand::Reg(_) | Operand::Imm(_) => self.known_operand(),
            };
            self.one_move(dst, from);
            self.out.place(around);
        }
        self.state.set(dst, Kind::Number);
    }

    /// `if (a) b -= c; if (!b) d`: what a machine knows of the result it knows on one of two ways only.
    fn tested(&mut self) {
        let dst = self.own_number();
        let (around, over) = (self.out.label(), self.out.label());
        let (width, op) = (self.width(), self.entropy.pick(CmpOp::ALL));
        let (lhs, rhs) = (self.number(), self.operand());
        self.out.branch(width, op, lhs, rhs, around);
        let (width, op) = (self.width(), self.entropy.pick(&SIMPLE));
        let imm = self.entropy.imm();
        let imm = if op == AluOp::Lsh { imm & (width.bits() as i32 - 1) } else { imm };
        self.alu_imm(width, op, dst, imm);
        self.out.place(around);
        let (width, op) = (self.mostly(width), self.entropy.pick(&[CmpOp::Eq, CmpOp::Ne, CmpOp::Slt, CmpOp::Sge]));
        self.out.branch(width, op, dst, Operand::Imm(0), over);
        let from = self.known_operand();
        self.one_move(dst, from);
        self.out.place(over);
        self.state.set(dst, Kind::Number);
    }

    /// `c = a < b ? d : e`: with a way around, or with the first value in advance.
    fn diamond(&mut self) {
        let (width, op) = (self.width(), self.entropy.pick(CmpOp::ALL));
        let (lhs, rhs) = (self.number(), self.operand());
        let (first, second) = (self.known_operand(), self.known_operand());
        let dst = self.target();
        let (other, end) = (self.out.label(), self.out.label());
        self.out.branch(width, op, lhs, rhs, other);
        self.one_move(dst, first);
        self.out.jump(end);
        self.out.place(other);
        self.one_move(dst, second);
        self.out.place(end);
        self.state.set(dst, Kind::Number);
        self.spent(&[lhs], dst);
    }

    /// `if (a || b) c = d`: a jump leads to the move itself.
    fn either(&mut self) {
        let dst = self.own_number();
        let (then, around) = (self.out.label(), self.out.label());
        for label in [then, around] {
            let (width, op) = (self.width(), self.entropy.pick(CmpOp::ALL));
            let (lhs, rhs) = (self.number(), self.known_operand());
            self.out.branch(width, op, lhs, rhs, label);
        }
        self.out.place(then);
        let from = self.known_operand();
        self.one_move(dst, from);
        self.out.place(around);
    }

    /// A number that is there, or an immediate: no instruction.
    fn known_operand(&mut self) -> Operand {
        match self.reg_where(Kind::is_number) {
            Some(reg) if !self.entropy.one_in(3) => reg.into(),
            Some(_) | None => self.entropy.imm().into(),
        }
    }

    /// One move of any form.
    fn one_move(&mut self, dst: Reg, src: Operand) {
        let insn = match src {
            Operand::Imm(_) if self.entropy.one_in(4) => Insn::LoadImm { dst, value: Wide::Imm(self.entropy.number()) },
            Operand::Imm(_) | Operand::Reg(_) => Insn::Mov { width: self.width(), dst, src },
        };
        self.out.push(insn);
    }

    /// `d = a op b`, which takes two instructions; or `d = a + (b << n)`, which takes three.
    fn sum(&mut self) {
        let src = self.number();
        let [dst, shifted] = self.targets(src);
        self.begin(dst, src);
        self.between(&[src, dst]);
        let (op, width) = (self.entropy.pick(&SIMPLE), self.width());
        let operand = if self.entropy.one_in(2) {
            let index = self.number();
            self.begin(shifted, index);
            let count = 1 + self.entropy.below(4) as i32;
            self.alu_imm(Width::W64, AluOp::Lsh, shifted, count);
            self.between(&[shifted, src, dst]);
            shifted.into()
        } else {
            self.operand()
        };
        let operand = match operand {
            Operand::Imm(imm) => Operand::Imm(super::numbers::legal(op, width, imm)),
            reg @ Operand::Reg(_) => reg,
        };
        self.out.push(Insn::Alu { width, op, dst, src: operand });
        self.spent(&[shifted, src], dst);
    }

    /// An element of a value by its index: `base + (i << n)`, or the other way round.
    fn scaled(&mut self) {
        let number = self.number();
        let Some(base) = self.reg_where(|kind| matches!(kind, Kind::Value(_))) else { return self.sum() };
        let [index, address] = self.targets(base);
        let count = self.entropy.below(4);
        self.begin(index, number);
        self.alu_imm(Width::W64, AluOp::And, index, 1);
        if count > 0 {
            self.alu_imm(Width::W64, AluOp::Lsh, index, count as i32);
        }
        self.beside(base, |this| this.beside(index, |this| this.between(&[number])));
        let room = super::memory::reach(self.state.get(base)) - 8 - 8;
        let (sum, other) = if self.entropy.one_in(2) {
            self.copy(address, base);
            (address, index)
        } else {
            (index, base)
        };
        self.out.push(Insn::Alu { width: Width::W64, op: AluOp::Add, dst: sum, src: other.into() });
        self.state.set(sum, Kind::Unknown);
        if sum == address {
            self.beside(base, |this| this.beside(address, |this| this.between(&[index])));
        }
        let size = self.entropy.pick(Size::ALL);
        let off = self.entropy.below(room + 1) as i16;
        for _ in 0..1 + self.entropy.below(2) {
            let changed = self.beside(sum, Self::number);
            if self.entropy.one_in(2) {
                self.out.push(Insn::Store { size, base: sum, off, src: changed.into() });
            } else {
                let [dst] = self.beside(sum, |this| this.targets(base));
                self.out.push(Insn::Load { size, signed: false, dst, base: sum, off });
                self.state.set(dst, Kind::Number);
                let op = self.entropy.pick(&SIMPLE[..6]);
                let operand = self.operand();
                self.out.push(Insn::Alu { width: Width::W64, op, dst, src: operand });
                self.out.push(Insn::Store { size, base: sum, off, src: dst.into() });
                self.spent(&[dst], base);
            }
        }
        if self.state.get(index).is_number() {
            self.spent(&[index], base);
        }
    }

    /// A number of the other byte order in an array, by an index that is needed again as it was before it was scaled.
    fn swapped(&mut self) {
        let number = self.number();
        let Some(base) = self.reg_where(|kind| matches!(kind, Kind::Value(_))) else { return self.sum() };
        let [index, address, older] = self.targets(base);
        self.begin(index, number);
        self.alu_imm(Width::W64, AluOp::And, index, 1);
        self.copy(older, index);
        let count = 1 + self.entropy.below(3) as i32;
        self.alu_imm(Width::W64, AluOp::Lsh, index, count);
        self.copy(address, base);
        self.out.push(Insn::Alu { width: Width::W64, op: AluOp::Add, dst: address, src: index.into() });
        self.state.set(address, Kind::Unknown);
        let (size, op) =
            (self.entropy.pick(&[Size::H, Size::W, Size::Dw]), self.entropy.pick(ring3_isa::EndianOp::ALL));
        let room = super::memory::reach(self.state.get(base)) - 8 - 8;
        let off = self.entropy.below(room + 1) as i16;
        let [dst] = self.beside(older, |this| this.targets(base));
        self.out.push(Insn::Load { size, signed: false, dst, base: address, off });
        self.state.set(dst, Kind::Number);
        self.out.push(Insn::Endian { op, size, dst });
        let number = self.entropy.below(64) as i32;
        self.alu_imm(Width::W64, AluOp::Add, older, number);
        self.out.push(Insn::Store { size: Size::Dw, base, off: 0, src: older.into() });
        self.spent(&[index, dst], older);
    }

    /// By a constant, sometimes with the rest by a multiplication, and sometimes of what has nothing in its upper half.
    fn division(&mut self) {
        let src = self.number();
        let [quotient, rest] = self.targets(src);
        let width = self.width();
        let op = self.entropy.pick(&[AluOp::Div, AluOp::Mod, AluOp::SDiv, AluOp::SMod]);
        let by = self.entropy.pick(&DIVISORS);
        self.begin(quotient, src);
        if self.entropy.one_in(3) {
            self.out.push(Insn::Mov { width: Width::W32, dst: quotient, src: quotient.into() });
        }
        self.between(&[src, quotient]);
        self.alu_imm(width, op, quotient, by);
        if self.entropy.one_in(2) {
            self.begin(rest, quotient);
            self.alu_imm(width, AluOp::Mul, rest, by);
            self.between(&[src, rest, quotient]);
            self.out.push(Insn::Alu { width, op: AluOp::Sub, dst: rest, src: src.into() });
        }
        self.spent(&[src], quotient);
    }

    /// `h = h * 31 + x`, a few times.
    fn products(&mut self) {
        let (src, width) = (self.number(), self.width());
        let [dst] = self.targets(src);
        self.begin(dst, src);
        for _ in 0..1 + self.entropy.below(3) {
            let factor = self.entropy.pick(&[31, 33, 3, 5, 9, 8, 0x0100_0193, -1]);
            self.alu_imm(width, AluOp::Mul, dst, factor);
            let op = self.entropy.pick(&[AluOp::Add, AluOp::Add, AluOp::Xor, AluOp::Sub]);
            let operand = self.operand();
            self.out.push(Insn::Alu { width, op, dst, src: operand });
            self.between(&[dst, src]);
        }
        self.spent(&[src], dst);
    }

    /// A number if a bit is set, and else 0.
    fn by_bit(&mut self) {
        let (dst, src, width) = (self.target(), self.number(), self.width());
        self.begin(dst, src);
        if self.entropy.one_in(2) {
            let by = self.entropy.below(width.bits()) as i32;
            self.alu_imm(width, AluOp::Rsh, dst, by);
        }
        self.alu_imm(width, AluOp::And, dst, 1);
        self.between(&[src, dst]);
        let width = if self.entropy.one_in(4) { self.width() } else { width };
        self.out.push(Insn::Neg { width, dst });
        self.between(&[src, dst]);
        let mask = self.entropy.imm();
        let width = if self.entropy.one_in(4) { self.width() } else { width };
        self.alu_imm(width, AluOp::And, dst, mask);
        self.spent(&[src], dst);
    }

    /// Load, change and store of the same place.
    fn changed(&mut self) {
        let (base, start, room) = self.some_memory();
        let size = self.entropy.pick(Size::ALL);
        let Some(spare) = room.checked_sub(size.bytes()) else { return self.zeros() };
        let off = start + (self.entropy.below(spare + 1) & !(size.bytes() - 1)) as i16;
        let [dst] = self.targets(base);
        self.out.push(Insn::Load { size, signed: false, dst, base, off });
        self.state.set(dst, Kind::Number);
        self.beside(base, |this| this.between(&[dst]));
        self.changes(size, base, off);
        let (op, width) = (self.entropy.pick(&SIMPLE[..6]), self.width());
        let operand = self.beside(base, Self::operand);
        self.out.push(Insn::Alu { width, op, dst, src: operand });
        let touched: &[Reg] = match operand.reg() {
            Some(reg) => &[reg, dst],
            None => &[dst],
        };
        self.beside(base, |this| this.between(touched));
        self.out.push(Insn::Store { size, base, off, src: dst.into() });
        self.spent(&[dst], base);
    }

    /// A branch on what was loaded.
    fn compared(&mut self) {
        let (base, start, room) = self.some_memory();
        let size = self.entropy.pick(Size::ALL);
        let Some(spare) = room.checked_sub(size.bytes()) else { return self.zeros() };
        let off = start + (self.entropy.below(spare + 1) & !(size.bytes() - 1)) as i16;
        let [loaded] = self.targets(base);
        let signed = size != Size::Dw && self.entropy.one_in(4);
        self.out.push(Insn::Load { size, signed, dst: loaded, base, off });
        self.state.set(loaded, Kind::Number);
        self.beside(base, |this| this.between(&[loaded]));
        self.changes(size, base, off);
        let (width, op) = (self.width(), self.entropy.pick(CmpOp::ALL));
        let rhs = if self.entropy.one_in(2) { Operand::Imm(self.entropy.byte().into()) } else { self.operand() };
        let around = self.out.label();
        self.out.branch(width, op, loaded, rhs, around);
        self.spent(&[loaded], base);
        let before = self.state;
        self.alu();
        self.out.place(around);
        self.state.join(&before);
    }

    /// Memory that was loaded is overwritten, now and then.
    fn changes(&mut self, size: Size, base: Reg, off: i16) {
        if self.entropy.one_in(4) {
            let src = self.known_operand();
            self.out.push(Insn::Store { size, base, off, src });
        }
    }

    /// Numbers in registers that calls keep, or change if nobody needs them.
    pub(super) fn across_call(&mut self) {
        let kept: Vec<Reg> = regs(6..10).filter(|reg| !self.is_pinned(*reg)).collect();
        let mut live = Vec::new();
        for reg in kept {
            if self.entropy.one_in(2) {
                let src = self.operand();
                self.out.push(Insn::Mov { width: Width::W64, dst: reg, src });
                self.state.set(reg, Kind::Number);
                live.push(reg);
            }
        }
        if let &[.., of, copy] = &live[..]
            && self.entropy.one_in(2)
        {
            self.copy(copy, of);
        }
        match self.entropy.below(4) {
            0 => self.helper(),
            1 => self.callback(),
            _ => self.call(),
        }
        // Of a value and its copy only the copy may be needed.
        for reg in live.into_iter().rev() {
            if self.entropy.one_in(4) {
                self.state.set(reg, Kind::Unknown);
                continue;
            }
            let op = self.entropy.pick(&SIMPLE[..5]);
            if self.entropy.one_in(2) {
                self.out.push(Insn::Alu { width: Width::W64, op, dst: Reg::R0, src: reg.into() });
                self.spent(&[reg], Reg::R0);
            } else {
                let src = self.operand();
                self.out.push(Insn::Alu { width: Width::W64, op, dst: reg, src });
            }
        }
    }

    /// `dst = src`: the whole of it, the low half, or nothing if they are the same.
    fn begin(&mut self, dst: Reg, src: Reg) {
        if dst != src {
            let width = if self.entropy.one_in(4) { Width::W32 } else { Width::W64 };
            self.out.push(Insn::Mov { width, dst, src: src.into() });
            self.state.set(dst, Kind::Number);
        }
    }

    /// This width, and seldom the other one.
    fn mostly(&mut self, width: Width) -> Width {
        if self.entropy.one_in(8) { self.width() } else { width }
    }

    /// What may come between the instructions of an idiom: they have numbers in these registers.
    fn between(&mut self, regs: &[Reg]) {
        let choice = self.entropy.byte();
        if choice < 128 {
            return;
        }
        let reg = self.entropy.pick(regs);
        let free: Vec<Reg> = super::regs(0..10).filter(|free| !self.is_pinned(*free) && !regs.contains(free)).collect();
        if free.is_empty() || self.is_pinned(reg) || !self.state.get(reg).is_number() {
            return;
        }
        let aside = self.entropy.pick(&free);
        let copy = |dst: Reg, src: Reg| Insn::Mov { width: Width::W64, dst, src: src.into() };
        match choice % 8 {
            // Away, something else, and back.
            0..3 => {
                self.out.push(copy(aside, reg));
                self.state.set(aside, Kind::Number);
                self.overwritten(reg);
                self.read(reg, aside);
                self.out.push(copy(reg, aside));
                self.spent(&[aside], reg);
            }
            // Somebody else has it too.
            3 => {
                self.out.push(copy(aside, reg));
                self.state.set(aside, Kind::Number);
            }
            // It is gone.
            4 => {
                self.overwritten(reg);
                self.read(reg, aside);
            }
            // The low half only.
            5 => self.out.push(Insn::Mov { width: Width::W32, dst: reg, src: reg.into() }),
            6 => {
                let (base, start, room) = self.some_memory();
                let src = self.beside(base, Self::operand);
                let off = start + (self.entropy.below(room) & !7) as i16;
                if room >= 8 + self.entropy.below(8) {
                    let off = off.min(start + (room as i16 - 8));
                    self.out.push(Insn::Store { size: Size::B, base, off, src });
                }
            }
            _ => {
                let (op, width) = (self.entropy.pick(&SIMPLE[..5]), self.width());
                let src = self.operand();
                self.out.push(Insn::Alu { width, op, dst: reg, src });
            }
        }
    }

    /// Somebody reads what is in a register, so that it has to be there. Not in this other register.
    fn read(&mut self, reg: Reg, not: Reg) {
        if self.entropy.one_in(4) {
            return;
        }
        let numbers: Vec<Reg> = regs(0..10)
            .filter(|dst| self.state.get(*dst).is_number() && !self.is_pinned(*dst) && *dst != reg && *dst != not)
            .collect();
        if numbers.is_empty() || self.entropy.one_in(2) {
            let word = self.entropy.below(super::WORDS as u32) as usize;
            if self.loops == 0 || self.state.words[word].is_number() {
                self.out.push(Insn::Store { size: Size::Dw, base: Reg::FP, off: offset(word), src: reg.into() });
                self.state.words[word] = Kind::Number;
            }
        } else {
            let dst = self.entropy.pick(&numbers);
            self.out.push(Insn::Alu { width: Width::W64, op: AluOp::Xor, dst, src: reg.into() });
        }
    }

    /// Another number, from somewhere.
    fn overwritten(&mut self, reg: Reg) {
        let src = self.known_operand();
        self.one_move(reg, src);
    }

    /// What is in these registers is mostly not needed any more, unless it is here.
    fn spent(&mut self, regs: &[Reg], kept: Reg) {
        for reg in regs {
            if *reg != kept && !self.is_pinned(*reg) && !self.entropy.one_in(3) {
                self.state.set(*reg, Kind::Unknown);
            }
        }
    }
}
