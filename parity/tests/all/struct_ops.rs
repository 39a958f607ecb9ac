//! Structs of functions (`struct_ops/ops.bpf.c`): `bpf_dummy_ops` beside the kernel's test run, a congestion control on structures of
//! the running kernel's types, and what is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use ring3::sim::Sim;
use ring3::struct_ops::Arg;
use ring3::{Backend, Engine, Error, Instance, Object, Options, Program, Value};
use ring3_btf::{Btf, CoreTarget};
use ring3_linux::{KernelTypes, LoadOptions, TestRun};

const OBJECT: &[u8] = include_bytes!("../struct_ops/ops.o");

fn object() -> Object {
    Object::parse("ops.o", OBJECT).unwrap()
}

/// The running kernel's types, or a line that says why there is nothing to test.
fn types() -> Option<Arc<Btf>> {
    let read = KernelTypes::read().map(|types| Arc::new(types.btf().clone()));
    read.inspect_err(|why| println!("skipped: {why}")).ok()
}

fn instance(types: &Arc<Btf>, backend: Backend) -> Instance {
    Engine::new().btf(types.clone()).backend(backend).load(&object()).unwrap()
}

fn backends() -> impl Iterator<Item = Backend> {
    let jit = ring3::jit::Jit::is_supported().then_some(Backend::Jit);
    [Backend::Interpreter, Backend::Checked, Backend::States].into_iter().chain(jit)
}

/// What the kernel's test run gives, and what became of the state. `None` where it cannot be asked.
fn on_kernel(program: &Program, state: i32, args: [u64; 4], count: usize) -> Option<(i32, i32)> {
    if let Err(why) = ring3_linux::available() {
        println!("the kernel is not asked: {why}");
        return None;
    }
    let known = KernelTypes::read().unwrap();
    let (attach_btf_id, member) = (known.target_of(program).unwrap(), known.member_of(program));
    let loaded = ring3_linux::load(program, &LoadOptions { attach_btf_id, member, ..LoadOptions::default() }).unwrap();
    let state = AtomicI32::new(state);
    let words = std::iter::once(state.as_ptr() as u64).chain(args).take(count);
    let ctx: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
    let ran = loaded.prog.test_run(&TestRun { ctx: Some(&ctx), ..TestRun::default() }).unwrap();
    Some((ran.retval.cast_signed(), state.load(Ordering::SeqCst)))
}

#[test]
fn functions_for_tests_do_what_they_do_in_the_kernel() {
    let Some(types) = types() else { return };
    let options = Options { core: Some(Arc::new(CoreTarget::new(types.clone()))), ..Options::default() };
    let cases = [("test_1", "first", [0; 4], 1), ("test_2", "second", [100, 0x1_0007, 0xfb, 4], 5)];
    for (member, name, args, count) in cases {
        let program = object().program(name, &options).unwrap();
        let expected = on_kernel(&program, 0x1234_5678, args, count);
        for backend in backends() {
            let mut instance = instance(&types, backend);
            let mut state = 0x1234_5678u32.to_ne_bytes();
            let mut given = vec![Arg::Memory(&mut state)];
            given.extend(args.iter().take(count - 1).map(|word| Arg::Number(*word)));
            let result = instance.struct_ops("dummy").unwrap().call(member, &mut given).unwrap().retval.cast_signed();
            let ours = (result, i32::from_ne_bytes(state));
            assert_eq!(expected.unwrap_or(ours), ours, "{member} {backend:?}");
            assert_ne!(ours.1, 0x1234_5678, "{member} {backend:?}");
        }
    }
    // The first takes no state, too.
    let mut instance = instance(&types, Backend::Interpreter);
    let none = instance.struct_ops("dummy").unwrap().call("test_1", &mut [0.into()]).unwrap();
    assert_eq!(none.retval.cast_signed(), -7);
}

#[test]
fn a_congestion_control_works_on_sockets() {
    let Some(types) = types() else { return };
    for backend in backends() {
        let mut sim = Sim::new(instance(&types, backend)).unwrap();
        let socket = sim.structure("tcp_sock").set("snd_cwnd", 30).set("prior_cwnd", 50);
        let socket = sim.add(socket).unwrap();
        let addr = socket.addr();
        let mut reno = sim.instance().struct_ops("reno").unwrap();
        assert_eq!((reno.kind(), reno.is_linked()), ("tcp_congestion_ops", true));
        assert_eq!(reno.call("ssthresh", &mut [addr.into()]).unwrap().retval, 15, "{backend:?}");
        assert_eq!(reno.call("undo_cwnd", &mut [addr.into()]).unwrap().retval, 50, "{backend:?}");
        // It returns nothing, so the program leaves R0 alone: no engine gives what lay there.
        let nothing = reno.call("cong_avoid", &mut [addr.into(), 1.into(), 4.into()]).unwrap();
        assert_eq!(nothing.retval, 0, "{backend:?}");
        assert_eq!(sim.get(socket, "snd_cwnd").unwrap(), Value::Unsigned(34), "{backend:?}");
    }
}

#[test]
fn what_linux_does_not_register_is_refused() {
    let Some(types) = types() else { return };
    let mut instance = instance(&types, Backend::Interpreter);
    for (name, words) in [
        ("nameless", "struct_ops 'nameless': it has no name (EINVAL)"),
        ("flagged", "struct_ops 'flagged': flags 0x100 are not known (EINVAL)"),
        ("partial", "struct_ops 'partial': does not implement required ops (EINVAL)"),
        ("sunny", "struct_ops 'sunny': Cannot find member weather in kernel BTF (EOPNOTSUPP)"),
        ("absent", "struct_ops 'absent': there is no such struct (ENOENT)"),
    ] {
        let error = instance.struct_ops(name).map(|ops| ops.kind().to_owned()).unwrap_err();
        assert!(matches!(error, Error::StructOps { .. }) && error.to_string() == words, "{error}");
    }
    // A member that this kernel has not may be there, if it is not set.
    let mut dull = instance.struct_ops("dull").unwrap();
    let missing = dull.call("init", &mut []).unwrap_err().to_string();
    assert_eq!(missing, "struct_ops 'dull': member init is not set (ENOENT)");
    let without = Engine::new().load(&object()).unwrap().struct_ops("dummy").map(|ops| ops.kind().to_owned());
    assert_eq!(without.unwrap_err().to_string(), "struct_ops 'dummy': no types of a kernel are given (EOPNOTSUPP)");
    let names = ["dummy", "reno", "nameless", "flagged", "partial", "sunny", "dull"];
    assert_eq!(instance.struct_ops_names(), names);
}
