//! What came of cases on engines: as text with a matrix of instructions by engine, and as JSON.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use ring3_isa::{Group, Kind, NoNames, Origin, kinds};
use serde_json::{Value, json};

use crate::coverage::{census, unused};
use crate::engine::{self, EngineName};
use crate::{Selected, Verdict, judge};

/// How often each verdict was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// As expected.
    pub pass: usize,
    /// Not as expected.
    pub fail: usize,
    /// Not tried.
    pub skip: usize,
}

impl Tally {
    fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Pass => self.pass += 1,
            Verdict::Fail { .. } => self.fail += 1,
            Verdict::Skip { .. } => self.skip += 1,
        }
    }

    fn of<'v>(verdicts: impl Iterator<Item = &'v Verdict>) -> Tally {
        verdicts.fold(Tally::default(), |mut tally, verdict| {
            tally.add(verdict);
            tally
        })
    }

    fn json(self) -> Value {
        json!({ "pass": self.pass, "fail": self.fail, "skip": self.skip })
    }
}

/// A cell of the matrix: how many passed; with failures or skips all three numbers.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Tally { pass: 0, fail: 0, skip: 0 } => f.pad("-"),
            Tally { pass, fail: 0, skip: 0 } => f.pad(&pass.to_string()),
            Tally { pass, fail, skip } => f.pad(&format!("{pass}/{fail}/{skip}")),
        }
    }
}

/// An engine and what it made of the cases.
#[derive(Debug)]
pub struct Column {
    /// Which engine.
    pub engine: EngineName,
    /// For each case its verdict; or why the engine is not here.
    pub verdicts: Result<Vec<Verdict>, String>,
}

impl Column {
    /// Runs the cases.
    pub fn run(engine: &EngineName, cases: &[Selected]) -> Column {
        let verdicts = engine::open(engine).map(|mut open| {
            let one = |selected: &Selected| judge(&selected.case, open.judges(), &open.run(&selected.case));
            cases.iter().map(one).collect()
        });
        Column { engine: engine.clone(), verdicts }
    }

    fn known(&self) -> &[Verdict] {
        self.verdicts.as_deref().unwrap_or_default()
    }

    /// Over all cases.
    pub fn tally(&self) -> Tally {
        Tally::of(self.known().iter())
    }

    /// Each reason to skip, with the cases that were skipped for it.
    pub fn skips<'c>(&self, cases: &'c [Selected]) -> BTreeMap<&str, Vec<&'c str>> {
        let mut skips: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (verdict, selected) in self.known().iter().zip(cases) {
            if let Verdict::Skip { reason } = verdict {
                skips.entry(reason).or_default().push(&selected.case.name);
            }
        }
        skips
    }
}

/// Everything that came of a run.
#[derive(Debug)]
pub struct Report {
    /// What ran.
    pub cases: Vec<Selected>,
    /// On what.
    pub columns: Vec<Column>,
}

impl Report {
    /// Runs the cases on these engines.
    pub fn run(cases: Vec<Selected>, engines: &[EngineName]) -> Report {
        let columns = engines.iter().map(|engine| Column::run(engine, &cases)).collect();
        Report { cases, columns }
    }

    /// Whether a case failed anywhere.
    pub fn failed(&self) -> bool {
        self.columns.iter().any(|column| column.tally().fail > 0)
    }

    /// Kinds of instructions that a case has.
    pub fn used(&self) -> Vec<Kind> {
        let unused = self.uncovered();
        kinds().filter(|kind| !unused.contains(kind)).collect()
    }

    /// Kinds of instructions that no case has.
    pub fn uncovered(&self) -> Vec<Kind> {
        unused(self.cases.iter().flat_map(|selected| &selected.kinds))
    }

