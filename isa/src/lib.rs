//! BPF instructions: what they are, how they are encoded (RFC 9669), how they read as text, and what they compute.
//!
//! Decoding happens once, here: nothing after this crate sees an opcode byte.
//!
//! ```
//! use ring3_isa::{AluOp, NoNames, Width, eval};
//!
//! let code = ring3_isa::assemble("r0 = 2\nif r1 s> 0x5 goto end\nr0 *= 21\nend: exit")?;
//! let text: Vec<String> = (0..code.len()).filter_map(|slot| Some(code.text(slot, &NoNames)?.to_string())).collect();
//! assert_eq!(text, ["r0 = 2", "if r1 s> 0x5 goto pc+1", "r0 *= 21", "exit"]);
//! assert_eq!(eval::alu(AluOp::Mul, Width::W64, 2, 21), 42);
//! # Ok::<(), ring3_isa::IsaError>(())
//! ```
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
mod kind;
mod mnemonic;
pub mod num;
mod op;
mod regs;

pub use asm::{NoSymbols, Symbols, assemble, assemble_with};
pub use code::*;
pub use disasm::*;
pub use error::*;
pub use insn::*;
pub use kind::{Kind, kinds};
pub use op::{Group, Origin};
pub use regs::RegSet;
