//! Pointers to structures that BTF describes: arguments of what a program is attached to, and what is read through them.

use ring3_btf::{Btf, Kind, Type, TypeId};
use ring3_isa::Reg;
use ring3_platform::kfuncs::KfuncFlags;

use super::access::map_struct;
use super::memory::{Access, At};
use crate::cfg::kfuncs::{Object, Proto};
use crate::diag::reject::{Reject, unsupported};
use crate::domain::Scalar;
use crate::kernel::members::{self, Found};
use crate::kernel::target::{Argument, Attach, Ops};
use crate::state::{BtfPtr, Ptr, PtrKind, Trust, Value, type_name};
use crate::walk::Walk;

/// What a pointer that was read through another one is worth, by a list of the kernel's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listed {
    Trusted,
    TrustedOrNull,
    Rcu,
    RcuOrNull,
}

/// The kernel keeps its lists as structures: `task_struct__safe_rcu` has the members of `task_struct` that are good under
/// RCU.
const LISTS: [(Listed, &str); 4] = [
    (Listed::Trusted, "__safe_trusted"),
    (Listed::TrustedOrNull, "__safe_trusted_or_null"),
    (Listed::Rcu, "__safe_rcu"),
    (Listed::RcuOrNull, "__safe_rcu_or_null"),
];

