//! Several objects in one, as `bpftool gen object` makes them: sections of the same name behind one another, symbols that one
//! object needs and another has brought together, types each once.

mod types;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use ring3_isa::{Endianness, RawInsn};

use crate::elf::{Elf, Symbol};
use crate::error::ObjectError;
use crate::{MAX_BSS, MAX_FILE};

/// Relocation of a 64-bit immediate load.
const R_BPF_64_64: u32 = 1;
/// Relocation of an address in data, 8 bytes.
const R_BPF_64_ABS64: u32 = 2;
/// Relocation of an address in data, 4 bytes.
const R_BPF_64_ABS32: u32 = 3;
/// Relocation of a call.
const R_BPF_64_32: u32 = 10;
/// Most sections of the result: with those of their relocations fewer than its 16 bits can number.
const MAX_SECTIONS: usize = 30_000;
/// Sections that say the same in all objects.
const SAME: [&str; 2] = ["license", "version"];

/// Makes one object of several. `inputs` are names, for errors, and files; the byte order must be the same.
///
/// Symbols: one strong definition wins over weak ones, of which the first counts; two strong ones are an error. What a name of
/// one object means in another must be of the same type. Names that no object has stay external: calls of functions of the
/// kernel, values of its configuration, or what a later call brings.
///
/// Errors: a file that is no BPF object; sections or symbols that do not go together; more than [`MAX_FILE`] bytes.
pub fn join(inputs: &[(&str, &[u8])]) -> Result<Vec<u8>, ObjectError> {
    let elves: Vec<Elf<'_>> = inputs.iter().map(|(name, bytes)| Elf::parse(name, bytes)).collect::<Result<_, _>>()?;
    let order = elves.first().map_or(Endianness::Little, |elf| elf.order);
    let mut joined = Joined { order, sections: Vec::new(), symbols: Vec::new(), named: BTreeMap::new(), size: 0 };
    let mut places = Vec::new();
    for elf in &elves {
        if elf.order != order {
            return Err(bad(&elf.file, "byte order", "it is not that of the objects before"));
        }
        let sections = joined.add_sections(elf)?;
        let symbols = joined.add_symbols(elf, &sections)?;
        joined.add_relocations(elf, &sections, &symbols)?;
        places.push(Placed { sections, symbols });
    }
    if joined.sections.len() > MAX_SECTIONS {
        let (what, found, limit) = ("number of sections", joined.sections.len() as u64, MAX_SECTIONS as u64);
        return Err(ObjectError::Limit { at: elves[0].at(0, 0), what, found, limit });
    }
    let types = types::merge(&elves, &mut joined, &places)?;
    Ok(write::write(&joined, &types))
}

fn bad(file: &Arc<str>, name: &str, problem: impl Into<String>) -> ObjectError {
    ObjectError::Join { file: file.clone(), name: name.to_owned(), problem: problem.into() }
}

/// A section of the result.
struct OutSection {
    name: Arc<str>,
    /// `sh_type`.
    kind: u32,
    /// `sh_flags`.
    flags: u64,
    align: u64,
    /// Empty for zeros.
    data: Vec<u8>,
    size: u64,
    relocs: Vec<OutReloc>,
    /// The symbol of the section itself.
    symbol: usize,
}

/// A relocation of the result.
struct OutReloc {
    offset: u64,
    symbol: usize,
    kind: u32,
}

/// A symbol of the result.
struct OutSymbol {
    symbol: Symbol,
    /// The object that it came from.
    file: Arc<str>,
}

/// What comes of all inputs.
struct Joined {
    order: Endianness,
    sections: Vec<OutSection>,
    symbols: Vec<OutSymbol>,
    /// Symbols that are not local, by name.
    named: BTreeMap<String, usize>,
    /// Bytes of all sections, zeros included.
    size: u64,
}

/// Where an input went.
struct Placed {
    /// By section: that of the result, and the offset in it.
    sections: Vec<Option<(usize, u64)>>,
    /// By symbol.
    symbols: Vec<Option<usize>>,
}

