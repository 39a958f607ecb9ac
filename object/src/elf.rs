//! The ELF container, read with goblin and checked: everything that the rest of the crate sees lies within the file.

use std::sync::Arc;

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{ELFCLASS64, EM_BPF, EM_NONE, ET_REL, Header};
use goblin::elf::reloc::RelocSection;
use goblin::elf::section_header::{
    SHF_ALLOC, SHF_EXECINSTR, SHT_NOBITS, SHT_NULL, SHT_PROGBITS, SHT_REL, SHT_SYMTAB, SectionHeader,
};
use goblin::elf::sym::{STB_LOCAL, STB_WEAK, STT_FUNC, STT_SECTION, STV_DEFAULT, STV_PROTECTED, Symtab};
use ring3_isa::Endianness;

use crate::error::{ObjectError, Place};
use crate::{MAX_FILE, MAX_NAME, MAX_NAMES};

/// How ELF files begin.
const MAGIC: [u8; 4] = [0x7f, b'E', b'L', b'F'];

/// Largest alignment of a section that counts, a page.
const MAX_ALIGN: u64 = 4096;
/// Bytes of a symbol.
const SYMBOL_LEN: usize = 24;
/// Bytes of a relocation.
const REL_LEN: u64 = 16;

/// A section; what it holds is borrowed from the file.
pub(crate) struct Section<'a> {
    pub name: Arc<str>,
    pub kind: u32,
    pub flags: u64,
    /// Bytes in memory; `data` is empty for a section that has none in the file.
    pub size: u64,
    pub data: &'a [u8],
    /// A power of two.
    pub align: u64,
    link: usize,
    info: usize,
    entry: u64,
}

impl Section<'_> {
    /// Holds instructions.
    pub fn is_code(&self) -> bool {
        self.kind == SHT_PROGBITS && self.flags & u64::from(SHF_EXECINSTR) != 0 && self.size > 0
    }

    /// Holds zeros that are not in the file.
    pub fn is_zeros(&self) -> bool {
        self.kind == SHT_NOBITS
    }

    /// Is there when a program runs: instructions, data, maps, and what loaders are told beside.
    pub fn is_loaded(&self) -> bool {
        (self.is_bits() || self.is_zeros()) && self.flags & u64::from(SHF_ALLOC) != 0 && self.size > 0
    }

    /// Holds bytes.
    pub fn is_bits(&self) -> bool {
        self.kind == SHT_PROGBITS
    }
}

/// A symbol.
#[derive(Clone, Debug)]
pub(crate) struct Symbol {
    pub name: String,
    pub value: u64,
    pub size: u64,
    /// `None` if it is external (or absolute, which nothing here uses).
    pub section: Option<usize>,
    pub is_func: bool,
    pub is_section: bool,
    pub is_local: bool,
    /// May be missing.
    pub weak: bool,
    /// Not to be seen outside of the object.
    pub hidden: bool,
}

/// A relocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reloc {
    pub offset: u64,
    pub symbol: usize,
    pub kind: u32,
}

/// A checked ELF file.
pub(crate) struct Elf<'a> {
    pub file: Arc<str>,
    pub order: Endianness,
    pub sections: Vec<Section<'a>>,
    pub symbols: Vec<Symbol>,
    /// By index of the section they apply to; in the order of offsets.
    pub relocs: Vec<Vec<Reloc>>,
}

/// What errors need to say where.
struct Input<'a> {
    file: Arc<str>,
    bytes: &'a [u8],
    ctx: Ctx,
    /// Bytes of names so far: many symbols may share one long name.
    names: usize,
}

