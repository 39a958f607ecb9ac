//! The object as a whole: what is in the file, before any program is linked out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ring3_btf::{Btf, BtfError, BtfExt, CoreRelo, CoreTarget, ExtFunc, ExtLine, ExtSection, Type};
use ring3_isa::{Endianness, RawInsn};
use ring3_platform::maps::{MapDef, MapFlags};
use ring3_platform::program::{License, LoadFlags, Program};
use ring3_platform::{AttachType, KernelVersion, OpsMember, ProgType, SectionMatch};

use crate::elf::{Elf, Reloc, Symbol};
use crate::error::{ObjectError, Place};
use crate::externs::Answers;
use crate::link::Linker;
use crate::maps::{self, Broken, Found, find_maps};
use crate::ops::StructOps;

/// The section of functions that are no programs of their own.
const TEXT: &str = ".text";
/// The first release that lacks nothing that libbpf works around.
pub(crate) const NO_REWRITE: KernelVersion = KernelVersion::new(5, 5);
/// Bytes of a licence that reach the kernel.
const MAX_LICENSE: usize = 63;

/// A program of an object, as [`Object::programs`] lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProgramEntry {
    /// Name of its function.
    pub name: String,
    /// Name of its section, without the `?` that marks it optional.
    pub section: String,
    /// The section's name starts with `?`: not loaded unless it is asked for.
    pub optional: bool,
    /// What the section's name says; `None` if it says nothing.
    pub matched: Option<SectionMatch>,
    /// Its own slots, without subprograms.
    pub slots: usize,
}

/// How to link a program where it should differ from what the object says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// The program type, whatever the section's name.
    pub kind: Option<ProgType>,
    /// The expected attach type, whatever the section's name.
    pub attach: Option<AttachType>,
    /// The kernel's types, for CO-RE relocations. Without them only programs link that have none, or only ask for
    /// numbers of the object's own types.
    pub core: Option<Arc<CoreTarget>>,
    /// Leaves CO-RE relocations to the kernel that the program is loaded into (since 5.17). ring3 does not judge such programs.
    pub core_by_kernel: bool,
}

/// Where a map is defined.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home {
    pub section: usize,
    pub offset: u64,
    pub is_data: bool,
}

/// A function in a section of instructions.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub name: String,
    pub section: usize,
    /// Bytes from the start of the section.
    pub offset: u64,
    /// Slots.
    pub slots: usize,
    /// Global, but not to be seen outside of the object: verified as a static one is.
    pub hidden: bool,
}

/// A section of instructions, with all that belongs to it. The lists are in the order of offsets.
#[derive(Clone, Debug, Default)]
pub(crate) struct CodeSection {
    pub bytes: Vec<u8>,
    pub relocs: Vec<Reloc>,
    pub funcs: Vec<ExtFunc>,
    pub lines: Vec<ExtLine>,
    pub core: Vec<CoreRelo>,
}

/// A BPF ELF object.
#[derive(Clone, Debug)]
pub struct Object {
    pub(crate) file: Arc<str>,
    order: Endianness,
    license: License,
    version: Option<u32>,
    pub(crate) btf: Option<Arc<Btf>>,
    pub(crate) maps: Vec<Arc<MapDef>>,
    pub(crate) homes: Vec<Home>,
    /// Names of all sections, by index.
    pub(crate) section_names: Vec<Arc<str>>,
    pub(crate) symbols: Vec<Symbol>,
    /// Sections of instructions, by index of the section.
    pub(crate) code: BTreeMap<usize, CodeSection>,
    /// All functions, in the order of sections and offsets.
    pub(crate) functions: Vec<Function>,
    /// Positions in `functions`, by section and offset.
    pub(crate) by_offset: BTreeMap<(usize, u64), usize>,
    programs: Vec<ProgramEntry>,
    /// Positions in `functions`, beside `programs`.
    entries: Vec<usize>,
    /// What a kernel said to `.kconfig` and `.ksyms`.
    pub(crate) answers: Option<Answers>,
    /// Maps whose definitions cannot be read.
    pub(crate) broken: Vec<Broken>,
    /// The section of variables that live in an arena, and the arena in `maps`.
    pub(crate) arena: Option<(usize, usize)>,
    /// The kernel that programs are made ready for.
    pub(crate) release: KernelVersion,
    /// Members of structs of functions, by section and offset of the function.
    ops: BTreeMap<(usize, u64), OpsMember>,
    structs: Vec<StructOps>,
}

