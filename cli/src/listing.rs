//! Instructions as text: as compiled, as the engines see them, as machine code.

use std::borrow::Cow;
use std::io::Write;

use ring3::btf::ProgramInfo;
use ring3::isa::{self, Callee, Insn, Names, NoNames, Wide, disasm};
use ring3::jit::{Arch, Emitted, Origin};
use ring3::platform::helper_name;
use ring3::vm::{Callback, Linked, Op};
use ring3::{Executable, Program};

use crate::args::Dialect;
use crate::disasm::machine_code;
use crate::error::CliError;
use crate::output::{Ink, Out, hex, printable};

/// Names out of a program.
pub struct ProgramNames<'a>(pub &'a Program);

impl Names for ProgramNames<'_> {
    fn helper(&self, id: i32) -> Option<Cow<'_, str>> {
        let name = helper_name(id.cast_unsigned())?;
        Some(format!("bpf_{name}").into())
    }

    fn local(&self, slot: usize, offset: i32) -> Option<Cow<'_, str>> {
        let target = u32::try_from(slot as i64 + 1 + i64::from(offset)).ok()?;
        let func = self.0.info.as_ref()?.func_at(target).filter(|func| func.slot == target)?;
        Some(format!("pc{offset:+}#{}", func.name).into())
    }

    fn wide(&self, slot: usize, value: Wide) -> Option<Cow<'_, str>> {
        let name = |map: i32| Some(&self.0.maps.get(usize::try_from(map).ok()?)?.name);
        match value {
            Wide::Map(map) => Some(format!("map[{}]", name(map)?).into()),
            Wide::MapValue { map, off } => Some(format!("map[{}][0]+{off}", name(map)?).into()),
            Wide::Func(offset) => {
                let target = u32::try_from(slot as i64 + 1 + i64::from(offset)).ok()?;
                let func = self.0.info.as_ref()?.func_at(target).filter(|func| func.slot == target)?;
                Some(format!("subprog[{offset:+}]#{}", func.name).into())
            }
            Wide::Imm(_) | Wide::BtfId { .. } | Wide::MapIdx(_) | Wide::MapIdxValue { .. } => None,
        }
    }
}

/// Function names and source lines, said once each as the listing comes to them.
struct Margin<'a> {
    info: Option<&'a ProgramInfo>,
    func: Option<u32>,
    line: Option<(u32, &'a str)>,
}

