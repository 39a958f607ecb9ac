//! From bytes to [`Btf`].

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::types::*;
use crate::{Btf, BtfError, MAX_STRINGS, MAX_TYPES};

/// First two bytes of `.BTF` and `.BTF.ext`.
const MAGIC: u16 = 0xeb9f;
/// Bytes of the oldest header of `.BTF`.
const HEADER_LEN: u32 = 24;
/// Bytes of a type record before what its kind adds.
const TYPE_LEN: usize = 12;

/// Reads numbers of either byte order; knows where it is, for errors.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    pos: usize,
    endian: Endian,
}

impl<'a> Reader<'a> {
    /// Reads the magic, which tells the byte order.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Reader<'a>, BtfError> {
        let &[a, b, ..] = bytes else {
            return Err(BtfError::Truncated { what: "header", offset: bytes.len() });
        };
        let endian = match (u16::from_le_bytes([a, b]), u16::from_be_bytes([a, b])) {
            (MAGIC, _) => Endian::Little,
            (_, MAGIC) => Endian::Big,
            (found, _) => return Err(BtfError::BadMagic { found }),
        };
        Ok(Reader { bytes, pos: 2, endian })
    }

    /// The same bytes cut to `start..start + len`; offsets stay those of the whole.
    pub(crate) fn part(&self, what: &'static str, start: usize, len: usize) -> Result<Reader<'a>, BtfError> {
        let end = start.checked_add(len).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or(BtfError::Truncated { what, offset: self.bytes.len() })?;
        Ok(Reader { bytes: &self.bytes[..end], pos: start, endian: self.endian })
    }

    pub(crate) fn endian(&self) -> Endian {
        self.endian
    }

    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.pos)
    }

    fn take<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], BtfError> {
        let got = self.bytes.get(self.pos..).and_then(|rest| rest.first_chunk::<N>());
        let got = got.ok_or(BtfError::Truncated { what, offset: self.bytes.len() })?;
        self.pos += N;
        Ok(*got)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, BtfError> {
        self.take::<1>(what).map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, BtfError> {
        let raw = self.take::<4>(what)?;
        Ok(match self.endian {
            Endian::Little => u32::from_le_bytes(raw),
            Endian::Big => u32::from_be_bytes(raw),
        })
    }

    pub(crate) fn skip(&mut self, what: &'static str, count: usize) -> Result<(), BtfError> {
        if count > self.remaining() {
            return Err(BtfError::Truncated { what, offset: self.bytes.len() });
        }
        self.pos += count;
        Ok(())
    }
}

/// Reads what `.BTF` and `.BTF.ext` have in common; the reader is left after the header's length, which is returned.
pub(crate) fn open_header(bytes: &[u8], at_least: u32) -> Result<(Reader<'_>, u32), BtfError> {
    let mut r = Reader::open(bytes)?;
    let version = r.u8("header")?;
    if version != 1 {
        return Err(BtfError::BadVersion { found: version });
    }
    r.u8("header")?;
    let header_len = r.u32("header")?;
    if header_len < at_least || header_len as usize > bytes.len() {
        return Err(BtfError::BadHeaderLen { found: header_len });
    }
    Ok((r, header_len))
}

impl Btf {
    /// Reads a `.BTF` section or a raw BTF file of either byte order.
    ///
    /// All 19 kinds are known. Every name lies in the string section and every reference points at a type that is there;
    /// chains may still be circular, which the queries answer with an error.
    pub fn parse(bytes: &[u8]) -> Result<Btf, BtfError> {
        Btf::read(bytes, Btf::empty(), false)
    }

    /// Reads split BTF, as a kernel module has it: its types and strings are numbered on from those of `base`.
    ///
    /// The result has the types of both, so that every question to it is answered as for one; [`Btf::own_start`] says where
    /// the split ones start. Errors: as of [`Btf::parse`]; a base of the other byte order.
    pub fn parse_split(bytes: &[u8], base: &Btf) -> Result<Btf, BtfError> {
        Btf::read(bytes, base.clone(), true)
    }

    fn read(bytes: &[u8], base: Btf, is_split: bool) -> Result<Btf, BtfError> {
        let (mut r, header_len) = open_header(bytes, HEADER_LEN)?;
        let [type_off, type_len, str_off, str_len] =
            [r.u32("header")?, r.u32("header")?, r.u32("header")?, r.u32("header")?].map(|n| n as usize);
        if is_split && r.endian() != base.endian() {
            return Err(BtfError::OtherEndian);
        }
        let start = header_len as usize;
        let strings_at = start.saturating_add(str_off);
        r.part("string section", strings_at, str_len)?;
        let raw = &bytes[strings_at..strings_at + str_len];
        let (mut strings, mut types, own_start) = base.into_parts();
        let own_start = if is_split { types.len() } else { own_start };
        if is_split {
            strings.push_str(&read_split_strings(raw, strings_at, strings.len())?);
        } else {
            strings = read_strings(raw, strings_at)?;
        }

        let types_at = start.saturating_add(type_off);
        let mut r = r.part("type section", types_at, type_len)?;
        types.reserve(r.remaining() / (TYPE_LEN + 4) + 1);
        while r.remaining() > 0 {
            if types.len() > MAX_TYPES {
                return Err(BtfError::TooManyTypes { offset: r.pos() });
            }
            let ty = Record { id: types.len() as u32, offset: r.pos(), strings: strings.len() }.read(&mut r)?;
            types.push(ty);
        }
        check_references(&types, own_start)?;
        Ok(Btf::from_parts(strings, types, r.endian(), own_start))
    }
}

/// Checks the string section. Bytes that are not UTF-8 (source lines may be in any charset) become `?`, one for one, so
/// that offsets stay.
fn read_strings(raw: &[u8], offset: usize) -> Result<String, BtfError> {
    if raw.first() != Some(&0) || raw.last() != Some(&0) || raw.len() > MAX_STRINGS {
        return Err(BtfError::BadStrings { offset });
    }
    Ok(as_text(raw))
}

/// The strings of split BTF have the empty one in their base, and may be none.
fn read_split_strings(raw: &[u8], offset: usize, base: usize) -> Result<String, BtfError> {
    if !matches!(raw.last(), None | Some(0)) || raw.len() + base > MAX_STRINGS {
        return Err(BtfError::BadStrings { offset });
    }
    Ok(as_text(raw))
}

fn as_text(raw: &[u8]) -> String {
    let mut text = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(core::iter::repeat_n('?', chunk.invalid().len()));
    }
    text
}

