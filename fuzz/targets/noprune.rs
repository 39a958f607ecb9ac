//! `cargo fuzz run --fuzz-dir fuzz/targets -s none noprune`: see `ring3_fuzz::targets::Target::NoPrune`.
#![no_main]

use ring3_fuzz::targets::{Fuzzer, Target};

libfuzzer_sys::fuzz_target!(|data: &[u8]| Fuzzer::default().run(Target::NoPrune, data).unwrap());
