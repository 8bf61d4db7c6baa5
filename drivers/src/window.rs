//! Registers and rings in memory, as drivers see them.

/// A range of memory that hardware reads and writes too: its registers, or rings that it was told of. Accesses happen in the order of the
/// program, and with the width that is asked for. What lies outside reads as all ones and cannot be written.
pub trait Window: Send {
    /// Reads 8 bits.
    fn read_u8(&mut self, at: usize) -> u8;
    /// Reads 16 bits; `at` is even.
    fn read_u16(&mut self, at: usize) -> u16;
    /// Reads 32 bits; `at` is a multiple of 4.
    fn read_u32(&mut self, at: usize) -> u32;
    /// Writes 8 bits.
    fn write_u8(&mut self, at: usize, value: u8);
    /// Writes 16 bits; `at` is even.
    fn write_u16(&mut self, at: usize, value: u16);
    /// Writes 32 bits; `at` is a multiple of 4.
    fn write_u32(&mut self, at: usize, value: u32);

    /// Writes 64 bits as two halves, the lower first; `at` is a multiple of 4.
    fn write_u64(&mut self, at: usize, value: u64) {
        self.write_u32(at, value as u32);
        self.write_u32(at + 4, (value >> 32) as u32);
    }
}

/// Cleared memory for rings, which hardware finds at an address.
pub struct Shared<W> {
    /// Its bytes.
    pub window: W,
    /// The address of the first, for hardware.
    pub dma: u64,
}
