//! What runs show from outside.

use std::time::Instant;

use ring3::{Error, Input, Instance};

use super::content::{Content, content};
use super::hex;

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

/// All that runs of one program, one after the other, show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// What each gave. After one that gave nothing there are no more.
    pub results: Vec<Result<Ran, Refusal>>,
    /// Content of the program's maps after the last, by name.
    pub maps: Vec<(String, Content)>,
}

/// What two engines do differently.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unlike {
    /// After which of the inputs.
    pub at: usize,
    /// What: a part of the result, or a map.
    pub what: String,
    /// What the one has there.
    pub this: String,
    /// What the other has there.
    pub that: String,
}

/// How to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// Inputs are packets.
    pub packets: bool,
    /// What each byte of the stack holds until the program writes there; only the checked interpreter is asked.
    pub fill: u8,
    /// Inputs that begin later than this are not run any more.
    pub until: Option<Instant>,
}

/// Runs a program on these inputs, until it does not take one.
///
/// Errors: those of maps, and of a kernel that does not know the program any more.
pub fn run(instance: &mut Instance, name: &str, inputs: &[Vec<u8>], way: Way) -> Result<Seen, Error> {
    watched(instance, name, inputs, way).map(|(seen, _)| seen)
}

/// The same, and whether the program counted with addresses, as far as the checked interpreter runs it.
pub fn watched(instance: &mut Instance, name: &str, inputs: &[Vec<u8>], way: Way) -> Result<(Seen, bool), Error> {
    let (results, counted) = results(instance, name, inputs, way)?;
    Ok((Seen { results, maps: content(instance) }, counted))
}

/// What the runs give, and whether the program counted with addresses; nobody looks at maps.
pub(super) fn results(
    instance: &mut Instance,
    name: &str,
    inputs: &[Vec<u8>],
    way: Way,
) -> Result<(Vec<Result<Ran, Refusal>>, bool), Error> {
    let mut runner = instance.runner(name)?;
    runner.fill_stack(way.fill);
    runner.keep_contexts();
    let (mut results, mut counted) = (Vec::with_capacity(inputs.len()), false);
    for bytes in inputs {
        if way.until.is_some_and(|until| Instant::now() > until) {
            break;
        }
        let output = runner.run(if way.packets { Input::Packet(bytes) } else { Input::Context(bytes) });
        counted |= runner.counted_with_addresses();
        let is_over = output.is_err();
        results.push(output.map_err(refusal).map(|output| {
            let (retval, packet, meta, context) = (output.retval, output.packet, output.meta, output.context);
            Ran { retval, packet, meta, context }
        }));
        if is_over {
            break;
        }
    }
    runner.finish()?;
    Ok((results, counted))
}

fn refusal(error: Error) -> Refusal {
    let cannot_run = matches!(&error, Error::Kernel { source, .. } if source.cannot_run());
    let text = error.to_string();
    if cannot_run { Refusal::CannotRun(text) } else { Refusal::Error(text) }
}

impl Seen {
    /// Where the two are not the same.
    pub fn differences(&self, other: &Seen) -> Vec<Unlike> {
        let mut all = Vec::new();
        for (at, (this, that)) in self.results.iter().zip(&other.results).enumerate() {
            let unlike = |(what, this, that): (&str, String, String)| Unlike { at, what: what.to_owned(), this, that };
            all.extend(unlike_results(this, that).into_iter().map(unlike));
        }
        let at = self.results.len().min(other.results.len()).saturating_sub(1);
        for (name, this) in &self.maps {
            let Some((_, that)) = other.maps.iter().find(|(other, _)| other == name) else { continue };
            if this != that {
                let (this, that) = (this.without(that), that.without(this));
                all.push(Unlike { at, what: format!("map '{name}'"), this, that });
            }
        }
        all
    }
}

fn unlike_results(this: &Result<Ran, Refusal>, that: &Result<Ran, Refusal>) -> Vec<(&'static str, String, String)> {
    match (this, that) {
        (Ok(this), Ok(that)) => {
            let result =
                (this.retval != that.retval).then(|| ("result", this.retval.to_string(), that.retval.to_string()));
            let parts = [
                ("packet", &this.packet, &that.packet),
                ("metadata", &this.meta, &that.meta),
                ("context", &this.context, &that.context),
            ];
            let parts = parts.into_iter().filter(|(_, this, that)| this != that);
            result.into_iter().chain(parts.map(|(what, this, that)| (what, hex(this), hex(that)))).collect()
        }
        (Ok(this), Err(refusal)) => vec![("result", this.retval.to_string(), text(refusal))],
        (Err(refusal), Ok(that)) => vec![("result", text(refusal), that.retval.to_string())],
        // Words differ; that neither ran is the same.
        (Err(_), Err(_)) => Vec::new(),
    }
}

fn text(refusal: &Refusal) -> String {
    match refusal {
        Refusal::CannotRun(text) | Refusal::Error(text) => text.clone(),
    }
}
