//! The environment of a run: everything that helpers reach and that is not a map.
//!
//! Both engines hand the same `&mut Env` to every helper. It is not shared between threads: each thread that runs programs
//! has an environment of its own; maps are what they share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ring3_platform::{Errno, HelperId};

use crate::ctx::{Context, SOCKET_BYTES};
use crate::guarded::Arena;
use crate::host::{Host, Start};
use crate::interp;
use crate::link::{Linked, MapHandle};
use crate::objects::Objects;
use crate::regions::{RegionKind, Regions};

/// How deep tail calls may go (`MAX_TAIL_CALL_CNT`).
pub const MAX_TAIL_CALLS: u32 = 33;
/// Bytes of trace output that an environment keeps; what comes later is counted in `Trace::dropped`.
pub const MAX_TRACE_BYTES: usize = 1 << 20;
/// Packets sent with `bpf_clone_redirect` that an environment keeps.
pub const MAX_CLONES: usize = 1024;
/// Bytes that these may have together.
pub const MAX_CLONE_BYTES: usize = 16 << 20;
/// Sets of bits that iterators of a run hold at a time.
const MAX_BIT_SETS: usize = 64;
/// The seed of `bpf_get_prandom_u32` unless set.
pub const DEFAULT_SEED: u64 = 0x7269_6e67_3362_7066;

/// Instructions of a run of an unverified program for which the environment has no budget: such programs need not end.
pub const MAX_UNVERIFIED_INSNS: u64 = 1 << 30;

/// Bytes of a task that nobody described: more than the kernel's structure has.
const BLANK_TASK_BYTES: usize = 1 << 14;

/// Bytes that stand for objects of the kernel: more than offsets into its structures reach, to either side.
const STAND_IN_BYTES: usize = 1 << 17;

/// Why a run was stopped. Verified programs only stop for what the engine was told to stop for (a budget).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum TrapKind {
    #[error("{} of {len} bytes at {addr:#x} is outside of all live memory", if *.write { "write" } else { "read" })]
    BadAccess { addr: u64, len: u64, write: bool },
    #[error("helper {helper} was given memory that is not live: {len} bytes at {addr:#x}")]
    BadHelperMemory { helper: u32, addr: u64, len: u64 },
    #[error("helper {helper} was given {value:#x} where it needs {what}")]
    BadHelperArgument { helper: u32, value: u64, what: &'static str },
    #[error("the call stack is deeper than {} frames", crate::interp::MAX_FRAMES)]
    CallDepth,
    #[error("callbacks and tail calls take too much of the native stack")]
    NativeStack,
    #[error("the budget of {budget} instructions is used up")]
    Budget { budget: u64 },
    #[error("{what} cannot be run by this engine")]
    Unsupported { what: &'static str },
    #[error("execution runs off the end of the program")]
    FellOff,
    #[error("the run is outside of every state that the verifier has here")]
    OutsideStates,
}

impl TrapKind {
    /// Only engines that check say before each call which helper it is.
    fn name_helper(&mut self, called: Option<HelperId>) {
        let (TrapKind::BadHelperMemory { helper, .. } | TrapKind::BadHelperArgument { helper, .. }) = self else {
            return;
        };
        if let (0, Some(called)) = (*helper, called) {
            *helper = called.0;
        }
    }
}

/// A stopped run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("slot {slot}: {kind}")]
pub struct Trap {
    /// Slot of the instruction.
    pub slot: u32,
    /// Reason.
    pub kind: TrapKind,
}

/// Trace output (`bpf_trace_printk`, `bpf_trace_vprintk`).
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// One entry a call, without the header that tracefs adds; bytes that are not UTF-8 are replaced.
    pub lines: Vec<String>,
    /// Calls whose text was not kept.
    pub dropped: u64,
    bytes: usize,
}

