//! The map of `perf`: a line for each function, with its address and size in hexadecimal digits and its name
//! (`tools/perf/Documentation/jit-interface.txt` of Linux).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Symbols;
use crate::Compiled;

/// A map that is being written.
#[derive(Debug)]
pub struct PerfMap {
    file: File,
    path: PathBuf,
}

impl PerfMap {
    /// Where `perf` looks for the map of this process.
    pub fn default_path() -> PathBuf {
        PathBuf::from(format!("/tmp/perf-{}.map", std::process::id()))
    }

    /// Opens the map of this process to add to it, or begins one.
    pub fn open() -> io::Result<PerfMap> {
        PerfMap::at(&PerfMap::default_path())
    }

    /// The same at another place. What is there and is no plain file, such as a link that somebody else put there, is refused.
    pub fn at(path: &Path) -> io::Result<PerfMap> {
        let mut options = OpenOptions::new();
        options.append(true);
        let file = match path.symlink_metadata() {
            Ok(there) if there.is_file() => options.open(path)?,
            Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "not a plain file")),
            Err(_) => options.create_new(true).open(path)?,
        };
        Ok(PerfMap { file, path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds the functions of a program. The map has no way to say that one is gone: what is compiled later at the same place is
    /// added again, and `perf` takes the last.
    pub fn add(&mut self, compiled: &Compiled, symbols: &Symbols) -> io::Result<()> {
        let mut text = String::new();
        for function in &symbols.functions {
            let start = compiled.address() + function.code.start as u64;
            text += &format!("{start:x} {:x} {}\n", function.code.len(), function.name);
        }
        self.file.write_all(text.as_bytes())
    }
}
