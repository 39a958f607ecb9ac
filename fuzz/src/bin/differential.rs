//! `differential [--programs N] [--seed N] [--first N] [--minutes N] [--short yes] [--out DIR]`: generated programs that the verifier accepts, on the
//! interpreter and as machine code of this machine, until there were so many. It goes on where it was stopped.
//!
//! Exit status: 1 if something differs, 2 for wrong usage.

use std::process::ExitCode;
use std::time::Duration;

use ring3_fuzz::differential::{Settings, campaign};

fn main() -> ExitCode {
    let Some(settings) = arguments(std::env::args().skip(1)) else {
        eprintln!("usage: differential [--programs N] [--seed N] [--first N] [--minutes N] [--short yes] [--out DIR]");
        return ExitCode::from(2);
    };
    match campaign(&settings, &mut |text| println!("{text}")) {
        Ok(tally) => {
            println!("seed {} from {}: {}", settings.seed, settings.first, tally.line());
            if tally.findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{}: {error}", settings.out.display());
            ExitCode::from(2)
        }
    }
}

fn arguments(mut words: impl Iterator<Item = String>) -> Option<Settings> {
    let mut settings = Settings {
        programs: 100_000,
        seed: 1,
        first: 0,
        short: false,
        time: Duration::from_secs(u64::from(u32::MAX)),
        out: "target/differential".into(),
    };
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--programs" => settings.programs = value.parse().ok()?,
            "--seed" => settings.seed = value.parse().ok()?,
            "--first" => settings.first = value.parse().ok()?,
            "--minutes" => settings.time = Duration::try_from_secs_f64(value.parse::<f64>().ok()? * 60.0).ok()?,
            "--short" => settings.short = value == "yes",
            "--out" => settings.out = value.into(),
            _ => return None,
        }
    }
    Some(settings)
}
