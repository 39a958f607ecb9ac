//! Whole logs beside the kernel's, line by line: how many programs have the same, and where the others differ first.
//! `cargo xtask parity --logs` calls it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::thread;

use ring3_parity::{Answer, Bounds, Kernel, Ours, ours_logged};
use ring3_platform::Program;
use ring3_verifier::LogLevel;
use std::sync::Arc;

use super::hold::{Here, Source};

/// Instructions that a walk may process for its log to be compared: a log has some lines for each.
pub const MAX_PROCESSED: u32 = 20_000;
/// Kinds of differences that are printed.
const SHOWN: usize = 40;
/// Bytes of stack of a thread.
const STACK: usize = 64 << 20;

/// The levels that are compared: the path to an error, everything, and the statistics.
pub const LEVELS: [u8; 3] = [1, 2, 4];

/// What came of one level.
#[derive(Clone, Default, Debug)]
pub struct Level {
    /// Programs with the same log on both sides, but for times and addresses.
    pub same: usize,
    /// Programs with another log.
    pub differ: usize,
    /// How the first lines that differ do, with how many programs and one of them.
    pub kinds: BTreeMap<String, (usize, String)>,
}

/// What came of all.
#[derive(Clone, Default, Debug)]
pub struct Logs {
    /// By level, in the order of [`LEVELS`].
    pub levels: [Level; 3],
    /// Programs that only one side judges, or that both judge differently, or that are too long.
    pub left_out: usize,
}

impl fmt::Display for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (level, found) in LEVELS.iter().zip(&self.levels) {
            let mut kinds: Vec<_> = found.kinds.iter().collect();
            kinds.sort_by_key(|(kind, (count, _))| (std::cmp::Reverse(*count), (*kind).clone()));
            for (_, (count, example)) in kinds.into_iter().take(SHOWN) {
                writeln!(f, "parity: logs: level {level}: {count} programs such as {example}")?;
            }
        }
        for (level, found) in LEVELS.iter().zip(&self.levels) {
            let all = found.same + found.differ;
            writeln!(
                f,
                "parity: logs: level {level}: {} of {all} programs have Linux's log, line by line",
                found.same
            )?;
        }
        writeln!(f, "parity: logs: {} programs left out: judged by one side alone, or longer", self.left_out)
    }
}

