//! Iterators on the stack (open-coded iterators): made, asked for more, given back by functions of the kernel.

use ring3_isa::{Reg, Size};
use ring3_platform::ProgType;
use ring3_platform::kfuncs::KfuncFlags;

use super::kfunc::Said;
use super::memory::{At, Source};
use crate::cfg::kfuncs::Proto;
use crate::diag::reject::Reject;
use crate::state::{Byte, Held, Iter, IterTrust, Object, Ptr, PtrKind, SLOT, STACK_LIMIT, Slot, Value, locate};
use crate::walk::Walk;

/// Where an object on the stack lies: frame and lowest slot, which has the highest number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    /// Frame.
    pub frame: usize,
    /// Slot, if the stack is that deep already.
    pub slot: Option<usize>,
    /// Offset of the object.
    pub off: i64,
}

impl Walk<'_> {
    /// Where a pointer to an object of so many slots leads. What is wrong with it is said in the log; the caller has the
    /// last word.
    pub(super) fn object_spot(&mut self, ptr: &Ptr, frame: u32, what: &'static str, slots: usize) -> Option<Spot> {
        let Some(off) = ptr.const_off() else {
            self.note(&Reject::ObjectConstOffset { what });
            return None;
        };
        if off % 8 != 0 {
            self.note(&Reject::ObjectOffset { what, off });
            return None;
        }
        // Linux rounds towards zero: what begins at the top of the frame has slot 0, as what ends there.
        let first = (-off - 1) / ring3_isa::num::signed_index(SLOT);
        if first + 1 < ring3_isa::num::signed_index(slots) {
            self.note(&Reject::ObjectOffset { what, off });
            return None;
        }
        let frame = frame as usize;
        let inside = (-STACK_LIMIT..0).contains(&off);
        let slot = inside
            .then(|| locate(off).0)
            .filter(|slot| slot + 1 >= slots && *slot < self.path.state.frames[frame].stack.len());
        Some(Spot { frame, slot, off })
    }

    /// Words in the log before the last ones.
    fn note(&mut self, reject: &Reject) {
        self.log.push(&reject.text());
        self.log.push("\n");
    }

    /// Makes an object's slots writable as a store to them would.
    pub(super) fn store_object(&mut self, reg: Reg, ptr: &Ptr, frame: u32, slots: usize) -> Result<(), Reject> {
        for slot in 0..slots {
            let off = i64::from(ptr.off) + ring3_isa::num::signed_index(slot * SLOT);
            let at = At { reg, off: 0, size: Size::Dw };
            self.write_stack(at, ptr, frame, off, Source::Unknown)?;
        }
        Ok(())
    }

    /// The argument of an iterator's functions.
    pub(super) fn check_iter(
        &mut self,
        proto: &Proto,
        (index, reg): (usize, Reg),
        kind: u16,
        said: &mut Said,
    ) -> Result<(), Reject> {
        let structure = self.structure;
        let ty = &structure.kfuncs.iters[usize::from(kind)];
        if ty.name == "css_task" && proto.has(KfuncFlags::ITER_NEW) && !self.may_iterate_css_tasks() {
            return Err(Reject::IterCssTask {});
        }
        let Value::Ptr(ptr @ Ptr { kind: PtrKind::Stack(frame), .. }) = *self.path.state.reg(reg) else {
            return Err(Reject::IterNotStack { index });
        };
        let spot = self.object_spot(&ptr, frame, "iter", ty.slots);
        if proto.has(KfuncFlags::ITER_NEW) {
            let taken = |slot: &Slot| slot.bytes.contains(&Byte::Iter);
            let free = spot.is_some_and(|spot| match spot.slot {
                Some(slot) => !self.slots(spot.frame, slot, ty.slots).any(taken),
                None => true,
            });
            if !free {
                return Err(Reject::IterInitialized { name: ty.name.clone(), index });
            }
            self.store_object(reg, &ptr, frame, ty.slots)?;
            let slot = spot.map_or(0, |spot| locate(spot.off).0);
            return self.make_iter(proto, frame as usize, slot, (kind, ty.slots));
        }
        let whole = spot.and_then(|spot| Some((spot.frame, spot.slot?)));
        let Some((frame, slot)) = whole.filter(|(frame, slot)| self.is_iter(*frame, *slot, kind, ty.slots)) else {
            return Err(Reject::IterUninitialized { name: ty.name.clone(), index });
        };
        if self.slots(frame, slot, ty.slots).any(|s| s.iter().is_some_and(|i| i.trust == IterTrust::Untrusted)) {
            return Err(Reject::IterNeedsRcu { name: proto.row.name });
        }
        for below in 0..ty.slots {
            self.note_slot_read(frame, slot - below);
            self.touch_slot(slot - below);
        }
        let iter = self.path.state.frames[frame].stack.slot(slot);
        said.ref_id = iter.iter().map_or(0, |iter| iter.ref_id);
        said.iter = Some((frame, slot));
        if proto.has(KfuncFlags::ITER_DESTROY) {
            self.release_reference(said.ref_id);
            for below in 0..ty.slots {
                self.note_slot_written(frame, slot - below);
                *self.path.state.frame_at(frame).stack.slot_mut(slot - below) = Slot::default();
            }
        }
        Ok(())
    }

    fn may_iterate_css_tasks(&self) -> bool {
        let is_iter = self.program.kind == ProgType::Tracing
            && self.program.attach == Some(ring3_platform::AttachType::TraceIter);
        self.program.kind == ProgType::Lsm || is_iter || self.path.state.sleepable
    }

    /// The slots of an object, highest number first.
    fn slots(&self, frame: usize, slot: usize, count: usize) -> impl Iterator<Item = &Slot> {
        let stack = &self.path.state.frames[frame].stack;
        let all = (slot + 1).saturating_sub(count)..=slot;
        all.filter(move |_| slot < stack.len()).map(|slot| stack.slot(slot))
    }

    /// Whether an iterator of this type begins here and is whole.
    fn is_iter(&self, frame: usize, slot: usize, kind: u16, count: usize) -> bool {
        let stack = &self.path.state.frames[frame].stack;
        let part = |below: usize| stack.slot(slot - below).iter();
        (count..=stack.len()).contains(&(slot + 1))
            && (0..count)
                .all(|below| part(below).is_some_and(|iter| iter.kind == kind && (iter.ref_id != 0) == (below == 0)))
    }

    fn make_iter(
        &mut self,
        proto: &Proto,
        frame: usize,
        slot: usize,
        (kind, count): (u16, usize),
    ) -> Result<(), Reject> {
        let id = self.acquire(Held::Object)?;
        let trust = match (proto.has(KfuncFlags::RCU_PROTECTED), self.in_rcu_section()) {
            (false, _) => IterTrust::Trusted,
            (true, true) => IterTrust::Rcu,
            (true, false) => IterTrust::Untrusted,
        };
        for below in 0..count {
            let ref_id = if below == 0 { id } else { 0 };
            let iter = Iter { kind, drained: false, trust, ref_id, depth: 0 };
            let to = self.path.state.frame_at(frame).stack.slot_mut(slot - below);
            to.set_object(Byte::Iter, Object::Iter(iter));
            self.touch_slot(slot - below);
        }
        Ok(())
    }

    /// The iterator is asked for more: a path where it gives something is put aside, on the current one there is nothing.
    pub(super) fn iterate(&mut self, said: &Said) -> Result<(), Reject> {
        let Some((frame, slot)) = said.iter else { return Ok(()) };
        let Some(iter) = self.path.state.frames[frame].stack.slot(slot).iter().copied() else { return Ok(()) };
        if !iter.drained {
            let previous = self.state_before_last(self.at);
            let next = self.at + 1;
            let queued = self.push(next)?;
            let more = Iter { depth: iter.depth + 1, ..iter };
            queued.frame_at(frame).stack.slot_mut(slot).object = Object::Iter(more);
            if let Some(previous) = previous {
                crate::walk::widen(&previous, queued);
            }
            if let Value::Ptr(result) = *queued.reg(Reg::R0) {
                queued.set(Reg::R0, Value::Ptr(Ptr { nullable: false, ..result }));
            }
        }
        self.path.state.frame_at(frame).stack.slot_mut(slot).object = Object::Iter(Iter { drained: true, ..iter });
        self.write(Reg::R0, Value::constant(0));
        Ok(())
    }
}
