//! Objects that the program makes, and lists and trees of them: who owns what, and which lock is held.

use ring3_btf::{Btf, Kind, TypeId};
use ring3_isa::Reg;
use ring3_platform::kfuncs::KfuncFlags;
use ring3_platform::maps::{Field, FieldKind, Fields};

use super::call::Args;
use super::kfunc::Said;
use crate::cfg::graph::RBTREE_ADD;
use crate::cfg::kfuncs::{Proto, is_plain};
use crate::diag::reject::{Reject, unsupported};
use crate::state::{BtfPtr, Frame, Held, LockHome, Ptr, PtrKind, Reference, Trust, Value};
use crate::walk::Walk;

/// What programs make.
const OWN: Trust = Trust::ALLOC.with(Trust::LOCAL);
/// What programs make for each CPU.
const OWN_PERCPU: Trust = OWN.with(Trust::PERCPU);
/// The most bytes of an object for each CPU (BPF_GLOBAL_PERCPU_MA_MAX_SIZE).
const MAX_PERCPU: u32 = 512;

/// Whether a pointer leads to an object of the program and nothing else is known of it.
fn is_own(value: &Value) -> Option<(&Ptr, BtfPtr)> {
    match value {
        Value::Ptr(ptr @ Ptr { kind: PtrKind::Btf(to), nullable: false, .. }) if to.trust == OWN => Some((ptr, *to)),
        Value::Ptr(_) | Value::Scalar(_) | Value::Uninit => None,
    }
}

