//! Arguments of helpers.

use ring3_btf::TypeId;
use ring3_isa::Reg;
use ring3_platform::helpers::id;
use ring3_platform::maps::FieldKind;
use ring3_platform::{ArgFlags, ArgKind, ArgType, MapFlags, MapType, Proto};

use super::MAX_OFF;
use super::call::Args;
use super::dynptr::Want;
use super::memory::{Access, At};
use crate::diag::reject::{Reject, unsupported};
use crate::kernel::members;
use crate::state::{
    BtfPtr, Byte, DynptrKind, LockKind, Ptr, PtrKind, SLOT, ScalarValue, Slice, Trust, Value, locate, plain_name,
    type_name,
};
use crate::walk::Walk;

/// Register types that an argument takes, by the kernel's names and in its order.
const MEM: &[&str] = &["fp", "pkt", "pkt_meta", "map_key", "map_value", "mem", "ringbuf_mem", "buf", "trusted_ptr_"];
const SOCK_COMMON: &[&str] = &["sock_common", "sock", "tcp_sock", "xdp_sock"];
const BTF_SOCK_COMMON: &[&str] = &["sock_common", "sock", "tcp_sock", "xdp_sock", "ptr_", "trusted_ptr_"];

fn accepted(kind: ArgKind) -> &'static [&'static str] {
    match kind {
        ArgKind::MapKey | ArgKind::MapValue | ArgKind::Mem | ArgKind::FixedMem(_) => MEM,
        ArgKind::Scalar | ArgKind::ConstSize | ArgKind::ConstSizeOrZero | ArgKind::ConstAllocSizeOrZero => &["scalar"],
        ArgKind::Ctx => &["ctx"],
        ArgKind::ConstMapPtr => &["map_ptr"],
        ArgKind::SockCommon => SOCK_COMMON,
        ArgKind::BtfSockCommon => BTF_SOCK_COMMON,
        ArgKind::Socket => &["sock"],
        ArgKind::RingbufMem => &["ringbuf_mem"],
        ArgKind::Func => &["func"],
        ArgKind::ConstStr => &["map_value"],
        ArgKind::Stack => &["fp"],
        ArgKind::SpinLock => &["map_value", "ptr_"],
        ArgKind::Dynptr => &["fp", "dynptr_ptr"],
        ArgKind::Timer => &["map_value"],
        ArgKind::BtfId(_) => &["ptr_", "trusted_ptr_", "rcu_ptr_"],
        ArgKind::PercpuBtfId => &["percpu_ptr_", "percpu_rcu_ptr_", "percpu_trusted_ptr_"],
        ArgKind::KptrXchgDest => &["map_value", "ptr_"],
        ArgKind::None | ArgKind::Anything => &[],
    }
}

