//! Runs of the corpora's programs on the kernel (BPF_PROG_TEST_RUN) and on every engine here, compared.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use ring3::{Engine, Object};
use ring3_parity::Kernel;
use ring3_parity::run::{Comparison, Outcome, RunRow, run_alone, run_object};
use serde_json::{Value, json};

use super::corpus::{Corpus, RawProgram};

/// Bytes of stack of a thread.
const STACK: usize = 64 << 20;

/// Reasons that are told; the rest is in the file.
const REASONS: usize = 40;

/// What came of all programs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Runs {
    /// Programs, with their corpus.
    pub rows: Vec<(&'static str, RunRow)>,
}

/// Runs every program of these corpora that can be run, on generated inputs.
pub fn runs(corpora: &[Corpus], threads: usize, progress: &(dyn Fn(usize, usize) + Sync)) -> Runs {
    let files: Vec<(&'static str, Item)> = corpora.iter().flat_map(items).collect();
    let (next, found) = (Mutex::new(0usize), Mutex::new(Vec::new()));
    let work = || {
        let kernel = Kernel::open().ok();
        let target = kernel.as_ref().map(Kernel::target).unwrap_or_default();
        let mut engine = Engine::new().cpus(target.cpus);
        if let Some(types) = &target.btf {
            engine = engine.btf((**types).clone());
        }
        loop {
            let at = {
                let Ok(mut next) = next.lock() else { return };
                *next += 1;
                *next - 1
            };
            let Some((set, file)) = files.get(at) else { return };
            let rows = match file {
                Item::File(path) => of_file(path, &engine, kernel.as_ref()),
                Item::Program(raw) => vec![RunRow {
                    file: raw.file.clone(),
                    program: raw.name.clone(),
                    outcome: run_alone(&raw.program, &engine, kernel.is_some(), &[]),
                }],
            };
            if let Ok(mut found) = found.lock() {
                found.extend(rows.into_iter().map(|row| (*set, row)));
            }
            progress(at + 1, files.len());
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            // A thread that cannot be started leaves its part to the others.
            let _ = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        }
    });
    let mut rows = found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    rows.sort_by(|(a, x), (b, y)| (a, &x.file, &x.program).cmp(&(b, &y.file, &y.program)));
    Runs { rows }
}

/// All that a corpus has.
fn items(corpus: &Corpus) -> Vec<(&'static str, Item)> {
    let files = corpus.files.iter().cloned().map(Item::File);
    files.chain(corpus.programs.iter().cloned().map(Item::Program)).map(|item| (corpus.name, item)).collect()
}

/// What is run at a time.
enum Item {
    File(PathBuf),
    Program(RawProgram),
}

fn of_file(path: &Path, engine: &Engine, kernel: Option<&Kernel>) -> Vec<RunRow> {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Ok(bytes) = std::fs::read(path) else { return Vec::new() };
    let Ok(mut object) = Object::parse(&file, &bytes) else { return Vec::new() };
    if let Some(kernel) = kernel {
        object.answer(kernel.values());
    }
    run_object(&object, engine, kernel.is_some(), &[], |_| true)
}

impl Runs {
    /// Programs that were run.
    pub fn ran(&self) -> usize {
        self.rows.iter().filter(|(_, row)| matches!(row.outcome, Outcome::Ran(_))).count()
    }

    /// Of those, programs that the kernel ran as well.
    pub fn beside(&self) -> usize {
        let is_beside = |row: &RunRow| matches!(&row.outcome, Outcome::Ran(ran) if ran.engines.contains(&"kernel") && ran.inputs > 0);
        self.rows.iter().filter(|(_, row)| is_beside(row)).count()
    }

    /// Differences between engines that no reason is known for.
    pub fn differences(&self) -> usize {
        self.rows.iter().map(|(_, row)| row.differences().len()).sum()
    }

    /// What was not compared of programs that ran, in words.
    fn left_out(&self) -> String {
        let ran = || {
            self.rows.iter().filter_map(|(_, row)| match &row.outcome {
                Outcome::Ran(ran) => Some(ran),
                Outcome::NotRun(_) => None,
            })
        };
        let programs = |is: fn(&&Comparison) -> bool| ran().filter(is).count();
        format!(
            "left out: {} inputs of {} programs, as those before took too long; maps of {} programs, as they are too large; the kernel, of {} \
             programs whose results depend on more than the input; maps of {} programs were compared behind many inputs alone",
            ran().map(|ran| ran.inputs_left_out).sum::<usize>(),
            programs(|ran| ran.inputs_left_out > 0),
            programs(|ran| !ran.left_out.is_empty()),
            programs(|ran| !ran.depends.is_empty()),
            programs(|ran| ran.together),
        )
    }

    /// Why programs were not run, and how many.
    pub fn not_run(&self) -> BTreeMap<String, usize> {
        let mut reasons = BTreeMap::new();
        for (_, row) in &self.rows {
            if let Outcome::NotRun(why) = &row.outcome {
                *reasons.entry(shared(why)).or_default() += 1;
            }
        }
        reasons
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|(set, row)| {
                let mut value = row.json();
                value["set"] = (*set).into();
                value
            })
            .collect();
        json!({
            "totals": { "programs": self.rows.len(), "ran": self.ran(), "beside_kernel": self.beside(), "differences": self.differences() },
            "not_run": self.not_run(), "programs": rows,
        })
    }
}

/// A reason without what belongs to one program: its first line up to where it speaks of the program's own names and numbers.
fn shared(why: &str) -> String {
    let line = why.lines().next().unwrap_or_default();
    let line = line.rsplit_once("slot ").map_or(line, |(_, rest)| rest.split_once(": ").map_or(line, |(_, what)| what));
    match line.find("rejects it") {
        Some(at) => line[..at + "rejects it".len()].to_owned(),
        None => line.to_owned(),
    }
}

impl fmt::Display for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (set, row) in &self.rows {
            for difference in row.differences() {
                writeln!(f, "DIFFERENCE {set} {} {}: {difference}", row.file, row.program)?;
            }
        }
        let reasons = self.not_run();
        let mut order: Vec<_> = reasons.iter().collect();
        order.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        for (why, count) in order.iter().take(REASONS) {
            writeln!(f, "  not run {count:>6} {why}")?;
        }
        writeln!(f, "{}", self.left_out())?;
        writeln!(
            f,
            "{} programs, {} of them run, {} beside the kernel: {} differences",
            self.rows.len(),
            self.ran(),
            self.beside(),
            self.differences()
        )
    }
}
