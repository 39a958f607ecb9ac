//! From [`Btf`] back to bytes: what `Btf::parse` reads, in either byte order. `Documentation/bpf/btf.rst`, section 2.

use alloc::vec::Vec;

use crate::types::*;
use crate::{Btf, BtfExt, ExtSection, Member};

/// Bytes of the header.
const HEADER_LEN: u32 = 24;
/// Bytes of the header of `.BTF.ext`.
const EXT_HEADER_LEN: u32 = 32;
/// First two bytes.
const MAGIC: u16 = 0xeb9f;
/// `info` bit of kinds that have two forms.
const KIND_FLAG: u32 = 1 << 31;

/// Collects numbers in one byte order.
struct Writer {
    bytes: Vec<u8>,
    endian: Endian,
}

impl Writer {
    fn u32(&mut self, number: u32) {
        self.bytes.extend(match self.endian {
            Endian::Little => number.to_le_bytes(),
            Endian::Big => number.to_be_bytes(),
        });
    }

    fn all(&mut self, numbers: &[u32]) {
        numbers.iter().for_each(|number| self.u32(*number));
    }

    /// The twelve bytes that every type has: name, number of parts and kind, size or type.
    fn record(&mut self, kind: Kind, name: StrOff, parts: usize, flag: bool, arg: u32) {
        // What was parsed has at most 16 bits of parts.
        let info = (parts as u32 & 0xffff) | (kind as u32) << 24 | if flag { KIND_FLAG } else { 0 };
        self.all(&[name.0, info, arg]);
    }

    fn composite(&mut self, kind: Kind, c: &Composite) {
        let is_bitfield = |m: &Member| m.bitfield_size != 0;
        let flag = c.members.iter().any(is_bitfield);
        self.record(kind, c.name, c.members.len(), flag, c.size);
        for m in &c.members {
            // With the flag, the upper byte of the offset is the width.
            let width = if flag { u32::from(m.bitfield_size) << 24 } else { 0 };
            self.all(&[m.name.0, m.ty.0, m.bit_offset | width]);
        }
    }

    fn ty(&mut self, ty: &Type) {
        let kind = ty.kind();
        match ty {
            Type::Void => {}
            Type::Int(int) => {
                self.record(kind, int.name, 0, false, int.size);
                let encoding = match int.encoding {
                    IntEncoding::Unsigned => 0,
                    IntEncoding::Signed => 1,
                    IntEncoding::Char => 2,
                    IntEncoding::Bool => 4,
                    IntEncoding::Other(bits) => u32::from(bits),
                };
                self.u32(encoding << 24 | u32::from(int.bit_offset) << 16 | u32::from(int.bits));
            }
            Type::Array { elem, index, len } => {
                self.record(kind, StrOff(0), 0, false, 0);
                self.all(&[elem.0, index.0, *len]);
            }
            Type::Struct(c) | Type::Union(c) => self.composite(kind, c),
            Type::Enum(e) => {
                self.record(kind, e.name, e.values.len(), e.signed, e.size);
                e.values.iter().for_each(|v| self.all(&[v.name.0, v.value as u32]));
            }
            Type::Enum64(e) => {
                self.record(kind, e.name, e.values.len(), e.signed, e.size);
                e.values.iter().for_each(|v| self.all(&[v.name.0, v.value as u32, (v.value >> 32) as u32]));
            }
            Type::Fwd { name, is_union } => self.record(kind, *name, 0, *is_union, 0),
            Type::Func { name, proto, linkage } => self.record(kind, *name, *linkage as usize, false, proto.0),
            Type::FuncProto { ret, params } => {
                self.record(kind, StrOff(0), params.len(), false, ret.0);
                params.iter().for_each(|p| self.all(&[p.name.0, p.ty.0]));
            }
            Type::Var { name, ty, linkage } => {
                self.record(kind, *name, 0, false, ty.0);
                self.u32(*linkage as u32);
            }
            Type::Datasec { name, size, vars } => {
                self.record(kind, *name, vars.len(), false, *size);
                vars.iter().for_each(|v| self.all(&[v.ty.0, v.offset, v.size]));
            }
            Type::Float { name, size } => self.record(kind, *name, 0, false, *size),
            Type::DeclTag { name, target, component, is_attribute } => {
                self.record(kind, *name, 0, *is_attribute, target.0);
                self.u32(component.cast_unsigned());
            }
            Type::TypeTag { name, to, is_attribute } => self.record(kind, *name, 0, *is_attribute, to.0),
            Type::Typedef { name, to } => self.record(kind, *name, 0, false, to.0),
            Type::Ptr { to } | Type::Volatile { to } | Type::Const { to } | Type::Restrict { to } => {
                self.record(kind, StrOff(0), 0, false, to.0);
            }
        }
    }
}

impl BtfExt {
    /// The records as a `.BTF.ext` section in this byte order. Sections without records are left out.
    pub fn to_bytes(&self, endian: Endian) -> Vec<u8> {
        let funcs = part(endian, &self.funcs, 8, |w, r| w.all(&[r.insn_off, r.type_id.0]));
        let lines = part(endian, &self.lines, 16, |w, r| {
            w.all(&[r.insn_off, r.file.0, r.text.0, r.line << 10 | r.col & 0x3ff]);
        });
        let relos =
            part(endian, &self.relos, 16, |w, r| w.all(&[r.insn_off, r.type_id.0, r.access.0, r.kind.number()]));
        let mut out = header(endian);
        out.u32(EXT_HEADER_LEN);
        let mut offset = 0;
        for part in [&funcs, &lines, &relos] {
            out.all(&[offset, part.len() as u32]);
            offset += part.len() as u32;
        }
        [funcs, lines, relos].into_iter().for_each(|part| out.bytes.extend(part));
        out.bytes
    }
}

/// One kind of records: their size, then each section's.
fn part<T>(endian: Endian, sections: &[ExtSection<T>], size: u32, write: impl Fn(&mut Writer, &T)) -> Vec<u8> {
    let mut out = Writer { bytes: Vec::new(), endian };
    for section in sections.iter().filter(|section| !section.records.is_empty()) {
        if out.bytes.is_empty() {
            out.u32(size);
        }
        out.all(&[section.name.0, section.records.len() as u32]);
        section.records.iter().for_each(|record| write(&mut out, record));
    }
    out.bytes
}

/// What both sections begin with: magic, version and flags.
fn header(endian: Endian) -> Writer {
    let mut out = Writer { bytes: Vec::new(), endian };
    out.bytes.extend(match endian {
        Endian::Little => MAGIC.to_le_bytes(),
        Endian::Big => MAGIC.to_be_bytes(),
    });
    out.bytes.extend([1, 0]);
    out
}

impl Btf {
    /// The types as a `.BTF` section in this byte order.
    pub fn to_bytes(&self, endian: Endian) -> Vec<u8> {
        let mut types = Writer { bytes: Vec::new(), endian };
        self.types().iter().for_each(|ty| types.ty(ty));
        let (type_len, strings) = (types.bytes.len() as u32, self.strings());
        let mut out = header(endian);
        out.all(&[HEADER_LEN, 0, type_len, type_len, strings.len() as u32]);
        out.bytes.extend(types.bytes);
        out.bytes.extend(strings.as_bytes());
        out.bytes
    }
}
