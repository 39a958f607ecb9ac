//! Helpers on packets and their memory: results on every engine, and the running kernel's where it can be asked.

use std::cell::RefCell;

use ring3::Engine;
use ring3_isa::Symbols;
use ring3_parity::Kernel;
use ring3_parity::run::Single;
use ring3_platform::helpers::helper_by_name;
use ring3_platform::{KfuncRef, ProgType, Program, kfunc};

/// Helpers and functions of the kernel by name.
#[derive(Default)]
struct Names(RefCell<Vec<KfuncRef>>);

impl Symbols for Names {
    fn helper(&self, name: &str) -> Option<i32> {
        helper_by_name(name.strip_prefix("bpf_")?).and_then(|id| i32::try_from(id).ok())
    }

    fn kfunc(&self, name: &str) -> Option<(i32, i16)> {
        kfunc(name)?;
        let mut known = self.0.borrow_mut();
        let at = known.iter().position(|kfunc| kfunc.name == name).unwrap_or_else(|| {
            known.push(KfuncRef { name: name.to_owned(), weak: false });
            known.len() - 1
        });
        Some((i32::try_from(at).ok()?, Program::KFUNC_BY_NAME))
    }
}

fn program(kind: ProgType, text: &str) -> Program {
    let names = Names::default();
    let code = ring3_isa::assemble_with(text, &names).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Program { kfuncs: names.0.into_inner(), ..Program::new("test", kind, code) }
}

/// Zeroes; IPv4 with a TOS of 1 and 40 more bytes; IPv6.
fn packets() -> Vec<Vec<u8>> {
    let frame = |kind: [u8; 2], header: &[u8]| {
        let mut frame: Vec<u8> = [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1][..], &kind, header].concat();
        frame.extend((0..60).map(|n| n as u8 + 100));
        frame
    };
    let v4 = [0x45, 1, 0, 80, 0, 1, 0, 0, 64, 17, 0x12, 0x34, 10, 0, 0, 1, 10, 0, 0, 2];
    let mut v6 = [7; 40];
    v6[..8].copy_from_slice(&[0x60, 0x10, 0, 0, 0, 60, 17, 64]);
    vec![vec![0; 64], frame([8, 0], &v4), frame([0x86, 0xdd], &v6)]
}

/// What is done, R6 is the context; then what it gave, the length, the protocol and bytes of the packet are mixed into a number.
fn mixed(call: &str) -> String {
    let mut text = format!("r6 = r1\n{call}\nr7 = r0\nr7 <<= 32\nr7 >>= 32\n");
    for field in ["*(u32 *)(r6 +0)", "*(u32 *)(r6 +16)"] {
        text += &format!("r0 = {field}\nr7 *= 31\nr7 += r0\n");
    }
    for at in [8, 12, 16, 24, 32, 40, 52] {
        text += &format!(
            "r1 = r6\nr2 = {at}\nr3 = r10\nr3 += -8\nr4 = 8\n*(u64 *)(r10 -8) = 0\ncall bpf_skb_load_bytes\nr0 = *(u64 *)(r10 -8)\n\
             r7 *= 31\nr7 += r0\n"
        );
    }
    text + "r0 = r7\nr0 >>= 32\nr0 ^= r7\nexit"
}

/// Results on all engines, which must be the same, and the kernel's if it is there.
fn compare(
    name: &str,
    (kind, text): (ProgType, &str),
    (engine, kernel): (&Engine, bool),
    wrong: &mut Vec<String>,
) -> Vec<u32> {
    let program = program(kind, text);
    let single = Single::Alone(engine, &program);
    let packets = packets();
    let inputs: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    let mut results = single.ours(kind, &inputs);
    if kernel {
        results.insert(0, ("kernel", single.kernel(kind, &inputs)));
    }
    let (_, first) = results[0].clone();
    for (engine, result) in &results {
        if *result != first || result.is_err() {
            wrong.push(format!("{name}: {engine}: {result:?}, {}: {first:?}", results[0].0));
        }
    }
    first.unwrap_or_default()
}

