//! What every engine is, and what both call: starting a run, tail calls, reads of the packet by the legacy instructions.

use std::fmt::Debug;
use std::sync::Arc;

use crate::env::{Callback, Env, MAX_TAIL_CALLS, TrapKind};
use crate::epoch::RUNS;
use crate::error::RunError;
use crate::link::Linked;
use crate::regions::RegionKind;

/// How often `may_goto` goes on in one frame (`BPF_MAX_LOOPS`).
pub const MAY_GOTO_BUDGET: u32 = 1 << 23;

/// A program on an engine.
///
/// # Safety
///
/// `linked` is always the same program, and `execute` runs that program and nothing else: it leaves the context, and everything
/// else of the environment that helpers do not change, as it is.
pub unsafe trait Execute: Debug + Send + Sync {
    /// The program.
    fn linked(&self) -> &Arc<Linked>;

    /// Runs it from its start with R1 = `ctx` and gives R0. [`run`] does this with the checks that make it safe.
    ///
    /// # Safety
    ///
    /// `ctx` is the address of `env.ctx`, and `env.ctx` suits the type of the program (`Context::suits`), unless the engine
    /// checks every access.
    unsafe fn execute(&self, env: &mut Env<'_>, ctx: u64) -> u64;

    /// Runs a function of it that was put off, with these arguments, and gives its R0. `readable` is what the arguments lead to, for
    /// engines that check.
    ///
    /// # Safety
    ///
    /// The arguments are what the verifier assumed, unless the engine checks every access.
    unsafe fn execute_callback(
        &self,
        env: &mut Env<'_>,
        callback: Callback,
        args: [u64; 5],
        readable: &[(u64, u64, RegionKind)],
    ) -> u64 {
        let _ = (callback, args, readable);
        env.set_trap(TrapKind::Unsupported { what: "a callback that was put off" });
        0
    }
}

/// Runs a program on the environment's context: R0, or the trap that stopped it.
#[inline]
pub fn run(program: &dyn Execute, env: &mut Env<'_>) -> Result<u64, RunError> {
    let linked = program.linked();
    // A run of a short program takes some nanoseconds, so all that is done of a context before it is done at one look at its kind.
    let Some(ctx) = env.ctx.ready(linked) else { return Err(RunError::WrongContext { kind: linked.kind() }) };
    env.start();
    if !linked.runs_on(env.cpu) {
        return Err(RunError::WrongCpu { cpu: env.cpu });
    }
    let here = 0u8;
    env.stack_start = &raw const here as u64;
    let _pin = linked.waits().then(|| RUNS.begin());
    // SAFETY: the address is that of the environment's context, which suits the program by the check above; programs that
    // were not verified run in engines that check.
    let ret = unsafe { program.execute(env, ctx) };
    env.end();
    if env.trapped() { trapped(env) } else { Ok(ret) }
}

#[cold]
fn trapped(env: &mut Env<'_>) -> Result<u64, RunError> {
    match env.take_trap() {
        Some(trap) => Err(trap.into()),
        None => Ok(0),
    }
}

/// What became of a tail call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct TailCall {
    /// 1: the other program ran, the frame ends with `r0`. 0: the program goes on.
    pub taken: u64,
    /// What the other program returned.
    pub r0: u64,
}

/// `bpf_tail_call`: runs the program in slot `index` of the program array `handle` on the same context. Not taken if there
/// is none, or after [`MAX_TAIL_CALLS`]. The index is 32 bits wide.
///
/// # Safety
///
/// As of a helper: `handle` is that of a program array of the running program, and `ctx` its context; or `env` knows the
/// live memory.
pub unsafe extern "C" fn tail_call(ctx: u64, handle: u64, index: u64, env: &mut Env<'_>) -> TailCall {
    const MISSED: TailCall = TailCall { taken: 0, r0: 0 };
    // SAFETY: passed on from the caller.
    let Some(map) = (unsafe { env.map(handle) }) else { return MISSED };
    if env.tail_calls >= MAX_TAIL_CALLS {
        return MISSED;
    }
    let Some(program) = map.map.program(index as u32) else { return MISSED };
    let fits = env.linked.as_ref().is_some_and(|now| {
        let target = program.linked();
        // A verified program trusts its context, which nobody checked for one that was not verified.
        let suits = now.is_verified() || !target.is_verified() || env.ctx.suits(target.kind());
        now.kind() == target.kind()
            && (target.is_verified() || !now.is_verified())
            && suits
            && target.expects(&env.ctx)
            && target.runs_on(env.cpu)
    });
    if !fits || !env.check_ctx(ctx) {
        return MISSED;
    }
    env.tail_calls += 1;
    // The program that called it may have no map of which it must not see an element's memory used again.
    let _pin = program.linked().waits().then(|| RUNS.begin());
    // SAFETY: the context is that of the running program, and the other program is of the same type.
    TailCall { taken: 1, r0: unsafe { program.execute(env, ctx) } }
}

/// Notes that a run has used up its budget, in a function that starts at this slot: engines that leave the program then call this.
pub extern "C" fn budget_used_up(env: &mut Env<'_>, slot: u64) {
    env.set_trap(TrapKind::Budget { budget: env.budget_of_run() });
    env.locate_trap(slot as u32);
}

/// Notes at which slot a program was when what it called stopped the run: engines that leave the program then call this.
pub extern "C" fn stopped(env: &mut Env<'_>, slot: u64) {
    env.locate_trap(slot as u32);
}

/// What became of a legacy packet load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct PacketLoad {
    /// 1: `value` is R0. 0: outside of the packet, the frame ends with R0 = 0.
    pub ok: u64,
    /// The bytes as a number in network byte order.
    pub value: u64,
}

/// Start of the negative offsets that are relative to the network header (`SKF_NET_OFF`).
const NET_OFF: i32 = -0x10_0000;
/// Start of the negative offsets that are relative to the link-layer header (`SKF_LL_OFF`).
const LL_OFF: i32 = -0x20_0000;

/// The load of `bytes` (1, 2 or 4) at `offset` (index plus immediate, of which the low 32 bits count) of the packet.
pub extern "C" fn legacy_packet(bytes: u64, offset: u64, env: &mut Env<'_>) -> PacketLoad {
    let found = packet_bytes(env, bytes as usize, offset as i32)
        .map(|bytes| bytes.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte)));
    PacketLoad { ok: found.is_some().into(), value: found.unwrap_or(0) }
}

fn packet_bytes<'a>(env: &'a Env<'_>, len: usize, offset: i32) -> Option<&'a [u8]> {
    let crate::ctx::Context::Skb(skb) = &env.ctx else { return None };
    let offset = i64::from(offset);
    let (net, ll) = (i64::from(NET_OFF), i64::from(LL_OFF));
    if offset >= 0 {
        skb.packet.at_signed(offset, len)
    } else if offset >= net {
        skb.packet.at_signed(skb.network_offset() + offset - net, len)
    } else if offset >= ll {
        skb.packet.at_signed(skb.mac_offset() + offset - ll, len)
    } else {
        None
    }
}
