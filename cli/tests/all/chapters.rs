//! `examples/chapters.tsv`: what introductions to BPF show, each with its command and what that prints.

use crate::common::{example, ring3};

/// Words of a command line; single quotes keep spaces.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    assert!(!quoted, "{line}");
    words.push(word);
    words
}

#[test]
fn every_example_prints_what_it_says() {
    let table = std::fs::read_to_string(example("chapters.tsv")).unwrap();
    let has_types = std::path::Path::new(ring3::sim::RUNNING_KERNEL).exists();
    let mut wrong = Vec::new();
    for row in table.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [_, shows, command, needs, output] = columns[..] else { panic!("{row}") };
        if needs == "types" && !has_types {
            println!("skipped: {shows}: this kernel has no types");
            continue;
        }
        let ran = ring3(words(command));
        if let Some(part) = output.split(" | ").find(|part| !ran.stdout.contains(part)) {
            wrong.push(format!("{command}\n  does not print '{part}':\n{}{}", ran.stdout, ran.stderr));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The table of the README has the same commands.
#[test]
fn the_readme_lists_them() {
    let readme = std::fs::read_to_string(example("README.md")).unwrap();
    let table = std::fs::read_to_string(example("chapters.tsv")).unwrap();
    for row in table.lines().skip(1) {
        let command = row.split('\t').nth(2).unwrap();
        assert!(readme.contains(&format!("`ring3 {command}`")), "{command}");
    }
    let commands = readme.lines().filter(|line| line.contains("| `ring3 ")).count();
    assert_eq!(commands, table.lines().count() - 1);
}

#[test]
fn events_that_cannot_be_are_bad_input() {
    let said = |event: &str| {
        let ran = ring3(["run", "openat.bpf.o", "--event", event]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        ran.stderr
    };
    assert!(said("syscalls:sys_enter_opnat").contains("did you mean 'sys_enter_openat'?"));
    assert!(said("syscalls:sys_enter_openat filenam=x").contains("has no field 'filenam'"));
    assert!(said("syscalls:sys_enter_openat x").contains("PATH=VALUE"));
}
