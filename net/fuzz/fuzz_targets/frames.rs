//! Any bytes as frames for the host's stack.
#![no_main]

#[path = "../../tests/stream/mod.rs"]
mod stream;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| stream::frames(bytes));
