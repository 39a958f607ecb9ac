//! `cargo fuzz run --fuzz-dir fuzz/targets -s none states`: see `ring3_fuzz::targets::Target::States`.
#![no_main]

use ring3_fuzz::targets::{Fuzzer, Target};

libfuzzer_sys::fuzz_target!(|data: &[u8]| Fuzzer::default().run(Target::States, data).unwrap());
