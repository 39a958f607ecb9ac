//! BPF ELF objects to programs.

#![forbid(unsafe_code)]
