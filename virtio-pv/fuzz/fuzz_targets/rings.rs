//! Rings, indirect tables and requests of arbitrary bytes: the worst outcome is a request for reset.
#![no_main]

mod harness;

use guest_mem::Gpa;
use harness::driver::{EVENT_INDEX, INDIRECT, Modern, VERSION_1};
use libfuzzer_sys::fuzz_target;

/// Where headers and indirect tables lie.
const REQUESTS: u64 = 0x7000;

// The shared modules know each other by these paths.
pub use harness::{cable, driver, machine, medium, terminal};

fuzz_target!(|data: &[u8]| {
    let [selector, count, data @ ..] = data else {
        return;
    };
    let (mut machine, queues) = harness::machine(*selector);
    let mut features = VERSION_1;
    features |= if selector & 2 == 0 { 0 } else { INDIRECT };
    features |= if selector & 4 == 0 { 0 } else { EVENT_INDEX };
    let (driver, mut rings) = Modern::start(&mut machine, features, queues);
    let which = usize::from(selector >> 4) % rings.len();
    let ring = &mut rings[which];
    // Three equal parts: descriptors, requests, and the driver's area.
    let (descriptors, rest) = data.split_at(data.len() / 3);
    let (requests, available) = rest.split_at(rest.len() / 2);
    for (base, bytes) in [
        (ring.descriptors, descriptors),
        (REQUESTS, requests),
        (ring.available, available),
    ] {
        let bytes = &bytes[..bytes.len().min(0x800)];
        machine.memory.write(Gpa(base), bytes).unwrap();
    }
    let index = u16::from(*count);
    machine
        .memory
        .store(Gpa(ring.available + 2), &index)
        .unwrap();
    driver.kick(&mut machine, ring);
    machine.poll();
    let broken = machine.function.fault().is_some();
    assert_eq!(driver.status(&mut machine) & 64 != 0, broken);
    harness::recycle(machine);
});
