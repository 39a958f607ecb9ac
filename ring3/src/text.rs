//! Text to bytes, by BTF: how keys and values are written on a command line.
//!
//! | type | text |
//! |---|---|
//! | any | `hex:0a000001`: the bytes in memory |
//! | integer, pointer | `42`, `-1`, `0x2a`; of 4 bytes also `10.0.0.1`, in the order of the wire |
//! | bool, enum, float | `true`, the name of a value, `0.5` |
//! | array of bytes | text that is filled up with NULs, `02:00:00:00:00:0a`, an IPv6 address where there are 16 |
//! | array, struct | `{1, 2}`, of a struct also `{port=53, address=10.0.0.1}`; what is left out is zero |
//! | LPM key | `10.0.0.0/8` |
//! | without type | an integer of up to 8 bytes |

use std::net::{Ipv4Addr, Ipv6Addr};

use ring3_btf::{Btf, IntEncoding, MAX_VALUE_DEPTH, Type, TypeId};

use crate::TextError;

/// A value of type `id` from text; `size` bytes, which for a type must be its size.
pub fn parse(btf: Option<&Btf>, id: TypeId, size: usize, text: &str) -> Result<Vec<u8>, TextError> {
    let text = text.trim();
    let bytes = match (text.strip_prefix("hex:"), btf.filter(|_| id != TypeId::VOID)) {
        (Some(hex), _) => hex_bytes(hex).ok_or_else(|| TextError::Value(text.to_owned()))?,
        (None, Some(btf)) => {
            let mut bytes = vec![0; btf.size_of(id).map_err(|_| TextError::Shape)? as usize];
            typed(btf, id, text, &mut bytes, 0)?;
            bytes
        }
        (None, None) => {
            let mut bytes = vec![0; size];
            integer(text, &mut bytes, None)?;
            bytes
        }
    };
    let given = bytes.len();
    if given == size { Ok(bytes) } else { Err(TextError::Length { text: text.to_owned(), given, need: size }) }
}

/// Bytes from hexadecimal digits; spaces, colons and an `0x` in front are let through.
pub fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let digits: Vec<char> =
        text.strip_prefix("0x").unwrap_or(text).chars().filter(|c| !c.is_whitespace() && *c != ':').collect();
    let byte = |pair: &[char]| Some((pair[0].to_digit(16)? << 4 | pair[1].to_digit(16)?) as u8);
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() { None } else { pairs.iter().map(|pair| byte(pair)).collect() }
}

/// The key of an LPM trie: `ADDRESS/BITS`, IPv4 or IPv6 by the size of the key.
pub fn prefix(text: &str, key_size: usize) -> Result<Vec<u8>, TextError> {
    let bad = || TextError::Value(text.to_owned());
    let (address, bits) = text.split_once('/').ok_or_else(bad)?;
    let bits: u32 = bits.parse().map_err(|_| bad())?;
    let address = match address.parse::<Ipv4Addr>() {
        Ok(v4) => v4.octets().to_vec(),
        Err(_) => address.parse::<Ipv6Addr>().map_err(|_| bad())?.octets().to_vec(),
    };
    if bits as usize > address.len() * 8 {
        return Err(bad());
    }
    let key: Vec<u8> = bits.to_ne_bytes().into_iter().chain(address).collect();
    let given = key.len();
    if given == key_size { Ok(key) } else { Err(TextError::Length { text: text.to_owned(), given, need: key_size }) }
}

