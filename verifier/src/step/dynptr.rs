//! Dynptrs: objects of two stack slots that say where memory is and how much. Helpers and functions of the kernel make
//! them, read and write through them, and give pointers to pieces of their memory (slices).

use ring3_isa::Reg;
use ring3_platform::kfuncs::KfuncFlags;

use super::args::argument;
use super::kfunc::{Own, Said};
use crate::cfg::kfuncs::Proto;
use crate::diag::reject::{Reject, unsupported};
use crate::state::{
    Byte, Dynptr, DynptrKind, Held, MemOrigin, Object, Ptr, PtrKind, Slice, Slot, State, Value, locate,
};
use crate::walk::Walk;

/// Slots that a dynptr takes.
const SLOTS: usize = 2;

/// What a dynptr argument has to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Want {
    /// Nothing yet: one of this kind is made there. `clone_of` is the reference of the one that it is a copy of.
    New { kind: DynptrKind, clone_of: u32 },
    /// One that is there.
    Ready {
        /// Of this kind.
        kind: Option<DynptrKind>,
        /// It is not changed.
        rdonly: bool,
    },
}

impl Walk<'_> {
    /// Argument `index` (0 is R1) is a dynptr, or becomes one.
    pub(super) fn check_dynptr(&mut self, index: usize, want: Want) -> Result<(), Reject> {
        let reg = argument(index);
        self.scratched.regs |= 1 << reg.number();
        let Value::Ptr(ptr) = *self.path.state.reg(reg) else { return Err(Reject::DynptrPointer { index }) };
        match (ptr.kind, want) {
            (PtrKind::Stack(frame), Want::New { kind, clone_of }) => self.make_dynptr(reg, &ptr, frame, kind, clone_of),
            (PtrKind::Dynptr(_), Want::New { .. }) => Err(Reject::DynptrNotFree {}),
            (PtrKind::Dynptr(_), Want::Ready { rdonly: false, .. }) => Err(Reject::DynptrConst {}),
            (PtrKind::Dynptr(has), Want::Ready { kind, .. }) => expect_kind(index, has, kind),
            (PtrKind::Stack(frame), Want::Ready { kind, .. }) => {
                let Some((slot, dynptr)) = self.dynptr_spot(&ptr, frame) else {
                    return Err(Reject::DynptrNotReady { index });
                };
                expect_kind(index, dynptr.kind, kind)?;
                for slot in [slot, slot - 1] {
                    self.note_slot_read(frame as usize, slot);
                    self.touch_slot(slot);
                }
                Ok(())
            }
            _ => Err(Reject::DynptrPointer { index }),
        }
    }

    /// A dynptr that a function of the kernel makes or uses.
    pub(super) fn check_kfunc_dynptr(
        &mut self,
        own: Own,
        index: usize,
        uninit: bool,
        said: &mut Said,
    ) -> Result<(), Reject> {
        if !uninit {
            self.check_dynptr(index, Want::Ready { kind: None, rdonly: true })?;
            let dynptr = self.dynptr_of(argument(index));
            said.dynptr = said.dynptr.or(dynptr);
            return Ok(());
        }
        let (kind, clone_of) = match (own, said.dynptr) {
            (Own::DynptrFrom(kind), _) => (kind, 0),
            (Own::DynptrClone, Some(of)) => (of.kind, of.ref_id),
            _ => return unsupported("a function of the kernel that makes a dynptr"),
        };
        self.check_dynptr(index, Want::New { kind, clone_of })
    }

    /// The result is a piece of the dynptr's memory.
    pub(super) fn set_slice(&mut self, proto: &Proto, rdonly: bool, said: &Said) -> Result<(), Reject> {
        let (Some(size), Some(dynptr)) = (said.constant, said.dynptr) else {
            return unsupported("a slice of unknown size");
        };
        if !rdonly && !self.program.kind.may_write_packet() {
            return Err(Reject::SliceWrite {});
        }
        let kind = PtrKind::Mem { size: ring3_isa::num::low32(size), rdonly, origin: MemOrigin::Given };
        let slice = Slice::of(dynptr.id, dynptr.kind.is_packet()).typed();
        let nullable = proto.has(KfuncFlags::RET_NULL);
        let id = if nullable { self.new_id() } else { 0 };
        self.write(Reg::R0, Value::Ptr(Ptr { id, slice, nullable, ..Ptr::new(kind) }));
        Ok(())
    }

    /// The dynptr that a register points to.
    pub(super) fn dynptr_of(&mut self, reg: Reg) -> Option<Dynptr> {
        let Value::Ptr(ptr) = *self.path.state.reg(reg) else { return None };
        match ptr.kind {
            PtrKind::Dynptr(kind) => {
                // What a global function is given may be a packet's, which Linux 6.18 does not think of.
                let lent = !ptr.slice.is_none();
                let may_be_packet = self.structure.packet_dynptrs || self.structure.extends;
                let kind = if may_be_packet && !lent { DynptrKind::Skb } else { kind };
                Some(Dynptr { kind, first: true, id: ptr.id, ref_id: 0 })
            }
            PtrKind::Stack(frame) => self.dynptr_spot(&ptr, frame).map(|(_, dynptr)| dynptr),
            _ => None,
        }
    }

    /// The first slot of the dynptr that begins where a pointer to the stack leads, and the dynptr.
    fn dynptr_spot(&mut self, ptr: &Ptr, frame: u32) -> Option<(usize, Dynptr)> {
        let slot = self.object_spot(ptr, frame, "dynptr", SLOTS)?.slot?;
        let stack = &self.path.state.frames[frame as usize].stack;
        let first = stack.slot(slot).dynptr().filter(|dynptr| dynptr.first).copied()?;
        stack.slot(slot.checked_sub(1)?).dynptr()?;
        Some((slot, first))
    }

    fn make_dynptr(&mut self, reg: Reg, ptr: &Ptr, frame: u32, kind: DynptrKind, clone_of: u32) -> Result<(), Reject> {
        let Some(spot) = self.object_spot(ptr, frame, "dynptr", SLOTS) else { return Err(Reject::DynptrNotFree {}) };
        self.store_object(reg, ptr, frame, SLOTS)?;
        let (slot, frame) = (locate(spot.off).0, frame as usize);
        for slot in [slot, slot - 1] {
            self.destroy_dynptr(frame, slot)?;
        }
        let id = self.new_id();
        // Each half counts as an object of its own in Linux, with the same number.
        let ref_id = match kind {
            DynptrKind::Ringbuf if clone_of != 0 => clone_of,
            DynptrKind::Ringbuf => self.acquire(Held::Object)?,
            DynptrKind::Local | DynptrKind::Skb | DynptrKind::SkbMeta | DynptrKind::Xdp => 0,
        };
        for (slot, first) in [(slot, true), (slot - 1, false)] {
            let half = Object::Dynptr(Dynptr { kind, first, id, ref_id });
            self.path.state.frame_at(frame).stack.slot_mut(slot).set_object(Byte::Dynptr, half);
            self.touch_slot(slot);
        }
        Ok(())
    }

    /// A slot is overwritten: the dynptr that it is a part of is gone, and so are the pieces that `bpf_dynptr_data` took. Those of the kernel's
    /// functions stay, as in Linux: nothing gives back what they lie in, as a dynptr with a reference cannot be overwritten.
    pub(super) fn destroy_dynptr(&mut self, frame: usize, slot: usize) -> Result<(), Reject> {
        let Some(dynptr) = self.path.state.frames[frame].stack.slot(slot).dynptr().copied() else { return Ok(()) };
        if dynptr.ref_id != 0 {
            return Err(Reject::DynptrOverwrite {});
        }
        let first = if dynptr.first { slot } else { slot + 1 };
        clear(&mut self.path.state, frame, first);
        [first, first - 1].into_iter().for_each(|slot| self.note_slot_written(frame, slot));
        forget(&mut self.path.state, |ptr| ptr.slice.id() == dynptr.id && !ptr.slice.is_typed());
        Ok(())
    }

    /// A reference was given back: the dynptrs that hold it are gone, wherever they are, and so are their slices.
    pub(super) fn drop_dynptrs(&mut self, ref_id: u32) {
        for frame in 0..self.path.state.frames.len() {
            for slot in 0..self.path.state.frames[frame].stack.len() {
                let state = &mut self.path.state;
                let Some(dynptr) = state.frames[frame].stack.slot(slot).dynptr().copied() else { continue };
                if dynptr.ref_id == ref_id && dynptr.first {
                    clear(state, frame, slot);
                    forget_slices(state, dynptr.id);
                    [slot, slot - 1].into_iter().for_each(|slot| self.note_slot_written(frame, slot));
                }
            }
        }
    }

    /// The reference of the dynptr that a helper is to give back.
    pub(super) fn released_dynptr(&mut self, reg: Reg) -> Result<u32, Reject> {
        let number = reg.number();
        let Value::Ptr(ptr) = *self.path.state.reg(reg) else { return Err(Reject::DynptrUnacquired { arg: number }) };
        let PtrKind::Stack(frame) = ptr.kind else { return Err(Reject::DynptrUnowned {}) };
        let spot = self.object_spot(&ptr, frame, "dynptr", SLOTS).and_then(|spot| spot.slot);
        let slot = spot.map(|slot| self.path.state.frames[frame as usize].stack.slot(slot));
        match slot.and_then(Slot::dynptr) {
            Some(dynptr) if dynptr.ref_id != 0 => Ok(dynptr.ref_id),
            Some(_) | None => Err(Reject::DynptrUnacquired { arg: number }),
        }
    }
}

fn expect_kind(index: usize, has: DynptrKind, wanted: Option<DynptrKind>) -> Result<(), Reject> {
    match wanted {
        Some(wanted) if wanted != has => Err(Reject::DynptrKind { kind: wanted.name(), index }),
        Some(_) | None => Ok(()),
    }
}

fn clear(state: &mut State, frame: usize, first: usize) {
    let stack = &mut state.frame_at(frame).stack;
    *stack.slot_mut(first) = Slot::default();
    *stack.slot_mut(first.saturating_sub(1)) = Slot::default();
}

/// Pointers into a dynptr's memory are numbers from now on.
pub(super) fn forget_slices(state: &mut State, id: u32) {
    forget(state, |ptr| ptr.slice.id() == id);
}

fn forget(state: &mut State, is_gone: impl Fn(&Ptr) -> bool) {
    state.map_values(|value| match value {
        Value::Ptr(ptr) if !ptr.slice.is_none() && is_gone(ptr) => Some(Value::unknown()),
        Value::Ptr(_) | Value::Scalar(_) | Value::Uninit => None,
    });
}
