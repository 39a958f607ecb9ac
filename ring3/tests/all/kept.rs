//! What maps keep beside plain values, and objects that programs make: locks, timers, lists, trees, pointers, exceptions; on every
//! engine. Results are those of Linux 6.18 (`bpftool prog run`), but for timers, which it fires by itself.

use std::sync::Arc;
use std::time::Duration;

use ring3::isa::{Symbols, assemble_with};
use ring3::platform::{KfuncRef, MapFlags};
use ring3::{Backend, Engine, Input, Instance, MapDef, MapType, Object, ProgType, Program};

/// The running kernel's, without which calls of some of its functions are not judged.
fn kernel_types() -> Option<ring3::btf::Btf> {
    let bytes = std::fs::read("/sys/kernel/btf/vmlinux").ok()?;
    ring3::btf::Btf::parse(&bytes).ok()
}

fn instances() -> Vec<Instance> {
    let object = Object::parse("kept.bpf.o", include_bytes!("../data/kept.bpf.o")).unwrap();
    let engine = match kernel_types() {
        Some(types) => Engine::new().btf(types),
        None => Engine::new(),
    };
    let jit = ring3::jit::Jit::is_supported().then_some(Backend::Jit);
    let backends = [Backend::Checked, Backend::Interpreter].into_iter().chain(jit);
    backends.map(|backend| engine.clone().backend(backend).load(&object).unwrap()).collect()
}

fn results(instance: &mut Instance, program: &str, times: usize) -> Vec<u32> {
    let run = |_| instance.run(program, &[0; 64]).unwrap_or_else(|error| panic!("{program}: {error}")).retval;
    (0..times).map(run).collect()
}

#[test]
fn locks_lists_trees_and_pointers() {
    for mut instance in instances() {
        assert_eq!(results(&mut instance, "lock", 2), [1, 2]);
        if kernel_types().is_none() {
            println!("skipped: lists, trees and pointers, as the kernel's types are not there");
            continue;
        }
        assert_eq!(results(&mut instance, "list", 2), [3129, 3129]);
        assert_eq!(results(&mut instance, "tree", 2), [1_234_569, 1_234_569]);
        assert_eq!(results(&mut instance, "keep", 3), [1000, 64, 64]);
    }
}

#[test]
fn a_throw_in_a_function_is_caught_by_the_program() {
    for mut instance in instances() {
        assert_eq!(results(&mut instance, "throws", 1), [5064]);
        assert_eq!(instance.run("throws", &[0; 60]).unwrap().retval, 61);
    }
}

#[test]
fn timers_fire_when_it_is_time() {
    for mut instance in instances() {
        assert_eq!(results(&mut instance, "timer", 1), [0]);
        let fired = |instance: &Instance| {
            let value = instance.map("timers").unwrap().raw().read(&7u32.to_ne_bytes()).unwrap();
            u64::from_ne_bytes(*value.first_chunk().unwrap())
        };
        assert_eq!(instance.runner("timer").unwrap().fire_timers(0).unwrap(), 0);
        assert_eq!(fired(&instance), 0);
        // It starts itself again until it has 300. It reads its key by a helper.
        assert_eq!(instance.runner("timer").unwrap().fire_timers(u64::MAX - 1).unwrap(), 3);
        assert_eq!(fired(&instance), 321);
        // A value that was written anew has no timer any more.
        assert_eq!(results(&mut instance, "timer", 1), [0]);
    }
}

/// Each callback runs at its own time: the first after five microseconds, each starts the next one a microsecond later by the clock that it sees.
#[test]
fn time_passes_and_timers_fire() {
    let micros = Duration::from_micros;
    for mut instance in instances() {
        instance.set_host(ring3::vm::TestHost { tick_ns: 0, ..ring3::vm::TestHost::default() });
        let mut runner = instance.runner("timer").unwrap();
        runner.run(&[0; 64]).unwrap();
        let fired: Vec<usize> = (0..40).map(|_| runner.advance(Duration::from_nanos(250)).unwrap()).collect();
        assert_eq!(fired.iter().sum::<usize>(), 3);
        let at: Vec<usize> = (0..40).filter(|step| fired[*step] == 1).collect();
        assert_eq!(at, [19, 23, 27]);
        runner.run(&[0; 64]).unwrap();
        assert_eq!([micros(10), micros(10)].map(|time| runner.advance(time).unwrap()), [3, 0]);
    }
}

