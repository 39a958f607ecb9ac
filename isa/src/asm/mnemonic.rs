//! Statements of the mnemonic dialect: a name, then operands with commas between them.
//!
//! What the names are derives from the kinds of instructions; beside them stand the spellings of other assemblers:
//! `add64` and `neg64` (rbpf), `swap16` (the public conformance suite), `stxxadddw` (rbpf).

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};

use super::cursor::{Cursor, Fault, Number, Parse};
use super::statement::{map, operand, plain, space, target};
use super::{Statement, Symbols};
use crate::error::Syntax;
use crate::insn::{AtomicOp, Callee, Insn, Operand, Reg, Size, Wide, Width};
use crate::kind::kinds;
use crate::mnemonic::{Mnemonic, NearMiss, wide_name};

/// The names of the dialect, each with an instruction that has it. Sources by register and immediate share one.
pub struct Mnemonics(BTreeMap<String, Insn>);

impl Mnemonics {
    pub fn new() -> Mnemonics {
        let mut names = BTreeMap::new();
        for insn in kinds().map(|kind| kind.example()) {
            let name = Mnemonic(insn).to_string();
            match insn {
                Insn::Alu { width: Width::W64, .. }
                | Insn::Mov { width: Width::W64, .. }
                | Insn::Neg { width: Width::W64, .. }
                | Insn::Atomic { size: Size::Dw, .. } => {
                    names.insert(format!("{name}64"), insn);
                }
                Insn::Endian { .. } => {
                    if let Some(swap) = name.strip_prefix('b').filter(|rest| rest.starts_with("swap")) {
                        names.insert(swap.to_string(), insn);
                    }
                }
                Insn::Alu { .. }
                | Insn::Mov { .. }
                | Insn::MovSx { .. }
                | Insn::AddrSpaceCast { .. }
                | Insn::Neg { .. }
                | Insn::LoadImm { .. }
                | Insn::WideTail
                | Insn::Load { .. }
                | Insn::Store { .. }
                | Insn::Atomic { .. }
                | Insn::LoadAcquire { .. }
                | Insn::StoreRelease { .. }
                | Insn::Jump { .. }
                | Insn::Branch { .. }
                | Insn::MayGoto { .. }
                | Insn::Call(_)
                | Insn::CallX { .. }
                | Insn::GotoX { .. }
                | Insn::Exit
                | Insn::LegacyPacket { .. } => {}
            }
            names.insert(name, insn);
        }
        for (name, locked) in [("stxxaddw", "lock add32"), ("stxxadddw", "lock add")] {
            if let Some(insn) = names.get(locked).copied() {
                names.insert(name.to_string(), insn);
            }
        }
        Mnemonics(names)
    }

    fn get(&self, name: &str) -> Option<Insn> {
        self.0.get(name).copied()
    }

    /// What is wrong with a name that is none, with the one that was perhaps meant.
    pub fn unknown(&self, name: &str, others: &[&str]) -> Syntax {
        let mut near = NearMiss::new(name);
        for known in self.0.keys().map(String::as_str).chain(others.iter().copied()) {
            near.offer(known);
        }
        Syntax::Mnemonic { name: name.to_string(), near: near.found() }
    }
}

/// The statement with this name, which comes next; `None` if no instruction is called that.
pub fn parse<'t>(cursor: &mut Cursor<'t>, names: &Mnemonics, symbols: &dyn Symbols) -> Option<Parse<Statement<'t>>> {
    let insn = names.get(cursor.peek_word())?;
    Some(cursor.word("an instruction").and_then(|_| operands(cursor, insn, symbols)))
}

