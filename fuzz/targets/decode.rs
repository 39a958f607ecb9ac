//! `cargo fuzz run --fuzz-dir fuzz/targets decode`: see `ring3_fuzz::bytes::decode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ring3_fuzz::bytes::decode(data).unwrap());
