//! ring3's two engines alone: what a run takes on each, by program and by how long it runs, what compiling takes, and from how many
//! runs on it pays.
//!
//! `cargo bench -p ring3-benches --bench interp_vs_jit [-- --rounds N]`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use ring3_benches::engine::{self, BenchHost};
use ring3_benches::workload::{self, Workload};
use ring3_vm::{Execute, Linked};

/// ring3's interpreter and its machine code.
#[derive(Parser)]
struct Args {
    /// How often each engine takes its turn.
    #[arg(long, default_value_t = 25)]
    rounds: usize,
    /// How long a turn is, in microseconds.
    #[arg(long, default_value_t = 1000)]
    turn: u64,
    /// What cargo passes to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Rounds of the loop of `workload::lengths`.
const LENGTHS: [u32; 6] = [0, 1, 10, 100, 1_000, 10_000];

/// Nanoseconds.
struct Times {
    interp: f64,
    jit: f64,
    compile: f64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("interp_vs_jit: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    println!(
        "nanoseconds of a run, and of compiling; from how many runs on it pays (medians of {} turns)",
        args.rounds
    );
    println!("{:<22}{:>8}{:>12}{:>12}{:>8}{:>12}{:>8}", "PROGRAM", "INSNS", "interp", "jit", "x", "compile", "runs");
    let mut programs = workload::compiled().map_err(|error| error.to_string())?;
    programs.extend(workload::all().map_err(|error| error.to_string())?);
    programs.extend(
        LENGTHS
            .map(|rounds| workload::loop_of(rounds).map_err(|error| error.to_string()))
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?,
    );
    for workload in programs {
        let times = times(&workload, args).map_err(|error| format!("{}: {error}", workload.name))?;
        let Times { interp, jit, compile } = times;
        let saved = interp - jit;
        let runs = if saved > 0.0 { format!("{:.0}", (compile / saved).ceil()) } else { "never".to_owned() };
        let insns = (0..workload.program.code.len()).filter(|slot| !workload.program.code.is_tail(*slot)).count();
        println!(
            "{:<22}{insns:>8}{interp:>12.1}{jit:>12.1}{:>8.1}{compile:>12.0}{runs:>8}",
            workload.name,
            interp / jit
        );
    }
    Ok(())
}

fn times(workload: &Workload, args: &Args) -> Result<Times, engine::EngineError> {
    let linked = engine::linked(&engine::judge(workload)?)?;
    let compiled = engine::jit(&linked)?;
    let interp = engine::interp(&linked);
    let mut host = BenchHost;
    let mut env = engine::env(&mut host, &workload.packet);
    let mut run = |program: &dyn Execute| {
        std::hint::black_box(engine::once(program, &mut env));
    };
    let mut samples = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..args.rounds.max(1) {
        samples[0].push(turn(args.turn, || run(interp.as_ref())));
        samples[1].push(turn(args.turn, || run(compiled.as_ref())));
        samples[2].push(turn(args.turn, || drop(std::hint::black_box(compile(&linked)))));
    }
    let [interp, jit, compile] = samples.map(|mut samples| {
        samples.sort_by(f64::total_cmp);
        samples[samples.len() / 2]
    });
    Ok(Times { interp, jit, compile })
}

fn compile(linked: &Arc<Linked>) -> Option<Box<dyn Execute>> {
    engine::jit(linked).ok()
}

/// Nanoseconds of one call, of as many as fit into a turn.
fn turn(micros: u64, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    let (mut calls, mut next) = (0u32, 1u32);
    loop {
        // The clock is read after 1, 2, 4... calls, as it takes as long as a short run.
        for _ in 0..next {
            call();
        }
        calls += next;
        next = next.saturating_mul(2).min(1 << 16);
        let took = start.elapsed();
        if took.as_micros() >= u128::from(micros) {
            return took.as_nanos() as f64 / f64::from(calls);
        }
    }
}
