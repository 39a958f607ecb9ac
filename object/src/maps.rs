//! Map definitions: `.maps` by BTF, `maps` of old, and sections of global data.

use std::sync::Arc;

use ring3_btf::{Btf, Kind, Linkage, Member, SecVar, Type, TypeId};
use ring3_isa::Endianness;
use ring3_platform::MapFlags;
use ring3_platform::maps::{Fields, MapDef, MapType, PAGE_SIZE, Pinning, SlotInit};

use crate::MAX_BSS;
use crate::elf::{Elf, Reloc};
use crate::error::{MapProblem, ObjectError};

/// `R_BPF_64_ABS64`: an address in data.
const R_BPF_64_ABS64: u32 = 2;
/// Bytes that a slot of `values` takes in the file.
const SLOT_LEN: u64 = 8;
/// `type`, `key_size`, `value_size`, `max_entries`, `map_flags`, four bytes each: the fields of `struct bpf_map_def`.
const LEGACY_LEN: u64 = 20;
/// Bytes of iproute2's `struct bpf_elf_map`: those fields, then `id`, `pinning`, `inner_id` and `inner_idx`.
const IPROUTE2_LEN: u64 = 36;
/// Bytes of that before maps were in maps.
const IPROUTE2_OLD_LEN: u64 = 28;
/// The section of variables in address space 1, which an arena is.
pub(crate) const ARENA_SECTION: &str = ".addr_space.1";
/// Bytes of a map's name that reach the kernel.
const KERNEL_NAME_LEN: usize = 15;

/// A map and where in the object it is defined.
pub(crate) struct Found {
    pub def: MapDef,
    /// ELF section.
    pub section: usize,
    /// Offset in it; a map of global data is the whole section.
    pub offset: u64,
    /// True if the section is the map's content.
    pub is_data: bool,
}

/// A definition that cannot be read, and where it is. It is told to whom needs the map.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub section: usize,
    pub offset: u64,
    pub why: ObjectError,
}

/// What [`find_maps`] gives.
#[derive(Default)]
pub(crate) struct Maps {
    pub found: Vec<Found>,
    pub broken: Vec<Broken>,
    /// The section of variables that live in an arena, and the arena in `found`.
    pub arena: Option<(usize, usize)>,
}

impl Maps {
    fn put(&mut self, section: usize, offset: u64, read: Result<Found, ObjectError>) {
        match read {
            Ok(found) => self.found.push(found),
            Err(why) => self.broken.push(Broken { section, offset, why }),
        }
    }
}

/// All maps of an object, in libbpf's order: those of the user first, then global data.
pub(crate) fn find_maps(elf: &Elf<'_>, stem: &str, btf: Option<&Btf>) -> Result<Maps, ObjectError> {
    let mut maps = Maps::default();
    for (index, section) in elf.sections.iter().enumerate() {
        if is_legacy(&section.name) && section.is_bits() {
            legacy_maps(elf, index, btf, &mut maps);
        }
    }
    if let Some(index) = elf.find(".maps") {
        btf_maps(elf, index, btf, &mut maps)?;
    }
    arena_data(elf, &mut maps);
    data_maps(elf, stem, btf, &mut maps.found)?;
    for found in &mut maps.found {
        find_fields(&mut found.def, btf);
    }
    Ok(maps)
}

/// What only helpers may touch, in the values of a map and of the maps in it.
fn find_fields(def: &mut MapDef, btf: Option<&Btf>) {
    if let Some(btf) = btf {
        def.fields = Fields::of(btf, def);
    }
    if let Some(inner) = &mut def.inner {
        find_fields(inner, btf);
    }
}

/// Variables of the arena: its first bytes.
fn arena_data(elf: &Elf<'_>, maps: &mut Maps) {
    let section = elf.find(ARENA_SECTION).filter(|at| elf.sections[*at].is_bits() && elf.sections[*at].size > 0);
    let arena = maps.found.iter().position(|found| found.def.kind == MapType::Arena);
    if let Some((section, arena)) = section.zip(arena) {
        maps.found[arena].def.data = Some(elf.sections[section].data.into());
        maps.arena = Some((section, arena));
    }
}

