//! Bytes to a tree of values, by type, so that maps can be shown as what they are.

use alloc::string::String;
use alloc::vec::Vec;

use crate::types::*;
use crate::{Btf, BtfError, MAX_VALUE_DEPTH, MAX_VALUE_NODES};

/// A value with its type's shape. How it is written (JSON, table) is the caller's business.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)]
pub enum Value {
    Signed(i64),
    Unsigned(u64),
    /// An integer of more than 64 bits, as its bits.
    Wide(u128),
    Bool(bool),
    /// An integer that is marked as a character.
    Char(u8),
    Float(f64),
    /// An enum's value, with its name where one fits. Of an unsigned 64-bit enum the value has the same bits.
    Enum {
        value: i64,
        name: Option<String>,
    },
    Pointer(u64),
    /// A NUL-terminated array of printable characters.
    Str(String),
    Array(Vec<Value>),
    /// A struct, union or data section; `name` is empty where it has none. A part without name keeps an empty one.
    Struct {
        name: String,
        fields: Vec<(String, Value)>,
    },
    /// What has no inner shape.
    Bytes(Vec<u8>),
}

/// Reads `bytes` as a value of type `id`, in the byte order of the BTF. Bytes beyond the type's size are ignored.
///
/// Errors: types without size, too few bytes, nesting or node count over the limits.
pub fn format_value(btf: &Btf, id: TypeId, bytes: &[u8]) -> Result<Value, BtfError> {
    Printer { btf, root: id, nodes: 0 }.value(id, bytes, 0)
}

struct Printer<'a> {
    btf: &'a Btf,
    root: TypeId,
    nodes: usize,
}

