//! Many programs: totals, and what they cost.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{Answer, Class, Ours, Row, Verdict};

/// Rows in any order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// A row for each program.
    pub rows: Vec<Row>,
}

/// How many programs there are of each [`Class`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)]
pub struct Totals {
    pub programs: usize,
    pub both_accept: usize,
    pub both_reject: usize,
    /// Of those that both reject.
    pub same_message: usize,
    pub false_accept: usize,
    pub false_reject: usize,
    pub unjudged: usize,
    pub stopped: usize,
    pub failed: usize,
    pub refused: usize,
    pub alone: usize,
}

impl Totals {
    /// Programs with the same verdict.
    pub const fn agree(&self) -> usize {
        self.both_accept + self.both_reject
    }

    /// How many of a class.
    pub const fn of(&self, class: Class) -> usize {
        match class {
            Class::FalseAccept => self.false_accept,
            Class::FalseReject => self.false_reject,
            Class::BothAccept => self.both_accept,
            Class::BothReject => self.both_reject,
            Class::Unjudged => self.unjudged,
            Class::Stopped => self.stopped,
            Class::Failed => self.failed,
            Class::Refused => self.refused,
            Class::Alone => self.alone,
        }
    }

    const fn of_mut(&mut self, class: Class) -> &mut usize {
        match class {
            Class::FalseAccept => &mut self.false_accept,
            Class::FalseReject => &mut self.false_reject,
            Class::BothAccept => &mut self.both_accept,
            Class::BothReject => &mut self.both_reject,
            Class::Unjudged => &mut self.unjudged,
            Class::Stopped => &mut self.stopped,
            Class::Failed => &mut self.failed,
            Class::Refused => &mut self.refused,
            Class::Alone => &mut self.alone,
        }
    }
}

/// Rows that a list of the worst has.
const WORST: usize = 10;

/// Ours divided by the kernel's, over the programs with the same verdict.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Ratios {
    /// Sum by sum.
    pub total: f64,
    /// Geometric mean over the programs.
    pub mean: f64,
    /// Programs that count.
    pub programs: usize,
    /// The ten with the highest ratio, the highest first.
    pub worst: Vec<Ratio>,
}

/// The ratio of one program.
#[derive(Clone, PartialEq, Debug)]
pub struct Ratio {
    /// Index of its row.
    pub row: usize,
    /// The kernel's number.
    pub kernel: u64,
    /// Ours.
    pub ours: u64,
    /// Ours divided by the kernel's.
    pub ratio: f64,
}

impl Report {
    /// The counts.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals { programs: self.rows.len(), ..Totals::default() };
        for row in &self.rows {
            *totals.of_mut(row.pair.class()) += 1;
            totals.same_message += usize::from(row.pair.same_message());
        }
        totals
    }

    /// Ratios of processed instructions.
    pub fn processed(&self) -> Ratios {
        self.ratios(|_| true, |verdict| verdict.processed().into())
    }

    /// Ratios of time, in microseconds, of which the kernel tells whole ones.
    pub fn time(&self) -> Ratios {
        // What was recorded has no time.
        let known = |row: &&Row| row.pair.kernel.verdict().is_some_and(|verdict| !verdict.took.is_zero());
        self.ratios(known, |verdict| u64::try_from(verdict.took.as_micros()).unwrap_or(u64::MAX).max(1))
    }

    fn ratios(&self, wanted: impl Fn(&&Row) -> bool, number: impl Fn(&Verdict) -> u64) -> Ratios {
        let of_row = |(row, whole): (usize, &Row)| {
            let pair = Some(whole).filter(&wanted).map(|row| &row.pair)?;
            let same = matches!(pair.class(), Class::BothAccept | Class::BothReject);
            let (kernel, ours) = (pair.kernel.verdict()?, pair.ours.verdict()?);
            let (kernel, ours) = (number(kernel), number(ours));
            // What either refuses before its walk has no effort to compare.
            let counts = same && kernel > 0 && ours > 0;
            counts.then(|| Ratio { row, kernel, ours, ratio: ours as f64 / kernel as f64 })
        };
        let mut all: Vec<Ratio> = self.rows.iter().enumerate().filter_map(of_row).collect();
        if all.is_empty() {
            return Ratios::default();
        }
        let sum = |number: fn(&Ratio) -> u64| all.iter().map(|ratio| number(ratio) as f64).sum::<f64>();
        let total = sum(|ratio| ratio.ours) / sum(|ratio| ratio.kernel);
        let logarithms: f64 = all.iter().map(|ratio| ratio.ratio.ln()).sum();
        let (mean, programs) = ((logarithms / all.len() as f64).exp(), all.len());
        all.sort_by(|a, b| b.ratio.total_cmp(&a.ratio).then(a.row.cmp(&b.row)));
        all.truncate(WORST);
        Ratios { total, mean, programs, worst: all }
    }

    /// What is missing here, and for how many programs, the most first.
    pub fn unjudged(&self) -> Vec<(&str, usize)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for row in &self.rows {
            if let Ours::Unjudged { what, .. } = &row.pair.ours {
                *counts.entry(what).or_default() += 1;
            }
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(what, count)| (std::cmp::Reverse(*count), *what));
        counts
    }
}

