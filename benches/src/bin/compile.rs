//! Prints what compilers take for an instruction, by size of the program, and what calling a compiled program costs: ring3 beside
//! `solana-sbpf` and `rbpf`, in one run and in turns. And what a program pays to ask for the time.
//!
//! `cargo run --release -p ring3-benches --bin compile [-- ROUNDS [NTH]]`: with a second number, only that one of the programs, and
//! only ring3's compilers, for a profiler.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use ring3_benches::engine::{self, BenchHost, EngineError};
use ring3_benches::sizes::{Shape, best};
use ring3_benches::workload::Workload;
use ring3_benches::{peer, sbpf};
use ring3_jit::{Arch, Jit, Options};
use ring3_platform::Program;
use ring3_vm::Linked;

/// Instructions of a program. The largest is as much as the verifier follows; of branches it follows both ways.
/// Those below 8,192 are optimised wholly.
const SIZES: [(Shape, usize); 9] = [
    (Shape::Straight, 10_000),
    (Shape::Straight, 100_000),
    (Shape::Straight, 999_900),
    (Shape::Branches, 10_000),
    (Shape::Branches, 100_000),
    (Shape::Branches, 400_000),
    (Shape::Straight, 1_000),
    (Shape::Branches, 1_000),
    (Shape::Branches, 8_000),
];

fn main() -> ExitCode {
    let rounds = std::env::args().nth(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(20);
    if let Some(nth) = std::env::args().nth(2).and_then(|nth| nth.parse().ok()) {
        return alone(rounds, nth);
    }
    match compilers(rounds).and_then(|()| entry(rounds)).and_then(|()| clock(rounds)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compile: {error}");
            ExitCode::from(2)
        }
    }
}

/// One program, and nothing but ring3: under a profiler.
fn alone(rounds: usize, nth: usize) -> ExitCode {
    let Some((shape, size)) = SIZES.get(nth) else { return ExitCode::from(2) };
    let judged = engine::judge(&workload(shape.program(*size)));
    let Some(linked) = judged.ok().and_then(|verified| engine::linked(&verified).ok()) else {
        return ExitCode::from(2);
    };
    for arch in [Arch::X64, Arch::Arm64] {
        let time = best(rounds, *size, || drop(black_box(Jit::emit(Arc::clone(&linked), arch))));
        println!("{arch:?}: {time:.1}");
    }
    if Jit::is_supported() {
        let time = best(rounds, *size, || drop(black_box(Jit::compile(Arc::clone(&linked)))));
        println!("with executable memory: {time:.1}");
    }
    ExitCode::SUCCESS
}

fn workload(program: Arc<Program>) -> Workload {
    Workload { name: program.name.clone(), program, packet: vec![0; 64], want: None, source: None }
}

fn compilers(rounds: usize) -> Result<(), EngineError> {
    println!(
        "Nanoseconds for an instruction, the best of {rounds}. `again` is in the place of the program before it, `emit` without"
    );
    println!("executable memory.\n");
    println!("| program | instructions | ring3 x86-64 | again | emit x86-64 | emit arm64 | solana-sbpf | rbpf |");
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for (shape, size) in SIZES {
        let workload = workload(shape.program(size));
        let verified = engine::judge(&workload)?;
        let linked = engine::linked(&verified)?;
        let rounds = if size > 100_000 { rounds.div_ceil(4) } else { rounds };
        let emit = |arch| best(rounds, size, || drop(black_box(Jit::emit(Arc::clone(&linked), arch))));
        let ring3 =
            Jit::is_supported().then(|| best(rounds, size, || drop(black_box(Jit::compile(Arc::clone(&linked))))));
        let again = Jit::is_supported().then(|| again(rounds, size, &linked));
        let (x64, arm64) = (emit(Arch::X64), emit(Arch::Arm64));
        let prepared = peer::prepare(&verified);
        let sbpf = prepared.as_ref().and_then(|prepared| sbpf::compile_time(prepared, rounds).ok());
        let rbpf = prepared.as_ref().and_then(|prepared| rbpf_time(prepared, rounds));
        let per = |time: Option<f64>| time.map_or("-".to_owned(), |time| format!("{time:.1}"));
        let sbpf = per(sbpf.map(|time| time / size as f64));
        let rbpf = per(rbpf.map(|time| time / size as f64));
        let (name, ring3, again) = (shape.name(), per(ring3), per(again));
        println!("| {name} | {size} | {ring3} | {again} | {x64:.1} | {arm64:.1} | {sbpf} | {rbpf} |");
    }
    Ok(())
}

