//! Program generators and oracles: an ordinary library, for proptest as for fuzzers that only know bytes.
//!
//! [`generate`] makes a program out of bytes ([`Entropy`]), most of which the verifier accepts.

mod emit;
mod entropy;
mod generate;

pub use entropy::Entropy;
pub use generate::{Generated, function_types, generate};
