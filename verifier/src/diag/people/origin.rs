//! Where the values of a path come from: for every register at the end of it, the instruction that made its value, what that
//! was made of, and which comparisons looked at it on the way.

use std::collections::BTreeMap;

use ring3_isa::{AluOp, Callee, Insn, Operand, Reg, Width};
use ring3_platform::Program;

use crate::state::{PtrKind, Value};
use crate::walk::Trace;

/// Index of a definition.
pub type DefId = usize;

/// How a value came to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// It was there when the function began.
    Entry,
    /// Nobody wrote it.
    Nothing,
    /// A constant, a map, an address.
    Constant,
    /// All of another register.
    Copy,
    /// The lower bits of another register, zero- or sign-extended.
    LowCopy,
    /// Computed from what was in the register before, and an operand.
    Arith(AluOp),
    /// Negated or bytes swapped.
    Swap,
    /// Read from memory.
    Load,
    /// Read back from the stack, where it was stored as a whole.
    Fill,
    /// Result of a helper.
    Helper(i32),
    /// Result of a kernel function.
    Kfunc,
    /// Result of a function of the program.
    Result,
    /// Argument of a function of the program.
    Param,
    /// Argument that Linux gives to a callback.
    Callback,
    /// Lost: calls do not keep it.
    Clobbered(Callee),
}

/// A value that some step made.
#[derive(Clone, Copy, Debug)]
pub struct Def {
    /// The step; `None` at the entry.
    pub step: Option<usize>,
    /// How.
    pub how: How,
    /// What it was made of.
    pub from: Option<DefId>,
    /// The other operand.
    pub other: Option<DefId>,
    /// What it was when it was made.
    pub value: Value,
    /// What is known of it at the end, after comparisons.
    pub now: Value,
    /// The step that made a number of a pointer without writing it: a call that may change the packet.
    pub lost: Option<usize>,
    noted: bool,
    /// Of a load: which memory.
    key: Option<Key>,
}

/// Which memory a load reads: the definition that its address goes back to, offset, size.
type Key = (DefId, i64, u32);

/// A comparison on the path.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// The step.
    pub step: usize,
    /// How many bits it looked at.
    pub width: Width,
    /// What it compared.
    pub lhs: DefId,
    /// With what; `None` for a constant.
    pub rhs: Option<DefId>,
}

#[derive(Debug)]
struct Frame {
    regs: [DefId; Reg::COUNT],
    slots: BTreeMap<(usize, i64), DefId>,
}

/// What is known of a path.
#[derive(Debug, Default)]
pub struct Origins {
    defs: Vec<Def>,
    frames: Vec<Frame>,
    /// Comparisons, oldest first.
    pub checks: Vec<Check>,
}

impl Origins {
    /// Goes along the path. The last step, which was not completed, is left out.
    pub fn of(program: &Program, trace: &Trace) -> Origins {
        let mut origins = Origins::default();
        let steps = trace.steps();
        let Some(first) = steps.first() else { return origins };
        for frame in 0..=first.frame {
            origins.enter(How::Entry, None, frame);
        }
        let r1 = Value::ptr(PtrKind::Ctx);
        let entry = origins.frames[0].regs[1];
        origins.defs[entry].value = r1;
        for index in 0..steps.len().saturating_sub(1) {
            if let Some(Ok(insn)) = program.code.get(steps[index].at) {
                origins.step(index, insn, steps[index].frame, steps[index + 1].frame);
            }
            origins.note(index, steps[index + 1].frame, trace.values(index));
        }
        origins
    }

    /// What a register of the innermost frame holds at the end.
    pub fn reg(&self, reg: u8) -> Option<DefId> {
        self.frames.last().and_then(|frame| frame.regs.get(usize::from(reg)).copied())
    }

    /// A definition.
    pub fn def(&self, id: DefId) -> &Def {
        &self.defs[id]
    }

    /// What a value is a copy of.
    pub fn root(&self, mut id: DefId) -> DefId {
        loop {
            let def = &self.defs[id];
            match (def.how, def.from) {
                (How::Copy | How::Fill | How::Param | How::Result, Some(from)) => id = from,
                _ => return id,
            }
        }
    }

    /// The definitions that a value goes back to through copies and arithmetic, itself first.
    pub fn chain(&self, id: DefId) -> Vec<DefId> {
        let mut out = vec![id];
        let mut at = id;
        while let Some(from) = self.defs[at].from {
            out.push(from);
            at = from;
        }
        out
    }

