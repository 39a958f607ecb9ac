//! The report as a page: all of it in one file, for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use ring3_parity::Class;
use serde_json::Value;

/// How it looks.
const STYLE: &str = include_str!("page.css");
/// Most rows of a table that can be long.
const ROWS: usize = 60;

/// Narrows the list of files to those with a text in them.
const SCRIPT: &str = "const box=document.getElementById('find');box&&box.addEventListener('input',()=>{const t=box.value.toLowerCase();\
    for(const d of document.querySelectorAll('details'))d.hidden=!d.textContent.toLowerCase().includes(t)})";

/// What a class is called on the page.
const fn label(class: Class) -> &'static str {
    match class {
        Class::FalseAccept => "false accept",
        Class::FalseReject => "false reject",
        Class::BothAccept => "both accept",
        Class::BothReject => "both reject",
        Class::Unjudged => "not known here yet",
        Class::Stopped => "beyond a bound",
        Class::Failed => "cannot be read",
        Class::Refused => "refused before the verifier",
        Class::Alone => "no kernel's verdict",
    }
}

/// The order of colours in bars: agreement first.
const ORDER: [Class; 9] = [
    Class::BothAccept,
    Class::BothReject,
    Class::FalseAccept,
    Class::FalseReject,
    Class::Unjudged,
    Class::Stopped,
    Class::Failed,
    Class::Refused,
    Class::Alone,
];

/// The page of a report.
pub fn page(report: &Value) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>ring3 beside the kernel</title>\n<style>\n{STYLE}</style>\n<main>\n"
    );
    for part in [head, tiles, change, expectations, missing, messages, sets, effort, files] {
        part(report, &mut out);
    }
    let _ = write!(out, "</main>\n<script>{SCRIPT}</script>\n</html>\n");
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A text of a report, ready for the page.
fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn head(report: &Value, out: &mut String) {
    let about = &report["about"];
    let kernel = about["kernel"].as_str().map_or_else(
        || "verdicts that were recorded on Linux 6.18".to_owned(),
        |release| format!("the running kernel, Linux {}", escape(release)),
    );
    let _ = writeln!(
        out,
        "<h1>ring3 beside the kernel</h1>\n<p>Every program of these corpora, judged by ring3 and by {kernel}, in {} s.</p>",
        number(&about["seconds"])
    );
    let recorded = &report["recorded"];
    if number(&recorded["compared"]) > 0 {
        let _ = writeln!(
            out,
            "<p>Of {} programs there is a recorded verdict of Linux 6.18: the running kernel's is another one in {}, and the \
             message in {}.</p>",
            number(&recorded["compared"]),
            number(&recorded["other_verdicts"]),
            rows(&recorded["differ"]).count()
        );
    }
    for corpus in rows(&about["corpora"]) {
        let _ = writeln!(out, "<p><b>{}</b>: {}</p>", text(&corpus["name"]), text(&corpus["note"]));
    }
    for line in rows(&about["skipped"]) {
        let _ = writeln!(out, "<p><b>skipped</b>: {}</p>", text(line));
    }
}

