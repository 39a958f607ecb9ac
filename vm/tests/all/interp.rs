//! The interpreter on programs that nobody proved safe.

use std::sync::Arc;

use crate::common::*;
use ring3_platform::{MapType, ProgType};
use ring3_vm::maps::Map;
use ring3_vm::{Context, Env, RawContext, RunError, TestHost};

#[test]
fn arithmetic_branches_and_the_stack() {
    assert_eq!(plain("r0 = 2\nr0 *= 21\nexit"), Ok(42));
    assert_eq!(plain("r1 = 7\n*(u64 *)(r10 -8) = r1\nr0 = *(u8 *)(r10 -8)\nexit"), Ok(7));
    assert_eq!(plain("w0 = -1\nexit"), Ok(0xffff_ffff));
    assert_eq!(plain("r0 = -1\nexit"), Ok(u64::MAX));
    assert_eq!(plain("r0 = 0\nr1 = 10\nagain: r0 += r1\nr1 += -1\nif r1 != 0 goto again\nexit"), Ok(55));
    assert_eq!(plain("r0 = 0x1234\nr0 = be16 r0\nexit"), Ok(0x3412));
    assert_eq!(plain("r0 = *(u64 *)(r10 -8)\nexit"), Ok(0), "a frame starts with zeroes");
    assert_eq!(plain("*(u32 *)(r10 -4) = -2\nr0 = *(s32 *)(r10 -4)\nexit"), Ok(-2i64 as u64));
}

#[test]
fn atomics_give_the_old_value() {
    let start = "r1 = 5\n*(u64 *)(r10 -8) = r1\nr2 = 3\n";
    assert_eq!(
        plain(&format!(
            "{start}r2 = atomic64_fetch_add((u64 *)(r10 -8), r2)\nr0 = *(u64 *)(r10 -8)\nr0 *= 10\nr0 += r2\nexit"
        )),
        Ok(85)
    );
    assert_eq!(plain(&format!("{start}lock *(u32 *)(r10 -8) |= r2\nr0 = *(u64 *)(r10 -8)\nexit")), Ok(7));
    assert_eq!(
        plain(&format!("{start}r0 = 5\nr0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r2)\nr0 = *(u64 *)(r10 -8)\nexit")),
        Ok(3)
    );
    assert_eq!(plain(&format!("{start}lock *(u64 *)(r10 -9) += r2\nr0 = *(u64 *)(r10 -9)\nexit")), Ok(5 * 256 + 3));
}

#[test]
fn functions_have_frames_and_keep_r6_to_r9() {
    let text = "r6 = 1\nr7 = 2\n*(u64 *)(r10 -8) = r7\ncall f\nr0 += r6\nr0 += r7\nr1 = *(u64 *)(r10 -8)\nr0 += r1\nexit\n\
                f: r6 = 100\nr7 = 100\nr0 = *(u64 *)(r10 -8)\n*(u64 *)(r10 -8) = r6\nexit";
    assert_eq!(plain(text), Ok(5));
}

#[test]
fn frames_are_eight() {
    let text = trap(plain("call f\nexit\nf: call f\nexit"));
    assert_eq!(text, "slot 2: the call stack is deeper than 8 frames");
}

#[test]
fn hostile_accesses_trap() {
    assert_eq!(
        trap(plain("r0 = 0\nr0 = *(u64 *)(r0 +0)\nexit")),
        "slot 1: read of 8 bytes at 0x0 is outside of all live memory"
    );
    assert!(trap(plain("r0 = *(u64 *)(r10 +0)\nexit")).contains("outside"));
    assert!(trap(plain("r0 = *(u64 *)(r10 -4)\nexit")).contains("outside"));
    assert!(trap(plain("r0 = *(u8 *)(r10 -513)\nexit")).contains("outside"));
    assert!(trap(plain("*(u8 *)(r10 +0) = 1\nexit")).contains("write of 1 bytes"));
    assert!(trap(plain("r1 = r10\nr1 += 4096\nlock *(u64 *)(r1 +0) += r1\nexit")).contains("outside"));
    // The frame of a function that has returned is gone.
    assert!(trap(plain("call f\nr0 = *(u8 *)(r0 -1)\nexit\nf: r0 = r10\nexit")).contains("slot 1: read"));
}

#[test]
fn endless_loops_end_with_the_budget() {
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.budget = Some(1000);
    let ret = run_in(&mut env, ProgType::Xdp, "again: goto again\nexit", &[]);
    assert_eq!(trap(ret), "slot 0: the budget of 1000 instructions is used up");
    let code = "r1 = 3\nr2 = 4\ncall bpf_map_lookup_elem\nexit";
    assert!(trap(run_in(&mut env, ProgType::Xdp, code, &[])).contains("helper 1 was given 0x3 where it needs a map"));
}

#[test]
fn programs_that_run_off_their_end_trap() {
    assert!(trap(plain("r0 = 0")).contains("runs off the end"));
}

