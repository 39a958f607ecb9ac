//! Runs: what goes in, what comes out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ring3_platform::{Errno, ProgType, ctx, return_name};
use ring3_vm::{
    Cloned, Context, DEFAULT_SEED, DataStart, Env, Host, MAX_PACKET, Objects, PartsContext, Redirect, RunError,
    SOCKET_BYTES, SkbContext, Sysctl, Trace, XdpContext, ctx as vm_ctx,
};

use crate::netfilter::{Hook, Laid};
use crate::{Backend, Error, Executable, given};

/// Bytes of an Ethernet header.
const ETH_HLEN: usize = 14;
/// Bytes of an IPv4 header without options.
const IPV4_HLEN: usize = 20;
/// Bytes of an IPv6 header without extensions.
const IPV6_HLEN: usize = 40;
/// The Ethernet type of IPv4.
const ETH_P_IP: [u8; 2] = [0x08, 0x00];
/// The Ethernet type of IPv6.
const ETH_P_IPV6: [u8; 2] = [0x86, 0xdd];
/// Strings of `bpf_printk` that an instance keeps; later ones are dropped.
pub const MAX_TRACE_LINES: usize = 1 << 16;

/// What programs printed with `bpf_printk`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TraceLog {
    /// A string each call, in order.
    pub lines: Vec<String>,
    /// Calls whose text was not kept.
    pub dropped: u64,
}

impl TraceLog {
    fn add(&mut self, trace: &mut Trace) {
        let mut lines = trace.take();
        let room = MAX_TRACE_LINES.saturating_sub(self.lines.len());
        let over = lines.len().saturating_sub(room);
        self.dropped += over as u64 + std::mem::take(&mut trace.dropped);
        lines.truncate(room);
        self.lines.append(&mut lines);
    }
}

