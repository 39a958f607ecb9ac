//! `ring3 verify --kernel all`: which releases would load which program.

use std::io::Write;

use ring3::verifier::Code;
use ring3::verifier::release::{Need, Verdict, verdict};
use ring3::{Engine, Error, KernelVersion, LogLevel, Object, Options, VerifiedProgram};
use serde_json::{Map, Value, json};

use crate::Outcome;
use crate::args::{VerifyArgs, VerifyFormat};
use crate::error::CliError;
use crate::output::{Ink, Out, printable};
use crate::table::{Column, line};
use crate::verify::selected;

/// What a reader should know of the table.
const NOTE: &str = "
yes  the release has all that the program uses, and the rules of Linux 6.18 accept it
no   it lacks something, or those rules refuse it
?    ring3 cannot judge it
Programs are explored by the rules of 6.18: another verifier may refuse where the table says yes.";

/// A program that the rules of 6.18 accept, or what they say.
type Judged = Result<VerifiedProgram, Refused>;

/// Why a program is not accepted.
struct Refused {
    why: String,
    /// Linux may say something else.
    unknown: bool,
}

/// What is said where the kernel's types are missing, and where they are.
const NO_TYPES: (&str, &str) = ("without the kernel's types (BTF)", "; --btf /sys/kernel/btf/vmlinux gives them");

/// Judges every program once, and prints what each release makes of it.
pub fn releases(
    engine: &Engine,
    args: &VerifyArgs,
    objects: &[(String, Object)],
    out: &mut Out,
) -> Result<Outcome, CliError> {
    let mut worst = Outcome::Good;
    let entries = || objects.iter().flat_map(|(_, object)| object.programs()).filter(|e| selected(args, &e.name));
    let mut columns = vec![Column::left("PROGRAM", entries().map(|entry| entry.name.as_str()), 32)];
    let names: Vec<String> = KernelVersion::LONG_TERM.iter().map(ToString::to_string).collect();
    columns.extend(names.iter().map(|_| Column { width: 4, ..Column::left("", std::iter::empty(), 0) }));
    let table = args.output != VerifyFormat::Json;
    if table && !objects.is_empty() {
        let heading: Vec<&str> = std::iter::once("PROGRAM").chain(names.iter().map(String::as_str)).collect();
        let text = line(&columns, &heading, |_, text| text.to_owned());
        writeln!(out, "{}", out.ink(Ink::Strong, &text))?;
    }
    for (file, object) in objects {
        if table {
            writeln!(out, "{}", out.ink(Ink::Faint, &printable(file)))?;
        }
        for entry in object.programs().iter().filter(|entry| selected(args, &entry.name)) {
            let (judged, outcome) = judge(engine, args, object, &entry.name);
            worst = worst.max(outcome);
            if table {
                row(&entry.name, &judged, &columns, out)?;
            } else {
                writeln!(out, "{}", object_line(file, &entry.name, &judged))?;
            }
        }
    }
    if table {
        writeln!(out, "{NOTE}")?;
    }
    Ok(worst)
}

fn judge(engine: &Engine, args: &VerifyArgs, object: &Object, name: &str) -> (Judged, Outcome) {
    let options = Options { kind: args.kind, ..Options::default() };
    match engine.verify(object, name, &options, LogLevel(0)) {
        Ok(proof) => (Ok(proof), Outcome::Good),
        Err(Error::Rejected { rejection, .. }) => {
            let unknown = rejection.code == Code::Unsupported;
            let more = if unknown && rejection.message.contains(NO_TYPES.0) { NO_TYPES.1 } else { "" };
            let why = format!("{}{more} [{}]", rejection.message, rejection.code);
            (Err(Refused { why, unknown }), Outcome::Rejected)
        }
        Err(error) => (Err(Refused { why: error.to_string(), unknown: true }), Outcome::BadInput),
    }
}

/// `bpf_loop() in xdp programs (loop.bpf.c:30)`.
fn story(proof: &VerifiedProgram, need: &Need) -> String {
    let info = proof.program().info.as_ref();
    let at = need.at.and_then(|slot| u32::try_from(slot).ok());
    let place = match (at.and_then(|slot| info?.line_at(slot)), at) {
        (Some(entry), _) => format!(" ({}:{})", entry.file.rsplit('/').next().unwrap_or_default(), entry.line),
        (None, Some(slot)) => format!(" (instruction {slot})"),
        (None, None) => String::new(),
    };
    format!("{}{place}", need.what)
}

fn row(name: &str, judged: &Judged, columns: &[Column], out: &mut Out) -> Result<(), CliError> {
    let needs = judged.as_ref().map(VerifiedProgram::needs).unwrap_or_default();
    let unknown = judged.as_ref().is_err_and(|refused| refused.unknown);
    let word = |release: &KernelVersion| match verdict(&needs, *release) {
        _ if unknown => ("?", Ink::Faint),
        _ if judged.is_err() => ("no", Ink::Bad),
        Verdict::Accept => ("yes", Ink::Good),
        Verdict::Lacks => ("no", Ink::Bad),
    };
    let words: Vec<_> = KernelVersion::LONG_TERM.iter().map(word).collect();
    let name = printable(name);
    let texts: Vec<&str> = std::iter::once(name.as_str()).chain(words.iter().map(|(text, _)| *text)).collect();
    let paint = |at: usize, text: &str| out.ink(at.checked_sub(1).map_or(Ink::Plain, |at| words[at].1), text);
    let text = line(columns, &texts, paint);
    writeln!(out, "{text}")?;
    match judged {
        Ok(proof) => {
            for need in &needs {
                writeln!(out, "    since {:<5} {}", need.since.to_string(), printable(&story(proof, need)))?;
            }
        }
        Err(refused) => writeln!(out, "    {}", printable(&refused.why))?,
    }
    Ok(())
}

fn object_line(file: &str, name: &str, judged: &Judged) -> Value {
    let needs = judged.as_ref().map(VerifiedProgram::needs).unwrap_or_default();
    let unknown = judged.as_ref().is_err_and(|refused| refused.unknown);
    let word = |release: &KernelVersion| match verdict(&needs, *release) {
        _ if unknown => "unknown",
        _ if judged.is_err() => "reject",
        Verdict::Accept => "accept",
        Verdict::Lacks => "reject",
    };
    let releases: Map<String, Value> =
        KernelVersion::RELEASES.iter().map(|release| (release.to_string(), word(release).into())).collect();
    let needed = |need: &Need| json!({"what": need.what, "since": need.since.to_string(), "slot": need.at});
    json!({
        "file": file,
        "program": name,
        "releases": releases,
        "needs": needs.iter().map(needed).collect::<Vec<_>>(),
        "message": judged.as_ref().err().map(|refused| refused.why.as_str()),
    })
}
