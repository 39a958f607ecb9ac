//! BPF Type Format: parse, write, dump.

#![forbid(unsafe_code)]