impl<'p> Walk<'p> {
    /// The types that a pointer's number belongs to.
    pub(super) fn types_of(&self, to: BtfPtr) -> Result<&'p Btf, Reject> {
        let (program, target) = (self.program, self.target);
        match (to.is_kernel(), &target.btf, &program.info) {
            (true, Some(btf), _) => Ok(btf),
            (true, None, _) => unsupported("a structure of the kernel without the kernel's types (BTF)"),
            (false, _, Some(info)) => Ok(&info.btf),
            (false, _, None) => unsupported("a structure of a program without types (BTF)"),
        }
    }

    /// A structure of the kernel by name.
    pub(super) fn kernel_struct(&self, name: &str) -> Result<u32, Reject> {
        let Some(btf) = &self.target.btf else {
            return unsupported(format!("a pointer to struct {name} without the kernel's types (BTF)"));
        };
        match btf.find(name, Kind::Struct) {
            Some(id) => Ok(id.0),
            None => unsupported(format!("a pointer to struct {name}, which the kernel's types do not have")),
        }
    }

    /// A load from the context of a program that is attached by the kernel's types.
    pub(super) fn attached_argument(&mut self, at: At, off: i64) -> Result<Value, Reject> {
        let (Some(attach), Some(btf)) = (&self.structure.attach, &self.target.btf) else {
            return unsupported(format!("the context of {} programs", self.program.kind.name()));
        };
        Ok(match attach.load(btf, off, at.bytes())? {
            Argument::Number => Value::unknown(),
            Argument::Result { lo, hi } => Value::number(Scalar::unknown().meet_s32range(lo, hi)),
            Argument::Struct { to, nullable, note } => {
                if self.log.any() {
                    self.log.push(&note);
                }
                self.typed(to, nullable)
            }
            Argument::Buf { rdonly } => {
                Value::Ptr(Ptr { nullable: true, id: self.new_id(), ..Ptr::new(PtrKind::Buf { rdonly }) })
            }
        })
    }

    /// A pointer to a structure.
    pub(super) fn typed(&mut self, to: BtfPtr, nullable: bool) -> Value {
        let id = if nullable { self.new_id() } else { 0 };
        Value::Ptr(Ptr { nullable, id, ..Ptr::new(PtrKind::Btf(to)) })
    }

    /// A load from a structure.
    pub(super) fn read_struct(&mut self, at: At, ptr: &Ptr, off: i64, to: BtfPtr) -> Result<Value, Reject> {
        let btf = self.types_of(to)?;
        let off = self.check_struct(at, ptr, off, to, Access::Read)?;
        if to.trust.has(Trust::ALLOC) && !to.is_kernel() {
            self.check_object_access(ptr, to, off, at.bytes())?;
        }
        Ok(match members::find(btf, TypeId(to.id), off, at.bytes())? {
            Found::Number => Value::unknown(),
            // What a program stores in objects of its own may be anything.
            Found::Pointer { .. } if to.trust.has(Trust::ALLOC) => Value::unknown(),
            Found::Opaque => Value::ptr(PtrKind::AnyMem),
            Found::Pointer { to: id, field, trust } => {
                let (trust, nullable) = self.inherited(btf, ptr, to, (&field, id), trust);
                let local = if to.is_kernel() { Trust::PLAIN } else { Trust::LOCAL };
                self.typed(BtfPtr { id: id.0, trust: trust.with(local) }, nullable)
            }
        })
    }

    /// A load from the structure that the kernel has for a map.
    pub(super) fn read_map_struct(&mut self, at: At, off: i64, map: u32) -> Result<Value, Reject> {
        let name = map_struct(self.map(map).kind);
        let to = BtfPtr { id: self.kernel_struct(name)?, trust: Trust::PLAIN };
        let Ok(start) = u32::try_from(off) else {
            return Err(Reject::MapStructNegative { reg: at.reg.number(), name, off });
        };
        Ok(match members::find(self.types_of(to)?, TypeId(to.id), start, at.bytes())? {
            Found::Number => Value::unknown(),
            Found::Opaque => Value::ptr(PtrKind::AnyMem),
            Found::Pointer { to: id, trust, .. } => self.typed(BtfPtr { id: id.0, trust }, false),
        })
    }

    /// Memory of a structure that a helper reads.
    pub(super) fn check_struct_memory(&self, reg: Reg, ptr: &Ptr, to: BtfPtr, size: u64) -> Result<(), Reject> {
        let at = At { reg, off: 0, size: ring3_isa::Size::B };
        let off = self.check_struct(at, ptr, ptr.off.into(), to, Access::Read)?;
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        members::find(self.types_of(to)?, TypeId(to.id), off, size).map(|_| ())
    }

    /// The structure of the kernel that a function of the kernel gets must be of the type that it wants, and as good.
    pub(super) fn check_kfunc_struct(
        &mut self,
        proto: &Proto,
        index: usize,
        reg: Reg,
        object: Object,
    ) -> Result<(), Reject> {
        let (name, number) = (proto.row.name, reg.number());
        let Some(kernel) = &self.target.btf else { return unsupported(format!("kernel function {name}")) };
        let value = *self.path.state.reg(reg);
        let Value::Ptr(ptr) = value else { return Err(Reject::NotReadable { reg: number }) };
        let want = kernel.resolve(TypeId(object.id)).unwrap_or(TypeId(object.id));
        if members::structure(kernel, want).is_none() {
            // No kind of its own has this name in the kernel's messages.
            let kind = if object.kind == Kind::Void { "UNKNOWN" } else { object.kind.name() };
            let ty = kernel.name(want).to_owned();
            return Err(Reject::KfuncArgKind { name, index, kind, ty });
        }
        let good = |ptr: &Ptr| match ptr.kind {
            PtrKind::Btf(to) => to.trust.has(Trust::RCU),
            _ => false,
        };
        if (proto.wants_trusted() || proto.has(KfuncFlags::RCU)) && !is_trusted(&ptr) {
            if !proto.has(KfuncFlags::RCU) {
                return Err(Reject::KfuncArgTrusted { reg: number });
            }
            if !good(&ptr) {
                return Err(Reject::KfuncArgRcu { reg: number });
            }
        }
        let released = proto.has(KfuncFlags::RELEASE) && ptr.ref_id != 0;
        self.check_pointer_offset(reg, &ptr, released)?;
        let (btf, has) = match ptr.kind {
            PtrKind::Btf(to) => {
                let unsafe_flags = Trust::USER.with(Trust::PERCPU).with(Trust::UNTRUSTED).with(Trust::RCU);
                if (ptr.nullable || to.trust.any(unsafe_flags)) && !good(&ptr) {
                    let plain = BtfPtr { trust: to.trust.without(unsafe_flags), ..to };
                    let expected = type_name(&Value::ptr(PtrKind::Btf(plain)));
                    return Err(Reject::KfuncArgUnsafe { index, ty: type_name(&value), expected });
                }
                (self.types_of(to)?, TypeId(to.id))
            }
            PtrKind::Sock => (&**kernel, TypeId(self.kernel_struct("sock")?)),
            PtrKind::SockCommon => (&**kernel, TypeId(self.kernel_struct("sock_common")?)),
            PtrKind::TcpSock => (&**kernel, TypeId(self.kernel_struct("tcp_sock")?)),
            PtrKind::ConstMap(_) => (&**kernel, TypeId(self.kernel_struct("bpf_map")?)),
            _ => return unsupported(format!("a {} given to kernel function {name}", type_name(&value))),
        };
        let (own, wanted) = (btf.name(has), kernel.name(want));
        let is_local = matches!(ptr.kind, PtrKind::Btf(to) if !to.is_kernel());
        let strict = released || is_early(own, wanted);
        let off = u32::try_from(ptr.off).unwrap_or(u32::MAX);
        let same = !is_local && members::is_a(btf, has, off, want, strict);
        if same || matches!((wanted, own), ("__sk_buff", "sk_buff") | ("xdp_md", "xdp_buff")) {
            return Ok(());
        }
        let kind = |btf: &Btf, id| btf.get(id).map_or("UNKNOWN", |ty| ty.kind().name());
        Err(Reject::KfuncArgStruct {
            name,
            index,
            want: format!("{} {wanted}", kind(kernel, want)),
            reg: number,
            has: format!("{} {own}", kind(btf, has)),
        })
    }

    /// A store to a structure.
    pub(super) fn write_struct(&mut self, at: At, ptr: &Ptr, off: i64, to: BtfPtr) -> Result<(), Reject> {
        let btf = self.types_of(to)?;
        let off = self.check_struct(at, ptr, off, to, Access::Write)?;
        if to.trust.has(Trust::ALLOC) {
            self.check_object_access(ptr, to, off, at.bytes())?;
            return members::find(btf, TypeId(to.id), off, at.bytes()).map(|_| ());
        }
        let (name, size) = (btf.name(TypeId(to.id)), at.bytes());
        match self.structure.attach.as_ref().and_then(Attach::ops) {
            Some(Ops::Tcp) if name == "tcp_sock" => write_tcp(btf, TypeId(to.id), off, size),
            Some(Ops::Dummy) if name == "bpf_dummy_ops_state" => {
                let whole = btf.size_of(TypeId(to.id)).unwrap_or(0);
                if off.checked_add(size).is_some_and(|end| end <= whole) {
                    return Ok(());
                }
                Err(Reject::OpsWriteState { off, size })
            }
            Some(Ops::Tcp | Ops::Dummy) => Err(Reject::StructReadOnly {}),
            None if btf.find("nf_conn", Kind::Struct).is_none() => unsupported(format!("a store to struct {name}")),
            None if !matches!(name, "nf_conn" | "nf_conn___init") => Err(Reject::StructReadOnly {}),
            None => write_connection(btf, off, size),
        }
    }

    /// What holds for every access to a structure; gives the offset.
    pub(super) fn check_struct(&self, at: At, ptr: &Ptr, off: i64, to: BtfPtr, access: Access) -> Result<u32, Reject> {
        let btf = self.types_of(to)?;
        let (reg, name) = (at.reg.number(), || btf.name(TypeId(to.id)).to_owned());
        if ptr.nullable {
            return Err(Reject::InvalidMem { reg, ty: type_name(&Value::Ptr(*ptr)) });
        }
        if to.is_kernel() && !self.program.license.is_gpl_compatible() {
            return Err(Reject::StructNotGpl { name: name() });
        }
        let Ok(start) = u32::try_from(off) else { return Err(Reject::StructNegative { reg, name: name(), off }) };
        if !ptr.var.is_zero() {
            return Err(Reject::StructVariable { reg, name: name(), off, var: ptr.var.bits().to_string() });
        }
        if to.trust.has(Trust::USER) {
            return Err(Reject::StructUser { reg, name: name(), off });
        }
        if to.trust.has(Trust::PERCPU) {
            return Err(Reject::StructPercpu { reg, name: name(), off });
        }
        if access == Access::Write && !self.may_write_struct(to) {
            return Err(Reject::StructReadOnly {});
        }
        Ok(start)
    }

    fn may_write_struct(&self, to: BtfPtr) -> bool {
        use ring3_platform::ProgType;
        if to.trust.has(Trust::ALLOC) {
            return !to.trust.has(Trust::UNTRUSTED);
        }
        // These write some members of sockets and connections.
        matches!(self.program.kind, ProgType::StructOps | ProgType::SchedCls | ProgType::SchedAct | ProgType::Xdp)
    }

    /// How far a pointer may be trusted that was read from member `field` (a pointer to `id`), and whether it may be null.
    /// `own` is what its tag says.
    fn inherited(&self, btf: &Btf, parent: &Ptr, to: BtfPtr, (field, id): (&str, TypeId), own: Trust) -> (Trust, bool) {
        if to.trust.has(Trust::UNTRUSTED) {
            return (Trust::UNTRUSTED, false);
        }
        if !is_trusted(parent) && !to.trust.has(Trust::RCU) {
            return (own.without(Trust::RCU.with(Trust::TRUSTED)), false);
        }
        // Linux looks the lists up by the pointer's own type, also for a member of a structure within it.
        let listed = |list| self.is_listed(btf, TypeId(to.id), list, field, id);
        if listed(Listed::Trusted) {
            return (own.with(Trust::TRUSTED), false);
        }
        if listed(Listed::TrustedOrNull) {
            return (own.with(Trust::TRUSTED), true);
        }
        if !self.in_rcu_section() {
            return (Trust::UNTRUSTED, false);
        }
        if listed(Listed::Rcu) {
            return (own.with(Trust::RCU), false);
        }
        if listed(Listed::RcuOrNull) {
            return (own.with(Trust::RCU).without(Trust::UNTRUSTED), true);
        }
        if own.has(Trust::RCU) {
            return (own, true);
        }
        if own.any(Trust::PERCPU.with(Trust::USER)) {
            return (own, false);
        }
        // What is read from a union stays untrusted.
        (own.without(Trust::TRUSTED), false)
    }

    /// Whether the kernel has a list of this kind for a structure, with this member of this type.
    fn is_listed(&self, btf: &Btf, owner: TypeId, list: Listed, field: &str, id: TypeId) -> bool {
        let name = btf.name(owner);
        let lists = self.safe.get_or_init(|| safe_lists(btf));
        lists.iter().filter(|(kind, base, _)| *kind == list && base == name).any(|(_, _, safe)| {
            btf.member(*safe, field).is_some_and(|member| match btf.resolved(member.ty) {
                Ok(Type::Ptr { to }) => btf.resolve(*to).is_ok_and(|to| to == id),
                Ok(_) | Err(_) => false,
            })
        })
    }
}

