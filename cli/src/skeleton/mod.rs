//! `ring3 gen skeleton`: source code with typed programs, maps and global variables of an object.

mod c;
mod names;
mod rust;
mod types;

use std::io::Write;

use ring3::Object;
use ring3::btf::{Btf, Linkage, Type, TypeId};

use crate::Outcome;
use crate::args::{GenArgs, Generated, Language};
use crate::error::CliError;
use crate::output::Out;

/// Largest object that is written into a C header.
const MAX_EMBEDDED: usize = 16 << 20;

/// Writes a skeleton.
pub fn generate(args: &GenArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let Generated::Skeleton { object: path, lang, name } = &args.what;
    let bytes = crate::input::bytes(path)?;
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let parsed = Object::parse(&file, &bytes).map_err(ring3::Error::from);
    let object = parsed.map_err(|error| CliError::Input(crate::input::told(&error)))?;
    let stem = name.clone().unwrap_or_else(|| file.split('.').next().unwrap_or_default().to_owned());
    let text = match lang {
        Language::Rust => rust::skeleton(&object, &names::identifier(&stem), &file),
        Language::C if bytes.len() > MAX_EMBEDDED => {
            return Err(CliError::file(path, "it is too large to be written into a header"));
        }
        Language::C => c::skeleton(&object, &names::identifier(&stem), &bytes),
    };
    write!(out, "{text}")?;
    Ok(Outcome::Good)
}

/// A global variable that has a name of its own.
struct Variable<'o> {
    name: &'o str,
    /// Type of its value.
    ty: TypeId,
    offset: u32,
    size: u32,
}

/// Maps of global data with their sections' names and variables; static variables have no names that others may use.
fn data_sections(object: &Object) -> Vec<(usize, &str, Vec<Variable<'_>>)> {
    let Some(btf) = object.btf() else { return Vec::new() };
    let mut found = Vec::new();
    for (at, map) in object.maps().iter().enumerate().filter(|(_, map)| map.data.is_some()) {
        let Some(Type::Datasec { name, vars, .. }) = btf.get(TypeId(map.value_type)) else { continue };
        let variable = |var: &ring3::btf::SecVar| match btf.get(var.ty) {
            Some(Type::Var { name, ty, linkage: Linkage::Global }) => {
                Some(Variable { name: btf.string(*name), ty: *ty, offset: var.offset, size: var.size })
            }
            _ => None,
        };
        found.push((at, btf.string(*name), vars.iter().filter_map(variable).collect()));
    }
    found
}

/// True for a type whose values programs only read.
fn is_const(btf: &Btf, id: TypeId) -> bool {
    let mut at = id;
    for _ in 0..ring3::btf::MAX_CHAIN {
        match btf.get(at) {
            Some(Type::Const { .. }) => return true,
            Some(
                Type::Volatile { to } | Type::Restrict { to } | Type::Typedef { to, .. } | Type::TypeTag { to, .. },
            ) => {
                at = *to;
            }
            _ => return false,
        }
    }
    false
}
