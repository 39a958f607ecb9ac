//! The table: a fact a line, its kind first, columns apart by tabs. `conformance/kernel/README.md` says what each kind has.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Longest text in a column, in characters: what a verifier says fits.
const LONGEST: usize = 400;

/// Facts of one kernel, by kind, in the order in which they were found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    rows: BTreeMap<String, Vec<Vec<String>>>,
}

impl Facts {
    /// Reads a table. Empty lines and those that begin with `#` are none of it.
    pub fn parse(text: &str) -> Facts {
        let mut facts = Facts::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut columns = line.split('\t').map(str::to_owned);
            let Some(kind) = columns.next() else { continue };
            facts.rows.entry(kind).or_default().push(columns.collect());
        }
        facts
    }

    /// The rows of a kind, without that.
    pub fn of(&self, kind: &str) -> &[Vec<String>] {
        self.rows.get(kind).map_or(&[], Vec::as_slice)
    }

    /// A column of the only row of a kind.
    pub fn value(&self, kind: &str) -> Option<&str> {
        self.of(kind).first()?.first().map(String::as_str)
    }

    /// Takes rows of a kind out.
    pub fn take(&mut self, kind: &str) -> Vec<Vec<String>> {
        self.rows.remove(kind).unwrap_or_default()
    }

    /// Adds a row.
    pub fn push(&mut self, kind: &str, columns: &[&str]) {
        self.rows.entry(kind.to_owned()).or_default().push(columns.iter().map(|text| (*text).to_owned()).collect());
    }

    /// As text, kinds in the order of their names.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (kind, rows) in &self.rows {
            for row in rows {
                let _ = writeln!(text, "{kind}\t{}", row.join("\t"));
            }
        }
        text
    }
}

/// A line of the table. What would break it becomes a blank, and what is too long is cut.
pub fn line(kind: &str, columns: &[&str]) -> String {
    let mut text = kind.to_owned();
    for column in columns {
        text.push('\t');
        text.extend(column.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_reads_back() {
        let text = format!("# what\n{}\n{}\n", line("a", &["1", "two\twords"]), line("b", &[""]));
        let facts = Facts::parse(&text);
        assert_eq!(facts.of("a"), [["1", "two words"]]);
        assert_eq!(facts.value("b"), Some(""));
        assert_eq!(Facts::parse(&facts.text()), facts);
        assert!(facts.of("c").is_empty());
    }
}
