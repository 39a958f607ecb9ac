//! Lowering, maps, helpers, contexts and the interpreter.
pub mod maps;
