//! Arbitrary traces over the firmware configuration device and flash.
#![no_main]

mod board;

use board::FLASH_BASE;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| board::run(data, &[0x510, 0x511, 0x514, 0x518], FLASH_BASE));
