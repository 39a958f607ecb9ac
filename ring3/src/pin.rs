//! Maps that outlive an instance: a file for each, in a directory that takes the place of a BPF file system.
//!
//! As with libbpf, a map that its definition says is pinned by name (`LIBBPF_PIN_BY_NAME`) is taken from the file of that name, if it is
//! there and has the same definition. The file has the definition and the elements:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `ring3map` |
//! | 1, 1 | version of the form (1); `l` or `b`, the byte order of numbers here and in the elements |
//! | 2 | bytes of the name |
//! | 4 each | type, bytes of a key, bytes of a value, entries, flags, CPUs |
//! | 8 | `map_extra` |
//! | 8 | number of elements |
//! | | the name, then the elements: key and value, as [`Map::read`] gives them; of a queue or stack the values, the first to come first |
//!
//! Zeroes of arrays are left out.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use ring3_platform::maps::Pinning;
use ring3_platform::{Errno, MapDef, MapFlags, MapType};
use ring3_vm::maps::{BPF_ANY, Map};

use crate::{Error, Instance};

const MAGIC: &[u8; 8] = b"ring3map";
const VERSION: u8 = 1;
const ORDER: u8 = if cfg!(target_endian = "little") { b'l' } else { b'b' };
/// Bytes in front of the name.
const HEADER: usize = 52;
/// The largest file that is read.
pub const MAX_PIN: u64 = 1 << 30;
/// The longest name.
const MAX_NAME: usize = 255;

/// Why a map is not pinned, or not taken from its pin.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)]
#[non_exhaustive]
pub enum PinError {
    #[error("it is no pinned map")]
    NotAPin,
    #[error("it is of version {0} of the form, this is version {VERSION}")]
    Version(u8),
    #[error("it was written by a machine of the other byte order")]
    ByteOrder,
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// As libbpf's "parameter mismatch".
    #[error("parameter mismatch: {what} is {pinned} there and {wanted} here")]
    Mismatch { what: &'static str, pinned: u64, wanted: u64 },
    #[error("the content of maps of type {} cannot be kept in a file", .0.name())]
    Type(MapType),
    #[error("'{0}' is no name of a file")]
    Name(String),
    #[error("an element is refused: {0}")]
    Element(Errno),
}

/// Whether a map's content can be kept.
pub fn can_pin(kind: MapType) -> bool {
    is_queue(kind) || crate::has_values(kind)
}

fn is_queue(kind: MapType) -> bool {
    matches!(kind, MapType::Queue | MapType::Stack)
}

fn is_array(kind: MapType) -> bool {
    matches!(kind, MapType::Array | MapType::PercpuArray)
}

/// What a definition must have in common with that of a pin: names for messages, and numbers.
fn parameters(def: &MapDef, cpus: u32) -> [(&'static str, u32); 6] {
    // The map may be there without the flags that only say what a user may do, but that is for the embedder to know.
    let MapFlags(flags) = def.flags;
    let cpus = if def.kind.is_percpu() { cpus } else { 0 };
    [
        ("type", def.kind.number()),
        ("key_size", def.key_size),
        ("value_size", def.value_size),
        ("max_entries", def.max_entries),
        ("flags", flags),
        ("number of CPUs", cpus),
    ]
}

/// The elements of a map as they are in a file.
fn elements(map: &dyn Map) -> (u64, Vec<u8>) {
    let (kind, mut count, mut bytes) = (map.def().kind, 0, Vec::new());
    if is_queue(kind) {
        // Out and in again: whoever looks meanwhile may find it empty.
        let mut values: Vec<Vec<u8>> = std::iter::from_fn(|| map.pop().ok()).collect();
        count = values.len() as u64;
        bytes = values.concat();
        if kind == MapType::Stack {
            values.reverse();
        }
        for value in values {
            // There is room, as it came from there.
            let _ = map.push(&value, BPF_ANY);
        }
        return (count, bytes);
    }
    let mut last: Option<Vec<u8>> = None;
    for _ in 0..map.len() {
        let Ok(key) = map.next_key(last.as_deref()) else { break };
        if let Ok(value) = map.copy_out(&key)
            && (!is_array(kind) || value.iter().any(|byte| *byte != 0))
        {
            bytes.extend_from_slice(&key);
            bytes.extend_from_slice(&value);
            count += 1;
        }
        last = Some(key);
    }
    (count, bytes)
}

/// A map as the bytes of a file. `cpus` is for how many the map was made.
pub fn encode(map: &dyn Map, cpus: u32) -> Result<Vec<u8>, PinError> {
    let def = map.def();
    if !can_pin(def.kind) {
        return Err(PinError::Type(def.kind));
    }
    let name = u16::try_from(def.name.len()).ok().filter(|len| usize::from(*len) <= MAX_NAME);
    let name = name.ok_or_else(|| PinError::Name(def.name.clone()))?;
    let (count, elements) = elements(map);
    let mut file = MAGIC.to_vec();
    file.extend([VERSION, ORDER]);
    file.extend(name.to_ne_bytes());
    file.extend(parameters(def, cpus).iter().flat_map(|(_, number)| number.to_ne_bytes()));
    file.extend(def.extra.to_ne_bytes());
    file.extend(count.to_ne_bytes());
    file.extend_from_slice(def.name.as_bytes());
    file.extend(elements);
    Ok(file)
}

/// Reads the numbers of a file one after the other.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], PinError> {
        let (part, rest) = self.0.split_at_checked(len).ok_or(PinError::Damaged("it ends too early"))?;
        self.0 = rest;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PinError> {
        self.take(N)?.try_into().map_err(|_| PinError::Damaged("it ends too early"))
    }
}

/// Fills a new map with the elements of a file, if the definition there is the map's.
pub fn decode(file: &[u8], map: &dyn Map, cpus: u32) -> Result<(), PinError> {
    let mut cursor = Cursor(file);
    if file.len() < HEADER || cursor.take(MAGIC.len())? != MAGIC {
        return Err(PinError::NotAPin);
    }
    let [version, order] = cursor.array()?;
    if version != VERSION {
        return Err(PinError::Version(version));
    }
    if order != ORDER {
        return Err(PinError::ByteOrder);
    }
    let name = u16::from_ne_bytes(cursor.array()?);
    for (what, wanted) in parameters(map.def(), cpus) {
        let pinned = u32::from_ne_bytes(cursor.array()?);
        if pinned != wanted {
            return Err(PinError::Mismatch { what, pinned: pinned.into(), wanted: wanted.into() });
        }
    }
    let extra = u64::from_ne_bytes(cursor.array()?);
    if extra != map.def().extra {
        return Err(PinError::Mismatch { what: "map_extra", pinned: extra, wanted: map.def().extra });
    }
    let count = u64::from_ne_bytes(cursor.array()?);
    cursor.take(name.into())?;
    fill(cursor.0, count, map, cpus)
}

fn fill(elements: &[u8], count: u64, map: &dyn Map, cpus: u32) -> Result<(), PinError> {
    let def = map.def();
    if !can_pin(def.kind) {
        return Err(PinError::Type(def.kind));
    }
    let value = match def.kind.is_percpu() {
        true => (def.value_size as usize).next_multiple_of(8).saturating_mul(cpus as usize),
        false => def.value_size as usize,
    };
    let (key, count) = (def.key_size as usize, usize::try_from(count).ok());
    let one = key.saturating_add(value).max(1);
    if count.and_then(|count| count.checked_mul(one)) != Some(elements.len()) {
        return Err(PinError::Damaged("the elements have another length than they should"));
    }
    let parts: Vec<&[u8]> = match def.kind {
        // What is to come first goes in last.
        MapType::Stack => elements.chunks_exact(one).rev().collect(),
        _ => elements.chunks_exact(one).collect(),
    };
    for part in parts {
        let (key, value) = part.split_at(key);
        let done = if is_queue(def.kind) { map.push(value, BPF_ANY) } else { map.copy_in(key, value, BPF_ANY) };
        done.map_err(PinError::Element)?;
    }
    Ok(())
}

/// The file of a map: its name, with `.` as `_` as in a BPF file system.
fn path_of(folder: &Path, def: &MapDef) -> Result<PathBuf, PinError> {
    let name = def.name.replace('.', "_");
    let legal = !name.is_empty() && name.len() <= MAX_NAME && !name.contains(['/', '\\', '\0']);
    if legal { Ok(folder.join(name)) } else { Err(PinError::Name(def.name.clone())) }
}

impl Instance {
    /// The maps whose definitions say that they are pinned by name.
    fn pinned(&self) -> impl Iterator<Item = crate::MapRef<'_>> {
        self.maps().filter(|map| map.def().pinning == Pinning::ByName)
    }

