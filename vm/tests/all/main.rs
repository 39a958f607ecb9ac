//! Helpers, maps and the interpreter on programs that nobody verified.
//!
//! One program for all of them: each that cargo links costs seconds. What needs a process of its own lies beside this folder.

mod common;
mod helpers;
mod hostile;
mod indirect;
mod interp;
mod linux;
mod maps_fields;
mod maps_hash;
mod maps_keyless;
mod maps_lpm;
mod maps_model;
mod maps_rings;
mod maps_targets;
mod maps_threads;
mod tail;
mod trust;
