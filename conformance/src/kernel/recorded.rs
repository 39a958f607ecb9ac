//! Verdicts of a kernel that were written down: they serve where no kernel can be asked.
//!
//! The table is `conformance/kernel/verdicts-6.18.tsv`: file, program, class (`accept`, `reject`, `environment` for what was
//! refused before the verifier, `open`), error number, processed instructions, last line of the log.

use std::collections::BTreeMap;

use ring3_parity::{Answer, Referee, Verdict};
use ring3_platform::Program;

/// The table of Linux 6.18 on x86-64.
const V6_18: &str = include_str!("../../kernel/verdicts-6.18.tsv");

/// Answers of a kernel by file and program.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recorded {
    rows: BTreeMap<(String, String), Answer>,
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

    /// What was said of a program; files go by their names without folders.
    pub fn get(&self, file: &str, program: &str) -> Option<&Answer> {
        let name = file.rsplit('/').next().unwrap_or(file);
        self.rows.get(&(name.to_owned(), program.to_owned()))
    }

    /// All of it, in order: file, program, answer.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &Answer)> {
        self.rows.iter().map(|((file, program), answer)| (file.as_str(), program.as_str(), answer))
    }
}

impl Referee for Recorded {
    fn judge(&mut self, file: &str, program: &Program) -> Answer {
        self.get(file, &program.name).cloned().unwrap_or(Answer::Nothing)
    }
}

fn row(line: &str) -> Option<((String, String), Answer)> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    let (file, program, class) = (next()?.to_owned(), next()?.to_owned(), next()?);
    let errno = next().and_then(|text| text.parse::<i32>().ok()).unwrap_or(0);
    let processed = next().and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    let message = next().unwrap_or_default().to_owned();
    let answer = match class {
        "accept" | "reject" => {
            Answer::Judged(Verdict { errno, message, stats: [processed, 0, 0, 0], ..Verdict::default() })
        }
        "environment" | "open" => Answer::Refused { errno: Some(errno), why: message },
        _ => return None,
    };
    Some(((file, program), answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_whole() {
        let table = Recorded::v6_18();
        let count = |wanted: fn(&Answer) -> bool| table.iter().filter(|(_, _, answer)| wanted(answer)).count();
        assert_eq!(count(|answer| answer.verdict().is_some_and(Verdict::accepts)), 1718);
        assert_eq!(count(|answer| answer.verdict().is_some_and(|verdict| !verdict.accepts())), 975);
        assert_eq!(count(|answer| answer.verdict().is_none()), 714);
        let answer =
            table.get("folder/async_stack_depth.bpf.o", "pseudo_call_check").and_then(Answer::verdict).unwrap();
        assert_eq!((answer.errno, answer.processed()), (13, 139));
        assert_eq!(answer.message, "combined stack size of 2 calls is 544. Too large");
    }
}
