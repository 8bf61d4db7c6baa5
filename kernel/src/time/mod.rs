//! Time: the TSC, in nanoseconds since it was zero (power-on), and one timer per CPU.
//!
//! The TSC's rate comes from CPUID where that says it; else from a passive measurement: a reference clock is read at the
//! start of boot and again when somebody first asks for the rate, by when enough time has passed that nearly nothing must
//! be waited for. All CPUs are taken to share one TSC, as every machine since 2008 has it.

pub mod calibration;
mod clock;
pub mod cpuid_rates;
pub mod reference;
pub mod timer;

pub(crate) use clock::{init_this_cpu, start};
pub use clock::{lapic_timer_hz, now_ns, ns_to_tsc, tsc_hz, tsc_period, tsc_to_ns};

use crate::cpu::{Events, events, interrupts};

/// The time-stamp counter.
#[inline]
pub fn tsc() -> u64 {
    // SAFETY: every CPU with long mode has RDTSC, and ring 0 may always use it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Waits, polling `done`, for at most `limit_ns`. True if `done` said so.
pub fn poll_for(limit_ns: u64, mut done: impl FnMut() -> bool) -> bool {
    let start = tsc();
    let limit = ns_to_tsc(limit_ns);
    loop {
        if done() {
            return true;
        }
        if tsc().wrapping_sub(start) >= limit {
            return false;
        }
        core::hint::spin_loop();
    }
}

/// Idles for at least `duration_ns`, with interrupts on meanwhile. Uses this CPU's timer, and forgets its event; other
/// events go on waiting (and keep the CPU from idling).
pub fn sleep(duration_ns: u64) {
    let were_enabled = interrupts::enabled();
    let deadline = tsc().saturating_add(ns_to_tsc(duration_ns));
    while tsc() < deadline {
        events::forget(Events::TIMER);
        timer::arm(deadline);
        interrupts::wait();
    }
    timer::disarm();
    events::forget(Events::TIMER);
    if !were_enabled {
        interrupts::disable();
    }
}
