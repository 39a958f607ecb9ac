//! Statements that jump.

use ring3_isa::{AluOp, CmpOp, Insn, Operand, Reg, Size, Width};

use super::state::Kind;
use super::{Generator, offset, regs};

/// Blocks within blocks.
const MAX_NESTING: u32 = 5;
/// Loops within loops.
const MAX_LOOPS: u32 = 2;

impl Generator<'_, '_> {
    /// A condition on numbers, with one or two arms.
    pub(super) fn condition(&mut self) {
        if self.nesting > MAX_NESTING {
            return self.alu();
        }
        let (width, op) = (self.width(), self.entropy.pick(CmpOp::ALL));
        let (lhs, rhs) = (self.number(), self.operand());
        let (other, end) = (self.out.label(), self.out.label());
        self.out.branch(width, op, lhs, rhs, other);
        let before = self.state;
        self.block(4);
        if self.entropy.one_in(2) {
            if self.entropy.one_in(4) {
                self.out.long_jump(end)
            } else {
                self.out.jump(end)
            }
            self.out.place(other);
            let first = std::mem::replace(&mut self.state, before);
            self.block(4);
            self.state.join(&first);
        } else {
            self.out.place(other);
            self.state.join(&before);
        }
        self.out.place(end);
    }

    /// A loop that counts in a register. Each round finds what the first one found: what the body changed is put right.
    pub(super) fn repeat(&mut self) {
        let free: Vec<Reg> = regs(7..10).filter(|reg| !self.is_pinned(*reg)).collect();
        if self.nesting > MAX_NESTING || self.loops >= MAX_LOOPS || free.is_empty() {
            return self.alu();
        }
        let counter = self.entropy.pick(&free);
        let pinned = self.pinned;
        self.mov_imm(counter, 0);
        self.pin(counter);
        // Addresses that calls overwrite, or that were spilled, are not used inside; the others are not changed.
        for kind in self.state.regs[..6].iter_mut().filter(|kind| !kind.is_number()) {
            *kind = Kind::Unknown;
        }
        for word in self.state.words.iter_mut().filter(|word| !word.is_number()) {
            *word = Kind::Unknown;
        }
        for reg in regs(6..10) {
            if self.state.get(reg).is_memory() || self.state.get(reg) == Kind::Ctx {
                self.pin(reg);
            }
        }
        let entry = self.state;
        let (top, out) = (self.out.label(), self.out.label());
        self.out.place(top);
        self.loops += 1;
        let may_goto = self.entropy.one_in(6);
        if may_goto {
            self.out.may_goto(out);
        }
        self.block(3);
        self.restore(&entry);
        self.alu_imm(Width::W64, AluOp::Add, counter, 1);
        let rounds = 1 + self.entropy.below(6) as i32;
        let (width, op) = (self.width(), self.entropy.pick(&[CmpOp::Lt, CmpOp::Ne, CmpOp::Slt]));
        self.out.branch(width, op, counter, Operand::Imm(rounds), top);
        self.loops -= 1;
        self.out.place(out);
        if may_goto {
            self.state.join(&entry);
        }
        self.pinned = pinned;
    }

    /// Numbers again where `entry` has numbers.
    fn restore(&mut self, entry: &super::State) {
        for reg in regs(0..10).filter(|reg| entry.get(*reg).is_number()) {
            if !self.state.get(reg).is_number() {
                self.constant(reg);
            }
        }
        for (word, _) in entry.words.iter().enumerate().filter(|(_, kind)| kind.is_number()) {
            if !self.state.words[word].is_number() {
                self.out.push(Insn::Store { size: Size::Dw, base: Reg::FP, off: offset(word), src: Operand::Imm(0) });
                self.state.words[word] = Kind::Number;
            }
        }
    }

    /// The bounds check of a packet, and statements that may use what was checked.
    pub(super) fn packet(&mut self) {
        let index = self.number();
        let Some(ctx) = self.reg_where(|kind| kind == Kind::Ctx) else { return self.stack() };
        if self.nesting > MAX_NESTING {
            return self.field();
        }
        let [data, limit, end] = self.targets(ctx);
        // `data` and `data_end` of `struct xdp_md`.
        self.out.push(Insn::Load { size: Size::W, signed: false, dst: end, base: ctx, off: 4 });
        if self.entropy.one_in(3) && index != end {
            // At an offset that is a number.
            self.copy(limit, index);
            let mask = self.entropy.pick(&[7, 15, 31]);
            self.alu_imm(Width::W64, AluOp::And, limit, mask);
            self.out.push(Insn::Load { size: Size::W, signed: false, dst: data, base: ctx, off: 0 });
            self.out.push(Insn::Alu { width: Width::W64, op: AluOp::Add, dst: data, src: limit.into() });
        } else {
            self.out.push(Insn::Load { size: Size::W, signed: false, dst: data, base: ctx, off: 0 });
        }
        for reg in [data, limit, end] {
            self.state.set(reg, Kind::Unknown);
        }
        self.copy(limit, data);
        let bytes = 1 + self.entropy.below(40);
        self.alu_imm(Width::W64, AluOp::Add, limit, bytes as i32);
        let skip = self.out.label();
        if self.entropy.one_in(2) {
            self.out.branch(Width::W64, CmpOp::Lt, end, limit.into(), skip);
        } else {
            self.out.branch(Width::W64, CmpOp::Gt, limit, end.into(), skip);
        }
        let before = self.state;
        self.state.set(data, Kind::Packet(bytes as u8));
        self.keep(data);
        self.block(5);
        self.out.place(skip);
        self.state.join(&before);
    }

    /// Sometimes also in a register that calls leave alone.
    pub(super) fn keep(&mut self, reg: Reg) {
        let free: Vec<Reg> = regs(7..10).filter(|reg| !self.is_pinned(*reg)).collect();
        if !free.is_empty() && self.entropy.one_in(2) && self.loops == 0 {
            let keep = self.entropy.pick(&free);
            self.copy(keep, reg);
        }
        self.access();
    }

    /// Sometimes the function ends here.
    pub(super) fn early_exit(&mut self) {
        let (width, op) = (self.width(), self.entropy.pick(CmpOp::ALL));
        let (lhs, rhs) = (self.number(), self.operand());
        let on = self.out.label();
        self.out.branch(width, op, lhs, rhs, on);
        let before = self.state;
        self.mov_imm(Reg::R0, 1);
        self.out.push(Insn::Exit);
        self.state = before;
        self.out.place(on);
    }
}
