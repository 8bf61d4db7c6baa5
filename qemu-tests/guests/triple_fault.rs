//! A guest that takes its CPU down: an exception without an interrupt table.
#![no_std]
#![no_main]

use core::arch::global_asm;

global_asm!(include_str!("entry.s"));
global_asm!(
    ".code32",
    "main32:",
    "lidt [nothing]",
    "mov eax, 0x7219feed", // to be found in the report
    "int3",
    "nothing: .word 0",
    ".long 0",
);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
