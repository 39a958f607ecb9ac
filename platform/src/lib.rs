//! What Linux offers to BPF programs, as tables.

#![forbid(unsafe_code)]
