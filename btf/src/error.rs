//! What can be wrong with BTF.

use crate::TypeId;

/// Why BTF could not be read or a question about it not answered. Offsets are in bytes from the start of the blob.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum BtfError {
    #[error("{what} is cut off at offset {offset:#x}")]
    Truncated { what: &'static str, offset: usize },
    #[error("bad BTF magic {found:#06x} at offset 0x0")]
    BadMagic { found: u16 },
    #[error("unsupported BTF version {found} at offset 0x2")]
    BadVersion { found: u8 },
    #[error("bad BTF header length {found} at offset 0x4")]
    BadHeaderLen { found: u32 },
    #[error(
        "BTF string section at offset {offset:#x} must start and end with a NUL byte and have at most 16777215 bytes"
    )]
    BadStrings { offset: usize },
    #[error("BTF type [{id}] at offset {offset:#x} has unknown kind {kind}")]
    UnknownKind { id: u32, kind: u32, offset: usize },
    #[error("BTF type [{id}] at offset {offset:#x} has bad {what} {found}")]
    BadField { id: u32, what: &'static str, found: u32, offset: usize },
    #[error("BTF type [{id}] at offset {offset:#x} names string {name:#x}, which is outside of the string section")]
    BadName { id: u32, name: u32, offset: usize },
    #[error("BTF type [{id}] refers to type [{to}], which is not there")]
    BadReference { id: u32, to: u32 },
    #[error("split BTF has another byte order than its base")]
    OtherEndian,
    #[error("BTF has more than 1048575 types at offset {offset:#x}")]
    TooManyTypes { offset: usize },
    #[error("BTF.ext {what} record size {found} at offset {offset:#x} is not usable")]
    BadRecordSize { what: &'static str, found: u32, offset: usize },
    #[error("there is no BTF type [{}]", .0.0)]
    NoSuchType(TypeId),
    #[error("BTF type [{}] has no size", .0.0)]
    NoSize(TypeId),
    #[error("BTF type [{}] is a chain of more than 32 types", .0.0)]
    TooDeep(TypeId),
    #[error("BTF type [{}] cannot be written in C", .0.0)]
    NotInC(TypeId),
    #[error("a value of BTF type [{}] needs {need} bytes, {have} are given", .id.0)]
    ShortValue { id: TypeId, need: usize, have: usize },
    #[error("a value of BTF type [{}] has too many parts to print", .0.0)]
    ValueTooLarge(TypeId),
}