fn operands<'t>(cursor: &mut Cursor<'t>, insn: Insn, symbols: &dyn Symbols) -> Parse<Statement<'t>> {
    plain(match insn {
        Insn::Alu { width, op, .. } => {
            let (dst, src) = two(cursor)?;
            Insn::Alu { width, op, dst, src }
        }
        Insn::Mov { width, .. } => {
            let (dst, src) = two(cursor)?;
            Insn::Mov { width, dst, src }
        }
        Insn::MovSx { width, from, .. } => Insn::MovSx { width, from, dst: cursor.reg()?, src: next_reg(cursor)? },
        Insn::AddrSpaceCast { .. } => {
            let (dst, src) = (cursor.reg()?, next_reg(cursor)?);
            cursor.expect(",")?;
            let to = space(cursor)?;
            cursor.expect(",")?;
            let from = space(cursor)?;
            Insn::AddrSpaceCast { dst, src, imm: (i32::from(to) << 16) | i32::from(from) }
        }
        Insn::Neg { width, .. } => Insn::Neg { width, dst: cursor.reg()? },
        Insn::Endian { op, size, .. } => Insn::Endian { op, size, dst: cursor.reg()? },
        Insn::LoadImm { .. } | Insn::WideTail => return load_imm(cursor, symbols),
        Insn::Load { size, signed, .. } => {
            let (dst, (base, off)) = (cursor.reg()?, next_place(cursor)?);
            Insn::Load { size, signed, dst, base, off }
        }
        Insn::Store { size, src, .. } => {
            let (base, off) = place(cursor)?;
            let src = match src {
                Operand::Reg(_) => Operand::Reg(next_reg(cursor)?),
                Operand::Imm(_) => Operand::Imm(next_imm(cursor)?),
            };
            Insn::Store { size, base, off, src }
        }
        Insn::Atomic { op, size, .. } => atomic(cursor, op, size)?,
        Insn::LoadAcquire { size, .. } => {
            let (dst, (base, off)) = (cursor.reg()?, next_place(cursor)?);
            Insn::LoadAcquire { size, dst, base, off }
        }
        Insn::StoreRelease { size, .. } => {
            let ((base, off), src) = (place(cursor)?, next_reg(cursor)?);
            Insn::StoreRelease { size, base, off, src }
        }
        Insn::Branch { width, op, .. } => {
            let (lhs, rhs) = two(cursor)?;
            cursor.expect(",")?;
            return target(cursor, Insn::Branch { width, op, lhs, rhs, off: 0 });
        }
        Insn::Jump { .. } | Insn::MayGoto { .. } => return target(cursor, insn),
        Insn::CallX { .. } => Insn::CallX { target: cursor.reg()? },
        Insn::GotoX { .. } => Insn::GotoX { target: cursor.reg()? },
        Insn::Call(_) | Insn::Exit => insn,
        Insn::LegacyPacket { size, index: None, .. } => {
            Insn::LegacyPacket { size, index: None, imm: cursor.number()?.imm_bits()? }
        }
        Insn::LegacyPacket { size, index: Some(_), .. } => {
            let index = Some(cursor.reg()?);
            Insn::LegacyPacket { size, index, imm: next_imm(cursor)? }
        }
    })
}

/// A register, then a register or a number.
fn two(cursor: &mut Cursor<'_>) -> Parse<(Reg, Operand)> {
    let dst = cursor.reg()?;
    cursor.expect(",")?;
    Ok((dst, operand(cursor, Width::W64, Number::imm_bits)?))
}

fn next_reg(cursor: &mut Cursor<'_>) -> Parse<Reg> {
    cursor.expect(",")?;
    cursor.reg()
}

fn next_imm(cursor: &mut Cursor<'_>) -> Parse<i32> {
    cursor.expect(",")?;
    cursor.number()?.imm_bits()
}

fn next_place(cursor: &mut Cursor<'_>) -> Parse<(Reg, i16)> {
    cursor.expect(",")?;
    place(cursor)
}

/// `[%r10-8]`
fn place(cursor: &mut Cursor<'_>) -> Parse<(Reg, i16)> {
    cursor.expect("[")?;
    let base = cursor.reg()?;
    let off = cursor.signed_offset()?;
    cursor.expect("]")?;
    Ok((base, off))
}

fn atomic(cursor: &mut Cursor<'_>, op: AtomicOp, size: Size) -> Parse<Insn> {
    let ((base, off), src) = (place(cursor)?, next_reg(cursor)?);
    Ok(Insn::Atomic { op, size, base, off, src })
}

/// What follows `lock`: `add32 [%r1+4], %r2`, also `fetch add32` and `fetch_add32`.
pub fn locked<'t>(cursor: &mut Cursor<'t>, names: &Mnemonics) -> Parse<Statement<'t>> {
    let at = cursor.position();
    let fetch = if cursor.eat_word("fetch") { "fetch_" } else { "" };
    let word = cursor.word("an atomic operation")?;
    match names.get(&format!("lock {fetch}{word}")) {
        Some(Insn::Atomic { op, size, .. }) => plain(atomic(cursor, op, size)?),
        Some(_) | None => {
            let name = cursor.text_from(at);
            Err(Fault { at, problem: names.unknown(&format!("lock {name}"), &[]) })
        }
    }
}

