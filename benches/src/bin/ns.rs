//! Prints nanoseconds for an executed instruction: of each program on each engine, measured in turns, in one table.
//!
//! `cargo run --release -p ring3-benches --bin ns [-- PROGRAM...]`

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use ring3_benches::measure::{Cost, Effort, Engine, Subject, geometric_mean, measure};
use ring3_benches::workload;
use serde_json::{Value, json};

/// Nanoseconds for an executed instruction, by program and engine.
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
    /// Only these engines.
    #[arg(long, value_delimiter = ',', value_parser = engine)]
    engines: Vec<Engine>,
    /// The best round of each instead of the median: for a machine that others use, too.
    #[arg(long)]
    best: bool,
    /// Measure nothing, but run each so often: under a profiler, which is told to look at `ring3_vm::exec::run` alone.
    #[arg(long)]
    runs: Option<u32>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    /// As the README has it: nanoseconds of ring3, and how many times as long the peers take.
    Markdown,
    Json,
}

fn engine(name: &str) -> Result<Engine, String> {
    let names: Vec<&str> = Engine::ALL.iter().map(|engine| engine.name()).collect();
    let found = Engine::ALL.into_iter().find(|engine| engine.name() == name);
    found.ok_or_else(|| format!("one of {}", names.join(", ")))
}

/// A program with what it costs on each engine.
struct Row {
    name: String,
    executed: u64,
    costs: Vec<Option<Cost>>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match rows(&args) {
        Ok(rows) if args.runs.is_some() && rows.is_empty() => ExitCode::SUCCESS,
        Ok(rows) => {
            match args.output {
                Output::Text => table(&args, &rows),
                Output::Markdown => markdown(&args, &rows),
                Output::Json => println!("{:#}", as_json(&args, &rows)),
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ns: {error}");
            ExitCode::from(2)
        }
    }
}

impl Args {
    fn engines(&self) -> &[Engine] {
        if self.engines.is_empty() { &Engine::INTERPRETERS } else { &self.engines }
    }

