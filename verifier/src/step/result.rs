//! What a helper returns.

use ring3_btf::{Kind, TypeId};
use ring3_isa::Reg;
use ring3_platform::helpers::id;
use ring3_platform::maps::FieldKind;
use ring3_platform::{MapDef, MapType, Program, Proto, RetKind};

use super::call::Args;
use crate::cfg::maps;
use crate::diag::reject::{Reject, unsupported};
use crate::domain::Scalar;
use crate::kernel::symbol;
use crate::release::Rule;
use crate::state::{BtfPtr, Held, MemOrigin, Ptr, PtrKind, Reference, Slice, Trust, Value};
use crate::walk::Walk;

/// The largest error number in results (MAX_ERRNO).
pub(super) const MAX_ERRNO: i32 = 4095;

/// References that a path may hold. Only what a register or stack slot of the eight frames points to can ever be given back,
/// which is less than that, so no program with more is accepted in the end; but every stored state would have a copy.
pub(super) const MAX_REFERENCES: usize = 1024;

impl Walk<'_> {
    /// Sets R0.
    pub(super) fn set_result(&mut self, proto: &Proto, args: &Args) -> Result<(), Reject> {
        let kind = match proto.ret.kind {
            RetKind::Integer => {
                let num = self.refined(proto.id, args);
                self.write(Reg::R0, Value::number(num));
                return Ok(());
            }
            RetKind::Void => return Ok(()),
            RetKind::MapValue => self.value_kind(args)?,
            RetKind::Socket => PtrKind::Sock,
            RetKind::SockCommon => PtrKind::SockCommon,
            RetKind::TcpSock => PtrKind::TcpSock,
            RetKind::RingbufMem => PtrKind::Mem { size: memory_size(args), rdonly: false, origin: MemOrigin::Ringbuf },
            // Linux keeps the low half of the size alone.
            RetKind::DynptrMem => {
                PtrKind::Mem { size: ring3_isa::num::low32(args.mem_size), rdonly: false, origin: MemOrigin::Given }
            }
            RetKind::BtfId(_) if proto.id == id::KPTR_XCHG => self.kptr_result(args)?,
            RetKind::BtfId(name) => PtrKind::Btf(BtfPtr::kernel(self.kernel_struct(name)?, Trust::PLAIN)),
            RetKind::BtfIdTrusted(name) => PtrKind::Btf(BtfPtr::kernel(self.kernel_struct(name)?, Trust::TRUSTED)),
            RetKind::MemOrBtfId => match args.percpu {
                // One of an object that a map has for each CPU: it is always there.
                Some(to) if to.trust.has(Trust::RCU) => {
                    let trust = Trust::ALLOC.with(Trust::RCU);
                    if self.types_of(to)?.get(TypeId(to.id)).is_none_or(|ty| ty.kind() != Kind::Struct) {
                        return Err(Reject::HelperNotPercpu {});
                    }
                    if to.is_kernel() {
                        return unsupported(format!(
                            "the result of helper bpf_{} for one of the kernel's types",
                            proto.name
                        ));
                    }
                    let kind = PtrKind::Btf(BtfPtr { trust: trust.with(Trust::LOCAL), ..to });
                    self.write(Reg::R0, Value::ptr(kind));
                    return Ok(());
                }
                Some(to) if to.is_kernel() && !to.trust.has(Trust::ALLOC) => {
                    symbol::of_one_cpu(self.types_of(to)?, to)?
                }
                Some(_) | None => return unsupported(format!("the result of helper bpf_{}", proto.name)),
            },
        };
        let mut ptr = Ptr::new(kind);
        ptr.nullable = proto.ret.maybe_null;
        if ptr.nullable && self.lookup_cannot_fail(proto.id, args) {
            ptr.nullable = !self.relies(Rule::ConstantLookup);
        }
        // Copies of a pointer to a value with a lock must stay recognisable.
        if ptr.nullable || self.has_lock(kind) {
            ptr.id = self.new_id();
        }
        if proto.ret.kind == RetKind::MapValue {
            ptr.slice = args.map_uid;
        }
        if let (RetKind::DynptrMem, Some(dynptr)) = (proto.ret.kind, args.dynptr) {
            (ptr.slice, ptr.ref_id) = (Slice::of(dynptr.id, false), dynptr.ref_id);
        } else if is_cast(proto.id) {
            ptr.ref_id = args.ref_id;
        } else if self.acquires(proto.id, args) {
            let id = self.acquire(Held::Object)?;
            (ptr.id, ptr.ref_id) = (id, id);
        }
        self.write(Reg::R0, Value::Ptr(ptr));
        Ok(())
    }

    /// Whether there is a lock in what a pointer leads to.
    pub(super) fn has_lock(&self, kind: PtrKind) -> bool {
        match kind {
            PtrKind::MapValue(map) => self.map(map).fields.has_lock(),
            PtrKind::Btf(to) if to.trust.has(Trust::ALLOC) && !to.is_kernel() => {
                self.object_fields(to).is_ok_and(|fields| fields.has_lock())
            }
            _ => false,
        }
    }

    /// Something has to be given back from here on: gives its number.
    pub(super) fn acquire(&mut self, held: Held) -> Result<u32, Reject> {
        if self.path.state.refs.len() >= MAX_REFERENCES {
            return unsupported(format!("holding more than {MAX_REFERENCES} references"));
        }
        let (id, insn) = (self.new_id(), self.at);
        self.path.state.refs.push(Reference { id, insn, held });
        Ok(id)
    }

    fn value_kind(&self, args: &Args) -> Result<PtrKind, Reject> {
        let Some(map) = args.map else { return Err(Reject::MapInnerNull { what: "value" }) };
        match self.map(map).kind {
            MapType::ArrayOfMaps | MapType::HashOfMaps if maps::inner(self.program, map).is_none() => {
                unsupported("a map of maps without an inner map")
            }
            // Whether the helper takes such a map is asked last, as in Linux: many of these are refused then.
            // What a test for null makes of the value of a map of objects: see `unwrapped`.
            MapType::ArrayOfMaps
            | MapType::HashOfMaps
            | MapType::Xskmap
            | MapType::Sockmap
            | MapType::Sockhash
            | MapType::Hash
            | MapType::Array
            | MapType::ProgArray
            | MapType::PerfEventArray
            | MapType::PercpuHash
            | MapType::PercpuArray
            | MapType::StackTrace
            | MapType::CgroupArray
            | MapType::LruHash
            | MapType::LruPercpuHash
            | MapType::LpmTrie
            | MapType::Devmap
            | MapType::Cpumap
            | MapType::CgroupStorage
            | MapType::ReuseportSockarray
            | MapType::PercpuCgroupStorage
            | MapType::Queue
            | MapType::Stack
            | MapType::SkStorage
            | MapType::DevmapHash
            | MapType::StructOps
            | MapType::Ringbuf
            | MapType::InodeStorage
            | MapType::TaskStorage
            | MapType::BloomFilter
            | MapType::UserRingbuf
            | MapType::CgrpStorage
            | MapType::Arena => Ok(PtrKind::MapValue(map)),
        }
    }

    /// The result has to be given back.
    fn acquires(&self, helper: u32, args: &Args) -> bool {
        let kind = args.map.map(|map| self.map(map).kind);
        is_acquire(helper)
            || (helper == id::MAP_LOOKUP_ELEM && matches!(kind, Some(MapType::Sockmap | MapType::Sockhash)))
    }

    fn refined(&self, helper: u32, args: &Args) -> Scalar {
        if !has_bounded_result(helper) {
            return Scalar::unknown();
        }
        match helper {
            id::GET_STACK
            | id::GET_TASK_STACK
            | id::PROBE_READ_STR
            | id::PROBE_READ_KERNEL_STR
            | id::PROBE_READ_USER_STR => {
                let max = i32::try_from(args.max_size).unwrap_or(i32::MAX);
                Scalar::unknown().meet_s32range(-MAX_ERRNO, max)
            }
            id::GET_SMP_PROCESSOR_ID => {
                let max = i32::try_from(self.target.cpus.saturating_sub(1)).unwrap_or(i32::MAX);
                Scalar::unknown().meet_s32range(0, max).meet_urange(0, u64::try_from(max).unwrap_or(0))
            }
            _ => Scalar::unknown(),
        }
    }
}

