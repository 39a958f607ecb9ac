//! Special fields of map values: structs and pointers that BTF names and that only helpers may touch (locks, timers,
//! pointers to kernel objects), found by Linux's rules (`btf_parse_fields`).

use std::sync::Arc;

use ring3_btf::{Btf, Type, TypeId};

use super::{MapDef, MapFlags, MapType};

/// Fields of one value (BTF_FIELDS_MAX).
const MAX_FIELDS: usize = 11;
/// How deep arrays and structs may be nested (MAX_RESOLVE_DEPTH).
const MAX_NESTING: u32 = 32;
/// Members that are looked at in one value: BTF can describe more than anybody wants to walk.
const MAX_VISITS: u32 = 1 << 20;

macro_rules! field_kinds {
    ($($variant:ident $name:literal $size:literal $align:literal;)*) => {
        /// What a special field is.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[allow(missing_docs)]
        pub enum FieldKind { $($variant),* }

        impl FieldKind {
            /// Linux's name, as messages have it.
            pub const fn name(self) -> &'static str {
                match self { $(FieldKind::$variant => $name),* }
            }

            /// Bytes that it takes.
            pub const fn size(self) -> u32 {
                match self { $(FieldKind::$variant => $size),* }
            }

            /// What its offset is a multiple of.
            pub const fn align(self) -> u32 {
                match self { $(FieldKind::$variant => $align),* }
            }
        }
    };
}

field_kinds! {
    SpinLock "bpf_spin_lock" 4 4;
    ResSpinLock "bpf_res_spin_lock" 4 4;
    Timer "bpf_timer" 16 8;
    Workqueue "bpf_wq" 16 8;
    TaskWork "bpf_task_work" 8 8;
    ListHead "bpf_list_head" 16 8;
    RbRoot "bpf_rb_root" 16 8;
    Refcount "bpf_refcount" 4 4;
    ListNode "bpf_list_node" 24 8;
    RbNode "bpf_rb_node" 32 8;
    KptrUnref "kptr" 8 8;
    KptrRef "kptr" 8 8;
    KptrPercpu "percpu_kptr" 8 8;
    Uptr "uptr" 8 8;
}

impl FieldKind {
    /// A pointer that programs load and store themselves.
    pub const fn is_pointer(self) -> bool {
        matches!(self, FieldKind::KptrUnref | FieldKind::KptrRef | FieldKind::KptrPercpu | FieldKind::Uptr)
    }

    /// Found by the name of a struct.
    fn named(name: &str) -> Option<FieldKind> {
        use FieldKind::{ListHead, RbRoot, Refcount, ResSpinLock, SpinLock, TaskWork, Timer, Workqueue};
        [SpinLock, ResSpinLock, Timer, Workqueue, TaskWork, ListHead, RbRoot, Refcount]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// Found by the name of a struct in an object that a program makes. Nodes are there alone; what calls back is not.
    fn named_in_object(name: &str) -> Option<FieldKind> {
        use FieldKind::{ListHead, ListNode, RbNode, RbRoot, Refcount, ResSpinLock, SpinLock};
        [SpinLock, ResSpinLock, ListHead, RbRoot, Refcount, ListNode, RbNode]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// A struct may have only one of them.
    const fn is_unique(self) -> bool {
        matches!(
            self,
            FieldKind::SpinLock
                | FieldKind::ResSpinLock
                | FieldKind::Timer
                | FieldKind::Workqueue
                | FieldKind::TaskWork
        )
    }

    /// Map types whose values may have it.
    const fn fits(self, map: MapType) -> bool {
        use MapType::{
            Array, CgroupStorage, CgrpStorage, Hash, InodeStorage, LruHash, LruPercpuHash, PercpuArray, PercpuHash,
            SkStorage, TaskStorage,
        };
        let storage = matches!(map, SkStorage | InodeStorage | TaskStorage | CgrpStorage);
        match self {
            FieldKind::SpinLock | FieldKind::ResSpinLock => matches!(map, Hash | Array | CgroupStorage) || storage,
            FieldKind::Timer | FieldKind::Workqueue | FieldKind::TaskWork | FieldKind::ListHead | FieldKind::RbRoot => {
                matches!(map, Hash | LruHash | Array)
            }
            FieldKind::KptrUnref | FieldKind::KptrRef | FieldKind::KptrPercpu | FieldKind::Refcount => {
                matches!(map, Hash | PercpuHash | LruHash | LruPercpuHash | Array | PercpuArray) || storage
            }
            FieldKind::Uptr => matches!(map, TaskStorage),
            FieldKind::ListNode | FieldKind::RbNode => false,
        }
    }
}

/// One special field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// What it is.
    pub kind: FieldKind,
    /// Offset from the start of the value.
    pub off: u32,
    /// Type in the object's BTF of what a pointer points to, or of what a list or tree contains; `void` for the others.
    pub target: TypeId,
    /// Member of `target` that is the node of the list or tree, as an offset in bytes.
    pub node: u32,
}

impl Field {
    /// Offset behind it.
    pub const fn end(&self) -> u32 {
        self.off.saturating_add(self.kind.size())
    }
}

/// What BTF says of the values of a map.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fields {
    /// The map has types at all.
    pub typed: bool,
    /// By offset.
    pub list: Arc<[Field]>,
}

