//! The result as an ELF file.

use ring3_isa::Endianness;

use super::Joined;
use super::types::Types;

/// Bytes of the file's header.
const HEADER: u64 = 64;
/// Bytes of a section's header.
const SECTION_HEADER: u16 = 64;
/// Bytes of a symbol.
const SYMBOL: u64 = 24;
/// Bytes of a relocation.
const RELOCATION: u64 = 16;
/// `EM_BPF`.
const MACHINE: u16 = 247;
/// `ET_REL`.
const RELOCATABLE: u16 = 1;
/// `SHT_PROGBITS`.
const BITS: u32 = 1;
/// `SHT_SYMTAB`.
const SYMBOLS: u32 = 2;
/// `SHT_STRTAB`.
const STRINGS: u32 = 3;
/// `SHT_NOBITS`.
const ZEROS: u32 = 8;
/// `SHT_REL`.
const RELOCATIONS: u32 = 9;

/// Numbers in the byte order of the file.
struct Writer {
    bytes: Vec<u8>,
    order: Endianness,
}

impl Writer {
    fn number<const N: usize>(&mut self, little: [u8; N]) {
        match self.order {
            Endianness::Little => self.bytes.extend(little),
            Endianness::Big => self.bytes.extend(little.iter().rev()),
        }
    }

    fn u16(&mut self, number: u16) {
        self.number(number.to_le_bytes());
    }

    fn u32(&mut self, number: u32) {
        self.number(number.to_le_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.number(number.to_le_bytes());
    }
}

/// A section's header and content.
struct Section {
    name: u32,
    kind: u32,
    flags: u64,
    data: Vec<u8>,
    size: u64,
    link: u32,
    info: u32,
    align: u64,
    entry: u64,
}

/// Names, each ended by a zero.
struct Names(Vec<u8>);

impl Names {
    fn add(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = self.0.len() as u32;
        self.0.extend(name.as_bytes());
        self.0.push(0);
        at
    }
}

pub(super) fn write(joined: &Joined, types: &Types) -> Vec<u8> {
    let order = joined.order;
    let mut names = Names(vec![0]);
    // First the empty section, names and symbols.
    const FIRST: u32 = 3;
    let symtab = 2;
    let (symbols, locals, numbers) = symbols(joined, &mut names, FIRST);
    let mut sections: Vec<Section> = Vec::new();
    let plain = |name, kind, data: Vec<u8>| {
        let size = data.len() as u64;
        Section { name, kind, flags: 0, data, size, link: 0, info: 0, align: 1, entry: 0 }
    };
    for out in &joined.sections {
        let section = plain(names.add(&out.name), out.kind, out.data.clone());
        sections.push(Section { flags: out.flags, size: out.size, align: out.align, ..section });
    }
    for (at, out) in (FIRST..).zip(&joined.sections).filter(|(_, out)| !out.relocs.is_empty()) {
        let mut data = Writer { bytes: Vec::new(), order };
        for reloc in &out.relocs {
            data.u64(reloc.offset);
            data.u64(u64::from(numbers[reloc.symbol]) << 32 | u64::from(reloc.kind));
        }
        let section = plain(names.add(&format!(".rel{}", out.name)), RELOCATIONS, data.bytes);
        sections.push(Section { link: symtab, info: at, align: 8, entry: RELOCATION, ..section });
    }
    for (name, data) in [(".BTF", &types.btf), (".BTF.ext", &types.ext)] {
        if !data.is_empty() {
            sections.push(Section { align: 4, ..plain(names.add(name), BITS, data.clone()) });
        }
    }
    let (strtab_name, symtab_name) = (names.add(".strtab"), names.add(".symtab"));
    let symbols = Section { link: 1, info: locals, align: 8, entry: SYMBOL, ..plain(symtab_name, SYMBOLS, symbols) };
    let first = [Section { align: 0, ..plain(0, 0, Vec::new()) }, plain(strtab_name, STRINGS, names.0), symbols];
    file(order, first.into_iter().chain(sections).collect())
}

/// The table of symbols, local ones first: how many these are, and the number of each symbol.
fn symbols(joined: &Joined, names: &mut Names, first: u32) -> (Vec<u8>, u32, Vec<u32>) {
    let mut numbers = vec![0u32; joined.symbols.len()];
    let mut table = Writer { bytes: vec![0; SYMBOL as usize], order: joined.order };
    let (mut next, mut locals) = (1u32, 1u32);
    for local in [true, false] {
        for (at, out) in joined.symbols.iter().enumerate().filter(|(_, out)| out.symbol.is_local == local) {
            let symbol = &out.symbol;
            // STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_SECTION.
            let kind = match (symbol.is_section, symbol.is_func, symbol.section) {
                (true, ..) => 3,
                (_, true, _) => 2,
                (_, _, Some(_)) if symbol.size > 0 => 1,
                (_, _, Some(_) | None) => 0,
            };
            // STB_LOCAL, STB_GLOBAL, STB_WEAK.
            let binding = if local { 0 } else { 1 + u8::from(symbol.weak) };
            table.u32(names.add(&symbol.name));
            table.bytes.extend([binding << 4 | kind, if symbol.hidden { 2 } else { 0 }]);
            // No file has more sections than its 16 bits count.
            table.u16(symbol.section.map_or(0, |section| (section as u32 + first) as u16));
            table.u64(symbol.value);
            table.u64(symbol.size);
            numbers[at] = next;
            next += 1;
        }
        if local {
            locals = next;
        }
    }
    (table.bytes, locals, numbers)
}

fn file(order: Endianness, sections: Vec<Section>) -> Vec<u8> {
    let mut out = Writer { bytes: Vec::new(), order };
    let data = match order {
        Endianness::Little => 1,
        Endianness::Big => 2,
    };
    out.bytes.extend([0x7f, b'E', b'L', b'F', 2, data, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    out.u16(RELOCATABLE);
    out.u16(MACHINE);
    out.u32(1);
    let mut at = HEADER;
    let mut offsets = Vec::new();
    for section in &sections {
        at = at.next_multiple_of(section.align.max(1));
        offsets.push(at);
        at += section.data.len() as u64;
    }
    let headers = at.next_multiple_of(8);
    [0, 0, headers].iter().for_each(|number| out.u64(*number));
    out.u32(0);
    [HEADER as u16, 0, 0, SECTION_HEADER, sections.len() as u16, 1].iter().for_each(|number| out.u16(*number));
    for (section, offset) in sections.iter().zip(&offsets) {
        out.bytes.resize(*offset as usize, 0);
        out.bytes.extend(&section.data);
    }
    out.bytes.resize(headers as usize, 0);
    for (section, offset) in sections.iter().zip(offsets) {
        out.u32(section.name);
        out.u32(section.kind);
        out.u64(section.flags);
        out.u64(0);
        out.u64(if section.kind == 0 { 0 } else { offset });
        out.u64(if section.kind == ZEROS { section.size } else { section.data.len() as u64 });
        out.u32(section.link);
        out.u32(section.info);
        out.u64(section.align);
        out.u64(section.entry);
    }
    out.bytes
}
