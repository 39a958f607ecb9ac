//! The command line, as people and scripts use it.
//!
//! One program for all of them: each that cargo links costs seconds. What needs a process of its own lies beside this folder.

mod bad_input;
mod chapters;
mod common;
mod dump;
mod explain;
mod filter;
mod json;
mod link;
mod load;
mod parity;
mod pins;
mod readme;
mod run;
mod sarif_schema;
mod skeleton;
mod sound;
mod verify;