    fn number(&self, cost: Cost) -> f64 {
        if self.best { cost.best } else { cost.median }
    }
}

fn rows(args: &Args) -> Result<Vec<Row>, String> {
    let mut workloads = workload::compiled().map_err(|error| error.to_string())?;
    if let Some(unknown) = args.programs.iter().find(|name| !workloads.iter().any(|w| w.name == **name)) {
        let names: Vec<&str> = workloads.iter().map(|w| w.name.as_str()).collect();
        return Err(format!("no program {unknown}; there are {}", names.join(", ")));
    }
    workloads.retain(|workload| args.programs.is_empty() || args.programs.contains(&workload.name));
    let effort = Effort { rounds: args.rounds.max(1), turn: Duration::from_micros(args.turn) };
    let mut subjects = Vec::new();
    for workload in workloads {
        let name = workload.name.clone();
        let subject = Subject::new(workload).map_err(|error| format!("{name}: {error}"))?;
        for engine in args.engines() {
            let Some(mut runner) = subject.runner(*engine) else { continue };
            let ret = runner.run(1);
            for _ in 1..args.runs.unwrap_or(1) {
                runner.run(1);
            }
            if ret != Some(subject.want()) {
                return Err(format!("{name} on {} gives {ret:?} instead of {:#x}", engine.name(), subject.want()));
            }
        }
        subjects.push(subject);
    }
    if args.runs.is_some() {
        return Ok(Vec::new());
    }
    let costs = measure(&subjects, args.engines(), effort);
    let row = |(subject, costs): (&Subject, Vec<Option<Cost>>)| Row {
        name: subject.name().to_owned(),
        executed: subject.counted().executed,
        costs,
    };
    Ok(subjects.iter().zip(costs).map(row).collect())
}

/// How many times as long an engine takes as ring3's interpreter; of the budgeted one that is what a budget costs.
fn ratios<'a>(args: &'a Args, rows: &'a [Row], column: usize) -> impl Iterator<Item = f64> + 'a {
    let base = args.engines().iter().position(|engine| *engine == Engine::Interp);
    rows.iter().filter_map(move |row| ratio(args, row, base?, column))
}

fn ratio(args: &Args, row: &Row, base: usize, column: usize) -> Option<f64> {
    let cost = |column: usize| row.costs.get(column).copied().flatten().map(|cost| args.number(cost));
    Some(cost(column)? / cost(base)?)
}

fn table(args: &Args, rows: &[Row]) {
    let base = args.engines().iter().position(|engine| *engine == Engine::Interp);
    print!("{:<13}{:>7}", "PROGRAM", "INSNS");
    for engine in args.engines() {
        print!("{:>12}{:>7}", engine.name(), "x");
    }
    println!();
    let print_row = |name: &str, executed: &str, cells: &[(Option<f64>, Option<f64>)]| {
        print!("{name:<13}{executed:>7}");
        for (cost, ratio) in cells {
            let text =
                |number: &Option<f64>, digits| number.map_or("-".to_owned(), |number| format!("{number:.digits$}"));
            print!("{:>12}{:>7}", text(cost, 3), text(ratio, 2));
        }
        println!();
    };
    for row in rows {
        let cell = |(column, cost): (usize, &Option<Cost>)| {
            (cost.map(|cost| args.number(cost)), base.and_then(|base| ratio(args, row, base, column)))
        };
        let cells: Vec<_> = row.costs.iter().enumerate().map(cell).collect();
        print_row(&row.name, &row.executed.to_string(), &cells);
    }
    let means: Vec<_> = (0..args.engines().len())
        .map(|column| {
            let costs = rows.iter().filter_map(|row| row.costs.get(column).copied().flatten());
            (geometric_mean(costs.map(|cost| args.number(cost))), geometric_mean(ratios(args, rows, column)))
        })
        .collect();
    print_row("geomean", "", &means);
    let column = |of: fn(f64, f64) -> f64| -> Vec<_> {
        (0..args.engines().len()).map(|column| (None, ratios(args, rows, column).reduce(of))).collect()
    };
    print_row("least x", "", &column(f64::min));
    print_row("most x", "", &column(f64::max));
    let what = if args.best { "best" } else { "median" };
    println!("\nns for an executed instruction ({what} of {} turns); x: how many times interp", args.rounds.max(1));
    for (engine, name) in args.engines().iter().zip(0..).flat_map(|(engine, column)| {
        rows.iter()
            .filter(move |row| row.costs.get(column).is_some_and(Option::is_none))
            .map(move |row| (engine, &row.name))
    }) {
        println!("{name} was not run on {}", engine.name());
    }
}

fn markdown(args: &Args, rows: &[Row]) {
    let base = args.engines().iter().position(|engine| *engine == Engine::Interp);
    let line = |cells: Vec<String>| println!("| {} |", cells.join(" | "));
    let engines = || args.engines().iter().copied().enumerate();
    let titles =
        engines().map(|(_, engine)| engine.name().to_owned() + if engine.is_peer() { ", times" } else { ", ns" });
    line(["program".to_owned(), "instructions".to_owned()].into_iter().chain(titles).collect());
    println!("|{}", "---|".repeat(args.engines().len() + 2));
    for row in rows {
        let cell = |(column, engine): (usize, Engine)| match (row.costs.get(column).copied().flatten(), base) {
            (Some(_), Some(base)) if engine.is_peer() => {
                ratio(args, row, base, column).map_or(String::new(), |ratio| format!("{ratio:.1}"))
            }
            (Some(cost), _) => format!("{:.2}", args.number(cost)),
            (None, _) => String::new(),
        };
        let cells = engines().map(cell);
        line([format!("`{}`", row.name), row.executed.to_string()].into_iter().chain(cells).collect());
    }
    let mean = |(column, engine): (usize, Engine)| {
        let costs = rows.iter().filter_map(|row| row.costs.get(column).copied().flatten());
        let mean = if engine.is_peer() {
            geometric_mean(ratios(args, rows, column)).map(|ratio| format!("{ratio:.1}"))
        } else {
            geometric_mean(costs.map(|cost| args.number(cost))).map(|cost| format!("{cost:.2}"))
        };
        format!("**{}**", mean.unwrap_or_default())
    };
    line(["**geometric mean**".to_owned(), String::new()].into_iter().chain(engines().map(mean)).collect());
}

fn as_json(args: &Args, rows: &[Row]) -> Value {
    let cost = |(engine, cost): (&Engine, &Option<Cost>)| {
        let value = cost.map(|cost| json!({ "median": cost.median, "best": cost.best, "executed": cost.executed }));
        (engine.name().to_owned(), value.unwrap_or(Value::Null))
    };
    let programs: Vec<Value> = rows
        .iter()
        .map(|row| {
            let engines: serde_json::Map<String, Value> = args.engines().iter().zip(&row.costs).map(cost).collect();
            json!({ "name": row.name, "executed": row.executed, "ns": engines })
        })
        .collect();
    let means: serde_json::Map<String, Value> = (args.engines().iter().enumerate())
        .map(|(column, engine)| {
            let costs = rows.iter().filter_map(|row| row.costs.get(column).copied().flatten());
            let ns = geometric_mean(costs.map(|cost| args.number(cost)));
            let ratio = geometric_mean(ratios(args, rows, column));
            (engine.name().to_owned(), json!({ "ns": ns, "of_interp": ratio }))
        })
        .collect();
    json!({ "programs": programs, "geometric_mean": means })
}
