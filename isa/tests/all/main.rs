//! Encodings, text and arithmetic of instructions.
//!
//! One program for all of them: each that cargo links costs seconds. What needs a process of its own lies beside this folder.

mod code;
mod eval;
mod kinds;
mod public;
mod shapes;
mod text;