/// `0x1122334455667788`, `map_by_fd(3)`, `map_val(map_by_fd(3))+8`, `code_addr(function)` and the like: the pseudocode of
/// RFC 9669 section 5.4; also what the kernel's text has there.
fn load_imm<'t>(cursor: &mut Cursor<'t>, symbols: &dyn Symbols) -> Parse<Statement<'t>> {
    let dst = cursor.reg()?;
    cursor.expect(",")?;
    let found = |value| plain(Insn::LoadImm { dst, value });
    match cursor.peek_word() {
        "" => found(Wide::Imm(cursor.number()?.wide()?)),
        "map" => found(map(cursor, symbols)?),
        "map_val" => {
            cursor.word("map_val")?;
            cursor.expect("(")?;
            let at = cursor.position();
            let value = by_number(cursor)?;
            cursor.expect(")")?;
            let off = if cursor.eat("+") { cursor.number()?.unsigned()? } else { 0 };
            match value {
                Wide::Map(map) => found(Wide::MapValue { map, off }),
                Wide::MapIdx(index) => found(Wide::MapIdxValue { index, off }),
                Wide::Imm(_)
                | Wide::MapValue { .. }
                | Wide::BtfId { .. }
                | Wide::Func(_)
                | Wide::MapIdxValue { .. } => Err(Fault { at, problem: Syntax::Expected("map_by_fd or map_by_idx") }),
            }
        }
        "code_addr" => {
            cursor.word("code_addr")?;
            let bracket = cursor.eat("(");
            let insn = Insn::LoadImm { dst, value: Wide::Func(0) };
            let statement = target(cursor, insn)?;
            if bracket {
                cursor.expect(")")?;
            }
            Ok(statement)
        }
        _ => found(by_number(cursor)?),
    }
}

/// `map_by_fd(3)`, also without brackets; `var_addr(7, 3)` has the file descriptor of a module, too.
fn by_number(cursor: &mut Cursor<'_>) -> Parse<Wide> {
    let known = [Wide::Map(0), Wide::MapIdx(0), Wide::BtfId { id: 0, fd: 0 }];
    let word = cursor.peek_word();
    let Some(value) = known.into_iter().find(|value| wide_name(*value) == Some(word)) else {
        return cursor.expected("a number, map_by_fd, map_by_idx, map_val, var_addr or code_addr");
    };
    cursor.word("")?;
    let bracket = cursor.eat("(");
    let number = cursor.number()?.imm()?;
    let value = match value {
        Wide::Map(_) => Wide::Map(number),
        Wide::MapIdx(_) => Wide::MapIdx(number),
        Wide::Imm(_) | Wide::MapValue { .. } | Wide::BtfId { .. } | Wide::Func(_) | Wide::MapIdxValue { .. } => {
            let fd = if bracket && cursor.eat(",") { cursor.number()?.imm()? } else { 0 };
            Wide::BtfId { id: number, fd }
        }
    };
    if bracket {
        cursor.expect(")")?;
    }
    Ok(value)
}

/// What follows `call` where it is neither a name nor a place: `5`, `helper 5`, `%r2`, `local f`, `runtime 7`; `None`
/// where the words stand alone and are names.
pub fn callee<'t>(cursor: &mut Cursor<'t>) -> Parse<Option<Statement<'t>>> {
    let alone = cursor.word_ends_line();
    match cursor.peek_word() {
        "" if cursor.looks_at("+") || cursor.looks_at("-") => Ok(None),
        "" => by_id(cursor).map(Some),
        "helper" if !alone => {
            cursor.eat("helper");
            by_id(cursor).map(Some)
        }
        "local" if !alone => {
            cursor.eat("local");
            target(cursor, Insn::Call(Callee::Local(0))).map(Some)
        }
        "runtime" if !alone => {
            cursor.eat("runtime");
            let id = cursor.number()?.imm_bits()?;
            let off = if cursor.eat(",") {
                let number = cursor.number()?;
                i16::try_from(number.value).map_err(|_| number.range("16 bits"))?
            } else {
                0
            };
            plain(Insn::Call(Callee::Kfunc { id, off })).map(Some)
        }
        _ => match cursor.try_reg()? {
            Some((Width::W64, target)) => plain(Insn::CallX { target }).map(Some),
            Some((Width::W32, _)) => cursor.fault(Syntax::NeedsWide),
            None => Ok(None),
        },
    }
}

fn by_id<'t>(cursor: &mut Cursor<'t>) -> Parse<Statement<'t>> {
    match cursor.try_reg()? {
        Some((Width::W64, target)) => plain(Insn::CallX { target }),
        Some((Width::W32, _)) => cursor.fault(Syntax::NeedsWide),
        None => plain(Insn::Call(Callee::Helper(cursor.number()?.imm_bits()?))),
    }
}
