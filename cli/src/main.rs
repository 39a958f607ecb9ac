//! The `ring3` command: what Linux would say of a BPF object, and what its programs do to packets.
//!
//! This crate only reads arguments and prints; the work is done by the library `ring3`. Exit codes: 0 all is well, 1 a
//! program was rejected, 2 wrong usage or bad input.
#![forbid(unsafe_code)]

mod args;
mod attach;
mod capture;
mod diff;
mod disasm;
mod dump;
mod error;
mod explain;
mod feature;
mod fields;
mod filter;
mod graph;
mod input;
mod link;
mod listing;
mod load;
mod output;
mod parity;
mod profile;
mod releases;
mod run;
mod sarif;
mod skeleton;
mod table;
mod target;
mod types;
mod value;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::error::CliError;
use crate::output::Out;

/// How a command ended that could do its work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    /// Everything was accepted.
    Good = 0,
    /// A program was rejected.
    Rejected = 1,
    /// Some input was bad; what is wrong has been said.
    BadInput = 2,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = Out::stdout();
    let result = match cli.command {
        Command::Verify(args) => verify::verify(&args, &mut out),
        Command::Explain(args) => explain::explain(&args, &mut out),
        Command::Run(args) => run::run(&args, &mut out),
        Command::Dump(args) => dump::dump(&args, &mut out),
        Command::Gen(args) => skeleton::generate(&args, &mut out),
        Command::Link(args) => link::link(&args, &mut out),
        Command::Load(args) => load::load(&args, &mut out),
        Command::Parity(args) => parity::parity(&args, &mut out),
        Command::Feature(args) => feature::feature(&args, &mut out),
        Command::Filter(args) => filter::filter(&args, &mut out),
    };
    let result = result.and_then(|outcome| out.flush().map(|()| outcome).map_err(CliError::from));
    match result {
        Ok(outcome) => ExitCode::from(outcome as u8),
        // Whoever read the output (`head`, a pager) has enough of it.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            // What was printed before belongs in front of the error.
            let _ = out.flush();
            let _ = writeln!(std::io::stderr(), "ring3: {error}");
            ExitCode::from(Outcome::BadInput as u8)
        }
    }
}
