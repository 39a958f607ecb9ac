//! What programs must have in common that share a map with programs in it: who calls the one may come to run the other.

use ring3_btf::{Btf, Kind, Type, TypeId};
use ring3_platform::{AttachType, MapDef, MapType, ProgType, Program};
use ring3_verifier::VerifiedProgram;

/// What Linux compares of a program with what it knows of the first one that came to a map (`bpf_prog_map_compatible`). Whether there is
/// machine code of it is left out: an instance has one engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Owner {
    kind: ProgType,
    /// What only a program has that was verified.
    known: Option<Known>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Known {
    /// The expected attach type, 0 where there is none.
    attach: u32,
    frags: bool,
    sleepable: bool,
    /// The prototype of the function of the kernel that it is at.
    prototype: Option<TypeId>,
    /// Its storage of control groups: by the number of the definition that the map was made by, plain and by CPU.
    storage: [Option<usize>; 2],
}

/// Whether Linux looks who uses a map of this type.
pub(crate) fn has_owner(def: &MapDef) -> bool {
    matches!(def.kind, MapType::ProgArray | MapType::Devmap | MapType::Cpumap)
}

impl Owner {
    /// Of a program of which nobody proved anything.
    pub(crate) fn unverified(kind: ProgType) -> Owner {
        Owner { kind, known: None }
    }

    /// Of a program; `storage` says where the maps are that it was linked with.
    pub(crate) fn of(program: &VerifiedProgram, map_at: impl Fn(usize) -> usize) -> Owner {
        let source = program.program();
        let storage = |kind: MapType| source.maps.iter().position(|map| map.kind == kind).map(&map_at);
        let known = Known {
            attach: source.kind.effective_attach(source.attach).map_or(0, AttachType::number),
            frags: source.frags,
            sleepable: source.sleepable,
            prototype: program.target().btf.as_ref().and_then(|btf| prototype(btf, source)),
            storage: [MapType::CgroupStorage, MapType::PercpuCgroupStorage].map(storage),
        };
        Owner { kind: source.kind, known: Some(known) }
    }

    /// Whether another program may come to a map that has this owner. One that is in it needs no storage, one that uses it has the
    /// owner's, as those that it calls find theirs there.
    pub(crate) fn admits(&self, other: &Owner, map: MapType, uses: bool) -> bool {
        let (Some(own), Some(other_known)) = (&self.known, &other.known) else { return self.kind == other.kind };
        let attach = map != MapType::ProgArray || own.attach == other_known.attach;
        let needs_none = |at: usize| !uses && other_known.storage[at].is_none();
        let storage = |at: usize| needs_none(at) || own.storage[at] == other_known.storage[at];
        let calls = matches!(self.kind, ProgType::Tracing | ProgType::Lsm | ProgType::Ext | ProgType::StructOps);
        let prototype = !calls || own.prototype == other_known.prototype;
        self.kind == other.kind && own.frags == other_known.frags && attach && storage(0) && storage(1) && prototype
    }
}

/// The prototype of what a program is at: of a function, a tracepoint, a hook, or a member of a struct of functions.
fn prototype(btf: &Btf, source: &Program) -> Option<TypeId> {
    let pointed = |ty: TypeId| match btf.resolved(ty) {
        Ok(Type::Ptr { to }) => btf.resolve(*to).ok(),
        Ok(_) | Err(_) => None,
    };
    let function = |name: &str| match btf.get(btf.find(name, Kind::Func)?) {
        Some(Type::Func { proto, .. }) => Some(*proto),
        Some(_) | None => None,
    };
    match source.kind {
        ProgType::StructOps => {
            let member = source.ops.as_ref()?;
            pointed(btf.member(btf.find(&member.ops, Kind::Struct)?, &member.member)?.ty)
        }
        ProgType::Lsm => function(&format!("bpf_lsm_{}", source.attach_name()?)),
        ProgType::Tracing => match source.attach? {
            AttachType::TraceRawTp => {
                pointed(btf.find(&format!("btf_trace_{}", source.attach_name()?), Kind::Typedef)?)
            }
            AttachType::TraceIter => function(&format!("bpf_iter_{}", source.attach_name()?)),
            // In another program its types are others, which the target does not have.
            _ if source.attach_prog.is_some() => None,
            _ => function(source.attach_name()?),
        },
        _ => None,
    }
}