impl Object {
    /// Reads an object of either byte order. `name` is the file's name or path, for errors and the names of data maps.
    ///
    /// Reads everything but links nothing: what is wrong with one program only, or with a map that it uses, is told by
    /// [`Object::program`].
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Object, ObjectError> {
        let elf = Elf::parse(name, bytes)?;
        let (btf, ext) = read_btf(&elf)?;
        let maps = find_maps(&elf, stem(name), btf.as_ref())?;
        let functions = find_functions(&elf)?;
        let by_offset: BTreeMap<(usize, u64), usize> =
            functions.iter().enumerate().map(|(at, f)| ((f.section, f.offset), at)).collect();
        let code = read_code(&elf, btf.as_ref().zip(ext));
        let (programs, entries) = list_programs(&elf, &functions);
        let name_of = |section, offset| by_offset.get(&(section, offset)).map(|at: &usize| functions[*at].name.clone());
        let structs = btf.as_ref().map(|btf| crate::ops::find(&elf, btf, name_of)).unwrap_or_default();
        let ops = crate::ops::members(&structs);
        let home = |f: &Found| Home { section: f.section, offset: f.offset, is_data: f.is_data };
        Ok(Object {
            license: read_license(&elf),
            version: read_version(&elf),
            order: elf.order,
            btf: btf.map(Arc::new),
            homes: maps.found.iter().map(home).collect(),
            maps: maps.found.into_iter().map(|f| Arc::new(f.def)).collect(),
            section_names: elf.sections.iter().map(|s| s.name.clone()).collect(),
            code,
            functions,
            by_offset,
            programs,
            entries,
            file: elf.file,
            symbols: elf.symbols,
            answers: None,
            broken: maps.broken,
            arena: maps.arena,
            release: KernelVersion::V6_18,
            ops,
            structs: structs.into_iter().map(|found| found.ops).collect(),
        })
    }

    /// Structs of functions: the variables of its `.struct_ops` sections, in their order.
    pub fn struct_ops(&self) -> &[StructOps] {
        &self.structs
    }

    /// Makes the object ready for a kernel of this release, as libbpf does where one lacks something that it can do without. Before
    /// 5.5: helpers that read from the kernel or from a process become `bpf_probe_read`, which read from both; maps of global data
    /// cannot be mapped by processes.
    pub fn adapt(&mut self, release: KernelVersion) {
        self.release = release;
        if release >= NO_REWRITE {
            return;
        }
        for (map, _) in self.maps.iter_mut().zip(&self.homes).filter(|(_, home)| home.is_data) {
            let flags = map.flags.0 & !MapFlags::MMAPABLE.0;
            if flags != map.flags.0 {
                Arc::make_mut(map).flags = MapFlags(flags);
            }
        }
    }

    /// True if [`Object::adapt`] changes nothing for this release.
    pub fn suits(&self, release: KernelVersion) -> bool {
        release >= NO_REWRITE || self.release == release
    }

    /// The name that was given to [`Object::parse`].
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The file's name without folders and from the first dot on.
    pub(crate) fn stem(&self) -> &str {
        stem(&self.file)
    }

    /// Byte order of instructions and data.
    pub fn endian(&self) -> Endianness {
        self.order
    }

    /// The `license` section; empty if there is none.
    pub fn license(&self) -> &License {
        &self.license
    }

