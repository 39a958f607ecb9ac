//! Structs of functions (`.struct_ops` sections): which program stands for which member, and what else a variable says.

use std::collections::BTreeMap;

use ring3_btf::{Btf, Composite, Kind, Member, Type, TypeId};
use ring3_platform::OpsMember;

use crate::elf::Elf;

/// Sections with such structs; the second kind is attached by a link.
const SECTIONS: [(&str, bool); 2] = [(".struct_ops", false), (".struct_ops.link", true)];

/// A variable of such a section: what the kernel knows as a map of the type `struct_ops`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StructOps {
    /// Its name.
    pub name: String,
    /// The kernel's name of the struct (`tcp_congestion_ops`).
    pub ops: String,
    /// It is attached by a link (`.struct_ops.link`).
    pub linked: bool,
    /// Its section's name starts with `?`: not made unless it is asked for.
    pub optional: bool,
    /// Members that are functions, with the names of the programs.
    pub programs: Vec<(String, String)>,
    /// Its initial value, as the object lays it out.
    pub value: Box<[u8]>,
    /// The struct among the object's types.
    pub ty: TypeId,
}

impl StructOps {
    /// The value as the kernel has it: members by name, each where the kernel's struct has it, functions as zeroes.
    ///
    /// Errors: what libbpf says of a struct or member that the kernel has not, or that is something else there.
    pub fn for_kernel(&self, own: &Btf, kernel: &Btf) -> Result<Vec<u8>, String> {
        let ops = &self.ops;
        let missing = || format!("struct {ops} is not found in kernel BTF");
        let id = kernel.find(ops, Kind::Struct).ok_or_else(missing)?;
        let (Some(Type::Struct(theirs)), Ok(Type::Struct(ours))) = (kernel.get(id), own.resolved(self.ty)) else {
            return Err(missing());
        };
        let mut value = vec![0; theirs.size as usize];
        for member in &ours.members {
            self.place((own, member), (kernel, theirs), &mut value)?;
        }
        Ok(value)
    }

    fn place(
        &self,
        (own, member): (&Btf, &Member),
        (kernel, theirs): (&Btf, &Composite),
        value: &mut [u8],
    ) -> Result<(), String> {
        let name = own.string(member.name);
        let bytes = self.bytes(own, member);
        let is_set = bytes.iter().any(|byte| *byte != 0) || self.programs.iter().any(|(set, _)| set == name);
        let Some(found) = theirs.members.iter().find(|found| kernel.string(found.name) == name) else {
            // What an older or newer kernel does not have may be there, as long as nobody says anything by it.
            return if is_set { Err(format!("Cannot find member {name} in kernel BTF")) } else { Ok(()) };
        };
        if member.bitfield_size != 0 || found.bitfield_size != 0 {
            return Err(format!("bitfield {name} is not supported"));
        }
        let kinds = (kind(own, member.ty), kind(kernel, found.ty));
        if kinds.0 != kinds.1 {
            return Err(format!("Unmatched member type {name} {} != {}(kernel)", kinds.0 as u8, kinds.1 as u8));
        }
        if kinds.0 == Kind::Ptr {
            let to =
                kernel.resolved(found.ty).ok().and_then(|ty| if let Type::Ptr { to } = ty { Some(*to) } else { None });
            let is_function = to.is_some_and(|to| kind(kernel, to) == Kind::FuncProto);
            let is_set = self.programs.iter().any(|(set, _)| set == name);
            if is_set && !is_function {
                return Err(format!("kernel member {name} is not a func ptr"));
            }
            return Ok(());
        }
        let sizes = (bytes.len(), kernel.size_of(found.ty).map_or(0, |size| size as usize));
        if sizes.0 != sizes.1 {
            return Err(format!("Error in size of member {name}: {} != {}(kernel)", sizes.0, sizes.1));
        }
        let at = (found.bit_offset / 8) as usize;
        if let Some(to) = value.get_mut(at..at + bytes.len()) {
            to.copy_from_slice(bytes);
        }
        Ok(())
    }

