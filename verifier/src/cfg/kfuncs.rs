//! Functions of the kernel that a program calls, with their prototypes: what each argument has to be and what comes back.
//! The few that every program may need are in a table here, so that no BTF of a kernel is needed to judge them; the
//! others are read from the target's BTF, where the names of parameters say as much as their types.

use ring3_btf::{Btf, Kind, Type, TypeId};
use ring3_isa::{Callee, Insn};
use ring3_platform::kfuncs::{Kfunc, KfuncFlags, base_name};
use ring3_platform::maps::FieldKind;
use ring3_platform::{Program, Target, ctx, kfunc};

/// Most arguments of a function.
const MAX_ARGS: usize = 5;
/// How deep structures of plain numbers may be nested.
const MAX_NESTING: u32 = 4;

/// A type of iterator that lives on the stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IterType {
    /// What follows `bpf_iter_` in the name of its structure.
    pub name: String,
    /// Slots of the stack that it takes.
    pub slots: usize,
}

/// The size that goes with a pointer: the next argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Len {
    /// It has to be known.
    pub constant: bool,
}

/// What a pointer has to lead to, as far as the prototype alone says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// The program's context.
    Ctx,
    /// An iterator on the stack: index into [`Kfuncs::iters`].
    Iter(u16),
    /// A saved interrupt flag on the stack.
    IrqFlag,
    /// A map.
    Map,
    /// A string that cannot change.
    Str,
    /// A dynptr on the stack.
    Dynptr {
        /// It is made there.
        uninit: bool,
    },
    /// A lock that may fail.
    Lock,
    /// A special field of a map's value.
    Field(FieldKind),
    /// An object of the program, which is given back.
    Owned,
    /// An object of the program that counts who has it.
    Counted,
    /// A list or a tree.
    Root(FieldKind),
    /// A node in an object that is, or can be, in a list or a tree.
    Node(FieldKind),
    /// A structure of the kernel or memory: what is in the register decides.
    Object(Object),
}

/// A pointer to a plain C type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Object {
    /// The type that it points to, behind typedefs and modifiers: a number in the kernel's BTF; 0 is `void`.
    pub id: u32,
    /// Its kind.
    pub kind: Kind,
    /// Its size, if it has one.
    pub size: Option<u32>,
    /// A number or a structure of numbers alone.
    pub plain: bool,
    /// It comes with a size.
    pub len: Option<Len>,
    /// A size is there, but the pointer may be null.
    pub optional: bool,
}

/// What an argument has to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Param {
    /// Nobody looks at it.
    Ignored,
    /// A number.
    Scalar,
    /// A number that is known.
    Constant,
    /// A number that is known: the size of the memory that is returned.
    BufSize {
        /// Programs may not write there.
        rdonly: bool,
    },
    /// A pointer.
    Pointer {
        /// To what.
        class: Class,
        /// Null will do.
        nullable: bool,
    },
    /// A type that no register can have.
    Odd(&'static str),
}

/// What comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ret {
    /// Nothing.
    Void,
    /// A number, or a pointer that is as good as one.
    Scalar,
    /// A structure of the kernel: its type.
    Struct(u32),
    /// Memory of this size, to be read only.
    Mem(u32),
    /// Memory whose size an argument says.
    Buffer {
        /// What it points to.
        kind: Kind,
        /// Its type.
        id: u32,
    },
}

/// A prototype.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proto {
    /// Name, flags, who may call.
    pub row: &'static Kfunc,
    /// Arguments.
    pub params: Vec<Param>,
    /// Result.
    pub ret: Ret,
    /// Its number in the kernel's BTF, if that is there.
    pub id: Option<u32>,
}

impl Proto {
    /// Whether its pointers must be known to be good: so must be what is released.
    pub fn wants_trusted(&self) -> bool {
        self.has(KfuncFlags::TRUSTED_ARGS) || self.has(KfuncFlags::RELEASE)
    }

    /// Whether it has this flag.
    pub fn has(&self, flag: KfuncFlags) -> bool {
        self.row.flags.has(flag)
    }
}

/// What is known of the function that a program calls under a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Named {
    /// No table has it.
    Unknown,
    /// It is in the table, but nothing says what its arguments are.
    NoProto(&'static Kfunc),
    /// All.
    Known(Proto),
}