/// What a program runs on.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// An Ethernet frame.
    Packet(&'a [u8]),
    /// What a capture has of a packet, for socket filters alone.
    Captured {
        /// The bytes that were captured, of any link type and length.
        data: &'a [u8],
        /// Length of the packet when it was captured, which may be more than there is of it: what the program sees as `len`.
        length: u32,
    },
    /// The context's bytes, for types without a packet; what is missing is zero.
    Context(&'a [u8]),
    /// The same with what its addresses lead to, for types whose context has a socket or data that are no packet (sock_addr, sockopt,
    /// sk_msg, reuseport, sock_ops). Of netfilter programs the data are a frame, and the context is a `struct nf_hook_state` that says
    /// `hook` and `pf`. Of types with a packet the data are that packet, and the context is a `struct __sk_buff`, or a `struct xdp_md`
    /// whose `data` says how many bytes of metadata begin the data, as BPF_PROG_TEST_RUN takes them.
    Parts {
        /// The context's bytes.
        context: &'a [u8],
        /// The message, or the value of the socket option.
        data: &'a [u8],
        /// The bytes of `struct bpf_sock`.
        socket: &'a [u8],
    },
    /// A setting that is read or written, for sysctl programs.
    Setting {
        /// The context's bytes (`struct bpf_sysctl`).
        context: &'a [u8],
        /// Its name, as `net/ipv4/tcp_mem`.
        name: &'a str,
        /// Its value.
        current: &'a [u8],
        /// What is to be written; `None` where it is read.
        new: Option<&'a [u8]>,
    },
}

impl<'a> From<&'a [u8]> for Input<'a> {
    fn from(bytes: &'a [u8]) -> Input<'a> {
        Input::Packet(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Input<'a> {
    fn from(bytes: &'a [u8; N]) -> Input<'a> {
        Input::Packet(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Input<'a> {
    fn from(bytes: &'a Vec<u8>) -> Input<'a> {
        Input::Packet(bytes)
    }
}

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Output {
    /// The low half of R0, which is what Linux looks at.
    pub retval: u32,
    /// The packet afterwards, or the data of the context; of a flow dissector the flow keys, of a sysctl program the value that is to be
    /// written; empty for types without, and for netfilter, whose packets stay as they are.
    pub packet: Vec<u8>,
    /// The metadata in front of the packet, of XDP programs; of runs on the kernel only if contexts are kept.
    pub meta: Vec<u8>,
    /// What BPF_PROG_TEST_RUN gives back of `struct __sk_buff`, the rest zero, or the numbers of a context without a packet, or of a
    /// syscall program the bytes that it was given; if contexts are kept ([`Runner::keep_contexts`]), and empty for other types.
    pub context: Vec<u8>,
    /// Where the last redirect helper sent it, if the return value says so.
    pub redirect: Option<Redirect>,
    /// Packets that were sent beside it (`bpf_clone_redirect`).
    pub clones: Vec<Cloned>,
    /// Time of a run; the average, of several.
    pub duration: Duration,
    kind: ProgType,
}

#[cfg(feature = "kernel")]
impl Output {
    /// `bytes`: metadata, packet, context.
    pub(crate) fn of_kernel(
        kind: ProgType,
        retval: u32,
        (meta, packet, context): (Vec<u8>, Vec<u8>, Vec<u8>),
        duration: Duration,
    ) -> Output {
        Output { retval, packet, meta, context, redirect: None, clones: Vec::new(), duration, kind }
    }
}

impl Output {
    /// The return value's name, such as `XDP_DROP`.
    pub fn name(&self) -> Option<&'static str> {
        return_name(self.kind, self.retval.cast_signed())
    }
}

/// Whether a program that returned this lets the packet go on (or back, or elsewhere) instead of dropping or keeping it.
/// Types whose return value says nothing of the kind let everything pass.
pub fn passes(kind: ProgType, retval: u32) -> bool {
    match kind {
        // XDP_PASS, XDP_TX, XDP_REDIRECT
        ProgType::Xdp => matches!(retval, 2..=4),
        // all but TC_ACT_SHOT, TC_ACT_STOLEN, TC_ACT_QUEUED, TC_ACT_TRAP
        ProgType::SchedCls | ProgType::SchedAct => !matches!(retval, 2 | 4 | 5 | 8),
        ProgType::SocketFilter => retval != 0,
        ProgType::CgroupSkb => retval & 1 != 0,
        ProgType::SkSkb | ProgType::SkMsg | ProgType::SkReuseport | ProgType::SkLookup | ProgType::Netfilter => {
            retval == 1
        }
        // BPF_DROP
        ProgType::LwtIn | ProgType::LwtOut | ProgType::LwtXmit | ProgType::LwtSeg6local => retval != 2,
        ProgType::Kprobe
        | ProgType::Tracepoint
        | ProgType::PerfEvent
        | ProgType::CgroupSock
        | ProgType::SockOps
        | ProgType::CgroupDevice
        | ProgType::RawTracepoint
        | ProgType::CgroupSockAddr
        | ProgType::LircMode2
        | ProgType::FlowDissector
        | ProgType::CgroupSysctl
        | ProgType::RawTracepointWritable
        | ProgType::CgroupSockopt
        | ProgType::Tracing
        | ProgType::StructOps
        | ProgType::Ext
        | ProgType::Lsm
        | ProgType::Syscall => true,
    }
}

/// Runs one program many times.
pub struct Runner<'i> {
    program: Arc<Executable>,
    env: Env<'i>,
    trace: &'i mut TraceLog,
    kind: ProgType,
    contexts: bool,
    /// Long packets of XDP are not in fragments.
    one_piece: bool,
    /// The context that the packet came with, whose fields the next one must not have.
    with_context: Option<Vec<u8>>,
    /// Socket filters see what the kernel's test run shows them, not what they see on a packet socket.
    without_header: bool,
    /// Structures of the kernel that the context leads to.
    laid: Option<Laid>,
    /// Bytes of the context that were given.
    given: usize,
    #[cfg(feature = "kernel")]
    kernel: Option<OnKernel<'i>>,
}

/// Where the kernel runs the program, with the maps of the instance.
#[cfg(feature = "kernel")]
struct OnKernel<'i> {
    side: &'i mut crate::kernel::KernelSide,
    slots: &'i [crate::instance::Slot],
    /// The content of the kernel's maps is here already.
    is_done: bool,
}

#[cfg(feature = "kernel")]
impl Drop for OnKernel<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            // `Runner::finish` tells errors to those who want to know.
            let _ = self.side.pull(self.slots);
        }
    }
}

impl std::fmt::Debug for Runner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("program", &self.program).finish_non_exhaustive()
    }
}