impl Trace {
    /// Adds one call's text.
    pub fn push(&mut self, text: &[u8]) {
        if self.bytes + text.len() > MAX_TRACE_BYTES {
            self.dropped += 1;
            return;
        }
        self.bytes += text.len();
        self.lines.push(String::from_utf8_lossy(text).into_owned());
    }

    /// Takes what there is, and makes room again.
    pub fn take(&mut self) -> Vec<String> {
        self.bytes = 0;
        std::mem::take(&mut self.lines)
    }
}

/// Where `bpf_redirect`, `bpf_redirect_peer` or `bpf_redirect_map` sends the packet, if the program's result says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Redirect {
    /// To an interface.
    Interface {
        /// Interface number.
        ifindex: u32,
        /// Flags of the call.
        flags: u64,
    },
    /// To an entry of a devmap, cpumap or xskmap, or to all of a devmap's.
    Map {
        /// Index of the map in the linked program.
        map: u32,
        /// Key.
        key: u64,
        /// Flags of the call.
        flags: u64,
    },
}

/// A packet that `bpf_clone_redirect` sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cloned {
    /// Its bytes.
    pub frame: Vec<u8>,
    /// Interface number.
    pub ifindex: u32,
    /// Whether it goes to the interface's ingress.
    pub ingress: bool,
}

/// A setting that is read or written (`bpf_sysctl_*`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sysctl {
    /// Its name, as `net/ipv4/tcp_mem`.
    pub name: String,
    /// Its value.
    pub current: Vec<u8>,
    /// What is to be written, which the program may replace; `None` where it is read.
    pub new: Option<Vec<u8>>,
}

/// How an engine runs a subprogram for a helper (callbacks). The engine fills it in while it executes.
#[derive(Clone, Copy)]
pub struct CallHook {
    /// Runs subprogram `subprog` with R1 to R5 and gives its R0. `data` is the field below.
    pub call: unsafe fn(data: *const (), env: &mut Env<'_>, subprog: u32, args: [u64; 5]) -> u64,
    /// The engine's own state.
    pub data: *const (),
}

/// What was running before; `Env::leave` takes it back.
pub struct Entered {
    /// `None` if it was the same program, or none at all.
    linked: Option<Arc<Linked>>,
    hook: Option<CallHook>,
    /// Live memory of an unverified program that called a verified one, which is not checked.
    regions: Option<Regions>,
    wary: bool,
}

/// A callback as the program holds it in a register: what `Op::LoadImm` yields for a function (`Wide::Func`).
///
/// The high half is a mark, so that an unverified program's random number is hardly ever taken for one; the low half is the
/// index of the subprogram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Callback(pub u32);

impl Callback {
    const MARK: u64 = 0xcb_0000_0000;

    /// The value of the register.
    pub const fn token(self) -> u64 {
        Self::MARK | self.0 as u64
    }

