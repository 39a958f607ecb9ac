//! What programs' authors expect beyond the verdict: parts of the log, and results of runs.

use std::sync::Arc;

use ring3_parity::{Answer, Bounds, Kernel, Ours, ours_logged, run};
use ring3_platform::{ProgType, Program, Target};
use ring3_verifier::LogLevel;

use super::corpus::expect::{Expected, FAILURE_LEVEL};

/// Bytes of an Ethernet header, which the kernel takes away from socket filters before it runs them.
const ETH_HLEN: usize = 14;

/// Whether an expectation is met.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Side {
    /// Nobody can tell: not judged, not run.
    #[default]
    Unknown,
    /// It is.
    Met,
    /// It is not: this is missing, or there instead.
    Unmet(String),
}

impl Side {
    /// Met or not, if somebody knows.
    pub const fn known(&self) -> Option<bool> {
        match self {
            Side::Unknown => None,
            Side::Met => Some(true),
            Side::Unmet(_) => Some(false),
        }
    }
}

/// The kernel and ring3 beside an expectation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sides {
    /// The kernel.
    pub kernel: Side,
    /// ring3; of runs, all of its engines.
    pub ours: Side,
}

/// What came of the expectations about a program, each where there is one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Checked {
    /// Parts of the log.
    pub messages: Option<Sides>,
    /// Results.
    pub runs: Option<Sides>,
}

/// Who is asked.
pub(super) struct Sources<'a> {
    /// The kernel.
    pub kernel: Option<&'a Kernel>,
    /// Whose rules hold here.
    pub target: &'a Arc<Target>,
    /// What a verification here may use.
    pub bounds: Bounds,
}

impl Sources<'_> {
    /// Looks for the expected parts in both logs. `program` is as the test loads it.
    pub fn messages(&self, program: &Arc<Program>, expected: &Expected) -> Option<Sides> {
        if expected.messages.is_empty() || !expected.is_for_here() {
            return None;
        }
        let level = expected.log_level.unwrap_or(0);
        // Who asks for no log gets one of what is refused, but none of what is accepted.
        let asked = if level == 0 { FAILURE_LEVEL } else { level };
        let side = |accepted: bool, log: String| {
            let log = if accepted && level == 0 { String::new() } else { log };
            expected.missing(&log).map_or(Side::Met, |missing| Side::Unmet(missing.to_string()))
        };
        let kernel = self.kernel.map(|kernel| kernel.judge_logged(program, ring3_linux::LogLevel(asked)));
        let kernel = match kernel {
            Some((Answer::Judged(verdict), log)) => side(verdict.accepts(), log),
            Some((Answer::Refused { .. } | Answer::Nothing, _)) | None => Side::Unknown,
        };
        let asked = LogLevel(u8::try_from(asked).unwrap_or(u8::MAX));
        let ours = match ours_logged(program, self.target, &self.bounds, asked) {
            (Ours::Judged(verdict), log) => side(verdict.accepts(), log),
            (Ours::Unjudged { .. } | Ours::Failed(_) | Ours::Stopped { .. }, _) => Side::Unknown,
        };
        Some(Sides { kernel, ours })
    }
}

/// Is there a result to expect? What Linux cannot run by itself (BPF_PROG_TEST_RUN) has none, whatever the tables say.
pub(super) fn has_runs(kind: ProgType, expected: &Expected) -> bool {
    let runs = match kind {
        ProgType::Kprobe | ProgType::Tracepoint | ProgType::PerfEvent | ProgType::RawTracepointWritable => false,
        ProgType::CgroupSock | ProgType::CgroupSockAddr | ProgType::CgroupSockopt | ProgType::CgroupSysctl => false,
        ProgType::CgroupDevice | ProgType::SockOps | ProgType::SkSkb | ProgType::SkMsg => false,
        ProgType::SkReuseport | ProgType::LircMode2 | ProgType::Ext | ProgType::Lsm => false,
        ProgType::SocketFilter | ProgType::SchedCls | ProgType::SchedAct | ProgType::Xdp | ProgType::CgroupSkb => true,
        ProgType::LwtIn | ProgType::LwtOut | ProgType::LwtXmit | ProgType::LwtSeg6local => true,
        ProgType::FlowDissector | ProgType::SkLookup | ProgType::Netfilter | ProgType::RawTracepoint => true,
        ProgType::Tracing | ProgType::StructOps | ProgType::Syscall => true,
    };
    runs && !expected.runs.is_empty() && expected.accepted == Some(true) && expected.is_for_here()
}

/// Runs a program as its author does, on the kernel and on each engine here. `subject` has it, `kernel` says whether there
/// is one.
pub(super) fn runs(subject: &run::Single<'_>, kind: ProgType, expected: &Expected, kernel: bool) -> Sides {
    let skipped = if kind == ProgType::SocketFilter { ETH_HLEN } else { 0 };
    let inputs: Vec<&[u8]> = expected.runs.iter().map(|run| run.data.get(skipped..).unwrap_or_default()).collect();
    let side = |results: Result<Vec<u32>, String>| {
        let Ok(results) = results else { return Side::Unknown };
        let wrong = expected.runs.iter().zip(&results).find(|(run, result)| {
            let result = result.cast_signed();
            run.result.is_some_and(|wanted| wanted != result)
        });
        wrong.map_or(Side::Met, |(_, result)| Side::Unmet(result.cast_signed().to_string()))
    };
    let mut ours = Side::Unknown;
    for (name, results) in subject.ours(kind, &inputs) {
        match side(results) {
            Side::Unknown => {}
            Side::Met if ours == Side::Unknown => ours = Side::Met,
            Side::Met => {}
            Side::Unmet(result) => ours = Side::Unmet(format!("{name}: {result}")),
        }
    }
    let kernel = if kernel { side(subject.kernel(kind, &inputs)) } else { Side::Unknown };
    Sides { kernel, ours }
}
