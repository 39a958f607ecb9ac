//! What is combined: features, each with a beginning, uses and an end, and places where they stand.
//!
//! Texts are instructions with `; ` between them. `r6` is the context, `r7` the frame that all state lies in: in the functions that
//! are called with it, their caller's. In a text
//!
//! * `@8` is an offset within the feature's own 32 bytes of that frame, `^8` one within another feature's;
//! * `$name` is a label, or a function of the feature, that no other has;
//! * `map[locked]` is a map of the [`super::World`], `#node` the number of one of its types;
//! * `call %name` calls a helper, `call !name` a function of the kernel;
//! * `%data` and `%end` are the offsets of a packet's start and end in the context.

use super::world::Signature;

/// A function that comes with a feature.
pub(super) type Function = (&'static str, Signature, &'static str);

/// Something with rules of its own.
#[derive(Debug)]
pub(super) struct Feature {
    pub name: &'static str,
    /// Whether it needs the context.
    pub ctx: bool,
    pub begin: &'static str,
    pub uses: &'static [&'static str],
    pub end: &'static str,
    pub functions: &'static [Function],
}

const NONE: Feature = Feature { name: "", ctx: false, begin: "", uses: &[], end: "", functions: &[] };

/// What may be of use with any pointer that a feature keeps at its start.
pub(super) static FEATURES: &[Feature] = &[
    Feature {
        name: "record",
        begin: "r1 = map[ring]; r2 = 16; r3 = 0; call %ringbuf_reserve; *(u64 *)(r7 @0) = r0",
        uses: &[
            "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $u; *(u64 *)(r1 +8) = 1; $u:",
            "r1 = *(u64 *)(r7 @0); *(u64 *)(r7 @8) = r1; if r1 == 0 goto $u; r1 = *(u64 *)(r7 @8); r0 = *(u64 *)(r1 +0); $u:",
        ],
        end: "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $e; r2 = 0; call %ringbuf_submit; $e:",
        ..NONE
    },
    Feature {
        name: "ring_dynptr",
        begin: "r1 = map[ring]; r2 = 16; r3 = 0; r4 = r7; r4 += @0; call %ringbuf_reserve_dynptr",
        uses: &[
            "r1 = r7; r1 += @0; r2 = 0; r3 = 8; call %dynptr_data; *(u64 *)(r7 @16) = r0",
            "r1 = *(u64 *)(r7 @16); if r1 == 0 goto $u; *(u64 *)(r1 +0) = 1; $u:",
            "*(u64 *)(r7 @24) = 0; r1 = r7; r1 += @0; r2 = 0; r3 = r7; r3 += @24; r4 = 8; r5 = 0; call %dynptr_write",
            "r1 = r7; r1 += @0; call $f",
        ],
        end: "r1 = r7; r1 += @0; r2 = 0; call %ringbuf_discard_dynptr",
        functions: &[(
            "f",
            Signature::Dynptr,
            "r2 = 0; r3 = 8; call %dynptr_data; if r0 == 0 goto $x; *(u8 *)(r0 +7) = 1; $x: ; r0 = 0; exit",
        )],
        ..NONE
    },
    Feature {
        name: "local_dynptr",
        begin: "r1 = map[data][0]+0; r2 = 16; r3 = 0; r4 = r7; r4 += @0; call %dynptr_from_mem",
        uses: &[
            "r1 = r7; r1 += @0; r2 = 0; r3 = 8; call %dynptr_data; *(u64 *)(r7 @16) = r0",
            "r1 = *(u64 *)(r7 @16); if r1 == 0 goto $u; *(u64 *)(r1 +0) = 1; $u:",
            "r1 = r7; r1 += @0; r2 = 0; r3 = 0; r4 = 8; call !bpf_dynptr_slice; *(u64 *)(r7 @16) = r0",
            "r1 = r7; r1 += @0; r2 = r7; r2 += @16; call !bpf_dynptr_clone",
            "r1 = r7; r1 += @16; call !bpf_dynptr_size",
            "r1 = r7; r1 += @0; call $f",
        ],
        functions: &[(
            "f",
            Signature::Dynptr,
            "r2 = 0; r3 = 8; call %dynptr_data; if r0 == 0 goto $x; *(u8 *)(r0 +7) = 1; $x: ; r0 = 0; exit",
        )],
        ..NONE
    },
    Feature {
        name: "packet_dynptr",
        ctx: true,
        begin: "r1 = r6; r2 = 0; r3 = r7; r3 += @0; call !PACKET_DYNPTR",
        uses: &[
            "r1 = r7; r1 += @0; r2 = 0; r3 = 0; r4 = 8; call !bpf_dynptr_slice; *(u64 *)(r7 @16) = r0",
            "r1 = r7; r1 += @0; r2 = 0; r3 = r7; r3 += @24; r4 = 8; *(u64 *)(r7 @24) = 0; call !bpf_dynptr_slice_rdwr; *(u64 *)(r7 @16) = r0",
            "r1 = *(u64 *)(r7 @16); if r1 == 0 goto $u; r0 = *(u64 *)(r1 +0); $u:",
            "*(u64 *)(r7 @24) = 0; r1 = r7; r1 += @0; r2 = 0; r3 = r7; r3 += @24; r4 = 8; r5 = 0; call %dynptr_write",
            "r1 = r7; r1 += @0; r2 = 0; r3 = 4; r4 = 0; call !bpf_dynptr_memset",
            "r1 = r7; r1 += @0; call $f",
        ],
        functions: &[(
            "f",
            Signature::Dynptr,
            "r6 = r1; call !bpf_dynptr_size; r1 = r6; r2 = 1; r3 = 2; call !bpf_dynptr_adjust; r0 = 0; exit",
        )],
        ..NONE
    },
    Feature {
        name: "packet",
        ctx: true,
        begin: "*(u64 *)(r7 @0) = 0; r1 = *(u32 *)(r6 +%data); r2 = *(u32 *)(r6 +%end); r3 = r1; r3 += 14; if r3 > r2 goto $n; *(u64 *)(r7 @0) = r1; $n:",
        uses: &[
            "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $u; r0 = *(u8 *)(r1 +13); $u:",
            "r1 = *(u32 *)(r6 +%data); r2 = *(u32 *)(r6 +%end); call %get_prandom_u32; r0 &= 7; r1 += r0; r3 = r1; r3 += 2; if r3 > r2 goto $u; r0 = *(u8 *)(r1 +1); $u:",
            "r1 = *(u32 *)(r6 +%data); r2 = *(u32 *)(r6 +%end); *(u64 *)(r7 @16) = r2; *(u64 *)(r7 @8) = r1",
            "r1 = *(u64 *)(r7 @8); r2 = *(u64 *)(r7 @16); r3 = r1; r3 += 4; if r3 >= r2 goto $u; r0 = *(u32 *)(r1 +1); $u:",
        ],
        ..NONE
    },
    Feature {
        name: "move_packet",
        ctx: true,
        uses: &[
            "r1 = r6; r2 = 0; call %MOVE",
            "call $f",
            "r1 = r6; call $g",
            "r1 = r6; call $s",
            "r1 = 1; r2 = subprog[$b]; r3 = r6; r4 = 0; call %loop",
        ],
        functions: &[
            ("f", Signature::Nothing, "r0 = 0; exit"),
            ("g", Signature::Ctx, "r2 = 0; call %MOVE; r0 = 0; exit"),
            ("s", Signature::Static, "r2 = 0; call %MOVE; r0 = 0; exit"),
            ("b", Signature::Static, "r1 = r2; r2 = 0; call %MOVE; r0 = 0; exit"),
        ],
        ..NONE
    },
    Feature {
        name: "socket",
        ctx: true,
        begin: "*(u64 *)(r7 @8) = 0; *(u64 *)(r7 @16) = 0; r1 = r6; r2 = r7; r2 += @8; r3 = 12; r4 = 0; r5 = 0; call %skc_lookup_tcp; *(u64 *)(r7 @0) = r0",
        uses: &[
            "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $u; r0 = *(u32 *)(r1 +4); $u:",
            "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $u; call %skc_to_tcp_sock; *(u64 *)(r7 @24) = r0; $u:",
            "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $u; call %tcp_sock; if r0 == 0 goto $u; r0 = *(u32 *)(r0 +0); $u:",
            "r1 = *(u64 *)(r7 @24); if r1 == 0 goto $u; r0 = *(u64 *)(r1 +0); $u:",
        ],
        end: "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $e; call %sk_release; $e:",
        ..NONE
    },
    Feature {
        name: "value",
        begin: "*(u32 *)(r7 @8) = 1; r1 = map[hash]; r2 = r7; r2 += @8; call %map_lookup_elem; *(u64 *)(r7 @0) = r0",
        uses: &[
            "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $u; *(u64 *)(r1 +56) = 1; $u:",
            "call %get_prandom_u32; r0 &= 56; r1 = *(u64 *)(r7 @0); if r1 == 0 goto $u; r1 += r0; *(u8 *)(r1 +7) = 1; *(u64 *)(r7 @16) = r1; $u:",
            "r1 = *(u64 *)(r7 @0); *(u64 *)(r7 @24) = r1; r2 = *(u64 *)(r7 @24); if r2 != 0 goto $v; goto $u; $v: ; r0 = *(u8 *)(r1 +63); $u:",
            "*(u32 *)(r7 @8) = 0; r1 = map[small]; r2 = r7; r2 += @8; call %map_lookup_elem; *(u64 *)(r0 +0) = 7",
            "*(u32 *)(r7 @8) = 3; r1 = map[percpu]; r2 = r7; r2 += @8; call %map_lookup_elem; if r0 == 0 goto $u; *(u64 *)(r0 +0) = 7; $u:",
        ],
        ..NONE
    },
    Feature {
        name: "inner_map",
        begin: "*(u32 *)(r7 @8) = 1; r1 = map[outer]; r2 = r7; r2 += @8; call %map_lookup_elem; *(u64 *)(r7 @0) = r0",
        uses: &[
            "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $u; *(u32 *)(r7 @8) = 0; r2 = r7; r2 += @8; call %map_lookup_elem; *(u64 *)(r7 @16) = r0; $u:",
            "r1 = *(u64 *)(r7 @16); if r1 == 0 goto $u; *(u64 *)(r1 +0) = 1; $u:",
        ],
        ..NONE
    },
    Feature {
        name: "number",
        begin: "call %get_prandom_u32; r0 &= 63; *(u64 *)(r7 @0) = r0",
        uses: &[
            "r1 = *(u64 *)(r7 @0); r2 = map[data][0]+0; r2 += r1; *(u8 *)(r2 +0) = 1",
            "r1 = *(u64 *)(r7 @0); r1 += 1; *(u64 *)(r7 @0) = r1",
            "r1 = *(u64 *)(r7 @0); r1 += 1; r1 &= 63; *(u64 *)(r7 @0) = r1",
            "r1 = *(u64 *)(r7 @0); r2 = r1; r2 += 8; *(u64 *)(r7 @8) = r2; *(u64 *)(r7 @16) = r1",
            "r1 = *(u64 *)(r7 @8); if r1 > 40 goto $u; r1 = *(u64 *)(r7 @16); r2 = map[data][0]+0; r2 += r1; *(u8 *)(r2 +31) = 1; $u:",
            "*(u32 *)(r7 @24) = 0; r1 = *(u32 *)(r7 @0); *(u32 *)(r7 @24) = r1; r1 = *(u32 *)(r7 @24); r2 = map[data][0]+0; r2 += r1; *(u8 *)(r2 +0) = 1",
            "r1 = *(s8 *)(r7 @0); r2 = *(u16 *)(r7 @0); r3 = map[data][0]+0; r3 += r2; if r1 s< 0 goto $u; r3 += r1; r0 = *(u8 *)(r3 -63); $u:",
            "r1 = 1; r1 = atomic64_fetch_add((u64 *)(r7 @0), r1)",
            "r1 = *(u64 *)(r7 @0); call $f; *(u64 *)(r7 @0) = r0",
            "r1 = *(u64 *)(r7 @0); call $g; *(u64 *)(r7 @8) = r0",
            "r1 = *(u64 *)(r7 @0); r1 &= 8; r2 = r7; r2 += @16; r2 += r1; *(u64 *)(r2 +0) = r1",
            "r1 = *(u64 *)(r7 @0); r1 &= 8; r2 = r7; r2 += @0; r2 += r1; r0 = *(u8 *)(r2 +0)",
        ],
        functions: &[
            ("f", Signature::Static, "r0 = r1; r0 &= 31; exit"),
            ("g", Signature::Number, "r0 = r1; r0 &= 31; exit"),
        ],
        ..NONE
    },
    Feature {
        name: "task",
        begin: "call %get_current_task_btf; r1 = r0; call !bpf_task_acquire; *(u64 *)(r7 @0) = r0",
        uses: &[
            "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $u; r0 = *(u64 *)(r1 +0); $u:",
            "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $u; call $t; $u:",
            "r1 = *(u64 *)(r7 @0); call $n",
            "r1 = *(u64 *)(r7 @0); call $x",
            "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $u; r2 = r1; r1 = map[kptrs][0]+0; call %kptr_xchg; *(u64 *)(r7 @0) = r0; $u:",
            "r1 = map[kptrs][0]+0; r1 = *(u64 *)(r1 +0); *(u64 *)(r7 @8) = r1",
            "r1 = map[kptrs][0]+0; r1 = *(u64 *)(r1 +8); *(u64 *)(r7 @8) = r1",
            "r1 = map[kptrs][0]+0; r2 = *(u64 *)(r7 @8); *(u64 *)(r1 +8) = r2",
            "r1 = *(u64 *)(r7 @8); if r1 == 0 goto $u; r0 = *(u64 *)(r1 +0); call !bpf_task_acquire; if r0 == 0 goto $u; r1 = r0; call !bpf_task_release; $u:",
            "call %get_current_task_btf; *(u64 *)(r7 @8) = r0",
        ],
        end: "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $e; call !bpf_task_release; $e:",
        functions: &[
            ("t", Signature::Task, "r0 = *(u64 *)(r1 +0); r0 = 0; exit"),
            ("n", Signature::TaskNullable, "if r1 == 0 goto $1; r0 = *(u64 *)(r1 +0); $1: ; r0 = 0; exit"),
            ("x", Signature::TaskUntrusted, "r0 = *(u64 *)(r1 +0); r0 = 0; exit"),
        ],
        ..NONE
    },
    Feature {
        name: "mask",
        begin: "call !bpf_cpumask_create; *(u64 *)(r7 @0) = r0",
        uses: &["r2 = *(u64 *)(r7 @0); if r2 == 0 goto $u; r1 = 0; call !bpf_cpumask_set_cpu; $u:"],
        end: "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $e; call !bpf_cpumask_release; $e:",
        ..NONE
    },
    Feature {
        name: "object",
        begin: "r1 = #node; r2 = 0; call !bpf_obj_new_impl; *(u64 *)(r7 @0) = r0",
        uses: &[
            "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $u; *(u64 *)(r1 +64) = 1; $u:",
            "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $u; r2 = 0; call !bpf_refcount_acquire_impl; *(u64 *)(r7 @8) = r0; $u:",
            "r1 = *(u64 *)(r7 @8); if r1 == 0 goto $u; r2 = 0; call !bpf_obj_drop_impl; $u:",
            "r2 = *(u64 *)(r7 @0); if r2 == 0 goto $u; r1 = map[kptrs][0]+16; call %kptr_xchg; *(u64 *)(r7 @0) = r0; $u:",
            "r1 = map[kptrs][0]+16; r2 = 0; call %kptr_xchg; if r0 == 0 goto $u; *(u64 *)(r0 +72) = 1; r1 = r0; r2 = 0; call !bpf_obj_drop_impl; $u:",
            "r1 = map[kptrs][0]+0; r1 = *(u64 *)(r1 +16); *(u64 *)(r7 @16) = r1",
            "r1 = *(u64 *)(r7 @16); if r1 == 0 goto $u; r0 = *(u64 *)(r1 +64); r2 = 0; call !bpf_refcount_acquire_impl; if r0 == 0 goto $u; r1 = r0; r2 = 0; call !bpf_obj_drop_impl; $u:",
        ],
        end: "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $e; r2 = 0; call !bpf_obj_drop_impl; $e:",
        ..NONE
    },
    Feature {
        name: "pushed",
        begin: "r1 = #node; r2 = 0; call !bpf_obj_new_impl; *(u64 *)(r7 @0) = r0; if r0 == 0 goto $n; r1 = map[locked][0]+0; call %spin_lock; \
                r1 = map[locked][0]+8; r2 = *(u64 *)(r7 @0); r3 = 0; r4 = 0; call !bpf_list_push_front_impl; r1 = *(u64 *)(r7 @0); \
                *(u64 *)(r1 +72) = 3; r1 = map[locked][0]+0; call %spin_unlock; $n:",
        uses: &["r1 = *(u64 *)(r7 @0); if r1 == 0 goto $u; r0 = *(u64 *)(r1 +64); $u:"],
        end: "r1 = map[locked][0]+0; call %spin_lock; r1 = map[locked][0]+8; call !bpf_list_pop_front; *(u64 *)(r7 @8) = r0; r1 = map[locked][0]+0; \
              call %spin_unlock; r1 = *(u64 *)(r7 @8); if r1 == 0 goto $e; r2 = 0; call !bpf_obj_drop_impl; $e:",
        ..NONE
    },
    Feature {
        name: "tree",
        begin: "r1 = #node; r2 = 0; call !bpf_obj_new_impl; if r0 == 0 goto $n; r0 += 24; *(u64 *)(r7 @0) = r0; r1 = map[locked][0]+0; call %spin_lock; \
                r1 = map[locked][0]+24; r2 = *(u64 *)(r7 @0); r3 = subprog[$less]; r4 = 0; r5 = 0; call !bpf_rbtree_add_impl; \
                r1 = map[locked][0]+24; call !bpf_rbtree_first; *(u64 *)(r7 @8) = r0; r1 = map[locked][0]+0; call %spin_unlock; $n:",
        uses: &[
            "r1 = map[locked][0]+24; call !bpf_rbtree_first; if r0 == 0 goto $u; r2 = r0; r1 = map[locked][0]+24; call !bpf_rbtree_remove; *(u64 *)(r7 @16) = r0; $u:",
            "r1 = map[locked][0]+24; call !bpf_rbtree_root; *(u64 *)(r7 @8) = r0",
            "r1 = *(u64 *)(r7 @8); if r1 == 0 goto $u; r0 = *(u64 *)(r1 +40); $u:",
        ],
        end: "r1 = *(u64 *)(r7 @16); if r1 == 0 goto $e; r1 += -24; r2 = 0; call !bpf_obj_drop_impl; $e:",
        functions: &[(
            "less",
            Signature::Static,
            "r0 = *(u64 *)(r1 +40); r2 = *(u64 *)(r2 +40); if r0 < r2 goto $1; r0 = 0; exit; $1: ; r0 = 1; exit",
        )],
        ..NONE
    },
    Feature {
        name: "percpu_object",
        begin: "r1 = #sixteen; r2 = 0; call !bpf_percpu_obj_new_impl; *(u64 *)(r7 @0) = r0",
        uses: &[
            "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $u; call %this_cpu_ptr; *(u64 *)(r0 +8) = 1; $u:",
            "r2 = *(u64 *)(r7 @0); if r2 == 0 goto $u; r1 = map[kptrs][0]+24; call %kptr_xchg; *(u64 *)(r7 @8) = r0; $u:",
            "r1 = map[kptrs][0]+0; r1 = *(u64 *)(r1 +24); if r1 == 0 goto $u; r2 = 0; call %per_cpu_ptr; if r0 == 0 goto $u; r0 = *(u64 *)(r0 +0); $u:",
        ],
        end: "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $e; r2 = 0; call !bpf_percpu_obj_drop_impl; $e:",
        ..NONE
    },
    Feature {
        name: "iterator",
        begin: "r1 = r7; r1 += @0; r2 = 0; r3 = 5; call !bpf_iter_num_new",
        uses: &[
            "r1 = r7; r1 += @0; call !bpf_iter_num_next; *(u64 *)(r7 @8) = r0",
            "r1 = *(u64 *)(r7 @8); if r1 == 0 goto $u; r0 = *(u32 *)(r1 +0); $u:",
        ],
        end: "r1 = r7; r1 += @0; call !bpf_iter_num_destroy",
        ..NONE
    },
    Feature {
        name: "tasks",
        begin: "r1 = r7; r1 += @0; r2 = 0; r3 = 0; call !bpf_iter_task_new",
        uses: &[
            "r1 = r7; r1 += @0; call !bpf_iter_task_next; *(u64 *)(r7 @24) = r0",
            "r1 = *(u64 *)(r7 @24); if r1 == 0 goto $u; r0 = *(u64 *)(r1 +0); call !bpf_task_acquire; if r0 == 0 goto $u; r1 = r0; call !bpf_task_release; $u:",
        ],
        end: "r1 = r7; r1 += @0; call !bpf_iter_task_destroy",
        ..NONE
    },
    Feature { name: "rcu", begin: "call !bpf_rcu_read_lock", end: "call !bpf_rcu_read_unlock", ..NONE },
    Feature { name: "preempt", begin: "call !bpf_preempt_disable", end: "call !bpf_preempt_enable", ..NONE },
    Feature {
        name: "irq",
        begin: "r1 = r7; r1 += @0; call !bpf_local_irq_save",
        end: "r1 = r7; r1 += @0; call !bpf_local_irq_restore",
        ..NONE
    },
    Feature {
        name: "lock",
        begin: "r1 = map[locked][0]+0; call %spin_lock",
        uses: &[
            "r1 = map[locked][0]+0; *(u64 *)(r1 +56) = 1",
            "r1 = map[locked][0]+8; call !bpf_list_front; if r0 == 0 goto $u; r0 = *(u64 *)(r0 +64); $u:",
        ],
        end: "r1 = map[locked][0]+0; call %spin_unlock",
        ..NONE
    },
    Feature {
        name: "looked_up_lock",
        begin: "*(u32 *)(r7 @8) = 1; r1 = map[lockhash]; r2 = r7; r2 += @8; call %map_lookup_elem; *(u64 *)(r7 @0) = r0; if r0 == 0 goto $n; r1 = r0; call %spin_lock; $n:",
        uses: &["r1 = *(u64 *)(r7 @0); if r1 == 0 goto $u; *(u64 *)(r1 +56) = 1; $u:"],
        end: "r1 = *(u64 *)(r7 @0); if r1 == 0 goto $e; call %spin_unlock; $e:",
        ..NONE
    },
    Feature {
        name: "res_lock",
        begin: "r1 = map[res][0]+0; call !bpf_res_spin_lock; *(u64 *)(r7 @0) = r0",
        uses: &["r1 = map[res][0]+0; *(u64 *)(r1 +8) = 1"],
        end: "r1 = *(u64 *)(r7 @0); if r1 != 0 goto $e; r1 = map[res][0]+0; call !bpf_res_spin_unlock; $e:",
        ..NONE
    },
    Feature {
        name: "res_lock_irq",
        begin: "r1 = map[other][0]+0; r2 = r7; r2 += @8; call !bpf_res_spin_lock_irqsave; *(u64 *)(r7 @0) = r0",
        end: "r1 = *(u64 *)(r7 @0); if r1 != 0 goto $e; r1 = map[other][0]+0; r2 = r7; r2 += @8; call !bpf_res_spin_unlock_irqrestore; $e:",
        ..NONE
    },
    Feature {
        name: "sleep",
        uses: &[
            "*(u64 *)(r7 @0) = 0; r1 = r7; r1 += @0; r2 = 8; r3 = 0; call %copy_from_user",
            "call $g",
            "call $s",
            "r1 = 1; r2 = subprog[$b]; r3 = r7; r4 = 0; call %loop",
        ],
        functions: &[
            (
                "g",
                Signature::Nothing,
                "*(u64 *)(r10 -8) = 0; r1 = r10; r1 += -8; r2 = 8; r3 = 0; call %copy_from_user; r0 = 0; exit",
            ),
            (
                "s",
                Signature::Static,
                "*(u64 *)(r10 -8) = 0; r1 = r10; r1 += -8; r2 = 8; r3 = 0; call %copy_from_user; r0 = 0; exit",
            ),
            (
                "b",
                Signature::Static,
                "*(u64 *)(r10 -8) = 0; r1 = r10; r1 += -8; r2 = 8; r3 = 0; call %copy_from_user; r0 = 0; exit",
            ),
        ],
        ..NONE
    },
    Feature {
        name: "throw",
        uses: &["call %get_prandom_u32; if r0 != 7 goto $u; r1 = 0; call !bpf_throw; $u:", "call $g", "call $s"],
        functions: &[
            (
                "g",
                Signature::Nothing,
                "call %get_prandom_u32; if r0 != 7 goto $1; r1 = 0; call !bpf_throw; $1: ; r0 = 0; exit",
            ),
            (
                "s",
                Signature::Static,
                "call %get_prandom_u32; if r0 != 7 goto $1; r1 = 0; call !bpf_throw; $1: ; r0 = 0; exit",
            ),
        ],
        ..NONE
    },
    Feature {
        name: "leave",
        uses: &[
            "call %get_prandom_u32; if r0 != 7 goto $u; r0 = 0; exit; $u:",
            "call %get_prandom_u32; if r0 & 1 goto $u; r0 = 1; exit; $u:",
        ],
        ..NONE
    },
    Feature { name: "tail_call", ctx: true, uses: &["r1 = r6; r2 = map[progs]; r3 = 0; call %tail_call"], ..NONE },
    Feature {
        name: "memory",
        begin: "*(u64 *)(r7 @0) = 0; *(u64 *)(r7 @8) = 1",
        uses: &[
            "r1 = r7; r1 += @0; call $g",
            "r1 = r7; r1 += ^0; call $g",
            "r1 = *(u64 *)(r7 @0); call $g",
            "r1 = map[data][0]+48; call $n",
            "r1 = r7; r1 += ^8; call $n",
            "r1 = map[locked][0]+56; call $g",
            "r1 = map[locked][0]+40; call $g",
            "r1 = map[kptrs][0]+32; call $g",
            "r1 = map[kptrs][0]+24; call $g",
            "r1 = map[later][0]+24; call $n",
        ],
        functions: &[
            ("g", Signature::Memory, "if r1 == 0 goto $1; *(u64 *)(r1 +8) = 1; $1: ; r0 = 0; exit"),
            ("n", Signature::MemoryNonnull, "*(u64 *)(r1 +8) = 1; r0 = 0; exit"),
        ],
        ..NONE
    },
    Feature {
        name: "deep",
        uses: &[
            "*(u64 *)(r10 -320) = 0",
            "*(u64 *)(r10 -512) = 0",
            "*(u64 *)(r10 -400) = 0",
            "call $a",
            "call $b",
            "r1 = 2; r2 = subprog[$a]; r3 = 0; r4 = 0; call %loop",
        ],
        functions: &[
            ("a", Signature::Static, "*(u64 *)(r10 -192) = 0; r0 = 0; exit"),
            ("b", Signature::Nothing, "*(u64 *)(r10 -48) = 0; r0 = 0; exit"),
        ],
        ..NONE
    },
    Feature {
        name: "overwrite",
        uses: &[
            "*(u64 *)(r7 ^0) = 0",
            "*(u32 *)(r7 ^0) = 0",
            "*(u8 *)(r7 ^8) = 1",
            "*(u64 *)(r7 ^8) = r7",
            "r1 = *(u64 *)(r7 ^0); *(u64 *)(r7 ^8) = r1",
            "r1 = *(u64 *)(r7 ^8); *(u64 *)(r7 ^0) = r1",
            "r0 = *(u32 *)(r7 ^0)",
            "r0 = *(u64 *)(r7 ^0)",
            "r0 = *(u8 *)(r7 ^4)",
            "call %get_prandom_u32; r0 &= 8; r1 = r7; r1 += ^0; r1 += r0; *(u64 *)(r1 +0) = 0",
            "call %get_prandom_u32; r0 &= 8; r1 = r7; r1 += ^0; r1 += r0; r0 = *(u64 *)(r1 +0)",
            "r1 = r7; r1 += ^0; r2 = 16; call %get_current_comm",
            "r1 = 0; r1 = atomic64_fetch_or((u64 *)(r7 ^0), r1)",
            "r1 = map[hash]; r2 = r7; r2 += ^0; r3 = map[data][0]+0; r4 = 0; call %map_update_elem",
            "r1 = r7; r1 += ^0; r2 = 8; r3 = 0; call %probe_read_kernel",
        ],
        ..NONE
    },
];

