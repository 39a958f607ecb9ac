//! Runs conformance cases on engines and says what came of them.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ring3_conformance::{Case, EngineName, Error, Verdict, engine, format, judge};

/// Runs conformance cases on engines.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Engine: interp, checked, jit-x64. All that this machine has, unless given.
    #[arg(long = "engine", value_name = "ENGINE")]
    engines: Vec<String>,
    /// Files, or directories with .data files. The suite that comes with ring3, unless given.
    paths: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(failures) => ExitCode::from(u8::from(failures)),
        Err(error) => {
            eprintln!("ring3-conformance: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<bool, Error> {
    let mut names: Vec<EngineName> = args.engines.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
    if names.is_empty() {
        names = EngineName::USUAL.to_vec();
    }
    let suite = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/suite"));
    let paths = if args.paths.is_empty() { vec![suite] } else { args.paths.clone() };
    let mut files = Vec::new();
    for path in &paths {
        files.extend(format::files(path)?);
    }
    let mut failed = false;
    let mut cases = Vec::new();
    for file in &files {
        match Case::read(file) {
            Ok(case) => cases.push((file, case)),
            Err(error) => {
                println!("ERROR: {error}");
                failed = true;
            }
        }
    }
    for name in &names {
        let mut engine = match engine::open(name) {
            Ok(engine) => engine,
            Err(reason) => {
                println!("SKIP: engine {name}: {reason}");
                continue;
            }
        };
        let (mut pass, mut fail, mut skip) = (0, 0, 0);
        for (file, case) in &cases {
            match judge(case, engine.judges(), &engine.run(case)) {
                Verdict::Pass => pass += 1,
                Verdict::Skip { reason } => {
                    println!("SKIP: {} on {name}: {reason}", file.display());
                    skip += 1;
                }
                Verdict::Fail { expected, got } => {
                    println!("FAIL: {} on {name}: expected {expected}, got {got}", file.display());
                    fail += 1;
                }
            }
        }
        println!("{name}: {pass} passed, {fail} failed, {skip} skipped");
        failed |= fail > 0;
    }
    Ok(failed)
}
