//! Where output goes, and in what colours.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

/// Standard output, buffered, with colours where somebody looks.
pub struct Out {
    to: BufWriter<StdoutLock<'static>>,
    coloured: bool,
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
}

impl Out {
    /// Standard output. Colours only on a terminal, and not if `NO_COLOR` is set (no-color.org).
    pub fn stdout() -> Out {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Out { to: BufWriter::new(stdout.lock()), coloured: terminal && !refused && !dumb }
    }

    /// A text in a colour.
    pub fn ink(&self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Plain => return text.to_owned(),
            Ink::Strong => "1",
            Ink::Good => "32",
            Ink::Bad => "31;1",
            Ink::Faint => "2",
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

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
