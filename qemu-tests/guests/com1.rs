//! The first serial port of benchmark guests.

use core::arch::asm;
use core::fmt;

/// The port.
pub struct Com1;

impl Com1 {
    /// With 8 data bits: after a reset there are 5.
    pub fn set_up() -> Self {
        // SAFETY: 3FBh is COM1's line control; writing there touches no memory.
        unsafe { asm!("out dx, al", in("al") 3u8, in("dx") 0x3fbu16) };
        Self
    }
}

impl fmt::Write for Com1 {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: 3F8h and 3FDh are COM1's data and line status; writing there touches no memory.
            unsafe {
                let mut status: u8 = 0;
                while status & 0x20 == 0 {
                    asm!("in al, dx", out("al") status, in("dx") 0x3fdu16);
                }
                asm!("out dx, al", in("al") byte, in("dx") 0x3f8u16);
            }
        }
        Ok(())
    }
}