impl<'a> Margin<'a> {
    fn new(program: &'a Program) -> Margin<'a> {
        Margin { info: program.info.as_deref(), func: None, line: None }
    }

    fn at(&mut self, slot: u32, out: &mut Out) -> Result<(), CliError> {
        self.func_at(slot, out)?;
        self.line_at(slot, out)
    }

    fn func_at(&mut self, slot: u32, out: &mut Out) -> Result<(), CliError> {
        let Some(info) = self.info else { return Ok(()) };
        if let Some(func) = info.func_at(slot)
            && self.func != Some(func.slot)
        {
            if self.func.is_some() {
                writeln!(out)?;
            }
            self.func = Some(func.slot);
            writeln!(out, "{}", out.ink(Ink::Strong, &format!("{}:", printable(&func.name))))?;
        }
        Ok(())
    }

    fn line_at(&mut self, slot: u32, out: &mut Out) -> Result<(), CliError> {
        let Some(info) = self.info else { return Ok(()) };
        if let Some(line) = info.line_at(slot)
            && self.line != Some((line.line, &line.file))
        {
            self.line = Some((line.line, &line.file));
            let text = line.text.trim();
            if !text.is_empty() {
                let file = line.file.rsplit('/').next().unwrap_or(&line.file);
                let text = format!("; {} @ {}:{}", printable(text), printable(file), line.line);
                writeln!(out, "{}", out.ink(Ink::Faint, &text))?;
            }
        }
        Ok(())
    }
}

fn heading(program: &Program, out: &mut Out) -> Result<(), CliError> {
    let text = format!("{} ({}, section {})", program.name, program.kind.name(), program.section);
    Ok(writeln!(out, "{}", out.ink(Ink::Strong, &printable(&text)))?)
}

/// The instructions of a linked program.
pub fn asm(program: &Program, dialect: Dialect, out: &mut Out) -> Result<(), CliError> {
    heading(program, out)?;
    let names = ProgramNames(program);
    let mut margin = Margin::new(program);
    for slot in 0..program.code.len() {
        let Some(text) = program.code.text(slot, &names) else { continue };
        margin.at(slot as u32, out)?;
        match dialect {
            Dialect::Kernel => writeln!(out, "{slot:4}: {}", text.with_opcode())?,
            Dialect::Mnemonic => writeln!(out, "{slot:4}: {}", text.in_dialect(isa::Dialect::Mnemonic))?,
        }
    }
    Ok(())
}

/// The operations that the engines execute, beside the slots that they came from.
pub fn xlated(program: &Executable, out: &mut Out) -> Result<(), CliError> {
    let (source, linked) = (program.program(), program.linked());
    heading(source, out)?;
    let mut margin = Margin::new(source);
    for (at, op) in linked.ops().iter().enumerate() {
        margin.at(linked.slots().get(at).copied().unwrap_or(0), out)?;
        writeln!(out, "{at:4}: {}", op_text(source, linked, at, op))?;
    }
    Ok(())
}

/// The machine code for a machine, under the instructions that it was made of.
pub fn jited(program: &Executable, emitted: &Emitted, arch: Arch, out: &mut Out) -> Result<(), CliError> {
    let source = program.program();
    heading(source, out)?;
    let names = ProgramNames(source);
    let mut margin = Margin::new(source);
    let mut last = None;
    for piece in emitted.listing() {
        match piece.origin {
            Origin::Prologue { function } => {
                let linked = program.linked();
                let entry = linked.subprogs().get(function).map_or(0, |subprog| subprog.entry);
                margin.func_at(linked.slots().get(entry as usize).copied().unwrap_or(0), out)?;
                writeln!(out, "{}", out.ink(Ink::Faint, "; prologue"))?;
            }
            Origin::Trampoline => writeln!(out, "{}", out.ink(Ink::Faint, "; entry of callbacks"))?,
            Origin::Slot(slot) => {
                margin.at(slot, out)?;
                if let (true, Some(text)) = (last != Some(slot), source.code.text(slot as usize, &names)) {
                    writeln!(out, "{}", out.ink(Ink::Faint, &format!(";{slot:5}: {}", text.with_opcode())))?;
                }
                last = Some(slot);
            }
        }
        let code = emitted.code().get(piece.code.clone()).unwrap_or_default();
        for (offset, bytes, text) in machine_code(arch, code, piece.code.start as u64) {
            writeln!(out, "{offset:6x}:  {:24} {text}", hex(bytes))?;
        }
    }
    Ok(())
}

/// One operation in the kernel's text, where it is like an instruction.
fn op_text(program: &Program, linked: &Linked, at: usize, op: &Op) -> String {
    let plain = |insn: Insn| disasm(insn, at, &NoNames).to_string();
    let jump = |target: u32| i64::from(target) - at as i64 - 1;
    let near = |target: u32| i16::try_from(jump(target));
    match *op {
        Op::Alu { width, op, dst, src } => plain(Insn::Alu { width, op, dst, src }),
        Op::Mov { width, dst, src } => plain(Insn::Mov { width, dst, src }),
        Op::MovSx { width, from, dst, src } => plain(Insn::MovSx { width, from, dst, src }),
        Op::Neg { width, dst } => plain(Insn::Neg { width, dst }),
        Op::Endian { op, size, dst } => plain(Insn::Endian { op, size, dst }),
        Op::LoadImm { dst, value } => format!("r{} = {}", dst.index(), constant(linked, value)),
        Op::Load { size, signed, dst, base, off } => match i16::try_from(off) {
            Ok(off) => plain(Insn::Load { size, signed, dst, base, off }),
            Err(_) => format!("{op:?}"),
        },
        Op::Store { size, base, off, src } => match i16::try_from(off) {
            Ok(off) => plain(Insn::Store { size, base, off, src }),
            Err(_) => format!("{op:?}"),
        },
        Op::Atomic { op: what, size, base, off, src } => match i16::try_from(off) {
            Ok(off) => plain(Insn::Atomic { op: what, size, base, off, src }),
            Err(_) => format!("{op:?}"),
        },
        Op::LoadAcquire { size, dst, base, off } => match i16::try_from(off) {
            Ok(off) => plain(Insn::LoadAcquire { size, dst, base, off }),
            Err(_) => format!("{op:?}"),
        },
        Op::StoreRelease { size, base, off, src } => match i16::try_from(off) {
            Ok(off) => plain(Insn::StoreRelease { size, base, off, src }),
            Err(_) => format!("{op:?}"),
        },
        Op::Guarded { .. } => format!("{op:?}"),
        Op::Jump { target } => format!("goto pc{:+}", jump(target)),
        Op::Branch { width, op: how, lhs, rhs, target } => match near(target) {
            Ok(off) => plain(Insn::Branch { width, op: how, lhs, rhs, off }),
            Err(_) => format!("{op:?}"),
        },
        Op::MayGoto { target } => match near(target) {
            Ok(off) => plain(Insn::MayGoto { off }),
            Err(_) => format!("{op:?}"),
        },
        Op::CallHelper { helper } => {
            let id = linked.helpers().get(usize::from(helper)).map_or(0, |helper| helper.id.0);
            let insn = Insn::Call(Callee::Helper(id.cast_signed()));
            disasm(insn, at, &ProgramNames(program)).to_string()
        }
        Op::TailCall => "call bpf_tail_call#12".to_owned(),
        Op::CallLocal { subprog } => {
            let entry = linked.subprogs().get(usize::from(subprog)).map_or(0, |subprog| subprog.entry);
            let slot = linked.slots().get(entry as usize).copied().unwrap_or(0);
            let name = program.info.as_ref().and_then(|info| info.func_at(slot)).map(|func| &*func.name);
            format!("call pc{:+}{}", jump(entry), name.map_or(String::new(), |name| format!("#{}", printable(name))))
        }
        Op::Exit => plain(Insn::Exit),
        Op::LegacyPacket { size, index, imm } => plain(Insn::LegacyPacket { size, index, imm }),
    }
}

/// What a constant is: a map, a place in a map's value, a callback, or a number.
fn constant(linked: &Linked, value: u64) -> String {
    if let Some(handle) = linked.map_of_handle(value) {
        return format!("map[{}]", printable(&handle.map.def().name));
    }
    for handle in linked.maps() {
        let Some(base) = handle.map.direct_value() else { continue };
        let off = value.wrapping_sub(base.as_ptr() as u64);
        if off < u64::from(handle.map.def().value_size) {
            return format!("map[{}][0]+{off}", printable(&handle.map.def().name));
        }
    }
    match Callback::from_token(value) {
        Some(callback) if (callback.0 as usize) < linked.subprogs().len() => format!("subprog[{}]", callback.0),
        _ => format!("{value:#x}"),
    }
}
