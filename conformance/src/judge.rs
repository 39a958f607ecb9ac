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
        Stop::TooLong => false,
    }
}

#[cfg(test)]
mod tests {
    use ring3_platform::Errno;

    use super::*;
    use crate::format::parse;

    fn case(rest: &str) -> Case {
        parse("arsh32-imm-high", &format!("-- asm\nexit\n{rest}")).unwrap()
    }

    fn refused(message: &str) -> Outcome {
        Outcome::refused(Errno::EINVAL, &format!("{message}\nverification time 3 usec\nprocessed 1 insns"))
    }

    /// `p` for pass, `f` for fail, `s` for skip, of engines that judge as Linux, perhaps, not.
    fn verdicts(case: &Case, outcome: &Outcome) -> String {
        let letter = |judges| match judge(case, judges, outcome) {
            Verdict::Pass => 'p',
            Verdict::Fail { .. } => 'f',
            Verdict::Skip { .. } => 's',
        };
        [Judges::AsLinux, Judges::Perhaps, Judges::Not].map(letter).iter().collect()
    }

    #[test]
    fn a_result_must_come() {
        let case = case("-- result\n0x100000007\n");
        assert_eq!(verdicts(&case, &Outcome::Returned(0x1_0000_0007)), "ppp");
        assert_eq!(verdicts(&case, &Outcome::Returned(7)), "fff");
        assert_eq!(verdicts(&case, &Outcome::ReturnedLow(7)), "ppp");
        assert_eq!(verdicts(&case, &Outcome::ReturnedLow(8)), "fff");
        assert_eq!(verdicts(&case, &Outcome::failed("no")), "fff");
        assert_eq!(verdicts(&case, &refused("no")), "fff");
        assert_eq!(verdicts(&case, &Outcome::skipped("not today")), "sss");
        assert_eq!(verdicts(&case, &Outcome::Lacks { what: "wings".to_owned() }), "sss");
    }

    #[test]
    fn what_the_public_suite_has_and_linux_refuses_is_skipped_in_its_words_alone() {
        let case = case("-- result\n1\n");
        assert_eq!(verdicts(&case, &refused("invalid shift 48")), "ssf");
        assert_eq!(verdicts(&case, &Outcome::failed("invalid shift 48")), "ssf");
        assert_eq!(verdicts(&case, &refused("invalid shift 47")), "fff");
        let other = Case { name: "other".to_owned(), ..case };
        assert_eq!(verdicts(&other, &refused("invalid shift 48")), "fff");
    }

    #[test]
    fn what_only_linux_refuses_it_must_refuse() {
        let case = case("-- result\n1\n-- unverified a reason\nEINVAL no\n");
        assert_eq!(verdicts(&case, &refused("no")), "ssf");
        assert_eq!(verdicts(&case, &refused("first\nno\nlast")), "ssf", "a line of several");
        assert_eq!(verdicts(&case, &Outcome::failed("no")), "ssf");
        assert_eq!(verdicts(&case, &refused("not")), "fff");
        assert_eq!(verdicts(&case, &Outcome::refused(Errno::EACCES, "no")), "fff");
        assert_eq!(verdicts(&case, &Outcome::Returned(1)), "fpp", "a verifier that lets it through is wrong");
        assert_eq!(verdicts(&case, &Outcome::Returned(2)), "fff");
    }

    #[test]
    fn what_nothing_may_run() {
        let case = case("-- refused\nEINVAL no\n");
        assert_eq!(verdicts(&case, &refused("no")), "ppp");
        assert_eq!(verdicts(&case, &refused("not")), "fpp");
        assert_eq!(verdicts(&case, &Outcome::refused(Errno::EACCES, "no")), "fpp");
        assert_eq!(verdicts(&case, &Outcome::failed("a trap")), "fpp");
        assert_eq!(verdicts(&case, &Outcome::Lacks { what: "it".to_owned() }), "ssp");
        assert_eq!(verdicts(&case, &Outcome::Stopped(Stop::TooLong)), "fpp");
        assert_eq!(verdicts(&case, &Outcome::Returned(0)), "fff");
    }

    #[test]
    fn errors_of_the_public_suite() {
        let any = case("-- error\n");
        assert_eq!(verdicts(&any, &Outcome::failed("whatever")), "ppp");
        assert_eq!(verdicts(&any, &Outcome::Returned(0)), "fff");
        let one = case("-- error\nInvalid\n");
        assert_eq!(verdicts(&one, &Outcome::failed("Invalid")), "ppp");
        assert_eq!(verdicts(&one, &refused("Invalid")), "ppp");
        assert_eq!(verdicts(&one, &Outcome::failed("Valid")), "fff");
    }
}
