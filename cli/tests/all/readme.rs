//! What the README shows of the command is what it prints, but for times and what is left out there.

use std::path::Path;
use std::process::{Command, Output};

const RUN: &str = "cargo run --release -p ring3-cli -- ";

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The blocks of code of a language, without their fences.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let start = format!("\n```{language}\n");
    text.split(&start).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

/// Runs a command of the README from the root, with the binary under test.
fn run(command: &str) -> Output {
    let words = command.strip_prefix(RUN).unwrap_or_else(|| panic!("{command}"));
    // What stands between quotes is one word.
    let parts = words.split('\'').enumerate();
    let arguments =
        parts.flat_map(|(at, part)| if at % 2 == 1 { vec![part] } else { part.split_whitespace().collect() });
    Command::new(env!("CARGO_BIN_EXE_ring3")).args(arguments).current_dir(root()).output().unwrap()
}

/// A line without its numbers that have a unit of time, and without the space around them.
fn without_times(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_unit = |word: &str| ["ns", "µs", "ms", "s"].contains(&word);
    let keep = |at: usize| !is_unit(words[at]) && !words.get(at + 1).is_some_and(|next| is_unit(next));
    (0..words.len()).filter(|at| keep(*at)).map(|at| words[at]).collect::<Vec<_>>().join(" ")
}

/// Every line of `shown` is one of `real`, in the same order. `...` stands for lines that were left out.
fn assert_shown(shown: &str, real: &[u8]) {
    // The README was written where there is a JIT.
    let text = String::from_utf8_lossy(real).replace("runs by interp", "runs by jit");
    let mut real = text.lines().map(without_times);
    for line in shown.lines().filter(|line| line.trim() != "...").map(without_times) {
        assert!(real.any(|has| has == line), "the README shows a line that the command does not print: {line}\n{text}");
    }
}

#[test]
fn the_readme_shows_what_is_printed() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let output = run(blocks(&readme, "sh")[0]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_shown(blocks(&readme, "text")[0], &output.stdout);
    let shown = blocks(&readme, "console");
    assert!(!shown.is_empty());
    for block in shown {
        let (command, shown) = block.split_once('\n').unwrap();
        assert_shown(shown, &run(command.strip_prefix("$ ").unwrap()).stdout);
    }
}

#[test]
fn times_are_left_out() {
    assert_eq!(without_times("  7  66  XDP_PASS (2)   131 ns"), "7 66 XDP_PASS (2)");
    assert_eq!(without_times("24 packets; 783 ns on average"), "24 packets; on average");
}