impl Walk<'_> {
    /// Checks argument `index` (0 is R1) and notes what it says.
    pub(super) fn check_arg(
        &mut self,
        proto: &Proto,
        index: usize,
        arg: ArgType,
        args: &mut Args,
    ) -> Result<(), Reject> {
        if arg.kind == ArgKind::None {
            return Ok(());
        }
        let reg = argument(index);
        let value = self.read(reg)?;
        let arg = self.by_map(arg, args);
        if arg.kind == ArgKind::Anything {
            return Ok(());
        }
        if let Value::Ptr(Ptr { kind: PtrKind::Packet { .. } | PtrKind::PacketMeta { .. }, .. }) = value
            && !(proto.pkt_access && self.program.kind.may_pass_packet())
        {
            return Err(Reject::ArgPacket {});
        }
        let is_null = value.is_zero() && arg.flags.has(ArgFlags::MAYBE_NULL);
        // Memory of a size that comes next may only be null if that size is 0. The size is precise, and where it is 0 no helper
        // looks at the memory: another number there is as good. Of all others it matters that it is null.
        let has_size = arg.kind == ArgKind::Mem && !arg.flags.has(ArgFlags::WRITE);
        if is_null {
            if !has_size {
                self.mark_precise_quietly(reg)?;
            }
        } else {
            if proto.id == id::KPTR_XCHG && arg.kind != ArgKind::KptrXchgDest {
                self.check_kptr_source(reg, args)?;
            } else {
                self.check_type(proto, reg, &value, arg)?;
            }
            self.check_offset(reg, &value, arg)?;
        }
        self.note_reference(reg, &value, arg, args)?;
        match arg.kind {
            // A timer belongs to the map that it is in.
            ArgKind::ConstMapPtr
                if args.map.is_some() && (args.map, args.map_uid) != (map_of(&value), uid_of(&value)) =>
            {
                return Err(Reject::TimerMap { timer: args.map_uid.id(), map: uid_of(&value).id() });
            }
            ArgKind::ConstMapPtr => (args.map, args.map_uid) = (map_of(&value), uid_of(&value)),
            ArgKind::Timer => {
                (args.map, args.map_uid) = (Some(self.check_map_field(reg, FieldKind::Timer)?), uid_of(&value));
            }
            ArgKind::MapKey => self.check_key(reg, args)?,
            ArgKind::MapValue if is_null => {}
            ArgKind::MapValue => {
                let Some(map) = args.map else { return Err(Reject::MapInnerNull { what: "value" }) };
                let size = self.map(map).value_size;
                self.check_memory(reg, size.into(), false, arg.flags, args)?;
            }
            ArgKind::Mem => {}
            ArgKind::FixedMem(_) if is_null => {}
            ArgKind::FixedMem(size) => {
                self.check_memory(reg, size.into(), false, arg.flags, args)?;
                if arg.flags.has(ArgFlags::ALIGNED) {
                    self.check_fixed_alignment(reg, size)?;
                }
            }
            ArgKind::ConstSize => self.check_size(reg, false, flags_before(proto, index), args)?,
            ArgKind::ConstSizeOrZero => self.check_size(reg, true, flags_before(proto, index), args)?,
            ArgKind::ConstAllocSizeOrZero => {
                args.mem_size = value.const_value().ok_or(Reject::NotConst { reg: reg.number() })?;
                self.mark_precise(reg)?;
            }
            ArgKind::Func => {
                if let Value::Ptr(Ptr { kind: PtrKind::Func(subprog), .. }) = value {
                    args.callback = Some(subprog);
                }
            }
            ArgKind::ConstStr => self.check_string(reg, &value)?,
            ArgKind::SpinLock if self.in_tree_callback() => return Err(Reject::LockInTreeCallback {}),
            ArgKind::SpinLock if proto.id == id::SPIN_LOCK => self.take_lock(reg, LockKind::Spin)?,
            ArgKind::SpinLock => self.give_lock(reg, LockKind::Spin)?,
            ArgKind::None
            | ArgKind::Anything
            | ArgKind::Scalar
            | ArgKind::Ctx
            | ArgKind::SockCommon
            | ArgKind::BtfSockCommon
            | ArgKind::Socket
            | ArgKind::BtfId(_)
            | ArgKind::RingbufMem
            | ArgKind::Stack => {}
            ArgKind::PercpuBtfId => match value {
                Value::Ptr(Ptr { kind: PtrKind::Btf(to), .. }) => args.percpu = Some(to),
                Value::Ptr(_) | Value::Scalar(_) | Value::Uninit => {}
            },
            ArgKind::KptrXchgDest => self.check_kptr_dest(reg, args)?,
            ArgKind::Dynptr => self.check_dynptr_arg(index, arg.flags, args)?,
        }
        Ok(())
    }

    /// The argument as it is for the map that an earlier one named: the values of maps of sockets are given as sockets.
    fn by_map(&self, arg: ArgType, args: &Args) -> ArgType {
        let kind = args.map.map(|map| self.map(map).kind);
        match (arg.kind, kind) {
            (ArgKind::MapValue, Some(MapType::Sockmap | MapType::Sockhash)) => {
                ArgType { kind: ArgKind::BtfSockCommon, ..arg }
            }
            _ => arg,
        }
    }

    fn check_offset(&self, reg: Reg, value: &Value, arg: ArgType) -> Result<(), Reject> {
        match value {
            // The dynptr is given back, not the pointer to it.
            Value::Ptr(Ptr { kind: PtrKind::Stack(_), .. }) if arg.kind == ArgKind::Dynptr => Ok(()),
            Value::Ptr(ptr) => self.check_pointer_offset(reg, ptr, arg.flags.has(ArgFlags::RELEASE)),
            Value::Scalar(_) | Value::Uninit => Ok(()),
        }
    }

    /// Only some pointers may be given with an offset, and none that is released.
    pub(super) fn check_pointer_offset(&self, reg: Reg, ptr: &Ptr, released: bool) -> Result<(), Reject> {
        if released {
            if ptr.off != 0 {
                return Err(Reject::ArgOffset { reg: reg.number() });
            }
            return self.check_plain_pointer(reg, ptr);
        }
        if ptr.slice.is_typed() {
            return self.check_plain_pointer(reg, ptr);
        }
        match ptr.kind {
            PtrKind::Stack(_)
            | PtrKind::Packet { .. }
            | PtrKind::PacketMeta { .. }
            | PtrKind::MapKey(_)
            | PtrKind::MapValue(_)
            | PtrKind::Arena
            | PtrKind::Buf { .. }
            | PtrKind::Mem { .. } => Ok(()),
            PtrKind::Ctx
            | PtrKind::ConstMap(_)
            | PtrKind::PacketEnd
            | PtrKind::FlowKeys
            | PtrKind::SockCommon
            | PtrKind::Sock
            | PtrKind::TcpSock
            | PtrKind::XdpSock
            | PtrKind::TpBuffer
            | PtrKind::Func(_)
            | PtrKind::AnyMem
            | PtrKind::Dynptr(_) => self.check_plain_pointer(reg, ptr),
            // A structure within it may be meant.
            PtrKind::Btf(to) if ptr.off >= 0 && !ptr.nullable && may_be_inside(to.trust) => {
                self.check_plain_pointer(reg, &Ptr { off: 0, ..*ptr })
            }
            PtrKind::Btf(_) => self.check_plain_pointer(reg, ptr),
        }
    }

    /// A dynptr that a helper makes, uses or gives back.
    fn check_dynptr_arg(&mut self, index: usize, flags: ArgFlags, args: &mut Args) -> Result<(), Reject> {
        let kind = match () {
            () if flags.has(ArgFlags::DYNPTR_LOCAL) => Some(DynptrKind::Local),
            () if flags.has(ArgFlags::DYNPTR_RINGBUF) => Some(DynptrKind::Ringbuf),
            () => None,
        };
        let want = match kind {
            Some(kind) if flags.has(ArgFlags::UNINIT) => Want::New { kind, clone_of: 0 },
            kind => Want::Ready { kind, rdonly: flags.has(ArgFlags::RDONLY) },
        };
        self.check_dynptr(index, want)?;
        args.dynptr = self.dynptr_of(argument(index));
        Ok(())
    }

    fn note_reference(&mut self, reg: Reg, value: &Value, arg: ArgType, args: &mut Args) -> Result<(), Reject> {
        let ref_id = value.as_ptr().map_or(0, |ptr| ptr.ref_id);
        if arg.flags.has(ArgFlags::RELEASE) && arg.kind == ArgKind::Dynptr {
            args.release = Some(reg);
            args.ref_id = self.released_dynptr(reg)?;
            return Ok(());
        }
        if arg.flags.has(ArgFlags::RELEASE) {
            if ref_id == 0 && !value.is_zero() {
                return Err(Reject::ArgNotReferenced { reg: reg.number() });
            }
            args.release = Some(reg);
        }
        if ref_id != 0 && arg.kind != ArgKind::KptrXchgDest {
            if args.ref_id != 0 {
                return Err(Reject::ManyReferences { reg: reg.number(), first: args.ref_id, second: ref_id });
            }
            args.ref_id = ref_id;
        }
        Ok(())
    }

    fn check_key(&mut self, reg: Reg, args: &mut Args) -> Result<(), Reject> {
        let Some(map) = args.map else { return Err(Reject::MapInnerNull { what: "key" }) };
        let def = self.map(map);
        let size = def.key_size;
        self.check_memory(reg, size.into(), false, ArgFlags::NONE, args)?;
        // Arrays of any length may stand in for a template with that flag.
        if matches!(def.kind, MapType::Array | MapType::PercpuArray) && !def.flags.has(MapFlags::INNER_MAP) {
            args.key = self.constant_key(reg, size as usize)?;
        }
        Ok(())
    }

    /// The key of an array, where the stack says exactly what it is.
    fn constant_key(&mut self, reg: Reg, size: usize) -> Result<Option<u64>, Reject> {
        let Value::Ptr(ptr) = *self.path.state.reg(reg) else { return Ok(None) };
        let (PtrKind::Stack(frame), Some(off)) = (ptr.kind, ptr.const_off()) else { return Ok(None) };
        let (index, byte) = locate(off);
        let slot = self.path.state.frames[frame as usize].stack.slot(index);
        let run = |kind: Byte| slot.bytes[..=byte].iter().rev().take_while(|b| **b == kind).count();
        if run(Byte::Zero) >= size {
            return Ok(Some(0));
        }
        let Value::Scalar(ScalarValue { num, .. }) = slot.spill else { return Ok(None) };
        // Linux has no key in part of a register, though a stored state with the part alone covers one with all of it.
        let is_part = self.forgets.is_some() && byte + 1 == SLOT && run(Byte::Spill) > size;
        if !slot.is_spill() || run(Byte::Spill) != size && !is_part {
            return Ok(None);
        }
        let Some(value) = num.const_value() else { return Ok(None) };
        let value = if is_part { value & u64::MAX >> (64 - 8 * size.clamp(1, 8)) } else { value };
        self.mark_slot_precise(frame as usize, index);
        Ok(Some(value))
    }

    /// The size of the memory argument before it.
    pub(super) fn check_size(
        &mut self,
        reg: Reg,
        zero_ok: bool,
        flags: ArgFlags,
        args: &mut Args,
    ) -> Result<(), Reject> {
        let Value::Scalar(size) = *self.path.state.reg(reg) else {
            return Err(Reject::NotReadable { reg: reg.number() });
        };
        let (number, num) = (reg.number(), size.num);
        args.max_size = num.umax();
        if num.smin() < 0 {
            return Err(Reject::SizeNegative { reg: number });
        }
        if num.umin() == 0 && !zero_ok {
            return Err(Reject::SizeZero { reg: number, umin: num.umin(), umax: num.umax() });
        }
        if num.umax() >= MAX_OFF.unsigned_abs() {
            return Err(Reject::SizeUnbounded { reg: number });
        }
        // How much is filled is not known, so nothing may count as filled.
        let flags = if num.is_const() { flags } else { ArgFlags(flags.0 & !ArgFlags::UNINIT.0) };
        self.check_memory(before(reg), num.umax(), zero_ok, flags, args)?;
        self.mark_precise(reg)
    }

    /// Memory that a helper reads or writes.
    pub(super) fn check_memory(
        &mut self,
        reg: Reg,
        size: u64,
        zero_ok: bool,
        flags: ArgFlags,
        args: &mut Args,
    ) -> Result<(), Reject> {
        let writes = flags.has(ArgFlags::WRITE) && !self.has_bug(crate::planted::Bug::WriteReadOnly);
        let access = if writes { Access::Write } else { Access::Read };
        let value = *self.path.state.reg(reg);
        let Value::Ptr(ptr) = value else { return no_memory(reg, &value, size, zero_ok) };
        match ptr.kind {
            PtrKind::Stack(frame) => {
                let size = i64::try_from(size).unwrap_or(i64::MAX);
                if size == 0 && !zero_ok {
                    return Err(Reject::ZeroRead {});
                }
                let starts = self.stack_range(reg, &ptr, frame, (ptr.off.into(), size), access)?;
                if flags.has(ArgFlags::UNINIT) && ptr.var.is_const() {
                    self.check_no_dynptr(frame, starts.start..starts.start + size)?;
                    args.fills = Some((frame, starts.start, size));
                    return Ok(());
                }
                self.check_initialised(reg, &ptr, frame, starts, size, access)
            }
            PtrKind::Packet { .. }
            | PtrKind::PacketMeta { .. }
            | PtrKind::MapKey(_)
            | PtrKind::MapValue(_)
            | PtrKind::Buf { .. }
            | PtrKind::Mem { .. } => self.check_region_of(reg, &ptr, size, access, zero_ok),
            PtrKind::Ctx
            | PtrKind::ConstMap(_)
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
            | PtrKind::Dynptr(_) => no_memory(reg, &value, size, zero_ok),
            // What would be written there is nothing that a program may write.
            PtrKind::Btf(_) if access == Access::Write => unsupported("a structure given as memory that is written"),
            PtrKind::Btf(to) => self.check_struct_memory(reg, &ptr, to, size),
        }
    }

    fn check_fixed_alignment(&self, reg: Reg, size: u32) -> Result<(), Reject> {
        let (Value::Ptr(ptr), Some(size)) = (*self.path.state.reg(reg), access_size(size)) else { return Ok(()) };
        self.check_alignment(At { reg, off: 0, size }, &ptr, true)
    }

    /// A string that cannot change, with its end inside the value.
    pub(super) fn check_string(&self, reg: Reg, value: &Value) -> Result<(), Reject> {
        let number = reg.number();
        let Value::Ptr(ptr) = value else { return Err(Reject::ConstStr { reg: number }) };
        let PtrKind::MapValue(map) = ptr.kind else { return Err(Reject::ConstStr { reg: number }) };
        let def = self.map(map);
        let is_known = def.frozen && !crate::cfg::maps::is_inner(self.program, map);
        if !(is_known && def.flags.has(MapFlags::RDONLY_PROG)) {
            return Err(Reject::StrNotReadOnly { reg: number });
        }
        if !def.has_direct_value() {
            return Err(Reject::StrNoDirectValue {});
        }
        let Some(off) = ptr.const_off() else { return Err(Reject::StrNotConst { reg: number }) };
        let rest = u64::from(def.value_size).saturating_sub(u64::try_from(off).unwrap_or(u64::MAX));
        self.check_map_value(reg, ptr, ptr.off.into(), rest, Access::Read, false)?;
        super::access::check_fields(def, ptr, ptr.off.into(), rest, false)?;
        let data = def.data.as_deref().unwrap_or_default();
        let start = usize::try_from(off).unwrap_or(usize::MAX);
        let ends = data.get(start..).is_some_and(|rest| rest.contains(&0)) || data.len() < def.value_size as usize;
        if ends { Ok(()) } else { Err(Reject::ConstStrEnd {}) }
    }

    /// `bpf_snprintf`: the arguments are words, and the format takes so many.
    pub(super) fn check_format(&self) -> Result<(), Reject> {
        let length = self.path.state.reg(Reg::R5).as_scalar().map_or(0, |len| len.num.bits().value());
        if !length.is_multiple_of(8) {
            return Err(Reject::FormatData {});
        }
        // That it is a string in a map was checked with the arguments.
        let Value::Ptr(ptr) = self.path.state.reg(Reg::R3) else { return Err(Reject::Format {}) };
        let (PtrKind::MapValue(map), Some(off)) = (ptr.kind, ptr.const_off()) else { return Err(Reject::Format {}) };
        let data = self.map(map).data.as_deref().unwrap_or_default();
        let rest = usize::try_from(off).ok().and_then(|off| data.get(off..)).unwrap_or_default();
        let format = rest.split(|byte| *byte == 0).next().unwrap_or_default();
        if super::format::takes(format, length / 8) { Ok(()) } else { Err(Reject::Format {}) }
    }

    /// The callback runs before the helper returns.
    pub(super) fn loop_callback(&mut self, args: &Args) -> Result<(), Reject> {
        // Whether the loop can be inlined depends on the flags being zero, and on nothing else being there.
        let no_flags = self.path.state.reg(Reg::R4).is_zero();
        if no_flags {
            self.mark_precise(Reg::R4)?;
        }
        self.note_loop(args.callback.map(|callback| callback as usize), no_flags);
        // Linux takes for granted that the number of rounds is one.
        let Some(rounds) = self.path.state.reg(Reg::R1).as_scalar().map(|s| s.num.umax()) else {
            return Err(Reject::LoopOfPointer {});
        };
        self.mark_precise(Reg::R1)?;
        let done = u64::from(self.path.state.frame().callback_depth);
        if done < rounds && !self.has_bug(crate::planted::Bug::CallbackNever) {
            let context = *self.path.state.reg(Reg::R3);
            return self.push_callback(args, &[Value::unknown(), context]);
        }
        self.path.state.frame_mut().callback_depth = 0;
        if self.log.verbose() {
            let frame = self.path.state.current();
            self.log.push(&format!("frame{frame} bpf_loop iteration limit reached\n"));
        }
        Ok(())
    }

    /// The callback runs for each sample that user space put into the ring, which it gets as a dynptr.
    pub(super) fn drain_callback(&mut self, args: &Args) -> Result<(), Reject> {
        let id = self.new_id();
        let sample = Value::Ptr(Ptr { id, ..Ptr::new(PtrKind::Dynptr(DynptrKind::Local)) });
        let context = *self.path.state.reg(Reg::R3);
        self.push_callback(args, &[sample, context])
    }

    /// The callback gets the task, the area of its memory that was found, and the context.
    pub(super) fn vma_callback(&mut self, args: &Args) -> Result<(), Reject> {
        let area = BtfPtr::kernel(self.kernel_struct("vm_area_struct")?, Trust::PLAIN);
        let (task, context) = (*self.path.state.reg(Reg::R1), *self.path.state.reg(Reg::R4));
        self.push_callback(args, &[task, Value::ptr(PtrKind::Btf(area)), context])
    }

    /// The callback runs for each element.
    pub(super) fn for_each_callback(&mut self, args: &Args) -> Result<(), Reject> {
        let Some(map) = args.map else { return Err(Reject::MapInnerNull { what: "key" }) };
        if !self.map(map).kind.supports_for_each() {
            return Err(Reject::ForEachMap {});
        }
        let context = *self.path.state.reg(Reg::R3);
        let handle = *self.path.state.reg(Reg::R1);
        self.push_callback(
            args,
            &[handle, Value::ptr(PtrKind::MapKey(map)), Value::ptr(PtrKind::MapValue(map)), context],
        )
    }

    /// Whether a lookup in an array cannot fail.
    pub(super) fn lookup_cannot_fail(&self, helper: u32, args: &Args) -> bool {
        let (Some(map), Some(key)) = (args.map, args.key) else { return false };
        let def = self.map(map);
        helper == id::MAP_LOOKUP_ELEM && key < u64::from(def.max_entries)
    }
}

