//! The crate's errors.

use ring3_isa::Malformed;
use ring3_platform::ProgType;

use crate::env::Trap;

/// Why a program cannot be lowered. A verified program only fails for what no engine runs yet.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum LowerError {
    #[error("slot {slot}: {what}")]
    Malformed { slot: usize, what: Malformed },
    #[error("slot {slot}: target {target} is outside of the program or inside of an instruction")]
    BadTarget { slot: usize, target: i64 },
    #[error("slot {slot}: R10 is read-only")]
    WritesFramePointer { slot: usize },
    #[error("slot {slot}: {what} is not supported")]
    Unsupported { slot: usize, what: &'static str },
    #[error("slot {slot}: kernel function {name} is not supported")]
    Kfunc { slot: usize, name: String },
    #[error("slot {slot}: the program has no map {map}")]
    NoSuchMap { slot: usize, map: i64 },
    #[error("slot {slot}: {size} bytes at offset {off} of the context of a {kind:?} program cannot be accessed")]
    BadCtxAccess { slot: usize, off: i32, size: u32, kind: ProgType },
    #[error("the facts are about {facts} slots, the program has {code}")]
    FactsMismatch { facts: usize, code: usize },
    #[error("the program has more than {limit} {what}")]
    TooMany { what: &'static str, limit: usize },
    #[error("the program is empty")]
    Empty,
}

/// Why a lowered program cannot be linked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum LinkError {
    #[error(transparent)]
    Lower(#[from] LowerError),
    #[error("the program uses {wanted} maps, {given} were given")]
    MapCount { wanted: usize, given: usize },
    #[error("map {index} ('{name}'): its {field} is {given}, the program needs {wanted}")]
    MapMismatch { index: usize, name: String, field: &'static str, wanted: String, given: String },
    #[error("map {index} ('{name}') has no value at offset {off} that an instruction can address")]
    NoDirectValue { index: usize, name: String, off: u32 },
    #[error("map {index} ('{name}'): a {what} in its values, which this machine does not keep")]
    SpecialField { index: usize, name: String, what: &'static str },
    #[error(
        "map {index} ('{name}'): the program is of another sort than those that use it or are in it (EINVAL, as in Linux)"
    )]
    OtherSort { index: usize, name: String },
    #[error("helper {id} ({name}) has no implementation")]
    NoHelper { id: u32, name: String },
    #[error("variables of the kernel for each CPU that together are too large")]
    LargeVariables,
    #[error("helper {id} is registered twice")]
    DuplicateHelper { id: u32 },
    #[error("helper {id} of the embedder is not declared to return a number")]
    CustomReturnsPointer { id: u32 },
    #[error("helper {id} of the embedder may return any number, the proof needs one within the bounds of Linux's")]
    CustomReturnsAnything { id: u32 },
    #[error(
        "an ext program runs only in place of the function that it replaces, as part of the program that it extends"
    )]
    Extension,
    #[error("more than {limit} helpers of the embedder")]
    TooManyCustomHelpers { limit: usize },
}

/// Why a run gave no result.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum RunError {
    #[error("trap at {0}")]
    Trap(#[from] Trap),
    #[error("a {kind:?} program cannot run on this context")]
    WrongContext { kind: ProgType },
    #[error("the run is on CPU {cpu}, the program was verified for machines without it")]
    WrongCpu { cpu: u32 },
    #[error("a packet of {len} bytes is shorter than an Ethernet header")]
    PacketTooShort { len: usize },
    #[error("a packet of {len} bytes is longer than {limit}")]
    PacketTooLong { len: usize, limit: usize },
    #[error("a context of {len} bytes is not one of a {kind:?} program, which has at most {limit}")]
    ContextSize { len: usize, limit: usize, kind: ProgType },
}