impl<'a> Elf<'a> {
    pub fn parse(file: &str, bytes: &'a [u8]) -> Result<Elf<'a>, ObjectError> {
        let file: Arc<str> = file.into();
        let at = |offset| Place { file: file.clone(), section: None, offset };
        if bytes.len() as u64 > MAX_FILE {
            return Err(ObjectError::Limit { at: at(0), what: "size", found: bytes.len() as u64, limit: MAX_FILE });
        }
        let bad = |offset, problem: String| ObjectError::Elf { at: at(offset), problem };
        if bytes.is_empty() {
            return Err(bad(0, "the file is empty".to_owned()));
        }
        if !bytes.starts_with(&MAGIC[..bytes.len().min(MAGIC.len())]) {
            return Err(bad(0, "it does not begin as ELF files do (7f 45 4c 46)".to_owned()));
        }
        let header =
            goblin::elf::Elf::parse_header(bytes).map_err(|_| bad(0, "the file ends in its header".to_owned()))?;
        check_header(&header).map_err(|(offset, problem)| bad(offset, problem))?;
        let le = header.endianness().map_err(|e| bad(5, e.to_string()))?;
        let mut input = Input { file: file.clone(), bytes, ctx: Ctx::new(Container::Big, le), names: 0 };

        let start = usize::try_from(header.e_shoff).unwrap_or(usize::MAX);
        let headers = SectionHeader::parse(bytes, start, usize::from(header.e_shnum), input.ctx).map_err(|_| {
            let (count, size) = (header.e_shnum, bytes.len());
            bad(header.e_shoff, format!("{count} section headers are said to be here, but the file has {size} bytes"))
        })?;
        let names = input.names(&headers, usize::from(header.e_shstrndx), "section names")?;
        let sections: Vec<_> = headers.iter().map(|h| input.section(h, names)).collect::<Result<_, _>>()?;
        let symbols = input.symbols(&headers, &sections)?;
        let relocs = input.relocs(&sections, symbols.len())?;
        let order = match le {
            Endian::Little => Endianness::Little,
            Endian::Big => Endianness::Big,
        };
        Ok(Elf { file, order, sections, symbols, relocs })
    }

    /// A place in a section.
    pub fn at(&self, section: usize, offset: u64) -> Place {
        let section = self.sections.get(section).map(|s| s.name.clone());
        Place { file: self.file.clone(), section, offset }
    }

    /// The first section with this name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.sections.iter().position(|s| &*s.name == name)
    }

    /// The symbols of a section.
    pub fn symbols_of(&self, section: usize) -> impl Iterator<Item = &Symbol> {
        self.symbols.iter().filter(move |s| s.section == Some(section))
    }
}

/// What other types of files are for.
const fn type_name(kind: u16) -> &'static str {
    match kind {
        2 => ": an executable",
        3 => ": an executable or a shared library",
        4 => ": a core dump",
        _ => "",
    }
}

/// What is not a relocatable 64-bit BPF file, with the offset of the field that says so.
fn check_header(header: &Header) -> Result<(), (u64, String)> {
    if header.e_ident[4] != ELFCLASS64 {
        return Err((4, "not a 64-bit file".to_owned()));
    }
    if header.e_type != ET_REL {
        return Err((16, format!("not a relocatable file (type {}{})", header.e_type, type_name(header.e_type))));
    }
    if header.e_machine != EM_BPF && header.e_machine != EM_NONE {
        return Err((18, format!("machine {} is not BPF (247)", header.e_machine)));
    }
    Ok(())
}

impl<'a> Input<'a> {
    fn bad(&self, section: Option<&str>, offset: u64, problem: String) -> ObjectError {
        let at = Place { file: self.file.clone(), section: section.map(Arc::from), offset };
        ObjectError::Elf { at, problem }
    }

