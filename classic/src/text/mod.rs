//! Reading programs: numbers, C initialisers, listings, assembler text, bytes.

mod asm;
mod numbers;
mod scan;

use ring3_isa::Endianness;

use crate::error::ClassicError;
use crate::insn::Insn;

/// Reads a program from text, in whichever of these forms it is:
///
/// - numbers in decimal, as `tcpdump -ddd` (a count, then an instruction a line), `bpf_asm`, `nfbpf_compile` and iptables'
///   `--bytecode` (`4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0`) have them;
/// - C initialisers, as `tcpdump -dd` and `bpf_asm -c`: `{ 0x28, 0, 0, 0x0000000c },`;
/// - a listing, as `tcpdump -d`: `(001) jeq #0x806 jt 2 jf 3`;
/// - assembler, as `bpf_asm` takes it: labels, `jne #0x806, drop`, `ld #proto`, comments after `;` and in `/* */`.
///
/// Errors: [`ClassicError::Text`], with line and column.
pub fn parse(text: &str) -> Result<Vec<Insn>, ClassicError> {
    // What begins with a brace is C, what has no letters outside of that is numbers.
    if text.trim_start().starts_with(['{', '/']) && text.contains('{') {
        return numbers::initialisers(text);
    }
    let only_numbers = text.chars().all(|c| c.is_ascii_digit() || c.is_whitespace() || c == ',');
    if only_numbers { numbers::decimal(text) } else { asm::parse(text) }
}

/// Reads a program from a file's content: text as [`parse`], or `struct sock_filter`s in the byte order of this machine. What
/// has a zero byte in it, or is not UTF-8, is no text.
pub fn parse_any(content: &[u8]) -> Result<Vec<Insn>, ClassicError> {
    match std::str::from_utf8(content) {
        Ok(text) if !content.contains(&0) => parse(text),
        Ok(_) | Err(_) => from_bytes(content, HOST),
    }
}

/// Byte order of this machine.
pub(crate) const HOST: Endianness = if cfg!(target_endian = "little") { Endianness::Little } else { Endianness::Big };

/// Reads `struct sock_filter`s. Errors: `PartialInsn`, `Length` if there are more than [`MAX_INSNS`](crate::MAX_INSNS).
pub fn from_bytes(bytes: &[u8], order: Endianness) -> Result<Vec<Insn>, ClassicError> {
    let (insns, rest) = bytes.as_chunks::<{ Insn::BYTES }>();
    if !rest.is_empty() {
        return Err(ClassicError::PartialInsn { bytes: bytes.len() });
    }
    if insns.len() > crate::MAX_INSNS {
        return Err(ClassicError::Length { count: insns.len() });
    }
    Ok(insns.iter().map(|insn| Insn::from_bytes(*insn, order)).collect())
}

/// The program as `struct sock_filter`s.
pub fn to_bytes(insns: &[Insn], order: Endianness) -> Vec<u8> {
    insns.iter().flat_map(|insn| insn.to_bytes(order)).collect()
}
