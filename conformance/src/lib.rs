//! Conformance suite and runners.

#![forbid(unsafe_code)]
