//! Types that the kernel has loaded.

use std::collections::BTreeSet;

use ring3_btf::{Btf, Endian, Linkage, Type, TypeId};

use crate::Error;
use crate::load::{Log, grown};
use crate::sys::{self, AsFd, BorrowedFd, Failure, OwnedFd};

/// Types in the kernel, loaded by BPF_BTF_LOAD.
#[derive(Debug)]
pub struct BtfObject {
    fd: OwnedFd,
}

impl AsFd for BtfObject {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl BtfObject {
    /// Loads types, in a form that the kernel takes: it knows no external functions and variables.
    ///
    /// Errors: what the kernel refuses, with its log.
    pub fn load(btf: &Btf) -> Result<BtfObject, Error> {
        let mut btf = btf.clone();
        for_kernel(&mut btf);
        BtfObject::load_bytes(&btf.to_bytes(native()))
    }

    /// Loads a `.BTF` section in native byte order.
    pub fn load_bytes(bytes: &[u8]) -> Result<BtfObject, Error> {
        match sys::btf_load(bytes, 0, &mut []).result {
            Ok(fd) => return Ok(BtfObject { fd }),
            Err(Failure::Errno(_)) => {}
            Err(failure) => return Err(failure.of(sys::Command::BtfLoad)),
        }
        let (result, log) = grown(|log| sys::btf_load(bytes, u32::from(!log.is_empty()), log));
        match result {
            Ok(fd) => Ok(BtfObject { fd }),
            Err(Failure::Errno(errno)) => Err(Error::Btf { errno, log }),
            Err(failure) => Err(failure.of(sys::Command::BtfLoad)),
        }
    }

    /// Takes a descriptor of types.
    pub fn from_fd(fd: OwnedFd) -> BtfObject {
        BtfObject { fd }
    }
}

/// The byte order of this machine.
pub(crate) const fn native() -> Endian {
    if cfg!(target_endian = "little") { Endian::Little } else { Endian::Big }
}

/// A log that says nothing.
pub(crate) const NO_LOG: Log = Log { text: String::new(), is_whole: true };

/// The name of parameters that have none.
const PARAMETER: &str = "arg";

/// What the kernel refuses although compilers write it: external symbols, and sections of them.
pub(crate) fn for_kernel(btf: &mut Btf) {
    let is_extern = |id: TypeId| {
        matches!(
            btf.get(id),
            Some(Type::Var { linkage: Linkage::Extern, .. } | Type::Func { linkage: Linkage::Extern, .. })
        )
    };
    // Sections of externals (`.ksyms`, `.kconfig`) have no size, and functions among their variables. Others without size are
    // not in the object.
    let outside = |vars: &[ring3_btf::SecVar]| vars.iter().any(|var| is_extern(var.ty));
    let sections: Vec<bool> = btf
        .types()
        .iter()
        .map(|ty| matches!(ty, Type::Datasec { size, vars, .. } if *size == 0 || outside(vars)))
        .collect();
    let externs: Vec<bool> = (0..btf.types().len()).map(|id| is_extern(TypeId(id as u32))).collect();
    // Parameters of functions must have names, which declarations often lack, and definitions sometimes.
    let is_nameless = |proto: &TypeId| match btf.get(*proto) {
        Some(Type::FuncProto { params, .. }) => params.iter().any(|param| param.name.0 == 0 && param.ty != TypeId(0)),
        _ => false,
    };
    let proto = |ty: &Type| if let Type::Func { proto, .. } = ty { Some(*proto) } else { None };
    let protos: BTreeSet<TypeId> = btf.types().iter().filter_map(proto).filter(is_nameless).collect();
    let number = btf.types().iter().position(|ty| matches!(ty, Type::Int(_))).map(|id| TypeId(id as u32));
    let name = if protos.is_empty() { None } else { btf.add_string(PARAMETER) };
    let mut is_changed = sections.iter().zip(&externs).map(|(section, external)| (*section, *external));
    btf.for_each_mut(|id, ty| match (ty, is_changed.next()) {
        (Type::FuncProto { params, .. }, _) if protos.contains(&id) => {
            let nameless = params.iter_mut().filter(|param| param.name.0 == 0 && param.ty != TypeId(0));
            nameless.for_each(|param| param.name = name.unwrap_or(param.name));
        }
        (Type::Datasec { size, vars, .. }, Some((true, _))) => (*size, *vars) = ((*size).max(1), Box::default()),
        // A symbol of the kernel may be of no type (`void`), a variable may not.
        (Type::Var { ty, linkage, .. }, Some((_, true))) => (*linkage, *ty) = (Linkage::Global, number.unwrap_or(*ty)),
        (Type::Func { linkage, .. }, Some((_, true))) => *linkage = Linkage::Static,
        _ => {}
    });
}
