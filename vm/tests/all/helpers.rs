//! Helpers, called by programs that nobody proved safe.

use std::sync::Arc;

use crate::common::*;
use ring3_platform::{Errno, MapType, ProgType};
use ring3_vm::maps::Map;
use ring3_vm::{Env, Execute, LinkError, Redirect, RunError, Task, TestHost, link_unverified};

fn errno(errno: Errno) -> Result<u64, RunError> {
    Ok(errno.as_ret())
}

fn with_maps(kind: ProgType, text: &str, maps: &[Arc<dyn Map>]) -> Result<u64, RunError> {
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.ctx = if kind == ProgType::Xdp { xdp(&FRAME) } else { skb(&FRAME) };
    run_in(&mut env, kind, text, maps)
}

/// Text of a key of 4 bytes at r10 - 4 with r2 on it.
const KEY: &str = "*(u32 *)(r10 -4) = 1\nr2 = r10\nr2 += -4\nr1 = map[m0]\n";

#[test]
fn map_elements() {
    let maps = [map(MapType::Hash, 4, 8, 2)];
    let update = |flags| {
        format!("{KEY}*(u64 *)(r10 -16) = 77\nr3 = r10\nr3 += -16\nr4 = {flags}\ncall bpf_map_update_elem\nexit")
    };
    let run = |text: &str| with_maps(ProgType::Xdp, text, &maps);
    assert_eq!(run(&update(2)), errno(Errno::ENOENT));
    assert_eq!(run(&update(1)), Ok(0));
    assert_eq!(run(&update(1)), errno(Errno::EEXIST));
    assert_eq!(run(&update(9)), errno(Errno::EINVAL));
    let lookup = format!("{KEY}call bpf_map_lookup_elem\nif r0 == 0 goto out\nr0 = *(u64 *)(r0 +0)\nout: exit");
    assert_eq!(run(&lookup), Ok(77));
    assert_eq!(run(&format!("{KEY}call bpf_map_delete_elem\nexit")), Ok(0));
    assert_eq!(run(&format!("{KEY}call bpf_map_delete_elem\nexit")), errno(Errno::ENOENT));
    assert_eq!(run(&lookup), Ok(0));
}

#[test]
fn hostile_arguments_trap() {
    let maps = [map(MapType::Hash, 4, 8, 2)];
    let run = |text: &str| trap(with_maps(ProgType::SchedCls, text, &maps));
    assert!(run("r1 = map[m0]\nr2 = 8\ncall bpf_map_lookup_elem\nexit").contains("4 bytes at 0x8"));
    assert!(run("r1 = map[m0]\nr2 = r10\nr2 += -2\ncall bpf_map_lookup_elem\nexit").contains("not live"));
    assert!(run("r1 = map[m0]\nr1 += 8\nr2 = r10\nr2 += -8\ncall bpf_map_lookup_elem\nexit").contains("needs a map"));
    assert!(run("r1 = 0\nr2 = 0\ncall bpf_skb_pull_data\nexit").contains("needs the context"));
    assert!(run("r1 = r10\nr1 += -8\nr2 = 9\ncall bpf_trace_printk\nexit").contains("9 bytes"));
    assert!(run("r2 = 0\nr3 = r10\nr4 = 1\ncall bpf_skb_load_bytes\nexit").contains("not live"));
    assert!(run("r2 = 0\nr3 = r1\nr4 = 1\ncall bpf_skb_load_bytes\nexit").contains("not live"), "the context's slots");
    assert!(run("r1 = 5\nr2 = 77\nr3 = 0\nr4 = 0\ncall bpf_loop\nexit").contains("needs a callback"));
    assert!(run("r1 = r10\nr2 = 0\ncall bpf_ringbuf_submit\nexit").contains("needs a record"));
    assert!(run("r1 = 0\ncall bpf_xdp_get_buff_len\nexit").contains("needs the context"));
    assert!(run("call bpf_xdp_get_buff_len\nexit").contains("packet of XDP"));
    let hook = "r1 = 3\nr2 = subprog[f]\nr3 = 0\nr4 = 0\ncall bpf_loop\nexit\nf: r0 = *(u64 *)(r2 +0)\nexit";
    assert!(run(hook).contains("slot 7: read of 8 bytes at 0x0"));
}