    /// The `version` section, which kprobes needed before Linux 5.0.
    pub fn version(&self) -> Option<u32> {
        self.version
    }

    /// The object's types; data sections have their sizes and offsets filled in.
    pub fn btf(&self) -> Option<&Arc<Btf>> {
        self.btf.as_ref()
    }

    /// Gives a map another number of elements, as `bpf_map__set_max_entries` of libbpf does: for maps whose size is decided where they are
    /// loaded. For instances loaded afterwards. False if there is no such map.
    pub fn resize_map(&mut self, name: &str, entries: u32) -> bool {
        let found = self.maps.iter_mut().find(|def| def.name == name);
        found.map(|def| Arc::make_mut(def).max_entries = maps::entries(def.kind, entries)).is_some()
    }

    /// All maps: those of the user first, then one for each section of global data.
    pub fn maps(&self) -> &[Arc<MapDef>] {
        &self.maps
    }

    /// A map by name; one of global data also by its section's name.
    pub fn map(&self, name: &str) -> Option<&Arc<MapDef>> {
        let by_name = self.maps.iter().find(|m| m.name == name);
        by_name.or_else(|| {
            let mut data = self.maps.iter().zip(&self.homes).filter(|(_, home)| home.is_data);
            data.find(|(_, home)| &*self.section_names[home.section] == name).map(|(map, _)| map)
        })
    }

    /// All programs, in the order of sections and offsets.
    pub fn programs(&self) -> &[ProgramEntry] {
        &self.programs
    }

    /// What libbpf logs (at level debug) while it answers the CO-RE relocations of programs against the types of `options`: line by line,
    /// in its words, without `libbpf: `.
    ///
    /// Errors: as [`Object::program`].
    pub fn relocation_log(&self, programs: &[String], options: &Options) -> Result<Vec<String>, ObjectError> {
        // Functions that several programs have are relocated once, and types looked for once.
        let (mut lines, mut known) = (Vec::new(), BTreeSet::new());
        for name in programs {
            let linker = Linker::new(self, name, options);
            let log = linker.relocation_log(self.entries[self.position(name)?])?;
            lines.extend(log.into_iter().filter(|line| known.insert(line.clone())));
        }
        Ok(lines)
    }

    /// Which of the programs has this name.
    fn position(&self, name: &str) -> Result<usize, ObjectError> {
        let at = self.programs.iter().position(|program| program.name == name);
        at.ok_or_else(|| ObjectError::NoSuchProgram { file: self.file.clone(), program: name.to_owned() })
    }

    /// Links a program: its function, then each subprogram that it reaches, with maps and calls resolved.
    ///
    /// Errors: no such program; a section name that says no type (unless `options` gives one); CO-RE relocations
    /// that have no target or no single answer (one that the kernel's types have nothing for becomes a call of
    /// [`crate::UNRESOLVED_CALL`]); external symbols in the instructions that it reaches; calls and references that lead nowhere.
    pub fn program(&self, name: &str, options: &Options) -> Result<Program, ObjectError> {
        let at = self.position(name)?;
        let (entry, main) = (&self.programs[at], self.entries[at]);
        let same = entry.matched.as_ref().filter(|m| options.kind.is_none_or(|kind| kind == m.kind));
        let Some(kind) = options.kind.or(same.map(|m| m.kind)) else {
            let function = &self.functions[main];
            let at = self.at(function.section, function.offset);
            return Err(ObjectError::UnknownType { at, program: name.to_owned() });
        };
        let linked = Linker::new(self, name, options).link(main)?;
        Ok(Program {
            name: entry.name.clone(),
            section: entry.section.clone(),
            code: linked.code,
            maps: linked.maps.into_iter().map(|map| self.maps[map].clone()).collect(),
            kfuncs: linked.kfuncs,
            ops: self.ops.get(&(self.functions[main].section, self.functions[main].offset)).cloned(),
            kind,
            attach: options.attach.or(same.and_then(|m| m.attach)),
            sleepable: same.is_some_and(|m| m.sleepable),
            frags: same.is_some_and(|m| m.frags),
            flags: LoadFlags::default(),
            license: self.license.clone(),
            info: linked.info.map(Arc::new),
            attach_prog: None,
            attach_func: None,
        })
    }

