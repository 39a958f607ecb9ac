//! Lowering, maps, helpers, contexts and the interpreter.
