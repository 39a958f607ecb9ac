//! Values as the kernel writes them for programs (`bpf_snprintf_btf`): the type in parentheses, members by name, zeroes left out.

use alloc::vec::Vec;
use core::fmt::{self, Write};

use crate::types::*;
use crate::{Btf, BtfError, MAX_VALUE_DEPTH, MAX_VALUE_NODES};

/// What is written, and how: the kernel's flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shown {
    /// All on one line (`BTF_F_COMPACT`).
    pub compact: bool,
    /// Without names of types and members (`BTF_F_NONAME`).
    pub no_names: bool,
    /// With zeroes (`BTF_F_ZERO`).
    pub zeroes: bool,
}

impl Shown {
    /// Flags of the kernel that are known.
    const ALL: u64 = 0xf;

    /// From the kernel's number; `None` for one that has others. Whether pointers are hidden (without `BTF_F_PTR_RAW`) makes no
    /// difference: they are shown as they are.
    pub fn from_bits(bits: u64) -> Option<Shown> {
        let has = |bit: u64| bits & bit != 0;
        (bits & !Shown::ALL == 0).then_some(Shown { compact: has(1), no_names: has(2), zeroes: has(8) })
    }
}

/// The text of a value, in Latin-1. Bytes that are missing are zeroes.
///
/// Errors: no such type; types without values, nesting or nodes over the limits.
pub fn show_value(btf: &Btf, id: TypeId, bytes: &[u8], shown: Shown) -> Result<Vec<u8>, BtfError> {
    let out = Text(Vec::new());
    let mut show = Show { btf, shown, root: id, out, nodes: 0, pass: Pass::Writes, in_array: false, char_array: None };
    show.value(Named { member: "", id }, id, Part { bytes, bits: None }, 0)?;
    Ok(show.out.0)
}

/// What comes before a value.
#[derive(Clone, Copy)]
struct Named<'a> {
    member: &'a str,
    id: TypeId,
}

/// Where a value is; of a bit-field the first bit and how many.
#[derive(Clone, Copy)]
struct Part<'a> {
    bytes: &'a [u8],
    bits: Option<(u32, u32)>,
}

/// Longest name of a member and its type, in bytes (`BTF_SHOW_NAME_SIZE`, with a NUL).
const MAX_NAME: usize = 79;
/// Typedefs, pointers and arrays in the name of a type; one with as many has none (`BTF_SHOW_MAX_ITER`).
const MAX_NAMED: usize = 10;

/// Bytes that are written.
struct Text(Vec<u8>);

impl Text {
    fn push(&mut self, byte: u8) {
        self.0.push(byte);
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Whether anything is written: Linux goes over the parts of a value twice, the first time to see whether there is anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Writes,
    /// Whether something would have been written.
    Looks {
        seen: bool,
    },
}

struct Show<'b> {
    btf: &'b Btf,
    shown: Shown,
    root: TypeId,
    out: Text,
    nodes: usize,
    pass: Pass,
    /// Elements of arrays have no names, nor have the members of structures in them up to the next array's end.
    in_array: bool,
    /// In an array of bytes: whether its text has ended.
    char_array: Option<bool>,
}

impl<'b> Show<'b> {
    fn value(&mut self, name: Named<'b>, id: TypeId, part: Part<'_>, depth: usize) -> Result<(), BtfError> {
        self.nodes += 1;
        if depth > MAX_VALUE_DEPTH || self.nodes > MAX_VALUE_NODES {
            return Err(BtfError::ValueTooLarge(self.root));
        }
        let btf = self.btf;
        let ty = btf.resolved(id)?;
        if let Some((first, bits)) = part.bits {
            let number = bits_of(part.bytes, first, bits);
            self.scalar(name, number == 0, depth, format_args!("{number:#x}"));
            return Ok(());
        }
        match ty {
            Type::Int(int) => self.int(name, int, part.bytes, depth),
            Type::Enum(values) | Type::Enum64(values) => {
                let raw = bits_of(part.bytes, 0, values.size * 8) as u64;
                let value = if values.signed { sign(raw, values.size * 8) } else { raw.cast_signed() };
                match values.values.iter().find(|known| known.value == value) {
                    // Zeroes that have a name are shown.
                    Some(known) => self.scalar(name, false, depth, format_args!("{}", btf.string(known.name))),
                    None => self.scalar(name, value == 0, depth, format_args!("{value}")),
                }
            }
            Type::Ptr { .. } => {
                let address = bits_of(part.bytes, 0, 64) as u64;
                self.scalar(name, address == 0, depth, format_args!("{address:#018x}"));
            }
            Type::Struct(whole) | Type::Union(whole) => self.aggregate(name, b'}', depth, |show| {
                whole.members.iter().try_for_each(|member| show.member(member, part.bytes, depth))
            })?,
            Type::Array { elem, len, .. } => {
                self.aggregate(name, b']', depth, |show| show.array(*elem, *len, part.bytes, depth))?;
            }
            Type::Void
            | Type::Fwd { .. }
            | Type::Func { .. }
            | Type::FuncProto { .. }
            | Type::Var { .. }
            | Type::Datasec { .. }
            | Type::DeclTag { .. }
            | Type::Float { .. }
            | Type::Typedef { .. }
            | Type::Volatile { .. }
            | Type::Const { .. }
            | Type::Restrict { .. }
            | Type::TypeTag { .. } => {
                let kind = ty.kind() as u32;
                // Writing to a string cannot fail.
                self.write(|show| show.out.write_fmt(format_args!("<unsupported kind:{kind}>")).unwrap_or_default());
            }
        }
        Ok(())
    }

