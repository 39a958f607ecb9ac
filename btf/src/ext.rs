//! `.BTF.ext`: what belongs to instructions. `Documentation/bpf/btf.rst`, section 4.2.

use alloc::vec::Vec;

use crate::parse::{Reader, open_header};
use crate::types::{Endian, StrOff, TypeId};
use crate::{Btf, BtfError};

/// Bytes of the oldest header, without CO-RE relocations.
const HEADER_LEN: u32 = 24;
/// Bytes of the header with CO-RE relocations.
const HEADER_LEN_CORE: u32 = 32;
/// Largest record; far more than any kernel has.
const MAX_RECORD: u32 = 1024;

/// Records of one program section.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExtSection<T> {
    /// Name of the ELF section, in the strings of the `.BTF` beside.
    pub name: StrOff,
    /// In the order of the file.
    pub records: Vec<T>,
}

/// `struct bpf_func_info`: a function starts here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ExtFunc {
    /// Bytes from the start of the section.
    pub insn_off: u32,
    /// A `FUNC`.
    pub type_id: TypeId,
}

/// `struct bpf_line_info`: from here on the code is of this source line.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ExtLine {
    /// Bytes from the start of the section.
    pub insn_off: u32,
    /// Path of the source file.
    pub file: StrOff,
    /// Text of the line.
    pub text: StrOff,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1; 0 if unknown.
    pub col: u32,
}

/// What a CO-RE relocation asks for (`enum bpf_core_relo_kind`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum CoreReloKind {
    FieldByteOffset,
    FieldByteSize,
    FieldExists,
    FieldSigned,
    FieldLshift,
    FieldRshift,
    TypeIdLocal,
    TypeIdTarget,
    TypeExists,
    TypeSize,
    EnumvalExists,
    EnumvalValue,
    TypeMatches,
    /// A number that is not known here.
    Unknown(u32),
}

impl CoreReloKind {
    /// From its number in the file.
    pub const fn from_raw(raw: u32) -> CoreReloKind {
        match raw {
            0 => CoreReloKind::FieldByteOffset,
            1 => CoreReloKind::FieldByteSize,
            2 => CoreReloKind::FieldExists,
            3 => CoreReloKind::FieldSigned,
            4 => CoreReloKind::FieldLshift,
            5 => CoreReloKind::FieldRshift,
            6 => CoreReloKind::TypeIdLocal,
            7 => CoreReloKind::TypeIdTarget,
            8 => CoreReloKind::TypeExists,
            9 => CoreReloKind::TypeSize,
            10 => CoreReloKind::EnumvalExists,
            11 => CoreReloKind::EnumvalValue,
            12 => CoreReloKind::TypeMatches,
            other => CoreReloKind::Unknown(other),
        }
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        match self {
            CoreReloKind::FieldByteOffset => 0,
            CoreReloKind::FieldByteSize => 1,
            CoreReloKind::FieldExists => 2,
            CoreReloKind::FieldSigned => 3,
            CoreReloKind::FieldLshift => 4,
            CoreReloKind::FieldRshift => 5,
            CoreReloKind::TypeIdLocal => 6,
            CoreReloKind::TypeIdTarget => 7,
            CoreReloKind::TypeExists => 8,
            CoreReloKind::TypeSize => 9,
            CoreReloKind::EnumvalExists => 10,
            CoreReloKind::EnumvalValue => 11,
            CoreReloKind::TypeMatches => 12,
            CoreReloKind::Unknown(other) => other,
        }
    }

    /// The name that loaders print: `byte_off`, `field_exists`.
    pub const fn name(self) -> &'static str {
        match self {
            CoreReloKind::FieldByteOffset => "byte_off",
            CoreReloKind::FieldByteSize => "byte_sz",
            CoreReloKind::FieldExists => "field_exists",
            CoreReloKind::FieldSigned => "signed",
            CoreReloKind::FieldLshift => "lshift_u64",
            CoreReloKind::FieldRshift => "rshift_u64",
            CoreReloKind::TypeIdLocal => "local_type_id",
            CoreReloKind::TypeIdTarget => "target_type_id",
            CoreReloKind::TypeExists => "type_exists",
            CoreReloKind::TypeSize => "type_size",
            CoreReloKind::EnumvalExists => "enumval_exists",
            CoreReloKind::EnumvalValue => "enumval_value",
            CoreReloKind::TypeMatches => "type_matches",
            CoreReloKind::Unknown(_) => "unknown",
        }
    }
}

