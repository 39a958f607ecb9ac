//! `ring3 load`: an object into the running kernel.

use std::io::Write;
use std::path::PathBuf;

use ring3::{Object, Options};
use ring3_linux::{LoadOptions, LoadedObject, LoadedProgram, LogLevel, ObjectOptions, ProgInfo};
use serde_json::json;

use crate::Outcome;
use crate::args::{LoadArgs, RunFormat};
use crate::error::CliError;
use crate::output::{Ink, Out, printable};
use crate::table::{Column, line};

/// Loads the object, pins it if that is wanted, and prints a row for each program.
pub fn load(args: &LoadArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let object = open(args)?;
    ring3_linux::available().map_err(|why| CliError::input(ring3_linux::Error::from(why)))?;
    let names: Vec<&str> = args.program.iter().map(String::as_str).collect();
    let options = ObjectOptions {
        programs: &names,
        link: Options { kind: args.kind, core_by_kernel: args.core_by_kernel, ..Options::default() },
        load: LoadOptions { log: LogLevel(args.log_level.into()), ..LoadOptions::default() },
        ..ObjectOptions::default()
    };
    let loaded = match ring3_linux::load_object(&object, &options) {
        Ok(loaded) => loaded,
        Err(error) => return failed(&object, error),
    };
    let links = crate::attach::attach(args, &loaded)?;
    let pins = args.pin.as_deref().map(|folder| loaded.pin(folder).map_err(CliError::input)).transpose()?;
    let pins = pins.unwrap_or_default();
    print(args, &object, &loaded, &pins, out)?;
    crate::attach::hold(args, &links, out)?;
    Ok(Outcome::Good)
}

/// The object with its globals set.
fn open(args: &LoadArgs) -> Result<Object, CliError> {
    let mut object = crate::input::object(&args.object)?;
    for setting in &args.set {
        let (path, text) = ring3::text::split_pair(setting).map_err(|e| CliError::Input(format!("--set {e}")))?;
        ring3::set_global(&mut object, path.trim(), text)?;
    }
    Ok(object)
}

/// The kernel's log, and which program it is about; any other error is one of input.
pub fn failed(object: &Object, error: ring3_linux::Error) -> Result<Outcome, CliError> {
    let file = object.file();
    let ring3_linux::Error::Program { program, errno, log } = error else {
        let text = error.to_string();
        // Errors of the object name it themselves.
        return Err(CliError::Input(if text.starts_with(file) { text } else { format!("{file}: {text}") }));
    };
    let mut stderr = std::io::stderr().lock();
    for text in log.text.lines() {
        writeln!(stderr, "{}", printable(text))?;
    }
    let part = if log.is_whole { "" } else { "; the log is not whole" };
    writeln!(stderr, "ring3: {file}: program '{program}' is rejected by the kernel: {errno}{part}")?;
    Ok(Outcome::Rejected)
}

fn print(
    args: &LoadArgs,
    object: &Object,
    loaded: &LoadedObject,
    pins: &[PathBuf],
    out: &mut Out,
) -> Result<(), CliError> {
    let infos = loaded.programs.iter().map(|program| program.prog.info());
    let infos = infos.collect::<Result<Vec<_>, _>>().map_err(CliError::input)?;
    match args.output {
        RunFormat::Json => {
            // Pins of programs come first, in their order.
            for (at, (program, info)) in loaded.programs.iter().zip(&infos).enumerate() {
                writeln!(out, "{}", json(object, program, info, pins.get(at)))?;
            }
        }
        RunFormat::Table => {
            let columns = [
                Column::left("PROGRAM", loaded.programs.iter().map(|p| p.program.name.as_str()), 32),
                Column::left("TYPE", loaded.programs.iter().map(|p| p.program.kind.name()), 16),
                Column::right("ID", 6),
                Column { width: 16, ..Column::left("TAG", std::iter::empty(), 0) },
                Column::right("INSNS", 7),
                Column::right("XLATED", 7),
                Column::right("JITED", 7),
                Column::left("MAPS", std::iter::empty(), 0),
            ];
            let heading = line(&columns, &columns.map(|column| column.name), |_, text| text.to_owned());
            writeln!(out, "{}", out.ink(Ink::Strong, &heading))?;
            for (program, info) in loaded.programs.iter().zip(&infos) {
                let maps: Vec<&str> = program.program.maps.iter().map(|def| def.name.as_str()).collect();
                let texts = [
                    &printable(&program.program.name)[..],
                    program.program.kind.name(),
                    &info.id.to_string(),
                    &info.tag.to_string(),
                    &info.verified_insns.to_string(),
                    &info.xlated_len.to_string(),
                    &info.jited_len.to_string(),
                    &printable(&maps.join(", ")),
                ];
                writeln!(out, "{}", line(&columns, &texts, |_, text| text.to_owned()))?;
                for text in program.log.text.lines() {
                    writeln!(out, "    {}", out.ink(Ink::Faint, &format!("| {}", printable(text))))?;
                }
            }
            for path in pins {
                writeln!(out, "pinned {}", printable(&path.display().to_string()))?;
            }
        }
    }
    Ok(())
}

fn json(object: &Object, program: &LoadedProgram, info: &ProgInfo, pin: Option<&PathBuf>) -> serde_json::Value {
    let maps: Vec<&str> = program.program.maps.iter().map(|def| def.name.as_str()).collect();
    let mut row = json!({
        "file": object.file(),
        "program": program.program.name,
        "section": program.program.section,
        "type": program.program.kind.name(),
        "id": info.id.0,
        "tag": info.tag.to_string(),
        "verified_insns": info.verified_insns,
        "xlated_bytes": info.xlated_len,
        "jited_bytes": info.jited_len,
        "maps": maps,
    });
    if let Some(path) = pin {
        row["pinned"] = path.display().to_string().into();
    }
    if !program.log.text.is_empty() {
        row["log"] = program.log.text.as_str().into();
    }
    row
}
