//! What global functions expect of their arguments: what BTF says of their types, and the tags that go before that.

use ring3_btf::{Btf, Kind, Linkage, Type, TypeId};
use ring3_isa::Reg;
use ring3_platform::{ArgFlags, AttachType, Errno, ProgType, ctx};

use super::args::argument;
use super::call::Args;
use super::dynptr::Want;
use super::subprog::decl_tags;
use crate::diag::reject::Reject;
use crate::kernel::members;
use crate::state::{BtfPtr, DynptrKind, MemOrigin, Ptr, PtrKind, State, Trust, Value, type_name};
use crate::walk::Walk;

/// Arguments that are in registers.
const MAX_ARGS: usize = 5;
/// Modifiers and typedefs that may stand before a type.
const MAX_MODIFIERS: usize = 32;
/// What precedes the word of a tag.
const TAG: &str = "arg:";

/// What a global function expects of an argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Param {
    Scalar,
    Ctx,
    /// Memory of so many bytes; `nonnull` if it cannot be null.
    Mem {
        size: u32,
        nonnull: bool,
    },
    /// A dynptr that is not changed.
    Dynptr,
    /// A structure of the kernel that lives: its type.
    Trusted {
        id: u32,
        nullable: bool,
    },
    /// Anything: it is read with faults caught, as this structure of the kernel if it is one.
    Untrusted(Option<u32>),
    /// An address in the arena.
    Arena,
}

/// The tags of an argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Tags(u8);

impl Tags {
    const CTX: Tags = Tags(1);
    const NONNULL: Tags = Tags(1 << 1);
    const NULLABLE: Tags = Tags(1 << 2);
    const TRUSTED: Tags = Tags(1 << 3);
    const UNTRUSTED: Tags = Tags(1 << 4);
    const ARENA: Tags = Tags(1 << 5);

    fn of(word: &str) -> Option<Tags> {
        match word {
            "ctx" => Some(Tags::CTX),
            "nonnull" => Some(Tags::NONNULL),
            "nullable" => Some(Tags::NULLABLE),
            "trusted" => Some(Tags::TRUSTED),
            "untrusted" => Some(Tags::UNTRUSTED),
            "arena" => Some(Tags::ARENA),
            _ => None,
        }
    }

    fn has(self, other: Tags) -> bool {
        self.0 & other.0 != 0
    }

    /// Others than these.
    fn beside(self, other: Tags) -> bool {
        self.0 & !other.0 != 0
    }

    fn is_empty(self) -> bool {
        self == Tags::default()
    }
}

fn wrong<T>(text: String) -> Result<T, Reject> {
    Err(Reject::GlobalSignature { text })
}

