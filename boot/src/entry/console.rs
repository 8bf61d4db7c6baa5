//! Last words: COM1 and the VGA text screen, without knowing whether they are there.

use core::arch::asm;
use core::fmt::{Arguments, Result, Write};

/// COM1 at 115200 8N1, and the text screen where the machine is in text mode.
pub struct Console;

const COM1: u16 = 0x3f8;
/// Offsets of the 16550's registers: PC16550D data sheet, table II.
const LINE_CONTROL: u16 = 3;
const LINE_STATUS: u16 = 5;
const TRANSMITTER_EMPTY: u8 = 0x20;
/// A port that answers nothing must not hold us for ever.
const MAX_POLLS: u32 = 100_000;

/// Sets the line up and says it.
pub fn say(text: Arguments) {
    out(COM1 + LINE_CONTROL, 0x80);
    out(COM1, 1);
    out(COM1 + 1, 0);
    out(COM1 + LINE_CONTROL, 0x03);
    let _ = Console.write_fmt(text);
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> Result {
        for byte in text.bytes() {
            let mut polls = 0;
            while input(COM1 + LINE_STATUS) & TRANSMITTER_EMPTY == 0 && polls < MAX_POLLS {
                polls += 1;
            }
            out(COM1, byte);
        }
        Ok(())
    }
}

fn out(port: u16, value: u8) {
    // SAFETY: COM1's ports are ours, or nobody's; writing them touches no memory.
    unsafe {
        asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags))
    };
}

fn input(port: u16) -> u8 {
    let value;
    // SAFETY: as above.
    unsafe {
        asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags))
    };
    value
}
