//! Arbitrary traces over the HPET and the timers that it replaces.
#![no_main]

mod board;

use libfuzzer_sys::fuzz_target;
use pc::board::HPET_BASE;

fuzz_target!(|data: &[u8]| board::run(data, &[0x40, 0x43, 0x61, 0x70, 0x71], HPET_BASE.0));
