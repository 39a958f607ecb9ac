//! Text to instructions, in two dialects that may stand in one text: the kernel's, which [`crate::disasm`] writes
//! (`r1 += r2`), and the mnemonic one of ubpf, rbpf and the public conformance suite (`add %r1, %r2`).
//!
//! One instruction a line, after an optional slot number `7:` and an optional opcode byte `(b7)`. `;` and `//` begin a
//! comment, as does `#` but for what directly follows the name of a callee (`call bpf_loop#181`). A label is `name:`;
//! jumps, calls, `subprog[name]` and `code_addr(name)` take it in place of `pc+7` or `+7`. A jump to `exit` goes to the
//! first EXIT where no label is called that. Registers may have a percent sign.
//!
//! In the kernel's dialect a hexadecimal number moved to a register is a 64-bit load (`r1 = 0x5`) and a decimal one a plain
//! move (`r1 = 5`) where it fits: so the verifier's own text tells them apart. `ll` after a number makes it a load too. The
//! signs of LLVM's dialect (`goto +7`, `(r10 - 8)`, `w1 = *(u32 *)(r2 +0)`) are understood. In the mnemonic one the
//! hexadecimal numbers up to `0xffffffff` are the 32 bits of an immediate.

mod cursor;
mod mnemonic;
mod statement;

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::cell::OnceCell;

use crate::code::{Code, encode};
use crate::error::{IsaError, Syntax};
use crate::insn::{Callee, Insn, Wide};
use crate::num;
use cursor::{Cursor, Fault, Parse};

/// What the names in a text stand for. A call to `name` with no number after it is looked up as a helper, then as a
/// kernel function, and is else a call to the label.
pub trait Symbols {
    /// The helper with this name (with its `bpf_`).
    fn helper(&self, _name: &str) -> Option<i32> {
        None
    }

    /// The kernel function with this name: its id and offset. Also asked about `name#id`, which is else a helper.
    fn kfunc(&self, _name: &str) -> Option<(i32, i16)> {
        None
    }

    /// The map that `map[name]` means: a file descriptor or, in a program that is not loaded, an index.
    fn map(&self, _name: &str) -> Option<i32> {
        None
    }
}

/// Numbers and labels only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NoSymbols;

impl Symbols for NoSymbols {}

/// Assembles a text in which helpers and maps have numbers. The error tells line and column.
///
/// ```
/// # use ring3_isa::assemble;
/// let mnemonic = "mov %r0, 1\njeq32 %r1, 0, done\nlock fetch add [%r10-8], %r0\ndone: exit";
/// let kernel = "r0 = 1\nif w1 == 0 goto pc+1\nr0 = atomic64_fetch_add((u64 *)(r10 -8), r0)\nexit";
/// assert_eq!(assemble(mnemonic), assemble(kernel));
/// assert_eq!(assemble("movv %r0, 1").unwrap_err().to_string(), "line 1, column 1: no instruction 'movv'; did you mean 'mov'?");
/// ```
pub fn assemble(text: &str) -> Result<Code, IsaError> {
    assemble_with(text, &NoSymbols)
}

/// Assembles a text with these names.
pub fn assemble_with(text: &str, symbols: &dyn Symbols) -> Result<Code, IsaError> {
    let mut program = Listing {
        symbols,
        names: OnceCell::new(),
        items: Vec::new(),
        labels: BTreeMap::new(),
        first_exit: None,
        length: 0,
        base: None,
    };
    for (index, line) in text.lines().enumerate() {
        let located = |fault: Fault| locate(index, line, fault);
        program.line(index, line).map_err(located)?;
    }
    let mut raw = Vec::with_capacity(program.length);
    for item in &program.items {
        let insn = program.resolve(item).map_err(|fault| locate(item.index, item.line, fault))?;
        raw.extend_from_slice(&encode(insn));
    }
    Ok(Code::decode(raw))
}

fn locate(index: usize, line: &str, fault: Fault) -> IsaError {
    let column = line.char_indices().take_while(|(at, _)| *at < fault.at).count() + 1;
    IsaError::Syntax { line: index + 1, column, problem: fault.problem }
}

/// Where a jump or call goes, as written.
pub(super) enum Target<'t> {
    Offset(i64),
    Label(&'t str),
}

/// An instruction whose target, if it has one, is still to be filled in. `at` is where the target stands in the line.
pub(super) struct Statement<'t> {
    pub insn: Insn,
    pub target: Option<(Target<'t>, usize)>,
}

struct Item<'t> {
    statement: Statement<'t>,
    /// The line and which it is.
    line: &'t str,
    index: usize,
    slot: usize,
}

struct Listing<'t> {
    symbols: &'t dyn Symbols,
    /// Filled when the first mnemonic comes up.
    names: OnceCell<mnemonic::Mnemonics>,
    items: Vec<Item<'t>>,
    labels: BTreeMap<&'t str, usize>,
    /// What a jump to `exit` means where no label is called that.
    first_exit: Option<usize>,
    length: usize,
    /// What the slot numbers in the text are ahead by: a listing may begin in the middle of a program.
    base: Option<i128>,
}