impl Walk<'_> {
    /// Checks what a caller gives.
    pub(super) fn check_global_args(&mut self, subprog: usize) -> Result<(), Reject> {
        let params = self.params(subprog)?;
        params.iter().enumerate().try_for_each(|(index, param)| self.check_global_arg(index, *param))
    }

    fn check_global_arg(&mut self, index: usize, param: Param) -> Result<(), Reject> {
        let reg = argument(index);
        self.scratched.regs |= 1 << reg.number();
        let value = *self.path.state.reg(reg);
        match param {
            Param::Untrusted(_) => Ok(()),
            Param::Scalar => match value {
                Value::Scalar(_) => Ok(()),
                Value::Ptr(_) | Value::Uninit => Err(Reject::GlobalArgScalar { reg: reg.number() }),
            },
            Param::Arena => match value {
                Value::Scalar(_) | Value::Ptr(Ptr { kind: PtrKind::Arena, .. }) => Ok(()),
                Value::Ptr(_) | Value::Uninit => Err(Reject::GlobalArgArena { reg: reg.number() }),
            },
            Param::Ctx => match value {
                Value::Ptr(ptr) if ptr.kind == PtrKind::Ctx => self.check_plain_pointer(reg, &ptr),
                Value::Ptr(_) | Value::Scalar(_) | Value::Uninit => Err(Reject::GlobalArgCtx { index }),
            },
            Param::Mem { nonnull, .. } if nonnull && value.as_ptr().is_none_or(|ptr| ptr.nullable) => {
                Err(Reject::GlobalArgNull { index })
            }
            Param::Mem { .. } if value.is_zero() => self.mark_precise_quietly(reg),
            Param::Mem { .. } if value == Value::Uninit => {
                Err(Reject::ArgType { reg: reg.number(), ty: type_name(&value), expected: "fp".to_owned() })
            }
            Param::Mem { size, .. } => {
                if let Value::Ptr(ptr) = &value {
                    self.check_pointer_offset(reg, ptr, false)?;
                }
                let mut args = Args::default();
                self.check_memory(reg, size.into(), false, ArgFlags::NONE, &mut args)
                    .and_then(|()| self.check_memory(reg, size.into(), false, ArgFlags::WRITE, &mut args))
                    .map_err(|why| {
                        if why.errno() == Errno::EACCES { Reject::GlobalSignature { text: why.text() } } else { why }
                    })
            }
            Param::Dynptr => {
                if let Value::Ptr(ptr) = &value
                    && !matches!(ptr.kind, PtrKind::Stack(_))
                {
                    self.check_pointer_offset(reg, ptr, false)?;
                }
                self.check_dynptr(index, Want::Ready { kind: None, rdonly: true })
            }
            Param::Trusted { nullable: true, .. } if value.is_zero() => self.mark_precise_quietly(reg),
            Param::Trusted { id, nullable } => self.check_trusted(reg, &value, id, nullable),
        }
    }

    /// A structure that is given must be of this type. Pointers of old, of which nothing is known, will do, as in Linux.
    fn check_trusted(&self, reg: Reg, value: &Value, id: u32, nullable: bool) -> Result<(), Reject> {
        const GOOD: [Trust; 3] = [Trust::PLAIN, Trust::TRUSTED, Trust::RCU];
        let fits = |ptr: &Ptr, to: BtfPtr| GOOD.contains(&to.trust.flags()) && (nullable || !ptr.nullable);
        let (ptr, to) = match value {
            Value::Ptr(ptr @ Ptr { kind: PtrKind::Btf(to), .. }) if fits(ptr, *to) => (ptr, *to),
            _ => {
                let expected = "ptr_, trusted_ptr_, rcu_ptr_".to_owned();
                return Err(Reject::ArgType { reg: reg.number(), ty: type_name(value), expected });
            }
        };
        let btf = self.types_of(to)?;
        let off = u32::try_from(ptr.off).unwrap_or(u32::MAX);
        if !to.is_kernel() || !members::is_a(btf, TypeId(to.id), off, TypeId(id), false) {
            let want = self.target.btf.as_ref().map_or("", |kernel| kernel.name(TypeId(id))).to_owned();
            return Err(Reject::StructType { reg: reg.number(), has: btf.name(TypeId(to.id)).to_owned(), want });
        }
        self.check_pointer_offset(reg, ptr, false)
    }

    /// What a global function's BTF says of its arguments.
    fn params(&self, subprog: usize) -> Result<Vec<Param>, Reject> {
        let (Some(info), Some(func)) = (self.program.info.as_ref(), self.func_entry(subprog)) else {
            return Err(Reject::NoFuncInfo {});
        };
        let (btf, name) = (&*info.btf, &func.name);
        let proto = func_proto(btf, func.type_id)
            .ok_or_else(|| Reject::Unsupported { what: format!("the prototype of the global function {name}") })?;
        let Some(Type::FuncProto { ret, params }) = btf.get(proto) else { return Err(Reject::NoFuncInfo {}) };
        if params.len() > MAX_ARGS {
            return Err(Reject::GlobalManyArgs { name: name.to_string(), count: params.len() });
        }
        if !is_number(btf, *ret) {
            return Err(Reject::GlobalReturn { name: name.to_string() });
        }
        let tags = decl_tags(btf, func.type_id);
        let params = params.iter().enumerate();
        params.map(|(index, param)| self.param(btf, param.ty, tags_of(&tags, index)?, index, name)).collect()
    }

    fn param(&self, btf: &Btf, id: TypeId, tags: Tags, index: usize, name: &str) -> Result<Param, Reject> {
        let Ok(Type::Ptr { to }) = btf.resolved(id) else {
            if !tags.is_empty() {
                return wrong(format!("arg#{index} has pointer tag, but is not a pointer type"));
            }
            if is_number(btf, id) {
                return Ok(Param::Scalar);
            }
            let kind = btf.resolved(id).map_or("UNKNOWN", |ty| ty.kind().name());
            return wrong(format!("Arg#{index} type {kind} in {name}() is not supported yet."));
        };
        let combined = || wrong(format!("arg#{index} has invalid combination of tags"));
        if tags.has(Tags::CTX) || self.is_context(btf, *to) {
            if tags.beside(Tags::CTX) {
                return combined();
            }
            if tags.has(Tags::CTX) {
                self.check_context_type(btf, *to, index)?;
            }
            return Ok(Param::Ctx);
        }
        let target = btf.resolve(*to).unwrap_or(*to);
        let is_struct = btf.get(target).is_some_and(|ty| ty.kind() == Kind::Struct);
        if is_struct && matches!(btf.name(target), "bpf_dynptr" | "bpf_dynptr_kern") {
            return if tags.is_empty() { Ok(Param::Dynptr) } else { combined() };
        }
        if tags.has(Tags::TRUSTED) {
            if tags.has(Tags::NONNULL) {
                return combined();
            }
            let id = self.same_in_kernel(btf, target, index)?;
            return Ok(Param::Trusted { id, nullable: tags.has(Tags::NULLABLE) });
        }
        if tags.has(Tags::UNTRUSTED) {
            if tags.beside(Tags::UNTRUSTED) {
                return wrong(format!("arg#{index} untrusted cannot be combined with any other tags"));
            }
            return self.untrusted(btf, target, index);
        }
        if tags.has(Tags::ARENA) {
            if tags.beside(Tags::ARENA) {
                return wrong(format!("arg#{index} arena cannot be combined with any other tags"));
            }
            return Ok(Param::Arena);
        }
        if tags.has(Tags::NULLABLE) {
            return combined();
        }
        let (kind, what) = words(btf, target);
        match size_of(btf, target) {
            Some(0) => Err(Reject::Unsupported { what: format!("memory of no size as argument of {name}") }),
            Some(size) => Ok(Param::Mem { size, nonnull: tags.has(Tags::NONNULL) }),
            None => wrong(format!("arg#{index} reference type('{kind} {what}') size cannot be determined: -22")),
        }
    }

    fn untrusted(&self, btf: &Btf, target: TypeId, index: usize) -> Result<Param, Reject> {
        let kind = btf.get(target).map(|ty| ty.kind());
        if target == TypeId::VOID || matches!(kind, Some(Kind::Int | Kind::Enum | Kind::Enum64)) {
            return Ok(Param::Untrusted(None));
        }
        let id = self.same_in_kernel(btf, target, index)?;
        let Some(kernel) = &self.target.btf else { return Ok(Param::Untrusted(None)) };
        match kernel.get(TypeId(id)).map_or(Kind::Void, |ty| ty.kind()) {
            Kind::Struct | Kind::Union => Ok(Param::Untrusted(Some(id))),
            other => wrong(format!(
                "arg#{index} has type {} '', but only struct or primitive types are allowed",
                other.name()
            )),
        }
    }

    /// The kernel's type of the same kind and name; what follows three underscores is no part of a name.
    fn same_in_kernel(&self, btf: &Btf, target: TypeId, index: usize) -> Result<u32, Reject> {
        let (kind, name) = words(btf, target);
        let shown = if name.is_empty() { "(anon)" } else { name };
        let what = format!("arg#{index} reference type('{kind} {shown}')");
        if name.is_empty() {
            return wrong(format!("{what} candidate matching error: -22"));
        }
        let Some(kernel) = &self.target.btf else {
            return Err(Reject::Unsupported { what: format!("a pointer to {name} without the kernel's types (BTF)") });
        };
        let wanted = essential(name);
        let same = |ty: &Type| ty.kind().name() == kind && essential(kernel.string(ty.name())) == wanted;
        let mut found = kernel.types().iter().zip(0..).filter(|(ty, _)| same(ty)).map(|(_, id)| id);
        match (found.next(), found.next()) {
            (Some(id), None) => Ok(id),
            (None, _) => Err(Reject::GlobalNoType { what }),
            (Some(_), Some(_)) => Err(Reject::GlobalManyTypes { what }),
        }
    }

    /// Whether a type is the context of the program, without a tag.
    fn is_context(&self, btf: &Btf, to: TypeId) -> bool {
        let kind = self.program.kind;
        if kind == ProgType::Kprobe && is_user_regs(btf, to) {
            return true;
        }
        let Ok(to) = btf.resolve(to) else { return false };
        let name = btf.name(to);
        // The kernel's own type has this name, too.
        let name = if kind == ProgType::Kprobe && name == "bpf_user_pt_regs_t" { "pt_regs" } else { name };
        let is_struct = btf.get(to).is_some_and(|ty| ty.kind() == Kind::Struct);
        is_struct
            && context_name(kind).is_some_and(|own| {
                own == name || matches!((own, name), ("__sk_buff", "sk_buff") | ("xdp_md", "xdp_buff"))
            })
    }

    /// Whether the type of an argument that is tagged as the context can be it.
    fn check_context_type(&self, btf: &Btf, to: TypeId, index: usize) -> Result<(), Reject> {
        let kind = self.program.kind;
        if matches!(kind, ProgType::Kprobe | ProgType::PerfEvent) && is_user_regs(btf, to) {
            return Ok(());
        }
        let to = btf.resolve(to).unwrap_or(to);
        if to == TypeId::VOID {
            return Ok(());
        }
        let name = btf.name(to);
        if name.is_empty() {
            return wrong(format!("arg#{index} type doesn't have a name"));
        }
        let is_struct = btf.get(to).is_some_and(|ty| matches!(ty.kind(), Kind::Struct | Kind::Union));
        let is_word = matches!(btf.get(to), Some(Type::Int(_))) && btf.size_of(to) == Ok(8);
        let attach = kind.effective_attach(self.program.attach);
        let special = match kind {
            ProgType::Kprobe | ProgType::PerfEvent => is_struct && name == "pt_regs",
            ProgType::RawTracepoint | ProgType::RawTracepointWritable | ProgType::Lsm | ProgType::StructOps => is_word,
            ProgType::Tracing => match attach {
                Some(AttachType::TraceRawTp) => is_word || is_struct && name == "bpf_raw_tracepoint_args",
                Some(AttachType::TraceIter) => is_struct && name.starts_with("bpf_iter__"),
                Some(AttachType::TraceFentry | AttachType::TraceFexit | AttachType::ModifyReturn) => is_word,
                Some(_) | None => false,
            },
            ProgType::Tracepoint | ProgType::Syscall | ProgType::Ext => true,
            _ => false,
        };
        match context_name(kind) {
            _ if special => Ok(()),
            None => wrong(format!("arg#{index} should be void pointer")),
            Some(own) if is_struct && own == name => Ok(()),
            Some(own) => wrong(format!("arg#{index} should be `struct {own} *`")),
        }
    }
}

