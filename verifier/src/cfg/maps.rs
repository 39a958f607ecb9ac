//! Maps that instructions refer to: that they are there, and that the program may use them.

use ring3_isa::Wide;
use ring3_platform::maps::{FieldKind, PAGE_SIZE, Unusable, usable_in};
use ring3_platform::{MapDef, MapType, ProgType, Program, Target};

use crate::diag::reject::{Reject, unsupported};
use crate::kernel::symbol;

/// Ids of types are not above this (BTF_MAX_TYPE).
const MAX_TYPE_ID: i32 = 0x000f_ffff;
/// Offsets of direct values stay below this (BPF_MAX_VAR_OFF).
const MAX_DIRECT_OFF: u32 = 1 << 29;

/// The map of a wide load.
pub fn check_wide(program: &Program, target: &Target, value: Wide) -> Result<(), Reject> {
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
        Wide::BtfId { id, fd: 0 } => symbol::check(target, id),
        Wide::BtfId { .. } => unsupported("a reference to a symbol of a module"),
    }
}

/// The map that an index of the walk stands for: one of the program's, or behind those the template of the inner maps of one.
pub fn map(program: &Program, index: u32) -> &MapDef {
    let (index, len) = (index as usize, program.maps.len());
    match index.checked_sub(len) {
        None => &program.maps[index],
        Some(outer) => program.maps[outer].inner.as_deref().unwrap_or(&program.maps[outer]),
    }
}

/// The index of the template of a map's inner maps. `None`: it has none.
pub fn inner(program: &Program, outer: u32) -> Option<u32> {
    program.maps.get(outer as usize)?.inner.as_ref()?;
    u32::try_from(program.maps.len()).ok()?.checked_add(outer)
}

/// Whether an index is that of a template, whose name and content say nothing of the maps that there will be.
pub fn is_inner(program: &Program, index: u32) -> bool {
    index as usize >= program.maps.len()
}

fn check_direct(def: &MapDef, off: u32) -> Result<(), Reject> {
    if off >= MAX_DIRECT_OFF {
        Err(Reject::DirectOffset { off })
    } else if def.kind == MapType::Array && !def.has_direct_value() {
        Err(Reject::DirectEntries { vs: def.value_size, off })
    } else if !def.has_direct_value() {
        Err(Reject::NoDirectValue {})
    } else if def.kind == MapType::Arena {
        // The end itself will do.
        let size = u64::from(def.max_entries) * u64::from(PAGE_SIZE);
        if u64::from(off) <= size { Ok(()) } else { Err(Reject::DirectArena { vs: def.value_size, off }) }
    } else if off >= def.value_size {
        Err(Reject::DirectRange { vs: def.value_size, off })
    } else {
        Ok(())
    }
}

/// Whether a program uses an arena. It may use one alone: `arena` is the one that was found so far.
pub fn note_arena(program: &Program, value: Wide, arena: &mut Option<i32>) -> Result<(), Reject> {
    let (Wide::Map(index) | Wide::MapIdx(index) | Wide::MapValue { map: index, .. } | Wide::MapIdxValue { index, .. }) =
        value
    else {
        return Ok(());
    };
    let def = usize::try_from(index).ok().and_then(|i| program.maps.get(i));
    if def.is_none_or(|def| def.kind != MapType::Arena) {
        return Ok(());
    }
    if arena.is_some_and(|known| known != index) {
        return Err(Reject::ManyArenas {});
    }
    *arena = Some(index);
    Ok(())
}

fn check_map(program: &Program, def: &MapDef) -> Result<(), Reject> {
    let tracing = is_tracing(program.kind);
    let has = |kind| def.fields.has(kind);
    if tracing && (has(FieldKind::ListHead) || has(FieldKind::RbRoot)) {
        return Err(Reject::TracingField { what: "bpf_{list_head,rb_root}" });
    }
    if def.fields.has_lock() && program.kind == ProgType::SocketFilter {
        return Err(Reject::SocketFilterLock {});
    }
    let named = [
        (def.fields.has_lock(), "bpf_spin_lock"),
        (has(FieldKind::Timer), "bpf_timer"),
        (has(FieldKind::Workqueue), "bpf_wq"),
    ];
    if let Some((_, what)) = named.into_iter().find(|(there, _)| tracing && *there) {
        return Err(Reject::TracingField { what });
    }
    usable_in(def.kind, program.kind, program.sleepable).map_err(|why| match why {
        Unusable::StructOps => Reject::MapStructOps {},
        Unusable::Sleepable => Reject::MapSleepable {},
    })
}

/// Programs that may run anywhere in the kernel, even where the same lock is held (`is_tracing_prog_type`).
const fn is_tracing(kind: ProgType) -> bool {
    matches!(
        kind,
        ProgType::Kprobe
            | ProgType::Tracepoint
            | ProgType::PerfEvent
            | ProgType::RawTracepoint
            | ProgType::RawTracepointWritable
    )
}
