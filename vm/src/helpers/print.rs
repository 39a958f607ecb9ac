//! Helpers that format text: the subset of the kernel's printf that they take.
//!
//! Formats are read twice: once to refuse what Linux refuses, with nothing written, and once to write.

use ring3_platform::Errno;

use super::helper;
use crate::env::{Env, ret};

/// Longest line of `bpf_trace_printk` with its NUL.
const MAX_LINE: usize = 1024;
/// Most arguments in an array (`MAX_BPRINTF_VARARGS`).
const MAX_ARGS: u64 = 12;
/// Longest text that `%s` reads of memory.
const MAX_STR: usize = MAX_LINE;
/// Widest field; Linux does not write more of it either.
const MAX_WIDTH: usize = MAX_LINE;

/// What a conversion prints.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Print {
    Signed,
    Unsigned,
    Hex {
        upper: bool,
    },
    Char,
    Str,
    Pointer,
    /// A place in the kernel, of which there are none: the number.
    Symbol,
    Ready(Ready),
}

/// Texts that Linux makes before it puts the line together. They have no width, and those that would begin behind the end of the buffer
/// are not there: they do not count, and what comes behind them takes their bytes for its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ready {
    Str,
    Symbol,
    /// Addresses of the network, of 4 or 16 bytes; with colons and dots as usual, or (`%pi`) without leaving out zeroes.
    Address {
        long: bool,
        plain: bool,
    },
}

/// One conversion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Spec {
    print: Print,
    /// 4 or 8.
    bytes: u32,
    zero: bool,
    plus: bool,
    minus: bool,
    space: bool,
    width: usize,
}

/// A piece of a format.
enum Piece<'f> {
    Text(&'f [u8]),
    Spec(Spec),
}