#[test]
fn endless_callbacks_end() {
    let text = "r6 = 0\ncall f\nexit\nf: r1 = 1\nr2 = subprog[f]\nr3 = 0\nr4 = 0\ncall bpf_loop\nexit";
    assert!(trap(plain(text)).contains("deeper than 8 frames"));
}

#[test]
fn what_is_missing_is_named() {
    let code = assemble("call bpf_sys_bpf\nexit");
    let error = link_unverified(&code, ProgType::Xdp, &[], &ring3_vm::Helpers::new()).unwrap_err();
    assert_eq!(error, LinkError::NoHelper { id: 166, name: "sys_bpf".to_owned() });
}

#[test]
fn helpers_of_the_embedder() {
    let mut helpers = ring3_vm::Helpers::new();
    helpers.register(ring3_platform::HelperId(1000), |_, args| args[0] * args[1]).unwrap();
    let twice = helpers.register(ring3_platform::HelperId(1000), |_, _| 0);
    assert_eq!(twice, Err(LinkError::DuplicateHelper { id: 1000 }));
    let code = assemble("r1 = 6\nr2 = 7\ncall unknown#1000\nexit");
    let linked = Arc::new(link_unverified(&code, ProgType::Xdp, &[], &helpers).unwrap());
    let mut host = TestHost::default();
    assert_eq!(ring3_vm::run(&ring3_vm::Interp::new(linked), &mut Env::new(&mut host)), Ok(42));
}

#[test]
fn loops() {
    let text = |count: &str, flags: u32, last: &str| {
        format!(
            "*(u64 *)(r10 -8) = 0\nr1 = {count}\nr2 = subprog[f]\nr3 = r10\nr3 += -8\nr4 = {flags}\ncall bpf_loop\n\
             r1 = *(u64 *)(r10 -8)\nr1 <<= 32\nr0 += r1\nexit\n\
             f: r3 = *(u64 *)(r2 +0)\nr3 += r1\n*(u64 *)(r2 +0) = r3\nr0 = 0\nif r1 != {last} goto out\nr0 = 1\nout: exit"
        )
    };
    assert_eq!(plain(&text("10", 0, "100")), Ok(10 | 45 << 32));
    assert_eq!(plain(&text("10", 0, "3")), Ok(4 | 6 << 32));
    assert_eq!(plain(&text("0", 0, "3")), Ok(0));
    assert_eq!(plain(&text("10", 1, "3")), errno(Errno::EINVAL));
    assert_eq!(plain(&text("8388609", 0, "3")), errno(Errno::E2BIG));
}

#[test]
fn elements_one_by_one() {
    let maps = [map(MapType::Array, 4, 8, 5)];
    for key in 0..5u32 {
        maps[0].write(&key.to_ne_bytes(), &u64::from(key * 10).to_ne_bytes(), 0).unwrap();
    }
    let text = |last| {
        format!(
            "*(u64 *)(r10 -8) = 0\nr1 = map[m0]\nr2 = subprog[f]\nr3 = r10\nr3 += -8\nr4 = 0\ncall bpf_for_each_map_elem\n\
             r1 = *(u64 *)(r10 -8)\nr1 <<= 32\nr0 += r1\nexit\n\
             f: r5 = *(u64 *)(r3 +0)\nr6 = *(u64 *)(r4 +0)\nr6 += r5\n*(u64 *)(r4 +0) = r6\nr7 = *(u32 *)(r2 +0)\n\
             r0 = 0\nif r7 != {last} goto out\nr0 = 1\nout: exit"
        )
    };
    assert_eq!(with_maps(ProgType::Xdp, &text(9), &maps), Ok(5 | 100 << 32));
    assert_eq!(with_maps(ProgType::Xdp, &text(2), &maps), Ok(3 | 30 << 32));
    let write_key = text(9).replace("r0 = 0\nif r7", "*(u32 *)(r2 +0) = 1\nr0 = 0\nif r7");
    assert!(trap(with_maps(ProgType::Xdp, &write_key, &maps)).contains("write of 4"));
}

