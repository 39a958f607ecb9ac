//! Machine code of the same programs, side by side: ring3's, that of `clang -O2` from the same C, the running kernel's, those of `rbpf`
//! and `solana-sbpf`, and ring3's interpreter. All take turns in one run.
//!
//! `cargo bench -p ring3-benches --bench side_by_side [-- PROGRAM... --rounds N]`
//!
//! Microseconds of one run, how many times as long as `native`, and a line `geomean ENGINE RATIO` for each engine: the geometric
//! mean of these. `--write` puts the table into the README and draws `benches/side_by_side.svg`. What is not there (the kernel for whoever may not load programs, `native` without clang) is said and left out.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use ring3_benches::measure::{Cost, Effort, Engine, Subject, geometric_mean, measure};
use ring3_benches::report::{self, Row, Series};
use ring3_benches::workload;

/// Machine code of the same programs, side by side.
#[derive(Parser)]
struct Args {
    /// Programs; all if there is none.
    programs: Vec<String>,
    /// How often each engine takes its turn.
    #[arg(long, default_value_t = 25)]
    rounds: usize,
    /// How long a turn is, in microseconds.
    #[arg(long, default_value_t = 2000)]
    turn: u64,
    /// Put the table into the README and draw the chart. Takes all programs.
    #[arg(long, conflicts_with = "programs")]
    write: bool,
    /// What cargo passes to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

const ENGINES: [Engine; 7] = Engine::COMPILERS;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("side_by_side: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let mut workloads = workload::compiled().map_err(|error| error.to_string())?;
    if let Some(unknown) = args.programs.iter().find(|name| !workloads.iter().any(|w| w.name == **name)) {
        return Err(format!("no program {unknown}"));
    }
    workloads.retain(|workload| args.programs.is_empty() || args.programs.contains(&workload.name));
    let mut subjects = Vec::new();
    for workload in workloads {
        let name = workload.name.clone();
        let subject = Subject::new(workload).map_err(|error| format!("{name}: {error}"))?;
        for engine in ENGINES {
            let Some(mut runner) = subject.runner(engine) else {
                println!("{name} is not run on {}", engine.name());
                continue;
            };
            // The kernel's random numbers are its own.
            let ret = runner.run(1);
            if ret != Some(subject.want()) && (engine != Engine::Kernel || name != "helper_calls") {
                return Err(format!("{name} on {} gives {ret:?} instead of {:#x}", engine.name(), subject.want()));
            }
        }
        subjects.push(subject);
    }
    let effort = Effort { rounds: args.rounds.max(1), turn: Duration::from_micros(args.turn) };
    let costs = measure(&subjects, &ENGINES, effort);
    table(&subjects, &costs);
    if args.write { write(&subjects, &costs) } else { Ok(()) }
}

/// What the README shows, by the places of the engines in `ENGINES`.
const SHOWN: [Series; 6] = [
    Series { title: "ring3 JIT", colour: "#0969da", column: 1 },
    Series { title: "Linux 6.18 JIT", colour: "#cf222e", column: 3 },
    Series { title: "rbpf JIT", colour: "#bf8700", column: 4 },
    Series { title: "solana-sbpf JIT, unchecked", colour: "#8250df", column: 6 },
    Series { title: "solana-sbpf JIT", colour: "#d4a7f5", column: 5 },
    Series { title: "ring3 interpreter", colour: "#8c959f", column: 2 },
];

fn write(subjects: &[Subject], costs: &[Vec<Option<Cost>>]) -> Result<(), String> {
    let times =
        |row: &[Option<Cost>]| (0..ENGINES.len()).map(|column| ratio(row, column)).collect::<Vec<Option<f64>>>();
    let mut rows: Vec<Row> = (subjects.iter().zip(costs))
        .map(|(subject, row)| {
            let micros = row.first().copied().flatten().map(|cost| of_run(cost) / 1e3);
            Row { name: subject.name().to_owned(), micros, times: times(row) }
        })
        .collect();
    let mean = |column| geometric_mean(costs.iter().filter_map(|row| ratio(row, column)));
    rows.push(Row { name: "geomean".to_owned(), micros: None, times: (0..ENGINES.len()).map(mean).collect() });
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    report::write_table(&folder.join("../README.md"), "clang -O2, native", &SHOWN, &rows)?;
    let chart =
        report::chart("Times as long as the same C compiled natively by clang -O2 (less is better)", &SHOWN, &rows);
    let path = folder.join("side_by_side.svg");
    std::fs::write(&path, chart).map_err(|error| format!("{}: {error}", path.display()))
}

/// How many times as long as the first engine.
fn ratio(row: &[Option<Cost>], column: usize) -> Option<f64> {
    Some(of_run(row.get(column).copied()??) / of_run(row.first().copied()??))
}

/// Nanoseconds of one run.
fn of_run(cost: Cost) -> f64 {
    cost.median * cost.executed as f64
}

fn table(subjects: &[Subject], costs: &[Vec<Option<Cost>>]) {
    let line = |name: &str, cells: Vec<String>| {
        println!("{name:<13}{}", cells.iter().map(|cell| format!("{cell:>15}")).collect::<String>());
    };
    println!("microseconds of a run, and how many times as long as {} (medians)", ENGINES[0].name());
    line("PROGRAM", ENGINES.iter().map(|engine| engine.name().to_owned()).collect());
    for (subject, row) in subjects.iter().zip(costs) {
        let cell = |column: usize| {
            let cost = row[column].map_or("-".to_owned(), |cost| format!("{:.2}", of_run(cost) / 1e3));
            format!("{cost} {:>6}", ratio(row, column).map_or(String::new(), |ratio| format!("{ratio:.2}x")))
        };
        line(subject.name(), (0..ENGINES.len()).map(cell).collect());
    }
    for (column, engine) in ENGINES.iter().enumerate() {
        if let Some(mean) = geometric_mean(costs.iter().filter_map(|row| ratio(row, column))) {
            println!("geomean {} {mean:.3}", engine.name());
        }
    }
}