/// Each time in the memory of the time before, as who compiles one program after another does.
fn again(rounds: usize, size: usize, linked: &Arc<Linked>) -> f64 {
    let mut room = None;
    best(rounds, size, || {
        let compiled = Jit::compile_into(room.take(), Arc::clone(linked), Options::default());
        room = compiled.ok().map(|compiled| black_box(compiled).into_room());
    })
}

/// `None` if it panics, as it does where its guess of the size was too small.
fn rbpf_time(prepared: &peer::Prepared, rounds: usize) -> Option<f64> {
    let once = || {
        let mut vm = peer::load(prepared).ok()?;
        let mut compiled = true;
        let time = best(rounds, 1, || compiled &= vm.jit_compile().is_ok());
        compiled.then_some(time)
    };
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let time = std::panic::catch_unwind(std::panic::AssertUnwindSafe(once)).ok().flatten();
    std::panic::set_hook(hook);
    time
}

/// What the call of a program of two instructions costs.
fn entry(rounds: usize) -> Result<(), EngineError> {
    const CALLS: usize = 1 << 16;
    let code = ring3_isa::assemble("r0 = 2\nexit").map_err(|_| EngineError::Uncounted)?;
    let workload = workload(Arc::new(Program::new("two", ring3_platform::ProgType::Xdp, code)));
    let linked: Arc<Linked> = engine::linked(&engine::judge(&workload)?)?;
    let mut host = BenchHost;
    let mut env = engine::env(&mut host, &workload.packet);
    let mut time = |name: &str, program: &dyn ring3_vm::Execute| {
        let time = best(rounds * 10, CALLS, || {
            for _ in 0..CALLS {
                black_box(engine::once(black_box(program), &mut env));
            }
        });
        println!("| {name} | {time:.2} |");
    };
    println!("\nNanoseconds for a run of `r0 = 2; exit`.\n\n| how | ns |\n|---|--:|");
    time("interpreter, ring3_vm::run", engine::interp(&linked).as_ref());
    if Jit::is_supported() {
        let compiled = Jit::compile(linked)?;
        time("machine code, ring3_vm::run", &compiled);
        let function = compiled.function();
        let time = best(rounds * 10, CALLS, || {
            for _ in 0..CALLS {
                // SAFETY: the program was verified, uses nothing of its context, and calls nothing.
                black_box(unsafe { black_box(function)(0, &mut env) });
            }
        });
        println!("| machine code, plain function | {time:.2} |");
    }
    Ok(())
}

/// What asking for the time costs a program, beside what the system's clock takes.
fn clock(rounds: usize) -> Result<(), EngineError> {
    const CALLS: usize = 1000;
    let text = "r6 = 1000\nagain:\ncall 5\nr6 -= 1\nif r6 != 0 goto again\nr0 = 0\nexit";
    let code = ring3_isa::assemble(text).map_err(|_| EngineError::Uncounted)?;
    let workload = workload(Arc::new(Program::new("time", ring3_platform::ProgType::Xdp, code)));
    let linked: Arc<Linked> = engine::linked(&engine::judge(&workload)?)?;
    let mut host = BenchHost;
    let mut env = engine::env(&mut host, &workload.packet);
    println!("\nNanoseconds for `bpf_ktime_get_ns` of the default host.\n\n| how | ns |\n|---|--:|");
    let time = |name: &str, once: &mut dyn FnMut()| println!("| {name} | {:.1} |", best(rounds * 50, CALLS, once));
    time("the system's clock", &mut || {
        for _ in 0..CALLS {
            black_box(std::time::SystemTime::now());
        }
    });
    let interp = engine::interp(&linked);
    time("interpreter", &mut || {
        black_box(engine::once(interp.as_ref(), &mut env));
    });
    if Jit::is_supported() {
        let compiled = Jit::compile(linked)?;
        time("machine code", &mut || {
            black_box(engine::once(&compiled, &mut env));
        });
    }
    Ok(())
}
