//! BPF Type Format: parse, look up, dump, and print values by type.
//!
//! [`Btf`] is the `.BTF` section (or a raw BTF file), [`BtfExt`] is `.BTF.ext`, [`ProgramInfo`] is what both say of one
//! assembled program, [`CoreResolver`] answers CO-RE relocations against a kernel's types. The format is documented in the kernel's `Documentation/bpf/btf.rst`; both byte orders are read.
//!
//! Input is hostile: every offset is checked, every type reference points at a type that is there, and chains and trees
//! are walked under the limits named here.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod c;
mod dump;
mod error;
mod ext;
mod info;
mod merge;
mod parse;
mod query;
mod relo;
mod show;
mod types;
mod value;
mod write;

pub use error::BtfError;
pub use ext::{BtfExt, CoreRelo, CoreReloKind, ExtFunc, ExtLine, ExtSection};
pub use info::{FuncEntry, LineEntry, ProgramInfo};
pub use merge::Merger;
pub use query::Btf;
pub use relo::{
    CoreAccess, CoreAnswer, CoreError, CoreLog, CoreResolver, CoreTarget, CoreValue, MAX_CORE_PATH, MAX_CORE_STEPS,
    are_compatible, describe_core_relo,
};
pub use show::{Shown, show_value};
pub use types::*;
pub use value::{Value, format_value};

/// Most types that one BTF may hold; the kernel's limit.
pub const MAX_TYPES: usize = 0x000f_ffff;
/// Largest string section; the kernel's limit on a name's offset.
pub const MAX_STRINGS: usize = 0x00ff_ffff;
/// Longest chain of typedefs, modifiers and arrays that is followed; the kernel's limit.
pub const MAX_CHAIN: usize = 32;
/// Deepest nesting that [`format_value`] descends.
pub const MAX_VALUE_DEPTH: usize = 32;
/// Most nodes in one tree from [`format_value`].
pub const MAX_VALUE_NODES: usize = 1 << 20;
