//! What Linux refuses of the public suite: by file, with the verifier's words.
//!
//! The files say what the instruction set says, and Linux is stricter. Nothing here excuses an engine without a verifier.

/// File without `.data`, and what Linux 6.18 says.
const REFUSED: &[(&str, &str)] = &[
    // Linux has no calls by register.
    ("callx", "unknown opcode 8d"),
    // An immediate shift must be less than the width.
    ("arsh32-imm-high", "invalid shift 48"),
    ("arsh32-imm-neg", "invalid shift -16"),
    ("arsh64-imm-high", "invalid shift 124"),
    ("arsh64-imm-neg", "invalid shift -4"),
    ("lsh32-imm-high", "invalid shift 60"),
    ("lsh32-imm-neg", "invalid shift -4"),
    ("lsh64-imm-high", "invalid shift 68"),
    ("lsh64-imm-neg", "invalid shift -60"),
    ("rsh32-imm-high", "invalid shift 40"),
    ("rsh32-imm-neg", "invalid shift -24"),
    ("rsh64-imm-high", "invalid shift 68"),
    ("rsh64-imm-neg", "invalid shift -60"),
];

/// Every file that Linux refuses.
pub fn refused() -> impl Iterator<Item = &'static str> {
    REFUSED.iter().map(|(file, _)| *file)
}

/// The entry of a file, if that is how Linux refuses it.
pub fn refuses(name: &str, message: &str) -> Option<&'static str> {
    REFUSED.iter().find(|(file, words)| *file == name && *words == message).map(|(_, words)| *words)
}
