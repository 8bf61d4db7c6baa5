//! A guest that counts events: NMIs, interrupts, debug exceptions and timers, each where the manuals say that it must come.
//!
//! Prints `EVENTS <check> ok <rounds>` or `EVENTS <check> bad …` for each check, then `EVENTS done`, and powers off.
#![no_std]
#![no_main]

use core::arch::global_asm;

#[path = "events/debug.rs"]
mod debug;
#[path = "events/interrupts.rs"]
mod interrupts;
#[path = "events/log.rs"]
mod log;
#[path = "events/machine.rs"]
mod machine;
#[path = "events/nmi.rs"]
mod nmi;
#[path = "events/timers.rs"]
mod timers;
#[path = "events/trap.rs"]
mod trap;

global_asm!(
    ".set STAYS_LONG, 1",
    include_str!("entry.s"),
    include_str!("events.s")
);

/// Declares sequences and points of events.s.
#[macro_export]
macro_rules! sequences {
    ($($name:ident),* $(,)?) => {
        unsafe extern "C" {
            $(safe fn $name();)*
        }
    };
}

/// The address of a sequence's point, which is declared like a sequence.
pub fn at(point: extern "C" fn()) -> u64 {
    point as usize as u64
}

#[unsafe(no_mangle)]
extern "C" fn events_main() -> ! {
    machine::quiet();
    trap::install();
    interrupts::run();
    nmi::run();
    debug::run();
    timers::run();
    say!("EVENTS done\r\n");
    machine::power_off()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    say!("EVENTS panic {info}\r\n");
    machine::power_off()
}