/// Whether more is known of a helper's result than that it is a number: an embedder that puts a function of its own in the
/// place of such a helper would make proofs wrong.
pub fn has_bounded_result(helper: u32) -> bool {
    matches!(
        helper,
        id::GET_STACK
            | id::GET_TASK_STACK
            | id::PROBE_READ_STR
            | id::PROBE_READ_KERNEL_STR
            | id::PROBE_READ_USER_STR
            | id::GET_SMP_PROCESSOR_ID
    )
}

/// Bytes of the memory that comes back.
fn memory_size(args: &Args) -> u32 {
    u32::try_from(args.mem_size).unwrap_or(u32::MAX)
}

/// The result is the argument seen as another type: it holds the same reference.
fn is_cast(helper: u32) -> bool {
    matches!(
        helper,
        id::TCP_SOCK
            | id::SK_FULLSOCK
            | id::SKC_TO_TCP_SOCK
            | id::SKC_TO_TCP6_SOCK
            | id::SKC_TO_UDP6_SOCK
            | id::SKC_TO_TCP_TIMEWAIT_SOCK
            | id::SKC_TO_TCP_REQUEST_SOCK
    )
}

/// Whether values have fields whose callbacks are given the map.
fn has_callbacks(map: &MapDef) -> bool {
    [FieldKind::Timer, FieldKind::Workqueue, FieldKind::TaskWork].into_iter().any(|kind| map.fields.has(kind))
}

/// What the value of a map is once it is known not to be null: maps, sockets, or memory.
pub(super) fn unwrapped(program: &Program, ptr: Ptr) -> Ptr {
    let PtrKind::MapValue(map) = ptr.kind else { return ptr };
    let kind = match maps::map(program, map).kind {
        MapType::ArrayOfMaps | MapType::HashOfMaps => maps::inner(program, map).map_or(ptr.kind, PtrKind::ConstMap),
        MapType::Xskmap => PtrKind::XdpSock,
        MapType::Sockmap | MapType::Sockhash => PtrKind::Sock,
        _ => ptr.kind,
    };
    // A timer belongs to the very map that it is in, which the template does not tell.
    let slice = match kind {
        PtrKind::ConstMap(inner) if has_callbacks(maps::map(program, inner)) => Slice::of(ptr.id, false),
        _ => ptr.slice,
    };
    Ptr { kind, slice, ..ptr }
}

/// The result has to be given back.
fn is_acquire(helper: u32) -> bool {
    matches!(helper, id::SK_LOOKUP_TCP | id::SK_LOOKUP_UDP | id::SKC_LOOKUP_TCP | id::RINGBUF_RESERVE | id::KPTR_XCHG)
}
