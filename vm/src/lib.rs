//! Lowering, maps, helpers, contexts and the interpreter.

pub mod maps;

/// What programs become before they run.
pub mod lower {
    pub mod op;
}
