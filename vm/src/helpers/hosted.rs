//! Helpers that ask the surroundings, with answers for those who say nothing.

use ring3_platform::Errno;

use super::helper;
use crate::env::{Env, ret};
use crate::host::Task;

/// What is not known of a stack: flags of `bpf_get_stack`, and how many frames are left out.
const SKIP: u64 = 0xff;
const USER: u64 = 1 << 8;
const BUILD_ID: u64 = 1 << 11;

helper! {
    /// `bpf_get_stack(ctx, buf, size, flags)`: how many bytes of return addresses there are.
    stack(env, _ctx, buf, size, flags) {
        let size = u64::from(size as u32);
        // SAFETY: by the caller, R2 is memory of R3 bytes.
        let out = unsafe { env.mem_mut(buf, size) }?;
        out.fill(0);
        let wrong = flags & !(SKIP | USER | BUILD_ID) != 0 || size % 8 != 0 || (flags & BUILD_ID != 0 && flags & USER == 0);
        if wrong {
            return Some(Errno::EINVAL.as_ret());
        }
        let Some(frames) = env.host.stack(flags & USER != 0) else { return Some(Errno::EFAULT.as_ret()) };
        let frames = frames.get((flags & SKIP) as usize..).unwrap_or_default();
        let mut taken = 0;
        for (place, frame) in out.chunks_exact_mut(8).zip(frames) {
            place.copy_from_slice(&frame.to_ne_bytes());
            taken += 8;
        }
        Some(taken)
    }
}

helper! {
    /// `bpf_get_attach_cookie(ctx)`.
    attach_cookie(env) {
        Some(env.host.attach_cookie())
    }
}

helper! {
    /// `bpf_get_func_ip(ctx)`.
    func_ip(env) {
        Some(env.host.func_ip())
    }
}

helper! {
    /// `bpf_get_current_task()` and `bpf_get_current_task_btf()`: where a structure stands that programs read with care.
    current_task(env) {
        Some(env.task_object())
    }
}

helper! {
    /// `bpf_get_current_cgroup_id()` and `bpf_skb_cgroup_id(skb)`.
    cgroup_id(env) {
        Some(env.host.cgroup_id(None))
    }
}

helper! {
    /// `bpf_get_current_ancestor_cgroup_id(level)`.
    ancestor_cgroup_id(env, level) {
        Some(env.host.cgroup_id(u32::try_from(level as i32).ok()))
    }
}

helper! {
    /// `bpf_skb_ancestor_cgroup_id(skb, level)`.
    skb_ancestor_cgroup_id(env, _skb, level) {
        Some(env.host.cgroup_id(u32::try_from(level as i32).ok()))
    }
}

/// Whether what runs is below the control group in a slot of an array.
///
/// # Safety
///
/// `map` is an array of control groups.
unsafe fn under(env: &mut Env<'_>, map: u64, index: u64) -> Option<u64> {
    // SAFETY: by the caller.
    let map = unsafe { env.map(map) }?;
    if index as u32 >= map.map.def().max_entries {
        return Some(Errno::E2BIG.as_ret());
    }
    Some(ret(env.host.under_cgroup(&map.map.def().name.clone(), index as u32).map(u64::from)))
}

helper! {
    /// `bpf_current_task_under_cgroup(map, index)`.
    task_under_cgroup(env, map, index) {
        // SAFETY: by the caller, R1 is a map.
        unsafe { under(env, map, index) }
    }
}

helper! {
    /// `bpf_skb_under_cgroup(skb, map, index)`.
    skb_under_cgroup(env, _skb, map, index) {
        // SAFETY: by the caller, R2 is a map.
        unsafe { under(env, map, index) }
    }
}

helper! {
    /// `bpf_get_netns_cookie(ctx)`.
    netns_cookie(env) {
        Some(env.host.netns_cookie())
    }
}

/// Bytes of `struct bpf_pidns_info`.
const PIDNS_BYTES: u64 = 8;

helper! {
    /// `bpf_get_ns_current_pid_tgid(dev, ino, nsdata, size)`: there is one namespace.
    ns_pid_tgid(env, _dev, _ino, info, size) {
        let size = u64::from(size as u32);
        // SAFETY: by the caller, R3 is memory of R4 bytes.
        let out = unsafe { env.mem_mut(info, size) }?;
        out.fill(0);
        if size != PIDNS_BYTES {
            return Some(Errno::EINVAL.as_ret());
        }
        let Task { pid, tgid, .. } = env.host.task();
        out[..4].copy_from_slice(&pid.to_ne_bytes());
        out[4..].copy_from_slice(&tgid.to_ne_bytes());
        Some(0)
    }
}

