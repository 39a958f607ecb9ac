//! Running a program once, without attaching it (BPF_PROG_TEST_RUN).

use ring3_platform::ProgType;

use crate::sys::{self, AsFd, Command, Failure, Run};
use crate::{Errno, Error, Prog};

/// Room beyond the input: what a program can make a packet grow to.
const DATA_ROOM: usize = 256 << 10;
/// Room for a context that is given back, at least.
const CTX_ROOM: usize = 4 << 10;

/// Input of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TestRun<'a> {
    /// The packet: of programs that have one. The kernel wants at least an Ethernet header (14 bytes).
    pub data: Option<&'a [u8]>,
    /// The context in the layout of the UAPI header (`struct __sk_buff`, `struct xdp_md`), or the arguments of a raw
    /// tracepoint or syscall program.
    pub ctx: Option<&'a [u8]>,
    /// Give the context back, for types that allow it.
    pub wants_ctx: bool,
    /// How often; 0 is once. The duration is the average.
    pub repeat: u32,
    /// `BPF_F_TEST_RUN_ON_CPU` and the like.
    pub flags: u32,
    /// With `BPF_F_TEST_RUN_ON_CPU`: where.
    pub cpu: u32,
    /// With `BPF_F_TEST_XDP_LIVE_FRAMES`: packets in a batch.
    pub batch_size: u32,
}

/// What a run gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunOutput {
    /// R0, as far as the kernel tells: 32 bits.
    pub retval: u32,
    /// Average duration of a run, in nanoseconds.
    pub duration_ns: u32,
    /// The packet afterwards; empty if there was none.
    pub data: Vec<u8>,
    /// The context afterwards, if it was wanted and the kernel gave it.
    pub ctx: Option<Vec<u8>>,
}

impl Prog {
    /// Runs the program in the kernel, on this input.
    ///
    /// Errors: the kernel's: EINVAL for a packet that is too short and for input that the type does not take, ENOTSUPP (524)
    /// for a type that cannot be run so.
    pub fn test_run(&self, run: &TestRun<'_>) -> Result<RunOutput, Error> {
        let mut data = run.data.map(|data| vec![0u8; data.len() + DATA_ROOM]);
        let mut ctx_in = run.ctx.map(<[u8]>::to_vec);
        // The kernel writes into what is given.
        let in_place = self.kind() == Some(ProgType::Syscall);
        let room = run.ctx.map_or(0, <[u8]>::len).max(CTX_ROOM);
        let mut ctx_out = (run.wants_ctx && !in_place).then(|| vec![0u8; room]);
        let request = Run {
            data_in: run.data,
            data_out: data.as_deref_mut(),
            ctx_in: ctx_in.as_deref_mut(),
            ctx_out: ctx_out.as_deref_mut(),
            repeat: run.repeat,
            flags: run.flags,
            cpu: run.cpu,
            batch_size: run.batch_size,
        };
        let (result, ran) = sys::test_run(self.as_fd(), request);
        result.map_err(|failure| match failure {
            Failure::Errno(errno) => Error::Run { program: self.name().to_owned(), errno },
            failure => failure.of(Command::TestRun),
        })?;
        let cut = |mut bytes: Vec<u8>, size: u32| {
            bytes.truncate(size as usize);
            bytes
        };
        Ok(RunOutput {
            retval: ran.retval,
            duration_ns: ran.duration,
            data: data.map_or_else(Vec::new, |data| cut(data, ran.data_size)),
            ctx: if in_place { ctx_in.filter(|_| run.wants_ctx) } else { ctx_out.map(|ctx| cut(ctx, ran.ctx_size)) },
        })
    }
}

impl Error {
    /// Is it that programs of this type cannot be run without being attached?
    pub fn cannot_run(&self) -> bool {
        matches!(self, Error::Run { errno: Errno::ENOTSUPP | Errno::EOPNOTSUPP, .. })
    }
}