/// The register of an argument.
pub(super) fn argument(index: usize) -> Reg {
    [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5][index.min(4)]
}

/// The argument before this one.
fn before(reg: Reg) -> Reg {
    argument(reg.index().saturating_sub(2))
}

fn flags_before(proto: &Proto, index: usize) -> ArgFlags {
    index.checked_sub(1).map_or(ArgFlags::NONE, |i| proto.args[i].flags)
}

fn map_of(value: &Value) -> Option<u32> {
    match value.as_ptr()?.kind {
        PtrKind::ConstMap(map) => Some(map),
        _ => None,
    }
}

/// Which map it is among those that look like its template.
pub(super) fn uid_of(value: &Value) -> Slice {
    value.as_ptr().map_or(Slice::NONE, |ptr| ptr.slice)
}

fn access_size(bytes: u32) -> Option<ring3_isa::Size> {
    use ring3_isa::Size;
    [Size::B, Size::H, Size::W, Size::Dw].into_iter().find(|size| size.bytes() == bytes)
}

fn no_memory(reg: Reg, value: &Value, size: u64, zero_ok: bool) -> Result<(), Reject> {
    if zero_ok && size == 0 && value.is_zero() {
        return Ok(());
    }
    Err(Reject::ArgType { reg: reg.number(), ty: type_name(value), expected: "fp".to_owned() })
}

