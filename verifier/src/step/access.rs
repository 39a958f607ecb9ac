//! Whether an access stays inside the memory that a pointer leads to.

use ring3_isa::Reg;
use ring3_platform::maps::Field;
use ring3_platform::{CtxLayout, MapDef, MapFlags, MapType, ctx};

use super::MAX_OFF;
use super::memory::{Access, At};
use crate::diag::reject::Reject;
use crate::state::{Ptr, PtrKind, Value, type_name};
use crate::walk::Walk;

/// The region that an access is checked against, for messages.
#[derive(Clone, Copy, Debug)]
enum Bounds {
    MapValue(u32),
    MapKey(u32),
    Mem(u32),
}

/// The structure that the kernel has for a map.
pub(super) fn map_struct(kind: MapType) -> &'static str {
    match kind {
        MapType::Array
        | MapType::ProgArray
        | MapType::PerfEventArray
        | MapType::PercpuArray
        | MapType::CgroupArray
        | MapType::ArrayOfMaps => "bpf_array",
        MapType::Hash | MapType::PercpuHash | MapType::LruHash | MapType::LruPercpuHash | MapType::HashOfMaps => {
            "bpf_htab"
        }
        MapType::StackTrace => "bpf_stack_map",
        MapType::LpmTrie => "lpm_trie",
        MapType::Devmap | MapType::DevmapHash => "bpf_dtab",
        MapType::Sockmap => "bpf_stab",
        MapType::Sockhash => "bpf_shtab",
        MapType::Cpumap => "bpf_cpu_map",
        MapType::Xskmap => "xsk_map",
        MapType::CgroupStorage | MapType::PercpuCgroupStorage => "bpf_cgroup_storage_map",
        MapType::ReuseportSockarray => "reuseport_array",
        MapType::Queue | MapType::Stack => "bpf_queue_stack",
        MapType::SkStorage | MapType::InodeStorage | MapType::TaskStorage | MapType::CgrpStorage => {
            "bpf_local_storage_map"
        }
        MapType::StructOps => "bpf_struct_ops_map",
        MapType::Ringbuf | MapType::UserRingbuf => "bpf_ringbuf_map",
        MapType::BloomFilter => "bpf_bloom_filter",
        MapType::Arena => "bpf_arena",
    }
}