/// Splits `KEY=VALUE` at the first `=` that is not inside braces.
pub fn split_pair(text: &str) -> Result<(&str, &str), TextError> {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            '=' if depth == 0 => return Ok((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    Err(TextError::Pair(text.to_owned()))
}

fn typed(btf: &Btf, id: TypeId, text: &str, out: &mut [u8], depth: usize) -> Result<(), TextError> {
    if depth > MAX_VALUE_DEPTH {
        return Err(TextError::Shape);
    }
    let text = text.trim();
    let bad = || TextError::Value(text.to_owned());
    if let Some(hex) = text.strip_prefix("hex:") {
        let bytes = hex_bytes(hex).filter(|bytes| bytes.len() == out.len()).ok_or_else(bad)?;
        out.copy_from_slice(&bytes);
        return Ok(());
    }
    match btf.resolved(id).map_err(|_| TextError::Shape)? {
        Type::Int(int) if int.encoding == IntEncoding::Bool && matches!(text, "true" | "false") => {
            integer(if text == "true" { "1" } else { "0" }, out, Some(false))
        }
        Type::Int(int) => integer(text, out, Some(int.encoding == IntEncoding::Signed)),
        Type::Ptr { .. } => integer(text, out, Some(false)),
        Type::Enum(e) | Type::Enum64(e) => match e.values.iter().find(|v| btf.string(v.name) == text) {
            Some(v) => integer(&v.value.to_string(), out, None),
            None => integer(text, out, Some(e.signed)),
        },
        Type::Float { .. } => {
            let value: f64 = text.parse().map_err(|_| bad())?;
            match out.len() {
                4 => out.copy_from_slice(&(value as f32).to_ne_bytes()),
                8 => out.copy_from_slice(&value.to_ne_bytes()),
                _ => return Err(TextError::Shape),
            }
            Ok(())
        }
        Type::Array { elem, .. } => array(btf, *elem, text, out, depth),
        Type::Struct(c) | Type::Union(c) => {
            let inner = braces(text).ok_or_else(bad)?;
            for (at, part) in items(inner).into_iter().enumerate() {
                let named = part.split_once(['=', ':']).and_then(|(name, value)| {
                    let name = name.trim().trim_matches('"');
                    c.members.iter().find(|m| btf.string(m.name) == name).map(|m| (m, value))
                });
                let (member, value) = match named {
                    Some(found) => found,
                    None if part.contains('=') && !part.contains('{') => {
                        return Err(TextError::Member(part.split('=').next().unwrap_or(part).trim().to_owned()));
                    }
                    None => (c.members.get(at).ok_or_else(|| TextError::TooMany(text.to_owned()))?, part),
                };
                if member.bitfield_size != 0 || member.bit_offset % 8 != 0 {
                    return Err(TextError::Shape);
                }
                let from = member.bit_offset as usize / 8;
                let size = btf.size_of(member.ty).map_err(|_| TextError::Shape)? as usize;
                let place = out.get_mut(from..from.saturating_add(size)).ok_or(TextError::Shape)?;
                typed(btf, member.ty, value, place, depth + 1)?;
            }
            Ok(())
        }
        Type::Void
        | Type::Fwd { .. }
        | Type::Func { .. }
        | Type::FuncProto { .. }
        | Type::Var { .. }
        | Type::Datasec { .. }
        | Type::DeclTag { .. }
        | Type::Typedef { .. }
        | Type::Volatile { .. }
        | Type::Const { .. }
        | Type::Restrict { .. }
        | Type::TypeTag { .. } => Err(TextError::Shape),
    }
}

fn array(btf: &Btf, elem: TypeId, text: &str, out: &mut [u8], depth: usize) -> Result<(), TextError> {
    let size = btf.size_of(elem).map_err(|_| TextError::Shape)? as usize;
    if let Some(inner) = braces(text) {
        if size == 0 {
            return Err(TextError::Shape);
        }
        let parts = items(inner);
        if parts.len() * size > out.len() {
            return Err(TextError::TooMany(text.to_owned()));
        }
        for (part, place) in parts.into_iter().zip(out.chunks_mut(size)) {
            typed(btf, elem, part, place, depth + 1)?;
        }
        return Ok(());
    }
    if size != 1 {
        return Err(TextError::Shape);
    }
    let pairs = text.split(':').count() == out.len() && text.split(':').all(|part| part.len() == 2);
    if let Some(bytes) = hex_bytes(text).filter(|bytes| pairs && bytes.len() == out.len()) {
        out.copy_from_slice(&bytes);
    } else if let (16, Ok(v6)) = (out.len(), text.parse::<Ipv6Addr>()) {
        out.copy_from_slice(&v6.octets());
    } else if let (4, Ok(v4)) = (out.len(), text.parse::<Ipv4Addr>()) {
        out.copy_from_slice(&v4.octets());
    } else {
        let bytes = text.trim_matches('"').as_bytes();
        let room = out.get_mut(..bytes.len()).ok_or_else(|| TextError::TooMany(text.to_owned()))?;
        room.copy_from_slice(bytes);
    }
    Ok(())
}

/// What is inside of `{}` or `[]`.
fn braces(text: &str) -> Option<&str> {
    let curly = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    curly.or_else(|| text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')))
}

/// Splits at the commas that are not inside braces.
fn items(text: &str) -> Vec<&str> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                items.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = text[start..].trim();
    if !last.is_empty() {
        items.push(last);
    }
    items
}

/// An integer that fits. `signed` bounds it; where that is not known, either reading fits. A hexadecimal one gives the bits.
fn integer(text: &str, out: &mut [u8], signed: Option<bool>) -> Result<(), TextError> {
    let size = out.len();
    if let (4, Ok(address)) = (size, text.parse::<Ipv4Addr>()) {
        out.copy_from_slice(&address.octets());
        return Ok(());
    }
    if size == 0 || size > 16 {
        return Err(TextError::Shape);
    }
    let bits = size as u32 * 8;
    let bad = || TextError::Value(text.to_owned());
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (hex, magnitude) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => (true, u128::from_str_radix(hex, 16)),
        None => (false, digits.parse()),
    };
    let magnitude: u128 = magnitude.ok().filter(|_| !digits.starts_with('+')).ok_or_else(bad)?;
    let half = 1u128 << (bits - 1);
    let all = half | (half - 1);
    let limit = match (negative, signed) {
        (true, Some(false)) => 0,
        (true, _) => half,
        (false, Some(true)) if !hex => half - 1,
        (false, _) => all,
    };
    if magnitude > limit {
        return Err(TextError::Range { text: text.to_owned(), bits });
    }
    let value = if negative { magnitude.wrapping_neg() } else { magnitude };
    let little = value.to_le_bytes();
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = if cfg!(target_endian = "little") { little[at] } else { little[size - 1 - at] };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn untyped(text: &str, size: usize) -> Result<Vec<u8>, TextError> {
        parse(None, TypeId::VOID, size, text)
    }

    #[test]
    fn integers_fit_or_are_refused() {
        assert_eq!(untyped("258", 2), Ok(258u16.to_ne_bytes().to_vec()));
        assert_eq!(untyped("-1", 4), Ok(vec![0xff; 4]));
        assert_eq!(untyped("0xffffffffffffffff", 8), Ok(vec![0xff; 8]));
        assert_eq!(untyped("10.0.0.1", 4), Ok(vec![10, 0, 0, 1]));
        for (text, size) in [("256", 1), ("-129", 1), ("0x1_0", 8), ("", 4), ("+1", 4), ("0x100000000", 4)] {
            assert!(untyped(text, size).is_err(), "{text}");
        }
        assert_eq!(untyped("hex:01 02:03", 3), Ok(vec![1, 2, 3]));
        assert!(untyped("hex:0102", 3).is_err());
        assert!(untyped("1", 17).is_err());
    }

    #[test]
    fn prefixes_of_both_families() {
        assert_eq!(prefix("10.0.0.0/8", 8), Ok([&8u32.to_ne_bytes()[..], &[10, 0, 0, 0]].concat()));
        assert_eq!(prefix("fd00::/8", 20).map(|key| key.len()), Ok(20));
        for text in ["10.0.0.0/33", "10.0.0.0", "10.0.0/8", "fd00::/8", "10.0.0.0/-1"] {
            assert!(prefix(text, 8).is_err(), "{text}");
        }
    }

    #[test]
    fn pairs_split_outside_of_braces() {
        assert_eq!(split_pair("{a=1}={b=2}"), Ok(("{a=1}", "{b=2}")));
        assert_eq!(split_pair("k=v=w"), Ok(("k", "v=w")));
        assert!(split_pair("{a=1}").is_err());
        assert_eq!(items("{1, 2}, 3 ,[4,5]"), ["{1, 2}", "3", "[4,5]"]);
    }
}
