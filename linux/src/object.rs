//! Whole objects onto the kernel: maps by name, programs, and what refers to them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring3_btf::CoreTarget;
use ring3_isa::Endianness;
use ring3_object::{Object, ObjectError, Options};
use ring3_platform::maps::Pinning;
use ring3_platform::{MapDef, Program};

use crate::load::{Info, load_code};
use crate::{Error, KernelTypes, LoadOptions, Log, Map, Prog};

/// Where maps are pinned that want to be, unless said otherwise.
pub const BPF_FS: &str = "/sys/fs/bpf";

/// How to load an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectOptions<'a> {
    /// Programs by name. Empty: all but those whose sections say that they are optional.
    pub programs: &'a [&'a str],
    /// How programs are linked, where it is not as their sections say.
    pub link: Options,
    /// How programs are loaded.
    pub load: LoadOptions,
    /// Folder of a BPF file system for maps that say that they are pinned by name.
    pub pins: PathBuf,
}

impl Default for ObjectOptions<'_> {
    fn default() -> Self {
        let (link, load) = (Options::default(), LoadOptions::default());
        ObjectOptions { programs: &[], link, load, pins: BPF_FS.into() }
    }
}

/// A program of a [`LoadedObject`].
#[derive(Debug)]
pub struct LoadedProgram {
    /// In the kernel.
    pub prog: Prog,
    /// As it was linked.
    pub program: Program,
    /// What the verifier wrote, if it was asked to.
    pub log: Log,
}

/// An object in the kernel. Dropped, all of it goes that is not pinned.
#[derive(Debug)]
pub struct LoadedObject {
    /// Its maps, in the object's order: those that the programs need, all if all programs are loaded.
    pub maps: Vec<Map>,
    /// Its programs, in the object's order.
    pub programs: Vec<LoadedProgram>,
}

impl LoadedObject {
    /// A map by name.
    pub fn map(&self, name: &str) -> Option<&Map> {
        self.maps.iter().find(|map| map.name() == name)
    }

    /// Gives every program and map a name in a folder of a BPF file system, which is made if it is not there: programs as
    /// `NAME`, maps as `maps/NAME`, with `_` for what such names cannot have. Gives the names.
    ///
    /// Errors: the kernel's; then nothing of it stays.
    pub fn pin(&self, folder: &Path) -> Result<Vec<PathBuf>, Error> {
        let mut made = Made::default();
        let maps = folder.join("maps");
        made.folder(folder)?;
        if !self.maps.is_empty() {
            made.folder(&maps)?;
        }
        for loaded in &self.programs {
            let path = folder.join(pin_name(&loaded.program.name));
            loaded.prog.pin(&path)?;
            made.files.push(path);
        }
        for map in &self.maps {
            let path = maps.join(pin_name(map.name()));
            map.pin(&path)?;
            made.files.push(path);
        }
        made.folders.clear();
        Ok(std::mem::take(&mut made.files))
    }

    /// A program by name.
    pub fn program(&self, name: &str) -> Option<&LoadedProgram> {
        self.programs.iter().find(|loaded| loaded.program.name == name)
    }
}

/// The BPF file system keeps dots for itself.
fn pin_name(name: &str) -> String {
    name.replace(['.', '/'], "_")
}