    fn member(&mut self, member: &Member, bytes: &[u8], depth: usize) -> Result<(), BtfError> {
        let from = bytes.get((member.bit_offset / 8) as usize..).unwrap_or_default();
        let bits = (member.bitfield_size != 0).then_some((member.bit_offset % 8, member.bitfield_size.into()));
        let name = Named { member: self.btf.string(member.name), id: member.ty };
        self.value(name, member.ty, Part { bytes: from, bits }, depth + 1)
    }

    fn array(&mut self, elem: TypeId, len: u32, bytes: &[u8], depth: usize) -> Result<(), BtfError> {
        let size = self.btf.size_of(elem)? as usize;
        // Of elements whose type does not say a size itself Linux shows the first each time.
        let step = if matches!(self.btf.resolved(elem)?, Type::Ptr { .. } | Type::Array { .. }) { 0 } else { size };
        let is_chars = size == 1 && matches!(self.btf.resolved(elem)?, Type::Int(_));
        self.char_array = is_chars.then_some(false);
        // Elements without bytes say nothing, and there may be four milliards of them.
        for at in 0..if size == 0 { 0 } else { len as usize } {
            self.in_array = true;
            let part = Part { bytes: bytes.get(at * step..).unwrap_or_default(), bits: None };
            self.value(Named { member: "", id: elem }, elem, part, depth + 1)?;
            self.in_array = false;
            if self.char_array == Some(true) {
                break;
            }
        }
        self.char_array = None;
        Ok(())
    }

    /// What has parts: nothing where none of them is to be seen, unless it is all that is asked for. To know, Linux goes over the parts
    /// once before it writes them, and so do we: what that pass leaves in `in_array` decides which names are written.
    fn aggregate(
        &mut self,
        name: Named<'b>,
        end: u8,
        depth: usize,
        parts: impl Fn(&mut Self) -> Result<(), BtfError>,
    ) -> Result<(), BtfError> {
        if self.pass == Pass::Writes && !self.shown.zeroes && depth > 0 {
            self.pass = Pass::Looks { seen: false };
            parts(self)?;
            if core::mem::replace(&mut self.pass, Pass::Writes) == (Pass::Looks { seen: false }) {
                return Ok(());
            }
        }
        self.write(|show| {
            show.indent(depth);
            show.name(name);
            show.newline();
        });
        parts(self)?;
        self.write(|show| {
            show.indent(depth);
            show.out.push(end);
            show.end(depth);
        });
        Ok(())
    }

    fn int(&mut self, name: Named<'b>, int: &Int, bytes: &[u8], depth: usize) {
        let bits = u32::from(int.bits);
        let raw = bits_of(bytes, int.bit_offset.into(), bits);
        let signed = int.encoding == IntEncoding::Signed;
        match bits {
            8 if self.char_array.is_some() && raw == 0 => self.char_array = Some(true),
            // What the kernel calls printable, which is so in Latin-1.
            8 if self.char_array.is_some() && matches!(raw, 0x20..=0x7e | 0xa0..=0xff) => {
                self.text(name, depth, |out| {
                    out.0.extend([b'\'', raw as u8, b'\'']);
                })
            }
            8 | 16 | 32 | 64 if signed => {
                self.scalar(name, raw == 0, depth, format_args!("{}", sign(raw as u64, bits)));
            }
            8 | 16 | 32 | 64 => self.scalar(name, raw == 0, depth, format_args!("{raw}")),
            _ => self.scalar(name, raw == 0, depth, format_args!("{raw:#x}")),
        }
    }

    /// A value without parts: zeroes are left out, unless it is all that is asked for.
    fn scalar(&mut self, name: Named<'b>, is_zero: bool, depth: usize, value: fmt::Arguments<'_>) {
        if !is_zero || self.shown.zeroes || depth == 0 {
            // Writing to a string cannot fail.
            self.text(name, depth, |out| out.write_fmt(value).unwrap_or_default());
        }
    }