impl Walk<'_> {
    /// An access by an instruction to anything but the stack and the context.
    pub(super) fn check_access(&self, at: At, ptr: &Ptr, off: i64, access: Access) -> Result<(), Reject> {
        let reg = at.reg;
        let invalid = || Reject::InvalidMem { reg: reg.number(), ty: type_name(&Value::Ptr(*ptr)) };
        if ptr.nullable {
            return Err(invalid());
        }
        let size = u64::from(at.bytes());
        let read_only = || Reject::WriteReadOnly { reg: reg.number(), ty: type_name(&Value::Ptr(*ptr)) };
        match ptr.kind {
            PtrKind::MapValue(map) => {
                self.check_map_value(reg, ptr, off, size, access, false)?;
                check_fields(self.map(map), ptr, off, size, true)
            }
            PtrKind::MapKey(_) if access == Access::Write => Err(Reject::KeyWrite { reg: reg.number() }),
            PtrKind::MapKey(map) => {
                let limit = self.map(map).key_size;
                check_region(reg, ptr, off, size, Bounds::MapKey(limit), false)
            }
            PtrKind::Mem { rdonly: true, .. } if access == Access::Write => Err(read_only()),
            PtrKind::Mem { size: limit, .. } => check_region(reg, ptr, off, size, Bounds::Mem(limit), false),
            PtrKind::Packet { .. } | PtrKind::PacketMeta { .. } => {
                if access == Access::Write && !self.program.kind.may_write_packet() {
                    return Err(Reject::PacketWrite {});
                }
                check_packet(reg, ptr, off, size, false)
            }
            PtrKind::FlowKeys => {
                let end = off.checked_add(i64::from(at.bytes()));
                let limit = i64::from(layout_end(ctx::flow_keys()));
                if off < 0 || end.is_none_or(|end| end > limit) || !ptr.var.is_zero() {
                    return Err(Reject::FlowKeysAccess { off, size: at.bytes() });
                }
                Ok(())
            }
            PtrKind::SockCommon => self.check_sock(at, ptr, off, access, ctx::sock_common()),
            PtrKind::Sock => self.check_sock(at, ptr, off, access, ctx::socket()),
            PtrKind::TcpSock => self.check_sock(at, ptr, off, access, ctx::tcp_sock()),
            PtrKind::XdpSock => self.check_sock(at, ptr, off, access, ctx::xdp_sock()),
            // How long it is, the tracepoint says when the program is attached.
            PtrKind::TpBuffer => check_buffer(reg, ptr, off, size, "tracepoint"),
            PtrKind::AnyMem | PtrKind::Buf { rdonly: true } if access == Access::Write => Err(read_only()),
            PtrKind::AnyMem | PtrKind::Arena => Ok(()),
            PtrKind::Buf { rdonly } => check_buffer(reg, ptr, off, size, buffer_name(rdonly)),
            PtrKind::Btf(to) => self.check_struct(at, ptr, off, to, access).map(|_| ()),
            PtrKind::ConstMap(map) if off < 0 => {
                Err(Reject::MapStructNegative { reg: reg.number(), name: map_struct(self.map(map).kind), off })
            }
            PtrKind::ConstMap(map) => Err(Reject::MapStructWrite { name: map_struct(self.map(map).kind) }),
            PtrKind::Ctx | PtrKind::Stack(_) | PtrKind::PacketEnd | PtrKind::Func(_) | PtrKind::Dynptr(_) => {
                Err(invalid())
            }
        }
    }

    fn check_sock(&self, at: At, ptr: &Ptr, off: i64, access: Access, layout: &CtxLayout) -> Result<(), Reject> {
        let (reg, ty) = (at.reg.number(), type_name(&Value::Ptr(*ptr)));
        if access == Access::Write {
            return Err(Reject::WriteReadOnly { reg, ty });
        }
        if ptr.var.smin() < 0 {
            return Err(Reject::NegativeMin { reg });
        }
        if !ptr.var.is_zero() || layout.field_index(self.program.kind, None, off, at.bytes(), false).is_none() {
            return Err(Reject::SockAccess { reg, ty, off, size: at.bytes() });
        }
        Ok(())
    }

    /// Memory that a map's value takes.
    pub(super) fn check_map_value(
        &self,
        reg: Reg,
        ptr: &Ptr,
        off: i64,
        size: u64,
        access: Access,
        zero_ok: bool,
    ) -> Result<(), Reject> {
        let PtrKind::MapValue(map) = ptr.kind else { return Ok(()) };
        let def = self.map(map);
        let vs = def.value_size;
        if access == Access::Write && def.is_read_only_to_programs() {
            return Err(Reject::MapWriteForbidden { vs, off, size });
        }
        if access == Access::Read && def.flags.has(MapFlags::WRONLY_PROG) {
            return Err(Reject::MapReadForbidden { vs, off, size });
        }
        check_region(reg, ptr, off, size, Bounds::MapValue(vs), zero_ok)
    }

    /// Memory that a helper reads or writes, if it is not on the stack.
    pub(super) fn check_region_of(
        &self,
        reg: Reg,
        ptr: &Ptr,
        size: u64,
        access: Access,
        zero_ok: bool,
    ) -> Result<(), Reject> {
        let off = i64::from(ptr.off);
        match ptr.kind {
            PtrKind::Packet { .. } | PtrKind::PacketMeta { .. } => {
                if access == Access::Write && !self.program.kind.may_write_packet() {
                    return Err(Reject::PacketWrite {});
                }
                check_packet(reg, ptr, off, size, zero_ok)
            }
            PtrKind::MapKey(_) if access == Access::Write => {
                Err(Reject::WriteReadOnly { reg: reg.number(), ty: type_name(&Value::Ptr(*ptr)) })
            }
            PtrKind::MapKey(map) => {
                let limit = self.map(map).key_size;
                check_region(reg, ptr, off, size, Bounds::MapKey(limit), zero_ok)
            }
            PtrKind::MapValue(map) => {
                self.check_map_value(reg, ptr, off, size, access, zero_ok)?;
                check_fields(self.map(map), ptr, off, size, false)
            }
            PtrKind::Mem { rdonly: true, .. } if access == Access::Write => {
                Err(Reject::WriteReadOnly { reg: reg.number(), ty: type_name(&Value::Ptr(*ptr)) })
            }
            PtrKind::Mem { size: limit, .. } => check_region(reg, ptr, off, size, Bounds::Mem(limit), zero_ok),
            PtrKind::Buf { rdonly: true } if access == Access::Write => {
                Err(Reject::WriteReadOnly { reg: reg.number(), ty: type_name(&Value::Ptr(*ptr)) })
            }
            PtrKind::Buf { rdonly } => check_buffer(reg, ptr, off, size, buffer_name(rdonly)),
            PtrKind::Ctx
            | PtrKind::ConstMap(_)
            | PtrKind::Stack(_)
            | PtrKind::PacketEnd
            | PtrKind::FlowKeys
            | PtrKind::SockCommon
            | PtrKind::Sock
            | PtrKind::TcpSock
            | PtrKind::XdpSock
            | PtrKind::TpBuffer
            | PtrKind::Func(_)
            | PtrKind::AnyMem
            | PtrKind::Arena
            | PtrKind::Dynptr(_)
            | PtrKind::Btf(_) => Err(Reject::InvalidMem { reg: reg.number(), ty: type_name(&Value::Ptr(*ptr)) }),
        }
    }

    /// Pointers of some kinds must be as they were given.
    pub(super) fn check_plain_pointer(&self, reg: Reg, ptr: &Ptr) -> Result<(), Reject> {
        let (reg, ty, off) = (reg.number(), type_name(&Value::Ptr(*ptr)), i64::from(ptr.off));
        if off < 0 {
            Err(Reject::CtxNegative { ty, reg, off })
        } else if off != 0 {
            Err(Reject::CtxModified { ty, reg, off })
        } else if !ptr.var.is_zero() {
            Err(Reject::CtxVariable { ty, var: ptr.var.bits().to_string() })
        } else {
            Ok(())
        }
    }
}