impl Printer<'_> {
    fn value(&mut self, id: TypeId, bytes: &[u8], depth: usize) -> Result<Value, BtfError> {
        self.nodes += 1;
        if depth > MAX_VALUE_DEPTH || self.nodes > MAX_VALUE_NODES {
            return Err(BtfError::ValueTooLarge(self.root));
        }
        let id = self.btf.resolve(id)?;
        let btf = self.btf;
        let ty = btf.ty(id)?;
        if let Type::Var { ty, .. } = ty {
            return self.value(*ty, bytes, depth + 1);
        }
        let size = btf.size_of(id)? as usize;
        let bytes = bytes.get(..size).ok_or(BtfError::ShortValue { id: self.root, need: size, have: bytes.len() })?;
        Ok(match ty {
            Type::Int(int) => {
                let raw = self.bits(bytes, u32::from(int.bit_offset), u32::from(int.bits));
                int_value(raw, u32::from(int.bits), int.encoding)
            }
            Type::Ptr { .. } => Value::Pointer(self.bits(bytes, 0, 64) as u64),
            Type::Enum(e) | Type::Enum64(e) => self.enumerator(e, self.bits(bytes, 0, e.size * 8), e.size * 8),
            Type::Float { size, .. } => self.float(bytes, *size),
            Type::Array { elem, len, .. } => self.array(*elem, *len, bytes, depth)?,
            Type::Struct(c) | Type::Union(c) => self.composite(c, bytes, depth)?,
            Type::Datasec { name, vars, .. } => {
                let mut fields = Vec::new();
                for var in vars {
                    let part = bytes.get(var.offset as usize..).unwrap_or(&[]);
                    fields.push((btf.name(var.ty).into(), self.value(var.ty, part, depth + 1)?));
                }
                Value::Struct { name: btf.string(*name).into(), fields }
            }
            // `size_of` has refused these, or `resolve` and the case above have looked through them.
            Type::Void
            | Type::Fwd { .. }
            | Type::Func { .. }
            | Type::FuncProto { .. }
            | Type::Var { .. }
            | Type::DeclTag { .. }
            | Type::Typedef { .. }
            | Type::Volatile { .. }
            | Type::Const { .. }
            | Type::Restrict { .. }
            | Type::TypeTag { .. } => Value::Bytes(bytes.into()),
        })
    }

    /// `count` bits from bit `first`, where bits are numbered as the compiler lays out bitfields: from the low end in
    /// little endian, from the high end in big endian.
    fn bits(&self, bytes: &[u8], first: u32, count: u32) -> u128 {
        let start = (first / 8) as usize;
        let end = ((first + count).div_ceil(8) as usize).min(bytes.len());
        let (skip, window) = (first % 8, bytes.get(start..end).unwrap_or(&[]));
        // A field of up to 128 bits may touch 17 bytes; one that does is cut, no compiler makes such.
        let window = &window[..window.len().min(16)];
        let fold = |all: u128, byte: &u8| all << 8 | u128::from(*byte);
        let raw = match self.btf.endian() {
            Endian::Little => window.iter().rev().fold(0, fold) >> skip,
            Endian::Big => {
                let unused = (window.len() as u32 * 8).saturating_sub(skip + count);
                window.iter().fold(0, fold) >> unused
            }
        };
        if count >= 128 { raw } else { raw & ((1 << count) - 1) }
    }

    fn enumerator(&self, e: &Enumeration, raw: u128, bits: u32) -> Value {
        let value = if e.signed { sign_extend(raw, bits) } else { (raw as u64).cast_signed() };
        let name = e.values.iter().find(|v| v.value == value).map(|v| self.btf.string(v.name).into());
        Value::Enum { value, name }
    }

    fn float(&self, bytes: &[u8], size: u32) -> Value {
        match size {
            4 => Value::Float(f64::from(f32::from_bits(self.bits(bytes, 0, 32) as u32))),
            8 => Value::Float(f64::from_bits(self.bits(bytes, 0, 64) as u64)),
            _ => Value::Bytes(bytes.into()),
        }
    }

    fn array(&mut self, elem: TypeId, len: u32, bytes: &[u8], depth: usize) -> Result<Value, BtfError> {
        if let Some(text) = self.as_text(elem, bytes)? {
            return Ok(Value::Str(text));
        }
        let size = self.btf.size_of(elem)? as usize;
        // Elements without bytes say nothing, and there may be four milliards of them.
        let len = if size == 0 { 0 } else { len as usize };
        let mut items = Vec::new();
        for at in 0..len {
            items.push(self.value(elem, &bytes[at * size..], depth + 1)?);
        }
        Ok(Value::Array(items))
    }

    /// An array of 8-bit integers (signed as `char` is, or marked as characters) that holds printable text and then only NULs.
    fn as_text(&self, elem: TypeId, bytes: &[u8]) -> Result<Option<String>, BtfError> {
        let is_char = match self.btf.resolved(elem)? {
            Type::Int(int) => int.bits == 8 && matches!(int.encoding, IntEncoding::Signed | IntEncoding::Char),
            _ => false,
        };
        let Some(end) = bytes.iter().position(|b| *b == 0) else { return Ok(None) };
        let (text, rest) = bytes.split_at(end);
        let printable = text.iter().all(|b| (b' '..=b'~').contains(b) || matches!(b, b'\n' | b'\t' | b'\r'));
        Ok((is_char && printable && rest.iter().all(|b| *b == 0))
            .then(|| text.iter().map(|b| char::from(*b)).collect()))
    }

    fn composite(&mut self, c: &Composite, bytes: &[u8], depth: usize) -> Result<Value, BtfError> {
        let mut fields = Vec::new();
        for m in &c.members {
            let value = if m.bitfield_size != 0 {
                self.bitfield(m, bytes)?
            } else if let (Type::Int(int), true) = (self.btf.resolved(m.ty)?, m.bit_offset % 8 != 0) {
                // Bitfields of old compilers: the width is in the integer's type.
                let bits = u32::from(int.bits);
                let first = m.bit_offset.saturating_add(u32::from(int.bit_offset));
                int_value(self.bits(bytes, first.min(u32::MAX - 256), bits), bits, int.encoding)
            } else {
                let part = bytes.get((m.bit_offset / 8) as usize..).unwrap_or(&[]);
                self.value(m.ty, part, depth + 1)?
            };
            fields.push((self.btf.string(m.name).into(), value));
        }
        Ok(Value::Struct { name: self.btf.string(c.name).into(), fields })
    }

    fn bitfield(&mut self, m: &Member, bytes: &[u8]) -> Result<Value, BtfError> {
        self.nodes += 1;
        let bits = u32::from(m.bitfield_size);
        let raw = self.bits(bytes, m.bit_offset.min(u32::MAX - 256), bits);
        Ok(match self.btf.resolved(m.ty)? {
            Type::Int(int) => int_value(raw, bits, int.encoding),
            Type::Enum(e) | Type::Enum64(e) => self.enumerator(e, raw, bits),
            _ => Value::Wide(raw),
        })
    }
}

fn sign_extend(raw: u128, bits: u32) -> i64 {
    let unused = 64u32.saturating_sub(bits);
    ((raw as u64) << unused).cast_signed() >> unused
}

fn int_value(raw: u128, bits: u32, encoding: IntEncoding) -> Value {
    match encoding {
        _ if bits > 64 => Value::Wide(raw),
        IntEncoding::Signed if bits > 0 => Value::Signed(sign_extend(raw, bits)),
        IntEncoding::Bool => Value::Bool(raw != 0),
        IntEncoding::Char if bits == 8 => Value::Char(raw as u8),
        IntEncoding::Signed | IntEncoding::Char | IntEncoding::Unsigned | IntEncoding::Other(_) => {
            Value::Unsigned(raw as u64)
        }
    }
}