/// Every list of the kernel: its kind, the structure that it is of, and the structure that it is.
pub type SafeLists = Vec<(Listed, String, TypeId)>;

fn safe_lists(btf: &Btf) -> SafeLists {
    let structs = btf.types().iter().zip(0..).filter(|(ty, _)| ty.kind() == Kind::Struct);
    structs
        .filter_map(|(ty, id)| {
            let name = btf.string(ty.name());
            let (list, suffix) = LISTS.iter().find(|(_, suffix)| name.ends_with(suffix))?;
            Some((*list, name.strip_suffix(suffix)?.to_owned(), TypeId(id)))
        })
        .collect()
}

/// Members of `tcp_sock` that programs may write, as paths.
const TCP_WRITABLE: &[&[&str]] = &[
    &["inet_conn", "icsk_inet", "sk", "sk_pacing_rate"],
    &["inet_conn", "icsk_inet", "sk", "sk_pacing_status"],
    &["inet_conn", "icsk_ack", "pending"],
    &["snd_cwnd"],
    &["snd_cwnd_cnt"],
    &["snd_cwnd_stamp"],
    &["snd_ssthresh"],
    &["ecn_flags"],
    &["app_limited"],
];
/// Memory for programs, of which they may write any part.
const TCP_PRIVATE: &[&str] = &["inet_conn", "icsk_ca_priv"];

