//! `.BTF` and `.BTF.ext` of the result.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use ring3_btf::{
    Btf, BtfError, BtfExt, CoreRelo, Endian, ExtFunc, ExtLine, ExtSection, Linkage, Merger, SecVar, StrOff, Type,
    TypeId,
};
use ring3_isa::Endianness;

use super::{Joined, Placed, bad};
use crate::elf::Elf;
use crate::error::ObjectError;

/// Most types that are compared in all.
const MAX_COMPARISONS: u32 = 1 << 22;
/// Deepest types that are compared.
const MAX_DEPTH: u32 = 32;

/// Both sections as bytes; empty if no object has types.
#[derive(Default)]
pub(super) struct Types {
    pub btf: Vec<u8>,
    pub ext: Vec<u8>,
}

/// The types of one object.
struct Read {
    btf: Btf,
    ext: Option<BtfExt>,
    /// What its numbers are behind in the whole.
    shift: u32,
}

impl Read {
    fn whole(&self, id: TypeId) -> TypeId {
        if id == TypeId::VOID { id } else { TypeId(id.0 + self.shift) }
    }
}

/// What a name stands for.
#[derive(Clone, Copy)]
struct Named {
    id: TypeId,
    /// The object that defines it, or needs it.
    object: usize,
    defined: bool,
}

