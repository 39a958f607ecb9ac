//! What a program is attached to by the kernel's types, and what its context holds then: the arguments of a function.

use ring3_btf::{Btf, Kind, Type, TypeId};
use ring3_platform::attach::{LsmHook, lsm_hook, modifiable, tracepoint_arg};
use ring3_platform::{AttachType, OpsMember, ProgType, Program};

use super::members;
use crate::diag::reject::{Reject, unsupported};
use crate::state::{BtfPtr, Trust};

/// The start of the names of the types that describe tracepoints.
const TRACEPOINT: &str = "btf_trace_";
/// The start of the names of the functions that describe iterators.
const ITERATOR: &str = "bpf_iter_";
/// The start of the names of the functions that are hooks of security modules.
const LSM: &str = "bpf_lsm_";
/// Bytes of a context that Linux looks at (12 arguments).
const MAX_CONTEXT: i64 = 12 * 8;
/// The largest error number in results (MAX_ERRNO).
const MAX_ERRNO: i32 = 4095;
/// Functions that no tracing program may be attached to, as they run where it is entered.
const DENIED: &[&str] = &[
    "__rcu_read_lock",
    "__rcu_read_unlock",
    "migrate_disable",
    "migrate_enable",
    "preempt_count_add",
    "preempt_count_sub",
    "rcu_read_unlock_strict",
];
/// Functions that do not return, so that nothing can be attached to their end.
const NO_RETURN: &[&str] = &[
    "__ia32_sys_exit",
    "__ia32_sys_exit_group",
    "__x64_sys_exit",
    "__x64_sys_exit_group",
    "do_exit",
    "do_group_exit",
    "kthread_complete_and_exit",
    "kthread_exit",
    "make_task_dead",
];

/// Why a program is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Tracepoint,
    /// Before a function.
    Entry,
    /// After a function: its result stands behind its arguments.
    Exit,
    /// Instead of a function, perhaps.
    Modify,
    Lsm(LsmHook),
    LsmCgroup(LsmHook),
    Iterator(&'static [Item]),
    /// A member of a struct of functions.
    Member(Ops),
}

/// Structs of functions that the kernel takes from programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ops {
    /// `tcp_congestion_ops`.
    Tcp,
    /// `bpf_dummy_ops`, which is for tests.
    Dummy,
}

/// Members of `tcp_congestion_ops` that programs may be.
const TCP_MEMBERS: &[&str] = &[
    "cong_avoid",
    "cong_control",
    "cwnd_event",
    "in_ack_event",
    "init",
    "min_tso_segs",
    "pkts_acked",
    "release",
    "set_state",
    "sndbuf_expand",
    "ssthresh",
    "undo_cwnd",
];

/// What a program is attached to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attach {
    /// The name in messages.
    name: String,
    role: Role,
    params: Vec<Param>,
    ret: TypeId,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Param {
    name: String,
    ty: TypeId,
}

/// What a load from the context gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Argument {
    /// A number.
    Number,
    /// The result of the function that the program is attached to.
    Result { lo: i32, hi: i32 },
    /// A structure of the kernel, and what Linux notes of it in the log.
    Struct { to: BtfPtr, nullable: bool, note: String },
    /// Memory of which it is known later how much there is; it may be null.
    Buf { rdonly: bool },
}

/// What an iterator gives beside its meta information.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Item {
    /// A number, or a pointer that is always there.
    Plain,
    Trusted,
    OrNull,
    TrustedOrNull,
    Key,
    Value,
}