    /// A place in a section.
    pub(crate) fn at(&self, section: usize, offset: u64) -> Place {
        Place { file: self.file.clone(), section: self.section_names.get(section).cloned(), offset }
    }
}

/// A file's name without folders and from the first dot on.
fn stem(name: &str) -> &str {
    let base = name.rsplit('/').next().unwrap_or(name);
    base.split('.').next().unwrap_or(base)
}

/// Reads `.BTF` and `.BTF.ext`, and fills in the sizes and offsets that compilers leave to the loader.
fn read_btf(elf: &Elf<'_>) -> Result<(Option<Btf>, Option<BtfExt>), ObjectError> {
    let wrap = |section| move |source: BtfError| ObjectError::Btf { at: elf.at(section, 0), source };
    let Some(index) = elf.find(".BTF").filter(|index| !elf.sections[*index].data.is_empty()) else {
        return Ok((None, None));
    };
    let mut btf = Btf::parse(elf.sections[index].data).map_err(wrap(index))?;
    let mut offsets: BTreeMap<(usize, &str), u32> = BTreeMap::new();
    for symbol in elf.symbols.iter().filter(|s| !s.is_local && !s.is_section) {
        if let (Some(section), Ok(value)) = (symbol.section, u32::try_from(symbol.value)) {
            offsets.entry((section, &symbol.name)).or_insert(value);
        }
    }
    for (section, at) in elf.sections.iter().zip(0..) {
        let Some((id, ..)) = btf.datasec(&section.name).filter(|_| section.size > 0) else { continue };
        let size = u32::try_from(section.size).unwrap_or(u32::MAX);
        btf.place_datasec(id, size, |name| offsets.get(&(at, name)).copied());
    }
    let ext = match elf.find(".BTF.ext").filter(|index| !elf.sections[*index].data.is_empty()) {
        Some(index) => Some(BtfExt::parse(elf.sections[index].data).map_err(wrap(index))?),
        None => None,
    };
    Ok((Some(btf), ext))
}

/// All functions in sections of instructions.
fn find_functions(elf: &Elf<'_>) -> Result<Vec<Function>, ObjectError> {
    let mut functions = Vec::new();
    for symbol in elf.symbols.iter().filter(|s| s.is_func) {
        let Some((index, section)) = symbol.section.map(|i| (i, &elf.sections[i])).filter(|(_, s)| s.is_code()) else {
            continue;
        };
        let slot = RawInsn::BYTES as u64;
        let problem = if symbol.size == 0 {
            "has no instructions"
        } else if symbol.value % slot != 0 || symbol.size % slot != 0 {
            "is not made of whole instructions"
        } else if symbol.value.checked_add(symbol.size).is_none_or(|end| end > section.size) {
            "reaches beyond its section"
        } else {
            functions.push(Function {
                name: symbol.name.clone(),
                section: index,
                offset: symbol.value,
                slots: (symbol.size / slot) as usize,
                hidden: symbol.hidden,
            });
            continue;
        };
        return Err(ObjectError::Function { at: elf.at(index, symbol.value), function: symbol.name.clone(), problem });
    }
    functions.sort_by_key(|f| (f.section, f.offset));
    Ok(functions)
}

