//! What safe code around a verified program can do must not make its proof wrong: content that the verifier knew, CPUs, contexts,
//! helpers, all stay as they were when it was judged, or the program does not run.

use std::sync::Arc;

use crate::common::*;
use ring3_platform::{
    CtxLayout, Errno, HelperId, MapDef, MapFlags, MapType, ProgType, Program, Target, ctx, helpers::id,
};
use ring3_verifier::{LogLevel, VerifiedProgram, verify};
use ring3_vm::maps::{BPF_ANY, Behaviour, Custom, Map, create};
use ring3_vm::{Context, Env, Helpers, Interp, LinkError, RunError, Slots, TestHost, XdpContext, link, run};

fn proved(text: &str, maps: &[MapDef], target: Target) -> VerifiedProgram {
    let mut program = Program::new("p", ProgType::Xdp, assemble(text));
    program.maps = maps.iter().cloned().map(Arc::new).collect();
    verify(Arc::new(program), Arc::new(target), LogLevel::default()).unwrap_or_else(|no| panic!("{no}"))
}

fn constants(data: &[u8]) -> MapDef {
    let mut def = MapDef::new(".rodata", MapType::Array, 4, 8, 1);
    def.flags = MapFlags::RDONLY_PROG;
    def.frozen = true;
    def.data = Some(data.to_vec().into());
    def
}

#[test]
fn frozen_content_never_changes() {
    let map = create(&Arc::new(constants(&[7])), 1).unwrap();
    let (key, value) = ([0; 4], [1; 8]);
    assert_eq!(map.write(&key, &value, 0), Err(Errno::EPERM));
    assert_eq!(map.copy_in(&key, &value, 0), Err(Errno::EPERM));
    assert_eq!(map.update(&key, &value, 0, 0), Err(Errno::EPERM));
    for text in [
        "r1 = map[fd:0][0]+0\n*(u64 *)(r1 +0) = 1\nr0 = 0\nexit",
        "r1 = map[fd:0]\n*(u32 *)(r10 -4) = 0\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\n*(u64 *)(r0 +0) = 1\nexit",
    ] {
        let mut host = TestHost::default();
        let ret = run_in(&mut Env::new(&mut host), ProgType::Xdp, text, std::slice::from_ref(&map));
        assert!(trap(ret).contains("write of 8 bytes"), "{text}");
    }
    assert_eq!(map.copy_out(&key).unwrap(), [7, 0, 0, 0, 0, 0, 0, 0]);
}

/// The verifier takes bytes behind a definition's data for zeroes.
#[test]
fn frozen_content_is_compared_whole() {
    let def = constants(&[7]);
    let program =
        proved("r1 = map[fd:0][0]+0\nr0 = *(u8 *)(r1 +4)\nexit", std::slice::from_ref(&def), Target::default());
    let linked = |def: MapDef| link(&program, &[create(&Arc::new(def), 1).unwrap()], &Helpers::new()).map(|_| ());
    assert_eq!(linked(def.clone()), Ok(()));
    for other in [constants(&[7, 0, 0, 0, 1]), constants(&[8]), MapDef { frozen: false, ..def.clone() }] {
        assert!(matches!(linked(other), Err(LinkError::MapMismatch { field: "frozen content", .. })));
    }
}

/// A lookup by a constant key needs no check for null: then every CPU has a value.
#[test]
fn programs_stay_on_the_cpus_that_they_were_verified_for() {
    let text = "*(u32 *)(r10 -4) = 0\nr2 = r10\nr2 += -4\nr1 = map[fd:0]\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 +0)\nexit";
    let def = MapDef::new("m", MapType::PercpuArray, 4, 8, 1);
    let program = proved(text, std::slice::from_ref(&def), Target { cpus: 4, ..Target::default() });
    let map = |cpus| create(&Arc::new(def.clone()), cpus).unwrap();
    let few = link(&program, &[map(3)], &Helpers::new()).unwrap_err();
    assert!(matches!(few, LinkError::MapMismatch { field: "CPUs", .. }), "{few}");
    let interp = Interp::new(link(&program, &[map(4)], &Helpers::new()).unwrap().into());
    for (cpu, result) in [(3, Ok(0)), (4, Err(RunError::WrongCpu { cpu: 4 }))] {
        let mut host = TestHost { cpu, ..TestHost::default() };
        let mut env = Env::new(&mut host);
        env.ctx = xdp(&[0; 60]);
        assert_eq!(run(&interp, &mut env), result);
    }
}

