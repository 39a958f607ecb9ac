//! `ring3 verify --profile`: where the verifier's budget goes, as text and as a flame graph.

use std::io::Write;
use std::path::Path;

use inferno::flamegraph::{Options as Graph, TextTruncateDirection, from_lines};
use ring3::verifier::{At, Differs, Point, Profile, Why};
use ring3::{Engine, Object, Options};

use crate::Outcome;
use crate::args::VerifyArgs;
use crate::error::CliError;
use crate::output::{Ink, Out, printable};
use crate::verify::selected;

/// Instructions that the verifier processes at most.
const BUDGET: u32 = 1_000_000;
/// Lines, and points of comparison, that are shown.
const SHOWN: usize = 10;
/// Reasons of one point that are shown.
const REASONS: usize = 3;

/// Profiles the programs. `to` is the file of a flame graph, if one is wanted.
pub fn profile(
    engine: &Engine,
    args: &VerifyArgs,
    objects: &[(String, Object)],
    to: Option<&Path>,
    out: &mut Out,
) -> Result<Outcome, CliError> {
    let mut worst = Outcome::Good;
    let mut folded = Vec::new();
    let entries = || objects.iter().flat_map(|(file, object)| object.programs().iter().map(move |e| (file, object, e)));
    let several = entries().filter(|(_, _, entry)| selected(args, &entry.name)).count() > 1;
    for (file, object, entry) in entries().filter(|(_, _, entry)| selected(args, &entry.name)) {
        let options = Options { kind: args.kind, ..Options::default() };
        let profile = match engine.profile(object, &entry.name, &options) {
            Ok(profile) => profile,
            Err(error) => {
                writeln!(std::io::stderr(), "ring3: {error}")?;
                worst = Outcome::BadInput;
                continue;
            }
        };
        if profile.rejected.is_some() {
            worst = worst.max(Outcome::Rejected);
        }
        text(file, &entry.name, &profile, out)?;
        let before = if several { format!("{};", entry.name) } else { String::new() };
        folded.extend(profile.folded().into_iter().map(|line| format!("{before}{line}")));
    }
    if let Some(path) = to {
        graph(path, &folded)?;
    }
    Ok(worst)
}

fn graph(path: &Path, folded: &[String]) -> Result<(), CliError> {
    if folded.is_empty() {
        return Err(CliError::file(path, "no instruction was processed, so there is nothing to draw"));
    }
    let mut options = Graph::default();
    options.title = "Instructions processed by the verifier".to_owned();
    options.count_name = "instructions".to_owned();
    options.name_type = "Line:".to_owned();
    options.deterministic = true;
    options.text_truncate_direction = TextTruncateDirection::Right;
    let mut svg = Vec::new();
    from_lines(&mut options, folded.iter().map(String::as_str), &mut svg)
        .map_err(|error| CliError::file(path, error))?;
    std::fs::write(path, svg).map_err(|error| CliError::file(path, error))
}

fn text(file: &str, program: &str, profile: &Profile, out: &mut Out) -> Result<(), CliError> {
    let Profile { processed, peak_mem, rejected, .. } = profile;
    let share = f64::from(*processed) * 100.0 / f64::from(BUDGET);
    let name = out.ink(Ink::Strong, &printable(program));
    let verdict = match rejected {
        None => out.ink(Ink::Good, "accept"),
        Some(_) => out.ink(Ink::Bad, "reject"),
    };
    let (file, memory) = (printable(file), peak_mem.div_ceil(1 << 10));
    writeln!(
        out,
        "{name} ({file}): {verdict} after {processed} instructions, {share:.1} % of {BUDGET}; {memory} KiB of memory"
    )?;
    if let Some(why) = rejected.as_ref().and_then(|text| text.lines().next()) {
        writeln!(out, "    {}", printable(why))?;
    }
    let total: u64 = profile.samples.iter().map(|sample| sample.count).sum();
    writeln!(out, "\n  SHARE     INSNS  LINE")?;
    for (at, count) in profile.lines().into_iter().take(SHOWN) {
        writeln!(out, "  {:>5}  {count:>8}  {}", percent(count, total), printable(&line(at)))?;
    }
    let spots = spots(profile);
    if !spots.is_empty() {
        writeln!(out, "\n  STATES    HITS  MISSES  WHERE STATES ARE COMPARED")?;
    }
    let precise = spots.iter().any(|spot| spot.point.differences.iter().any(|it| it.why == Why::Precise));
    for Spot { slots, at, point } in &spots {
        let place = line(at);
        let others = match slots.len() {
            0 | 1 => String::new(),
            more => format!(" and {} more of the same line", more - 1),
        };
        writeln!(
            out,
            "  {:>6}  {:>6}  {:>6}  instruction {}{others}, {}",
            point.stored,
            point.hits,
            point.misses,
            slots.first().copied().unwrap_or_default(),
            printable(&place)
        )?;
        if point.open > 0 {
            writeln!(out, "{:26}{} with states of a loop that has not ended, which prove nothing yet", "", point.open)?;
        }
        for differs in point.differences.iter().take(REASONS) {
            writeln!(out, "{:26}{}", "", printable(&reason(differs)))?;
        }
    }
    if precise {
        writeln!(
            out,
            "\n  precise: what a number is decided something behind the instruction, so other numbers are walked anew"
        )?;
    }
    Ok(writeln!(out)?)
}

/// Instructions of one line at which states are compared: of an unrolled loop there are many.
struct Spot<'p> {
    slots: Vec<usize>,
    at: &'p At,
    point: Point,
}

/// By source line, the most comparisons in vain first. Without lines every instruction stands alone.
fn spots(profile: &Profile) -> Vec<Spot<'_>> {
    let mut spots: Vec<Spot<'_>> = Vec::new();
    for (slot, at, point) in profile.points.iter().filter(|(.., point)| point.misses > 0) {
        let Some(known) = spots.iter_mut().find(|spot| spot.at == at) else {
            spots.push(Spot { slots: vec![*slot], at, point: point.clone() });
            continue;
        };
        known.slots.push(*slot);
        let all = &mut known.point;
        all.stored += point.stored;
        all.hits += point.hits;
        all.misses += point.misses;
        all.open += point.open;
        for differs in &point.differences {
            match all.differences.iter_mut().find(|it| it.place == differs.place && it.why == differs.why) {
                Some(same) => same.count += differs.count,
                None => all.differences.push(differs.clone()),
            }
        }
    }
    for spot in &mut spots {
        spot.slots.sort_unstable();
        spot.point.differences.sort_by_key(|differs| std::cmp::Reverse(differs.count));
    }
    spots.sort_by_key(|spot| std::cmp::Reverse(spot.point.misses));
    spots.truncate(SHOWN);
    spots
}

fn percent(part: u64, of: u64) -> String {
    let tenths = (part * 1000).checked_div(of).unwrap_or(0);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// `parse() tcp.bpf.c:12  option = data[at];`.
fn line(at: &At) -> String {
    match at.file.is_empty() {
        true => format!("{}() instruction {}  {}", at.function, at.line, at.text),
        false => format!("{}() {}:{}  {}", at.function, at.file, at.line, at.text),
    }
}

fn reason(differs: &Differs) -> String {
    let Differs { place, why, count, stored, current, .. } = differs;
    let why = match why {
        Why::Context => return format!("{count} × {place} differ"),
        Why::Precise => ", precise",
        Why::Linked => ", tied to another number",
        Why::Pointer => "",
    };
    format!("{count} × {place}{why}: {stored} was stored, {current} came")
}
