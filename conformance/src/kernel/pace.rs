//! How long the heaviest programs take here and in the kernel, in one run and in turns. `cargo xtask parity --pace` calls it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ring3_parity::{Answer, Bounds, Kernel, Ours, Verdict, ours};
use ring3_platform::Program;

use super::hold::{Here, Source, Subject};

/// Programs that are measured: those with the most processed instructions.
pub const HEAVIEST: usize = 30;
/// Times that each is judged by both sides.
pub const ROUNDS: usize = 5;

/// What one program took.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timed {
    /// File and name.
    pub name: String,
    /// Instructions that ring3 processed.
    pub processed: u32,
    /// Instructions that the kernel processed.
    pub theirs: u32,
    /// Median of the time here.
    pub ours: Duration,
    /// Median of the kernel's time, by its own clock, in whole microseconds.
    pub kernel: Duration,
    /// Bytes held here at most.
    pub peak_mem: u64,
}

/// The heaviest programs, the heaviest first.
#[derive(Clone, Default, Debug)]
pub struct Pace(pub Vec<Timed>);

impl Timed {
    /// Nanoseconds for an instruction that was processed.
    fn each(&self) -> f64 {
        nanos(self.ours) / f64::from(self.processed.max(1))
    }
}

fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

impl Pace {
    /// Nanoseconds for an instruction, over all programs.
    pub fn each(&self) -> f64 {
        let processed: f64 = self.0.iter().map(|timed| f64::from(timed.processed)).sum();
        self.0.iter().map(|timed| nanos(timed.ours)).sum::<f64>() / processed.max(1.0)
    }

    /// The kernel's time over ours, in all.
    pub fn times_faster(&self) -> f64 {
        let sum = |of: fn(&Timed) -> Duration| self.0.iter().map(|timed| nanos(of(timed))).sum::<f64>();
        sum(|timed| timed.kernel) / sum(|timed| timed.ours).max(1.0)
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  processed  kernel's   kernel ms   ring3 ms   ns each  times     MiB  program")?;
        for timed in &self.0 {
            let (kernel, ours) = (nanos(timed.kernel), nanos(timed.ours));
            let (times, each) = (kernel / ours.max(1.0), timed.each());
            let (processed, theirs, mem) = (timed.processed, timed.theirs, timed.peak_mem >> 20);
            let (kernel, ours) = (kernel / 1e6, ours / 1e6);
            writeln!(
                f,
                "{processed:>11} {theirs:>9} {kernel:>11.2} {ours:>10.2} {each:>9.0} {times:>6.1} {mem:>7}  {}",
                timed.name
            )?;
        }
        let quick = self.0.iter().filter(|timed| timed.each() <= 100.0).count();
        writeln!(
            f,
            "parity: pace: {} programs: {:.1} ns for an instruction, {quick} of them within 100; {:.2} times as fast as the kernel",
            self.0.len(),
            self.each(),
            self.times_faster()
        )
    }
}

/// Measures the heaviest of these sources' programs that both sides judge alike. `progress` is told how many of how many sources were
/// looked through.
pub fn measure(sources: &[Source<'_>], kernel: &Kernel, progress: &(dyn Fn(usize, usize) + Sync)) -> Pace {
    let here = Here::new();
    let mut heaviest: Vec<(u32, Subject)> = Vec::new();
    for (done, source) in sources.iter().enumerate() {
        for subject in source.subjects(&here) {
            let Ok(program) = &subject.program else { continue };
            if let Some(verdict) = judged(program, &here) {
                heaviest.push((verdict.processed(), subject));
            }
        }
        // Programs are large: only those are kept that may count. Some more, as the kernel may refuse one before its verifier.
        heaviest.sort_by_key(|(processed, _)| std::cmp::Reverse(*processed));
        heaviest.truncate(2 * HEAVIEST);
        progress(done + 1, sources.len());
    }
    let timed = heaviest.iter().filter_map(|(_, subject)| time(subject, &here, kernel));
    Pace(timed.take(HEAVIEST).collect())
}

fn judged(program: &Arc<Program>, here: &Here) -> Option<Verdict> {
    match ours(program, &here.target, &Bounds::default()) {
        Ours::Judged(verdict) => Some(verdict),
        Ours::Unjudged { .. } | Ours::Failed(_) | Ours::Stopped { .. } => None,
    }
}

/// What a program takes on both sides; nothing if they do not judge it alike.
fn time(subject: &Subject, here: &Here, kernel: &Kernel) -> Option<Timed> {
    let program = subject.program.as_ref().ok()?;
    let (mut here_took, mut kernel_took, mut last) = (Vec::new(), Vec::new(), None);
    for _ in 0..ROUNDS {
        let Answer::Judged(theirs) = kernel.judge_logged(program, ring3_linux::LogLevel::STATS).0 else { return None };
        let ours = judged(program, here)?;
        if ours.accepts() != theirs.accepts() {
            return None;
        }
        kernel_took.push(theirs.took);
        here_took.push(ours.took);
        last = Some((theirs, ours));
    }
    let (theirs, ours) = last?;
    Some(Timed {
        name: format!("{} {}", subject.file, subject.name),
        processed: ours.processed(),
        theirs: theirs.processed(),
        ours: median(here_took),
        kernel: median(kernel_took),
        peak_mem: ours.peak_mem,
    })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(processed: u32, ours: u64, kernel: u64) -> Timed {
        Timed {
            name: "a b".to_owned(),
            processed,
            theirs: processed,
            ours: Duration::from_micros(ours),
            kernel: Duration::from_micros(kernel),
            peak_mem: 3 << 20,
        }
    }

    #[test]
    fn sums_count_and_not_programs() {
        let pace = Pace(vec![timed(9_000, 900, 9_000), timed(1_000, 300, 300)]);
        assert!((pace.each() - 120.0).abs() < 1e-6 && (pace.times_faster() - 7.75).abs() < 1e-6, "{pace}");
        let text = pace.to_string();
        assert!(text.contains("2 programs: 120.0 ns for an instruction, 1 of them within 100; 7.75 times"), "{text}");
    }

    #[test]
    fn a_median_is_no_mean() {
        let times = [9, 1, 2].map(Duration::from_micros).to_vec();
        assert_eq!(median(times), Duration::from_micros(2));
        assert_eq!(median(Vec::new()), Duration::ZERO);
    }
}