/// Stores to sockets of TCP by programs that control congestion.
fn write_tcp(btf: &Btf, id: TypeId, off: u32, size: u32) -> Result<(), Reject> {
    let ends = |(start, bytes): (u32, u32)| start.saturating_add(bytes);
    let exact = TCP_WRITABLE.iter().filter_map(|path| place(btf, id, path)).find(|(start, _)| *start == off);
    let private = place(btf, id, TCP_PRIVATE).filter(|found| (found.0..ends(*found)).contains(&off));
    let Some(end) = exact.or(private).map(ends) else { return Err(Reject::OpsNoWrite { off }) };
    if off.saturating_add(size) > end { Err(Reject::OpsWriteEnd { off, size, end }) } else { Ok(()) }
}

/// Stores to tracked connections: of these programs may write the mark alone.
fn write_connection(btf: &Btf, off: u32, size: u32) -> Result<(), Reject> {
    let mark = btf.find("nf_conn", Kind::Struct).and_then(|id| place(btf, id, &["mark"]));
    let Some(end) = mark.filter(|(start, _)| *start == off).map(|(start, size)| start.saturating_add(size)) else {
        return Err(Reject::ConnectionNoWrite { off });
    };
    if off.saturating_add(size) > end { Err(Reject::ConnectionWriteEnd { off, size, end }) } else { Ok(()) }
}