/// Where a type record stands, for errors.
struct Record {
    id: u32,
    offset: usize,
    strings: usize,
}

impl Record {
    fn bad(&self, what: &'static str, found: u32) -> BtfError {
        BtfError::BadField { id: self.id, what, found, offset: self.offset }
    }

    fn name(&self, off: u32) -> Result<StrOff, BtfError> {
        if (off as usize) < self.strings {
            Ok(StrOff(off))
        } else {
            Err(BtfError::BadName { id: self.id, name: off, offset: self.offset })
        }
    }

    fn read(&self, r: &mut Reader<'_>) -> Result<Type, BtfError> {
        const WHAT: &str = "type record";
        let name = self.name(r.u32(WHAT)?)?;
        let info = r.u32(WHAT)?;
        // Bytes for kinds that have a size, a type's number for those that refer to one.
        let arg = r.u32(WHAT)?;
        let (vlen, kind, flag) = ((info & 0xffff) as usize, (info >> 24) & 0x1f, info >> 31 != 0);
        let to = TypeId(arg);
        Ok(match kind {
            1 => self.int(r, name, arg)?,
            2 => Type::Ptr { to },
            3 => Type::Array { elem: TypeId(r.u32(WHAT)?), index: TypeId(r.u32(WHAT)?), len: r.u32(WHAT)? },
            4 => Type::Struct(Composite { name, size: arg, members: self.members(r, vlen, flag)? }),
            5 => Type::Union(Composite { name, size: arg, members: self.members(r, vlen, flag)? }),
            6 => Type::Enum(self.enumeration(r, name, arg, vlen, flag, false)?),
            7 => Type::Fwd { name, is_union: flag },
            8 => Type::Typedef { name, to },
            9 => Type::Volatile { to },
            10 => Type::Const { to },
            11 => Type::Restrict { to },
            12 => Type::Func { name, proto: to, linkage: self.linkage(vlen as u32)? },
            13 => Type::FuncProto { ret: to, params: self.list(r, vlen, 8, |r| self.param(r))? },
            14 => Type::Var { name, ty: to, linkage: self.linkage(r.u32(WHAT)?)? },
            15 => Type::Datasec { name, size: arg, vars: self.list(r, vlen, 12, read_sec_var)? },
            16 => Type::Float { name, size: self.one_of("float size", arg, &[2, 4, 8, 12, 16])? },
            17 => Type::DeclTag { name, target: to, component: r.u32(WHAT)?.cast_signed(), is_attribute: flag },
            18 => Type::TypeTag { name, to, is_attribute: flag },
            19 => Type::Enum64(self.enumeration(r, name, arg, vlen, flag, true)?),
            kind => return Err(BtfError::UnknownKind { id: self.id, kind, offset: self.offset }),
        })
    }

