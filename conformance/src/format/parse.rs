//! The text of a case.

use std::sync::Arc;

use ring3_isa::{Code, Endianness, IsaError, RawInsn, Symbols, Syntax, assemble_with};
use ring3_platform::helpers::helper_by_name;
use ring3_platform::{Errno, MapDef, MapType};

use super::{Case, Expect, Input, MAX_MAPS, MAX_MEMORY_BYTES, MAX_SLOTS, Refusal, Unverified};

/// Where and why a text is no case. Lines and columns count from 1.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{line}:{column}: {problem}")]
pub struct FormatError {
    /// Line of the file.
    pub line: usize,
    /// Column in characters.
    pub column: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// Why a text is no case.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Problem {
    #[error("no section is called '{0}'")]
    Section(String),
    #[error("the section '{0}' stands twice")]
    Twice(&'static str),
    #[error("'{first}' and '{second}' cannot stand in one case")]
    Both { first: &'static str, second: &'static str },
    #[error("text in front of the first section that is no comment")]
    NoSection,
    #[error("there is no {0}")]
    Missing(&'static str),
    #[error("'{text}' is not {what}")]
    Not { text: String, what: &'static str },
    #[error("more than {limit} {what}")]
    TooMuch { what: &'static str, limit: u64 },
    #[error("a packet has at least an Ethernet header of 14 bytes, this one has {bytes}")]
    ShortPacket { bytes: usize },
    #[error("text and numbers of the program differ at slot {slot}")]
    RawDiffers { slot: usize },
    #[error("map '{map}' cannot be created: {errno}")]
    Map { map: String, errno: Errno },
    #[error("map '{map}': content is for arrays, and at most a value")]
    Content { map: String },
    #[error("{0}")]
    Asm(Syntax),
}

impl Problem {
    /// At this place.
    pub(super) fn at(self, line: usize, column: usize) -> FormatError {
        FormatError { line, column, problem: self }
    }
}

type Parse<T> = Result<T, FormatError>;

/// Bytes of an Ethernet header, without which nothing is a packet.
const ETH_HLEN: usize = 14;

/// What can stand behind `-- `. The order is that of `Sections::found`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Section {
    Asm,
    Raw,
    Mem,
    Packet,
    Maps,
    Linux,
    Result,
    Refused,
    Unverified,
    Error,
    C,
    NoRegisterOffset,
}

/// Names of sections, and whether something may follow the name on its line.
const SECTIONS: [(Section, &str, bool); 12] = [
    (Section::Asm, "asm", false),
    (Section::Raw, "raw", false),
    (Section::Mem, "mem", false),
    (Section::Packet, "packet", false),
    (Section::Maps, "maps", false),
    (Section::Linux, "linux", false),
    (Section::Result, "result", false),
    (Section::Refused, "refused", false),
    (Section::Unverified, "unverified", true),
    (Section::Error, "error", false),
    (Section::C, "c", false),
    (Section::NoRegisterOffset, "no register offset", false),
];

/// Sections of which a case has only one.
const ALTERNATIVES: [[Section; 2]; 6] = [
    [Section::Mem, Section::Packet],
    [Section::Result, Section::Refused],
    [Section::Result, Section::Error],
    [Section::Refused, Section::Error],
    [Section::Refused, Section::Unverified],
    [Section::Error, Section::Unverified],
];

impl Section {
    fn name(self) -> &'static str {
        SECTIONS[self as usize].1
    }
}

/// A line of a section: its number, and the text without comment and space behind.
#[derive(Clone, Copy)]
struct Line<'t> {
    number: usize,
    text: &'t str,
}

impl<'t> Line<'t> {
    fn at(&self, byte: usize, problem: Problem) -> FormatError {
        problem.at(self.number, self.text.get(..byte).map_or(0, |before| before.chars().count()) + 1)
    }

    /// The words of the line, each with its place.
    fn words(&self) -> impl Iterator<Item = (usize, &'t str)> {
        let text = self.text;
        text.split_whitespace().map(move |word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
    }

    fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }
}

/// One section as it stands in the file.
struct Found<'t> {
    /// Line of its head.
    number: usize,
    /// What stands behind the name.
    rest: &'t str,
    lines: Vec<Line<'t>>,
}

