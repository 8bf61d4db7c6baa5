//! The entry code of the bootable file: from whatever a loader left to the kernel's first instruction.
//!
//! Three steps, whoever started us: learn (fill a [`boot::BootInfo`]), place (find memory for kernel, page tables and
//! record, and write them), jump. `setup.s` is the file's first page with the 16-bit entry, `start.s` the entries of the
//! rest. `loaded` begins where a loader is done (`linux`, `multiboot` and `pvh` read its records), `efi` where firmware
//! still serves; `handover` writes and jumps.
#![no_std]
#![no_main]

mod console;
mod efi;
mod handover;
mod image;
mod linux;
mod loaded;
mod multiboot;
mod physical;
mod pvh;

use core::arch::{asm, global_asm};

global_asm!(include_str!("setup.s"), options(att_syntax));
global_asm!(include_str!("start.s"), options(att_syntax));

/// Stops this CPU for good.
fn halt() -> ! {
    loop {
        // SAFETY: waits with interrupts off, touches nothing.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// Says what went wrong, and stops: without a kernel there is nothing to go on with, and a reset would hide the message.
fn fail(message: core::fmt::Arguments) -> ! {
    console::say(format_args!("\r\nMonovisor: {message}. Halted.\r\n"));
    halt();
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    fail(format_args!("the boot code failed: {}", info.message()))
}
