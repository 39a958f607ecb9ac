//! A run of a compiled program allocates nothing: not on the way in, not in the program, not on the way out.
#![cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), unix))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use ring3_isa::assemble;
use ring3_jit::{Compiled, Jit};
use ring3_platform::{MapDef, MapType, ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};
use ring3_vm::{Context, Env, Helpers, TestHost, XdpContext, link, maps, run};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Counts what the thread asks for.
struct Counting;

// SAFETY: passes everything on to the system's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: by the caller.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn compiled(text: &str) -> Compiled {
    let mut program = Program::new("test", ProgType::Xdp, assemble(text).unwrap());
    let def = Arc::new(MapDef::new("m", MapType::Array, 4, 8, 4));
    program.maps.push(Arc::clone(&def));
    let verified = verify(Arc::new(program), Arc::new(Target::default()), LogLevel::default()).unwrap();
    let maps = [maps::create(&def, 2).unwrap()];
    Jit::compile(Arc::new(link(&verified, &maps, &Helpers::new()).unwrap())).unwrap()
}

#[test]
fn runs_do_not_allocate() {
    let least = "r0 = 2\nexit";
    let calls = "
        r6 = 0
        *(u32 *)(r10 -4) = 1
        top: r2 = r10
        r2 += -4
        r1 = map[fd:0]
        call lookup#1
        if r0 == 0 goto out
        r1 = 1
        call f
        call get_prandom_u32#7
        call get_smp_processor_id#8
        r6 += 1
        if r6 < 5 goto top
        out: r0 = r6
        exit
        f: r0 = r1
        *(u64 *)(r10 -8) = r0
        exit";
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    let mut xdp = XdpContext::new().unwrap();
    xdp.load(&[0; 64]);
    env.ctx = Context::Xdp(xdp);
    let before = COUNT.get();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(COUNT.get(), before + 1, "the counter counts");
    for (text, want) in [(least, 2), (calls, 5)] {
        let program = compiled(text);
        let before = COUNT.get();
        for _ in 0..100 {
            assert_eq!(run(&program, &mut env), Ok(want));
        }
        assert_eq!(COUNT.get(), before, "{text}");
    }
}

/// The code itself is a function like those that a C compiler makes.
#[test]
fn a_plain_function() {
    let program = compiled("r0 = 2\nexit");
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    // SAFETY: the program was verified, uses nothing of its context, and calls nothing.
    assert_eq!(unsafe { program.function()(0, &mut env) }, 2);
}