impl<'t> Found<'t> {
    fn filled(&self) -> impl Iterator<Item = Line<'t>> {
        self.lines.iter().copied().filter(|line| !line.is_blank())
    }

    /// Everything in it as one text.
    fn text(&self) -> String {
        self.filled().map(|line| line.text.trim()).collect::<Vec<_>>().join("\n")
    }
}

/// The file, cut into sections.
struct Sections<'t> {
    about: String,
    found: [Option<Found<'t>>; SECTIONS.len()],
    last_line: usize,
}

impl<'t> Sections<'t> {
    fn get(&self, section: Section) -> Option<&Found<'t>> {
        self.found[section as usize].as_ref()
    }

    fn cut(text: &'t str) -> Parse<Sections<'t>> {
        let mut sections = Sections { about: String::new(), found: Default::default(), last_line: 1 };
        let mut now: Option<Section> = None;
        for (index, whole) in text.lines().enumerate() {
            let number = index + 1;
            sections.last_line = number;
            let line = Line { number, text: without_comment(whole) };
            if let Some(head) = line.text.strip_prefix("-- ") {
                let (section, rest) = head_of(&line, head.trim())?;
                let slot = &mut sections.found[section as usize];
                if slot.is_some() {
                    return Err(line.at(3, Problem::Twice(section.name())));
                }
                *slot = Some(Found { number, rest, lines: Vec::new() });
                now = Some(section);
                continue;
            }
            match now {
                None if line.is_blank() => sections.comment(whole),
                None => return Err(line.at(0, Problem::NoSection)),
                Some(section) => {
                    if let Some(found) = &mut sections.found[section as usize] {
                        found.lines.push(line);
                    }
                }
            }
        }
        Ok(sections)
    }

    fn comment(&mut self, line: &str) {
        let text = line.trim().trim_start_matches('#').trim();
        // Licence lines say nothing about the case.
        if !text.is_empty() && !text.starts_with("SPDX-") && !text.starts_with("Copyright") {
            self.about.extend([if self.about.is_empty() { "" } else { "\n" }, text]);
        }
    }

    fn check_alternatives(&self) -> Parse<()> {
        for [first, second] in ALTERNATIVES {
            if let (Some(a), Some(b)) = (self.get(first), self.get(second)) {
                let problem = Problem::Both { first: first.name(), second: second.name() };
                return Err(problem.at(a.number.max(b.number), 1));
            }
        }
        Ok(())
    }
}

/// The line up to its comment.
fn without_comment(line: &str) -> &str {
    let starts = |(at, _): &(usize, &str)| line[..*at].chars().next_back().is_none_or(char::is_whitespace);
    let end = line.match_indices('#').find(starts).map_or(line.len(), |(at, _)| at);
    line[..end].trim_end()
}

fn head_of<'t>(line: &Line<'t>, head: &'t str) -> Parse<(Section, &'t str)> {
    for (section, name, takes_text) in SECTIONS {
        if head == name {
            return Ok((section, ""));
        }
        let rest = head.strip_prefix(name).filter(|rest| takes_text && rest.starts_with(' '));
        if let Some(rest) = rest {
            return Ok((section, rest.trim()));
        }
    }
    Err(line.at(3, Problem::Section(head.to_owned())))
}

/// Reads the text of a case.
pub fn parse(name: &str, text: &str) -> Parse<Case> {
    let sections = Sections::cut(text)?;
    sections.check_alternatives()?;
    let maps = sections.get(Section::Maps).map(maps).transpose()?.unwrap_or_default();
    let linux = sections.get(Section::Linux).is_some() || !maps.is_empty();
    let code = code(&sections, &Names { maps: &maps, linux })?;
    let input = match (sections.get(Section::Mem), sections.get(Section::Packet)) {
        (None, None) => Input::Memory(Vec::new()),
        (Some(found), _) => Input::Memory(bytes(found)?),
        (None, Some(found)) => Input::Packet(packet(found)?),
    };
    let unverified = sections.get(Section::Unverified).map(unverified).transpose()?;
    let expect = expect(&sections)?;
    Ok(Case { name: name.to_owned(), about: sections.about, code, input, maps, linux, unverified, expect })
}

/// What names in a program stand for.
struct Names<'c> {
    maps: &'c [Arc<MapDef>],
    linux: bool,
}

impl Symbols for Names<'_> {
    fn helper(&self, name: &str) -> Option<i32> {
        let number = helper_by_name(name.strip_prefix("bpf_")?).filter(|_| self.linux)?;
        i32::try_from(number).ok()
    }

    fn map(&self, name: &str) -> Option<i32> {
        self.maps.iter().position(|map| map.name == name).and_then(|index| i32::try_from(index).ok())
    }
}

