//! `cargo fuzz run --fuzz-dir fuzz/targets assemble`: see `ring3_fuzz::bytes::assemble`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ring3_fuzz::bytes::assemble(data).unwrap());