/// Files and folders that go when this is dropped.
#[derive(Default)]
struct Made {
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Made {
    fn folder(&mut self, path: &Path) -> Result<(), Error> {
        if path.is_dir() {
            return Ok(());
        }
        std::fs::create_dir(path).map_err(|error| Error::Folder {
            path: path.to_owned(),
            errno: crate::Errno(error.raw_os_error().unwrap_or_default()),
        })?;
        self.folders.push(path.to_owned());
        Ok(())
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // What cannot be removed was removed by somebody else, or is used by him.
        for path in &self.files {
            let _ = std::fs::remove_file(path);
        }
        for path in self.folders.iter().rev() {
            let _ = std::fs::remove_dir(path);
        }
    }
}

/// Loads an object: creates its maps, fills and freezes global data, loads programs, and puts programs and maps into the
/// slots that are to hold them.
///
/// Errors: what cannot be linked ([`Error::Object`]), and all of [`crate::load`]. Everything that was made is closed then;
/// pins of maps stay.
pub fn load_object(object: &Object, options: &ObjectOptions<'_>) -> Result<LoadedObject, Error> {
    let native = if cfg!(target_endian = "little") { Endianness::Little } else { Endianness::Big };
    if object.endian() != native {
        return Err(Error::ByteOrder { file: object.file().to_owned() });
    }
    let plan = match Plan::new(object, options) {
        // The types are those of the kernel that it goes to.
        Err(Error::Object(ObjectError::NeedsCoRe { .. })) if options.link.core.is_none() => {
            let core = Some(Arc::new(CoreTarget::new(Arc::new(KernelTypes::read()?.btf().clone()))));
            let link = Options { core, ..options.link.clone() };
            Plan::new(object, &ObjectOptions { link, ..options.clone() })?
        }
        plan => plan?,
    };
    let mut shared = Shared::default();
    let mut made: BTreeMap<usize, Map> = BTreeMap::new();
    let first = plan.programs.first().map(|program| shared.info(program, &options.load)).transpose()?;
    let types = first.as_ref().and_then(|info| info.types.as_deref()).map(|types| &**types);
    for &at in &plan.maps {
        let def = &object.maps()[at];
        made.insert(at, make(def, types, &options.pins)?);
    }
    let mut programs = Vec::with_capacity(plan.programs.len());
    for program in plan.programs {
        let load = LoadOptions { attach_btf_id: shared.target(&program, &options.load)?, ..options.load };
        let info = shared.info(&program, &load)?;
        let maps = program.maps.iter().filter_map(|def| made.get(&position(object, def)?));
        let (prog, log) = load_code(&program, &maps.collect::<Vec<_>>(), &info, &load)?;
        programs.push(LoadedProgram { prog, program, log });
    }
    fill(object, &made, &programs)?;
    Ok(LoadedObject { maps: made.into_values().collect(), programs })
}

/// The place of a program's map in the object.
fn position(object: &Object, def: &Arc<MapDef>) -> Option<usize> {
    object.maps().iter().position(|map| Arc::ptr_eq(map, def))
}

/// What is to be made.
struct Plan {
    programs: Vec<Program>,
    /// Positions in the object's list.
    maps: BTreeSet<usize>,
}

impl Plan {
    fn new(object: &Object, options: &ObjectOptions<'_>) -> Result<Plan, Error> {
        let all = object.programs();
        let mut chosen: BTreeSet<usize> = BTreeSet::new();
        let mut maps: BTreeSet<usize> = BTreeSet::new();
        if options.programs.is_empty() {
            chosen.extend(all.iter().enumerate().filter(|(_, entry)| !entry.optional).map(|(at, _)| at));
            maps.extend(0..object.maps().len());
        }
        let by_name = |name: &str| all.iter().position(|entry| entry.name == name);
        for name in options.programs {
            // The object says that there is none.
            chosen.insert(by_name(name).map_or_else(|| object.program(name, &options.link).map(|_| 0), Ok)?);
        }
        let mut linked: BTreeMap<usize, Program> = BTreeMap::new();
        // Programs refer to maps, and maps to programs and maps.
        loop {
            for &at in &chosen {
                if let Entry::Vacant(entry) = linked.entry(at) {
                    let program = entry.insert(object.program(&all[at].name, &options.link)?);
                    maps.extend(program.maps.iter().filter_map(|def| position(object, def)));
                }
            }
            let before = (chosen.len(), maps.len());
            for slot in maps.clone().into_iter().flat_map(|at| &object.maps()[at].slots) {
                chosen.extend(by_name(&slot.symbol));
                maps.extend(object.maps().iter().position(|map| map.name == slot.symbol));
            }
            if before == (chosen.len(), maps.len()) && linked.len() == chosen.len() {
                return Ok(Plan { programs: linked.into_values().collect(), maps });
            }
        }
    }
}

/// What programs of an object have in common.
#[derive(Default)]
struct Shared {
    last: Option<Arc<crate::load::Types>>,
    kernel: Option<KernelTypes>,
}

impl Shared {
    /// Functions and lines; the types are those of the program before, if they are the same.
    fn info(&mut self, program: &Program, options: &LoadOptions) -> Result<Info, Error> {
        let info = Info::new(program, options, self.last.as_ref())?;
        self.last = info.types.clone().or(self.last.take());
        Ok(info)
    }

    /// The kernel's number of what the program is attached to, 0 for none.
    fn target(&mut self, program: &Program, options: &LoadOptions) -> Result<u32, Error> {
        if options.attach_btf_id != 0 || program.attach_prog.is_some() {
            return Ok(options.attach_btf_id);
        }
        let Some(name) = crate::target::name(program) else { return Ok(0) };
        let kernel = match self.kernel.take() {
            Some(kernel) => kernel,
            None => KernelTypes::read()?,
        };
        let id = kernel.target_of(program);
        self.kernel = Some(kernel);
        id.ok_or(Error::NoTarget { program: program.name.clone(), target: name })
    }
}

/// Creates a map, or opens the pin of one that is to be shared.
fn make(def: &MapDef, types: Option<&crate::BtfObject>, pins: &Path) -> Result<Map, Error> {
    match def.pinning {
        Pinning::None => Map::create_typed(def, types),
        Pinning::ByName => {
            let path = pins.join(&def.name);
            match Map::pinned(&path) {
                Ok(map) => {
                    let info = map.info()?;
                    let is_same = info.kind == Some(def.kind)
                        && (info.key_size, info.value_size) == (def.key_size, def.value_size)
                        && (info.max_entries, info.flags) == (def.max_entries, def.flags);
                    if is_same { Ok(map.renamed(&def.name)) } else { Err(Error::OtherMap { path }) }
                }
                Err(error) if error.errno() == Some(crate::Errno::ENOENT) => {
                    let map = Map::create_typed(def, types)?;
                    map.pin(&path)?;
                    Ok(map)
                }
                Err(error) => Err(error),
            }
        }
    }
}

/// Puts programs and maps into the slots that are to hold them.
fn fill(object: &Object, made: &BTreeMap<usize, Map>, programs: &[LoadedProgram]) -> Result<(), Error> {
    for (at, map) in made {
        for slot in &object.maps()[*at].slots {
            let key = slot.index.to_ne_bytes();
            let program = programs.iter().find(|loaded| loaded.program.name == slot.symbol);
            let inner = made.values().find(|map| map.name() == slot.symbol);
            match (program, inner) {
                (Some(loaded), _) => map.put(&key, &loaded.prog)?,
                (None, Some(inner)) => map.put(&key, inner)?,
                (None, None) => {
                    let (map, symbol) = (map.name().to_owned(), slot.symbol.clone());
                    return Err(Error::Slot { map, symbol });
                }
            }
        }
    }
    Ok(())
}
