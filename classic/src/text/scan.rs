//! Text to tokens, with their places.

use std::fmt;

use crate::error::{ClassicError, Fault};

/// Where a token stands. Lines and columns count from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct At {
    pub line: usize,
    pub column: usize,
}

impl At {
    pub fn fail<T>(self, fault: Fault) -> Result<T, ClassicError> {
        Err(ClassicError::Text { line: self.line, column: self.column, fault })
    }

    pub fn expected<T>(self, wanted: &'static str, found: &Token<'_>) -> Result<T, ClassicError> {
        self.fail(Fault::Expected { wanted, found: found.to_string() })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Token<'a> {
    /// A number without sign, as it is written.
    Number(&'a str),
    Word(&'a str),
    Sign(char),
    Newline,
    End,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Number(word) | Token::Word(word) => write!(f, "'{word}'"),
            Token::Sign(sign) => write!(f, "'{}'", sign.escape_default()),
            Token::Newline => f.write_str("the end of the line"),
            Token::End => f.write_str("the end"),
        }
    }
}

/// Gives one token after the other.
#[derive(Clone, Debug)]
pub(super) struct Scan<'a> {
    rest: &'a str,
    at: At,
    next: (At, Token<'a>),
}

impl<'a> Scan<'a> {
    pub fn new(text: &'a str) -> Result<Scan<'a>, ClassicError> {
        let at = At { line: 1, column: 1 };
        let mut scan = Scan { rest: text, at, next: (at, Token::End) };
        scan.take()?;
        Ok(scan)
    }

    /// The next token and its place.
    pub fn peek(&self) -> (At, Token<'a>) {
        self.next
    }

    /// Takes the next token.
    pub fn take(&mut self) -> Result<(At, Token<'a>), ClassicError> {
        let taken = self.next;
        self.blank()?;
        let at = self.at;
        self.next = (at, self.token()?);
        Ok(taken)
    }

    /// Takes the token if it is this sign.
    pub fn eat(&mut self, sign: char) -> Result<bool, ClassicError> {
        self.eat_token(Token::Sign(sign))
    }

    /// Takes the token if it is this one.
    pub fn eat_token(&mut self, token: Token<'_>) -> Result<bool, ClassicError> {
        let is = self.next.1 == token;
        if is {
            self.take()?;
        }
        Ok(is)
    }

    /// Takes this sign.
    pub fn sign(&mut self, sign: char, wanted: &'static str) -> Result<(), ClassicError> {
        if self.eat(sign)? { Ok(()) } else { self.next.0.expected(wanted, &self.next.1) }
    }

    /// Takes a number.
    pub fn number(&mut self, wanted: &'static str) -> Result<u32, ClassicError> {
        match self.take()? {
            (at, Token::Number(word)) => number(word, at),
            (at, other) => at.expected(wanted, &other),
        }
    }

    /// Takes decimal digits; zeroes in front, as `tcpdump -d` numbers its lines, do not make them octal.
    pub fn decimal(&mut self, wanted: &'static str) -> Result<(At, u32), ClassicError> {
        match self.take()? {
            (at, Token::Number(word)) => Ok((at, in_radix(word, word, 10, at)?)),
            (at, other) => at.expected(wanted, &other),
        }
    }

    fn skip(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        for c in taken.chars() {
            self.at = match c {
                '\n' => At { line: self.at.line + 1, column: 1 },
                _ => At { line: self.at.line, column: self.at.column + 1 },
            };
        }
        self.rest = rest;
        taken
    }

    /// Skips blanks and comments, but for ends of lines.
    fn blank(&mut self) -> Result<(), ClassicError> {
        loop {
            let blanks = self.rest.len() - self.rest.trim_start_matches(|c: char| c != '\n' && c.is_whitespace()).len();
            self.skip(blanks);
            if self.rest.starts_with("/*") {
                let end = self.rest.find("*/");
                let Some(end) = end else { return self.at.fail(Fault::OpenComment) };
                self.skip(end + 2);
            } else if self.rest.starts_with(';') || self.rest.starts_with("//") {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.skip(end);
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Token<'a>, ClassicError> {
        let Some(first) = self.rest.chars().next() else { return Ok(Token::End) };
        let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if first == '\n' {
            self.skip(1);
            Ok(Token::Newline)
        } else if in_word(first) {
            let length = self.rest.find(|c| !in_word(c)).unwrap_or(self.rest.len());
            let word = self.skip(length);
            Ok(if first.is_ascii_digit() { Token::Number(word) } else { Token::Word(word) })
        } else {
            self.skip(first.len_utf8());
            Ok(Token::Sign(first))
        }
    }
}

/// A number as C writes it: decimal, `0x`, `0b`, or octal after a 0.
fn number(word: &str, at: At) -> Result<u32, ClassicError> {
    let lower = word.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', b'b', ..] => (&lower[2..], 2),
        [b'0', _, ..] => (&lower[1..], 8),
        _ => (&lower[..], 10),
    };
    in_radix(word, digits, radix, at)
}

fn in_radix(word: &str, digits: &str, radix: u32, at: At) -> Result<u32, ClassicError> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return at.expected("a number", &Token::Word(word));
    }
    u32::from_str_radix(digits, radix).or_else(|_| at.fail(Fault::TooLarge(word.to_owned(), u32::MAX)))
}
