//! What the documents say of the tree: paths, commands and the example of the library; and that no file of tests is left out.
//!
//! That the README shows what `ring3` prints is tested in `cli/tests/all/readme.rs`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Documents whose paths are checked: those from the root, and links relative to the document.
const DOCUMENTS: [&str; 5] =
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "examples/README.md", "examples/expected/README.md"];

/// The command that the README begins with, but for what comes before the arguments of `ring3`.
const RUN: &str = "cargo run --release -p ring3-cli -- ";
/// The command that passes the tests.
const TEST: &str = "cargo xtask ci";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// What stands between single backticks, outside of blocks of code.
fn code_spans(text: &str) -> Vec<&str> {
    let blocks = text.split("\n```").step_by(2);
    blocks.flat_map(|prose| prose.split('`').skip(1).step_by(2)).collect()
}

/// Targets of links that are in this tree.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.starts_with('#')).collect()
}

/// Whether a piece of code is meant as a path from the root: its first part is a folder of the tree.
fn is_path(span: &str) -> bool {
    let plain = span.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    let Some((first, _)) = span.split_once('/') else { return false };
    plain && !first.is_empty() && first != ".." && root().join(first).is_dir()
}

/// The blocks of code of a language, without their fences.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let start = format!("\n```{language}\n");
    text.split(&start).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

#[test]
fn every_path_in_the_documents_is_there() {
    let mut missing = BTreeSet::new();
    for document in DOCUMENTS {
        let text = read(document);
        let folder = Path::new(document).parent().unwrap();
        let mut seen = 0;
        for path in code_spans(&text).into_iter().filter(|span| is_path(span)) {
            seen += 1;
            if !root().join(path).exists() {
                missing.insert(format!("{document}: {path}"));
            }
        }
        for link in links(&text) {
            seen += 1;
            if !root().join(folder).join(link.split('#').next().unwrap()).exists() {
                missing.insert(format!("{document}: link to {link}"));
            }
        }
        assert!(seen > 0 || document.starts_with("examples/"), "{document} names no path: is it still read rightly?");
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_readme_has_the_example_of_the_library() {
    let example = read("ring3/examples/drop_icmp.rs");
    let (_, body) = example.split_once("\n\n").unwrap();
    assert_eq!(blocks(&read("README.md"), "rust"), [body.trim_end()]);
}

#[test]
fn continuous_integration_runs_the_readmes_test_command() {
    let readme = read("README.md");
    let commands = blocks(&readme, "sh");
    assert_eq!(commands.len(), 2, "the README begins with two commands");
    assert!(commands[0].starts_with(RUN), "{}", commands[0]);
    assert_eq!(commands[1], TEST);
    assert!(read(".ci/run").lines().any(|line| line == TEST));
    assert!(read(".cargo/config.toml").contains("xtask = "));
}

/// Who adds a file of tests and forgets its line in `main.rs` would otherwise never see it fail.
#[test]
fn every_file_of_tests_is_built() {
    let crates = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path().join("tests/all"));
    let mut seen = 0;
    for folder in crates.filter(|folder| folder.is_dir()) {
        let main = std::fs::read_to_string(folder.join("main.rs")).unwrap();
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            seen += 1;
            assert!(name == "main" || main.contains(&format!("mod {name};\n")), "{} is in no program", path.display());
        }
    }
    assert!(seen > 50, "{seen} files: are tests still where this looks?");
}

#[test]
fn paths_and_links_are_told_from_other_code() {
    let text = "`cargo x` and `isa/src/op.rs`, `no/such`\n```sh\n`isa/no`\n```\nthen `cli/` [a](b.md) [c](https://d)";
    assert_eq!(code_spans(text), ["cargo x", "isa/src/op.rs", "no/such", "cli/"]);
    assert_eq!(code_spans(text).into_iter().filter(|s| is_path(s)).collect::<Vec<_>>(), ["isa/src/op.rs", "cli/"]);
    assert_eq!(links(text), ["b.md"]);
}
