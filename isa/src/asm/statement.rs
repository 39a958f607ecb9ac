//! One instruction's text to the instruction.

use core::cell::OnceCell;

use super::cursor::{Cursor, Fault, Number, Parse};
use super::mnemonic::{self, Mnemonics};
use super::{Statement, Symbols, Target, unknown};
use crate::error::Syntax;
use crate::insn::{AluOp, AtomicOp, Callee, CmpOp, EndianOp, Insn, Operand, Reg, Size, Wide, Width};
use crate::op::bits;

pub fn plain<'t>(insn: Insn) -> Parse<Statement<'t>> {
    Ok(Statement { insn, target: None })
}

/// Words that begin a statement of the kernel's dialect alone.
const WORDS: [&str; 7] = ["goto", "gotol", "if", "lock", "store_release", "call", "exit"];

/// Parses the statement that begins here, in either dialect. `opcode` is the byte written before it, which tells a move
/// from a load where the text alone does not.
pub fn parse<'t>(
    cursor: &mut Cursor<'t>,
    opcode: Option<u8>,
    symbols: &dyn Symbols,
    names: &OnceCell<Mnemonics>,
) -> Parse<Statement<'t>> {
    if cursor.looks_at("*") {
        return store(cursor);
    }
    if let Some((width, dst)) = cursor.try_reg()? {
        return to_register(cursor, width, dst, opcode, symbols);
    }
    match cursor.peek_word() {
        "exit" => {
            cursor.eat("exit");
            plain(Insn::Exit)
        }
        "goto" => jump(cursor, "goto", Insn::Jump { off: 0, long: false }),
        "gotol" => jump(cursor, "gotol", Insn::Jump { off: 0, long: true }),
        "may_goto" => jump(cursor, "may_goto", Insn::MayGoto { off: 0 }),
        "if" => branch(cursor),
        "call" => call(cursor, symbols),
        "lock" => locked(cursor, names),
        "store_release" => store_release(cursor),
        "" => cursor.expected("an instruction"),
        word => {
            let names = names.get_or_init(Mnemonics::new);
            match mnemonic::parse(cursor, names, symbols) {
                Some(statement) => statement,
                None => cursor.fault(names.unknown(word, &WORDS)),
            }
        }
    }
}

/// `pc+7`, `+7` or a label.
pub fn target<'t>(cursor: &mut Cursor<'t>, insn: Insn) -> Parse<Statement<'t>> {
    let at = cursor.position();
    let signed = |cursor: &mut Cursor<'t>| cursor.looks_at("+") || cursor.looks_at("-");
    let word = cursor.peek_word();
    let target = if word == "pc" || signed(cursor) {
        cursor.eat_word("pc");
        if !signed(cursor) {
            return cursor.expected("+ or -");
        }
        let number = cursor.number()?;
        Target::Offset(i64::try_from(number.value).map_err(|_| number.range("the offset of the instruction"))?)
    } else {
        Target::Label(cursor.word("pc+N or a label")?)
    };
    Ok(Statement { insn, target: Some((target, at)) })
}

fn jump<'t>(cursor: &mut Cursor<'t>, word: &'static str, insn: Insn) -> Parse<Statement<'t>> {
    cursor.expect(word)?;
    target(cursor, insn)
}

/// The longest of these symbols that comes next.
fn symbol<T: Copy>(cursor: &mut Cursor<'_>, all: &[T], text: impl Fn(T) -> &'static str) -> Option<T> {
    let fitting = all.iter().copied().filter(|op| !text(*op).is_empty() && cursor.looks_at(text(*op)));
    let op = fitting.max_by_key(|op| text(*op).len())?;
    cursor.eat(text(op)).then_some(op)
}

/// A register of this width, or a number as `imm` reads it.
pub fn operand<'t>(cursor: &mut Cursor<'t>, width: Width, imm: impl Fn(&Number<'t>) -> Parse<i32>) -> Parse<Operand> {
    let at = cursor.position();
    match cursor.try_reg()? {
        Some((found, reg)) if found == width => Ok(Operand::Reg(reg)),
        Some(_) => Err(Fault { at, problem: Syntax::MixedWidth }),
        None => Ok(Operand::Imm(imm(&cursor.number()?)?)),
    }
}

