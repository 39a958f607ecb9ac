//! Program generators and oracles: an ordinary library, for proptest as for fuzzers that only know bytes.
//!
//! [`generate`] makes a program out of bytes ([`Entropy`]), most of which the verifier accepts. [`agree`] runs an accepted
//! program on every engine and compares what they do.

mod emit;
mod engines;
mod entropy;
mod generate;

pub use engines::{Difference, Engine, Failure, Outcome, Seen, agree, check, execute, judge};
pub use entropy::Entropy;
pub use generate::{Generated, function_types, generate};