    /// Takes the content of the maps that are pinned by name from their files in this folder, where there are such, and says which.
    /// Before the first run: elements that are there already stay.
    ///
    /// # Errors
    ///
    /// Files that cannot be read, are none of ours or of another definition than the map.
    pub fn restore_pins(&self, folder: &Path) -> Result<Vec<String>, Error> {
        let mut restored = Vec::new();
        for map in self.pinned() {
            let wrap = |path: &Path| {
                let (path, map) = (path.to_owned(), map.name().to_owned());
                move |problem| Error::Pin { path, map, problem }
            };
            let path = path_of(folder, map.def()).map_err(wrap(folder))?;
            if !path.exists() {
                continue;
            }
            let file = crate::read(&path, MAX_PIN)?;
            decode(&file, map.raw().as_ref(), map.cpus()).map_err(wrap(&path))?;
            restored.push(map.name().to_owned());
        }
        Ok(restored)
    }

    /// Writes the maps that are pinned by name to files in this folder, which is made if it is not there, and gives their paths. A
    /// file is replaced at once, so that nobody finds half of one.
    ///
    /// # Errors
    ///
    /// Files that cannot be written, and map types whose content is no data.
    pub fn save_pins(&self, folder: &Path) -> Result<Vec<PathBuf>, Error> {
        let mut saved = Vec::new();
        for map in self.pinned() {
            let wrap = |problem| Error::Pin { path: folder.to_owned(), map: map.name().to_owned(), problem };
            let path = path_of(folder, map.def()).map_err(wrap)?;
            let file = encode(map.raw().as_ref(), map.cpus()).map_err(wrap)?;
            replace(folder, &path, &file).map_err(|source| Error::Write { path: path.clone(), source })?;
            saved.push(path);
        }
        Ok(saved)
    }
}

fn replace(folder: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    let temporary = folder.join(name);
    let written = fs::File::create(&temporary).and_then(|mut file| file.write_all(bytes));
    written.and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
        // What is half written is of no use; that it may stay is not what went wrong.
        let _ = fs::remove_file(&temporary);
    })
}
