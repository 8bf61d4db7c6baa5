//! A guest that calls the BIOS as memory managers and DOS extenders do: from real mode with segments of 4 GiB ("unreal" mode), and from
//! virtual-8086 mode under page tables that move pages, and lack some until a call has faulted on them.
//!
//! Its first hard disk has to have each of its 32-bit words say its own number. It prints `CALLERS unreal <verdict>`, then
//! `CALLERS vm86 <verdict> faults <number>`; a verdict other than 0 is the number of the check in callers.s that did not hold.
#![no_std]
#![no_main]

use core::arch::global_asm;

global_asm!(include_str!("entry.s"));
global_asm!(include_str!("callers.s"));

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
