//! What the authors of Linux's tests say about their programs: tags on functions, in the types of the object.
//!
//! The macros of `progs/bpf_misc.h` (`__success`, `__failure`, `__msg` and others) become such tags.

use std::collections::BTreeMap;
use std::fmt;

use regex::Regex;
use ring3_btf::{Btf, Type};
use ring3_platform::{LoadFlags, Program};

/// Every tag that is one of these starts so.
const START: &str = "comment:";
/// Around regular expressions in messages.
const REGEX: (&str, &str) = ("{{", "}}");
/// What tags call this machine.
const THIS_ARCH: &str = if cfg!(target_arch = "aarch64") { "ARM64" } else { "X86_64" };
/// Level of the log of a program that is refused, if no other is asked for.
pub const FAILURE_LEVEL: u32 = 1;
/// Bytes of the packet that programs with an expected result are run on.
pub const DATA_LEN: usize = 64;

/// What is expected of a program that a privileged user loads.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Expected {
    /// Accepted or refused; nothing is said about programs that only help others.
    pub accepted: Option<bool>,
    /// What the log must have, in this order.
    pub messages: Vec<Message>,
    /// What it returns on which packets.
    pub runs: Vec<Run>,
    /// The level that it is to be loaded with.
    pub log_level: Option<u32>,
    /// How it is to be loaded.
    pub flags: Flags,
    /// It is no test, but loaded with those of its object.
    pub auxiliary: bool,
    /// Machines that it is for; none: all.
    pub machines: Vec<String>,
    /// What it is about.
    pub description: Option<String>,
}

/// A part of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// These characters.
    Text(String),
    /// What this describes; of two that fit at one place it takes the first, not the longest.
    Pattern(String),
    /// These characters are not between what is before and what is behind.
    Not(String),
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::Text(text) | Message::Pattern(text) => f.write_str(text),
            Message::Not(text) => write!(f, "not: {text}"),
        }
    }
}

/// A run and what comes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// The packet; programs without one get none.
    pub data: Vec<u8>,
    /// The result; `None` for any.
    pub result: Option<i32>,
}

impl Run {
    /// On a packet of zeros.
    pub fn plain(result: Option<i32>) -> Run {
        Run { data: vec![0; DATA_LEN], result }
    }
}

/// Flags that a test sets or clears.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags {
    /// Those of the verdict.
    pub load: LoadFlags,
    /// Sleepable or not, where it says so.
    pub sleepable: Option<bool>,
    /// With fragments or not, where it says so.
    pub frags: Option<bool>,
}

/// BPF_F_SLEEPABLE.
const SLEEPABLE: u32 = 1 << 4;
/// BPF_F_XDP_HAS_FRAGS.
const HAS_FRAGS: u32 = 1 << 5;

impl Flags {
    /// Out of the bits of BPF_PROG_LOAD.
    pub fn of_bits(bits: u32) -> Flags {
        let some = |bit: u32| (bits & bit != 0).then_some(true);
        let (sleepable, frags) = (some(SLEEPABLE), some(HAS_FRAGS));
        Flags { load: LoadFlags(bits & !(SLEEPABLE | HAS_FRAGS)), sleepable, frags }
    }

    fn add(&mut self, text: &str) {
        let (name, set) = text.strip_prefix('!').map_or((text, true), |name| (name, false));
        let bits = match name {
            "BPF_F_STRICT_ALIGNMENT" => LoadFlags::STRICT_ALIGNMENT.0,
            "BPF_F_ANY_ALIGNMENT" => LoadFlags::ANY_ALIGNMENT.0,
            "BPF_F_TEST_RND_HI32" => LoadFlags::TEST_RND_HI32.0,
            "BPF_F_TEST_STATE_FREQ" => LoadFlags::TEST_STATE_FREQ.0,
            "BPF_F_TEST_REG_INVARIANTS" => LoadFlags::TEST_REG_INVARIANTS.0,
            "BPF_F_SLEEPABLE" => return self.sleepable = Some(set),
            "BPF_F_XDP_HAS_FRAGS" => return self.frags = Some(set),
            number => self::number(number).map_or(0, i32::cast_unsigned),
        };
        self.load = LoadFlags(if set { self.load.0 | bits } else { self.load.0 & !bits });
    }

