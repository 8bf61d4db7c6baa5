//! Micro-benchmark guest: how many TSC ticks one round trip through each kind of exit takes. Built by `rustc` alone.
//!
//! Prints `UB <exit> <ticks of all rounds>` on COM1 for each, then `UB done`; a kind that was not tried has no line.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::fmt::Write;

global_asm!(include_str!("entry.s"));
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

/// The first serial port.
struct Com1;

impl Com1 {
    /// With 8 data bits: after a reset there are 5.
    fn set_up() -> Self {
        // SAFETY: 3FBh is COM1's line control; writing there touches no memory.
        unsafe { asm!("out dx, al", in("al") 3u8, in("dx") 0x3fbu16) };
        Self
    }
}

impl Write for Com1 {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            // SAFETY: 3F8h and 3FDh are COM1's data and line status; writing there touches no memory.
            unsafe {
                let mut status: u8 = 0;
                while status & 0x20 == 0 {
                    asm!("in al, dx", out("al") status, in("dx") 0x3fdu16);
                }
                asm!("out dx, al", in("al") byte, in("dx") 0x3f8u16);
            }
        }
        Ok(())
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
