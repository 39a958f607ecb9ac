//! The text of `bpftool btf dump ... format raw`.

use alloc::string::String;
use core::fmt::Write;

use crate::Btf;
use crate::types::*;

impl Btf {
    /// All types, a line for each and an indented one for each member, as `bpftool btf dump file X format raw` prints them.
    /// Of split BTF only its own, as with bpftool's `-B`.
    pub fn dump_raw(&self) -> String {
        let mut out = String::new();
        for (id, ty) in self.types().iter().enumerate().skip(self.own_start().index()) {
            // Writing into a String cannot fail.
            let _ = self.dump_type(&mut out, id, ty);
        }
        out
    }

    fn shown(&self, name: StrOff) -> &str {
        match self.string(name) {
            "" => "(anon)",
            text => text,
        }
    }

    fn dump_type(&self, out: &mut String, id: usize, ty: &Type) -> core::fmt::Result {
        write!(out, "[{id}] {} '{}'", ty.kind().name(), self.shown(ty.name()))?;
        match ty {
            Type::Void => {}
            Type::Int(int) => {
                let encoding = int.encoding.name();
                let Int { size, bit_offset, bits, .. } = int;
                write!(out, " size={size} bits_offset={bit_offset} nr_bits={bits} encoding={encoding}")?;
            }
            Type::Ptr { to }
            | Type::Typedef { to, .. }
            | Type::Volatile { to }
            | Type::Const { to }
            | Type::Restrict { to }
            | Type::TypeTag { to, .. } => write!(out, " type_id={}", to.0)?,
            Type::Array { elem, index, len } => {
                write!(out, " type_id={} index_type_id={} nr_elems={len}", elem.0, index.0)?;
            }
            Type::Struct(c) | Type::Union(c) => self.dump_members(out, c)?,
            Type::Enum(e) => self.dump_enum(out, e, ["", ""])?,
            Type::Enum64(e) => self.dump_enum(out, e, ["LL", "ULL"])?,
            Type::Fwd { is_union, .. } => write!(out, " fwd_kind={}", if *is_union { "union" } else { "struct" })?,
            Type::Func { proto, linkage, .. } => write!(out, " type_id={} linkage={}", proto.0, linkage.name())?,
            Type::FuncProto { ret, params } => {
                write!(out, " ret_type_id={} vlen={}", ret.0, params.len())?;
                for param in params {
                    write!(out, "\n\t'{}' type_id={}", self.shown(param.name), param.ty.0)?;
                }
            }
            Type::Var { ty, linkage, .. } => write!(out, " type_id={}, linkage={}", ty.0, linkage.name())?,
            Type::Datasec { size, vars, .. } => self.dump_datasec(out, *size, vars)?,
            Type::Float { size, .. } => write!(out, " size={size}")?,
            Type::DeclTag { target, component, .. } => write!(out, " type_id={} component_idx={component}", target.0)?,
        }
        writeln!(out)
    }

    fn dump_members(&self, out: &mut String, c: &Composite) -> core::fmt::Result {
        write!(out, " size={} vlen={}", c.size, c.members.len())?;
        for m in &c.members {
            write!(out, "\n\t'{}' type_id={} bits_offset={}", self.shown(m.name), m.ty.0, m.bit_offset)?;
            if m.bitfield_size != 0 {
                write!(out, " bitfield_size={}", m.bitfield_size)?;
            }
        }
        Ok(())
    }

    /// `suffixes` follow a signed and an unsigned value.
    fn dump_enum(&self, out: &mut String, e: &Enumeration, suffixes: [&str; 2]) -> core::fmt::Result {
        let encoding = if e.signed { "SIGNED" } else { "UNSIGNED" };
        write!(out, " encoding={encoding} size={} vlen={}", e.size, e.values.len())?;
        for v in &e.values {
            write!(out, "\n\t'{}' val=", self.shown(v.name))?;
            if e.signed {
                write!(out, "{}{}", v.value, suffixes[0])?;
            } else {
                write!(out, "{}{}", v.value.cast_unsigned(), suffixes[1])?;
            }
        }
        Ok(())
    }

    fn dump_datasec(&self, out: &mut String, size: u32, vars: &[SecVar]) -> core::fmt::Result {
        write!(out, " size={size} vlen={}", vars.len())?;
        for var in vars {
            write!(out, "\n\ttype_id={} offset={} size={}", var.ty.0, var.offset, var.size)?;
            if let Some(ty) = self.get(var.ty) {
                write!(out, " ({} '{}')", ty.kind().name(), self.shown(ty.name()))?;
            }
        }
        Ok(())
    }
}
