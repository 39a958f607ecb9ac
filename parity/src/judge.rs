//! One program, both verdicts.

use std::sync::Arc;
use std::time::Duration;

use ring3_object::{Object, ObjectError, Options};
use ring3_platform::{Errno, Program, Target};
use ring3_verifier::{LogLevel, verify};

use crate::{Answer, Ours, Pair, Referee, Row, Verdict};

/// What a verification here may use, at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Time.
    pub time: Duration,
    /// Bytes that the process may grow by.
    pub memory: u64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { time: Duration::from_secs(30), memory: 2 << 30 }
    }
}

/// What the words of a refusal for something unknown are between.
const UNSUPPORTED: (&str, &str) = ("ring3: ", " is not supported yet");

/// What ring3 says of a program.
pub fn ours(program: &Arc<Program>, target: &Arc<Target>, _bounds: &Bounds) -> Ours {
    match verify(Arc::clone(program), Arc::clone(target), LogLevel(0)) {
        Ok(proof) => Ours::Judged(Verdict::of_proof(&proof)),
        Err(rejection) if rejection.errno == Errno::EOPNOTSUPP => {
            let message = &rejection.message;
            let what = message.strip_prefix(UNSUPPORTED.0).and_then(|what| what.strip_suffix(UNSUPPORTED.1));
            let what = what.unwrap_or(message).to_owned();
            Ours::Unjudged { what, verdict: Some(Verdict::of_rejection(&rejection)) }
        }
        Err(rejection) => Ours::Judged(Verdict::of_rejection(&rejection)),
    }
}

/// Both verdicts on one program of this file.
pub fn judge(
    file: &str,
    program: &Arc<Program>,
    target: &Arc<Target>,
    referee: &mut dyn Referee,
    bounds: &Bounds,
) -> Pair {
    let kernel = referee.judge(file, program);
    Pair { kernel, ours: ours(program, target, bounds) }
}

/// All programs of an object that `wanted` takes by name, each linked as its section says.
pub fn judge_object(
    object: &Object,
    target: &Arc<Target>,
    referee: &mut dyn Referee,
    bounds: &Bounds,
    wanted: impl Fn(&str) -> bool,
) -> Vec<Row> {
    let entries = object.programs().iter().filter(|entry| wanted(&entry.name));
    let row = |entry: &ring3_object::ProgramEntry| {
        let pair = match object.program(&entry.name, &Options::default()) {
            Ok(program) => judge(object.file(), &Arc::new(program), target, referee, bounds),
            Err(error) => Pair { kernel: Answer::Nothing, ours: unlinked(object.file(), &error) },
        };
        Row { file: object.file().to_owned(), program: entry.name.clone(), pair }
    };
    entries.map(row).collect()
}

/// A program that could not be linked: because of something that ring3 does not do yet, or because it is broken.
fn unlinked(file: &str, error: &ObjectError) -> Ours {
    let unjudged = |what: String| Ours::Unjudged { what, verdict: None };
    match error {
        ObjectError::NeedsCoRe { .. } => unjudged("CO-RE".to_owned()),
        ObjectError::Extern { kind, .. } => unjudged(kind.to_string()),
        ObjectError::Elf { .. }
        | ObjectError::Limit { .. }
        | ObjectError::Btf { .. }
        | ObjectError::Map { .. }
        | ObjectError::MapsWithoutBtf { .. }
        | ObjectError::Function { .. }
        | ObjectError::Relocation { .. }
        | ObjectError::Instruction { .. }
        | ObjectError::NoSuchProgram { .. }
        | ObjectError::UnknownType { .. }
        | ObjectError::Global { .. } => {
            let text = error.to_string();
            let text = text.strip_prefix(file).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&text);
            Ours::Failed(text.to_owned())
        }
    }
}
