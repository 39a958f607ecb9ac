//! Functions of the kernel that programs may call (`kfuncs`), as Linux 6.18 offers them: name, flags, who may call.
//!
//! A row makes a function known by its name. What its arguments must be is the verifier's matter, which refuses by name
//! those that it cannot judge. Functions of modules (tests, network cards) have no rows.

use crate::{ProgSet, ProgType};

/// Flags of a function (`KF_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KfuncFlags(pub u16);

#[allow(missing_docs)]
impl KfuncFlags {
    pub const NONE: KfuncFlags = KfuncFlags(0);
    pub const ACQUIRE: KfuncFlags = KfuncFlags(1 << 0);
    pub const RELEASE: KfuncFlags = KfuncFlags(1 << 1);
    pub const RET_NULL: KfuncFlags = KfuncFlags(1 << 2);
    pub const TRUSTED_ARGS: KfuncFlags = KfuncFlags(1 << 4);
    pub const SLEEPABLE: KfuncFlags = KfuncFlags(1 << 5);
    pub const DESTRUCTIVE: KfuncFlags = KfuncFlags(1 << 6);
    pub const RCU: KfuncFlags = KfuncFlags(1 << 7);
    pub const ITER_NEW: KfuncFlags = KfuncFlags(1 << 8);
    pub const ITER_NEXT: KfuncFlags = KfuncFlags(1 << 9);
    pub const ITER_DESTROY: KfuncFlags = KfuncFlags(1 << 10);
    pub const RCU_PROTECTED: KfuncFlags = KfuncFlags(1 << 11);
    pub const FASTCALL: KfuncFlags = KfuncFlags(1 << 12);
    pub const ARENA_RET: KfuncFlags = KfuncFlags(1 << 13);
    pub const ARENA_ARG1: KfuncFlags = KfuncFlags(1 << 14);
    pub const ARENA_ARG2: KfuncFlags = KfuncFlags(1 << 15);