#[test]
fn the_world() {
    let mut host =
        TestHost { now_ns: 7_000_000_123, tick_ns: 0, cpu: 1, task: Task::new(5, 6, 7, 8, "a-rather-long-name") };
    let mut env = Env::new(&mut host);
    let mut call = |name: &str| run_in(&mut env, ProgType::Xdp, &format!("call {name}\nexit"), &[]).unwrap();
    assert_eq!(call("bpf_ktime_get_ns"), 7_000_000_123);
    assert_eq!(call("bpf_ktime_get_boot_ns"), 7_000_000_123);
    assert_eq!(call("bpf_ktime_get_coarse_ns"), 7_000_000_000);
    assert_eq!(call("bpf_get_smp_processor_id"), 1);
    assert_eq!(call("bpf_get_current_pid_tgid"), 5 << 32 | 6);
    assert_eq!(call("bpf_get_current_uid_gid"), 8 << 32 | 7);
    let first = call("bpf_get_prandom_u32");
    assert!(first <= u32::MAX.into());
    assert_ne!(first, call("bpf_get_prandom_u32"));
    let comm = "r1 = r10\nr1 += -8\nr2 = 8\ncall bpf_get_current_comm\nr0 = *(u64 *)(r10 -8)\nexit";
    assert_eq!(run_in(&mut env, ProgType::Xdp, comm, &[]), Ok(u64::from_le_bytes(*b"a-rathe\0")));
}

#[test]
fn random_numbers_follow_the_seed() {
    let numbers = |seed| {
        let mut host = TestHost::default();
        let mut env = Env::new(&mut host);
        env.seed(seed);
        run_in(&mut env, ProgType::Xdp, "call bpf_get_prandom_u32\nexit", &[])
    };
    assert_eq!(numbers(1), numbers(1));
    assert_ne!(numbers(1), numbers(2));
}

fn traced(text: &str) -> (Result<u64, RunError>, Vec<String>) {
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    let ret = run_in(&mut env, ProgType::Xdp, text, &[]);
    (ret, env.trace.take())
}

/// Puts a text of up to 8 bytes at r10 - 8.
fn put(text: &[u8]) -> String {
    let mut bytes = [0; 8];
    bytes[..text.len()].copy_from_slice(text);
    format!("r1 = {:#x} ll\n*(u64 *)(r10 -8) = r1\nr1 = r10\nr1 += -8\n", u64::from_le_bytes(bytes))
}

#[test]
fn trace_lines() {
    let text = format!("{}r2 = 8\nr3 = -5\nr4 = 255\ncall bpf_trace_printk\nexit", put(b"<%d %x>"));
    assert_eq!(traced(&text), (Ok(7), vec!["<-5 ff>".to_owned()]));
    let text = format!("{}r2 = 3\nr3 = r1\ncall bpf_trace_printk\nexit", put(b"%s"));
    assert_eq!(traced(&text).1, ["%s"]);
    let text = format!("{}r2 = 2\nr3 = r1\ncall bpf_trace_printk\nexit", put(b"%s"));
    assert_eq!(traced(&text), (errno(Errno::EINVAL), vec![]), "no NUL in the size");
    let text = format!(
        "{}*(u64 *)(r10 -16) = 9\nr2 = 8\nr3 = r10\nr3 += -16\nr4 = 8\ncall bpf_trace_vprintk\nexit",
        put(b"%llu!")
    );
    assert_eq!(traced(&text), (Ok(2), vec!["9!".to_owned()]));
    assert_eq!(traced(&text.replace("r4 = 8", "r4 = 7")).0, errno(Errno::EINVAL));
}

#[test]
fn snprintf_cuts() {
    let text = |size| {
        format!(
            "{}r3 = r1\nr1 = r10\nr1 += -16\nr2 = {size}\n*(u64 *)(r10 -24) = 1234\nr4 = r10\nr4 += -24\nr5 = 8\n\
         call bpf_snprintf\nr1 = *(u64 *)(r10 -16)\nr1 <<= 8\nr0 += r1\nexit",
            put(b"%d")
        )
    };
    assert_eq!(plain(&text(8)), Ok(u64::from_le_bytes(*b"\x051234\0\0\0")));
    assert_eq!(plain(&text(3)), Ok(u64::from_le_bytes(*b"\x0512\0\0\0\0\0")));
}

