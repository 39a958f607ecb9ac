//! The report: totals, by file, by message, what is missing, and what changed since a baseline.

use std::collections::BTreeMap;

use ring3_parity::{Answer, Class, Ours, Report, json};
use serde_json::{Map, Value, json};

use super::check::{Side, Sides};
use super::corpus::Corpus;
use super::recorded::Recorded;
use super::{Entry, Source};

/// Where and how it was made.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct About {
    /// Release of the kernel that was asked; nothing if recorded verdicts serve.
    pub kernel: Option<String>,
    /// Corpora that are there, with their notes.
    pub corpora: Vec<(String, String)>,
    /// What is missing, and why.
    pub skipped: Vec<String>,
    /// How long the judging took, in seconds.
    pub seconds: u64,
}

impl About {
    /// Notes a corpus.
    pub fn add(&mut self, corpus: &Corpus) {
        self.corpora.push((corpus.name.to_owned(), corpus.note.clone()));
    }
}

/// Lines of what is missing in the summary.
const SHOWN: usize = 15;
/// Most examples of programs in a group.
const EXAMPLES: usize = 5;

/// All of it as JSON.
///
/// To what [`ring3_parity::json`] writes, each program gets `set`, `kernel_recorded` and `expected`; beside it there are
/// `about`, `sets`, `files`, `messages` (why programs are refused here alone, or for other reasons), `missing` (what ring3 does not know yet, and how many programs
/// it would unlock), `expected` and, with a baseline, `change`.
pub fn report(entries: &[Entry], about: &About, baseline: Option<&Value>) -> Value {
    let rows = Report { rows: entries.iter().map(|entry| entry.row.clone()).collect() };
    let mut whole = json(&rows);
    if let Some(programs) = whole["programs"].as_array_mut() {
        for (program, entry) in programs.iter_mut().zip(entries) {
            program["set"] = entry.set.into();
            program["kernel_recorded"] = (entry.source == Source::Recorded).into();
            program["expected"] = entry.expected.map(|good| if good { "accept" } else { "reject" }).into();
            for (name, sides) in expectations(entry) {
                program[name] = sides.json();
            }
        }
    }
    for (name, sides) in CHECKED {
        whole["totals"][name] = counted(entries, sides);
    }
    whole["recorded"] = recorded(entries);
    whole["about"] = json!({
        "kernel": about.kernel,
        "corpora": about.corpora.iter().map(|(name, note)| json!({"name": name, "note": note})).collect::<Vec<_>>(),
        "skipped": about.skipped,
        "seconds": about.seconds,
    });
    whole["sets"] = tally(entries, |entry| entry.set);
    whole["files"] = tally(entries, |entry| &entry.row.file);
    whole["missing"] = missing(entries);
    whole["messages"] = messages(entries);
    whole["expected"] = expected(entries);
    if let Some(baseline) = baseline {
        whole["change"] = change(entries, baseline);
    }
    whole
}

/// How the running kernel's answers compare with those that were recorded of another one.
fn recorded(entries: &[Entry]) -> Value {
    let table = Recorded::v6_18();
    let (mut compared, mut differ) = (0, Vec::new());
    for entry in entries.iter().filter(|entry| entry.source == Source::Live && entry.set == "selftests") {
        let (row, known) = (&entry.row, table.get(&entry.row.file, &entry.row.program));
        let (Some(now), Some(then)) = (row.pair.kernel.verdict(), known.and_then(Answer::verdict)) else { continue };
        compared += 1;
        if (now.errno, &now.message) != (then.errno, &then.message) {
            differ.push(json!({
                "file": row.file,
                "program": row.program,
                "same_verdict": now.accepts() == then.accepts(),
                "recorded": format!("{} {}", then.errno, then.message),
                "live": format!("{} {}", now.errno, now.message),
            }));
        }
    }
    let other = differ.iter().filter(|row| row["same_verdict"] == false).count();
    json!({ "compared": compared, "other_verdicts": other, "differ": differ })
}

