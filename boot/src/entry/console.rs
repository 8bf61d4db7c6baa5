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

/// Says it on all of them.
pub fn say(text: Arguments) {
    out(COM1 + LINE_CONTROL, DIVISOR_ACCESS);
    out(COM1, 1); // 115200 baud
    out(COM1 + INTERRUPT_ENABLE, 0);
    out(COM1 + LINE_CONTROL, EIGHT_BITS);
    let mut console = Console { cell: 0 };
    // Its writers do not fail.
    let _ = console.write_fmt(text);
}

struct Console {
    cell: usize,
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> Result {
        for char in text.chars() {
            let byte = if char.is_ascii() { char as u8 } else { b'?' };
            serial(byte);
            self.screen(byte);
            firmware(byte);
        }
        Ok(())
    }
}

impl Console {
    fn screen(&mut self, byte: u8) {
        let screen = SCREEN.load(Relaxed);
        if screen.is_null() || self.cell >= TEXT_CELLS || byte.is_ascii_control() {
            return;
        }
        // SAFETY: a VGA in text mode shows these cells; they are mapped, and no Rust object lies there.
        unsafe {
            screen
                .add(self.cell)
                .write_volatile(WHITE_ON_BLACK | u16::from(byte))
        };
        self.cell += 1;
    }
}

fn serial(byte: u8) {
    let mut polls = 0;
    while input(COM1 + LINE_STATUS) & TRANSMITTER_EMPTY == 0 && polls < MAX_POLLS {
        polls += 1;
    }
    out(COM1, byte);
}

fn firmware(byte: u8) {
    let output = FIRMWARE.load(Relaxed);
    if !output.is_null() {
        let text = [u16::from(byte), 0];
        // SAFETY: `use_firmware` promised that the protocol is valid.
        let _ = unsafe { ((*output).output_string)(output, text.as_ptr()) };
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
