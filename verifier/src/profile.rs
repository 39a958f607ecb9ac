//! Where the budget of 1,000,000 instructions goes, by source line and by call.

use std::collections::BTreeMap;

use ring3_platform::{Program, Target};

use crate::walk::{self, Point};

/// A function and a line of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct At {
    /// The function; `func#1` where BTF names none.
    pub function: String,
    /// The file, without its folder; empty if it is not known.
    pub file: String,
    /// The line; without lines, the slot of the instruction.
    pub line: u32,
    /// Its text.
    pub text: String,
}

/// Instructions processed at one line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sample {
    /// The calls that led there, outermost first; the line itself at the end.
    pub stack: Vec<At>,
    /// How many.
    pub count: u64,
}

/// What a walk did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    /// Instructions processed.
    pub processed: u32,
    /// See [`crate::Stats`].
    pub peak_mem: u64,
    /// Why the program was refused, if it was.
    pub rejected: Option<String>,
    /// By calls and line, in the order of the program.
    pub samples: Vec<Sample>,
    /// Where states are compared: slot, place, what became of them; the most comparisons in vain first.
    pub points: Vec<(usize, At, Point)>,
}

impl Profile {
    /// Instructions by line, the most first.
    pub fn lines(&self) -> Vec<(&At, u64)> {
        let mut lines: BTreeMap<&At, u64> = BTreeMap::new();
        for sample in &self.samples {
            if let Some(at) = sample.stack.last() {
                *lines.entry(at).or_insert(0) += sample.count;
            }
        }
        let mut lines: Vec<(&At, u64)> = lines.into_iter().collect();
        lines.sort_by_key(|(at, count)| (std::cmp::Reverse(*count), *at));
        lines
    }

    /// Stacks in the form of flame graph tools: frames with semicolons between, a blank, the number.
    pub fn folded(&self) -> Vec<String> {
        let clean = |text: &str| text.trim().replace([';', '\n', '\t'], " ");
        let mut out = Vec::new();
        for Sample { stack, count } in &self.samples {
            let mut line = String::new();
            for (depth, at) in stack.iter().enumerate() {
                let text = if at.file.is_empty() {
                    format!("instruction {}", at.line)
                } else {
                    format!("{} {}", at.line, clean(&at.text))
                };
                let between = if depth == 0 { "" } else { ";" };
                line.push_str(&format!("{between}{}();{text}", at.function));
            }
            out.push(format!("{line} {count}"));
        }
        out
    }
}

/// Walks a program and counts. It takes a few times as long as [`crate::verify`].
pub fn profile(program: &Program, target: &Target) -> Profile {
    let (counts, (processed, peak_mem), result) = walk::count(program, target);
    let mut samples: Vec<Sample> = Vec::new();
    for ((chain, at), count) in counts.stacks {
        let calls = chain.iter().filter(|slot| **slot != u32::MAX);
        let stack: Vec<At> = calls.chain([&at]).map(|slot| place(program, *slot)).collect();
        match samples.last_mut() {
            Some(last) if last.stack == stack => last.count += count,
            Some(_) | None => samples.push(Sample { stack, count }),
        }
    }
    let mut points: Vec<(usize, At, Point)> = counts
        .points
        .into_iter()
        .map(|(slot, mut point)| {
            point.differences.sort_by_key(|differs| std::cmp::Reverse(differs.count));
            (slot, place(program, u32::try_from(slot).unwrap_or(u32::MAX)), point)
        })
        .collect();
    points.sort_by_key(|(slot, _, point)| (std::cmp::Reverse(point.misses), *slot));
    Profile { processed, peak_mem, rejected: result.err().map(|reject| reject.text()), samples, points }
}

fn place(program: &Program, slot: u32) -> At {
    let info = program.info.as_ref();
    let function = info.and_then(|info| info.func_at(slot)).map_or(program.name.clone(), |func| func.name.to_string());
    match info.and_then(|info| info.line_at(slot)) {
        Some(entry) => At {
            function,
            file: entry.file.rsplit('/').next().unwrap_or_default().to_owned(),
            line: entry.line,
            text: entry.text.trim().to_owned(),
        },
        None => At { function, file: String::new(), line: slot, text: walk::text_of(program, slot as usize) },
    }
}
