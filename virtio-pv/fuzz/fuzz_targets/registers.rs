//! Arbitrary register traces: the function stays whole, and a driver that resets it gets a working one.
#![no_main]

mod harness;

use guest_mem::Gpa;
use harness::driver::{Modern, VERSION_1};
use hvm::Width;
use hvm::device::Lifecycle;
use libfuzzer_sys::fuzz_target;

// The shared modules know each other by these paths.
pub use harness::{cable, driver, machine, medium, terminal};

fuzz_target!(|data: &[u8]| {
    let Some((&selector, steps)) = data.split_first() else {
        return;
    };
    let (mut machine, queues) = harness::machine(selector);
    // One step is 8 bytes: what, width, offset, value.
    for step in steps.chunks_exact(8).take(500) {
        let width =
            [Width::Byte, Width::Word, Width::Dword, Width::Qword][usize::from(step[1] & 3)];
        let offset = u64::from(u16::from_le_bytes([step[2], step[3]]));
        let value = u32::from_le_bytes([step[4], step[5], step[6], step[7]]);
        let bar = usize::from(step[1] >> 2 & 7);
        let dword = step[2] & !3;
        match step[0] % 12 {
            0..=4 => machine.write(bar, offset, width, u64::from(value)),
            5 => drop(machine.read(bar, offset, width)),
            6 => machine.config_write(dword, Width::Dword, value),
            7 => drop(machine.config_read(dword, Width::Dword)),
            8 => machine
                .memory
                .store(Gpa(0x1_0000 + offset), &value)
                .unwrap(),
            9 => machine.poll(),
            10 => machine.function.pause(),
            _ => machine.function.resume(),
        }
    }
    machine.function.resume();
    machine.config_write(4, Width::Word, 7);
    machine.memory.fill(Gpa(0), machine::RAM_BYTES, 0).unwrap();
    let (driver, _) = Modern::start(&mut machine, VERSION_1, queues);
    assert_eq!(driver.status(&mut machine), 15);
    harness::recycle(machine);
});
