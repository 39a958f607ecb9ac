//! `cargo fuzz run --fuzz-dir fuzz/targets -s none kernel`: see `ring3_fuzz::targets::Target::Kernel`.
#![no_main]

use ring3_fuzz::targets::{Fuzzer, Target};

libfuzzer_sys::fuzz_target!(|data: &[u8]| Fuzzer::default().run(Target::Kernel, data).unwrap());
