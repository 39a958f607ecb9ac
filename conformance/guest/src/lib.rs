//! What a kernel has for BPF, found out by asking it: program types, helpers, map types, functions, fields of contexts, return
//! values, and verdicts on programs.
//!
//! The binary of this crate is the only process of a virtual machine (`cargo xtask kernels`). What it finds are [`facts`], a
//! table of text that is kept under `conformance/kernel/facts/`.
#![forbid(unsafe_code)]

pub mod ask;
pub mod context;
pub mod facts;
pub mod objects;
pub mod probes;
pub mod survey;