#[test]
fn a_lock_is_one_for_all_threads() {
    let object = Object::parse("kept.bpf.o", include_bytes!("../data/kept.bpf.o")).unwrap();
    let mut instance = Engine::new().load(&object).unwrap();
    let program = instance.program("lock").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut host = ring3::vm::TestHost::default();
                let mut env = ring3::vm::Env::new(&mut host);
                let mut skb = ring3::vm::SkbContext::new().unwrap();
                skb.load(&[0; 64], ring3::vm::DataStart::Ethernet);
                env.ctx = ring3::vm::Context::Skb(skb);
                for _ in 0..2000 {
                    ring3::vm::run(program.execute().as_ref(), &mut env).unwrap();
                }
            });
        }
    });
    assert_eq!(results(&mut instance, "lock", 1), [8001]);
}

#[test]
fn a_run_that_is_stopped_holds_no_lock() {
    let mut stopped_in_all = 0;
    for mut instance in instances() {
        let program = instance.program("lock").unwrap();
        let mut host = ring3::vm::TestHost::default();
        let mut env = ring3::vm::Env::new(&mut host);
        let mut stopped = 0;
        for budget in (1..60).map(Some).chain([None]) {
            let mut skb = ring3::vm::SkbContext::new().unwrap();
            skb.load(&[0; 64], ring3::vm::DataStart::Ethernet);
            (env.ctx, env.budget) = (ring3::vm::Context::Skb(skb), budget);
            let result = ring3::vm::run(program.execute().as_ref(), &mut env);
            stopped += usize::from(result.is_err());
            assert!(budget.is_some() || result.is_ok(), "{result:?}");
        }
        stopped_in_all += stopped;
    }
    assert!(stopped_in_all > 0);
}

/// The functions of the kernel that the programs call.
struct Names;

const ARENA_FUNCTIONS: [&str; 2] = ["bpf_arena_alloc_pages", "bpf_arena_free_pages"];

impl Symbols for Names {
    fn kfunc(&self, name: &str) -> Option<(i32, i16)> {
        let known = ARENA_FUNCTIONS.iter().position(|known| *known == name)?;
        Some((known as i32, Program::KFUNC_BY_NAME))
    }
}

#[test]
fn pages_of_an_arena_are_read_and_written_by_every_engine() {
    let Some(types) = kernel_types() else {
        println!("skipped: the kernel's types are not there");
        return;
    };
    // All registers that calls change hold something while the page is accessed.
    let text = "r1 = map[fd:0]\nr2 = 0\nr3 = 1\nr4 = -1\nr5 = 0\ncall bpf_arena_alloc_pages\nr7 = r0\nif r0 == 0 goto out\n\
                r6 = addr_space_cast(r0, 0, 1)\nr1 = 0x1122334455667788 ll\n*(u64 *)(r6 +8) = r1\n*(u8 *)(r6 +16) = 200\nr2 = 5\n\
                r3 = 7\nr4 = 9\nr5 = 11\nlock *(u64 *)(r6 +24) += r2\nr0 = 5\nr0 = atomic64_cmpxchg((u64 *)(r6 +24), r0, r3)\n\
                r0 = *(u8 *)(r6 +16)\nr8 = *(u16 *)(r6 +14)\nr0 += r8\nr0 += r1\nr0 += r2\nr0 += r3\nr0 += r4\nr0 += r5\n\
                r5 = *(u64 *)(r6 +24)\nr0 += r5\nr1 = *(u32 *)(r6 +8)\nr0 += r1\nr0 <<= 32\nr0 >>= 32\nr7 = addr_space_cast(r6, 1, 0)\n\
                r6 = *(u64 *)(r6 +4000)\nr0 += r6\nif r7 != 0 goto out\nr0 = 0\nout:\nexit";
    let program = arena_program("pages", text);
    let low = 0x5566_7788u64;
    let sum: u64 = 200 + 0x1122 + 0x1122_3344_5566_7788 + 5 + 7 + 9 + 11 + 7;
    for (backend, retval) in on_every_engine(&program, &types) {
        assert_eq!(retval, sum.wrapping_add(low) as u32, "{backend:?}");
    }
}

