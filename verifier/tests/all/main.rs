//! The domains beside arithmetic, and rules that need more than a program and its verdict.
//!
//! One program for all of them: each that cargo links costs seconds. What needs a process of its own lies beside this folder.

mod attach;
mod domain_kernel;
mod domain_log;
mod domain_sound;
mod domain_z3;
mod exception_callback;
mod flags;
mod global_arguments;
mod objects_in_maps;
mod signed_context;
mod sockmap;
mod special;
mod watched;