    /// Back from the register.
    pub const fn from_token(token: u64) -> Option<Callback> {
        if token & !0xffff_ffff == Self::MARK { Some(Callback(token as u32)) } else { None }
    }
}

/// What helpers reach.
pub struct Env<'h> {
    /// The surroundings.
    pub host: &'h mut dyn Host,
    /// Trace output so far.
    pub trace: Trace,
    /// The context that the program runs on.
    pub ctx: Context,
    /// What the last redirect helper recorded.
    pub redirect: Option<Redirect>,
    /// Packets that were cloned away.
    pub clones: Vec<Cloned>,
    /// Instructions that an interpreter may execute in one run; `None` is no limit but [`MAX_UNVERIFIED_INSNS`]. It is looked at
    /// where a program jumps, calls, or ends: what stands before the first of these that it does not last for still runs.
    pub budget: Option<u64>,
    /// What the operation gives that a program of a control group is asked about (`bpf_get_retval`, `bpf_set_retval`).
    pub retval: i32,
    /// The setting that a sysctl program is asked about.
    pub sysctl: Sysctl,
    /// What each byte of a frame holds before a program with checks writes there. Nobody may rely on it: runs that differ by it read
    /// stack that they did not write.
    pub stack_fill: u8,
    /// A program with checks counted with the bits of an address as if it were a number, which makes what it does depend on where memory
    /// lies. Nobody takes that back but who asks.
    pub counts_with_addresses: bool,
    /// CPU of this run, asked of the host once at its start.
    pub(crate) cpu: u32,
    /// The program that is running now, or ran last.
    pub(crate) linked: Option<Arc<Linked>>,
    /// How callbacks are run now.
    pub(crate) hook: Option<CallHook>,
    /// Live memory, when the program was not verified.
    pub(crate) regions: Option<Regions>,
    /// What stands for objects of the kernel in runs with checks; empty if nothing does.
    stand_in: Box<[u64]>,
    /// Tail calls taken in this run.
    pub(crate) tail_calls: u32,
    /// Helper that is running now, for messages.
    pub(crate) helper: u32,
    trap: Option<Trap>,
    /// Whether there is one, where machine code sees it.
    stopped: bool,
    /// Whether the slot of `trap` was filled in.
    located: bool,
    /// What is left of the budget of this run, in `interp::steps`, while helpers run and after it.
    pub(crate) left: i64,
    /// The key that a callback was given that was put off: where it is, and its bytes.
    pub(crate) given_key: Option<(u64, u64)>,
    /// An address of the native stack above all frames of the run; 0 outside of runs.
    pub(crate) stack_start: u64,
    rng: u64,
    /// Sets of bits that iterators go through: those that are too large for the iterator itself.
    bits: Vec<Option<Box<[u64]>>>,
    /// Whether random numbers come from `rng` alone in this run.
    own_random: bool,
    /// What programs made, and what stands for structures of the kernel.
    objects: Arc<Objects>,
    /// The running program may hold addresses of the kernel, of which a proof says nothing here: what helpers are given is looked up.
    wary: bool,
    /// Of a program whose functions throw.
    pub(crate) unwinding: Unwinding,
    /// An object in place of a task that nobody described.
    blank_task: Option<u64>,
    /// Locks that the run holds: a proof says that it gives them back, but a trap may come before that.
    locks: Vec<u64>,
}

/// What is kept while the frames of a program are left that throws.
#[derive(Debug, Default)]
pub(crate) struct Unwinding {
    /// What it threw, until somebody caught it.
    pub(crate) thrown: Option<u64>,
    /// The result of the function that was called last.
    pub(crate) result: u64,
}

impl fmt::Debug for Env<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env")
            .field("ctx", &self.ctx)
            .field("cpu", &self.cpu)
            .field("trap", &self.trap)
            .finish_non_exhaustive()
    }
}