/// Reads the definitions of `.maps`.
fn btf_maps(elf: &Elf<'_>, index: usize, btf: Option<&Btf>, maps: &mut Maps) -> Result<(), ObjectError> {
    let Some((btf, (_, _, vars))) = btf.and_then(|btf| Some((btf, btf.datasec(".maps")?))) else {
        return Err(ObjectError::MapsWithoutBtf { at: elf.at(index, 0) });
    };
    for var in vars {
        let offset = u64::from(var.offset);
        if matches!(btf.get(var.ty), Some(Type::Var { linkage: Linkage::Extern, .. })) {
            // Another object has it: whoever uses it is told.
            continue;
        }
        let read = btf_map(elf, index, btf, var).map_err(|problem| ObjectError::Map {
            at: elf.at(index, offset),
            map: btf.name(var.ty).to_owned(),
            problem,
        });
        maps.put(index, offset, read);
    }
    Ok(())
}

fn btf_map(elf: &Elf<'_>, index: usize, btf: &Btf, var: &SecVar) -> Result<Found, MapProblem> {
    let offset = u64::from(var.offset);
    let Some(Type::Var { ty, .. }) = btf.get(var.ty) else { return Err(MapProblem::NotAStruct) };
    if offset + u64::from(var.size) > elf.sections[index].size {
        return Err(MapProblem::OutOfSection);
    }
    let (mut def, values) = Definition { btf, inner: false }.read(btf.name(var.ty), *ty)?;
    if let Some(values) = values {
        let slots = (offset + values)..(offset + u64::from(var.size));
        def.slots = read_slots(elf, &elf.relocs[index], slots)?;
    }
    Ok(Found { def, section: index, offset, is_data: false })
}

/// What initialises the slots in this range of `.maps`.
fn read_slots(elf: &Elf<'_>, relocs: &[Reloc], slots: std::ops::Range<u64>) -> Result<Vec<SlotInit>, MapProblem> {
    let first = relocs.partition_point(|r| r.offset < slots.start);
    let mut found = Vec::new();
    for reloc in relocs[first..].iter().take_while(|r| r.offset < slots.end) {
        let symbol = &elf.symbols[reloc.symbol];
        let bad = MapProblem::BadSlot(reloc.offset);
        let at = reloc.offset - slots.start;
        if reloc.kind != R_BPF_64_ABS64 || !at.is_multiple_of(SLOT_LEN) || symbol.section.is_none() || symbol.is_section
        {
            return Err(bad);
        }
        let index = u32::try_from(at / SLOT_LEN).map_err(|_| bad)?;
        found.push(SlotInit { index, symbol: symbol.name.clone() });
    }
    Ok(found)
}

/// How many elements loaders ask for where the object says so many: the bytes of a ring buffer become a power of 2 of whole pages
/// (libbpf's rule).
pub(crate) fn entries(kind: MapType, said: u32) -> u32 {
    match kind {
        MapType::Ringbuf | MapType::UserRingbuf => {
            let pages = said.div_ceil(PAGE_SIZE).max(1).checked_next_power_of_two();
            pages.and_then(|pages| pages.checked_mul(PAGE_SIZE)).unwrap_or(said)
        }
        _ => said,
    }
}

/// Reads one definition, which is a struct whose members' types carry the values.
struct Definition<'a> {
    btf: &'a Btf,
    inner: bool,
}

