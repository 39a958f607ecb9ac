//! `union bpf_attr` of `linux/bpf.h`, a struct for each use of it. Offsets are those of the UAPI header, and hold at compile
//! time; so does that there is no padding, because every byte goes to the kernel.

/// Longest name of a program or map, with its closing zero (BPF_OBJ_NAME_LEN).
pub const NAME_LEN: usize = 16;

/// A name as the kernel has it.
pub type Name = [u8; 16];

/// What the kernel takes of a name: 15 bytes, and no others than letters, digits, `_` and `.`.
pub fn name(text: &str) -> Name {
    let mut name = [0; 16];
    let legal = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
    for (to, from) in name[..NAME_LEN - 1].iter_mut().zip(text.bytes().filter(legal)) {
        *to = from;
    }
    name
}

/// A struct of which every byte is initialised, and any bytes of which are a value.
///
/// # Safety
/// `#[repr(C)]`, integers and arrays of integers only, no padding.
pub unsafe trait Plain: Copy {
    /// As bytes.
    fn bytes(&self) -> &[u8] {
        // SAFETY: all bytes are initialised, by the trait's promise.
        unsafe { std::slice::from_raw_parts((&raw const *self).cast(), size_of::<Self>()) }
    }
}

macro_rules! plain {
    ($($(#[$meta:meta])* $struct:ident { $($at:literal $field:ident: $ty:ty,)* })*) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        #[repr(C)]
        #[allow(missing_docs)]
        pub struct $struct { $(pub $field: $ty),* }

        const _: () = {
            $(assert!(std::mem::offset_of!($struct, $field) == $at);)*
            assert!(size_of::<$struct>() == 0 $(+ size_of::<$ty>())*);
        };

        // SAFETY: `repr(C)`, the fields are integers and arrays of integers, and their sizes sum up to the struct's.
        unsafe impl Plain for $struct {}
    )* };
}

plain! {
    /// BPF_MAP_CREATE.
    MapCreate {
        0 map_type: u32,
        4 key_size: u32,
        8 value_size: u32,
        12 max_entries: u32,
        16 map_flags: u32,
        20 inner_map_fd: u32,
        24 numa_node: u32,
        28 map_name: Name,
        44 map_ifindex: u32,
        48 btf_fd: u32,
        52 btf_key_type_id: u32,
        56 btf_value_type_id: u32,
        60 btf_vmlinux_value_type_id: u32,
        64 map_extra: u64,
        72 value_type_btf_obj_fd: i32,
        76 map_token_fd: i32,
    }
    /// BPF_MAP_LOOKUP_ELEM, UPDATE, DELETE, GET_NEXT_KEY, LOOKUP_AND_DELETE, FREEZE.
    MapElem {
        0 map_fd: u32,
        4 pad: u32,
        8 key: u64,
        16 value: u64,
        24 flags: u64,
    }
    /// BPF_MAP_*_BATCH.
    MapBatch {
        0 in_batch: u64,
        8 out_batch: u64,
        16 keys: u64,
        24 values: u64,
        32 count: u32,
        36 map_fd: u32,
        40 elem_flags: u64,
        48 flags: u64,
    }
    /// BPF_PROG_LOAD.
    ProgLoad {
        0 prog_type: u32,
        4 insn_cnt: u32,
        8 insns: u64,
        16 license: u64,
        24 log_level: u32,
        28 log_size: u32,
        32 log_buf: u64,
        40 kern_version: u32,
        44 prog_flags: u32,
        48 prog_name: Name,
        64 prog_ifindex: u32,
        68 expected_attach_type: u32,
        72 prog_btf_fd: u32,
        76 func_info_rec_size: u32,
        80 func_info: u64,
        88 func_info_cnt: u32,
        92 line_info_rec_size: u32,
        96 line_info: u64,
        104 line_info_cnt: u32,
        108 attach_btf_id: u32,
        112 attach_fd: u32,
        116 core_relo_cnt: u32,
        120 fd_array: u64,
        128 core_relos: u64,
        136 core_relo_rec_size: u32,
        140 log_true_size: u32,
        144 prog_token_fd: i32,
        148 fd_array_cnt: u32,
    }
    /// BPF_OBJ_PIN and BPF_OBJ_GET.
    Obj {
        0 pathname: u64,
        8 bpf_fd: u32,
        12 file_flags: u32,
        16 path_fd: i32,
        20 pad: u32,
    }
    /// BPF_PROG_ATTACH and BPF_PROG_DETACH.
    ProgAttach {
        0 target: u32,
        4 attach_bpf_fd: u32,
        8 attach_type: u32,
        12 attach_flags: u32,
        16 replace_bpf_fd: u32,
        20 relative: u32,
        24 expected_revision: u64,
    }
    /// BPF_PROG_TEST_RUN.
    TestRun {
        0 prog_fd: u32,
        4 retval: u32,
        8 data_size_in: u32,
        12 data_size_out: u32,
        16 data_in: u64,
        24 data_out: u64,
        32 repeat: u32,
        36 duration: u32,
        40 ctx_size_in: u32,
        44 ctx_size_out: u32,
        48 ctx_in: u64,
        56 ctx_out: u64,
        64 flags: u32,
        68 cpu: u32,
        72 batch_size: u32,
        76 pad: u32,
    }
    /// BPF_*_GET_NEXT_ID and BPF_*_GET_FD_BY_ID.
    GetId {
        0 id: u32,
        4 next_id: u32,
        8 open_flags: u32,
        12 token_fd: i32,
    }
    /// BPF_OBJ_GET_INFO_BY_FD.
    GetInfo {
        0 bpf_fd: u32,
        4 info_len: u32,
        8 info: u64,
    }
    /// BPF_RAW_TRACEPOINT_OPEN.
    RawTracepoint {
        0 name: u64,
        8 prog_fd: u32,
        12 pad: u32,
        16 cookie: u64,
    }
    /// BPF_BTF_LOAD.
    BtfLoad {
        0 btf: u64,
        8 btf_log_buf: u64,
        16 btf_size: u32,
        20 btf_log_size: u32,
        24 btf_log_level: u32,
        28 btf_log_true_size: u32,
        32 btf_flags: u32,
        36 btf_token_fd: i32,
    }
    /// BPF_LINK_CREATE, as for a link to an interface (tcx), a cgroup, or a perf event, whose `bpf_cookie` stands at 16.
    LinkCreate {
        0 prog_fd: u32,
        4 target: u32,
        8 attach_type: u32,
        12 flags: u32,
        16 extra: u64,
        24 more: u64,
    }
    /// BPF_ENABLE_STATS.
    EnableStats {
        0 kind: u32,
    }
    /// `struct bpf_func_info`.
    FuncInfo {
        0 insn_off: u32,
        4 type_id: u32,
    }
    /// `struct bpf_line_info`.
    LineInfo {
        0 insn_off: u32,
        4 file_name_off: u32,
        8 line_off: u32,
        12 line_col: u32,
    }
    /// `struct bpf_core_relo`.
    CoreRelo {
        0 insn_off: u32,
        4 type_id: u32,
        8 access_str_off: u32,
        12 kind: u32,
    }
    /// `struct bpf_prog_info`.
    ProgInfo {
        0 kind: u32,
        4 id: u32,
        8 tag: [u8; 8],
        16 jited_prog_len: u32,
        20 xlated_prog_len: u32,
        24 jited_prog_insns: u64,
        32 xlated_prog_insns: u64,
        40 load_time: u64,
        48 created_by_uid: u32,
        52 nr_map_ids: u32,
        56 map_ids: u64,
        64 name: Name,
        80 ifindex: u32,
        84 gpl_compatible: u32,
        88 netns_dev: u64,
        96 netns_ino: u64,
        104 nr_jited_ksyms: u32,
        108 nr_jited_func_lens: u32,
        112 jited_ksyms: u64,
        120 jited_func_lens: u64,
        128 btf_id: u32,
        132 func_info_rec_size: u32,
        136 func_info: u64,
        144 nr_func_info: u32,
        148 nr_line_info: u32,
        152 line_info: u64,
        160 jited_line_info: u64,
        168 nr_jited_line_info: u32,
        172 line_info_rec_size: u32,
        176 jited_line_info_rec_size: u32,
        180 nr_prog_tags: u32,
        184 prog_tags: u64,
        192 run_time_ns: u64,
        200 run_cnt: u64,
        208 recursion_misses: u64,
        216 verified_insns: u32,
        220 attach_btf_obj_id: u32,
        224 attach_btf_id: u32,
        228 pad: u32,
    }
    /// `struct bpf_map_info`.
    MapInfo {
        0 kind: u32,
        4 id: u32,
        8 key_size: u32,
        12 value_size: u32,
        16 max_entries: u32,
        20 map_flags: u32,
        24 name: Name,
        40 ifindex: u32,
        44 btf_vmlinux_value_type_id: u32,
        48 netns_dev: u64,
        56 netns_ino: u64,
        64 btf_id: u32,
        68 btf_key_type_id: u32,
        72 btf_value_type_id: u32,
        76 btf_vmlinux_id: u32,
        80 map_extra: u64,
    }
    /// `struct bpf_btf_info`.
    BtfInfo {
        0 btf: u64,
        8 btf_size: u32,
        12 id: u32,
        16 name: u64,
        24 name_len: u32,
        28 kernel_btf: u32,
    }
    /// `struct bpf_link_info`, as far as all kinds of links have it, and the 32-bit fields of the kind.
    LinkInfo {
        0 kind: u32,
        4 id: u32,
        8 prog_id: u32,
        12 pad: u32,
        16 first: u32,
        20 second: u32,
        24 third: u32,
        28 more: u32,
    }
    /// `struct perf_event_attr` of `linux/perf_event.h`, in its second version. `config1` and `config2` are the address of the
    /// path or symbol and the offset, of probes.
    PerfEvent {
        0 kind: u32,
        4 size: u32,
        8 config: u64,
        16 sample_period: u64,
        24 sample_type: u64,
        32 read_format: u64,
        40 flags: u64,
        48 wakeup_events: u32,
        52 bp_type: u32,
        56 config1: u64,
        64 config2: u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_only_what_the_kernel_takes() {
        assert_eq!(&name("a-b c.d_1"), b"abc.d_1\0\0\0\0\0\0\0\0\0");
        assert_eq!(&name("a_name_that_is_too_long"), b"a_name_that_is_\0");
    }

    #[test]
    fn bytes_are_those_in_memory() {
        let attr = MapElem { map_fd: 1, flags: 2, ..MapElem::default() };
        assert_eq!(attr.bytes().len(), 32);
        assert_eq!(
            (attr.bytes()[..4].to_vec(), attr.bytes()[24..].to_vec()),
            (1u32.to_ne_bytes().to_vec(), 2u64.to_ne_bytes().to_vec())
        );
    }
}
