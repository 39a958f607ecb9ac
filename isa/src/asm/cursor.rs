//! Reading a line from left to right.

use alloc::borrow::ToOwned;
use alloc::string::String;

use crate::error::Syntax;
use crate::insn::{Reg, Size, Width};
use crate::num;

/// What is wrong, and at which byte of the line.
pub struct Fault {
    pub at: usize,
    pub problem: Syntax,
}

pub type Parse<T> = Result<T, Fault>;

/// A number as written, and where.
#[derive(Clone, Copy)]
pub struct Number<'t> {
    pub value: i128,
    pub hex: bool,
    pub text: &'t str,
    pub at: usize,
}

impl Number<'_> {
    pub fn range(&self, field: &'static str) -> Fault {
        Fault { at: self.at, problem: Syntax::Range { value: self.text.to_owned(), field } }
    }

    /// As an immediate that is sign-extended.
    pub fn imm(&self) -> Parse<i32> {
        i32::try_from(self.value).map_err(|_| self.range("a 32-bit immediate"))
    }

    /// As an immediate of which only 32 bits count or that the disassembler shows unsigned: `0xffffffff` is -1.
    pub fn imm_bits(&self) -> Parse<i32> {
        match u32::try_from(self.value) {
            Ok(bits) if self.hex => Ok(num::s32(bits)),
            Ok(_) | Err(_) => self.imm(),
        }
    }

    /// As 64 bits, signed or not.
    pub fn wide(&self) -> Parse<u64> {
        let signed = || i64::try_from(self.value).map(num::u64);
        u64::try_from(self.value).or_else(|_| signed()).map_err(|_| self.range("64 bits"))
    }

    pub fn unsigned(&self) -> Parse<u32> {
        u32::try_from(self.value).map_err(|_| self.range("32 unsigned bits"))
    }
}

/// A place in a line.
pub struct Cursor<'t> {
    line: &'t str,
    at: usize,
}

fn in_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '$')
}

impl<'t> Cursor<'t> {
    pub fn new(line: &'t str) -> Cursor<'t> {
        Cursor { line, at: 0 }
    }

    fn rest(&self) -> &'t str {
        self.line.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Where the next token begins.
    pub fn position(&mut self) -> usize {
        self.skip_space();
        self.at
    }

    pub fn at_end(&mut self) -> bool {
        self.position() >= self.line.len()
    }

    pub fn fault<T>(&mut self, problem: Syntax) -> Parse<T> {
        Err(Fault { at: self.position(), problem })
    }

    pub fn expected<T>(&mut self, what: &'static str) -> Parse<T> {
        self.fault(Syntax::Expected(what))
    }

    pub fn looks_at(&mut self, token: &str) -> bool {
        self.skip_space();
        self.rest().starts_with(token)
    }

    /// Takes the token if it comes next.
    pub fn eat(&mut self, token: &str) -> bool {
        let found = self.looks_at(token);
        if found {
            self.at += token.len();
        }
        found
    }

    pub fn expect(&mut self, token: &'static str) -> Parse<()> {
        if self.eat(token) { Ok(()) } else { self.expected(token) }
    }

    pub fn expect_end(&mut self) -> Parse<()> {
        if self.at_end() { Ok(()) } else { self.expected("the end of the line") }
    }

    /// The name that comes next, without taking it; empty if there is none.
    pub fn peek_word(&mut self) -> &'t str {
        self.skip_space();
        let rest = self.rest();
        let word = &rest[..rest.find(|c| !in_word(c)).unwrap_or(rest.len())];
        if word.starts_with(|c: char| c.is_ascii_digit()) { "" } else { word }
    }

    pub fn eat_word(&mut self, word: &str) -> bool {
        self.peek_word() == word && self.eat(word)
    }

