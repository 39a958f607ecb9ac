//! The same C as machine code of a C compiler: what a program costs without any virtual machine.
//!
//! `clang -O2` compiles the sources of `bpf/` for this machine when it is asked to, with `bpf/native.h` in the place of the BPF headers.
//! Helpers are the functions that the peers get too, called through pointers; the maps are ring3's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use libloading::{Library, Symbol};
use ring3_vm::maps::{self, Map};

use crate::peer::{self, Input};
use crate::workload::Workload;

/// Why there is no native code.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum NativeError {
    #[error("clang does not run (CLANG names another one): {0}")]
    Clang(std::io::Error),
    #[error("{path}: clang: {text}")]
    Refused { path: String, text: String },
    #[error(transparent)]
    Library(#[from] libloading::Error),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0} was not compiled from C")]
    NoSource(String),
    #[error("no map: {0:?}")]
    Map(ring3_platform::Errno),
}

type Main = unsafe extern "C" fn(*mut [u8; 16]) -> u32;

/// `struct helpers` of `bpf/native.h`.
#[repr(C)]
struct Helpers {
    lookup: extern "C" fn(u64, u64) -> u64,
    update: extern "C" fn(u64, u64, u64, u64) -> u64,
    prandom: extern "C" fn() -> u32,
}

extern "C" fn lookup(map: u64, key: u64) -> u64 {
    peer::lookup(map, key, 0, 0, 0)
}

extern "C" fn update(map: u64, key: u64, value: u64, flags: u64) -> u64 {
    peer::update(map, key, value, flags, 0)
}

extern "C" fn prandom() -> u32 {
    peer::prandom(0, 0, 0, 0, 0) as u32
}

/// A program in a library of its own.
#[derive(Debug)]
pub struct Native {
    main: Main,
    input: Input,
    /// The library holds their addresses.
    _maps: Box<[Arc<dyn Map>]>,
    /// `main` is in it.
    _library: Library,
    _folder: Folder,
}

/// A folder that goes when it is dropped.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left then is a file in a folder for such files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Native {
    /// Compiles and loads a workload of `bpf/`.
    pub fn new(workload: &Workload) -> Result<Native, NativeError> {
        let source = workload.source.as_ref().ok_or_else(|| NativeError::NoSource(workload.name.clone()))?;
        let folder = std::env::temp_dir().join(format!("ring3-native-{}-{}", std::process::id(), workload.name));
        std::fs::create_dir_all(&folder)?;
        let folder = Folder(folder);
        let object = folder.0.join("native.so");
        compile(source, &object)?;
        // SAFETY: the library is compiled from our own sources, which have no constructors.
        let library = unsafe { Library::new(&object) }?;
        let create = |def| maps::create(def, 1).map_err(NativeError::Map);
        let maps: Box<[Arc<dyn Map>]> = workload.program.maps.iter().map(create).collect::<Result<_, _>>()?;
        for (def, map) in workload.program.maps.iter().zip(&*maps).filter(|(def, _)| !def.name.contains('.')) {
            // SAFETY: the variable of a map has more than one word.
            let symbol: Symbol<'_, *mut u64> = unsafe { library.get(def.name.as_bytes()) }?;
            // SAFETY: as above; nothing runs yet.
            unsafe { symbol.write(std::ptr::from_ref(map).expose_provenance() as u64) };
        }
        // SAFETY: `bpf/native.h` says that the table is there and what it holds.
        let helpers: Symbol<'_, *mut Helpers> = unsafe { library.get(b"helpers") }?;
        // SAFETY: as above; nothing runs yet.
        unsafe { helpers.write(Helpers { lookup, update, prandom }) };
        // SAFETY: a program of `bpf/` is a function of this type.
        let main = *unsafe { library.get::<Main>(workload.program.name.as_bytes()) }?;
        Ok(Native { main, input: Input::new(&workload.packet), _maps: maps, _library: library, _folder: folder })
    }

    /// One run: what it returns.
    pub fn run(&mut self) -> u32 {
        self.input.refresh();
        // SAFETY: the program was written to be safe for BPF, on a context as it wants it.
        unsafe { (self.main)(self.input.context_mut()) }
    }
}

fn compile(source: &Path, object: &Path) -> Result<(), NativeError> {
    let clang = std::env::var("CLANG").unwrap_or_else(|_| "clang-19".to_owned());
    let mut command = Command::new(clang);
    command.args(["-O2", "-DNATIVE", "-fPIC", "-shared", "-fvisibility=default", "-fno-strict-aliasing"]);
    let output = command.arg(source).arg("-o").arg(object).output().map_err(NativeError::Clang)?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(NativeError::Refused { path: source.display().to_string(), text })
}
