//! The port space, as drivers see it.

/// Access to x86 I/O ports. The kernel implements it with IN and OUT, tests with register models.
pub trait Ports {
    /// IN, 8 bits.
    fn read_u8(&mut self, port: u16) -> u8;
    /// OUT, 8 bits.
    fn write_u8(&mut self, port: u16, value: u8);
    /// IN, 32 bits.
    fn read_u32(&mut self, port: u16) -> u32;
    /// OUT, 32 bits.
    fn write_u32(&mut self, port: u16, value: u32);
}
