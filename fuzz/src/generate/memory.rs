//! Statements on memory: the stack, map values, packets, the context.

use ring3_isa::{AluOp, AtomicOp, CmpOp, Insn, Operand, Reg, Size, Width};

use super::state::{Kind, WORDS};
use super::{Generator, offset};

/// Bytes of a `Kind::Pair`.
const PAIR_BYTES: u32 = 16;

/// Bytes that an address of this kind reaches.
pub(super) fn reach(kind: Kind) -> u32 {
    match kind {
        Kind::Value(map) => map.value_bytes(),
        Kind::Packet(bytes) => bytes.into(),
        Kind::Pair => PAIR_BYTES,
        Kind::Unknown | Kind::Number | Kind::Ctx => 0,
    }
}

impl Generator<'_, '_> {
    /// A word of the stack that holds a number; stores one if there is none.
    pub(super) fn number_word(&mut self) -> usize {
        let word = self.entropy.below(WORDS as u32) as usize;
        if !self.state.words[word].is_number() {
            let src = self.operand();
            self.out.push(Insn::Store { size: Size::Dw, base: Reg::FP, off: offset(word), src });
            self.state.words[word] = Kind::Number;
        }
        word
    }

    /// Two neighbouring words of the stack that hold numbers. Gives the lower one in memory.
    pub(super) fn number_pair(&mut self) -> usize {
        let word = 1 + self.entropy.below(WORDS as u32 - 1) as usize;
        for word in [word, word - 1] {
            if !self.state.words[word].is_number() {
                let src = self.operand();
                self.out.push(Insn::Store { size: Size::Dw, base: Reg::FP, off: offset(word), src });
                self.state.words[word] = Kind::Number;
            }
        }
        word
    }

    /// A load or store of part of a word of the stack.
    pub(super) fn stack(&mut self) {
        if self.frames && self.entropy.one_in(6) {
            return self.stack_by_number();
        }
        let word = self.number_word();
        let size = self.entropy.pick(Size::ALL);
        let part = self.entropy.below(8 / size.bytes()) * size.bytes();
        let off = offset(word) + part as i16;
        self.plain(size, Reg::FP, off);
    }

    /// The same at one of several places, by a number.
    fn stack_by_number(&mut self) {
        let (number, word) = (self.number(), self.number_pair());
        let [index, address] = self.targets(number);
        let size = self.entropy.pick(Size::ALL);
        // Accesses of the stack are aligned.
        let mask = match size {
            Size::B => 15,
            Size::H => 14,
            Size::W => 12,
            Size::Dw => 8,
        };
        self.copy(index, number);
        self.alu_imm(Width::W64, AluOp::And, index, mask);
        self.stack_address(address, word);
        self.out.push(Insn::Alu { width: Width::W64, op: AluOp::Add, dst: address, src: index.into() });
        self.plain(size, address, 0);
    }

    /// A load or store, where both are fine.
    fn plain(&mut self, size: Size, base: Reg, off: i16) {
        match self.entropy.below(8) {
            0..3 => {
                let signed = size != Size::Dw && self.entropy.one_in(2);
                let dst = self.target();
                self.out.push(Insn::Load { size, signed, dst, base, off });
                self.state.set(dst, Kind::Number);
            }
            3..7 => {
                let src = self.beside(base, Self::operand);
                self.out.push(Insn::Store { size, base, off, src });
            }
            _ => self.ordered(size, base, off),
        }
    }

    /// Load-acquire or store-release, which want aligned memory and no packet.
    fn ordered(&mut self, size: Size, base: Reg, off: i16) {
        let off = off - off.rem_euclid(size.bytes() as i16);
        if base != Reg::FP && !matches!(self.state.get(base), Kind::Value(_) | Kind::Pair) {
            return;
        }
        if self.entropy.one_in(2) {
            let src = self.beside(base, Self::number);
            self.out.push(Insn::StoreRelease { size, base, off, src });
        } else {
            let dst = self.target();
            self.out.push(Insn::LoadAcquire { size, dst, base, off });
            self.state.set(dst, Kind::Number);
        }
    }

    /// Puts an address into the stack. Not in loops, whose next round would find it where there was a number.
    pub(super) fn spill(&mut self) {
        let Some(src) = self.reg_where(Kind::is_memory) else { return };
        let word = self.entropy.below(WORDS as u32) as usize;
        if self.loops == 0 {
            self.out.push(Insn::Store { size: Size::Dw, base: Reg::FP, off: offset(word), src: src.into() });
            self.state.words[word] = self.state.get(src);
        }
    }

