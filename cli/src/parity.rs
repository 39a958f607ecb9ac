//! `ring3 parity`: what the running kernel and ring3 say of the same programs.

use std::io::Write;
use std::path::Path;

use ring3::{Engine, Object};
use ring3_parity::run::{self, RunRow, run_object};
use ring3_parity::{Answer, Bounds, Class, Kernel, Nobody, Ours, Ratios, Referee, Report, Row, Verdict, judge_object};

use serde_json::json;

use crate::Outcome;
use crate::args::{Format, ParityArgs};
use crate::capture::{self, Capture, Links};
use crate::error::CliError;
use crate::output::{Ink, Out, hex, printable};
use crate::table::{Column, csv, line};
use crate::verify::time;

/// Columns of the CSV form, which are also names of JSON fields.
const FIELDS: [&str; 18] = [
    "file",
    "program",
    "class",
    "kernel",
    "ours",
    "same_message",
    "kernel_errno",
    "kernel_message",
    "kernel_processed",
    "kernel_total_states",
    "kernel_peak_states",
    "kernel_time_us",
    "ours_errno",
    "ours_message",
    "ours_processed",
    "ours_total_states",
    "ours_peak_states",
    "ours_time_us",
];

/// Packets that may be given, at most.
const MAX_GIVEN: usize = 10_000;

/// Judges the programs, or runs them, and prints what differs.
pub fn parity(args: &ParityArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let mut bad = Outcome::Good;
    let mut objects = Vec::new();
    for path in &args.objects {
        match ring3::open(path) {
            Ok(object) => objects.push(object),
            Err(error) => {
                writeln!(std::io::stderr(), "ring3: {error}")?;
                bad = Outcome::BadInput;
            }
        }
    }
    if objects.is_empty() {
        return Ok(bad);
    }
    let mut kernel = match Kernel::open() {
        Ok(kernel) => Some(kernel),
        Err(why) => {
            writeln!(std::io::stderr(), "ring3: bpf(2) cannot be used: {why}; programs are judged here alone")?;
            None
        }
    };
    if let Some(kernel) = &kernel {
        objects.iter_mut().for_each(|object| object.answer(kernel.values()));
    }
    let outcome = match args.run {
        false => verdicts(args, &objects, kernel.as_mut(), out)?,
        true => runs(args, &objects, kernel.as_ref(), out)?,
    };
    Ok(outcome.max(bad))
}

/// Judges all programs.
fn verdicts(
    args: &ParityArgs,
    objects: &[Object],
    kernel: Option<&mut Kernel>,
    out: &mut Out,
) -> Result<Outcome, CliError> {
    let target = kernel.as_ref().map_or_else(Default::default, |kernel| kernel.target());
    let mut nobody = Nobody;
    let referee: &mut dyn Referee = match kernel {
        Some(kernel) => kernel,
        None => &mut nobody,
    };
    let mut rows = Vec::new();
    for object in objects {
        rows.extend(judge_object(object, &target, referee, &Bounds::default(), |name| args.selects(name)));
    }
    let report = Report { rows };
    match args.output {
        Format::Json => writeln!(out, "{}", ring3_parity::json(&report))?,
        Format::Csv => print_csv(&report, out)?,
        Format::Table => print_table(&report, out)?,
    }
    Ok(outcome(&report))
}

/// Packets or contexts of the command line.
fn given(args: &ParityArgs) -> Result<Vec<Vec<u8>>, CliError> {
    let bytes = |text: &String| {
        let bytes = ring3::text::hex_bytes(text).filter(|bytes| bytes.len() <= capture::MAX_PACKET);
        bytes.ok_or_else(|| CliError::Input(format!("--data {text}: not pairs of hexadecimal digits")))
    };
    let mut all = args.data.iter().map(bytes).collect::<Result<Vec<_>, _>>()?;
    for path in &args.pcap {
        let mut capture = Capture::open(path, Links::Ethernet)?;
        while let Some(packet) = capture.next()? {
            if all.len() >= MAX_GIVEN {
                return Err(CliError::file(path, format!("more than {MAX_GIVEN} packets")));
            }
            all.push(packet.data);
        }
    }
    Ok(all)
}