fn tiles(report: &Value, out: &mut String) {
    let totals = &report["totals"];
    let of = |name: &str| number(&totals[name]);
    let (agree, wrong) = (of("agree"), of("false_accept") + of("false_reject"));
    let judged = agree + wrong;
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    let mut tile = |kind: &str, big: String, small: String| {
        let _ = write!(out, "<div class=\"tile {kind}\"><b>{big}</b><span>{small}</span></div>");
    };
    tile("", of("programs").to_string(), "programs".to_owned());
    tile("good", agree.to_string(), format!("same verdict, {:.1} % of those that both judge", share(agree, judged)));
    let state = if of("false_accept") == 0 { "good" } else { "bad" };
    tile(state, of("false_accept").to_string(), "false accepts".to_owned());
    tile("", of("false_reject").to_string(), "false rejects".to_owned());
    tile("", of("unjudged").to_string(), "use what is not known here yet".to_owned());
    let same = share(of("same_message"), of("both_reject"));
    tile("", format!("{same:.1} %"), "of what both reject, with the same last message".to_owned());
    let expected = &report["expected"];
    let met = share(number(&expected["ours_as_expected"]), number(&expected["ours_judged"]));
    tile("", format!("{met:.1} %"), format!("of {} as their authors expect", number(&expected["ours_judged"])));
    if number(&report["time"]["programs"]) > 0 {
        let time = report["time"]["geometric_mean"].as_f64().unwrap_or(0.0);
        tile("", format!("{time:.2}×"), "the kernel's time, in the geometric mean".to_owned());
    }
    wrap(out, "<div class=\"tiles\">", "</div>");
    let _ = writeln!(out, "{}", bar(totals, "bar big"));
    out.push_str("<div class=\"legend\">");
    for class in ORDER.into_iter().filter(|class| of(class.name()) > 0) {
        let _ = write!(
            out,
            "<span><i style=\"background:var(--{})\"></i>{} {}</span>",
            class.name(),
            label(class),
            of(class.name())
        );
    }
    out.push_str("</div>\n");
}

/// Puts something around what was written since the last line.
fn wrap(out: &mut String, before: &str, after: &str) {
    let start = out.rfind('\n').map_or(0, |at| at + 1);
    out.insert_str(start, before);
    out.push_str(after);
    out.push('\n');
}

/// Counts by class as a bar.
fn bar(counts: &Value, class_of_bar: &str) -> String {
    let all: u64 = ORDER.iter().map(|class| number(&counts[class.name()])).sum();
    let part = |class: &Class| {
        let count = number(&counts[class.name()]);
        let name = class.name();
        let width = count as f64 * 100.0 / all.max(1) as f64;
        let title = format!("{}: {count}", label(*class));
        if count == 0 {
            String::new()
        } else {
            format!("<i style=\"width:{width:.2}%;background:var(--{name})\" title=\"{title}\"></i>")
        }
    };
    format!("<div class=\"{class_of_bar}\">{}</div>", ORDER.iter().map(part).collect::<String>())
}

fn tag(class: &str) -> String {
    let known = ORDER.into_iter().find(|known| known.name() == class);
    let words = known.map_or_else(|| escape(class), |class| label(class).to_owned());
    format!("<span class=\"tag\" style=\"background:var(--{})\">{words}</span>", escape(class))
}

fn change(report: &Value, out: &mut String) {
    let change = &report["change"];
    if change.is_null() {
        return;
    }
    out.push_str("<h2>Since the baseline</h2>\n");
    let before = &change["totals"];
    let delta = |name: &str| {
        let (now, then) = (number(&report["totals"][name]), number(&before[name]));
        let sign = if now >= then { "+" } else { "−" };
        format!("{sign}{}", now.abs_diff(then))
    };
    let _ = writeln!(
        out,
        "<p>agree {}, false accepts {}, false rejects {}, not known {}; {} programs are new, {} are gone.</p>",
        delta("agree"),
        delta("false_accept"),
        delta("false_reject"),
        delta("unjudged"),
        number(&change["new"]),
        number(&change["gone"])
    );
    let mut changed: Vec<&Value> = rows(&change["programs"]).collect();
    changed.sort_by_key(|row| row["better"].as_bool());
    if changed.is_empty() {
        return;
    }
    out.push_str("<table><tr><th>program<th>before<th>now<th>what ring3 says</tr>\n");
    for row in changed.iter().take(ROWS) {
        let _ = writeln!(
            out,
            "<tr><td class=\"wide\">{}<small>{}</small><td>{}<td>{}<td class=\"wide mono\">{}",
            text(&row["program"]),
            text(&row["file"]),
            tag(row["before"].as_str().unwrap_or_default()),
            tag(row["now"].as_str().unwrap_or_default()),
            text(&row["message"])
        );
    }
    out.push_str("</table>\n");
    more(out, changed.len());
}

/// How many rows were left out.
fn more(out: &mut String, all: usize) {
    if all > ROWS {
        let _ = writeln!(out, "<p>and {} more: report.json has them all.</p>", all - ROWS);
    }
}

