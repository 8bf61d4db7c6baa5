//! Arbitrary traces over the keyboard controller, its devices, the A20 gates and the absolute pointer.
#![no_main]

mod board;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| board::run(data, &[0x60, 0x64, 0x60, 0x64, 0x92], 0));
