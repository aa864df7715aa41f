#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| velvetrope_fuzz::url(bytes));