impl Definition<'_> {
    /// The definition, and the offset of its `values` if it has them.
    fn read(&self, name: &str, ty: TypeId) -> Result<(MapDef, Option<u64>), MapProblem> {
        let Ok(Type::Struct(fields)) = self.btf.resolved(ty) else { return Err(MapProblem::NotAStruct) };
        let mut def = MapDef::new(name, MapType::Array, 0, 0, 0);
        let (mut kind, mut values) = (None, None);
        let (mut key_size, mut value_size) = (None, None);
        for (at, m) in fields.members.iter().enumerate() {
            match self.btf.string(m.name) {
                "type" => kind = Some(self.number(m)?),
                "max_entries" => def.max_entries = self.number32(m, "max_entries")?,
                "map_flags" => def.flags = MapFlags(self.number32(m, "map_flags")?),
                "map_extra" => def.extra = self.number(m)?,
                "numa_node" => drop(self.number(m)?),
                "key_size" => set_size(&mut key_size, "key", self.number32(m, "key_size")?)?,
                "value_size" => set_size(&mut value_size, "value", self.number32(m, "value_size")?)?,
                "key" => {
                    let (id, size) = self.sized(m)?;
                    def.key_type = id.0;
                    set_size(&mut key_size, "key", size)?;
                }
                "value" => {
                    let (id, size) = self.sized(m)?;
                    def.value_type = id.0;
                    set_size(&mut value_size, "value", size)?;
                }
                "pinning" if self.inner => return Err(MapProblem::Inner("pinning")),
                "pinning" => def.pinning = pinning(self.number(m)?)?,
                "values" if self.inner => return Err(MapProblem::Inner("values")),
                "values" if at + 1 != fields.members.len() => return Err(MapProblem::ValuesNotLast),
                "values" => {
                    def.inner = self.slots_type(name, m)?.map(Box::new);
                    set_size(&mut value_size, "value", 4)?;
                    values = Some(u64::from(m.bit_offset / 8));
                }
                other => return Err(MapProblem::UnknownField(other.to_owned())),
            }
        }
        let kind = kind.ok_or(MapProblem::NoType)?;
        let known = u32::try_from(kind).ok().and_then(MapType::from_number);
        def.kind = known.ok_or(MapProblem::UnknownType(kind))?;
        (def.key_size, def.value_size) = (key_size.unwrap_or(0), value_size.unwrap_or(0));
        def.max_entries = entries(def.kind, def.max_entries);
        Ok((def, values))
    }

    fn bad(&self, m: &Member) -> MapProblem {
        MapProblem::FieldForm(self.btf.string(m.name).to_owned())
    }

    /// What the member points at.
    fn pointee(&self, m: &Member) -> Result<TypeId, MapProblem> {
        match self.btf.resolved(m.ty) {
            Ok(Type::Ptr { to }) => Ok(*to),
            _ => Err(self.bad(m)),
        }
    }

    /// `__uint` is a pointer to an array of that many elements, `__ulong` an enum with that value only.
    fn number(&self, m: &Member) -> Result<u64, MapProblem> {
        match self.btf.resolved(m.ty) {
            Ok(Type::Enum(e) | Type::Enum64(e)) if e.values.len() == 1 => Ok(e.values[0].value.cast_unsigned()),
            Ok(Type::Ptr { to }) => match self.btf.resolved(*to) {
                Ok(Type::Array { len, .. }) => Ok(u64::from(*len)),
                _ => Err(self.bad(m)),
            },
            _ => Err(self.bad(m)),
        }
    }

    fn number32(&self, m: &Member, what: &'static str) -> Result<u32, MapProblem> {
        let value = self.number(m)?;
        u32::try_from(value).map_err(|_| MapProblem::TooBig { what, value })
    }

    /// `__type` is a pointer to the type.
    fn sized(&self, m: &Member) -> Result<(TypeId, u32), MapProblem> {
        let id = self.pointee(m)?;
        Ok((id, self.btf.size_of(id).map_err(|_| self.bad(m))?))
    }

    /// `__array` of pointers to the definition of an inner map, or of pointers to functions.
    fn slots_type(&self, name: &str, m: &Member) -> Result<Option<MapDef>, MapProblem> {
        let Ok(Type::Array { elem, .. }) = self.btf.resolved(m.ty) else { return Err(self.bad(m)) };
        let Ok(Type::Ptr { to }) = self.btf.resolved(*elem) else { return Err(self.bad(m)) };
        match self.btf.resolved(*to) {
            Ok(Type::FuncProto { .. }) => Ok(None),
            Ok(Type::Struct(_)) => {
                let inner = Definition { btf: self.btf, inner: true };
                Ok(Some(inner.read(&format!("{name}.inner"), *to)?.0))
            }
            _ => Err(self.bad(m)),
        }
    }
}

