//! Locks in map values: who holds which, and what may not be done meanwhile.

use ring3_isa::{Callee, Reg};
use ring3_platform::helpers::id;
use ring3_platform::maps::{FieldKind, Fields};
use ring3_platform::{MapDef, kfunc};

use super::result::MAX_REFERENCES;
use crate::diag::reject::{Reject, unsupported};
use crate::diag::render::kernel_name;
use crate::state::{BtfPtr, Held, LockHome, LockKind, Ptr, PtrKind, Reference, Value};
use crate::walk::Walk;

/// Functions of the kernel that may be called while a lock is held.
const UNDER_LOCK: &[&str] = &[
    "bpf_iter_num_destroy",
    "bpf_iter_num_new",
    "bpf_iter_num_next",
    "bpf_list_back",
    "bpf_list_front",
    "bpf_list_pop_back",
    "bpf_list_pop_front",
    "bpf_list_push_back_impl",
    "bpf_list_push_front_impl",
    "bpf_rbtree_add_impl",
    "bpf_rbtree_first",
    "bpf_rbtree_left",
    "bpf_rbtree_remove",
    "bpf_rbtree_right",
    "bpf_rbtree_root",
    "bpf_refcount_acquire_impl",
    "bpf_res_spin_lock",
    "bpf_res_spin_lock_irqsave",
    "bpf_res_spin_unlock",
    "bpf_res_spin_unlock_irqrestore",
];

impl LockKind {
    /// The start of the names of its functions.
    fn name(self) -> &'static str {
        match self {
            LockKind::Spin => "bpf_spin",
            LockKind::Res | LockKind::ResIrq => "bpf_res_spin",
        }
    }

    fn field(self) -> FieldKind {
        match self {
            LockKind::Spin => FieldKind::SpinLock,
            LockKind::Res | LockKind::ResIrq => FieldKind::ResSpinLock,
        }
    }
}

impl Walk<'_> {
    /// Few calls are allowed while a lock is held; calls of own functions are looked at when their target is known.
    pub(super) fn check_call_under_lock(&self, callee: Callee) -> Result<(), Reject> {
        if !self.path.state.is_locked() {
            return Ok(());
        }
        let allowed = match callee {
            Callee::Helper(number) => u32::try_from(number) == Ok(id::SPIN_UNLOCK),
            Callee::Local(_) => true,
            Callee::Kfunc { id, off } => {
                let row = self.program.kfunc(id, off).and_then(|named| kfunc(&named.name));
                row.is_some_and(|row| UNDER_LOCK.contains(&row.name))
            }
        };
        if allowed { Ok(()) } else { Err(Reject::CallUnderLock {}) }
    }

    /// Takes the lock that a register points to.
    pub(super) fn take_lock(&mut self, reg: Reg, kind: LockKind) -> Result<(), Reject> {
        let (held_by, home) = self.lock_of(reg, kind)?;
        let wanted = Held::Lock(kind, home);
        let refs = &self.path.state.refs;
        match kind {
            LockKind::Spin => {
                if refs.iter().any(|r| matches!(r.held, Held::Lock(LockKind::Spin, _))) {
                    return Err(Reject::TwoLocks {});
                }
            }
            LockKind::Res | LockKind::ResIrq => {
                let same = |r: &Reference| match r.held {
                    Held::Lock(LockKind::Res | LockKind::ResIrq, other) => r.id == held_by && other == home,
                    Held::Lock(LockKind::Spin, _) | Held::Object | Held::Irq => false,
                };
                if refs.iter().any(same) {
                    return Err(Reject::LockAgain {});
                }
            }
        }
        if refs.len() >= MAX_REFERENCES {
            return unsupported(format!("holding more than {MAX_REFERENCES} references"));
        }
        let insn = self.at;
        self.path.state.refs.push(Reference { id: held_by, insn, held: wanted });
        Ok(())
    }

    /// Gives the lock back that a register points to: the one that was taken last.
    pub(super) fn give_lock(&mut self, reg: Reg, kind: LockKind) -> Result<(), Reject> {
        let (held_by, home) = self.lock_of(reg, kind)?;
        let what = kind.name();
        let state = &mut self.path.state;
        let Some(last) = state.last_lock() else { return Err(Reject::NoLock { what }) };
        let is_last = last.id == held_by && matches!(last.held, Held::Lock(_, of) if of == home);
        let wanted = Held::Lock(kind, home);
        let found = state.refs.iter().position(|r| r.id == held_by && r.held == wanted);
        let Some(found) = found else { return Err(Reject::OtherLock { what }) };
        if !is_last {
            return Err(Reject::LockOrder { what });
        }
        state.refs.remove(found);
        self.forget_borrowed();
        Ok(())
    }

    /// What the lock is known by that a register points to: id of the pointer, and what it is in.
    fn lock_of(&self, reg: Reg, kind: LockKind) -> Result<(u32, LockHome), Reject> {
        let Value::Ptr(ptr) = *self.path.state.reg(reg) else { return Err(Reject::NotReadable { reg: reg.number() }) };
        let lock = match kind {
            LockKind::Spin => "bpf_spin_lock",
            LockKind::Res | LockKind::ResIrq => "bpf_res_spin_lock",
        };
        let map = match ptr.kind {
            PtrKind::MapValue(map) => map,
            PtrKind::Btf(to) => return self.lock_of_object(reg, &ptr, to, kind, lock),
            _ => return unsupported("a lock in something else than a map's value or an object"),
        };
        let def = self.map(map);
        check_field(reg, &ptr, def, kind.field(), lock)?;
        Ok((ptr.id, LockHome::Map(map)))
    }

    fn lock_of_object(
        &self,
        reg: Reg,
        ptr: &Ptr,
        to: BtfPtr,
        kind: LockKind,
        what: &'static str,
    ) -> Result<(u32, LockHome), Reject> {
        let fields = self.object_fields(to)?;
        let Some(off) = ptr.const_off() else { return Err(Reject::FieldNotConstant { reg: reg.number(), what }) };
        match fields.find(kind.field()) {
            None => Err(Reject::ObjectNoLock { what }),
            Some(field) if i64::from(field.off) != off => Err(Reject::FieldElsewhere { off, what, at: field.off }),
            Some(_) => Ok((ptr.id, LockHome::Object)),
        }
    }

    /// A map's special field that a register must point to exactly.
    pub(super) fn check_map_field(&self, reg: Reg, kind: FieldKind) -> Result<u32, Reject> {
        let Value::Ptr(ptr) = *self.path.state.reg(reg) else { return Err(Reject::NotReadable { reg: reg.number() }) };
        let PtrKind::MapValue(map) = ptr.kind else {
            return unsupported(format!("a {} that is not in a map", kind.name()));
        };
        check_field(reg, &ptr, self.map(map), kind, kind.name())?;
        Ok(map)
    }
}

fn check_field(reg: Reg, ptr: &Ptr, def: &MapDef, kind: FieldKind, what: &'static str) -> Result<(), Reject> {
    let Some(off) = ptr.const_off() else { return Err(Reject::FieldNotConstant { reg: reg.number(), what }) };
    let Fields { typed, .. } = def.fields;
    let name = || kernel_name(&def.name).to_owned();
    if !typed {
        return Err(Reject::FieldNoBtf { name: name(), what });
    }
    match def.fields.find(kind) {
        None => Err(Reject::FieldMissing { name: name(), what }),
        Some(field) if i64::from(field.off) != off => Err(Reject::FieldElsewhere { off, what, at: field.off }),
        Some(_) => Ok(()),
    }
}
