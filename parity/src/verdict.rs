//! What a verifier says of a program, and how two of them differ.

use std::fmt;
use std::time::Duration;

use ring3_verifier::{Rejection, Stats, VerifiedProgram};

/// What a verifier says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// Error number, 0 for none.
    pub errno: i32,
    /// Last line of the log before the statistics; empty if the program was accepted.
    pub message: String,
    /// The statistics of the log's last line: processed, max_states_per_insn, total_states, peak_states.
    pub stats: [u32; 4],
    /// Bytes that it held at most, where it tells.
    pub peak_mem: u64,
    /// How long it took by its own clock.
    pub took: Duration,
}

/// What the lines of the statistics begin with.
const STATISTICS: [&str; 3] = ["verification time ", "stack depth ", "processed "];

impl Verdict {
    /// Out of an error number and a log that has the statistics.
    ///
    /// `None` if it has none: then the program did not come as far as the verifier.
    pub fn of_log(errno: i32, log: &str) -> Option<Verdict> {
        let lines: Vec<&str> = log.lines().collect();
        let at = lines.iter().rposition(|line| line.starts_with("processed "))?;
        // After some messages comes the line of the source that they are about.
        let is_beside = |line: &str| line.starts_with("; ") || STATISTICS.iter().any(|start| line.starts_with(start));
        let end = lines.iter().rposition(|line| !is_beside(line)).map_or(0, |last| last + 1);
        let number = |name: &str| lines[at].split_once(name)?.1.split(' ').next()?.parse().ok();
        let stats = ["processed ", "max_states_per_insn ", "total_states ", "peak_states "]
            .map(|name| number(name).unwrap_or(0));
        let message = if errno == 0 { "" } else { lines[..end].last().copied().unwrap_or_default() };
        // One message ends without the end of its line.
        let message = message.split_once(STATISTICS[0]).map_or(message, |(message, _)| message);
        let time = log.rsplit_once(STATISTICS[0]).and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        let took = Duration::from_micros(time.unwrap_or(0));
        Some(Verdict { errno, message: message.to_owned(), stats, peak_mem: 0, took })
    }

    /// Of a program that ring3 accepted.
    pub fn of_proof(proof: &VerifiedProgram) -> Verdict {
        Verdict { errno: 0, message: String::new(), ..Verdict::of_stats(proof.stats()) }
    }

    /// Of one that it refused.
    pub fn of_rejection(rejection: &Rejection) -> Verdict {
        let (errno, message) = (rejection.errno.number(), rejection.message.clone());
        Verdict { errno, message, ..Verdict::of_stats(rejection.stats) }
    }

    fn of_stats(stats: Stats) -> Verdict {
        let numbers = [stats.processed, stats.max_states_per_insn, stats.total_states, stats.peak_states];
        Verdict {
            stats: numbers,
            peak_mem: stats.peak_mem,
            took: Duration::from_micros(stats.duration_us),
            ..Verdict::default()
        }
    }

    /// Was the program accepted?
    pub const fn accepts(&self) -> bool {
        self.errno == 0
    }

    /// Instructions processed.
    pub const fn processed(&self) -> u32 {
        self.stats[0]
    }

    /// States stored, all in all.
    pub const fn total_states(&self) -> u32 {
        self.stats[2]
    }

    /// States stored, most at one time.
    pub const fn peak_states(&self) -> u32 {
        self.stats[3]
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [processed, most, total, peak] = self.stats;
        write!(
            f,
            "errno {} '{}' processed {processed} states {total} peak {peak} most {most}",
            self.errno, self.message
        )
    }
}

/// How our verdict differs from the kernel's, the worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Difference {
    /// ring3 accepts what the kernel refuses.
    FalseAccept,
    /// ring3 refuses what the kernel accepts.
    FalseReject,
    /// Another error number.
    Errno,
    /// Another message.
    Message,
    /// Another number of instructions.
    Processed,
    /// Another number of states.
    States,
}

impl Difference {
    /// The worst one; `None` if the two are the same but for their times.
    pub fn between(kernel: &Verdict, ours: &Verdict) -> Option<Difference> {
        if ours.accepts() && !kernel.accepts() {
            Some(Difference::FalseAccept)
        } else if !ours.accepts() && kernel.accepts() {
            Some(Difference::FalseReject)
        } else if ours.errno != kernel.errno {
            Some(Difference::Errno)
        } else if ours.message != kernel.message {
            Some(Difference::Message)
        } else if ours.processed() != kernel.processed() {
            Some(Difference::Processed)
        } else if ours.stats != kernel.stats {
            Some(Difference::States)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "invalid access to packet, off=0 size=1, R1(id=0,off=0,r=0)\nR1 offset is outside of the packet\n\
        verification time 35 usec\nstack depth 0\nprocessed 4 insns (limit 1000000) max_states_per_insn 1 total_states 3 \
        peak_states 2 mark_read 1\n";

    #[test]
    fn logs_are_read() {
        let verdict = Verdict::of_log(13, LOG).unwrap();
        assert_eq!(verdict.message, "R1 offset is outside of the packet");
        assert_eq!((verdict.stats, verdict.took), ([4, 1, 3, 2], Duration::from_micros(35)));
        assert_eq!(Verdict::of_log(0, LOG).unwrap().message, "");
        assert_eq!(Verdict::of_log(22, "").map(|v| v.errno), None);
        let with_source = LOG.replace("verification", "; if (*data == 0) @ p.bpf.c:7\nverification");
        assert_eq!(Verdict::of_log(13, &with_source).unwrap().message, "R1 offset is outside of the packet");
        let unended = LOG.replace("packet\nverification", "packetverification");
        assert_eq!(Verdict::of_log(13, &unended).unwrap().message, "R1 offset is outside of the packet");
    }

    #[test]
    fn the_worst_difference_is_told() {
        let verdict =
            |errno, message: &str, stats| Verdict { errno, message: message.into(), stats, ..Verdict::default() };
        let refused = verdict(13, "a", [1, 2, 3, 4]);
        let accepted = verdict(0, "", [1, 2, 3, 4]);
        assert_eq!(Difference::between(&refused, &accepted), Some(Difference::FalseAccept));
        assert_eq!(Difference::between(&accepted, &refused), Some(Difference::FalseReject));
        assert_eq!(Difference::between(&refused, &verdict(22, "a", [0; 4])), Some(Difference::Errno));
        assert_eq!(Difference::between(&refused, &verdict(13, "b", [0; 4])), Some(Difference::Message));
        assert_eq!(Difference::between(&refused, &verdict(13, "a", [0, 2, 3, 4])), Some(Difference::Processed));
        assert_eq!(Difference::between(&refused, &verdict(13, "a", [1, 0, 3, 4])), Some(Difference::States));
        assert_eq!(Difference::between(&refused, &refused), None);
    }
}
