//! Objects as clang, libbpf and ring3 write them.
//!
//! One program for all of them: each that cargo links costs seconds. What needs a process of its own lies beside this folder.

mod core;
mod examples;
mod externs;
mod join;
mod libbpf;
mod link;