/// Counts by class of each of the groups, in their order.
fn tally<'a>(entries: &'a [Entry], group: impl Fn(&'a Entry) -> &'a str) -> Value {
    let mut groups: BTreeMap<&str, BTreeMap<Class, usize>> = BTreeMap::new();
    for entry in entries {
        *groups.entry(group(entry)).or_default().entry(entry.row.pair.class()).or_default() += 1;
    }
    let row = |(name, counts): (&str, BTreeMap<Class, usize>)| {
        let mut row = json!({ "name": name, "programs": counts.values().sum::<usize>() });
        for (class, count) in counts {
            row[class.name()] = count.into();
        }
        row
    };
    groups.into_iter().map(row).collect()
}

/// A group of programs in the making.
#[derive(Default)]
struct Group {
    programs: usize,
    accepted: usize,
    examples: Vec<String>,
}

impl Group {
    fn add(&mut self, entry: &Entry) {
        self.programs += 1;
        let accepts = entry.row.pair.kernel.verdict().is_some_and(ring3_parity::Verdict::accepts);
        self.accepted += usize::from(accepts);
        if self.examples.len() < EXAMPLES {
            self.examples.push(format!("{}:{}", entry.row.file, entry.row.program));
        }
    }
}

/// What ring3 does not know yet, the most wanted first: those count that the kernel accepts.
fn missing(entries: &[Entry]) -> Value {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for entry in entries {
        if let Ours::Unjudged { what, .. } = &entry.row.pair.ours {
            groups.entry(without_names(what)).or_default().add(entry);
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|(a, x), (b, y)| (y.accepted, y.programs, a).cmp(&(x.accepted, x.programs, b)));
    let row = |(what, group): (String, Group)| json!({ "what": what, "programs": group.programs, "kernel_accepts": group.accepted, "examples": group.examples });
    groups.into_iter().map(row).collect()
}

/// Pairs of messages where the two disagree, or refuse for other reasons: numbers in them do not count.
fn messages(entries: &[Entry]) -> Value {
    let mut groups: BTreeMap<(Class, String, String), Group> = BTreeMap::new();
    for entry in entries {
        let pair = &entry.row.pair;
        let class = pair.class();
        let differ = match class {
            Class::FalseAccept | Class::FalseReject | Class::Failed | Class::Stopped => true,
            Class::BothReject => !pair.same_message(),
            Class::BothAccept | Class::Unjudged | Class::Refused | Class::Alone => false,
        };
        if differ {
            let kernel = pair.kernel.verdict().map_or("", |verdict| verdict.message.as_str());
            let key = (class, without_numbers(kernel), without_numbers(pair.ours.message()));
            groups.entry(key).or_default().add(entry);
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|(a, x), (b, y)| {
        (a.0, std::cmp::Reverse(x.programs), &a.1, &a.2).cmp(&(b.0, std::cmp::Reverse(y.programs), &b.1, &b.2))
    });
    let row = |((class, kernel, ours), group): ((Class, String, String), Group)| json!({ "class": class.name(), "kernel": kernel, "ours": ours, "programs": group.programs, "examples": group.examples });
    groups.into_iter().map(row).collect()
}

/// What stands before a name or number that differs from program to program.
const BEFORE_NAMES: &[&str] = &["the map '", "the global function ", "with BTF id "];

/// What is missing, without the names of the program's own things.
fn without_names(what: &str) -> String {
    let cut = |before: &&str| what.find(before).map(|at| &what[..at + before.len()]);
    let start = BEFORE_NAMES.iter().find_map(cut);
    start.map_or_else(|| what.to_owned(), |start| format!("{}…", start.trim_end_matches('\'')))
}

/// A message with `N` for each number, so that messages of one kind are the same.
fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut word = false;
    for (at, c) in text.char_indices() {
        let after_word = word && c.is_ascii_digit();
        word = c.is_ascii_alphanumeric() || c == '_';
        if c.is_ascii_digit() && !after_word {
            out.push('N');
        } else if !c.is_ascii_digit() || !out.ends_with('N') {
            // Digits within a number are gone; those within a name stay.
            out.push(c);
        }
        debug_assert!(at < text.len());
    }
    out
}

/// How the authors' expectations of programs compare with both sides.
fn expected(entries: &[Entry]) -> Value {
    let (mut all, mut kernel, mut kernel_met, mut ours, mut ours_met) = (0, 0, 0, 0, 0);
    for entry in entries {
        let Some(good) = entry.expected else { continue };
        all += 1;
        if let Some(verdict) = entry.row.pair.kernel.verdict() {
            kernel += 1;
            kernel_met += usize::from(verdict.accepts() == good);
        }
        if let Some(verdict) = entry.row.pair.ours.verdict() {
            ours += 1;
            ours_met += usize::from(verdict.accepts() == good);
        }
    }
    json!({ "programs": all, "kernel_judged": kernel, "kernel_as_expected": kernel_met, "ours_judged": ours, "ours_as_expected": ours_met })
}

/// What an entry has beside the verdict.
type SidesOf = fn(&Entry) -> Option<&Sides>;

/// Expectations beside the verdict, by name.
const CHECKED: [(&str, SidesOf); 2] =
    [("expected_messages", |entry| entry.checked.messages.as_ref()), ("retval", |entry| entry.checked.runs.as_ref())];

/// Those that there are about a program.
fn expectations(entry: &Entry) -> impl Iterator<Item = (&'static str, &Sides)> {
    CHECKED.into_iter().filter_map(|(name, sides)| Some((name, sides(entry)?)))
}

impl Sides {
    fn json(&self) -> Value {
        let mut row = json!({ "kernel": self.kernel.known(), "ours": self.ours.known() });
        for (name, side) in [("kernel_unmet", &self.kernel), ("ours_unmet", &self.ours)] {
            if let Side::Unmet(what) = side {
                row[name] = what.as_str().into();
            }
        }
        row
    }
}

/// How many expectations there are, how many of them each side could meet, and how many it meets; `owed` are those that the
/// kernel meets and ring3 does not, though it judges or runs the program.
fn counted(entries: &[Entry], sides: SidesOf) -> Value {
    let all: Vec<&Sides> = entries.iter().filter_map(sides).collect();
    let count = |wanted: &dyn Fn(&Sides) -> bool| all.iter().filter(|sides| wanted(sides)).count();
    json!({
        "tests": all.len(),
        "kernel_known": count(&|sides| sides.kernel != Side::Unknown),
        "kernel": count(&|sides| sides.kernel == Side::Met),
        "ours_known": count(&|sides| sides.ours != Side::Unknown),
        "ours": count(&|sides| sides.ours == Side::Met),
        "owed": count(&|sides| sides.kernel == Side::Met && sides.ours.known() == Some(false)),
    })
}

/// What ring3 meets of a program's expectations, as the baseline has it.
fn met(entry: &Entry) -> impl Iterator<Item = &'static str> {
    expectations(entry).filter(|(_, sides)| sides.ours == Side::Met).map(|(name, _)| name)
}

