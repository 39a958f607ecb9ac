//! What maps keep beside plain values, and objects that programs make: locks, timers, lists, trees, pointers, exceptions; on every
//! engine. Results are those of Linux 6.18 (`bpftool prog run`), but for timers, which it fires by itself.

use ring3::{Backend, Engine, Instance, Object};

/// The running kernel's, without which calls of some of its functions are not judged.
fn kernel_types() -> Option<ring3::btf::Btf> {
    let bytes = std::fs::read("/sys/kernel/btf/vmlinux").ok()?;
    ring3::btf::Btf::parse(&bytes).ok()
}

fn instances() -> Vec<Instance> {
    let object = Object::parse("kept.bpf.o", include_bytes!("data/kept.bpf.o")).unwrap();
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
        // It starts itself again until it has 300.
        assert_eq!(instance.runner("timer").unwrap().fire_timers(u64::MAX - 1).unwrap(), 3);
        assert_eq!(fired(&instance), 321);
        // A value that was written anew has no timer any more.
        assert_eq!(results(&mut instance, "timer", 1), [0]);
    }
}

#[test]
fn a_lock_is_one_for_all_threads() {
    let object = Object::parse("kept.bpf.o", include_bytes!("data/kept.bpf.o")).unwrap();
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