/// The functions of the kernel that a program names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Kfuncs {
    /// In the order of [`Program::kfuncs`].
    pub named: Vec<Named>,
    /// Iterators that their arguments are.
    pub iters: Vec<IterType>,
    /// Their numbers in the kernel's BTF, where that is there and somebody reads the log.
    pub numbers: Vec<Option<u32>>,
}

impl Kfuncs {
    /// What is known of the functions that a program names.
    pub fn of(program: &Program, target: &Target) -> Kfuncs {
        let mut kfuncs = Kfuncs::default();
        for named in &program.kfuncs {
            let found = match kfunc(&named.name) {
                None => Named::Unknown,
                Some(row) => kfuncs.proto(row, program, target).map_or(Named::NoProto(row), Named::Known),
            };
            kfuncs.named.push(found);
        }
        kfuncs
    }

    /// Finds out the numbers that the kernel's log has.
    pub fn number(&mut self, program: &Program, target: &Target) {
        let Some(btf) = target.btf.as_deref() else { return };
        let find = |name: &str| btf.find(base_name(name), Kind::Func).map(|id| id.0);
        self.numbers = program.kfuncs.iter().map(|named| find(&named.name)).collect();
    }

    /// The prototype of the function that a call means.
    pub fn called(&self, program: &Program, id: i32, off: i16) -> Option<&Proto> {
        program.kfunc(id, off)?;
        match self.named.get(usize::try_from(id).ok()?)? {
            Named::Known(proto) => Some(proto),
            Named::Unknown | Named::NoProto(_) => None,
        }
    }

    /// The prototype of the function that the instruction at a slot calls.
    pub fn at(&self, program: &Program, slot: usize) -> Option<&Proto> {
        match program.code.insns().get(slot) {
            Some(Ok(Insn::Call(Callee::Kfunc { id, off }))) => self.called(program, *id, *off),
            Some(_) | None => None,
        }
    }

    fn iter(&mut self, name: &str, slots: usize) -> u16 {
        let known = self.iters.iter().position(|iter| iter.name == name && iter.slots == slots);
        let at = known.unwrap_or_else(|| {
            self.iters.push(IterType { name: name.to_owned(), slots });
            self.iters.len() - 1
        });
        u16::try_from(at).unwrap_or(u16::MAX)
    }

    fn proto(&mut self, row: &'static Kfunc, program: &Program, target: &Target) -> Option<Proto> {
        if let Some(core) = CORE.iter().find(|core| core.name == row.name) {
            let params = core.params.iter().map(|param| self.core_param(param)).collect();
            return Some(Proto { row, params, ret: core.ret, id: None });
        }
        let btf = target.btf.as_deref()?;
        let id = btf.find(base_name(row.name), Kind::Func)?;
        let Type::Func { proto, .. } = btf.get(id)? else { return None };
        let Type::FuncProto { ret, params } = btf.get(*proto)? else { return None };
        if params.len() > MAX_ARGS {
            return None;
        }
        let reader = Reader { btf, row, program };
        let names: Vec<(&str, TypeId)> = params.iter().map(|param| (btf.string(param.name), param.ty)).collect();
        let params = (0..names.len()).map(|index| reader.param(self, &names, index)).collect::<Option<Vec<_>>>()?;
        Some(Proto { row, params, ret: reader.ret(*ret)?, id: Some(id.0) })
    }

    fn core_param(&mut self, param: &CoreParam) -> Param {
        let pointer = |class| Param::Pointer { class, nullable: false };
        match param {
            CoreParam::Ignored => Param::Ignored,
            CoreParam::Scalar => Param::Scalar,
            CoreParam::Map => pointer(Class::Map),
            CoreParam::IrqFlag => pointer(Class::IrqFlag),
            CoreParam::Iter(name, slots) => pointer(Class::Iter(self.iter(name, *slots))),
        }
    }
}