/// The classes of all programs, by file, and what ring3 meets of their expectations: what is committed as the baseline.
pub fn baseline(entries: &[Entry]) -> Value {
    let rows = Report { rows: entries.iter().map(|entry| entry.row.clone()).collect() };
    let mut files: Map<String, Value> = Map::new();
    for entry in entries {
        let file = files.entry(key(entry)).or_insert_with(|| json!({}));
        for list in [entry.row.pair.class().name()].into_iter().chain(met(entry)) {
            let names = &mut file[list];
            match names.as_array_mut() {
                Some(names) => names.push(entry.row.program.as_str().into()),
                None => *names = json!([entry.row.program]),
            }
        }
    }
    let mut totals = json(&rows)["totals"].take();
    for (name, sides) in CHECKED {
        totals[name] = counted(entries, sides);
    }
    json!({ "totals": totals, "files": files })
}

/// A baseline as text, a line for each file.
pub fn baseline_text(baseline: &Value) -> String {
    let mut text = format!("{{\n\"totals\": {},\n\"files\": {{", baseline["totals"]);
    let files = baseline["files"].as_object();
    for (at, (file, classes)) in files.into_iter().flatten().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        text.push_str(&format!("{comma}\n{}: {classes}", Value::from(file.as_str())));
    }
    text.push_str("\n}\n}\n");
    text
}

fn key(entry: &Entry) -> String {
    format!("{}/{}", entry.set, entry.row.file)
}

