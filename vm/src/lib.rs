//! Lowering, maps, helpers, contexts and the interpreter.
//!
//! A program that the verifier accepted goes through [`lower()`] and [`link()`] and becomes a [`Linked`] program, which an engine
//! ([`Interp`], or a JIT of another crate) makes executable. [`run()`] runs it in an [`Env`]: the context in front, the host's
//! clock and network around, trace output and redirects behind. Programs that nobody proved safe go through
//! [`link_unverified`], and the same interpreter checks each of their accesses.
//!
//! ```
//! use ring3_platform::ProgType;
//! use ring3_vm::{Context, DefaultHost, Env, Helpers, Interp, XdpContext, link_unverified, run};
//!
//! let code = ring3_isa::assemble("r2 = *(u32 *)(r1 +0)\nr0 = *(u8 *)(r2 +14)\nexit")?;
//! let program = Interp::new(link_unverified(&code, ProgType::Xdp, &[], &Helpers::new())?.into());
//! let mut xdp = XdpContext::new().ok_or("no table")?;
//! xdp.load(&[0x45; 60]);
//! let mut host = DefaultHost;
//! let mut env = Env::new(&mut host);
//! env.ctx = Context::Xdp(xdp);
//! assert_eq!(run(&program, &mut env)?, 0x45);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Addresses that programs see are addresses of this process, as they are the kernel's own in the kernel.

mod call;
pub mod ctx;
mod env;
mod epoch;
mod error;
mod exec;
mod guarded;
pub mod helpers;
mod host;
pub mod interp;
mod later;
mod link;
pub mod lower;
pub mod maps;
mod objects;
mod owner;
mod packet;
mod regions;
mod variables;

pub use call::Call;
pub use ctx::{Context, DataStart, PartsContext, RawContext, SOCKET_BYTES, SkbContext, Slots, XdpContext};
pub use env::{
    CallHook, Callback, Cloned, DEFAULT_SEED, Entered, Env, MAX_CLONE_BYTES, MAX_CLONES, MAX_TAIL_CALLS,
    MAX_TRACE_BYTES, MAX_UNVERIFIED_INSNS, Redirect, Sysctl, Trace, Trap, TrapKind,
};
pub use error::{LinkError, LowerError, RunError};
pub use exec::{
    Execute, MAY_GOTO_BUDGET, PacketLoad, TailCall, budget_used_up, legacy_packet, run, stopped, tail_call,
};
pub use guarded::{Action, Guarded, Space, guarded};
pub use host::{DefaultHost, Host, Start, Task, TestHost};
pub use interp::{Interp, StateReport, WatchError, Watched};
pub use later::{MAX_FIRED, advance, fire_timers};
pub use link::{
    CustomHelper, HelperFn, HelperRef, Helpers, Linked, MAX_CUSTOM_HELPERS, MapHandle, MapLookup, Simple, link,
    link_checked, link_unverified,
};
pub use lower::{Lowered, Op, lower, lower_unverified};
pub use objects::{MAX_OBJECT_BYTES, MAX_OBJECTS, Objects};
pub use packet::{HEADROOM, LINEAR, MAX_IN_FRAGMENTS, MAX_META, MAX_PACKET, Packet};
pub use regions::{Region, RegionKind, Regions};