#[test]
fn xdp_moves_its_ends() {
    let len = "\nr6 = r0\nr1 = r7\ncall bpf_xdp_get_buff_len\nr0 <<= 32\nr6 &= 0xffff\nr0 += r6\nexit";
    let run = |helper: &str, delta: i32| {
        let (ret, packet) = xdp_run(&format!("r7 = r1\nr2 = {delta}\ncall {helper}{len}"), &FRAME);
        let ret = ret.unwrap();
        assert_eq!(ret >> 32, packet.len() as u64);
        (ret as u16 as i16, packet.len())
    };
    assert_eq!(run("bpf_xdp_adjust_head", 14), (0, 46));
    assert_eq!(run("bpf_xdp_adjust_head", -216), (0, 276));
    assert_eq!(run("bpf_xdp_adjust_head", -217), (-22, 60));
    assert_eq!(run("bpf_xdp_adjust_head", 46), (0, 14));
    assert_eq!(run("bpf_xdp_adjust_head", 47), (-22, 60));
    assert_eq!(run("bpf_xdp_adjust_tail", -46), (0, 14));
    assert_eq!(run("bpf_xdp_adjust_tail", -47), (-22, 60));
    assert_eq!(run("bpf_xdp_adjust_tail", 3460), (0, 3520));
    assert_eq!(run("bpf_xdp_adjust_tail", 3461), (-22, 60));
    assert_eq!(run("bpf_xdp_adjust_meta", -8), (0, 60));
    assert_eq!(run("bpf_xdp_adjust_meta", -7), (-13, 60));
    assert_eq!(run("bpf_xdp_adjust_meta", 4), (-22, 60));
}

#[test]
fn old_packet_pointers_are_dead_after_a_move() {
    let text =
        "r6 = *(u32 *)(r1 +0)\nr7 = r1\nr2 = 14\ncall bpf_xdp_adjust_head\nr8 = *(u32 *)(r7 +0)\nr0 = *(u8 *)(r8 +0)\n";
    assert_eq!(xdp_run(&format!("{text}exit"), &FRAME).0, Ok(0x45));
    assert!(trap(xdp_run(&format!("{text}r0 = *(u8 *)(r6 +0)\nexit"), &FRAME).0).contains("read of 1"));
}

#[test]
fn xdp_bytes() {
    let text = |helper: &str, off: u32, len: u32| {
        format!(
            "*(u64 *)(r10 -8) = -1\nr2 = {off}\nr3 = r10\nr3 += -8\nr4 = {len}\ncall {helper}\nif r0 != 0 goto out\n\
                 r0 = *(u64 *)(r10 -8)\nout: exit"
        )
    };
    assert_eq!(xdp_run(&text("bpf_xdp_load_bytes", 12, 2), &FRAME).0, Ok(0xffff_ffff_ffff_0008));
    assert_eq!(xdp_run(&text("bpf_xdp_load_bytes", 59, 2), &FRAME).0, errno(Errno::EINVAL));
    assert_eq!(xdp_run(&text("bpf_xdp_load_bytes", 0x1_0000, 2), &FRAME).0, errno(Errno::EFAULT));
    let (ret, packet) = xdp_run(&text("bpf_xdp_store_bytes", 58, 2), &FRAME);
    assert_eq!((ret, &packet[56..]), (Ok(u64::MAX), &[0, 0, 255, 255][..]));
}

#[test]
fn skb_bytes() {
    let load = |off: i64, len: u32| {
        format!(
            "*(u64 *)(r10 -8) = -1\nr2 = {off}\nr3 = r10\nr3 += -8\nr4 = {len}\ncall bpf_skb_load_bytes\nr6 = *(u64 *)(r10 -8)\n\
                 r0 <<= 48\nr0 ^= r6\nexit"
        )
    };
    assert_eq!(tc_run(&load(12, 4), &FRAME).0, Ok(0xffff_ffff_0045_0008));
    let fault = Errno::EFAULT.as_ret() << 48;
    assert_eq!(tc_run(&load(58, 4), &FRAME).0, Ok(fault ^ 0xffff_ffff_0000_0000), "zeroes where it fails");
    assert_eq!(tc_run(&load(-1, 4), &FRAME).0, Ok(fault ^ 0xffff_ffff_0000_0000));
    let relative = |header: u32, off: u32| {
        format!(
            "*(u64 *)(r10 -8) = 0\nr2 = {off}\nr3 = r10\nr3 += -8\nr4 = 2\nr5 = {header}\ncall bpf_skb_load_bytes_relative\n\
                 if r0 != 0 goto out\nr0 = *(u64 *)(r10 -8)\nout: exit"
        )
    };
    assert_eq!(tc_run(&relative(0, 12), &FRAME).0, Ok(8));
    assert_eq!(tc_run(&relative(1, 0), &FRAME).0, Ok(0x45));
    assert_eq!(tc_run(&relative(2, 0), &FRAME).0, errno(Errno::EFAULT));
    let store = |off: u32, flags: u32| {
        format!(
            "*(u64 *)(r10 -8) = -1\nr2 = {off}\nr3 = r10\nr3 += -8\nr4 = 2\nr5 = {flags}\ncall bpf_skb_store_bytes\nexit"
        )
    };
    let (ret, packet) = tc_run(&store(58, 3), &FRAME);
    assert_eq!((ret, &packet[56..]), (Ok(0), &[0, 0, 255, 255][..]));
    assert_eq!(tc_run(&store(59, 0), &FRAME).0, errno(Errno::EFAULT));
    assert_eq!(tc_run(&store(58, 4), &FRAME).0, errno(Errno::EINVAL));
}

