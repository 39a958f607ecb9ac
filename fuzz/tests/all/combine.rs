//! Programs in which features meet (`src/combine/`): a fixed set of them beside the running kernel, and what they found.

use ring3_fuzz::combine::{Draft, Referee, Signature, combination, difference, features, places};
use ring3_fuzz::parity::{Difference, Pair};
use ring3_platform::ProgType;

fn referee() -> Option<Referee> {
    Referee::open().map_err(|why| println!("skipped: {why}")).ok()
}

/// One in so many pairs of features in a place.
const PAIRS: usize = 41;
/// Programs of any number of features.
const OTHERS: u64 = 300;

#[test]
fn linux_and_ring3_say_the_same_of_combinations() {
    let Some(mut referee) = referee() else { return };
    let pairs = (features() * features() * places()) as u64;
    let seeds = (0..pairs).step_by(PAIRS).chain(pairs..pairs + OTHERS);
    let (mut wrong, mut all, mut accepted, mut left_out) = (Vec::new(), 0, 0, 0);
    for seed in seeds {
        let draft = combination(seed, referee.world());
        let program =
            draft.program(referee.world()).unwrap_or_else(|error| panic!("{seed}: {error}\n{}", draft.text()));
        all += 1;
        let Some(pair) = referee.judge(program).unwrap() else {
            left_out += 1;
            continue;
        };
        accepted += u32::from(pair.linux.accepts());
        if difference(&draft, &pair).is_some_and(|class| class <= Difference::Message) {
            wrong.push(format!("{seed}: {}\n  {}\n  {}", draft.text(), pair.linux, pair.ring3));
        }
    }
    println!("{left_out} of {all} programs were not given to Linux, which they may crash; it accepted {accepted}");
    assert!(left_out * 4 < all && accepted * 8 > all, "hardly a program was compared, or accepted");
    assert!(wrong.is_empty(), "{} programs:\n{}", wrong.len(), wrong.join("\n"));
}

/// A program, its type, the functions of the kernel that it calls, and what ring3 says of it; nothing if it is accepted.
struct Row {
    what: &'static str,
    kind: ProgType,
    kfuncs: &'static [&'static str],
    functions: &'static [(&'static str, Signature, &'static str)],
    says: &'static str,
}