/// The iterators of Linux 6.18, and what their arguments behind the first are, as its log says.
const ITERATORS: &[(&str, &[Item])] = &[
    ("bpf_link", &[Item::OrNull]),
    ("bpf_map", &[Item::TrustedOrNull]),
    ("bpf_map_elem", &[Item::Trusted, Item::Key, Item::Value]),
    ("bpf_prog", &[Item::OrNull]),
    ("bpf_sk_storage_map", &[Item::Trusted, Item::OrNull, Item::Value]),
    ("cgroup", &[Item::TrustedOrNull]),
    ("dmabuf", &[Item::OrNull]),
    ("ipv6_route", &[Item::OrNull]),
    ("kmem_cache", &[Item::TrustedOrNull]),
    ("ksym", &[Item::OrNull]),
    ("netlink", &[Item::OrNull]),
    ("sockmap", &[Item::Trusted, Item::Key, Item::OrNull]),
    ("task", &[Item::TrustedOrNull]),
    ("task_file", &[Item::OrNull, Item::Plain, Item::OrNull]),
    ("task_vma", &[Item::OrNull, Item::OrNull]),
    ("tcp", &[Item::TrustedOrNull, Item::Plain]),
    ("udp", &[Item::TrustedOrNull, Item::Plain, Item::Plain]),
    ("unix", &[Item::OrNull, Item::Plain]),
];

/// What a program of this type is attached to; `None` for types that have no such target.
pub fn find(program: &Program, btf: Option<&Btf>) -> Result<Option<Attach>, Reject> {
    match program.kind {
        ProgType::Tracing if program.attach_prog.is_some() => return unsupported("a program that traces another one"),
        ProgType::Tracing | ProgType::Lsm => {}
        ProgType::StructOps => return member(program, btf).map(Some),
        ProgType::Ext => return unsupported("an ext program (freplace) without the program that it extends"),
        _ => return Ok(None),
    }
    let Some(btf) = btf else { return unsupported("a tracing program without the kernel's types (BTF)") };
    let Some(target) = program.attach_name() else { return Err(Reject::NoBtfId {}) };
    let (name, role) = match (program.kind, program.attach) {
        (ProgType::Lsm, Some(AttachType::LsmCgroup)) => (format!("{LSM}{target}"), Role::LsmCgroup(lsm_hook(target))),
        (ProgType::Lsm, Some(AttachType::LsmMac)) => (format!("{LSM}{target}"), Role::Lsm(lsm_hook(target))),
        (_, Some(AttachType::TraceRawTp)) => return tracepoint(btf, target).map(Some),
        (_, Some(AttachType::TraceIter)) => {
            let Some((_, items)) = ITERATORS.iter().find(|(name, _)| *name == target) else {
                return unsupported(format!("the iterator {target}"));
            };
            (format!("{ITERATOR}{target}"), Role::Iterator(items))
        }
        (_, Some(AttachType::TraceFentry)) => (target.to_owned(), Role::Entry),
        (_, Some(AttachType::TraceFexit)) => (target.to_owned(), Role::Exit),
        (_, Some(AttachType::ModifyReturn)) => (target.to_owned(), Role::Modify),
        (kind, _) => return unsupported(format!("what {} programs are attached to", kind.name())),
    };
    let attach = function(btf, name, role)?;
    attach.check(program, btf)?;
    Ok(Some(attach))
}

fn function(btf: &Btf, name: String, role: Role) -> Result<Attach, Reject> {
    let Some(Type::Func { proto, .. }) = btf.find(&name, Kind::Func).and_then(|id| btf.get(id)) else {
        return Err(Reject::NoTarget { name });
    };
    prototype(btf, *proto, name, role)
}

fn prototype(btf: &Btf, proto: TypeId, name: String, role: Role) -> Result<Attach, Reject> {
    let Some(Type::FuncProto { ret, params }) = btf.get(proto) else { return Err(Reject::NoTarget { name }) };
    let params = params.iter().map(|p| Param { name: btf.string(p.name).to_owned(), ty: p.ty }).collect();
    Ok(Attach { name, role, params, ret: *ret })
}

/// A tracepoint, by the typedef that describes it.
fn tracepoint(btf: &Btf, target: &str) -> Result<Attach, Reject> {
    let missing = || Reject::NoTarget { name: format!("{TRACEPOINT}{target}") };
    let typedef = btf.find(&format!("{TRACEPOINT}{target}"), Kind::Typedef).ok_or_else(missing)?;
    let Ok(Type::Ptr { to }) = btf.resolved(typedef) else { return Err(missing()) };
    prototype(btf, *to, target.to_owned(), Role::Tracepoint)
}

