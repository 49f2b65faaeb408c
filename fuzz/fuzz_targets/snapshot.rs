#![no_main]
libfuzzer_sys::fuzz_target!(
    init: bodies::trace_if_asked(),
    |data: &[u8]| bodies::snapshot::run(data)
);