/// `struct bpf_core_relo`: this instruction depends on a type of the target kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CoreRelo {
    /// Bytes from the start of the section.
    pub insn_off: u32,
    /// The local type.
    pub type_id: TypeId,
    /// Access path, like `0:1:2`.
    pub access: StrOff,
    /// What is asked for.
    pub kind: CoreReloKind,
}

/// A parsed `.BTF.ext`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BtfExt {
    /// Byte order of the file.
    pub endian: Endian,
    /// Function starts by section.
    pub funcs: Vec<ExtSection<ExtFunc>>,
    /// Source lines by section.
    pub lines: Vec<ExtSection<ExtLine>>,
    /// CO-RE relocations by section.
    pub relos: Vec<ExtSection<CoreRelo>>,
}

impl BtfExt {
    /// Reads a `.BTF.ext` section of either byte order. Records may be longer than what is known; the rest is skipped.
    pub fn parse(bytes: &[u8]) -> Result<BtfExt, BtfError> {
        let (mut r, header_len) = open_header(bytes, HEADER_LEN)?;
        let mut next =
            || -> Result<(usize, usize), BtfError> { Ok((r.u32("header")? as usize, r.u32("header")? as usize)) };
        let (funcs, lines) = (next()?, next()?);
        let relos = if header_len >= HEADER_LEN_CORE { next()? } else { (0, 0) };
        let part = |what, (off, len): (usize, usize)| r.part(what, (header_len as usize).saturating_add(off), len);
        Ok(BtfExt {
            endian: r.endian(),
            funcs: read_sections("func_info", part("func_info", funcs)?, 8, |r| {
                Ok(ExtFunc { insn_off: r.u32("func_info")?, type_id: TypeId(r.u32("func_info")?) })
            })?,
            lines: read_sections("line_info", part("line_info", lines)?, 16, |r| {
                const WHAT: &str = "line_info";
                let (insn_off, file, text) = (r.u32(WHAT)?, StrOff(r.u32(WHAT)?), StrOff(r.u32(WHAT)?));
                let line_col = r.u32(WHAT)?;
                Ok(ExtLine { insn_off, file, text, line: line_col >> 10, col: line_col & 0x3ff })
            })?,
            relos: read_sections("core_relo", part("core_relo", relos)?, 16, |r| {
                const WHAT: &str = "core_relo";
                let (insn_off, type_id, access) = (r.u32(WHAT)?, TypeId(r.u32(WHAT)?), StrOff(r.u32(WHAT)?));
                Ok(CoreRelo { insn_off, type_id, access, kind: CoreReloKind::from_raw(r.u32(WHAT)?) })
            })?,
        })
    }

    /// The function starts of a section.
    pub fn funcs_of(&self, btf: &Btf, section: &str) -> &[ExtFunc] {
        records_of(&self.funcs, btf, section)
    }

    /// The source lines of a section.
    pub fn lines_of(&self, btf: &Btf, section: &str) -> &[ExtLine] {
        records_of(&self.lines, btf, section)
    }

    /// The CO-RE relocations of a section.
    pub fn relos_of(&self, btf: &Btf, section: &str) -> &[CoreRelo] {
        records_of(&self.relos, btf, section)
    }
}

fn records_of<'a, T>(sections: &'a [ExtSection<T>], btf: &Btf, name: &str) -> &'a [T] {
    sections.iter().find(|s| btf.string(s.name) == name).map_or(&[], |s| &s.records)
}

/// One of the three parts: a record size, then for each section its name, a count and the records.
fn read_sections<T>(
    what: &'static str,
    mut r: Reader<'_>,
    known: u32,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, BtfError>,
) -> Result<Vec<ExtSection<T>>, BtfError> {
    let mut sections = Vec::new();
    if r.remaining() == 0 {
        return Ok(sections);
    }
    let offset = r.pos();
    let size = r.u32(what)?;
    if size < known || size > MAX_RECORD || size % 4 != 0 {
        return Err(BtfError::BadRecordSize { what, found: size, offset });
    }
    while r.remaining() > 0 {
        let name = StrOff(r.u32(what)?);
        let count = r.u32(what)? as usize;
        if count > r.remaining() / size as usize {
            return Err(BtfError::Truncated { what, offset: r.pos() + r.remaining() });
        }
        let mut records = Vec::with_capacity(count);
        for _ in 0..count {
            records.push(read(&mut r)?);
            r.skip(what, (size - known) as usize)?;
        }
        sections.push(ExtSection { name, records });
    }
    Ok(sections)
}