impl<'i> Runner<'i> {
    pub(crate) fn new(
        program: Arc<Executable>,
        host: &'i mut dyn Host,
        trace: &'i mut TraceLog,
        (nth, budget): (u64, Option<u64>),
        objects: &Arc<Objects>,
    ) -> Result<Runner<'i>, Error> {
        let kind = program.program().kind;
        let mut env = Env::new(host);
        env.budget = budget;
        env.set_objects(Arc::clone(objects));
        // Each runner draws other random numbers, but the same ones whenever the whole is repeated.
        env.seed(DEFAULT_SEED ^ (nth - 1).wrapping_mul(0xd134_2543_de82_ef95));
        let wrong = || Error::Run { program: program.program().name.clone(), source: RunError::WrongContext { kind } };
        env.ctx = match packet_kind(kind) {
            Some(PacketKind::Xdp) => Context::Xdp(XdpContext::new().ok_or_else(wrong)?),
            Some(PacketKind::Skb) => Context::Skb(SkbContext::new().ok_or_else(wrong)?),
            Some(PacketKind::Flow) => Context::Skb(SkbContext::for_flow_dissector().ok_or_else(wrong)?),
            None => PartsContext::new(kind).map_or(Context::None, Context::Parts),
        };
        Ok(Runner {
            program,
            env,
            trace,
            kind,
            contexts: false,
            one_piece: false,
            with_context: None,
            without_header: false,
            laid: None,
            given: 0,
            #[cfg(feature = "kernel")]
            kernel: None,
        })
    }

    /// The same on the kernel.
    #[cfg(feature = "kernel")]
    pub(crate) fn on_kernel(
        mut self,
        side: &'i mut crate::kernel::KernelSide,
        slots: &'i [crate::instance::Slot],
    ) -> Runner<'i> {
        self.kernel = Some(OnKernel { side, slots, is_done: false });
        self
    }

    /// From now on runs give contexts back, as BPF_PROG_TEST_RUN does if it is asked to: [`Output::context`] and
    /// [`Output::meta`]. As there, `wire_len` is then the packet's length.
    pub fn keep_contexts(&mut self) {
        self.contexts = true;
    }

    /// One test run as the kernel has it: whether contexts are given back, socket filters see no Ethernet header, and long packets
    /// are in fragments. Other runs are as they were.
    pub(crate) fn as_test_run(&mut self, contexts: bool, input: Input<'_>, times: u32) -> Result<Output, Error> {
        let before = (self.contexts, self.without_header, self.one_piece);
        (self.contexts, self.without_header, self.one_piece) = (contexts, true, false);
        let output = self.repeat(input, times);
        (self.contexts, self.without_header, self.one_piece) = before;
        output
    }

    /// The same on the kernel, if that is what runs the program.
    #[cfg(feature = "kernel")]
    pub(crate) fn test_run_on_kernel(&self, run: &crate::TestRun<'_>) -> Option<Result<crate::TestRunOutput, Error>> {
        Some(self.kernel.as_ref()?.side.test_run(&self.program.program().name, run))
    }

    /// From now on XDP programs get packets of any length in one piece, as from drivers with large buffers. Otherwise they get them as
    /// the kernel's test run gives them: what does not fit into a page (over 3,520 bytes) is in fragments, which only helpers reach.
    pub fn in_one_piece(&mut self) {
        self.one_piece = true;
    }

    /// From now on the stack of runs with checks ([`Backend::Checked`]) holds this byte wherever the program did not write, instead of
    /// zeroes: two runs that differ by it read stack that nobody wrote.
    pub fn fill_stack(&mut self, byte: u8) {
        self.env.stack_fill = byte;
    }

    /// Whether a run with checks ([`Backend::Checked`]) did arithmetic on an address in memory as if it were a number, so that what it
    /// does depends on where memory lies.
    pub fn counted_with_addresses(&self) -> bool {
        self.env.counts_with_addresses
    }

    /// Where the kernel runs the program: brings the content of its maps to those of the instance, which dropping the runner
    /// does as well, but silently. With other backends there is nothing to do.
    ///
    /// Errors: the kernel's, and what does not go into a map here.
    #[cfg_attr(not(feature = "kernel"), allow(unused_mut))]
    pub fn finish(mut self) -> Result<(), Error> {
        #[cfg(feature = "kernel")]
        if let Some(kernel) = &mut self.kernel {
            kernel.is_done = true;
            kernel.side.pull(kernel.slots)?;
        }
        Ok(())
    }

    /// Runs the callbacks of the program's timers and work queues that are due at this time of the host's clock, in nanoseconds, and
    /// says how many ran. The kernel fires its timers by itself: with that backend there are none.
    ///
    /// Errors: a callback that was stopped.
    pub fn fire_timers(&mut self, now: u64) -> Result<usize, Error> {
        let execute = self.program.execute().clone();
        let fired = ring3_vm::fire_timers(execute.as_ref(), &mut self.env, now);
        self.trace.add(&mut self.env.trace);
        fired.map_err(|source| self.error(source))
    }

    /// Lets time pass: the callbacks of the program's timers and work queues run when they are due on the host's clock, which is moved
    /// there ([`Host::advance_to`]), in their order; one that starts its timer again runs again within that time. Says how many ran, at
    /// most [`MAX_FIRED`](ring3_vm::MAX_FIRED).
    ///
    /// Errors: a callback that was stopped.
    pub fn advance(&mut self, time: Duration) -> Result<usize, Error> {
        let execute = self.program.execute().clone();
        let by = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let fired = ring3_vm::advance(execute.as_ref(), &mut self.env, by);
        self.trace.add(&mut self.env.trace);
        fired.map_err(|source| self.error(source))
    }

    /// The program.
    pub fn program(&self) -> &Arc<Executable> {
        &self.program
    }

    /// Runs the program once.
    pub fn run<'a>(&mut self, input: impl Into<Input<'a>>) -> Result<Output, Error> {
        self.repeat(input, 1)
    }

    /// Runs the program several times on the same packet, as BPF_PROG_TEST_RUN does: what it changes adds up, the result is
    /// the last run's, and the duration the average. At least once.
    pub fn repeat<'a>(&mut self, input: impl Into<Input<'a>>, times: u32) -> Result<Output, Error> {
        let input = input.into();
        #[cfg(feature = "kernel")]
        if let Some(kernel) = &self.kernel {
            // The kernel looks at packets itself, but sees those of socket filters with a header in front.
            if let (Input::Packet(frame), ProgType::SocketFilter) = (input, self.kind) {
                self.check(frame)?;
            }
            return kernel.side.run(&self.program.program().name, self.kind, input, times, self.contexts);
        }
        self.load(input)?;
        if let (true, None, Context::Skb(skb)) = (self.contexts, &self.with_context, &mut self.env.ctx) {
            let len = skb.packet().len() as u64;
            skb.fields().set("wire_len", len);
        }
        // Of a program that is run with checks nobody else would ask.
        if matches!(self.program.backend(), Backend::Checked | Backend::States) && !self.env.ctx.suits(self.kind) {
            return Err(self.error(RunError::WrongContext { kind: self.kind }));
        }
        self.env.clones.clear();
        let execute = self.program.execute().clone();
        let started = Instant::now();
        let mut result = ring3_vm::run(execute.as_ref(), &mut self.env);
        for _ in 1..times {
            if result.is_err() {
                break;
            }
            result = ring3_vm::run(execute.as_ref(), &mut self.env);
        }
        let duration = started.elapsed() / times.max(1);
        self.trace.add(&mut self.env.trace);
        let retval = result.map_err(|source| self.error(source))? as u32;
        let packet = match &self.env.ctx {
            Context::Skb(skb) if self.kind == ProgType::FlowDissector => skb.flow_keys(),
            Context::Skb(skb) => skb.data_out(),
            Context::Parts(_) if self.kind == ProgType::Netfilter => Vec::new(),
            Context::Fields(_) if self.kind == ProgType::CgroupSysctl => {
                self.env.sysctl.new.clone().unwrap_or_default()
            }
            other => other.packet().map_or_else(Vec::new, |packet| packet.bytes().to_vec()),
        };
        let meta = match &self.env.ctx {
            Context::Xdp(xdp) => xdp.packet().meta().to_vec(),
            Context::None | Context::Skb(_) | Context::Raw(_) | Context::Fields(_) | Context::Parts(_) => Vec::new(),
        };
        let context = match &mut self.env.ctx {
            Context::Skb(_) if self.contexts && self.kind == ProgType::FlowDissector && self.without_header => {
                given::returned(self.with_context.as_deref(), given::FLOW_KEYS)
            }
            Context::Skb(skb) if self.contexts && self.kind != ProgType::FlowDissector => {
                let given = given::returned(self.with_context.as_deref(), given::SK_BUFF);
                given_back(&skb.fields().image(), &given)
            }
            Context::Xdp(xdp) if self.contexts && self.without_header => {
                given::xdp_back(xdp, given::returned(self.with_context.as_deref(), given::XDP_MD))
            }
            Context::Fields(slots) if self.contexts => slots.image(),
            // Of netfilter it is addresses alone.
            Context::Parts(parts) if self.contexts && self.kind != ProgType::Netfilter => parts.fields().image(),
            Context::Raw(raw) if self.contexts && self.kind == ProgType::Syscall => {
                let mut bytes = raw.to_vec();
                bytes.truncate(self.given);
                bytes
            }
            Context::None
            | Context::Skb(_)
            | Context::Xdp(_)
            | Context::Raw(_)
            | Context::Fields(_)
            | Context::Parts(_) => Vec::new(),
        };
        let (redirect, clones) = (self.env.redirect, std::mem::take(&mut self.env.clones));
        Ok(Output { retval, packet, meta, context, redirect, clones, duration, kind: self.kind })
    }

    fn error(&self, source: RunError) -> Error {
        Error::Run { program: self.program.program().name.clone(), source }
    }

    fn load(&mut self, input: Input<'_>) -> Result<(), Error> {
        match input {
            Input::Packet(frame) if self.kind == ProgType::Netfilter => self.load_netfilter(frame, &[])?,
            Input::Parts { context, data, socket: _ } if packet_kind(self.kind).is_some() => {
                self.load(Input::Packet(data))?;
                self.load_context(context, data)?;
            }
            Input::Packet(frame) => {
                self.check(frame)?;
                if self.with_context.take().is_some() {
                    given::forget(&mut self.env.ctx);
                }
                match &mut self.env.ctx {
                    Context::Xdp(xdp) if self.one_piece => xdp.load(frame),
                    Context::Xdp(xdp) => xdp.load_in_fragments(frame),
                    Context::Skb(skb) if self.without_header && self.kind == ProgType::SocketFilter => {
                        skb.load(frame, DataStart::Network);
                    }
                    Context::Skb(skb) => skb.load(frame, data_start(self.kind)),
                    Context::None | Context::Raw(_) | Context::Fields(_) | Context::Parts(_) => {
                        return Err(self.error(RunError::WrongContext { kind: self.kind }));
                    }
                }
            }
            Input::Captured { data, length } => match &mut self.env.ctx {
                Context::Skb(skb) if self.kind == ProgType::SocketFilter => {
                    if data.len() > MAX_PACKET {
                        return Err(self.error(RunError::PacketTooLong { len: data.len(), limit: MAX_PACKET }));
                    }
                    skb.load(data, DataStart::Ethernet);
                    skb.cut_from(length);
                }
                Context::Skb(_)
                | Context::None
                | Context::Xdp(_)
                | Context::Raw(_)
                | Context::Fields(_)
                | Context::Parts(_) => {
                    return Err(self.error(RunError::WrongContext { kind: self.kind }));
                }
            },
            Input::Setting { context, name, current, new } => {
                if self.kind != ProgType::CgroupSysctl {
                    return Err(self.error(RunError::WrongContext { kind: self.kind }));
                }
                self.load(Input::Context(context))?;
                let new = new.map(<[u8]>::to_vec);
                self.env.sysctl = Sysctl { name: name.to_owned(), current: current.to_vec(), new };
            }
            Input::Parts { context, data, socket: _ } if self.kind == ProgType::Netfilter => {
                self.load_netfilter(data, context)?;
            }
            Input::Context(context) if matches!(self.env.ctx, Context::Parts(_)) => {
                self.load(Input::Parts { context, data: &[], socket: &[] })?;
            }
            Input::Parts { context, data, socket } => match &mut self.env.ctx {
                Context::Parts(parts) => {
                    let kind = self.kind;
                    for (len, limit) in [(context.len(), parts.fields().image_size()), (socket.len(), SOCKET_BYTES)] {
                        if len > limit {
                            return Err(self.error(RunError::ContextSize { len, limit, kind }));
                        }
                    }
                    if data.len() > MAX_PACKET {
                        return Err(self.error(RunError::PacketTooLong { len: data.len(), limit: MAX_PACKET }));
                    }
                    parts.load(context, data);
                    parts.set_socket(socket);
                }
                Context::None | Context::Xdp(_) | Context::Skb(_) | Context::Raw(_) | Context::Fields(_) => {
                    return Err(self.error(RunError::WrongContext { kind: self.kind }));
                }
            },
            Input::Context(image) => match packet_kind(self.kind) {
                Some(_) => return Err(self.error(RunError::WrongContext { kind: self.kind })),
                None if self.kind == ProgType::SkLookup => {
                    let image = self.checked_lookup(image)?;
                    self.env.ctx = vm_ctx::from_image(self.kind, &image).map_err(|source| self.error(source))?;
                }
                None => {
                    self.check_arguments(image)?;
                    self.given = image.len();
                    self.env.ctx = vm_ctx::from_image(self.kind, image).map_err(|source| self.error(source))?;
                }
            },
        }
        Ok(())
    }

    /// Puts the context in that is given with a packet, which is there already.
    fn load_context(&mut self, context: &[u8], data: &[u8]) -> Result<(), Error> {
        if context.is_empty() {
            return Ok(());
        }
        let flows = self.kind == ProgType::FlowDissector;
        self.with_context = Some(context.to_vec());
        let host = &mut *self.env.host;
        let is_there = |ifindex| host.mtu(ifindex).is_some();
        let taken = match &mut self.env.ctx {
            Context::Xdp(xdp) => given::xdp(xdp, (context, data), is_there),
            Context::Skb(skb) if flows => given::flow(skb, context),
            Context::Skb(skb) => given::skb(skb, context, is_there),
            Context::None | Context::Raw(_) | Context::Fields(_) | Context::Parts(_) => Ok(()),
        };
        let program = || self.program.program().name.clone();
        taken.map_err(|(why, errno)| Error::Context { program: program(), why, errno })
    }

    /// Puts a frame and where it is into the context, as the kernel's test run of netfilter programs does.
    fn load_netfilter(&mut self, frame: &[u8], state: &[u8]) -> Result<(), Error> {
        let refuse = |(why, errno)| {
            let program = self.program.program().name.clone();
            Error::Context { program, why, errno }
        };
        if frame.len() > MAX_PACKET {
            return Err(self.error(RunError::PacketTooLong { len: frame.len(), limit: MAX_PACKET }));
        }
        let hook = Hook::of(state).map_err(refuse)?;
        // What the run before had is given back first.
        self.laid = None;
        let objects = Arc::clone(self.env.objects());
        let Context::Parts(parts) = &mut self.env.ctx else {
            return Err(self.error(RunError::WrongContext { kind: self.kind }));
        };
        let types = self.program.verified().target().btf.clone();
        self.laid = Some(Laid::load(parts, (types.as_ref(), &objects), hook, frame).map_err(refuse)?);
        Ok(())
    }

    /// What the kernel's test run looks at in arguments of raw tracepoints and system calls.
    fn check_arguments(&self, image: &[u8]) -> Result<(), Error> {
        let limit = match self.kind {
            ProgType::RawTracepoint | ProgType::RawTracepointWritable => RAW_TRACEPOINT_BYTES,
            ProgType::Syscall => usize::from(u16::MAX),
            _ => return Ok(()),
        };
        if image.len() <= limit {
            return Ok(());
        }
        let program = self.program.program().name.clone();
        Err(Error::Context { program, why: "more than arguments can be", errno: Errno::EINVAL })
    }

    /// What the kernel's test run looks at in a `struct bpf_sk_lookup`, and what is left of it: a lookup has addresses of one family.
    fn checked_lookup(&self, image: &[u8]) -> Result<Vec<u8>, Error> {
        let mut image = image.to_vec();
        if image.len() < lookup::BYTES {
            image.resize(lookup::BYTES, 0);
        }
        let refuse = |why, errno| {
            let program = self.program.program().name.clone();
            Err(Error::Context { program, why, errno })
        };
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| image[at + i]));
        if image[..lookup::FAMILY].iter().any(|byte| *byte != 0) {
            return refuse("the socket is not zero", Errno::EINVAL);
        }
        if word(lookup::LOCAL_PORT) > u32::from(u16::MAX) {
            return refuse("the local port has more than 16 bits", Errno::ERANGE);
        }
        let other: &[std::ops::Range<usize>] = match word(lookup::FAMILY) as u16 {
            lookup::AF_INET => &lookup::ADDRESSES_6,
            lookup::AF_INET6 => &lookup::ADDRESSES_4,
            _ => return refuse("the family is neither AF_INET nor AF_INET6", Errno::EAFNOSUPPORT),
        };
        other.iter().for_each(|range| image[range.clone()].fill(0));
        Ok(image)
    }

    fn check(&self, frame: &[u8]) -> Result<(), Error> {
        let len = frame.len();
        let refuse = |why| {
            let program = self.program.program().name.clone();
            Err(Error::Packet { program, len, why, errno: Errno::EINVAL })
        };
        if len > MAX_PACKET {
            return Err(self.error(RunError::PacketTooLong { len, limit: MAX_PACKET }));
        }
        if len < ETH_HLEN {
            return refuse("shorter than an Ethernet header");
        }
        // The network stack needs the addresses before a program sees the packet; a packet socket does not.
        let needs_ip = packet_kind(self.kind) == Some(PacketKind::Skb) && self.kind != ProgType::SocketFilter;
        if needs_ip && frame[12..ETH_HLEN] == ETH_P_IP && len < ETH_HLEN + IPV4_HLEN {
            return refuse("IPv4, but shorter than an IPv4 header");
        }
        if needs_ip && frame[12..ETH_HLEN] == ETH_P_IPV6 && len < ETH_HLEN + IPV6_HLEN {
            return refuse("IPv6, but shorter than an IPv6 header");
        }
        Ok(())
    }
}

