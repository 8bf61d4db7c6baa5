//! The entry code of the bootable file: from whatever a loader left to the kernel's first instruction.
//!
//! Three steps, whoever started us: learn (fill a [`boot::BootInfo`]), place (find memory for kernel, page tables and
//! record, and write them), jump. `setup.s` is the file's first page with the 16-bit entry, `start.s` the entries of the
//! rest; `linux` and `efi` are the two ways to learn; `handover` places and jumps.
#![no_std]
#![no_main]

mod console;
mod efi;
mod handover;
mod image;
mod linux;
mod physical;

use core::arch::{asm, global_asm};
use core::fmt::Write;

global_asm!(include_str!("setup.s"), options(att_syntax));
global_asm!(include_str!("start.s"), options(att_syntax));

/// Stops this CPU for good.
fn halt() -> ! {
    loop {
        // SAFETY: waits with interrupts off, touches nothing.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// Says what went wrong on COM1 and on a text screen, and stops.
fn fail(message: core::fmt::Arguments) -> ! {
    console::say(format_args!("Monovisor: {message}. Halted.\r\n"));
    halt();
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    let _ = console::Console.write_str("Monovisor: the boot code failed: ");
    fail(format_args!("{}", info.message()))
}