    /// As a program is to be loaded.
    pub fn apply(&self, program: &mut Program) {
        program.flags = self.load;
        program.sleepable = self.sleepable.unwrap_or(program.sleepable);
        program.frags = self.frags.unwrap_or(program.frags);
    }
}

impl Expected {
    /// Is it a test for this machine?
    pub fn is_for_here(&self) -> bool {
        !self.auxiliary && (self.machines.is_empty() || self.machines.iter().any(|machine| machine == THIS_ARCH))
    }

    /// The first message that the log has not.
    pub fn missing<'a>(&'a self, log: &str) -> Option<&'a Message> {
        let (mut rest, mut not) = (log, Vec::new());
        for message in &self.messages {
            let range = match message {
                Message::Not(_) => {
                    not.push(message);
                    continue;
                }
                Message::Text(text) => rest.find(text.as_str()).map(|at| at..at + text.len()),
                Message::Pattern(text) => pattern(text).and_then(|regex| Some(regex.find(rest)?.range())),
            };
            let Some(range) = range else { return Some(message) };
            if let Some(wrong) = present(&not, &rest[..range.start]) {
                return Some(wrong);
            }
            not.clear();
            rest = &rest[range.end..];
        }
        present(&not, rest)
    }
}

/// The first of these that is there and must not be.
fn present<'a>(not: &[&'a Message], log: &str) -> Option<&'a Message> {
    not.iter().copied().find(|message| matches!(message, Message::Not(text) if log.contains(text.as_str())))
}

/// Literal but for what is between the braces.
fn pattern(text: &str) -> Option<Regex> {
    let mut regex = String::from("(?m)");
    let mut rest = text;
    while let Some((literal, after)) = rest.split_once(REGEX.0) {
        let (inner, after) = after.split_once(REGEX.1)?;
        regex += &format!("{}(?:{inner})", regex::escape(literal));
        rest = after;
    }
    Regex::new(&(regex + &regex::escape(rest))).ok()
}

/// The expectations of an object by the names of its functions.
pub fn expectations(btf: &Btf) -> BTreeMap<String, Expected> {
    let mut tags: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for ty in btf.types() {
        if let Type::DeclTag { name, target, .. } = ty
            && let Some(text) = btf.string(*name).strip_prefix(START)
            && matches!(btf.get(*target), Some(Type::Func { .. }))
        {
            tags.entry(btf.name(*target)).or_default().push(text);
        }
    }
    tags.into_iter().map(|(function, tags)| (function.to_owned(), read(&tags))).collect()
}

fn read(tags: &[&str]) -> Expected {
    let mut expected = Expected::default();
    let mut messages: Vec<(u32, Message)> = Vec::new();
    for tag in tags {
        let (name, value) = tag.split_once('=').unwrap_or((tag, ""));
        match name {
            "test_expect_success" => expected.accepted = Some(true),
            "test_expect_failure" => expected.accepted = Some(false),
            "test_expect_msg" => messages.extend(ordered(value, message)),
            "test_expect_not_msg" => messages.extend(ordered(value, Message::Not)),
            "test_retval" => expected.runs = vec![Run::plain(result(value))],
            "test_log_level" => expected.log_level = value.parse().ok(),
            "test_prog_flags" => expected.flags.add(value),
            "test_auxiliary" => expected.auxiliary = true,
            "test_arch" => expected.machines.push(value.to_owned()),
            "test_description" => expected.description = Some(value.to_owned()),
            // Of the unprivileged, of rewritten and of machine code, of other types, and what is yet to come.
            _ => {}
        }
    }
    messages.sort_by_key(|(number, _)| *number);
    expected.messages = messages.into_iter().map(|(_, message)| message).collect();
    expected
}

