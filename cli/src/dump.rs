//! `ring3 dump`: what is in an object.

use std::io::Write;
use std::sync::Arc;

use ring3::btf::{Btf, CoreTarget, TypeId};
use ring3::jit::{Arch, Jit};
use ring3::platform::maps::Pinning;
use ring3::{Backend, Engine, MapDef, Object, Options, Program};
use serde_json::{Value as Json, json};

use crate::Outcome;
use crate::args::{BtfFormat, Dialect, DumpArgs, Machine, RunFormat, What};
use crate::error::CliError;
use crate::listing;
use crate::output::{Ink, Out, hex, printable};
use crate::run::choose;
use crate::table::{Column, line};
use crate::types::{self, is_btf, with_types};

/// Shows one thing of an object.
pub fn dump(args: &DumpArgs, out: &mut Out) -> Result<Outcome, CliError> {
    if args.output == RunFormat::Json && !matches!(args.what, What::Maps | What::Btf) {
        return Err(CliError::input("-o json is for 'dump maps' and 'dump btf'"));
    }
    if (args.format.is_some() || args.base_btf.is_some()) && args.what != What::Btf {
        return Err(CliError::input("--format and --base-btf are for 'dump btf'"));
    }
    if args.dialect == Dialect::Mnemonic && args.what != What::Asm {
        return Err(CliError::input("--dialect mnemonic is for 'dump asm'"));
    }
    if args.arch != Machine::Host && args.what != What::Jited {
        return Err(CliError::input("--arch is for 'dump jited'"));
    }
    if !args.jit.is_empty() && args.what != What::Jited {
        return Err(CliError::input("--jit-blind and --jit-retpolines are for 'dump jited'"));
    }
    let bytes = crate::input::bytes(&args.object)?;
    if args.what == What::Btf && is_btf(&bytes) {
        let btf = match &args.base_btf {
            None => Btf::parse(&bytes),
            Some(path) => Btf::parse_split(&bytes, &types::read(path)?),
        };
        return btf_text(args, &btf.map_err(|e| CliError::file(&args.object, e))?, out);
    }
    if args.base_btf.is_some() {
        return Err(CliError::file(&args.object, "--base-btf is for raw BTF files, and this is none"));
    }
    let object = Object::parse(&args.object.to_string_lossy(), &bytes).map_err(CliError::input)?;
    match args.what {
        What::Asm => asm(args, &object, out, |program, out| listing::asm(program, args.dialect, out)),
        What::Cfg => asm(args, &object, out, crate::graph::write),
        What::Xlated => translated(args, &object, None, out),
        What::Jited => translated(args, &object, Some(args.arch.into()), out),
        What::Maps => maps(args, &object, out),
        What::Relos => relos(args, &object, out),
        What::Btf => match object.btf() {
            Some(btf) => btf_text(args, btf, out),
            None => Err(CliError::file(&args.object, "it has no BTF (compile with -g)")),
        },
    }
}

fn btf_text(args: &DumpArgs, btf: &Btf, out: &mut Out) -> Result<Outcome, CliError> {
    let default = if args.output == RunFormat::Json { BtfFormat::Json } else { BtfFormat::Raw };
    match args.format.unwrap_or(default) {
        BtfFormat::Raw => writeln!(out, "{}", btf.dump_raw().trim_end())?,
        BtfFormat::C => write!(out, "{}", btf.dump_c().map_err(|e| CliError::file(&args.object, e))?)?,
        BtfFormat::Json => writeln!(out, "{}", types::json(btf))?,
    }
    Ok(Outcome::Good)
}

/// Names of the programs to be shown.
fn programs(args: &DumpArgs, object: &Object) -> Result<Vec<String>, CliError> {
    match &args.program {
        Some(name) => Ok(vec![choose(object, Some(name))?]),
        None => Ok(object.programs().iter().map(|entry| entry.name.clone()).collect()),
    }
}

fn options(args: &DumpArgs) -> Options {
    Options { kind: args.kind, ..Options::default() }
}

/// The types that CO-RE relocations are for, if there are any.
fn core(args: &DumpArgs) -> Result<Option<Arc<CoreTarget>>, CliError> {
    Ok(args.btf.as_deref().map(types::read).transpose()?.map(|btf| Arc::new(CoreTarget::new(Arc::new(btf)))))
}

/// What became of relocations.
fn relos(args: &DumpArgs, object: &Object, out: &mut Out) -> Result<Outcome, CliError> {
    let options = Options { core: core(args)?, ..options(args) };
    for line in object.relocation_log(&programs(args, object)?, &options).map_err(CliError::input)? {
        writeln!(out, "{}", printable(&line))?;
    }
    Ok(Outcome::Good)
}

/// What is written of programs as compiled.
fn asm(
    args: &DumpArgs,
    object: &Object,
    out: &mut Out,
    write: impl Fn(&Program, &mut Out) -> Result<(), CliError>,
) -> Result<Outcome, CliError> {
    let mut worst = Outcome::Good;
    // Without a kernel's types the instructions are those of the file.
    let core = core(args)?;
    let options = Options { core_by_kernel: core.is_none(), core, ..options(args) };
    for (at, name) in programs(args, object)?.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        match object.program(name, &options) {
            Ok(program) => write(&program, out)?,
            Err(error) => {
                out.flush()?;
                writeln!(std::io::stderr(), "ring3: {error}")?;
                worst = Outcome::BadInput;
            }
        }
    }
    Ok(worst)
}

