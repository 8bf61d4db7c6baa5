//! Micro-benchmark guest: how many TSC ticks one round trip through each kind of exit takes. Built by `rustc` alone.
//!
//! Prints `UB <exit> <ticks of all rounds>` on COM1 for each, then `UB done`; a kind that was not tried has no line.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::fmt::Write;

#[path = "com1.rs"]
mod com1;
use com1::Com1;

global_asm!(include_str!("entry.s"));
global_asm!(include_str!("identity.s"));
global_asm!(include_str!("ub.s"));

/// The slots of `results`, in the order in which ub.s numbers them.
const EXITS: [&str; 9] = [
    "exit_cpuid",
    "exit_pio_unused",
    "exit_pio_in_pic",
    "exit_mmio_unmapped",
    "exit_mmio_lapic",
    "exit_rdmsr_efer",
    "exit_hypercall",
    "selfipi_hlt_eoi",
    "exit_cpuid_64",
];

unsafe extern "C" {
    static results: [u64; 9];
    static interrupts: u64;
}

/// Called by ub.s when every loop has run.
#[unsafe(no_mangle)]
extern "C" fn report() -> ! {
    // SAFETY: ub.s has written both; nothing else runs on this one CPU, and interrupts are off.
    let (ticks, count) = unsafe { (results, interrupts) };
    let mut port = Com1::set_up();
    let _ = writeln!(port, "\r\nUB interrupts {count}\r");
    for (name, ticks) in EXITS.iter().zip(ticks).filter(|&(_, ticks)| ticks != 0) {
        let _ = writeln!(port, "UB {name} {ticks}\r");
    }
    let _ = writeln!(port, "UB done\r");
    loop {
        // SAFETY: with interrupts off this only waits.
        unsafe { asm!("hlt") };
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
