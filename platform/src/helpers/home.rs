//! Where a helper can do its work: in any process, with the embedder's word for what is around it, or in a kernel alone.

use super::id;

/// What a helper needs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Home {
    /// Nothing but the program's own memory, maps, packet and clock: it works outside of the kernel as inside.
    Native,
    /// The surroundings, which the embedder answers for: sockets, routes, tasks, control groups, memory of user space. Where nobody says
    /// otherwise, it gives what an empty machine would.
    Hosted,
    /// The kernel's own machinery. A program that calls it is judged, and not run.
    KernelOnly,
}

impl Home {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Home::Native => "native",
            Home::Hosted => "hosted",
            Home::KernelOnly => "kernel only",
        }
    }
}

/// Those that ask the surroundings.
const HOSTED: &[u32] = &[
    id::GET_CURRENT_PID_TGID,
    id::GET_CURRENT_UID_GID,
    id::GET_CURRENT_COMM,
    id::GET_CGROUP_CLASSID,
    id::PERF_EVENT_READ,
    id::REDIRECT,
    id::CLONE_REDIRECT,
    id::GET_ROUTE_REALM,
    id::GET_STACKID,
    id::SKB_UNDER_CGROUP,
    id::GET_CURRENT_TASK,
    id::CURRENT_TASK_UNDER_CGROUP,
    id::GET_NUMA_NODE_ID,
    id::GET_SOCKET_COOKIE,
    id::GET_SOCKET_UID,
    id::SETSOCKOPT,
    id::SK_REDIRECT_MAP,
    id::SOCK_MAP_UPDATE,
    id::PERF_EVENT_READ_VALUE,
    id::PERF_PROG_READ_VALUE,
    id::GETSOCKOPT,
    id::SOCK_OPS_CB_FLAGS_SET,
    id::MSG_REDIRECT_MAP,
    id::BIND,
    id::SKB_GET_XFRM_STATE,
    id::GET_STACK,
    id::FIB_LOOKUP,
    id::SOCK_HASH_UPDATE,
    id::MSG_REDIRECT_HASH,
    id::SK_REDIRECT_HASH,
    id::SKB_CGROUP_ID,
    id::GET_CURRENT_CGROUP_ID,
    id::GET_LOCAL_STORAGE,
    id::SK_SELECT_REUSEPORT,
    id::SKB_ANCESTOR_CGROUP_ID,
    id::SK_LOOKUP_TCP,
    id::SK_LOOKUP_UDP,
    id::SK_RELEASE,
    id::SK_FULLSOCK,
    id::TCP_SOCK,
    id::GET_LISTENER_SOCK,
    id::SKC_LOOKUP_TCP,
    id::TCP_CHECK_SYNCOOKIE,
    id::SYSCTL_GET_NAME,
    id::SYSCTL_GET_CURRENT_VALUE,
    id::SYSCTL_GET_NEW_VALUE,
    id::SYSCTL_SET_NEW_VALUE,
    id::SK_STORAGE_GET,
    id::SK_STORAGE_DELETE,
    id::SEND_SIGNAL,
    id::TCP_GEN_SYNCOOKIE,
    id::PROBE_READ_USER,
    id::PROBE_READ_USER_STR,
    id::SEND_SIGNAL_THREAD,
    id::READ_BRANCH_RECORDS,
    id::GET_NS_CURRENT_PID_TGID,
    id::GET_NETNS_COOKIE,
    id::GET_CURRENT_ANCESTOR_CGROUP_ID,
    id::SK_ASSIGN,
    id::SK_CGROUP_ID,
    id::SK_ANCESTOR_CGROUP_ID,
    id::SKC_TO_TCP6_SOCK,
    id::SKC_TO_TCP_SOCK,
    id::SKC_TO_TCP_TIMEWAIT_SOCK,
    id::SKC_TO_TCP_REQUEST_SOCK,
    id::SKC_TO_UDP6_SOCK,
    id::GET_TASK_STACK,
    id::LOAD_HDR_OPT,
    id::STORE_HDR_OPT,
    id::RESERVE_HDR_OPT,
    id::INODE_STORAGE_GET,
    id::INODE_STORAGE_DELETE,
    id::COPY_FROM_USER,
    id::REDIRECT_NEIGH,
    id::REDIRECT_PEER,
    id::SKB_CGROUP_CLASSID,
    id::TASK_STORAGE_GET,
    id::TASK_STORAGE_DELETE,
    id::GET_CURRENT_TASK_BTF,
    id::SOCK_FROM_FILE,
    id::CHECK_MTU,
    id::GET_FUNC_IP,
    id::GET_ATTACH_COOKIE,
    id::GET_BRANCH_SNAPSHOT,
    id::SKC_TO_UNIX_SOCK,
    id::KALLSYMS_LOOKUP_NAME,
    id::GET_RETVAL,
    id::SET_RETVAL,
    id::COPY_FROM_USER_TASK,
    id::SKC_TO_MPTCP_SOCK,
    id::CGRP_STORAGE_GET,
    id::CGRP_STORAGE_DELETE,
    id::SKB_OUTPUT,
    id::XDP_OUTPUT,
    id::SEQ_PRINTF,
    id::SEQ_WRITE,
    id::SEQ_PRINTF_BTF,
    id::SNPRINTF_BTF,
    id::D_PATH,
    id::TASK_PT_REGS,
    id::FIND_VMA,
    id::PER_CPU_PTR,
    id::THIS_CPU_PTR,
    id::GET_FUNC_ARG,
    id::GET_FUNC_RET,
    id::GET_FUNC_ARG_CNT,
];