#[test]
fn skb_changes_its_length() {
    let run = |helper: &str, arg: i64| {
        let (ret, packet) = tc_run(&format!("r2 = {arg}\nr3 = 0\ncall {helper}\nexit"), &FRAME);
        (ret.unwrap() as i64, packet)
    };
    assert_eq!(run("bpf_skb_pull_data", 60).0, 0);
    assert_eq!(run("bpf_skb_pull_data", 61).0, -12);
    assert_eq!(run("bpf_skb_change_tail", 14).1.len(), 14);
    assert_eq!(run("bpf_skb_change_tail", 13).0, -22);
    let (ret, packet) = run("bpf_skb_change_tail", 9000);
    assert_eq!((ret, packet.len(), packet[59], packet[8999]), (0, 9000, 0xee, 0));
    assert_eq!(run("bpf_skb_change_tail", 100_000).0, -22);
    let (ret, packet) = run("bpf_skb_change_head", 1000);
    assert_eq!((ret, packet.len(), packet[0], packet[1000]), (0, 1060, 0, 2));
    assert_eq!(run("bpf_skb_change_head", -1).0, -22);
}

#[test]
fn vlan_tags() {
    let push = "r7 = r1\nr2 = 0x81\nr3 = 100\ncall bpf_skb_vlan_push\nr1 = r7\n";
    let field = |text: &str| format!("{text}r0 = *(u32 *)(r7 +24)\nr2 = *(u32 *)(r7 +20)\nr2 <<= 32\nr0 += r2\nexit");
    let (ret, packet) = tc_run(&field(push), &FRAME);
    assert_eq!((ret, packet.len()), (Ok(100 | 1 << 32), 60), "a tag in the fields");
    let twice = format!("{push}r2 = 0xa888\nr3 = 200\ncall bpf_skb_vlan_push\n");
    let (ret, packet) = tc_run(&field(&twice), &FRAME);
    assert_eq!((ret, packet.len(), &packet[12..18]), (Ok(200 | 1 << 32), 64, &[0x81, 0, 0, 100, 8, 0][..]));
    let back = format!("{twice}r1 = r7\ncall bpf_skb_vlan_pop\n");
    let (ret, packet) = tc_run(&field(&back), &FRAME);
    assert_eq!((ret, packet), (Ok(100 | 1 << 32), FRAME.to_vec()));
    let gone = format!("{back}r1 = r7\ncall bpf_skb_vlan_pop\n");
    assert_eq!(tc_run(&field(&gone), &FRAME), (Ok(0), FRAME.to_vec()));
}

/// A packet of Ethernet addresses and what comes behind them, long enough for headers.
fn frame(behind: &[u8]) -> Vec<u8> {
    [&[0; 12], behind, &[0; 70]].concat()
}

/// Results are those of Linux 6.18.
#[test]
fn a_length_behind_a_tag_is_a_protocol() {
    let text = "r7 = r1\ncall bpf_skb_vlan_pop\nr0 = *(u32 *)(r7 +16)\nexit";
    let protocol = |behind: &[u8]| tc_run(text, &frame(&[&[0x81, 0, 0, 1], behind].concat())).0;
    assert_eq!(protocol(&[0, 0x10, 0, 0]), Ok(0x0400));
    assert_eq!(protocol(&[0, 0x10, 0xff, 0xff]), Ok(0x0100));
    assert_eq!(protocol(&[8, 0, 0xff, 0xff]), Ok(8));
}