/// Compares the logs of all programs of these sources. `progress` is told how many of how many sources are done.
pub fn compare(sources: &[Source<'_>], threads: usize, progress: &(dyn Fn(usize, usize) + Sync)) -> Logs {
    let (next, all) = (Mutex::new(0usize), Mutex::new(Logs::default()));
    let work = || {
        let here = Here::new();
        let Ok(kernel) = Kernel::open() else { return };
        loop {
            let at = {
                let Ok(mut next) = next.lock() else { return };
                *next += 1;
                *next - 1
            };
            let Some(source) = sources.get(at) else { return };
            for subject in source.subjects(&here) {
                let Ok(program) = &subject.program else { continue };
                let found = logs_of(program, &here, &kernel);
                if let Ok(mut all) = all.lock() {
                    all.add(&format!("{} {}", subject.file, subject.name), found);
                }
            }
            progress(at + 1, sources.len());
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            // A thread that cannot be started leaves its part to the others.
            let _ = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        }
    });
    all.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Both logs of a program at each level, where both sides judge it alike.
fn logs_of(program: &Arc<Program>, here: &Here, kernel: &Kernel) -> Option<[(String, String); 3]> {
    let bounds = Bounds::default();
    let both = |level: u8| {
        let (ours, our_log) = ours_logged(program, &here.target, &bounds, LogLevel(level));
        let Ours::Judged(ours) = ours else { return None };
        let (Answer::Judged(theirs), their_log) = kernel.judge_logged(program, ring3_linux::LogLevel(level.into()))
        else {
            return None;
        };
        (ours.accepts() == theirs.accepts() && ours.stats[0] <= MAX_PROCESSED).then_some((their_log, our_log))
    };
    // The statistics come first: they say how long the others would be.
    let stats = both(LEVELS[2])?;
    Some([both(LEVELS[0])?, both(LEVELS[1])?, stats])
}

impl Logs {
    fn add(&mut self, name: &str, found: Option<[(String, String); 3]>) {
        let Some(found) = found else {
            self.left_out += 1;
            return;
        };
        for (level, (theirs, ours)) in self.levels.iter_mut().zip(found) {
            let (theirs, ours) = (comparable(&theirs), comparable(&ours));
            match theirs.iter().zip(&ours).position(|(a, b)| a != b) {
                None if theirs.len() == ours.len() => level.same += 1,
                at => {
                    let at = at.unwrap_or(theirs.len().min(ours.len()));
                    let line = |side: &[String]| side.get(at).cloned().unwrap_or_default();
                    let (theirs, ours) = (line(&theirs), line(&ours));
                    let example = format!("{name}, line {}\n    Linux: {theirs}\n    ring3: {ours}", at + 1);
                    level.differ += 1;
                    level.kinds.entry(kind(&theirs, &ours)).or_insert((0, example)).0 += 1;
                }
            }
        }
    }
}

/// The lines of a log without what differs from run to run: times, and addresses of maps.
pub fn comparable(log: &str) -> Vec<String> {
    let lines = log.lines().filter(|line| !line.starts_with("verification time"));
    lines.map(without_address).collect()
}

/// Linux shows the address of a map in a wide load, and the column of what follows moves with it.
fn without_address(line: &str) -> String {
    /// An address of the kernel: 16 digits, and `0x`.
    const DIGITS: usize = 18;
    const STATE_COLUMN: usize = 38;
    let Some((head, rest)) = line.find(" = 0xffff").map(|at| line.split_at(at + 3)) else { return line.to_owned() };
    let end = rest.find(|c: char| c != 'x' && !c.is_ascii_hexdigit()).unwrap_or(rest.len());
    if end != DIGITS {
        return line.to_owned();
    }
    let (short, state) = (format!("{head}0x0"), rest[end..].trim_start());
    if state.is_empty() { short } else { format!("{short:STATE_COLUMN$}{state}") }
}

/// Where two lines part, without numbers: what many programs share.
fn kind(theirs: &str, ours: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (theirs.split_whitespace().collect(), ours.split_whitespace().collect());
    let at = a.iter().zip(&b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
    let word = |side: &[&str]| side.get(at).copied().unwrap_or("").to_owned();
    let mut text = format!("{} {} {}", a.first().unwrap_or(&""), word(&a), word(&b));
    text.retain(|c| !c.is_ascii_digit());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_times_do_not_count() {
        let theirs = "3: (18) r1 = 0xffff888100000000       ; R1=map_ptr(map=m,ks=4,vs=8)\nverification time 7 usec\n";
        let ours = "3: (18) r1 = 0x0                      ; R1=map_ptr(map=m,ks=4,vs=8)\nverification time 9 usec\n";
        assert_eq!(comparable(theirs), comparable(ours));
        assert_ne!(comparable("0: (b7) r0 = 1"), comparable("0: (b7) r0 = 2"));
    }

    #[test]
    fn the_first_difference_is_kept_with_its_kind() {
        let mut logs = Logs::default();
        let same = || ("a\n".to_owned(), "a\n".to_owned());
        let other = || ("a\nb 1\n".to_owned(), "a\nb 2\n".to_owned());
        logs.add("one", Some([same(), other(), ("a\n".to_owned(), String::new())]));
        logs.add("two", Some([same(), other(), same()]));
        logs.add("three", None);
        assert_eq!(logs.levels.each_ref().map(|level| (level.same, level.differ)), [(2, 0), (0, 2), (1, 1)]);
        assert_eq!(logs.levels[1].kinds.len(), 1);
        assert!(logs.to_string().contains("level 2: 2 programs such as one, line 2\n    Linux: b 1\n    ring3: b 2"));
        assert!(logs.to_string().contains("level 1: 2 of 2 programs have Linux's log"));
    }
}
