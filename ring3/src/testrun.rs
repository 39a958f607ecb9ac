//! `BPF_PROG_TEST_RUN`: what the system call takes, gives and refuses, type by type.

use ring3_isa::Insn;
use ring3_platform::{AttachType, Errno, ProgType};
use ring3_verifier::{Region, VerifiedProgram};

use crate::run::{Input, Runner};
use crate::{Error, given, takes_packet};

/// `BPF_F_TEST_RUN_ON_CPU`: on the processor that [`TestRun::cpu`] says.
pub const TEST_RUN_ON_CPU: u32 = 1;
/// `BPF_F_TEST_XDP_LIVE_FRAMES`: packets go where the program sends them.
pub const TEST_XDP_LIVE_FRAMES: u32 = 2;
/// `BPF_F_TEST_SKB_CHECKSUM_COMPLETE`: the packet comes with a checksum, which the program has to keep right.
pub const TEST_SKB_CHECKSUM_COMPLETE: u32 = 4;

/// What the system call takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TestRun<'a> {
    /// The packet, of types that have one.
    pub data: Option<&'a [u8]>,
    /// The context as linux/bpf.h has it (`struct __sk_buff`, `struct xdp_md`, `struct bpf_sk_lookup`), or arguments.
    pub ctx: Option<&'a [u8]>,
    /// Whether the context is wanted back.
    pub wants_ctx: bool,
    /// How often; 0 is once.
    pub repeat: u32,
    /// `BPF_F_TEST_RUN_ON_CPU` and the like.
    pub flags: u32,
    /// Where to run, with that flag.
    pub cpu: u32,
    /// Packets in a batch, with live frames.
    pub batch_size: u32,
}

/// What it gives.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TestRunOutput {
    /// The low half of R0.
    pub retval: u32,
    /// Nanoseconds of a run, the average of several.
    pub duration_ns: u32,
    /// The packet with the metadata in front of it; of a flow dissector the flow keys.
    pub data: Vec<u8>,
    /// The context, if it was wanted and the type gives it back.
    pub ctx: Vec<u8>,
}

/// Why the system call refuses.
type Refused = (&'static str, Errno);

const fn invalid(why: &'static str) -> Result<(), Refused> {
    Err((why, Errno::EINVAL))
}

impl TestRun<'_> {
    /// What the kernel looks at before it looks at data and context.
    fn check(&self, kind: ProgType, attach: Option<AttachType>, cpus: u32) -> Result<(), Refused> {
        let no_cpu = self.cpu == 0 && self.batch_size == 0;
        match kind {
            ProgType::SocketFilter
            | ProgType::SchedCls
            | ProgType::SchedAct
            | ProgType::CgroupSkb
            | ProgType::LwtIn
            | ProgType::LwtOut
            | ProgType::LwtXmit => {
                if self.flags & !TEST_SKB_CHECKSUM_COMPLETE != 0 || !no_cpu {
                    return invalid("flags, a processor or a batch that this type does not take");
                }
                if self.flags != 0 {
                    return Err(("checksums of whole packets are not kept here", Errno::EOPNOTSUPP));
                }
            }
            ProgType::Xdp => {
                if matches!(attach, Some(AttachType::XdpDevmap | AttachType::XdpCpumap)) {
                    return invalid("programs in a devmap or cpumap have no test run");
                }
                if self.flags & !TEST_XDP_LIVE_FRAMES != 0 || self.flags == 0 && self.batch_size != 0 {
                    return invalid("flags, or a batch without live frames");
                }
                if self.flags != 0 {
                    return Err(("live frames need a network", Errno::EOPNOTSUPP));
                }
            }
            ProgType::FlowDissector | ProgType::Netfilter | ProgType::SkLookup => {
                if self.flags != 0 || !no_cpu {
                    return invalid("flags, a processor or a batch");
                }
                if kind == ProgType::SkLookup && (self.data.is_some() || self.ctx.is_none()) {
                    return invalid("data, or no context");
                }
            }
            ProgType::RawTracepoint | ProgType::RawTracepointWritable => {
                if self.data.is_some() || self.wants_ctx || self.repeat != 0 || self.batch_size != 0 {
                    return invalid("data, a context to give back, repetitions or a batch");
                }
                if self.flags & TEST_RUN_ON_CPU == 0 && self.cpu != 0 {
                    return invalid("a processor without the flag");
                }
                if self.cpu >= cpus {
                    return Err(("there is no such processor", Errno::ENXIO));
                }
            }
            ProgType::Syscall => {
                if self.data.is_some() || self.repeat != 0 || self.flags != 0 {
                    return invalid("data, repetitions or flags");
                }
            }
            ProgType::Tracing | ProgType::StructOps => {
                return Err(("its test run calls functions of the kernel", Errno::EOPNOTSUPP));
            }
            ProgType::Kprobe
            | ProgType::Tracepoint
            | ProgType::PerfEvent
            | ProgType::LwtSeg6local
            | ProgType::CgroupSock
            | ProgType::SockOps
            | ProgType::SkSkb
            | ProgType::CgroupDevice
            | ProgType::SkMsg
            | ProgType::CgroupSockAddr
            | ProgType::LircMode2
            | ProgType::SkReuseport
            | ProgType::CgroupSysctl
            | ProgType::CgroupSockopt
            | ProgType::Ext
            | ProgType::Lsm => return Err(("the kernel has no test run for this type", Errno::ENOTSUPP)),
        }
        Ok(())
    }
}

