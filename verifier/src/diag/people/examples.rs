//! A program for each rule that people meet often, which breaks it, and the same program put right. Each is the body of a file
//! that includes <linux/bpf.h> and <bpf/bpf_helpers.h>; tests compile them where there is a clang, and judge them.

use crate::diag::codes::Code;

/// A program that breaks a rule, and its repair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Example {
    /// C that is rejected with the code.
    pub wrong: &'static str,
    /// C that is accepted.
    pub right: &'static str,
}

impl Code {
    /// An example, for rules that people meet often.
    pub fn example(self) -> Option<Example> {
        EXAMPLES.iter().find(|(code, ..)| *code == self).map(|(_, wrong, right)| Example { wrong, right })
    }
}

/// Code, what breaks it, what does not.
const EXAMPLES: &[(Code, &str, &str)] = &[
    (
        Code::NullablePointer,
        "struct {\n\t__uint(type, BPF_MAP_TYPE_HASH);\n\t__uint(max_entries, 16);\n\t__type(key, __u32);\n\t__type(value, __u64);\n} counts SEC(\".maps\");\n\n\
                 SEC(\"xdp\")\nint count(struct xdp_md *ctx)\n{\n\t__u32 key = ctx->ingress_ifindex;\n\t__u64 *seen = bpf_map_lookup_elem(&counts, &key);\n\n\
                 \t*seen += 1;\n\treturn XDP_PASS;\n}",
        "struct {\n\t__uint(type, BPF_MAP_TYPE_HASH);\n\t__uint(max_entries, 16);\n\t__type(key, __u32);\n\t__type(value, __u64);\n} counts SEC(\".maps\");\n\n\
                 SEC(\"xdp\")\nint count(struct xdp_md *ctx)\n{\n\t__u32 key = ctx->ingress_ifindex;\n\t__u64 *seen = bpf_map_lookup_elem(&counts, &key);\n\n\
                 \tif (seen)\n\t\t*seen += 1;\n\treturn XDP_PASS;\n}",
    ),
    (
        Code::PacketBounds,
        "SEC(\"xdp\")\nint first(struct xdp_md *ctx)\n{\n\t__u8 *data = (void *)(long)ctx->data;\n\n\treturn data[13] == 8 ? XDP_PASS : XDP_DROP;\n}",
        "SEC(\"xdp\")\nint first(struct xdp_md *ctx)\n{\n\t__u8 *data = (void *)(long)ctx->data;\n\t__u8 *end = (void *)(long)ctx->data_end;\n\n\
                 \tif (data + 14 > end)\n\t\treturn XDP_DROP;\n\treturn data[13] == 8 ? XDP_PASS : XDP_DROP;\n}",
    ),
    (
        Code::UnboundedIndex,
        "__u32 table[16];\n\nSEC(\"xdp\")\nint count(struct xdp_md *ctx)\n{\n\ttable[ctx->rx_queue_index]++;\n\treturn XDP_PASS;\n}",
        "__u32 table[16];\n\nSEC(\"xdp\")\nint count(struct xdp_md *ctx)\n{\n\t__u32 queue = ctx->rx_queue_index;\n\n\tif (queue < 16)\n\t\ttable[queue]++;\n\treturn XDP_PASS;\n}",
    ),
    (
        Code::MapValueBounds,
        "__u32 table[16];\n\nSEC(\"xdp\")\nint count(struct xdp_md *ctx)\n{\n\t__u32 queue = ctx->rx_queue_index;\n\n\tif (queue <= 16)\n\t\ttable[queue]++;\n\treturn XDP_PASS;\n}",
        "__u32 table[16];\n\nSEC(\"xdp\")\nint count(struct xdp_md *ctx)\n{\n\t__u32 queue = ctx->rx_queue_index;\n\n\tif (queue < 16)\n\t\ttable[queue]++;\n\treturn XDP_PASS;\n}",
    ),
    (
        Code::UnboundedArithmetic,
        "__u32 table[16];\n\nSEC(\"xdp\")\nint count(struct xdp_md *ctx)\n{\n\tint queue = ctx->rx_queue_index;\n\n\tif (queue < 16)\n\t\ttable[queue]++;\n\treturn XDP_PASS;\n}",
        "__u32 table[16];\n\nSEC(\"xdp\")\nint count(struct xdp_md *ctx)\n{\n\t__u32 queue = ctx->rx_queue_index;\n\n\tif (queue < 16)\n\t\ttable[queue]++;\n\treturn XDP_PASS;\n}",
    ),
    (
        Code::ReferenceLeak,
        "struct {\n\t__uint(type, BPF_MAP_TYPE_RINGBUF);\n\t__uint(max_entries, 4096);\n} events SEC(\".maps\");\n\n\
                 SEC(\"xdp\")\nint tell(struct xdp_md *ctx)\n{\n\t__u64 *event = bpf_ringbuf_reserve(&events, 8, 0);\n\n\tif (!event)\n\t\treturn XDP_PASS;\n\
                 \tif (ctx->ingress_ifindex == 3)\n\t\treturn XDP_DROP;\n\t*event = ctx->ingress_ifindex;\n\tbpf_ringbuf_submit(event, 0);\n\treturn XDP_PASS;\n}",
        "struct {\n\t__uint(type, BPF_MAP_TYPE_RINGBUF);\n\t__uint(max_entries, 4096);\n} events SEC(\".maps\");\n\n\
                 SEC(\"xdp\")\nint tell(struct xdp_md *ctx)\n{\n\t__u64 *event = bpf_ringbuf_reserve(&events, 8, 0);\n\n\tif (!event)\n\t\treturn XDP_PASS;\n\
                 \tif (ctx->ingress_ifindex == 3) {\n\t\tbpf_ringbuf_discard(event, 0);\n\t\treturn XDP_DROP;\n\t}\n\t*event = ctx->ingress_ifindex;\n\tbpf_ringbuf_submit(event, 0);\n\treturn XDP_PASS;\n}",
    ),
    (
        Code::NotAPointer,
        "struct {\n\t__uint(type, BPF_MAP_TYPE_RINGBUF);\n\t__uint(max_entries, 4096);\n} events SEC(\".maps\");\n\n\
                 SEC(\"xdp\")\nint tell(struct xdp_md *ctx)\n{\n\t__u64 *event = bpf_ringbuf_reserve(&events, 8, 0);\n\n\tif (!event)\n\t\treturn XDP_PASS;\n\
                 \tbpf_ringbuf_submit(event, 0);\n\t*event = ctx->ingress_ifindex;\n\treturn XDP_PASS;\n}",
        "struct {\n\t__uint(type, BPF_MAP_TYPE_RINGBUF);\n\t__uint(max_entries, 4096);\n} events SEC(\".maps\");\n\n\
                 SEC(\"xdp\")\nint tell(struct xdp_md *ctx)\n{\n\t__u64 *event = bpf_ringbuf_reserve(&events, 8, 0);\n\n\tif (!event)\n\t\treturn XDP_PASS;\n\
                 \t*event = ctx->ingress_ifindex;\n\tbpf_ringbuf_submit(event, 0);\n\treturn XDP_PASS;\n}",
    ),
    (
        Code::InfiniteLoop,
        "SEC(\"xdp\")\nint wait(struct xdp_md *ctx)\n{\n\tvolatile int rounds = 0;\n\n\twhile (1)\n\t\trounds++;\n\treturn XDP_PASS;\n}",
        "SEC(\"xdp\")\nint wait(struct xdp_md *ctx)\n{\n\tvolatile int rounds = 0;\n\n\tfor (int i = 0; i < 100; i++)\n\t\trounds++;\n\treturn XDP_PASS;\n}",
    ),
    (
        Code::ReturnRange,
        "SEC(\"cgroup_skb/egress\")\nint allow(struct __sk_buff *skb)\n{\n\treturn skb->len;\n}",
        "SEC(\"cgroup_skb/egress\")\nint allow(struct __sk_buff *skb)\n{\n\treturn skb->len < 1500;\n}",
    ),
    (
        Code::ContextAccess,
        "SEC(\"xdp\")\nint move(struct xdp_md *ctx)\n{\n\tctx->ingress_ifindex = 7;\n\treturn XDP_PASS;\n}",
        "SEC(\"xdp\")\nint move(struct xdp_md *ctx)\n{\n\treturn bpf_redirect(7, 0);\n}",
    ),
    (
        Code::UnboundedSize,
        "SEC(\"tc\")\nint copy(struct __sk_buff *skb)\n{\n\tchar buf[64];\n\t__u32 len = skb->len;\n\n\tif (len == 0)\n\t\treturn 0;\n\tbpf_skb_load_bytes(skb, 0, buf, len);\n\treturn buf[0];\n}",
        "SEC(\"tc\")\nint copy(struct __sk_buff *skb)\n{\n\tchar buf[64];\n\t__u32 len = skb->len;\n\n\tif (len == 0 || len > sizeof(buf))\n\t\treturn 0;\n\tbpf_skb_load_bytes(skb, 0, buf, len);\n\treturn buf[0];\n}",
    ),
    (
        Code::HelperForProgram,
        "SEC(\"xdp\")\nint load(struct xdp_md *ctx)\n{\n\tchar byte;\n\n\tbpf_skb_load_bytes(ctx, 0, &byte, 1);\n\treturn XDP_PASS;\n}",
        "SEC(\"xdp\")\nint load(struct xdp_md *ctx)\n{\n\tchar byte;\n\n\tbpf_xdp_load_bytes(ctx, 0, &byte, 1);\n\treturn XDP_PASS;\n}",
    ),
];