/// What an argument of a function of the table here is.
enum CoreParam {
    Ignored,
    Scalar,
    Map,
    IrqFlag,
    Iter(&'static str, usize),
}

/// A function that is known without a kernel's BTF.
struct Core {
    name: &'static str,
    params: &'static [CoreParam],
    ret: Ret,
}

macro_rules! core {
    ($($name:literal ($($param:expr),*) $ret:expr;)*) => {
        static CORE: &[Core] = {
            use CoreParam::{Ignored, IrqFlag, Iter, Map, Scalar};
            &[$(Core { name: $name, params: &[$($param),*], ret: $ret }),*]
        };
    };
}

core! {
    "bpf_arena_alloc_pages" (Map, Ignored, Scalar, Scalar, Scalar) Ret::Scalar;
    "bpf_arena_free_pages" (Map, Ignored, Scalar) Ret::Void;
    "bpf_arena_reserve_pages" (Map, Ignored, Scalar) Ret::Scalar;
    "bpf_iter_bits_destroy" (Iter("bits", 2)) Ret::Void;
    "bpf_iter_bits_new" (Iter("bits", 2), Ignored, Scalar) Ret::Scalar;
    "bpf_iter_bits_next" (Iter("bits", 2)) Ret::Mem(4);
    "bpf_iter_num_destroy" (Iter("num", 1)) Ret::Void;
    "bpf_iter_num_new" (Iter("num", 1), Scalar, Scalar) Ret::Scalar;
    "bpf_iter_num_next" (Iter("num", 1)) Ret::Mem(4);
    "bpf_local_irq_restore" (IrqFlag) Ret::Void;
    "bpf_local_irq_save" (IrqFlag) Ret::Void;
    "bpf_preempt_disable" () Ret::Void;
    "bpf_preempt_enable" () Ret::Void;
    "bpf_rcu_read_lock" () Ret::Void;
    "bpf_rcu_read_unlock" () Ret::Void;
    "bpf_throw" (Scalar) Ret::Void;
}

/// Lists and trees, and nodes in them.
const ROOTS: [FieldKind; 2] = [FieldKind::ListHead, FieldKind::RbRoot];
const NODES: [FieldKind; 2] = [FieldKind::ListNode, FieldKind::RbNode];
/// Fields of maps' values that are arguments of their own kind.
const FIELDS: [FieldKind; 2] = [FieldKind::Workqueue, FieldKind::TaskWork];
/// The start of the names of iterators' structures.
const ITER: &str = "bpf_iter_";

/// Reads a prototype out of a kernel's BTF.
struct Reader<'b> {
    btf: &'b Btf,
    row: &'static Kfunc,
    program: &'b Program,
}

