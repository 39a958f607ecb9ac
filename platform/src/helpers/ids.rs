//! The helpers of Linux: numbers, names, first releases (`enum bpf_func_id` of the UAPI header).

use crate::KernelVersion;

/// Gives the list of all helpers to a macro of the caller, so that tables elsewhere are checked against it by the
/// compiler: `callback! { $($args)* 1 MAP_LOOKUP_ELEM map_lookup_elem 3, 19; 2 ... }`, that is number, constant of
/// [`id`], name, and the release that brought it.
#[macro_export]
macro_rules! for_each_helper {
    ($callback:ident $($args:tt)*) => {
        $callback! { $($args)*
            1 MAP_LOOKUP_ELEM map_lookup_elem 3, 19;
            2 MAP_UPDATE_ELEM map_update_elem 3, 19;
            3 MAP_DELETE_ELEM map_delete_elem 3, 19;
            4 PROBE_READ probe_read 4, 1;
            5 KTIME_GET_NS ktime_get_ns 4, 1;
            6 TRACE_PRINTK trace_printk 4, 1;
            7 GET_PRANDOM_U32 get_prandom_u32 4, 1;
            8 GET_SMP_PROCESSOR_ID get_smp_processor_id 4, 1;
            9 SKB_STORE_BYTES skb_store_bytes 4, 1;
            10 L3_CSUM_REPLACE l3_csum_replace 4, 1;
            11 L4_CSUM_REPLACE l4_csum_replace 4, 1;
            12 TAIL_CALL tail_call 4, 2;
            13 CLONE_REDIRECT clone_redirect 4, 2;
            14 GET_CURRENT_PID_TGID get_current_pid_tgid 4, 2;
            15 GET_CURRENT_UID_GID get_current_uid_gid 4, 2;
            16 GET_CURRENT_COMM get_current_comm 4, 2;
            17 GET_CGROUP_CLASSID get_cgroup_classid 4, 3;
            18 SKB_VLAN_PUSH skb_vlan_push 4, 3;
            19 SKB_VLAN_POP skb_vlan_pop 4, 3;
            20 SKB_GET_TUNNEL_KEY skb_get_tunnel_key 4, 3;
            21 SKB_SET_TUNNEL_KEY skb_set_tunnel_key 4, 3;
            22 PERF_EVENT_READ perf_event_read 4, 3;
            23 REDIRECT redirect 4, 4;
            24 GET_ROUTE_REALM get_route_realm 4, 4;
            25 PERF_EVENT_OUTPUT perf_event_output 4, 4;
            26 SKB_LOAD_BYTES skb_load_bytes 4, 5;
            27 GET_STACKID get_stackid 4, 6;
            28 CSUM_DIFF csum_diff 4, 6;
            29 SKB_GET_TUNNEL_OPT skb_get_tunnel_opt 4, 6;
            30 SKB_SET_TUNNEL_OPT skb_set_tunnel_opt 4, 6;
            31 SKB_CHANGE_PROTO skb_change_proto 4, 8;
            32 SKB_CHANGE_TYPE skb_change_type 4, 8;
            33 SKB_UNDER_CGROUP skb_under_cgroup 4, 8;
            34 GET_HASH_RECALC get_hash_recalc 4, 8;
            35 GET_CURRENT_TASK get_current_task 4, 8;
            36 PROBE_WRITE_USER probe_write_user 4, 8;
            37 CURRENT_TASK_UNDER_CGROUP current_task_under_cgroup 4, 9;
            38 SKB_CHANGE_TAIL skb_change_tail 4, 9;
            39 SKB_PULL_DATA skb_pull_data 4, 9;
            40 CSUM_UPDATE csum_update 4, 9;
            41 SET_HASH_INVALID set_hash_invalid 4, 9;
            42 GET_NUMA_NODE_ID get_numa_node_id 4, 10;
            43 SKB_CHANGE_HEAD skb_change_head 4, 10;
            44 XDP_ADJUST_HEAD xdp_adjust_head 4, 10;
            45 PROBE_READ_STR probe_read_str 4, 11;
            46 GET_SOCKET_COOKIE get_socket_cookie 4, 12;
            47 GET_SOCKET_UID get_socket_uid 4, 12;
            48 SET_HASH set_hash 4, 13;
            49 SETSOCKOPT setsockopt 4, 13;
            50 SKB_ADJUST_ROOM skb_adjust_room 4, 13;
            51 REDIRECT_MAP redirect_map 4, 14;
            52 SK_REDIRECT_MAP sk_redirect_map 4, 14;
            53 SOCK_MAP_UPDATE sock_map_update 4, 14;
            54 XDP_ADJUST_META xdp_adjust_meta 4, 15;
            55 PERF_EVENT_READ_VALUE perf_event_read_value 4, 15;
            56 PERF_PROG_READ_VALUE perf_prog_read_value 4, 15;
            57 GETSOCKOPT getsockopt 4, 15;
            58 OVERRIDE_RETURN override_return 4, 16;
            59 SOCK_OPS_CB_FLAGS_SET sock_ops_cb_flags_set 4, 16;
            60 MSG_REDIRECT_MAP msg_redirect_map 4, 17;
            61 MSG_APPLY_BYTES msg_apply_bytes 4, 17;
            62 MSG_CORK_BYTES msg_cork_bytes 4, 17;
            63 MSG_PULL_DATA msg_pull_data 4, 17;
            64 BIND bind 4, 17;
            65 XDP_ADJUST_TAIL xdp_adjust_tail 4, 18;
            66 SKB_GET_XFRM_STATE skb_get_xfrm_state 4, 18;
            67 GET_STACK get_stack 4, 18;
            68 SKB_LOAD_BYTES_RELATIVE skb_load_bytes_relative 4, 18;
            69 FIB_LOOKUP fib_lookup 4, 18;
            70 SOCK_HASH_UPDATE sock_hash_update 4, 18;
            71 MSG_REDIRECT_HASH msg_redirect_hash 4, 18;
            72 SK_REDIRECT_HASH sk_redirect_hash 4, 18;
            73 LWT_PUSH_ENCAP lwt_push_encap 4, 18;
            74 LWT_SEG6_STORE_BYTES lwt_seg6_store_bytes 4, 18;
            75 LWT_SEG6_ADJUST_SRH lwt_seg6_adjust_srh 4, 18;
            76 LWT_SEG6_ACTION lwt_seg6_action 4, 18;
            77 RC_REPEAT rc_repeat 4, 18;
            78 RC_KEYDOWN rc_keydown 4, 18;
            79 SKB_CGROUP_ID skb_cgroup_id 4, 18;
            80 GET_CURRENT_CGROUP_ID get_current_cgroup_id 4, 18;
            81 GET_LOCAL_STORAGE get_local_storage 4, 19;
            82 SK_SELECT_REUSEPORT sk_select_reuseport 4, 19;
            83 SKB_ANCESTOR_CGROUP_ID skb_ancestor_cgroup_id 4, 19;
            84 SK_LOOKUP_TCP sk_lookup_tcp 4, 20;
            85 SK_LOOKUP_UDP sk_lookup_udp 4, 20;
            86 SK_RELEASE sk_release 4, 20;
            87 MAP_PUSH_ELEM map_push_elem 4, 20;
            88 MAP_POP_ELEM map_pop_elem 4, 20;
            89 MAP_PEEK_ELEM map_peek_elem 4, 20;
            90 MSG_PUSH_DATA msg_push_data 4, 20;
            91 MSG_POP_DATA msg_pop_data 5, 0;
            92 RC_POINTER_REL rc_pointer_rel 5, 0;
            93 SPIN_LOCK spin_lock 5, 1;
            94 SPIN_UNLOCK spin_unlock 5, 1;
            95 SK_FULLSOCK sk_fullsock 5, 1;
            96 TCP_SOCK tcp_sock 5, 1;
            97 SKB_ECN_SET_CE skb_ecn_set_ce 5, 1;
            98 GET_LISTENER_SOCK get_listener_sock 5, 1;
            99 SKC_LOOKUP_TCP skc_lookup_tcp 5, 2;
            100 TCP_CHECK_SYNCOOKIE tcp_check_syncookie 5, 2;
            101 SYSCTL_GET_NAME sysctl_get_name 5, 2;
            102 SYSCTL_GET_CURRENT_VALUE sysctl_get_current_value 5, 2;
            103 SYSCTL_GET_NEW_VALUE sysctl_get_new_value 5, 2;
            104 SYSCTL_SET_NEW_VALUE sysctl_set_new_value 5, 2;
            105 STRTOL strtol 5, 2;
            106 STRTOUL strtoul 5, 2;
            107 SK_STORAGE_GET sk_storage_get 5, 2;
            108 SK_STORAGE_DELETE sk_storage_delete 5, 2;
            109 SEND_SIGNAL send_signal 5, 3;
            110 TCP_GEN_SYNCOOKIE tcp_gen_syncookie 5, 3;
            111 SKB_OUTPUT skb_output 5, 5;
            112 PROBE_READ_USER probe_read_user 5, 5;
            113 PROBE_READ_KERNEL probe_read_kernel 5, 5;
            114 PROBE_READ_USER_STR probe_read_user_str 5, 5;
            115 PROBE_READ_KERNEL_STR probe_read_kernel_str 5, 5;
            116 TCP_SEND_ACK tcp_send_ack 5, 5;
            117 SEND_SIGNAL_THREAD send_signal_thread 5, 5;
            118 JIFFIES64 jiffies64 5, 5;
            119 READ_BRANCH_RECORDS read_branch_records 5, 6;
            120 GET_NS_CURRENT_PID_TGID get_ns_current_pid_tgid 5, 7;
            121 XDP_OUTPUT xdp_output 5, 6;
            122 GET_NETNS_COOKIE get_netns_cookie 5, 7;
            123 GET_CURRENT_ANCESTOR_CGROUP_ID get_current_ancestor_cgroup_id 5, 6;
            124 SK_ASSIGN sk_assign 5, 6;
            125 KTIME_GET_BOOT_NS ktime_get_boot_ns 5, 8;
            126 SEQ_PRINTF seq_printf 5, 7;
            127 SEQ_WRITE seq_write 5, 7;
            128 SK_CGROUP_ID sk_cgroup_id 5, 7;
            129 SK_ANCESTOR_CGROUP_ID sk_ancestor_cgroup_id 5, 7;
            130 RINGBUF_OUTPUT ringbuf_output 5, 8;
            131 RINGBUF_RESERVE ringbuf_reserve 5, 8;
            132 RINGBUF_SUBMIT ringbuf_submit 5, 8;
            133 RINGBUF_DISCARD ringbuf_discard 5, 8;
            134 RINGBUF_QUERY ringbuf_query 5, 8;
            135 CSUM_LEVEL csum_level 5, 7;
            136 SKC_TO_TCP6_SOCK skc_to_tcp6_sock 5, 9;
            137 SKC_TO_TCP_SOCK skc_to_tcp_sock 5, 9;
            138 SKC_TO_TCP_TIMEWAIT_SOCK skc_to_tcp_timewait_sock 5, 9;
            139 SKC_TO_TCP_REQUEST_SOCK skc_to_tcp_request_sock 5, 9;
            140 SKC_TO_UDP6_SOCK skc_to_udp6_sock 5, 9;
            141 GET_TASK_STACK get_task_stack 5, 9;
            142 LOAD_HDR_OPT load_hdr_opt 5, 10;
            143 STORE_HDR_OPT store_hdr_opt 5, 10;
            144 RESERVE_HDR_OPT reserve_hdr_opt 5, 10;
            145 INODE_STORAGE_GET inode_storage_get 5, 10;
            146 INODE_STORAGE_DELETE inode_storage_delete 5, 10;
            147 D_PATH d_path 5, 10;
            148 COPY_FROM_USER copy_from_user 5, 10;
            149 SNPRINTF_BTF snprintf_btf 5, 10;
            150 SEQ_PRINTF_BTF seq_printf_btf 5, 10;
            151 SKB_CGROUP_CLASSID skb_cgroup_classid 5, 10;
            152 REDIRECT_NEIGH redirect_neigh 5, 10;
            153 PER_CPU_PTR per_cpu_ptr 5, 10;
            154 THIS_CPU_PTR this_cpu_ptr 5, 10;
            155 REDIRECT_PEER redirect_peer 5, 10;
            156 TASK_STORAGE_GET task_storage_get 5, 11;
            157 TASK_STORAGE_DELETE task_storage_delete 5, 11;
            158 GET_CURRENT_TASK_BTF get_current_task_btf 5, 11;
            159 BPRM_OPTS_SET bprm_opts_set 5, 11;
            160 KTIME_GET_COARSE_NS ktime_get_coarse_ns 5, 11;
            161 IMA_INODE_HASH ima_inode_hash 5, 11;
            162 SOCK_FROM_FILE sock_from_file 5, 11;
            163 CHECK_MTU check_mtu 5, 12;
            164 FOR_EACH_MAP_ELEM for_each_map_elem 5, 13;
            165 SNPRINTF snprintf 5, 13;
            166 SYS_BPF sys_bpf 5, 14;
            167 BTF_FIND_BY_NAME_KIND btf_find_by_name_kind 5, 14;
            168 SYS_CLOSE sys_close 5, 14;
            169 TIMER_INIT timer_init 5, 15;
            170 TIMER_SET_CALLBACK timer_set_callback 5, 15;
            171 TIMER_START timer_start 5, 15;
            172 TIMER_CANCEL timer_cancel 5, 15;
            173 GET_FUNC_IP get_func_ip 5, 15;
            174 GET_ATTACH_COOKIE get_attach_cookie 5, 15;
            175 TASK_PT_REGS task_pt_regs 5, 15;
            176 GET_BRANCH_SNAPSHOT get_branch_snapshot 5, 16;
            177 TRACE_VPRINTK trace_vprintk 5, 16;
            178 SKC_TO_UNIX_SOCK skc_to_unix_sock 5, 16;
            179 KALLSYMS_LOOKUP_NAME kallsyms_lookup_name 5, 16;
            180 FIND_VMA find_vma 5, 17;
            181 LOOP loop 5, 17;
            182 STRNCMP strncmp 5, 17;
            183 GET_FUNC_ARG get_func_arg 5, 17;
            184 GET_FUNC_RET get_func_ret 5, 17;
            185 GET_FUNC_ARG_CNT get_func_arg_cnt 5, 17;
            186 GET_RETVAL get_retval 5, 18;
            187 SET_RETVAL set_retval 5, 18;
            188 XDP_GET_BUFF_LEN xdp_get_buff_len 5, 18;
            189 XDP_LOAD_BYTES xdp_load_bytes 5, 18;
            190 XDP_STORE_BYTES xdp_store_bytes 5, 18;
            191 COPY_FROM_USER_TASK copy_from_user_task 5, 18;
            192 SKB_SET_TSTAMP skb_set_tstamp 5, 18;
            193 IMA_FILE_HASH ima_file_hash 5, 18;
            194 KPTR_XCHG kptr_xchg 5, 19;
            195 MAP_LOOKUP_PERCPU_ELEM map_lookup_percpu_elem 5, 19;
            196 SKC_TO_MPTCP_SOCK skc_to_mptcp_sock 5, 19;
            197 DYNPTR_FROM_MEM dynptr_from_mem 5, 19;
            198 RINGBUF_RESERVE_DYNPTR ringbuf_reserve_dynptr 5, 19;
            199 RINGBUF_SUBMIT_DYNPTR ringbuf_submit_dynptr 5, 19;
            200 RINGBUF_DISCARD_DYNPTR ringbuf_discard_dynptr 5, 19;
            201 DYNPTR_READ dynptr_read 5, 19;
            202 DYNPTR_WRITE dynptr_write 5, 19;
            203 DYNPTR_DATA dynptr_data 5, 19;
            204 TCP_RAW_GEN_SYNCOOKIE_IPV4 tcp_raw_gen_syncookie_ipv4 6, 0;
            205 TCP_RAW_GEN_SYNCOOKIE_IPV6 tcp_raw_gen_syncookie_ipv6 6, 0;
            206 TCP_RAW_CHECK_SYNCOOKIE_IPV4 tcp_raw_check_syncookie_ipv4 6, 0;
            207 TCP_RAW_CHECK_SYNCOOKIE_IPV6 tcp_raw_check_syncookie_ipv6 6, 0;
            208 KTIME_GET_TAI_NS ktime_get_tai_ns 6, 1;
            209 USER_RINGBUF_DRAIN user_ringbuf_drain 6, 1;
            210 CGRP_STORAGE_GET cgrp_storage_get 6, 2;
            211 CGRP_STORAGE_DELETE cgrp_storage_delete 6, 2;
        }
    };
}

macro_rules! define {
    ($($number:literal $constant:ident $name:ident $major:literal, $minor:literal;)*) => {
        /// Numbers of the helpers.
        pub mod id {
            $(
                #[doc = concat!("`bpf_", stringify!($name), "`")]
                pub const $constant: u32 = $number;
            )*
        }

        /// Numbers of all helpers of Linux, ascending.
        pub const ALL: &[u32] = &[$($number),*];

        /// The name of a helper of Linux, without `bpf_`.
        pub const fn helper_name(id: u32) -> Option<&'static str> {
            match id {
                $($number => Some(stringify!($name)),)*
                _ => None,
            }
        }

        /// The release that brought a helper.
        pub const fn helper_since(id: u32) -> Option<KernelVersion> {
            match id {
                $($number => Some(KernelVersion::new($major, $minor)),)*
                _ => None,
            }
        }

        /// The number of a helper of Linux by its name without `bpf_`.
        pub fn helper_by_name(name: &str) -> Option<u32> {
            match name {
                $(stringify!($name) => Some($number),)*
                _ => None,
            }
        }
    };
}

for_each_helper!(define);
