//! Global variables: found by BTF, read and set before the object is loaded.

use std::sync::Arc;

use ring3_btf::{IntEncoding, Kind, Type, TypeId};
use ring3_isa::Endianness;

use crate::Object;
use crate::error::{GlobalProblem, ObjectError};

/// A global variable of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Global {
    /// Its name.
    pub name: String,
    /// Index of its map in [`Object::maps`].
    pub map: usize,
    /// Offset in the map's value, in bytes.
    pub offset: usize,
    /// Bytes.
    pub size: usize,
    /// Type in [`Object::btf`]; `void` where there is no BTF.
    pub type_id: TypeId,
}

impl Object {
    /// All global variables in data sections, in the order of maps and offsets.
    pub fn globals(&self) -> Vec<Global> {
        let mut all = Vec::new();
        for (map, section) in self.data_sections() {
            let def = &self.maps[map];
            let size_of_map = def.data.as_ref().map_or(0, |data| data.len());
            let mut push = |name: &str, offset: u64, size: u64, type_id| {
                if offset.checked_add(size).is_some_and(|end| end <= size_of_map as u64) {
                    let (offset, size) = (offset as usize, size as usize);
                    all.push(Global { name: name.to_owned(), map, offset, size, type_id });
                }
            };
            let types = self.btf.as_ref().and_then(|btf| Some((btf, btf.datasec(&self.section_names[section])?)));
            match types {
                Some((btf, (_, _, vars))) => {
                    for var in vars {
                        push(btf.name(var.ty), u64::from(var.offset), u64::from(var.size), var.ty);
                    }
                }
                None => {
                    for s in self.symbols.iter().filter(|s| s.section == Some(section) && !s.is_section && s.size > 0) {
                        push(&s.name, s.value, s.size, TypeId::VOID);
                    }
                }
            }
        }
        all
    }

    /// Maps of variables, and the sections that are their content.
    fn data_sections(&self) -> impl Iterator<Item = (usize, usize)> {
        let own = self.homes.iter().enumerate().filter(|(_, home)| home.is_data).map(|(map, home)| (map, home.section));
        own.chain(self.arena.map(|(section, map)| (map, section)))
    }

    /// A global variable by name, or a part of one by path (`config.ports[1]`).
    pub fn find_global(&self, path: &str) -> Result<Global, ObjectError> {
        let error = |problem| ObjectError::Global { file: self.file.clone(), name: path.to_owned(), problem };
        let end = path.find(['.', '[']).unwrap_or(path.len());
        let all = self.globals();
        // A variable's own name may have a dot (`func.counter` of a static one).
        if let Some(whole) = all.iter().find(|g| g.name == path) {
            return Ok(whole.clone());
        }
        let Some(base) = all.into_iter().find(|g| g.name == path[..end]) else {
            return Err(error(if self.is_extern(&path[..end]) {
                GlobalProblem::Extern
            } else {
                GlobalProblem::Unknown
            }));
        };
        self.part(base, &path[end..]).map_err(error)
    }

    fn is_extern(&self, name: &str) -> bool {
        self.symbols.iter().any(|s| s.section.is_none() && !name.is_empty() && s.name == name)
    }

    /// Follows `.member` and `[index]`.
    fn part(&self, mut at: Global, mut path: &str) -> Result<Global, GlobalProblem> {
        let unknown = |part: &str| GlobalProblem::NoPart(part.to_owned());
        let btf = self.btf.as_deref().ok_or_else(|| unknown(path))?;
        if let Some(Type::Var { ty, .. }) = btf.get(at.type_id) {
            at.type_id = *ty;
        }
        while !path.is_empty() {
            let (step, rest) = path.split_at(path[1..].find(['.', '[']).map_or(path.len(), |end| end + 1));
            let ty = btf.resolved(at.type_id).map_err(|_| unknown(step))?;
            let (type_id, offset) = match (ty, step.strip_prefix('.'), step.strip_prefix('[')) {
                (Type::Struct(_) | Type::Union(_), Some(member), _) => {
                    let found =
                        btf.member(at.type_id, member).filter(|m| m.bitfield_size == 0 && m.bit_offset % 8 == 0);
                    let found = found.ok_or_else(|| unknown(step))?;
                    (found.ty, found.bit_offset as usize / 8)
                }
                (Type::Array { elem, len, .. }, _, Some(index)) => {
                    let index = index.strip_suffix(']').and_then(|text| text.parse::<u32>().ok());
                    let index = index.filter(|index| index < len).ok_or_else(|| unknown(step))?;
                    (*elem, index as usize * btf.size_of(*elem).map_err(|_| unknown(step))? as usize)
                }
                _ => return Err(unknown(step)),
            };
            let size = btf.size_of(type_id).map_err(|_| unknown(step))? as usize;
            if offset.checked_add(size).is_none_or(|end| end > at.size) {
                return Err(unknown(step));
            }
            (at.type_id, at.offset, at.size) = (type_id, at.offset + offset, size);
            path = rest;
        }
        Ok(at)
    }

    /// The bytes of a global variable, or of a part of one.
    pub fn global(&self, path: &str) -> Result<&[u8], ObjectError> {
        let found = self.find_global(path)?;
        let data = self.maps[found.map].data.as_deref().unwrap_or(&[]);
        Ok(&data[found.offset..found.offset + found.size])
    }

