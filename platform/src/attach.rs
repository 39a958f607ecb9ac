//! What is known of functions that programs are attached to beside their types: hooks of security modules, arguments of
//! tracepoints that may be null.

/// Arguments of tracepoints that may be null (1) or an error number in place of an address (2): four bits for each
/// argument, the first lowest. By name.
#[rustfmt::skip]
const TRACEPOINTS: &[(&str, u64)] = &[
    ("afs_flock_ev", 0x10),
    ("afs_make_fs_call", 0x10),
    ("afs_make_fs_call1", 0x10),
    ("afs_make_fs_call2", 0x10),
    ("afs_make_fs_calli", 0x10),
    ("afs_protocol_error", 0x1),
    ("amdgpu_vm_bo_map", 0x1),
    ("amdgpu_vm_bo_unmap", 0x1),
    ("amdtp_packet", 0x100),
    ("binder_transaction", 0x100),
    ("break_lease_block", 0x10),
    ("break_lease_noblock", 0x10),
    ("break_lease_unblock", 0x10),
    ("btree_path_free", 0x100),
    ("cachefiles_io_error", 0x1),
    ("cachefiles_lookup", 0x201),
    ("cachefiles_mark_active", 0x1),
    ("cachefiles_mark_failed", 0x1),
    ("cachefiles_mark_inactive", 0x1),
    ("cachefiles_ondemand_close", 0x1),
    ("cachefiles_ondemand_copen", 0x1),
    ("cachefiles_ondemand_cread", 0x1),
    ("cachefiles_ondemand_fd_release", 0x1),
    ("cachefiles_ondemand_fd_write", 0x1),
    ("cachefiles_ondemand_open", 0x1),
    ("cachefiles_ondemand_read", 0x1),
    ("cachefiles_prep_read", 0x1),
    ("cachefiles_rename", 0x1),
    ("cachefiles_unlink", 0x1),
    ("cachefiles_vfs_error", 0x1),
    ("cfg80211_inform_bss_frame", 0x100),
    ("cfg80211_michael_mic_failure", 0x10000),
    ("cfg80211_report_wowlan_wakeup", 0x100),
    ("cfg80211_scan_done", 0x11),
    ("coda_dec_pic_done", 0x10),
    ("coda_dec_pic_run", 0x10),
    ("device_pm_callback_start", 0x10),
    ("dpu_crtc_setup_mixer", 0x100),
    ("ext4_mballoc_discard", 0x10),
    ("ext4_mballoc_free", 0x10),
    ("fcntl_setlk", 0x10),
    ("fib_table_lookup", 0x100),
    ("flock_lock_inode", 0x10),
    ("folio_wait_writeback", 0x10),
    ("generic_delete_lease", 0x10),
    ("hfi1_sdma_progress", 0x1000),
    ("host1x_cdma_push_gather", 0x10000),
    ("hugetlbfs_alloc_inode", 0x10),
    ("iptfs_ingress_postq_event", 0x1000),
    ("kfree_skb", 0x1000),
    ("kvm_page_fault_enter", 0x100),
    ("locks_remove_posix", 0x10),
    ("mm_collapse_huge_page_isolate", 0x1),
    ("mm_khugepaged_collapse_file", 0x10),
    ("mm_khugepaged_scan_file", 0x10),
    ("mm_khugepaged_scan_pmd", 0x10),
    ("mm_page_alloc", 0x1),
    ("mm_page_alloc_zone_locked", 0x1),
    ("mm_page_pcpu_drain", 0x1),
    ("mr_integ_alloc", 0x2000),
    ("neigh_update", 0x10),
    ("netfs_failure", 0x10),
    ("netfs_folioq", 0x1),
    ("nfs4_inode_callback_event", 0x200),
    ("nfs4_inode_stateid_callback_event", 0x200),
    ("nfs4_setup_sequence", 0x1),
    ("nfsd_dirent", 0x1),
    ("nfsd_file_acquire", 0x1001),
    ("nfsd_file_cons_err", 0x1),
    ("nfsd_file_insert_err", 0x1),
    ("pnfs_mds_fallback_pg_get_mirror_count", 0x10000),
    ("pnfs_mds_fallback_pg_init_read", 0x10000),
    ("pnfs_mds_fallback_pg_init_write", 0x10000),
    ("pnfs_mds_fallback_read_done", 0x10000),
    ("pnfs_mds_fallback_read_pagelist", 0x10000),
    ("pnfs_mds_fallback_write_done", 0x10000),
    ("pnfs_mds_fallback_write_pagelist", 0x10000),
    ("pnfs_update_layout", 0x10000),
    ("posix_lock_inode", 0x10),
    ("qdisc_dequeue", 0x1000),
    ("rdev_set_coalesce", 0x10),
    ("rxrpc_client", 0x1),
    ("rxrpc_recvdata", 0x1),
    ("rxrpc_resend", 0x10),
    ("rxrpc_tq", 0x10),
    ("sched_pi_setprio", 0x10),
    ("sched_stick_numa", 0x100),
    ("sched_swap_numa", 0x100),
    ("spufs_context", 0x10),
    ("tcp_send_reset", 0x11),
    ("tcp_sendmsg_locked", 0x100),
    ("tegra_dma_tx_status", 0x100),
    ("time_out_leases", 0x10),
    ("tmigr_update_events", 0x1),
    ("wiphy_work_cancel", 0x10),
    ("wiphy_work_flush", 0x10),
    ("wiphy_work_queue", 0x10),
    ("wiphy_work_run", 0x10),
    ("writeback_dirty_folio", 0x10),
    ("xchk_metapath_lookup", 0x100),
    ("xchk_nlinks_live_update", 0x10),
    ("xfs_blockgc_flush_all", 0x1),
    ("xfs_blockgc_free_space", 0x10),
    ("xfs_blockgc_start", 0x1),
    ("xfs_blockgc_stop", 0x1),
    ("xfs_blockgc_worker", 0x1),
    ("xfs_btree_overlapped_query_range", 0x100),
    ("xfs_btree_updkeys", 0x100),
    ("xfs_defer_add_item", 0x1),
    ("xfs_defer_cancel_item", 0x1),
    ("xfs_defer_cancel_list", 0x1),
    ("xfs_defer_create_intent", 0x1),
    ("xfs_defer_finish_item", 0x1),
    ("xfs_defer_isolate_paused", 0x1),
    ("xfs_defer_item_pause", 0x1),
    ("xfs_defer_item_unpause", 0x1),
    ("xfs_defer_pending_abort", 0x1),
    ("xfs_defer_pending_finish", 0x1),
    ("xfs_defer_relog_intent", 0x1),
    ("xfs_fs_sync_fs", 0x1),
    ("xfs_inodegc_flush", 0x1),
    ("xfs_inodegc_push", 0x1),
    ("xfs_inodegc_queue", 0x1),
    ("xfs_inodegc_start", 0x1),
    ("xfs_inodegc_stop", 0x1),
    ("xfs_inodegc_throttle", 0x1),
    ("xfs_ioc_free_eofblocks", 0x10),
    ("xfs_iomap_alloc", 0x1000),
    ("xfs_iomap_found", 0x1000),
    ("xfs_map_blocks_alloc", 0x10000),
    ("xfs_map_blocks_found", 0x10000),
    ("xprt_get_cong", 0x10),
    ("xprt_put_cong", 0x10),
    ("xprt_release_cong", 0x10),
    ("xprt_reserve_cong", 0x10),
    ("xs_stream_read_data", 0x1),
];

