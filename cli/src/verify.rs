//! `ring3 verify`: a row for each program.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use ring3::verifier::reference::{BUDGET, Reference, agree};
use ring3::verifier::{Code, Diagnosis, Part, Stats};
use ring3::{Engine, Errno, Error, KernelVersion, LogLevel, Object, Options, ProgType};
use serde_json::json;

use crate::Outcome;
use crate::args::{KernelArg, VerifyArgs, VerifyFormat};
use crate::error::CliError;
use crate::input;
use crate::output::{Ink, Out, printable, printable_lines};
use crate::profile;
use crate::releases::releases;
use crate::sarif::{self, Finding};
use crate::table::{Column, csv, line};
use crate::target::with_target;
use crate::types::with_types;

/// Columns of the CSV form, which are also the names of the JSON fields.
const FIELDS: [&str; 13] = [
    "file",
    "program",
    "section",
    "type",
    "verdict",
    "errno",
    "processed",
    "states",
    "peak_states",
    "peak_mem",
    "duration_us",
    "code",
    "message",
];

/// Characters of a line on a terminal.
const LINE: usize = 100;

/// What became of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Accept,
    Reject,
    /// It did not come as far as the verifier.
    Error,
}

impl Verdict {
    const fn name(self) -> &'static str {
        match self {
            Verdict::Accept => "accept",
            Verdict::Reject => "reject",
            Verdict::Error => "error",
        }
    }

    const fn ink(self) -> Ink {
        match self {
            Verdict::Accept => Ink::Good,
            Verdict::Reject | Verdict::Error => Ink::Bad,
        }
    }

    const fn outcome(self) -> Outcome {
        match self {
            Verdict::Accept => Outcome::Good,
            Verdict::Reject => Outcome::Rejected,
            Verdict::Error => Outcome::BadInput,
        }
    }
}

/// What to do about a program that replaces a function of nobody knows which.
const NAME_TARGET: &str = "; --target OBJ names it";

/// One program.
struct Row<'a> {
    file: &'a str,
    program: &'a str,
    section: &'a str,
    kind: Option<ProgType>,
    verdict: Verdict,
    errno: Option<Errno>,
    stats: Stats,
    code: Option<Code>,
    diagnosis: Option<Diagnosis>,
    /// What the verdict does not say for sure.
    notes: Vec<String>,
    /// The first release that has everything.
    since: Option<KernelVersion>,
    message: String,
    log: String,
}

/// How many there were of each verdict.
#[derive(Default)]
struct Totals {
    accepted: u32,
    rejected: u32,
    errors: u32,
}

/// Judges every program of every object. Bad files are told on standard error, and the others judged all the same.
pub fn verify(args: &VerifyArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let engine = match args.kernel {
        KernelArg::One(release) => Engine::new().kernel(release),
        KernelArg::All => Engine::new(),
    };
    let engine = with_target(with_types(engine, args.btf.as_deref())?, args.target.as_deref())?;
    let mut worst = Outcome::Good;
    let (mut objects, mut failures) = (Vec::new(), Vec::new());
    for path in &args.objects {
        match open(path, args) {
            Ok(object) => objects.push((path.display().to_string(), object)),
            Err(error) => {
                writeln!(std::io::stderr(), "ring3: {error}")?;
                failures.push(error);
                worst = Outcome::BadInput;
            }
        }
    }
    if args.kernel == KernelArg::All {
        if args.no_prune {
            return Err(CliError::Input(
                "--no-prune judges by one release: it cannot be used with --kernel all".to_owned(),
            ));
        }
        // As loaders make them ready for the oldest: newer ones take that, too.
        if let Some(oldest) = KernelVersion::LONG_TERM.first() {
            objects.iter_mut().for_each(|(_, object)| object.adapt(*oldest));
        }
        return Ok(worst.max(releases(&engine, args, &objects, out)?));
    }
    if let Some(to) = &args.profile {
        return Ok(worst.max(profile::profile(&engine, args, &objects, to.as_deref(), out)?));
    }
    let mut printer = Printer::new(args, &objects, out)?;
    for (file, object) in &objects {
        printer.file(file)?;
        for entry in object.programs().iter().filter(|entry| selected(args, &entry.name)) {
            let mut row = judge(&engine, args, file, object, entry);
            if args.no_prune {
                beside_reference(&engine, args, object, &mut row);
            }
            worst = worst.max(row.verdict.outcome());
            printer.row(row)?;
        }
    }
    printer.finish(&failures)?;
    Ok(worst)
}

pub fn selected(args: &VerifyArgs, name: &str) -> bool {
    args.program.as_ref().is_none_or(|wanted| wanted == name)
}