impl Fields {
    /// Offset of the lock of a value, which `BPF_F_LOCK` takes.
    pub fn spin_lock(&self) -> Option<u32> {
        self.list.iter().find(|field| field.kind == FieldKind::SpinLock).map(|field| field.off)
    }

    /// The fields of a map with types from `btf`. A map whose types Linux would not take is created without them, as
    /// libbpf does. A value whose fields cannot be made out has none, as in Linux.
    pub fn of(btf: &Btf, def: &MapDef) -> Fields {
        if def.value_type == 0 {
            return Fields { typed: def.key_type != 0, list: Arc::default() };
        }
        let value = TypeId(def.value_type);
        let bare = Fields::default();
        if btf.size_of(value) != Ok(def.value_size) {
            return bare;
        }
        let Ok(list) = parse(btf, value, def.value_size) else {
            return Fields { typed: true, list: Arc::default() };
        };
        let guarded = def.flags.has(MapFlags::RDONLY_PROG) || def.flags.has(MapFlags::WRONLY_PROG);
        if !list.is_empty() && (guarded || list.iter().any(|field| !field.kind.fits(def.kind))) {
            return bare;
        }
        Fields { typed: true, list: list.into() }
    }

    /// The fields of a struct that programs make objects of. `None`: Linux cannot make them out, and takes no such types.
    pub fn of_object(btf: &Btf, id: TypeId) -> Option<Fields> {
        let size = btf.size_of(id).ok()?;
        let found = Search { btf, left: MAX_VISITS, in_object: true }.members(id, 0).ok()?;
        let list = check(found, size).ok()?;
        let has = |kind| list.iter().any(|field| field.kind == kind);
        // Who is in two collections needs to be counted.
        if has(FieldKind::ListNode) && has(FieldKind::RbNode) && !has(FieldKind::Refcount) {
            return None;
        }
        Some(Fields { typed: true, list: list.into() })
    }

    /// Whether Linux takes types with these structs (`btf_parse_struct_metas`): the fields of all that programs could make objects of can be
    /// made out, and nothing that is owned owns what owns something itself, so that giving an object back comes to an end.
    pub fn are_sound(btf: &Btf) -> bool {
        let is_special = |ty: TypeId| {
            matches!(btf.get(ty), Some(Type::Struct(_))) && FieldKind::named_in_object(btf.name(ty)).is_some()
        };
        let is_owner = |fields: &Fields| fields.has(FieldKind::ListHead) || fields.has(FieldKind::RbRoot);
        let is_owned = |fields: &Fields| fields.has(FieldKind::ListNode) || fields.has(FieldKind::RbNode);
        (0..btf.types().len()).filter_map(|id| u32::try_from(id).ok().map(TypeId)).all(|id| {
            let Some(Type::Struct(composite)) = btf.get(id) else { return true };
            if !composite.members.iter().any(|member| is_special(member.ty)) {
                return true;
            }
            let Some(fields) = Fields::of_object(btf, id) else { return false };
            let roots =
                fields.list.iter().filter(|field| matches!(field.kind, FieldKind::ListHead | FieldKind::RbRoot));
            let mut targets = roots.filter_map(|field| Fields::of_object(btf, field.target));
            !is_owned(&fields) || !targets.any(|target| is_owner(&target))
        })
    }

    /// Whether there is one of this kind.
    pub fn has(&self, kind: FieldKind) -> bool {
        self.find(kind).is_some()
    }

    /// The field of this kind; the last, where there are several.
    pub fn find(&self, kind: FieldKind) -> Option<&Field> {
        self.list.iter().rev().find(|field| field.kind == kind)
    }

    /// The field that starts here.
    pub fn at(&self, off: i64) -> Option<&Field> {
        self.list.iter().find(|field| i64::from(field.off) == off)
    }

