//! Arbitrary traces over the floppy controller and both DMA controllers.
#![no_main]

mod board;

use libfuzzer_sys::fuzz_target;

const PORTS: [u16; 16] = [
    0x3f5, 0x3f5, 0x3f5, 0x3f5, 0x3f2, 0x3f4, 0x3f7, 0x3f3, 4, 5, 8, 0xa, 0xb, 0xc, 0x81, 0xd4,
];

fuzz_target!(|data: &[u8]| board::run(data, &PORTS, 0));
