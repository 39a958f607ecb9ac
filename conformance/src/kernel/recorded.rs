//! Verdicts of a kernel that were written down: they serve where no kernel can be asked.
//!
//! The table is `conformance/kernel/verdicts-6.18.tsv`: file, program, class (`accept`, `reject`, `environment` for what was
//! refused before the verifier, `open`), error number, processed instructions, last line of the log.

use std::collections::BTreeMap;

use super::{Opinion, Verdict};

/// The table of Linux 6.18 on x86-64.
const V6_18: &str = include_str!("../../kernel/verdicts-6.18.tsv");

/// Opinions of a kernel by file and program.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recorded {
    rows: BTreeMap<(String, String), Opinion>,
}

impl Recorded {
    /// Those of Linux 6.18 about the programs of its own tests.
    pub fn v6_18() -> Recorded {
        Recorded::parse(V6_18)
    }

    /// Reads a table. Lines that are none of it are left out.
    pub fn parse(text: &str) -> Recorded {
        Recorded { rows: text.lines().filter_map(row).collect() }
    }

    /// What was said about a program.
    pub fn get(&self, file: &str, program: &str) -> Option<&Opinion> {
        self.rows.get(&(file.to_owned(), program.to_owned()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

fn row(line: &str) -> Option<((String, String), Opinion)> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    let (file, program, class) = (next()?, next()?, next()?);
    let verdict = match class {
        "accept" => Verdict::Accept,
        "reject" => Verdict::Reject,
        "environment" | "open" => Verdict::None,
        _ => return None,
    };
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    let (errno, processed) = (number(next()), number(next()));
    let message = next().unwrap_or_default().to_owned();
    let errno = i32::try_from(errno).unwrap_or(0);
    let opinion = Opinion { errno, message, processed, ..Opinion::of(verdict) };
    Some(((file.to_owned(), program.to_owned()), opinion))
}