#[test]
fn packets_are_changed_as_by_linux() {
    let mut calls: Vec<(String, String)> = Vec::new();
    let mut add = |name: String, call: String| calls.push((name, call));
    for diff in [8, 40, -20, -4000] {
        for mode in [0, 1, 2] {
            for flags in [0, 2, 4, 6, 2 | 8, 2 | 8 | 16, 2 | 64 | 14 << 56, 2 | 8 << 56, 32, 128, 256, 384, 512u64] {
                add(
                    format!("bpf_skb_adjust_room({diff}, {mode}, {flags:#x})"),
                    format!("r2 = {diff}\nr3 = {mode}\nr4 = {flags} ll\ncall bpf_skb_adjust_room"),
                );
            }
        }
    }
    let twice =
        "r2 = 20\nr3 = 1\nr4 = 2\ncall bpf_skb_adjust_room\nr1 = r6\nr2 = 20\nr3 = 1\nr4 = 2\ncall bpf_skb_adjust_room";
    add("two packets around it".to_owned(), twice.to_owned());
    for protocol in [0x0008, 0xdd86, 0] {
        for flags in [0, 1] {
            add(
                format!("bpf_skb_change_proto({protocol:#x}, {flags})"),
                format!("r2 = {protocol}\nr3 = {flags}\ncall bpf_skb_change_proto"),
            );
        }
    }
    add("bpf_skb_ecn_set_ce".to_owned(), "call bpf_skb_ecn_set_ce".to_owned());
    for (time, kind) in [(0, 0), (5, 0), (5, 1), (0, 1), (7, 2), (7, 3)] {
        add(
            format!("bpf_skb_set_tstamp({time}, {kind})"),
            format!("r2 = {time}\nr3 = {kind}\ncall bpf_skb_set_tstamp\nr8 = *(u64 *)(r6 +152)\nr0 += r8"),
        );
    }
    for levels in [[0, 0], [1, 0], [1, 1], [1, 2], [1, 3], [4, 0]] {
        let one = |level| format!("r1 = r6\nr2 = {level}\ncall bpf_csum_level\n");
        add(format!("bpf_csum_level({levels:?})"), levels.map(one).concat());
    }
    for (len, diff, flags) in [(0, 0, 0), (0, 70000, 0), (70000, 0, 0), (100, -50, 0), (0, 0, 1), (5, 0, 1), (0, 0, 2)]
    {
        add(
            format!("bpf_check_mtu({len}, {diff}, {flags})"),
            format!(
                "*(u64 *)(r10 -16) = {len}\nr2 = 0\nr3 = r10\nr3 += -16\nr4 = {diff}\nr5 = {flags}\ncall bpf_check_mtu\n\
                 r8 = *(u32 *)(r10 -16)\nr0 += r8"
            ),
        );
    }
    let key = |size, flags| {
        let words: String = (1..=6).map(|at| format!("*(u64 *)(r10 -{}) = {}\n", at * 8, at * 1001)).collect();
        format!("{words}*(u32 *)(r10 -24) = 0\nr1 = r6\nr2 = r10\nr2 += -48\nr3 = {size}\nr4 = {flags}\n")
    };
    for size in [44, 28, 8, 7] {
        for flags in [0, 1, 32] {
            let set = format!("{}call bpf_skb_set_tunnel_key\nr8 = r0\n", key(size, flags));
            let get = "r1 = r6\nr2 = r10\nr2 += -48\nr3 = 44\nr4 = 0\ncall bpf_skb_get_tunnel_key\n";
            let mix = "r8 *= 7\nr0 += r8\nr8 = *(u32 *)(r10 -48)\nr0 += r8\nr8 = *(u32 *)(r10 -44)\nr0 *= 3\nr0 += r8\n\
                       r8 = *(u32 *)(r10 -20)\nr0 *= 3\nr0 += r8";
            add(format!("tunnel keys of {size} bytes, flags {flags}"), format!("{set}{get}{mix}"));
        }
    }
    let (engine, kernel) = (Engine::new(), Kernel::open().is_ok());
    let mut wrong = Vec::new();
    let mut different = std::collections::BTreeSet::new();
    for (name, call) in &calls {
        different.extend(compare(name, (ProgType::SchedCls, &mixed(call)), (&engine, kernel), &mut wrong));
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
    assert!(different.len() > 40, "{different:?}");
}

/// A dynptr at R10 - 16 of the packet, whose context is R6.
const OF_PACKET: &str = "r6 = r1\nr2 = 0\nr3 = r10\nr3 += -16\ncall bpf_dynptr_from_skb\n";

#[test]
fn dynptrs_are_as_in_linux() {
    // Functions of the kernel are judged by its types.
    let Some(types) = Kernel::open().ok().and_then(|kernel| kernel.target().btf.clone()) else {
        println!("skipped: the kernel's types are not there");
        return;
    };
    let engine = Engine::new().btf((*types).clone());
    let ptr = "r1 = r10\nr1 += -16\n";
    let read = |offset: u32| {
        format!(
            "*(u64 *)(r10 -24) = 0\nr1 = r10\nr1 += -24\nr2 = 8\nr3 = r10\nr3 += -16\nr4 = {offset}\nr5 = 0\ncall bpf_dynptr_read\n\
                 r8 = *(u64 *)(r10 -24)\nr0 += r8\n"
        )
    };
    let cases: Vec<(&str, ProgType, String)> = vec![
        ("size", ProgType::SchedCls, format!("{OF_PACKET}{ptr}call bpf_dynptr_size\nexit")),
        (
            "flags",
            ProgType::SchedCls,
            format!("{}{ptr}call bpf_dynptr_is_null\nr0 &= 1\nexit", OF_PACKET.replace("r2 = 0", "r2 = 1")),
        ),
        ("read", ProgType::SchedCls, format!("{OF_PACKET}{}exit", read(12))),
        ("read beyond", ProgType::SchedCls, format!("{OF_PACKET}{}exit", read(100))),
        ("read-only", ProgType::CgroupSkb, format!("{OF_PACKET}{ptr}call bpf_dynptr_is_rdonly\nr0 &= 1\nexit")),
        ("may be written", ProgType::SchedCls, format!("{OF_PACKET}{ptr}call bpf_dynptr_is_rdonly\nr0 &= 1\nexit")),
        (
            "adjust",
            ProgType::SchedCls,
            format!(
                "{OF_PACKET}{ptr}r2 = 14\nr3 = 40\ncall bpf_dynptr_adjust\n{}r6 = r0\n{ptr}call bpf_dynptr_size\nr0 += r6\nexit",
                read(2)
            ),
        ),
        (
            "adjust too far",
            ProgType::SchedCls,
            format!("{OF_PACKET}{ptr}r2 = 14\nr3 = 4000\ncall bpf_dynptr_adjust\nexit"),
        ),
        (
            "adjust backwards",
            ProgType::SchedCls,
            format!("{OF_PACKET}{ptr}r2 = 14\nr3 = 13\ncall bpf_dynptr_adjust\nexit"),
        ),
        (
            "write",
            ProgType::SchedCls,
            format!(
                "{OF_PACKET}*(u64 *)(r10 -24) = 0x1234\n{ptr}r2 = 20\nr3 = r10\nr3 += -24\nr4 = 8\nr5 = 0\ncall bpf_dynptr_write\nr7 = r0\n{}\
                 r0 += r7\nexit",
                read(18)
            ),
        ),
        (
            "slice",
            ProgType::SchedCls,
            format!(
                "{OF_PACKET}{ptr}r2 = 13\nr3 = r10\nr3 += -40\nr4 = 8\n*(u64 *)(r10 -40) = 0\ncall bpf_dynptr_slice\nif r0 == 0 goto out\n\
                     r0 = *(u64 *)(r0 +0)\nout:\nexit"
            ),
        ),
        (
            "slice that is written",
            ProgType::SchedCls,
            format!(
                "{OF_PACKET}{ptr}r2 = 13\nr3 = r10\nr3 += -40\nr4 = 8\n*(u64 *)(r10 -40) = 0\ncall bpf_dynptr_slice_rdwr\n\
                     if r0 == 0 goto out\n*(u32 *)(r0 +0) = 77\n{}out:\nexit",
                read(12)
            ),
        ),
        (
            "clone",
            ProgType::SchedCls,
            format!(
                "{OF_PACKET}{ptr}r2 = r10\nr2 += -48\ncall bpf_dynptr_clone\nr1 = r10\nr1 += -48\ncall bpf_dynptr_size\nexit"
            ),
        ),
        (
            "xdp",
            ProgType::Xdp,
            format!("r6 = r1\nr2 = 0\nr3 = r10\nr3 += -16\ncall bpf_dynptr_from_xdp\n{}exit", read(20)),
        ),
    ];
    let mut wrong = Vec::new();
    for (name, kind, text) in &cases {
        compare(name, (*kind, text), (&engine, true), &mut wrong);
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}
