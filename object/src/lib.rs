//! BPF ELF objects to programs: `Object::parse` reads what clang wrote, `Object::program` links one program out of it.
//!
//! What libbpf does between open and load is done here, by the same rules: BTF-defined and legacy maps, global data as
//! maps, program sections by name, subprograms appended behind the program that calls them, relocations, function and
//! line information. The ELF relocations of BPF are described in the kernel's `Documentation/bpf/llvm_reloc.rst`.
//!
//! [`join`] makes one object of several.
//!
//! Files are hostile: every error names file, section and offset, and sizes are limited by the constants here.
//! CO-RE relocations are answered against the kernel's types that [`Options::core`] gives.
//! Calls of kernel functions go by name. Values of the kernel's configuration and addresses of its symbols are those that
//! [`Object::answer`] was given; without them they are errors by name. Deliberately absent for now: struct_ops maps.
#![forbid(unsafe_code)]

mod core;
mod elf;
mod error;
mod extend;
mod externs;
mod globals;
mod join;
mod link;
mod maps;
mod object;
mod ops;

pub use core::UNRESOLVED_CALL;
pub use error::{ExternKind, GlobalProblem, MapProblem, ObjectError, Place};
pub use extend::extended;
pub use externs::{KernelValues, NOT_CONFIGURED};
pub use globals::Global;
pub use join::join;
pub use object::{Object, Options, ProgramEntry};
pub use ops::StructOps;

/// Largest file that is read, in bytes.
pub const MAX_FILE: u64 = 256 << 20;
/// Longest name of a section or symbol, in bytes; more is cut off.
pub const MAX_NAME: usize = 4096;
/// Most bytes that all names may have together.
pub const MAX_NAMES: usize = 16 << 20;
/// Most bytes of zeros that the `.bss` sections of an object may ask for together.
pub const MAX_BSS: u64 = 64 << 20;
/// Most slots of a linked program; Linux's limit for privileged users.
pub const MAX_SLOTS: usize = 1_000_000;