impl Joined {
    fn add_sections(&mut self, elf: &Elf<'_>) -> Result<Vec<Option<(usize, u64)>>, ObjectError> {
        let mut places = Vec::with_capacity(elf.sections.len());
        for section in &elf.sections {
            let is_debug = section.name.starts_with(".debug") || matches!(&*section.name, ".BTF" | ".BTF.ext");
            if !section.is_loaded() || is_debug {
                places.push(None);
                continue;
            }
            let known = self.sections.iter().position(|out| out.name == section.name);
            let at = known.unwrap_or_else(|| self.new_section(elf, section));
            let out = &mut self.sections[at];
            if known.is_some() && SAME.contains(&&*section.name) {
                if out.data != section.data {
                    return Err(bad(&elf.file, &section.name, "it is not that of the objects before"));
                }
                places.push(Some((at, 0)));
                continue;
            }
            if (out.kind, out.flags) != (section.kind, section.flags) {
                return Err(bad(&elf.file, &section.name, "the section is of another type than in the objects before"));
            }
            let start = out.size.next_multiple_of(section.align.max(1));
            let end = start.saturating_add(section.size);
            self.size = self.size.saturating_add(end - out.size);
            if self.size > MAX_FILE.max(MAX_BSS) {
                let (what, at) = ("bytes of all sections", elf.at(places.len(), 0));
                return Err(ObjectError::Limit { at, what, found: self.size, limit: MAX_FILE.max(MAX_BSS) });
            }
            if !section.is_zeros() {
                out.data.resize(start as usize, 0);
                out.data.extend_from_slice(section.data);
            }
            (out.size, out.align) = (end, out.align.max(section.align));
            places.push(Some((at, start)));
        }
        Ok(places)
    }

    fn new_section(&mut self, elf: &Elf<'_>, section: &crate::elf::Section<'_>) -> usize {
        let at = self.sections.len();
        let symbol = Symbol {
            name: String::new(),
            value: 0,
            size: 0,
            section: Some(at),
            is_func: false,
            is_section: true,
            is_local: true,
            weak: false,
            hidden: false,
        };
        self.symbols.push(OutSymbol { symbol, file: elf.file.clone() });
        self.sections.push(OutSection {
            name: section.name.clone(),
            kind: section.kind,
            flags: section.flags,
            align: section.align,
            data: Vec::new(),
            size: 0,
            relocs: Vec::new(),
            symbol: self.symbols.len() - 1,
        });
        at
    }

    fn add_symbols(
        &mut self,
        elf: &Elf<'_>,
        sections: &[Option<(usize, u64)>],
    ) -> Result<Vec<Option<usize>>, ObjectError> {
        let mut places = Vec::with_capacity(elf.symbols.len());
        for symbol in &elf.symbols {
            let place = symbol.section.map(|at| sections.get(at).copied().flatten());
            places.push(match place {
                // Of a section that is left out.
                Some(None) => None,
                Some(Some((at, _))) if symbol.is_section => Some(self.sections[at].symbol),
                Some(Some((at, start))) => {
                    let value = symbol.value.saturating_add(start);
                    Some(self.add_symbol(elf, Symbol { section: Some(at), value, ..symbol.clone() })?)
                }
                // Names of files, and the empty first one.
                None if symbol.is_local || symbol.name.is_empty() => None,
                None => Some(self.add_symbol(elf, symbol.clone())?),
            });
        }
        Ok(places)
    }

