//! Any bytes as messages of multicast DNS, SNTP and Telnet.
#![no_main]

#[path = "../../tests/stream/mod.rs"]
mod stream;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| stream::messages(bytes));
