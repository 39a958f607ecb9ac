//! ring3 beside the kernel: the small part that needs no downloads, and the form of the report.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring3_conformance::kernel::check::{Checked, Side, Sides};
use ring3_conformance::kernel::corpus::expect::{Expected, Message, Run};
use ring3_conformance::kernel::corpus::{Corpus, RawProgram};
use ring3_conformance::kernel::report::{About, baseline, baseline_text, report};
use ring3_conformance::kernel::run::{Settings, run};
use ring3_conformance::kernel::{Entry, Source, html};
use ring3_parity::{Answer, Bounds, Class, Ours, Pair, Row, Verdict};
use ring3_platform::{ProgType, Program};
use serde_json::Value;

/// The objects of the benchmarks, which are part of the tree, and programs that one or both refuse.
fn small() -> Vec<Corpus> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/bpf");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.to_string_lossy().ends_with(".bpf.o")).collect();
    files.sort();
    assert!(files.len() >= 10, "{files:?}");
    let programs = [
        ("good", "r0 = 0\nexit", true),
        ("result", "exit", false),
        ("context", "r0 = *(u32 *)(r1 + 4096)\nexit", false),
        ("stack", "r0 = *(u64 *)(r10 - 8)\nr0 = *(u64 *)(r10 + 8)\nexit", false),
        ("loop", "goto -1", false),
    ];
    let raw = |(name, text, good): (&str, &str, bool)| {
        let program = Program::new(name, ProgType::SocketFilter, ring3_isa::assemble(text).unwrap());
        let (name, program) = (name.to_owned(), Arc::new(program));
        let messages = if good { Vec::new() } else { vec![Message::Text("processed 1 insns".to_owned())] };
        let runs = if good { vec![Run::plain(Some(0))] } else { Vec::new() };
        let expected = Expected { accepted: Some(good), messages, runs, ..Expected::default() };
        RawProgram { file: "small.c".to_owned(), name, program, expected }
    };
    let programs = programs.into_iter().map(raw).collect();
    vec![Corpus { files, programs, ..Corpus::new("small", "part of the tree".to_owned()) }]
}

#[test]
fn no_false_accepts_among_the_small() {
    let live = ring3_linux::available().is_ok();
    if !live {
        println!("skipped: the kernel's part, as bpf(2) cannot be used here");
    }
    let settings = Settings { threads: 2, bounds: Bounds::default(), live };
    let entries = run(&small(), &settings, &|_, _| {});
    assert!(entries.len() >= 15, "{}", entries.len());
    for Entry { row, expected, .. } in &entries {
        assert_ne!(row.pair.class(), Class::FalseAccept, "{row:?}");
        let ours = row.pair.ours.verdict().map(Verdict::accepts);
        assert_eq!(ours, Some(expected.unwrap_or(true)), "{row:?}");
        if let (Some(kernel), true) = (row.pair.kernel.verdict(), live) {
            assert_eq!(Some(kernel.accepts()), ours, "{row:?}");
        }
    }
    let checked = |name: &str| &entries.iter().find(|entry| entry.row.program == name).unwrap().checked;
    let kernel = if live { Side::Met } else { Side::Unknown };
    assert_eq!(checked("good").runs, Some(Sides { kernel: kernel.clone(), ours: Side::Met }));
    assert_eq!(checked("result").messages, Some(Sides { kernel, ours: Side::Met }));
    // It is refused after two instructions.
    assert_eq!(checked("stack").messages.as_ref().map(|sides| sides.ours.known()), Some(Some(false)));
}

/// An entry of each kind that matters for the form.
fn entries() -> Vec<Entry> {
    let verdict = |errno, message: &str| Verdict { errno, message: message.to_owned(), ..Verdict::default() };
    let entry = |program: &str, kernel: Answer, ours: Ours| {
        let row = Row { file: "a.bpf.o".to_owned(), program: program.to_owned(), pair: Pair { kernel, ours } };
        let sides = Sides { kernel: Side::Met, ours: Side::Met };
        let checked = Checked { messages: None, runs: (program == "good").then_some(sides) };
        Entry { set: "small", row, source: Source::Live, expected: Some(true), checked }
    };
    let judged = |errno, message| Answer::Judged(verdict(errno, message));
    let missing = |verdict| Ours::Unjudged { what: "CO-RE".to_owned(), verdict };
    vec![
        entry("good", judged(0, ""), Ours::Judged(verdict(0, ""))),
        entry("unsafe", judged(13, "R1 is <bad>"), Ours::Judged(verdict(0, ""))),
        entry("strict", judged(0, ""), Ours::Judged(verdict(13, "R2 off=12 is bad"))),
        entry("early", Answer::Refused { errno: Some(1), why: String::new() }, Ours::Judged(verdict(0, ""))),
        entry("wanted", judged(0, ""), missing(None)),
        entry("known", judged(0, ""), missing(Some(verdict(95, "CO-RE")))),
    ]
}

#[test]
fn the_report_has_its_form() {
    let whole = report(&entries(), &About::default(), None);
    let totals = &whole["totals"];
    let number = |name: &str| totals[name].as_u64();
    assert_eq!(
        ["agree", "false_accept", "false_reject", "unjudged", "programs"].map(number),
        [1, 1, 1, 2, 6].map(Some)
    );
    for row in whole["programs"].as_array().unwrap() {
        for field in ["file", "program", "set", "class"] {
            assert!(row[field].is_string(), "{field} of {row}");
        }
        for side in ["kernel", "ours"] {
            assert!(["accept", "reject", "none"].contains(&row[side].as_str().unwrap()), "{row}");
        }
    }
    assert_eq!(whole["missing"][0]["what"], "CO-RE");
    assert_eq!((&whole["missing"][0]["programs"], &whole["missing"][0]["kernel_accepts"]), (&2.into(), &2.into()));
    assert_eq!(whole["messages"][0]["class"], "false_accept");
    assert_eq!(whole["messages"][1]["ours"], "R2 off=N is bad");
    let page = html::page(&whole);
    assert!(page.contains("R1 is &lt;bad&gt;") && !page.contains("<bad>"));
}

#[test]
fn what_changed_since_the_baseline_is_told() {
    let before = entries();
    let text = baseline_text(&baseline(&before));
    let committed: Value = serde_json::from_str(&text).unwrap();
    let same = report(&before, &About::default(), Some(&committed));
    assert_eq!(same["change"]["programs"], Value::Array(Vec::new()));
    assert_eq!(same["change"]["expectations"], Value::Array(Vec::new()));
    assert_eq!(same["totals"]["retval"]["ours"], 1);
    let mut after = before;
    after[0].checked.runs = Some(Sides { kernel: Side::Met, ours: Side::Unmet("jit: 7".to_owned()) });
    let good = after[0].row.pair.clone();
    after[2].row.pair = good;
    after[4].row.program = "renamed".to_owned();
    let change = &report(&after, &About::default(), Some(&committed))["change"];
    let row = &change["programs"][0];
    let (before, now, better) = (&row["before"], &row["now"], &row["better"]);
    assert_eq!((before, now, better), (&"false_reject".into(), &"both_accept".into(), &true.into()));
    let row = &change["expectations"][0];
    assert_eq!((&row["what"], &row["unmet"], &row["better"]), (&"retval".into(), &"jit: 7".into(), &false.into()));
    assert_eq!((&change["new"], &change["gone"]), (&1.into(), &1.into()));
}
