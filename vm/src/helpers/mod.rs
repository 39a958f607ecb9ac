//! The helpers of Linux: a file per family.
//!
//! A helper takes R1 to R5 as numbers and the environment. What a verified program passes is what the prototype says; what any
//! other program passes is checked by the ways to memory, maps and the context that the environment offers, which set a
//! trap. Helpers then return at once, with whatever number: the run is over.

use crate::link::HelperFn;

mod csum;
pub(crate) mod kfuncs;
mod map;
mod print;
mod redirect;
mod ring;
mod skb;
mod sock;
mod sys;
mod text;
mod xdp;

use ring3_platform::helpers::id;

/// The function of a helper; `None` if it is not there.
pub fn builtin(number: u32) -> Option<HelperFn> {
    Some(match number {
        id::MAP_LOOKUP_ELEM => map::lookup,
        id::MAP_UPDATE_ELEM => map::update,
        id::MAP_DELETE_ELEM => map::delete,
        id::MAP_PUSH_ELEM => map::push,
        id::MAP_POP_ELEM => map::pop,
        id::MAP_PEEK_ELEM => map::peek,
        id::MAP_LOOKUP_PERCPU_ELEM => map::lookup_percpu,
        id::FOR_EACH_MAP_ELEM => map::for_each,
        id::LOOP => sys::bpf_loop,
        id::KTIME_GET_NS => sys::ktime_ns,
        id::KTIME_GET_COARSE_NS => sys::ktime_coarse_ns,
        id::KTIME_GET_BOOT_NS => sys::ktime_boot_ns,
        id::KTIME_GET_TAI_NS => sys::ktime_tai_ns,
        id::JIFFIES64 => sys::jiffies64,
        id::GET_PRANDOM_U32 => sys::prandom_u32,
        id::GET_SMP_PROCESSOR_ID => sys::processor_id,
        id::GET_NUMA_NODE_ID => sys::numa_node,
        id::GET_CURRENT_PID_TGID => sys::pid_tgid,
        id::GET_CURRENT_UID_GID => sys::uid_gid,
        id::GET_CURRENT_COMM => sys::comm,
        id::CSUM_DIFF => csum::diff,
        id::CSUM_UPDATE => csum::update,
        id::L3_CSUM_REPLACE => csum::l3_replace,
        id::L4_CSUM_REPLACE => csum::l4_replace,
        id::XDP_ADJUST_HEAD => xdp::adjust_head,
        id::XDP_ADJUST_TAIL => xdp::adjust_tail,
        id::XDP_ADJUST_META => xdp::adjust_meta,
        id::XDP_GET_BUFF_LEN => xdp::buff_len,
        id::XDP_LOAD_BYTES => xdp::load_bytes,
        id::XDP_STORE_BYTES => xdp::store_bytes,
        id::SKB_LOAD_BYTES => skb::load_bytes,
        id::SKB_LOAD_BYTES_RELATIVE => skb::load_bytes_relative,
        id::SKB_STORE_BYTES => skb::store_bytes,
        id::SKB_PULL_DATA => skb::pull_data,
        id::SKB_CHANGE_TAIL => skb::change_tail,
        id::SKB_CHANGE_HEAD => skb::change_head,
        id::SKB_CHANGE_TYPE => skb::change_type,
        id::SKB_VLAN_PUSH => skb::vlan_push,
        id::SKB_VLAN_POP => skb::vlan_pop,
        id::GET_HASH_RECALC => skb::hash_recalc,
        id::SET_HASH_INVALID => skb::set_hash_invalid,
        id::SET_HASH => skb::set_hash,
        id::REDIRECT => redirect::redirect,
        id::REDIRECT_PEER => redirect::peer,
        id::REDIRECT_NEIGH => redirect::neigh,
        id::REDIRECT_MAP => redirect::map,
        id::CLONE_REDIRECT => redirect::clone,
        id::RINGBUF_OUTPUT => ring::output,
        id::RINGBUF_RESERVE => ring::reserve,
        id::RINGBUF_SUBMIT => ring::submit,
        id::RINGBUF_DISCARD => ring::discard,
        id::RINGBUF_QUERY => ring::query,
        id::PERF_EVENT_OUTPUT => ring::perf_output,
        id::SK_LOOKUP_TCP | id::SK_LOOKUP_UDP | id::SKC_LOOKUP_TCP => sock::lookup,
        id::SK_RELEASE => sock::release,
        id::GET_SOCKET_COOKIE => sock::cookie,
        id::GET_SOCKET_UID => sock::uid,
        id::GET_CGROUP_CLASSID => sock::task_class,
        id::GET_ROUTE_REALM => sock::class,
        id::FIB_LOOKUP => sock::fib,
        id::TRACE_PRINTK => print::trace_printk,
        id::TRACE_VPRINTK => print::trace_vprintk,
        id::SNPRINTF => print::snprintf,
        id::STRTOL => text::strtol,
        id::STRTOUL => text::strtoul,
        id::STRNCMP => text::strncmp,
        id::PROBE_READ | id::PROBE_READ_KERNEL => text::probe_read,
        id::PROBE_READ_STR | id::PROBE_READ_KERNEL_STR => text::probe_read_str,
        id::PROBE_READ_USER | id::PROBE_READ_USER_STR => text::probe_read_user,
        _ => return kfuncs::by_number(number),
    })
}

/// R0 of a helper; any number where it set a trap.
#[inline(always)]
fn finish(body: impl FnOnce() -> Option<u64>) -> u64 {
    body().unwrap_or(0)
}

/// A helper, from a body that says `None` after it set a trap.
macro_rules! helper {
    ($(#[$doc:meta])* $name:ident($env:ident $(, $arg:pat)*) $body:block) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// As of [`HelperFn`](crate::link::HelperFn).
        pub(super) unsafe extern "C" fn $name(r1: u64, r2: u64, r3: u64, r4: u64, r5: u64, $env: &mut Env<'_>) -> u64 {
            let [$($arg,)* ..] = [r1, r2, r3, r4, r5];
            $crate::helpers::finish(|| $body)
        }
    };
}
use helper;
