//! A program as text with what must become of it: how findings are kept, and what `fuzz/cases/` is made of.
//!
//! Lines in front of the program: `# comment`, `type NAME`, `map NAME TYPE KEY VALUE ENTRIES [frozen HEX] [flags N]`,
//! `state-freq` (a state is stored at every point of comparison), and `expect accepted` or `expect rejected MESSAGE`, where the
//! message is a part of the verifier's last line. Then an empty line, and an instruction a line, as [`listing`] writes it.

use std::fmt::Write;
use std::sync::Arc;

use ring3_isa::IsaError;
use ring3_platform::{LoadFlags, MapDef, MapFlags, MapType, ProgType, Program};

use crate::parity::{listing, parse, program};

/// What must become of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expect {
    /// The verifier accepts it, and whatever it does is inside of what the verifier proved.
    Accepted,
    /// The verifier refuses it, with these words in its last line.
    Rejected(String),
}

/// A program and what must become of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Why it is there, a line each.
    pub comment: Vec<String>,
    /// The program.
    pub program: Arc<Program>,
    /// What must become of it.
    pub expect: Expect,
}

/// A text that is no case.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// A line that nobody knows.
    #[error("not a line of a case: {0}")]
    Line(String),
    /// Nothing is said of the type or the verdict.
    #[error("no line '{0}'")]
    Missing(&'static str),
    /// The instructions cannot be read.
    #[error(transparent)]
    Program(#[from] IsaError),
}

impl Case {
    /// Reads a case.
    pub fn parse(text: &str) -> Result<Case, CaseError> {
        let (mut comment, mut maps, mut kind, mut expect) = (Vec::new(), Vec::new(), None, None);
        let mut flags = LoadFlags::default();
        let mut lines = text.lines();
        for line in lines.by_ref().take_while(|line| !line.trim().is_empty()) {
            let bad = || CaseError::Line(line.to_owned());
            match line.split_once(' ') {
                Some(("#", words)) => comment.push(words.to_owned()),
                Some(("type", name)) => kind = Some(ProgType::from_name(name.trim()).ok_or_else(bad)?),
                Some(("map", words)) => maps.push(Arc::new(map(words).ok_or_else(bad)?)),
                Some(("expect", "accepted")) => expect = Some(Expect::Accepted),
                Some(("expect", words)) => {
                    expect = Some(Expect::Rejected(words.strip_prefix("rejected").ok_or_else(bad)?.trim().to_owned()));
                }
                None if line == "state-freq" => flags = LoadFlags::TEST_STATE_FREQ,
                None if line == "#" => comment.push(String::new()),
                Some(_) | None => return Err(bad()),
            }
        }
        // Whole for labels; line by line for slots that are no instructions.
        let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty() && !line.starts_with('#')).collect();
        let code = ring3_isa::assemble(&lines.join("\n")).or_else(|_| parse(lines.into_iter()))?;
        let kind = kind.ok_or(CaseError::Missing("type"))?;
        let mut program = program(kind, code, &maps);
        program.flags = flags;
        Ok(Case { comment, program: Arc::new(program), expect: expect.ok_or(CaseError::Missing("expect"))? })
    }

    /// Writes a case as [`Case::parse`] reads it.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let program = &self.program;
        for line in &self.comment {
            for line in line.lines() {
                let _ = writeln!(out, "# {line}");
            }
        }
        let _ = writeln!(out, "type {}", program.kind.name());
        for def in &program.maps {
            let (kind, key, value) = (def.kind.name(), def.key_size, def.value_size);
            let _ = write!(out, "map {} {kind} {key} {value} {}", def.name, def.max_entries);
            if def.flags != MapFlags::default() {
                let _ = write!(out, " flags {}", def.flags.0);
            }
            if let (true, Some(data)) = (def.frozen, &def.data) {
                let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
                let _ = write!(out, " frozen {hex}");
            }
            out.push('\n');
        }
        if program.flags == LoadFlags::TEST_STATE_FREQ {
            out.push_str("state-freq\n");
        }
        match &self.expect {
            Expect::Accepted => out.push_str("expect accepted\n\n"),
            Expect::Rejected(why) => {
                let _ = writeln!(out, "expect rejected {why}\n");
            }
        }
        for line in listing(&program.code) {
            out.push_str(&line);
            out.push('\n');
        }
        out
    }
}

fn map(words: &str) -> Option<MapDef> {
    let mut words = words.split_whitespace();
    let (name, kind) = (words.next()?, words.next()?);
    let kind = MapType::ALL.iter().copied().find(|known| known.name() == kind)?;
    let mut number = || words.next()?.parse().ok();
    let (key, value, entries) = (number()?, number()?, number()?);
    let mut def = MapDef::new(name, kind, key, value, entries);
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word {
            "flags" => def.flags = MapFlags(value.parse().ok()?),
            "frozen" => {
                let byte = |at| u8::from_str_radix(value.get(at..at + 2)?, 16).ok();
                def.data = Some((0..value.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>()?.into());
                def.frozen = true;
            }
            _ => return None,
        }
    }
    if matches!(kind, MapType::ArrayOfMaps | MapType::HashOfMaps) {
        def.inner = Some(Box::new(MapDef::new("inner", MapType::Array, 4, 8, 1)));
    }
    Some(def)
}