/// The structure that programs of a type have as context, where it has a name of its own.
fn context_name(kind: ProgType) -> Option<&'static str> {
    match kind {
        ProgType::Tracepoint | ProgType::Syscall | ProgType::LircMode2 => None,
        _ => ctx::layout(kind).map(|layout| layout.name),
    }
}

/// Whether a type goes by the name that registers of user space have.
fn is_user_regs(btf: &Btf, to: TypeId) -> bool {
    let mut id = to;
    for _ in 0..MAX_MODIFIERS {
        match btf.get(id) {
            Some(Type::Typedef { .. }) => return btf.name(id) == "bpf_user_pt_regs_t",
            Some(Type::Const { to } | Type::Volatile { to } | Type::Restrict { to }) => id = *to,
            Some(_) | None => return false,
        }
    }
    false
}

/// Kind and name of a type, as messages have them.
fn words(btf: &Btf, id: TypeId) -> (&'static str, &str) {
    if id == TypeId::VOID {
        return ("UNKNOWN", "");
    }
    (btf.get(id).map_or("UNKNOWN", |ty| ty.kind().name()), btf.name(id))
}

/// A name without its flavour.
fn essential(name: &str) -> &str {
    let at = name.rfind("___").filter(|at| *at > 0 && at + 3 < name.len());
    at.map_or(name, |at| &name[..at])
}

