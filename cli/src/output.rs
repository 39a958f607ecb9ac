//! Where output goes, and in what colours.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

/// Columns of running text, at least and at most.
const MIN_COLUMNS: usize = 60;
const MAX_COLUMNS: usize = 110;

/// Standard output, buffered, with colours where somebody looks.
pub struct Out {
    to: BufWriter<StdoutLock<'static>>,
    coloured: bool,
    columns: Option<usize>,
}

/// What a text means; its colour follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ink {
    /// As it is.
    Plain,
    /// A heading.
    Strong,
    /// Something went well.
    Good,
    /// Something was refused.
    Bad,
    /// Of little importance.
    Faint,
    /// What holds others together, and names of what follows.
    Frame,
    /// Something to look at on the way.
    Note,
}

impl Out {
    /// Standard output. Colours only on a terminal, and not if `NO_COLOR` is set (no-color.org).
    pub fn stdout() -> Out {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let size = terminal.then(terminal_size::terminal_size).flatten();
        let columns = size.map(|(columns, _)| usize::from(columns.0));
        Out { to: BufWriter::new(stdout.lock()), coloured: terminal && !refused && !dumb, columns }
    }

    /// Columns for running text where it goes to a terminal: those that there are, but no longer lines than one likes to read.
    pub fn columns(&self) -> Option<usize> {
        self.columns.map(|columns| columns.clamp(MIN_COLUMNS, MAX_COLUMNS))
    }

    /// A text in a colour.
    pub fn ink(&self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Plain => return text.to_owned(),
            Ink::Strong => "1",
            Ink::Good => "32",
            Ink::Bad => "31;1",
            Ink::Faint => "2",
            Ink::Frame => "34;1",
            Ink::Note => "36",
        };
        if self.coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Text of a file that goes to a terminal: control characters, which could play tricks there, are made visible.
pub fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(shown).collect()
}

/// The same of several lines.
pub fn printable_lines(text: &str) -> String {
    text.lines().map(|line| printable(line) + "\n").collect()
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