    /// Whether there is a lock, by which copies of a pointer to the value must stay recognisable.
    pub fn has_lock(&self) -> bool {
        self.has(FieldKind::SpinLock) || self.has(FieldKind::ResSpinLock)
    }
}

/// Linux cannot make out the fields.
struct Broken;

fn parse(btf: &Btf, value: TypeId, size: u32) -> Result<Vec<Field>, Broken> {
    let value = btf.resolve(value).map_err(|_| Broken)?;
    let mut search = Search { btf, left: MAX_VISITS, in_object: false };
    let found = match btf.get(value) {
        Some(Type::Struct(_)) => search.members(value, 0)?,
        Some(Type::Datasec { vars, .. }) => {
            let (mut all, mut seen) = (Vec::new(), Vec::new());
            for (index, var) in vars.iter().enumerate() {
                let Some(Type::Var { ty, .. }) = btf.get(var.ty) else { return Err(Broken) };
                let at = At { holder: var.ty, index, off: var.offset, size: Some(var.size) };
                search.one(at, *ty, 0, &mut seen, &mut all)?;
            }
            all
        }
        Some(_) | None => return Err(Broken),
    };
    check(found, size)
}

fn check(mut found: Vec<Field>, size: u32) -> Result<Vec<Field>, Broken> {
    let mut next = 0;
    for field in &found {
        if field.off < next || field.end() > size {
            return Err(Broken);
        }
        next = field.end();
    }
    let has = |kind| found.iter().any(|field| field.kind == kind);
    let (spin, res) = (has(FieldKind::SpinLock), has(FieldKind::ResSpinLock));
    let is_graph = has(FieldKind::ListHead) || has(FieldKind::RbRoot);
    if (is_graph && !spin && !res) || (spin && res) {
        return Err(Broken);
    }
    found.sort_by_key(|field| field.off);
    Ok(found)
}

/// Where a type stands.
#[derive(Clone, Copy)]
struct At {
    /// The struct that has it as a member, or the variable.
    holder: TypeId,
    /// Number of the member.
    index: usize,
    /// Offset.
    off: u32,
    /// Bytes that a variable takes.
    size: Option<u32>,
}

struct Search<'b> {
    btf: &'b Btf,
    left: u32,
    in_object: bool,
}