/// What Linux says, too.
const SAME: &[Row] = &[
    Row {
        what: "a piece with the type of its dynptr is no key",
        kind: ProgType::SchedCls,
        kfuncs: &["bpf_dynptr_slice_rdwr"],
        functions: &[(
            "main",
            Signature::Main,
            "r7 = r10; r1 = map[fd:0][0]+0; r2 = 16; r3 = 0; r4 = r7; r4 += -40; call dynptr_from_mem#197; r1 = r7; r1 += -40; r2 = 0; \
                 r3 = 0; r4 = 8; call kernel-function[-1]#0; if r0 == 0 goto out; r1 = map[fd:1]; r2 = r0; call map_lookup_elem#1; out:; r0 = 0; exit",
        )],
        says: "R2 type=mem expected=fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_",
    },
    Row {
        what: "nor memory behind its beginning",
        kind: ProgType::SchedCls,
        kfuncs: &["bpf_dynptr_slice_rdwr"],
        functions: &[(
            "main",
            Signature::Main,
            "r7 = r10; r1 = map[fd:0][0]+0; r2 = 16; r3 = 0; r4 = r7; r4 += -40; call dynptr_from_mem#197; r1 = r7; r1 += -40; r2 = 0; \
                 r3 = 0; r4 = 8; call kernel-function[-1]#0; if r0 == 0 goto out; r1 = r0; r1 += 4; r2 = 4; r3 = 0; r4 = 0; r5 = 0; call csum_diff#28; out:; r0 = 0; exit",
        )],
        says: "dereference of modified mem ptr R1 off=4 disallowed",
    },
    Row {
        what: "it is memory from there",
        kind: ProgType::SchedCls,
        kfuncs: &["bpf_dynptr_slice_rdwr"],
        functions: &[(
            "main",
            Signature::Main,
            "r7 = r10; r1 = map[fd:0][0]+0; r2 = 16; r3 = 0; r4 = r7; r4 += -40; call dynptr_from_mem#197; r1 = r7; r1 += -40; r2 = 0; \
                 r3 = 0; r4 = 8; call kernel-function[-1]#0; if r0 == 0 goto out; r1 = r0; r2 = 4; r3 = 0; r4 = 0; r5 = 0; call csum_diff#28; out:; r0 = 0; exit",
        )],
        says: "",
    },
    Row {
        what: "and outlives its dynptr though it may be written",
        kind: ProgType::SchedCls,
        kfuncs: &["bpf_dynptr_slice_rdwr"],
        functions: &[(
            "main",
            Signature::Main,
            "r7 = r10; r1 = map[fd:0][0]+0; r2 = 16; r3 = 0; r4 = r7; r4 += -40; call dynptr_from_mem#197; r1 = r7; r1 += -40; r2 = 0; \
                 r3 = 0; r4 = 8; call kernel-function[-1]#0; if r0 == 0 goto out; r6 = r0; r1 = map[fd:0][0]+0; r2 = 16; r3 = 0; r4 = r7; r4 += -40; call dynptr_from_mem#197; \
                 *(u8 *)(r6 +0) = 1; out:; r0 = 0; exit",
        )],
        says: "",
    },
    Row {
        what: "a piece that is only read outlives its dynptr, where another one takes its place",
        kind: ProgType::CgroupSkb,
        kfuncs: &["bpf_dynptr_slice"],
        functions: &[(
            "main",
            Signature::Main,
            "r7 = r10; r1 = map[fd:0][0]+0; r2 = 16; r3 = 0; r4 = r7; r4 += -40; call dynptr_from_mem#197; r1 = r7; r1 += -40; r2 = 0; \
                 r3 = 0; r4 = 8; call kernel-function[-1]#0; if r0 == 0 goto out; r6 = r0; r1 = map[fd:0][0]+0; r2 = 16; r3 = 0; r4 = r7; \
                 r4 += -40; call dynptr_from_mem#197; r1 = *(u8 *)(r6 +0); out:; r0 = 0; exit",
        )],
        says: "",
    },
    Row {
        what: "such a piece makes each round of a loop another one, around loops within",
        kind: ProgType::CgroupSkb,
        kfuncs: &["bpf_dynptr_slice"],
        functions: &[
            (
                "main",
                Signature::Main,
                "r7 = r10; *(u64 *)(r7 -24) = 0; again:; may_goto out; r1 = map[fd:0][0]+0; r2 = 16; r3 = 0; r4 = r7; r4 += -40; \
                     call dynptr_from_mem#197; *(u64 *)(r7 -136) = 0; inner:; r1 = *(u64 *)(r7 -136); if r1 > 2 goto done; r1 += 1; \
                     *(u64 *)(r7 -136) = r1; r1 = map[fd:1]; r2 = subprog[each]; r3 = r7; r4 = 0; call for_each_map_elem#164; goto inner; \
                     done:; r1 = r7; r1 += -40; r2 = 0; r3 = 0; r4 = 8; call kernel-function[-1]#0; *(u64 *)(r7 -24) = r0; goto again; \
                     out:; r0 = 0; exit",
            ),
            ("each", Signature::Static, "r0 = 0; exit"),
        ],
        says: "The sequence of 8193 jumps is too complex.",
    },
    Row {
        what: "a piece of a dynptr that a loop keeps is another one in each round",
        kind: ProgType::CgroupSkb,
        kfuncs: &["bpf_dynptr_slice"],
        functions: &[(
            "main",
            Signature::Main,
            "r7 = r10; *(u64 *)(r7 -48) = 0; again:; may_goto out; r1 = map[fd:0][0]+0; r2 = 16; r3 = 0; r4 = r7; r4 += -40; \
                 call dynptr_from_mem#197; r1 = r7; r1 += -40; r2 = 0; r3 = 0; r4 = 8; call kernel-function[-1]#0; *(u64 *)(r7 -24) = r0; goto again; out:; r0 = 0; exit",
        )],
        says: "BPF program is too large. Processed 1000001 insn",
    },
    Row {
        what: "what runs later has the kernel's stack, and so has what it calls",
        kind: ProgType::Kprobe,
        kfuncs: &["bpf_task_work_schedule_signal_impl"],
        functions: &[
            (
                "main",
                Signature::Main,
                "call get_current_task_btf#158; r1 = r0; r2 = map[fd:14][0]+0; r3 = map[fd:14]; r4 = subprog[later]; r5 = 0; \
                 call kernel-function[-1]#0; r0 = 0; exit",
            ),
            ("later", Signature::Static, "*(u64 *)(r10 -320) = 0; call deep; r0 = 0; exit"),
            ("deep", Signature::Static, "*(u64 *)(r10 -320) = 0; r0 = 0; exit"),
        ],
        says: "combined stack size of 2 calls is 640. Too large",
    },
    Row {
        what: "a function of both has it as well",
        kind: ProgType::Kprobe,
        kfuncs: &["bpf_task_work_schedule_signal_impl"],
        functions: &[
            (
                "main",
                Signature::Main,
                "call get_current_task_btf#158; r1 = r0; r2 = map[fd:14][0]+0; r3 = map[fd:14]; r4 = subprog[later]; r5 = 0; \
                 call kernel-function[-1]#0; call one; r0 = 0; exit",
            ),
            ("later", Signature::Static, "call one; r0 = 0; exit"),
            ("one", Signature::Static, "*(u64 *)(r10 -192) = 0; call two; r0 = 0; exit"),
            ("two", Signature::Static, "*(u64 *)(r10 -320) = 0; r0 = 0; exit"),
        ],
        says: "",
    },
    Row {
        what: "large frames of the main function's have stacks of their own",
        kind: ProgType::Kprobe,
        kfuncs: &[],
        functions: &[
            ("main", Signature::Main, "*(u64 *)(r10 -320) = 0; call deep; r0 = 0; exit"),
            ("deep", Signature::Static, "*(u64 *)(r10 -320) = 0; r0 = 0; exit"),
        ],
        says: "",
    },
];

