//! Whether this CPU takes interrupts, and waiting for one.

use super::events;
use core::arch::asm;

const RFLAGS_IF: u64 = 1 << 9;

/// Lets interrupts in.
#[inline]
pub fn enable() {
    // SAFETY: handlers are in place from the first moment of a CPU, and touch nothing that other code has half changed.
    unsafe { asm!("sti", options(nostack)) };
}

/// Keeps interrupts out.
#[inline]
pub fn disable() {
    // SAFETY: always allowed.
    unsafe { asm!("cli", options(nostack)) };
}

/// True if interrupts are let in.
#[inline]
pub fn enabled() -> bool {
    let flags: u64;
    // SAFETY: reads RFLAGS through the stack.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags, options(preserves_flags)) };
    flags & RFLAGS_IF != 0
}

/// Runs `work` with interrupts off, and leaves them as they were.
pub fn without<R>(work: impl FnOnce() -> R) -> R {
    let were_enabled = enabled();
    disable();
    let result = work();
    if were_enabled {
        enable();
    }
    result
}

/// Idles until an event waits (see [`events::peek`]) or some interrupt has come. Interrupts are on afterwards.
pub fn wait() {
    disable();
    if events::peek().is_empty() {
        // SAFETY: STI holds interrupts off for one more instruction, so none can come between the check and HLT.
        unsafe { asm!("sti", "hlt", options(nostack)) };
    } else {
        enable();
    }
}
