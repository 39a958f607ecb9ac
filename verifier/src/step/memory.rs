//! Loads, stores and atomic operations.

use ring3_isa::{AtomicOp, Operand, Reg, Size};
use ring3_platform::LoadFlags;

use super::alu::sane;
use crate::diag::reject::{Reject, unsupported};
use crate::domain::Scalar;
use crate::facts::Region;
use crate::state::{BtfPtr, MemOrigin, Ptr, PtrKind, ScalarValue, Trust, Value, type_name};
use crate::walk::Walk;

/// Which way memory is accessed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    Read,
    Write,
}

/// What is stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// A register.
    Reg(Reg),
    /// An immediate.
    Imm(i32),
    /// Something unknown (atomic operations, helpers).
    Unknown,
}

/// Pointers whose accesses Linux rewrites: one instruction may not have several kinds of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deref {
    /// Not rewritten.
    Plain,
    /// Memory of known size: not rewritten, but it may share a load with structures.
    Mem,
    Ctx,
    SockCommon,
    Sock,
    TcpSock,
    XdpSock,
    /// An arena: faults are caught.
    Arena,
    /// A structure; its load is rewritten by how good the pointer is.
    Struct(Trust),
}

impl Deref {
    fn is_rewritten(self) -> bool {
        match self {
            Deref::Plain | Deref::Mem => false,
            Deref::Ctx
            | Deref::SockCommon
            | Deref::Sock
            | Deref::TcpSock
            | Deref::XdpSock
            | Deref::Arena
            | Deref::Struct(_) => true,
        }
    }
}

/// One access by an instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    /// The register with the address.
    pub reg: Reg,
    /// Offset of the instruction.
    pub off: i64,
    /// Bytes.
    pub size: Size,
}

impl At {
    /// Bytes.
    pub fn bytes(self) -> u32 {
        self.size.bytes()
    }
}