/// Pointers to structures that may be given with a fixed offset.
fn may_be_inside(trust: Trust) -> bool {
    const BORROWED: Trust = Trust::ALLOC.with(Trust::NON_OWNING);
    [Trust::PLAIN, Trust::ALLOC, Trust::TRUSTED, Trust::RCU, BORROWED, BORROWED.with(Trust::RCU)]
        .contains(&trust.flags())
}

/// The pointers to structures that an argument takes.
fn typed(kind: ArgKind) -> &'static [Trust] {
    const MEM: &[Trust] = &[Trust::TRUSTED];
    const SOCK: &[Trust] = &[Trust::PLAIN, Trust::TRUSTED];
    const STRUCT: &[Trust] = &[Trust::PLAIN, Trust::TRUSTED, Trust::RCU];
    const PERCPU: &[Trust] = &[Trust::PERCPU, Trust::PERCPU.with(Trust::RCU), Trust::PERCPU.with(Trust::TRUSTED)];
    const OWN: &[Trust] = &[Trust::ALLOC];
    match kind {
        ArgKind::MapKey | ArgKind::MapValue | ArgKind::Mem | ArgKind::FixedMem(_) => MEM,
        ArgKind::BtfSockCommon => SOCK,
        ArgKind::BtfId(_) => STRUCT,
        ArgKind::PercpuBtfId => PERCPU,
        ArgKind::SpinLock | ArgKind::KptrXchgDest => OWN,
        ArgKind::None
        | ArgKind::Anything
        | ArgKind::Scalar
        | ArgKind::Ctx
        | ArgKind::ConstMapPtr
        | ArgKind::ConstSize
        | ArgKind::ConstSizeOrZero
        | ArgKind::ConstAllocSizeOrZero
        | ArgKind::SockCommon
        | ArgKind::Socket
        | ArgKind::RingbufMem
        | ArgKind::Timer
        | ArgKind::Stack
        | ArgKind::Func
        | ArgKind::ConstStr
        | ArgKind::Dynptr => &[],
    }
}

