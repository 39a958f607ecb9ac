//! How deep the native stack gets: tail calls and callbacks nest on it, and a verified program may do as much of both as Linux lets it.

use std::sync::Arc;

use ring3_fuzz::program_info;
use ring3_isa::{Callee, Insn, Wide};
use ring3_jit::Jit;
use ring3_platform::{MapDef, MapType, ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};
use ring3_vm::maps::create;
use ring3_vm::{Context, Env, Execute, Helpers, Interp, Linked, RunError, TestHost, XdpContext, link, run};

/// A program that goes through five loops into each other and then calls itself, as often as it may.
const TEXT: &str = "r6 = r1\n*(u64 *)(r10 -8) = r1\nr1 = 1\nr2 = subprog[a]\nr3 = r10\nr3 += -8\nr4 = 0\ncall loop#181\nr0 = 0\nexit\n\
a: r3 = r2\nr1 = 1\nr2 = subprog[b]\nr4 = 0\ncall loop#181\nr0 = 0\nexit\n\
b: r3 = r2\nr1 = 1\nr2 = subprog[c]\nr4 = 0\ncall loop#181\nr0 = 0\nexit\n\
c: r3 = r2\nr1 = 1\nr2 = subprog[d]\nr4 = 0\ncall loop#181\nr0 = 0\nexit\n\
d: r3 = r2\nr1 = 1\nr2 = subprog[e]\nr4 = 0\ncall loop#181\nr0 = 0\nexit\n\
e: r1 = *(u64 *)(r2 +0)\ncall f\nr0 = 0\nexit\n\
f: r2 = map[fd:0]\nr3 = 0\ncall tail_call#12\nr0 = 0\nexit";

/// Bytes of native stack that the deepest run may need: half of what a thread of Rust has, in an optimised build.
const STACK: usize = 1 << 20;

/// How a linked program gets on an engine.
type Load = fn(Arc<Linked>) -> Arc<dyn Execute>;

fn deepest(engine: Load) -> Result<u64, RunError> {
    let code = ring3_isa::assemble(TEXT).unwrap();
    let callback = |slot: usize| match code.get(slot)?.ok()? {
        Insn::LoadImm { value: Wide::Func(off), .. } | Insn::Call(Callee::Local(off)) => {
            Some((slot as i64 + 1 + i64::from(off)) as usize)
        }
        _ => None,
    };
    let starts: Vec<usize> = [0].into_iter().chain((0..code.len()).filter_map(callback)).collect();
    let def = Arc::new(MapDef::new("programs", MapType::ProgArray, 4, 4, 1));
    let mut program = Program::new("p", ProgType::Xdp, code);
    program.maps = vec![def.clone()];
    program.info = Some(Arc::new(program_info(&starts).unwrap()));
    let proof = verify(Arc::new(program), Arc::new(Target::default()), LogLevel::default());
    let proof = proof.unwrap_or_else(|no| panic!("{no}"));
    let map = create(&def, 1).unwrap();
    let linked = link(&proof, std::slice::from_ref(&map), &Helpers::new()).unwrap();
    let program = engine(Arc::new(linked));
    map.set_program(0, Some(program.clone())).unwrap();
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.ctx = Context::Xdp(XdpContext::new().unwrap());
    let result = run(program.as_ref(), &mut env);
    map.clear();
    result
}

#[test]
fn tail_calls_in_callbacks_end_on_every_engine() {
    let mut engines: Vec<Load> = vec![|linked| Arc::new(Interp::new(linked))];
    if Jit::is_supported() {
        engines.push(|linked| Arc::new(Jit::compile(linked).unwrap()));
    }
    for engine in engines {
        let run = std::thread::Builder::new().stack_size(STACK).spawn(move || deepest(engine)).unwrap();
        assert_eq!(run.join().unwrap(), Ok(0));
    }
}