/// How a number is read where a value of this width is wanted: 32 bits may be written unsigned in hexadecimal.
fn imm_of_width(width: Width, number: &Number<'_>) -> Parse<i32> {
    match width {
        Width::W32 => number.imm_bits(),
        Width::W64 => number.imm(),
    }
}

fn branch<'t>(cursor: &mut Cursor<'t>) -> Parse<Statement<'t>> {
    cursor.expect("if")?;
    let (width, lhs) = cursor.any_reg()?;
    let Some(op) = symbol(cursor, CmpOp::ALL, CmpOp::symbol) else { return cursor.expected("a comparison") };
    let rhs = operand(cursor, width, Number::imm_bits)?;
    if !cursor.eat_word("goto") {
        return cursor.expected("goto");
    }
    target(cursor, Insn::Branch { width, op, lhs, rhs, off: 0 })
}

fn call<'t>(cursor: &mut Cursor<'t>, symbols: &dyn Symbols) -> Parse<Statement<'t>> {
    cursor.expect("call")?;
    if let Some(statement) = mnemonic::callee(cursor)? {
        return Ok(statement);
    }
    let local = Insn::Call(Callee::Local(0));
    let word = cursor.peek_word();
    if word.is_empty() || word == "pc" {
        let statement = target(cursor, local)?;
        // bpftool names the subprogram after the offset.
        if cursor.eat("#") {
            cursor.word("the name of a subprogram")?;
        }
        return Ok(statement);
    }
    let nameless = "kernel-function";
    if cursor.eat(nameless) {
        let off = if cursor.eat("[") {
            let number = cursor.number()?;
            cursor.expect("]")?;
            i16::try_from(number.value).map_err(|_| number.range("16 bits"))?
        } else {
            0
        };
        cursor.expect("#")?;
        return plain(Insn::Call(Callee::Kfunc { id: cursor.number()?.imm()?, off }));
    }
    let at = cursor.position();
    cursor.word("a name")?;
    let kfunc = symbols.kfunc(word);
    if cursor.eat("#") {
        let id = cursor.number()?.imm()?;
        return plain(Insn::Call(match kfunc {
            Some((_, off)) => Callee::Kfunc { id, off },
            None => Callee::Helper(id),
        }));
    }
    match (symbols.helper(word), kfunc) {
        (Some(id), _) => plain(Insn::Call(Callee::Helper(id))),
        (None, Some((id, off))) => plain(Insn::Call(Callee::Kfunc { id, off })),
        (None, None) => Ok(Statement { insn: local, target: Some((Target::Label(word), at)) }),
    }
}

/// A place in memory: `(u64 *)(r10 -8)`, or its packet form, for which the base is `None`.
struct Place {
    size: Size,
    signed: bool,
    base: Reg,
    off: i16,
}

/// `(u64 *)`
fn pointer_type(cursor: &mut Cursor<'_>) -> Parse<(Size, bool)> {
    cursor.expect("(")?;
    let found = cursor.type_name()?;
    cursor.expect("*")?;
    cursor.expect(")")?;
    Ok(found)
}

/// `(r10 -8)` after a type.
fn based(cursor: &mut Cursor<'_>, (size, signed): (Size, bool)) -> Parse<Place> {
    cursor.expect("(")?;
    let base = cursor.reg()?;
    let off = cursor.signed_offset()?;
    cursor.expect(")")?;
    Ok(Place { size, signed, base, off })
}

/// `(u64 *)(r10 -8)` where a signed type would mean nothing.
fn unsigned_place(cursor: &mut Cursor<'_>) -> Parse<Place> {
    let at = cursor.position();
    let kind = pointer_type(cursor)?;
    if kind.1 {
        return Err(Fault { at, problem: Syntax::Expected("an unsigned type") });
    }
    based(cursor, kind)
}

/// A register that goes to or comes from memory; LLVM writes `w3` for up to four bytes.
fn value_reg(width: Width, reg: Reg, size: Size, at: usize) -> Parse<Reg> {
    if width == Width::W32 && size == Size::Dw { Err(Fault { at, problem: Syntax::NeedsWide }) } else { Ok(reg) }
}