impl Walk<'_> {
    fn check_type(&self, proto: &Proto, reg: Reg, value: &Value, arg: ArgType) -> Result<(), Reject> {
        let folded = match *value {
            Value::Ptr(mut ptr) => {
                ptr.nullable &= !arg.flags.has(ArgFlags::MAYBE_NULL);
                match (ptr.kind, arg.flags.has(ArgFlags::RDONLY)) {
                    (PtrKind::Mem { size, origin, .. }, true) => {
                        ptr.kind = PtrKind::Mem { size, rdonly: false, origin };
                    }
                    (PtrKind::Buf { .. }, true) => ptr.kind = PtrKind::Buf { rdonly: false },
                    _ => {}
                }
                Value::Ptr(ptr)
            }
            other @ (Value::Scalar(_) | Value::Uninit) => other,
        };
        let expected = accepted(arg.kind);
        let wrong = || Reject::ArgType { reg: reg.number(), ty: type_name(value), expected: expected.join(", ") };
        if let Value::Ptr(ptr @ Ptr { kind: PtrKind::Btf(to), .. }) = folded {
            if ptr.nullable || !typed(arg.kind).contains(&to.trust.flags()) {
                return Err(wrong());
            }
            return self.check_struct_type(proto, reg, &ptr, to, arg);
        }
        let nullable = folded.as_ptr().is_some_and(|ptr| ptr.nullable);
        let typed = folded.as_ptr().is_some_and(|ptr| ptr.slice.is_typed());
        if typed && matches!(arg.kind, ArgKind::MapKey | ArgKind::MapValue) {
            return Err(wrong());
        }
        let fits = !nullable && plain_name(&folded).is_ok_and(|name| expected.contains(&name));
        if fits { Ok(()) } else { Err(wrong()) }
    }

    /// A structure that is given must be of the type that the helper wants.
    fn check_struct_type(&self, proto: &Proto, reg: Reg, ptr: &Ptr, to: BtfPtr, arg: ArgType) -> Result<(), Reject> {
        let want = match arg.kind {
            ArgKind::BtfSockCommon => "sock_common",
            ArgKind::BtfId(name) => name,
            ArgKind::MapKey | ArgKind::MapValue | ArgKind::Mem | ArgKind::FixedMem(_) => {
                if arg.flags.has(ArgFlags::RDONLY) {
                    return Ok(());
                }
                let name = format!("bpf_{}", proto.name);
                return Err(Reject::MayWrite { name, reg: reg.number(), ty: type_name(&Value::Ptr(*ptr)) });
            }
            _ => return Ok(()),
        };
        let strict = arg.flags.has(ArgFlags::RELEASE) && proto.id != id::SK_RELEASE;
        let id = self.kernel_struct(want)?;
        let btf = self.types_of(to)?;
        let off = u32::try_from(ptr.off).unwrap_or(u32::MAX);
        if to.is_kernel() && members::is_a(btf, TypeId(to.id), off, TypeId(id), strict) {
            return Ok(());
        }
        let has = btf.name(TypeId(to.id)).to_owned();
        Err(Reject::StructType { reg: reg.number(), has, want: want.to_owned() })
    }
}
