//! What the command cannot go on after.

use std::fmt;
use std::io;
use std::path::Path;

/// An error that ends the command.
#[derive(Debug)]
pub enum CliError {
    /// Writing the output failed.
    Output(io::Error),
    /// Bad input, in the words to be printed.
    Input(String),
}

impl CliError {
    /// An error of input.
    pub fn input(error: impl fmt::Display) -> CliError {
        CliError::Input(error.to_string())
    }

    /// An error about a file.
    pub fn file(path: &Path, error: impl fmt::Display) -> CliError {
        CliError::Input(format!("{}: {error}", path.display()))
    }

    /// The reader of the output has gone.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, CliError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CliError::Output(error) => write!(f, "output: {error}"),
            CliError::Input(text) => f.write_str(text),
        }
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> CliError {
        CliError::Output(error)
    }
}

impl From<ring3::Error> for CliError {
    fn from(error: ring3::Error) -> CliError {
        CliError::Input(crate::input::told(&error))
    }
}