/// A place where a piece of a program stands.
#[derive(Debug)]
pub(super) struct Place {
    pub name: &'static str,
    pub ctx: bool,
    /// In front of the piece, or of the call of the function that has it.
    pub before: &'static str,
    pub after: &'static str,
    /// The function that has it: how it is declared, and what it begins with.
    pub body: Option<Body>,
}

/// A function around a piece.
#[derive(Debug)]
pub(super) struct Body {
    pub signature: Signature,
    pub prologue: &'static str,
    pub epilogue: &'static str,
    /// Whether `r7` is its caller's.
    pub shares: bool,
    /// Whether there is a context.
    pub ctx: bool,
}

const OPEN: Place = Place { name: "", ctx: false, before: "", after: "", body: None };
const CALLED: Body = Body {
    signature: Signature::Static,
    prologue: "r7 = r2; r6 = *(u64 *)(r7 -8)",
    epilogue: "r0 = 0; exit",
    shares: true,
    ctx: true,
};
const ALONE: Body = Body {
    signature: Signature::Static,
    prologue: "r6 = 0; r7 = r10",
    epilogue: "r0 = 0; exit",
    shares: false,
    ctx: false,
};

/// Where pieces stand.
pub(super) static PLACES: &[Place] = &[
    Place {
        name: "function",
        before: "r1 = r6; r2 = r7; call $f",
        body: Some(Body { prologue: "r6 = r1; r7 = r2", ..CALLED }),
        ..OPEN
    },
    Place {
        name: "global",
        ctx: true,
        before: "r1 = r6; call $f",
        body: Some(Body {
            signature: Signature::Ctx,
            prologue: "r6 = r1; r7 = r10; *(u64 *)(r7 -8) = r6",
            shares: false,
            ctx: true,
            ..ALONE
        }),
        ..OPEN
    },
    Place { name: "loop", before: "r1 = 3; r2 = subprog[$f]; r3 = r7; r4 = 0; call %loop", body: Some(CALLED), ..OPEN },
    Place {
        name: "once",
        before: "r1 = 1; r2 = subprog[$f]; r3 = r7; r4 = 0; call %loop",
        body: Some(Body { epilogue: "r0 = 1; exit", ..CALLED }),
        ..OPEN
    },
    Place {
        name: "each",
        before: "r1 = map[hash]; r2 = subprog[$f]; r3 = r7; r4 = 0; call %for_each_map_elem",
        body: Some(Body { prologue: "r7 = r4; r6 = *(u64 *)(r7 -8); *(u64 *)(r7 @0) = r3", ..CALLED }),
        ..OPEN
    },
    Place {
        name: "drain",
        before: "r1 = map[drained]; r2 = subprog[$f]; r3 = r7; r4 = 0; call %user_ringbuf_drain",
        body: Some(CALLED),
        ..OPEN
    },
    Place {
        name: "vma",
        before: "call %get_current_task_btf; r1 = r0; r2 = 0; r3 = subprog[$f]; r4 = r7; r5 = 0; call %find_vma",
        body: Some(Body { prologue: "r7 = r3; r6 = *(u64 *)(r7 -8)", ..CALLED }),
        ..OPEN
    },
    Place {
        name: "timer",
        before: "r1 = map[later][0]+0; r2 = map[later]; r3 = 7; call %timer_init; r1 = map[later][0]+0; r2 = subprog[$f]; call %timer_set_callback",
        after: "r1 = map[later][0]+0; r2 = 0; r3 = 0; call %timer_start",
        body: Some(ALONE),
        ..OPEN
    },
    Place {
        name: "work",
        before: "r1 = map[later][0]+16; r2 = map[later]; r3 = 0; call !bpf_wq_init; r1 = map[later][0]+16; r2 = subprog[$f]; r3 = 0; r4 = 0; call !bpf_wq_set_callback_impl",
        body: Some(ALONE),
        ..OPEN
    },
    Place {
        name: "task_work",
        before: "call %get_current_task_btf; r1 = r0; r2 = map[worked][0]+0; r3 = map[worked]; r4 = subprog[$f]; r5 = 0; call !bpf_task_work_schedule_signal_impl",
        body: Some(ALONE),
        ..OPEN
    },
    Place {
        name: "less",
        before: "r1 = #node; r2 = 0; call !bpf_obj_new_impl; if r0 == 0 goto $n; r0 += 24; *(u64 *)(r7 @0) = r0; r1 = map[locked][0]+0; call %spin_lock; \
                 r1 = map[locked][0]+24; r2 = *(u64 *)(r7 @0); r3 = subprog[$f]; r4 = 0; r5 = 0; call !bpf_rbtree_add_impl",
        after: "r1 = map[locked][0]+0; call %spin_unlock; $n:",
        body: Some(ALONE),
        ..OPEN
    },
    Place {
        name: "numbers",
        before: "r1 = r7; r1 += @0; r2 = 0; r3 = 3; call !bpf_iter_num_new; $l: ; r1 = r7; r1 += @0; call !bpf_iter_num_next; if r0 == 0 goto $d",
        after: "goto $l; $d: ; r1 = r7; r1 += @0; call !bpf_iter_num_destroy",
        ..OPEN
    },
    Place { name: "may_goto", before: "$l: ; may_goto $d", after: "goto $l; $d:", ..OPEN },
    Place {
        name: "bounded",
        before: "*(u64 *)(r7 @0) = 0; $l: ; r1 = *(u64 *)(r7 @0); if r1 > 2 goto $d; r1 += 1; *(u64 *)(r7 @0) = r1",
        after: "goto $l; $d:",
        ..OPEN
    },
    Place { name: "perhaps", before: "call %get_prandom_u32; if r0 == 0 goto $d", after: "$d:", ..OPEN },
    Place {
        name: "either",
        before: "call %get_prandom_u32; if r0 > 5 goto $d",
        after: "goto $e; $d: ; *(u64 *)(r7 @0) = 0; $e:",
        ..OPEN
    },
    Place { name: "in_rcu", before: "call !bpf_rcu_read_lock", after: "call !bpf_rcu_read_unlock", ..OPEN },
    Place {
        name: "in_lock",
        before: "r1 = map[locked][0]+0; call %spin_lock",
        after: "r1 = map[locked][0]+0; call %spin_unlock",
        ..OPEN
    },
];
