//! ring3's loader beside libbpf: which objects both open, and whether their programs are the same instructions after all that
//! loaders do to them (subprograms appended, maps and externs filled in, CO-RE against one kernel's types).
//!
//! libbpf stops after its preparation, before anything is loaded (the module `oracle`); `bpf_object__prepare` makes maps, so that takes
//! bpf(2). Numbers that only one run has are compared by what they stand for: maps by name, functions of the kernel by the
//! number of their type. The feature `libbpf` builds libbpf; without it this crate is empty.

#[cfg(feature = "libbpf")]
pub mod compare;
#[cfg(feature = "libbpf")]
pub mod oracle;
