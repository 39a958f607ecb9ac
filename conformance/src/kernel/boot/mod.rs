//! Other kernels than the running one: Debian's, each booted for a minute in a machine that qemu makes of software, to be asked
//! what it has for BPF and what it says of programs (`ring3-guest`).
//!
//! `cargo xtask kernels` runs it all. What is found is data of the tree: `conformance/kernel/facts/`, a table for each release.

pub mod cpio;
pub mod machine;
pub mod packages;
pub mod table;
