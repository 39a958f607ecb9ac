//! A diagnosis as text, in the form that compilers have made known.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter, Write};

use super::{Diagnosis, Note, Site, Source};

/// Columns that a tab takes.
const TAB: usize = 4;
/// Columns after which long texts go on in the next line.
const WIDTH: usize = 110;

impl Display for Diagnosis {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "error[{}]: {}", self.code, self.code.title())?;
        if let Some(at) = &self.at {
            heading(f, at)?;
        }
        snippet(f, &self.notes())?;
        item(f, "reason", &self.reason)?;
        for check in &self.checks {
            item(f, "checks", check)?;
        }
        item(f, "help", &self.suggestion)?;
        item(f, "kernel", &format!("{} ({})", self.message, self.errno.name()))?;
        item(f, "more", &format!("ring3 explain {}", self.code))
    }
}

impl Diagnosis {
    /// The path, and the place of the error at its end.
    fn notes(&self) -> Vec<(&Site, &str, char)> {
        let mut notes: Vec<(&Site, &str, char)> =
            self.path.iter().map(|Note { site, text }| (site, text.as_str(), '-')).collect();
        notes.extend(self.at.as_ref().map(|at| (at, self.label.as_str(), '^')));
        notes
    }
}

fn heading(f: &mut Formatter<'_>, at: &Site) -> fmt::Result {
    match &at.source {
        Some(source) => {
            write!(f, "  --> {}:{}", source.file, source.line)?;
            if source.column > 0 {
                write!(f, ":{}", source.column)?;
            }
        }
        None => write!(f, "  --> instruction {}", at.slot)?,
    }
    if let Some(function) = &at.function {
        write!(f, " in {function}()")?;
    }
    writeln!(f)
}

/// The lines, each once for each run of notes on it, in the order of the path.
fn snippet(f: &mut Formatter<'_>, notes: &[(&Site, &str, char)]) -> fmt::Result {
    let lines = notes.iter().filter_map(|(site, _, _)| site.source.as_ref()).map(|source| source.line);
    let width = lines.max().unwrap_or(0).to_string().len();
    let mut last: Option<&Source> = None;
    let mut several = BTreeMap::new();
    for (site, _, _) in notes {
        *several.entry(site.source.as_ref().map(|source| source.file.clone())).or_insert(0) += 1;
    }
    writeln!(f, "{:width$} |", "")?;
    for (site, text, mark) in notes {
        let Some(source) = &site.source else {
            writeln!(f, "{:width$} | {}: {}", "", site.slot, site.insn)?;
            if !text.is_empty() {
                writeln!(f, "{:width$} |     {mark} {text}", "")?;
            }
            continue;
        };
        if last.is_none_or(|last| (last.line, &last.file) != (source.line, &source.file)) {
            let file = if several.len() > 1 { format!("  ({})", source.file) } else { String::new() };
            let (line, _) = shown(&source.text, 0);
            writeln!(f, "{:>width$} | {line}{file}", source.line)?;
        }
        last = Some(source);
        let (_, column) = shown(&source.text, source.column.saturating_sub(1) as usize);
        let name = source.text.get(source.column.saturating_sub(1) as usize..).unwrap_or_default();
        let under = name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').count().max(1);
        let marks = mark.to_string().repeat(under);
        if *mark == '-' {
            writeln!(f, "{:width$} | {:column$}{marks} {}: {text}", "", "", site.slot)?;
            continue;
        }
        let insn = site.insn.split_once(") ").map_or(site.insn.as_str(), |(_, insn)| insn);
        writeln!(f, "{:width$} | {:column$}{marks} {}: {insn}", "", "", site.slot)?;
        if !text.is_empty() {
            writeln!(f, "{:width$} | {:column$}{:under$} {text}", "", "", "")?;
        }
    }
    writeln!(f, "{:width$} |", "")
}

/// A line with tabs spread, and the column that a byte of it has then.
fn shown(text: &str, column: usize) -> (String, usize) {
    let (mut out, mut at, mut found) = (String::new(), 0, None);
    for (index, c) in text.char_indices() {
        if index >= column && found.is_none() {
            found = Some(at);
        }
        if c == '\t' {
            let fill = TAB - at % TAB;
            out.extend(std::iter::repeat_n(' ', fill));
            at += fill;
        } else {
            out.push(if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
            at += 1;
        }
    }
    (out, found.unwrap_or(at))
}

/// `  = name: text`, broken into lines.
fn item(f: &mut Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    if text.is_empty() {
        return Ok(());
    }
    let indent = name.len() + 6;
    let mut line = format!("   = {name}:");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH && line.trim().len() > name.len() {
            writeln!(f, "{line}")?;
            line = " ".repeat(indent - 1);
        }
        let _ = write!(line, " {word}");
    }
    writeln!(f, "{line}")
}
