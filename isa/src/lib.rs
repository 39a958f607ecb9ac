//! BPF instructions: what they are, how they are encoded (RFC 9669), how they read as text, and what they compute.
//!
//! Decoding happens once, here: nothing after this crate sees an opcode byte.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod insn;

pub use insn::*;
