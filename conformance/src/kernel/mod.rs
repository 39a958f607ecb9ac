//! The running kernel as the referee of real programs: corpora, verdicts, and a report of every disagreement.
//!
//! Corpora are made on the machine out of packages ([`corpus`]) and kept in a folder; none of them is part of ring3. All
//! programs are judged by ring3 and by the kernel ([`run`]), or by what a kernel once said where there is none
//! ([`recorded`]); what authors of programs expect is looked at too ([`check`]). What comes out is a [`report`], which knows a baseline that was committed, and a page of it ([`html`]).
//!
//! `cargo xtask parity` runs it all; `conformance/kernel/README.md` describes it.

pub mod boot;
pub mod check;
pub mod corpus;
pub mod hold;
pub mod html;
pub mod logs;
pub mod pace;
pub mod recorded;
pub mod report;
pub mod run;
pub mod runs;

use ring3_parity::Row;

/// How the kernel's side of a row came about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Source {
    /// The running kernel was asked.
    Live,
    /// It is what a kernel once said.
    Recorded,
}

/// A program of a corpus and what was said of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Name of its corpus.
    pub set: &'static str,
    /// Both sides.
    pub row: Row,
    /// Who spoke for the kernel.
    pub source: Source,
    /// What its author says of it: is it to be accepted?
    pub expected: Option<bool>,
    /// What else its author says, and what comes of it.
    pub checked: check::Checked,
}
