//! Files of any bytes: they are read or refused with words, and what was read can be used.

use ring3_btf::{Btf, BtfExt};
use ring3_object::{Object, Options};

/// Programs of one object that are linked.
const MAX_PROGRAMS: usize = 8;

/// Reads the bytes as an object, and links its programs. Errors: a refusal without words.
pub fn elf(data: &[u8]) -> Result<(), String> {
    let object = match Object::parse("fuzz", data) {
        Ok(object) => object,
        Err(error) => return words(&error.to_string()),
    };
    for entry in object.programs().iter().take(MAX_PROGRAMS) {
        if let Err(error) = object.program(&entry.name, &Options::default()) {
            words(&error.to_string())?;
        }
    }
    Ok(())
}

/// Reads the bytes as BTF and as BTF.ext, and asks for the sizes and names of all types. Errors: a refusal without words.
pub fn btf(data: &[u8]) -> Result<(), String> {
    if let Err(error) = BtfExt::parse(data) {
        words(&error.to_string())?;
    }
    let btf = match Btf::parse(data) {
        Ok(btf) => btf,
        Err(error) => return words(&error.to_string()),
    };
    for (id, _) in (0u32..).zip(btf.types()) {
        let id = ring3_btf::TypeId(id);
        if let Err(error) = btf.size_of(id) {
            words(&error.to_string())?;
        }
        let _ = (btf.resolved(id), btf.name(id));
    }
    Ok(())
}

fn words(text: &str) -> Result<(), String> {
    if text.is_empty() { Err("an error without words".into()) } else { Ok(()) }
}
