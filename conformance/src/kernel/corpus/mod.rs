//! Corpora made on the machine: see [`selftests`], [`tables`] and [`packages`].
//!
//! Each is a folder whose name has a digest of what it is made of, below the one that is given. What is there already is
//! not made again, so a preparation that was interrupted goes on where it was.

mod apt;
pub mod expect;
pub mod packages;
pub mod selftests;
pub mod tables;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use ring3_platform::Program;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// A corpus that is there.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// Its name in the report.
    pub name: &'static str,
    /// Its objects, in order.
    pub files: Vec<PathBuf>,
    /// Programs that come without an object.
    pub programs: Vec<RawProgram>,
    /// What there is to say about it.
    pub note: String,
}

impl Corpus {
    /// An empty one.
    pub fn new(name: &'static str, note: String) -> Corpus {
        Corpus { name, files: Vec::new(), programs: Vec::new(), note }
    }
}

/// A program without an object.
#[derive(Clone, Debug)]
pub struct RawProgram {
    /// What it is listed under.
    pub file: String,
    /// Its name, as long as it likes.
    pub name: String,
    /// The program.
    pub program: Arc<Program>,
    /// What its author says of it.
    pub expected: expect::Expected,
}

/// Why a corpus is not to be had.
#[derive(Debug, Error)]
pub enum Absent {
    /// A program that it takes is not installed.
    #[error("{tool} is not installed (apt-get install {package})")]
    Tool {
        /// The program.
        tool: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A package is neither here nor to be downloaded.
    #[error("package {package} cannot be downloaded: {why}")]
    Package {
        /// The Debian package.
        package: String,
        /// What apt says.
        why: String,
    },
    /// A command failed.
    #[error("{command}: {why}")]
    Command {
        /// The program that was run.
        command: String,
        /// What it says.
        why: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Absent {
    /// A file that cannot be read or written.
    pub fn file(path: &Path) -> impl FnOnce(io::Error) -> Absent {
        let path = path.to_owned();
        move |source| Absent::File { path, source }
    }
}

/// Is this program in one of the folders of PATH?
pub fn has(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]).any(|folder| folder.join(tool).is_file())
}

/// Fails if a program is missing.
pub(crate) fn need(tool: &'static str, package: &'static str) -> Result<(), Absent> {
    if has(tool) { Ok(()) } else { Err(Absent::Tool { tool, package }) }
}

/// Runs a command to its end and gives what it printed.
pub fn output(command: &mut Command) -> Result<Vec<u8>, Absent> {
    let name = command_name(command);
    let out = match command.stdin(Stdio::null()).output() {
        Ok(out) => out,
        Err(error) => return Err(Absent::Command { command: name, why: error.to_string() }),
    };
    if out.status.success() {
        return Ok(out.stdout);
    }
    let text = String::from_utf8_lossy(&out.stderr);
    let why = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("failed").to_owned();
    Err(Absent::Command { command: name, why })
}

fn command_name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// The first digits of a digest of these.
pub(crate) fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a folder with all that lead to it.
pub fn folder(path: &Path) -> Result<(), Absent> {
    fs::create_dir_all(path).map_err(Absent::file(path))
}

/// Writes a file whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Absent> {
    let part = path.with_extension("part");
    fs::write(&part, bytes).map_err(Absent::file(&part))?;
    fs::rename(&part, path).map_err(Absent::file(path))
}

/// The files of a folder whose names end so, in order.
pub fn list(path: &Path, end: &str) -> Result<Vec<PathBuf>, Absent> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(Absent::file(path))? {
        let file = entry.map_err(Absent::file(path))?.path();
        if file.is_file() && file.to_string_lossy().ends_with(end) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// The package file of this machine's release, downloaded into a folder unless it is there; its name has the version.
pub(crate) fn download(package: &str, into: &Path) -> Result<PathBuf, Absent> {
    download_with(package, into, &[])
}

/// The same with options for apt.
fn download_with(package: &str, into: &Path, options: &[String]) -> Result<PathBuf, Absent> {
    let absent = |why: String| Absent::Package { package: package.to_owned(), why };
    folder(into)?;
    let start = format!("{package}_");
    let here = || {
        let files = list(into, ".deb").ok()?;
        files.into_iter().rfind(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start)))
    };
    if let Some(file) = here() {
        return Ok(file);
    }
    if !has("apt-get") {
        return Err(absent("there is no apt".to_owned()));
    }
    let get = |what: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.args(["-q", "-o", "APT::Sandbox::User=root"]).args(options).args(what);
        output(apt.current_dir(into))
    };
    get(&["download", package]).map_err(|error| absent(error.to_string()))?;
    here().ok_or_else(|| absent("apt-get wrote no file".to_owned()))
}

/// Does the same for all items, on so many threads.
pub(crate) fn each<T: Send>(items: Vec<T>, threads: usize, work: impl Fn(T) + Sync) {
    let items = Mutex::new(items.into_iter());
    let next = || items.lock().map_or_else(|poisoned| poisoned.into_inner().next(), |mut items| items.next());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(item) = next() {
                    work(item);
                }
            });
        }
    });
}
