//! A case: one program, what it runs on, and what must come of it. `conformance/README.md` describes the text.

mod parse;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring3_isa::Code;
use ring3_platform::{Errno, MapDef};

use crate::Error;

pub use parse::{FormatError, Problem, parse};

/// Bytes of a file, at most.
pub const MAX_FILE_BYTES: u64 = 1 << 20;
/// Slots of a program, at most: enough that jumps of 16 bits do not reach everywhere.
pub const MAX_SLOTS: usize = 1 << 16;
/// Bytes of memory or of a packet, at most.
pub const MAX_MEMORY_BYTES: usize = 1 << 16;
/// Maps of a case, at most.
pub const MAX_MAPS: usize = 16;

/// How Linux refuses a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What BPF_PROG_LOAD returns.
    pub errno: Errno,
    /// What the verifier says.
    pub message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.errno, self.message)
    }
}

/// What a program runs on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// R1 is the address of these bytes, R2 their number; both are 0 if there are none.
    Memory(Vec<u8>),
    /// R1 is the `__sk_buff` of this packet.
    Packet(Vec<u8>),
}

/// What must come of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expect {
    /// R0 at the end.
    Result(u64),
    /// No engine runs it.
    Refused(Refusal),
    /// The run fails with this text; with any, if it is empty.
    Error(String),
}

/// That Linux refuses a program which the RFC defines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unverified {
    /// Why, in a few words of the case's author.
    pub reason: String,
    /// In the verifier's.
    pub refusal: Refusal,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// File name without `.data`.
    pub name: String,
    /// The comment in front: what it shows, and which section of the RFC says so.
    pub about: String,
    /// The program.
    pub code: Code,
    /// What it runs on.
    pub input: Input,
    /// Maps that it names by index.
    pub maps: Vec<Arc<MapDef>>,
    /// Whether helper numbers are those of Linux, not those of the public suite.
    pub linux: bool,
    /// Whether Linux refuses it though it is right.
    pub unverified: Option<Unverified>,
    /// What must come of it.
    pub expect: Expect,
}

impl Case {
    /// A program of which nobody says what must come: to see what comes.
    pub fn of_program(code: Code, maps: Vec<Arc<MapDef>>, memory: Vec<u8>) -> Case {
        Case {
            name: "program".to_owned(),
            about: String::new(),
            code,
            input: Input::Memory(memory),
            // With maps, its helpers are those of Linux, as in a file.
            linux: !maps.is_empty(),
            maps,
            unverified: None,
            expect: Expect::Result(0),
        }
    }

    /// Reads a case from a file.
    pub fn read(path: &Path) -> Result<Case, Error> {
        let failed = |source| Error::Read { path: path.to_owned(), source };
        let size = std::fs::metadata(path).map_err(failed)?.len();
        let format = |problem| Error::Format { path: path.to_owned(), problem };
        if size > MAX_FILE_BYTES {
            return Err(format(Problem::TooMuch { what: "bytes in a file", limit: MAX_FILE_BYTES }.at(1, 1)));
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        parse(&name, &String::from_utf8_lossy(&bytes)).map_err(format)
    }
}

/// Files that a runner takes, at most.
pub const MAX_FILES: usize = 100_000;

/// The files of a path: itself, or all `.data` files below a directory, in the order of their names.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // Links are not followed: they can make circles.
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if entry.path().extension().is_some_and(|ext| ext == "data") {
                found.push(entry.path());
            }
            if found.len() + open.len() > MAX_FILES {
                return Err(Error::TooManyFiles { path: path.to_owned(), limit: MAX_FILES });
            }
        }
    }
    if found.is_empty() {
        return Err(Error::NoCases { path: path.to_owned() });
    }
    found.sort();
    Ok(found)
}