/// Bytes of the arguments of a raw tracepoint, at most.
const RAW_TRACEPOINT_BYTES: usize = 12 * 8;

/// `struct bpf_sk_lookup`.
mod lookup {
    pub(super) const BYTES: usize = 68;
    pub(super) const FAMILY: usize = 8;
    pub(super) const LOCAL_PORT: usize = 60;
    pub(super) const AF_INET: u16 = 2;
    pub(super) const AF_INET6: u16 = 10;
    pub(super) const ADDRESSES_4: [std::ops::Range<usize>; 2] = [16..20, 40..44];
    pub(super) const ADDRESSES_6: [std::ops::Range<usize>; 2] = [20..36, 44..60];
}

/// Fields of `struct __sk_buff` that BPF_PROG_TEST_RUN gives back: offset and bytes.
const GIVEN_BACK: [(usize, usize); 5] = [(8, 4), (32, 12), (48, 20), (152, 16), (184, 8)];

/// An image of `struct __sk_buff` with only those, the rest as it was given.
pub(crate) fn given_back(image: &[u8], given: &[u8]) -> Vec<u8> {
    let mut out = given.to_vec();
    for (at, len) in GIVEN_BACK {
        if let (Some(to), Some(from)) = (out.get_mut(at..at + len), image.get(at..at + len)) {
            to.copy_from_slice(from);
        }
    }
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PacketKind {
    Xdp,
    Skb,
    /// As `Skb`, and what comes back is flow keys.
    Flow,
}

/// What kind of packet a type runs on.
fn packet_kind(kind: ProgType) -> Option<PacketKind> {
    if kind == ProgType::Xdp {
        return Some(PacketKind::Xdp);
    }
    if kind == ProgType::FlowDissector {
        return Some(PacketKind::Flow);
    }
    let skb = ctx::layout(kind).is_some_and(|layout| layout.name == "__sk_buff");
    skb.then_some(PacketKind::Skb)
}

/// Whether programs of this type run on a packet; else on a context alone.
pub fn takes_packet(kind: ProgType) -> bool {
    packet_kind(kind).is_some() || kind == ProgType::Netfilter
}

/// Socket filters see the frame as on a packet socket, which is where they are used most.
fn data_start(kind: ProgType) -> DataStart {
    match kind {
        ProgType::SocketFilter | ProgType::FlowDissector => DataStart::Ethernet,
        kind => DataStart::of(kind),
    }
}
