//! Verification, compilation and runs of each workload, side by side with `rbpf` where it runs the same program.
//!
//! What is comparable and what not is said in the documentation of the library `ring3_benches`. One run measures everything:
//! the engines of a workload follow one another, so that a change of the machine's speed meets all of them.
//!
//! - `verify/NAME`: `ring3_verifier::verify`, without a log.
//! - `jit_compile/NAME/ring3`: `Jit::compile`, with its executable memory. `.../rbpf`: `jit_compile`.
//! - `run/NAME/interp`, `run/NAME/jit`: one run with what every run does, through `ring3_vm::run`. `.../rbpf_interp`,
//!   `.../rbpf_jit`: one run with its context made ready.
//! - `insn/NAME/ENGINE`: one run of each program of `bpf/` on each engine of `measure::Engine`, with the executed instructions as
//!   its elements. `cargo run --release -p ring3-benches --bin ns` says what that makes for an instruction, in turns and in less time.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ring3_benches::engine::{self, BenchHost};
use ring3_benches::measure::{Engine, Subject};
use ring3_benches::workload::Workload;
use ring3_benches::{peer, workload};
use ring3_jit::Jit;
use ring3_verifier::VerifiedProgram;

fn judged() -> Vec<(Workload, VerifiedProgram)> {
    let workloads = workload::all().expect("the examples are there");
    let judge = |workload: Workload| match engine::judge(&workload) {
        Ok(verified) => Some((workload, verified)),
        Err(refused) => {
            eprintln!("{} is left out: {refused}", workload.name);
            None
        }
    };
    workloads.into_iter().filter_map(judge).collect()
}

fn verification(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verify");
    for (workload, _) in judged() {
        group.bench_function(&workload.name, |bencher| bencher.iter(|| engine::judge(black_box(&workload))));
    }
    group.finish();
}

fn compilation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("jit_compile");
    for (workload, verified) in judged() {
        let linked = engine::linked(&verified).expect("a verified program links");
        group.bench_function(BenchmarkId::new(&workload.name, "ring3"), |bencher| {
            bencher.iter(|| Jit::compile(Arc::clone(black_box(&linked))));
        });
        let Some(prepared) = peer::prepare(&verified) else { continue };
        let mut vm = peer::load(&prepared).expect("rbpf takes the program");
        group.bench_function(BenchmarkId::new(&workload.name, "rbpf"), |bencher| bencher.iter(|| vm.jit_compile()));
    }
    group.finish();
}

fn runs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("run");
    for (workload, verified) in judged() {
        let linked = engine::linked(&verified).expect("a verified program links");
        let mut host = BenchHost;
        let mut env = engine::env(&mut host, &workload.packet);
        let interp = engine::interp(&linked);
        let id = |engine| BenchmarkId::new(&workload.name, engine);
        group.bench_function(id("interp"), |bencher| bencher.iter(|| engine::once(interp.as_ref(), &mut env)));
        let prepared = peer::prepare(&verified);
        let mut vm = prepared.as_ref().and_then(|prepared| peer::load(prepared).ok());
        let mut input = peer::Input::new(&workload.packet);
        if let Some(vm) = &vm {
            group.bench_function(id("rbpf_interp"), |bencher| bencher.iter(|| peer::interpret(vm, &mut input)));
        }
        match engine::jit(&linked) {
            Ok(jit) => {
                group.bench_function(id("jit"), |bencher| bencher.iter(|| engine::once(jit.as_ref(), &mut env)));
            }
            Err(missing) => eprintln!("{}: {missing}", workload.name),
        }
        if let Some(vm) = vm.as_mut().filter(|_| Jit::is_supported()) {
            vm.jit_compile().expect("rbpf compiles the program");
            // SAFETY: the verifier accepted the program.
            group.bench_function(id("rbpf_jit"), |bencher| bencher.iter(|| unsafe { peer::execute(vm, &mut input) }));
        }
    }
    group.finish();
}

fn instructions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("insn");
    for workload in workload::compiled().expect("the objects are there") {
        let subject = Subject::new(workload).expect("a program that the tests have run");
        for engine in Engine::INTERPRETERS {
            let Some(mut runner) = subject.runner(engine) else {
                eprintln!("{} is not run on {}", subject.name(), engine.name());
                continue;
            };
            group.throughput(Throughput::Elements(runner.executed));
            group.bench_function(BenchmarkId::new(subject.name(), engine.name()), |bencher| {
                bencher.iter(|| runner.run(1))
            });
        }
    }
    group.finish();
}

/// Shorter than criterion's own: dozens of measurements are to end within minutes.
fn config() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
}

criterion_group! { name = engines; config = config(); targets = verification, compilation, runs, instructions }
criterion_main!(engines);
