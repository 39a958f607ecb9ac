//! What an outcome is worth: pass, fail, or a skip with its reason.

use crate::engine::{Judges, Outcome, Stop};
use crate::format::{Case, Expect, Refusal, Unverified};
use crate::public;

/// What became of a case on an engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// As expected.
    Pass,
    /// Not as expected.
    Fail {
        /// What should have come.
        expected: String,
        /// What came.
        got: String,
    },
    /// It says nothing about the engine.
    Skip {
        /// Why.
        reason: String,
    },
}

impl Verdict {
    fn fail(expected: impl Into<String>, got: &Outcome) -> Verdict {
        Verdict::Fail { expected: expected.into(), got: got.to_string() }
    }
}

/// Compares what an engine did with what the case expects.
pub fn judge(case: &Case, judges: Judges, outcome: &Outcome) -> Verdict {
    if let Outcome::Skipped { reason } = outcome {
        return Verdict::Skip { reason: reason.clone() };
    }
    if let Outcome::Lacks { what } = outcome {
        // An engine that only has to say no has said it.
        let refused = judges == Judges::Not && matches!(case.expect, Expect::Refused(_));
        return if refused { Verdict::Pass } else { Verdict::Skip { reason: format!("not supported: {what}") } };
    }
    match &case.expect {
        Expect::Result(result) => match (&case.unverified, judges, outcome) {
            (Some(unverified), Judges::AsLinux, _) => judge_unverified(unverified, outcome),
            (Some(unverified), Judges::Perhaps, Outcome::Stopped(_)) => judge_unverified(unverified, outcome),
            (_, Judges::AsLinux | Judges::Perhaps | Judges::Not, _) => judge_result(case, *result, judges, outcome),
        },
        Expect::Refused(refusal) => match outcome {
            Outcome::Stopped(stop) if judges != Judges::AsLinux || says(stop, refusal) => Verdict::Pass,
            _ => Verdict::fail(format!("refused: {refusal}"), outcome),
        },
        Expect::Error(text) => match outcome {
            Outcome::Stopped(stop) if text.is_empty() || *text == stop.message() => Verdict::Pass,
            _ => Verdict::fail(format!("error: {text}"), outcome),
        },
    }
}

fn judge_result(case: &Case, result: u64, judges: Judges, outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Returned(r0) if *r0 == result => Verdict::Pass,
        // Only the low half of R0 comes out of some runs.
        Outcome::ReturnedLow(low) if u64::from(*low) == result & 0xffff_ffff => Verdict::Pass,
        Outcome::Stopped(stop) if judges != Judges::Not && public::refuses(&case.name, stop.message()).is_some() => {
            Verdict::Skip { reason: format!("Linux refuses: {}", stop.message()) }
        }
        _ => Verdict::fail(format!("{result:#x}"), outcome),
    }
}

/// The case says that Linux refuses the program: so it must, in these words.
fn judge_unverified(unverified: &Unverified, outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Stopped(stop) if says(stop, &unverified.refusal) => {
            Verdict::Skip { reason: unverified.reason.clone() }
        }
        _ => Verdict::fail(format!("refused: {}", unverified.refusal), outcome),
    }
}

/// Whether a line is as the case says. Plugins tell no error numbers.
fn says(stop: &Stop, refusal: &Refusal) -> bool {
    match stop {
        Stop::Refused(found) => {
            found.errno == refusal.errno && found.message.lines().any(|line| line == refusal.message)
        }
        Stop::Failed(text) => *text == refusal.message,
    }
}
