//! An ELF object in memory that says where functions are and how frames are left, but has none of the code: what a debugger reads.

use super::{Symbols, elf_machine, unwind};
use crate::Compiled;

const HEADER_BYTES: u64 = 64;
const SECTION_BYTES: u64 = 64;
const SYMBOL_BYTES: u64 = 24;

const SHT_PROGBITS: u32 = 1;
const SHT_SYMTAB: u32 = 2;
const SHT_STRTAB: u32 = 3;
const SHT_NOBITS: u32 = 8;
const SHF_ALLOC: u64 = 2;
const SHF_EXECINSTR: u64 = 4;
/// `STB_GLOBAL` and `STT_FUNC`.
const GLOBAL_FUNCTION: u8 = 0x12;
/// The section with the code, by its place below.
const TEXT: u16 = 1;

/// One row of the table of sections.
struct Section {
    name: u32,
    kind: u32,
    flags: u64,
    addr: u64,
    offset: u64,
    size: u64,
    link: u32,
    info: u32,
    align: u64,
    entry: u64,
}

/// The object.
pub(super) fn object(compiled: &Compiled, symbols: &Symbols) -> Vec<u8> {
    // Names of sections first, then those of functions.
    let mut names = b"\0.text\0.eh_frame\0.symtab\0.strtab\0".to_vec();
    let mut table = vec![0; SYMBOL_BYTES as usize];
    for function in &symbols.functions {
        table.extend((names.len() as u32).to_ne_bytes());
        table.extend([GLOBAL_FUNCTION, 0]);
        table.extend(TEXT.to_ne_bytes());
        table.extend((compiled.address() + function.code.start as u64).to_ne_bytes());
        table.extend((function.code.len() as u64).to_ne_bytes());
        names.extend(function.name.as_bytes());
        names.push(0);
    }
    let frames = unwind::eh_frame(compiled);
    let frames_at = HEADER_BYTES;
    let table_at = frames_at + frames.len().next_multiple_of(8) as u64;
    let names_at = table_at + table.len() as u64;
    let sections_at = names_at + names.len().next_multiple_of(8) as u64;
    let section = |name, kind| Section {
        name,
        kind,
        flags: 0,
        addr: 0,
        offset: HEADER_BYTES,
        size: 0,
        link: 0,
        info: 0,
        align: 8,
        entry: 0,
    };
    let sections = [
        Section { offset: 0, align: 0, ..section(0, 0) },
        Section {
            flags: SHF_ALLOC | SHF_EXECINSTR,
            addr: compiled.address(),
            size: compiled.code().len() as u64,
            align: 16,
            ..section(1, SHT_NOBITS)
        },
        // At an address of its own: debuggers take it for where the section is in memory, and its pointers are absolute.
        Section { flags: SHF_ALLOC, offset: frames_at, size: frames.len() as u64, ..section(7, SHT_PROGBITS) },
        Section {
            offset: table_at,
            size: table.len() as u64,
            link: 4,
            info: 1,
            entry: SYMBOL_BYTES,
            ..section(17, SHT_SYMTAB)
        },
        Section { offset: names_at, size: names.len() as u64, align: 1, ..section(25, SHT_STRTAB) },
    ];
    let mut out = header(sections_at, sections.len() as u16);
    for part in [frames, table, names] {
        out.extend(part);
        out.resize(out.len().next_multiple_of(8), 0);
    }
    for section in sections {
        section.push(&mut out);
    }
    out
}

/// The header of an object without segments; the names of sections are in the last one.
fn header(sections_at: u64, sections: u16) -> Vec<u8> {
    let mut out = vec![0x7f, b'E', b'L', b'F', 2, if cfg!(target_endian = "little") { 1 } else { 2 }, 1, 0];
    out.extend([0; 8]);
    // A relocatable object's sections would be moved; this is where it is.
    out.extend(2u16.to_ne_bytes());
    out.extend(elf_machine().to_ne_bytes());
    out.extend(1u32.to_ne_bytes());
    for word in [0, 0, sections_at] {
        out.extend(u64::to_ne_bytes(word));
    }
    out.extend(0u32.to_ne_bytes());
    for half in [HEADER_BYTES as u16, 0, 0, SECTION_BYTES as u16, sections, sections - 1] {
        out.extend(half.to_ne_bytes());
    }
    out
}

impl Section {
    fn push(&self, out: &mut Vec<u8>) {
        out.extend(self.name.to_ne_bytes());
        out.extend(self.kind.to_ne_bytes());
        for word in [self.flags, self.addr, self.offset, self.size] {
            out.extend(word.to_ne_bytes());
        }
        out.extend(self.link.to_ne_bytes());
        out.extend(self.info.to_ne_bytes());
        out.extend(self.align.to_ne_bytes());
        out.extend(self.entry.to_ne_bytes());
    }
}