impl Walk<'_> {
    /// `dst = *(size *)(base + off)`.
    pub(super) fn load(&mut self, size: Size, signed: bool, dst: Reg, base: Reg, off: i16) -> Result<(), Reject> {
        self.load_checked(size, signed, dst, base, off, false)
    }

    /// `dst = load_acquire(...)`.
    pub(super) fn load_acquire(&mut self, size: Size, dst: Reg, base: Reg, off: i16) -> Result<(), Reject> {
        let from = self.read(base)?;
        self.load_checked(size, false, dst, base, off, true)?;
        // Linux asks when the register may already have what was loaded. What it was loaded from has to allow it as well.
        for value in [from, *self.path.state.reg(base)] {
            if !allows_atomics(&value) {
                return Err(Reject::AtomicLoad { reg: base.number(), ty: type_name(&value) });
            }
        }
        Ok(())
    }

    fn load_checked(
        &mut self,
        size: Size,
        signed: bool,
        dst: Reg,
        base: Reg,
        off: i16,
        aligned: bool,
    ) -> Result<(), Reject> {
        let from = self.read(base)?;
        self.writable(dst)?;
        let at = At { reg: base, off: off.into(), size };
        let loaded = self.read_memory(at, &from, Some(dst), signed, aligned)?;
        self.write(dst, loaded);
        self.note_access(&from, !aligned)
    }

    /// `*(size *)(base + off) = src`.
    pub(super) fn store(&mut self, size: Size, base: Reg, off: i16, src: Operand) -> Result<(), Reject> {
        let source = match src {
            Operand::Reg(reg) => {
                self.read(reg)?;
                Source::Reg(reg)
            }
            Operand::Imm(imm) => Source::Imm(imm),
        };
        let to = self.read(base)?;
        self.write_memory(At { reg: base, off: off.into(), size }, &to, source, false)?;
        self.note_access(&to, false)
    }

    /// `store_release(...)`.
    pub(super) fn store_release(&mut self, size: Size, base: Reg, off: i16, src: Reg) -> Result<(), Reject> {
        self.read(src)?;
        let to = self.read(base)?;
        self.write_memory(At { reg: base, off: off.into(), size }, &to, Source::Reg(src), true)?;
        self.note_access(&to, false)?;
        self.check_atomic(base, &to)
    }

    /// Read-modify-write.
    pub(super) fn atomic(&mut self, op: AtomicOp, size: Size, base: Reg, off: i16, src: Reg) -> Result<(), Reject> {
        self.read(src)?;
        let to = self.read(base)?;
        if op == AtomicOp::Cmpxchg {
            self.read(Reg::R0)?;
        }
        self.check_atomic(base, &to)?;
        let fetches = matches!(op, AtomicOp::FetchAnd | AtomicOp::FetchOr | AtomicOp::FetchXor);
        if fetches && matches!(to, Value::Ptr(Ptr { kind: PtrKind::Arena, .. })) {
            // Linux's compiler makes a loop of these, in which it catches no faults.
            return Err(Reject::AtomicStore { reg: base.number(), ty: type_name(&to) });
        }
        let at = At { reg: base, off: off.into(), size };
        let result = op.fetches_into(src);
        if let Some(reg) = result {
            // The result is forgotten before memory is looked at: it may be the address, too.
            self.writable(reg)?;
            self.write(reg, Value::unknown());
        }
        let to = self.read(base)?;
        self.read_memory(at, &to, None, false, true)?;
        if let Some(reg) = result {
            let loaded = self.read_memory(at, &to, Some(reg), false, true)?;
            self.write(reg, loaded);
        }
        self.write_memory(at, &to, Source::Unknown, true)?;
        self.note_access(&to, false)
    }

    fn check_atomic(&self, base: Reg, to: &Value) -> Result<(), Reject> {
        if allows_atomics(to) { Ok(()) } else { Err(Reject::AtomicStore { reg: base.number(), ty: type_name(to) }) }
    }

    /// What is read. `dst` is where it goes; none for the first half of an atomic operation.
    fn read_memory(
        &mut self,
        at: At,
        from: &Value,
        dst: Option<Reg>,
        signed: bool,
        aligned: bool,
    ) -> Result<Value, Reject> {
        let ptr = self.address(at, from, aligned)?;
        let off = at.off + i64::from(ptr.off);
        let loaded = match ptr.kind {
            PtrKind::MapValue(map) if !ptr.nullable => {
                self.check_access(at, ptr, off, Access::Read)?;
                match super::kptr::field_at(self.map(map), ptr, off) {
                    Some(field) => self.load_kptr(field, aligned)?,
                    None => self.read_map_value(at, ptr, map, off, signed)?,
                }
            }
            PtrKind::Stack(frame) => self.read_stack(at, ptr, frame, off, dst)?,
            PtrKind::Ctx => self.read_ctx(at, ptr, off, signed)?,
            PtrKind::Btf(to) => self.read_struct(at, ptr, off, to)?,
            PtrKind::ConstMap(map) => self.read_map_struct(at, off, map)?,
            PtrKind::Packet { .. }
            | PtrKind::PacketMeta { .. }
            | PtrKind::MapKey(_)
            | PtrKind::MapValue(_)
            | PtrKind::Mem { .. }
            | PtrKind::FlowKeys
            | PtrKind::SockCommon
            | PtrKind::Sock
            | PtrKind::TcpSock
            | PtrKind::XdpSock
            | PtrKind::TpBuffer
            | PtrKind::PacketEnd
            | PtrKind::Func(_)
            | PtrKind::AnyMem
            | PtrKind::Arena
            | PtrKind::Buf { .. }
            | PtrKind::Dynptr(_) => {
                self.check_access(at, ptr, off, Access::Read)?;
                Value::unknown()
            }
        };
        Ok(narrowed(loaded, at.size, signed))
    }

    fn write_memory(&mut self, at: At, to: &Value, source: Source, aligned: bool) -> Result<(), Reject> {
        let ptr = self.address(at, to, aligned)?;
        let off = at.off + i64::from(ptr.off);
        match ptr.kind {
            PtrKind::Stack(frame) => self.write_stack(at, ptr, frame, off, source),
            PtrKind::Ctx => self.write_ctx(at, ptr, off),
            PtrKind::Btf(to) => self.write_struct(at, ptr, off, to),
            PtrKind::MapValue(map) if !ptr.nullable => {
                self.check_access(at, ptr, off, Access::Write)?;
                match super::kptr::field_at(self.map(map), ptr, off) {
                    Some(field) => self.store_kptr(at, field, source, aligned),
                    None => Ok(()),
                }
            }
            PtrKind::MapValue(_)
            | PtrKind::Packet { .. }
            | PtrKind::PacketMeta { .. }
            | PtrKind::MapKey(_)
            | PtrKind::Mem { .. }
            | PtrKind::FlowKeys
            | PtrKind::SockCommon
            | PtrKind::Sock
            | PtrKind::TcpSock
            | PtrKind::XdpSock
            | PtrKind::TpBuffer
            | PtrKind::ConstMap(_)
            | PtrKind::PacketEnd
            | PtrKind::Func(_)
            | PtrKind::AnyMem
            | PtrKind::Arena
            | PtrKind::Buf { .. }
            | PtrKind::Dynptr(_) => self.check_access(at, ptr, off, Access::Write),
        }
    }

    /// The pointer of an access. Alignment is judged first, even that of a number.
    fn address<'v>(&self, at: At, value: &'v Value, aligned: bool) -> Result<&'v Ptr, Reject> {
        match value {
            Value::Ptr(ptr) => {
                self.check_alignment(at, ptr, aligned)?;
                return Ok(ptr);
            }
            Value::Scalar(scalar) if aligned => {
                check_sum(at, &scalar.num, 0, "", None)?;
            }
            Value::Scalar(_) | Value::Uninit => {}
        }
        Err(Reject::InvalidMem { reg: at.reg.number(), ty: type_name(value) })
    }

    /// Only the stack and atomic operations need natural alignment, unless the program is to be judged strictly: x86-64 and
    /// arm64 do the rest in hardware.
    pub(super) fn check_alignment(&self, at: At, ptr: &Ptr, aligned: bool) -> Result<(), Reject> {
        let flags = self.program.flags;
        let everywhere = flags.has(LoadFlags::STRICT_ALIGNMENT) && !flags.has(LoadFlags::ANY_ALIGNMENT);
        let strict = aligned || everywhere || matches!(ptr.kind, PtrKind::Stack(_));
        if !strict {
            return Ok(());
        }
        let (what, ip_align) = match ptr.kind {
            PtrKind::Arena => return Ok(()),
            _ if ptr.nullable => ("", None),
            PtrKind::Packet { .. } | PtrKind::PacketMeta { .. } => ("packet ", Some(2)),
            PtrKind::FlowKeys => ("flow keys ", None),
            PtrKind::MapKey(_) => ("key ", None),
            PtrKind::MapValue(_) => ("value ", None),
            PtrKind::Ctx => ("context ", None),
            PtrKind::Stack(_) => ("stack ", None),
            PtrKind::SockCommon => ("sock_common ", None),
            PtrKind::Sock => ("sock ", None),
            PtrKind::TcpSock => ("tcp_sock ", None),
            PtrKind::XdpSock => ("xdp_sock ", None),
            PtrKind::ConstMap(_)
            | PtrKind::PacketEnd
            | PtrKind::Mem { .. }
            | PtrKind::TpBuffer
            | PtrKind::Func(_)
            | PtrKind::AnyMem
            | PtrKind::Buf { .. }
            | PtrKind::Dynptr(_)
            | PtrKind::Btf(_) => ("", None),
        };
        check_sum(at, &ptr.var, ptr.off, what, ip_align)
    }

    /// Records what memory the instruction reaches; some kinds may not be mixed, because their accesses are rewritten.
    fn note_access(&mut self, base: &Value, loads: bool) -> Result<(), Reject> {
        let Value::Ptr(ptr) = base else { return Ok(()) };
        let (region, now) = match ptr.kind {
            PtrKind::Ctx => (Region::Ctx, Deref::Ctx),
            PtrKind::Stack(_) => (Region::Stack, Deref::Plain),
            PtrKind::MapValue(_) => (Region::MapValue, Deref::Plain),
            PtrKind::MapKey(_) => (Region::MapKey, Deref::Plain),
            PtrKind::Packet { .. } | PtrKind::PacketMeta { .. } => (Region::Packet, Deref::Plain),
            PtrKind::SockCommon => (Region::Mem, Deref::SockCommon),
            PtrKind::Sock => (Region::Mem, Deref::Sock),
            PtrKind::TcpSock => (Region::Mem, Deref::TcpSock),
            PtrKind::XdpSock => (Region::Mem, Deref::XdpSock),
            PtrKind::Mem { origin: MemOrigin::Kernel, .. } => (Region::Kernel, Deref::Mem),
            PtrKind::Mem { origin: MemOrigin::Given | MemOrigin::Ringbuf, .. } => (Region::Mem, Deref::Mem),
            PtrKind::AnyMem => (Region::Kernel, Deref::Mem),
            PtrKind::Arena => (Region::Arena, Deref::Arena),
            PtrKind::Btf(to) => (Region::Kernel, Deref::Struct(to.trust.flags())),
            PtrKind::Buf { .. } => (Region::Kernel, Deref::Plain),
            PtrKind::ConstMap(_) => (Region::Map, Deref::Plain),
            PtrKind::FlowKeys | PtrKind::TpBuffer | PtrKind::PacketEnd | PtrKind::Func(_) | PtrKind::Dynptr(_) => {
                (Region::Mem, Deref::Plain)
            }
        };
        let facts = &mut self.facts.insns[self.at];
        facts.region = match facts.region {
            Region::None => region,
            before if before == region => region,
            // What may be no memory at all stays that, and so does what may fault.
            Region::Map => Region::Map,
            _ if region == Region::Map => Region::Map,
            Region::Kernel => Region::Kernel,
            _ if region == Region::Kernel => Region::Kernel,
            _ => Region::Mixed,
        };
        let Some(before) = self.deref[self.at] else {
            self.deref[self.at] = Some(now);
            return Ok(());
        };
        let typed = |kind: Deref| matches!(kind, Deref::Mem | Deref::Struct(_));
        if before == now || !(before.is_rewritten() || now.is_rewritten()) {
            return Ok(());
        }
        if !(loads && typed(before) && typed(now)) {
            return Err(Reject::SameInsn {});
        }
        self.deref[self.at] = Some(match (before, now) {
            (Deref::Struct(a), Deref::Struct(b)) if !a.with(b).has(Trust::UNTRUSTED) => Deref::Struct(Trust::PLAIN),
            (Deref::Struct(_), Deref::Struct(_)) => Deref::Struct(Trust::UNTRUSTED),
            _ => Deref::Mem,
        });
        Ok(())
    }

    fn read_map_value(&mut self, at: At, ptr: &Ptr, map: u32, off: i64, signed: bool) -> Result<Value, Reject> {
        let def = self.map(map);
        let is_known = def.frozen && !crate::cfg::maps::is_inner(self.program, map);
        let is_constant = is_known && def.flags.has(ring3_platform::MapFlags::RDONLY_PROG) && def.has_direct_value();
        if let (true, Some(var)) = (is_constant, ptr.var.const_value())
            && let Some(data) = &def.data
        {
            let start = off.wrapping_add(ring3_isa::num::s64(var));
            let value = (0..i64::from(at.bytes())).rev().try_fold(0u64, |value, byte| {
                let byte = usize::try_from(start + byte).ok().map(|i| data.get(i).copied().unwrap_or(0))?;
                Some(value << 8 | u64::from(byte))
            });
            if let Some(value) = value {
                let value =
                    if signed { Scalar::constant(value).sign_extend_load(at.size) } else { Scalar::constant(value) };
                return Ok(Value::number(value));
            }
        }
        Ok(Value::unknown())
    }
}

