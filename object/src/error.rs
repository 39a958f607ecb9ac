//! What can be wrong with an object, and where.

use std::fmt;
use std::sync::Arc;

use ring3_btf::{BtfError, CoreError};

/// A place in an object: its file, section, and offset in bytes within the section (without a section: within the file).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The name that was given to [`crate::Object::parse`].
    pub file: Arc<str>,
    /// ELF section, if the place is in one.
    pub section: Option<Arc<str>>,
    /// Bytes.
    pub offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if let Some(section) = &self.section {
            write!(f, "section '{section}', ")?;
        }
        write!(f, "offset {:#x}", self.offset)
    }
}

/// What an external symbol was to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExternKind {
    /// A value of the kernel's configuration (`.kconfig`).
    Kconfig,
    /// A kernel variable (`.ksyms`).
    Ksym,
    /// A kernel function.
    Kfunc,
    /// A map that another object defines (`.maps`).
    Map,
    /// Nothing in BTF says.
    Unknown,
}

impl ExternKind {
    /// What to do about it.
    const fn hint(self) -> &'static str {
        match self {
            ExternKind::Map => "link the objects into one first",
            ExternKind::Kconfig | ExternKind::Ksym | ExternKind::Kfunc | ExternKind::Unknown => {
                "which cannot be provided yet"
            }
        }
    }
}

impl fmt::Display for ExternKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ExternKind::Kconfig => "kernel configuration value (.kconfig)",
            ExternKind::Ksym => "kernel variable (.ksyms)",
            ExternKind::Kfunc => "kernel function (.ksyms)",
            ExternKind::Map => "map of another object",
            ExternKind::Unknown => "external symbol",
        })
    }
}

/// Why a definition in `.maps` or `maps` is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum MapProblem {
    #[error("its type is not a struct")]
    NotAStruct,
    #[error("it reaches beyond its section")]
    OutOfSection,
    #[error("its field '{0}' does not have the form of the macros __uint, __ulong, __type or __array")]
    FieldForm(String),
    #[error("it has an unknown field '{0}'")]
    UnknownField(String),
    #[error("it has no type")]
    NoType,
    #[error("map type {0} is not known")]
    UnknownType(u64),
    #[error("its {what} is {given} bytes by one field and {other} by another")]
    SizeConflict { what: &'static str, given: u32, other: u32 },
    #[error("its {what} {value} does not fit 32 bits")]
    TooBig { what: &'static str, value: u64 },
    #[error("its pinning {0} is not known")]
    Pinning(u64),
    #[error("its inner map has '{0}', which only an outer map can have")]
    Inner(&'static str),
    #[error("its 'values' must be the last field")]
    ValuesNotLast,
    #[error("its slot at offset {0:#x} is not initialised with a program or map")]
    BadSlot(u64),
    #[error("definitions in this section have {0} bytes, which is not 20 or more for each")]
    LegacySize(u64),
    #[error("it has options that are not known (a byte beyond the first 20 is not zero)")]
    LegacyOptions,
}

/// Why a global variable could not be read or set.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum GlobalProblem {
    #[error("there is no global variable of this name")]
    Unknown,
    #[error("it is a value that the kernel provides and cannot be set")]
    Extern,
    #[error("there is no member or element '{0}'")]
    NoPart(String),
    #[error("it has {need} bytes, {given} were given")]
    Size { need: usize, given: usize },
    #[error("'{0}' is not a value of its type")]
    Text(String),
    #[error("'{text}' does not fit {bits} bits")]
    Range { text: String, bits: u32 },
    #[error("its type has no text form: give its bytes, or set its parts one by one")]
    Shape,
}

/// Why an object, or a program of it, could not be made ready.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ObjectError {
    #[error("{at}: not a BPF ELF object: {problem}")]
    Elf { at: Place, problem: String },
    #[error("{at}: {what} {found} is over the limit of {limit}")]
    Limit { at: Place, what: &'static str, found: u64, limit: u64 },
    #[error("{at}: {source}")]
    Btf { at: Place, source: BtfError },
    #[error("{at}: map '{map}': {problem}")]
    Map { at: Place, map: String, problem: MapProblem },
    #[error("{at}: map definitions need BTF, compile with -g")]
    MapsWithoutBtf { at: Place },
    #[error("{at}: function '{function}' {problem}")]
    Function { at: Place, function: String, problem: &'static str },
    #[error("{at}: relocation to '{symbol}' {problem}")]
    Relocation { at: Place, symbol: String, problem: &'static str },
    #[error("{at}: instruction {problem}")]
    Instruction { at: Place, problem: &'static str },
    #[error("{file}: there is no program '{program}'")]
    NoSuchProgram { file: Arc<str>, program: String },
    #[error("{at}: program '{program}': failed to guess program type from ELF section '{}'",
            .at.section.as_deref().unwrap_or(""))]
    UnknownType { at: Place, program: String },
    #[error("{at}: program '{program}' needs a kernel's BTF for CO-RE relocation {relocation}")]
    NeedsCoRe { at: Place, program: String, relocation: String },
    #[error("{at}: program '{program}': CO-RE relocation {relocation} {source}")]
    CoRe { at: Place, program: String, relocation: String, source: Box<CoreError> },
    #[error("{at}: program '{program}': CO-RE relocation {relocation} {problem}")]
    CoRePatch { at: Place, program: String, relocation: String, problem: &'static str },
    #[error("{at}: program '{program}' uses the {kind} '{symbol}', {}", .kind.hint())]
    Extern { at: Place, program: String, symbol: String, kind: ExternKind },
    #[error("{at}: program '{program}': the external symbol '{symbol}' {problem}")]
    ExternValue { at: Place, program: String, symbol: String, problem: &'static str },
    #[error("{at}: program '{program}': exception callback '{callback}' {problem}")]
    ExceptionCallback { at: Place, program: String, callback: String, problem: &'static str },
    #[error("{file}: {name}: {problem}")]
    Join { file: Arc<str>, name: String, problem: String },
    #[error("'{extension}' cannot replace {function}() of program '{program}': {why}")]
    Extend { program: String, function: String, extension: String, why: &'static str },
    #[error("{file}: global variable '{name}': {problem}")]
    Global { file: Arc<str>, name: String, problem: GlobalProblem },
}
