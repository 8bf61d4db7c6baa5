//! Any frames at a switch with ports of every kind.
#![no_main]

#[path = "../../tests/stream/mod.rs"]
mod stream;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| stream::switch(bytes));
