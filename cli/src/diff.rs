//! What a program changed in a packet.

/// Consecutive bytes that are different.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// Offset in the new packet.
    pub offset: usize,
    /// Bytes before.
    pub old: Vec<u8>,
    /// Bytes after.
    pub new: Vec<u8>,
}

/// How a packet differs from what it was.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Diff {
    /// Bytes that were taken off the front (negative: put in front).
    pub head: i64,
    /// Bytes that were taken off the end (negative: put there).
    pub tail: i64,
    /// What is different in the part that both have.
    pub runs: Vec<Run>,
}

/// Compares. Where the length differs it is taken to have changed at that end which explains more of the bytes.
pub fn diff(old: &[u8], new: &[u8]) -> Diff {
    let lost = old.len() as i64 - new.len() as i64;
    let at_end = compare(old, new, 0);
    if lost == 0 {
        return Diff { head: 0, tail: 0, runs: at_end };
    }
    let at_front = compare(old, new, lost);
    let changed = |runs: &[Run]| runs.iter().map(|run| run.new.len()).sum::<usize>();
    if changed(&at_front) < changed(&at_end) {
        Diff { head: lost, tail: 0, runs: at_front }
    } else {
        Diff { head: 0, tail: lost, runs: at_end }
    }
}

/// The runs of different bytes where byte `i` of the new packet was byte `i + shift` of the old one.
fn compare(old: &[u8], new: &[u8], shift: i64) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (offset, &byte) in new.iter().enumerate() {
        let before = usize::try_from(offset as i64 + shift).ok().and_then(|at| old.get(at));
        let Some(&before) = before.filter(|before| **before != byte) else { continue };
        match runs.last_mut() {
            Some(run) if run.offset + run.new.len() == offset => {
                run.old.push(before);
                run.new.push(byte);
            }
            _ => runs.push(Run { offset, old: vec![before], new: vec![byte] }),
        }
    }
    runs
}

impl Diff {
    /// In a few words.
    pub fn summary(&self) -> String {
        let mut parts = Vec::new();
        for (end, by) in [("front", self.head), ("end", self.tail)] {
            match by {
                0 => {}
                1.. => parts.push(format!("{by} bytes off the {end}")),
                _ => parts.push(format!("{} bytes put at the {end}", -by)),
            }
        }
        let bytes: usize = self.runs.iter().map(|run| run.new.len()).sum();
        if bytes > 0 {
            parts.push(format!("{bytes} byte{} changed", if bytes == 1 { "" } else { "s" }));
        }
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_in_place_and_at_both_ends() {
        assert_eq!(diff(b"abc", b"abc"), Diff::default());
        let found = diff(b"abcdef", b"abXXeF");
        assert_eq!(found.runs.len(), 2);
        assert_eq!((found.runs[0].offset, &found.runs[0].old[..], &found.runs[0].new[..]), (2, &b"cd"[..], &b"XX"[..]));
        assert_eq!(found.summary(), "3 bytes changed");
        assert_eq!(diff(b"abcdef", b"cdef").summary(), "2 bytes off the front");
        assert_eq!(diff(b"abcdef", b"abcd").summary(), "2 bytes off the end");
        assert_eq!(diff(b"abcdef", b"XXabcdef").summary(), "2 bytes put at the front");
        assert_eq!(diff(b"", b"a").summary(), "1 bytes put at the end");
    }
}