/// What Linux 6.18 accepts.
const WORSE_IN_LINUX: &[Row] = &[
    Row {
        what: "a global function throws, and its caller has a record of a ring to give back",
        kind: ProgType::SchedCls,
        kfuncs: &["bpf_throw"],
        functions: &[
            (
                "main",
                Signature::Main,
                "r1 = map[fd:8]; r2 = 16; r3 = 0; call ringbuf_reserve#131; r6 = r0; call throws; if r6 == 0 goto none; r1 = r6; r2 = 0; \
                 call ringbuf_discard#133; none:; r0 = 0; exit",
            ),
            (
                "throws",
                Signature::Nothing,
                "call get_prandom_u32#7; if r0 != 7 goto on; r1 = 0; call kernel-function[-1]#0; on:; r0 = 0; exit",
            ),
        ],
        says: "bpf_throw would lead to reference leak",
    },
    Row {
        what: "a global function throws where preemption is disabled",
        kind: ProgType::SchedCls,
        kfuncs: &["bpf_throw", "bpf_preempt_disable", "bpf_preempt_enable"],
        functions: &[
            (
                "main",
                Signature::Main,
                "call kernel-function[-1]#1; call throws; call kernel-function[-1]#2; r0 = 0; exit",
            ),
            (
                "throws",
                Signature::Nothing,
                "call get_prandom_u32#7; if r0 != 7 goto on; r1 = 0; call kernel-function[-1]#0; on:; r0 = 0; exit",
            ),
        ],
        says: "bpf_throw cannot be used inside bpf_preempt_disable-ed region",
    },
    Row {
        what: "a global function writes through a dynptr of the packet, which moves",
        kind: ProgType::SchedCls,
        kfuncs: &["bpf_dynptr_from_skb"],
        functions: &[
            (
                "main",
                Signature::Main,
                "r6 = *(u32 *)(r1 +76); r7 = *(u32 *)(r1 +80); r8 = r6; r8 += 14; if r8 > r7 goto out; call moves; r0 = *(u8 *)(r6 +0); \
                 out:; r0 = 0; exit",
            ),
            (
                "moves",
                Signature::Ctx,
                "r2 = 0; r3 = r10; r3 += -16; call kernel-function[-1]#0; *(u64 *)(r10 -24) = 0; r1 = r10; r1 += -16; r2 = 0; r3 = r10; \
                 r3 += -24; r4 = 8; r5 = 0; call dynptr_write#202; r0 = 0; exit",
            ),
        ],
        says: "R6 invalid mem access 'scalar'",
    },
    Row {
        what: "a global function is given a dynptr of the packet, and keeps a slice of it over a write",
        kind: ProgType::SchedCls,
        kfuncs: &["bpf_dynptr_from_skb", "bpf_dynptr_slice"],
        functions: &[
            (
                "main",
                Signature::Main,
                "r2 = 0; r3 = r10; r3 += -16; call kernel-function[-1]#0; r1 = r10; r1 += -16; call moves; r0 = 0; exit",
            ),
            (
                "moves",
                Signature::Dynptr,
                "r6 = r1; r2 = 0; r3 = 0; r4 = 8; call kernel-function[-1]#1; r7 = r0; if r7 == 0 goto out; *(u64 *)(r10 -24) = 0; r1 = r6; \
                 r2 = 0; r3 = r10; r3 += -24; r4 = 8; r5 = 0; call dynptr_write#202; r0 = *(u64 *)(r7 +0); out:; r0 = 0; exit",
            ),
        ],
        says: "R7 invalid mem access 'scalar'",
    },
];

fn judged(referee: &mut Referee, row: &Row) -> Pair {
    let draft = Draft::of_text(row.kind, false, row.kfuncs, row.functions);
    let program = draft.program(referee.world()).unwrap_or_else(|error| panic!("{}: {error}", row.what));
    referee.judge(program).unwrap().expect(row.what)
}

#[test]
fn what_was_found() {
    let Some(mut referee) = referee() else { return };
    for row in SAME {
        let pair = judged(&mut referee, row);
        assert_eq!((pair.linux.message.as_str(), pair.ring3.message.as_str()), (row.says, row.says), "{}", row.what);
        assert_eq!(pair.class(), None, "{}", row.what);
    }
    for row in WORSE_IN_LINUX {
        let pair = judged(&mut referee, row);
        assert_eq!((pair.linux.errno, pair.ring3.message.as_str()), (0, row.says), "{}", row.what);
    }
}
