//! Generated and known programs: verdicts, states, engines and planted mistakes.
//!
//! One program for all of them: each that cargo links costs seconds. What needs a process of its own lies beside this folder.

mod bytes;
mod cases;
mod combinations;
mod combine;
mod depth;
mod explain;
mod fastcall;
mod generator;
mod grace;
mod hidden_exits;
mod info;
mod kfuncs;
mod maps;
mod parity;
mod percpu;
mod planted;
mod planted_jit;
mod sound;
mod states;
mod symbols;