/// Results are those of Linux 6.18.
#[test]
fn packets_within_others_keep_their_end() {
    let text = |flags: u32, len: u32| {
        format!(
            "r6 = r1\nr2 = 60\nr3 = 1\nr4 = {flags}\ncall bpf_skb_adjust_room\nif r0 != 0 goto out\n\
             r1 = r6\nr2 = {len}\nr3 = 0\ncall bpf_skb_change_tail\nout: exit"
        )
    };
    let frame = frame(&[8, 0, 0x45, 0]);
    for (flags, len, expected) in [
        (2, 100, Errno::ENOTSUPP),
        (2, 33, Errno::ENOTSUPP),
        (2, 13, Errno::EINVAL),
        (10, 33, Errno::EINVAL),
        (10, 34, Errno::ENOTSUPP),
        (18, 33, Errno::EINVAL),
        (4, 33, Errno::ENOTSUPP),
        (12, 53, Errno::EINVAL),
        (12, 54, Errno::ENOTSUPP),
    ] {
        assert_eq!(tc_run(&text(flags, len), &frame).0, errno(expected), "{flags} {len}");
    }
    assert_eq!(tc_run(&text(0, 33), &frame).0, Ok(0));
}

/// Linux 6.18 looks behind the tags for the protocol, but marks where the network header was said to be.
#[test]
fn congestion_is_marked_behind_tags() {
    let mark = |behind: &[u8]| {
        let (ret, packet) = tc_run("call bpf_skb_ecn_set_ce\nexit", &frame(behind));
        (ret.unwrap(), packet)
    };
    let (ret, packet) = mark(&[0x81, 0, 0, 1, 8, 0, 0x45, 1, 0, 0x54]);
    assert_eq!((ret, packet[15], &packet[24..26]), (1, 3, &[0xff, 0xfd][..]));
    let (ret, packet) = mark(&[0x81, 0, 0x60, 0xdd, 0x86, 0xdd, 0x60, 0x10]);
    assert_eq!((ret, packet[15]), (1, 0xfd));
    for (tags, expected) in [(7, 1), (8, 0)] {
        let tags = [0x81, 0, 1, 1].repeat(tags);
        assert_eq!(mark(&[&tags[..], &[8, 0, 0x45, 1]].concat()).0, expected);
    }
    // What follows the tags is cut off.
    let text = "r6 = r1\nr2 = 16\nr3 = 0\ncall bpf_skb_change_tail\nr1 = r6\ncall bpf_skb_ecn_set_ce\nexit";
    assert_eq!(tc_run(text, &frame(&[0x81, 0, 1, 1, 8, 0, 0x45, 1])).0, Ok(0));
}

#[test]
fn lengths_beside_the_mtu_wrap_as_in_linux() {
    let text = |diff: i64| {
        format!("*(u32 *)(r10 -4) = 0\nr2 = 0\nr3 = r10\nr3 += -4\nr4 = {diff}\nr5 = 0\ncall bpf_check_mtu\nexit")
    };
    for (diff, expected) in [(0x7fff_ffff, 0), (0x6fff_ffff, 1), (0, 0)] {
        assert_eq!(tc_run(&text(diff), &FRAME).0, Ok(expected), "{diff}");
    }
}

#[test]
fn checksums_of_packets() {
    let text = "r2 = 24\nr3 = 0\nr4 = 5\nr5 = 2\ncall bpf_l3_csum_replace\nexit";
    let (ret, packet) = tc_run(text, &FRAME);
    assert_eq!(
        (ret, u16::from_ne_bytes([packet[24], packet[25]])),
        (Ok(0), !(0xffffu16.wrapping_add(5).wrapping_add(1)))
    );
    assert_eq!(tc_run(&text.replace("r2 = 24", "r2 = 25"), &FRAME).0, errno(Errno::EFAULT));
    let diff =
        "r1 = 0\nr2 = 0\n*(u64 *)(r10 -8) = 0x10002\nr3 = r10\nr3 += -8\nr4 = 8\nr5 = 7\ncall bpf_csum_diff\nexit";
    assert_eq!(plain(diff), Ok(10));
    assert_eq!(plain(&diff.replace("r4 = 8", "r4 = 1")), Ok(9), "any length");
}

