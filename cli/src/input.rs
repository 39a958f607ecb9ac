//! Objects that are named on the command line: `-` is standard input. What is wrong with one is said with what to do next.

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use ring3::object::{KernelValues, MAX_FILE, NOT_CONFIGURED, ObjectError};
use ring3::{Error, KernelVersion, Object};

use crate::args::KconfigArgs;

/// Stands for standard input.
const STDIN: &str = "-";

/// The section of a kernel's configuration.
const KCONFIG: &str = ".kconfig";
/// The longest configuration, in bytes.
const MAX_CONFIG: u64 = 1 << 22;

/// What compiles BPF.
const COMPILE: &str = "clang -target bpf -O2 -g -c FILE.c";

/// The bytes of a file, or of standard input.
pub fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    if path != Path::new(STDIN) {
        return ring3::read(path, MAX_FILE);
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut bytes);
    read.map_err(|source| Error::Read { path: path.to_owned(), source })?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::TooLarge { path: path.to_owned(), limit: MAX_FILE });
    }
    Ok(bytes)
}

/// An object.
pub fn object(path: &Path) -> Result<Object, Error> {
    Ok(Object::parse(&path.to_string_lossy(), &bytes(path)?)?)
}

/// Answers what an object asks of a kernel's configuration: by what the command line says, and the release.
pub fn configure(object: &mut Object, release: KernelVersion, args: &KconfigArgs) -> Result<(), Error> {
    if object.btf().is_none_or(|btf| btf.datasec(KCONFIG).is_none()) {
        return Ok(());
    }
    let mut values = KernelValues::new(&release.to_string());
    for given in &args.kconfig {
        let text = match given.contains('=') {
            true => given.clone(),
            false => String::from_utf8_lossy(&ring3::read(Path::new(given), MAX_CONFIG)?).into_owned(),
        };
        values = values.with_config(&text);
    }
    object.answer(Arc::new(values));
    Ok(())
}

/// What to do about an error, where there is something; it follows the error's own words.
pub fn hint(error: &Error) -> String {
    match error {
        Error::Read { path, source } => match source.kind() {
            ErrorKind::IsADirectory => format!("; name the objects in it, such as {}/*.o", path.display()),
            ErrorKind::NotFound if path.extension().is_none_or(|end| end != "o") => {
                "; ring3 takes objects that clang made (FILE.o), or - for standard input".to_owned()
            }
            _ => String::new(),
        },
        Error::Object(ObjectError::UnknownType { .. }) => " (--type says it)".to_owned(),
        Error::Object(ObjectError::ExternValue { problem, .. }) if *problem == NOT_CONFIGURED => {
            " (--kconfig says it)".to_owned()
        }
        Error::Object(ObjectError::Elf { .. }) => format!("; an object is what `{COMPILE}` writes"),
        _ => String::new(),
    }
}

/// An error about a file, with what to do.
pub fn told(error: &Error) -> String {
    format!("{error}{}", hint(error))
}

/// That an object has no program of this name, and what it has.
pub fn no_such_program(object: &Object, wanted: &str) -> String {
    let names: Vec<&str> = object.programs().iter().map(|entry| entry.name.as_str()).collect();
    let has = if names.is_empty() { "no program at all".to_owned() } else { names.join(", ") };
    format!("{}: there is no program '{wanted}'; there is {has}", object.file())
}
