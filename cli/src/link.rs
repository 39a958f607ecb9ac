//! `ring3 link`: several objects in one.

use std::io::Write;

use ring3::Object;

use crate::Outcome;
use crate::args::LinkArgs;
use crate::error::CliError;
use crate::output::{Out, printable};

/// Links objects statically, and says what came out.
pub fn link(args: &LinkArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let mut inputs = Vec::new();
    for path in &args.inputs {
        inputs.push((path.display().to_string(), crate::input::bytes(path)?));
    }
    let files: Vec<(&str, &[u8])> = inputs.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let linked = ring3_object::join(&files).map_err(CliError::input)?;
    let name = args.output.display().to_string();
    // What cannot be read again is not left behind.
    let object = Object::parse(&name, &linked).map_err(CliError::input)?;
    std::fs::write(&args.output, &linked).map_err(|error| CliError::file(&args.output, error))?;
    let (programs, maps) = (object.programs().len(), object.maps().len());
    writeln!(out, "{}: {} bytes, {programs} programs, {maps} maps", printable(&name), linked.len())?;
    Ok(Outcome::Good)
}