fn store<'t>(cursor: &mut Cursor<'t>) -> Parse<Statement<'t>> {
    cursor.expect("*")?;
    let Place { size, base, off, .. } = unsigned_place(cursor)?;
    cursor.expect("=")?;
    let at = cursor.position();
    let src = match cursor.try_reg()? {
        Some((width, reg)) => Operand::Reg(value_reg(width, reg, size, at)?),
        None => {
            let width = if size == Size::Dw { Width::W64 } else { Width::W32 };
            Operand::Imm(imm_of_width(width, &cursor.number()?)?)
        }
    };
    plain(Insn::Store { size, base, off, src })
}

fn locked<'t>(cursor: &mut Cursor<'t>, names: &OnceCell<Mnemonics>) -> Parse<Statement<'t>> {
    cursor.expect("lock")?;
    if !cursor.eat("*") {
        return mnemonic::locked(cursor, names.get_or_init(Mnemonics::new));
    }
    let Place { size, base, off, .. } = unsigned_place(cursor)?;
    let Some(op) = symbol(cursor, AtomicOp::ALL, AtomicOp::symbol) else {
        return cursor.expected("+=, |=, &= or ^=");
    };
    let at = cursor.position();
    let (width, src) = cursor.any_reg()?;
    plain(Insn::Atomic { op, size, base, off, src: value_reg(width, src, size, at)? })
}

fn store_release<'t>(cursor: &mut Cursor<'t>) -> Parse<Statement<'t>> {
    cursor.expect("store_release")?;
    cursor.expect("(")?;
    let Place { size, base, off, .. } = unsigned_place(cursor)?;
    cursor.expect(",")?;
    let at = cursor.position();
    let (width, src) = cursor.any_reg()?;
    cursor.expect(")")?;
    plain(Insn::StoreRelease { size, base, off, src: value_reg(width, src, size, at)? })
}

fn to_register<'t>(
    cursor: &mut Cursor<'t>,
    width: Width,
    dst: Reg,
    opcode: Option<u8>,
    symbols: &dyn Symbols,
) -> Parse<Statement<'t>> {
    if let Some(op) = symbol(cursor, AluOp::ALL, AluOp::symbol) {
        let src = operand(cursor, width, |number| imm_of_width(width, number))?;
        return plain(Insn::Alu { width, op, dst, src });
    }
    if !cursor.eat("=") {
        return cursor.expected("an assignment");
    }
    if cursor.looks_at("*") {
        return plain(load(cursor, width, dst)?);
    }
    if cursor.looks_at("(") {
        cursor.expect("(")?;
        let at = cursor.position();
        let (from, signed) = cursor.type_name()?;
        if !signed {
            return Err(Fault { at, problem: Syntax::Expected("s8, s16 or s32") });
        }
        cursor.expect(")")?;
        let src = same_width(cursor, width)?;
        return plain(Insn::MovSx { width, from, dst, src });
    }
    if let Some((found, src)) = cursor.try_reg()? {
        return if found == width {
            plain(Insn::Mov { width, dst, src: Operand::Reg(src) })
        } else {
            cursor.fault(Syntax::MixedWidth)
        };
    }
    match cursor.peek_word() {
        "" => negation_or_number(cursor, width, dst, opcode),
        word => call_like(cursor, width, dst, word, symbols),
    }
}

fn same_width(cursor: &mut Cursor<'_>, width: Width) -> Parse<Reg> {
    let at = cursor.position();
    match cursor.any_reg()? {
        (found, reg) if found == width => Ok(reg),
        _ => Err(Fault { at, problem: Syntax::MixedWidth }),
    }
}

/// A register that the text names for the second time.
fn again(cursor: &mut Cursor<'_>, first: Reg, width: Width) -> Parse<()> {
    let at = cursor.position();
    if same_width(cursor, width)? == first { Ok(()) } else { Err(Fault { at, problem: Syntax::MustMatch }) }
}