/// Bytes of memory that a pointer may lead to.
fn size_of(btf: &Btf, id: TypeId) -> Option<u32> {
    match btf.get(id)?.kind() {
        Kind::Struct | Kind::Union | Kind::Int | Kind::Enum | Kind::Enum64 | Kind::Ptr | Kind::Array => {
            btf.size_of(id).ok()
        }
        _ => None,
    }
}

fn tags_of(tags: &[(Option<usize>, &str)], index: usize) -> Result<Tags, Reject> {
    let mine = tags.iter().filter(|(component, _)| *component == Some(index));
    mine.filter_map(|(_, text)| text.strip_prefix(TAG)).try_fold(Tags::default(), |all, word| match Tags::of(word) {
        Some(tag) => Ok(Tags(all.0 | tag.0)),
        None => Err(Reject::GlobalTag { index }),
    })
}

/// What Linux says of the arguments of the main function by its BTF, which it goes on without.
pub fn note_main_arguments(walk: &mut Walk<'_>) {
    if !walk.log.any() || walk.func_entry(0).is_none_or(|func| func.linkage != Linkage::Global) {
        return;
    }
    match walk.params(0) {
        Ok(_) | Err(Reject::Unsupported { .. } | Reject::NoFuncInfo {}) => {}
        Err(note) => {
            walk.log.push(&note.text());
            walk.log.push("\n");
        }
    }
}