/// Key and value may be described twice, by size and by type, and must agree.
fn set_size(size: &mut Option<u32>, what: &'static str, given: u32) -> Result<(), MapProblem> {
    match size.replace(given) {
        Some(other) if other != given => Err(MapProblem::SizeConflict { what, given: other, other: given }),
        _ => Ok(()),
    }
}

fn pinning(number: u64) -> Result<Pinning, MapProblem> {
    match number {
        0 => Ok(Pinning::None),
        1 => Ok(Pinning::ByName),
        other => Err(MapProblem::Pinning(other)),
    }
}

/// Reads a section of `struct bpf_map_def`: each symbol is a map, and all have the same size.
/// Whether maps of old are in a section: all in `maps`; each in `maps/NAME`, as gobpf has it; or in `TYPE/maps` beside programs of that
/// type, as ir-keytable has it.
fn is_legacy(section: &str) -> bool {
    section == "maps" || section.starts_with("maps/") || section.ends_with("/maps")
}

fn legacy_maps(elf: &Elf<'_>, index: usize, btf: Option<&Btf>, maps: &mut Maps) {
    let section = &elf.sections[index];
    let mut symbols: Vec<_> = elf.symbols_of(index).filter(|s| !s.is_section && !s.name.is_empty()).collect();
    symbols.sort_by_key(|s| s.value);
    if symbols.is_empty() {
        return;
    }
    let each = section.size / symbols.len() as u64;
    for symbol in symbols {
        let read = || {
            if each < LEGACY_LEN || !section.size.is_multiple_of(each) {
                return Err(MapProblem::LegacySize(section.size));
            }
            let range = usize::try_from(symbol.value).ok().zip(usize::try_from(each).ok());
            let bytes = range.and_then(|(start, len)| section.data.get(start..start.checked_add(len)?));
            let def = legacy_map(&symbol.name, bytes.ok_or(MapProblem::OutOfSection)?, elf.order, btf)?;
            Ok(Found { def, section: index, offset: symbol.value, is_data: false })
        };
        let (at, map) = (elf.at(index, symbol.value), symbol.name.clone());
        maps.put(index, symbol.value, read().map_err(|problem| ObjectError::Map { at, map, problem }));
    }
}

fn legacy_map(name: &str, bytes: &[u8], order: Endianness, btf: Option<&Btf>) -> Result<MapDef, MapProblem> {
    let (words, _) = bytes.as_chunks::<4>();
    let word = |at: usize| {
        let raw = words.get(at).copied().unwrap_or_default();
        match order {
            Endianness::Little => u32::from_le_bytes(raw),
            Endianness::Big => u32::from_be_bytes(raw),
        }
    };
    let pinning = match bytes.len() as u64 {
        // Maps that share inner ones by number are filled by iproute2 alone.
        IPROUTE2_LEN if word(5) == 0 && word(7) == 0 && word(8) == 0 && word(6) <= 2 => word(6),
        // In the same place others have the number of a node.
        IPROUTE2_OLD_LEN if word(5) == 0 && word(6) <= 2 && word(4) & MapFlags::NUMA_NODE.0 == 0 => word(6),
        _ if bytes.iter().skip(LEGACY_LEN as usize).any(|b| *b != 0) => return Err(MapProblem::LegacyOptions),
        _ => 0,
    };
    let kind = MapType::from_number(word(0)).ok_or(MapProblem::UnknownType(u64::from(word(0))))?;
    let mut def = MapDef::new(name, kind, word(1), word(2), word(3));
    def.flags = MapFlags(word(4));
    // For an object, or for all of them: by name both times.
    def.pinning = if pinning == 0 { Pinning::None } else { Pinning::ByName };
    // BPF_ANNOTATE_KV_PAIR of old headers leaves the types in a struct with this name.
    if let Some((btf, pair)) = btf.and_then(|b| Some((b, b.find(&format!("____btf_map_{name}"), Kind::Struct)?))) {
        let typed = |field, size| {
            let ty = btf.member(pair, field)?.ty;
            (btf.size_of(ty) == Ok(size)).then_some(ty.0)
        };
        if let (Some(key), Some(value)) = (typed("key", def.key_size), typed("value", def.value_size)) {
            (def.key_type, def.value_type) = (key, value);
        }
    }
    Ok(def)
}

