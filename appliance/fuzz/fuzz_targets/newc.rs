//! Any bytes as a bundle: an answer, never a panic; every entry lies in the input.
#![no_main]

use appliance::Bundle;
use appliance::newc::Entries;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let input = bytes.as_ptr_range();
    for entry in Entries::new(bytes).flatten() {
        let data = entry.data.as_ptr_range();
        assert!(entry.data.is_empty() || (input.start <= data.start && data.end <= input.end));
    }
    if let Ok(bundle) = Bundle::open(bytes) {
        let _ = bundle.load("");
    }
});
