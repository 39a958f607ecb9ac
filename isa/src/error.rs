//! The crate's error.

use alloc::format;
use alloc::string::String;
use thiserror::Error;

use crate::code::Malformed;

/// Why bytes or text are not a program.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum IsaError {
    /// The bytes are not whole slots.
    #[error("{bytes} bytes of code are not a multiple of 8")]
    PartialSlot {
        /// How many bytes there were.
        bytes: usize,
    },
    /// Text that does not assemble.
    #[error("line {line}, column {column}: {problem}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong there.
        problem: Syntax,
    },
}

/// What is wrong with assembler text.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Syntax {
    /// Something else should stand here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// No instruction has this name.
    #[error("no instruction '{name}'{}", suggestion(.near))]
    Mnemonic {
        /// The name as written.
        name: String,
        /// The closest that there is.
        near: Option<String>,
    },
    /// No register has this name.
    #[error("no register '{0}'")]
    Register(String),
    /// A number that the field cannot hold.
    #[error("{value} does not fit {field}")]
    Range {
        /// The number as written.
        value: String,
        /// The field.
        field: &'static str,
    },
    /// Both operands of an operation must have one width.
    #[error("operands of different widths")]
    MixedWidth,
    /// The operation takes no 32-bit register here.
    #[error("needs a 64-bit register")]
    NeedsWide,
    /// The operation reads and writes one register.
    #[error("both registers must be the same")]
    MustMatch,
    /// The combination has no encoding.
    #[error("no such instruction: {0}")]
    NoEncoding(Malformed),
    /// A slot number that does not follow from the one before.
    #[error("slot {written} does not follow here")]
    Slot {
        /// The number before the colon.
        written: u64,
    },
    /// A name that nothing defines.
    #[error("unknown {kind} '{name}'")]
    Unknown {
        /// What it should name.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A label for the second time.
    #[error("label '{0}' is defined twice")]
    Duplicate(String),
    /// A label further away than the instruction can jump.
    #[error("label '{name}' is {distance} slots away, which does not fit the instruction")]
    TooFar {
        /// The label.
        name: String,
        /// Slots from the following instruction.
        distance: i64,
    },
    /// The opcode byte before the text is that of another instruction.
    #[error("the text is opcode {actual:02x}, not {written:02x}")]
    Opcode {
        /// The byte in brackets.
        written: u8,
        /// What the text assembles to.
        actual: u8,
    },
}

fn suggestion(near: &Option<String>) -> String {
    near.as_ref().map_or_else(String::new, |near| format!("; did you mean '{near}'?"))
}
