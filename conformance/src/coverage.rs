//! Which kinds of instructions cases have in them.

use std::collections::BTreeSet;
use std::str::FromStr;

use ring3_isa::{Code, Group, Insn, Kind, Origin, kinds};

use crate::Error;

/// Kinds of instructions of a program, in the order of [`kinds`]. Slots that are no instructions do not count.
pub fn kinds_of(code: &Code) -> Vec<Kind> {
    let insns = code.insns().iter().flatten().filter(|insn| **insn != Insn::WideTail);
    let used: BTreeSet<Kind> = insns.map(|insn| insn.kind()).collect();
    kinds().filter(|kind| used.contains(kind)).collect()
}

/// The group that a case of these kinds is about: nearly every program has instructions of the base groups, so that any other
/// counts before them.
pub fn group_of(kinds: &[Kind]) -> Group {
    kinds.iter().map(|kind| kind.group()).max().unwrap_or(Group::Base32)
}

/// Kinds that none of the programs has.
pub fn unused<'k>(used: impl IntoIterator<Item = &'k Kind>) -> Vec<Kind> {
    let used: BTreeSet<Kind> = used.into_iter().copied().collect();
    kinds().filter(|kind| !used.contains(kind)).collect()
}

/// Where kinds come from, and how many come from there.
pub fn census() -> [(&'static str, usize); 3] {
    let count = |of: fn(&Origin) -> bool| kinds().filter(|kind| of(&kind.origin())).count();
    [
        ("RFC 9669", count(|origin| matches!(origin, Origin::Rfc { .. }))),
        ("Linux", count(|origin| matches!(origin, Origin::Linux))),
        ("compilers", count(|origin| matches!(origin, Origin::Compilers))),
    ]
}

/// Generations of instructions, by the names that compilers and the public suite have for them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CpuVersion {
    /// What was there first.
    V1,
    /// Less-than jumps.
    V2,
    /// Jumps on 32 bits, atomics, local calls.
    V3,
    /// Signed division, sign extension, unconditional byte swaps, long jumps; and what came after.
    V4,
}

impl CpuVersion {
    /// The generation of a kind: by the release of Linux that brought it.
    pub fn of(kind: Kind) -> CpuVersion {
        match (kind.example(), kind.since()) {
            // The kinds of wide loads are one instruction to a processor.
            (Insn::LoadImm { .. }, _) | (_, None) => CpuVersion::V1,
            (Insn::Call(_) | Insn::Atomic { .. }, Some(since)) if since > (3, 18) => CpuVersion::V3,
            (Insn::Atomic { .. }, _) => CpuVersion::V3,
            (_, Some(since)) if since >= (6, 6) => CpuVersion::V4,
            (_, Some(since)) if since >= (5, 1) => CpuVersion::V3,
            (_, Some(since)) if since >= (4, 14) => CpuVersion::V2,
            (_, Some(_)) => CpuVersion::V1,
        }
    }
}

impl FromStr for CpuVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<CpuVersion, Error> {
        match text {
            "v1" => Ok(CpuVersion::V1),
            "v2" => Ok(CpuVersion::V2),
            "v3" => Ok(CpuVersion::V3),
            "v4" => Ok(CpuVersion::V4),
            _ => Err(Error::Argument { what: "CPU version", text: text.to_owned(), problem: "v1 to v4".to_owned() }),
        }
    }
}
