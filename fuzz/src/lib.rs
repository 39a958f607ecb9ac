//! Program generators and oracles: an ordinary library, for proptest as for fuzzers that only know bytes.
//!
//! [`generate`] makes a program out of bytes ([`Entropy`]), most of which the verifier accepts. [`agree`] runs an accepted
//! program on every engine and compares what they do.
//! [`bytes`] has the oracles of decoder and assembler, for `fuzz/targets/`.
//! [`mutate`] changes a few instructions, and [`check_accepted`] watches every access of what is accepted nevertheless.

mod archive;
pub mod bytes;
pub mod campaign;
pub mod case;
pub mod combine;
pub mod differential;
mod emit;
mod engines;
mod entropy;
mod generate;
mod mutate;
pub mod parity;
mod states;
pub mod targets;

pub use engines::{Difference, Engine, Failure, Outcome, Seen, agree, check, check_accepted, execute, judge};
pub use entropy::Entropy;
pub use generate::{FIRST_FUNC, Generated, Kit, function_types, generate, program_info};
pub use mutate::mutate;
pub use states::{Effort, Outside, StateRuns, check_states, run_states};
