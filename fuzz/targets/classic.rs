//! `cargo fuzz run --fuzz-dir fuzz/targets classic`: see `ring3_fuzz::bytes::classic`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ring3_fuzz::bytes::classic(data).unwrap());
