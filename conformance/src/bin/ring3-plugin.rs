//! A plugin of the public conformance suite: see `ring3_conformance::serve`.
//!
//! Exit codes: 0 with R0 on standard output, 1 with what went wrong on standard error.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use ring3_conformance::serve::{Request, ServeError, USAGE};

fn main() -> ExitCode {
    match answer() {
        Ok(text) => {
            let written = std::io::stdout().write_all(text.as_bytes());
            ExitCode::from(u8::from(written.is_err()))
        }
        Err(error) => {
            // Nobody is left to tell.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn answer() -> Result<String, ServeError> {
    let args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    let request = Request::parse(args)?;
    if request.help {
        return Ok(USAGE.to_owned());
    }
    if request.debug {
        let _ = writeln!(std::io::stderr(), "{} bytes of memory, {}", request.memory.len(), request.engine());
    }
    Ok(format!("{:x}\n", request.serve(std::io::stdin())?))
}
