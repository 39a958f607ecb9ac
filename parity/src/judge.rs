//! One program, both verdicts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ring3_btf::CoreTarget;
use ring3_object::{Object, ObjectError, Options};
use ring3_platform::{Errno, MapType, ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify_watched};

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

/// Bytes of this process that are in memory, where the system tells.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * PAGE)
}

/// Smallest page there is, in bytes: where pages are larger, more memory is taken than the bound says.
const PAGE: u64 = 4096;

/// What ring3 says of a program.
pub fn ours(program: &Arc<Program>, target: &Arc<Target>, bounds: &Bounds) -> Ours {
    ours_logged(program, target, bounds, LogLevel(0)).0
}

/// What ring3 says of a program, and its log.
pub fn ours_logged(program: &Arc<Program>, target: &Arc<Target>, bounds: &Bounds, level: LogLevel) -> (Ours, String) {
    let (start, before) = (Instant::now(), resident());
    let mut stopped = None;
    let mut watch = || {
        let grown = || resident().zip(before).map_or(0, |(now, before)| now.saturating_sub(before));
        stopped = if start.elapsed() > bounds.time {
            Some(format!("not verified within {:?}", bounds.time))
        } else if grown() > bounds.memory {
            Some(format!("not verified within {} MiB", bounds.memory >> 20))
        } else {
            None
        };
        stopped.clone()
    };
    let result = verify_watched(Arc::clone(program), Arc::clone(target), level, &mut watch);
    if let Some(why) = stopped {
        return (Ours::Stopped { why, took: start.elapsed() }, String::new());
    }
    match result {
        Ok(proof) => (Ours::Judged(Verdict::of_proof(&proof)), proof.log().to_owned()),
        Err(rejection) if rejection.errno == Errno::EOPNOTSUPP => {
            let message = &rejection.message;
            let what = message.strip_prefix(UNSUPPORTED.0).and_then(|what| what.strip_suffix(UNSUPPORTED.1));
            let what = what.unwrap_or(message).to_owned();
            (Ours::Unjudged { what, verdict: Some(Verdict::of_rejection(&rejection)) }, rejection.log)
        }
        Err(rejection) => (Ours::Judged(Verdict::of_rejection(&rejection)), rejection.log),
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

/// What objects leave to those who load them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Guess {
    /// The type of programs whose section says none.
    pub kind: Option<ProgType>,
    /// Elements of maps that are to get their size before they are made.
    pub entries: Option<u32>,
}

impl Guess {
    /// The program, linked with what is guessed.
    ///
    /// Errors: those of [`Object::program`].
    pub fn program(&self, object: &Object, name: &str, options: &Options) -> Result<Program, ObjectError> {
        let linked = match (object.program(name, options), self.kind) {
            (Err(ObjectError::UnknownType { .. }), Some(kind)) => {
                object.program(name, &Options { kind: Some(kind), ..options.clone() })
            }
            (linked, _) => linked,
        };
        let mut program = linked?;
        if let Some(entries) = self.entries {
            let unsized_maps = program.maps.iter_mut().filter(|def| def.max_entries == 0 && needs_entries(def.kind));
            unsized_maps.for_each(|def| Arc::make_mut(def).max_entries = entries);
        }
        Ok(program)
    }
}

/// Whether a map cannot be without elements, and takes any number of them.
pub(crate) const fn needs_entries(kind: MapType) -> bool {
    use MapType as M;
    matches!(
        kind,
        M::Hash
            | M::Array
            | M::ProgArray
            | M::PercpuHash
            | M::PercpuArray
            | M::LruHash
            | M::LruPercpuHash
            | M::LpmTrie
            | M::ArrayOfMaps
            | M::HashOfMaps
            | M::Devmap
            | M::DevmapHash
            | M::Cpumap
            | M::Xskmap
            | M::Sockmap
            | M::Sockhash
            | M::Queue
            | M::Stack
    )
}

/// All programs of an object that `wanted` takes by name, each linked as its section says.
pub fn judge_object(
    object: &Object,
    target: &Arc<Target>,
    referee: &mut dyn Referee,
    bounds: &Bounds,
    wanted: impl Fn(&str) -> bool,
) -> Vec<Row> {
    judge_object_with(object, target, referee, bounds, (&Guess::default(), &|program| program), wanted)
}

/// The same, with what the object does not say, and with what is to be done to each program before it is judged.
pub fn judge_object_with(
    object: &Object,
    target: &Arc<Target>,
    referee: &mut dyn Referee,
    bounds: &Bounds,
    (guess, prepare): (&Guess, &dyn Fn(Program) -> Program),
    wanted: impl Fn(&str) -> bool,
) -> Vec<Row> {
    let core = target.btf.clone().map(|btf| Arc::new(CoreTarget::new(btf)));
    let options = Options { core, ..Options::default() };
    let entries = object.programs().iter().filter(|entry| wanted(&entry.name));
    let row = |entry: &ring3_object::ProgramEntry| {
        let pair = match guess.program(object, &entry.name, &options) {
            Ok(program) => judge(object.file(), &Arc::new(prepare(program)), target, referee, bounds),
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
        // Linux's loader refuses such an object, too.
        ObjectError::ExternValue { .. }
        | ObjectError::ExceptionCallback { .. }
        | ObjectError::Join { .. }
        | ObjectError::Elf { .. }
        | ObjectError::Limit { .. }
        | ObjectError::Btf { .. }
        | ObjectError::Map { .. }
        | ObjectError::CoRe { .. }
        | ObjectError::CoRePatch { .. }
        | ObjectError::MapsWithoutBtf { .. }
        | ObjectError::Function { .. }
        | ObjectError::Relocation { .. }
        | ObjectError::Instruction { .. }
        | ObjectError::NoSuchProgram { .. }
        | ObjectError::UnknownType { .. }
        | ObjectError::Extend { .. }
        | ObjectError::Global { .. } => {
            let text = error.to_string();
            let text = text.strip_prefix(file).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&text);
            Ours::Failed(text.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    /// A loop that is walked round by round.
    const LONG: &str = "r1 = 0\nr1 += 1\nif r1 < 5000 goto -2\nr0 = 0\nexit";

    fn program(text: &str) -> Arc<Program> {
        Arc::new(Program::new("p", ProgType::SocketFilter, ring3_isa::assemble(text).unwrap()))
    }

    /// Says the same of all programs.
    struct Says(Answer);

    impl Referee for Says {
        fn judge(&mut self, _file: &str, _program: &Program) -> Answer {
            self.0.clone()
        }
    }

    fn class(text: &str, says: Answer, bounds: Bounds) -> Class {
        judge("file", &program(text), &Arc::new(Target::default()), &mut Says(says), &bounds).class()
    }

    #[test]
    fn a_time_bound_is_kept() {
        let bounds = Bounds { time: Duration::ZERO, ..Bounds::default() };
        assert!(matches!(ours(&program(LONG), &Arc::new(Target::default()), &bounds), Ours::Stopped { .. }));
        assert_eq!(class(LONG, Answer::Nothing, bounds), Class::Stopped);
        assert_eq!(class(LONG, Answer::Nothing, Bounds::default()), Class::Alone);
    }

    #[test]
    fn answers_are_classed() {
        let judged = |errno| Answer::Judged(Verdict { errno, message: "R0 !read_ok".into(), ..Verdict::default() });
        let refused = Answer::Refused { errno: Some(1), why: String::new() };
        let (good, bad) = ("r0 = 0\nexit", "exit");
        let bounds = Bounds::default();
        assert_eq!(class(good, judged(0), bounds), Class::BothAccept);
        assert_eq!(class(good, judged(13), bounds), Class::FalseAccept);
        assert_eq!(class(bad, judged(0), bounds), Class::FalseReject);
        assert_eq!(class(bad, judged(13), bounds), Class::BothReject);
        assert_eq!(class(good, refused, bounds), Class::Refused);
    }
}
