//! Format strings that are known before the program runs (`bpf_snprintf`): whether the helper will take them.

/// Whether a format string without its end mark is one that Linux's helpers take for so many arguments.
pub(super) fn takes(format: &[u8], arguments: u64) -> bool {
    let mut rest = format;
    let mut used = 0;
    while let Some((first, after)) = rest.split_first() {
        if !is_text(*first) {
            return false;
        }
        rest = match (*first, after) {
            (b'%', [b'%', after @ ..]) => after,
            (b'%', spec) => {
                if used >= arguments {
                    return false;
                }
                used += 1;
                match specifier(spec) {
                    Some(after) => after,
                    None => return false,
                }
            }
            (_, after) => after,
        };
    }
    true
}

/// What stands in formats: printable characters and white space of ASCII.
fn is_text(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte) || is_space(byte)
}

/// White space as C has it.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// What follows `%`, and what is left behind it. `None`: no helper knows it.
fn specifier(spec: &[u8]) -> Option<&[u8]> {
    let flags = spec.iter().take_while(|b| matches!(**b, b'0' | b'+' | b'-' | b' ')).count();
    let spec = &spec[flags..];
    let digits = match spec.first() {
        Some(b'1'..=b'9') => spec.iter().take_while(|b| b.is_ascii_digit()).count(),
        Some(_) | None => 0,
    };
    match &spec[digits..] {
        [b'p', after @ ..] => pointer(after),
        [b's', after @ ..] => ends(after).then_some(after),
        [b'c', after @ ..] => Some(after),
        [b'l', b'l', after @ ..] | [b'l', after @ ..] | after => match after {
            [b'i' | b'd' | b'u' | b'x' | b'X', after @ ..] => Some(after),
            _ => None,
        },
    }
}

/// Whether something that may have a suffix has none.
fn ends(after: &[u8]) -> bool {
    after.first().is_none_or(|next| is_space(*next) || next.is_ascii_punctuation())
}

/// What follows `%p`.
fn pointer(after: &[u8]) -> Option<&[u8]> {
    match after {
        [b'k' | b'u', b's', after @ ..] => ends(after).then_some(after),
        [b'K' | b'x' | b's' | b'S' | b'B', after @ ..] | [b'i' | b'I', b'4' | b'6', after @ ..] => Some(after),
        _ => ends(after).then_some(after),
    }
}

#[cfg(test)]
mod tests {
    use super::takes;

    #[test]
    fn formats() {
        for (format, arguments, expected) in [
            ("plain", 0, true),
            ("100 %%", 0, true),
            ("%d", 1, true),
            ("%d", 0, false),
            ("%d %d", 1, false),
            ("%d", 2, true),
            ("%-08lld|%+3lu|%llx", 3, true),
            ("%s %s", 2, true),
            ("%sa", 1, false),
            ("%c", 1, true),
            ("%p %pK %pks %pi4 %pI6 %pB %px", 7, true),
            ("%pi5", 1, false),
            ("%pa", 1, false),
            ("%lllx", 1, false),
            ("%", 1, false),
            ("%h", 1, false),
            ("\u{80}", 0, false),
            ("\u{7}", 0, false),
            ("\t\n", 0, true),
        ] {
            assert_eq!(takes(format.as_bytes(), arguments), expected, "{format:?} with {arguments}");
        }
    }
}
