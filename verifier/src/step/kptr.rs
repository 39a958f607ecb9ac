//! Pointers to objects of the kernel in the values of maps (kptrs).

use ring3_btf::{Kind, TypeId};
use ring3_isa::Reg;
use ring3_platform::MapDef;
use ring3_platform::maps::{Field, FieldKind};

use super::call::Args;
use super::memory::{At, Source};
use crate::diag::reject::{Reject, unsupported};
use crate::diag::render::kernel_name;
use crate::facts::Region;
use crate::kernel::members;
use crate::state::{BtfPtr, Ptr, PtrKind, Trust, Value, type_name};
use crate::walk::Walk;

/// Objects of the kernel that are freed only after RCU readers are gone.
const RCU_OBJECTS: &[&str] = &["bpf_cpumask", "bpf_crypto_ctx", "cgroup", "prog_test_ref_kfunc", "task_struct"];

/// The pointer field that an access of `off` is of: accesses of fields were checked to be of one alone.
pub(super) fn field_at(def: &MapDef, ptr: &Ptr, off: i64) -> Option<Field> {
    let var = ptr.var.const_value()?;
    let at = off.wrapping_add(ring3_isa::num::s64(var));
    def.fields.list.iter().find(|field| field.kind.is_pointer() && i64::from(field.off) == at).copied()
}

