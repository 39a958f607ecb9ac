//! Functions and variables of the kernel that instructions name by their number among its types.

use ring3_btf::{Btf, Type, TypeId};
use ring3_platform::Target;

use crate::diag::reject::{Reject, unsupported};
use crate::state::{BtfPtr, MemOrigin, PtrKind, Trust};

/// The section of variables that each CPU has for itself.
const PER_CPU: &str = ".data..percpu";

/// Whether a program may name it: `id` is a function, or a variable whose address the kernel knows.
pub fn check(target: &Target, id: i32) -> Result<(), Reject> {
    let btf = types(target)?;
    match u32::try_from(id).ok().and_then(|number| btf.get(TypeId(number))) {
        None => Err(Reject::NoSuchType { id }),
        // Where a function is, every kernel knows that has types.
        Some(Type::Func { .. }) => Ok(()),
        Some(Type::Var { name, .. }) if !target.knows_variables => {
            Err(Reject::NoAddress { name: btf.string(*name).to_owned() })
        }
        Some(Type::Var { .. }) => pointer(target, id).map(drop),
        Some(_) => Err(Reject::NotVariable { id }),
    }
}

/// What the address of one that was checked leads to.
pub fn pointer(target: &Target, id: i32) -> Result<PtrKind, Reject> {
    let btf = types(target)?;
    let var = TypeId(u32::try_from(id).map_err(|_| Reject::NoSuchType { id })?);
    match btf.get(var) {
        // An address that nothing can be read from.
        Some(Type::Func { .. }) => Ok(PtrKind::Mem { size: 0, rdonly: true, origin: MemOrigin::Kernel }),
        Some(Type::Var { ty, .. })
            if btf.datasec(PER_CPU).is_some_and(|(_, _, vars)| vars.iter().any(|v| v.ty == var)) =>
        {
            Ok(PtrKind::Btf(BtfPtr::kernel(ty.0, Trust::PERCPU)))
        }
        Some(Type::Var { ty, .. }) if is_struct(btf, *ty) => Ok(PtrKind::Btf(BtfPtr::kernel(ty.0, Trust::PLAIN))),
        Some(Type::Var { ty, .. }) => memory(btf, *ty, "ldimm64 "),
        Some(_) | None => Err(Reject::NotVariable { id }),
    }
}

/// A variable of the kernel that each CPU has for itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CpuVariable {
    /// Its name.
    pub name: String,
    /// Bytes for one CPU.
    pub size: u32,
}

/// The variable with this number among the kernel's types, if each CPU has one.
pub fn cpu_variable(btf: &Btf, id: i32) -> Option<CpuVariable> {
    let var = TypeId(u32::try_from(id).ok()?);
    let Some(Type::Var { name, ty, .. }) = btf.get(var) else { return None };
    let (_, _, vars) = btf.datasec(PER_CPU)?;
    let is_there = vars.iter().any(|known| known.ty == var);
    is_there.then_some(CpuVariable { name: btf.string(*name).to_owned(), size: btf.size_of(*ty).ok()? })
}

/// What is at an address within this CPU's part, or another's, of variable or member `to`: a structure, or bytes to be read.
pub fn of_one_cpu(btf: &Btf, to: BtfPtr) -> Result<PtrKind, Reject> {
    match is_struct(btf, TypeId(to.id)) {
        true => Ok(PtrKind::Btf(BtfPtr { trust: Trust::PLAIN, ..to })),
        false => memory(btf, TypeId(to.id), ""),
    }
}

/// Whether a type is a structure or union, under its other names.
fn is_struct(btf: &Btf, ty: TypeId) -> bool {
    matches!(btf.resolved(ty), Ok(Type::Struct(_) | Type::Union(_)))
}

/// Memory of a type's size that can only be read. `by` stands in front of the message for a type without one.
fn memory(btf: &Btf, ty: TypeId, by: &'static str) -> Result<PtrKind, Reject> {
    let no_size =
        || Reject::NoTypeSize { by, name: btf.resolve(ty).map(|id| btf.name(id)).unwrap_or_default().to_owned() };
    let size = btf.size_of(ty).map_err(|_| no_size())?;
    Ok(PtrKind::Mem { size, rdonly: true, origin: MemOrigin::Kernel })
}

fn types(target: &Target) -> Result<&Btf, Reject> {
    match &target.btf {
        Some(btf) => Ok(btf),
        None => unsupported("a symbol of the kernel without the kernel's types (BTF)"),
    }
}
