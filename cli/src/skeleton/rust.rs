//! The skeleton in Rust: for the library `ring3`.

use std::collections::BTreeMap;
use std::fmt::Write;

use ring3::btf::{Btf, IntEncoding, Type, TypeId};
use ring3::{MapType, Object, has_values};

use super::names::{camel, identifier};
use super::{data_sections, is_const};

/// Longest array whose elements are typed; a longer one is bytes.
const MAX_ARRAY: u32 = 1 << 16;

/// Collects the structs that values have.
struct Types<'b> {
    btf: &'b Btf,
    /// Names in Rust, by number and by name.
    named: BTreeMap<u32, String>,
    taken: BTreeMap<String, u32>,
    text: String,
}

/// All of it. `file` is the object's, which is to lie beside.
pub fn skeleton(object: &Object, name: &str, file: &str) -> String {
    let (upper, empty) = (camel(name), Btf::empty());
    let btf = object.btf().map_or(&empty, |btf| &**btf);
    let used = ["TypedMap", "Engine", "Error", "Input", "Instance", "MapRef", "Object", "Output", "Plain", "Option"];
    let own = [upper.clone(), format!("Open{upper}")];
    let taken = used.iter().map(|name| (*name).to_owned()).chain(own).map(|name| (name, 1)).collect();
    let mut types = Types { btf, named: BTreeMap::new(), taken, text: String::new() };
    let (mut open, mut loaded) = (String::new(), String::new());
    for (_, section, variables) in data_sections(object) {
        for var in variables {
            let (method, ty) = (identifier(var.name), types.name(var.ty, var.size));
            let (of, end) = (var.offset, var.offset + var.size);
            let var_name = var.name;
            let _ = write!(
                open,
                "
    /// The variable `{var_name}` as it will be when the object is loaded.
    pub fn {method}(&self) -> Result<{ty}, Error> {{
        ring3::typed::global(&self.object, {var_name:?})
    }}

    /// Sets it.
    pub fn set_{method}(&mut self, value: {ty}) -> Result<(), Error> {{
        ring3::typed::set_global(&mut self.object, {var_name:?}, &value)
    }}
"
            );
            let _ = write!(
                loaded,
                "
    /// The variable `{var_name}`.
    pub fn {method}(&self) -> Result<{ty}, Error> {{
        ring3::typed::part(&self.instance, {section:?}, {of}..{end})
    }}
"
            );
            if !is_const(btf, var.ty) && !section.starts_with(".rodata") {
                let _ = write!(
                    loaded,
                    "
    /// Sets it.
    pub fn set_{method}(&self, value: {ty}) -> Result<(), Error> {{
        ring3::typed::set_part(&self.instance, {section:?}, {of}..{end}, &value)
    }}
"
                );
            }
        }
    }
    for map in object.maps().iter().filter(|map| map.data.is_none()) {
        let (method, kind) = (identifier(&map.name), map.kind.name());
        let typed = has_values(map.kind) && !matches!(map.kind, MapType::ProgArray | MapType::PerfEventArray);
        let (ty, call) = match typed {
            true => {
                let key = types.name(TypeId(map.key_type), map.key_size);
                let value = types.name(TypeId(map.value_type), map.value_size);
                (format!("TypedMap<'_, {key}, {value}>"), format!("Ok(self.instance.map({:?})?.of_types())", map.name))
            }
            false => ("MapRef<'_>".to_owned(), format!("self.instance.map({:?})", map.name)),
        };
        let name = &map.name;
        let _ = write!(
            loaded,
            "
    /// The map `{name}`, of the type {kind}.
    pub fn {method}(&self) -> Result<{ty}, Error> {{
        {call}
    }}
"
        );
    }
    for program in object.programs() {
        let (method, name, section) = (identifier(&program.name), &program.name, &program.section);
        let _ = write!(
            loaded,
            "
    /// Runs the program `{name}` (`{section}`) once.
    pub fn run_{method}<'a>(&mut self, input: impl Into<Input<'a>>) -> Result<Output, Error> {{
        self.instance.run({name:?}, input)
    }}
"
        );
    }
    let structs = types.text;
    format!(
        "//! What `{file}` has, made by `ring3 gen skeleton --lang rust`.
#![allow(dead_code, unused_imports)]

use ring3::typed::TypedMap;
use ring3::{{Engine, Error, Input, Instance, MapRef, Object, Output, Plain}};

/// The object.
pub const OBJECT: &[u8] = include_bytes!({file:?});

/// The object before it is loaded.
#[derive(Clone, Debug)]
pub struct Open{upper} {{
    /// With all that the library offers.
    pub object: Object,
}}

impl Open{upper} {{
    /// Reads it.
    pub fn open() -> Result<Self, Error> {{
        Ok(Open{upper} {{ object: Object::parse({file:?}, OBJECT)? }})
    }}

    /// Creates its maps. Programs are verified when they are first asked for.
    pub fn load(&self, engine: &Engine) -> Result<{upper}, Error> {{
        Ok({upper} {{ instance: engine.load(&self.object)? }})
    }}
{open}}}

/// The object when it is loaded.
#[derive(Debug)]
pub struct {upper} {{
    /// With all that the library offers.
    pub instance: Instance,
}}

impl {upper} {{
    /// Loads it as it is.
    pub fn load(engine: &Engine) -> Result<Self, Error> {{
        Open{upper}::open()?.load(engine)
    }}
{loaded}}}
{structs}"
    )
}