    /// True if every bit of `other` is set.
    pub const fn has(self, other: KfuncFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A function of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kfunc {
    /// Its name.
    pub name: &'static str,
    /// Its flags.
    pub flags: KfuncFlags,
    /// The program types that it is registered for.
    pub programs: ProgSet,
}

impl Kfunc {
    /// Whether programs of this type may call it. One that replaces another program's function (`ext`) may call what
    /// that one may, which is not known here: `None`.
    pub const fn allows(&self, kind: ProgType) -> Option<bool> {
        if matches!(kind, ProgType::Ext) && self.programs.0 != COMMON.0 {
            return None;
        }
        Some(self.programs.has(kind))
    }
}

/// The function of this name. What follows `___` is a flavour that programs may give a name, and no part of it.
pub fn kfunc(name: &str) -> Option<&'static Kfunc> {
    let name = base_name(name);
    KFUNCS.binary_search_by_key(&name, |row| row.name).ok().map(|at| &KFUNCS[at])
}

/// A name without its flavour (`bpf_f___local` is `bpf_f`), as libbpf looks names up.
pub fn base_name(name: &str) -> &str {
    match name.rfind("___") {
        Some(at) if at > 0 => &name[..at],
        Some(_) | None => name,
    }
}

// One registration serves a hook, which some program types share.
const COMMON: ProgSet = ProgSet(u64::MAX);
const TRACING: ProgSet = ProgSet::of(&[ProgType::Tracing, ProgType::Tracepoint, ProgType::PerfEvent, ProgType::Lsm]);
const CGROUP: ProgSet = ProgSet::of(&[
    ProgType::CgroupSkb,
    ProgType::CgroupSock,
    ProgType::CgroupDevice,
    ProgType::CgroupSockAddr,
    ProgType::CgroupSockopt,
    ProgType::CgroupSysctl,
    ProgType::SockOps,
]);
const LWT: ProgSet = ProgSet::of(&[ProgType::LwtIn, ProgType::LwtOut, ProgType::LwtXmit, ProgType::LwtSeg6local]);
/// Of the hook of tracing programs, only these: a filter of the functions refuses the others.
const LSM: ProgSet = ProgSet::of(&[ProgType::Lsm]);
const KPROBE: ProgSet = ProgSet::of(&[ProgType::Kprobe]);
const NETFILTER: ProgSet = ProgSet::of(&[ProgType::Netfilter]);
const SCHED_ACT: ProgSet = ProgSet::of(&[ProgType::SchedAct]);
const SCHED_CLS: ProgSet = ProgSet::of(&[ProgType::SchedCls]);
const SK_SKB: ProgSet = ProgSet::of(&[ProgType::SkSkb]);
const SOCKET_FILTER: ProgSet = ProgSet::of(&[ProgType::SocketFilter]);
const STRUCT_OPS: ProgSet = ProgSet::of(&[ProgType::StructOps]);
const SYSCALL: ProgSet = ProgSet::of(&[ProgType::Syscall]);
const XDP: ProgSet = ProgSet::of(&[ProgType::Xdp]);

macro_rules! kfuncs {
    ($($name:literal [$($flag:ident)*] ($($hook:ident)*);)*) => {
        /// All of them, by name.
        pub static KFUNCS: &[Kfunc] = &[$(Kfunc {
            name: $name,
            flags: KfuncFlags(0 $(| KfuncFlags::$flag.0)*),
            programs: ProgSet(0 $(| $hook.0)*),
        }),*];
    };
}

kfuncs! {
    "__bpf_trap" [] (COMMON);
    "bbr_cwnd_event" [] (STRUCT_OPS);
    "bbr_init" [] (STRUCT_OPS);
    "bbr_main" [] (STRUCT_OPS);
    "bbr_min_tso_segs" [] (STRUCT_OPS);
    "bbr_set_state" [] (STRUCT_OPS);
    "bbr_sndbuf_expand" [] (STRUCT_OPS);
    "bbr_ssthresh" [] (STRUCT_OPS);
    "bbr_undo_cwnd" [] (STRUCT_OPS);
    "bpf_arena_alloc_pages" [TRUSTED_ARGS SLEEPABLE ARENA_RET ARENA_ARG2] (COMMON);
    "bpf_arena_free_pages" [TRUSTED_ARGS SLEEPABLE ARENA_ARG2] (COMMON);
    "bpf_arena_reserve_pages" [TRUSTED_ARGS SLEEPABLE ARENA_ARG2] (COMMON);
    "bpf_cast_to_kern_ctx" [FASTCALL] (COMMON);
    "bpf_cgroup_acquire" [ACQUIRE RCU RET_NULL] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_cgroup_ancestor" [ACQUIRE RCU RET_NULL] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_cgroup_from_id" [ACQUIRE RET_NULL] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_cgroup_read_xattr" [RCU] (COMMON);
    "bpf_cgroup_release" [RELEASE] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_copy_from_user_dynptr" [SLEEPABLE] (COMMON);
    "bpf_copy_from_user_str" [SLEEPABLE] (COMMON);
    "bpf_copy_from_user_str_dynptr" [SLEEPABLE] (COMMON);
    "bpf_copy_from_user_task_dynptr" [SLEEPABLE TRUSTED_ARGS] (COMMON);
    "bpf_copy_from_user_task_str" [SLEEPABLE] (COMMON);
    "bpf_copy_from_user_task_str_dynptr" [SLEEPABLE TRUSTED_ARGS] (COMMON);
    "bpf_cpumask_acquire" [ACQUIRE TRUSTED_ARGS] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_and" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_any_and_distribute" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_any_distribute" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_clear" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_clear_cpu" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_copy" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_create" [ACQUIRE RET_NULL] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_empty" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_equal" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_first" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_first_and" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_first_zero" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_full" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_intersects" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_or" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_populate" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_release" [RELEASE] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_set_cpu" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_setall" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_subset" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_test_and_clear_cpu" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_test_and_set_cpu" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_test_cpu" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_weight" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_cpumask_xor" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "bpf_crypto_ctx_acquire" [ACQUIRE RCU RET_NULL] (SYSCALL);
    "bpf_crypto_ctx_create" [ACQUIRE RET_NULL SLEEPABLE] (SYSCALL);
    "bpf_crypto_ctx_release" [RELEASE] (SYSCALL);
    "bpf_crypto_decrypt" [RCU] (SCHED_CLS SCHED_ACT XDP);
    "bpf_crypto_encrypt" [RCU] (SCHED_CLS SCHED_ACT XDP);
    "bpf_ct_change_status" [TRUSTED_ARGS] (XDP SCHED_CLS);
    "bpf_ct_change_timeout" [TRUSTED_ARGS] (XDP SCHED_CLS);
    "bpf_ct_insert_entry" [ACQUIRE RET_NULL RELEASE] (XDP SCHED_CLS);
    "bpf_ct_release" [RELEASE] (XDP SCHED_CLS);
    "bpf_ct_set_nat_info" [TRUSTED_ARGS] (XDP SCHED_CLS);
    "bpf_ct_set_status" [TRUSTED_ARGS] (XDP SCHED_CLS);
    "bpf_ct_set_timeout" [TRUSTED_ARGS] (XDP SCHED_CLS);
    "bpf_dynptr_adjust" [] (COMMON);
    "bpf_dynptr_clone" [] (COMMON);
    "bpf_dynptr_copy" [] (COMMON);
    "bpf_dynptr_from_skb" [TRUSTED_ARGS] (SCHED_CLS SCHED_ACT SK_SKB SOCKET_FILTER CGROUP LWT NETFILTER TRACING);
    "bpf_dynptr_from_skb_meta" [TRUSTED_ARGS] (SCHED_CLS SCHED_ACT);
    "bpf_dynptr_from_xdp" [] (XDP);
    "bpf_dynptr_is_null" [] (COMMON);
    "bpf_dynptr_is_rdonly" [] (COMMON);
    "bpf_dynptr_memset" [] (COMMON);
    "bpf_dynptr_size" [] (COMMON);
    "bpf_dynptr_slice" [RET_NULL] (COMMON);
    "bpf_dynptr_slice_rdwr" [RET_NULL] (COMMON);
    "bpf_fentry_test1" [SLEEPABLE] ();
    "bpf_get_dentry_xattr" [SLEEPABLE TRUSTED_ARGS] (LSM);
    "bpf_get_file_xattr" [SLEEPABLE TRUSTED_ARGS] (LSM);
    "bpf_get_fsverity_digest" [TRUSTED_ARGS] (LSM);
    "bpf_get_kmem_cache" [] (COMMON);
    "bpf_get_task_exe_file" [ACQUIRE TRUSTED_ARGS RET_NULL] (LSM);
    "bpf_iter_bits_destroy" [ITER_DESTROY] (COMMON);
    "bpf_iter_bits_new" [ITER_NEW] (COMMON);
    "bpf_iter_bits_next" [ITER_NEXT RET_NULL] (COMMON);
    "bpf_iter_css_destroy" [ITER_DESTROY] (COMMON);
    "bpf_iter_css_new" [ITER_NEW TRUSTED_ARGS RCU_PROTECTED] (COMMON);
    "bpf_iter_css_next" [ITER_NEXT RET_NULL] (COMMON);
    "bpf_iter_css_task_destroy" [ITER_DESTROY] (COMMON);
    "bpf_iter_css_task_new" [ITER_NEW TRUSTED_ARGS] (COMMON);
    "bpf_iter_css_task_next" [ITER_NEXT RET_NULL] (COMMON);
    "bpf_iter_dmabuf_destroy" [ITER_DESTROY SLEEPABLE] (COMMON);
    "bpf_iter_dmabuf_new" [ITER_NEW SLEEPABLE] (COMMON);
    "bpf_iter_dmabuf_next" [ITER_NEXT RET_NULL SLEEPABLE] (COMMON);
    "bpf_iter_kmem_cache_destroy" [ITER_DESTROY SLEEPABLE] (COMMON);
    "bpf_iter_kmem_cache_new" [ITER_NEW SLEEPABLE] (COMMON);
    "bpf_iter_kmem_cache_next" [ITER_NEXT RET_NULL SLEEPABLE] (COMMON);
    "bpf_iter_num_destroy" [ITER_DESTROY] (COMMON);
    "bpf_iter_num_new" [ITER_NEW] (COMMON);
    "bpf_iter_num_next" [ITER_NEXT RET_NULL] (COMMON);
    "bpf_iter_scx_dsq_destroy" [ITER_DESTROY] (STRUCT_OPS TRACING SYSCALL);
    "bpf_iter_scx_dsq_new" [ITER_NEW RCU_PROTECTED] (STRUCT_OPS TRACING SYSCALL);
    "bpf_iter_scx_dsq_next" [ITER_NEXT RET_NULL] (STRUCT_OPS TRACING SYSCALL);
    "bpf_iter_task_destroy" [ITER_DESTROY] (COMMON);
    "bpf_iter_task_new" [ITER_NEW TRUSTED_ARGS RCU_PROTECTED] (COMMON);
    "bpf_iter_task_next" [ITER_NEXT RET_NULL] (COMMON);
    "bpf_iter_task_vma_destroy" [ITER_DESTROY] (COMMON);
    "bpf_iter_task_vma_new" [ITER_NEW RCU] (COMMON);
    "bpf_iter_task_vma_next" [ITER_NEXT RET_NULL] (COMMON);
    "bpf_iter_testmod_seq_destroy" [ITER_DESTROY] (COMMON);
    "bpf_iter_testmod_seq_new" [ITER_NEW] (COMMON);
    "bpf_iter_testmod_seq_next" [ITER_NEXT RET_NULL] (COMMON);
    "bpf_iter_testmod_seq_value" [] (COMMON);
    "bpf_key_put" [RELEASE] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_kfree_skb" [RELEASE] (STRUCT_OPS);
    "bpf_kfunc_call_int_mem_release" [RELEASE] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_kernel_bind" [SLEEPABLE] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_kernel_connect" [SLEEPABLE] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_kernel_getpeername" [SLEEPABLE] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_kernel_getsockname" [SLEEPABLE] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_kernel_listen" [SLEEPABLE] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_kernel_sendmsg" [SLEEPABLE] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_memb1_release" [RELEASE] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_memb_acquire" [ACQUIRE RET_NULL] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_memb_release" [RELEASE] (SCHED_CLS TRACING SYSCALL);
    "bpf_kfunc_call_sock_sendmsg" [SLEEPABLE] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test1" [] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test2" [] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test3" [] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test4" [] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test_acq_rdonly_mem" [ACQUIRE RET_NULL] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test_acquire" [ACQUIRE RET_NULL] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test_destructive" [DESTRUCTIVE] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test_fail1" [] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test_fail2" [] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test_fail3" [] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test_get_rdonly_mem" [RET_NULL] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test_get_rdwr_mem" [RET_NULL] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test_mem_len_fail1" [] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test_mem_len_fail2" [] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test_mem_len_pass1" [] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test_offset" [] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test_pass1" [] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test_pass2" [] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test_pass_ctx" [] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test_ref" [TRUSTED_ARGS RCU] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test_release" [RELEASE] (SCHED_CLS TRACING SYSCALL);
    "bpf_kfunc_call_test_sleepable" [SLEEPABLE] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_call_test_static_unused_arg" [] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_close_sock" [SLEEPABLE] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_common_test" [] (COMMON);
    "bpf_kfunc_dynptr_test" [] (COMMON);
    "bpf_kfunc_init_sock" [SLEEPABLE] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_multi_st_ops_test_1" [TRUSTED_ARGS] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_nested_acquire_nonzero_offset_test" [ACQUIRE] (COMMON);
    "bpf_kfunc_nested_acquire_zero_offset_test" [ACQUIRE] (COMMON);
    "bpf_kfunc_nested_release_test" [RELEASE] (COMMON);
    "bpf_kfunc_rcu_task_test" [RCU] (COMMON);
    "bpf_kfunc_ret_rcu_test" [RET_NULL RCU_PROTECTED] (COMMON);
    "bpf_kfunc_ret_rcu_test_nostruct" [RET_NULL RCU_PROTECTED] (COMMON);
    "bpf_kfunc_st_ops_inc10" [TRUSTED_ARGS] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_st_ops_test_epilogue" [TRUSTED_ARGS SLEEPABLE] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_st_ops_test_pro_epilogue" [TRUSTED_ARGS SLEEPABLE] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_st_ops_test_prologue" [TRUSTED_ARGS SLEEPABLE] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_kfunc_trusted_num_test" [TRUSTED_ARGS] (COMMON);
    "bpf_kfunc_trusted_task_test" [TRUSTED_ARGS] (COMMON);
    "bpf_kfunc_trusted_vma_test" [TRUSTED_ARGS] (COMMON);
    "bpf_list_back" [RET_NULL] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_list_front" [RET_NULL] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_list_pop_back" [ACQUIRE RET_NULL] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_list_pop_front" [ACQUIRE RET_NULL] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_list_push_back_impl" [] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_list_push_front_impl" [] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_local_irq_restore" [] (COMMON);
    "bpf_local_irq_save" [] (COMMON);
    "bpf_lookup_system_key" [ACQUIRE RET_NULL] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_lookup_user_key" [ACQUIRE RET_NULL SLEEPABLE] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_map_sum_elem_count" [TRUSTED_ARGS] (COMMON);
    "bpf_modify_return_test" [] ();
    "bpf_modify_return_test2" [] ();
    "bpf_modify_return_test_tp" [] (COMMON);
    "bpf_obj_drop_impl" [RELEASE] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_obj_new_impl" [ACQUIRE RET_NULL] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_path_d_path" [TRUSTED_ARGS] (LSM);
    "bpf_percpu_obj_drop_impl" [RELEASE] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_percpu_obj_new_impl" [ACQUIRE RET_NULL] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_preempt_disable" [] (COMMON);
    "bpf_preempt_enable" [] (COMMON);
    "bpf_probe_read_kernel_dynptr" [] (COMMON);
    "bpf_probe_read_kernel_str_dynptr" [] (COMMON);
    "bpf_probe_read_user_dynptr" [] (COMMON);
    "bpf_probe_read_user_str_dynptr" [] (COMMON);
    "bpf_put_file" [RELEASE] (LSM);
    "bpf_qdisc_bstats_update" [TRUSTED_ARGS] (STRUCT_OPS);
    "bpf_qdisc_init_prologue" [TRUSTED_ARGS] (STRUCT_OPS);
    "bpf_qdisc_reset_destroy_epilogue" [TRUSTED_ARGS] (STRUCT_OPS);
    "bpf_qdisc_skb_drop" [RELEASE] (STRUCT_OPS);
    "bpf_qdisc_watchdog_schedule" [TRUSTED_ARGS] (STRUCT_OPS);
    "bpf_rbtree_add_impl" [] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_rbtree_first" [RET_NULL] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_rbtree_left" [RET_NULL] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_rbtree_remove" [ACQUIRE RET_NULL] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_rbtree_right" [RET_NULL] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_rbtree_root" [RET_NULL] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_rcu_read_lock" [] (COMMON);
    "bpf_rcu_read_unlock" [] (COMMON);
    "bpf_rdonly_cast" [FASTCALL] (COMMON);
    "bpf_refcount_acquire_impl" [ACQUIRE RET_NULL RCU] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_remove_dentry_xattr" [SLEEPABLE TRUSTED_ARGS] (LSM);
    "bpf_res_spin_lock" [RET_NULL] (COMMON);
    "bpf_res_spin_lock_irqsave" [RET_NULL] (COMMON);
    "bpf_res_spin_unlock" [] (COMMON);
    "bpf_res_spin_unlock_irqrestore" [] (COMMON);
    "bpf_send_signal_task" [TRUSTED_ARGS] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_session_cookie" [] (KPROBE);
    "bpf_session_is_return" [] (KPROBE);
    "bpf_set_dentry_xattr" [SLEEPABLE TRUSTED_ARGS] (LSM);
    "bpf_sk_assign_tcp_reqsk" [TRUSTED_ARGS] (SCHED_CLS);
    "bpf_skb_ct_alloc" [ACQUIRE RET_NULL] (XDP SCHED_CLS);
    "bpf_skb_ct_lookup" [ACQUIRE RET_NULL] (XDP SCHED_CLS);
    "bpf_skb_get_fou_encap" [] (SCHED_CLS);
    "bpf_skb_get_hash" [TRUSTED_ARGS] (STRUCT_OPS);
    "bpf_skb_get_xfrm_info" [] (SCHED_CLS);
    "bpf_skb_set_fou_encap" [] (SCHED_CLS);
    "bpf_skb_set_xfrm_info" [] (SCHED_CLS);
    "bpf_sock_addr_set_sun_path" [] (CGROUP);
    "bpf_sock_destroy" [TRUSTED_ARGS] (TRACING);
    "bpf_sock_ops_enable_tx_tstamp" [TRUSTED_ARGS] (CGROUP);
    "bpf_strcasecmp" [] (COMMON);
    "bpf_strchr" [] (COMMON);
    "bpf_strchrnul" [] (COMMON);
    "bpf_strcmp" [] (COMMON);
    "bpf_strcspn" [] (COMMON);
    "bpf_stream_vprintk_impl" [TRUSTED_ARGS] (COMMON);
    "bpf_strlen" [] (COMMON);
    "bpf_strnchr" [] (COMMON);
    "bpf_strnlen" [] (COMMON);
    "bpf_strnstr" [] (COMMON);
    "bpf_strrchr" [] (COMMON);
    "bpf_strspn" [] (COMMON);
    "bpf_strstr" [] (COMMON);
    "bpf_task_acquire" [ACQUIRE RCU RET_NULL] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_task_from_pid" [ACQUIRE RET_NULL] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_task_from_vpid" [ACQUIRE RET_NULL] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_task_get_cgroup1" [ACQUIRE RCU RET_NULL] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_task_release" [RELEASE] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_task_under_cgroup" [RCU] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_task_work_schedule_resume_impl" [TRUSTED_ARGS] (COMMON);
    "bpf_task_work_schedule_signal_impl" [TRUSTED_ARGS] (COMMON);
    "bpf_test_modorder_retx" [] (SCHED_CLS);
    "bpf_test_modorder_rety" [] (SCHED_CLS);
    "bpf_testmod_ctx_create" [ACQUIRE RET_NULL] (COMMON);
    "bpf_testmod_ctx_release" [RELEASE] (COMMON);
    "bpf_testmod_ops3_call_test_1" [] (COMMON);
    "bpf_testmod_ops3_call_test_2" [] (COMMON);
    "bpf_testmod_test_mod_kfunc" [] (SCHED_CLS TRACING SYSCALL STRUCT_OPS);
    "bpf_throw" [] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "bpf_verify_pkcs7_signature" [SLEEPABLE] (TRACING);
    "bpf_wq_init" [] (COMMON);
    "bpf_wq_set_callback_impl" [] (COMMON);
    "bpf_wq_start" [] (COMMON);
    "bpf_xdp_ct_alloc" [ACQUIRE RET_NULL] (XDP SCHED_CLS);
    "bpf_xdp_ct_lookup" [ACQUIRE RET_NULL] (XDP SCHED_CLS);
    "bpf_xdp_flow_lookup" [TRUSTED_ARGS RET_NULL] (XDP);
    "bpf_xdp_get_xfrm_state" [RET_NULL ACQUIRE] (XDP);
    "bpf_xdp_metadata_rx_hash" [TRUSTED_ARGS] (XDP);
    "bpf_xdp_metadata_rx_timestamp" [TRUSTED_ARGS] (XDP);
    "bpf_xdp_metadata_rx_vlan_tag" [TRUSTED_ARGS] (XDP);
    "bpf_xdp_pull_data" [] (XDP);
    "bpf_xdp_xfrm_state_release" [RELEASE] (XDP);
    "crash_kexec" [DESTRUCTIVE] (TRACING SCHED_CLS XDP STRUCT_OPS SYSCALL CGROUP);
    "css_rstat_flush" [SLEEPABLE] (TRACING);
    "css_rstat_updated" [] (TRACING);
    "cubictcp_acked" [] (STRUCT_OPS);
    "cubictcp_cong_avoid" [] (STRUCT_OPS);
    "cubictcp_cwnd_event" [] (STRUCT_OPS);
    "cubictcp_init" [] (STRUCT_OPS);
    "cubictcp_recalc_ssthresh" [] (STRUCT_OPS);
    "cubictcp_state" [] (STRUCT_OPS);
    "dctcp_cwnd_event" [] (STRUCT_OPS);
    "dctcp_cwnd_undo" [] (STRUCT_OPS);
    "dctcp_init" [] (STRUCT_OPS);
    "dctcp_ssthresh" [] (STRUCT_OPS);
    "dctcp_state" [] (STRUCT_OPS);
    "dctcp_update_alpha" [] (STRUCT_OPS);
    "hid_bpf_allocate_context" [ACQUIRE RET_NULL SLEEPABLE] (STRUCT_OPS SYSCALL);
    "hid_bpf_get_data" [RET_NULL] (STRUCT_OPS);
    "hid_bpf_hw_output_report" [SLEEPABLE] (STRUCT_OPS SYSCALL);
    "hid_bpf_hw_request" [SLEEPABLE] (STRUCT_OPS SYSCALL);
    "hid_bpf_input_report" [SLEEPABLE] (STRUCT_OPS SYSCALL);
    "hid_bpf_release_context" [RELEASE SLEEPABLE] (STRUCT_OPS SYSCALL);
    "hid_bpf_try_input_report" [] (STRUCT_OPS);
    "scx_bpf_cpu_curr" [RET_NULL RCU_PROTECTED] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_cpu_node" [] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_cpu_rq" [] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_cpuperf_cap" [] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_cpuperf_cur" [] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_cpuperf_set" [] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_create_dsq" [SLEEPABLE] (STRUCT_OPS SYSCALL);
    "scx_bpf_destroy_dsq" [] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_dispatch_cancel" [] (STRUCT_OPS);
    "scx_bpf_dispatch_nr_slots" [] (STRUCT_OPS);
    "scx_bpf_dsq_insert" [RCU] (STRUCT_OPS);
    "scx_bpf_dsq_insert_vtime" [RCU] (STRUCT_OPS);
    "scx_bpf_dsq_move" [RCU] (STRUCT_OPS SYSCALL);
    "scx_bpf_dsq_move_set_slice" [RCU] (STRUCT_OPS SYSCALL);
    "scx_bpf_dsq_move_set_vtime" [RCU] (STRUCT_OPS SYSCALL);
    "scx_bpf_dsq_move_to_local" [] (STRUCT_OPS);
    "scx_bpf_dsq_move_vtime" [RCU] (STRUCT_OPS SYSCALL);
    "scx_bpf_dsq_nr_queued" [] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_dump_bstr" [TRUSTED_ARGS] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_error_bstr" [TRUSTED_ARGS] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_events" [TRUSTED_ARGS] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_exit_bstr" [TRUSTED_ARGS] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_get_idle_cpumask" [ACQUIRE] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_get_idle_cpumask_node" [ACQUIRE] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_get_idle_smtmask" [ACQUIRE] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_get_idle_smtmask_node" [ACQUIRE] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_get_online_cpumask" [ACQUIRE] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_get_possible_cpumask" [ACQUIRE] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_kick_cpu" [] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_locked_rq" [RET_NULL] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_now" [] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_nr_cpu_ids" [] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_nr_node_ids" [] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_pick_any_cpu" [RCU] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_pick_any_cpu_node" [RCU] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_pick_idle_cpu" [RCU] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_pick_idle_cpu_node" [RCU] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_put_cpumask" [RELEASE] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_put_idle_cpumask" [RELEASE] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_reenqueue_local" [] (STRUCT_OPS);
    "scx_bpf_select_cpu_and" [RCU] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_select_cpu_dfl" [RCU] (TRACING STRUCT_OPS SYSCALL);
    "scx_bpf_task_cgroup" [RCU ACQUIRE] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_task_cpu" [RCU] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_task_running" [RCU] (STRUCT_OPS TRACING SYSCALL);
    "scx_bpf_test_and_clear_cpu_idle" [] (STRUCT_OPS TRACING SYSCALL);
    "tcp_cong_avoid_ai" [] (STRUCT_OPS);
    "tcp_reno_cong_avoid" [] (STRUCT_OPS);
    "tcp_reno_ssthresh" [] (STRUCT_OPS);
    "tcp_reno_undo_cwnd" [] (STRUCT_OPS);
    "tcp_slow_start" [] (STRUCT_OPS);
    "update_socket_protocol" [] ();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_found() {
        assert!(KFUNCS.is_sorted_by(|a, b| a.name < b.name));
        for row in KFUNCS {
            assert_eq!(kfunc(row.name), Some(row));
        }
        assert_eq!(kfunc("bpf_iter_num_new___v2"), kfunc("bpf_iter_num_new"));
        assert_eq!(kfunc("bpf_no_such_function"), None);
    }

    #[test]
    fn who_may_call() {
        let throw = kfunc("bpf_throw").unwrap();
        assert_eq!(throw.allows(ProgType::Xdp), Some(true));
        assert_eq!(throw.allows(ProgType::SocketFilter), Some(false));
        assert_eq!(throw.allows(ProgType::Ext), None);
        let next = kfunc("bpf_iter_num_next").unwrap();
        assert_eq!(next.allows(ProgType::RawTracepoint), Some(true));
        assert!(next.flags.has(KfuncFlags::ITER_NEXT) && next.flags.has(KfuncFlags::RET_NULL));
    }
}