    fn text(&mut self, name: Named<'b>, depth: usize, value: impl FnOnce(&mut Text)) {
        if let Pass::Looks { seen } = &mut self.pass {
            *seen = true;
        }
        self.write(|show| {
            show.indent(depth);
            show.name(name);
            value(&mut show.out);
            show.end(depth);
        });
    }

    fn write(&mut self, what: impl FnOnce(&mut Self)) {
        if self.pass == Pass::Writes {
            what(self);
        }
    }

    fn indent(&mut self, depth: usize) {
        if !self.shown.compact {
            self.out.0.extend(core::iter::repeat_n(b' ', depth));
        }
    }

    fn newline(&mut self) {
        if !self.shown.compact {
            self.out.push(b'\n');
        }
    }

    fn end(&mut self, depth: usize) {
        if depth > 0 {
            self.out.push(b',');
        }
        self.newline();
    }

    /// `.member = (type)`, and what opens a value with parts.
    fn name(&mut self, Named { member, id }: Named<'b>) {
        if self.in_array {
            return;
        }
        let Some(shape) = self.shape(id) else { return };
        let start = self.out.0.len();
        if !self.shown.no_names {
            if !member.is_empty() {
                let _ = write!(self.out, ".{member} = ");
            }
            shape.write(&mut self.out);
        }
        self.out.0.extend(shape.opens());
        self.out.0.truncate(start + MAX_NAME);
    }

    /// What the name of a type is made of; `None` where Linux gives up.
    fn shape(&self, id: TypeId) -> Option<Shape<'b>> {
        let btf = self.btf;
        let mut shape = Shape { typedef: None, last: btf.get(id)?, name: btf.name(id), pointers: 0, arrays: 0 };
        for _ in 0..MAX_NAMED {
            let to = match shape.last {
                Type::Typedef { to, .. } => {
                    shape.typedef = shape.typedef.or(Some(shape.name));
                    *to
                }
                Type::Array { elem, .. } => {
                    shape.arrays += 1;
                    *elem
                }
                Type::Ptr { to } => {
                    shape.pointers += 1;
                    *to
                }
                // Qualifiers are passed over behind another type, and are the end where they come first.
                _ => return Some(shape),
            };
            let at = self.unqualified(to);
            (shape.last, shape.name) = (btf.get(at)?, btf.name(at));
        }
        None
    }

    fn unqualified(&self, mut id: TypeId) -> TypeId {
        for _ in 0..MAX_VALUE_DEPTH {
            match self.btf.get(id) {
                Some(Type::Volatile { to } | Type::Const { to } | Type::Restrict { to } | Type::TypeTag { to, .. }) => {
                    id = *to
                }
                Some(_) | None => break,
            }
        }
        id
    }
}

/// The parts of `struct list_head *`: a typedef or what is at the end, with the pointers and arrays on the way.
struct Shape<'b> {
    /// The first one on the way.
    typedef: Option<&'b str>,
    last: &'b Type,
    name: &'b str,
    pointers: usize,
    arrays: usize,
}

impl Shape<'_> {
    /// `(struct list_head *)`.
    fn write(&self, out: &mut Text) {
        let name = self.typedef.unwrap_or(self.name);
        let prefix = match self.last {
            _ if self.typedef.is_some() => "",
            Type::Struct(_) => "struct",
            Type::Union(_) => "union",
            Type::Enum(_) | Type::Enum64(_) => "enum",
            _ => "",
        };
        let gap = if prefix.is_empty() || name.is_empty() { "" } else { " " };
        let before_pointers = if self.pointers == 0 { "" } else { " " };
        let _ = write!(out, "({prefix}{gap}{name}{before_pointers}");
        out.0.extend(core::iter::repeat_n(b'*', self.pointers));
        (0..self.arrays).for_each(|_| out.0.extend(b"[]"));
        out.push(b')');
    }

    /// What opens a value of the type. Arrays of pointers end and do not begin.
    fn opens(&self) -> Option<u8> {
        match self.last {
            _ if self.pointers > 0 => None,
            _ if self.arrays > 0 => Some(b'['),
            Type::Struct(_) | Type::Union(_) => Some(b'{'),
            _ => None,
        }
    }
}

/// Bits of memory in little-endian order, up to 128.
fn bits_of(bytes: &[u8], first: u32, count: u32) -> u128 {
    let at = |index: u32| {
        let bit = first + index;
        bytes.get((bit / 8) as usize).is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
    };
    (0..count.min(128)).rev().fold(0, |all, index| all << 1 | u128::from(at(index)))
}

fn sign(raw: u64, bits: u32) -> i64 {
    let unused = 64 - bits.clamp(1, 64);
    (raw << unused).cast_signed() >> unused
}