/// Runs all programs on every engine.
fn runs(args: &ParityArgs, objects: &[Object], kernel: Option<&Kernel>, out: &mut Out) -> Result<Outcome, CliError> {
    let given = given(args)?;
    let target = kernel.map(Kernel::target).unwrap_or_default();
    let mut engine = Engine::new().cpus(target.cpus);
    if let Some(types) = &target.btf {
        engine = engine.btf((**types).clone());
    }
    let mut rows = Vec::new();
    for object in objects {
        let of_object = run_object(object, &engine, kernel.is_some(), &given, |name| args.selects(name));
        if args.output == Format::Table {
            of_object.iter().try_for_each(|row| print_run(row, out))?;
        }
        rows.extend(of_object);
    }
    let differences: usize = rows.iter().map(|row| row.differences().len()).sum();
    let ran = rows.iter().filter(|row| matches!(row.outcome, run::Outcome::Ran(_))).count();
    let totals = json!({ "programs": rows.len(), "ran": ran, "differences": differences });
    match args.output {
        Format::Table => writeln!(out, "\n{} programs, {ran} of them run: {differences} differences", rows.len())?,
        Format::Json => {
            let programs: Vec<_> = rows.iter().map(RunRow::json).collect();
            writeln!(out, "{}", json!({ "totals": totals, "programs": programs }))?;
        }
        Format::Csv => {
            writeln!(out, "{}", csv(&RUN_FIELDS))?;
            for row in &rows {
                print_run_csv(row, out)?;
            }
        }
    }
    Ok(if differences > 0 { Outcome::Rejected } else { Outcome::Good })
}

/// Columns of the CSV form of runs: a line for each difference, and one for each program without.
const RUN_FIELDS: [&str; 9] = ["file", "program", "inputs", "what", "engine", "has", "others", "others_have", "input"];

fn print_run_csv(row: &RunRow, out: &mut Out) -> Result<(), CliError> {
    let inputs = match &row.outcome {
        run::Outcome::NotRun(_) => String::new(),
        run::Outcome::Ran(comparison) => comparison.inputs.to_string(),
    };
    let (file, program) = (row.file.as_str(), row.program.as_str());
    if row.differences().is_empty() {
        writeln!(out, "{}", csv(&[file, program, &inputs, "", "", "", "", "", ""]))?;
    }
    for difference in row.differences() {
        let ((one, this), (others, that)) = (&difference.one, &difference.others);
        let (others, input) = (others.join(" "), hex(&difference.input));
        writeln!(out, "{}", csv(&[file, program, &inputs, &difference.what, one, this, &others, that, &input]))?;
    }
    Ok(())
}

fn print_run(row: &RunRow, out: &mut Out) -> Result<(), CliError> {
    let (file, program) = (printable(file_name(&row.file)), printable(&row.program));
    let ran = match &row.outcome {
        run::Outcome::NotRun(why) => {
            let text = format!("{file} {program}: not run: {}", printable(why));
            return Ok(writeln!(out, "{}", out.ink(Ink::Faint, &text))?);
        }
        run::Outcome::Ran(ran) => ran,
    };
    let mut text = format!("{file} {program}: {} inputs on {}", ran.inputs, ran.engines.join(", "));
    if ran.refused > 0 {
        text += &format!("; {} not taken by {}", ran.refused, ran.engines[0]);
    }
    if ran.only_here > 0 {
        text += &format!(", {} of them taken here", ran.only_here);
    }
    if ran.fragments > 0 {
        text += &format!(", {} of them in fragments", ran.fragments);
    }
    if ran.inputs_left_out > 0 {
        text += &format!("; {} left out, as those before took too long", ran.inputs_left_out);
    }
    if ran.together {
        text += "; maps compared behind many inputs, as they are large";
    }
    if !ran.left_out.is_empty() {
        text += &format!("; not compared, as too large: {}", printable(&ran.left_out.join(", ")));
    }
    if !ran.depends.is_empty() {
        let words: Vec<&str> = ran.depends.iter().map(|depends| depends.words()).collect();
        let unlike = if ran.engines.contains(&"kernel") { "not compared" } else { "not compared with the kernel" };
        text += &format!("; {unlike}, as it depends on: {}", words.join(", "));
    }
    let ink = if ran.differences.is_empty() { Ink::Good } else { Ink::Bad };
    writeln!(out, "{}", out.ink(ink, &text))?;
    for difference in &ran.differences {
        let ((one, this), (others, that)) = (&difference.one, &difference.others);
        let others = others.join(", ");
        let width = one.len().max(others.len());
        writeln!(out, "    {} differs", printable(&difference.what))?;
        writeln!(out, "        {one:width$}  {}", printable(this))?;
        writeln!(out, "        {others:width$}  {}", printable(that))?;
        writeln!(out, "        {:width$}  {}", "input", hex(&difference.input))?;
    }
    Ok(())
}