pub(super) fn merge(elves: &[Elf<'_>], joined: &mut Joined, places: &[Placed]) -> Result<Types, ObjectError> {
    let endian = match joined.order {
        Endianness::Little => Endian::Little,
        Endianness::Big => Endian::Big,
    };
    let mut merger = Merger::new(endian);
    let mut read = Vec::new();
    for elf in elves {
        read.push(read_types(elf, &mut merger)?);
    }
    if read.iter().all(Option::is_none) {
        return Ok(Types::default());
    }
    let named = names(elves, joined, places, &read, &mut merger)?;
    let sections = data_sections(elves, joined, places, &read, &named);
    let wrap = |source: BtfError| bad(&elves[0].file, ".BTF", source.to_string());
    let ext = ext(endian, joined, elves, places, &read, &mut merger).map_err(wrap)?;
    let mut last = Vec::new();
    for (name, section) in sections {
        let name = merger.string(&name).map_err(wrap)?;
        last.push((name, section));
    }
    for (name, (size, vars)) in last {
        merger.push(Type::Datasec { name, size, vars: vars.into() }).map_err(wrap)?;
    }
    let (btf, numbers) = merger.finish().map_err(wrap)?;
    let number = |id: TypeId| numbers.get(id.index()).copied().unwrap_or_default();
    let mut ext = ext;
    ext.funcs.iter_mut().flat_map(|s| &mut s.records).for_each(|r| r.type_id = number(r.type_id));
    ext.relos.iter_mut().flat_map(|s| &mut s.records).for_each(|r| r.type_id = number(r.type_id));
    Ok(Types { btf: btf.to_bytes(endian), ext: ext.to_bytes(endian) })
}

/// Takes in all types of an object but its data sections, which are made anew.
fn read_types(elf: &Elf<'_>, merger: &mut Merger) -> Result<Option<Read>, ObjectError> {
    let section = |name: &str| elf.find(name).filter(|at| !elf.sections[*at].data.is_empty());
    let Some(at) = section(".BTF") else { return Ok(None) };
    let wrap = |at| move |source| ObjectError::Btf { at: elf.at(at, 0), source };
    let btf = Btf::parse(elf.sections[at].data).map_err(wrap(at))?;
    let ext = section(".BTF.ext").map(|at| BtfExt::parse(elf.sections[at].data).map_err(wrap(at))).transpose()?;
    let shift = merger.append(&btf).map_err(wrap(at))?;
    // Nothing refers to a data section.
    for (id, ty) in (0u32..).zip(btf.types()) {
        if matches!(ty, Type::Datasec { .. }) {
            merger.replace(TypeId(id + shift), TypeId::VOID);
        }
    }
    Ok(Some(Read { btf, ext, shift }))
}

/// Functions and variables that objects share: one type stands for all of a name, and they must go together.
fn names(
    elves: &[Elf<'_>],
    joined: &Joined,
    places: &[Placed],
    read: &[Option<Read>],
    merger: &mut Merger,
) -> Result<BTreeMap<String, Named>, ObjectError> {
    let mut named: BTreeMap<String, Named> = BTreeMap::new();
    let left = Cell::new(MAX_COMPARISONS);
    for (object, (elf, read)) in elves.iter().zip(read).enumerate() {
        let Some(read) = read else { continue };
        let maps: BTreeSet<TypeId> =
            read.btf.datasec(".maps").map_or(&[][..], |(_, _, vars)| vars).iter().map(|var| var.ty).collect();
        let winners = winners(joined, elf, &places[object]);
        for (id, ty) in (0u32..).zip(read.btf.types()) {
            let (Type::Func { linkage, .. } | Type::Var { linkage, .. }) = ty else { continue };
            if *linkage == Linkage::Static {
                continue;
            }
            let name = read.btf.name(TypeId(id));
            let this = Named { id: read.whole(TypeId(id)), object, defined: winners.contains(name) };
            let Some(known) = named.get(name).copied() else {
                named.insert(name.to_owned(), this);
                continue;
            };
            let same = Same { merger, left: &left };
            let is_map = maps.contains(&TypeId(id));
            if !(is_map && same.same_map(known.id, this.id) || same.same(known.id, this.id, MAX_DEPTH)) {
                let problem = format!("it has another type than in {}", elves[known.object].file);
                return Err(bad(&elf.file, name, problem));
            }
            // Code of a weak function that lost is still there, with its type.
            let (kept, gone) = if this.defined && !known.defined { (this, known) } else { (known, this) };
            if matches!(merger.get(gone.id), Some(Type::Var { .. } | Type::Func { linkage: Linkage::Extern, .. })) {
                merger.replace(gone.id, kept.id);
            }
            named.insert(name.to_owned(), kept);
        }
    }
    Ok(named)
}

/// Names whose symbol in the result is the one of this object.
fn winners<'e>(joined: &Joined, elf: &'e Elf<'_>, places: &Placed) -> BTreeSet<&'e str> {
    let own = elf.symbols.iter().zip(&places.symbols).filter(|(symbol, _)| !symbol.is_local);
    let wins = own.filter(|(symbol, at)| {
        let out = at.map(|at| &joined.symbols[at].symbol);
        let shift = symbol.section.and_then(|section| places.sections.get(section).copied().flatten());
        shift.zip(out).is_some_and(|((section, start), out)| {
            out.section == Some(section) && out.value == symbol.value.saturating_add(start)
        })
    });
    wins.map(|(symbol, _)| symbol.name.as_str()).collect()
}

/// Variables of each section of the result with their numbers in the whole, and its size; by name.
fn data_sections(
    elves: &[Elf<'_>],
    joined: &Joined,
    places: &[Placed],
    read: &[Option<Read>],
    named: &BTreeMap<String, Named>,
) -> BTreeMap<String, (u32, Vec<SecVar>)> {
    let mut found: BTreeMap<String, (u32, Vec<SecVar>)> = BTreeMap::new();
    for (object, (elf, read)) in elves.iter().zip(read).enumerate() {
        let Some(read) = read else { continue };
        for ty in read.btf.types() {
            let Type::Datasec { name, vars, .. } = ty else { continue };
            let section = read.btf.string(*name);
            let place = elf.find(section).and_then(|at| places[object].sections.get(at).copied().flatten());
            let out = found.entry(section.to_owned()).or_default();
            for var in vars {
                if let Some(var) = variable(joined, read, object, named, var, place) {
                    out.1.push(var);
                }
            }
            out.0 = match place {
                Some((at, _)) => joined.sections[at].size as u32,
                None => out.1.iter().fold(0, |size: u32, var| size.saturating_add(var.size)),
            };
        }
    }
    found.retain(|_, (_, vars)| !vars.is_empty());
    for (_, vars) in found.values_mut() {
        vars.sort_by_key(|var| var.offset);
    }
    found
}

/// A variable of an object as the result has it. `None`: another object's stands for it.
fn variable(
    joined: &Joined,
    read: &Read,
    object: usize,
    named: &BTreeMap<String, Named>,
    var: &SecVar,
    place: Option<(usize, u64)>,
) -> Option<SecVar> {
    let (name, id) = (read.btf.name(var.ty), read.whole(var.ty));
    let linkage = match read.btf.get(var.ty) {
        Some(Type::Var { linkage, .. } | Type::Func { linkage, .. }) => *linkage,
        _ => return None,
    };
    let start = place.map_or(0, |(_, start)| start);
    let offset = match linkage {
        Linkage::Static => start + u64::from(var.offset),
        Linkage::Global | Linkage::Extern => {
            let kept = named.get(name)?;
            if kept.object != object || kept.id != id {
                return None;
            }
            let symbol = joined.named.get(name).map(|at| &joined.symbols[*at].symbol)?;
            if symbol.section.is_some() { symbol.value } else { 0 }
        }
    };
    Some(SecVar { ty: id, offset: u32::try_from(offset).ok()?, size: var.size })
}

fn ext(
    endian: Endian,
    joined: &Joined,
    elves: &[Elf<'_>],
    places: &[Placed],
    read: &[Option<Read>],
    merger: &mut Merger,
) -> Result<BtfExt, BtfError> {
    let (mut funcs, mut lines, mut relos) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for ((elf, places), read) in elves.iter().zip(places).zip(read) {
        let Some((read, ext)) = read.as_ref().and_then(|read| Some((read, read.ext.as_ref()?))) else { continue };
        let place = |name: StrOff| {
            let at = elf.find(read.btf.string(name))?;
            let (out, start) = places.sections.get(at).copied().flatten()?;
            Some((out, u32::try_from(start).ok()?))
        };
        for section in &ext.funcs {
            let Some((out, start)) = place(section.name) else { continue };
            let moved = section
                .records
                .iter()
                .map(|r| ExtFunc { insn_off: r.insn_off.saturating_add(start), type_id: read.whole(r.type_id) });
            funcs.entry(out).or_insert_with(Vec::new).extend(moved);
        }
        for section in &ext.lines {
            let Some((out, start)) = place(section.name) else { continue };
            for r in &section.records {
                let (file, text) = (merger.string(read.btf.string(r.file))?, merger.string(read.btf.string(r.text))?);
                let moved = ExtLine { insn_off: r.insn_off.saturating_add(start), file, text, ..*r };
                lines.entry(out).or_insert_with(Vec::new).push(moved);
            }
        }
        for section in &ext.relos {
            let Some((out, start)) = place(section.name) else { continue };
            for r in &section.records {
                let access = merger.string(read.btf.string(r.access))?;
                let (insn_off, type_id) = (r.insn_off.saturating_add(start), read.whole(r.type_id));
                relos.entry(out).or_insert_with(Vec::new).push(CoreRelo { insn_off, type_id, access, kind: r.kind });
            }
        }
    }
    Ok(BtfExt {
        endian,
        funcs: named_sections(joined, merger, funcs)?,
        lines: named_sections(joined, merger, lines)?,
        relos: named_sections(joined, merger, relos)?,
    })
}

fn named_sections<T>(
    joined: &Joined,
    merger: &mut Merger,
    found: BTreeMap<usize, Vec<T>>,
) -> Result<Vec<ExtSection<T>>, BtfError> {
    let name =
        |(at, records): (usize, Vec<T>)| Ok(ExtSection { name: merger.string(&joined.sections[at].name)?, records });
    found.into_iter().map(name).collect()
}

/// Compares declarations.
struct Same<'m> {
    merger: &'m Merger,
    /// Comparisons that are left.
    left: &'m Cell<u32>,
}

impl Same<'_> {
    /// The fields of a map's definition may stand in any order.
    fn same_map(&self, a: TypeId, b: TypeId) -> bool {
        let fields = |id: TypeId| match self.merger.get(id) {
            Some(Type::Var { ty, .. }) => match self.merger.get(self.plain(*ty)) {
                Some(Type::Struct(c)) => {
                    let mut fields: Vec<_> = c.members.iter().map(|m| (m.name, m.ty)).collect();
                    fields.sort();
                    Some(fields)
                }
                _ => None,
            },
            _ => None,
        };
        let (Some(a), Some(b)) = (fields(a), fields(b)) else { return false };
        let same = |(a, b): (&(StrOff, TypeId), &(StrOff, TypeId))| {
            a.0 == b.0 && self.same(self.plain(a.1), self.plain(b.1), MAX_DEPTH)
        };
        a.len() == b.len() && a.iter().zip(&b).all(same)
    }

    /// Without typedefs and modifiers.
    fn plain(&self, id: TypeId) -> TypeId {
        let mut at = id;
        for _ in 0..MAX_DEPTH {
            match self.merger.get(at) {
                Some(
                    Type::Const { to }
                    | Type::Volatile { to }
                    | Type::Restrict { to }
                    | Type::Typedef { to, .. }
                    | Type::TypeTag { to, .. },
                ) => at = *to,
                _ => break,
            }
        }
        at
    }

    /// Whether two declarations of a name can mean the same. Behind pointers names are enough; an array may leave its length open.
    fn same(&self, a: TypeId, b: TypeId, depth: u32) -> bool {
        let merger = self.merger;
        let (Some(a_type), Some(b_type)) = (merger.get(a), merger.get(b)) else { return false };
        let Some(left) = self.left.get().checked_sub(1) else { return false };
        self.left.set(left);
        let Some(depth) = depth.checked_sub(1) else { return true };
        let both = |a: TypeId, b: TypeId| self.same(self.plain(a), self.plain(b), depth);
        match (a_type, b_type) {
            (Type::Var { ty: a, .. }, Type::Var { ty: b, .. }) => both(*a, *b),
            (Type::Func { proto: a, .. }, Type::Func { proto: b, .. }) => both(*a, *b),
            (Type::FuncProto { ret: a, params: of_a }, Type::FuncProto { ret: b, params: of_b }) => {
                both(*a, *b) && of_a.len() == of_b.len() && of_a.iter().zip(of_b).all(|(a, b)| both(a.ty, b.ty))
            }
            (Type::Ptr { to: a }, Type::Ptr { to: b }) => {
                match (merger.get(self.plain(*a)), merger.get(self.plain(*b))) {
                    (Some(a_type @ (Type::Struct(_) | Type::Union(_) | Type::Fwd { .. })), Some(b_type))
                        if a_type.name() != StrOff(0) =>
                    {
                        a_type.name() == b_type.name()
                    }
                    _ => both(*a, *b),
                }
            }
            (Type::Array { elem: a, len: of_a, .. }, Type::Array { elem: b, len: of_b, .. }) => {
                (of_a == of_b || *of_a == 0 || *of_b == 0) && both(*a, *b)
            }
            (Type::Struct(a), Type::Struct(b)) | (Type::Union(a), Type::Union(b)) => {
                let member = |(a, b): (&ring3_btf::Member, &ring3_btf::Member)| {
                    (a.name, a.bit_offset, a.bitfield_size) == (b.name, b.bit_offset, b.bitfield_size)
                        && both(a.ty, b.ty)
                };
                (a.name, a.size) == (b.name, b.size)
                    && a.members.len() == b.members.len()
                    && a.members.iter().zip(&b.members).all(member)
            }
            // Signs do not count, as with libbpf.
            (Type::Int(a), Type::Int(b)) => a.size == b.size,
            (Type::Enum(a) | Type::Enum64(a), Type::Enum(b) | Type::Enum64(b)) => (a.name, a.size) == (b.name, b.size),
            (Type::Float { size: a, .. }, Type::Float { size: b, .. }) => a == b,
            (a, b) => a.kind() == b.kind() && a.name() == b.name(),
        }
    }
}
