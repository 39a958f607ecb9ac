//! BPF Type Format: parse, write, dump.

#![forbid(unsafe_code)]

/// Function and line information of one program.
#[derive(Clone, Debug, Default)]
pub struct ProgramInfo {}
