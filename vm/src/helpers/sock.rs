//! Helpers about sockets, routes and control groups. A run has no sockets around it: lookups find none.

use ring3_platform::Errno;

use super::{helper, skb};
use crate::env::{Env, ret};

/// What Linux says where the user is unknown (`overflowuid`).
const OVERFLOW_UID: u64 = 65534;
/// Bytes of `struct bpf_fib_lookup`.
const FIB_BYTES: u64 = 64;
/// All flags of `bpf_fib_lookup`.
const FIB_FLAGS: u64 = 0x3f;

helper! {
    /// `bpf_sk_lookup_tcp(ctx, tuple, size, netns, flags)` and its kin: no socket.
    lookup(env, ctx, tuple, size) {
        if !env.check_ctx(ctx) {
            return None;
        }
        // SAFETY: by the caller, R2 is memory of R3 bytes.
        unsafe { env.mem(tuple, u64::from(size as u32)) }?;
        Some(0)
    }
}

helper! {
    /// `bpf_sk_release(sock)`: a program that checks for null never calls it.
    release(env, socket) {
        if socket != 0 {
            env.trap_argument(socket, "a socket");
        }
        Some(0)
    }
}

helper! {
    /// `bpf_get_socket_cookie(skb)`: 0, as of packets without a socket.
    cookie(env, ctx) {
        if !env.check_ctx(ctx) {
            return None;
        }
        Some(0)
    }
}

helper! {
    /// `bpf_get_socket_uid(skb)`.
    uid(env, ctx) {
        skb::packet(env, ctx)?;
        Some(OVERFLOW_UID)
    }
}

helper! {
    /// `bpf_get_cgroup_classid(skb)`: none. Where there is no packet it takes no argument, and means the running process.
    task_class(_env) {
        Some(0)
    }
}

helper! {
    /// `bpf_get_route_realm(skb)`: none.
    class(env, ctx) {
        skb::packet(env, ctx)?;
        Some(0)
    }
}

helper! {
    /// `bpf_fib_lookup(ctx, params, plen, flags)`: what the host knows of routes.
    fib(env, ctx, params, len, flags) {
        if !env.check_ctx(ctx) {
            return None;
        }
        let len = u64::from(len as u32);
        // SAFETY: by the caller, R2 is memory of R3 bytes.
        let params = unsafe { env.mem_mut(params, len) }?;
        if len < FIB_BYTES || flags & !FIB_FLAGS != 0 {
            return Some(Errno::EINVAL.as_ret());
        }
        Some(ret(env.host.fib_lookup(params, flags as u32).map(u64::from)))
    }
}
