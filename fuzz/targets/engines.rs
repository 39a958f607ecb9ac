//! `cargo fuzz run --fuzz-dir fuzz/targets -s none engines`: see `ring3_fuzz::targets::Target::Engines`.
#![no_main]

use ring3_fuzz::targets::{Fuzzer, Target};

libfuzzer_sys::fuzz_target!(|data: &[u8]| Fuzzer::default().run(Target::Engines, data).unwrap());
