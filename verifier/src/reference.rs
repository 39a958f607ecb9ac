//! The reference walk: the same rules on every path to its end, without stored states, so without pruning, precision and widening.
//!
//! Its verdict must be that of [`crate::verify`], as far as its budget lasts. Where it refuses what pruning let pass, a stored
//! state covered something that it should not have.

use std::fmt;
use std::sync::Arc;

use ring3_isa::{Callee, Insn};
use ring3_platform::{KernelVersion, Program, Target};

use crate::diag::codes::Code;
use crate::facts::Facts;
use crate::follow::facts_cover;
use crate::walk::Lenient;
use crate::{LogLevel, Rejection, VerifiedProgram, walk};

/// Instructions that a reference walk usually may process: some 100 ms.
pub const BUDGET: u32 = 200_000;

/// What the walk without pruning says.
#[derive(Clone, Debug)]
pub enum Reference {
    /// Every path ends well.
    Accepted(Box<VerifiedProgram>),
    /// A path does not.
    Rejected(Box<Rejection>),
    /// The budget did not last.
    Undecided {
        /// Instructions processed.
        processed: u32,
    },
}

/// How a verdict differs from the reference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Disagreement {
    /// Accepted, though a path is refused: unsound.
    Unsound(String),
    /// Accepted by both, but the facts of the proof do not include what some path shows: unsound once they are spent.
    Facts,
    /// Refused, though every path ends well.
    TooStrict(String),
    /// Refused by both with other error numbers.
    Errno(String),
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Disagreement::Unsound(why) => write!(f, "accepted, but without pruning: {why}"),
            Disagreement::Facts => f.write_str("accepted, but the facts of the proof are not those of every path"),
            Disagreement::TooStrict(why) => write!(f, "refused, but accepted without pruning: {why}"),
            Disagreement::Errno(why) => write!(f, "refused for another reason than without pruning: {why}"),
        }
    }
}

/// Judges a program without pruning, within `budget` processed instructions, by the rules of Linux 6.18 whatever the target says.
pub fn reference(program: Arc<Program>, target: Arc<Target>, level: LogLevel, budget: u32) -> Reference {
    judge(program, &target, level, budget, Lenient::No)
}

fn judge(program: Arc<Program>, target: &Target, level: LogLevel, budget: u32, lenient: Lenient) -> Reference {
    let rules = Arc::new(Target { kernel: KernelVersion::V6_18, ..target.clone() });
    match walk::judge_plain(program, rules, level, budget, lenient) {
        Ok(proof) => Reference::Accepted(Box::new(proof)),
        Err(rejection) if is_exhausted(rejection.code) => Reference::Undecided { processed: rejection.stats.processed },
        Err(rejection) => Reference::Rejected(rejection),
    }
}

fn is_exhausted(code: Code) -> bool {
    matches!(code, Code::TooComplex | Code::TooManyBranches)
}

/// Whether a program has loops that Linux walks over by making states wider, not round by round: callbacks and `may_goto`. Only of
/// these may a verdict be stricter than the reference.
fn widens(program: &Program) -> bool {
    program.code.insns().iter().any(|insn| match insn {
        Ok(Insn::Call(Callee::Helper(id))) => crate::cfg::calls_back(*id),
        Ok(Insn::MayGoto { .. } | Insn::Call(Callee::Kfunc { .. })) => true,
        Ok(_) | Err(_) => false,
    })
}

/// Compares a verdict with the reference; an undecided one agrees with everything.
pub fn agree(
    program: &Program,
    verdict: &Result<VerifiedProgram, Box<Rejection>>,
    reference: &Reference,
) -> Result<(), Disagreement> {
    match (verdict, reference) {
        (_, Reference::Undecided { .. }) => Ok(()),
        (Ok(proof), Reference::Accepted(every)) => {
            // On a way that no run can take, `if r0 != r0`, what is known makes no sense, and neither does what follows from it.
            let possible = || match again(&proof.program, &proof.target, Lenient::Itself) {
                Reference::Accepted(possible) => facts_cover(&proof.facts, &possible.facts),
                Reference::Rejected(_) => false,
                Reference::Undecided { .. } => true,
            };
            if facts_cover(&proof.facts, &every.facts) || possible() { Ok(()) } else { Err(Disagreement::Facts) }
        }
        // A pointer on the stack is a number to a stored state that has nothing there, a far constant part of a range, and a
        // constant of 8 bytes the same as one of 4.
        (Ok(proof), Reference::Rejected(why)) => match again(&proof.program, &proof.target, Lenient::Wider) {
            Reference::Accepted(_) | Reference::Undecided { .. } => Ok(()),
            Reference::Rejected(_) => Err(Disagreement::Unsound(at(why))),
        },
        // A path that comes back to where it was, and the limits of the walk, are seen only by whoever keeps states.
        (Err(rejection), Reference::Accepted(_)) => {
            let own = is_exhausted(rejection.code) || rejection.code == Code::InfiniteLoop || widens(program);
            if own { Ok(()) } else { Err(Disagreement::TooStrict(at(rejection))) }
        }
        (Err(one), Reference::Rejected(other)) => {
            let own = is_exhausted(one.code) || one.code == Code::InfiniteLoop || widens(program);
            // Past what a stored state lets pass there may be another mistake: the one that is found with pruning.
            let later = || match again(&one.program, &one.target, Lenient::Wider) {
                Reference::Rejected(later) => later.errno == one.errno,
                Reference::Undecided { .. } => true,
                Reference::Accepted(_) => false,
            };
            if own || one.errno == other.errno || later() {
                Ok(())
            } else {
                Err(Disagreement::Errno(format!("{} against {}", at(one), at(other))))
            }
        }
    }
}

/// The walk without pruning once more, letting something pass.
fn again(program: &Arc<Program>, target: &Target, lenient: Lenient) -> Reference {
    judge(Arc::clone(program), target, LogLevel::default(), BUDGET, lenient)
}

fn at(rejection: &Rejection) -> String {
    rejection.at.map_or_else(|| rejection.message.clone(), |slot| format!("slot {slot}: {}", rejection.message))
}

/// The facts of a reference that accepted.
impl Reference {
    /// What every path shows.
    pub fn facts(&self) -> Option<&Facts> {
        match self {
            Reference::Accepted(proof) => Some(&proof.facts),
            Reference::Rejected(_) | Reference::Undecided { .. } => None,
        }
    }
}
