//! Arguments of functions of the kernel.

use ring3_btf::{Kind, TypeId};
use ring3_isa::Reg;
use ring3_platform::kfuncs::KfuncFlags;
use ring3_platform::maps::FieldKind;
use ring3_platform::{ArgFlags, Errno, ProgType};

use super::args::{argument, uid_of};
use super::call::Args;
use super::kernel::is_trusted;
use super::kfunc::{Own, Said};
use crate::cfg::kfuncs::{Class, Len, Object, Param, Proto};
use crate::diag::reject::{Reject, unsupported};
use crate::state::{Ptr, PtrKind, Slice, Trust, Value, type_name};
use crate::walk::Walk;

impl Walk<'_> {
    /// Checks all arguments and notes what they say.
    pub(super) fn check_kfunc_args(&mut self, proto: &Proto, own: Own, said: &mut Said) -> Result<(), Reject> {
        let mut index = 0;
        while let Some(param) = proto.params.get(index) {
            index += match *param {
                Param::Ignored => 1,
                Param::Scalar | Param::Constant | Param::BufSize { .. } => {
                    self.check_kfunc_number(argument(index), *param, said)?;
                    1
                }
                Param::Odd(kind) => return Err(Reject::KfuncArgOdd { index, kind }),
                Param::Pointer { class, nullable } => {
                    self.check_kfunc_pointer((proto, own), index, (class, nullable), said)?
                }
            };
        }
        if proto.has(KfuncFlags::RELEASE) && !said.releases {
            return Err(Reject::KfuncNotReferenced { name: proto.row.name });
        }
        Ok(())
    }

    fn check_kfunc_number(&mut self, reg: Reg, param: Param, said: &mut Said) -> Result<(), Reject> {
        self.scratched.regs |= 1 << reg.number();
        let Value::Scalar(scalar) = *self.path.state.reg(reg) else {
            return Err(Reject::KfuncArgScalar { reg: reg.number() });
        };
        match param {
            Param::Constant if !scalar.num.is_const() => return Err(Reject::KfuncArgKnown { reg: reg.number() }),
            Param::BufSize { rdonly } => {
                let Some(size) = scalar.num.const_value() else {
                    return Err(Reject::KfuncArgConst { reg: reg.number() });
                };
                said.buffer = Some((size, rdonly));
            }
            Param::Constant => said.constant = scalar.num.const_value(),
            Param::Ignored | Param::Scalar | Param::Pointer { .. } | Param::Odd(_) => return Ok(()),
        }
        self.mark_precise(reg)
    }

    /// Checks a pointer and gives how many arguments that were: with its size they are two.
    fn check_kfunc_pointer(
        &mut self,
        (proto, own): (&Proto, Own),
        index: usize,
        (class, nullable): (Class, bool),
        said: &mut Said,
    ) -> Result<usize, Reject> {
        let reg = argument(index);
        self.scratched.regs |= 1 << reg.number();
        let value = *self.path.state.reg(reg);
        let is_null = value.is_zero();
        let careful = proto.wants_trusted() || proto.has(KfuncFlags::RCU);
        if careful && (is_null || value.as_ptr().is_some_and(|ptr| ptr.nullable)) && !nullable {
            return Err(Reject::KfuncArgNull { index });
        }
        let releases = proto.has(KfuncFlags::RELEASE);
        if let Some(ref_id) = value.as_ptr().map(|ptr| ptr.ref_id).filter(|id| *id != 0) {
            said.ref_id = ref_id;
            said.releases |= releases;
        }
        let offset = |walk: &Walk<'_>| match value {
            Value::Ptr(ptr) => walk.check_pointer_offset(reg, &ptr, releases && ptr.ref_id != 0),
            Value::Uninit | Value::Scalar(_) => Ok(()),
        };
        match class {
            Class::Ctx => {
                offset(self)?;
                match value {
                    Value::Ptr(Ptr { kind: PtrKind::Ctx, .. }) => {}
                    _ => return Err(Reject::KfuncArgCtx { index, ty: type_name(&value) }),
                }
            }
            Class::Object(Object { len: None, .. }) if nullable && is_null => return Ok(1),
            Class::Object(object) => return self.check_kfunc_object(proto, index, object, said),
            _ if nullable && is_null => return Ok(1),
            Class::Iter(kind) => {
                offset(self)?;
                self.check_iter(proto, (index, reg), kind, said)?;
            }
            Class::IrqFlag => {
                offset(self)?;
                self.check_irq_flag(own, index, reg)?;
            }
            Class::Map => match value {
                Value::Ptr(Ptr { kind: PtrKind::ConstMap(map), .. }) => {
                    self.check_same_map(map, uid_of(&value), said)?;
                    offset(self)?;
                }
                Value::Scalar(_)
                | Value::Uninit
                | Value::Ptr(Ptr { kind: PtrKind::Ctx | PtrKind::Stack(_) | PtrKind::Arena, .. }) => {
                    return Err(Reject::KfuncArgMap { reg: reg.number() });
                }
                // A map that the kernel gave, as a structure.
                Value::Ptr(Ptr { kind: PtrKind::Btf(_), .. }) => {
                    let id = self.kernel_struct("bpf_map")?;
                    let object =
                        Object { id, kind: Kind::Struct, size: None, plain: false, len: None, optional: false };
                    self.check_kfunc_struct(proto, index, reg, object)?;
                }
                Value::Ptr(_) => return unsupported(format!("a {} given as a map", type_name(&value))),
            },
            Class::Str => {
                offset(self)?;
                match value {
                    Value::Ptr(Ptr { kind: PtrKind::MapValue(_), nullable: false, .. }) => {
                        self.check_string(reg, &value)?;
                    }
                    _ => return Err(Reject::KfuncArgStr { index }),
                }
            }
            Class::Dynptr { uninit } => {
                if !value.as_ptr().is_some_and(|ptr| matches!(ptr.kind, PtrKind::Stack(_))) {
                    offset(self)?;
                }
                self.check_kfunc_dynptr(own, index, uninit, said)?;
            }
            Class::Lock => {
                offset(self)?;
                let is_place = matches!(value, Value::Ptr(Ptr { kind: PtrKind::MapValue(_), nullable: false, .. }))
                    || matches!(value, Value::Ptr(Ptr { kind: PtrKind::Btf(to), nullable: false, .. }) if to.trust.flags() == Trust::ALLOC);
                match own {
                    _ if !is_place => return Err(Reject::KfuncArgLock { index }),
                    Own::TakeLock(kind) => self.take_lock(reg, kind)?,
                    Own::GiveLock(kind) => self.give_lock(reg, kind)?,
                    _ => return unsupported(format!("a lock given to kernel function {}", proto.row.name)),
                }
            }
            Class::Field(kind) => {
                offset(self)?;
                if !matches!(value, Value::Ptr(Ptr { kind: PtrKind::MapValue(_), nullable: false, .. })) {
                    return Err(Reject::KfuncArgMapValue { index });
                }
                said.map = Some((self.check_map_field(reg, kind)?, uid_of(&value), kind));
            }
            Class::Owned => {
                if careful && !value.as_ptr().is_some_and(is_trusted) {
                    return Err(Reject::KfuncArgTrusted { reg: reg.number() });
                }
                offset(self)?;
                self.check_owned(proto, index, &value)?;
            }
            Class::Counted => {
                offset(self)?;
                said.shared = Some(self.check_counted(index, &value)?);
            }
            Class::Root(kind) => {
                offset(self)?;
                said.root = Some(self.check_root((index, reg), &value, kind)?);
            }
            Class::Node(kind) => {
                offset(self)?;
                self.check_node(proto, (index, reg), &value, kind, said)?;
            }
        }
        Ok(1)
    }

    /// A field belongs to the map that it is in.
    fn check_same_map(&self, map: u32, uid: Slice, said: &Said) -> Result<(), Reject> {
        let Some((own, own_uid, kind)) = said.map else { return Ok(()) };
        if (own, own_uid) == (map, uid) {
            return Ok(());
        }
        let (field, map) = (own_uid.id(), uid.id());
        Err(if kind == FieldKind::TaskWork {
            Reject::TaskWorkMap { field, map }
        } else {
            Reject::WorkMap { field, map }
        })
    }

    /// A pointer to a plain C type: a structure of the kernel if that is in the register, memory otherwise.
    fn check_kfunc_object(
        &mut self,
        proto: &Proto,
        index: usize,
        object: Object,
        said: &mut Said,
    ) -> Result<usize, Reject> {
        let reg = argument(index);
        let value = *self.path.state.reg(reg);
        if value.as_ptr().is_some_and(|ptr| is_typed(ptr.kind)) {
            return self.check_kfunc_struct(proto, index, reg, object).map(|()| 1);
        }
        if object.kind == Kind::FuncProto {
            let Value::Ptr(Ptr { kind: PtrKind::Func(function), .. }) = value else {
                return Err(Reject::KfuncArgFunc { index });
            };
            said.callback = Some(function);
            return Ok(1);
        }
        let any = object.len.is_some() && object.kind == Kind::Void;
        if !object.plain && !any {
            let name = self.target.btf.as_ref().map_or("", |btf| btf.name(TypeId(object.id))).to_owned();
            let void = if object.len.is_some() { "void, " } else { "" };
            return Err(Reject::KfuncArgPlain { index, kind: object.kind.name(), name, void });
        }
        if let Value::Ptr(ptr) = &value {
            self.check_pointer_offset(reg, ptr, proto.has(KfuncFlags::RELEASE) && ptr.ref_id != 0)?;
            if ptr.kind == PtrKind::Ctx && self.program.kind == ProgType::Syscall {
                return unsupported("the context of a syscall program given as memory");
            }
        }
        match object.len {
            None => {
                let Some(size) = object.size else { return unsupported("memory of unknown size") };
                if !value.is_zero() {
                    self.as_not_null(reg, |walk| walk.check_both_ways(reg, size.into()))?;
                }
                Ok(1)
            }
            Some(len) => {
                self.check_kfunc_pair(index, len, value.is_zero() && object.optional, said)?;
                Ok(2)
            }
        }
    }

    /// Memory and its size.
    fn check_kfunc_pair(&mut self, index: usize, len: Len, absent: bool, said: &mut Said) -> Result<(), Reject> {
        let (memory, size) = (argument(index), argument(index + 1));
        self.scratched.regs |= 1 << size.number();
        let mut args = Args::default();
        let checked = self.as_not_null(memory, |walk| {
            if absent {
                return Ok(());
            }
            walk.check_size(size, true, ArgFlags::NONE, &mut args)?;
            walk.check_size(size, true, ArgFlags::WRITE, &mut args)
        });
        if let Err(reject) = checked {
            let (first, second, why) = (index, index + 1, reject.text());
            return Err(match reject.errno() {
                Errno::EACCES => Reject::KfuncArgPair { first, second, why },
                Errno::EINVAL => Reject::KfuncArgPairInvalid { first, second, why },
                _ => reject,
            });
        }
        if len.constant {
            // Linux does not take the size that something depends on now for precise.
            self.log.mute(true);
            let known = self.check_kfunc_number(size, Param::Constant, said);
            self.log.mute(false);
            known?;
        }
        Ok(())
    }

    /// Memory that a function both reads and writes.
    fn check_both_ways(&mut self, reg: Reg, size: u64) -> Result<(), Reject> {
        let mut args = Args::default();
        self.check_memory(reg, size, false, ArgFlags::NONE, &mut args)?;
        self.check_memory(reg, size, false, ArgFlags::WRITE, &mut args)
    }

    /// What holds of the pointer in a register if it is not null: functions look themselves.
    fn as_not_null(&mut self, reg: Reg, check: impl FnOnce(&mut Self) -> Result<(), Reject>) -> Result<(), Reject> {
        let value = *self.path.state.reg(reg);
        let Value::Ptr(ptr) = value else { return check(self) };
        if !ptr.nullable {
            return check(self);
        }
        self.path.state.set(reg, Value::Ptr(Ptr { nullable: false, ..ptr }));
        let checked = check(self);
        self.path.state.set(reg, value);
        checked
    }
}

/// Pointers that the kernel has a type for.
fn is_typed(kind: PtrKind) -> bool {
    match kind {
        PtrKind::Btf(_)
        | PtrKind::Sock
        | PtrKind::SockCommon
        | PtrKind::TcpSock
        | PtrKind::XdpSock
        | PtrKind::ConstMap(_) => true,
        PtrKind::Ctx
        | PtrKind::MapValue(_)
        | PtrKind::MapKey(_)
        | PtrKind::Stack(_)
        | PtrKind::Packet { .. }
        | PtrKind::PacketMeta { .. }
        | PtrKind::PacketEnd
        | PtrKind::Mem { .. }
        | PtrKind::FlowKeys
        | PtrKind::TpBuffer
        | PtrKind::AnyMem
        | PtrKind::Arena
        | PtrKind::Buf { .. }
        | PtrKind::Func(_)
        | PtrKind::Dynptr(_) => false,
    }
}