impl Types<'_> {
    /// The Rust type for values of this type; bytes for what has none.
    fn name(&mut self, id: TypeId, size: u32) -> String {
        self.typed(id, size, 0).unwrap_or_else(|| format!("[u8; {size}]"))
    }

    fn typed(&mut self, id: TypeId, size: u32, depth: usize) -> Option<String> {
        let btf = self.btf;
        if depth > ring3::btf::MAX_CHAIN || btf.size_of(id).ok()? != size {
            return None;
        }
        let number = |signed: bool| format!("{}{}", if signed { 'i' } else { 'u' }, u64::from(size) * 8);
        match btf.resolved(id).ok()? {
            Type::Int(int) if u32::from(int.bits) != size * 8 => None,
            Type::Int(int) if int.encoding == IntEncoding::Bool && size == 1 => Some("bool".to_owned()),
            Type::Int(int) => Some(number(int.encoding == IntEncoding::Signed)),
            Type::Ptr { .. } => Some("u64".to_owned()),
            Type::Enum(e) | Type::Enum64(e) => Some(number(e.signed)),
            Type::Float { .. } if matches!(size, 4 | 8) => Some(format!("f{}", size * 8)),
            Type::Array { elem, len, .. } if (1..=MAX_ARRAY).contains(len) => {
                let of = self.typed(*elem, size / *len, depth + 1)?;
                Some(format!("[{of}; {len}]"))
            }
            Type::Struct(_) => self.structure(id, depth),
            _ => None,
        }
    }

    /// Writes a struct unless it is there. One with bit fields or without a name is bytes.
    fn structure(&mut self, id: TypeId, depth: usize) -> Option<String> {
        let btf = self.btf;
        let plain = btf.resolve(id).ok()?;
        if let Some(name) = self.named.get(&plain.0) {
            return Some(name.clone());
        }
        let Ok(Type::Struct(c)) = btf.ty(plain) else { return None };
        let mut given = btf.string(c.name);
        if let (true, Some(Type::Typedef { name, .. })) = (given.is_empty(), btf.get(id)) {
            given = btf.string(*name);
        }
        if given.is_empty() || c.members.is_empty() {
            return None;
        }
        let (mut fields, mut reads, mut writes) = (String::new(), String::new(), String::new());
        for member in &c.members {
            let size = btf.size_of(member.ty).ok()?;
            if member.bitfield_size != 0 || member.bit_offset % 8 != 0 || btf.string(member.name).is_empty() {
                return None;
            }
            let from = member.bit_offset / 8;
            let to = from.checked_add(size).filter(|to| *to <= c.size)?;
            let ty = self.typed(member.ty, size, depth + 1).unwrap_or_else(|| format!("[u8; {size}]"));
            let field = identifier(btf.string(member.name));
            let _ = writeln!(fields, "    pub {field}: {ty},");
            let _ = writeln!(reads, "            {field}: Plain::from_bytes(bytes.get({from}..{to})?)?,");
            let _ = writeln!(writes, "        bytes[{from}..{to}].copy_from_slice(&Plain::to_bytes(&self.{field}));");
        }
        let mut name = camel(given);
        let count = self.taken.entry(name.clone()).or_insert(0);
        *count += 1;
        if *count > 1 {
            name = format!("{name}{count}");
        }
        let size = c.size;
        let _ = write!(
            self.text,
            "
/// `{given}`
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct {name} {{
{fields}}}

impl Plain for {name} {{
    fn to_bytes(&self) -> Vec<u8> {{
        let mut bytes = vec![0; {size}];
{writes}        bytes
    }}

    fn from_bytes(bytes: &[u8]) -> Option<Self> {{
        (bytes.len() == {size}).then_some(())?;
        Some({name} {{
{reads}        }})
    }}
}}
"
        );
        self.named.insert(plain.0, name.clone());
        Some(name)
    }
}