    /// Sets a global variable, or a part of one, to these bytes, which must be as many as it has.
    ///
    /// Programs that are linked afterwards see the value, and so does the map that is made for its section.
    pub fn set_global(&mut self, path: &str, bytes: &[u8]) -> Result<(), ObjectError> {
        let found = self.find_global(path)?;
        if bytes.len() != found.size {
            let problem = GlobalProblem::Size { need: found.size, given: bytes.len() };
            return Err(ObjectError::Global { file: self.file.clone(), name: path.to_owned(), problem });
        }
        if let Some(data) = &mut Arc::make_mut(&mut self.maps[found.map]).data {
            Arc::make_mut(data)[found.offset..found.offset + found.size].copy_from_slice(bytes);
        }
        Ok(())
    }

    /// Sets a global variable, or a part of one, from text: a decimal or `0x` integer that fits, `true` or `false`, the name
    /// of an enum's value, a floating-point number, or for an array of characters its text (the rest becomes zero).
    pub fn set_global_text(&mut self, path: &str, text: &str) -> Result<(), ObjectError> {
        let found = self.find_global(path)?;
        let bytes = self.encode(&found, text).map_err(|problem| ObjectError::Global {
            file: self.file.clone(),
            name: path.to_owned(),
            problem,
        })?;
        self.set_global(path, &bytes)
    }

    fn encode(&self, global: &Global, text: &str) -> Result<Vec<u8>, GlobalProblem> {
        let size = global.size;
        let Some(btf) = self.btf.as_deref().filter(|_| global.type_id != TypeId::VOID) else {
            return self.integer(text, size, size as u32 * 8, None);
        };
        let mut id = global.type_id;
        if let Some(Type::Var { ty, .. }) = btf.get(id) {
            id = *ty;
        }
        let bad = |_| GlobalProblem::Shape;
        match btf.resolved(id).map_err(bad)? {
            Type::Int(int) if int.encoding == IntEncoding::Bool && matches!(text, "true" | "false") => {
                self.integer(if text == "true" { "1" } else { "0" }, size, 8, None)
            }
            Type::Int(int) => {
                let signed = int.encoding == IntEncoding::Signed;
                self.integer(text, size, u32::from(int.bits), Some(signed))
            }
            Type::Ptr { .. } => self.integer(text, size, 64, Some(false)),
            Type::Enum(e) | Type::Enum64(e) => match e.values.iter().find(|v| btf.string(v.name) == text) {
                Some(v) => self.integer(&v.value.to_string(), size, e.size * 8, None),
                None => self.integer(text, size, e.size * 8, Some(e.signed)),
            },
            Type::Float { .. } => self.float(text, size),
            Type::Array { elem, .. } => match btf.resolved(*elem).map_err(bad)? {
                Type::Int(int) if int.bits == 8 && text.len() <= size => {
                    let mut bytes = text.as_bytes().to_vec();
                    bytes.resize(size, 0);
                    Ok(bytes)
                }
                Type::Int(int) if int.bits == 8 => Err(GlobalProblem::Size { need: size, given: text.len() }),
                _ => Err(GlobalProblem::Shape),
            },
            _ => Err(GlobalProblem::Shape),
        }
    }

    /// An integer of `bits` bits in `size` bytes. `signed` bounds it; where that is not known, either reading fits.
    fn integer(&self, text: &str, size: usize, bits: u32, signed: Option<bool>) -> Result<Vec<u8>, GlobalProblem> {
        if size > 8 || bits > 64 || bits == 0 {
            return Err(GlobalProblem::Shape);
        }
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let magnitude = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(hex) => i128::from_str_radix(hex, 16),
            None => digits.parse(),
        };
        let magnitude = magnitude.ok().filter(|_| digits.starts_with(|c: char| c.is_ascii_digit()));
        let value = magnitude.ok_or_else(|| GlobalProblem::Text(text.to_owned()))?;
        let value = if negative { -value } else { value };
        let low = if signed == Some(false) { 0 } else { -(1i128 << (bits - 1)) };
        let high = if signed == Some(true) { (1i128 << (bits - 1)) - 1 } else { (1i128 << bits) - 1 };
        // A hexadecimal number may give the bits of a signed one.
        let high =
            if digits.len() > 1 && digits.as_bytes()[1].eq_ignore_ascii_case(&b'x') { (1 << bits) - 1 } else { high };
        if value < low || value > high {
            return Err(GlobalProblem::Range { text: text.to_owned(), bits });
        }
        Ok(self.order(&(value as u64).to_le_bytes()[..size]))
    }

    fn float(&self, text: &str, size: usize) -> Result<Vec<u8>, GlobalProblem> {
        let value: f64 = text.parse().map_err(|_| GlobalProblem::Text(text.to_owned()))?;
        match size {
            4 => Ok(self.order(&(value as f32).to_le_bytes())),
            8 => Ok(self.order(&value.to_le_bytes())),
            _ => Err(GlobalProblem::Shape),
        }
    }

    /// Little-endian bytes in the object's order.
    fn order(&self, little: &[u8]) -> Vec<u8> {
        match self.endian() {
            Endianness::Little => little.to_vec(),
            Endianness::Big => little.iter().rev().copied().collect(),
        }
    }

    /// What BTF says that an external symbol is.
    pub(crate) fn extern_kind(&self, name: &str) -> crate::ExternKind {
        let Some(btf) = self.btf.as_deref() else { return crate::ExternKind::Unknown };
        let has = |section: &str| {
            btf.datasec(section).is_some_and(|(_, _, vars)| vars.iter().any(|var| btf.name(var.ty) == name))
        };
        if has(".maps") {
            crate::ExternKind::Map
        } else if has(".kconfig") {
            crate::ExternKind::Kconfig
        } else if btf.find(name, Kind::Func).is_some() {
            crate::ExternKind::Kfunc
        } else if has(".ksyms") {
            crate::ExternKind::Ksym
        } else {
            crate::ExternKind::Unknown
        }
    }
}
