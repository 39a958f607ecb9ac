//! The library for embedders: what it loads, runs, keeps and says.
//!
//! One program for all of them: each that cargo links costs seconds. What needs a process of its own lies beside this folder.

mod checked;
mod classic;
mod common;
mod contexts;
mod damaged;
mod extend;
mod kept;
mod large;
mod loader;
mod logs;
mod pins;
mod releases;
mod runs;
mod sim;
mod sim_helpers;
mod skeleton;
mod special;
mod tags;
mod testrun;
mod text;
mod verdicts;