fn missing(report: &Value, out: &mut String) {
    let all: Vec<&Value> = rows(&report["missing"]).collect();
    if all.is_empty() {
        return;
    }
    out.push_str(
        "<h2>What is missing</h2>\n<p>Things that programs use and ring3 refuses by name, by how many programs each would \
         unlock: those that the kernel accepts count first. A program counts for the first such thing that is met.</p>\n\
         <table><tr><th>what<th class=\"n\">programs<th class=\"n\">kernel accepts<th style=\"width:30%\"></tr>\n",
    );
    let most = all.iter().map(|row| number(&row["programs"])).max().unwrap_or(1).max(1);
    for row in all.iter().take(ROWS) {
        let programs = number(&row["programs"]);
        let width = programs as f64 * 100.0 / most as f64;
        let _ = writeln!(
            out,
            "<tr><td class=\"wide\">{}<td class=\"n\">{programs}<td class=\"n\">{}<td><div class=\"meter\" style=\"width:{width:.1}%\"></div>",
            text(&row["what"]),
            number(&row["kernel_accepts"])
        );
    }
    out.push_str("</table>\n");
    more(out, all.len());
}

fn messages(report: &Value, out: &mut String) {
    let all: Vec<&Value> = rows(&report["messages"]).collect();
    if all.is_empty() {
        return;
    }
    out.push_str(
        "<h2>Where they differ, by message</h2>\n<p>Other verdicts, and other reasons for the same verdict. Numbers in \
         messages are N.</p>\n<table><tr><th><th class=\"n\">programs<th>the kernel says<th>ring3 says<th>for example</tr>\n",
    );
    for row in all.iter().take(ROWS) {
        let _ = writeln!(
            out,
            "<tr><td>{}<td class=\"n\">{}<td class=\"wide mono\">{}<td class=\"wide mono\">{}<td class=\"wide\"><small>{}</small>",
            tag(row["class"].as_str().unwrap_or_default()),
            number(&row["programs"]),
            text(&row["kernel"]),
            text(&row["ours"]),
            text(&row["examples"][0])
        );
    }
    out.push_str("</table>\n");
    more(out, all.len());
}

/// Expectations of authors beside the verdict, by name in the report: what they are called, and how.
const EXPECTATIONS: [(&str, &str); 2] = [
    ("expected_messages", "parts of the log (<code>__msg</code>)"),
    ("retval", "results of runs (<code>__retval</code>)"),
];

fn expectations(report: &Value, out: &mut String) {
    let totals = &report["totals"];
    if EXPECTATIONS.iter().all(|(name, _)| number(&totals[*name]["tests"]) == 0) {
        return;
    }
    out.push_str(
        "<h2>What authors expect</h2>\n<p>The tests of Linux say what the log has to have, in which order, and what a run \
         returns. A side counts where it judged or ran the program.</p>\n<table><tr><th><th class=\"n\">tests\
         <th class=\"n\">the kernel meets<th class=\"n\">ring3 meets<th class=\"n\">only the kernel meets</tr>\n",
    );
    for (name, words) in EXPECTATIONS {
        let count = |part: &str| number(&totals[name][part]);
        let _ = writeln!(
            out,
            "<tr><td>{words}<td class=\"n\">{}<td class=\"n\">{} of {}<td class=\"n\">{} of {}<td class=\"n\">{}",
            count("tests"),
            count("kernel"),
            count("kernel_known"),
            count("ours"),
            count("ours_known"),
            count("owed")
        );
    }
    out.push_str("</table>\n");
    let owed = |row: &Value| EXPECTATIONS.map(|(name, _)| row[name]["kernel"] == true && row[name]["ours"] == false);
    let all: Vec<&Value> = rows(&report["programs"]).filter(|row| owed(row).contains(&true)).collect();
    if all.is_empty() {
        return;
    }
    out.push_str("<table><tr><th>only the kernel meets<th>what is missing here</tr>\n");
    for row in all.iter().take(ROWS) {
        let missing: Vec<String> = EXPECTATIONS.iter().map(|(name, _)| text(&row[*name]["ours_unmet"])).collect();
        let _ = writeln!(
            out,
            "<tr><td class=\"wide\">{}<small>{}</small><td class=\"wide mono\">{}",
            text(&row["program"]),
            text(&row["file"]),
            missing.concat()
        );
    }
    out.push_str("</table>\n");
    more(out, all.len());
}