fn layout_end(layout: &CtxLayout) -> u32 {
    layout.fields.iter().map(ring3_platform::CtxField::end).max().unwrap_or(0)
}

/// What only helpers may touch is not touched; `direct` where an instruction does it, not a helper.
pub(super) fn check_fields(def: &MapDef, ptr: &Ptr, off: i64, size: u64, direct: bool) -> Result<(), Reject> {
    let first = ptr.var.smin().saturating_add(off);
    let end = ptr.var.umax().saturating_add_signed(off).saturating_add(size);
    let touched = |field: &Field| first < i64::from(field.end()) && u64::from(field.off) < end;
    for field in def.fields.list.iter().filter(|field| touched(field)) {
        let what = field.kind.name();
        if !field.kind.is_pointer() {
            return Err(Reject::FieldDirect { what });
        }
        if !direct {
            return Err(Reject::FieldHelper { what });
        }
        let Some(var) = ptr.var.const_value() else { return Err(Reject::FieldVariable { what }) };
        let at = off.wrapping_add(ring3_isa::num::s64(var));
        if at != i64::from(field.off) {
            return Err(Reject::FieldMisaligned { what, expected: field.off, off: at });
        }
        if size != 8 {
            return Err(Reject::FieldSize { what });
        }
    }
    Ok(())
}

fn buffer_name(rdonly: bool) -> &'static str {
    if rdonly { "rdonly" } else { "rdwr" }
}

/// Memory whose size is looked at later: when the program is attached.
fn check_buffer(reg: Reg, ptr: &Ptr, off: i64, size: u64, what: &'static str) -> Result<(), Reject> {
    let reg = reg.number();
    if off < 0 {
        return Err(Reject::BufferNegative { reg, what, off, size });
    }
    if !ptr.var.is_zero() {
        return Err(Reject::BufferVariable { reg, off, var: ptr.var.bits().to_string() });
    }
    Ok(())
}

fn check_region(reg: Reg, ptr: &Ptr, off: i64, size: u64, bounds: Bounds, zero_ok: bool) -> Result<(), Reject> {
    let number = reg.number();
    let smin = ptr.var.smin();
    let lowest = smin.checked_add(off).filter(|low| i32::try_from(*low).is_ok());
    if smin < 0 && lowest.is_none_or(|low| low < 0) {
        return Err(Reject::NegativeMin { reg: number });
    }
    check_bounds(number, smin.wrapping_add(off), size, bounds, zero_ok, "min")?;
    let umax = match i64::try_from(ptr.var.umax()) {
        Ok(umax) if umax < MAX_OFF => umax,
        Ok(_) | Err(_) => return Err(Reject::UnboundedMem { reg: number }),
    };
    check_bounds(number, umax + off, size, bounds, zero_ok, "max")
}

fn check_bounds(
    reg: u8,
    off: i64,
    size: u64,
    bounds: Bounds,
    zero_ok: bool,
    which: &'static str,
) -> Result<(), Reject> {
    let (Bounds::MapValue(limit) | Bounds::MapKey(limit) | Bounds::Mem(limit)) = bounds;
    let end = u64::try_from(off).ok().and_then(|off| off.checked_add(size));
    if (size > 0 || zero_ok) && end.is_some_and(|end| end <= u64::from(limit)) {
        return Ok(());
    }
    Err(match bounds {
        Bounds::MapValue(limit) => Reject::RegionMapValue { reg, which, limit, off, size },
        Bounds::MapKey(limit) => Reject::RegionMapKey { reg, which, limit, off, size },
        Bounds::Mem(limit) => Reject::RegionMem { reg, which, limit, off, size },
    })
}

/// The variable part of the offset was compared with the end of the packet, together with the fixed part.
fn check_packet(reg: Reg, ptr: &Ptr, off: i64, size: u64, zero_ok: bool) -> Result<(), Reject> {
    let (PtrKind::Packet { range } | PtrKind::PacketMeta { range }) = ptr.kind else { return Ok(()) };
    let number = reg.number();
    if ptr.var.smin() < 0 {
        return Err(Reject::NegativeMin { reg: number });
    }
    let Ok(limit) = u64::try_from(range) else { return Err(Reject::PacketBeyondEnd { reg: number }) };
    let end = u64::try_from(off).ok().and_then(|off| off.checked_add(size));
    if (size > 0 || zero_ok) && end.is_some_and(|end| end <= limit) {
        return Ok(());
    }
    Err(Reject::PacketAccess { off, size, reg: number, id: ptr.id, range })
}
