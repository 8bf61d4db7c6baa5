//! The CPU's port space, for the drivers.

use drivers::ports::Ports;

/// IN and OUT. Whoever makes one names, by the driver that it hands it to, a device that nothing else in the kernel drives.
#[derive(Clone, Copy, Debug)]
pub struct CpuPorts(());

impl CpuPorts {
    /// Access to the ports.
    ///
    /// # Safety
    /// The driver that gets it must own the device behind the ports that it touches, and the device must not reach
    /// memory through them (DMA) that Rust code uses.
    pub const unsafe fn new() -> Self {
        Self(())
    }

    /// IN, 16 bits.
    #[inline]
    pub fn read_u16(&mut self, port: u16) -> u16 {
        let value;
        // SAFETY: as for `read_u8`.
        unsafe {
            core::arch::asm!("in ax, dx", in("dx") port, out("ax") value, options(nomem, nostack, preserves_flags));
        }
        value
    }

    /// OUT, 16 bits.
    #[inline]
    pub fn write_u16(&mut self, port: u16, value: u16) {
        // SAFETY: as for `read_u8`.
        unsafe {
            core::arch::asm!("out dx, ax", in("dx") port, in("ax") value, options(nomem, nostack, preserves_flags));
        }
    }
}

impl Ports for CpuPorts {
    #[inline]
    fn read_u8(&mut self, port: u16) -> u8 {
        let value;
        // SAFETY: by the contract of `new` this port belongs to the calling driver; IN touches no memory.
        unsafe {
            core::arch::asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags));
        }
        value
    }

    #[inline]
    fn write_u8(&mut self, port: u16, value: u8) {
        // SAFETY: as for `read_u8`.
        unsafe {
            core::arch::asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags));
        }
    }

    #[inline]
    fn read_u32(&mut self, port: u16) -> u32 {
        let value;
        // SAFETY: as for `read_u8`.
        unsafe {
            core::arch::asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags));
        }
        value
    }

    #[inline]
    fn write_u32(&mut self, port: u16, value: u32) {
        // SAFETY: as for `read_u8`.
        unsafe {
            core::arch::asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags));
        }
    }
}