    /// Failures, skips, matrix, sums and coverage. `program` prints the programs of cases that failed.
    pub fn text(&self, matrix: bool, program: bool) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text, matrix, program);
        text
    }

    fn write(&self, out: &mut String, matrix: bool, program: bool) -> fmt::Result {
        for column in &self.columns {
            self.write_failures(out, column, program)?;
        }
        for column in &self.columns {
            self.write_skips(out, column)?;
        }
        if matrix {
            self.write_matrix(out)?;
        }
        let here: Vec<&Column> = self.columns.iter().filter(|column| column.verdicts.is_ok()).collect();
        for column in &here {
            let Tally { pass, fail, skip } = column.tally();
            writeln!(out, "{}: {pass} passed, {fail} failed, {skip} skipped", column.engine)?;
        }
        out.push_str(&self.coverage(here.is_empty()));
        Ok(())
    }

    fn write_failures(&self, out: &mut String, column: &Column, program: bool) -> fmt::Result {
        for (verdict, Selected { path, case, .. }) in column.known().iter().zip(&self.cases) {
            let Verdict::Fail { expected, got } = verdict else { continue };
            writeln!(out, "FAIL {} on {}", path.display(), column.engine)?;
            writeln!(out, "  expected {expected}\n  got      {got}")?;
            for line in case.about.lines() {
                writeln!(out, "  {line}")?;
            }
            for slot in (0..case.code.len()).filter(|_| program) {
                match case.code.text(slot, &NoNames) {
                    Some(insn) => writeln!(out, "  {slot:>5}: {insn}")?,
                    None if case.code.is_tail(slot) => {}
                    None => writeln!(out, "  {slot:>5}: no instruction")?,
                }
            }
            out.push('\n');
        }
        Ok(())
    }

    fn write_skips(&self, out: &mut String, column: &Column) -> fmt::Result {
        if let Err(reason) = &column.verdicts {
            return writeln!(out, "SKIP all of {}: {reason}\n", column.engine);
        }
        for (reason, names) in column.skips(&self.cases) {
            writeln!(out, "SKIP {} on {}: {reason}", names.len(), column.engine)?;
            writeln!(out, "  {}\n", names.join(" "))?;
        }
        Ok(())
    }

    fn write_matrix(&self, out: &mut String) -> fmt::Result {
        let here: Vec<&Column> = self.columns.iter().filter(|column| column.verdicts.is_ok()).collect();
        let names: Vec<String> = here.iter().map(|column| short(&column.engine)).collect();
        let widths: Vec<usize> = names.iter().map(|name| name.len().max(MIN_COLUMN)).collect();
        write!(out, "{:KIND_COLUMN$}", "passed, or passed/failed/skipped")?;
        for (name, width) in names.iter().zip(&widths) {
            write!(out, "  {name:>width$}")?;
        }
        out.push('\n');
        for group in Group::ALL {
            writeln!(out, "{group}")?;
            for kind in kinds().filter(|kind| kind.group() == *group) {
                write!(out, "  {kind:INNER_COLUMN$}")?;
                for (column, width) in here.iter().zip(&widths) {
                    write!(out, "  {:>width$}", self.cell(column, kind))?;
                }
                out.push('\n');
            }
        }
        out.push('\n');
        Ok(())
    }

    /// Over the cases that have this kind of instruction in them.
    fn cell(&self, column: &Column, kind: Kind) -> Tally {
        let with = column.known().iter().zip(&self.cases).filter(|(_, selected)| selected.kinds.contains(&kind));
        Tally::of(with.map(|(verdict, _)| verdict))
    }

    /// The closing line. Of a long list `all` says whether all of it is printed.
    fn coverage(&self, all: bool) -> String {
        let uncovered = self.uncovered();
        let total: usize = census().iter().map(|(_, count)| count).sum();
        let cases = self.cases.len();
        if uncovered.is_empty() {
            let parts: Vec<String> = census().iter().map(|(origin, count)| format!("{count} of {origin}")).collect();
            return format!("{cases} cases cover all {total} kinds of instructions: {}.\n", parts.join(", "));
        }
        let left = uncovered.len();
        let listed = if all { left } else { left.min(MAX_LISTED) };
        let more =
            if listed < left { format!(" and {} more (--uncovered names them)", left - listed) } else { String::new() };
        let names = names(&uncovered[..listed]).join(", ");
        format!("{cases} cases leave {left} of {total} kinds of instructions uncovered: {names}{more}.\n")
    }

    /// Everything as JSON.
    pub fn json(&self) -> Value {
        let engine = |column: &Column| match &column.verdicts {
            Ok(_) => json!({ "name": column.engine.to_string(), "summary": column.tally().json() }),
            Err(reason) => json!({ "name": column.engine.to_string(), "missing": reason }),
        };
        let case = |(at, selected): (usize, &Selected)| {
            let results = self.columns.iter().filter_map(|column| {
                let verdict = column.known().get(at)?;
                Some((column.engine.to_string(), verdict_json(verdict)))
            });
            json!({
                "file": selected.path.display().to_string(),
                "name": selected.case.name,
                "about": selected.case.about,
                "kinds": names(&selected.kinds),
                "results": results.collect::<serde_json::Map<_, _>>(),
            })
        };
        let row = |kind: Kind| {
            let here = self.columns.iter().filter(|column| column.verdicts.is_ok());
            let cells = here.map(|column| (column.engine.to_string(), self.cell(column, kind).json()));
            json!({
                "kind": kind.to_string(),
                "group": kind.group().name(),
                "origin": origin(kind),
                "engines": cells.collect::<serde_json::Map<_, _>>(),
            })
        };
        json!({
            "engines": self.columns.iter().map(engine).collect::<Vec<_>>(),
            "cases": self.cases.iter().enumerate().map(case).collect::<Vec<_>>(),
            "matrix": kinds().map(row).collect::<Vec<_>>(),
            "uncovered": names(&self.uncovered()),
        })
    }
}

/// Width of the first column of the matrix, of what is indented in it, and of the others at least.
const KIND_COLUMN: usize = 34;
const INNER_COLUMN: usize = KIND_COLUMN - 2;
const MIN_COLUMN: usize = 8;
/// Uncovered kinds that the closing line names.
const MAX_LISTED: usize = 10;
/// Characters of an engine's name in the head of the matrix.
const MAX_NAME: usize = 24;

/// The name of an engine, of a plugin the end of its command.
fn short(engine: &EngineName) -> String {
    let name = engine.to_string();
    let skip = name.chars().count().saturating_sub(MAX_NAME);
    name.chars().skip(skip).collect()
}

fn names(kinds: &[Kind]) -> Vec<String> {
    kinds.iter().map(|kind| kind.to_string()).collect()
}

fn origin(kind: Kind) -> String {
    match kind.origin() {
        Origin::Rfc { section } => format!("RFC 9669, section {section}"),
        Origin::Linux => "Linux".to_owned(),
        Origin::Compilers => "compilers".to_owned(),
    }
}

fn verdict_json(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Pass => json!({ "verdict": "pass" }),
        Verdict::Fail { expected, got } => json!({ "verdict": "fail", "expected": expected, "got": got }),
        Verdict::Skip { reason } => json!({ "verdict": "skip", "reason": reason }),
    }
}
