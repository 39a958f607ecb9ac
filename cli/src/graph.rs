//! The control flow of a program as a drawing for Graphviz: a box for each basic block, with source lines and instructions.

use std::collections::BTreeSet;
use std::io::Write;
use std::ops::Range;

use ring3::Program;
use ring3::isa::{Callee, Insn, Wide};

use crate::error::CliError;
use crate::listing::ProgramNames;
use crate::output::{Out, printable};

/// How one block leads to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// The jump is taken.
    Jump,
    /// The next instruction follows.
    Next,
}

/// A block that nothing jumps into the middle of, and where it leads.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Block {
    slots: Range<usize>,
    to: Vec<(usize, Way)>,
}

/// Writes a `digraph` of the instructions as compiled, a cluster for each function.
pub fn write(program: &Program, out: &mut Out) -> Result<(), CliError> {
    let functions = functions(program);
    let blocks = blocks(program, &functions);
    writeln!(out, "digraph {} {{", quoted(&program.name))?;
    writeln!(out, "  node [shape=box, fontname=monospace];")?;
    for (at, start) in functions.iter().enumerate() {
        let end = functions.get(at + 1).copied().unwrap_or(program.code.len());
        writeln!(out, "  subgraph cluster_{at} {{")?;
        writeln!(out, "    label={};", quoted(&function_name(program, *start)))?;
        let before = |slot: usize| blocks.partition_point(|block| block.slots.start < slot);
        for block in &blocks[before(*start)..before(end)] {
            let text: String = lines(program, block).iter().map(|line| format!("{}\\l", escaped(line))).collect();
            writeln!(out, "    n{} [label=\"{text}\"];", block.slots.start)?;
        }
        writeln!(out, "  }}")?;
    }
    for block in &blocks {
        for (to, way) in &block.to {
            let style = match (way, block.to.len()) {
                (Way::Jump, 2) => " [label=yes]",
                (Way::Next, 2) => " [label=no]",
                (Way::Jump | Way::Next, _) => "",
            };
            writeln!(out, "  n{} -> n{to}{style};", block.slots.start)?;
        }
    }
    Ok(writeln!(out, "}}")?)
}

/// Where functions begin: at slot 0, and at what is called or passed as a callback.
fn functions(program: &Program) -> Vec<usize> {
    let len = program.code.len();
    let starts = (0..len).filter_map(|slot| {
        let offset = match program.code.get(slot)?.ok()? {
            Insn::Call(Callee::Local(offset)) => offset,
            Insn::LoadImm { value: Wide::Func(offset), .. } => offset,
            _ => return None,
        };
        usize::try_from(slot as i64 + 1 + i64::from(offset)).ok().filter(|start| *start < len)
    });
    starts.chain([0]).collect::<BTreeSet<usize>>().into_iter().collect()
}

fn function_name(program: &Program, start: usize) -> String {
    let info = program.info.as_ref().and_then(|info| info.func_at(start as u32));
    match info.filter(|func| func.slot as usize == start) {
        Some(func) => func.name.to_string(),
        None if start == 0 => program.name.clone(),
        None => format!("function at {start}"),
    }
}

/// Where the instruction of a slot leads; nowhere at the end of a function. What does not decode goes nowhere.
fn ways(program: &Program, slot: usize) -> Vec<(usize, Way)> {
    let len = program.code.len();
    let next = Some((program.code.next(slot), Way::Next));
    let Some(Ok(insn)) = program.code.get(slot) else { return Vec::new() };
    let jump = insn.jump_target(slot).map(|to| (to, Way::Jump));
    let ways = match insn {
        Insn::Exit | Insn::GotoX { .. } => [None, None],
        Insn::Jump { .. } => [jump, None],
        Insn::Branch { .. } | Insn::MayGoto { .. } => [jump, next],
        _ => [None, next],
    };
    ways.into_iter().flatten().filter(|(to, _)| *to < len).collect()
}

fn blocks(program: &Program, functions: &[usize]) -> Vec<Block> {
    let len = program.code.len();
    let ends = |slot: usize| !matches!(ways(program, slot)[..], [(_, Way::Next)]);
    let mut leaders: BTreeSet<usize> = functions.iter().copied().collect();
    for slot in (0..len).filter(|slot| !program.code.is_tail(*slot) && ends(*slot)) {
        leaders.insert(program.code.next(slot));
        leaders.extend(ways(program, slot).iter().map(|(to, _)| *to));
    }
    leaders.retain(|leader| *leader < len && !program.code.is_tail(*leader));
    let leaders: Vec<usize> = leaders.into_iter().collect();
    let starts = leaders.iter().enumerate().map(|(at, start)| *start..leaders.get(at + 1).copied().unwrap_or(len));
    let block = |range: Range<usize>| {
        let last = range.end - 1 - usize::from(program.code.is_tail(range.end - 1));
        // The end of a function leads nowhere, though another one follows.
        let to = ways(program, last).into_iter().filter(|(to, _)| leaders.binary_search(to).is_ok()).collect();
        Block { slots: range, to }
    };
    starts.map(block).collect()
}

/// Source lines and instructions of a block.
fn lines(program: &Program, block: &Block) -> Vec<String> {
    let names = ProgramNames(program);
    let (mut lines, mut last) = (Vec::new(), None);
    for slot in block.slots.clone() {
        let Some(text) = program.code.text(slot, &names) else { continue };
        let line = program.info.as_ref().and_then(|info| info.line_at(slot as u32));
        if let Some(line) = line
            && last != Some((line.line, &line.file))
            && !line.text.trim().is_empty()
        {
            last = Some((line.line, &line.file));
            lines.push(format!("; {}", printable(line.text.trim())));
        }
        lines.push(format!("{slot}: {text}"));
    }
    lines
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(&printable(text)))
}
