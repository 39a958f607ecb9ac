//! Helpers, context fields and packet loads, held to what Linux 6.18 gave for the same programs.
//!
//! `data/linux-6.18.tsv` has packets (`packet`, name, bytes), then cases: program type, packet, result (32 bits, unsigned), packet
//! afterwards (`=` if it did not change, a name or bytes), and the program's text with `\n` between its lines. It was measured
//! with BPF_PROG_TEST_RUN on x86-64; socket filters had the packet without an Ethernet header in front.

use std::collections::BTreeMap;

use crate::common::assemble;
use ring3_platform::ProgType;
use ring3_vm::{Context, DataStart, Env, Helpers, Interp, SkbContext, TestHost, XdpContext, link_unverified, run};

const CASES: &str = include_str!("../data/linux-6.18.tsv");

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn ours(kind: ProgType, packet: &[u8], text: &str) -> (u32, Vec<u8>) {
    let linked = link_unverified(&assemble(text), kind, &[], &Helpers::new()).unwrap();
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.ctx = if kind == ProgType::Xdp {
        let mut xdp = XdpContext::new().unwrap();
        xdp.load(packet);
        Context::Xdp(xdp)
    } else {
        let start = if kind == ProgType::SchedCls { DataStart::Ethernet } else { DataStart::Network };
        let mut skb = SkbContext::new().unwrap();
        skb.load(packet, start);
        Context::Skb(skb)
    };
    let ret = run(&Interp::new(linked.into()), &mut env).unwrap_or_else(|e| panic!("{e}:\n{text}"));
    let out = match &env.ctx {
        Context::Xdp(xdp) => xdp.data_out(),
        Context::Skb(skb) => skb.data_out(),
        Context::None | Context::Raw(_) | Context::Fields(_) | Context::Parts(_) => Vec::new(),
    };
    (ret as u32, out)
}

#[test]
fn results_are_those_of_linux() {
    let mut packets = BTreeMap::new();
    let mut checked = 0;
    for line in CASES.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        if let ["packet", name, hex] = fields[..] {
            packets.insert(name, bytes(hex));
            continue;
        }
        let [kind, packet, ret, out, text] = fields[..] else { panic!("{line}") };
        let kind = match kind {
            "xdp" => ProgType::Xdp,
            "tc" => ProgType::SchedCls,
            _ => ProgType::SocketFilter,
        };
        let text = text.replace("\\n", "\n");
        let packet = &packets[packet];
        let out = if out == "=" { packet.clone() } else { packets.get(out).cloned().unwrap_or_else(|| bytes(out)) };
        assert_eq!(ours(kind, packet, &text), (ret.parse().unwrap(), out), "{text}");
        checked += 1;
    }
    assert!(checked > 1000, "{checked}");
}
