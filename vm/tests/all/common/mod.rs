//! Runs programs from text, checked.

use std::sync::Arc;

use ring3_platform::{MapDef, MapType, ProgType};
use ring3_vm::maps::{self, Map};
use ring3_vm::{Context, Env, Helpers, Interp, RunError, SkbContext, TestHost, XdpContext, link_unverified, run};

/// An Ethernet, IPv4 and TCP header and 6 bytes.
pub const FRAME: [u8; 60] = {
    let mut frame = [0; 60];
    frame[0] = 2;
    frame[12] = 8;
    frame[14] = 0x45;
    frame[17] = 46;
    frame[22] = 64;
    frame[23] = 6;
    frame[59] = 0xee;
    frame
};

pub fn map_def(kind: MapType, key: u32, value: u32, entries: u32) -> Arc<MapDef> {
    Arc::new(MapDef::new("map", kind, key, value, entries))
}

pub fn map(kind: MapType, key: u32, value: u32, entries: u32) -> Arc<dyn Map> {
    maps::create(&map_def(kind, key, value, entries), 2).unwrap()
}

/// Helpers by their names, maps as `map[m0]`.
struct Names;

impl ring3_isa::Symbols for Names {
    fn helper(&self, name: &str) -> Option<i32> {
        let id = ring3_platform::helpers::helper_by_name(name.strip_prefix("bpf_")?)?;
        i32::try_from(id).ok()
    }

    fn map(&self, name: &str) -> Option<i32> {
        name.strip_prefix('m')?.parse().ok()
    }
}

pub fn assemble(text: &str) -> ring3_isa::Code {
    ring3_isa::assemble_with(text, &Names).unwrap_or_else(|e| panic!("{e}: {text}"))
}

pub fn interp(kind: ProgType, text: &str, maps: &[Arc<dyn Map>]) -> Interp {
    Interp::new(Arc::new(link_unverified(&assemble(text), kind, maps, &Helpers::new()).unwrap()))
}

pub fn run_in(env: &mut Env<'_>, kind: ProgType, text: &str, maps: &[Arc<dyn Map>]) -> Result<u64, RunError> {
    run(&interp(kind, text, maps), env)
}

pub fn xdp(frame: &[u8]) -> Context {
    let mut ctx = XdpContext::new().unwrap();
    ctx.load(frame);
    Context::Xdp(ctx)
}

pub fn skb(frame: &[u8]) -> Context {
    let mut ctx = SkbContext::new().unwrap();
    ctx.load(frame, ring3_vm::DataStart::Ethernet);
    Context::Skb(ctx)
}

/// R0 of a program without a context.
pub fn plain(text: &str) -> Result<u64, RunError> {
    let mut host = TestHost::default();
    run_in(&mut Env::new(&mut host), ProgType::SocketFilter, text, &[])
}

/// R0 of an XDP program, and the packet it leaves.
pub fn xdp_run(text: &str, frame: &[u8]) -> (Result<u64, RunError>, Vec<u8>) {
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.ctx = xdp(frame);
    let ret = run_in(&mut env, ProgType::Xdp, text, &[]);
    (ret, env.ctx.packet().unwrap().bytes().to_vec())
}

/// R0 of a tc program, and the packet it leaves.
pub fn tc_run(text: &str, frame: &[u8]) -> (Result<u64, RunError>, Vec<u8>) {
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.ctx = skb(frame);
    let ret = run_in(&mut env, ProgType::SchedCls, text, &[]);
    (ret, env.ctx.packet().unwrap().bytes().to_vec())
}

pub fn trap(result: Result<u64, RunError>) -> String {
    match result {
        Err(RunError::Trap(trap)) => trap.to_string(),
        other => panic!("{other:?}"),
    }
}
