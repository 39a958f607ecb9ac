//! A diagnosis as text, in the form that compilers have made known.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::{Diagnosis, Note, Site, Source};

/// Columns that a tab takes.
const TAB: usize = 4;
/// Columns after which long texts go on in the next line, where nobody says otherwise.
const WIDTH: usize = 110;
/// Columns that a text beside a line of source has at least; else it goes on further left.
const ROOM: usize = 40;

/// What a piece of a line is, for who shows it in colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Words.
    Text,
    /// `error[R3-3001]`.
    Error,
    /// What the code means.
    Title,
    /// Line numbers, and the bars and arrows that hold a diagnosis together.
    Frame,
    /// A line of source, or an instruction.
    Source,
    /// What marks the place of the error, and what is said of it.
    Here,
    /// What marks a place on the way there, and what is said of it.
    Way,
    /// `reason`, `help` and so on.
    Name,
}

/// A line in pieces.
pub type Line = Vec<(Part, String)>;

impl Display for Diagnosis {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // Whoever searches in it finds what is said of a place in one line.
        for line in self.page(WIDTH, usize::MAX) {
            let text: String = line.into_iter().map(|(_, text)| text).collect();
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

impl Diagnosis {
    /// The diagnosis in lines for so many columns. Lines of source are as long as they are.
    pub fn lines(&self, width: usize) -> Vec<Line> {
        self.page(width, width)
    }

    fn page(&self, width: usize, beside_source: usize) -> Vec<Line> {
        let mut page = Page { width, beside_source, lines: Vec::new() };
        page.line([(Part::Error, format!("error[{}]", self.code)), (Part::Title, format!(": {}", self.code.title()))]);
        if let Some(at) = &self.at {
            page.line([(Part::Frame, "  --> ".to_owned()), (Part::Text, place(at))]);
        }
        page.snippet(&self.notes());
        page.item("reason", &self.reason);
        for check in &self.checks {
            page.item("checks", check);
        }
        page.item("help", &self.suggestion);
        page.item("kernel", &format!("{} ({})", self.message, self.errno.name()));
        page.item("more", &format!("ring3 explain {}", self.code));
        page.lines
    }

    /// The path, and the place of the error at its end.
    fn notes(&self) -> Vec<(&Site, &str, Part)> {
        let mut notes: Vec<(&Site, &str, Part)> =
            self.path.iter().map(|Note { site, text }| (site, text.as_str(), Part::Way)).collect();
        notes.extend(self.at.as_ref().map(|at| (at, self.label.as_str(), Part::Here)));
        notes
    }
}

fn place(at: &Site) -> String {
    let mut text = match &at.source {
        Some(source) if source.column > 0 => format!("{}:{}:{}", source.file, source.line, source.column),
        Some(source) => format!("{}:{}", source.file, source.line),
        None => format!("instruction {}", at.slot),
    };
    if let Some(function) = &at.function {
        text.push_str(&format!(" in {function}()"));
    }
    text
}

/// Lines that are being written.
struct Page {
    /// Columns of what is said below the source.
    width: usize,
    /// Columns of what is said beside it.
    beside_source: usize,
    lines: Vec<Line>,
}

impl Page {
    fn line(&mut self, parts: impl IntoIterator<Item = (Part, String)>) {
        self.lines.push(parts.into_iter().collect());
    }

    /// The lines, each once for each run of notes on it, in the order of the path.
    fn snippet(&mut self, notes: &[(&Site, &str, Part)]) {
        let lines = notes.iter().filter_map(|(site, _, _)| site.source.as_ref()).map(|source| source.line);
        let digits = lines.max().unwrap_or(0).to_string().len();
        let bar = (Part::Frame, format!("{:digits$} |", ""));
        let mut last: Option<&Source> = None;
        let mut several = BTreeMap::new();
        for (site, _, _) in notes {
            *several.entry(site.source.as_ref().map(|source| source.file.clone())).or_insert(0) += 1;
        }
        self.line([bar.clone()]);
        for (site, text, part) in notes {
            let Some(source) = &site.source else {
                self.line([bar.clone(), (Part::Source, format!(" {}: {}", site.slot, site.insn))]);
                let mark = if *part == Part::Here { '^' } else { '-' };
                self.words(&[bar.clone(), (*part, format!("     {mark}"))], *part, text);
                continue;
            };
            if last.is_none_or(|last| (last.line, &last.file) != (source.line, &source.file)) {
                let file = if several.len() > 1 { format!("  ({})", source.file) } else { String::new() };
                let (line, _) = shown(&source.text, 0);
                let number = (Part::Frame, format!("{:>digits$} |", source.line));
                self.line([number, (Part::Source, format!(" {line}")), (Part::Frame, file)]);
            }
            last = Some(source);
            self.marked(&bar, site, source, text, *part);
        }
        self.line([bar]);
    }

    /// What is said of a place in a line that was just shown.
    fn marked(&mut self, bar: &(Part, String), site: &Site, source: &Source, text: &str, part: Part) {
        let (_, column) = shown(&source.text, source.column.saturating_sub(1) as usize);
        let name = source.text.get(source.column.saturating_sub(1) as usize..).unwrap_or_default();
        let under = name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').count().max(1);
        let marks = |mark: &str| (part, format!(" {:column$}{}", "", mark.repeat(under)));
        if part == Part::Way {
            return self.words(&[bar.clone(), marks("-")], part, &format!("{}: {text}", site.slot));
        }
        let insn = site.insn.split_once(") ").map_or(site.insn.as_str(), |(_, insn)| insn);
        self.words(&[bar.clone(), marks("^")], part, &format!("{}: {insn}", site.slot));
        if !text.is_empty() {
            self.words(&[bar.clone(), marks(" ")], part, text);
        }
    }

    /// Words behind the beginning of a line. What does not fit goes on below, with the bar that the line begins with.
    fn words(&mut self, begin: &[(Part, String)], part: Part, text: &str) {
        let bar = begin[0].1.chars().count();
        let first: usize = begin.iter().map(|(_, text)| text.chars().count()).sum();
        let indent = first.min(self.beside_source.saturating_sub(ROOM)).max(bar + 1);
        let mut line: Line = begin.to_vec();
        let (mut words, mut at) = (String::new(), first);
        for word in text.split_whitespace() {
            let long = word.chars().count() + 1;
            if at + long > self.beside_source && at > indent {
                line.push((part, std::mem::take(&mut words)));
                self.lines.push(std::mem::replace(&mut line, vec![begin[0].clone()]));
                words.push_str(&" ".repeat(indent - bar));
                at = indent;
            }
            words.push(' ');
            words.push_str(word);
            at += long;
        }
        line.push((part, words));
        self.lines.push(line);
    }

    /// `  = name: text`, broken into lines.
    fn item(&mut self, name: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        let frame = |text: &str| (Part::Frame, text.to_owned());
        let mut line: Line = vec![frame("   = "), (Part::Name, format!("{name}:"))];
        let indent = name.len() + 6;
        let (mut words, mut at) = (String::new(), indent);
        for word in text.split_whitespace() {
            let long = word.chars().count() + 1;
            if at + long > self.width && !words.trim().is_empty() {
                line.push((Part::Text, std::mem::take(&mut words)));
                self.lines.push(std::mem::take(&mut line));
                words = " ".repeat(indent);
                at = indent;
            }
            words.push(' ');
            words.push_str(word);
            at += long;
        }
        line.push((Part::Text, words));
        self.lines.push(line);
    }
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
