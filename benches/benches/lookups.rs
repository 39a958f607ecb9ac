//! What a lookup in a map costs, side by side with the kernel: loops over maps of 1,000 entries, keys of 8 bytes in the table. All take
//! turns in one run; nanoseconds of one round of the loop, which is little more than the lookup.
//!
//! `cargo bench -p ring3-benches --bench lookups [-- --rounds N]`
//!
//! Prints a line `lookup PROGRAM ENGINE NANOSECONDS` for each. The kernel's are there for whoever may load programs.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use ring3_benches::measure::{Effort, Engine, Subject, measure};
use ring3_benches::workload;

/// Lookups in maps.
#[derive(Parser)]
struct Args {
    /// How often each engine takes its turn.
    #[arg(long, default_value_t = 25)]
    rounds: usize,
    /// How long a turn is, in microseconds.
    #[arg(long, default_value_t = 2000)]
    turn: u64,
    /// What cargo passes to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

const ENGINES: [Engine; 3] = [Engine::Jit, Engine::Interp, Engine::Kernel];

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lookups: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let mut subjects = Vec::new();
    for workload in workload::lookup_loops().map_err(|error| error.to_string())? {
        let name = workload.name.clone();
        let subject = Subject::new(workload).map_err(|error| format!("{name}: {error}"))?;
        for engine in ENGINES {
            let Some(mut runner) = subject.runner(engine) else { continue };
            let ret = runner.run(1);
            if ret != Some(subject.want()) {
                return Err(format!("{name} on {} gives {ret:?} instead of {:#x}", engine.name(), subject.want()));
            }
        }
        subjects.push(subject);
    }
    let effort = Effort { rounds: args.rounds.max(1), turn: Duration::from_micros(args.turn) };
    for (subject, row) in subjects.iter().zip(measure(&subjects, &ENGINES, effort)) {
        for (engine, cost) in ENGINES.iter().zip(row) {
            if let Some(cost) = cost {
                let round = cost.median * cost.executed as f64 / f64::from(workload::LOOKED_UP);
                println!("lookup {} {} {round:.2}", subject.name(), engine.name());
            }
        }
    }
    Ok(())
}