/// Natural alignment of all parts of an offset together. Packets start two bytes (`ip_align`) behind an aligned address.
fn check_sum(at: At, var: &Scalar, ip: i32, what: &'static str, ip_align: Option<i64>) -> Result<(), Reject> {
    let fixed = ip_align.unwrap_or(0) + i64::from(ip) + at.off;
    let sum = var.bits().add(crate::domain::Tnum::constant(ring3_isa::num::u64(fixed)));
    if (sum.value() | sum.mask()) & u64::from(at.bytes() - 1) == 0 {
        return Ok(());
    }
    let (tnum, off, size) = (var.bits().to_string(), at.off, at.bytes());
    match ip_align {
        Some(align) => Err(Reject::MisalignedPacket { align, tnum, ip, off, size }),
        None => Err(Reject::Misaligned { what, tnum, ip, off, size }),
    }
}

/// A narrow load fills the register by zero or sign extension.
fn narrowed(value: Value, size: Size, signed: bool) -> Value {
    match value {
        Value::Scalar(scalar) if size != Size::Dw => {
            let num = if signed { scalar.num.sign_extend_load(size) } else { scalar.num.truncate_to(size) };
            // What the sign changes is another number than what was spilled. Linux 6.18 keeps them linked.
            let same = !signed || scalar.num.umax() < 1 << (size.bytes() * 8 - 1);
            Value::Scalar(ScalarValue { num: sane(num), link: scalar.link.filter(|_| same) })
        }
        Value::Scalar(_) | Value::Ptr(_) | Value::Uninit => value,
    }
}