#[test]
fn redirects() {
    let run = |kind, text: &str| {
        let mut host = TestHost::default();
        let mut env = Env::new(&mut host);
        env.ctx = if kind == ProgType::Xdp { xdp(&FRAME) } else { skb(&FRAME) };
        let ret = run_in(&mut env, kind, text, &[]).unwrap();
        (ret, env.redirect, env.clones.len())
    };
    let to = |flags| Some(Redirect::Interface { ifindex: 3, flags });
    let text = |flags| format!("r1 = 3\nr2 = {flags}\ncall bpf_redirect\nexit");
    assert_eq!(run(ProgType::Xdp, &text(0)), (4, to(0), 0));
    assert_eq!(run(ProgType::Xdp, &text(1)), (0, None, 0));
    assert_eq!(run(ProgType::SchedCls, &text(1)), (7, to(1), 0));
    assert_eq!(run(ProgType::SchedCls, &text(2)), (2, None, 0));
    assert_eq!(run(ProgType::SchedCls, "r2 = 3\nr3 = 0\ncall bpf_clone_redirect\nexit"), (0, None, 1));
    assert_eq!(run(ProgType::SchedCls, "r2 = 3\nr3 = 2\ncall bpf_clone_redirect\nexit").0, Errno::EINVAL.as_ret());
}

#[test]
fn reading_any_memory_is_reading_known_memory() {
    let text = |from: &str| {
        format!(
            "*(u64 *)(r10 -8) = 5\n*(u64 *)(r10 -16) = -1\nr1 = r10\nr1 += -16\nr2 = 8\n{from}call bpf_probe_read_kernel\n\
                 r6 = *(u64 *)(r10 -16)\nr0 <<= 8\nr0 += r6\nexit"
        )
    };
    assert_eq!(plain(&text("r3 = r10\nr3 += -8\n")), Ok(5));
    assert_eq!(plain(&text("r3 = 0x1234\n")), Ok(Errno::ERANGE.as_ret() << 8));
    let string = format!("{}r3 = r1\nr1 = r10\nr1 += -16\nr2 = 8\ncall bpf_probe_read_kernel_str\nexit", put(b"four"));
    assert_eq!(plain(&string), Ok(5));
    assert_eq!(plain(&string.replace("r2 = 8", "r2 = 3")), Ok(3), "cut, with a NUL");
}

#[test]
fn strings() {
    let text = format!(
        "{}r2 = 3\nr3 = 0\nr4 = r10\nr4 += -16\ncall bpf_strtol\nr1 = *(u64 *)(r10 -16)\nr1 *= 100\nr0 += r1\nexit",
        put(b"421")
    );
    assert_eq!(plain(&text), Ok(42103));
    let compare = |right: &[u8]| {
        let mut bytes = [0; 8];
        bytes[..right.len()].copy_from_slice(right);
        let right = u64::from_le_bytes(bytes);
        let text = format!(
            "r4 = {right:#x} ll\n*(u64 *)(r10 -16) = r4\n{}r2 = 8\nr3 = r10\nr3 += -16\ncall bpf_strncmp\nexit",
            put(b"abc")
        );
        plain(&text).unwrap() as i64
    };
    assert_eq!([compare(b"abc"), compare(b"abd"), compare(b"ab"), compare(b"abcd")], [0, -1, 1, -1]);
}

#[test]
fn tail_calls_without_a_program_go_on() {
    let maps = [map(MapType::Array, 4, 4, 1)];
    assert_eq!(with_maps(ProgType::Xdp, "r2 = map[m0]\nr3 = 0\ncall bpf_tail_call\nr0 = 9\nexit", &maps), Ok(9));
    let text = trap(with_maps(ProgType::Xdp, "r2 = 5\nr3 = 0\ncall bpf_tail_call\nr0 = 9\nexit", &maps));
    assert!(text.contains("helper 12 was given 0x5"), "{text}");
    let program = interp(ProgType::Xdp, "r0 = 0\nexit", &maps);
    assert!(!program.linked().is_verified());
}

