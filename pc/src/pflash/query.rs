//! The part's description of itself ("Common flash interface", JEDEC JESD68; Intel AP-646, tables 2 to 5).

use super::BLOCK_BYTES;
use super::bits::BUFFER_SHIFT;

/// The byte at `offset` for a part of `bytes` bytes; 0 where the structure has none.
pub(super) fn read(offset: usize, bytes: usize) -> u8 {
    let [blocks_low, blocks_high, ..] = (bytes / BLOCK_BYTES).wrapping_sub(1).to_le_bytes();
    match offset {
        0x10 => b'Q',
        0x11 => b'R',
        0x12 => b'Y',
        // Intel's extended command set, whose own table is at 31h.
        0x13 => 1,
        0x15 => 0x31,
        // Supply 4.5 to 5.5 V, no separate programming voltage.
        0x1b => 0x45,
        0x1c => 0x55,
        // Typical times, as powers of two: byte 128 µs, buffer 128 µs, block erase 1024 ms; and at most so many times as much.
        0x1f | 0x20 => 7,
        0x21 => 10,
        0x23..=0x25 => 4,
        // Size, the power of two that holds it; 8 bits wide; write buffer; one kind of blocks.
        0x27 => bytes.next_power_of_two().trailing_zeros() as u8,
        0x2a => BUFFER_SHIFT,
        0x2c => 1,
        // How many of them, less one, and their size in units of 256 bytes.
        0x2d => blocks_low,
        0x2e => blocks_high,
        0x2f => (BLOCK_BYTES / 256) as u8,
        0x30 => ((BLOCK_BYTES / 256) >> 8) as u8,
        // The extended table: version 1.0, nothing optional.
        0x31 => b'P',
        0x32 => b'R',
        0x33 => b'I',
        0x34 => b'1',
        0x35 => b'0',
        _ => 0,
    }
}