impl Reader<'_> {
    fn param(&self, kfuncs: &mut Kfuncs, params: &[(&str, TypeId)], index: usize) -> Option<Param> {
        let (name, ty) = params[index];
        if name.ends_with("__prog") || name.ends_with("__ign") {
            return Some(Param::Ignored);
        }
        Some(match self.btf.resolved(ty).ok()? {
            Type::Int(_) | Type::Enum(_) | Type::Enum64(_) => scalar(name),
            Type::Ptr { to } => {
                let nullable = name.ends_with("__nullable");
                let class = self.class(kfuncs, params, index, self.btf.resolve(*to).ok()?)?;
                Param::Pointer { class, nullable }
            }
            other => Param::Odd(other.kind().name()),
        })
    }

    /// What a pointer leads to, in the order in which Linux asks.
    fn class(&self, kfuncs: &mut Kfuncs, params: &[(&str, TypeId)], index: usize, to: TypeId) -> Option<Class> {
        let (name, target) = (params[index].0, self.btf.name(to));
        let ty = self.btf.get(to)?;
        if self.row.name == "bpf_cast_to_kern_ctx" {
            return Some(Class::Ctx);
        }
        let is_struct = ty.kind() == Kind::Struct;
        if is_struct && ctx::layout(self.program.kind).is_some_and(|layout| layout.name == target) {
            return Some(Class::Ctx);
        }
        if name.ends_with("__alloc") {
            return Some(Class::Owned);
        }
        if name.ends_with("__refcounted_kptr") {
            return Some(Class::Counted);
        }
        if is_struct && matches!(target, "bpf_dynptr" | "bpf_dynptr_kern") {
            return Some(Class::Dynptr { uninit: name.ends_with("__uninit") });
        }
        let iterates = [KfuncFlags::ITER_NEW, KfuncFlags::ITER_NEXT, KfuncFlags::ITER_DESTROY];
        if (index == 0 && iterates.iter().any(|flag| self.row.flags.has(*flag))) || name.ends_with("__iter") {
            let size = self.btf.size_of(to).ok()?;
            return Some(Class::Iter(kfuncs.iter(target.strip_prefix(ITER)?, size as usize / crate::state::SLOT)));
        }
        if let Some(kind) = ROOTS.iter().find(|kind| is_struct && kind.name() == target) {
            return Some(Class::Root(*kind));
        }
        if let Some(kind) = NODES.iter().find(|kind| is_struct && kind.name() == target) {
            return Some(Class::Node(*kind));
        }
        if name.ends_with("__str") {
            return Some(Class::Str);
        }
        if name.ends_with("__map") {
            return Some(Class::Map);
        }
        if let Some(kind) = FIELDS.iter().find(|kind| is_struct && kind.name() == target) {
            return Some(Class::Field(*kind));
        }
        if name.ends_with("__irq_flag") {
            return Some(Class::IrqFlag);
        }
        if is_struct && target == "bpf_res_spin_lock" {
            return Some(Class::Lock);
        }
        let len = params.get(index + 1).and_then(|(next, _)| match () {
            () if next.ends_with("__szk") => Some(Len { constant: true }),
            () if next.ends_with("__sz") => Some(Len { constant: false }),
            () => None,
        });
        Some(Class::Object(Object {
            id: to.0,
            kind: ty.kind(),
            size: self.btf.size_of(to).ok(),
            plain: is_plain(self.btf, to),
            len,
            optional: name.ends_with("__opt"),
        }))
    }

    fn ret(&self, id: TypeId) -> Option<Ret> {
        match self.btf.resolved(id).ok()? {
            Type::Void => Some(Ret::Void),
            Type::Int(_) | Type::Enum(_) | Type::Enum64(_) => Some(Ret::Scalar),
            Type::Ptr { to } => {
                let to = self.btf.resolve(*to).ok()?;
                Some(match self.btf.get(to)? {
                    Type::Void => Ret::Scalar,
                    Type::Struct(_) | Type::Union(_) => Ret::Struct(to.0),
                    other => match self.btf.size_of(to) {
                        Ok(size) if !self.has_buffer() => Ret::Mem(size),
                        Ok(_) | Err(_) => Ret::Buffer { kind: other.kind(), id: to.0 },
                    },
                })
            }
            _ => None,
        }
    }

    /// Whether an argument says how much memory is returned.
    fn has_buffer(&self) -> bool {
        let Some(Type::Func { proto, .. }) = self.btf.find(self.row.name, Kind::Func).and_then(|id| self.btf.get(id))
        else {
            return false;
        };
        let Some(Type::FuncProto { params, .. }) = self.btf.get(*proto) else { return false };
        params.iter().any(|param| matches!(scalar(self.btf.string(param.name)), Param::BufSize { .. }))
    }
}

/// Numbers, and structures and arrays of them.
pub fn is_plain(btf: &Btf, id: TypeId) -> bool {
    is_plain_within(btf, id, 0)
}

fn is_plain_within(btf: &Btf, id: TypeId, depth: u32) -> bool {
    match btf.resolved(id) {
        Ok(Type::Int(_) | Type::Enum(_) | Type::Enum64(_)) => true,
        Ok(Type::Struct(composite) | Type::Union(composite)) => {
            depth < MAX_NESTING && composite.members.iter().all(|member| is_plain_member(btf, member.ty, depth))
        }
        Ok(_) | Err(_) => false,
    }
}

fn is_plain_member(btf: &Btf, id: TypeId, depth: u32) -> bool {
    match btf.resolved(id) {
        Ok(Type::Array { len: 0, .. }) => false,
        Ok(Type::Array { elem, .. }) => {
            matches!(btf.resolved(*elem), Ok(Type::Int(_) | Type::Enum(_) | Type::Enum64(_)))
        }
        Ok(_) | Err(_) => is_plain_within(btf, id, depth + 1),
    }
}

/// What the name of a number says.
fn scalar(name: &str) -> Param {
    match name {
        "rdonly_buf_size" => Param::BufSize { rdonly: true },
        "rdwr_buf_size" => Param::BufSize { rdonly: false },
        name if name.ends_with("__k") => Param::Constant,
        _ => Param::Scalar,
    }
}