#[test]
fn contexts_are_those_of_the_table() {
    let program = proved("r2 = *(u32 *)(r1 +16)\nr0 = 2\nexit", &[], Target::default());
    let interp = Interp::new(link(&program, &[], &Helpers::new()).unwrap().into());
    let layout = ctx::layout(ProgType::Xdp).unwrap();
    let forged: &'static CtxLayout = Box::leak(Box::new(CtxLayout { fields: &layout.fields[..1], ..*layout }));
    let other = ctx::layout(ProgType::CgroupDevice).unwrap();
    for (slots, result) in [
        (Slots::new(layout), Ok(2)),
        (Slots::new(forged), Err(RunError::WrongContext { kind: ProgType::Xdp })),
        (Slots::new(other), Err(RunError::WrongContext { kind: ProgType::Xdp })),
    ] {
        let mut host = TestHost::default();
        let mut env = Env::new(&mut host);
        let mut xdp = XdpContext::new().unwrap();
        xdp.load(&[0; 60]);
        *xdp.fields() = slots;
        env.ctx = Context::Xdp(xdp);
        assert_eq!(run(&interp, &mut env), result);
    }
}

#[test]
fn results_whose_bounds_the_verifier_knows_are_linuxs() {
    let program = proved("call bpf_get_smp_processor_id\nexit", &[], Target::default());
    let mut helpers = Helpers::new();
    helpers.register(HelperId(id::GET_SMP_PROCESSOR_ID), |_, _| 77).unwrap();
    let refused = link(&program, &[], &helpers).unwrap_err();
    assert_eq!(refused, LinkError::CustomReturnsAnything { id: id::GET_SMP_PROCESSOR_ID });
}

#[test]
fn a_context_without_a_packet_has_none_to_adjust() {
    let program = proved("r2 = 1\ncall bpf_xdp_adjust_tail\nexit", &[], Target::default());
    let interp = Interp::new(link(&program, &[], &Helpers::new()).unwrap().into());
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.ctx = Context::Xdp(XdpContext::new().unwrap());
    assert_eq!(run(&interp, &mut env), Ok(Errno::EINVAL.as_ret()));
}

/// Squares, computed when a program asks; updates are refused.
#[derive(Debug)]
struct Squares;

impl Behaviour for Squares {
    fn lookup(&self, values: &dyn Map, key: &[u8], cpu: u32) {
        let square = u64::from(u32::from_ne_bytes(key.try_into().unwrap())).pow(2);
        values.update(key, &square.to_ne_bytes(), BPF_ANY, cpu).unwrap();
    }

    fn update(&self, _: &dyn Map, _: &[u8], _: &[u8], _: u64, _: u32) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }
}

#[test]
fn a_map_of_the_embedder_needs_no_unsafe_code() {
    let text = "*(u32 *)(r10 -4) = 9\n*(u64 *)(r10 -16) = 5\nr2 = r10\nr2 += -4\nr3 = r10\nr3 += -16\nr4 = 0\n\
                r1 = map[fd:0]\ncall bpf_map_update_elem\nr6 = r0\nr2 = r10\nr2 += -4\nr1 = map[fd:0]\n\
                call bpf_map_lookup_elem\nif r0 == 0 goto out\nr0 = *(u64 *)(r0 +0)\nr0 += r6\nout: exit";
    let def = MapDef::new("m", MapType::Array, 4, 8, 10);
    let program = proved(text, std::slice::from_ref(&def), Target::default());
    let map: Arc<dyn Map> = Arc::new(Custom::new(&Arc::new(def), 2, Squares).unwrap());
    let interp = Interp::new(link(&program, std::slice::from_ref(&map), &Helpers::new()).unwrap().into());
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.ctx = xdp(&[0; 60]);
    assert_eq!(run(&interp, &mut env), Ok(81u64.wrapping_add(Errno::EPERM.as_ret())));
    assert_eq!(map.write(&3u32.to_ne_bytes(), &[1; 8], BPF_ANY), Ok(()), "user space goes past the behaviour");
}

/// A string is only known to end in the value of a single-element array: what else is frozen may hold anything.
#[test]
fn strings_of_other_maps_are_refused() {
    let text = "*(u64 *)(r10 -8) = 0\nr2 = r10\nr2 += -8\nr1 = map[fd:0]\ncall bpf_map_lookup_elem\nif r0 == 0 goto out\n\
                r3 = r0\nr1 = r10\nr1 += -8\nr2 = 8\ncall bpf_strncmp\nout: r0 = 2\nexit";
    let mut def = MapDef::new("m", MapType::Hash, 8, 16, 4);
    (def.flags, def.frozen) = (MapFlags::RDONLY_PROG, true);
    let mut program = Program::new("p", ProgType::Xdp, assemble(text));
    program.maps = vec![Arc::new(def)];
    let refused = verify(Arc::new(program), Arc::new(Target::default()), LogLevel::default()).unwrap_err();
    assert!(refused.to_string().contains("no direct value access support for this map type"), "{refused}");
}