/// Where the last access of the context ends that an instruction makes. The kernel counts what helpers are given of it as well; here they
/// find zeroes behind what was given.
fn reach(verified: &VerifiedProgram) -> usize {
    let facts = &verified.facts().insns;
    let end = |slot: usize, insn: &Insn| {
        let (Insn::Load { size, off, .. }
        | Insn::Store { size, off, .. }
        | Insn::Atomic { size, off, .. }
        | Insn::LoadAcquire { size, off, .. }
        | Insn::StoreRelease { size, off, .. }) = insn
        else {
            return None;
        };
        let is_context = facts.get(slot).is_some_and(|facts| facts.region == Region::Ctx);
        is_context.then(|| usize::try_from(*off).unwrap_or(0) + size.bytes() as usize)
    };
    let insns = verified.program().code.insns().iter().enumerate();
    insns.filter_map(|(slot, insn)| end(slot, insn.as_ref().ok()?)).max().unwrap_or(0)
}

impl Runner<'_> {
    /// Runs the program as `BPF_PROG_TEST_RUN` does, with its checks. [`Runner::run`] takes more: types for which the kernel has no test run,
    /// and contexts that it does not take.
    ///
    /// Errors: [`Error::Context`] or [`Error::Packet`] with the kernel's error number; `EOPNOTSUPP` for what the kernel has and this has not:
    /// live frames, checksums of whole packets, functions of the kernel.
    pub fn test_run(&mut self, run: &TestRun<'_>) -> Result<TestRunOutput, Error> {
        #[cfg(feature = "kernel")]
        if let Some(result) = self.test_run_on_kernel(run) {
            return result;
        }
        let program = std::sync::Arc::clone(self.program().program());
        let refuse = |(why, errno)| Error::Context { program: program.name.clone(), why, errno };
        let kind = program.kind;
        run.check(kind, program.attach, self.program().verified().target().cpus).map_err(refuse)?;
        let too_long = run.data.is_some_and(|data| data.len() > ring3_vm::LINEAR + ring3_vm::MAX_IN_FRAGMENTS);
        if kind == ProgType::Xdp && run.ctx.is_none() && !run.wants_ctx && too_long {
            return Err(refuse(given::TOO_MANY_FRAGMENTS));
        }
        let context = match run.ctx {
            // Then it is one of zeroes, which says that all of the packet is in fragments.
            None if run.wants_ctx && kind == ProgType::Xdp => &[0; given::XDP_MD][..],
            context => context.unwrap_or_default(),
        };
        let by_arguments =
            matches!(kind, ProgType::RawTracepoint | ProgType::RawTracepointWritable | ProgType::Syscall);
        if by_arguments && context.len() < reach(self.program().verified()) {
            return Err(refuse(("less than the program reads of it", Errno::EINVAL)));
        }
        let input = match kind {
            _ if takes_packet(kind) => Input::Parts { context, data: run.data.unwrap_or_default(), socket: &[] },
            _ => Input::Context(context),
        };
        let output = self.as_test_run(run.wants_ctx, input, run.repeat.max(1))?;
        let duration_ns = u32::try_from(output.duration.as_nanos()).unwrap_or(u32::MAX);
        let data = [output.meta, output.packet].concat();
        Ok(TestRunOutput { retval: output.retval, duration_ns, data, ctx: output.context })
    }
}