/// A member of a struct of functions.
fn member(program: &Program, btf: Option<&Btf>) -> Result<Attach, Reject> {
    let (Some(OpsMember { ops: name, member }), Some(btf)) = (&program.ops, btf) else {
        return unsupported("what struct_ops programs are attached to");
    };
    let ops = match name.as_str() {
        "tcp_congestion_ops" => Ops::Tcp,
        "bpf_dummy_ops" => Ops::Dummy,
        _ => return unsupported(format!("programs that stand for members of {name}")),
    };
    if !program.license.is_gpl_compatible() {
        return Err(Reject::OpsNotGpl {});
    }
    let found = btf.find(name, Kind::Struct).and_then(|id| btf.member(id, member));
    let proto = found.and_then(|found| match btf.resolved(found.ty) {
        Ok(Type::Ptr { to }) => btf.resolve(*to).ok(),
        Ok(_) | Err(_) => None,
    });
    let Some(proto) = proto.filter(|id| btf.get(*id).is_some_and(|ty| ty.kind() == Kind::FuncProto)) else {
        return unsupported(format!("member {member} of {name}"));
    };
    let (member, ops_name) = (member.clone(), name.clone());
    match ops {
        Ops::Tcp if !TCP_MEMBERS.contains(&member.as_str()) => {
            return Err(Reject::OpsNoStub { member, ops: ops_name });
        }
        Ops::Tcp if program.sleepable => return unsupported("sleepable programs of TCP"),
        Ops::Dummy if program.sleepable && member != "test_sleepable" => {
            return Err(Reject::OpsMember { member, ops: ops_name });
        }
        Ops::Tcp | Ops::Dummy => {}
    }
    let mut attach = prototype(btf, proto, member, Role::Member(ops))?;
    if matches!(btf.resolved(attach.ret), Ok(Type::Ptr { .. })) {
        return unsupported(format!("{name}, whose member {} returns a pointer", attach.name));
    }
    // The kernel's own function in the member's place has names that say more of the arguments.
    let stub = btf.find(&format!("{name}__{}", attach.name), Kind::Func).and_then(|id| btf.get(id));
    if let Some(Type::Func { proto, .. }) = stub
        && let Some(Type::FuncProto { params, .. }) = btf.get(*proto)
    {
        for (param, stub) in attach.params.iter_mut().zip(params) {
            param.name = btf.string(stub.name).to_owned();
        }
    }
    if attach.params.iter().any(|param| param.name.ends_with("__ref")) {
        return unsupported(format!("arguments of {} that are given for good", attach.name));
    }
    Ok(attach)
}

impl Attach {
    /// The struct of functions that the program is a member of.
    pub fn ops(&self) -> Option<Ops> {
        match self.role {
            Role::Member(ops) => Some(ops),
            Role::Tracepoint
            | Role::Entry
            | Role::Exit
            | Role::Modify
            | Role::Lsm(_)
            | Role::LsmCgroup(_)
            | Role::Iterator(_) => None,
        }
    }

    /// Whether a program may be attached there, and may sleep there.
    fn check(&self, program: &Program, btf: &Btf) -> Result<(), Reject> {
        let name = || self.name.clone();
        // Functions whose errors may be injected are not told by their types; those of system calls all are.
        let is_syscall = ["__x64_sys_", "__arm64_sys_", "__ia32_sys_"].iter().any(|start| self.name.starts_with(start));
        let traced = matches!(self.role, Role::Entry | Role::Exit | Role::Modify);
        let known = modifiable(&self.name);
        if traced && program.sleepable && !is_syscall && known != Some(true) {
            return unsupported(format!("whether a program may sleep at {}", self.name));
        }
        match self.role {
            Role::Lsm(hook) | Role::LsmCgroup(hook) => {
                if program.sleepable && !hook.sleepable {
                    return Err(Reject::TargetNotSleepable { name: name() });
                }
                if !program.license.is_gpl_compatible() {
                    return Err(Reject::LsmNotGpl {});
                }
                if hook.disabled {
                    let id = btf.find(&self.name, Kind::Func).map_or(0, |id| id.0);
                    return Err(Reject::HookDisabled { id, name: name() });
                }
            }
            Role::Modify if !is_syscall && known.is_none() && !self.name.starts_with("security_") => {
                return unsupported(format!("whether the result of {} may be modified", self.name));
            }
            Role::Entry | Role::Exit | Role::Modify | Role::Tracepoint | Role::Iterator(_) | Role::Member(_) => {}
        }
        if traced && DENIED.contains(&self.name.as_str()) {
            return Err(Reject::TargetDenied { name: name() });
        }
        if matches!(self.role, Role::Exit | Role::Modify) && NO_RETURN.contains(&self.name.as_str()) {
            return Err(Reject::TargetNoReturn { name: name() });
        }
        Ok(())
    }

