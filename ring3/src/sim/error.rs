//! What can be wrong with an event or with what it is laid out of.

use ring3_btf::BtfError;

/// Why objects cannot be laid out so, or an event not be fired.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)]
#[non_exhaustive]
pub enum SimError {
    #[error("there is no type '{name}'{}", hint(.near))]
    NoType { name: String, near: Option<String> },
    #[error("{ty} has no field '{field}'{}", hint(.near))]
    NoField { ty: String, field: String, near: Option<String> },
    #[error("{function}({}) has no argument '{argument}'{}", .has.join(", "), hint(.near))]
    NoArgument { function: String, argument: String, has: Vec<String>, near: Option<String> },
    #[error("{function}({}) takes {} arguments, {given} are given", .has.join(", "), .has.len())]
    TooManyArguments { function: String, has: Vec<String>, given: usize },
    #[error("there is no function '{name}' in these types{}", hint(.near))]
    NoFunction { name: String, near: Option<String> },
    #[error(
        "'{path}' is no path: fields with . or -> between them, [3] for elements, :type for what a pointer leads to"
    )]
    Path { path: String },
    #[error("{path}: {ty} has no fields")]
    NoStruct { path: String, ty: String },
    #[error("{path}: {ty} is no pointer")]
    NoPointer { path: String, ty: String },
    #[error("{path}: {ty} has no elements")]
    NoArray { path: String, ty: String },
    #[error("{path}: element {index} of {len}")]
    Index { path: String, index: u64, len: u64 },
    #[error(
        "{path}: nothing says what {ty} leads to; say it (name:type.field), or give it an object that was laid out"
    )]
    Opaque { path: String, ty: String },
    #[error("{path}: it leads to {addr:#x}, where nothing was laid out")]
    Dangling { path: String, addr: u64 },
    #[error("{path}: {given} is no value of {ty}")]
    Mismatch { path: String, ty: String, given: String },
    #[error("{path}: {number} does not fit {bits} bits")]
    Range { path: String, number: i128, bits: u32 },
    #[error("{path}: {given} bytes where {ty} has room for {room}")]
    TooLong { path: String, ty: String, given: usize, room: usize },
    #[error("{path}: enum {ty} has no '{name}'{}", hint(.near))]
    NoEnumerator { path: String, ty: String, name: String, near: Option<String> },
    #[error("{path}: it was laid out by other types than those of the simulation")]
    OtherTypes { path: String },
    #[error("there is no room for more objects")]
    Full,
    #[error("no program of {file} is attached to '{point}'; they are attached to {}{}", list(.attached), hint(.near))]
    NoProgram { file: String, point: String, attached: Vec<String>, near: Option<String> },
    #[error("there is no program '{program}'")]
    NotThere { program: String },
    #[error("{what} cannot be simulated")]
    Unsupported { what: String },
    #[error("line {line}: {what}")]
    Declaration { line: usize, what: String },
    #[error("'{text}': {what}")]
    Event { text: String, what: &'static str },
    #[error(transparent)]
    Btf(#[from] BtfError),
}

fn hint(near: &Option<String>) -> String {
    near.as_ref().map_or_else(String::new, |near| format!("; did you mean '{near}'?"))
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// Names that are compared with a wrong one.
const MAX_COMPARED: usize = 1 << 18;

/// The name that was probably meant: at most a third of its letters differ.
pub(super) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let limit = wrong.len().div_ceil(3);
    let close = |name: &&str| name.len().abs_diff(wrong.len()) <= limit && !name.is_empty();
    let ranked = names.take(MAX_COMPARED).filter(close).map(|name| (distance(wrong, name, limit), name));
    let best = ranked.filter(|(distance, _)| *distance <= limit).min()?;
    Some(best.1.to_owned())
}

/// Letters to change, add, leave out or exchange with their neighbour; more than `limit` is told as `limit + 1`.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        if row.iter().all(|value| *value > limit) {
            return limit + 1;
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant() {
        let names = ["pid", "tgid", "comm", "real_parent"];
        let near = |wrong| nearest(wrong, names.into_iter());
        assert_eq!(near("pidd").as_deref(), Some("pid"));
        assert_eq!(near("ipd").as_deref(), Some("pid"));
        assert_eq!(near("real_paernt").as_deref(), Some("real_parent"));
        assert_eq!(near("zzz"), None);
    }
}