/// What is other than in the baseline: programs whose class changed, those that it does not know, those that are gone.
fn change(entries: &[Entry], baseline: &Value) -> Value {
    // Several programs of a file may have one name.
    let mut before: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for (file, classes) in baseline["files"].as_object().into_iter().flatten() {
        let classes = classes.as_object().into_iter().flatten();
        for (class, programs) in classes.filter(|(class, _)| !CHECKED.iter().any(|(name, _)| name == class)) {
            for program in programs.as_array().into_iter().flatten().filter_map(Value::as_str) {
                before.entry((file.clone(), program.to_owned())).or_default().push(class.clone());
            }
        }
    }
    let (mut changed, mut new) = (Vec::new(), 0);
    for entry in entries {
        let now = entry.row.pair.class().name();
        let then = before.get_mut(&(key(entry), entry.row.program.clone())).and_then(|classes| {
            let same = classes.iter().position(|class| class == now);
            same.or(classes.len().checked_sub(1)).map(|at| classes.remove(at))
        });
        match then {
            Some(then) if then != now => changed.push(json!({
                "set": entry.set,
                "file": entry.row.file,
                "program": entry.row.program,
                "before": then,
                "now": now,
                "better": rank(now) < rank(&then),
                "message": entry.row.pair.ours.message(),
            })),
            Some(_) => {}
            None => new += 1,
        }
    }
    // What cannot be had on this machine is not gone.
    let sets: Vec<String> = entries.iter().map(|entry| format!("{}/", entry.set)).collect();
    let is_here = |file: &str| sets.iter().any(|set| file.starts_with(set.as_str()));
    let gone = before.iter().filter(|((file, _), _)| is_here(file)).map(|(_, classes)| classes.len()).sum::<usize>();
    let expectations = change_of_expectations(entries, baseline);
    json!({ "totals": baseline["totals"], "programs": changed, "expectations": expectations, "new": new, "gone": gone })
}

/// Expectations that are met now and were not, and the other way round. Of several programs of one name only the first counts.
fn change_of_expectations(entries: &[Entry], baseline: &Value) -> Value {
    let mut changed = Vec::new();
    for entry in entries {
        let file = &baseline["files"][key(entry)];
        for (name, sides) in expectations(entry) {
            let Some(now) = sides.ours.known() else { continue };
            let before = file[name].as_array().is_some_and(|met| met.iter().any(|name| *name == entry.row.program));
            if now == before || (!now && !file.is_object()) {
                continue;
            }
            changed.push(json!({
                "set": entry.set,
                "file": entry.row.file,
                "program": entry.row.program,
                "what": name,
                "better": now,
                "unmet": if let Side::Unmet(what) = &sides.ours { what.as_str() } else { "" },
            }));
        }
    }
    changed.into()
}

/// Lower is better.
fn rank(class: &str) -> usize {
    match class {
        "both_accept" | "both_reject" => 0,
        "refused" | "alone" => 1,
        "unjudged" => 2,
        "false_reject" => 3,
        "stopped" | "failed" => 4,
        _ => 5,
    }
}

