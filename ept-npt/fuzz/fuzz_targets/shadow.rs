//! Any bytes as a guest's tables, registers and accesses.
#![no_main]

#[path = "../../tests/guest/stream.rs"]
mod stream;
#[path = "../../tests/guest/world.rs"]
mod world;

use guest_mem::{Gpa, GuestMemory};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

fuzz_target!(|bytes: &[u8]| {
    // Zeroing it costs less than asking for it anew.
    static MEMORY: OnceLock<GuestMemory> = OnceLock::new();
    let memory = MEMORY.get_or_init(world::memory);
    memory
        .fill(Gpa(0), world::RAM_BYTES, 0)
        .expect("all of it is RAM");
    stream::run(memory, bytes);
});
