//! What can go wrong between an object and a result.

use std::path::PathBuf;
use std::sync::Arc;

use ring3_classic::ClassicError;
use ring3_jit::JitError;
use ring3_object::ObjectError;
use ring3_platform::Errno;
use ring3_verifier::Rejection;
use ring3_vm::{LinkError, RunError};

use crate::pin::PinError;
use crate::sim::SimError;

/// Why an object could not be loaded, or a program not run.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
#[non_exhaustive]
pub enum Error {
    #[error("{}: {source}", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: {source}", .path.display())]
    Write { path: PathBuf, source: std::io::Error },
    /// A map cannot be pinned, or not be taken from its pin.
    #[error("{}: map '{map}': {problem}", .path.display())]
    Pin { path: PathBuf, map: String, problem: PinError },
    #[error("{}: the file has more than {limit} bytes", .path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("{file}: it is for {object} machines, this one is {host}")]
    ByteOrder { file: Arc<str>, object: &'static str, host: &'static str },
    /// The verifier refused the program.
    #[error("program '{program}' is rejected: {rejection} ({})", .rejection.errno)]
    Rejected { program: String, rejection: Box<Rejection> },
    #[error("{file}: there is no program '{program}'")]
    NoSuchProgram { file: Arc<str>, program: String },
    #[error("{file}: there is no map '{map}'")]
    NoSuchMap { file: Arc<str>, map: String },
    #[error("map '{map}' cannot be created: {errno}")]
    MapCreate { map: String, errno: Errno },
    /// A variable is not of the type that is asked for.
    #[error("{what}: a variable of another size was meant, it has {bytes} bytes")]
    VariableSize { what: String, bytes: usize },
    #[error("map '{map}': {errno}")]
    Map { map: String, errno: Errno },
    #[error("map '{map}': {problem}")]
    Text { map: String, problem: TextError },
    #[error("{file}: global variable '{global}': {problem}")]
    GlobalText { file: Arc<str>, global: String, problem: TextError },
    #[error("slot {index} of program array '{map}': {source}")]
    Slot { map: String, index: u32, source: Box<Error> },
    #[error("program '{program}': {source}")]
    Link { program: String, source: LinkError },
    #[error("program '{program}': {source}")]
    Jit { program: String, source: JitError },
    #[error("program '{program}': {source}")]
    Run { program: String, source: RunError },
    /// A classic filter that has no translation.
    #[error(transparent)]
    Classic(#[from] ClassicError),
    /// A packet that the kernel's own test run does not take either.
    #[error("program '{program}': a packet of {len} bytes: {why} ({errno})")]
    Packet { program: String, len: usize, why: &'static str, errno: Errno },
    /// A context that the kernel's own test run does not take either.
    #[error("program '{program}': a context that cannot be: {why} ({errno})")]
    Context { program: String, why: &'static str, errno: Errno },
    /// The running kernel refused a program, a map or a run.
    #[cfg(feature = "kernel")]
    #[error("{source}")]
    Kernel { program: String, source: Box<ring3_linux::Error> },
    /// The backend is the kernel, which this build cannot reach.
    #[error("this build has no way to the kernel (feature \"kernel\" of ring3)")]
    NoKernel,
    /// A program whose functions are replaced, and program arrays: what the kernel does not allow together.
    #[error("program '{program}': {why} ({errno})")]
    Extend { program: String, why: String, errno: Errno },
    /// A struct of functions is not what the kernel has, or cannot be registered or called so.
    #[error("struct_ops '{name}': {problem} ({errno})")]
    StructOps { name: String, problem: String, errno: Errno },
    /// An event cannot be simulated so.
    #[error(transparent)]
    Sim(Box<SimError>),
    #[error("helper {id} is registered twice, or its number belongs to Linux")]
    HelperNumber { id: u32 },
}

impl From<SimError> for Error {
    fn from(error: SimError) -> Error {
        Error::Sim(Box::new(error))
    }
}

/// Why a text is no value of a type.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum TextError {
    #[error("'{0}' is not a value of its type")]
    Value(String),
    #[error("'{text}' does not fit {bits} bits")]
    Range { text: String, bits: u32 },
    #[error("'{text}' gives {given} bytes, {need} are needed")]
    Length { text: String, given: usize, need: usize },
    #[error("the type has no member '{0}'")]
    Member(String),
    #[error("'{0}' gives more than there is room for")]
    TooMany(String),
    #[error("its type has no text form, give the bytes as hex:0011aabb")]
    Shape,
    #[error("'{0}' is not KEY=VALUE")]
    Pair(String),
}
