//! All programs of some corpora, judged on several threads.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use ring3::Engine;
use ring3_btf::CoreTarget;
use ring3_object::Object;
use ring3_object::Options;
use ring3_parity::run::Single;
use ring3_parity::{Answer, Bounds, Guess, Kernel, Nobody, Ours, Pair, Row, Verdict, judge, judge_object_with};
use ring3_platform::{ProgType, Program, Target};

use super::check::{self, Checked, Sides, Sources};
use super::corpus::{Corpus, RawProgram, expect};
use super::recorded::Recorded;
use super::{Entry, Source};

/// Bytes of stack of a thread that judges.
const STACK: usize = 64 << 20;

/// What objects of corpora leave open: the type of what has a section of its author's own, and sizes of maps.
pub(super) const GUESS: Guess = Guess { kind: Some(ProgType::SchedCls), entries: Some(1) };

/// How to judge.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Threads.
    pub threads: usize,
    /// What a verification here may use.
    pub bounds: Bounds,
    /// Is the running kernel asked? If not, what was recorded serves.
    pub live: bool,
}

/// Judges all programs of these corpora. `progress` is told how many of how many files are done.
pub fn run<'a>(corpora: &'a [Corpus], settings: &Settings, progress: &(dyn Fn(usize, usize) + Sync)) -> Vec<Entry> {
    let items = |corpus: &'a Corpus| {
        let files = corpus.files.iter().map(|file| Item::File(file));
        files.chain(corpus.programs.iter().map(Item::Program)).map(|item| (corpus.name, item))
    };
    let all: Vec<(&'static str, Item<'_>)> = corpora.iter().flat_map(items).collect();
    let (next, entries) = (Mutex::new(0usize), Mutex::new(Vec::new()));
    let recorded = Recorded::v6_18();
    let work = || {
        let judge = Judge::new(settings, &recorded);
        let Ok(mut judge) = judge else { return };
        loop {
            let at = {
                let Ok(mut next) = next.lock() else { return };
                *next += 1;
                *next - 1
            };
            let Some((set, item)) = all.get(at) else { return };
            let found = match item {
                Item::File(path) => judge.file(set, path),
                Item::Program(program) => vec![judge.program(set, program)],
            };
            if let Ok(mut entries) = entries.lock() {
                entries.extend(found);
            }
            progress(at + 1, all.len());
        }
    };
    thread::scope(|scope| {
        for _ in 0..settings.threads.max(1) {
            // A thread that cannot be started leaves its part to the others.
            let _ = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        }
    });
    let mut entries = entries.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    entries.sort_by(|a, b| (a.set, &a.row.file, &a.row.program).cmp(&(b.set, &b.row.file, &b.row.program)));
    entries
}

/// What to judge by where the kernel is not asked: by its types all the same if it is of the release that was recorded, as
/// programs that need some are not linked without.
pub(super) fn alone() -> Arc<Target> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let default = Target::default();
    let same = release.starts_with(&format!("{}.", default.kernel));
    let types = if same { ring3_linux::KernelTypes::read().ok() } else { None };
    Arc::new(Target { btf: types.map(|types| Arc::new(types.btf().clone())), ..default })
}

/// What is judged at a time.
#[derive(Clone, Copy)]
enum Item<'a> {
    File(&'a Path),
    Program(&'a RawProgram),
}

/// What a thread needs.
struct Judge<'a> {
    kernel: Option<Kernel>,
    target: Arc<Target>,
    engine: Engine,
    core: Option<Arc<CoreTarget>>,
    recorded: &'a Recorded,
    bounds: Bounds,
}