/// Offset and size of a member of a member.
fn place(btf: &Btf, id: TypeId, path: &[&str]) -> Option<(u32, u32)> {
    let (mut id, mut start) = (id, 0u32);
    for name in path {
        let member = btf.member(id, name)?;
        (id, start) = (member.ty, start.checked_add(member.bit_offset / 8)?);
    }
    Some((start, btf.size_of(id).ok()?))
}

/// Objects that are being set up have a type of their own, which does not pass for the other one.
fn is_early(a: &str, b: &str) -> bool {
    const EARLY: &str = "___init";
    a.strip_suffix(EARLY) == Some(b) || b.strip_suffix(EARLY) == Some(a)
}

/// Whether a pointer leads to an object that lives: helpers and functions of the kernel may rely on it.
pub(super) fn is_trusted(ptr: &Ptr) -> bool {
    if ptr.ref_id != 0 {
        return true;
    }
    match ptr.kind {
        PtrKind::Btf(BtfPtr { trust, .. }) => {
            let good = Trust::TRUSTED.with(Trust::ALLOC).with(Trust::NON_OWNING);
            !ptr.nullable
                && trust.any(good)
                && !trust.flags().any(Trust::USER.with(Trust::PERCPU).with(Trust::RCU).with(Trust::UNTRUSTED))
        }
        PtrKind::Sock | PtrKind::SockCommon | PtrKind::TcpSock | PtrKind::ConstMap(_) => !ptr.nullable,
        _ => false,
    }
}