    /// What the program may return: a range (`None` for anything), and whether R0 counts at all.
    pub fn returns(&self) -> Returns {
        let void = self.ret == TypeId::VOID;
        match self.role {
            Role::Tracepoint | Role::Modify => Returns::Anything,
            Role::Entry | Role::Exit => Returns::Within(0, 0),
            Role::Iterator(_) => Returns::Within(0, 1),
            Role::Lsm(_) | Role::Member(_) if void => Returns::Nothing,
            Role::Lsm(hook) => {
                let (lo, hi) = hook_range(hook);
                Returns::Within32(lo, hi)
            }
            Role::LsmCgroup(_) if void => Returns::VoidHook,
            Role::LsmCgroup(_) => Returns::Within(0, 1),
            Role::Member(_) => Returns::Anything,
        }
    }

    /// Whether pointers among the arguments lead to objects that live.
    fn is_trusted(&self) -> bool {
        match self.role {
            Role::Tracepoint | Role::Iterator(_) | Role::Member(_) => true,
            Role::Lsm(hook) | Role::LsmCgroup(hook) => hook.trusted,
            Role::Entry | Role::Exit | Role::Modify => false,
        }
    }

    /// Parameters in front of the first argument.
    fn skipped(&self) -> usize {
        usize::from(self.role == Role::Tracepoint)
    }

    /// Which argument lies at an offset: with the result counted as the last one.
    fn index_at(&self, btf: &Btf, off: i64) -> usize {
        let mut end = 0;
        for (index, param) in self.params.iter().enumerate() {
            end += i64::from(btf.size_of(param.ty).unwrap_or(0).max(1).next_multiple_of(8));
            if off < end {
                return index;
            }
        }
        let result = i64::from(btf.size_of(self.ret).unwrap_or(0).next_multiple_of(8));
        if off < end + result { self.params.len() } else { self.params.len() + 1 }
    }

    /// A load of `size` bytes at `off` of the context.
    pub fn load(&self, btf: &Btf, off: i64, size: u32) -> Result<Argument, Reject> {
        let invalid = |note: String| Reject::ArgInvalid { note, off, size };
        let lsm = matches!(self.role, Role::Lsm(_) | Role::LsmCgroup(_));
        if !lsm && (!(0..MAX_CONTEXT).contains(&off) || off % i64::from(size) != 0) {
            return Err(Reject::CtxAccess { off, size });
        }
        let name = &self.name;
        if off < 0 || off % 8 != 0 {
            return Err(invalid(format!("func '{name}' offset {off} is not multiple of 8")));
        }
        let index = self.index_at(btf, off);
        let count = self.params.len() - self.skipped().min(self.params.len());
        let missing = || invalid(format!("func '{name}' doesn't have {}-th argument", index + 1));
        let param = if index < count { self.params.get(index + self.skipped()) } else { None };
        let ty = match (param, self.role) {
            (Some(param), _) => param.ty,
            (None, Role::Lsm(_) | Role::LsmCgroup(_) | Role::Exit | Role::Modify) if index == count => self.ret,
            (None, _) => return Err(missing()),
        };
        let described = btf.resolved(ty).map_err(|_| missing())?;
        if is_number(described) {
            return Ok(match self.role {
                Role::Lsm(hook) if param.is_none() => {
                    let (lo, hi) = hook_range(hook);
                    Argument::Result { lo, hi }
                }
                _ => Argument::Number,
            });
        }
        if param.is_none() && self.role == Role::Modify {
            return Err(invalid(format!("ret type {} not allowed for fmod_ret", described.kind().name())));
        }
        let Type::Ptr { to } = described else {
            let (own, kind) = (btf.string(described.name()), kind_name(described));
            let own = if own.is_empty() { "(anon)" } else { own };
            return Err(invalid(format!(
                "func '{name}' arg{index} '{own}' has type {kind}. Only pointer access is allowed"
            )));
        };
        if size != 8 {
            return Err(invalid(format!("func '{name}' size {size} must be 8")));
        }
        self.pointer(btf, *to, index, param)
            .map_err(|kind| invalid(format!("func '{name}' arg{index} type {kind} is not a struct")))
    }