/// Those that only a kernel has, and why.
const KERNEL_ONLY: &[(u32, &str)] = &[
    (id::PROBE_WRITE_USER, "a kernel that is not locked down, which is not known of any"),
    (id::OVERRIDE_RETURN, "error injection, which kernels are mostly built without"),
    (id::LWT_SEG6_STORE_BYTES, "segment routing of the kernel"),
    (id::LWT_SEG6_ADJUST_SRH, "segment routing of the kernel"),
    (id::LWT_SEG6_ACTION, "segment routing of the kernel"),
    (id::RC_REPEAT, "an infrared receiver"),
    (id::RC_KEYDOWN, "an infrared receiver"),
    (id::RC_POINTER_REL, "an infrared receiver"),
    (id::TCP_SEND_ACK, "a connection of the kernel"),
    (id::BPRM_OPTS_SET, "a program that the kernel is about to start"),
    (id::IMA_INODE_HASH, "what the kernel measured of files"),
    (id::IMA_FILE_HASH, "what the kernel measured of files"),
    (id::SYS_BPF, "the system call bpf"),
    (id::BTF_FIND_BY_NAME_KIND, "descriptors of the kernel's types"),
    (id::SYS_CLOSE, "descriptors of the kernel"),
];

/// Why a helper works in a kernel alone: what it needs of one. `None` for all others.
pub fn kernel_only(number: u32) -> Option<&'static str> {
    KERNEL_ONLY.iter().find(|row| row.0 == number).map(|row| row.1)
}

/// Where a helper of Linux can do its work; `None` for a number that is none.
pub fn home(number: u32) -> Option<Home> {
    super::helper_name(number)?;
    Some(match () {
        () if kernel_only(number).is_some() => Home::KernelOnly,
        () if HOSTED.contains(&number) => Home::Hosted,
        () => Home::Native,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_helper_is_in_one_place() {
        let all = (1..).map_while(|number| super::super::helper_name(number).map(|_| number));
        assert_eq!(all.count(), 211);
        assert!(HOSTED.iter().all(|number| kernel_only(*number).is_none()));
        assert_eq!((home(id::MAP_LOOKUP_ELEM), home(id::SYS_BPF)), (Some(Home::Native), Some(Home::KernelOnly)));
        assert_eq!((home(id::FIB_LOOKUP), home(0), home(212)), (Some(Home::Hosted), None, None));
    }
}
