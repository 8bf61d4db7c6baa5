//! A guest that does to every port, device register, MSR and PCI function what random numbers say, for ever; only the ports that
//! reset the machine or switch it off are just read. It prints its seed and how far it came; a seed that is put behind the
//! marker makes a run repeat, as far as the machine does.
#![no_std]
#![no_main]

use core::arch::global_asm;

global_asm!(include_str!("entry.s"));
global_asm!(include_str!("hammer.s"));

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
