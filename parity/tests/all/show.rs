//! Structures as programs print them (`bpf_snprintf_btf`): the text beside the running kernel's, of many of its types.

use std::sync::Arc;

use ring3::btf::{Btf, Kind, TypeId};
use ring3::platform::{MapDef, MapType};
use ring3::vm::{DefaultHost, Host};
use ring3::{Backend, Engine, Input, Instance, ProgType, Program, sim};

/// Bytes of the input: which type, which flags, and from 64 on the value.
const INPUT: usize = 1024;
const VALUE: usize = 64;
/// Bytes of the text.
const TEXT: usize = 16384;
/// Pointers as they are: the kernel hides them otherwise.
const PTR_RAW: u64 = 4;
/// Types that are looked at.
const TYPES: usize = 400;

/// Prints the value in the first map, into the second.
const PROGRAM: &str = "
    r6 = map[fd:0][0] ll
    r1 = r6
    r1 += 64
    *(u64 *)(r10 -16) = r1
    r1 = *(u32 *)(r6 +0)
    *(u32 *)(r10 -8) = r1
    *(u32 *)(r10 -4) = 0
    r5 = *(u64 *)(r6 +8)
    r1 = map[fd:1][0] ll
    r2 = 16384
    r3 = r10
    r3 += -16
    r4 = 16
    call 149
    exit";

/// Surroundings with types.
struct Typed(Arc<Btf>);

impl Host for Typed {
    fn ktime_ns(&mut self) -> u64 {
        DefaultHost.ktime_ns()
    }

    fn types(&mut self) -> Option<Arc<Btf>> {
        Some(Arc::clone(&self.0))
    }
}

fn instance(backend: Backend, types: &Arc<Btf>) -> Instance {
    let code = ring3::isa::assemble(&PROGRAM.replace(" ll", "+0")).unwrap_or_else(|error| panic!("{error}"));
    let mut program = Program::new("shows", ProgType::SchedCls, code);
    let map = |name: &str, size: usize| Arc::new(MapDef::new(name, MapType::Array, 4, size as u32, 1));
    program.maps = vec![map("input", INPUT), map("text", TEXT)];
    let mut instance = Engine::new().btf(Arc::clone(types)).backend(backend).load_program(program);
    instance.set_host(Typed(Arc::clone(types)));
    instance
}

fn text(instance: &mut Instance, id: TypeId, flags: u64, value: &[u8]) -> Result<(i32, String), ring3::Error> {
    let mut input = [&u64::from(id.0).to_ne_bytes()[..], &flags.to_ne_bytes(), &[0; VALUE - 16], value].concat();
    input.resize(INPUT, 0);
    for (map, bytes) in [("input", &input[..]), ("text", &[0; TEXT])] {
        instance.map(map)?.raw().copy_in(&[0; 4], bytes, 0).unwrap_or_else(|errno| panic!("{errno}"));
    }
    let retval = instance.run("shows", Input::Packet(&[0; 64]))?.retval.cast_signed();
    let bytes = instance.map("text")?.raw().copy_out(&[0; 4]).unwrap_or_default();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    Ok((retval, bytes[..end].iter().map(|byte| char::from(*byte)).collect()))
}

/// Values in which there are zeroes, letters and anything else.
fn value(seed: &mut u64, len: usize) -> Vec<u8> {
    let mut next = || {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) as u32
    };
    (0..len)
        .map(|_| match next() % 8 {
            0..=3 => 0,
            4 | 5 => b'a' + (next() % 26) as u8,
            _ => next() as u8,
        })
        .collect()
}

#[test]
fn structures_are_printed_as_linux_prints_them() {
    let types = match sim::types(sim::RUNNING_KERNEL) {
        Ok(types) => Arc::new(types),
        Err(error) => return println!("skipped: {error}"),
    };
    let mut kernel = instance(Backend::Kernel, &types);
    let mut ours = instance(Backend::best(), &types);
    let shown = |kind| {
        matches!(kind, Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Typedef | Kind::Int | Kind::Array)
    };
    let ids = (1..).zip(types.types().iter().skip(1)).filter(|(_, ty)| shown(ty.kind())).map(|(id, _)| TypeId(id));
    let fits = |id: &TypeId| {
        let kind = types.resolved(*id).map(|ty| ty.kind());
        kind.is_ok_and(shown) && types.size_of(*id).is_ok_and(|size| (1..=(INPUT - VALUE) as u32).contains(&size))
    };
    let ids: Vec<TypeId> = ids.filter(fits).collect();
    let (mut seed, mut wrong, mut compared) = (7, Vec::new(), 0);
    for id in ids.iter().step_by((ids.len() / TYPES).max(1)) {
        let size = types.size_of(*id).unwrap_or(0) as usize;
        for flags in [0, 1, 2, 3, 8, 9, 11] {
            let value = if flags == 9 { vec![0; size] } else { value(&mut seed, size) };
            let theirs = match text(&mut kernel, *id, flags | PTR_RAW, &value) {
                Ok(theirs) => theirs,
                Err(error) => return println!("skipped: {error}"),
            };
            let ours = text(&mut ours, *id, flags | PTR_RAW, &value).unwrap_or_else(|error| panic!("{error}"));
            compared += 1;
            if ours != theirs {
                wrong.push(format!("type {} '{}', flags {flags}:\n{theirs:?}\n{ours:?}", id.0, types.name(*id)));
            }
        }
    }
    println!("{compared} texts compared");
    assert!(wrong.is_empty(), "{} of {compared}\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n"));
    // What is no flag, and no type.
    for (id, flags) in [(ids[0], 16), (TypeId(0), 0)] {
        let theirs = text(&mut kernel, id, flags, &[0; 8]).map(|(retval, _)| retval).ok();
        assert_eq!(text(&mut ours, id, flags, &[0; 8]).map(|(retval, _)| retval).ok(), theirs);
    }
}
