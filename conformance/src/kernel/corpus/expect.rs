//! What the authors of Linux's tests say about their programs: tags on functions, in the types of the object.
//!
//! The macros of `progs/bpf_misc.h` (`__success`, `__failure`, `__msg` and others) become such tags.

use std::collections::BTreeMap;

use ring3_btf::{Btf, Type};

/// Every tag that is one of these starts so.
const START: &str = "comment:";

/// What is expected of a program that a privileged user loads.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Expected {
    /// Accepted or refused; nothing is said about programs that only help others.
    pub accepted: Option<bool>,
    /// What the log must have, in this order; regular expressions stand between `{{` and `}}`.
    pub messages: Vec<String>,
    /// What it returns when it is run.
    pub retval: Option<String>,
    /// The level that it is to be loaded with.
    pub log_level: Option<u32>,
    /// Flags by name or number.
    pub flags: Vec<String>,
    /// What it is about.
    pub description: Option<String>,
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
    let mut messages: Vec<(u32, &str)> = Vec::new();
    for tag in tags {
        let (name, value) = tag.split_once('=').unwrap_or((tag, ""));
        match name {
            "test_expect_success" => expected.accepted = Some(true),
            "test_expect_failure" => expected.accepted = Some(false),
            "test_expect_msg" => messages.extend(ordered(value)),
            "test_retval" => expected.retval = Some(value.to_owned()),
            "test_log_level" => expected.log_level = value.parse().ok(),
            "test_prog_flags" => expected.flags.push(value.to_owned()),
            "test_description" => expected.description = Some(value.to_owned()),
            // Of the unprivileged, of machine code, and what is yet to come.
            _ => {}
        }
    }
    messages.sort_by_key(|(number, _)| *number);
    expected.messages = messages.into_iter().map(|(_, text)| text.to_owned()).collect();
    expected
}

/// `NUMBER=TEXT`: the order of the source is kept by numbers.
fn ordered(value: &str) -> Option<(u32, &str)> {
    let (number, text) = value.split_once('=')?;
    Some((number.parse().ok()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_in_the_order_of_their_numbers() {
        let expected = read(&[
            "test_expect_msg=12=second = line",
            "test_expect_failure",
            "test_expect_msg=3=first",
            "test_description=a, b",
            "test_log_level=2",
            "test_retval=0x7",
            "test_expect_success_unpriv",
        ]);
        assert_eq!(expected.accepted, Some(false));
        assert_eq!(expected.messages, ["first", "second = line"]);
        assert_eq!((expected.log_level, expected.retval.as_deref()), (Some(2), Some("0x7")));
        assert_eq!(expected.description.as_deref(), Some("a, b"));
    }
}