impl<'t> Listing<'t> {
    fn line(&mut self, index: usize, line: &'t str) -> Parse<()> {
        let mut cursor = Cursor::new(without_comment(line));
        while let Some((name, at)) = cursor.label() {
            if self.labels.insert(name, self.length).is_some() {
                return Err(Fault { at, problem: Syntax::Duplicate(name.to_owned()) });
            }
        }
        self.slot_number(&mut cursor)?;
        if cursor.at_end() {
            return Ok(());
        }
        let at = cursor.position();
        let opcode = cursor.opcode();
        let statement = statement::parse(&mut cursor, opcode, self.symbols, &self.names)?;
        cursor.expect_end()?;
        let encoded = encode(statement.insn);
        let actual = encoded.head().code;
        if let Some(written) = opcode.filter(|written| *written != actual) {
            return Err(Fault { at, problem: Syntax::Opcode { written, actual } });
        }
        if let Some(Err(malformed)) = Code::decode(encoded.to_vec()).get(0) {
            return Err(Fault { at, problem: Syntax::NoEncoding(malformed) });
        }
        let slot = self.length;
        if statement.insn == Insn::Exit {
            self.first_exit.get_or_insert(slot);
        }
        self.length += statement.insn.slots();
        self.items.push(Item { statement, line, index, slot });
        Ok(())
    }

    fn slot_number(&mut self, cursor: &mut Cursor<'t>) -> Parse<()> {
        let Some((written, at)) = cursor.slot_number() else { return Ok(()) };
        let ahead = i128::from(written) - i128::from(num::from_index(self.length));
        if *self.base.get_or_insert(ahead) == ahead {
            Ok(())
        } else {
            Err(Fault { at, problem: Syntax::Slot { written } })
        }
    }

    fn resolve(&self, item: &Item<'t>) -> Parse<Insn> {
        let insn = item.statement.insn;
        let Some((target, at)) = &item.statement.target else { return Ok(insn) };
        let fault = |problem| Fault { at: *at, problem };
        match *target {
            Target::Offset(distance) => with_distance(insn, distance).ok_or_else(|| {
                fault(Syntax::Range { value: distance.to_string(), field: "the offset of the instruction" })
            }),
            Target::Label(name) => {
                let implied = self.first_exit.filter(|_| name == "exit");
                let to = self.labels.get(name).copied().or(implied);
                let to = to.ok_or_else(|| fault(unknown("label", name)))?;
                let place = |slot: usize| i64::try_from(slot).unwrap_or(i64::MAX);
                let distance = place(to) - place(item.slot) - 1;
                with_distance(insn, distance).ok_or_else(|| fault(Syntax::TooFar { name: name.to_owned(), distance }))
            }
        }
    }
}

pub(super) fn unknown(kind: &'static str, name: &str) -> Syntax {
    Syntax::Unknown { kind, name: name.to_owned() }
}

/// The jump, call or subprogram address at this distance, if its field can hold it.
fn with_distance(insn: Insn, distance: i64) -> Option<Insn> {
    let far = i32::try_from(distance).ok();
    let near = i16::try_from(distance).ok();
    Some(match insn {
        Insn::Jump { long: true, .. } => Insn::Jump { long: true, off: far? },
        Insn::Jump { long: false, .. } => Insn::Jump { long: false, off: i32::from(near?) },
        Insn::Branch { width, op, lhs, rhs, .. } => Insn::Branch { width, op, lhs, rhs, off: near? },
        Insn::MayGoto { .. } => Insn::MayGoto { off: near? },
        Insn::Call(_) => Insn::Call(Callee::Local(far?)),
        Insn::LoadImm { dst, .. } => Insn::LoadImm { dst, value: Wide::Func(far?) },
        Insn::Alu { .. }
        | Insn::Mov { .. }
        | Insn::MovSx { .. }
        | Insn::AddrSpaceCast { .. }
        | Insn::Neg { .. }
        | Insn::Endian { .. }
        | Insn::WideTail
        | Insn::Load { .. }
        | Insn::Store { .. }
        | Insn::Atomic { .. }
        | Insn::LoadAcquire { .. }
        | Insn::StoreRelease { .. }
        | Insn::CallX { .. }
        | Insn::GotoX { .. }
        | Insn::Exit
        | Insn::LegacyPacket { .. } => insn,
    })
}

/// The line up to its comment.
fn without_comment(line: &str) -> &str {
    let mut previous = ' ';
    let call = line.find("call").unwrap_or(line.len());
    for (at, character) in line.char_indices() {
        let rest = &line[at..];
        if character == ';' || rest.starts_with("//") || (character == '#' && (previous.is_whitespace() || at < call)) {
            return &line[..at];
        }
        previous = character;
    }
    line
}
