//! The conformance suite: programs as data with what the instruction set says of them, and a runner over every engine.
//!
//! A case ([`Case`]) is a file in the layout of the public suite `bpf_conformance`; `conformance/README.md` describes it. An
//! [`Engine`] says what becomes of its program, [`judge`] compares that with what the case expects, and a [`Report`] collects
//! the verdicts by instruction and engine.
//!
//! Compiled programs and corpora are compared with the kernel by [`parity`], a crate of its own.

#![forbid(unsafe_code)]

pub mod coverage;
pub mod engine;
mod error;
pub mod format;
mod judge;
pub mod kernel;
pub mod public;
pub mod report;
pub mod select;
pub mod serve;

pub use engine::{Engine, EngineName, Outcome};
pub use error::Error;
pub use format::Case;
pub use judge::{Verdict, judge};
pub use report::Report;
pub use ring3_parity as parity;
pub use select::Selected;