/// The object, if it has the program that is asked for; else what is wrong, in the words to be printed.
fn open(path: &Path, args: &VerifyArgs) -> Result<Object, String> {
    let mut object = input::object(path).map_err(|error| input::told(&error))?;
    let release = match args.kernel {
        KernelArg::One(release) => release,
        KernelArg::All => KernelVersion::V6_18,
    };
    input::configure(&mut object, release, &args.kconfig).map_err(|error| input::told(&error))?;
    match &args.program {
        Some(name) if !object.programs().iter().any(|entry| entry.name == *name) => {
            Err(input::no_such_program(&object, name))
        }
        None if object.programs().is_empty() => {
            Err(format!("{}: there is no program in it; SEC(\"xdp\") and the like make a function one", object.file()))
        }
        Some(_) | None => Ok(object),
    }
}

fn judge<'a>(
    engine: &Engine,
    args: &VerifyArgs,
    file: &'a str,
    object: &Object,
    entry: &'a ring3::object::ProgramEntry,
) -> Row<'a> {
    let options = Options { kind: args.kind, ..Options::default() };
    let kind = args.kind.or(entry.matched.map(|matched| matched.kind));
    let row = |verdict, errno, stats, message: String, log: String| Row {
        file,
        program: &entry.name,
        section: &entry.section,
        kind,
        verdict,
        errno,
        stats,
        code: None,
        diagnosis: None,
        notes: Vec::new(),
        since: None,
        message,
        log,
    };
    match engine.verify(object, &entry.name, &options, LogLevel(args.log_level)) {
        Ok(proof) => Row {
            notes: proof.notes(),
            ..row(Verdict::Accept, None, proof.stats(), String::new(), proof.log().to_owned())
        },
        Err(Error::Rejected { rejection, .. }) => {
            let (errno, stats) = (Some(rejection.errno), rejection.stats);
            let code = Some(rejection.code);
            let diagnosis = args.output.explains().then(|| rejection.diagnosis());
            let (since, notes) = (rejection.since, rejection.notes());
            let message = match (kind, &args.target, rejection.errno) {
                (Some(ProgType::Ext), None, Errno::EOPNOTSUPP) => format!("{}{NAME_TARGET}", rejection.message),
                _ => rejection.message,
            };
            Row { code, diagnosis, since, notes, ..row(Verdict::Reject, errno, stats, message, rejection.log) }
        }
        Err(error) => {
            let text = error.to_string();
            let text = text.strip_prefix(file).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&text);
            let message = format!("{text}{}", input::hint(&error));
            row(Verdict::Error, Some(Errno::EINVAL), Stats::default(), message, String::new())
        }
    }
}

/// Adds what the walk without pruning says, where that is something else.
fn beside_reference(engine: &Engine, args: &VerifyArgs, object: &Object, row: &mut Row<'_>) {
    let options = Options { kind: args.kind, ..Options::default() };
    let verdict = match engine.verify(object, row.program, &options, LogLevel::default()) {
        Ok(proof) => Ok(proof),
        Err(Error::Rejected { rejection, .. }) => Err(rejection),
        Err(_) => return,
    };
    let Ok(program) = object.program(row.program, &options) else { return };
    let Ok(other) = engine.reference(object, row.program, &options, BUDGET) else { return };
    let said = match (agree(&program, &verdict, &other), &other) {
        (Err(disagreement), _) => {
            row.verdict = Verdict::Error;
            disagreement.to_string()
        }
        (Ok(()), Reference::Undecided { processed }) => {
            format!("not decided without pruning in {processed} instructions")
        }
        (Ok(()), Reference::Accepted(_) | Reference::Rejected(_)) => return,
    };
    let between = if row.message.is_empty() { "" } else { "; " };
    row.message = format!("{}{between}{said}", row.message);
}

/// Prints rows as they come.
struct Printer<'a> {
    format: VerifyFormat,
    log: bool,
    out: &'a mut Out,
    columns: Vec<Column>,
    totals: Totals,
    rows: u32,
    /// What verdicts do not say for sure, each once.
    notes: Vec<String>,
    /// For a document that is written at the end.
    kept: Vec<Row<'a>>,
}