/// Whether a function takes what its types say, so that another can stand in its place. The main function takes the context; what a
/// static one takes beside numbers and the context nobody checks.
pub fn is_as_typed(walk: &Walk<'_>, subprog: usize) -> bool {
    let is_static = walk.func_entry(subprog).is_some_and(|func| func.linkage == Linkage::Static);
    match walk.params(subprog) {
        Ok(params) if subprog == 0 => params == [Param::Ctx],
        Ok(params) if is_static => params.iter().all(|param| matches!(param, Param::Scalar | Param::Ctx)),
        Ok(_) => true,
        Err(_) => false,
    }
}

/// A state at the entry of a global function, for any arguments that fit.
pub fn global_entry(walk: &mut Walk<'_>, subprog: usize) -> Result<State, Reject> {
    let params = walk.params(subprog)?;
    if walk.structure.exception_callback == Some(subprog) && params != [Param::Scalar] {
        return Err(Reject::ExceptionCallbackArgs {});
    }
    let mut state = State::entry(subprog);
    for (index, param) in params.iter().enumerate() {
        let value = match *param {
            Param::Scalar | Param::Arena => Value::unknown(),
            Param::Ctx => Value::ptr(PtrKind::Ctx),
            Param::Mem { size, nonnull } => {
                let id = if nonnull { 0 } else { walk.new_id() };
                let kind = PtrKind::Mem { size, rdonly: false, origin: MemOrigin::Given };
                Value::Ptr(Ptr { id, nullable: !nonnull, ..Ptr::new(kind) })
            }
            Param::Dynptr => Value::Ptr(Ptr { id: walk.new_id(), ..Ptr::new(PtrKind::Dynptr(DynptrKind::Local)) }),
            Param::Trusted { id, nullable } => {
                let kind = PtrKind::Btf(BtfPtr::kernel(id, Trust::TRUSTED));
                Value::Ptr(Ptr { id: walk.new_id(), nullable, ..Ptr::new(kind) })
            }
            Param::Untrusted(Some(id)) => {
                let kind = PtrKind::Btf(BtfPtr::kernel(id, Trust::UNTRUSTED));
                Value::Ptr(Ptr { id: walk.new_id(), ..Ptr::new(kind) })
            }
            Param::Untrusted(None) => Value::ptr(PtrKind::AnyMem),
        };
        state.frame_mut().regs[index + 1] = value;
    }
    Ok(state)
}

/// The refusal of a call whose arguments do not fit.
pub(super) fn caller(why: &Reject, subprog: usize, name: String) -> Reject {
    match why.errno() {
        Errno::EACCES => Reject::GlobalArgsAccess { subprog, name },
        Errno::ENOENT => Reject::GlobalArgsNoType { subprog, name },
        Errno::ESRCH => Reject::GlobalArgsManyTypes { subprog, name },
        Errno::EOPNOTSUPP => Reject::GlobalArgsTag { subprog, name },
        _ => Reject::GlobalArgs { subprog, name, why: why.text() },
    }
}

/// Whether a type is a number's.
fn is_number(btf: &Btf, id: TypeId) -> bool {
    btf.resolved(id).is_ok_and(|ty| matches!(ty.kind(), Kind::Int | Kind::Enum | Kind::Enum64))
}

fn func_proto(btf: &Btf, func: TypeId) -> Option<TypeId> {
    match btf.get(func)? {
        Type::Func { proto, .. } => Some(*proto),
        _ => None,
    }
}
