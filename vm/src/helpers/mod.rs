//! The helpers of Linux: a file per family.
//!
//! A helper takes R1 to R5 as numbers and the environment. What a verified program passes is what the prototype says; what any
//! other program passes is checked by the ways to memory, maps and the context that the environment offers, which set a
//! trap. Helpers then return at once, with whatever number: the run is over.

use crate::link::HelperFn;

mod csum;
mod dynptr;
mod graph;
mod hosted;
mod kernel;
pub(crate) mod kfuncs;
mod lwt;
mod map;
mod msg;
pub(crate) mod print;
mod redirect;
mod ring;
mod room;
mod show;
mod skb;
mod sock;
mod storage;
mod strings;
mod sys;
mod text;
mod timer;
mod xdp;

pub(crate) use room::Tunnel;
pub(crate) use timer::{Timer, Timers};

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
        id::PROBE_READ_USER | id::COPY_FROM_USER | id::COPY_FROM_USER_TASK => hosted::copy_from_user,
        id::PROBE_READ_USER_STR => hosted::read_user_str,
        id::DYNPTR_FROM_MEM => dynptr::from_mem,
        id::DYNPTR_READ => dynptr::read,
        id::DYNPTR_WRITE => dynptr::write,
        id::DYNPTR_DATA => dynptr::data,
        id::RINGBUF_RESERVE_DYNPTR => dynptr::reserve,
        id::RINGBUF_SUBMIT_DYNPTR => dynptr::submit,
        id::RINGBUF_DISCARD_DYNPTR => dynptr::discard,
        id::SKB_ADJUST_ROOM => room::adjust_room,
        id::SKB_CHANGE_PROTO => room::change_proto,
        id::SKB_SET_TSTAMP => room::set_time,
        id::SKB_ECN_SET_CE => room::ecn_set_ce,
        id::CSUM_LEVEL => room::csum_level,
        id::LWT_PUSH_ENCAP => lwt::push_encap,
        id::PER_CPU_PTR => storage::per_cpu_ptr,
        id::THIS_CPU_PTR => storage::this_cpu_ptr,
        id::CHECK_MTU => room::check_mtu,
        id::SKB_SET_TUNNEL_KEY => room::set_tunnel_key,
        id::SKB_GET_TUNNEL_KEY => room::get_tunnel_key,
        id::SKB_SET_TUNNEL_OPT => room::set_tunnel_opt,
        id::SKB_GET_TUNNEL_OPT => room::get_tunnel_opt,
        id::SKB_CGROUP_CLASSID => room::no_class,
        number => return hosted_or_kept(number),
    })
}