fn code(sections: &Sections<'_>, names: &Names<'_>) -> Parse<Code> {
    let asm = sections.get(Section::Asm).map(|found| assembled(found, names)).transpose()?;
    let raw = sections.get(Section::Raw).map(raw).transpose()?;
    let code = match (asm, raw) {
        (Some(asm), Some(raw)) => {
            let pairs = asm.raw_slice().iter().zip(raw.raw_slice());
            let same = pairs.take_while(|(a, b)| a == b).count();
            if same < asm.len().max(raw.len()) {
                let line = sections.get(Section::Raw).map_or(1, |found| found.number);
                return Err(Problem::RawDiffers { slot: same }.at(line, 1));
            }
            raw
        }
        (Some(code), None) | (None, Some(code)) => code,
        (None, None) => return Err(Problem::Missing("program").at(sections.last_line, 1)),
    };
    let head = sections.get(Section::Asm).or(sections.get(Section::Raw)).map_or(1, |found| found.number);
    if code.is_empty() {
        return Err(Problem::Missing("instruction").at(head, 1));
    }
    if code.len() > MAX_SLOTS {
        return Err(Problem::TooMuch { what: "slots", limit: MAX_SLOTS as u64 }.at(head, 1));
    }
    Ok(code)
}

fn assembled(found: &Found<'_>, names: &Names<'_>) -> Parse<Code> {
    let text: Vec<&str> = found.lines.iter().map(|line| line.text).collect();
    assemble_with(&text.join("\n"), names).map_err(|error| match error {
        IsaError::Syntax { line, column, problem } => Problem::Asm(problem).at(found.number + line, column),
        IsaError::PartialSlot { .. } => Problem::Missing("whole slot").at(found.number, 1),
    })
}

fn raw(found: &Found<'_>) -> Parse<Code> {
    let mut slots = Vec::new();
    for line in found.filled() {
        if let Some(bytes) = slot_bytes(&line) {
            slots.push(RawInsn::from_bytes(bytes, Endianness::Little));
            continue;
        }
        for (at, word) in line.words() {
            let not = || line.at(at, Problem::Not { text: word.to_owned(), what: "a slot as a number" });
            let value = number(word).ok_or_else(not)?;
            slots.push(RawInsn::from_bytes(value.to_le_bytes(), Endianness::Little));
        }
    }
    Ok(Code::decode(slots))
}

/// A line of eight pairs of hex digits.
fn slot_bytes(line: &Line<'_>) -> Option<[u8; 8]> {
    let words: Vec<&str> = line.words().map(|(_, word)| word).collect();
    let words: [&str; 8] = words.try_into().ok()?;
    let mut bytes = [0; 8];
    for (byte, word) in bytes.iter_mut().zip(words) {
        *byte = pair(word)?;
    }
    Some(bytes)
}

fn pair(word: &str) -> Option<u8> {
    let digits = word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    u8::from_str_radix(word, 16).ok().filter(|_| digits)
}

/// A number of 64 bits, decimal or hex; negative ones wrap.
pub(crate) fn number(text: &str) -> Option<u64> {
    let (digits, negative) = text.strip_prefix('-').map_or((text, false), |digits| (digits, true));
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let value = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(hex) if hex.starts_with('+') => return None,
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    if !negative {
        Some(value)
    } else if value <= 1 << 63 {
        Some(value.wrapping_neg())
    } else {
        None
    }
}

fn bytes(found: &Found<'_>) -> Parse<Vec<u8>> {
    let mut bytes = Vec::new();
    for line in found.filled() {
        for (at, word) in line.words() {
            push_bytes(&mut bytes, word).ok_or_else(|| {
                line.at(at, Problem::Not { text: word.to_owned(), what: "a byte of two hex digits, or several" })
            })?;
        }
        if bytes.len() > MAX_MEMORY_BYTES {
            return Err(line.at(0, Problem::TooMuch { what: "bytes", limit: MAX_MEMORY_BYTES as u64 }));
        }
    }
    Ok(bytes)
}

/// Bytes as pairs of hex digits, with or without space between them.
fn push_bytes(bytes: &mut Vec<u8>, word: &str) -> Option<()> {
    if !word.is_ascii() || !word.len().is_multiple_of(2) {
        return None;
    }
    for at in (0..word.len()).step_by(2) {
        bytes.push(pair(word.get(at..at + 2)?)?);
    }
    Some(())
}

