//! Time: the TSC, in nanoseconds since it was zero (power-on), and one timer per CPU.
//!
//! The CPUs' counters are compared once they run, and again before the guest starts ([`judge_counters_again`]). What they lack is made up for,
//! so that [`tsc`] is one time line on all of them; where they are not steady it comes from another clock.
//!
//! The TSC's rate comes from CPUID where that says it; else from a passive measurement: a reference clock is read at the
//! start of boot and again when somebody first asks for the rate, by when enough time has passed that nearly nothing must
//! be waited for.

pub mod calibration;
mod clock;
mod compare;
mod counter;
pub mod cpuid_rates;
pub(crate) mod knob;
pub mod reference;
mod skew;
mod steady;
pub mod timer;
mod verdict;

pub(crate) use clock::{init_this_cpu, start};
pub use clock::{lapic_timer_hz, now_ns, ns_to_tsc, tsc_hz, tsc_period, tsc_to_ns};

pub use counter::{counter_at, counter_shift, is_steady, tsc};
pub(crate) use verdict::judge_counters;
pub use verdict::{Description, description, judge_counters_again, keeps_its_rate};

use crate::cpu::{Events, events, interrupts};

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
