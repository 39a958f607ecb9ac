//! Instructions with labels, which become a program's code at the end.

use ring3_isa::{Callee, CmpOp, Code, Insn, Operand, Reg, Wide, Width};

/// A place in the code; placed once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Label(usize);

/// A list of instructions that is being written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Emitter {
    insns: Vec<Insn>,
    /// Slot of the next instruction.
    slot: usize,
    /// Slots of the labels that were placed.
    labels: Vec<Option<usize>>,
    /// Instructions whose target is a label: index, slot, label.
    targets: Vec<(usize, usize, Label)>,
}

impl Emitter {
    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    pub(crate) fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.slot);
    }

    /// Slots so far.
    pub(crate) fn len(&self) -> usize {
        self.slot
    }

    pub(crate) fn push(&mut self, insn: Insn) {
        self.slot += if matches!(insn, Insn::LoadImm { .. }) { 2 } else { 1 };
        self.insns.push(insn);
    }

    fn push_to(&mut self, insn: Insn, label: Label) {
        self.targets.push((self.insns.len(), self.slot, label));
        self.push(insn);
    }

    pub(crate) fn jump(&mut self, label: Label) {
        self.push_to(Insn::Jump { off: 0, long: false }, label);
    }

    pub(crate) fn long_jump(&mut self, label: Label) {
        self.push_to(Insn::Jump { off: 0, long: true }, label);
    }

    pub(crate) fn branch(&mut self, width: Width, op: CmpOp, lhs: Reg, rhs: Operand, label: Label) {
        self.push_to(Insn::Branch { width, op, lhs, rhs, off: 0 }, label);
    }

    pub(crate) fn may_goto(&mut self, label: Label) {
        self.push_to(Insn::MayGoto { off: 0 }, label);
    }

    pub(crate) fn call(&mut self, function: Label) {
        self.push_to(Insn::Call(Callee::Local(0)), function);
    }

    pub(crate) fn function(&mut self, dst: Reg, function: Label) {
        self.push_to(Insn::LoadImm { dst, value: Wide::Func(0) }, function);
    }

    pub(crate) fn helper(&mut self, id: i32) {
        self.push(Insn::Call(Callee::Helper(id)));
    }

    /// The code. A label that was never placed, or is too far away for its jump, leads to the next instruction.
    pub(crate) fn finish(mut self) -> Code {
        for (index, slot, label) in self.targets {
            let distance = self.labels[label.0].map_or(0, |to| to as i64 - slot as i64 - 1);
            let (far, near) = (i32::try_from(distance).unwrap_or(0), i16::try_from(distance).unwrap_or(0));
            match &mut self.insns[index] {
                Insn::Jump { off, long: true } => *off = far,
                Insn::Jump { off, long: false } => *off = near.into(),
                Insn::Branch { off, .. } | Insn::MayGoto { off } => *off = near,
                Insn::Call(Callee::Local(off)) | Insn::LoadImm { value: Wide::Func(off), .. } => *off = far,
                other => unreachable!("{other:?} has no target"),
            }
        }
        Code::from_insns(self.insns)
    }
}