fn packet(found: &Found<'_>) -> Parse<Vec<u8>> {
    let packet = bytes(found)?;
    if packet.len() < ETH_HLEN {
        return Err(Problem::ShortPacket { bytes: packet.len() }.at(found.number, 1));
    }
    Ok(packet)
}

fn expect(sections: &Sections<'_>) -> Parse<Expect> {
    if let Some(found) = sections.get(Section::Refused) {
        return Ok(Expect::Refused(refusal(found)?));
    }
    if let Some(found) = sections.get(Section::Error) {
        return Ok(Expect::Error(found.text()));
    }
    let Some(found) = sections.get(Section::Result) else {
        return Err(Problem::Missing("result").at(sections.last_line, 1));
    };
    let text = found.text();
    let line = found.filled().next().map_or(found.number, |line| line.number);
    let not = || Problem::Not { text: text.clone(), what: "a number of 64 bits" }.at(line, 1);
    number(&text).map(Expect::Result).ok_or_else(not)
}

fn refusal(found: &Found<'_>) -> Parse<Refusal> {
    let text = found.text();
    let line = found.filled().next().map_or(found.number, |line| line.number);
    let (word, message) = text.split_once(' ').unwrap_or((&text, ""));
    let Some(errno) = Errno::by_name(word) else {
        return Err(Problem::Not { text: word.to_owned(), what: "an error number such as EINVAL" }.at(line, 1));
    };
    if message.is_empty() {
        return Err(Problem::Missing("message behind the error number").at(line, 1));
    }
    Ok(Refusal { errno, message: message.to_owned() })
}

fn unverified(found: &Found<'_>) -> Parse<Unverified> {
    if found.rest.is_empty() {
        return Err(Problem::Missing("reason behind 'unverified'").at(found.number, 1));
    }
    Ok(Unverified { reason: found.rest.to_owned(), refusal: refusal(found)? })
}

fn maps(found: &Found<'_>) -> Parse<Vec<Arc<MapDef>>> {
    let mut maps = Vec::new();
    for line in found.filled() {
        if maps.len() == MAX_MAPS {
            return Err(line.at(0, Problem::TooMuch { what: "maps", limit: MAX_MAPS as u64 }));
        }
        maps.push(Arc::new(map(&line)?));
    }
    Ok(maps)
}

/// `NAME TYPE KEY_SIZE VALUE_SIZE MAX_ENTRIES [= BYTES]`.
fn map(line: &Line<'_>) -> Parse<MapDef> {
    let not = |at: usize, text: &str, what| line.at(at, Problem::Not { text: text.to_owned(), what });
    let mut words = line.words();
    let mut next = |what| words.next().ok_or_else(|| line.at(line.text.len(), Problem::Missing(what)));
    let (_, name) = next("name of the map")?;
    let (at, kind_name) = next("map type")?;
    let kind = MapType::ALL.iter().copied().find(|kind| kind.name() == kind_name);
    let kind = kind.ok_or_else(|| not(at, kind_name, "a map type"))?;
    let mut size = |what| {
        let (at, word) = next(what)?;
        word.parse::<u32>().map_err(|_| not(at, word, what))
    };
    let mut def = MapDef::new(name, kind, size("key size")?, size("value size")?, size("number of elements")?);
    let (limit, what) = (MAX_MEMORY_BYTES as u64, "bytes in a map");
    if u64::from(def.value_size).saturating_mul(def.max_entries.into()) > limit {
        return Err(line.at(0, Problem::TooMuch { what, limit }));
    }
    match words.next() {
        None => {}
        Some((_, "=")) => {
            let mut data = Vec::new();
            for (at, word) in words {
                push_bytes(&mut data, word).ok_or_else(|| not(at, word, "bytes as hex digits"))?;
            }
            let size = def.value_size as usize;
            if data.len() > size || kind != MapType::Array {
                return Err(line.at(0, Problem::Content { map: name.to_owned() }));
            }
            data.resize(size, 0);
            def.data = Some(data.into());
        }
        Some((at, word)) => return Err(not(at, word, "'='")),
    }
    def.check().map_err(|errno| line.at(0, Problem::Map { map: name.to_owned(), errno }))?;
    Ok(def)
}