#[test]
fn helpers_of_the_embedder_see_the_packet_and_the_memory_of_the_program() {
    let mut helpers = ring3_vm::Helpers::new();
    let id = ring3_platform::HelperId(1000);
    let helper = |call: &mut ring3_vm::Call<'_, '_>, [addr, ..]: [u64; 5]| {
        call.trace("here");
        let mut bytes = [0; 4];
        if !call.read(addr, &mut bytes) {
            call.trap(addr, "an address of the program");
        }
        let first = call.packet_mut().map_or(0, |packet| std::mem::replace(&mut packet[0], 9));
        u64::from(u32::from_ne_bytes(bytes)) + u64::from(first)
    };
    helpers.register(id, helper).unwrap();
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.ctx = xdp(&FRAME);
    let mut run = |text: &str| {
        let linked = link_unverified(&assemble(text), ProgType::Xdp, &[], &helpers).unwrap();
        ring3_vm::run(&ring3_vm::Interp::new(Arc::new(linked)), &mut env)
    };
    assert_eq!(run("*(u32 *)(r10 -4) = 40\nr1 = r10\nr1 += -4\ncall unknown#1000\nexit"), Ok(42));
    assert!(trap(run("r1 = 40\ncall unknown#1000\nexit")).contains("helper 1000 was given 0x28"));
    assert_eq!(env.trace.take(), ["here", "here"]);
    assert_eq!(env.ctx.packet().unwrap().bytes()[0], 9);
}

#[test]
fn there_are_no_sockets_and_no_routes() {
    let lookup = "*(u64 *)(r10 -8) = 0\n*(u64 *)(r10 -16) = 0\nr2 = r10\nr2 += -16\nr3 = 12\nr4 = -1\nr5 = 0\ncall bpf_sk_lookup_tcp\nexit";
    assert_eq!(tc_run(lookup, &FRAME).0, Ok(0));
    assert!(trap(tc_run(&lookup.replace("r3 = 12", "r3 = 36"), &FRAME).0).contains("36 bytes"));
    assert!(trap(tc_run("r1 = r10\ncall bpf_sk_release\nexit", &FRAME).0).contains("needs a socket"));
    let fib =
        |len: u32, flags: u32| format!("r2 = r10\nr2 += -64\nr3 = {len}\nr4 = {flags}\ncall bpf_fib_lookup\nexit");
    assert_eq!(tc_run(&fib(64, 0), &FRAME).0, Ok(4));
    assert_eq!(tc_run(&fib(63, 0), &FRAME).0, errno(Errno::EINVAL));
    assert_eq!(tc_run(&fib(64, 0x40), &FRAME).0, errno(Errno::EINVAL));
}

#[test]
fn a_packet_does_not_inherit_the_fields_of_the_one_before() {
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.ctx = skb(&FRAME);
    let text = "r0 = *(u32 *)(r1 +8)\nr2 = *(u32 *)(r1 +64)\nr0 += r2\n*(u32 *)(r1 +8) = 5\n*(u32 *)(r1 +64) = 6\nexit";
    let program = interp(ProgType::SchedCls, text, &[]);
    assert_eq!(ring3_vm::run(&program, &mut env), Ok(0));
    assert_eq!(ring3_vm::run(&program, &mut env), Ok(11), "the same packet");
    if let ring3_vm::Context::Skb(skb) = &mut env.ctx {
        skb.load(&FRAME, ring3_vm::DataStart::Ethernet);
    }
    assert_eq!(ring3_vm::run(&program, &mut env), Ok(0));
}

#[test]
fn room_in_packets_that_are_shorter_than_their_headers() {
    let mut host = TestHost::default();
    for len in [14, 15, 16, 33, 40] {
        for kind in [ProgType::SchedCls, ProgType::SkSkb] {
            for (diff, mode) in [(4, 0), (4, 1), (40, 0), (-1, 1), (-4, 0)] {
                let mut env = Env::new(&mut host);
                let mut frame = vec![0; len];
                frame[12] = 8;
                let mut ctx = ring3_vm::SkbContext::new().unwrap();
                ctx.load(&frame, ring3_vm::DataStart::of(kind));
                env.ctx = ring3_vm::Context::Skb(ctx);
                let text = format!("r2 = {diff}\nr3 = {mode}\nr4 = 0\ncall bpf_skb_adjust_room\nexit");
                run_in(&mut env, kind, &text, &[]).unwrap();
            }
        }
    }
}