/// What the engines see, or the code for a machine.
fn translated(args: &DumpArgs, object: &Object, arch: Option<Arch>, out: &mut Out) -> Result<Outcome, CliError> {
    let engine = with_types(Engine::new().backend(Backend::Interpreter), args.btf.as_deref())?;
    let mut instance = engine.load_with(object, &options(args))?;
    let mut worst = Outcome::Good;
    for (at, name) in programs(args, object)?.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        match instance.program(name) {
            Ok(program) => match arch {
                Some(arch) => {
                    let emitted = Jit::emit_with(Arc::clone(program.linked()), arch, args.jit.into());
                    let emitted = emitted.map_err(CliError::input)?;
                    listing::jited(&program, &emitted, arch, out)?;
                }
                None => listing::xlated(&program, out)?,
            },
            Err(error) => {
                out.flush()?;
                let rejected = matches!(error, ring3::Error::Rejected { .. });
                let place = if rejected { format!("{}: ", object.file()) } else { String::new() };
                writeln!(std::io::stderr(), "ring3: {place}{error}")?;
                worst = worst.max(if rejected { Outcome::Rejected } else { Outcome::BadInput });
            }
        }
    }
    Ok(worst)
}

/// Only the maps that a program uses, if one is named.
fn maps(args: &DumpArgs, object: &Object, out: &mut Out) -> Result<Outcome, CliError> {
    let used = match &args.program {
        Some(name) => Some(object.program(&choose(object, Some(name))?, &options(args)).map_err(CliError::input)?.maps),
        None => None,
    };
    let maps: Vec<&MapDef> = used.as_deref().unwrap_or(object.maps()).iter().map(|map| &**map).collect();
    match args.output {
        RunFormat::Json => {
            for map in maps {
                writeln!(out, "{}", map_json(object, map))?;
            }
        }
        RunFormat::Table => maps_table(object, &maps, out)?,
    }
    Ok(Outcome::Good)
}

fn maps_table(object: &Object, maps: &[&MapDef], out: &mut Out) -> Result<(), CliError> {
    let names: Vec<(String, String)> =
        maps.iter().map(|map| (type_name(object, map.key_type), type_name(object, map.value_type))).collect();
    let columns = [
        Column::left("NAME", maps.iter().map(|map| map.name.as_str()), 24),
        Column::left("TYPE", maps.iter().map(|map| map.kind.name()), 20),
        Column::right("KEY", 4),
        Column::right("VALUE", 6),
        Column::right("ENTRIES", 7),
        Column::right("FLAGS", 6),
        Column::left("TYPES", std::iter::empty(), 30),
    ];
    let headings: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let heading = line(&columns, &headings, |_, text| text.to_owned());
    writeln!(out, "{}", out.ink(Ink::Strong, &heading))?;
    for (map, (key, value)) in maps.iter().zip(&names) {
        let types = match (key.is_empty(), value.is_empty()) {
            (true, true) => String::new(),
            (true, false) => value.clone(),
            (false, _) => format!("{key} -> {value}"),
        };
        let texts = [
            &printable(&map.name)[..],
            map.kind.name(),
            &map.key_size.to_string(),
            &map.value_size.to_string(),
            &map.max_entries.to_string(),
            &format!("{:#x}", map.flags.0),
            &printable(&types),
        ];
        writeln!(out, "{}", line(&columns, &texts, |_, text| text.to_owned()))?;
        for slot in &map.slots {
            writeln!(out, "    [{}] = {}", slot.index, printable(&slot.symbol))?;
        }
        if let Some(inner) = &map.inner {
            let sizes = format!("key {} value {} entries {}", inner.key_size, inner.value_size, inner.max_entries);
            writeln!(out, "    of {} {sizes}", inner.kind.name())?;
        }
    }
    Ok(())
}

/// A type as C would name it; empty where there is none.
fn type_name(object: &Object, id: u32) -> String {
    use ring3::btf::Type;
    let Some(btf) = object.btf().filter(|_| id != 0) else { return String::new() };
    let (id, resolved) = (TypeId(id), btf.resolved(TypeId(id)));
    let name = btf.name(id);
    match (name.is_empty(), resolved) {
        (false, Ok(Type::Struct(_))) if matches!(btf.get(id), Some(Type::Struct(_))) => format!("struct {name}"),
        (false, Ok(Type::Union(_))) if matches!(btf.get(id), Some(Type::Union(_))) => format!("union {name}"),
        (false, _) => name.to_owned(),
        (true, Ok(Type::Struct(_) | Type::Union(_))) => "struct".to_owned(),
        (true, Ok(Type::Array { elem, len, .. })) => format!("{}[{len}]", btf.name(*elem)),
        (true, Ok(Type::Ptr { .. })) => "pointer".to_owned(),
        (true, _) => "?".to_owned(),
    }
}

fn map_json(object: &Object, map: &MapDef) -> Json {
    let type_or_null = |id| Some(type_name(object, id)).filter(|name| !name.is_empty());
    let mut json = json!({
        "name": map.name,
        "type": map.kind.name(),
        "key_size": map.key_size,
        "value_size": map.value_size,
        "max_entries": map.max_entries,
        "flags": map.flags.0,
        "extra": map.extra,
        "pinned": map.pinning == Pinning::ByName,
        "frozen": map.frozen,
        "key_type": type_or_null(map.key_type),
        "value_type": type_or_null(map.value_type),
    });
    if !map.slots.is_empty() {
        json["slots"] = map.slots.iter().map(|slot| json!({ "index": slot.index, "symbol": slot.symbol })).collect();
    }
    if let Some(inner) = &map.inner {
        json["inner"] = map_json(object, inner);
    }
    if let Some(data) = &map.data {
        json["data"] = hex(data).into();
    }
    json
}
