//! Listings of `tcpdump -d` and assembler text of `bpf_asm`, which differ in how they write targets, and otherwise hardly.

use std::collections::BTreeMap;

use super::scan::{At, Scan, Token};
use crate::error::{ClassicError, Fault};
use crate::insn::{Extension, Form, Insn, MAX_INSNS, Op, ROWS, Row};

/// Where a jump goes, as it is written.
#[derive(Clone, Copy, Debug)]
enum Target<'a> {
    /// An instruction by its number.
    Slot(u32),
    Label(&'a str),
    /// The next instruction.
    Next,
}

/// Jumps, of which the targets are known when all labels are.
struct Jump<'a> {
    slot: usize,
    yes: (At, Target<'a>),
    no: (At, Target<'a>),
}

#[derive(Default)]
struct Program<'a> {
    insns: Vec<Insn>,
    jumps: Vec<Jump<'a>>,
    labels: BTreeMap<&'a str, usize>,
}

/// What stands after a mnemonic.
enum Operand<'a> {
    Is(Form, u32),
    Label(At, Target<'a>),
}

/// Mnemonics that are written in another way in the table.
struct Alias {
    name: &'static str,
    is: &'static str,
    /// The opposite comparison: the targets change places.
    swapped: bool,
}

const ALIASES: &[Alias] = &[
    Alias { name: "ldi", is: "ld", swapped: false },
    Alias { name: "ldxi", is: "ldx", swapped: false },
    Alias { name: "jmp", is: "ja", swapped: false },
    Alias { name: "jne", is: "jeq", swapped: true },
    Alias { name: "jneq", is: "jeq", swapped: true },
    Alias { name: "jlt", is: "jge", swapped: true },
    Alias { name: "jle", is: "jgt", swapped: true },
];

pub(super) fn parse(text: &str) -> Result<Vec<Insn>, ClassicError> {
    let mut scan = Scan::new(text)?;
    let mut program = Program::default();
    loop {
        let (at, token) = scan.peek();
        match token {
            Token::Newline => {
                scan.take()?;
            }
            Token::End => break,
            Token::Sign('(') => slot_number(&mut scan, program.insns.len())?,
            Token::Word(word) => {
                scan.take()?;
                if scan.eat(':')? {
                    if program.labels.insert(word, program.insns.len()).is_some() {
                        return at.fail(Fault::TwiceLabel(word.to_owned()));
                    }
                } else {
                    statement(&mut scan, at, word, &mut program)?;
                }
            }
            Token::Number(_) | Token::Sign(_) => return at.expected("an instruction", &token),
        }
    }
    link(program)
}

/// `(003)`, which must be what it says.
fn slot_number(scan: &mut Scan<'_>, is: usize) -> Result<(), ClassicError> {
    scan.sign('(', "'('")?;
    let (at, says) = scan.decimal("the number of the instruction")?;
    if says as usize != is {
        return at.fail(Fault::Number { says, is });
    }
    scan.sign(')', "')'")
}

fn statement<'a>(scan: &mut Scan<'a>, at: At, word: &'a str, program: &mut Program<'a>) -> Result<(), ClassicError> {
    if program.insns.len() == MAX_INSNS {
        return at.fail(Fault::TooMany);
    }
    let lower = word.to_ascii_lowercase();
    let alias = ALIASES.iter().find(|alias| alias.name == lower);
    let name = alias.map_or(lower.as_str(), |alias| alias.is);
    let place = scan.peek().0;
    if name == "unimp" {
        return unimplemented(scan, program);
    }
    if !ROWS.iter().any(|row| row.name == name) {
        return at.fail(Fault::UnknownMnemonic(word.to_owned()));
    }
    let operand = operand(scan, name == "ja")?;
    let (form, k) = match operand {
        Operand::Is(form, k) => (form, k),
        Operand::Label(at, target) => {
            program.jumps.push(Jump { slot: program.insns.len(), yes: (at, target), no: (at, Target::Next) });
            (Form::Target, 0)
        }
    };
    let row = ROWS.iter().find(|row| row.name == name && takes(row, form));
    // `ldx 4*([14]&0xf)` is another name of `ldxb`.
    let row = row.or_else(|| ROWS.iter().find(|row| name == "ldx" && form == Form::Msh && row.form == Form::Msh));
    let Some(row) = row else { return place.fail(Fault::WrongOperand(word.to_owned())) };
    if let Op::Branch(..) = row.op {
        targets(scan, alias.is_some_and(|alias| alias.swapped), program)?;
    }
    program.insns.push(Insn::new(row.code, 0, 0, k));
    match scan.peek() {
        (_, Token::Newline | Token::End) => Ok(()),
        (at, other) => at.expected("the end of the line", &other),
    }
}

