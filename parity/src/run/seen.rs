//! What a run shows from outside.

use ring3::{Error, Input, Instance, has_values};
use ring3_platform::MapType;

use super::hex;

/// Maps with more bytes are not compared.
const MAX_MAP: usize = 16 << 20;
/// Elements and records of a map that are shown of a difference.
const SHOWN: usize = 2;

/// Why a program did not run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Programs of its type cannot be run so at all.
    CannotRun(String),
    /// The input was refused, or the run was stopped.
    Error(String),
}

/// What a run gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ran {
    /// The low half of R0.
    pub retval: u32,
    /// The packet.
    pub packet: Vec<u8>,
    /// Metadata in front of it.
    pub meta: Vec<u8>,
    /// The context, as far as it is given back.
    pub context: Vec<u8>,
}

/// Elements of a map, or records of a ring buffer (without keys).
pub type Content = Vec<(Vec<u8>, Vec<Vec<u8>>)>;

/// All that a run shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// What it gave.
    pub result: Result<Ran, Refusal>,
    /// Content of the program's maps afterwards, by name.
    pub maps: Vec<(String, Content)>,
}

/// Runs a program once. Values by CPU begin at zero, so that it does not matter on which CPU it runs.
///
/// Errors: those of maps, and of a kernel that does not know the program any more.
pub fn run(instance: &mut Instance, name: &str, input: Input<'_>) -> Result<Seen, Error> {
    run_on_stack(instance, name, input, 0).map(|(seen, _)| seen)
}

/// The same where each byte of the stack holds this until the program writes there, and whether the program counted with addresses; only
/// the checked interpreter is asked.
pub fn run_on_stack(instance: &mut Instance, name: &str, input: Input<'_>, fill: u8) -> Result<(Seen, bool), Error> {
    clear_by_cpu(instance)?;
    let mut runner = instance.runner(name)?;
    runner.fill_stack(fill);
    runner.keep_contexts();
    runner.in_fragments();
    let output = runner.run(input);
    let counted = runner.counted_with_addresses();
    runner.finish()?;
    let result = match output {
        Ok(output) => {
            let (retval, packet, meta, context) = (output.retval, output.packet, output.meta, output.context);
            Ok(Ran { retval, packet, meta, context })
        }
        Err(error) => {
            let cannot_run = matches!(&error, Error::Kernel { source, .. } if source.cannot_run());
            let text = error.to_string();
            Err(if cannot_run { Refusal::CannotRun(text) } else { Refusal::Error(text) })
        }
    };
    Ok((Seen { result, maps: content(instance) }, counted))
}

const fn is_by_cpu(kind: MapType) -> bool {
    matches!(kind, MapType::PercpuArray | MapType::PercpuHash | MapType::LruPercpuHash)
}

fn clear_by_cpu(instance: &Instance) -> Result<(), Error> {
    for map in instance.used_maps().filter(|map| is_by_cpu(map.def().kind)) {
        let raw = map.raw();
        for key in raw.keys() {
            let result = if map.def().kind == MapType::PercpuArray {
                let size = raw.copy_out(&key).map_or(0, |value| value.len());
                raw.copy_in(&key, &vec![0; size], ring3::vm::maps::BPF_ANY)
            } else {
                raw.delete(&key)
            };
            result.map_err(|errno| Error::Map { map: map.name().to_owned(), errno })?;
        }
    }
    Ok(())
}

fn content(instance: &Instance) -> Vec<(String, Content)> {
    let of_map = |map: ring3::MapRef<'_>| {
        let kind = map.def().kind;
        let raw = map.raw();
        if kind == MapType::Ringbuf {
            let records = raw.drain().into_iter().map(|event| (Vec::new(), vec![event.data])).collect();
            return Some((map.name().to_owned(), records));
        }
        let size = raw.len().saturating_mul(map.def().value_size as usize);
        if !has_values(kind) || map.def().frozen || size > MAX_MAP {
            return None;
        }
        let parts = |value: Vec<u8>| {
            if !is_by_cpu(kind) {
                return vec![value];
            }
            let size = (map.def().value_size as usize).next_multiple_of(8).max(8);
            let mut parts: Vec<Vec<u8>> = value.chunks(size).map(<[u8]>::to_vec).collect();
            parts.sort_unstable_by(|a, b| b.cmp(a));
            parts
        };
        let mut elements: Content = map.iter_bytes().map(|(key, value)| (key, parts(value))).collect();
        elements.sort_unstable();
        Some((map.name().to_owned(), elements))
    };
    instance.used_maps().filter_map(of_map).collect()
}

impl Seen {
    /// What, this, and that: where the two are not the same.
    pub fn differences(&self, other: &Seen) -> Vec<(String, String, String)> {
        let mut all = Vec::new();
        match (&self.result, &other.result) {
            (Ok(this), Ok(that)) => {
                if this.retval != that.retval {
                    all.push(("result".to_owned(), this.retval.to_string(), that.retval.to_string()));
                }
                let parts = [
                    ("packet", &this.packet, &that.packet),
                    ("metadata", &this.meta, &that.meta),
                    ("context", &this.context, &that.context),
                ];
                all.extend(
                    parts
                        .iter()
                        .filter(|(_, this, that)| this != that)
                        .map(|(what, this, that)| ((*what).to_owned(), hex(this), hex(that))),
                );
            }
            (Ok(this), Err(refusal)) => all.push(("result".to_owned(), this.retval.to_string(), text(refusal))),
            (Err(refusal), Ok(that)) => all.push(("result".to_owned(), text(refusal), that.retval.to_string())),
            // Words differ; that neither ran is the same.
            (Err(_), Err(_)) => {}
        }
        for (name, this) in &self.maps {
            let Some((_, that)) = other.maps.iter().find(|(other, _)| other == name) else { continue };
            if this != that {
                let (this, that) = (without(this, that), without(that, this));
                all.push((format!("map '{name}'"), this, that));
            }
        }
        all
    }
}

fn text(refusal: &Refusal) -> String {
    match refusal {
        Refusal::CannotRun(text) | Refusal::Error(text) => text.clone(),
    }
}

/// The elements that the other does not have.
fn without(content: &Content, other: &Content) -> String {
    let element = |(key, parts): &(Vec<u8>, Vec<Vec<u8>>)| {
        let values: Vec<String> = parts.iter().map(|part| hex(part)).collect();
        if key.is_empty() { values.join("/") } else { format!("{}={}", hex(key), values.join("/")) }
    };
    let own: Vec<_> = content.iter().filter(|element| !other.contains(element)).collect();
    let mut texts: Vec<String> = own.iter().take(SHOWN).map(|own| element(own)).collect();
    match own.len().checked_sub(SHOWN) {
        _ if own.is_empty() => return "(nothing else)".to_owned(),
        Some(more @ 1..) => texts.push(format!("{more} more")),
        Some(0) | None => {}
    }
    texts.join(", ")
}
