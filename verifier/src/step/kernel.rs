//! Pointers to structures of the kernel, by the kernel's own BTF: as far as they are refused. What Linux would let a program
//! read of them is refused by name until it can also be run.

use std::sync::Arc;

use ring3_btf::{Btf, Kind, Type, TypeId};

use super::memory::At;
use crate::diag::reject::{Reject, unsupported};
use crate::state::{BtfPtr, Ptr, PtrKind, Trust, Value};
use crate::walk::Walk;

/// The start of the names of the types that describe tracepoints.
const TRACEPOINT: &str = "btf_trace_";

impl Walk<'_> {
    fn kernel_types(&self) -> Result<Arc<Btf>, Reject> {
        match &self.target.btf {
            Some(btf) => Ok(Arc::clone(btf)),
            None => unsupported("a tracing program without the kernel's types (BTF)"),
        }
    }

    /// The tracepoint of a `tp_btf` program is there.
    pub fn check_tracepoint(&self) -> Result<(), Reject> {
        if self.program.kind != ring3_platform::ProgType::Tracing {
            return Ok(());
        }
        let btf = self.kernel_types()?;
        let name = self.traced_type();
        tracepoint(&btf, &name).map(|_| ()).ok_or(Reject::NoTarget { name })
    }

    fn traced_type(&self) -> String {
        let func = self.program.section.split_once('/').map_or("", |(_, name)| name);
        format!("{TRACEPOINT}{func}")
    }

    /// A load from the context of a `tp_btf` program: its argument `off / 8`.
    pub(super) fn traced_argument(&self, at: At, off: i64) -> Result<Value, Reject> {
        let btf = self.kernel_types()?;
        let name = self.traced_type();
        let func = name.trim_start_matches(TRACEPOINT).to_owned();
        let proto = tracepoint(&btf, &name).ok_or(Reject::NoTarget { name })?;
        if off % 8 != 0 {
            return Err(Reject::ArgMisaligned { func, off });
        }
        // The first parameter of the type is the program's own data.
        let Some(param) = usize::try_from(off / 8).ok().and_then(|index| proto.get(index.checked_add(1)?)) else {
            return Err(Reject::ArgMissing { func, arg: off / 8 + 1 });
        };
        match btf.resolved(*param) {
            Ok(Type::Ptr { to }) if at.bytes() == 8 => match btf.resolve(*to) {
                Ok(id) if btf.get(id).is_some_and(|ty| ty.kind() == Kind::Struct) => {
                    Ok(Value::ptr(PtrKind::Btf(BtfPtr::kernel(id.0, Trust::TRUSTED))))
                }
                Ok(_) | Err(_) => unsupported("an argument that points to something that is not a structure"),
            },
            Ok(ty) if matches!(ty.kind(), Kind::Int | Kind::Enum | Kind::Enum64) => Ok(Value::unknown()),
            Ok(_) | Err(_) => unsupported(format!("argument {} of {func}", off / 8)),
        }
    }

    /// An access to a structure of the kernel.
    pub(super) fn check_kernel_struct(&self, at: At, ptr: &Ptr, off: i64, to: BtfPtr) -> Result<(), Reject> {
        let id = to.id;
        let btf = self.kernel_types()?;
        let name = btf.name(TypeId(id)).to_owned();
        if off < 0 {
            return Err(Reject::StructNegative { reg: at.reg.number(), name, off });
        }
        if !ptr.var.is_zero() {
            return unsupported("a variable offset into a structure of the kernel");
        }
        let size = btf.size_of(TypeId(id)).map_or(0, i64::from);
        if off + i64::from(at.bytes()) > size && !ends_open(&btf, id) {
            return Err(Reject::BeyondStruct { name, off, size: at.bytes() });
        }
        unsupported(format!("an access to struct {name} of the kernel"))
    }
}

/// The parameters of a tracepoint, by the typedef that describes it.
fn tracepoint(btf: &Btf, name: &str) -> Option<Vec<TypeId>> {
    let typedef = btf.find(name, Kind::Typedef)?;
    let Ok(Type::Ptr { to }) = btf.resolved(typedef) else { return None };
    match btf.resolved(*to) {
        Ok(Type::FuncProto { params, .. }) => Some(params.iter().map(|param| param.ty).collect()),
        Ok(_) | Err(_) => None,
    }
}

/// Whether a structure ends with an array of any length.
fn ends_open(btf: &Btf, id: u32) -> bool {
    match btf.get(TypeId(id)) {
        Some(Type::Struct(composite)) => composite
            .members
            .last()
            .is_some_and(|member| matches!(btf.resolved(member.ty), Ok(Type::Array { len: 0, .. }))),
        Some(_) | None => false,
    }
}
