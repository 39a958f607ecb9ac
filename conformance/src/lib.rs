//! The conformance suite: programs as data with what Linux says of them, and runners over every engine.
//!
//! Nothing is here yet. What the examples must do is tested in `ring3/tests` against the tables of `examples/expected`; what single
//! instructions must do in `isa/tests`, the verifier's numbers in `verifier/tests`, helpers and maps in `vm/tests`.

#![forbid(unsafe_code)]
