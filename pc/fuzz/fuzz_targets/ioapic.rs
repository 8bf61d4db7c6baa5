//! Arbitrary traces over the I/O APIC, and over the chips whose interrupts it takes.
#![no_main]

mod board;

use libfuzzer_sys::fuzz_target;
use pc::board::IOAPIC_BASE;

fuzz_target!(|data: &[u8]| board::run(data, &[0x40, 0x43, 0x64, 0x71], IOAPIC_BASE.0));
