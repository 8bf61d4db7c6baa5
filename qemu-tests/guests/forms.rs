//! Instructions that leave the guest in unusual forms: with prefixes, and across a page boundary. Each must do what the
//! plain form does and go on behind itself. Prints `FORMS right` or the number of the first that is not.
#![no_std]
#![no_main]

use core::arch::global_asm;

global_asm!(include_str!("entry.s"));
global_asm!(include_str!("forms.s"));

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
