//! The stack: spills and fills of registers, data, and what helpers do with it.

use std::ops::Range;

use ring3_isa::{Reg, num};

use super::MAX_OFF;
use super::memory::{Access, At, Source};
use crate::diag::reject::{Reject, unsupported};
use crate::domain::Scalar;
use crate::release::Rule;
use crate::state::{Byte, Frame, Object, Ptr, PtrKind, SLOT, STACK_LIMIT, ScalarValue, Slot, Value, locate};
use crate::walk::Walk;

/// How messages call an access.
fn words(access: Access) -> &'static str {
    match access {
        Access::Read => "read from",
        Access::Write => "write to",
    }
}

impl Walk<'_> {
    /// Checks that `size` bytes at `off` from a stack pointer are inside the frame, and gives the offsets that the first
    /// byte may have.
    pub(super) fn stack_range(
        &mut self,
        reg: Reg,
        ptr: &Ptr,
        frame: u32,
        (off, size): (i64, i64),
        access: Access,
    ) -> Result<Range<i64>, Reject> {
        let (what, reg) = (words(access), reg.number());
        let (first, last) = match ptr.var.const_value() {
            Some(var) => {
                let at = num::s64(var).wrapping_add(off);
                (at, at)
            }
            None if ptr.var.smax() >= MAX_OFF || ptr.var.smin() <= -MAX_OFF => {
                return Err(Reject::StackUnbounded { what, reg });
            }
            None => (ptr.var.smin() + off, ptr.var.smax() + off),
        };
        let bad_start = !(-STACK_LIMIT..0).contains(&first);
        if bad_start || last.checked_add(size).is_none_or(|end| end > 0) {
            return Err(match (ptr.var.is_const(), bad_start) {
                (true, true) => Reject::StackAccess { what, reg, off: first, size },
                (true, false) => Reject::StackAccessEnd { what, reg, off: first, size },
                (false, true) => Reject::StackVariable { what, reg, var: ptr.var.bits().to_string(), off, size },
                (false, false) => Reject::StackVariableEnd { what, reg, var: ptr.var.bits().to_string(), off, size },
            });
        }
        if !self.path.state.frames[frame as usize].stack.reaches(first) {
            self.path.state.frame_at(frame as usize).stack.grow_to(first);
        }
        let Frame { subprog, stack, .. } = &*self.path.state.frames[frame as usize];
        let (subprog, depth) = (*subprog, u32::try_from(stack.depth()).unwrap_or(u32::MAX));
        let known = &mut self.facts.subprogs[subprog].stack_depth;
        *known = (*known).max(depth);
        if self.saves_only[subprog] && self.structure.saves[subprog].is_broken_by(self.at, first) {
            self.saves_only[subprog] = false;
        }
        Ok(first..last + 1)
    }

    fn slot_of(&self, frame: u32, index: usize) -> &Slot {
        self.path.state.frames[frame as usize].stack.slot(index)
    }

    fn slot_mut(&mut self, frame: u32, index: usize) -> &mut Slot {
        self.path.state.frame_at(frame as usize).stack.slot_mut(index)
    }

    /// A load from the stack.
    pub(super) fn read_stack(
        &mut self,
        at: At,
        ptr: &Ptr,
        frame: u32,
        off: i64,
        dst: Option<Reg>,
    ) -> Result<Value, Reject> {
        let size = i64::from(at.bytes());
        let range = self.stack_range(at.reg, ptr, frame, (off, size), Access::Read)?;
        if ptr.var.is_const() {
            return self.read_fixed(frame, range.start, at.bytes(), dst);
        }
        self.variable_stack(at.reg)?;
        if dst.is_none() {
            let var = ptr.var.bits().to_string();
            return Err(Reject::AtomicVariableStack { var, off, size: at.bytes() });
        }
        let all = range.start..range.end - 1 + size;
        self.check_initialised(at.reg, ptr, frame, range, size, Access::Read)?;
        Ok(self.bytes_value(frame, all))
    }

    /// The value of bytes that are read as data: zero if all are. Linux looks no further than the first that is not.
    fn bytes_value(&mut self, frame: u32, bytes: Range<i64>) -> Value {
        for off in bytes {
            self.touch_slot(locate(off).0);
            if self.path.state.frames[frame as usize].stack.byte(off) != Byte::Zero {
                return Value::unknown();
            }
        }
        Value::constant(0)
    }

    fn read_fixed(&mut self, frame: u32, off: i64, size: u32, dst: Option<Reg>) -> Result<Value, Reject> {
        let (index, byte) = locate(off);
        self.touch_slot(index);
        self.note_slot_read(frame as usize, index);
        let slot = self.slot_of(frame, index);
        if size == 8 && slot.bytes == [Byte::Spill; SLOT] {
            let spill = slot.spill;
            self.remember_spill(frame, index);
            return Ok(spill);
        }
        let (held, spill, is_spill, spill_size) = (slot.bytes, slot.spill, slot.is_spill(), slot.spill_size());
        let bytes = || (0..size as usize).map(|i| held[(byte + SLOT - i) % SLOT]);
        if bytes().any(|b| b == Byte::Invalid) {
            self.uninit_stack()?;
        }
        if !is_spill {
            if let Some(i) = bytes().position(Byte::is_object) {
                let (i, size) = (num::signed_index(i), i64::from(size));
                return Err(Reject::StackRead { off, i, size });
            }
            return Ok(if bytes().all(|b| b == Byte::Zero) { Value::constant(0) } else { Value::unknown() });
        }
        let Value::Scalar(scalar) = spill else { return Err(Reject::FillSize {}) };
        if dst.is_none() {
            return Ok(Value::unknown());
        }
        if size <= spill_size && off % 8 == 0 {
            self.remember_spill(frame, index);
            let link = scalar.link.filter(|_| scalar.num.fits(size * 8));
            return Ok(Value::Scalar(ScalarValue { link, ..scalar }));
        }
        if bytes().all(|b| b == Byte::Spill) && scalar.num.is_zero() {
            self.remember_spill(frame, index);
            return Ok(Value::constant(0));
        }
        Ok(if bytes().all(|b| b == Byte::Zero) { Value::constant(0) } else { Value::unknown() })
    }

    /// Bytes are read that were never written.
    fn uninit_stack(&mut self) -> Result<(), Reject> {
        if self.relies(Rule::UninitStack) { Ok(()) } else { unsupported("reading stack bytes that were never written") }
    }

    /// A load or store at an offset that is not constant.
    fn variable_stack(&mut self, reg: Reg) -> Result<(), Reject> {
        let what = "read from or write to";
        let reg = reg.number();
        if self.relies(Rule::VariableStack) { Ok(()) } else { Err(Reject::StackUnbounded { what, reg }) }
    }

    fn remember_spill(&mut self, frame: u32, slot: usize) {
        if self.has_bug(crate::planted::Bug::SpillUntracked) {
            return;
        }
        self.remember(|entry| entry.set_spill(frame as usize, slot));
    }

    /// A store to the stack.
    pub(super) fn write_stack(
        &mut self,
        at: At,
        ptr: &Ptr,
        frame: u32,
        off: i64,
        source: Source,
    ) -> Result<(), Reject> {
        let size = i64::from(at.bytes());
        let range = self.stack_range(at.reg, ptr, frame, (off, size), Access::Write)?;
        if ptr.var.is_const() {
            self.write_fixed(frame, range.start, at.bytes(), source)
        } else {
            self.variable_stack(at.reg)?;
            self.write_variable(frame, range.start..range.end - 1 + size, source)
        }
    }

    fn write_fixed(&mut self, frame: u32, off: i64, size: u32, source: Source) -> Result<(), Reject> {
        let (index, byte) = locate(off);
        self.destroy_dynptr(frame as usize, index)?;
        self.touch_slot(index);
        let aligned = off % 8 == 0;
        if size == 8 {
            self.note_slot_written(frame as usize, index);
        }
        let value = match source {
            Source::Reg(reg) => *self.path.state.reg(reg),
            Source::Imm(_) | Source::Unknown => Value::Uninit,
        };
        match (source, value) {
            (Source::Reg(reg), Value::Scalar(scalar)) if aligned => {
                let fits = scalar.num.fits(size * 8);
                let kept = if fits { self.tie(reg, scalar) } else { ScalarValue { link: None, ..scalar } };
                self.spill(frame, index, Value::Scalar(kept), size);
                self.remember_spill(frame, index);
            }
            (Source::Imm(imm), _) if aligned => {
                self.spill(frame, index, Value::number(Scalar::immediate(imm)), size);
                self.remember_spill(frame, index);
            }
            (Source::Reg(_), Value::Ptr(spilled)) => {
                if size != 8 {
                    return Err(Reject::SpillSize {});
                }
                if matches!(spilled.kind, PtrKind::Stack(_)) && frame as usize != self.path.state.current() {
                    return Err(Reject::SpillToCaller {});
                }
                self.spill(frame, index, value, size);
                self.remember_spill(frame, index);
            }
            (Source::Reg(_) | Source::Imm(_) | Source::Unknown, _) => {
                let zero = match source {
                    Source::Reg(reg) if value.is_zero() => {
                        self.mark_precise(reg)?;
                        true
                    }
                    Source::Imm(imm) => imm == 0,
                    Source::Reg(_) | Source::Unknown => false,
                };
                let slot = self.slot_mut(frame, index);
                if slot.is_special() {
                    slot.scrub();
                }
                slot.spill = Value::Uninit;
                for i in 0..size as usize {
                    slot.bytes[(byte + SLOT - i) % SLOT] = if zero { Byte::Zero } else { Byte::Misc };
                }
            }
        }
        Ok(())
    }

    fn spill(&mut self, frame: u32, index: usize, value: Value, size: u32) {
        let slot = self.slot_mut(frame, index);
        slot.spill = value;
        slot.object = Object::None;
        let keep = SLOT - size as usize;
        for (i, byte) in slot.bytes.iter_mut().enumerate() {
            *byte = match *byte {
                _ if i >= keep => Byte::Spill,
                Byte::Zero => Byte::Zero,
                Byte::Invalid => Byte::Invalid,
                Byte::Spill | Byte::Misc | Byte::Iter | Byte::IrqFlag | Byte::Dynptr => Byte::Misc,
            };
        }
    }

    fn write_variable(&mut self, frame: u32, range: Range<i64>, source: Source) -> Result<(), Reject> {
        let zero = match source {
            Source::Reg(reg) => self.path.state.reg(reg).is_zero(),
            Source::Imm(imm) => imm == 0,
            Source::Unknown => false,
        };
        let mut relied_on_zero = false;
        for off in range.clone() {
            self.destroy_dynptr(frame as usize, locate(off).0)?;
        }
        for off in range {
            let (index, byte) = locate(off);
            self.touch_slot(index);
            let slot = self.slot_mut(frame, index);
            if zero && slot.bytes[byte] == Byte::Spill && slot.spill.is_zero() {
                relied_on_zero = true;
                continue;
            }
            if slot.is_spill() {
                slot.scrub();
            }
            (slot.spill, slot.object) = (Value::Uninit, Object::None);
            let stays_zero = zero && slot.bytes[byte] == Byte::Zero;
            relied_on_zero |= stays_zero;
            slot.bytes[byte] = if stays_zero { Byte::Zero } else { Byte::Misc };
        }
        if let (true, Source::Reg(reg)) = (relied_on_zero, source) {
            self.mark_precise(reg)?;
        }
        Ok(())
    }

    /// Every byte that may be read must be data. If a helper writes there, what was known of it is gone.
    pub(super) fn check_initialised(
        &mut self,
        reg: Reg,
        ptr: &Ptr,
        frame: u32,
        starts: Range<i64>,
        size: i64,
        access: Access,
    ) -> Result<(), Reject> {
        let end = starts.end - 1 + size;
        let clobber = access == Access::Write;
        let (mut noted, mut next) = (None, starts.start);
        while next < end {
            let off = next;
            next += 1;
            let (index, byte) = locate(off);
            if noted.replace(index) != Some(index) {
                self.note_slot_read(frame as usize, index);
            }
            let slot = self.path.state.frames[frame as usize].stack.slot(index);
            if byte == SLOT - 1 && slot.bytes == [Byte::Misc; SLOT] {
                next += i64::from(end - off >= 8) * 7;
                continue;
            }
            let (kind, is_spill) = (slot.bytes[byte], slot.is_spill());
            if kind == Byte::Invalid && !clobber {
                self.uninit_stack()?;
            }
            match kind {
                Byte::Misc => {}
                // Privileged programs may read what was never written.
                Byte::Zero | Byte::Invalid => {
                    if clobber {
                        self.slot_mut(frame, index).bytes[byte] = Byte::Misc;
                    }
                }
                Byte::Spill if is_spill => {
                    if clobber {
                        self.slot_mut(frame, index).scrub();
                    }
                }
                Byte::Spill | Byte::Iter | Byte::IrqFlag | Byte::Dynptr => {
                    let (reg, i) = (reg.number(), off - starts.start);
                    return Err(match ptr.var.is_const() {
                        true => Reject::StackIndirect { reg, off: starts.start, i, size },
                        false => Reject::StackIndirectVar { reg, var: ptr.var.bits().to_string(), i, size },
                    });
                }
            }
        }
        Ok(())
    }

    /// A helper is going to fill these bytes: they may not be those of a dynptr, which it could use at the same time.
    pub(super) fn check_no_dynptr(&self, frame: u32, range: Range<i64>) -> Result<(), Reject> {
        let stack = &self.path.state.frames[frame as usize].stack;
        let mut off = range.start;
        while off < range.end {
            let (index, byte) = locate(off);
            match &stack.slot(index).object {
                Object::Dynptr(_) if stack.byte(off) == Byte::Dynptr => return Err(Reject::DynptrHelperWrite { off }),
                Object::Dynptr(_) => off += 1,
                // On to the next slot.
                Object::None | Object::Iter(_) | Object::IrqFlag { .. } => off += num::signed_index(byte) + 1,
            }
        }
        Ok(())
    }

    /// A helper fills these bytes.
    pub(super) fn fill_stack(&mut self, frame: u32, range: Range<i64>) -> Result<(), Reject> {
        let mut off = range.start;
        while off < range.end {
            if off % 8 == 0 && range.end - off >= 8 {
                self.fill_slot(frame, locate(off).0)?;
                off += 8;
            } else {
                self.write_fixed(frame, off, 1, Source::Unknown)?;
                off += 1;
            }
        }
        Ok(())
    }

    /// All bytes of a slot, one after the other: for what is live they do not count as one store of eight.
    fn fill_slot(&mut self, frame: u32, index: usize) -> Result<(), Reject> {
        self.destroy_dynptr(frame as usize, index)?;
        self.touch_slot(index);
        let slot = self.path.state.frames[frame as usize].stack.slot(index);
        if slot.bytes != [Byte::Misc; SLOT] || slot.spill != Value::Uninit {
            let slot = self.slot_mut(frame, index);
            if slot.is_special() {
                slot.scrub();
            }
            slot.spill = Value::Uninit;
            slot.bytes = [Byte::Misc; SLOT];
        }
        Ok(())
    }
}
