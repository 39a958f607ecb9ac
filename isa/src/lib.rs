//! BPF instructions: what they are, how they are encoded (RFC 9669), how they read as text, and what they compute.
//!
//! Decoding happens once, here: nothing after this crate sees an opcode byte.
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)]

extern crate alloc;

mod asm;
mod code;
mod disasm;
mod error;
pub mod eval;
mod insn;
pub mod num;
mod op;
mod regs;

pub use asm::{NoSymbols, Symbols, assemble, assemble_with};
pub use code::*;
pub use disasm::*;
pub use error::*;
pub use insn::*;
pub use op::Group;
pub use regs::RegSet;
