//! Aligned columns and CSV.

use std::fmt::Write;

/// Where a column's text stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    /// Names.
    Left,
    /// Numbers.
    Right,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Heading.
    pub name: &'static str,
    /// Where its text stands.
    pub align: Align,
    /// Characters; a longer text pushes the rest of its line to the right.
    pub width: usize,
}

impl Column {
    /// A column of names, as wide as the widest of them but at most `limit`.
    pub fn left<'a>(name: &'static str, texts: impl Iterator<Item = &'a str>, limit: usize) -> Column {
        let widest = texts.map(|text| text.chars().count()).max().unwrap_or(0);
        Column { name, align: Align::Left, width: widest.min(limit).max(name.len()) }
    }

    /// A column of numbers.
    pub fn right(name: &'static str, width: usize) -> Column {
        Column { name, align: Align::Right, width: width.max(name.len()) }
    }
}

/// A line with the texts in their columns. `paint` may colour the text of a column, after it was measured.
pub fn line(columns: &[Column], texts: &[&str], paint: impl Fn(usize, &str) -> String) -> String {
    let mut out = String::new();
    for (at, (column, text)) in columns.iter().zip(texts).enumerate() {
        if at > 0 {
            out.push_str("  ");
        }
        let pad = column.width.saturating_sub(text.chars().count());
        let painted = if text.is_empty() { String::new() } else { paint(at, text) };
        // Writing into a String cannot fail.
        let _ = match column.align {
            Align::Left => write!(out, "{painted}{:pad$}", ""),
            Align::Right => write!(out, "{:pad$}{painted}", ""),
        };
    }
    out.truncate(out.trim_end().len());
    out
}

/// A line of comma-separated values (RFC 4180, with a line feed).
pub fn csv(fields: &[&str]) -> String {
    let quoted = |field: &&str| {
        if field.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            (*field).to_owned()
        }
    };
    fields.iter().map(quoted).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_csv_quotes() {
        let columns = [Column::left("NAME", ["abcdef"].into_iter(), 40), Column::right("N", 4)];
        assert_eq!(line(&columns, &["ab", "7"], |_, text| text.to_owned()), "ab         7");
        assert_eq!(line(&columns, &["ab", ""], |_, text| text.to_owned()), "ab");
        assert_eq!(csv(&["a", "b,c", "say \"x\"", ""]), "a,\"b,c\",\"say \"\"x\"\"\",");
    }
}
