//! Any runtime that has a plugin for the public suite: a process for each run, memory as its argument, the program on its
//! standard input, R0 on its standard output.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use ring3_isa::Endianness;

use super::{Engine, Judges, Outcome};
use crate::format::{Case, Input};

/// How long a plugin may take for one program.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that are read of what a plugin says. One that says more is cut short, and its pipe closed.
const MAX_OUTPUT: u64 = 1 << 12;
/// How often a plugin that runs is looked after: at first, and at most.
const POLL: [Duration; 2] = [Duration::from_micros(200), Duration::from_millis(20)];

/// A plugin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plugin {
    program: String,
    options: Vec<String>,
    timeout: Duration,
}

impl Plugin {
    /// A command line: the program and its options, split at spaces. `None` if it is empty.
    pub fn new(command: &str, timeout: Duration) -> Option<Plugin> {
        let mut words = command.split_whitespace().map(str::to_owned);
        Some(Plugin { program: words.next()?, options: words.collect(), timeout })
    }

    fn start(&self, memory: &[u8]) -> std::io::Result<Child> {
        let mut command = Command::new(&self.program);
        if !memory.is_empty() {
            command.arg(hex(memory));
        }
        command.args(&self.options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    }

    fn speak(&self, memory: &[u8], code: &[u8]) -> std::io::Result<Answer> {
        let mut child = self.start(memory)?;
        let (mut input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut text = hex(code);
        text.push('\n');
        // One thread for each pipe: whatever the plugin reads or writes first, nobody waits for the other. Nor for the threads, since
        // whoever inherited the pipes may hold them for ever.
        thread::spawn(move || {
            // A plugin may end without reading its program.
            let _ = input.as_mut().map(|pipe| pipe.write_all(text.as_bytes()));
        });
        let texts = [output.map(read_later), errors.map(read_later)];
        let status = wait(&mut child, self.timeout);
        if !matches!(status, Ok(Some(_))) {
            child.kill()?;
            child.wait()?;
        }
        let Some(status) = status? else { return Ok(Answer::TooLate) };
        let [output, errors] =
            texts.map(|text| text.and_then(|text| text.recv_timeout(self.timeout).ok()).unwrap_or_default());
        Ok(Answer::Said { status, output, errors })
    }
}

/// How a plugin ended.
enum Answer {
    Said { status: ExitStatus, output: String, errors: String },
    TooLate,
}

/// What a pipe says until it ends.
fn read_later(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error counts.
        let _ = pipe.take(MAX_OUTPUT).read_to_end(&mut bytes);
        // Nobody may listen any more.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// How it ended, `None` if it did not in time.
fn wait(child: &mut Child, timeout: Duration) -> std::io::Result<Option<ExitStatus>> {
    let (started, [mut pause, longest]) = (Instant::now(), POLL);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() > timeout {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = longest.min(pause * 2);
    }
}

/// Bytes as the public runner writes them: two digits and two spaces each.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}  ");
        text
    })
}

impl Engine for Plugin {
    fn judges(&self) -> Judges {
        Judges::Perhaps
    }

    fn run(&mut self, case: &Case) -> Outcome {
        let Input::Memory(memory) = &case.input else {
            return Outcome::skipped("plugins are given no packets");
        };
        if case.linux {
            return Outcome::skipped("plugins are given no maps, and their helpers are not those of Linux");
        }
        match self.speak(memory, &case.code.to_bytes(Endianness::Little)) {
            Ok(Answer::TooLate) => Outcome::failed(format_args!("no answer within {} s", self.timeout.as_secs_f64())),
            Ok(Answer::Said { status, output, errors }) => answer(status, &output, &errors),
            Err(error) => Outcome::failed(format_args!("{}: {error}", self.program)),
        }
    }
}

/// As the public runner reads it: standard output, or standard error if that is empty.
fn answer(status: ExitStatus, output: &str, errors: &str) -> Outcome {
    let (output, errors) = (output.trim_end(), errors.trim_end());
    if !status.success() {
        let said = if output.is_empty() { errors } else { output };
        return if said.is_empty() { Outcome::failed(status) } else { Outcome::failed(said) };
    }
    let digits = output.trim_start();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    match u64::from_str_radix(digits, 16) {
        Ok(r0) => Outcome::Returned(r0),
        Err(_) => Outcome::failed(format_args!("'{output}' is no number")),
    }
}
