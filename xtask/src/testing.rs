//! What tests print, with what passing tests say of cases that they left out.
//!
//! The test harness keeps to itself what a test prints that passes, so a test that is skipped would look like one that ran. With
//! `--show-output` it prints it after the others, under a heading and with the tests' names once more: of that, the lines about
//! skipping remain.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, ExitStatus, Stdio};

/// What a line that says so begins with.
const SKIPPED: &str = "skipped";

/// Runs the tests, prints what they print, and gives how they ended and what was skipped.
///
/// Errors: cargo cannot be run, or its output cannot be read.
pub fn run(command: &mut Command) -> io::Result<(ExitStatus, Vec<String>)> {
    let mut child = command.args(["--", "--show-output"]).stdout(Stdio::piped()).spawn()?;
    let mut shown = Shown::default();
    if let Some(stdout) = child.stdout.take() {
        let mut out = io::stdout().lock();
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if shown.is_to_be_printed(&line) {
                writeln!(out, "{line}")?;
            }
        }
    }
    Ok((child.wait()?, shown.skipped))
}

#[derive(Default)]
struct Shown {
    /// Between the heading of what passing tests printed and the result of the file.
    of_passing: bool,
    skipped: Vec<String>,
}

impl Shown {
    fn is_to_be_printed(&mut self, line: &str) -> bool {
        match line {
            "successes:" => self.of_passing = true,
            "failures:" => self.of_passing = false,
            _ if line.starts_with("test result:") => self.of_passing = false,
            _ => {}
        }
        if line.starts_with(SKIPPED) {
            self.skipped.push(line.to_owned());
            return true;
        }
        !self.of_passing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_passing_tests_only_what_was_skipped_is_printed() {
        let output = "\
running 2 tests
test a ... ok
test b ... ok

successes:

---- a stdout ----
much
skipped: no kernel

successes:
    a
    b

test result: ok. 2 passed
after";
        let mut shown = Shown::default();
        let printed: Vec<&str> = output.lines().filter(|line| shown.is_to_be_printed(line)).collect();
        let wanted = [
            "running 2 tests",
            "test a ... ok",
            "test b ... ok",
            "",
            "skipped: no kernel",
            "test result: ok. 2 passed",
            "after",
        ];
        assert_eq!(printed, wanted);
        assert_eq!(shown.skipped, ["skipped: no kernel"]);
    }
}
