//! Maps that instructions refer to: that they are there, and that the program may use them.

use ring3_btf::{Btf, Type, TypeId};
use ring3_isa::Wide;
use ring3_platform::maps::{Unusable, usable_in};
use ring3_platform::{MapDef, MapType, Program};

use crate::diag::reject::{Reject, unsupported};

/// How deep structs may be nested in a value.
const MAX_NESTING: u32 = 16;
/// Members of a value that are looked at, those of nested structs included.
const MAX_TYPES: u32 = 100_000;
/// Ids of types are not above this (BTF_MAX_TYPE).
const MAX_TYPE_ID: i32 = 0x000f_ffff;
/// Offsets of direct values stay below this (BPF_MAX_VAR_OFF).
const MAX_DIRECT_OFF: u32 = 1 << 29;

/// The map of a wide load.
pub fn check_wide(program: &Program, value: Wide) -> Result<(), Reject> {
    let def = |index: i32| {
        let found = usize::try_from(index).ok().and_then(|i| program.maps.get(i));
        found.ok_or(Reject::NoSuchMap { index })
    };
    match value {
        Wide::Map(index) | Wide::MapIdx(index) => check_map(program, def(index)?),
        Wide::MapValue { map, off } | Wide::MapIdxValue { index: map, off } => {
            let def = def(map)?;
            check_map(program, def)?;
            check_direct(def, off)
        }
        Wide::Imm(_) | Wide::Func(_) => Ok(()),
        Wide::BtfId { id: 0, fd: 0 } => Err(Reject::NotVariable { id: 0 }),
        Wide::BtfId { id, fd: 0 } if !(0..=MAX_TYPE_ID).contains(&id) => Err(Reject::NoSuchType { id }),
        Wide::BtfId { .. } => unsupported("a reference to a kernel variable"),
    }
}

fn check_direct(def: &MapDef, off: u32) -> Result<(), Reject> {
    if off >= MAX_DIRECT_OFF {
        Err(Reject::DirectOffset { off })
    } else if def.kind == MapType::Array && !def.has_direct_value() {
        Err(Reject::DirectEntries { vs: def.value_size, off })
    } else if !def.has_direct_value() {
        Err(Reject::NoDirectValue {})
    } else if off >= def.value_size {
        Err(Reject::DirectRange { vs: def.value_size, off })
    } else {
        Ok(())
    }
}

fn check_map(program: &Program, def: &MapDef) -> Result<(), Reject> {
    usable_in(def.kind, program.kind, program.sleepable).map_err(|why| match why {
        Unusable::StructOps => Reject::MapStructOps {},
        Unusable::Sleepable => Reject::MapSleepable {},
    })?;
    match (def.value_type, &program.info) {
        (0, _) => Ok(()),
        (_, None) => unsupported(format!("the map '{}' of a program without function information", def.name)),
        (id, Some(info)) => match special_field(&info.btf, TypeId(id), &mut { MAX_TYPES }, MAX_NESTING) {
            Some(what) => unsupported(format!("{what} in the values of the map '{}'", def.name)),
            None => Ok(()),
        },
    }
}

/// Structs of the kernel that a value may hold and that only helpers may touch.
const SPECIAL: &[&str] = &[
    "bpf_spin_lock",
    "bpf_res_spin_lock",
    "bpf_timer",
    "bpf_wq",
    "bpf_task_work",
    "bpf_list_head",
    "bpf_list_node",
    "bpf_rb_root",
    "bpf_rb_node",
    "bpf_refcount",
];

/// What is said of types that cannot be followed to their end: they may hide anything.
const UNKNOWN: &str = "a type that cannot be followed";

/// The first part of a type that may not be accessed like other memory.
fn special_field(btf: &Btf, id: TypeId, left: &mut u32, depth: u32) -> Option<String> {
    let Ok(id) = btf.resolve(id) else { return Some(UNKNOWN.to_owned()) };
    *left = left.saturating_sub(1);
    if depth == 0 || *left == 0 {
        return Some("too much structure".to_owned());
    }
    match btf.get(id)? {
        Type::Struct(composite) | Type::Union(composite) => {
            if SPECIAL.contains(&btf.name(id)) {
                return Some(btf.name(id).to_owned());
            }
            composite.members.iter().find_map(|member| special_field(btf, member.ty, left, depth - 1))
        }
        Type::Array { elem, .. } => special_field(btf, *elem, left, depth - 1),
        Type::Ptr { to } => kernel_pointer(btf, *to),
        Type::Datasec { vars, .. } => vars.iter().find_map(|var| match btf.get(var.ty) {
            Some(Type::Var { ty, .. }) => special_field(btf, *ty, left, depth - 1),
            Some(_) | None => Some(UNKNOWN.to_owned()),
        }),
        Type::Void
        | Type::Int(_)
        | Type::Enum(_)
        | Type::Enum64(_)
        | Type::Fwd { .. }
        | Type::Float { .. }
        // Those that `resolve` skips, and those that no value has.
        | Type::Typedef { .. }
        | Type::Volatile { .. }
        | Type::Const { .. }
        | Type::Restrict { .. }
        | Type::TypeTag { .. }
        | Type::Func { .. }
        | Type::FuncProto { .. }
        | Type::Var { .. }
        | Type::DeclTag { .. } => None,
    }
}

/// A pointer that is tagged as one to a kernel object.
fn kernel_pointer(btf: &Btf, mut to: TypeId) -> Option<String> {
    for _ in 0..MAX_NESTING {
        match btf.get(to)? {
            Type::TypeTag { name, to: next } => {
                let tag = btf.string(*name);
                if ["kptr", "kptr_untrusted", "percpu_kptr", "uptr"].contains(&tag) {
                    return Some(format!("a {tag}"));
                }
                to = *next;
            }
            Type::Const { to: next } | Type::Volatile { to: next } | Type::Restrict { to: next } => to = *next,
            _ => return None,
        }
    }
    Some(UNKNOWN.to_owned())
}
