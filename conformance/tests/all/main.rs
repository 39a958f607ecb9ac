//! The runner, its formats, and the kernel as an engine.
//!
//! One program for all of them: each that cargo links costs seconds. What needs a process of its own lies beside this folder.

mod format;
mod kernel;
mod plugin;
mod public;
mod runner;