    /// An argument that is a pointer. Errors: the kind of what it leads to, if that is refused.
    fn pointer(&self, btf: &Btf, to: TypeId, index: usize, param: Option<&Param>) -> Result<Argument, &'static str> {
        let item = match (self.role, index.checked_sub(1)) {
            (Role::Iterator(items), Some(at)) => items.get(at).copied().unwrap_or(Item::Plain),
            _ => Item::Plain,
        };
        match item {
            Item::Key => return Ok(Argument::Buf { rdonly: true }),
            Item::Value => return Ok(Argument::Buf { rdonly: false }),
            Item::Plain | Item::Trusted | Item::OrNull | Item::TrustedOrNull => {}
        }
        let described = btf.resolved(to).map_err(|_| "UNKNOWN")?;
        if is_number_or_void(described) {
            return Ok(Argument::Number);
        }
        let Some(id) = members::structure(btf, to) else { return Err(kind_name(described)) };
        let may_be = if self.role == Role::Tracepoint { tracepoint_arg(&self.name, index) } else { Default::default() };
        if may_be.error {
            return Ok(Argument::Number);
        }
        let trust = match item {
            Item::OrNull => Trust::PLAIN,
            Item::TrustedOrNull | Item::Trusted => Trust::TRUSTED,
            Item::Plain | Item::Key | Item::Value => {
                let own = members::tag(btf, to).without(Trust::RCU);
                if self.is_trusted() { own.with(Trust::TRUSTED) } else { own }
            }
        };
        let nullable = matches!(item, Item::OrNull | Item::TrustedOrNull)
            || may_be.null
            || param.is_some_and(|param| param.name.ends_with("__nullable"));
        let (kind, own) = (kind_name(btf.resolved(id).map_err(|_| "UNKNOWN")?), btf.name(id));
        // Linux says nothing of the arguments that an iterator names.
        let told = nullable && matches!(self.role, Role::Member(_));
        let note = if matches!(item, Item::Plain) && !told {
            format!("func '{}' arg{index} has btf_id {} type {kind} '{own}'\n", self.name, id.0)
        } else {
            String::new()
        };
        let id = match self.role {
            // What a congestion control calls a socket is one of TCP.
            Role::Member(Ops::Tcp) if own == "sock" => btf.find("tcp_sock", Kind::Struct).unwrap_or(id),
            _ => id,
        };
        Ok(Argument::Struct { to: BtfPtr::kernel(id.0, trust), nullable, note })
    }
}

/// What a program may return.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Returns {
    /// R0 may even be unset.
    Nothing,
    /// Anything that is set.
    Anything,
    /// A number in this range.
    Within(i32, i32),
    /// One whose low 32 bits are in this range.
    Within32(i32, i32),
    /// Only 1, as nothing is done with it.
    VoidHook,
}

fn hook_range(hook: LsmHook) -> (i32, i32) {
    if hook.is_bool { (0, 1) } else { (-MAX_ERRNO, 0) }
}

/// Numbers of usual sizes, and structs by value, which Linux takes for numbers.
fn is_number(ty: &Type) -> bool {
    match ty {
        Type::Int(int) => matches!(int.size, 1 | 2 | 4 | 8) && u32::from(int.bits) == int.size * 8,
        Type::Enum(_) | Type::Enum64(_) | Type::Struct(_) | Type::Union(_) => true,
        _ => false,
    }
}

fn is_number_or_void(ty: &Type) -> bool {
    matches!(ty, Type::Void | Type::Int(_))
}

/// A kind as messages have it.
fn kind_name(ty: &Type) -> &'static str {
    match ty.kind() {
        Kind::Void => "UNKNOWN",
        kind => kind.name(),
    }
}