/// The kinds of global data.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DataKind {
    Initialised,
    Rodata,
    Bss,
}

impl DataKind {
    fn of(name: &str, is_zeros: bool) -> Option<DataKind> {
        let named =
            |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        match is_zeros {
            true if named(".bss") => Some(DataKind::Bss),
            false if named(".data") => Some(DataKind::Initialised),
            false if named(".rodata") => Some(DataKind::Rodata),
            _ => None,
        }
    }
}

/// Each section of global data is an array of one element.
fn data_maps(elf: &Elf<'_>, stem: &str, btf: Option<&Btf>, maps: &mut Vec<Found>) -> Result<(), ObjectError> {
    let mut zeros = 0u64;
    for (index, section) in elf.sections.iter().enumerate().filter(|(_, s)| s.size > 0) {
        let is_zeros = section.is_zeros();
        let Some(data) = DataKind::of(&section.name, is_zeros).filter(|_| is_zeros || section.is_bits()) else {
            continue;
        };
        let content: Arc<[u8]> = if is_zeros {
            zeros = zeros.saturating_add(section.size);
            if zeros > MAX_BSS {
                let at = elf.at(index, 0);
                return Err(ObjectError::Limit { at, what: "bytes of zeros", found: zeros, limit: MAX_BSS });
            }
            vec![0; section.size as usize].into()
        } else {
            section.data.into()
        };
        let name = data_map_name(stem, &section.name);
        // The file is smaller than 4 GiB, and so is MAX_BSS.
        let mut def = MapDef::new(&name, MapType::Array, 4, content.len() as u32, 1);
        let types = btf.and_then(|btf| Some((btf, btf.datasec(&section.name)?)));
        let mut flags = if data == DataKind::Rodata { MapFlags::RDONLY_PROG.0 } else { 0 };
        if let Some((btf, (id, _, vars))) = types {
            def.value_type = id.0;
            // Only what user space could want to map: a section with something else than static variables.
            let is_static = |id| matches!(btf.get(id), Some(Type::Var { linkage: Linkage::Static, .. }));
            if vars.iter().any(|var| !is_static(var.ty)) {
                flags |= MapFlags::MMAPABLE.0;
            }
        }
        def.flags = MapFlags(flags);
        def.data = Some(content);
        def.frozen = data == DataKind::Rodata;
        maps.push(Found { def, section: index, offset: 0, is_data: true });
    }
    Ok(())
}

/// libbpf's names: up to 8 characters of the object's name and the section's, 15 in all; a section with a second dot
/// (`.data.cold`) keeps its own name. What the kernel does not take in names becomes `_`.
pub(crate) fn data_map_name(stem: &str, section: &str) -> String {
    let name = if section[1..].contains('.') {
        section.to_owned()
    } else {
        let room = KERNEL_NAME_LEN - section.len().max(".rodata".len()).min(KERNEL_NAME_LEN);
        stem.chars().take(room).chain(section.chars()).collect()
    };
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '.' { c } else { '_' }).collect()
}