fn message(text: String) -> Message {
    if text.contains(REGEX.0) { Message::Pattern(text) } else { Message::Text(text) }
}

/// `NUMBER=TEXT`: the order of the source is kept by numbers.
fn ordered(value: &str, message: impl Fn(String) -> Message) -> Option<(u32, Message)> {
    let (number, text) = value.split_once('=')?;
    Some((number.parse().ok()?, message(text.to_owned())))
}

/// A number, or one of the names that tests have for numbers; `None` for an address, which may be any.
fn result(text: &str) -> Option<i32> {
    match text {
        "INT_MIN" => Some(i32::MIN),
        "TEST_DATA_LEN" => i32::try_from(DATA_LEN).ok(),
        text => number(text),
    }
}

/// Decimal or hexadecimal, of 32 bits with or without a sign.
fn number(text: &str) -> Option<i32> {
    let (digits, negative) = text.strip_prefix('-').map_or((text, false), |digits| (digits, true));
    let value = match digits.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok()?,
        None => digits.parse::<i64>().ok()?,
    };
    let value = if negative { -value } else { value };
    i32::try_from(value).ok().or_else(|| u32::try_from(value).ok().map(u32::cast_signed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_in_the_order_of_their_numbers() {
        let expected = read(&[
            "test_expect_msg=12=second = line",
            "test_expect_failure",
            "test_expect_msg=3=first {{[0-9]+}}",
            "test_expect_not_msg=4=never",
            "test_description=a, b",
            "test_log_level=2",
            "test_retval=0xffffffff",
            "test_prog_flags=BPF_F_TEST_STATE_FREQ",
            "test_prog_flags=!BPF_F_TEST_REG_INVARIANTS",
            "test_prog_flags=BPF_F_SLEEPABLE",
            "test_expect_success_unpriv",
        ]);
        assert_eq!(expected.accepted, Some(false));
        let messages = [
            Message::Pattern("first {{[0-9]+}}".into()),
            Message::Not("never".into()),
            Message::Text("second = line".into()),
        ];
        assert_eq!(expected.messages, messages);
        assert_eq!((expected.log_level, expected.runs), (Some(2), vec![Run::plain(Some(-1))]));
        assert_eq!((expected.flags.load, expected.flags.sleepable), (LoadFlags::TEST_STATE_FREQ, Some(true)));
        assert_eq!(expected.description.as_deref(), Some("a, b"));
    }

    #[test]
    fn results_are_numbers_and_names() {
        let of = |text| read(&[text]).runs[0].result;
        assert_eq!(of("test_retval=INT_MIN"), Some(i32::MIN));
        assert_eq!(of("test_retval=-7"), Some(-7));
        assert_eq!(of("test_retval=TEST_DATA_LEN"), Some(64));
        assert_eq!(of("test_retval=POINTER_VALUE"), None);
    }

    #[test]
    fn messages_are_looked_for_one_behind_the_other() {
        let messages = |tags: &[&str]| read(tags);
        let log = "0: R1=ctx()\n7: (95) exit\nprocessed 12 insns\n";
        let whole = messages(&[
            "test_expect_msg=1=R1=",
            "test_expect_msg=2={{^[0-9]+: .95.}} exit",
            "test_expect_msg=3=processed {{[0-9]+}} insns",
        ]);
        assert_eq!(whole.missing(log), None);
        let turned = messages(&["test_expect_msg=1=exit", "test_expect_msg=2=R1="]);
        assert_eq!(turned.missing(log), Some(&Message::Text("R1=".into())));
        let between = messages(&["test_expect_msg=1=R1", "test_expect_not_msg=2=(95)", "test_expect_msg=3=processed"]);
        assert_eq!(between.missing(log), Some(&Message::Not("(95)".into())));
        let behind = messages(&["test_expect_msg=1=exit", "test_expect_not_msg=2=(95)"]);
        assert_eq!(behind.missing(log), None);
        let unclosed = messages(&["test_expect_msg=1={{a"]);
        assert!(unclosed.missing("{{a").is_some());
    }
}