helper! {
    /// `bpf_send_signal(sig)`.
    send_signal(env, signal) {
        Some(ret(env.host.send_signal(signal as u32, false).map(|()| 0)))
    }
}

helper! {
    /// `bpf_send_signal_thread(sig)`.
    send_signal_thread(env, signal) {
        Some(ret(env.host.send_signal(signal as u32, true).map(|()| 0)))
    }
}

helper! {
    /// `bpf_copy_from_user(dst, size, user_ptr)` and the reads of user memory: all bytes, or zeroes and an error.
    copy_from_user(env, dst, size, from) {
        // SAFETY: by the caller, R1 is memory of R2 bytes.
        let out = unsafe { env.mem_mut(dst, u64::from(size as u32)) }?;
        let read = env.host.read_user(from, out);
        if !read {
            out.fill(0);
        }
        Some(ret(if read { Ok(0) } else { Err(Errno::EFAULT) }))
    }
}

helper! {
    /// `bpf_probe_read_user_str(dst, size, user_ptr)`: the length with its NUL.
    read_user_str(env, dst, size, from) {
        // SAFETY: by the caller, R1 is memory of R2 bytes.
        let out = unsafe { env.mem_mut(dst, u64::from(size as u32)) }?;
        out.fill(0);
        let Some(room) = out.len().checked_sub(1) else { return Some(0) };
        for at in 0..=room {
            let mut byte = [0];
            if !env.host.read_user(from.wrapping_add(at as u64), &mut byte) {
                out.fill(0);
                return Some(Errno::EFAULT.as_ret());
            }
            if byte[0] == 0 || at == room {
                return Some(at as u64 + 1);
            }
            out[at] = byte[0];
        }
        Some(0)
    }
}

helper! {
    /// `bpf_setsockopt(sock, level, name, value, len)`.
    set_option(env, _sock, level, name, value, len) {
        // SAFETY: by the caller, R4 is memory of R5 bytes.
        let value = unsafe { env.mem(value, u64::from(len as u32)) }?.to_vec();
        Some(ret(env.host.set_socket_option(level as i32, name as i32, &value).map(|()| 0)))
    }
}

helper! {
    /// `bpf_getsockopt(sock, level, name, value, len)`.
    get_option(env, _sock, level, name, value, len) {
        // SAFETY: by the caller, R4 is memory of R5 bytes.
        let out = unsafe { env.mem_mut(value, u64::from(len as u32)) }?;
        let result = env.host.socket_option(level as i32, name as i32, out);
        if result.is_err() {
            out.fill(0);
        }
        Some(ret(result.map(|()| 0)))
    }
}

helper! {
    /// `bpf_bind(ctx, addr, addr_len)`: any address will do.
    bind(_env) {
        Some(0)
    }
}

helper! {
    /// `bpf_get_retval()`: of the operation that a program of a control group is asked about.
    get_retval(env) {
        Some(i64::from(env.retval).cast_unsigned())
    }
}

helper! {
    /// `bpf_set_retval(retval)`.
    set_retval(env, retval) {
        env.retval = retval as i32;
        Some(0)
    }
}

helper! {
    /// `bpf_perf_event_read(map, flags)`: nobody opened one.
    no_event(_env) {
        Some(Errno::ENOENT.as_ret())
    }
}

helper! {
    /// `bpf_perf_event_read_value(map, flags, buf, buf_size)`.
    no_event_value(env, _map, _flags, buf, size) {
        // SAFETY: by the caller, R3 is memory of R4 bytes.
        unsafe { env.mem_mut(buf, u64::from(size as u32)) }?.fill(0);
        Some(Errno::ENOENT.as_ret())
    }
}

helper! {
    /// `bpf_perf_prog_read_value(ctx, buf, buf_size)`.
    no_prog_value(env, _ctx, buf, size) {
        // SAFETY: by the caller, R2 is memory of R3 bytes.
        unsafe { env.mem_mut(buf, u64::from(size as u32)) }?.fill(0);
        Some(Errno::ENOENT.as_ret())
    }
}

helper! {
    /// `bpf_read_branch_records(ctx, buf, size, flags)`: the machine keeps none.
    no_branches(_env) {
        Some(Errno::ENOENT.as_ret())
    }
}