fn sets(report: &Value, out: &mut String) {
    out.push_str("<h2>By corpus</h2>\n<table><tr><th>corpus<th class=\"n\">programs<th class=\"n\">agree<th class=\"n\">false accepts<th class=\"n\">false rejects<th style=\"width:40%\"></tr>\n");
    for row in rows(&report["sets"]) {
        let agree = number(&row["both_accept"]) + number(&row["both_reject"]);
        let _ = writeln!(
            out,
            "<tr><td>{}<td class=\"n\">{}<td class=\"n\">{agree}<td class=\"n\">{}<td class=\"n\">{}<td>{}",
            text(&row["name"]),
            number(&row["programs"]),
            number(&row["false_accept"]),
            number(&row["false_reject"]),
            bar(row, "bar")
        );
    }
    out.push_str("</table>\n");
}

fn effort(report: &Value, out: &mut String) {
    out.push_str("<h2>Effort</h2>\n<p>Ours divided by the kernel's, over programs with the same verdict.</p>\n<table><tr><th><th class=\"n\">programs<th class=\"n\">sum by sum<th class=\"n\">geometric mean<th>the ten with most</tr>\n");
    for (name, words) in [("processed", "instructions processed"), ("time", "time, in µs")] {
        let ratios = &report[name];
        let real = |value: &Value| format!("{:.3}", value.as_f64().unwrap_or(0.0));
        let worst: Vec<String> = rows(&ratios["worst"])
            .map(|row| {
                let (ours, kernel) = (number(&row["ours"]), number(&row["kernel"]));
                format!("{} {}× ({ours} / {kernel})", text(&row["program"]), real(&row["ratio"]))
            })
            .collect();
        let _ = writeln!(
            out,
            "<tr><td>{words}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"wide\"><small>{}</small>",
            number(&ratios["programs"]),
            real(&ratios["total"]),
            real(&ratios["geometric_mean"]),
            worst.join(", ")
        );
    }
    out.push_str("</table>\n");
}

fn files(report: &Value, out: &mut String) {
    let mut by_file: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for row in rows(&report["programs"]) {
        by_file.entry(row["file"].as_str().unwrap_or_default()).or_default().push(row);
    }
    let _ = writeln!(
        out,
        "<h2>By file</h2>\n<p>{} files. Open one for its programs.</p>\n<input id=\"find\" placeholder=\"file, program, message\" aria-label=\"find\">",
        by_file.len()
    );
    let counts: BTreeMap<&str, &Value> =
        rows(&report["files"]).map(|row| (row["name"].as_str().unwrap_or_default(), row)).collect();
    for (file, programs) in by_file {
        let bar = counts.get(file).map_or_else(String::new, |row| bar(row, "bar"));
        let _ = writeln!(
            out,
            "<details><summary><span class=\"mono\">{}</span><span class=\"n\">{}</span>{bar}</summary><table>",
            escape(file),
            programs.len()
        );
        for row in programs {
            program(row, out);
        }
        out.push_str("</table></details>\n");
    }
}

fn program(row: &Value, out: &mut String) {
    let (kernel, ours) = (text(&row["kernel_message"]), text(&row["ours_message"]));
    let words = if kernel == ours { ours } else { format!("{ours}<small>kernel: {kernel}</small>") };
    let count = |name: &str| row[name].as_u64().map_or_else(|| "–".to_owned(), |n| n.to_string());
    let _ = writeln!(
        out,
        "<tr><td class=\"wide\">{}<td>{}<td class=\"wide mono\">{words}<td class=\"n\">{} / {}",
        text(&row["program"]),
        tag(row["class"].as_str().unwrap_or_default()),
        count("ours_processed"),
        count("kernel_processed")
    );
}
