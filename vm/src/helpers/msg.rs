//! Helpers on the data that a socket is about to send (`struct sk_msg_md`).

use ring3_platform::Errno;

use super::helper;
use crate::ctx::{Context, PartsContext};
use crate::env::{Env, ret};

/// The message of the context; a trap where there is none.
fn message<'e>(env: &'e mut Env<'_>, ctx: u64) -> Option<&'e mut PartsContext> {
    if !env.check_ctx(ctx) {
        return None;
    }
    if !matches!(env.ctx, Context::Parts(_)) {
        env.trap_argument(ctx, "a message");
    }
    match &mut env.ctx {
        Context::Parts(parts) => Some(parts),
        Context::None | Context::Raw(_) | Context::Xdp(_) | Context::Skb(_) | Context::Fields(_) => None,
    }
}

/// Changes the message; pointers into it are new ones then.
fn change(
    env: &mut Env<'_>,
    ctx: u64,
    flags: u64,
    by: impl FnOnce(&mut PartsContext) -> Result<(), Errno>,
) -> Option<u64> {
    let message = message(env, ctx)?;
    let done = if flags != 0 { Err(Errno::EINVAL) } else { by(message) };
    env.packet_moved();
    Some(ret(done.map(|()| 0)))
}

helper! {
    /// `bpf_msg_apply_bytes(msg, bytes)`: for how much the verdict is, which whoever sends asks.
    apply_bytes(env, msg, _bytes) {
        message(env, msg).map(|_| 0)
    }
}

helper! {
    /// `bpf_msg_cork_bytes(msg, bytes)`: how much is to be there before the program runs again, which whoever sends asks.
    cork_bytes(env, msg, _bytes) {
        message(env, msg).map(|_| 0)
    }
}

helper! {
    /// `bpf_msg_pull_data(msg, start, end, flags)`.
    pull_data(env, msg, start, end, flags) {
        change(env, msg, flags, |message| message.pull(start as u32, end as u32))
    }
}

helper! {
    /// `bpf_msg_push_data(msg, start, len, flags)`.
    push_data(env, msg, start, len, flags) {
        change(env, msg, flags, |message| message.push(start as u32, len as u32))
    }
}

helper! {
    /// `bpf_msg_pop_data(msg, start, len, flags)`.
    pop_data(env, msg, start, len, flags) {
        change(env, msg, flags, |message| message.pop(start as u32, len as u32))
    }
}
