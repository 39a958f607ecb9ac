//! Sections in which less is allowed: RCU, disabled preemption, disabled interrupts.

use ring3_isa::Reg;
use ring3_platform::kfuncs::KfuncFlags;

use super::kfunc::Own;
use crate::cfg::kfuncs::Proto;
use crate::diag::reject::Reject;
use crate::state::{Byte, Held, Iter, IterTrust, Object, Ptr, PtrKind, SLOT, Slot, Trust, Value, locate};
use crate::walk::Walk;

impl Walk<'_> {
    /// Whether what RCU protects stays: programs that cannot sleep are inside such a section anyway.
    pub(super) fn in_rcu_section(&self) -> bool {
        let state = &self.path.state;
        state.regions.rcu || state.is_locked() || !state.sleepable
    }

    /// Opens and closes sections, and refuses to sleep in them.
    pub(super) fn enter_regions(&mut self, proto: &Proto, own: Own) -> Result<(), Reject> {
        let name = proto.row.name;
        let sleeps = |region| match proto.has(KfuncFlags::SLEEPABLE) {
            true => Err(Reject::KfuncSleepsIn { name, region }),
            false => Ok(()),
        };
        match (self.path.state.regions.rcu, own) {
            (true, Own::RcuLock) => return Err(Reject::NestedRcuLock { name }),
            (true, Own::RcuUnlock) => self.leave_rcu(),
            (true, _) => sleeps("rcu_read_lock")?,
            (false, Own::RcuLock) => self.path.state.regions.rcu = true,
            (false, Own::RcuUnlock) => return Err(Reject::UnmatchedRcuUnlock { name }),
            (false, _) => {}
        }
        match (self.path.state.regions.preempt, own) {
            (count, Own::PreemptDisable) => self.path.state.regions.preempt = count.saturating_add(1),
            (0, Own::PreemptEnable) => return Err(Reject::UnmatchedPreemptEnable { name }),
            (count, Own::PreemptEnable) => self.path.state.regions.preempt = count - 1,
            (0, _) => {}
            (_, _) => sleeps("non-preemptible")?,
        }
        if self.path.state.regions.irq != 0 {
            sleeps("IRQ-disabled")?;
        }
        if proto.has(KfuncFlags::RCU_PROTECTED) && !self.in_rcu_section() {
            return Err(Reject::KfuncNeedsRcu { name });
        }
        Ok(())
    }

    /// What RCU protected may be gone from here on.
    fn leave_rcu(&mut self) {
        self.path.state.regions.rcu = false;
        self.path.state.map_values(|value| match value {
            Value::Ptr(ptr @ Ptr { kind: PtrKind::Btf(to), .. }) if to.trust.has(Trust::RCU) => {
                let mut to = *to;
                to.trust = to.trust.without(Trust::RCU).with(Trust::UNTRUSTED);
                Some(Value::Ptr(Ptr { kind: PtrKind::Btf(to), nullable: false, ..*ptr }))
            }
            Value::Ptr(_) | Value::Scalar(_) | Value::Uninit => None,
        });
        for frame in 0..self.path.state.frames.len() {
            let is_rcu = |slot: &Slot| slot.iter().is_some_and(|iter| iter.trust == IterTrust::Rcu);
            if !self.path.state.frames[frame].stack.iter().any(is_rcu) {
                continue;
            }
            self.path.state.frame_at(frame).stack.update(|_, slot| match slot.object {
                Object::Iter(iter) if iter.trust == IterTrust::Rcu => {
                    Some(Slot { object: Object::Iter(Iter { trust: IterTrust::Untrusted, ..iter }), ..*slot })
                }
                Object::Iter(_) | Object::IrqFlag { .. } | Object::Dynptr(_) | Object::None => None,
            });
        }
    }

    /// Where nothing may sleep: how messages call it.
    pub(super) fn sleepless_region(&self) -> Option<&'static str> {
        let regions = &self.path.state.regions;
        match () {
            () if regions.rcu => Some("rcu_read_lock"),
            () if regions.preempt != 0 => Some("non-preemptible"),
            () if regions.irq != 0 => Some("IRQ-disabled"),
            () => None,
        }
    }

    /// No section may be open here.
    pub(super) fn check_regions(&self, what: &'static str) -> Result<(), Reject> {
        let regions = &self.path.state.regions;
        let region = match () {
            () if regions.irq != 0 => "bpf_local_irq_save",
            () if regions.rcu => "bpf_rcu_read_lock",
            () if regions.preempt != 0 => "bpf_preempt_disable",
            () => return Ok(()),
        };
        Err(Reject::Region { what, region })
    }

    /// The slot that an interrupt flag is saved to or restored from.
    pub(super) fn check_irq_flag(&mut self, own: Own, index: usize, reg: Reg) -> Result<(), Reject> {
        let Value::Ptr(ptr @ Ptr { kind: PtrKind::Stack(frame), .. }) = *self.path.state.reg(reg) else {
            return Err(Reject::IrqNotStack { index });
        };
        let spot = self.object_spot(&ptr, frame, "irq_flag", 1);
        let by_lock = matches!(own, Own::TakeLock(_) | Own::GiveLock(_));
        if matches!(own, Own::IrqSave | Own::TakeLock(_)) {
            let free = spot.is_some_and(|spot| match spot.slot {
                Some(slot) => !self.path.state.frames[spot.frame].stack.slot(slot).bytes.contains(&Byte::IrqFlag),
                None => true,
            });
            if !free {
                return Err(Reject::IrqInitialized { index });
            }
            self.store_object(reg, &ptr, frame, 1)?;
            let slot = spot.map_or(0, |spot| locate(spot.off).0);
            let ref_id = self.acquire(Held::Irq)?;
            self.path.state.regions.irq = ref_id;
            let flag = Object::IrqFlag { ref_id, by_lock };
            self.path.state.frame_at(frame as usize).stack.slot_mut(slot).set_object(Byte::IrqFlag, flag);
            self.touch_slot(slot);
            return Ok(());
        }
        let saved = spot.and_then(|spot| Some((spot.frame, spot.slot?))).and_then(|(frame, slot)| {
            let found = self.path.state.frames[frame].stack.slot(slot);
            match found.object {
                Object::IrqFlag { ref_id, by_lock } if found.bytes == [Byte::IrqFlag; SLOT] => {
                    Some((frame, slot, ref_id, by_lock))
                }
                Object::IrqFlag { .. } | Object::Iter(_) | Object::Dynptr(_) | Object::None => None,
            }
        });
        let Some((frame, slot, ref_id, saved_by_lock)) = saved else { return Err(Reject::IrqUninitialized { index }) };
        self.note_slot_read(frame, slot);
        self.touch_slot(slot);
        if saved_by_lock != by_lock {
            let class = |by_lock| if by_lock { "lock" } else { "native" };
            return Err(Reject::IrqOtherClass { saved: class(saved_by_lock), used: class(by_lock) });
        }
        self.restore_irq(ref_id)?;
        self.note_slot_written(frame, slot);
        *self.path.state.frame_at(frame).stack.slot_mut(slot) = Slot::default();
        Ok(())
    }

    /// Flags are restored in the opposite order in which they were saved.
    fn restore_irq(&mut self, ref_id: u32) -> Result<(), Reject> {
        let state = &mut self.path.state;
        if state.regions.irq != ref_id {
            let last = state.refs.iter().find(|r| r.id == state.regions.irq && r.held == Held::Irq);
            let (id, insn) = last.map_or((0, 0), |r| (r.id, r.insn));
            return Err(Reject::IrqOutOfOrder { id, insn });
        }
        state.refs.retain(|reference| reference.id != ref_id || reference.held != Held::Irq);
        let before = state.refs.iter().rev().find(|reference| reference.held == Held::Irq);
        state.regions.irq = before.map_or(0, |reference| reference.id);
        Ok(())
    }
}