/// Stores to pages that are not allocated are dropped, and loads give 0 (`arch/x86/net/bpf_jit_comp.c` of Linux lets them fault, as
/// `bpftool prog run` shows).
#[test]
fn pages_of_an_arena_that_are_not_there_hold_nothing() {
    let Some(types) = kernel_types() else {
        println!("skipped: the kernel's types are not there");
        return;
    };
    let text = "r1 = map[fd:0]\nr2 = 0\nr3 = 2\nr4 = -1\nr5 = 0\ncall bpf_arena_alloc_pages\nif r0 == 0 goto out\n\
                r6 = addr_space_cast(r0, 0, 1)\nr8 = r0\nr8 += 4096\nr7 = addr_space_cast(r8, 0, 1)\nr1 = -1\n*(u64 *)(r6 +4088) = r1\n\
                *(u64 *)(r7 +0) = r1\nr1 = map[fd:0]\nr2 = r8\nr3 = 1\ncall bpf_arena_free_pages\n\
                r9 = 0\nr1 = 7\n*(u64 *)(r7 +8) = r1\n*(u64 *)(r6 +4092) = r1\n*(u64 *)(r6 +20000) = r1\n*(u64 *)(r6 -8) = r1\n\
                lock *(u64 *)(r7 +8) += r1\nr2 = *(u64 *)(r7 +8)\nr9 |= r2\nr2 = *(u64 *)(r6 +4092)\nr9 |= r2\n\
                r2 = *(u64 *)(r6 +20000)\nr9 |= r2\nr2 = *(u64 *)(r6 -8)\nr9 |= r2\n\
                r1 = map[fd:0]\nr2 = r8\nr3 = 1\nr4 = -1\nr5 = 0\ncall bpf_arena_alloc_pages\nif r0 == 0 goto out\n\
                r2 = *(u64 *)(r7 +8)\nr9 |= r2\nr2 = *(u32 *)(r6 +4092)\nr0 = r9\nr0 += r2\nexit\nout:\nr0 = 1\nexit";
    for (backend, retval) in on_every_engine(&arena_program("pages", text), &types) {
        assert_eq!(retval, u32::MAX, "{backend:?}");
    }
}

fn arena_program(name: &str, text: &str) -> Program {
    let kfuncs = ARENA_FUNCTIONS.map(|name| KfuncRef { name: name.to_owned(), weak: false }).to_vec();
    let mut def = MapDef::new("pages", MapType::Arena, 0, 0, 16);
    def.flags = MapFlags::MMAPABLE;
    // Not a multiple of 4 GiB: what the first page is then would be a null pointer.
    def.extra = 0x1000_0001_0000;
    let code = assemble_with(text, &Names).unwrap_or_else(|error| panic!("{error}"));
    let maps = vec![Arc::new(def)];
    Program { kfuncs, maps, sleepable: true, ..Program::new(name, ProgType::Syscall, code) }
}

fn on_every_engine(program: &Program, types: &ring3::btf::Btf) -> Vec<(Backend, u32)> {
    let jit = ring3::jit::Jit::is_supported().then_some(Backend::Jit);
    let run = |backend| {
        let mut instance = Engine::new().btf(types.clone()).backend(backend).load_program(program.clone());
        let ran =
            instance.run(&program.name, Input::Context(&[])).unwrap_or_else(|error| panic!("{backend:?}: {error}"));
        (backend, ran.retval)
    };
    [Backend::Checked, Backend::Interpreter].into_iter().chain(jit).map(run).collect()
}
