//! The kernel's own types: what programs are attached to, and what lies in structures.

pub mod members;
pub mod symbol;
pub mod target;
