//! What came of it, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::{Held, Plain, Said, States};

/// Reasons that are told of each kind; the rest is in the file.
const REASONS: usize = 40;

/// Numbers of a corpus.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Numbers {
    /// Programs.
    pub programs: u64,
    /// Accepted.
    pub accepted: u64,
    /// Rejected.
    pub rejected: u64,
    /// Not judged.
    pub nothing: u64,
    /// Accepted programs that ran.
    pub ran: u64,
    /// Of those, programs with helpers that gave just some number.
    pub stubbed: u64,
    /// Accepted programs that cannot run here.
    pub not_run: u64,
    /// Runs, and instructions and values in them that were compared.
    pub runs: (u64, u64, u64),
    /// Verdicts that are the same without pruning.
    pub same: u64,
    /// Of those, accepting ones.
    pub same_accepted: u64,
    /// Budgets that did not last.
    pub undecided: u64,
    /// Of those, of accepted programs.
    pub undecided_accepted: u64,
    /// What is wrong.
    pub findings: u64,
}

/// All numbers, and what there is to say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Table {
    /// By corpus, in the order of their names.
    pub sets: BTreeMap<&'static str, Numbers>,
    /// Why accepted programs were not run, and how many.
    pub not_run: BTreeMap<String, u64>,
    /// What was not compared in runs: why, and how often.
    pub skipped: BTreeMap<String, u64>,
    /// Why programs were not judged, and how many.
    pub nothing: BTreeMap<String, u64>,
    /// What accepted programs need that the engines do not have, and how many need it; the last number needs nothing else.
    pub refused: BTreeMap<String, (u64, u64)>,
    /// Programs that were linked for the engines, and those that could not be.
    pub linked: (u64, u64),
    /// What is wrong.
    pub findings: Vec<String>,
}

/// Counts.
pub fn table(held: &[Held]) -> Table {
    let mut table = Table::default();
    for row in held {
        table.add(row);
    }
    table
}

impl Table {
    fn add(&mut self, row: &Held) {
        let numbers = self.sets.entry(row.set).or_default();
        let accepted = row.said == Said::Accepted;
        numbers.programs += 1;
        match &row.said {
            Said::Accepted => numbers.accepted += 1,
            Said::Rejected => numbers.rejected += 1,
            Said::Nothing(why) => {
                numbers.nothing += 1;
                *self.nothing.entry(why.clone()).or_default() += 1;
            }
        }
        match &row.states {
            None => {}
            Some(States::NotRun(why)) => {
                numbers.not_run += 1;
                *self.not_run.entry(why.clone()).or_default() += 1;
            }
            Some(States::Outside(_)) => numbers.ran += 1,
            Some(States::Held(runs)) => {
                numbers.ran += 1;
                numbers.stubbed += u64::from(!runs.stubs.is_empty());
                let checked = &runs.report.checked;
                let (number, instructions, values) = numbers.runs;
                numbers.runs =
                    (number + runs.report.runs, instructions + checked.instructions, values + checked.values);
                for (why, times) in &checked.skipped {
                    *self.skipped.entry((*why).to_owned()).or_default() += times;
                }
            }
        }
        if let Some(refused) = &row.refused {
            let (linked, not) = &mut self.linked;
            *(if refused.is_empty() { linked } else { not }) += 1;
            for why in refused {
                let (all, alone) = self.refused.entry(why.clone()).or_default();
                *all += 1;
                *alone += u64::from(refused.len() == 1);
            }
        }
        match &row.plain {
            None => {}
            Some(Plain::Same) => {
                numbers.same += 1;
                numbers.same_accepted += u64::from(accepted);
            }
            Some(Plain::Undecided) => {
                numbers.undecided += 1;
                numbers.undecided_accepted += u64::from(accepted);
            }
            Some(Plain::Other(_)) => {}
        }
        if row.is_finding() {
            numbers.findings += 1;
            self.findings.push(finding(row));
        }
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let sets = self.sets.iter().map(|(name, n)| {
            let (runs, instructions, values) = n.runs;
            let row = json!({
                "programs": n.programs, "accepted": n.accepted, "rejected": n.rejected, "not_judged": n.nothing,
                "ran": n.ran, "with_stubs": n.stubbed, "not_run": n.not_run,
                "runs": runs, "instructions": instructions, "values": values,
                "same_without_pruning": n.same, "same_without_pruning_accepted": n.same_accepted,
                "undecided": n.undecided, "undecided_accepted": n.undecided_accepted, "findings": n.findings,
            });
            ((*name).to_owned(), row)
        });
        json!({
            "sets": sets.collect::<serde_json::Map<String, Value>>(),
            "not_run": self.not_run, "not_compared": self.skipped, "not_judged": self.nothing,
            "linked": self.linked.0, "not_linked": self.linked.1,
            "refused": self.refused.iter().map(|(why, (all, alone))| json!({ "why": why, "programs": all, "alone": alone }))
                .collect::<Value>(),
            "findings": self.findings,
        })
    }
}

/// A finding with all that repeats it.
fn finding(row: &Held) -> String {
    let mut text = format!("{} {} {}:", row.set, row.file, row.program);
    if let Some(States::Outside(outside)) = &row.states {
        let input: String = outside.input.iter().map(|byte| format!("{byte:02x}")).collect();
        text.push_str(&format!(" {}\n  content {}, input {input}", outside.what, outside.content));
    }
    if let Some(Plain::Other(disagreement)) = &row.plain {
        text.push_str(&format!(" {disagreement}"));
    }
    text
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:10} {:>8} {:>8} {:>7} {:>8} {:>9} {:>10} {:>12} {:>14} {:>9} {:>9}",
            "CORPUS",
            "PROGRAMS",
            "ACCEPTED",
            "RAN",
            "NOT RUN",
            "RUNS",
            "MOMENTS",
            "VALUES",
            "SAME UNPRUNED",
            "UNDECIDED",
            "FINDINGS"
        )?;
        for (name, n) in &self.sets {
            let (runs, instructions, values) = n.runs;
            writeln!(
                f,
                "{name:10} {:>8} {:>8} {:>7} {:>8} {runs:>9} {instructions:>10} {values:>12} {:>14} {:>9} {:>9}",
                n.programs,
                n.accepted,
                n.ran,
                n.not_run,
                format!("{} ({})", n.same, n.same_accepted),
                format!("{} ({})", n.undecided, n.undecided_accepted),
                n.findings
            )?;
        }
        for (title, reasons) in
            [("not run", &self.not_run), ("not compared", &self.skipped), ("not judged", &self.nothing)]
        {
            let mut order: Vec<(&String, &u64)> = reasons.iter().collect();
            order.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
            for (why, times) in order.iter().take(REASONS) {
                writeln!(f, "  {title} {times:>7} {why}")?;
            }
            if let Some(rest) = order.get(REASONS..).filter(|rest| !rest.is_empty()) {
                writeln!(
                    f,
                    "  {title} {:>7} for {} other reasons",
                    rest.iter().map(|row| row.1).sum::<u64>(),
                    rest.len()
                )?;
            }
        }
        if self.linked != (0, 0) {
            writeln!(f, "  {} accepted programs link for the engines, {} do not", self.linked.0, self.linked.1)?;
        }
        let mut order: Vec<_> = self.refused.iter().collect();
        order.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        for (why, (all, alone)) in order {
            writeln!(f, "  refused {all:>5}, alone {alone:>5}: {why}")?;
        }
        self.findings.iter().try_for_each(|finding| writeln!(f, "FINDING {finding}"))
    }
}
