//! A program while it is put together: functions as text, with names for everything.

use std::sync::Arc;

use ring3_btf::{FuncEntry, ProgramInfo};
use ring3_isa::{Code, IsaError};
use ring3_platform::{KfuncRef, LoadFlags, ProgType, Program};

use super::world::{Signature, World};
use crate::parity::spoil_fields;

/// Kinds of programs that combinations are: those that the kernel takes without saying what they are attached to.
pub(super) const HOSTS: &[Host] = &[
    Host { kind: ProgType::SchedCls, sleepable: false },
    Host { kind: ProgType::Xdp, sleepable: false },
    Host { kind: ProgType::Syscall, sleepable: true },
    Host { kind: ProgType::PerfEvent, sleepable: false },
    Host { kind: ProgType::SchedCls, sleepable: false },
    Host { kind: ProgType::RawTracepoint, sleepable: false },
    Host { kind: ProgType::Kprobe, sleepable: false },
    Host { kind: ProgType::CgroupSkb, sleepable: false },
    Host { kind: ProgType::Tracepoint, sleepable: false },
    Host { kind: ProgType::SocketFilter, sleepable: false },
    Host { kind: ProgType::Syscall, sleepable: true },
];

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Host {
    pub kind: ProgType,
    pub sleepable: bool,
}

/// A function as text.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub label: String,
    pub signature: Signature,
    pub lines: Vec<String>,
}

/// A program as text.
#[derive(Clone, Debug)]
pub struct Draft {
    pub(super) host: Host,
    pub(super) flags: LoadFlags,
    pub(super) blocks: Vec<Block>,
    pub(super) kfuncs: Vec<String>,
    /// What it combines, for people.
    pub what: String,
    /// Choices of fields that are changed afterwards; nothing is, if there are none.
    pub(super) spoilt: Vec<u8>,
}

/// Slots of eight bytes that a line takes.
fn slots(line: &str) -> usize {
    match line {
        label if label.ends_with(':') => 0,
        wide if wide.contains("= map[") || wide.contains("= subprog[") || wide.ends_with(" ll") => 2,
        _ => 1,
    }
}

impl Draft {
    /// A program of a type with such functions, the main one first: name, declaration, and instructions with `; ` between them.
    /// The functions of the kernel that it calls are numbered as they are given.
    pub fn of_text(kind: ProgType, sleepable: bool, kfuncs: &[&str], functions: &[(&str, Signature, &str)]) -> Draft {
        let block = |&(label, signature, text): &(&str, Signature, &str)| Block {
            label: label.to_owned(),
            signature,
            lines: text.split(';').map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect(),
        };
        Draft {
            host: Host { kind, sleepable },
            flags: LoadFlags::default(),
            blocks: functions.iter().map(block).collect(),
            kfuncs: kfuncs.iter().map(|name| (*name).to_owned()).collect(),
            what: String::new(),
            spoilt: Vec::new(),
        }
    }

    /// The program.
    ///
    /// Errors: a text that is no program, as where a line is missing that another one jumps to.
    pub fn program(&self, world: &World) -> Result<Program, IsaError> {
        let mut text = String::new();
        let (mut starts, mut at) = (Vec::new(), 0);
        for block in &self.blocks {
            starts.push(at);
            text.push_str(&format!("{}:\n", block.label));
            for line in &block.lines {
                at += slots(line);
                text.push_str(line);
                text.push('\n');
            }
        }
        let code = ring3_isa::assemble(&text)?;
        let code = if self.spoilt.is_empty() { code } else { spoil_fields(&code, world.maps.len(), &self.spoilt) };
        Ok(self.of(world, code, &starts))
    }

    fn of(&self, world: &World, code: Code, starts: &[usize]) -> Program {
        let mut program = Program::new("combined", self.host.kind, code);
        program.sleepable = self.host.sleepable;
        program.flags = self.flags;
        program.maps = world.maps.clone();
        program.kfuncs = self.kfuncs.iter().map(|name| KfuncRef { name: name.clone(), weak: false }).collect();
        let nth = |at: usize| self.blocks[..at].iter().filter(|b| b.signature == self.blocks[at].signature).count();
        let funcs = starts.iter().zip(&self.blocks).enumerate().map(|(at, (slot, block))| {
            let type_id = world.function(block.signature, nth(at)).unwrap_or_default();
            let name = world.btf.name(type_id).into();
            FuncEntry { slot: *slot as u32, name, type_id, linkage: block.signature.linkage() }
        });
        let info = ProgramInfo {
            funcs: funcs.collect(),
            btf: Arc::clone(&world.btf),
            lines: Vec::new(),
            unresolved: Vec::new(),
            pending: Vec::new(),
        };
        program.info = Some(Arc::new(info));
        program
    }

    /// Leaves out lines, and functions, as long as `fails` says that the fault is still there.
    pub fn shrink(&self, mut fails: impl FnMut(&Draft) -> bool) -> Draft {
        let mut best = self.clone();
        if !best.spoilt.is_empty() {
            let whole = Draft { spoilt: Vec::new(), ..best.clone() };
            if fails(&whole) {
                best = whole;
            }
        }
        loop {
            let mut changed = false;
            for width in [16, 8, 4, 2, 1] {
                for block in (0..best.blocks.len()).rev() {
                    let mut at = 0;
                    while best.blocks.get(block).is_some_and(|block| at < block.lines.len()) {
                        let mut smaller = best.clone();
                        let lines = &mut smaller.blocks[block].lines;
                        let end = (at + width).min(lines.len());
                        lines.drain(at..end);
                        if smaller.blocks[block].lines.is_empty() {
                            smaller.blocks.remove(block);
                        }
                        if fails(&smaller) {
                            best = smaller;
                            changed = true;
                        } else {
                            at += width;
                        }
                    }
                }
            }
            if !changed {
                return best;
            }
        }
    }

    /// The text in one line, as [`crate::parity::parse`] would read it but for labels.
    pub fn text(&self) -> String {
        let block = |block: &Block| format!("{} ({:?}): {}", block.label, block.signature, block.lines.join("; "));
        let sleeps = if self.host.sleepable { ", sleeps" } else { "" };
        let kfuncs: Vec<String> = self.kfuncs.iter().enumerate().map(|(at, name)| format!("{at} {name}")).collect();
        let spoilt = if self.spoilt.is_empty() { "" } else { ", spoilt" };
        let often = if self.flags == LoadFlags::TEST_STATE_FREQ { ", a state at every point" } else { "" };
        let blocks: Vec<String> = self.blocks.iter().map(block).collect();
        format!(
            "{}{sleeps}{often}{spoilt} [{}]\n    {}",
            self.host.kind.name(),
            kfuncs.join(", "),
            blocks.join("\n    ")
        )
    }
}