/// A false accept is what must never happen; everything else is a matter of what is built.
fn outcome(report: &Report) -> Outcome {
    if report.totals().false_accept > 0 { Outcome::Rejected } else { Outcome::Good }
}

fn print_csv(report: &Report, out: &mut Out) -> Result<(), CliError> {
    writeln!(out, "{}", csv(&FIELDS))?;
    for row in &report.rows {
        let json = row.json();
        let texts = FIELDS.map(|field| match &json[field] {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Null => String::new(),
            value => value.to_string(),
        });
        writeln!(out, "{}", csv(&texts.each_ref().map(String::as_str)))?;
    }
    Ok(())
}

fn print_table(report: &Report, out: &mut Out) -> Result<(), CliError> {
    let columns = [
        Column::left("PROGRAM", report.rows.iter().map(|row| row.program.as_str()), 32),
        Column { width: 6, ..Column::left("KERNEL", std::iter::empty(), 0) },
        Column { width: 6, ..Column::left("RING3", std::iter::empty(), 0) },
        Column::right("INSNS", 7),
        Column::right("RING3", 7),
        Column::right("STATES", 6),
        Column::right("RING3", 6),
        Column::right("PEAK", 5),
        Column::right("RING3", 5),
        Column::right("TIME", 8),
        Column::right("RING3", 8),
    ];
    let heading = line(&columns, &columns.map(|column| column.name), |_, text| text.to_owned());
    writeln!(out, "{}", out.ink(Ink::Strong, &heading))?;
    let mut file = "";
    for row in &report.rows {
        if row.file != file {
            file = &row.file;
            writeln!(out, "{}", out.ink(Ink::Faint, &printable(file)))?;
        }
        print_row(row, &columns, out)?;
    }
    print_totals(report, out)
}

fn print_row(row: &Row, columns: &[Column], out: &mut Out) -> Result<(), CliError> {
    let (kernel, ours) = (row.pair.kernel.verdict(), row.pair.ours.verdict());
    let number =
        |of: Option<&Verdict>, number: fn(&Verdict) -> u32| of.map_or_else(String::new, |v| number(v).to_string());
    let took = |of: Option<&Verdict>| {
        of.map_or_else(String::new, |v| time(u64::try_from(v.took.as_micros()).unwrap_or(u64::MAX)))
    };
    let texts = [
        &printable(&row.program)[..],
        dash(row.kernel_word()),
        dash(row.ours_word()),
        &number(kernel, Verdict::processed),
        &number(ours, Verdict::processed),
        &number(kernel, Verdict::total_states),
        &number(ours, Verdict::total_states),
        &number(kernel, Verdict::peak_states),
        &number(ours, Verdict::peak_states),
        &took(kernel),
        &took(ours),
    ];
    let class = row.pair.class();
    let ink = ink(class);
    let text = line(columns, &texts, |at, text| out.ink(if at == 1 || at == 2 { ink } else { Ink::Plain }, text));
    writeln!(out, "{text}")?;
    let said =
        |who: &str, text: &str| if text.is_empty() { String::new() } else { format!("    {who}{}", printable(text)) };
    let notes = match (class, &row.pair.kernel, &row.pair.ours) {
        _ if row.pair.same_message() => [said("both: ", row.pair.ours.message()), String::new()],
        (_, Answer::Judged(kernel), _) => [said("kernel: ", &kernel.message), said("ring3: ", row.pair.ours.message())],
        (_, Answer::Refused { why, .. }, ours) => {
            [said("kernel, before its verifier: ", why), said("ring3: ", ours.message())]
        }
        (_, Answer::Nothing, Ours::Unjudged { what, verdict: None }) => [said("unjudged: ", what), String::new()],
        (_, Answer::Nothing, ours) => [said("ring3: ", ours.message()), String::new()],
    };
    for note in notes.iter().filter(|note| !note.is_empty()) {
        writeln!(out, "{note}")?;
    }
    Ok(())
}