fn negation_or_number<'t>(cursor: &mut Cursor<'t>, width: Width, dst: Reg, opcode: Option<u8>) -> Parse<Statement<'t>> {
    if cursor.looks_at("-r") || cursor.looks_at("-w") {
        cursor.expect("-")?;
        again(cursor, dst, width)?;
        return plain(Insn::Neg { width, dst });
    }
    let number = cursor.number()?;
    let wide = match opcode {
        Some(code) => code == bits::LD_IMM64,
        None => number.hex || number.imm().is_err(),
    };
    if width == Width::W64 && (cursor.eat_word("ll") || wide) {
        return plain(Insn::LoadImm { dst, value: Wide::Imm(number.wide()?) });
    }
    plain(Insn::Mov { width, dst, src: Operand::Imm(imm_of_width(width, &number)?) })
}

/// `*(u32 *)(r1 +0)` and `*(u32 *)skb[14]`
fn load(cursor: &mut Cursor<'_>, width: Width, dst: Reg) -> Parse<Insn> {
    cursor.expect("*")?;
    let at = cursor.position();
    let (size, signed) = pointer_type(cursor)?;
    if !cursor.eat_word("skb") {
        let Place { size, signed, base, off } = based(cursor, (size, signed))?;
        if width == Width::W32 && signed {
            return Err(Fault { at, problem: Syntax::NeedsWide });
        }
        return Ok(Insn::Load { size, signed, dst: value_reg(width, dst, size, at)?, base, off });
    }
    if signed {
        return Err(Fault { at, problem: Syntax::Expected("an unsigned type") });
    }
    if dst != Reg::R0 {
        return Err(Fault { at, problem: Syntax::Expected("r0 on the left of a packet load") });
    }
    cursor.expect("[")?;
    let index = match cursor.try_reg()? {
        Some((Width::W64, index)) => Some(index),
        Some((Width::W32, _)) => return cursor.fault(Syntax::NeedsWide),
        None => None,
    };
    let imm = if index.is_none() || cursor.eat("+") { cursor.number()?.imm()? } else { 0 };
    cursor.expect("]")?;
    Ok(Insn::LegacyPacket { size, index, imm })
}

/// What is written as a word with arguments: swaps, casts, atomics, maps.
fn call_like<'t>(
    cursor: &mut Cursor<'t>,
    width: Width,
    dst: Reg,
    word: &'t str,
    symbols: &dyn Symbols,
) -> Parse<Statement<'t>> {
    if let Some((op, size)) = swap(word) {
        cursor.word("")?;
        if width == Width::W32 {
            return cursor.fault(Syntax::NeedsWide);
        }
        again(cursor, dst, width)?;
        return plain(Insn::Endian { op, size, dst });
    }
    if let Some((op, size)) = atomic(word) {
        cursor.word("")?;
        return fetching(cursor, width, dst, op, size);
    }
    if width == Width::W32 && word != "load_acquire" {
        return cursor.fault(Syntax::NeedsWide);
    }
    match word {
        "addr_space_cast" => {
            cursor.expect("addr_space_cast")?;
            cursor.expect("(")?;
            let src = cursor.reg()?;
            cursor.expect(",")?;
            let to = space(cursor)?;
            cursor.expect(",")?;
            let from = space(cursor)?;
            cursor.expect(")")?;
            plain(Insn::AddrSpaceCast { dst, src, imm: (i32::from(to) << 16) | i32::from(from) })
        }
        "load_acquire" => {
            cursor.expect("load_acquire")?;
            cursor.expect("(")?;
            let at = cursor.position();
            let Place { size, base, off, .. } = unsigned_place(cursor)?;
            cursor.expect(")")?;
            plain(Insn::LoadAcquire { size, dst: value_reg(width, dst, size, at)?, base, off })
        }
        "subprog" => {
            cursor.expect("subprog")?;
            cursor.expect("[")?;
            let statement = target(cursor, Insn::LoadImm { dst, value: Wide::Func(0) })?;
            cursor.expect("]")?;
            Ok(statement)
        }
        "map" => plain(Insn::LoadImm { dst, value: map(cursor, symbols)? }),
        "btf" => plain(Insn::LoadImm { dst, value: btf(cursor)? }),
        _ => cursor.expected("a value"),
    }
}

/// The number of an address space; 15 bits, so that both fit the immediate.
pub fn space(cursor: &mut Cursor<'_>) -> Parse<i16> {
    let number = cursor.number()?;
    u8::try_from(number.value).map(i16::from).map_err(|_| number.range("an address space"))
}

