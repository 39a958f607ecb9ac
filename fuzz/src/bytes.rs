//! Oracles that take any bytes: what decoder, disassembler and assembler must do with whatever comes, and what reads,
//! checks and translates classic BPF.
//!
//! A fuzzer that knows nothing but bytes (`fuzz/targets/`) calls them, and a test of fixed bytes.

use std::sync::Arc;

use ring3_classic::{self as classic, Extension, Filter, Style};
use ring3_isa::{Code, Dialect, Endianness, Insn, IsaError, NoNames, RawInsn, assemble as read, encode};
use ring3_platform::Target;
use ring3_verifier::{LogLevel, verify};
use ring3_vm::{Context, DataStart, Env, Helpers, Interp, MAX_PACKET, SkbContext, TestHost, link, run};

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

/// Reads the bytes as a program of classic BPF (text, or `struct sock_filter`s), and checks that it can be written and read
/// again. If Linux would accept it, its translation must be accepted by the verifier, and do the same on a packet (which
/// the bytes are as well) as the interpreter of classic BPF.
///
/// Errors: what is not so.
pub fn classic(data: &[u8]) -> Result<(), String> {
    let insns = match classic::parse_any(data) {
        Ok(insns) => insns,
        Err(error) if error.to_string().is_empty() => return Err("an error without words".into()),
        Err(_) => return Ok(()),
    };
    if classic::parse(&classic::ddd(&insns)).as_ref() != Ok(&insns) {
        return Err("another program was read back".into());
    }
    let Ok(filter) = Filter::socket(insns) else { return Ok(()) };
    // Every instruction has a text; what it ignores is not in there.
    let listing = classic::Listing(filter.insns()).to_string();
    match classic::parse(&listing).and_then(Filter::socket) {
        Ok(again) if classic::Listing(again.insns()).to_string() == listing => {}
        Ok(again) => return Err(format!("another program was read back from\n{listing}\n{again:?}")),
        Err(error) => return Err(format!("{error} in\n{listing}")),
    }
    let Ok(translation) = filter.translate(Style::Opaque) else { return Ok(()) };
    let target = Arc::new(Target::default());
    let proof =
        verify(Arc::new(translation), target, LogLevel::default()).map_err(|rejection| format!("{rejection}"))?;
    let linked = link(&proof, &[], &Helpers::new()).map_err(|error| error.to_string())?;
    let (Some(mut skb), packet) = (SkbContext::new(), classic::Packet::ethernet(data)) else {
        return Err("no socket buffers".into());
    };
    if data.len() > MAX_PACKET {
        return Ok(());
    }
    skb.load(packet.data, DataStart::Ethernet);
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    env.ctx = Context::Skb(skb);
    let random = filter.insns().iter().any(|insn| insn.extension() == Some(Extension::Random));
    let ours = run(&Interp::new(Arc::new(linked)), &mut env).map(|r0| r0 as u32);
    match (filter.run(&packet), ours) {
        (Ok(want), Ok(have)) if want == have || random => Ok(()),
        (want, have) => Err(format!("{want:?} by itself, {have:?} translated\n{listing}")),
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
