//! Linux beside ring3: each test asks the running kernel where it may.
//!
//! One program for all of them: each that cargo links costs seconds. What needs a process of its own lies beside this folder.

mod arrays;
mod extend;
mod fragments;
mod helpers;
mod kernel_types;
mod kfuncs;
mod objects;
mod show;
mod struct_ops;
mod tunnels;
mod verdicts;