helper! {
    /// What finds no socket: `bpf_tcp_sock`, `bpf_get_listener_sock`, `bpf_skc_to_*`.
    no_socket(_env) {
        Some(0)
    }
}

helper! {
    /// `bpf_sk_fullsock(sk)`: those that there are are full.
    same_socket(_env, socket) {
        Some(socket)
    }
}

helper! {
    /// `bpf_sk_assign(ctx, sk, flags)`, `bpf_sk_select_reuseport(ctx, map, key, flags)` and others about sockets that are not there.
    not_found(_env) {
        Some(Errno::ENOENT.as_ret())
    }
}

helper! {
    /// `bpf_reserve_hdr_opt`, `bpf_store_hdr_opt`, `bpf_load_hdr_opt`: there is no TCP header to write to.
    not_permitted(_env) {
        Some(Errno::EPERM.as_ret())
    }
}

helper! {
    /// `bpf_skb_get_xfrm_state(skb, index, state, size, flags)`: there is none.
    no_transform(env, _skb, _index, state, size) {
        // SAFETY: by the caller, R3 is memory of R4 bytes.
        unsafe { env.mem_mut(state, u64::from(size as u32)) }?.fill(0);
        Some(Errno::EINVAL.as_ret())
    }
}

/// All of `BPF_SOCK_OPS_ALL_CB_FLAGS`.
const CALLBACK_FLAGS: u64 = 0x7f;

helper! {
    /// `bpf_sock_ops_cb_flags_set(bpf_sock, argval)`: the flags that are not known.
    callback_flags(env, ctx, flags) {
        if !env.check_ctx(ctx) {
            return None;
        }
        let flags = u64::from(flags as u32);
        if let Some(slots) = env.ctx.slots_mut() {
            slots.set("bpf_sock_ops_cb_flags", flags & CALLBACK_FLAGS);
        }
        Some(flags & !CALLBACK_FLAGS)
    }
}

/// The name without the folders, in the flags of `bpf_sysctl_get_name`.
const BASE_NAME: u64 = 1;

/// Puts a text with its NUL into a buffer: its length, or `E2BIG` where it was cut.
fn put(out: &mut [u8], text: &[u8]) -> u64 {
    let Some(room) = out.len().checked_sub(1) else { return Errno::E2BIG.as_ret() };
    let len = text.len().min(room);
    out.fill(0);
    out[..len].copy_from_slice(&text[..len]);
    if len < text.len() { Errno::E2BIG.as_ret() } else { len as u64 }
}

helper! {
    /// `bpf_sysctl_get_name(ctx, buf, buf_len, flags)`.
    sysctl_name(env, _ctx, buf, len, flags) {
        // SAFETY: by the caller, R2 is memory of R3 bytes.
        let out = unsafe { env.mem_mut(buf, u64::from(len as u32)) }?;
        if flags & !BASE_NAME != 0 {
            return Some(Errno::EINVAL.as_ret());
        }
        let name = env.sysctl.name.as_str();
        let name = if flags == BASE_NAME { name.rsplit('/').next().unwrap_or(name) } else { name };
        Some(put(out, name.as_bytes()))
    }
}

helper! {
    /// `bpf_sysctl_get_current_value(ctx, buf, buf_len)`.
    sysctl_current(env, _ctx, buf, len) {
        // SAFETY: by the caller, R2 is memory of R3 bytes.
        let out = unsafe { env.mem_mut(buf, u64::from(len as u32)) }?;
        out.fill(0);
        Some(if env.sysctl.current.is_empty() { Errno::EINVAL.as_ret() } else { put(out, &env.sysctl.current) })
    }
}

helper! {
    /// `bpf_sysctl_get_new_value(ctx, buf, buf_len)`: where something is written.
    sysctl_new(env, _ctx, buf, len) {
        // SAFETY: by the caller, R2 is memory of R3 bytes.
        let out = unsafe { env.mem_mut(buf, u64::from(len as u32)) }?;
        out.fill(0);
        Some(env.sysctl.new.as_ref().map_or(Errno::EINVAL.as_ret(), |new| put(out, new)))
    }
}

/// Bytes of a page, which a value does not reach.
const PAGE: usize = 4096;

helper! {
    /// `bpf_sysctl_set_new_value(ctx, buf, buf_len)`.
    sysctl_set(env, _ctx, buf, len) {
        // SAFETY: by the caller, R2 is memory of R3 bytes.
        let value = unsafe { env.mem(buf, u64::from(len as u32)) }?.to_vec();
        let Some(new) = &mut env.sysctl.new else { return Some(Errno::EINVAL.as_ret()) };
        if value.is_empty() {
            return Some(Errno::EINVAL.as_ret());
        }
        if value.len() >= PAGE {
            return Some(Errno::E2BIG.as_ret());
        }
        *new = value;
        Some(0)
    }
}

