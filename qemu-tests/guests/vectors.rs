//! System instructions, privilege changes, exceptions, real and virtual-8086 mode, each as a case of its own whose outcome is printed: the
//! vector and error code that ended it, and the registers. The same image runs on CPUs and in the emulator, and must say the same.
#![no_std]
#![no_main]
#![allow(bad_asm_style)]

use core::arch::global_asm;

// In one piece: they share their macros. Two of these need the other syntax for the number of a local label.
global_asm!(
    include_str!("entry.s"),
    include_str!("vectors/print.s"),
    include_str!("vectors/frame.s"),
    include_str!("vectors/protected.s"),
    include_str!("vectors/virtual.s"),
    include_str!("vectors/real.s"),
    include_str!("vectors/long.s"),
    "all_cases: call protected_cases",
    "call virtual_cases",
    "call real_cases",
    "call long_cases",
    "ret"
);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
