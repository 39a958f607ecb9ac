//! Structs of functions (`.struct_ops` sections): which program stands for which member.

use std::collections::BTreeMap;

use ring3_btf::{Btf, Type};
use ring3_platform::OpsMember;

use crate::elf::Elf;

/// Sections with such structs; the second kind is attached by a link.
const SECTIONS: [&str; 2] = [".struct_ops", ".struct_ops.link"];

/// Every member that is set to a function of the object, by the function's section and offset. Of a function that is
/// several members, the first.
pub(crate) fn members(elf: &Elf<'_>, btf: &Btf) -> BTreeMap<(usize, u64), OpsMember> {
    let mut found = BTreeMap::new();
    for (index, section) in elf.sections.iter().enumerate() {
        let name = section.name.strip_prefix('?').unwrap_or(&section.name);
        if !SECTIONS.contains(&name) {
            continue;
        }
        let Some((_, _, vars)) = btf.datasec(&section.name) else { continue };
        for reloc in elf.relocs.get(index).into_iter().flatten() {
            let Some(symbol) = elf.symbols.get(reloc.symbol) else { continue };
            let Some(code) = symbol.section.filter(|code| elf.sections.get(*code).is_some_and(|s| s.is_code())) else {
                continue;
            };
            // The compiler may name the section instead of the function: then its offset stands in the data.
            let addend = if symbol.is_section { word(section.data, reloc.offset) } else { 0 };
            let var = vars.iter().find(|var| {
                let start = u64::from(var.offset);
                (start..start + u64::from(var.size)).contains(&reloc.offset)
            });
            let member = var.and_then(|var| member(btf, var, reloc.offset));
            if let Some(member) = member {
                found.entry((code, symbol.value + addend)).or_insert(member);
            }
        }
    }
    found
}

fn word(data: &[u8], offset: u64) -> u64 {
    let bytes = usize::try_from(offset).ok().and_then(|at| data.get(at..)?.first_chunk());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn member(btf: &Btf, var: &ring3_btf::SecVar, offset: u64) -> Option<OpsMember> {
    let Type::Var { ty, .. } = btf.get(var.ty)? else { return None };
    let Ok(Type::Struct(ops)) = btf.resolved(*ty) else { return None };
    let inside = offset - u64::from(var.offset);
    let member = ops.members.iter().find(|member| u64::from(member.bit_offset) == inside * 8)?;
    // What follows `___` is a flavour that programs may give a type.
    let name = btf.string(ops.name);
    let name = name.find("___").map_or(name, |at| &name[..at]);
    Some(OpsMember { ops: name.to_owned(), member: btf.string(member.name).to_owned() })
}
