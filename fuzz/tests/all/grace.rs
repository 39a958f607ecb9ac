//! What a program reads where something was deleted: what was there, until the run ends, as in a kernel that waits for a grace period.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ring3::{Backend, Engine, MapDef, MapType, ProgType, Program};
use ring3_platform::MapFlags;

fn trie() -> MapDef {
    MapDef { flags: MapFlags::NO_PREALLOC, ..MapDef::new("trie", MapType::LpmTrie, 8, 8, 4) }
}

fn program(text: &str) -> Program {
    let code = ring3_isa::assemble(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    let program = ring3_fuzz::parity::program(ProgType::SchedCls, code, &[Arc::new(trie())]);
    Program { name: "grace".to_owned(), ..program }
}

/// Puts 7 under one key, keeps its address, and deletes or replaces it. Then others come and go, and the address is read.
fn keeps(replaces: bool) -> Program {
    let gone = if replaces { "r3 = r10\nr3 += -24\nr4 = 0\ncall 2" } else { "call 3" };
    program(&format!(
        "*(u32 *)(r10 -16) = 32\n*(u32 *)(r10 -12) = 1\n*(u64 *)(r10 -24) = 7
         r1 = map[fd:0]\nr2 = r10\nr2 += -16\nr3 = r10\nr3 += -24\nr4 = 0\ncall 2
         r1 = map[fd:0]\nr2 = r10\nr2 += -16\ncall 1\nif r0 == 0 goto out\nr7 = r0
         *(u64 *)(r10 -24) = 8\nr1 = map[fd:0]\nr2 = r10\nr2 += -16\n{gone}
         r8 = 500\nr9 = 0
         again:
         *(u32 *)(r10 -12) = 2\n*(u64 *)(r10 -24) = r8
         r1 = map[fd:0]\nr2 = r10\nr2 += -16\nr3 = r10\nr3 += -24\nr4 = 0\ncall 2\nr9 |= r0
         r1 = map[fd:0]\nr2 = r10\nr2 += -16\ncall 3\nr9 |= r0
         r8 += -1\nif r8 != 0 goto again
         r0 = 1000\nif r9 != 0 goto out
         r0 = *(u64 *)(r7 +0)\nexit\nout:\nr0 = 0\nexit"
    ))
}

fn backends() -> Vec<Backend> {
    let mut backends = vec![Backend::Checked, Backend::Interpreter];
    backends.extend(ring3::jit::Jit::is_supported().then_some(Backend::Jit));
    backends
}

#[test]
fn elements_of_tries_stay_as_they_were_for_the_run_that_knows_them() {
    let mut backends = backends();
    match ring3_linux::available() {
        Ok(()) => backends.push(Backend::Kernel),
        Err(why) => println!("skipped: the kernel's part: {why}"),
    }
    for (backend, replaces) in backends.into_iter().flat_map(|backend| [(backend, false), (backend, true)]) {
        let mut instance = Engine::new().backend(backend).load_program(keeps(replaces));
        let mut runner = instance.runner("grace").unwrap();
        for run in 0..3 {
            assert_eq!(runner.run(&[0; 64]).unwrap().retval, 7, "{}, run {run}, replaces: {replaces}", backend.name());
        }
    }
}

/// One thread runs a program that reads a value again and again; others replace it meanwhile.
#[test]
fn no_thread_changes_what_a_run_reads_in_a_trie() {
    let reads = program(
        "*(u32 *)(r10 -16) = 32\n*(u32 *)(r10 -12) = 1
         r1 = map[fd:0]\nr2 = r10\nr2 += -16\ncall 1\nif r0 == 0 goto out\nr7 = r0
         r6 = *(u64 *)(r7 +0)\nr8 = 300
         again:
         r1 = *(u64 *)(r7 +0)\nif r1 != r6 goto out
         r8 += -1\nif r8 != 0 goto again
         r0 = 0\nexit\nout:\nr0 = 1\nexit",
    );
    for backend in backends() {
        let mut instance = Engine::new().backend(backend).load_program(reads.clone());
        instance.program("grace").unwrap();
        let map = Arc::clone(instance.map("trie").unwrap().raw());
        let mut runner = instance.runner("grace").unwrap();
        let key = [32u32.to_ne_bytes(), 1u32.to_ne_bytes()].concat();
        map.write(&key, &[0; 8], 0).unwrap();
        let (ended, written) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..2u64 {
                let (map, key, ended, written) = (&map, &key, &ended, &written);
                scope.spawn(move || {
                    for value in 0u64.. {
                        if ended.load(Ordering::Relaxed) {
                            break;
                        }
                        map.write(key, &(value << 1 | thread).to_ne_bytes(), 0).unwrap();
                        written.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let mut wrong = 0;
            for _ in 0..20_000 {
                wrong += runner.run(&[0; 64]).unwrap().retval;
            }
            while written.load(Ordering::Relaxed) < 1000 {
                std::thread::yield_now();
            }
            ended.store(true, Ordering::Relaxed);
            assert_eq!(wrong, 0, "{}", backend.name());
        });
    }
}