/// Splits a format (without its NUL) or says that Linux refuses it.
fn parse(format: &[u8]) -> Result<Vec<Piece<'_>>, Errno> {
    let printable = |byte: &u8| byte.is_ascii_graphic() || matches!(byte, b' ' | 9..=13);
    if !format.iter().all(printable) {
        return Err(Errno::EINVAL);
    }
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some(percent) = rest.iter().position(|byte| *byte == b'%') {
        let (text, after) = (&rest[..percent], &rest[percent + 1..]);
        pieces.push(Piece::Text(text));
        if let Some(escaped) = after.strip_prefix(b"%") {
            pieces.push(Piece::Text(&after[..1]));
            rest = escaped;
            continue;
        }
        let (spec, left) = spec(after)?;
        pieces.push(Piece::Spec(spec));
        rest = left;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

fn spec(mut format: &[u8]) -> Result<(Spec, &[u8]), Errno> {
    let mut spec =
        Spec { print: Print::Signed, bytes: 4, zero: false, plus: false, minus: false, space: false, width: 0 };
    while let [flag @ (b'0' | b'+' | b'-' | b' '), rest @ ..] = format {
        match flag {
            b'0' => spec.zero = true,
            b'+' => spec.plus = true,
            b'-' => spec.minus = true,
            _ => spec.space = true,
        }
        format = rest;
    }
    while let [digit @ b'0'..=b'9', rest @ ..] = format {
        spec.width = (spec.width * 10 + usize::from(digit - b'0')).min(MAX_WIDTH);
        format = rest;
    }
    let ends =
        |rest: &[u8]| rest.first().is_none_or(|b| b.is_ascii_whitespace() || *b == 11 || b.is_ascii_punctuation());
    match format {
        [b'p', rest @ ..] => {
            let (print, rest) = pointer(rest, ends)?;
            (spec.print, spec.bytes) = (print, 8);
            return Ok((spec, rest));
        }
        [b's', rest @ ..] if ends(rest) => {
            (spec.print, spec.bytes) = (Print::Str, 8);
            return Ok((spec, rest));
        }
        [b'c', rest @ ..] => {
            spec.print = Print::Char;
            return Ok((spec, rest));
        }
        _ => {}
    }
    for _ in 0..2 {
        if let [b'l', rest @ ..] = format {
            spec.bytes = 8;
            format = rest;
        }
    }
    let (print, rest) = match format {
        [b'i' | b'd', rest @ ..] => (Print::Signed, rest),
        [b'u', rest @ ..] => (Print::Unsigned, rest),
        [b'x', rest @ ..] => (Print::Hex { upper: false }, rest),
        [b'X', rest @ ..] => (Print::Hex { upper: true }, rest),
        _ => return Err(Errno::EINVAL),
    };
    spec.print = print;
    Ok((spec, rest))
}

/// What follows `%p`.
fn pointer(format: &[u8], ends: impl Fn(&[u8]) -> bool) -> Result<(Print, &[u8]), Errno> {
    match format {
        _ if ends(format) => Ok((Print::Pointer, format)),
        [b'k' | b'u', b's', rest @ ..] if ends(rest) => Ok((Print::Ready(Ready::Str), rest)),
        [b'K' | b'x', rest @ ..] => Ok((Print::Pointer, rest)),
        [b's' | b'S', rest @ ..] => Ok((Print::Symbol, rest)),
        [b'B', rest @ ..] => Ok((Print::Ready(Ready::Symbol), rest)),
        [kind @ (b'i' | b'I'), size @ (b'4' | b'6'), rest @ ..] => {
            Ok((Print::Ready(Ready::Address { long: *size == b'6', plain: *kind == b'i' }), rest))
        }
        _ => Err(Errno::EINVAL),
    }
}

/// The arguments in the bytes that Linux passes them on in: numbers at multiples of 4, texts with a NUL.
#[derive(Default)]
struct Passed {
    bytes: Vec<u8>,
    /// Those before were taken.
    at: usize,
}

impl Passed {
    fn put(&mut self, env: &mut Env<'_>, spec: Spec, arg: u64) {
        let text = match spec.print {
            Print::Char => return self.bytes.push(arg as u8),
            Print::Signed | Print::Unsigned | Print::Hex { .. } | Print::Pointer | Print::Symbol => {
                self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
                return self.bytes.extend_from_slice(&arg.to_le_bytes()[..spec.bytes as usize]);
            }
            Print::Str | Print::Ready(Ready::Str) => env.known_str(arg, MAX_STR).unwrap_or_default(),
            Print::Ready(Ready::Symbol) => symbol(arg),
            Print::Ready(Ready::Address { long, plain }) => address(env, arg, long, plain),
        };
        self.bytes.extend_from_slice(&text);
        self.bytes.push(0);
    }

    /// The next bytes; zeroes behind the last.
    fn number(&mut self, bytes: usize) -> u64 {
        self.at = self.at.next_multiple_of(bytes.min(4));
        let mut word = [0; 8];
        for (byte, passed) in word[..bytes].iter_mut().zip(self.bytes.iter().skip(self.at)) {
            *byte = *passed;
        }
        self.at += bytes;
        u64::from_le_bytes(word)
    }

    /// The bytes up to the next NUL.
    fn text(&mut self) -> Vec<u8> {
        let text: Vec<u8> = self.bytes.iter().skip(self.at).copied().take_while(|byte| *byte != 0).collect();
        self.at += text.len() + 1;
        text
    }
}

/// The text, of any length; `room` bytes of it are for somebody to see.
fn format(env: &mut Env<'_>, format: &[u8], args: &[u64], room: usize) -> Result<Vec<u8>, Errno> {
    let pieces = parse(format)?;
    let specs = || pieces.iter().filter_map(|piece| if let Piece::Spec(spec) = piece { Some(*spec) } else { None });
    if specs().count() > args.len() {
        return Err(Errno::EINVAL);
    }
    let mut passed = Passed::default();
    specs().zip(args).for_each(|(spec, arg)| passed.put(env, spec, *arg));
    let mut out = Vec::new();
    for piece in &pieces {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text),
            Piece::Spec(Spec { print: Print::Ready(_), .. }) if out.len() >= room => {}
            Piece::Spec(Spec { print: Print::Ready(_), .. }) => out.extend(passed.text()),
            Piece::Spec(spec) => write(*spec, &mut passed, &mut out),
        }
    }
    Ok(out)
}

fn symbol(arg: u64) -> Vec<u8> {
    format!("{arg:#x}").into_bytes()
}