/// A dash for what is not there.
fn dash(word: &str) -> &str {
    if word == "none" { "-" } else { word }
}

const fn ink(class: Class) -> Ink {
    match class {
        Class::BothAccept | Class::BothReject => Ink::Good,
        Class::FalseAccept | Class::FalseReject | Class::Stopped | Class::Failed => Ink::Bad,
        Class::Unjudged | Class::Refused | Class::Alone => Ink::Plain,
    }
}

/// A class in the words of the totals.
const fn words(class: Class) -> &'static str {
    match class {
        Class::FalseAccept => "FALSE ACCEPTS: ring3 accepts what the kernel's verifier rejects",
        Class::FalseReject => "false rejects: ring3 rejects what the kernel accepts",
        Class::BothAccept => "accepted by both",
        Class::BothReject => "rejected by both",
        Class::Unjudged => "not judged by ring3 yet",
        Class::Stopped => "given up by ring3 at a bound of time or memory",
        Class::Failed => "not read or linked by ring3",
        Class::Refused => "refused by the kernel before its verifier ran",
        Class::Alone => "judged by ring3 alone",
    }
}

fn print_totals(report: &Report, out: &mut Out) -> Result<(), CliError> {
    let totals = report.totals();
    writeln!(out, "\n{}", out.ink(Ink::Strong, &format!("{:6} programs", totals.programs)))?;
    for class in Class::ALL {
        let count = totals.of(class);
        // Whether there is a false accept is told either way.
        if count == 0 && class != Class::FalseAccept {
            continue;
        }
        let ink = if count == 0 { Ink::Plain } else { ink(class) };
        let more = match class {
            Class::BothReject => format!(", {} of them with the same last message", totals.same_message),
            _ => String::new(),
        };
        writeln!(out, "{}", out.ink(ink, &format!("{count:6} {}{more}", words(class))))?;
    }
    for (what, count) in report.unjudged() {
        writeln!(out, "       {count:6} {}", printable(what))?;
    }
    print_ratios(report, "instructions processed", &report.processed(), |number| number.to_string(), out)?;
    print_ratios(report, "time", &report.time(), time, out)
}

/// Ours divided by the kernel's.
fn print_ratios(
    report: &Report,
    what: &str,
    ratios: &Ratios,
    unit: impl Fn(u64) -> String,
    out: &mut Out,
) -> Result<(), CliError> {
    if ratios.programs == 0 {
        return Ok(());
    }
    let text = format!("{what}, ring3 / kernel: {:.2} in all, {:.2} in the geometric mean", ratios.total, ratios.mean);
    writeln!(out, "\n{}", out.ink(Ink::Strong, &text))?;
    // Only what is more than the kernel's is bad.
    for ratio in ratios.worst.iter().filter(|ratio| ratio.ratio > 1.0) {
        let row = &report.rows[ratio.row];
        let (file, program) = (printable(file_name(&row.file)), printable(&row.program));
        writeln!(out, "{:10.2}  {file} {program}: {} / {}", ratio.ratio, unit(ratio.ours), unit(ratio.kernel))?;
    }
    Ok(())
}

fn file_name(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ring3::Program;

    use super::*;

    /// A kernel that rejects everything.
    struct Rejects;

    impl Referee for Rejects {
        fn judge(&mut self, _file: &str, _program: &Program) -> Answer {
            Answer::Judged(Verdict { errno: 13, message: "planted".to_owned(), ..Verdict::default() })
        }
    }

    #[test]
    fn a_false_accept_is_told_by_the_exit_status() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/bpf/drop_icmp.bpf.o");
        let object = ring3::open(path).unwrap();
        let judged = |referee: &mut dyn Referee| {
            let target = std::sync::Arc::default();
            Report { rows: judge_object(&object, &target, referee, &Bounds::default(), |_| true) }
        };
        let report = judged(&mut Rejects);
        assert_eq!((report.totals().programs, report.totals().false_accept), (1, 1));
        assert_eq!(outcome(&report), Outcome::Rejected);
        assert_eq!(outcome(&judged(&mut Nobody)), Outcome::Good);
    }
}
