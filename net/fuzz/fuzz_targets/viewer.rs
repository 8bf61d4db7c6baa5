//! Any bytes as what a viewer says.
#![no_main]

#[path = "../../tests/stream/mod.rs"]
mod stream;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| stream::viewer(bytes));