fn write(spec: Spec, passed: &mut Passed, out: &mut Vec<u8>) {
    let bytes = spec.bytes as usize;
    let (sign, digits) = match spec.print {
        Print::Signed => {
            let arg = passed.number(bytes);
            let value = if spec.bytes == 4 { i64::from(arg as i32) } else { arg as i64 };
            let sign = match (value < 0, spec.plus, spec.space) {
                (true, _, _) => "-",
                (false, true, _) => "+",
                (false, false, true) => " ",
                (false, false, false) => "",
            };
            (sign, value.unsigned_abs().to_string().into_bytes())
        }
        Print::Unsigned => ("", passed.number(bytes).to_string().into_bytes()),
        Print::Hex { upper: false } => ("", format!("{:x}", passed.number(bytes)).into_bytes()),
        Print::Hex { upper: true } => ("", format!("{:X}", passed.number(bytes)).into_bytes()),
        Print::Char => ("", vec![passed.number(1) as u8]),
        Print::Str | Print::Ready(_) => ("", passed.text()),
        Print::Pointer => ("", format!("{:016x}", passed.number(bytes)).into_bytes()),
        Print::Symbol => ("", symbol(passed.number(bytes))),
    };
    let zero = spec.zero && !spec.minus && !matches!(spec.print, Print::Char | Print::Str);
    let fill = spec.width.saturating_sub(sign.len() + digits.len());
    let pad = |out: &mut Vec<u8>, byte| out.resize(out.len() + fill, byte);
    if !spec.minus && !zero {
        pad(out, b' ');
    }
    out.extend_from_slice(sign.as_bytes());
    if zero {
        pad(out, b'0');
    }
    out.extend_from_slice(&digits);
    if spec.minus {
        pad(out, b' ');
    }
}

/// An address of the network; zeroes where the memory cannot be read.
fn address(env: &mut Env<'_>, at: u64, long: bool, plain: bool) -> Vec<u8> {
    let mut bytes = [0; 16];
    let len = if long { 16 } else { 4 };
    env.known_bytes(at, &mut bytes[..len]);
    let [a, b, c, d, ..] = bytes;
    match (long, plain) {
        (false, false) => format!("{a}.{b}.{c}.{d}"),
        (false, true) => format!("{a:03}.{b:03}.{c:03}.{d:03}"),
        (true, plain) => {
            let groups = bytes.chunks(2).map(|pair| format!("{:02x}{:02x}", pair[0], pair[1]));
            groups.collect::<Vec<_>>().join(if plain { "" } else { ":" })
        }
    }
    .into_bytes()
}

/// A format without its NUL. `EINVAL` if there is none.
fn terminated(format: &[u8]) -> Result<&[u8], Errno> {
    format.iter().position(|byte| *byte == 0).map(|end| &format[..end]).ok_or(Errno::EINVAL)
}

/// Adds a line to the trace; gives how long it would be without a limit.
fn trace(env: &mut Env<'_>, fmt: &[u8], args: &[u64]) -> Result<u64, Errno> {
    let text = format(env, terminated(fmt)?, args, MAX_LINE)?;
    env.trace.push(&text[..text.len().min(MAX_LINE - 1)]);
    Ok(text.len() as u64)
}

/// How many arguments memory with a format asks for: none if it is refused.
pub(crate) fn arguments_of(fmt: &[u8]) -> usize {
    let pieces = terminated(fmt).and_then(parse).unwrap_or_default();
    pieces.iter().filter(|piece| matches!(piece, Piece::Spec(_))).count()
}

helper! {
    /// `bpf_trace_printk(fmt, fmt_size, a, b, c)`.
    trace_printk(env, fmt, size, a, b, c) {
        // SAFETY: by the caller, R1 is memory of R2 bytes.
        let fmt = unsafe { env.mem(fmt, u64::from(size as u32)) }?;
        Some(ret(trace(env, fmt, &[a, b, c])))
    }
}

/// An array of arguments.
///
/// # Safety
///
/// `data` is memory of `len` bytes.
unsafe fn arguments(env: &mut Env<'_>, data: u64, len: u64) -> Option<Result<Vec<u64>, Errno>> {
    let len = u64::from(len as u32);
    if !len.is_multiple_of(8) || len > MAX_ARGS * 8 || (len != 0 && data == 0) {
        return Some(Err(Errno::EINVAL));
    }
    // SAFETY: by the caller.
    let (chunks, _) = unsafe { env.mem(data, len) }?.as_chunks::<8>();
    Some(Ok(chunks.iter().map(|chunk| u64::from_ne_bytes(*chunk)).collect()))
}

helper! {
    /// `bpf_trace_vprintk(fmt, fmt_size, data, data_len)`.
    trace_vprintk(env, fmt, size, data, len) {
        // SAFETY: by the caller, R1 is memory of R2 bytes and R3 of R4.
        let (fmt, args) = unsafe { (env.mem(fmt, u64::from(size as u32))?, arguments(env, data, len)?) };
        Some(ret(args.and_then(|args| trace(env, fmt, &args))))
    }
}

helper! {
    /// `bpf_seq_printf(seq, fmt, fmt_size, data, data_len)`: what an iterator prints.
    seq_printf(env, _seq, fmt, size, data, len) {
        // SAFETY: by the caller, R2 is memory of R3 bytes and R4 of R5.
        let (fmt, args) = unsafe { (env.mem(fmt, u64::from(size as u32))?, arguments(env, data, len)?) };
        let text = args.and_then(|args| format(env, terminated(fmt)?, &args, usize::MAX));
        Some(ret(text.and_then(|text| env.host.print(&text).map(|()| 0))))
    }
}

