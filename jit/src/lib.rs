//! JIT compilers: the lowered operations of a verified program become machine code, in one pass.
//!
//! `compile` walks the operations once and tells a `target::Target` what to emit; `x64` is the one for x86-64, `aarch64`
//! that for arm64. The registers of BPF live in registers of the machine for the whole program, in the assignment that makes a call
//! of a helper need no shuffling.
//! Memory for code is written first and made executable afterwards (`exec_mem`), never both at a time.
//!
//! Every back end assembles on every host; only running needs the right machine.

// dynasm's macro converts registers and immediates that are numbers already.
#[allow(clippy::useless_conversion, clippy::unnecessary_cast, unused_qualifications)]
mod aarch64;
mod code;
mod compile;
mod compiled;
mod constants;
mod error;
mod exec_mem;
mod guards;
mod inline;
mod magic;
mod opt;
#[cfg(feature = "planted")]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;
pub mod symbols;
mod target;
mod words;
// dynasm's macro converts registers that are numbers already.
#[allow(clippy::useless_conversion)]
mod x64;

#[cfg(test)]
mod tests;

pub use compiled::{Arch, Compiled, Emitted, Jit, MainFn, Origin, Piece, Room};
pub use error::JitError;
pub use guards::Options;