    /// The initial bytes of a member.
    fn bytes(&self, own: &Btf, member: &Member) -> &[u8] {
        let at = (member.bit_offset / 8) as usize;
        let size = own.size_of(member.ty).map_or(0, |size| size as usize);
        self.value.get(at..at.saturating_add(size)).unwrap_or_default()
    }
}

fn kind(btf: &Btf, id: TypeId) -> Kind {
    btf.resolved(id).map_or(Kind::Void, Type::kind)
}

/// A variable, with the section and offset of each function in it.
pub(crate) struct Found {
    pub ops: StructOps,
    functions: Vec<(String, (usize, u64))>,
}

/// All variables of such sections. `name_of` gives the function that is at a place.
pub(crate) fn find(elf: &Elf<'_>, btf: &Btf, name_of: impl Fn(usize, u64) -> Option<String>) -> Vec<Found> {
    let mut found = Vec::new();
    for (index, section) in elf.sections.iter().enumerate() {
        let (name, optional) = section.name.strip_prefix('?').map_or((&*section.name, false), |name| (name, true));
        let Some((_, linked)) = SECTIONS.iter().find(|(known, _)| *known == name) else { continue };
        let Some((_, _, vars)) = btf.datasec(&section.name) else { continue };
        let mut left = section.data.len();
        for var in vars {
            let Some(Type::Var { ty, .. }) = btf.get(var.ty) else { continue };
            let Ok(Type::Struct(ops)) = btf.resolved(*ty) else { continue };
            let (start, size) = (var.offset as usize, var.size as usize);
            let bytes = section.data.get(start..start.saturating_add(size)).unwrap_or_default();
            // More than the section has: they lie upon each other, and a small file would take much memory.
            let Some(rest) = left.checked_sub(bytes.len()) else { break };
            left = rest;
            // What follows `___` is a flavour that programs may give a type.
            let kernel_name = btf.string(ops.name);
            let kernel_name = kernel_name.find("___").map_or(kernel_name, |at| &kernel_name[..at]);
            let functions = functions(elf, btf, (index, var), ops);
            let named = functions.iter().filter_map(|(member, at)| Some((member.clone(), name_of(at.0, at.1)?)));
            let ops = StructOps {
                name: btf.name(var.ty).to_owned(),
                ops: kernel_name.to_owned(),
                linked: *linked,
                optional,
                programs: named.collect(),
                value: bytes.into(),
                ty: *ty,
            };
            found.push(Found { ops, functions });
        }
    }
    found
}

/// Members that are set to functions of the object.
fn functions(
    elf: &Elf<'_>,
    btf: &Btf,
    (index, var): (usize, &ring3_btf::SecVar),
    ops: &Composite,
) -> Vec<(String, (usize, u64))> {
    let start = u64::from(var.offset);
    let inside = start..start + u64::from(var.size);
    let relocs = elf.relocs.get(index).into_iter().flatten().filter(|reloc| inside.contains(&reloc.offset));
    let function = |reloc: &crate::elf::Reloc| {
        let symbol = elf.symbols.get(reloc.symbol)?;
        let code = symbol.section.filter(|code| elf.sections.get(*code).is_some_and(|s| s.is_code()))?;
        // The compiler may name the section instead of the function: then its offset stands in the data.
        let addend = if symbol.is_section { word(elf.sections[index].data, reloc.offset) } else { 0 };
        let bits = (reloc.offset - start) * 8;
        let member = ops.members.iter().find(|member| u64::from(member.bit_offset) == bits)?;
        Some((btf.string(member.name).to_owned(), (code, symbol.value.wrapping_add(addend))))
    };
    relocs.filter_map(function).collect()
}

/// Every member that is a function of the object, by the function's section and offset. Of a function that is several members, the
/// first.
pub(crate) fn members(found: &[Found]) -> BTreeMap<(usize, u64), OpsMember> {
    let mut members = BTreeMap::new();
    for Found { ops, functions } in found {
        for (member, at) in functions {
            members.entry(*at).or_insert_with(|| OpsMember { ops: ops.ops.clone(), member: member.clone() });
        }
    }
    members
}

fn word(data: &[u8], offset: u64) -> u64 {
    let bytes = usize::try_from(offset).ok().and_then(|at| data.get(at..)?.first_chunk());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
