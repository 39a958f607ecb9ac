//! Files of any bytes: they are read or refused with words, and what was read can be used.

use ring3_btf::{Btf, BtfExt};
use ring3_object::{Object, Options};

use super::Reached;

/// Programs of one object that are linked.
const MAX_PROGRAMS: usize = 8;

/// Reads the bytes as an object, and links its programs; an object of which one can be linked counts as accepted.
/// Errors: a refusal without words.
pub fn elf(data: &[u8], reached: &mut Reached) -> Result<(), String> {
    let object = match Object::parse("fuzz", data) {
        Ok(object) => object,
        Err(error) => return refused(&error.to_string(), reached),
    };
    let mut linked = false;
    for entry in object.programs().iter().take(MAX_PROGRAMS) {
        match object.program(&entry.name, &Options::default()) {
            Ok(_) => linked = true,
            Err(error) => refused(&error.to_string(), reached)?,
        }
    }
    reached.accepted += u64::from(linked);
    Ok(())
}

/// Reads the bytes as BTF and as BTF.ext, and asks for the sizes and names of all types; one of both counts as accepted.
/// Errors: a refusal without words.
pub fn btf(data: &[u8], reached: &mut Reached) -> Result<(), String> {
    match BtfExt::parse(data) {
        Ok(_) => reached.accepted += 1,
        Err(error) => refused(&error.to_string(), reached)?,
    }
    let btf = match Btf::parse(data) {
        Ok(btf) => btf,
        Err(error) => return refused(&error.to_string(), reached),
    };
    for (id, _) in (0u32..).zip(btf.types()) {
        let id = ring3_btf::TypeId(id);
        if let Err(error) = btf.size_of(id) {
            refused(&error.to_string(), reached)?;
        }
        let _ = (btf.resolved(id), btf.name(id));
    }
    reached.accepted += 1;
    Ok(())
}

/// Counts a refusal by its words.
fn refused(text: &str, reached: &mut Reached) -> Result<(), String> {
    if text.is_empty() {
        return Err("an error without words".into());
    }
    let kind = super::bare(&text.split('\'').step_by(2).collect::<String>());
    // Words of names that are not quoted would fill it.
    if reached.rules.len() < MAX_KINDS || reached.rules.contains_key(&kind) {
        *reached.rules.entry(kind).or_default() += 1;
    }
    Ok(())
}

/// Kinds of refusals that are told apart.
const MAX_KINDS: usize = 1000;