/// A report as JSON: `totals`, `processed` and `time` (ratios), `unjudged`, and `programs`.
pub fn json(report: &Report) -> Value {
    let totals = report.totals();
    let mut numbers =
        json!({ "programs": totals.programs, "agree": totals.agree(), "same_message": totals.same_message });
    for class in Class::ALL {
        numbers[class.name()] = totals.of(class).into();
    }
    let unjudged = report.unjudged();
    let unjudged: Vec<_> = unjudged.iter().map(|(what, count)| json!({ "what": what, "programs": count })).collect();
    json!({
        "totals": numbers,
        "processed": ratios(report, &report.processed()),
        "time": ratios(report, &report.time()),
        "unjudged": unjudged,
        "programs": report.rows.iter().map(Row::json).collect::<Vec<_>>(),
    })
}

fn ratios(report: &Report, ratios: &Ratios) -> Value {
    let worst = ratios.worst.iter().map(|ratio| {
        let row = &report.rows[ratio.row];
        let numbers = (ratio.kernel, ratio.ours, ratio.ratio);
        json!({ "file": row.file, "program": row.program, "kernel": numbers.0, "ours": numbers.1, "ratio": numbers.2 })
    });
    json!({
        "programs": ratios.programs,
        "total": ratios.total,
        "geometric_mean": ratios.mean,
        "worst": worst.collect::<Vec<_>>(),
    })
}

impl Row {
    /// What is said here, in a word: accept, reject, or none if there is no verdict.
    pub fn ours_word(&self) -> &'static str {
        match &self.pair.ours {
            Ours::Judged(verdict) | Ours::Unjudged { verdict: Some(verdict), .. } => word(verdict),
            Ours::Unjudged { verdict: None, .. } | Ours::Failed(_) | Ours::Stopped { .. } => "none",
        }
    }

    /// The same of the kernel; none if its verifier did not run.
    pub fn kernel_word(&self) -> &'static str {
        self.pair.kernel.verdict().map_or("none", word)
    }

    /// The row as JSON.
    pub fn json(&self) -> Value {
        let (kernel, ours) = (&self.pair.kernel, &self.pair.ours);
        let verdict = kernel.verdict();
        let mut row = json!({
            "file": self.file,
            "program": self.program,
            "class": self.pair.class().name(),
            "kernel": self.kernel_word(),
            "ours": self.ours_word(),
            "same_message": self.pair.same_message(),
            "kernel_errno": verdict.map(|verdict| verdict.errno),
            "kernel_message": verdict.map(|verdict| &verdict.message),
        });
        if let Answer::Refused { errno, why } = kernel {
            row["kernel_errno"] = (*errno).into();
            row["kernel_message"] = why.as_str().into();
            row["kernel_refused"] = true.into();
        }
        counts(&mut row, "kernel", verdict);
        let verdict = match ours {
            Ours::Judged(verdict) => Some(verdict),
            Ours::Unjudged { verdict, .. } => verdict.as_ref(),
            Ours::Failed(_) | Ours::Stopped { .. } => None,
        };
        row["ours_errno"] = verdict.map(|verdict| verdict.errno).into();
        row["ours_message"] = ours.message().into();
        match ours {
            Ours::Unjudged { what, .. } => row["unjudged"] = what.as_str().into(),
            Ours::Judged(_) | Ours::Failed(_) | Ours::Stopped { .. } => {}
        }
        counts(&mut row, "ours", verdict);
        row
    }
}

fn word(verdict: &Verdict) -> &'static str {
    if verdict.accepts() { "accept" } else { "reject" }
}

fn counts(row: &mut Value, whose: &str, verdict: Option<&Verdict>) {
    let Some(verdict) = verdict else { return };
    row[format!("{whose}_processed")] = verdict.processed().into();
    row[format!("{whose}_total_states")] = verdict.total_states().into();
    row[format!("{whose}_peak_states")] = verdict.peak_states().into();
    if verdict.peak_mem > 0 {
        row[format!("{whose}_peak_mem")] = verdict.peak_mem.into();
    }
    row[format!("{whose}_time_us")] = u64::try_from(verdict.took.as_micros()).unwrap_or(u64::MAX).into();
}
