//! What Linux refuses of the public suite: by file, with the verifier's words.
//!
//! The files say what the instruction set says, and Linux is stricter. Nothing here excuses an engine without a verifier.

/// File without `.data`, and what Linux 6.18 says.
const REFUSED: &[(&str, &str)] = &[];

/// The entry of a file, if that is how Linux refuses it.
pub fn refuses(name: &str, message: &str) -> Option<&'static str> {
    REFUSED.iter().find(|(file, words)| *file == name && *words == message).map(|(_, words)| *words)
}
