//! Words for people when there is no kernel to say them: COM1, and the screen as far as somebody draws text for us.

use core::arch::asm;
use core::fmt::{Arguments, Result, Write};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use uefi_raw::protocol::console::SimpleTextOutputProtocol;

const COM1: u16 = 0x3f8;
/// Offsets of the 16550's registers (PC16550D data sheet, table II).
const INTERRUPT_ENABLE: u16 = 1;
const LINE_CONTROL: u16 = 3;
const LINE_STATUS: u16 = 5;
const DIVISOR_ACCESS: u8 = 0x80;
const EIGHT_BITS: u8 = 0x03;
const TRANSMITTER_EMPTY: u8 = 0x20;
/// A port that answers nothing must not hold us for ever.
const MAX_POLLS: u32 = 100_000;

/// The VGA's text memory; 80 columns are what a BIOS leaves.
const TEXT_SCREEN: *mut u16 = 0xb8000 as *mut u16;
const TEXT_CELLS: usize = 80 * 25;
const WHITE_ON_BLACK: u16 = 0x0f00;

/// Where text on the screen goes; null when nowhere.
static FIRMWARE: AtomicPtr<SimpleTextOutputProtocol> = AtomicPtr::new(null_mut());
static SCREEN: AtomicPtr<u16> = AtomicPtr::new(null_mut());

/// Tells that a VGA is in text mode.
pub fn use_text_screen() {
    SCREEN.store(TEXT_SCREEN, Relaxed);
}

/// Tells that the firmware shows text; null when it no longer does.
///
/// # Safety
/// The protocol stays valid until the next call.
pub unsafe fn use_firmware(output: *mut SimpleTextOutputProtocol) {
    FIRMWARE.store(output, Relaxed);
}

/// Says it on all of them, one after the other: the firmware may well show its text on COM1, too. Writing does not fail.
pub fn say(text: Arguments) {
    let _ = Serial::set_up().write_fmt(text);
    let _ = Screen { cell: 0 }.write_fmt(text);
    let _ = Firmware.write_fmt(text);
}

/// COM1.
struct Serial;

/// A VGA in text mode.
struct Screen {
    cell: usize,
}

/// The EFI console.
struct Firmware;

impl Serial {
    fn set_up() -> Self {
        out(COM1 + LINE_CONTROL, DIVISOR_ACCESS);
        out(COM1, 1); // 115200 baud
        out(COM1 + INTERRUPT_ENABLE, 0);
        out(COM1 + LINE_CONTROL, EIGHT_BITS);
        Self
    }
}

impl Write for Serial {
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

impl Write for Screen {
    fn write_str(&mut self, text: &str) -> Result {
        let screen = SCREEN.load(Relaxed);
        if screen.is_null() {
            return Ok(());
        }
        for byte in text.bytes().filter(|byte| !byte.is_ascii_control()) {
            if self.cell < TEXT_CELLS {
                let cell = WHITE_ON_BLACK | u16::from(byte);
                // SAFETY: a VGA in text mode shows these cells; they are mapped, and no Rust object lies there.
                unsafe { screen.add(self.cell).write_volatile(cell) };
                self.cell += 1;
            }
        }
        Ok(())
    }
}

impl Write for Firmware {
    fn write_str(&mut self, text: &str) -> Result {
        let output = FIRMWARE.load(Relaxed);
        if output.is_null() {
            return Ok(());
        }
        for unit in text.encode_utf16() {
            // SAFETY: `use_firmware` promised that the protocol is valid; the text ends with a NUL.
            let _ = unsafe { ((*output).output_string)(output, [unit, 0].as_ptr()) };
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
