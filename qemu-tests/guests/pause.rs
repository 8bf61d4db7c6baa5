//! A user-space program that leaves its CPU to others at every step, for ever.
//!
//! An emulator that runs its CPUs in turns gives one that pauses no more than an instruction. A static Linux program, built by
//! `rustc` alone.
#![no_std]
#![no_main]

use core::arch::global_asm;

global_asm!("_start:", "pause", "jmp _start", ".global _start");

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
