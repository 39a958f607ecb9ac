//! The crate's error.

use std::path::PathBuf;

use crate::format::FormatError;

/// What can be wrong with what a runner is given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory cannot be read.
    #[error("{}: {source}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no case.
    #[error("{}:{problem}", .path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        problem: FormatError,
    },
    /// A directory without a single case.
    #[error("{}: no .data files", .path.display())]
    NoCases {
        /// The directory.
        path: PathBuf,
    },
    /// More cases than a runner takes.
    #[error("{}: more than {limit} files", .path.display())]
    TooManyFiles {
        /// The directory.
        path: PathBuf,
        /// How many are taken.
        limit: usize,
    },
    /// No engine has this name.
    #[error("no engine '{name}'; there are {}, plugin:COMMAND", crate::EngineName::ALL.map(|name| name.to_string()).join(", "))]
    NoEngine {
        /// The name.
        name: String,
    },
    /// A number or text of the command line that is not what it must be.
    #[error("{what} '{text}': {problem}")]
    Argument {
        /// What it should be.
        what: &'static str,
        /// As it was given.
        text: String,
        /// What is wrong.
        problem: String,
    },
}