/// The sections of instructions, with relocations and what `.BTF.ext` says.
fn read_code(elf: &Elf<'_>, ext: Option<(&Btf, BtfExt)>) -> BTreeMap<usize, CodeSection> {
    let mut code = BTreeMap::new();
    let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, section) in elf.sections.iter().enumerate().filter(|(_, s)| s.is_code()) {
        let (bytes, relocs) = (section.data.to_vec(), elf.relocs[index].clone());
        code.insert(index, CodeSection { bytes, relocs, ..CodeSection::default() });
        by_name.entry(&section.name).or_insert(index);
    }
    let Some((btf, ext)) = ext else { return code };
    fn each<T: Copy>(
        sections: Vec<ExtSection<T>>,
        btf: &Btf,
        by_name: &BTreeMap<&str, usize>,
        mut put: impl FnMut(usize, Vec<T>),
    ) {
        for section in sections {
            if let Some(index) = by_name.get(btf.string(section.name)) {
                put(*index, section.records);
            }
        }
    }
    let mut funcs: BTreeMap<usize, Vec<ExtFunc>> = BTreeMap::new();
    each(ext.funcs, btf, &by_name, |at, records| funcs.entry(at).or_default().extend(records));
    let mut lines: BTreeMap<usize, Vec<ExtLine>> = BTreeMap::new();
    each(ext.lines, btf, &by_name, |at, records| lines.entry(at).or_default().extend(records));
    let mut core: BTreeMap<usize, Vec<CoreRelo>> = BTreeMap::new();
    each(ext.relos, btf, &by_name, |at, records| core.entry(at).or_default().extend(records));
    for (index, section) in &mut code {
        section.funcs = funcs.remove(index).unwrap_or_default();
        section.lines = lines.remove(index).unwrap_or_default();
        section.core = core.remove(index).unwrap_or_default();
        section.funcs.sort_by_key(|r| r.insn_off);
        section.lines.sort_by_key(|r| r.insn_off);
        section.core.sort_by_key(|r| r.insn_off);
    }
    code
}

/// The functions outside of `.text` are programs; where there are no others, those in `.text` are.
fn list_programs(elf: &Elf<'_>, functions: &[Function]) -> (Vec<ProgramEntry>, Vec<usize>) {
    let in_text = |f: &Function| &*elf.sections[f.section].name == TEXT;
    let only_text = functions.iter().all(in_text);
    let chosen = functions.iter().enumerate().filter(|(_, f)| only_text || !in_text(f));
    let entry = |f: &Function| {
        let full: &str = &elf.sections[f.section].name;
        let (section, optional) = full.strip_prefix('?').map_or((full, false), |rest| (rest, true));
        let matched = ring3_platform::section(section);
        ProgramEntry { name: f.name.clone(), section: section.to_owned(), optional, matched, slots: f.slots }
    };
    chosen.map(|(at, f)| (entry(f), at)).unzip()
}

fn read_license(elf: &Elf<'_>) -> License {
    let data = elf.find("license").map_or(&[][..], |index| elf.sections[index].data);
    let text = data.split(|b| *b == 0).next().unwrap_or(&[]);
    License(String::from_utf8_lossy(&text[..text.len().min(MAX_LICENSE)]).into_owned())
}

fn read_version(elf: &Elf<'_>) -> Option<u32> {
    let raw = *elf.sections[elf.find("version")?].data.first_chunk::<4>()?;
    Some(match elf.order {
        Endianness::Little => u32::from_le_bytes(raw),
        Endianness::Big => u32::from_be_bytes(raw),
    })
}

/// The records whose offset lies in this range.
pub(crate) fn in_range<'a, T>(records: &'a [T], offset: impl Fn(&T) -> u32, range: &std::ops::Range<u64>) -> &'a [T] {
    let from = records.partition_point(|r| u64::from(offset(r)) < range.start);
    let to = records.partition_point(|r| u64::from(offset(r)) < range.end);
    &records[from..to.max(from)]
}

/// True for a type that `func_info` may name.
pub(crate) fn is_func(btf: &Btf, record: &ExtFunc) -> bool {
    matches!(btf.get(record.type_id), Some(Type::Func { .. }))
}