/// A few lines for a terminal: totals, false accepts by name, what changed, what is missing.
pub fn summary(report: &Value) -> String {
    let totals = &report["totals"];
    let number = |name: &str| totals[name].as_u64().unwrap_or(0);
    let mut lines = vec![format!(
        "parity: {} programs: {} agree ({} accepted, {} rejected, {} of these with the same message), {} false accepts, {} false rejects, {} unjudged, {} refused before the verifier, {} stopped, {} failed, {} not judged by the kernel",
        number("programs"),
        number("agree"),
        number("both_accept"),
        number("both_reject"),
        number("same_message"),
        number("false_accept"),
        number("false_reject"),
        number("unjudged"),
        number("refused"),
        number("stopped"),
        number("failed"),
        number("alone"),
    )];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for row in report["programs"].as_array().into_iter().flatten().filter(|row| row["class"] == "false_accept") {
        lines.push(format!(
            "parity: FALSE ACCEPT {} {}: {}",
            text(&row["file"]),
            text(&row["program"]),
            text(&row["kernel_message"])
        ));
    }
    let changed = report["change"]["programs"].as_array();
    for row in changed.into_iter().flatten().filter(|row| row["better"] == false) {
        let fields = ["file", "program", "before", "now", "message"].map(|name| text(&row[name]));
        lines.push(format!("parity: worse: {} {}: {} -> {} {}", fields[0], fields[1], fields[2], fields[3], fields[4]));
    }
    let better = changed.into_iter().flatten().filter(|row| row["better"] == true).count();
    if better > 0 {
        lines.push(format!("parity: {better} programs are better than in the baseline"));
    }
    let recorded = &report["recorded"];
    if recorded["compared"].as_u64().unwrap_or(0) > 0 {
        lines.push(format!(
            "parity: the recorded verdicts: {} compared with the running kernel's, {} other verdicts, {} other messages",
            recorded["compared"],
            recorded["other_verdicts"],
            recorded["differ"].as_array().map_or(0, Vec::len)
        ));
    }
    for (name, words) in [("processed", "instructions processed"), ("time", "time")] {
        let ratios = &report[name];
        if ratios["programs"].as_u64().unwrap_or(0) > 0 {
            let real = |part: &str| ratios[part].as_f64().unwrap_or(0.0);
            lines.push(format!(
                "parity: {words}, ring3 / kernel: {:.3} in all, {:.3} in the geometric mean of {} programs, {:.2} at most ({})",
                real("total"),
                real("geometric_mean"),
                ratios["programs"],
                ratios["worst"][0]["ratio"].as_f64().unwrap_or(0.0),
                text(&ratios["worst"][0]["program"])
            ));
        }
    }
    lines.extend(memory(report));
    for (name, words) in [("expected_messages", "expected messages"), ("retval", "expected results")] {
        let counts = &totals[name];
        if counts["tests"].as_u64().unwrap_or(0) > 0 {
            let [tests, known, ours, kernel_known, kernel, owed] =
                ["tests", "ours_known", "ours", "kernel_known", "kernel", "owed"].map(|part| &counts[part]);
            lines.push(format!("parity: {words}: {tests} tests; the kernel meets {kernel} of {kernel_known}, ring3 {ours} of {known} that it judges; {owed} that only the kernel meets"));
        }
    }
    let changed = report["change"]["expectations"].as_array();
    for row in changed.into_iter().flatten().filter(|row| row["better"] == false) {
        let fields = ["file", "program", "what", "unmet"].map(|name| text(&row[name]));
        lines.push(format!("parity: worse: {} {}: {} no more met: {}", fields[0], fields[1], fields[2], fields[3]));
    }
    for row in report["missing"].as_array().into_iter().flatten().take(SHOWN) {
        lines.push(format!(
            "parity: missing: {} ({} programs, {} accepted by the kernel)",
            text(&row["what"]),
            row["programs"],
            row["kernel_accepts"]
        ));
    }
    lines.join("\n")
}

/// Bytes that no program of the corpora should take.
const MUCH_MEMORY: u64 = 200 << 20;

/// Which programs took the most memory to judge: the first of all, and those that took too much.
fn memory(report: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let held = |row: &Value| row["ours_peak_mem"].as_u64().unwrap_or(0);
    let name = |row: &Value| format!("{} {}: {} MiB", text(&row["file"]), text(&row["program"]), held(row) >> 20);
    let rows = || report["programs"].as_array().into_iter().flatten();
    let most = rows().max_by_key(|row| held(row)).filter(|row| held(row) > 0);
    let most = most.map(|row| format!("parity: memory: most for {}", name(row)));
    let above = rows().filter(|row| held(row) > MUCH_MEMORY);
    most.into_iter().chain(above.map(|row| format!("parity: MORE THAN 200 MiB: {}", name(row)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_count_in_what_is_missing() {
        assert_eq!(
            without_names("bpf_timer in the values of the map 'timers'"),
            "bpf_timer in the values of the map …"
        );
        assert_eq!(without_names("helper bpf_set_retval#187"), "helper bpf_set_retval#187");
    }

    #[test]
    fn numbers_in_messages_do_not_count() {
        assert_eq!(
            without_numbers("R1 invalid mem access 'scalar', off=-16 size=8"),
            "R1 invalid mem access 'scalar', off=-N size=N"
        );
        assert_eq!(
            without_numbers("combined stack size of 2 calls is 544. Too large"),
            "combined stack size of N calls is N. Too large"
        );
    }
}