impl Walk<'_> {
    /// What a field points to: a structure of the kernel.
    fn kptr_target(&self, field: Field) -> Result<(BtfPtr, String), Reject> {
        let own = self.program.info.as_ref().map(|info| &info.btf);
        let Some((own, kernel)) = own.zip(self.target.btf.as_ref()) else {
            return unsupported("a pointer to a kernel object in a map without types (BTF)");
        };
        let name = own.name(field.target).to_owned();
        match kernel.find(&name, Kind::Struct) {
            _ if name.is_empty() => unsupported("a pointer to a structure without a name in a map"),
            Some(id) => Ok((BtfPtr::kernel(id.0, Trust::PLAIN), name)),
            // An object of the program.
            None => Ok((BtfPtr { id: field.target.0, trust: Trust::LOCAL }, name)),
        }
    }

    /// A load of such a pointer.
    pub(super) fn load_kptr(&mut self, field: Field, atomic: bool) -> Result<Value, Reject> {
        if atomic {
            return Err(Reject::KptrMode {});
        }
        if field.kind == FieldKind::Uptr {
            return unsupported("a pointer to memory of user space in a map");
        }
        let (to, name) = self.kptr_target(field)?;
        self.facts.insns[self.at].region = Region::Kernel;
        let safe = field.kind == FieldKind::KptrPercpu
            || (field.kind == FieldKind::KptrRef && (!to.is_kernel() || RCU_OBJECTS.contains(&name.as_str())));
        let trust = match field.kind {
            _ if !(safe && self.in_rcu_section()) => Trust::UNTRUSTED,
            FieldKind::KptrPercpu => Trust::RCU.with(Trust::PERCPU),
            _ if !to.is_kernel() => {
                let fields = self.object_fields(to)?;
                let node = fields.has(FieldKind::ListNode) || fields.has(FieldKind::RbNode);
                Trust::RCU.with(Trust::ALLOC).with(if node { Trust::NON_OWNING } else { Trust::PLAIN })
            }
            _ => Trust::RCU,
        };
        Ok(self.typed(BtfPtr { trust: to.trust.with(trust), ..to }, true))
    }

    /// A store of such a pointer.
    pub(super) fn store_kptr(&mut self, at: At, field: Field, source: Source, atomic: bool) -> Result<(), Reject> {
        let _ = at;
        if atomic || matches!(source, Source::Unknown) {
            return Err(Reject::KptrMode {});
        }
        match field.kind {
            FieldKind::KptrRef | FieldKind::KptrPercpu => return Err(Reject::KptrStore {}),
            FieldKind::Uptr => return Err(Reject::UptrStore {}),
            _ => {}
        }
        self.facts.insns[self.at].region = Region::Kernel;
        match source {
            Source::Reg(reg) if self.path.state.reg(reg).is_zero() => Ok(()),
            Source::Reg(reg) => self.match_kptr(field, reg),
            Source::Imm(0) => Ok(()),
            Source::Imm(_) => Err(Reject::KptrImm { off: field.off }),
            Source::Unknown => Err(Reject::KptrMode {}),
        }
    }

    /// Whether what a register holds may be stored in a field.
    fn match_kptr(&self, field: Field, reg: Reg) -> Result<(), Reject> {
        let (to, name) = self.kptr_target(field)?;
        let value = *self.path.state.reg(reg);
        let unref = field.kind == FieldKind::KptrUnref;
        // Linux asks for the structure's name only when nothing else is wrong.
        let wrong = |own: Option<BtfPtr>| {
            let has = own.map_or_else(String::new, |own| self.names().structure(own));
            let other = if unref { format!(" or untrusted_ptr_{name}") } else { String::new() };
            Reject::KptrType { reg: reg.number(), ty: type_name(&value), has, want: name.clone(), other }
        };
        let Value::Ptr(ptr @ Ptr { kind: PtrKind::Btf(own), .. }) = value else { return Err(wrong(None)) };
        let allowed = match () {
            () if !own.is_kernel() && field.kind == FieldKind::KptrPercpu => Trust::ALLOC.with(Trust::PERCPU),
            () if !own.is_kernel() => Trust::ALLOC,
            () if unref => Trust::TRUSTED.with(Trust::RCU).with(Trust::UNTRUSTED),
            () => Trust::TRUSTED.with(Trust::RCU),
        };
        if own.trust.flags().without(allowed) != Trust::PLAIN {
            return Err(wrong(None));
        }
        // Linux 6.18 takes an object that is there once, and adds the distances between processors to its address afterwards.
        if field.kind == FieldKind::KptrPercpu && !own.trust.has(Trust::PERCPU) {
            return Err(Reject::KptrNotPercpu { reg: reg.number(), has: self.names().structure(own), want: name });
        }
        self.check_plain_pointer(reg, &Ptr { off: ptr.off.min(0), ..ptr })?;
        let off = u32::try_from(ptr.off).unwrap_or(u32::MAX);
        let same_types = own.is_kernel() == to.is_kernel();
        if same_types && members::is_a(self.types_of(own)?, TypeId(own.id), off, TypeId(to.id), !unref) {
            return Ok(());
        }
        Err(wrong(Some(own)))
    }

    /// The field that `bpf_kptr_xchg` exchanges.
    pub(super) fn check_kptr_dest(&mut self, reg: Reg, args: &mut Args) -> Result<(), Reject> {
        let Value::Ptr(ptr) = *self.path.state.reg(reg) else { return Err(Reject::NotReadable { reg: reg.number() }) };
        let fields = match ptr.kind {
            PtrKind::MapValue(map) => &self.map(map).fields,
            PtrKind::Btf(to) => &self.object_fields(to)?,
            _ => return unsupported("a pointer to an object in something else than a map or an object"),
        };
        let reg = reg.number();
        if let (false, PtrKind::MapValue(map)) = (fields.typed, ptr.kind) {
            return Err(Reject::KptrNoBtf { name: kernel_name(&self.map(map).name).to_owned() });
        }
        let Some(off) = ptr.const_off() else { return Err(Reject::KptrNotConst { reg }) };
        let is_kptr =
            |kind: FieldKind| matches!(kind, FieldKind::KptrUnref | FieldKind::KptrRef | FieldKind::KptrPercpu);
        if !fields.list.iter().any(|field| is_kptr(field.kind)) {
            return Err(Reject::KptrNone { reg });
        }
        match fields.list.iter().find(|field| is_kptr(field.kind) && i64::from(field.off) == off) {
            None => Err(Reject::KptrElsewhere { off }),
            Some(field) if field.kind == FieldKind::KptrUnref => Err(Reject::KptrNotRef { off }),
            Some(field) => {
                args.kptr = Some(*field);
                Ok(())
            }
        }
    }

    /// What `bpf_kptr_xchg` puts there.
    pub(super) fn check_kptr_source(&self, reg: Reg, args: &Args) -> Result<(), Reject> {
        let value = *self.path.state.reg(reg);
        let wrong = || Reject::ArgType {
            reg: reg.number(),
            ty: type_name(&value),
            expected: "ptr_, trusted_ptr_, rcu_ptr_".to_owned(),
        };
        let Value::Ptr(ptr @ Ptr { kind: PtrKind::Btf(to), .. }) = value else { return Err(wrong()) };
        if to.trust.has(Trust::ALLOC) {
            let rest = to.trust.flags().without(Trust::ALLOC.with(Trust::PERCPU));
            return match args.kptr {
                _ if rest == Trust::RCU || (ptr.nullable && rest == Trust::PLAIN) => {
                    unsupported("an object of the program that may be gone, given to a map")
                }
                _ if rest != Trust::PLAIN => Err(wrong()),
                Some(field) => self.match_kptr(field, reg),
                None => unsupported("bpf_kptr_xchg without a field"),
            };
        }
        if ![Trust::PLAIN, Trust::TRUSTED, Trust::RCU].contains(&to.trust.flags()) {
            return Err(wrong());
        }
        if ptr.nullable {
            return Err(Reject::ArgMayBeNull { arg: reg.number() });
        }
        match args.kptr {
            Some(field) => self.match_kptr(field, reg),
            None => unsupported("bpf_kptr_xchg without a field"),
        }
    }

    /// What `bpf_kptr_xchg` takes out.
    pub(super) fn kptr_result(&self, args: &Args) -> Result<PtrKind, Reject> {
        match args.kptr {
            Some(field) => {
                let (to, _) = self.kptr_target(field)?;
                let own = match field.kind {
                    _ if to.is_kernel() => Trust::PLAIN,
                    FieldKind::KptrPercpu => Trust::ALLOC.with(Trust::PERCPU),
                    _ => Trust::ALLOC,
                };
                Ok(PtrKind::Btf(BtfPtr { trust: to.trust.with(own), ..to }))
            }
            None => unsupported("bpf_kptr_xchg without a field"),
        }
    }
}
