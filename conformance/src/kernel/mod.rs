//! The running kernel as the referee: corpora of real programs, judged by it and by us, and a report of every disagreement.
//!
//! Corpora are made on the machine out of packages ([`corpus`]) and kept in a folder; none of them is part of ring3. The
//! programs are judged in processes of their own ([`worker`]), so that one that takes too long or too much memory costs no
//! more than itself. What comes out is a [`report::Report`].
//!
//! `cargo xtask parity` runs it all; `conformance/kernel/README.md` describes it.

pub mod corpus;
pub mod html;
pub mod recorded;
pub mod report;
pub mod worker;

use std::fmt;

use serde_json::{Value, json};

/// What became of a program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// It may run.
    Accept,
    /// It may not.
    Reject,
    /// Nobody judged it: refused before the verifier, or given up.
    None,
}

impl Verdict {
    /// `accept`, `reject` or `none`.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Accept => "accept",
            Verdict::Reject => "reject",
            Verdict::None => "none",
        }
    }

    /// The reverse of [`Verdict::name`].
    pub fn from_name(name: &str) -> Option<Verdict> {
        [Verdict::Accept, Verdict::Reject, Verdict::None].into_iter().find(|verdict| verdict.name() == name)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What one side says about a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opinion {
    /// Accepted or not.
    pub verdict: Verdict,
    /// The error number, 0 for none.
    pub errno: i32,
    /// Why not: the last line of the log, or what came before the verifier.
    pub message: String,
    /// Instructions that were processed.
    pub processed: u32,
    /// States that were kept.
    pub states: u32,
    /// Time of the verification, in microseconds.
    pub micros: u64,
}

impl Opinion {
    /// No opinion, and why.
    pub fn none(message: impl Into<String>) -> Opinion {
        Opinion { message: message.into(), ..Opinion::of(Verdict::None) }
    }

    /// An opinion without reasons.
    pub fn of(verdict: Verdict) -> Opinion {
        Opinion { verdict, errno: 0, message: String::new(), processed: 0, states: 0, micros: 0 }
    }

    /// As the fields `NAME`, `NAME_errno` and so on of an object.
    fn write(&self, name: &str, to: &mut Value) {
        to[name] = self.verdict.name().into();
        to[format!("{name}_errno")] = self.errno.into();
        to[format!("{name}_message")] = self.message.as_str().into();
        to[format!("{name}_processed")] = self.processed.into();
        to[format!("{name}_states")] = self.states.into();
        to[format!("{name}_us")] = self.micros.into();
    }

    /// The reverse of `write`; fields that are missing are none.
    fn read(name: &str, from: &Value) -> Option<Opinion> {
        let number = |field: &str| from[format!("{name}_{field}")].as_u64().unwrap_or(0);
        let small = |field: &str| u32::try_from(number(field)).unwrap_or(u32::MAX);
        Some(Opinion {
            verdict: Verdict::from_name(from[name].as_str()?)?,
            errno: from[format!("{name}_errno")].as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(0),
            message: from[format!("{name}_message")].as_str().unwrap_or_default().to_owned(),
            processed: small("processed"),
            states: small("states"),
            micros: number("us"),
        })
    }
}

/// How the two opinions of a program compare.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// Both accept, or both refuse.
    Agree,
    /// We accept what the kernel's verifier refuses: never.
    FalseAccept,
    /// We refuse what the kernel accepts.
    FalseReject,
    /// One side has no opinion.
    Unjudged,
}

impl Class {
    /// As in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Agree => "agree",
            Class::FalseAccept => "false_accept",
            Class::FalseReject => "false_reject",
            Class::Unjudged => "unjudged",
        }
    }
}

/// A program and what both sides say about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// Which corpus it is of.
    pub set: String,
    /// Name of its object, without folders.
    pub file: String,
    /// Its name.
    pub program: String,
    /// Section of its object.
    pub section: String,
    /// The kernel.
    pub kernel: Opinion,
    /// Is the kernel's opinion one that was recorded, not one of the running kernel?
    pub recorded: bool,
    /// ring3.
    pub ours: Opinion,
    /// What the program's author says ([`corpus::expect`]).
    pub expected: Option<Verdict>,
}

impl Judged {
    /// How the opinions compare.
    pub fn class(&self) -> Class {
        match (self.kernel.verdict, self.ours.verdict) {
            (Verdict::None, _) | (_, Verdict::None) => Class::Unjudged,
            (Verdict::Accept, Verdict::Accept) | (Verdict::Reject, Verdict::Reject) => Class::Agree,
            (Verdict::Reject, Verdict::Accept) => Class::FalseAccept,
            (Verdict::Accept, Verdict::Reject) => Class::FalseReject,
        }
    }

    /// As an entry of `programs` in the report.
    pub fn to_json(&self) -> Value {
        let mut row = json!({
            "set": self.set,
            "file": self.file,
            "program": self.program,
            "section": self.section,
            "class": self.class().name(),
        });
        self.kernel.write("kernel", &mut row);
        row["kernel_recorded"] = self.recorded.into();
        self.ours.write("ours", &mut row);
        row["expected"] = self.expected.map(Verdict::name).into();
        row
    }

    /// The reverse.
    pub fn from_json(row: &Value) -> Option<Judged> {
        let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
        Some(Judged {
            set: text("set"),
            file: row["file"].as_str()?.to_owned(),
            program: row["program"].as_str()?.to_owned(),
            section: text("section"),
            kernel: Opinion::read("kernel", row)?,
            recorded: row["kernel_recorded"].as_bool().unwrap_or(false),
            ours: Opinion::read("ours", row)?,
            expected: row["expected"].as_str().and_then(Verdict::from_name),
        })
    }
}