/// What may be null is refused for that, and a number for what it is.
fn allows_atomics(value: &Value) -> bool {
    let Value::Ptr(ptr @ Ptr { nullable: false, .. }) = value else { return true };
    match ptr.kind {
        PtrKind::Ctx
        | PtrKind::Packet { .. }
        | PtrKind::PacketMeta { .. }
        | PtrKind::FlowKeys
        | PtrKind::SockCommon
        | PtrKind::Sock
        | PtrKind::TcpSock
        | PtrKind::XdpSock => false,
        PtrKind::ConstMap(_)
        | PtrKind::MapValue(_)
        | PtrKind::MapKey(_)
        | PtrKind::Stack(_)
        | PtrKind::PacketEnd
        | PtrKind::Mem { .. }
        | PtrKind::TpBuffer
        | PtrKind::Func(_)
        | PtrKind::AnyMem
        | PtrKind::Arena
        | PtrKind::Buf { .. }
        | PtrKind::Dynptr(_)
        | PtrKind::Btf(_) => true,
    }
}

impl Walk<'_> {
    fn read_ctx(&mut self, at: At, ptr: &Ptr, off: i64, signed: bool) -> Result<Value, Reject> {
        if self.structure.attach.is_some() {
            self.check_plain_pointer(at.reg, ptr)?;
            return self.attached_argument(at, off);
        }
        let field = self.ctx_field(at, ptr, off, Access::Read)?;
        // A sign-extending load would take half of an address for a number.
        if signed && !matches!(field.yields, ring3_platform::Yields::Scalar) {
            return Err(Reject::CtxAccess { off, size: at.bytes() });
        }
        self.ctx_value(field.yields)
    }

    fn write_ctx(&mut self, at: At, ptr: &Ptr, off: i64) -> Result<(), Reject> {
        self.ctx_field(at, ptr, off, Access::Write).map(|_| ())
    }

    fn ctx_field(
        &mut self,
        at: At,
        ptr: &Ptr,
        off: i64,
        access: Access,
    ) -> Result<&'static ring3_platform::CtxField, Reject> {
        self.check_plain_pointer(at.reg, ptr)?;
        let kind = self.program.kind;
        let attach = kind.effective_attach(self.program.attach);
        if self.structure.attach.is_some() {
            return Err(Reject::CtxAccess { off, size: at.bytes() });
        }
        let Some(layout) = ring3_platform::ctx::layout(kind) else {
            return unsupported(format!("the context of {} programs", kind.name()));
        };
        match layout.field_index(kind, attach, off, at.bytes(), access == Access::Write) {
            Some(index) => Ok(&layout.fields[index]),
            None => Err(Reject::CtxAccess { off, size: at.bytes() }),
        }
    }

    fn ctx_value(&mut self, yields: ring3_platform::Yields) -> Result<Value, Reject> {
        use ring3_platform::Yields;
        Ok(match yields {
            Yields::Scalar => Value::unknown(),
            Yields::Packet => Value::ptr(PtrKind::Packet { range: 0 }),
            Yields::PacketEnd => Value::ptr(PtrKind::PacketEnd),
            Yields::PacketMeta => Value::ptr(PtrKind::PacketMeta { range: 0 }),
            Yields::FlowKeys => Value::ptr(PtrKind::FlowKeys),
            Yields::SockCommonOrNull => {
                Value::Ptr(Ptr { nullable: true, id: self.new_id(), ..Ptr::new(PtrKind::SockCommon) })
            }
            Yields::SockOrNull => Value::Ptr(Ptr { nullable: true, id: self.new_id(), ..Ptr::new(PtrKind::Sock) }),
            Yields::Sock => Value::ptr(PtrKind::Sock),
            Yields::TpBuffer => Value::ptr(PtrKind::TpBuffer),
            Yields::Btf(name) => {
                let to = BtfPtr::kernel(self.kernel_struct(name)?, Trust::TRUSTED);
                self.typed(to, false)
            }
        })
    }
}
