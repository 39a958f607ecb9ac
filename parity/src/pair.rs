//! Both answers about one program, and how they agree.

use std::time::Duration;

use crate::{Difference, Verdict};

/// What a referee says of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Its verifier's verdict.
    Judged(Verdict),
    /// It refused the program, a map or the types before its verifier ran: no line `processed` in the log.
    Refused {
        /// Error number, if it was the kernel that refused.
        errno: Option<i32>,
        /// What it said, in a line.
        why: String,
    },
    /// Nothing: there is no referee, or there is no program that it could be given.
    Nothing,
}

impl Answer {
    /// The verdict, if its verifier gave one.
    pub const fn verdict(&self) -> Option<&Verdict> {
        match self {
            Answer::Judged(verdict) => Some(verdict),
            Answer::Refused { .. } | Answer::Nothing => None,
        }
    }
}

/// What ring3 says of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ours {
    /// The verdict.
    Judged(Verdict),
    /// It refuses because it does not know a thing that the program uses.
    Unjudged {
        /// What is missing.
        what: String,
        /// The refusal; `None` if the program could not even be linked.
        verdict: Option<Verdict>,
    },
    /// There is no program: the object or its part for it is broken.
    Failed(String),
    /// The verification went beyond a bound and was given up.
    Stopped {
        /// Which bound.
        why: String,
        /// How long it had taken.
        took: Duration,
    },
}

impl Ours {
    /// The verdict, if it counts as one.
    pub const fn verdict(&self) -> Option<&Verdict> {
        match self {
            Ours::Judged(verdict) => Some(verdict),
            Ours::Unjudged { .. } | Ours::Failed(_) | Ours::Stopped { .. } => None,
        }
    }

    /// What is said about a program that is not accepted; empty if it is.
    pub fn message(&self) -> &str {
        match self {
            Ours::Judged(verdict) | Ours::Unjudged { verdict: Some(verdict), .. } => &verdict.message,
            Ours::Unjudged { what, verdict: None } => what,
            Ours::Failed(why) | Ours::Stopped { why, .. } => why,
        }
    }
}

/// How the two agree about a program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// ring3 accepts what the kernel's verifier rejects. Never to happen.
    FalseAccept,
    /// ring3 rejects what the kernel accepts.
    FalseReject,
    /// Both accept.
    BothAccept,
    /// Both reject.
    BothReject,
    /// ring3 does not know a thing that the program uses.
    Unjudged,
    /// ring3 gave up at a bound.
    Stopped,
    /// ring3 could not read or link the program.
    Failed,
    /// The kernel refused it before its verifier ran.
    Refused,
    /// There was no kernel.
    Alone,
}

impl Class {
    /// All, in the order of reports.
    pub const ALL: [Class; 9] = [
        Class::FalseAccept,
        Class::FalseReject,
        Class::BothAccept,
        Class::BothReject,
        Class::Unjudged,
        Class::Stopped,
        Class::Failed,
        Class::Refused,
        Class::Alone,
    ];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Class::FalseAccept => "false_accept",
            Class::FalseReject => "false_reject",
            Class::BothAccept => "both_accept",
            Class::BothReject => "both_reject",
            Class::Unjudged => "unjudged",
            Class::Stopped => "stopped",
            Class::Failed => "failed",
            Class::Refused => "refused",
            Class::Alone => "alone",
        }
    }
}

/// Both answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pair {
    /// The referee's.
    pub kernel: Answer,
    /// Ours.
    pub ours: Ours,
}

impl Pair {
    /// How they agree. What ring3 cannot judge is told whatever the kernel says of it, as it is what to work on.
    pub fn class(&self) -> Class {
        let ours = match &self.ours {
            Ours::Unjudged { .. } => return Class::Unjudged,
            Ours::Stopped { .. } => return Class::Stopped,
            Ours::Failed(_) => return Class::Failed,
            Ours::Judged(verdict) => verdict,
        };
        match &self.kernel {
            Answer::Nothing => Class::Alone,
            Answer::Refused { .. } => Class::Refused,
            Answer::Judged(kernel) => match (kernel.accepts(), ours.accepts()) {
                (true, true) => Class::BothAccept,
                (false, false) => Class::BothReject,
                (false, true) => Class::FalseAccept,
                (true, false) => Class::FalseReject,
            },
        }
    }

    /// How the verdicts differ, where both verifiers gave one.
    pub fn difference(&self) -> Option<Difference> {
        Difference::between(self.kernel.verdict()?, self.ours.verdict()?)
    }

    /// Both reject, with the same last message.
    pub fn same_message(&self) -> bool {
        match (self.kernel.verdict(), self.ours.verdict()) {
            (Some(kernel), Some(ours)) => !kernel.accepts() && !ours.accepts() && kernel.message == ours.message,
            (None, _) | (_, None) => false,
        }
    }
}

/// A program and what was said of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// File of its object.
    pub file: String,
    /// Its name.
    pub program: String,
    /// What both say.
    pub pair: Pair,
}
