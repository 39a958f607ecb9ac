//! Names and places of compiled programs, for those who look at a process from outside: profilers, debuggers, unwinders. All of it
//! is there only where an embedder asks for it.
//!
//! - [`PerfMap`]: `/tmp/perf-PID.map`, by which `perf report` names addresses while the process lives.
//! - [`JitDump`]: `jit-PID.dump` with code and source lines, for `perf inject --jit` afterwards.
//! - [`Debugger`]: the interface by which GDB and LLDB learn of code that is made at run time.
//! - [`Unwinding`]: how to leave frames of the code, for the unwinder of the process itself (backtraces).
//!
//! How functions are called: `bpf_prog_TAG_NAME`, as the kernel calls them.

mod debugger;
mod elf;
mod jitdump;
mod perfmap;
mod unwind;

use std::ops::Range;

use ring3_platform::{KernelVersion, Program, tag};

use crate::{Arch, Compiled, Origin};

pub use debugger::Debugger;
pub use jitdump::JitDump;
pub use perfmap::PerfMap;
pub(crate) use unwind::Unwind;
pub use unwind::Unwinding;

/// A function of a compiled program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Symbol {
    /// Its name, in which nothing but letters, digits and `_`, `.`, `$` is.
    pub name: String,
    /// Which bytes of the code.
    pub code: Range<usize>,
}

/// From here on the code is of this source line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Offset in the code.
    pub offset: usize,
    /// Path of the source file, as its compiler was told.
    pub file: String,
    /// From 1.
    pub line: u32,
}

/// What there is to say about a compiled program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Symbols {
    /// In the order of the code, without gaps.
    pub functions: Vec<Symbol>,
    /// In the order of the code.
    pub lines: Vec<Line>,
}

impl Symbols {
    /// Of `compiled`, which was made from `program`. Programs without BTF have no lines, and their functions numbers for names.
    pub fn new(compiled: &Compiled, program: &Program) -> Symbols {
        let info = program.info.as_deref();
        let prefix = format!("bpf_prog_{}", tag(program, KernelVersion::V6_18));
        let linked = ring3_vm::Execute::linked(compiled);
        let name_of = |function: usize| {
            let entry = linked.subprogs().get(function)?.entry;
            let slot = *linked.slots().get(entry as usize)?;
            info?.func_at(slot).filter(|func| func.slot == slot).map(|func| &*func.name)
        };
        let mut functions: Vec<Symbol> = Vec::new();
        let mut lines: Vec<Line> = Vec::new();
        for piece in compiled.listing() {
            let name = match piece.origin {
                Origin::Prologue { function: 0 } => Some(format!("{prefix}_{}", plain(&program.name))),
                Origin::Prologue { function } => match name_of(function) {
                    Some(name) => Some(format!("{prefix}_{}", plain(name))),
                    None => Some(format!("{prefix}_F{function}")),
                },
                Origin::Trampoline => Some(format!("{prefix}_callback")),
                Origin::Slot(slot) => {
                    if let Some(at) = info.and_then(|info| info.line_at(slot)) {
                        let known = lines.last().is_some_and(|last| last.line == at.line && *last.file == *at.file);
                        if !known {
                            lines.push(Line { offset: piece.code.start, file: at.file.to_string(), line: at.line });
                        }
                    }
                    None
                }
            };
            match (name, functions.last_mut()) {
                (Some(name), _) => functions.push(Symbol { name, code: piece.code }),
                (None, Some(function)) => function.code.end = piece.code.end,
                // A main function that needs no frame has no prologue.
                (None, None) => {
                    functions.push(Symbol { name: format!("{prefix}_{}", plain(&program.name)), code: piece.code });
                }
            }
        }
        Symbols { functions, lines }
    }
}

/// A name without what would break a line of a text file, or a name in a table of names.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "_.$".contains(c) { c } else { '_' }).collect()
}

/// The number of the machine in ELF headers (`EM_X86_64`, `EM_AARCH64`).
fn elf_machine() -> u16 {
    match Arch::HOST {
        Some(Arch::Arm64) => 183,
        Some(Arch::X64) | None => 62,
    }
}