#[test]
fn raw_contexts_are_plain_memory() {
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.ctx = Context::Raw(RawContext::new(&[1, 2, 3, 4, 5]));
    assert_eq!(run_in(&mut env, ProgType::SocketFilter, "r0 = *(u32 *)(r1 +1)\nexit", &[]), Ok(0x0504_0302));
    assert!(trap(run_in(&mut env, ProgType::SocketFilter, "r0 = *(u32 *)(r1 +2)\nexit", &[])).contains("read of 4"));
}

#[test]
fn xdp_context_leads_to_the_packet() {
    let text =
        "r2 = *(u32 *)(r1 +0)\nr3 = *(u32 *)(r1 +4)\nr0 = r3\nr0 -= r2\nr4 = *(u8 *)(r3 -1)\nr0 <<= 8\nr0 += r4\nexit";
    assert_eq!(xdp_run(text, &FRAME).0, Ok(60 * 256 + 0xee));
    assert_eq!(xdp_run("r0 = *(u32 *)(r1 +12)\nexit", &FRAME).0, Ok(1), "ingress_ifindex");
    assert!(trap(xdp_run("r0 = *(u16 *)(r1 +0)\nexit", &FRAME).0).contains("read of 2"), "no part of an address");
    assert!(trap(xdp_run("*(u32 *)(r1 +0) = 1\nexit", &FRAME).0).contains("write of 4"));
    let behind = "r2 = *(u32 *)(r1 +4)\nr0 = *(u8 *)(r2 +0)\nexit";
    assert!(trap(xdp_run(behind, &FRAME).0).contains("read of 1"));
    let (ret, packet) = xdp_run("r2 = *(u32 *)(r1 +0)\n*(u8 *)(r2 +3) = 9\nr0 = 2\nexit", &FRAME);
    assert_eq!((ret, packet[3]), (Ok(2), 9));
}

#[test]
fn a_context_of_another_type_traps() {
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.ctx = xdp(&FRAME);
    let ret = run_in(&mut env, ProgType::SchedCls, "r0 = *(u32 *)(r1 +16)\nexit", &[]);
    assert!(trap(ret).contains("read of 4"));
}

#[test]
fn skb_fields_narrow_and_wide() {
    assert_eq!(tc_run("r0 = *(u32 *)(r1 +0)\nexit", &FRAME).0, Ok(60), "len");
    assert_eq!(tc_run("r0 = *(u32 *)(r1 +16)\nexit", &FRAME).0, Ok(8), "protocol");
    assert_eq!(tc_run("*(u32 *)(r1 +8) = 0x12345678\nr0 = *(u8 *)(r1 +9)\nexit", &FRAME).0, Ok(0x56), "mark");
    assert_eq!(tc_run("*(u32 *)(r1 +52) = 7\nr0 = *(u64 *)(r1 +48)\nr0 >>= 32\nexit", &FRAME).0, Ok(7), "cb");
    assert_eq!(tc_run("r6 = r1\nr0 = *(u16 *)skb[12]\nexit", &FRAME).0, Ok(0x800));
    assert_eq!(tc_run("r6 = r1\nr2 = 10\nr0 = *(u16 *)skb[r2 + 2]\nexit", &FRAME).0, Ok(0x800));
    assert_eq!(tc_run("r6 = r1\nr0 = *(u8 *)skb[-1048576]\nexit", &FRAME).0, Ok(0x45), "network header");
    assert_eq!(tc_run("r6 = r1\nr0 = *(u32 *)skb[57]\nr0 = 5\nexit", &FRAME).0, Ok(0), "out of the packet ends it");
}

#[test]
fn packet_loads_end_only_the_function() {
    let text = "r6 = r1\ncall f\nr0 += 3\nexit\nf: r6 = r1\nr0 = *(u32 *)skb[57]\nr0 = 5\nexit";
    assert_eq!(tc_run(text, &FRAME).0, Ok(3));
}

#[test]
fn map_values_are_live_after_a_lookup() {
    let maps: [Arc<dyn Map>; 1] = [map(MapType::Array, 4, 8, 2)];
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    let text = "*(u32 *)(r10 -4) = 1\nr2 = r10\nr2 += -4\nr1 = map[m0]\ncall bpf_map_lookup_elem\nif r0 == 0 goto out\nr1 = 5\n\
                *(u64 *)(r0 +0) = r1\nout: exit";
    let code = run_in(&mut env, ProgType::Xdp, text, &maps);
    assert!(code.is_ok(), "{code:?}");
    assert_eq!(maps[0].read(&1u32.to_ne_bytes()).unwrap(), 5u64.to_ne_bytes());
    let beyond = text.replace("(r0 +0)", "(r0 +8)");
    assert!(matches!(run_in(&mut env, ProgType::Xdp, &beyond, &maps), Err(RunError::Trap(_))));
}
