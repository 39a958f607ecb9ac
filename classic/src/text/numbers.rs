//! Programs as numbers: decimal, and initialisers of C.

use super::scan::{Scan, Token};
use crate::error::{ClassicError, Fault};
use crate::insn::{Insn, MAX_INSNS};

/// A count, then four decimal numbers an instruction; between them a comma or the end of a line.
pub(super) fn decimal(text: &str) -> Result<Vec<Insn>, ClassicError> {
    // Zeroes in front make no octal numbers here.
    let mut words = Words { rest: text, line: 1, column: 1 };
    let (at, says) = words.number(u32::MAX, "the count of instructions")?;
    let mut insns = Vec::new();
    while words.separator()? {
        let (_, code) = words.number(u16::MAX.into(), "an opcode")?;
        let (_, jt) = words.number(u8::MAX.into(), "jt")?;
        let (_, jf) = words.number(u8::MAX.into(), "jf")?;
        let (_, k) = words.number(u32::MAX, "k")?;
        if insns.len() == MAX_INSNS {
            return words.fail(Fault::TooMany);
        }
        // No panic: the numbers were compared with the limits.
        insns.push(Insn::new(code as u16, jt as u8, jf as u8, k));
    }
    if says as usize == insns.len() {
        return Ok(insns);
    }
    let fault = Fault::Count { says, are: insns.len() };
    Err(ClassicError::Text { line: at.0, column: at.1, fault })
}

/// Numbers that blanks, commas and ends of lines separate.
struct Words<'a> {
    rest: &'a str,
    line: usize,
    column: usize,
}

impl<'a> Words<'a> {
    fn fail<T>(&self, fault: Fault) -> Result<T, ClassicError> {
        Err(ClassicError::Text { line: self.line, column: self.column, fault })
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        match taken.rfind('\n') {
            Some(last) => {
                self.line += taken.matches('\n').count();
                self.column = taken[last..].chars().count();
            }
            None => self.column += taken.chars().count(),
        }
        self.rest = rest;
        taken
    }

    /// Skips what separates instructions: at least a comma or the end of a line. False at the end of the text.
    fn separator(&mut self) -> Result<bool, ClassicError> {
        let length = self.rest.len() - self.rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace()).len();
        let blank = &self.rest[..length];
        if length == self.rest.len() {
            return Ok(false);
        }
        if !blank.contains([',', '\n']) {
            self.take(length);
            let found = self.rest.split([' ', ',', '\n']).next().unwrap_or_default().to_owned();
            return self.fail(Fault::Expected { wanted: "a comma or the end of the line", found });
        }
        self.take(length);
        Ok(true)
    }

    /// A number of the same instruction.
    fn number(&mut self, limit: u32, wanted: &'static str) -> Result<((usize, usize), u32), ClassicError> {
        let in_front = |c: char| c != '\n' && c.is_whitespace();
        // The count may come after empty lines.
        let first = wanted.starts_with("the count");
        let blank = self.rest.len() - self.rest.trim_start_matches(|c| in_front(c) || first && c == '\n').len();
        self.take(blank);
        let length = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        if length == 0 {
            let found = match self.rest.chars().next() {
                None => "the end".to_owned(),
                Some('\n') => "the end of the line".to_owned(),
                Some(other) => format!("'{other}'"),
            };
            return self.fail(Fault::Expected { wanted, found });
        }
        let digits = &self.rest[..length];
        let number = digits.parse::<u32>().ok().filter(|number| *number <= limit);
        let Some(number) = number else { return self.fail(Fault::TooLarge(digits.to_owned(), limit)) };
        let at = (self.line, self.column);
        self.take(length);
        Ok((at, number))
    }
}

/// `{ code, jt, jf, k },` again and again.
pub(super) fn initialisers(text: &str) -> Result<Vec<Insn>, ClassicError> {
    let mut scan = Scan::new(text)?;
    let mut insns = Vec::new();
    loop {
        while scan.eat_token(Token::Newline)? {}
        let (at, token) = scan.peek();
        if token == Token::End {
            return Ok(insns);
        }
        if insns.len() == MAX_INSNS {
            return at.fail(Fault::TooMany);
        }
        scan.sign('{', "'{'")?;
        let code = limited(&mut scan, u16::MAX.into())?;
        scan.sign(',', "','")?;
        let jt = limited(&mut scan, u8::MAX.into())?;
        scan.sign(',', "','")?;
        let jf = limited(&mut scan, u8::MAX.into())?;
        scan.sign(',', "','")?;
        let k = limited(&mut scan, u32::MAX)?;
        scan.sign('}', "'}'")?;
        scan.eat(',')?;
        insns.push(Insn::new(code as u16, jt as u8, jf as u8, k));
    }
}

fn limited(scan: &mut Scan<'_>, limit: u32) -> Result<u32, ClassicError> {
    let (at, _) = scan.peek();
    let number = scan.number("a number")?;
    if number > limit { at.fail(Fault::TooLarge(number.to_string(), limit)) } else { Ok(number) }
}
