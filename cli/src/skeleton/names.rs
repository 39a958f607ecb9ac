//! Names that compilers take.

/// Words that are no names in Rust or C.
const WORDS: [&str; 66] = [
    "as", "async", "auto", "await", "bool", "break", "case", "char", "const", "continue", "crate", "default", "do",
    "double", "dyn", "else", "enum", "extern", "false", "float", "fn", "for", "gen", "goto", "if", "impl", "in",
    "inline", "int", "let", "long", "loop", "match", "mod", "move", "mut", "pub", "ref", "register", "restrict",
    "return", "self", "short", "signed", "sizeof", "static", "struct", "super", "switch", "trait", "true", "type",
    "typedef", "union", "unsafe", "unsigned", "use", "void", "volatile", "where", "while", "Self", "abstract",
    "become", "box", "yield",
];

/// The name with `_` for what no identifier has.
pub fn identifier(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let mut text: String = name.chars().map(plain).collect();
    if text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit()) {
        text.insert(0, '_');
    }
    if WORDS.contains(&text.as_str()) {
        text.push('_');
    }
    text
}

/// `drop_icmp` as `DropIcmp`.
pub fn camel(name: &str) -> String {
    let mut text = String::new();
    for word in identifier(name).split('_') {
        let mut letters = word.chars();
        text.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        text.extend(letters);
    }
    identifier(&text)
}
