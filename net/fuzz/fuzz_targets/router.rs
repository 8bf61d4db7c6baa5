//! Any frames at the router, from both sides.
#![no_main]

#[path = "../../tests/stream/mod.rs"]
mod stream;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| stream::router(bytes));