/// What an argument of a tracepoint may be, beside a pointer to what its type says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TracepointArg {
    /// Null.
    pub null: bool,
    /// An error number.
    pub error: bool,
}

/// What argument `arg` (from 0) of this tracepoint may be.
pub fn tracepoint_arg(name: &str, arg: usize) -> TracepointArg {
    let mask = TRACEPOINTS.binary_search_by_key(&name, |(name, _)| name).map_or(0, |at| TRACEPOINTS[at].1);
    let bits = u32::try_from(arg).ok().and_then(|arg| mask.checked_shr(arg * 4)).unwrap_or(0);
    TracepointArg { null: bits & 1 != 0, error: bits & 2 != 0 }
}

/// Hooks of security modules that no program may be attached to.
const LSM_DISABLED: &[&str] = &[
    "audit_rule_match",
    "file_alloc_security",
    "getprocattr",
    "getselfattr",
    "inode_copy_up_xattr",
    "inode_getsecurity",
    "inode_listsecurity",
    "inode_need_killpriv",
    "ismaclabel",
    "key_getsecurity",
    "setprocattr",
    "vm_enough_memory",
    "xfrm_decode_session",
];

/// Hooks where objects are made or freed, so that pointers to them are not trusted.
const LSM_UNTRUSTED: &[&str] = &[
    "bdev_alloc_security",
    "bdev_free_security",
    "bpf_map_free",
    "bpf_prog_free",
    "file_alloc_security",
    "file_free_security",
    "sk_alloc_security",
    "sk_free_security",
    "task_free",
];