impl<'a> Judge<'a> {
    fn new(settings: &Settings, recorded: &'a Recorded) -> Result<Judge<'a>, ring3_linux::Unavailable> {
        let kernel = if settings.live { Some(Kernel::open()?) } else { None };
        let target = kernel.as_ref().map_or_else(alone, Kernel::target);
        let mut engine = Engine::new().cpus(target.cpus);
        if let Some(types) = &target.btf {
            engine = engine.btf((**types).clone());
        }
        let core = target.btf.clone().map(|btf| Arc::new(CoreTarget::new(btf)));
        Ok(Judge { kernel, target, engine, core, recorded, bounds: settings.bounds })
    }

    /// All programs of an object.
    fn file(&mut self, set: &'static str, path: &Path) -> Vec<Entry> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let broken = |why: String| {
            let pair = Pair { kernel: Answer::Nothing, ours: Ours::Failed(why) };
            let row = Row { file: name.clone(), program: "-".to_owned(), pair };
            vec![self.entry(set, row, None, Checked::default())]
        };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => return broken(error.to_string()),
        };
        let mut object = match Object::parse(&name, &bytes) {
            Ok(object) => object,
            Err(error) => return broken(error.to_string()),
        };
        if let Some(kernel) = &self.kernel {
            object.answer(kernel.values());
        }
        let rows = match &mut self.kernel {
            Some(kernel) => {
                judge_object_with(&object, &self.target, kernel, &self.bounds, (&GUESS, &|program| program), |_| true)
            }
            None => judge_object_with(
                &object,
                &self.target,
                &mut Nobody,
                &self.bounds,
                (&GUESS, &|program| program),
                |_| true,
            ),
        };
        let expected = object.btf().map(|btf| expect::expectations(btf)).unwrap_or_default();
        // Functions for others to call are no programs.
        let is_program =
            |name: &str| object.programs().iter().any(|entry| entry.name == name && entry.section != ".text");
        let rows = rows.into_iter().filter(|row| is_program(&row.program));
        let entry = |row: Row| {
            let expected = expected.get(&row.program);
            let checked = expected.map(|expected| self.check_of(&object, &row, expected)).unwrap_or_default();
            self.entry(set, row, expected, checked)
        };
        rows.map(entry).collect()
    }

    /// What comes of the expectations about a program of an object.
    fn check_of(&self, object: &Object, row: &Row, expected: &expect::Expected) -> Checked {
        let options = Options { core: self.core.clone(), ..Options::default() };
        let Ok(mut program) = GUESS.program(object, &row.program, &options) else { return Checked::default() };
        expected.flags.apply(&mut program);
        let single = Single::Of(&self.engine, object, &row.program);
        self.check(&Arc::new(program), &single, &row.pair, expected)
    }

    fn check(&self, program: &Arc<Program>, single: &Single<'_>, pair: &Pair, expected: &expect::Expected) -> Checked {
        let sources = Sources { kernel: self.kernel.as_ref(), target: &self.target, bounds: self.bounds };
        // Engines run nothing else; of what ring3 rejects or does not know there is no result.
        let accepted = pair.ours.verdict().is_some_and(Verdict::accepts);
        let runs = || match accepted {
            true => check::runs(single, program.kind, expected, self.kernel.is_some()),
            false => Sides::default(),
        };
        Checked {
            messages: sources.messages(program, expected),
            runs: check::has_runs(program.kind, expected).then(runs),
        }
    }

    /// A program without an object.
    fn program(&mut self, set: &'static str, raw: &RawProgram) -> Entry {
        let pair = match &mut self.kernel {
            Some(kernel) => judge(&raw.file, &raw.program, &self.target, kernel, &self.bounds),
            None => judge(&raw.file, &raw.program, &self.target, &mut Nobody, &self.bounds),
        };
        let row = Row { file: raw.file.clone(), program: raw.name.clone(), pair };
        let single = Single::Alone(&self.engine, &raw.program);
        let checked = self.check(&raw.program, &single, &row.pair, &raw.expected);
        self.entry(set, row, Some(&raw.expected), checked)
    }

    /// What was recorded counts where the running kernel was not asked, where it did not come as far as its verifier, and
    /// where ring3 knows too little of a program to load it as its author meant.
    fn entry(&self, set: &'static str, row: Row, expected: Option<&expect::Expected>, checked: Checked) -> Entry {
        let expected = expected.and_then(|expected| expected.accepted);
        let known = self.recorded.get(&row.file, &row.program);
        let recorded = match (&row.pair.kernel, &row.pair.ours) {
            (Answer::Nothing, _) | (_, Ours::Unjudged { .. }) => known,
            (Answer::Refused { .. }, _) => known.filter(|answer| answer.verdict().is_some()),
            (Answer::Judged(_), _) => None,
        };
        match recorded.cloned() {
            Some(kernel) => {
                let row = Row { pair: Pair { kernel, ours: row.pair.ours }, ..row };
                Entry { set, row, source: Source::Recorded, expected, checked }
            }
            None => Entry { set, row, source: Source::Live, expected, checked },
        }
    }
}
