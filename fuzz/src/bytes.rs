//! Oracles that take any bytes: what decoder, disassembler and assembler must do with whatever comes.
//!
//! A fuzzer that knows nothing but bytes (`fuzz/targets/`) calls them, and a test of fixed bytes.

use ring3_isa::{Code, Dialect, Endianness, Insn, IsaError, NoNames, RawInsn, assemble as read, encode};

/// Longest listing that is also read back whole: reading lines one by one costs the same, and this costs it twice.
const WHOLE: usize = 4096;

/// Decodes the bytes as a program (in big-endian order if their first bit is set), and checks that each slot comes back:
/// by encoding, and out of its text in both dialects.
///
/// Errors: what does not.
pub fn decode(data: &[u8]) -> Result<(), String> {
    let order = if data.first().is_some_and(|byte| byte & 1 == 1) { Endianness::Big } else { Endianness::Little };
    let code = match Code::from_bytes(data, order) {
        Ok(code) => code,
        Err(IsaError::PartialSlot { bytes }) if bytes % RawInsn::BYTES != 0 => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    if code.to_bytes(order) != data {
        return Err("the bytes did not come back".into());
    }
    for slot in 0..code.len() {
        check_slot(&code, slot)?;
    }
    let valid = Code::from_insns(code.insns().iter().flatten().copied());
    if valid.len() <= WHOLE { reads_back(&valid) } else { Ok(()) }
}

fn check_slot(code: &Code, slot: usize) -> Result<(), String> {
    let (Some(raw), Some(verdict)) = (code.raw(slot), code.get(slot)) else { return Err(format!("no slot {slot}")) };
    let texts = Dialect::ALL.iter().map(|dialect| Some(code.text(slot, &NoNames)?.in_dialect(*dialect).to_string()));
    let texts: Vec<String> = texts.flatten().collect();
    match verdict {
        Ok(Insn::WideTail) if texts.is_empty() => Ok(()),
        Ok(insn) => {
            // Of EXIT Linux does not look at the offset.
            let same = encode(insn).head() == raw || insn == Insn::Exit;
            if same && texts.len() == 2 { Ok(()) } else { Err(format!("{raw:?} became {insn:?} {texts:?}")) }
        }
        Err(bad) if bad.to_string().is_empty() || texts.iter().any(String::is_empty) => {
            Err(format!("{raw:?}: no words"))
        }
        Err(_) => Ok(()),
    }
}

/// Reads the bytes as text, and checks that what was understood can be written and read again, and that a mistake is said
/// to be at a place that the text has.
///
/// Errors: what is not so.
pub fn assemble(data: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(data);
    match read(&text) {
        Ok(code) => {
            if let Some(bad) = code.insns().iter().find_map(|insn| insn.err()) {
                return Err(format!("assembled what is malformed: {bad}"));
            }
            reads_back(&code)
        }
        Err(IsaError::Syntax { line, column, problem }) => {
            let there = text.lines().nth(line.wrapping_sub(1)).is_some_and(|text| column <= text.chars().count() + 1);
            if there && column > 0 && !problem.to_string().is_empty() {
                Ok(())
            } else {
                Err(format!("no line {line}, column {column} for: {problem}"))
            }
        }
        Err(error) => Err(error.to_string()),
    }
}

fn reads_back(code: &Code) -> Result<(), String> {
    for dialect in Dialect::ALL {
        let lines = (0..code.len()).filter_map(|slot| Some(code.text(slot, &NoNames)?.in_dialect(*dialect)));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        match read(&text) {
            Ok(again) if again == *code => {}
            Ok(_) => return Err(format!("another program was read back from\n{text}")),
            Err(error) => return Err(format!("{error} in\n{text}")),
        }
    }
    Ok(())
}