/// `be16` and the like.
fn swap(word: &str) -> Option<(EndianOp, Size)> {
    EndianOp::ALL.iter().find_map(|op| {
        let size = Size::with_width(word.strip_prefix(op.name())?.parse().ok()?)?;
        Some((*op, size))
    })
}

/// `atomic64_fetch_add` and the like; the size is what the name says.
fn atomic(word: &str) -> Option<(AtomicOp, Size)> {
    let (size, name) = match word.strip_prefix("atomic64_") {
        Some(name) => (Size::Dw, name),
        None => (Size::W, word.strip_prefix("atomic_")?),
    };
    let fetching = |op: &&AtomicOp| op.fetches_into(Reg::R0).is_some() && op.name() == name;
    AtomicOp::ALL.iter().find(fetching).map(|op| (*op, size))
}

/// `((u64 *)(r10 -8), r1)` after the name of an operation that gives the old value.
fn fetching<'t>(cursor: &mut Cursor<'t>, width: Width, dst: Reg, op: AtomicOp, named: Size) -> Parse<Statement<'t>> {
    cursor.expect("(")?;
    let at = cursor.position();
    let Place { size, base, off, .. } = unsigned_place(cursor)?;
    if size != named {
        return Err(Fault { at, problem: Syntax::Expected("u64 after atomic64_ and u32 after atomic_") });
    }
    value_reg(width, dst, size, at)?;
    cursor.expect(",")?;
    let src = match op {
        AtomicOp::Cmpxchg => {
            again(cursor, Reg::R0, width)?;
            cursor.expect(",")?;
            let at = cursor.position();
            if dst != Reg::R0 {
                return Err(Fault { at, problem: Syntax::MustMatch });
            }
            same_width(cursor, width)?
        }
        AtomicOp::Add
        | AtomicOp::Or
        | AtomicOp::And
        | AtomicOp::Xor
        | AtomicOp::FetchAdd
        | AtomicOp::FetchOr
        | AtomicOp::FetchAnd
        | AtomicOp::FetchXor
        | AtomicOp::Xchg => {
            again(cursor, dst, width)?;
            dst
        }
    };
    cursor.expect(")")?;
    plain(Insn::Atomic { op, size, base, off, src })
}

/// `map[fd:3]`, `map[idx:3]` or `map[name]`, each with `[0]+OFFSET` for the address of the first value.
pub fn map(cursor: &mut Cursor<'_>, symbols: &dyn Symbols) -> Parse<Wide> {
    cursor.expect("map")?;
    cursor.expect("[")?;
    let at = cursor.position();
    let word = cursor.word("fd:N, idx:N or a name")?;
    let by_index = word == "idx";
    let number = if cursor.eat(":") {
        if !matches!(word, "fd" | "id" | "idx") {
            return Err(Fault { at, problem: Syntax::Expected("fd or idx") });
        }
        cursor.number()?.imm()?
    } else {
        symbols.map(word).ok_or_else(|| Fault { at, problem: unknown("map", word) })?
    };
    cursor.expect("]")?;
    let first_value = cursor.eat("[");
    if first_value {
        cursor.expect("0")?;
        cursor.expect("]")?;
    }
    let off = if cursor.eat("+") { Some(cursor.number()?.unsigned()?) } else { None };
    Ok(match (off.or(first_value.then_some(0)), by_index) {
        (None, false) => Wide::Map(number),
        (None, true) => Wide::MapIdx(number),
        (Some(off), false) => Wide::MapValue { map: number, off },
        (Some(off), true) => Wide::MapIdxValue { index: number, off },
    })
}

/// `btf[id:7]` or `btf[id:7,fd:3]`
fn btf(cursor: &mut Cursor<'_>) -> Parse<Wide> {
    cursor.expect("btf")?;
    cursor.expect("[")?;
    cursor.expect("id:")?;
    let id = cursor.number()?.imm()?;
    let fd = if cursor.eat(",") {
        cursor.expect("fd:")?;
        cursor.number()?.imm()?
    } else {
        0
    };
    cursor.expect("]")?;
    Ok(Wide::BtfId { id, fd })
}