    /// `count` records of `each` bytes. The room is checked first, so that no count makes us reserve more than the file has.
    fn list<T>(
        &self,
        r: &mut Reader<'_>,
        count: usize,
        each: usize,
        mut read: impl FnMut(&mut Reader<'_>) -> Result<T, BtfError>,
    ) -> Result<Box<[T]>, BtfError> {
        if count * each > r.remaining() {
            return Err(BtfError::Truncated { what: "type record", offset: r.pos() + r.remaining() });
        }
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(read(r)?);
        }
        Ok(list.into_boxed_slice())
    }

    fn one_of(&self, what: &'static str, found: u32, allowed: &[u32]) -> Result<u32, BtfError> {
        if allowed.contains(&found) { Ok(found) } else { Err(self.bad(what, found)) }
    }

    fn int(&self, r: &mut Reader<'_>, name: StrOff, size: u32) -> Result<Type, BtfError> {
        let data = r.u32("type record")?;
        let [_, encoding, bit_offset, bits] = [data >> 28, (data >> 24) & 0xf, (data >> 16) & 0xff, data & 0xff];
        self.one_of("int size", size, &[1, 2, 4, 8, 16])?;
        if bits == 0 || bit_offset + bits > size * 8 {
            return Err(self.bad("int data", data));
        }
        let encoding = match encoding as u8 {
            0 => IntEncoding::Unsigned,
            1 => IntEncoding::Signed,
            2 => IntEncoding::Char,
            4 => IntEncoding::Bool,
            other => IntEncoding::Other(other),
        };
        Ok(Type::Int(Int { name, size, bit_offset: bit_offset as u8, bits: bits as u8, encoding }))
    }

    fn members(&self, r: &mut Reader<'_>, count: usize, flag: bool) -> Result<Box<[Member]>, BtfError> {
        self.list(r, count, 12, |r| {
            let name = self.name(r.u32("member")?)?;
            let ty = TypeId(r.u32("member")?);
            let offset = r.u32("member")?;
            // With the kind flag the upper byte is the width of a bitfield.
            let (bit_offset, bitfield_size) =
                if flag { (offset & 0xff_ffff, (offset >> 24) as u8) } else { (offset, 0) };
            Ok(Member { name, ty, bit_offset, bitfield_size })
        })
    }

    fn enumeration(
        &self,
        r: &mut Reader<'_>,
        name: StrOff,
        size: u32,
        count: usize,
        signed: bool,
        wide: bool,
    ) -> Result<Enumeration, BtfError> {
        // Size 0 is an enum that is declared and not defined, which has no values.
        self.one_of("enum size", size, if count == 0 { &[0, 1, 2, 4, 8] } else { &[1, 2, 4, 8] })?;
        let values = self.list(r, count, if wide { 12 } else { 8 }, |r| {
            let name = self.name(r.u32("enumerator")?)?;
            let low = r.u32("enumerator")?;
            let value = match (wide, signed) {
                (true, _) => (u64::from(r.u32("enumerator")?) << 32 | u64::from(low)).cast_signed(),
                (false, true) => i64::from(low.cast_signed()),
                (false, false) => i64::from(low),
            };
            Ok(Enumerator { name, value })
        })?;
        Ok(Enumeration { name, size, signed, values })
    }

    fn param(&self, r: &mut Reader<'_>) -> Result<Param, BtfError> {
        Ok(Param { name: self.name(r.u32("parameter")?)?, ty: TypeId(r.u32("parameter")?) })
    }

    fn linkage(&self, raw: u32) -> Result<Linkage, BtfError> {
        match raw {
            0 => Ok(Linkage::Static),
            1 => Ok(Linkage::Global),
            2 => Ok(Linkage::Extern),
            other => Err(self.bad("linkage", other)),
        }
    }
}

fn read_sec_var(r: &mut Reader<'_>) -> Result<SecVar, BtfError> {
    Ok(SecVar { ty: TypeId(r.u32("variable")?), offset: r.u32("variable")?, size: r.u32("variable")? })
}

/// Every type that another refers to must be there.
fn check_references(types: &[Type], own_start: usize) -> Result<(), BtfError> {
    for (id, ty) in types.iter().enumerate().skip(own_start) {
        let mut missing = None;
        ty.each_reference(|to| {
            if to.index() >= types.len() {
                missing.get_or_insert(to);
            }
        });
        if let Some(to) = missing {
            return Err(BtfError::BadReference { id: id as u32, to: to.0 });
        }
    }
    Ok(())
}
