//! `campaign [--minutes N] [--executions N] [--seed N] [--targets a,b] [--out DIR] [--seeds DIR] [--case FILE...]`: fuzzes for some
//! time and says what was reached; with `--case`, runs the targets that take programs on cases instead.
//!
//! Exit status: 1 if something is wrong, 2 for wrong usage.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use ring3_fuzz::campaign::{Settings, Tally, line, run};
use ring3_fuzz::case::Case;
use ring3_fuzz::targets::{Fuzzer, Subject, Target};

/// Longest file that is a seed.
const MAX_SEED: u64 = 1 << 18;
/// Files that are seeds, at most.
const MAX_SEEDS: usize = 200;

struct Args {
    settings: Settings,
    cases: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let Some(args) = arguments(std::env::args().skip(1)) else {
        eprintln!(
            "usage: campaign [--minutes N] [--executions N] [--seed N] [--targets {}] [--out DIR] [--seeds DIR] [--case FILE]...",
            Target::ALL.map(Target::name).join(",")
        );
        return ExitCode::from(2);
    };
    if !args.cases.is_empty() {
        return cases(&args);
    }
    // What a target panics with is a finding, not a line for people.
    std::panic::set_hook(Box::new(|_| {}));
    let tallies = match run(&args.settings, &mut |text| println!("{text}")) {
        Ok(tallies) => tallies,
        Err(error) => {
            eprintln!("{}: {error}", args.settings.out.display());
            return ExitCode::from(2);
        }
    };
    let mut wrong = 0;
    for (target, tally) in &tallies {
        tell(*target, tally);
        wrong += tally.findings.len();
    }
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(target: Target, tally: &Tally) {
    println!("\n{}", line(target, &tally.reached, tally.time, tally.findings.len()));
    let reached = &tally.reached;
    if reached.compared.0 > 0 {
        println!("  compared {} moments of runs, {} registers and slots", reached.compared.0, reached.compared.1);
    }
    for (title, map) in [("rule", &reached.rules), ("path", &reached.paths), ("skipped", &reached.skipped)] {
        map.iter().for_each(|(what, times)| println!("  {title} {times:9} {what}"));
    }
    for finding in &tally.findings {
        println!("  FINDING, {} times: {}", finding.times, finding.what);
        if let Some(case) = &finding.case {
            case.text().lines().for_each(|line| println!("    {line}"));
        }
    }
}

fn cases(args: &Args) -> ExitCode {
    let mut failed = false;
    for path in &args.cases {
        let case = std::fs::read_to_string(path).map_err(|e| e.to_string());
        let case = case.and_then(|text| Case::parse(&text).map_err(|e| e.to_string()));
        for target in args.settings.targets.iter().filter(|target| target.takes_program()) {
            let result =
                case.clone().and_then(|case| Fuzzer::default().judge(*target, &Subject::new(case.program, false)));
            if let Err(what) = result {
                println!("{}: {}: {what}", path.display(), target.name());
                failed = true;
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn arguments(mut words: impl Iterator<Item = String>) -> Option<Args> {
    let mut settings = Settings {
        targets: Target::ALL.to_vec(),
        time: Duration::from_secs(60),
        executions: u64::MAX,
        seed: 1,
        seeds: Vec::new(),
        out: PathBuf::from("target/fuzz"),
    };
    let mut cases = Vec::new();
    let mut seeds = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples"));
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--minutes" => settings.time = Duration::from_secs_f64(value.parse::<f64>().ok()?.max(0.0) * 60.0),
            "--executions" => settings.executions = value.parse().ok()?,
            "--seed" => settings.seed = value.parse().ok()?,
            "--targets" => settings.targets = value.split(',').map(Target::from_name).collect::<Option<_>>()?,
            "--out" => settings.out = value.into(),
            "--seeds" => seeds = value.into(),
            "--case" => cases.push(value.into()),
            _ => return None,
        }
    }
    collect(&seeds, &mut settings.seeds);
    Some(Args { settings, cases })
}

fn collect(dir: &Path, into: &mut Vec<Vec<u8>>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if into.len() >= MAX_SEEDS {
            return;
        }
        if path.is_dir() {
            collect(&path, into);
        } else if path.metadata().is_ok_and(|meta| meta.len() <= MAX_SEED) {
            into.extend(std::fs::read(&path));
        }
    }
}
