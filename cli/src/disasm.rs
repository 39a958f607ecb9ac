//! Machine code as text.

use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter};
use ring3::jit::Arch;
use yaxpeax_arch::{Decoder as _, U8Reader};

/// Each instruction of a piece of code: its offset, bytes and text. Bytes that are none are shown as such.
pub fn machine_code(arch: Arch, code: &[u8], start: u64) -> Vec<(u64, &[u8], String)> {
    match arch {
        Arch::X64 => x64(code, start),
        Arch::Arm64 => aarch64(code, start),
    }
}

fn x64(code: &[u8], start: u64) -> Vec<(u64, &[u8], String)> {
    let mut formatter = GasFormatter::new();
    let options = formatter.options_mut();
    options.set_space_after_operand_separator(true);
    options.set_uppercase_hex(false);
    options.set_branch_leading_zeros(false);
    let mut decoder = Decoder::with_ip(64, code, start, DecoderOptions::NONE);
    let mut lines = Vec::new();
    while decoder.can_decode() {
        let from = decoder.position();
        let insn = decoder.decode();
        let mut text = String::new();
        formatter.format(&insn, &mut text);
        lines.push((insn.ip(), code.get(from..decoder.position()).unwrap_or_default(), text));
    }
    lines
}

fn aarch64(code: &[u8], start: u64) -> Vec<(u64, &[u8], String)> {
    let decoder = yaxpeax_arm::armv8::a64::InstDecoder::default();
    let text = |word: &[u8]| match decoder.decode(&mut U8Reader::new(word)) {
        Ok(insn) => insn.to_string(),
        Err(_) => "(bad)".to_owned(),
    };
    code.chunks(4).zip((start..).step_by(4)).map(|(word, offset)| (offset, word, text(word))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_machines() {
        let lines = machine_code(Arch::X64, &[0x55, 0x48, 0x89, 0xe5, 0xc3], 0x10);
        let texts: Vec<&str> = lines.iter().map(|(_, _, text)| text.as_str()).collect();
        assert_eq!(texts, ["push %rbp", "mov %rsp, %rbp", "ret"]);
        assert_eq!(lines[1].0, 0x11);
        assert_eq!(lines[1].1, [0x48, 0x89, 0xe5]);
        let lines = machine_code(Arch::Arm64, &[0xc0, 0x03, 0x5f, 0xd6, 0x1f, 0x20, 0x03, 0xd5], 0);
        let texts: Vec<&str> = lines.iter().map(|(_, _, text)| text.as_str()).collect();
        assert_eq!(texts, ["ret", "nop"]);
    }
}