helper! {
    /// `bpf_snprintf(str, str_size, fmt, data, data_len)`: the length with the NUL that the whole text has.
    snprintf(env, out, size, fmt, data, len) {
        // SAFETY: by the caller, R4 is memory of R5 bytes.
        let args = match unsafe { arguments(env, data, len) }? {
            Ok(args) => args,
            Err(errno) => return Some(errno.as_ret()),
        };
        // SAFETY: by the caller, R3 is a string in a map, which ends with a NUL.
        let fmt = unsafe { super::text::string(env, fmt) }?;
        // SAFETY: by the caller, R1 is memory of R2 bytes.
        unsafe { env.mem_mut(out, u64::from(size as u32)) }?;
        let text = match format(env, &fmt, &args, size as u32 as usize) {
            Ok(text) => text,
            Err(errno) => return Some(errno.as_ret()),
        };
        // SAFETY: as above.
        let out = unsafe { env.mem_mut(out, u64::from(size as u32)) }?;
        if let Some(room) = out.len().checked_sub(1) {
            let len = text.len().min(room);
            out[..len].copy_from_slice(&text[..len]);
            out[len] = 0;
        }
        Some(text.len() as u64 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::DefaultHost;

    fn text(fmt: &str, args: &[u64]) -> Result<String, Errno> {
        in_room(fmt, args, usize::MAX)
    }

    fn in_room(fmt: &str, args: &[u64], room: usize) -> Result<String, Errno> {
        let mut host = DefaultHost;
        format(&mut Env::new(&mut host), fmt.as_bytes(), args, room).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn numbers() {
        let minus = -2i64 as u64;
        assert_eq!(text("%d %u %x", &[minus, minus, minus]).unwrap(), "-2 4294967294 fffffffe");
        assert_eq!(text("%lld %lu %lX", &[minus, minus, minus]).unwrap(), "-2 18446744073709551614 FFFFFFFFFFFFFFFE");
        assert_eq!(text("[%5d] [%-5d] [%05d] [%+d]", &[42, 42, minus, 1]).unwrap(), "[   42] [42   ] [-0002] [+1]");
        assert_eq!(text("100%% %c\n", &[b'x'.into()]).unwrap(), "100% x\n");
        assert_eq!(text("%px", &[0xab]).unwrap(), "00000000000000ab");
    }

    #[test]
    fn unknown_memory_reads_as_nothing() {
        assert_eq!(text("<%s> %pI4", &[1, 1]).unwrap(), "<> 0.0.0.0");
    }

    /// Lengths that Linux gave with a buffer of 8 bytes (less the NUL) and an address that reads as 0.0.0.0.
    #[test]
    fn addresses_behind_the_end_do_not_count() {
        assert_eq!(in_room("%pI4 %pI4", &[1, 1], 8).unwrap(), "0.0.0.0 ");
        assert_eq!(in_room("%pI4 %pI4", &[1, 1], 9).unwrap(), "0.0.0.0 0.0.0.0");
        assert_eq!(in_room("%pi4 %pI6|%c%x", &[1, 1, 48, 65], 8).unwrap().len(), 26);
        assert_eq!(in_room("%pI4 %pB.", &[1, 1], 8).unwrap(), "0.0.0.0 .");
        assert_eq!(in_room("%pI4 %ps.", &[1, 1], 8).unwrap(), "0.0.0.0 0x1.");
        // What comes behind takes their bytes: the number those of the text.
        assert_eq!(in_room("%pI4 %pI4 %d", &[1, 1, 7], 8).unwrap(), format!("0.0.0.0  {}", 0x2e30_2e30));
        assert_eq!(in_room("%pI4 %pI4 %s", &[1, 1, 1], 8).unwrap(), "0.0.0.0  0.0.0.0");
    }

    #[test]
    fn addresses_have_no_width() {
        assert_eq!(text("%20pI4|%-9pB|", &[1, 1]).unwrap(), "0.0.0.0|0x1|");
    }

    #[test]
    fn refused_formats() {
        for fmt in ["%", "%l", "%f", "%.3d", "%o", "%sx", "%pI5", "%n", "\u{7f}", "%d %d %d %d", "%#x"] {
            assert_eq!(text(fmt, &[1, 2, 3]), Err(Errno::EINVAL), "{fmt}");
        }
    }
}
