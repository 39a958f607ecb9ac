//! `--target`: the program that freplace programs extend.

use std::path::Path;

use ring3::{Engine, Options, Program};

use crate::error::CliError;
use crate::input;

/// The engine, with what `OBJ[:PROGRAM[:FUNCTION]]` names. Without a program, all of the object's that can be linked.
pub fn with_target(engine: Engine, named: Option<&str>) -> Result<Engine, CliError> {
    let Some(named) = named else { return Ok(engine) };
    let wrong = |why: String| CliError::Input(format!("--target {named}: {why}"));
    // A colon may be part of a file's name.
    let (file, rest) =
        if Path::new(named).exists() { (named, "") } else { named.split_once(':').unwrap_or((named, "")) };
    let (program, function) = rest.split_once(':').unwrap_or((rest, ""));
    let object = input::object(Path::new(file)).map_err(|error| wrong(input::told(&error)))?;
    let wanted = |name: &str| program.is_empty() || name == program;
    let options = engine.options(&Options::default());
    let entries = object.programs().iter().filter(|entry| wanted(&entry.name));
    let (mut programs, mut failure) = (Vec::<Program>::new(), None);
    for linked in entries.map(|entry| object.program(&entry.name, &options)) {
        match linked {
            Ok(program) => programs.push(program),
            Err(error) => failure = Some(error),
        }
    }
    match (programs.is_empty(), failure) {
        (false, _) => Ok(engine.extends(programs, Some(function).filter(|name| !name.is_empty()))),
        (true, Some(error)) => Err(wrong(error.to_string())),
        (true, None) => Err(wrong(input::no_such_program(&object, program))),
    }
}
