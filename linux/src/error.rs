//! What can go wrong.

use thiserror::Error;

use crate::load::Log;
use crate::sys::Command;
use crate::{Errno, Unavailable};

/// An error of this crate. The kernel's error number and log are kept as they came.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Error {
    /// BPF programs can be loaded by Linux alone.
    #[error("not Linux: bpf(2) is a system call of Linux")]
    NotLinux,
    /// bpf(2) cannot be used here.
    #[error("bpf(2) cannot be used: {0}")]
    Unavailable(#[from] Unavailable),
    /// A command of bpf(2) failed.
    #[error("{command}: {errno}")]
    Command {
        /// Which.
        command: Command,
        /// Why.
        errno: Errno,
    },
    /// A map was refused.
    #[error("map '{map}': {command}: {errno}")]
    Map {
        /// Its name.
        map: String,
        /// What was tried.
        command: Command,
        /// Why not.
        errno: Errno,
    },
    /// A pin could not be made or opened.
    #[error("{path}: {command}: {errno}", path = .path.display())]
    Path {
        /// Where.
        path: std::path::PathBuf,
        /// What was tried.
        command: Command,
        /// Why not.
        errno: Errno,
    },
    /// A program was refused: by the verifier, which then wrote a log, or before it.
    #[error("program '{program}': {command}: {errno}\n{log}", command = Command::ProgLoad)]
    Program {
        /// Its name.
        program: String,
        /// Why.
        errno: Errno,
        /// What the verifier said; empty if it was not reached.
        log: Log,
    },
    /// A program could not be run.
    #[error("program '{program}': {command}: {errno}", command = Command::TestRun)]
    Run {
        /// Its name.
        program: String,
        /// Why.
        errno: Errno,
    },
    /// Types were refused.
    #[error("{command}: {errno}\n{log}", command = Command::BtfLoad)]
    Btf {
        /// Why.
        errno: Errno,
        /// What the kernel said.
        log: Log,
    },
    /// A key, value or context of another size than the map or command has.
    #[error("{what}: {found} bytes given, {expected} needed")]
    Size {
        /// Of what.
        what: &'static str,
        /// Bytes that the map has.
        expected: usize,
        /// Bytes that were given.
        found: usize,
    },
    /// An operation with more than the kernel's interface has numbers for.
    #[error("{what}: {found} is more than the limit, {limit}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How much.
        found: usize,
        /// At most.
        limit: usize,
    },
    /// A descriptor or pin of something else.
    #[error("{found} in place of {expected}")]
    Kind {
        /// What was needed, in the kernel's words (`bpf-map`).
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A path or name with a zero in it, or one that names no event.
    #[error("'{0}' is no name for this")]
    Name(String),
    /// A program whose list of maps is another than was given for it.
    #[error("program '{program}' refers to {expected} maps, {found} given")]
    Maps {
        /// Its name.
        program: String,
        /// Maps that it has.
        expected: usize,
        /// Maps that were given.
        found: usize,
    },
    /// An object that cannot be linked.
    #[error(transparent)]
    Object(#[from] ring3_object::ObjectError),
    /// An object for machines of the other byte order.
    #[error("{file}: its byte order is not that of this machine")]
    ByteOrder {
        /// Its name.
        file: String,
    },
    /// A folder for pins could not be made.
    #[error("{path}: mkdir(2): {errno}", path = .path.display())]
    Folder {
        /// Where.
        path: std::path::PathBuf,
        /// Why not.
        errno: Errno,
    },
    /// A map is to hold a program or map that is not there.
    #[error("map '{map}' is to hold '{symbol}', which is not there")]
    Slot {
        /// Its name.
        map: String,
        /// What is missing.
        symbol: String,
    },
    /// A pinned map is another than the one that is to be shared.
    #[error("{path}: the map that is pinned there has another type, size or flags", path = .path.display())]
    OtherMap {
        /// Where.
        path: std::path::PathBuf,
    },
    /// A program is to be attached to a function that the kernel does not have.
    #[error("program '{program}': the kernel's types have no '{target}'")]
    NoTarget {
        /// Its name.
        program: String,
        /// Name in the kernel's types.
        target: String,
    },
    /// A system call other than bpf(2) failed.
    #[error("{what}: {errno}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        errno: Errno,
    },
    /// The kernel does not show types of its own: it is built without them (CONFIG_DEBUG_INFO_BTF), or sysfs is not mounted.
    #[error("the kernel has no types of its own: {path}: {errno}")]
    NoTypes {
        /// Where they would be.
        path: &'static str,
        /// Why it cannot be opened.
        errno: Errno,
    },
    /// A file of the kernel that does not say what it should.
    #[error("{path}: cannot be understood")]
    File {
        /// Which.
        path: &'static str,
    },
}

impl Error {
    /// The kernel's error number, if it was the kernel that refused.
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Error::Command { errno, .. }
            | Error::Map { errno, .. }
            | Error::Path { errno, .. }
            | Error::Folder { errno, .. }
            | Error::Program { errno, .. }
            | Error::Run { errno, .. }
            | Error::Btf { errno, .. }
            | Error::System { errno, .. } => Some(*errno),
            Error::NotLinux
            | Error::Unavailable(_)
            | Error::Size { .. }
            | Error::Limit { .. }
            | Error::Kind { .. }
            | Error::Name(_)
            | Error::Object(_)
            | Error::ByteOrder { .. }
            | Error::Slot { .. }
            | Error::OtherMap { .. }
            | Error::NoTarget { .. }
            | Error::Maps { .. }
            | Error::NoTypes { .. }
            | Error::File { .. } => None,
        }
    }

    /// The kernel's log, if it wrote one.
    pub const fn log(&self) -> Option<&Log> {
        match self {
            Error::Program { log, .. } | Error::Btf { log, .. } => Some(log),
            Error::NotLinux
            | Error::Unavailable(_)
            | Error::Command { .. }
            | Error::Map { .. }
            | Error::Path { .. }
            | Error::Folder { .. }
            | Error::Run { .. }
            | Error::Size { .. }
            | Error::Limit { .. }
            | Error::Kind { .. }
            | Error::Name(_)
            | Error::Object(_)
            | Error::ByteOrder { .. }
            | Error::Slot { .. }
            | Error::OtherMap { .. }
            | Error::NoTarget { .. }
            | Error::Maps { .. }
            | Error::System { .. }
            | Error::NoTypes { .. }
            | Error::File { .. } => None,
        }
    }
}
