//! Tail calls and callbacks together.

use std::sync::Arc;

use crate::common::*;
use ring3_platform::{MapType, ProgType};
use ring3_vm::maps::Map;
use ring3_vm::{Env, RunError, TestHost};

/// Runs the first of these programs; each is in its slot of `map[m0]`. `map[m1]` is an array of one counter.
fn chain(texts: &[&str]) -> (Result<u64, RunError>, u64) {
    let maps: [Arc<dyn Map>; 2] = [map(MapType::ProgArray, 4, 4, texts.len() as u32), map(MapType::Array, 4, 8, 1)];
    for (slot, text) in (0..).zip(texts) {
        maps[0].set_program(slot, Some(Arc::new(interp(ProgType::Xdp, text, &maps)))).unwrap();
    }
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.ctx = xdp(&FRAME);
    let ret = run_in(&mut env, ProgType::Xdp, texts[0], &maps);
    let count = maps[1].read(&[0; 4]).unwrap();
    maps[0].clear();
    (ret, u64::from_ne_bytes(count.try_into().unwrap()))
}

const COUNT: &str = "r2 = map[m1][0]+0\nr3 = 1\nlock *(u64 *)(r2 +0) += r3\n";

fn call(slot: i32) -> String {
    format!("r1 = r6\nr2 = map[m0]\nr3 = {slot}\ncall bpf_tail_call\n")
}

#[test]
fn the_chain_has_33_links() {
    let text = format!("r6 = r1\n{COUNT}{}r0 = 5\nexit", call(0));
    assert_eq!(chain(&[&text]), (Ok(5), 34));
}

#[test]
fn what_is_not_there_is_passed_over() {
    for slot in [1, 7, -1] {
        let text = format!("r6 = r1\n{COUNT}{}r0 = 5\nexit", call(slot));
        assert_eq!(chain(&[&text]), (Ok(5), 1));
    }
}

#[test]
fn the_index_has_32_bits() {
    let first = "r6 = r1\nr1 = r6\nr2 = map[m0]\nr3 = 0x100000001 ll\ncall bpf_tail_call\nr0 = 5\nexit";
    assert_eq!(chain(&[first, "r0 = 9\nexit"]).0, Ok(9));
}

#[test]
fn a_tail_call_of_a_function_returns_to_its_caller() {
    let first = format!("r7 = 100\ncall f\nr0 += r7\nexit\nf: r6 = r1\n{}r0 = 5\nexit", call(1));
    assert_eq!(chain(&[&first, "r7 = 1\nr0 = 9\nexit"]).0, Ok(109));
}

#[test]
fn the_context_goes_along_and_packets_may_move() {
    let first = format!("r6 = r1\nr2 = 14\ncall bpf_xdp_adjust_head\n{}r0 = 5\nexit", call(1));
    assert_eq!(chain(&[&first, "r2 = *(u32 *)(r1 +0)\nr0 = *(u8 *)(r2 +0)\nexit"]).0, Ok(0x45));
}

#[test]
fn a_stranger_as_the_context_traps() {
    let text = trap(chain(&["r1 = 8\nr2 = map[m0]\nr3 = 1\ncall bpf_tail_call\nexit", "r0 = *(u32 *)(r1 +0)\nexit"]).0);
    assert!(text.contains("helper 12 was given 0x8 where it needs the context"), "{text}");
}

#[test]
fn stacks_of_frames_that_ended_are_gone() {
    let leak = "r2 = map[m1][0]+0\n*(u64 *)(r2 +0) = r10\nr0 = 1\nexit";
    let first = format!(
        "r6 = r1\ncall f\nr2 = map[m1][0]+0\nr2 = *(u64 *)(r2 +0)\nr0 = *(u64 *)(r2 -8)\nexit\nf: r6 = r1\n{}exit",
        call(1)
    );
    assert!(trap(chain(&[&first, leak]).0).contains("read of 8"));
}

#[test]
fn callbacks_and_tail_calls_nest_as_deep_as_they_may() {
    let text = format!(
        "r6 = r1\n*(u64 *)(r10 -8) = r6\nr1 = 1\nr2 = subprog[f]\nr3 = r6\nr4 = 0\ncall bpf_loop\nexit\n\
         f: r6 = r2\nr1 = 1\nr2 = subprog[g]\nr3 = r6\nr4 = 0\ncall bpf_loop\nr0 = 0\nexit\n\
         g: r6 = r2\n{COUNT}{}r0 = 0\nexit",
        call(0)
    );
    assert_eq!(chain(&[&text]), (Ok(1), 34));
}