impl Walk<'_> {
    /// The special fields of an object of the program.
    pub(super) fn object_fields(&self, to: BtfPtr) -> Result<Fields, Reject> {
        let btf = self.types_of(to)?;
        if to.is_kernel() {
            return unsupported("an object of one of the kernel's types");
        }
        let known = self.objects.borrow().get(&to.id).cloned();
        let fields = known.unwrap_or_else(|| Fields::of_object(btf, TypeId(to.id)).filter(|_| Fields::are_sound(btf)));
        self.objects.borrow_mut().insert(to.id, fields.clone());
        match fields {
            Some(fields) => Ok(fields),
            None => unsupported(format!("the fields of {}, an object of the program", btf.name(TypeId(to.id)))),
        }
    }

    /// The fields of what a pointer leads to, and what its lock is known by.
    fn fields_of(&self, ptr: &Ptr) -> Result<(Fields, LockHome), Reject> {
        match ptr.kind {
            PtrKind::MapValue(map) => Ok((self.map(map).fields.clone(), LockHome::Map(map))),
            PtrKind::Btf(to) => Ok((self.object_fields(to)?, LockHome::Object)),
            _ => unsupported("fields of something else than a map's value or an object"),
        }
    }

    /// The type of the program that an object shall have.
    fn object_type(&self, said: &Said) -> Result<(u32, &Btf), Reject> {
        let id = said.constant.unwrap_or(u64::MAX);
        let Ok(id) = u32::try_from(id) else { return Err(Reject::ObjectTypeRange {}) };
        let Some(info) = &self.program.info else { return Err(Reject::ObjectNoBtf {}) };
        if info.btf.get(TypeId(id)).is_none_or(|ty| ty.kind() != Kind::Struct) {
            return Err(Reject::ObjectNotStruct {});
        }
        Ok((id, &info.btf))
    }

    /// `bpf_obj_new`.
    pub(super) fn new_object(&mut self, proto: &Proto, said: &Said) -> Result<(), Reject> {
        let (id, _) = self.object_type(said)?;
        let to = BtfPtr { id, trust: OWN };
        self.object_fields(to)?;
        self.give_object(proto, Ptr::new(PtrKind::Btf(to)), true)
    }

    /// `bpf_percpu_obj_new`: numbers alone, as nobody gives anything back that lies in them.
    pub(super) fn new_percpu(&mut self, proto: &Proto, said: &Said) -> Result<(), Reject> {
        let (id, btf) = self.object_type(said)?;
        let size = btf.size_of(TypeId(id)).unwrap_or(u32::MAX);
        if size > MAX_PERCPU {
            return Err(Reject::PercpuSize { size, max: MAX_PERCPU });
        }
        if !is_plain(btf, TypeId(id)) {
            return Err(Reject::PercpuNotPlain {});
        }
        let to = BtfPtr { id, trust: OWN_PERCPU };
        if !self.object_fields(to)?.list.is_empty() {
            return Err(Reject::PercpuFields {});
        }
        self.give_object(proto, Ptr::new(PtrKind::Btf(to)), true)
    }

    /// An object of the program that is given back: `bpf_obj_drop`, `bpf_percpu_obj_drop`.
    pub(super) fn check_owned(&self, proto: &Proto, index: usize, value: &Value) -> Result<(), Reject> {
        let Value::Ptr(ptr @ Ptr { kind: PtrKind::Btf(to), nullable: false, .. }) = value else {
            return Err(Reject::ObjectExpected { index });
        };
        let for_drop = match to.trust {
            OWN => "bpf_obj_drop_impl",
            OWN_PERCPU => "bpf_percpu_obj_drop_impl",
            _ => return Err(Reject::ObjectExpected { index }),
        };
        if proto.row.name != for_drop {
            return Err(Reject::ObjectForDrop { index, drop: for_drop });
        }
        if ptr.ref_id == 0 { Err(Reject::ObjectNotReferenced {}) } else { Ok(()) }
    }

    /// An object that counts who has it: gives its type, and whether the pointer owns it.
    pub(super) fn check_counted(&self, index: usize, value: &Value) -> Result<(BtfPtr, bool), Reject> {
        let Value::Ptr(ptr @ Ptr { kind: PtrKind::Btf(to), .. }) = value else {
            return Err(Reject::ObjectNoOwner { index });
        };
        // Linux 6.18 takes what RCU does not protect any more.
        if !to.trust.has(Trust::ALLOC) || to.trust.any(Trust::UNTRUSTED.with(Trust::PERCPU)) {
            return Err(Reject::ObjectNoOwner { index });
        }
        if !self.object_fields(*to)?.has(FieldKind::Refcount) {
            return Err(Reject::ObjectNotCounted { index });
        }
        // Linux 6.18 takes whoever is not known as a borrower for an owner, also readers under RCU.
        Ok((*to, !to.trust.has(Trust::NON_OWNING) && ptr.ref_id != 0))
    }

    /// `bpf_refcount_acquire`: it fails only for those who do not own the object.
    pub(super) fn share_object(&mut self, proto: &Proto, said: &Said) -> Result<(), Reject> {
        let Some((to, owns)) = said.shared else { return unsupported("an object without a type") };
        let ptr = Ptr::new(PtrKind::Btf(BtfPtr { id: to.id, trust: OWN }));
        self.give_object(proto, ptr, !owns)
    }

    /// A list or tree whose lock is held.
    pub(super) fn check_root(
        &self,
        (index, reg): (usize, Reg),
        value: &Value,
        kind: FieldKind,
    ) -> Result<Field, Reject> {
        let ptr = match (value, is_own(value)) {
            (Value::Ptr(ptr @ Ptr { kind: PtrKind::MapValue(_), nullable: false, .. }), _) => ptr,
            (_, Some((ptr, _))) if ptr.ref_id == 0 => return Err(Reject::ObjectNotReferenced {}),
            (_, Some((ptr, _))) => ptr,
            (Value::Ptr(_) | Value::Scalar(_) | Value::Uninit, None) => return Err(Reject::RootExpected { index }),
        };
        let what = kind.name();
        let Some(off) = ptr.const_off() else { return Err(Reject::RootNotConst { reg: reg.number(), what }) };
        let (fields, home) = self.fields_of(ptr)?;
        let Some(field) = fields.list.iter().find(|field| field.kind == kind && i64::from(field.off) == off) else {
            return Err(Reject::RootMissing { what, off });
        };
        let is_lock = |reference: &&Reference| reference.is_lock();
        let held = self.path.state.refs.iter().filter(is_lock);
        let mine = |r: &Reference| r.id == ptr.id && matches!(r.held, Held::Lock(_, of) if of == home);
        if !held.clone().any(mine) {
            let other = if held.count() == 0 { "" } else { "held lock and object are not in the same allocation\n" };
            let lock = fields.find(FieldKind::SpinLock).map_or(-1, |lock| i64::from(lock.off));
            return Err(Reject::RootNotLocked { other, lock, what });
        }
        Ok(*field)
    }

    /// A node that goes into a list or tree, or is in one.
    pub(super) fn check_node(
        &mut self,
        proto: &Proto,
        (index, reg): (usize, Reg),
        value: &Value,
        kind: FieldKind,
        said: &Said,
    ) -> Result<(), Reject> {
        let name = proto.row.name;
        let goes_in = kind == FieldKind::ListNode || name == RBTREE_ADD;
        let (ptr, to) = match (value, goes_in) {
            (value, true) => match is_own(value) {
                None => return Err(Reject::ObjectExpected { index }),
                Some((ptr, _)) if ptr.ref_id == 0 => return Err(Reject::ObjectNotReferenced {}),
                Some(found) => found,
            },
            (Value::Ptr(ptr @ Ptr { kind: PtrKind::Btf(to), .. }), false)
                if to.trust.has(Trust::ALLOC)
                    && !to.trust.any(Trust::UNTRUSTED.with(Trust::PERCPU))
                    && (to.trust.has(Trust::NON_OWNING) || ptr.ref_id != 0) =>
            {
                if ptr.nullable {
                    return unsupported("a node that may be null");
                }
                (ptr, *to)
            }
            (Value::Ptr(ptr), false) if ptr.ref_id != 0 => return unsupported("a node of something else"),
            (Value::Ptr(_) | Value::Scalar(_) | Value::Uninit, false) => return Err(Reject::NodeOwner { name }),
        };
        if !goes_in && self.in_tree_callback() {
            return Err(Reject::NotInTreeCallback { name });
        }
        let what = kind.name();
        let Some(off) = ptr.const_off() else { return Err(Reject::RootNotConst { reg: reg.number(), what }) };
        let fields = self.object_fields(to)?;
        if !fields.list.iter().any(|field| field.kind == kind && i64::from(field.off) == off) {
            return Err(Reject::RootMissing { what, off });
        }
        let Some(root) = said.root else { return unsupported("a node without a list or tree") };
        let btf = self.types_of(to)?;
        let (root_kind, node, owner) = (root.kind.name(), root.node, btf.name(root.target).to_owned());
        if root.target != TypeId(to.id) {
            let own = btf.name(TypeId(to.id)).to_owned();
            return Err(Reject::NodeOther { root: root_kind, what, node, owner, off, own });
        }
        if off != i64::from(node) {
            return Err(Reject::NodeElsewhere { off, what, node, owner });
        }
        Ok(())
    }

    /// Whether a callback runs that compares nodes of a tree. Linux looks at the innermost function alone.
    pub(super) fn in_tree_callback(&self) -> bool {
        let compares = |site| self.structure.kfuncs.at(self.program, site).is_some_and(|p| p.row.name == RBTREE_ADD);
        let is_sync = |frame: &Frame| frame.callback.is_some_and(|callback| callback.sync);
        self.path.state.frames.iter().any(|frame| is_sync(frame) && compares(frame.callsite))
    }

    /// A pointer to a node of what is in a list or tree.
    fn node_of(root: &Field) -> Ptr {
        let to = BtfPtr { id: root.target.0, trust: OWN };
        Ptr { off: i32::try_from(root.node).unwrap_or(i32::MAX), ..Ptr::new(PtrKind::Btf(to)) }
    }

    /// The same pointer for somebody who does not own what it leads to.
    fn borrowed(&self, ptr: &Ptr) -> Result<Ptr, Reject> {
        let PtrKind::Btf(to) = ptr.kind else { return unsupported("a node of something else") };
        let mut trust = to.trust.with(Trust::NON_OWNING);
        if self.object_fields(to)?.has(FieldKind::Refcount) {
            trust = trust.with(Trust::RCU);
        }
        Ok(Ptr { kind: PtrKind::Btf(BtfPtr { trust, ..to }), ref_id: 0, ..*ptr })
    }

    /// The callback of `bpf_rbtree_add` compares two nodes.
    pub(super) fn compare_nodes(&mut self, said: &Said) -> Result<(), Reject> {
        let Some(root) = said.root else { return unsupported("a tree without a type") };
        let node = Value::Ptr(self.borrowed(&Self::node_of(&root))?);
        let args = Args { callback: said.callback, ..Args::default() };
        self.push_callback(&args, &[node, node])
    }

    /// R2 was put into a list or tree, which owns it from here on.
    pub(super) fn insert_node(&mut self) -> Result<(), Reject> {
        let Value::Ptr(node) = *self.path.state.reg(Reg::R2) else { return unsupported("a node of something else") };
        let PtrKind::Btf(to) = self.borrowed(&node)?.kind else { return unsupported("a node of something else") };
        self.path.state.map_values(|value| match value {
            Value::Ptr(ptr) if ptr.ref_id == node.ref_id => {
                Some(Value::Ptr(Ptr { kind: PtrKind::Btf(to), ref_id: 0, ..*ptr }))
            }
            Value::Ptr(_) | Value::Scalar(_) | Value::Uninit => None,
        });
        if self.release_reference(node.ref_id) { Ok(()) } else { unsupported("a node without a reference") }
    }

    /// A node out of a list or tree.
    pub(super) fn give_node(&mut self, proto: &Proto, said: &Said) -> Result<(), Reject> {
        let Some(root) = said.root else { return unsupported("a list or tree without a type") };
        self.give_object(proto, Self::node_of(&root), true)
    }

    /// Sets R0 to an object: an owner's, if the function acquires.
    fn give_object(&mut self, proto: &Proto, ptr: Ptr, nullable: bool) -> Result<(), Reject> {
        let mut ptr = Ptr { nullable, ..ptr };
        if nullable {
            ptr.id = self.new_id();
        }
        if proto.has(KfuncFlags::ACQUIRE) {
            ptr.ref_id = self.acquire(Held::Object)?;
            if nullable {
                ptr.id = ptr.ref_id;
            }
        } else {
            ptr = self.borrowed(&ptr)?;
        }
        if ptr.id == 0 && self.has_lock(ptr.kind) {
            ptr.id = self.new_id();
        }
        self.write(Reg::R0, Value::Ptr(ptr));
        Ok(())
    }

    /// What lists and trees own may be gone once their lock is given back.
    pub(super) fn forget_borrowed(&mut self) {
        self.path.state.map_values(|value| match value {
            Value::Ptr(Ptr { kind: PtrKind::Btf(to), .. }) if to.trust.has(Trust::NON_OWNING) => Some(Value::unknown()),
            Value::Ptr(_) | Value::Scalar(_) | Value::Uninit => None,
        });
    }

    /// An access by an instruction to an object touches none of its special fields.
    pub(super) fn check_object_access(&self, ptr: &Ptr, to: BtfPtr, off: u32, size: u32) -> Result<(), Reject> {
        if ptr.ref_id == 0 && !to.trust.any(Trust::NON_OWNING.with(Trust::RCU)) {
            // Linux calls this a mistake of its own: the object may be gone.
            return Err(Reject::ObjectGone {});
        }
        let end = off.saturating_add(size);
        match self.object_fields(to)?.list.iter().find(|field| off < field.end() && field.off < end) {
            Some(field) => Err(Reject::ObjectField { what: field.kind.name() }),
            None => Ok(()),
        }
    }
}