impl<'a> Printer<'a> {
    fn new(args: &VerifyArgs, objects: &[(String, Object)], out: &'a mut Out) -> Result<Printer<'a>, CliError> {
        let entries = || {
            let all = objects.iter().flat_map(|(_, object)| object.programs());
            all.filter(|entry| selected(args, &entry.name))
        };
        let kinds = entries().filter_map(|e| args.kind.or(e.matched.map(|m| m.kind))).map(ProgType::name);
        let program = Column::left("PROGRAM", entries().map(|e| e.name.as_str()), 32);
        let kind = Column::left("TYPE", kinds, 16);
        // What is left of a terminal's line.
        let room = LINE.saturating_sub(program.width + kind.width + 57).max(8);
        let columns = vec![
            program,
            Column::left("SECTION", entries().map(|e| e.section.as_str()), room),
            kind,
            Column::left("VERDICT", std::iter::empty(), 0),
            Column { width: 8, ..Column::left("ERRNO", std::iter::empty(), 0) },
            Column::right("INSNS", 7),
            Column::right("STATES", 6),
            Column::right("PEAK", 5),
            Column::right("TIME", 8),
        ];
        let format = args.output;
        match format {
            VerifyFormat::Csv => writeln!(out, "{}", csv(&FIELDS))?,
            VerifyFormat::Table if !objects.is_empty() => {
                let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
                let heading = line(&columns, &names, |_, text| text.to_owned());
                writeln!(out, "{}", out.ink(Ink::Strong, &heading))?;
            }
            VerifyFormat::Table | VerifyFormat::Text | VerifyFormat::Json | VerifyFormat::Sarif => {}
        }
        Ok(Printer {
            format,
            log: args.log_level > 0,
            out,
            columns,
            totals: Totals::default(),
            rows: 0,
            notes: Vec::new(),
            kept: Vec::new(),
        })
    }

    fn file(&mut self, file: &str) -> Result<(), CliError> {
        if self.format == VerifyFormat::Table {
            writeln!(self.out, "{}", self.out.ink(Ink::Faint, &printable(file)))?;
        }
        Ok(())
    }

    fn row(&mut self, row: Row<'a>) -> Result<(), CliError> {
        self.rows += 1;
        for note in &row.notes {
            if !self.notes.contains(note) {
                self.notes.push(note.clone());
            }
        }
        match row.verdict {
            Verdict::Accept => self.totals.accepted += 1,
            Verdict::Reject => self.totals.rejected += 1,
            Verdict::Error => self.totals.errors += 1,
        }
        match self.format {
            VerifyFormat::Table => self.table(&row),
            VerifyFormat::Csv => self.csv(&row),
            VerifyFormat::Json => self.json(&row),
            VerifyFormat::Text => self.text(&row),
            VerifyFormat::Sarif => {
                self.kept.push(row);
                Ok(())
            }
        }
    }

    /// A line, and the diagnosis if there is one.
    fn text(&mut self, row: &Row<'_>) -> Result<(), CliError> {
        let verdict = self.out.ink(row.verdict.ink(), row.verdict.name());
        let (file, program) = (printable(row.file), printable(row.program));
        let name = self.out.ink(Ink::Strong, &program);
        match &row.diagnosis {
            None if row.verdict == Verdict::Accept => {
                writeln!(self.out, "{name} ({file}): {verdict} after {} instructions", row.stats.processed)?;
            }
            None => writeln!(self.out, "{name} ({file}): {verdict}: {}", printable(&row.message))?,
            Some(diagnosis) => {
                writeln!(self.out, "{name} ({file}): {verdict}")?;
                let Some(columns) = self.out.columns() else {
                    writeln!(self.out, "{}", printable_lines(&diagnosis.to_string()))?;
                    return Ok(());
                };
                for line in diagnosis.lines(columns) {
                    let line = line.iter().map(|(part, text)| self.out.ink(ink_of(*part), &printable(text)));
                    writeln!(self.out, "{}", line.collect::<String>().trim_end())?;
                }
                writeln!(self.out)?;
            }
        }
        Ok(())
    }

    fn table(&mut self, row: &Row<'_>) -> Result<(), CliError> {
        let stats = row.stats;
        let reached = row.verdict != Verdict::Error;
        let number = |n: u32| if reached { n.to_string() } else { String::new() };
        let time = if reached { time(stats.duration_us) } else { String::new() };
        let texts = [
            &printable(row.program)[..],
            &clip(&printable(row.section), self.columns[1].width),
            row.kind.map_or("-", ProgType::name),
            row.verdict.name(),
            row.errno.map_or("", Errno::name),
            &number(stats.processed),
            &number(stats.total_states),
            &number(stats.peak_states),
            &time,
        ];
        let out = &*self.out;
        let text =
            line(&self.columns, &texts, |at, text| out.ink(if at == 3 { row.verdict.ink() } else { Ink::Plain }, text));
        writeln!(self.out, "{text}")?;
        if !row.message.is_empty() {
            writeln!(self.out, "    {}", printable(&row.message))?;
        }
        if self.log {
            for text in row.log.lines() {
                writeln!(self.out, "    {}", self.out.ink(Ink::Faint, &format!("| {}", printable(text))))?;
            }
        }
        Ok(())
    }

    fn csv(&mut self, row: &Row<'_>) -> Result<(), CliError> {
        let stats = row.stats;
        let fields = [
            row.file,
            row.program,
            row.section,
            row.kind.map_or("", ProgType::name),
            row.verdict.name(),
            &errno(row).to_string(),
            &stats.processed.to_string(),
            &stats.total_states.to_string(),
            &stats.peak_states.to_string(),
            &stats.peak_mem.to_string(),
            &stats.duration_us.to_string(),
            &row.code.map_or_else(String::new, |code| code.to_string()),
            &row.message,
        ];
        Ok(writeln!(self.out, "{}", csv(&fields))?)
    }

    fn json(&mut self, row: &Row<'_>) -> Result<(), CliError> {
        let stats = row.stats;
        let mut object = json!({
            "file": row.file,
            "program": row.program,
            "section": row.section,
            "type": row.kind.map(ProgType::name),
            "verdict": row.verdict.name(),
            "errno": errno(row),
            "processed": stats.processed,
            "states": stats.total_states,
            "peak_states": stats.peak_states,
            "peak_mem": stats.peak_mem,
            "duration_us": stats.duration_us,
            "code": row.code.map(|code| code.to_string()),
            "message": row.message,
        });
        if !row.notes.is_empty() {
            object["notes"] = row.notes.clone().into();
        }
        if let Some(since) = row.since {
            object["since"] = since.to_string().into();
        }
        if let Some(found) = &row.diagnosis {
            object["diagnosis"] = sarif::diagnosis(found);
        }
        if self.log {
            object["log"] = row.log.as_str().into();
        }
        Ok(writeln!(self.out, "{object}")?)
    }

    fn finish(self, failures: &[String]) -> Result<(), CliError> {
        if self.format == VerifyFormat::Sarif {
            let errors = self.kept.iter().filter(|row| row.verdict == Verdict::Error);
            let failures: Vec<String> = failures
                .iter()
                .cloned()
                .chain(errors.map(|row| format!("{}: {}: {}", row.file, row.program, row.message)))
                .collect();
            let found = self.kept.iter().filter_map(|row| {
                let diagnosis = row.diagnosis.as_ref()?;
                Some(Finding { file: row.file, program: row.program, section: row.section, diagnosis })
            });
            let document = sarif::sarif(&found.collect::<Vec<_>>(), &failures);
            writeln!(self.out, "{document:#}")?;
        }
        if self.format == VerifyFormat::Table && self.rows > 1 {
            let Totals { accepted, rejected, errors } = self.totals;
            write!(self.out, "\n{} programs: {accepted} accepted, {rejected} rejected", self.rows)?;
            if errors > 0 {
                write!(self.out, ", {errors} did not come as far as the verifier")?;
            }
            writeln!(self.out)?;
        }
        // Of use to who looks at it, and in the way of who compares it.
        if self.format == VerifyFormat::Table && self.totals.rejected > 0 && self.out.columns().is_some() {
            let hint = "With -o text, ring3 verify says why, and what to do.";
            writeln!(self.out, "\n{}", self.out.ink(Ink::Faint, hint))?;
        }
        if matches!(self.format, VerifyFormat::Table | VerifyFormat::Text) {
            for note in &self.notes {
                writeln!(self.out, "note: {note}")?;
            }
        }
        Ok(())
    }
}

/// As BPF_PROG_LOAD returns it: 0 or the negative number.
fn errno(row: &Row<'_>) -> i32 {
    row.errno.map_or(0, |errno| -errno.number())
}

/// A text of at most `width` characters.
fn ink_of(part: Part) -> Ink {
    match part {
        Part::Text | Part::Source => Ink::Plain,
        Part::Error | Part::Here => Ink::Bad,
        Part::Title | Part::Name => Ink::Strong,
        Part::Frame => Ink::Frame,
        Part::Way => Ink::Note,
    }
}

fn clip(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// A duration that is easy to read, and that does not promise nanoseconds.
pub fn time(microseconds: u64) -> String {
    match microseconds {
        0..10 => format!("{microseconds} µs"),
        _ => duration(Duration::from_micros(microseconds)),
    }
}

/// A duration in the unit that suits it.
pub fn duration(duration: Duration) -> String {
    let ns = duration.as_nanos();
    match ns {
        0..10_000 => format!("{ns} ns"),
        10_000..10_000_000 => format!("{} µs", ns / 1000),
        10_000_000..10_000_000_000 => format!("{} ms", ns / 1_000_000),
        _ => format!("{} s", ns / 1_000_000_000),
    }
}