    /// A name.
    pub fn word(&mut self, what: &'static str) -> Parse<&'t str> {
        let word = self.peek_word();
        if word.is_empty() {
            return self.expected(what);
        }
        self.at += word.len();
        Ok(word)
    }

    /// `name:`, which is not followed by more colons.
    pub fn label(&mut self) -> Option<(&'t str, usize)> {
        let (word, at) = (self.peek_word(), self.position());
        let after = self.rest().get(word.len()..)?.trim_start();
        if word.is_empty() || !after.starts_with(':') {
            return None;
        }
        self.at = self.line.len() - after.len() + 1;
        Some((word, at))
    }

    /// `7:`
    pub fn slot_number(&mut self) -> Option<(u64, usize)> {
        let at = self.position();
        let rest = self.rest();
        let (digits, _) = rest.split_once(':')?;
        let number = digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))?;
        self.at += digits.len() + 1;
        Some((number, at))
    }

    /// `(b7)`
    pub fn opcode(&mut self) -> Option<u8> {
        self.skip_space();
        let (digits, _) = self.rest().strip_prefix('(')?.split_once(')')?;
        let byte = u8::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 2)?;
        self.at += digits.len() + 2;
        Some(byte)
    }

    /// `r3` or `w3`, if that comes next, with or without a percent sign.
    pub fn try_reg(&mut self) -> Parse<Option<(Width, Reg)>> {
        let sigil = self.eat("%");
        let found = self.bare_reg()?;
        if sigil && found.is_none() { self.expected("a register") } else { Ok(found) }
    }

    fn bare_reg(&mut self) -> Parse<Option<(Width, Reg)>> {
        let word = self.peek_word();
        let (width, digits) = match word.split_at_checked(1) {
            Some(("r", digits)) => (Width::W64, digits),
            Some(("w", digits)) => (Width::W32, digits),
            Some(_) | None => return Ok(None),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(None);
        }
        let number = digits.parse().ok().filter(|_| digits == "0" || !digits.starts_with('0'));
        let Some(reg) = number.and_then(Reg::new) else {
            return self.fault(Syntax::Register(String::from(word)));
        };
        self.at += word.len();
        Ok(Some((width, reg)))
    }

    pub fn any_reg(&mut self) -> Parse<(Width, Reg)> {
        match self.try_reg()? {
            Some(reg) => Ok(reg),
            None => self.expected("a register"),
        }
    }

    /// `r3`
    pub fn reg(&mut self) -> Parse<Reg> {
        let at = self.position();
        match self.any_reg()? {
            (Width::W64, reg) => Ok(reg),
            (Width::W32, _) => Err(Fault { at, problem: Syntax::NeedsWide }),
        }
    }

    /// A decimal or hexadecimal number, with or without a sign.
    pub fn number(&mut self) -> Parse<Number<'t>> {
        let at = self.position();
        let negative = self.eat("-");
        if !negative {
            self.eat("+");
        }
        self.skip_space();
        let hex = self.rest().starts_with("0x") || self.rest().starts_with("0X");
        self.at += if hex { 2 } else { 0 };
        let rest = self.rest();
        let digits = &rest[..rest.find(|c| !in_word(c)).unwrap_or(rest.len())];
        let expected = Fault { at, problem: Syntax::Expected("a number") };
        if digits.is_empty() || !digits.chars().all(|c| c.is_digit(if hex { 16 } else { 10 })) {
            return Err(expected);
        }
        self.at += digits.len();
        let text = self.line.get(at..self.at).unwrap_or_default();
        let magnitude = u64::from_str_radix(digits, if hex { 16 } else { 10 });
        let magnitude =
            magnitude.map_err(|_| Fault { at, problem: Syntax::Range { value: text.to_owned(), field: "64 bits" } })?;
        let value = i128::from(magnitude);
        Ok(Number { value: if negative { -value } else { value }, hex, text, at })
    }

    /// `+4` or `-8` or nothing.
    pub fn signed_offset(&mut self) -> Parse<i16> {
        if !(self.looks_at("+") || self.looks_at("-")) {
            return Ok(0);
        }
        let number = self.number()?;
        i16::try_from(number.value).map_err(|_| number.range("a 16-bit offset"))
    }

    /// What was read since `start`.
    pub fn text_from(&self, start: usize) -> &'t str {
        self.line.get(start..self.at).unwrap_or_default()
    }

    /// Whether nothing follows the next word.
    pub fn word_ends_line(&mut self) -> bool {
        let word = self.peek_word();
        self.rest().get(word.len()..).is_none_or(|rest| rest.trim_start().is_empty())
    }

    /// `u32` or `s32`: the size and whether it is signed.
    pub fn type_name(&mut self) -> Parse<(Size, bool)> {
        let word = self.peek_word();
        let all = Size::ALL.iter().flat_map(|size| [(*size, false), (*size, true)]);
        match all.into_iter().find(|(size, signed)| size.type_name(*signed) == word) {
            Some(found) => {
                self.at += word.len();
                Ok(found)
            }
            None => self.expected("u8, u16, u32, u64, s8, s16, s32 or s64"),
        }
    }
}