    /// Whether two values were read from the same memory, by different instructions.
    pub fn is_read_again(&self, a: DefId, b: DefId) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        a != b && self.defs[a].key.is_some() && self.defs[a].key == self.defs[b].key
    }

    fn add(&mut self, step: Option<usize>, how: How, from: Option<DefId>, other: Option<DefId>) -> DefId {
        self.defs.push(Def {
            step,
            how,
            from,
            other,
            value: Value::Uninit,
            now: Value::Uninit,
            lost: None,
            noted: false,
            key: None,
        });
        self.defs.len() - 1
    }

    fn enter(&mut self, how: How, step: Option<usize>, frame: usize) {
        let caller = frame.checked_sub(1).and_then(|caller| self.frames.get(caller)).map(|caller| caller.regs);
        let mut regs = [0; Reg::COUNT];
        for (index, reg) in regs.iter_mut().enumerate() {
            let is_argument = (1..=5).contains(&index);
            let from = caller.filter(|_| is_argument && how == How::Param).map(|caller| caller[index]);
            let how = if is_argument || index == Reg::FP.index() { how } else { How::Nothing };
            *reg = self.add(step, how, from, None);
        }
        let stack = Value::ptr(PtrKind::Stack(u32::try_from(frame).unwrap_or(0)));
        let fp = regs[Reg::FP.index()];
        (self.defs[fp].value, self.defs[fp].now) = (stack, stack);
        self.frames.truncate(frame);
        self.frames.push(Frame { regs, slots: BTreeMap::new() });
    }

    /// Values that a step left.
    fn note(&mut self, step: usize, frame: usize, values: &[(u8, Value)]) {
        for (reg, value) in values {
            let Some(id) = self.frames.get(frame).map(|f| f.regs[usize::from(*reg)]) else { continue };
            let def = &mut self.defs[id];
            if !std::mem::replace(&mut def.noted, true) {
                def.value = *value;
            } else if def.step != Some(step)
                && def.now.as_ptr().is_some()
                && value.as_ptr().is_none()
                && !value.is_zero()
            {
                def.lost = Some(step);
            }
            def.now = *value;
        }
    }

    fn operand(&self, frame: usize, operand: Operand) -> Option<DefId> {
        match operand {
            Operand::Reg(reg) => Some(self.frames[frame].regs[reg.index()]),
            Operand::Imm(_) => None,
        }
    }

    /// Only changes are noted: what is not stays what was in the register before.
    fn set(&mut self, frame: usize, reg: Reg, id: DefId) {
        let before = self.defs[self.frames[frame].regs[reg.index()]].now;
        (self.defs[id].value, self.defs[id].now) = (before, before);
        self.frames[frame].regs[reg.index()] = id;
    }

    /// Frame and offset of a stack access.
    fn stack(&self, frame: usize, base: Reg, off: i16) -> Option<(usize, i64)> {
        let ptr = self.defs[self.frames[frame].regs[base.index()]].now.as_ptr().copied()?;
        match ptr.kind {
            PtrKind::Stack(owner) => Some((owner as usize, ptr.const_off()? + i64::from(off))),
            _ => None,
        }
    }

    fn load(&mut self, step: usize, frame: usize, (dst, base, off): (Reg, Reg, i16), size: u32) {
        let slot = self.stack(frame, base, off);
        let stored = slot.and_then(|slot| self.frames.get(slot.0)?.slots.get(&slot).copied()).filter(|_| size == 8);
        if let Some(stored) = stored {
            let id = self.add(Some(step), How::Fill, Some(stored), None);
            return self.set(frame, dst, id);
        }
        let base_id = self.frames[frame].regs[base.index()];
        let known = self.defs[base_id].now.as_ptr().and_then(|ptr| ptr.const_off());
        let key = match known {
            Some(known) => (self.anchor(base_id), known + i64::from(off), size),
            None => (self.root(base_id), i64::from(off), size),
        };
        let id = self.add(Some(step), How::Load, None, Some(base_id));
        self.defs[id].key = Some(key);
        self.set(frame, dst, id);
    }

    /// What a pointer with a known offset was derived from.
    fn anchor(&self, id: DefId) -> DefId {
        self.chain(id).last().copied().unwrap_or(id)
    }

    fn step(&mut self, step: usize, insn: Insn, frame: usize, next: usize) {
        if self.frames.len() <= frame {
            return;
        }
        self.frames.truncate(frame + 1);
        let old = |origins: &Origins, reg: Reg| Some(origins.frames[frame].regs[reg.index()]);
        match insn {
            Insn::Mov { width, dst, src } => {
                let from = self.operand(frame, src);
                let how = match (from, width) {
                    (None, _) => How::Constant,
                    (Some(_), Width::W64) => How::Copy,
                    (Some(_), Width::W32) => How::LowCopy,
                };
                let id = self.add(Some(step), how, from, None);
                self.set(frame, dst, id);
            }
            Insn::MovSx { dst, src, .. } | Insn::AddrSpaceCast { dst, src, .. } => {
                let id = self.add(Some(step), How::LowCopy, old(self, src), None);
                self.set(frame, dst, id);
            }
            Insn::Alu { op, dst, src, .. } => {
                let (from, other) = (old(self, dst), self.operand(frame, src));
                let id = self.add(Some(step), How::Arith(op), from, other);
                self.set(frame, dst, id);
            }
            Insn::Neg { dst, .. } | Insn::Endian { dst, .. } => {
                let id = self.add(Some(step), How::Swap, old(self, dst), None);
                self.set(frame, dst, id);
            }
            Insn::LoadImm { dst, .. } => {
                let id = self.add(Some(step), How::Constant, None, None);
                self.set(frame, dst, id);
            }
            Insn::Load { size, dst, base, off, .. } | Insn::LoadAcquire { size, dst, base, off } => {
                self.load(step, frame, (dst, base, off), size.bytes());
            }
            Insn::Store { size, base, off, src } => {
                let src = self.operand(frame, src);
                self.write(step, frame, (base, off), size.bytes(), src);
            }
            Insn::StoreRelease { size, base, off, src } => {
                let src = old(self, src);
                self.write(step, frame, (base, off), size.bytes(), src);
            }
            Insn::Atomic { op, base, off, src, size } => {
                self.write(step, frame, (base, off), size.bytes(), None);
                if let Some(into) = op.fetches_into(src) {
                    let id = self.add(Some(step), How::Load, None, None);
                    self.set(frame, into, id);
                }
            }
            Insn::Branch { width, lhs, rhs, .. } => {
                let (lhs, rhs) = (self.frames[frame].regs[lhs.index()], self.operand(frame, rhs));
                self.checks.push(Check { step, width, lhs, rhs });
            }
            Insn::Call(callee) => self.call(step, callee, frame, next),
            Insn::LegacyPacket { .. } => self.clobber(step, frame, Callee::Helper(0), How::Load),
            Insn::Exit if next < frame => {
                let id = self.add(Some(step), How::Result, old(self, Reg::R0), None);
                self.frames.truncate(next + 1);
                if self.frames.len() > next {
                    self.set(next, Reg::R0, id);
                }
            }
            Insn::Exit
            | Insn::WideTail
            | Insn::Jump { .. }
            | Insn::MayGoto { .. }
            | Insn::CallX { .. }
            | Insn::GotoX { .. } => {}
        }
    }

    fn write(&mut self, step: usize, frame: usize, (base, off): (Reg, i16), size: u32, src: Option<DefId>) {
        let Some(slot) = self.stack(frame, base, off) else { return };
        let id = if size == 8 { src } else { None };
        let id = id.unwrap_or_else(|| self.add(Some(step), How::Constant, None, None));
        if let Some(owner) = self.frames.get_mut(slot.0) {
            owner.slots.insert(slot, id);
        }
    }

    fn clobber(&mut self, step: usize, frame: usize, callee: Callee, result: How) {
        let result = self.add(Some(step), result, None, None);
        self.set(frame, Reg::R0, result);
        for reg in Reg::all().filter(|reg| (1..=5).contains(&reg.number())) {
            let id = self.add(Some(step), How::Clobbered(callee), None, None);
            self.set(frame, reg, id);
        }
    }

    fn call(&mut self, step: usize, callee: Callee, frame: usize, next: usize) {
        let local = matches!(callee, Callee::Local(_));
        if next > frame {
            self.enter(if local { How::Param } else { How::Callback }, Some(step), frame + 1);
        }
        let how = match callee {
            Callee::Helper(id) => How::Helper(id),
            Callee::Kfunc { .. } => How::Kfunc,
            Callee::Local(_) => How::Result,
        };
        // Frames of callees stay on top; what they do to the caller's registers is done now.
        let inner = self.frames.split_off(frame + 1);
        self.clobber(step, frame, callee, how);
        self.frames.extend(inner);
    }
}