    fn add_symbol(&mut self, elf: &Elf<'_>, symbol: Symbol) -> Result<usize, ObjectError> {
        let fresh = self.symbols.len();
        if symbol.is_local {
            self.symbols.push(OutSymbol { symbol, file: elf.file.clone() });
            return Ok(fresh);
        }
        let Some(&at) = self.named.get(&symbol.name) else {
            self.named.insert(symbol.name.clone(), fresh);
            self.symbols.push(OutSymbol { symbol, file: elf.file.clone() });
            return Ok(fresh);
        };
        let known = &mut self.symbols[at];
        let is_shared = |s: &Symbol| s.section.is_some_and(|at| SAME.contains(&&*self.sections[at].name));
        match (known.symbol.section, symbol.section) {
            (Some(_), Some(_)) if is_shared(&known.symbol) && is_shared(&symbol) => {}
            (Some(_), Some(_)) if !known.symbol.weak && !symbol.weak => {
                let problem = format!("the symbol is defined in {} too", known.file);
                return Err(bad(&elf.file, &symbol.name, problem));
            }
            (Some(_), Some(_)) if known.symbol.is_func != symbol.is_func => {
                let problem = format!("it is a function here or in {}, and no function in the other", known.file);
                return Err(bad(&elf.file, &symbol.name, problem));
            }
            (Some(_), Some(_)) => {
                let hidden = known.symbol.hidden || symbol.hidden;
                if known.symbol.weak && !symbol.weak {
                    *known = OutSymbol { symbol, file: elf.file.clone() };
                }
                known.symbol.hidden = hidden;
            }
            (None, Some(_)) => {
                let hidden = known.symbol.hidden || symbol.hidden;
                *known = OutSymbol { symbol: Symbol { hidden, ..symbol }, file: elf.file.clone() };
            }
            (Some(_), None) => known.symbol.hidden |= symbol.hidden,
            (None, None) => known.symbol.weak &= symbol.weak,
        }
        Ok(at)
    }

    fn add_relocations(
        &mut self,
        elf: &Elf<'_>,
        sections: &[Option<(usize, u64)>],
        symbols: &[Option<usize>],
    ) -> Result<(), ObjectError> {
        for (section, relocs) in elf.relocs.iter().enumerate() {
            let Some((out, start)) = sections.get(section).copied().flatten() else { continue };
            for reloc in relocs {
                let place = |problem: &str| bad(&elf.file, &elf.at(section, reloc.offset).to_string(), problem);
                let source = &elf.symbols[reloc.symbol];
                let symbol = symbols.get(reloc.symbol).copied().flatten();
                let symbol = symbol.ok_or_else(|| place("it refers to what is left out"))?;
                let offset = reloc.offset.saturating_add(start);
                if source.is_section
                    && let Some((_, shift)) = source.section.and_then(|at| sections.get(at).copied().flatten())
                {
                    let order = self.order;
                    shift_addend(&mut self.sections[out].data, order, offset, reloc.kind, shift)
                        .ok_or_else(|| place("it cannot be moved"))?;
                }
                self.sections[out].relocs.push(OutReloc { offset, symbol, kind: reloc.kind });
            }
        }
        Ok(())
    }
}

/// What is relocated relative to a section that begins `shift` bytes later.
fn shift_addend(data: &mut [u8], order: Endianness, offset: u64, kind: u32, shift: u64) -> Option<()> {
    let at = usize::try_from(offset).ok()?;
    let room = data.get_mut(at..)?;
    match kind {
        R_BPF_64_64 | R_BPF_64_32 => {
            let slot = room.first_chunk_mut::<{ RawInsn::BYTES }>()?;
            let mut insn = RawInsn::from_bytes(*slot, order);
            let by = if kind == R_BPF_64_64 { shift } else { shift / RawInsn::BYTES as u64 };
            insn.imm = insn.imm.checked_add(i32::try_from(by).ok()?)?;
            *slot = insn.to_bytes(order);
        }
        R_BPF_64_ABS64 => {
            let word = room.first_chunk_mut::<8>()?;
            *word = match order {
                Endianness::Little => u64::from_le_bytes(*word).checked_add(shift)?.to_le_bytes(),
                Endianness::Big => u64::from_be_bytes(*word).checked_add(shift)?.to_be_bytes(),
            };
        }
        R_BPF_64_ABS32 => {
            let word = room.first_chunk_mut::<4>()?;
            let shift = u32::try_from(shift).ok()?;
            *word = match order {
                Endianness::Little => u32::from_le_bytes(*word).checked_add(shift)?.to_le_bytes(),
                Endianness::Big => u32::from_be_bytes(*word).checked_add(shift)?.to_be_bytes(),
            };
        }
        _ => return None,
    }
    Some(())
}