    /// The bytes of a section; empty for one that has none.
    fn data(&self, header: &SectionHeader, name: &str) -> Result<&'a [u8], ObjectError> {
        if header.sh_type == SHT_NOBITS || header.sh_type == SHT_NULL {
            return Ok(&[]);
        }
        let range = usize::try_from(header.sh_offset).ok().zip(usize::try_from(header.sh_size).ok());
        let data = range.and_then(|(start, len)| self.bytes.get(start..start.checked_add(len)?));
        data.ok_or_else(|| {
            let (start, end) = (header.sh_offset, header.sh_offset.saturating_add(header.sh_size));
            let problem = format!("file bytes {start:#x} to {end:#x} are beyond the file's {:#x}", self.bytes.len());
            self.bad(Some(name), 0, problem)
        })
    }

    /// The NUL-terminated string at an offset of a string table; bytes that are not UTF-8 are replaced.
    fn name(&mut self, names: &[u8], offset: usize) -> Result<String, ObjectError> {
        let rest = names.get(offset..).unwrap_or(&[]);
        let rest = &rest[..rest.len().min(MAX_NAME)];
        let end = rest.iter().position(|b| *b == 0).unwrap_or(rest.len());
        self.names += end;
        if self.names > MAX_NAMES {
            let at = Place { file: self.file.clone(), section: None, offset: 0 };
            let (found, limit) = (self.names as u64, MAX_NAMES as u64);
            return Err(ObjectError::Limit { at, what: "bytes of names", found, limit });
        }
        Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
    }

    fn names(&self, headers: &[SectionHeader], index: usize, what: &str) -> Result<&'a [u8], ObjectError> {
        match headers.get(index) {
            Some(header) => self.data(header, what),
            None if headers.is_empty() => Ok(&[]),
            None => Err(self.bad(None, 62, format!("there is no section {index} for the {what}"))),
        }
    }

    fn section(&mut self, header: &SectionHeader, names: &[u8]) -> Result<Section<'a>, ObjectError> {
        let name = self.name(names, header.sh_name)?;
        let data = self.data(header, &name)?;
        Ok(Section {
            name: name.into(),
            kind: header.sh_type,
            flags: header.sh_flags,
            size: if header.sh_type == SHT_NULL { 0 } else { header.sh_size },
            data,
            align: if header.sh_addralign.is_power_of_two() { header.sh_addralign.min(MAX_ALIGN) } else { 1 },
            link: header.sh_link as usize,
            info: header.sh_info as usize,
            entry: header.sh_entsize,
        })
    }

    fn symbols(&mut self, headers: &[SectionHeader], sections: &[Section<'a>]) -> Result<Vec<Symbol>, ObjectError> {
        let Some(table) = sections.iter().find(|s| s.kind == SHT_SYMTAB && !s.data.is_empty()) else {
            return Ok(Vec::new());
        };
        let names = self.names(headers, table.link, "symbol names")?;
        let parsed = Symtab::parse(table.data, 0, table.data.len() / SYMBOL_LEN, self.ctx);
        let parsed = parsed.map_err(|e| self.bad(Some(&table.name), 0, e.to_string()))?;
        let mut symbols = Vec::new();
        for sym in parsed.iter() {
            let section = Some(sym.st_shndx).filter(|index| (1..sections.len()).contains(index));
            let is_section = sym.st_type() == STT_SECTION;
            let name = match section {
                Some(index) if is_section => self.name(sections[index].name.as_bytes(), 0)?,
                _ => self.name(names, sym.st_name)?,
            };
            symbols.push(Symbol {
                name,
                value: sym.st_value,
                size: sym.st_size,
                section,
                is_func: sym.st_type() == STT_FUNC,
                is_section,
                is_local: sym.st_bind() == STB_LOCAL,
                weak: sym.st_bind() == STB_WEAK,
                hidden: !matches!(sym.st_visibility(), STV_DEFAULT | STV_PROTECTED),
            });
        }
        Ok(symbols)
    }

    fn relocs(&self, sections: &[Section<'a>], symbols: usize) -> Result<Vec<Vec<Reloc>>, ObjectError> {
        let mut all: Vec<Vec<Reloc>> = Vec::new();
        all.resize_with(sections.len(), Vec::new);
        for section in sections.iter().filter(|s| s.kind == SHT_REL && s.info < sections.len() && s.info != 0) {
            if section.entry != REL_LEN {
                return Err(self.bad(
                    Some(&section.name),
                    0,
                    format!("entries of {} bytes, not {REL_LEN}", section.entry),
                ));
            }
            let parsed = RelocSection::parse(section.data, 0, section.data.len(), false, self.ctx);
            let parsed = parsed.map_err(|e| self.bad(Some(&section.name), 0, e.to_string()))?;
            for (index, reloc) in parsed.iter().enumerate() {
                if reloc.r_sym >= symbols {
                    let problem = format!("relocation to symbol {} of {symbols}", reloc.r_sym);
                    return Err(self.bad(Some(&section.name), index as u64 * REL_LEN, problem));
                }
                all[section.info].push(Reloc { offset: reloc.r_offset, symbol: reloc.r_sym, kind: reloc.r_type });
            }
        }
        for list in &mut all {
            list.sort_by_key(|r| r.offset);
        }
        Ok(all)
    }
}