/// What `tcpdump -d` prints of an opcode that it does not know; so that such a listing can be read and is refused properly.
fn unimplemented(scan: &mut Scan<'_>, program: &mut Program<'_>) -> Result<(), ClassicError> {
    let (at, _) = scan.peek();
    let code = scan.number("an opcode")?;
    match u16::try_from(code) {
        Ok(code) => program.insns.push(Insn::new(code, 0, 0, 0)),
        Err(_) => return at.fail(Fault::TooLarge(code.to_string(), u16::MAX.into())),
    }
    Ok(())
}

/// Whether an instruction takes an operand that is written like this. Numbers may be decimal or hexadecimal everywhere, and
/// a missing operand of `ret` is A.
fn takes(row: &Row, form: Form) -> bool {
    match (row.form, form) {
        (Form::Dec | Form::Hex, Form::Dec) => true,
        (Form::A, Form::None) => row.op == Op::RetA,
        (has, given) => has == given,
    }
}

fn operand<'a>(scan: &mut Scan<'a>, jumps: bool) -> Result<Operand<'a>, ClassicError> {
    let (at, token) = scan.peek();
    if jumps {
        return target(scan).map(|target| Operand::Label(at, target));
    }
    let is = |form, k| Ok(Operand::Is(form, k));
    match token {
        Token::Newline | Token::End => is(Form::None, 0),
        Token::Sign('#') => {
            scan.take()?;
            if let (at, Token::Word(word)) = scan.peek() {
                scan.take()?;
                return named(at, word);
            }
            is(Form::Dec, signed(scan)?)
        }
        Token::Sign('[') => {
            scan.take()?;
            bracket(scan)
        }
        Token::Sign('%') => {
            scan.take()?;
            register(scan)
        }
        Token::Number("4") => msh(scan),
        Token::Word("x" | "X" | "a" | "A") => register(scan),
        Token::Word("M") => {
            scan.take()?;
            scan.sign('[', "'['")?;
            let cell = scan.number("a cell of M[]")?;
            scan.sign(']', "']'")?;
            is(Form::Mem, cell)
        }
        Token::Word(word) => {
            scan.take()?;
            named(at, word)
        }
        Token::Number(_) | Token::Sign(_) => at.expected("an operand", &token),
    }
}

/// `len`, or an extension.
fn named<'a>(at: At, word: &str) -> Result<Operand<'a>, ClassicError> {
    if let "len" | "pktlen" = word {
        return Ok(Operand::Is(Form::Len, 0));
    }
    match Extension::from_name(word) {
        Some(extension) => Ok(Operand::Is(Form::Abs, extension.k())),
        None => at.expected("an operand", &Token::Word(word)),
    }
}

fn register<'a>(scan: &mut Scan<'a>) -> Result<Operand<'a>, ClassicError> {
    match scan.take()? {
        (_, Token::Word("x" | "X")) => Ok(Operand::Is(Form::X, 0)),
        (_, Token::Word("a" | "A")) => Ok(Operand::Is(Form::A, 0)),
        (at, other) => at.expected("x or a", &other),
    }
}

/// After `[`: `12]`, `x + 12]` or an extension.
fn bracket<'a>(scan: &mut Scan<'a>) -> Result<Operand<'a>, ClassicError> {
    let percent = scan.eat('%')?;
    let operand = match scan.peek() {
        (_, Token::Word("x" | "X")) => {
            scan.take()?;
            let (at, token) = scan.peek();
            let k = match token {
                Token::Sign(']') => 0,
                Token::Sign('+') => {
                    scan.take()?;
                    signed(scan)?
                }
                Token::Sign('-') => signed(scan)?,
                _ => return at.expected("'+' or ']'", &token),
            };
            Operand::Is(Form::Ind, k)
        }
        (at, token) if percent => return at.expected("x", &token),
        (at, Token::Word(word)) => {
            scan.take()?;
            named(at, word)?
        }
        _ => Operand::Is(Form::Abs, signed(scan)?),
    };
    scan.sign(']', "']'")?;
    Ok(operand)
}

