//! Counts the instructions that a run executes: one at a time by `ring3_isa::eval`, which makes it an engine of its own too.

use ring3_isa::{Callee, Endianness, Insn, Reg, Size, Wide, eval};

use crate::peer::{self, Input, Prepared};

/// A finished run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counted {
    /// R0.
    pub ret: u64,
    /// Instructions executed. One that takes two slots counts once.
    pub executed: u64,
    /// Of these, calls of helpers.
    pub helpers: u64,
}

/// Frames of a program, of 512 bytes each.
const FRAMES: usize = 8;
const FRAME: usize = 512;

/// Runs a program that `peer::prepare` made of a verified one, and counts its second run, which is like all later ones: the
/// first may have put something into its maps. `None` if it has what nobody measures.
pub fn count(prepared: &Prepared, input: &mut Input) -> Option<Counted> {
    once(prepared, input)?;
    once(prepared, input)
}

fn once(prepared: &Prepared, input: &mut Input) -> Option<Counted> {
    trace(prepared, input, |_, _| {})
}

/// One run of such a program: `before` is told each instruction before it is executed, with its slot.
pub fn trace(prepared: &Prepared, input: &mut Input, mut before: impl FnMut(usize, Insn)) -> Option<Counted> {
    input.refresh();
    let mut stack = vec![0u64; FRAMES * FRAME / 8];
    let mut regs = [0u64; Reg::COUNT];
    regs[Reg::R1.index()] = input.context().as_ptr().expose_provenance() as u64;
    regs[Reg::FP.index()] = stack.as_mut_ptr_range().end.expose_provenance() as u64;
    let mut run = Run { regs, frames: Vec::new(), pc: 0, counted: Counted { ret: 0, executed: 0, helpers: 0 } };
    loop {
        let insn = prepared.code.get(run.pc)?.ok()?;
        before(run.pc, insn);
        run.pc = prepared.code.next(run.pc);
        run.counted.executed += 1;
        if run.step(insn)? {
            run.counted.ret = run.regs[0];
            return Some(run.counted);
        }
    }
}

struct Run {
    regs: [u64; Reg::COUNT],
    /// Where to go on, with R6 to R10.
    frames: Vec<(usize, [u64; 5])>,
    pc: usize,
    counted: Counted,
}

impl Run {
    fn reg(&mut self, reg: Reg) -> &mut u64 {
        &mut self.regs[reg.index()]
    }

    fn addr(&self, base: Reg, off: i16) -> u64 {
        self.regs[base.index()].wrapping_add_signed(off.into())
    }

    fn goto(&mut self, off: i32) -> Option<()> {
        self.pc = self.pc.checked_add_signed(off as isize)?;
        Some(())
    }

    /// True at the end.
    fn step(&mut self, insn: Insn) -> Option<bool> {
        match insn {
            Insn::Alu { width, op, dst, src } => {
                *self.reg(dst) = eval::alu(op, width, self.regs[dst.index()], eval::operand(src, &self.regs));
            }
            Insn::Mov { width, dst, src } => *self.reg(dst) = eval::mov(width, eval::operand(src, &self.regs)),
            Insn::Neg { width, dst } => *self.reg(dst) = eval::neg(width, self.regs[dst.index()]),
            Insn::Endian { op, size, dst } => {
                *self.reg(dst) = eval::endian(op, size, self.regs[dst.index()], Endianness::Little);
            }
            Insn::LoadImm { dst, value: Wide::Imm(value) } => *self.reg(dst) = value,
            Insn::Load { size, signed: false, dst, base, off } => *self.reg(dst) = load(self.addr(base, off), size),
            Insn::Store { size, base, off, src } => {
                store(self.addr(base, off), size, eval::operand(src, &self.regs));
            }
            Insn::Jump { off, .. } => self.goto(off)?,
            Insn::Branch { width, op, lhs, rhs, off } => {
                let rhs = eval::operand(rhs, &self.regs);
                if eval::compare(op, width, self.regs[lhs.index()], rhs) {
                    self.goto(off.into())?;
                }
            }
            Insn::Call(Callee::Helper(id)) => {
                let [_, a, b, c, d, e, ..] = self.regs;
                self.counted.helpers += 1;
                self.regs[0] = match id {
                    peer::LOOKUP => peer::lookup(a, b, c, d, e),
                    peer::UPDATE => peer::update(a, b, c, d, e),
                    peer::PRANDOM => peer::prandom(a, b, c, d, e),
                    _ => return None,
                };
            }
            Insn::Call(Callee::Local(off)) => {
                if self.frames.len() + 1 >= FRAMES {
                    return None;
                }
                let saved = self.regs[6..].first_chunk().copied()?;
                self.frames.push((self.pc, saved));
                self.regs[10] -= FRAME as u64;
                self.goto(off)?;
            }
            Insn::Exit => {
                let Some((pc, saved)) = self.frames.pop() else { return Some(true) };
                self.pc = pc;
                self.regs[6..].copy_from_slice(&saved);
            }
            Insn::LoadImm { .. }
            | Insn::WideTail
            | Insn::Load { signed: true, .. }
            | Insn::MovSx { .. }
            | Insn::AddrSpaceCast { .. }
            | Insn::Atomic { .. }
            | Insn::LoadAcquire { .. }
            | Insn::StoreRelease { .. }
            | Insn::MayGoto { .. }
            | Insn::Call(Callee::Kfunc { .. })
            | Insn::CallX { .. }
            | Insn::GotoX { .. }
            | Insn::LegacyPacket { .. } => return None,
        }
        Some(false)
    }
}

fn load(addr: u64, size: Size) -> u64 {
    let at = std::ptr::with_exposed_provenance::<u8>(addr as usize);
    let mut bytes = [0; 8];
    // SAFETY: the verifier accepted the program that runs here, so that these bytes are there.
    unsafe { at.copy_to_nonoverlapping(bytes.as_mut_ptr(), size.bytes() as usize) };
    u64::from_le_bytes(bytes)
}

fn store(addr: u64, size: Size, value: u64) {
    let at = std::ptr::with_exposed_provenance_mut::<u8>(addr as usize);
    // SAFETY: as above; the program may write them.
    unsafe { at.copy_from_nonoverlapping(value.to_le_bytes().as_ptr(), size.bytes() as usize) };
}