impl<'h> Env<'h> {
    /// An environment without a context.
    pub fn new(host: &'h mut dyn Host) -> Env<'h> {
        Env {
            host,
            trace: Trace::default(),
            ctx: Context::None,
            redirect: None,
            clones: Vec::new(),
            budget: None,
            retval: 0,
            sysctl: Sysctl::default(),
            stack_fill: 0,
            counts_with_addresses: false,
            cpu: 0,
            linked: None,
            hook: None,
            regions: None,
            stand_in: Box::default(),
            tail_calls: 0,
            helper: 0,
            trap: None,
            stopped: false,
            located: false,
            left: 0,
            given_key: None,
            stack_start: 0,
            rng: DEFAULT_SEED,
            bits: Vec::new(),
            own_random: false,
            objects: Arc::default(),
            wary: false,
            unwinding: Unwinding::default(),
            blank_task: None,
            locks: Vec::new(),
        }
    }

    /// The objects of the runs: those that programs made, and those that the embedder added for programs to find.
    pub fn objects(&self) -> &Arc<Objects> {
        &self.objects
    }

    /// Takes these in their place, which other environments may have too.
    pub fn set_objects(&mut self, objects: Arc<Objects>) {
        self.blank_task = None;
        self.objects = objects;
    }

    /// Sets the seed of `bpf_get_prandom_u32`.
    #[inline]
    pub fn seed(&mut self, seed: u64) {
        self.rng = seed;
    }

    /// From now on runs with checks may access memory that stands for all objects of the kernel, and gives its address. Each word
    /// there is that address too, so that an object leads to the next.
    pub fn stand_in_for_kernel(&mut self) -> u64 {
        let words = STAND_IN_BYTES / 8;
        self.stand_in = vec![0; words].into();
        let middle = self.stand_in.as_mut_ptr() as u64 + (STAND_IN_BYTES / 2) as u64;
        self.stand_in.fill(middle);
        middle
    }

    /// Where machine code finds the number of the CPU in an environment: 4 bytes at this offset.
    pub const CPU_OFFSET: usize = std::mem::offset_of!(Env<'static>, cpu);

    /// Where machine code finds what is left of the budget: 8 bytes at this offset, negative when it is used up.
    pub const LEFT_OFFSET: usize = std::mem::offset_of!(Env<'static>, left);

    /// Where machine code finds whether the run is to stop: a byte that is 0 or 1.
    pub const STOPPED_OFFSET: usize = std::mem::offset_of!(Env<'static>, stopped);

    /// What one operation takes of it.
    pub const STEP: i32 = interp::steps(1) as i32;

    /// Makes the run one without a budget, for engines that count all runs.
    #[inline]
    pub fn count_without_end(&mut self) {
        if self.budget.is_none() {
            self.left = i64::MAX;
        }
    }

    /// Where machine code finds whether random numbers come from the environment's own generator: a byte that is 0 or 1.
    pub const OWN_RANDOM_OFFSET: usize = std::mem::offset_of!(Env<'static>, own_random);

    /// Where machine code finds the state of that generator: 8 bytes.
    pub const RANDOM_OFFSET: usize = std::mem::offset_of!(Env<'static>, rng);

    /// What that generator (SplitMix64) adds, and what it multiplies by.
    pub const RANDOM_CONSTANTS: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb];

    /// The CPU of this run.
    pub fn cpu(&self) -> u32 {
        self.cpu
    }

    /// The next number of `bpf_get_prandom_u32` (SplitMix64, upper half).
    pub fn prandom_u32(&mut self) -> u32 {
        if !self.own_random
            && let Some(number) = self.host.prandom_u32()
        {
            return number;
        }
        let [step, first, second] = Self::RANDOM_CONSTANTS;
        self.rng = self.rng.wrapping_add(step);
        let mut z = self.rng;
        z = (z ^ (z >> 30)).wrapping_mul(first);
        z = (z ^ (z >> 27)).wrapping_mul(second);
        ((z ^ (z >> 31)) >> 32) as u32
    }

    /// Makes ready for a run: what earlier runs left is gone, but for the trace, the clones and the random numbers.
    #[inline]
    pub(crate) fn start(&mut self) {
        let Start { cpu, gives_random } = self.host.at_start();
        self.cpu = cpu;
        self.own_random = !gives_random;
        self.redirect = None;
        self.tail_calls = 0;
        self.trap = None;
        self.stopped = false;
        self.located = false;
        // A run that somebody's panic left has not ended.
        self.given_key = None;
        self.left = interp::steps(self.budget_of_run());
        self.forget_regions();
        if !self.bits.is_empty() {
            self.bits.clear();
        }
        self.unwinding = Unwinding::default();
    }

    /// Most runs have none: what is not there is not written over.
    #[inline]
    fn forget_regions(&mut self) {
        if self.regions.is_some() {
            self.regions = None;
        }
    }

    /// Forgets what only holds during a run.
    #[inline]
    pub(crate) fn end(&mut self) {
        if !self.locks.is_empty() {
            self.give_back_locks();
        }
        self.stack_start = 0;
        self.given_key = None;
        self.forget_regions();
    }

    /// What a trap left locked.
    #[cold]
    fn give_back_locks(&mut self) {
        while let Some(addr) = self.locks.pop() {
            if self.regions.as_ref().is_none_or(|regions| regions.find(addr, 4, true).is_some()) {
                // SAFETY: a lock of a map's value or of an object, whose memory stays; or live memory. It was found to be aligned.
                unsafe { AtomicU32::from_ptr(addr as *mut u32) }.store(0, Ordering::Release);
            }
        }
    }

    /// The run holds a lock now, or does not any more.
    pub(crate) fn note_lock(&mut self, addr: u64, held: bool) {
        if held {
            self.locks.push(addr);
        } else if let Some(at) = self.locks.iter().rposition(|lock| *lock == addr) {
            self.locks.swap_remove(at);
        }
    }

    /// Where the structure of the current task stands.
    pub(crate) fn task_object(&mut self) -> u64 {
        if let Some(addr) = self.host.task_object() {
            return addr;
        }
        // What cannot be made anew is found no more, and reads give 0.
        let made = self.blank_task.or_else(|| self.objects.make(BLANK_TASK_BYTES).ok());
        self.blank_task = made;
        made.unwrap_or(0)
    }

    /// Keeps a set of bits for an iterator: the number to ask for it by, `None` if there are too many.
    pub(crate) fn keep_bits(&mut self, words: Box<[u64]>) -> Option<u64> {
        let at = self.bits.iter().position(Option::is_none).unwrap_or(self.bits.len());
        match self.bits.get_mut(at) {
            Some(slot) => *slot = Some(words),
            None if at < MAX_BIT_SETS => self.bits.push(Some(words)),
            None => return None,
        }
        Some(at as u64)
    }

    /// A set that is kept.
    pub(crate) fn kept_bits(&self, number: u64) -> Option<&[u64]> {
        self.bits.get(usize::try_from(number).ok()?)?.as_deref()
    }

    /// Forgets one.
    pub(crate) fn drop_bits(&mut self, number: u64) {
        if let Some(slot) = usize::try_from(number).ok().and_then(|at| self.bits.get_mut(at)) {
            *slot = None;
        }
    }

    /// Instructions that the last run executed, if the environment had a budget for it and it ended by itself.
    pub fn executed(&self) -> Option<u64> {
        Some(interp::instructions(interp::steps(self.budget?) - self.left))
    }

    #[inline]
    pub(crate) fn budget_of_run(&self) -> u64 {
        self.budget.unwrap_or(MAX_UNVERIFIED_INSNS)
    }

    /// Notes which helper runs now.
    pub(crate) fn set_helper(&mut self, id: u32) {
        self.helper = id;
    }

    /// Runs a callback of the running program: `token` is what the program passed, `args` become R1 to R5. Gives its R0.
    ///
    /// # Safety
    ///
    /// The arguments are what the verifier assumed for the callback's, or the program runs checked.
    pub unsafe fn call_subprog(&mut self, token: u64, args: [u64; 5]) -> u64 {
        let known = Callback::from_token(token).filter(|c| self.linked.as_ref().is_some_and(|l| l.has_subprog(c.0)));
        match (known, self.hook) {
            // SAFETY: an engine sets the hook to itself while it executes and takes it back before it goes; the subprogram
            // exists by the check above.
            (Some(callback), Some(hook)) => unsafe { (hook.call)(hook.data, self, callback.0, args) },
            _ => {
                self.trap_argument(token, "a callback of the program");
                0
            }
        }
    }

    /// Engines call this when they start a program: which one it is and how its callbacks are run. What it gives goes to
    /// `leave` at the end.
    #[inline]
    pub fn enter(&mut self, linked: &Arc<Linked>, hook: CallHook) -> Entered {
        let regions = if linked.is_verified() {
            if self.regions.is_some() { self.regions.take() } else { None }
        } else {
            self.publish_program(linked);
            None
        };
        // Most runs are of the program that ran before: counting its references would be most of the cost of a short run.
        let wary = std::mem::replace(&mut self.wary, linked.is_wary());
        let same = self.linked.as_ref().is_some_and(|now| Arc::ptr_eq(now, linked));
        let linked = if same { None } else { self.linked.replace(Arc::clone(linked)) };
        Entered { linked, hook: self.hook.replace(hook), regions, wary }
    }

    /// What an unverified program may access from its start on.
    fn publish_program(&mut self, linked: &Linked) {
        let mut regions = self.regions.take().unwrap_or_default();
        let ctx = self.ctx.addr();
        match &self.ctx {
            Context::None => {}
            Context::Raw(raw) => regions.insert(ctx, raw.len() as u64, RegionKind::Mem),
            Context::Xdp(_) | Context::Skb(_) | Context::Fields(_) | Context::Parts(_) => {
                let bytes = self.ctx.slots().map_or(0, |slots| slots.image_size().min(slots.bytes()));
                regions.insert(ctx, bytes as u64, RegionKind::Ctx);
            }
        }
        if let Context::Parts(parts) = &self.ctx {
            regions.insert(parts.socket_addr(), SOCKET_BYTES as u64, RegionKind::ReadOnly);
        }
        if let Context::Skb(skb) = &self.ctx
            && let Some((keys, len)) = skb.keys_at()
        {
            regions.insert(keys, len, RegionKind::Mem);
        }
        if !self.stand_in.is_empty() {
            regions.insert(self.stand_in.as_mut_ptr() as u64, STAND_IN_BYTES as u64, RegionKind::Mem);
        }
        for handle in linked.maps() {
            if let Some(value) = handle.map.direct_value() {
                regions.insert(
                    value.as_ptr() as u64,
                    handle.map.def().value_size.into(),
                    RegionKind::of_values(handle.map.def()),
                );
            }
        }
        self.regions = Some(regions);
        self.publish_packet();
    }

    /// The counterpart of `enter`.
    #[inline]
    pub fn leave(&mut self, entered: Entered) {
        // After the outermost program this one stays, for the next run.
        if let Some(linked) = entered.linked {
            self.linked = Some(linked);
        }
        (self.hook, self.wary) = (entered.hook, entered.wary);
        if entered.regions.is_some() {
            self.regions = entered.regions;
            self.publish_packet();
        }
    }

    /// The map behind a handle in a register. An unverified program with something else there traps.
    ///
    /// # Safety
    ///
    /// In a verified program `handle` is an argument that the helper's prototype has as a map. The reference may be used
    /// until the helper returns.
    #[inline]
    pub unsafe fn map<'m>(&mut self, handle: u64) -> Option<&'m MapHandle> {
        // A map of the kernel's, which a wary program may have by address, is none here.
        let looks = self.regions.is_some() || self.wary;
        if looks && self.linked.as_ref().is_none_or(|l| !l.knows_handle(handle)) {
            self.trap_argument(handle, "a map");
            return None;
        }
        // SAFETY: by the caller for verified programs, by the check for others, this is the address of a handle of the running
        // program, which lives as long as its `Linked`, of which `self` holds an `Arc` until the program ends.
        Some(unsafe { &*(handle as *const MapHandle) })
    }

    /// Memory that a helper may read. An unverified program that passes memory which is not live traps.
    ///
    /// # Safety
    ///
    /// In a verified program the bytes are an argument that the helper's prototype has as memory of that length. The slice may
    /// be used until the helper returns, and not while something writes there.
    #[inline]
    pub unsafe fn mem<'m>(&mut self, addr: u64, len: u64) -> Option<&'m [u8]> {
        if !self.may(addr, len, false) {
            return None;
        }
        // SAFETY: live and long enough by the caller or by `may`.
        if len == 0 { Some(&[]) } else { Some(unsafe { std::slice::from_raw_parts(addr as *const u8, len as usize) }) }
    }

    /// Memory that a helper may write. As `mem`.
    ///
    /// # Safety
    ///
    /// As of `mem`; nothing else looks at the bytes while the slice is used.
    #[inline]
    pub unsafe fn mem_mut<'m>(&mut self, addr: u64, len: u64) -> Option<&'m mut [u8]> {
        if !self.may(addr, len, true) {
            return None;
        }
        // SAFETY: live and long enough by the caller or by `may`.
        if len == 0 {
            Some(&mut [])
        } else {
            // SAFETY: as above.
            Some(unsafe { std::slice::from_raw_parts_mut(addr as *mut u8, len as usize) })
        }
    }

    /// Checks that an argument is the context of the running program; a verified one's always is.
    #[inline]
    pub(crate) fn check_ctx(&mut self, addr: u64) -> bool {
        if self.regions.is_none() || addr == self.ctx.addr() {
            return true;
        }
        self.trap_argument(addr, "the context");
        false
    }

    /// After the packet moved or changed its length: slots and live memory follow.
    pub(crate) fn packet_moved(&mut self) {
        self.ctx.refresh();
        self.publish_packet();
    }

    fn publish_packet(&mut self) {
        let (Some(packet), Some(regions)) = (self.ctx.packet(), &mut self.regions) else { return };
        let (start, end) = (packet.meta_addr(), packet.end_addr());
        regions.remove_kind(RegionKind::Packet);
        regions.insert(start, end - start, RegionKind::Packet);
    }

    fn may(&mut self, addr: u64, len: u64, write: bool) -> bool {
        let Some(regions) = &self.regions else { return !self.wary || self.may_wary(addr, len, write) };
        // The context is no plain memory: its slots hold addresses.
        if len == 0 || regions.find(addr, len, write).is_some_and(|region| region.kind != RegionKind::Ctx) {
            return true;
        }
        self.set_trap(TrapKind::BadHelperMemory { helper: self.helper, addr, len });
        false
    }

    /// The same for a proof that speaks of the kernel's memory.
    #[cold]
    fn may_wary(&mut self, addr: u64, len: u64, write: bool) -> bool {
        if len == 0 || self.kernel_place(addr, len, write).is_some() {
            return true;
        }
        self.set_trap(TrapKind::BadHelperMemory { helper: self.helper, addr, len });
        false
    }

    /// The address, if there is memory of the run that may be read or written so.
    pub(crate) fn kernel_place(&self, addr: u64, len: u64, write: bool) -> Option<u64> {
        let fixed = |linked: &Arc<Linked>| {
            linked.maps().iter().any(|h| h.map.def().is_read_only_to_programs() && h.map.holds(addr, len))
        };
        let live = match &self.regions {
            Some(regions) => {
                let known = regions.find(addr, len, write).is_some_and(|region| region.kind != RegionKind::Ctx);
                known || self.objects.holds(addr, len) || !write && self.is_variable(addr, len)
            }
            None if write => {
                let fixed = self.linked.as_ref().is_some_and(fixed) || self.is_variable(addr, len);
                self.is_live(addr, len) && !fixed
            }
            None => self.is_live(addr, len),
        };
        live.then_some(addr)
    }

    /// Whether these bytes are of a variable of the kernel that the program names.
    fn is_variable(&self, addr: u64, len: u64) -> bool {
        self.linked.as_ref().is_some_and(|linked| linked.variables().holds(addr, len))
    }

    /// Whether addresses that helpers are given may be of memory that is not there, though the program was verified.
    pub(crate) fn is_wary(&self) -> bool {
        self.wary
    }

    /// The arena of the running program.
    pub(crate) fn arena(&self) -> Option<Arena> {
        self.linked.as_ref()?.arena()
    }

    /// True if the bytes can be read without a fault and belong to the run: for helpers that take any address
    /// (`bpf_probe_read_*`, `%s`). Of a verified program that is its packet, its raw context, values of its maps, and the stack
    /// from the start of the run down to here.
    pub fn is_live(&self, addr: u64, len: u64) -> bool {
        let within = |start: u64, end: u64| addr >= start && addr.checked_add(len).is_some_and(|to| to <= end);
        if let Some(regions) = &self.regions {
            let known = regions.find(addr, len, false).is_some_and(|region| region.kind != RegionKind::Ctx);
            let context = matches!(&self.ctx, Context::Raw(raw) if within(raw.start(), raw.start() + raw.len() as u64));
            return known || context || self.objects.holds(addr, len) || self.is_variable(addr, len);
        }
        let here = 0u8;
        let packet = self.ctx.packet().is_some_and(|packet| within(packet.meta_addr(), packet.end_addr()));
        let context = matches!(&self.ctx, Context::Raw(raw) if within(raw.start(), raw.start() + raw.len() as u64));
        let maps = self.linked.as_ref().is_some_and(|linked| linked.maps().iter().any(|h| h.map.holds(addr, len)));
        let stack = within(&raw const here as u64, self.stack_start);
        let key = self.given_key.is_some_and(|(start, len)| within(start, start + len));
        let here = packet || context || maps || stack || key;
        here || self.objects.holds(addr, len) || self.is_variable(addr, len)
    }

    /// Reads memory at any address, as far as it is live; else zeroes and false.
    pub(crate) fn known_bytes(&self, addr: u64, out: &mut [u8]) -> bool {
        out.fill(0);
        if !self.is_live(addr, out.len() as u64) {
            return false;
        }
        // SAFETY: live, as was just checked; `out` is new memory of a helper, which the program cannot have named.
        unsafe { std::ptr::copy(addr as *const u8, out.as_mut_ptr(), out.len()) };
        true
    }

    /// Reads a string at any address up to its NUL or `max` bytes. `None` if a byte before that is not live.
    pub(crate) fn known_str(&self, addr: u64, max: usize) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        while text.len() < max {
            let mut byte = [0];
            if !self.known_bytes(addr.wrapping_add(text.len() as u64), &mut byte) {
                return None;
            }
            match byte {
                [0] => break,
                [byte] => text.push(byte),
            }
        }
        Some(text)
    }

    /// For unverified programs: from now on these bytes may be accessed. Helpers that give out memory call this.
    pub(crate) fn publish(&mut self, addr: u64, len: u64, kind: RegionKind) {
        if let Some(regions) = &mut self.regions {
            regions.insert(addr, len, kind);
        }
    }

    /// Takes memory back that `publish` announced.
    pub(crate) fn retract(&mut self, addr: u64) {
        if let Some(regions) = &mut self.regions {
            regions.remove(addr);
        }
    }

    /// Takes back everything that begins in a range.
    pub(crate) fn retract_range(&mut self, addr: u64, len: u64) {
        if let Some(regions) = &mut self.regions {
            regions.remove_range(addr, len);
        }
    }

    /// Stops the run after the running helper, saying that an argument is not what it must be.
    pub fn trap_argument(&mut self, value: u64, what: &'static str) {
        self.set_trap(TrapKind::BadHelperArgument { helper: self.helper, value, what });
    }

    /// Stops the run; the engine adds the slot. The first trap counts.
    pub fn set_trap(&mut self, kind: TrapKind) {
        self.trap.get_or_insert(Trap { slot: 0, kind });
        self.stopped = true;
    }

    /// Whether the run is to stop.
    #[inline]
    pub fn trapped(&self) -> bool {
        self.stopped
    }

    /// Engines call this when they see a trap: where the program is. The innermost frame, which sees it first, counts.
    pub fn locate_trap(&mut self, slot: u32) {
        if let (Some(trap), false) = (&mut self.trap, self.located) {
            trap.slot = slot;
            trap.kind.name_helper(self.linked.as_ref().and_then(|linked| linked.helper_at(slot)));
            self.located = true;
        }
    }

    /// Takes the trap.
    pub fn take_trap(&mut self) -> Option<Trap> {
        self.stopped = false;
        self.trap.take()
    }
}

/// What helpers return for an error.
pub(crate) fn ret(result: Result<u64, Errno>) -> u64 {
    result.unwrap_or_else(Errno::as_ret)
}