/// Those that ask the surroundings, and those of what maps keep.
fn hosted_or_kept(number: u32) -> Option<HelperFn> {
    Some(match number {
        id::GET_STACK | id::GET_TASK_STACK => hosted::stack,
        id::GET_STACKID => storage::stack_id,
        id::GET_ATTACH_COOKIE => hosted::attach_cookie,
        id::GET_FUNC_IP => hosted::func_ip,
        id::GET_CURRENT_TASK | id::GET_CURRENT_TASK_BTF => hosted::current_task,
        id::GET_CURRENT_CGROUP_ID | id::SKB_CGROUP_ID | id::SK_CGROUP_ID => hosted::cgroup_id,
        id::GET_CURRENT_ANCESTOR_CGROUP_ID => hosted::ancestor_cgroup_id,
        id::SKB_ANCESTOR_CGROUP_ID | id::SK_ANCESTOR_CGROUP_ID => hosted::skb_ancestor_cgroup_id,
        id::CURRENT_TASK_UNDER_CGROUP => hosted::task_under_cgroup,
        id::SKB_UNDER_CGROUP => hosted::skb_under_cgroup,
        id::GET_NETNS_COOKIE => hosted::netns_cookie,
        id::GET_NS_CURRENT_PID_TGID => hosted::ns_pid_tgid,
        id::SEND_SIGNAL => hosted::send_signal,
        id::SEND_SIGNAL_THREAD => hosted::send_signal_thread,
        id::SETSOCKOPT => hosted::set_option,
        id::GETSOCKOPT => hosted::get_option,
        id::BIND => hosted::bind,
        id::GET_RETVAL => hosted::get_retval,
        id::SET_RETVAL => hosted::set_retval,
        id::PERF_EVENT_READ => hosted::no_event,
        id::PERF_EVENT_READ_VALUE => hosted::no_event_value,
        id::PERF_PROG_READ_VALUE => hosted::no_prog_value,
        id::READ_BRANCH_RECORDS | id::GET_BRANCH_SNAPSHOT => hosted::no_branches,
        id::TCP_SOCK
        | id::GET_LISTENER_SOCK
        | id::SKC_TO_TCP_SOCK
        | id::SKC_TO_TCP6_SOCK
        | id::SKC_TO_TCP_TIMEWAIT_SOCK
        | id::SKC_TO_TCP_REQUEST_SOCK
        | id::SKC_TO_UDP6_SOCK
        | id::SKC_TO_UNIX_SOCK
        | id::SKC_TO_MPTCP_SOCK
        | id::SOCK_FROM_FILE => hosted::no_socket,
        id::SK_FULLSOCK => hosted::same_socket,
        id::SK_ASSIGN | id::TCP_CHECK_SYNCOOKIE | id::TCP_GEN_SYNCOOKIE => hosted::not_found,
        id::LOAD_HDR_OPT | id::STORE_HDR_OPT | id::RESERVE_HDR_OPT => hosted::not_permitted,
        id::SKB_GET_XFRM_STATE => hosted::no_transform,
        id::SOCK_OPS_CB_FLAGS_SET => hosted::callback_flags,
        id::SYSCTL_GET_NAME => hosted::sysctl_name,
        id::SYSCTL_GET_CURRENT_VALUE => hosted::sysctl_current,
        id::SYSCTL_GET_NEW_VALUE => hosted::sysctl_new,
        id::SYSCTL_SET_NEW_VALUE => hosted::sysctl_set,
        id::KALLSYMS_LOOKUP_NAME => hosted::symbol,
        id::TCP_RAW_GEN_SYNCOOKIE_IPV4 => hosted::make_cookie4,
        id::TCP_RAW_GEN_SYNCOOKIE_IPV6 => hosted::make_cookie6,
        id::TCP_RAW_CHECK_SYNCOOKIE_IPV4 => hosted::check_cookie4,
        id::TCP_RAW_CHECK_SYNCOOKIE_IPV6 => hosted::check_cookie6,
        id::SPIN_LOCK => storage::lock,
        id::SPIN_UNLOCK => storage::unlock,
        id::KPTR_XCHG => storage::exchange,
        id::SK_STORAGE_GET | id::TASK_STORAGE_GET | id::INODE_STORAGE_GET | id::CGRP_STORAGE_GET => storage::get,
        id::SK_STORAGE_DELETE | id::TASK_STORAGE_DELETE | id::INODE_STORAGE_DELETE | id::CGRP_STORAGE_DELETE => {
            storage::delete
        }
        id::GET_LOCAL_STORAGE => storage::local,
        id::SK_SELECT_REUSEPORT => storage::select_reuseport,
        id::SK_REDIRECT_MAP | id::MSG_REDIRECT_MAP => storage::redirect_index,
        id::SK_REDIRECT_HASH | id::MSG_REDIRECT_HASH => storage::redirect_key,
        id::SOCK_MAP_UPDATE | id::SOCK_HASH_UPDATE => storage::socket_update,
        id::TIMER_INIT => timer::init,
        id::TIMER_SET_CALLBACK => timer::set_callback,
        id::TIMER_START => timer::start_timer,
        id::TIMER_CANCEL => timer::cancel,
        id::USER_RINGBUF_DRAIN => storage::drain,
        _ => return of_kernel(number),
    })
}

/// Those that tell of a kernel that the embedder lays out.
fn of_kernel(number: u32) -> Option<HelperFn> {
    Some(match number {
        id::GET_FUNC_ARG => kernel::func_arg,
        id::GET_FUNC_RET => kernel::func_ret,
        id::GET_FUNC_ARG_CNT => kernel::func_arg_count,
        id::TASK_PT_REGS => kernel::task_registers,
        id::FIND_VMA => kernel::find_vma,
        id::D_PATH => kernel::d_path,
        id::SEQ_WRITE => kernel::seq_write,
        id::SEQ_PRINTF => print::seq_printf,
        id::SKB_OUTPUT => ring::skb_output,
        id::XDP_OUTPUT => ring::xdp_output,
        id::SNPRINTF_BTF => show::snprintf_btf,
        id::SEQ_PRINTF_BTF => show::seq_printf_btf,
        id::MSG_APPLY_BYTES => msg::apply_bytes,
        id::MSG_CORK_BYTES => msg::cork_bytes,
        id::MSG_PULL_DATA => msg::pull_data,
        id::MSG_PUSH_DATA => msg::push_data,
        id::MSG_POP_DATA => msg::pop_data,
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

#[cfg(test)]
mod tests {
    use ring3_platform::helper_name;
    use ring3_platform::helpers::{Home, home};

    use super::*;

    /// What `platform` says of a helper is what linking finds.
    #[test]
    fn helpers_are_here_that_are_said_to_be() {
        for (number, home) in (1..).map_while(|number| Some((number, home(number)?))) {
            // An operation of its own.
            let here = number == id::TAIL_CALL || builtin(number).is_some();
            assert_eq!(here, home != Home::KernelOnly, "{} is {}", helper_name(number).unwrap(), home.name());
        }
    }
}