helper! {
    /// `bpf_kallsyms_lookup_name(name, name_sz, flags, res)`.
    symbol(env, name, size, flags, res) {
        // SAFETY: by the caller, R1 is memory of R2 bytes and R4 of 8.
        let (name, out) = unsafe { (env.mem(name, u64::from(size as u32))?.to_vec(), env.mem_mut(res, 8)?) };
        out.fill(0);
        let Some((0, name)) = name.split_last() else { return Some(Errno::EINVAL.as_ret()) };
        if flags != 0 || name.len() <= 1 {
            return Some(Errno::EINVAL.as_ret());
        }
        let Some(addr) = std::str::from_utf8(name).ok().and_then(|name| env.host.symbol(name)) else {
            return Some(Errno::ENOENT.as_ret());
        };
        out.copy_from_slice(&addr.to_ne_bytes());
        Some(0)
    }
}

/// A cookie for a connection (RFC 4987): a number that its addresses, ports and this seed decide.
fn cookie(header: &[u8], tcp: &[u8]) -> u32 {
    let addresses = match header.first().map(|byte| byte >> 4) {
        Some(6) => header.get(8..40),
        _ => header.get(12..20),
    };
    let bytes = addresses.unwrap_or_default().iter().chain(tcp.get(..4).unwrap_or_default());
    bytes.fold(0x9747_b28c_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// What the cookie says the other side may send at once, and that in the upper half of the result.
const SEGMENT: u64 = 536;

fn number(tcp: &[u8], at: usize) -> u32 {
    tcp.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// Bytes of a TCP header without options.
const TCP_LEN: u64 = 20;

/// # Safety
///
/// Memory of `header` bytes and of `len`.
unsafe fn make_cookie(env: &mut Env<'_>, (ip, header): (u64, u64), tcp: u64, len: u64) -> Option<u64> {
    let len = u64::from(len as u32);
    // SAFETY: by the caller.
    let (ip, tcp) = unsafe { (env.mem(ip, header)?, env.mem(tcp, len)?) };
    if len < TCP_LEN {
        return Some(Errno::EINVAL.as_ret());
    }
    let start = cookie(ip, tcp).wrapping_add(number(tcp, 4));
    Some(u64::from(start) | SEGMENT << 32)
}

/// # Safety
///
/// Memory of `header` bytes and of 20.
unsafe fn check_cookie(env: &mut Env<'_>, (ip, header): (u64, u64), tcp: u64) -> Option<u64> {
    // SAFETY: by the caller.
    let (ip, tcp) = unsafe { (env.mem(ip, header)?, env.mem(tcp, TCP_LEN)?) };
    let start = number(tcp, 8).wrapping_sub(1);
    let wanted = cookie(ip, tcp).wrapping_add(number(tcp, 4).wrapping_sub(1));
    Some(if start == wanted { 0 } else { Errno::EACCES.as_ret() })
}

helper! {
    /// `bpf_tcp_raw_gen_syncookie_ipv4(iph, th, th_len)`.
    make_cookie4(env, ip, tcp, len) {
        // SAFETY: by the caller, R1 is 20 bytes and R2 memory of R3.
        unsafe { make_cookie(env, (ip, 20), tcp, len) }
    }
}

helper! {
    /// `bpf_tcp_raw_gen_syncookie_ipv6(iph, th, th_len)`.
    make_cookie6(env, ip, tcp, len) {
        // SAFETY: by the caller, R1 is 40 bytes and R2 memory of R3.
        unsafe { make_cookie(env, (ip, 40), tcp, len) }
    }
}

helper! {
    /// `bpf_tcp_raw_check_syncookie_ipv4(iph, th)`: 0 where the number is that of a cookie.
    check_cookie4(env, ip, tcp) {
        // SAFETY: by the caller, R1 is 20 bytes and R2 20.
        unsafe { check_cookie(env, (ip, 20), tcp) }
    }
}

helper! {
    /// `bpf_tcp_raw_check_syncookie_ipv6(iph, th)`.
    check_cookie6(env, ip, tcp) {
        // SAFETY: by the caller, R1 is 40 bytes and R2 20.
        unsafe { check_cookie(env, (ip, 40), tcp) }
    }
}