/// `4*([14]&0xf)`
fn msh<'a>(scan: &mut Scan<'a>) -> Result<Operand<'a>, ClassicError> {
    scan.take()?;
    for (sign, wanted) in [('*', "'*'"), ('(', "'('"), ('[', "'['")] {
        scan.sign(sign, wanted)?;
    }
    let k = signed(scan)?;
    scan.sign(']', "']'")?;
    scan.sign('&', "'&'")?;
    let (at, _) = scan.peek();
    let mask = scan.peek().1;
    if scan.number("0xf")? != 0xf {
        return at.expected("0xf", &mask);
    }
    scan.sign(')', "')'")?;
    Ok(Operand::Is(Form::Msh, k))
}

/// A number that may have a sign: -1 is 0xffffffff.
fn signed(scan: &mut Scan<'_>) -> Result<u32, ClassicError> {
    let minus = scan.eat('-')?;
    let (at, _) = scan.peek();
    let number = scan.number("a number")?;
    if minus && number > 1 << 31 {
        return at.fail(Fault::TooLarge(number.to_string(), 1 << 31));
    }
    Ok(if minus { number.wrapping_neg() } else { number })
}

fn target<'a>(scan: &mut Scan<'a>) -> Result<Target<'a>, ClassicError> {
    match scan.peek() {
        (_, Token::Number(_)) => Ok(Target::Slot(scan.decimal("a number")?.1)),
        (_, Token::Word(label)) => {
            scan.take()?;
            Ok(Target::Label(label))
        }
        (at, other) => at.expected("a label or the number of an instruction", &other),
    }
}

/// `, yes, no`, `, yes` or `jt 2 jf 3`.
fn targets<'a>(scan: &mut Scan<'a>, swapped: bool, program: &mut Program<'a>) -> Result<(), ClassicError> {
    let slot = program.insns.len();
    let comma = scan.eat(',')?;
    if !comma && !scan.eat_token(Token::Word("jt"))? {
        let (at, token) = scan.peek();
        return at.expected("targets: ', label' or 'jt 2 jf 3'", &token);
    }
    let yes = (scan.peek().0, target(scan)?);
    let no = if comma && scan.eat(',')? || !comma && scan.eat_token(Token::Word("jf"))? {
        (scan.peek().0, target(scan)?)
    } else if comma {
        (yes.0, Target::Next)
    } else {
        let (at, token) = scan.peek();
        return at.expected("'jf'", &token);
    };
    let (yes, no) = if swapped { (no, yes) } else { (yes, no) };
    program.jumps.push(Jump { slot, yes, no });
    Ok(())
}

/// Puts the distances in.
fn link(mut program: Program<'_>) -> Result<Vec<Insn>, ClassicError> {
    for jump in &program.jumps {
        let yes = distance(&program.labels, jump.slot, jump.yes)?;
        let no = distance(&program.labels, jump.slot, jump.no)?;
        let Some(insn) = program.insns.get_mut(jump.slot) else { continue };
        if insn.op() == Some(Op::Jump) {
            insn.k = u32::try_from(yes).unwrap_or(u32::MAX);
        } else {
            insn.jt = short(yes, jump.yes.0)?;
            insn.jf = short(no, jump.no.0)?;
        }
    }
    Ok(program.insns)
}

fn distance(
    labels: &BTreeMap<&str, usize>,
    slot: usize,
    (at, target): (At, Target<'_>),
) -> Result<usize, ClassicError> {
    let target = match target {
        Target::Next => slot + 1,
        Target::Slot(target) => target as usize,
        Target::Label(label) => match labels.get(label) {
            Some(target) => *target,
            None => return at.fail(Fault::NoLabel(label.to_owned())),
        },
    };
    match target.checked_sub(slot + 1) {
        Some(distance) => Ok(distance),
        None => at.fail(Fault::Backwards { target }),
    }
}

fn short(distance: usize, at: At) -> Result<u8, ClassicError> {
    u8::try_from(distance).or_else(|_| at.fail(Fault::TooFar { distance }))
}

/// The table has no two rows of a name that take the same operand, else a text would have two meanings.
#[cfg(test)]
#[test]
fn every_text_has_one_meaning() {
    for (at, row) in ROWS.iter().enumerate() {
        let same = |other: &Row| other.name == row.name && other.form == row.form;
        assert_eq!(ROWS.iter().position(same), Some(at), "{:#x}", row.code);
    }
}