    /// Takes anything back out of the stack.
    pub(super) fn fill(&mut self) {
        let known: Vec<usize> = (0..WORDS).filter(|word| self.state.words[*word] != Kind::Unknown).collect();
        if known.is_empty() {
            return;
        }
        let (word, dst) = (self.entropy.pick(&known), self.target());
        if self.loops == 0 || self.state.words[word].is_number() {
            self.out.push(Insn::Load { size: Size::Dw, signed: false, dst, base: Reg::FP, off: offset(word) });
            self.state.set(dst, self.state.words[word]);
        }
    }

    /// A load or store of a map value, a packet or a caller's stack.
    pub(super) fn access(&mut self) {
        let Some(base) = self.reg_where(Kind::is_memory) else { return self.stack() };
        let kind = self.state.get(base);
        let size = self.entropy.pick(Size::ALL);
        let Some(room) = reach(kind).checked_sub(size.bytes()) else { return };
        let at = self.entropy.below(room + 1);
        // The stack of a caller wants alignment, as every stack.
        let at = if kind == Kind::Pair { at - at % size.bytes() } else { at };
        self.plain(size, base, at as i16);
    }

    pub(super) fn atomic(&mut self) {
        let size = self.entropy.pick(&[Size::Dw, Size::W]);
        let base = match self.reg_where(|kind| matches!(kind, Kind::Value(_) | Kind::Pair)) {
            Some(base) if !self.entropy.one_in(4) => Some(base),
            Some(_) | None => None,
        };
        let (base, start, room) = match base {
            Some(base) => (base, 0, reach(self.state.get(base))),
            None => (Reg::FP, offset(self.number_word()), 8),
        };
        let off = start + (self.entropy.below(room / size.bytes()) * size.bytes()) as i16;
        let op = self.entropy.pick(AtomicOp::ALL);
        if op == AtomicOp::Cmpxchg && !self.state.get(Reg::R0).is_number() {
            if base == Reg::R0 {
                return;
            }
            self.constant(Reg::R0);
        }
        let overwrites = op.fetches_into(Reg::R1) == Some(Reg::R1);
        let src = self.beside(base, if overwrites { Self::own_number } else { Self::number });
        self.out.push(Insn::Atomic { op, size, base, off, src });
    }

    /// An access of a map value at an offset that is a number, masked so that it fits.
    pub(super) fn indexed(&mut self) {
        let number = self.number();
        let Some(base) = self.reg_where(|kind| matches!(kind, Kind::Value(_))) else { return self.atomic() };
        let [index, address] = self.targets(base);
        let size = self.entropy.pick(Size::ALL);
        let mask = self.entropy.pick(&[7, 3, 15, 1, 12]);
        self.copy(index, number);
        let width = self.width();
        self.alu_imm(width, AluOp::And, index, mask);
        self.copy(address, base);
        self.out.push(Insn::Alu { width: Width::W64, op: AluOp::Add, dst: address, src: index.into() });
        self.state.set(address, Kind::Unknown);
        let room = reach(self.state.get(base)) - mask as u32 - size.bytes();
        let off = self.entropy.below(room + 1) as i16;
        self.plain(size, address, off);
    }

    /// The same with a bound that may not be enough: the verifier has to find out.
    pub(super) fn guess(&mut self) {
        let number = self.number();
        let Some(base) = self.reg_where(|kind| matches!(kind, Kind::Value(_))) else { return self.condition() };
        let [index, address] = self.targets(base);
        self.copy(index, number);
        let skip = self.out.label();
        for _ in 0..1 + self.entropy.below(2) {
            let ops = [CmpOp::Gt, CmpOp::Ge, CmpOp::Sgt, CmpOp::Slt, CmpOp::Ne, CmpOp::Lt, CmpOp::Set];
            let (op, width) = (self.entropy.pick(&ops), self.width());
            let bound = self.entropy.below(reach(self.state.get(base)) + 4) as i32 - 2;
            self.out.branch(width, op, index, Operand::Imm(bound), skip);
        }
        if self.entropy.one_in(3) {
            self.out.push(Insn::Mov { width: Width::W32, dst: index, src: index.into() });
        }
        let around = self.state;
        self.copy(address, base);
        self.out.push(Insn::Alu { width: Width::W64, op: AluOp::Add, dst: address, src: index.into() });
        self.state.set(address, Kind::Unknown);
        let size = self.entropy.pick(Size::ALL);
        let off = self.entropy.below(8) as i16;
        self.plain(size, address, off);
        self.out.place(skip);
        self.state.join(&around);
    }

    /// A field of the context that is a number.
    pub(super) fn field(&mut self) {
        let Some(base) = self.reg_where(|kind| kind == Kind::Ctx) else { return self.stack() };
        // `ingress_ifindex` and `rx_queue_index` of `struct xdp_md`.
        let (off, dst) = (self.entropy.pick(&[12, 16]), self.target());
        self.out.push(Insn::Load { size: Size::W, signed: false, dst, base, off });
        self.state.set(dst, Kind::Number);
    }
}