/// Hooks that return 0 or 1; all others return 0 or a negative error number.
const LSM_BOOL: &[&str] = &["audit_rule_known", "inode_xattr_skipcap", "xfrm_state_pol_flow_match"];

/// Hooks where programs may sleep.
#[rustfmt::skip]
const LSM_SLEEPABLE: &[&str] = &[
    "bdev_alloc_security", "bdev_setintegrity", "bpf", "bpf_map", "bpf_map_create", "bpf_map_free", "bpf_prog",
    "bpf_prog_load", "bpf_token_capable", "bpf_token_cmd", "bpf_token_create", "bpf_token_free",
    "bprm_check_security", "bprm_committed_creds", "bprm_committing_creds", "bprm_creds_for_exec",
    "bprm_creds_from_file", "capget", "capset", "cred_prepare", "file_ioctl", "file_lock", "file_open",
    "file_post_open", "file_receive", "inode_create", "inode_free_security", "inode_getattr", "inode_getxattr",
    "inode_mknod", "inode_need_killpriv", "inode_post_removexattr", "inode_post_setxattr", "inode_readlink",
    "inode_removexattr", "inode_rename", "inode_rmdir", "inode_setattr", "inode_setxattr", "inode_symlink",
    "inode_unlink", "kernel_module_request", "kernel_read_file", "kernfs_init_security", "mmap_file",
    "netlink_send", "path_chmod", "path_chown", "path_link", "path_mkdir", "path_notify", "path_rename",
    "path_rmdir", "path_symlink", "path_truncate", "path_unlink", "release_secctx", "sb_alloc_security",
    "sb_eat_lsm_opts", "sb_kern_mount", "sb_mount", "sb_remount", "sb_set_mnt_opts", "sb_show_options",
    "sb_statfs", "sb_umount", "settime", "socket_accept", "socket_bind", "socket_connect", "socket_create",
    "socket_getpeername", "socket_getpeersec_dgram", "socket_getsockname", "socket_getsockopt", "socket_listen",
    "socket_post_create", "socket_recvmsg", "socket_sendmsg", "socket_shutdown", "socket_socketpair", "syslog",
    "task_alloc", "task_prctl", "task_setscheduler", "task_to_inode", "userns_create",
];

/// What is known of a hook of security modules, by its name (`file_open`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LsmHook {
    /// No program may be attached there.
    pub disabled: bool,
    /// Its arguments are trusted.
    pub trusted: bool,
    /// It returns 0 or 1.
    pub is_bool: bool,
    /// Programs may sleep there.
    pub sleepable: bool,
}

/// The hook of this name. That there is one is said by the kernel's types (`bpf_lsm_NAME`).
pub fn lsm_hook(name: &str) -> LsmHook {
    LsmHook {
        disabled: LSM_DISABLED.contains(&name),
        trusted: !LSM_UNTRUSTED.contains(&name),
        is_bool: LSM_BOOL.contains(&name),
        sleepable: LSM_SLEEPABLE.contains(&name),
    }
}

/// Functions whose result programs may change as their own sets in the kernel say, and whether programs may sleep there.
/// What else may be changed is a matter of how a kernel is built (functions in which errors may be injected).
const MODIFIABLE: &[(&str, bool)] = &[
    ("bpf_fentry_test1", true),
    ("bpf_modify_return_test", false),
    ("bpf_modify_return_test2", false),
    ("bpf_modify_return_test_tp", false),
    ("update_socket_protocol", false),
];

/// Whether programs may change the result of a function of the kernel whatever the kernel is built with, and then whether they may
/// sleep at it. Nothing is known of functions that are not in the table.
pub fn modifiable(function: &str) -> Option<bool> {
    let row = MODIFIABLE.iter().find(|(name, _)| *name == function)?;
    Some(row.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        assert!(TRACEPOINTS.is_sorted_by(|a, b| a.0 < b.0));
        for table in [LSM_DISABLED, LSM_UNTRUSTED, LSM_BOOL, LSM_SLEEPABLE] {
            assert!(table.is_sorted_by(|a, b| a < b));
        }
    }

    #[test]
    fn arguments_of_tracepoints() {
        assert_eq!(tracepoint_arg("kfree_skb", 3), TracepointArg { null: true, error: false });
        assert_eq!(tracepoint_arg("kfree_skb", 0), TracepointArg::default());
        assert_eq!(tracepoint_arg("cachefiles_lookup", 2), TracepointArg { null: false, error: true });
        assert_eq!(tracepoint_arg("sched_switch", 1), TracepointArg::default());
        assert_eq!(tracepoint_arg("kfree_skb", usize::MAX), TracepointArg::default());
    }
}