impl Search<'_> {
    fn members(&mut self, id: TypeId, depth: u32) -> Result<Vec<Field>, Broken> {
        let (mut all, mut seen) = (Vec::new(), Vec::new());
        let Some(Type::Struct(composite)) = self.btf.get(id) else { return Err(Broken) };
        for (index, member) in composite.members.iter().enumerate() {
            self.left = self.left.checked_sub(1).ok_or(Broken)?;
            if member.bit_offset % 8 != 0 {
                return Err(Broken);
            }
            let at = At { holder: id, index, off: member.bit_offset / 8, size: None };
            self.one(at, member.ty, depth, &mut seen, &mut all)?;
        }
        Ok(all)
    }

    fn one(
        &mut self,
        at: At,
        mut ty: TypeId,
        depth: u32,
        seen: &mut Vec<FieldKind>,
        all: &mut Vec<Field>,
    ) -> Result<(), Broken> {
        let mut count = 1u32;
        let mut dimensions = 0;
        while let Some(Type::Array { elem, len, .. }) = self.btf.get(ty) {
            dimensions += 1;
            if dimensions == MAX_NESTING {
                return Err(Broken);
            }
            (count, ty) = (count.checked_mul(*len).ok_or(Broken)?, *elem);
        }
        if count == 0 {
            return Ok(());
        }
        let is_struct = matches!(self.btf.get(ty), Some(Type::Struct(_)));
        let name = self.btf.name(ty);
        let kind = if self.in_object { FieldKind::named_in_object(name) } else { FieldKind::named(name) };
        let (found, size) = match kind {
            None if is_struct => {
                let Some(Type::Struct(composite)) = self.btf.get(ty) else { return Err(Broken) };
                if at.size.is_some_and(|size| Some(size) != composite.size.checked_mul(count)) {
                    return Ok(());
                }
                if depth >= MAX_NESTING {
                    return Err(Broken);
                }
                let mut inner = self.members(ty, depth + 1)?;
                for field in &mut inner {
                    field.off = field.off.checked_add(at.off).ok_or(Broken)?;
                }
                (inner, composite.size)
            }
            _ => {
                if let Some(kind) = kind.filter(|kind| kind.is_unique()) {
                    if seen.contains(&kind) {
                        return Err(Broken);
                    }
                    seen.push(kind);
                }
                let (size, align) = kind.map_or((8, 8), |kind| (kind.size(), kind.align()));
                if at.size.is_some_and(|bytes| Some(bytes) != size.checked_mul(count)) || !at.off.is_multiple_of(align)
                {
                    return Ok(());
                }
                (self.field(at, ty, kind)?.into_iter().collect(), size)
            }
        };
        repeat(found, count, size, all)
    }

    /// The field of a type that is one: a struct of a known name, or a pointer with a tag.
    fn field(&self, at: At, ty: TypeId, kind: Option<FieldKind>) -> Result<Option<Field>, Broken> {
        let Some(kind) = kind else { return self.pointer(at, ty) };
        match self.btf.get(ty) {
            Some(Type::Struct(composite)) if composite.size == kind.size() => {}
            Some(_) | None => return Ok(None),
        }
        let (target, node) = match kind {
            FieldKind::ListHead => self.contained(at, "bpf_list_node", 24)?,
            FieldKind::RbRoot => self.contained(at, "bpf_rb_node", 32)?,
            _ => (TypeId::VOID, 0),
        };
        Ok(Some(Field { kind, off: at.off, target, node }))
    }

    /// What the tag of a list or tree says that it contains: `contains:STRUCT:MEMBER`.
    fn contained(&self, at: At, node: &str, size: u32) -> Result<(TypeId, u32), Broken> {
        let component = match at.size {
            // A variable is tagged itself.
            Some(_) => None,
            None => i32::try_from(at.index).ok(),
        };
        let tags = self.btf.types().iter().filter_map(|ty| match ty {
            Type::DeclTag { name, target, component: on, .. }
                if *target == at.holder && *on == component.unwrap_or(-1) =>
            {
                self.btf.string(*name).strip_prefix("contains:")
            }
            _ => None,
        });
        let mut tags = tags;
        let (Some(tag), None) = (tags.next(), tags.next()) else { return Err(Broken) };
        let (name, member) = tag.split_once(':').ok_or(Broken)?;
        let target = self.btf.find(name, ring3_btf::Kind::Struct).ok_or(Broken)?;
        let member = self.btf.member(target, member).filter(|_| !member.is_empty()).ok_or(Broken)?;
        let fits = match self.btf.get(member.ty) {
            Some(Type::Struct(composite)) => self.btf.name(member.ty) == node && composite.size == size,
            Some(_) | None => false,
        };
        if !fits || member.bit_offset % 64 != 0 {
            return Err(Broken);
        }
        Ok((target, member.bit_offset / 8))
    }

    fn pointer(&self, at: At, ty: TypeId) -> Result<Option<Field>, Broken> {
        let plain = match self.btf.get(ty) {
            Some(Type::Volatile { to }) => *to,
            Some(_) | None => ty,
        };
        let Some(Type::Ptr { to }) = self.btf.get(plain) else { return Ok(None) };
        let Some(Type::TypeTag { name, to, is_attribute: false }) = self.btf.get(*to) else { return Ok(None) };
        if matches!(self.btf.get(*to), Some(Type::TypeTag { .. })) {
            return Err(Broken);
        }
        let kind = match self.btf.string(*name) {
            "kptr_untrusted" => FieldKind::KptrUnref,
            "kptr" => FieldKind::KptrRef,
            "percpu_kptr" => FieldKind::KptrPercpu,
            "uptr" => FieldKind::Uptr,
            _ => return Err(Broken),
        };
        let target = self.btf.resolve(*to).map_err(|_| Broken)?;
        match self.btf.get(target) {
            Some(Type::Struct(_)) => Ok(Some(Field { kind, off: at.off, target, node: 0 })),
            Some(_) | None => Err(Broken),
        }
    }
}

/// The fields of each element of an array; `size` is that of an element.
fn repeat(found: Vec<Field>, count: u32, size: u32, all: &mut Vec<Field>) -> Result<(), Broken> {
    let repeatable =
        |field: &Field| field.kind.is_pointer() || matches!(field.kind, FieldKind::ListHead | FieldKind::RbRoot);
    if found.is_empty() {
        return Ok(());
    }
    if count > 1 && !found.iter().all(repeatable) {
        return Err(Broken);
    }
    for index in 0..count {
        for field in &found {
            if all.len() >= MAX_FIELDS {
                return Err(Broken);
            }
            let off = size.checked_mul(index).and_then(|skip| field.off.checked_add(skip)).ok_or(Broken)?;
            all.push(Field { off, ..*field });
        }
    }
    Ok(())
}
