//! A guest that loads an 80-bit float from an address without memory: an access that no hypervisor cares to emulate.
#![no_std]
#![no_main]

use core::arch::global_asm;

global_asm!(include_str!("entry.s"));
global_asm!(".code32", "main32:", "fninit", "fld tbyte ptr [0xd0000000]", "2: hlt", "jmp 2b");

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
