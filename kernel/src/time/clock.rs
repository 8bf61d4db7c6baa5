//! The rates of the TSC and of the local APIC's timer, measured once.

use super::calibration::{NS_PER_S, Scale, may_have_wrapped, rate};
use super::reference::{Reference, Sample};
use super::{cpuid_rates, timer, tsc};
use crate::acpi::Platform;
use core::sync::atomic::{AtomicU64, Ordering};
use hvm::tsc::Period;
use spin::{Mutex, Once};

/// Shorter measurements are not exact enough.
const SHORTEST_MEASUREMENT_NS: u64 = 1_000_000;

/// Measurement under way.
struct Start {
    source: Source,
    timer: Sample,
}

/// Where the TSC's rate comes from.
enum Source {
    Known { tsc_hz: u64 },
    Measured { by: Reference, from: Sample },
}

struct Rates {
    tsc_hz: u64,
    lapic_hz: u64,
}

static START: Mutex<Option<Start>> = Mutex::new(None);
static RATES: Once<Rates> = Once::new();
/// `Scale`s as bits, 0 until measured: cheaper to ask than the `Once`.
static TSC_TO_NS: AtomicU64 = AtomicU64::new(0);
static NS_TO_TSC: AtomicU64 = AtomicU64::new(0);

/// Takes the first samples. On the boot CPU, early, the local APIC being on.
pub(crate) fn start(platform: &Platform) {
    let source = match cpuid_rates::tsc_hz() {
        Some(tsc_hz) => Source::Known { tsc_hz },
        None => {
            let by = Reference::find(platform);
            Source::Measured {
                by,
                from: by.sample(),
            }
        }
    };
    timer::count_freely();
    *START.lock() = Some(Start {
        source,
        timer: timer::free_run(),
    });
}

/// Ends the measurement, and waits only if it began less than a millisecond ago.
///
/// # Panics
/// If time was asked for before [`start`]; an error in the order of `init`, seen at every boot.
fn finish() -> Rates {
    let mut start = START
        .lock()
        .take()
        .expect("the clocks were started before time is asked for");
    if timer::ran_out() {
        timer::count_freely();
        start.timer = timer::free_run();
    }
    let tsc_hz = match start.source {
        Source::Known { tsc_hz } => tsc_hz,
        Source::Measured { by, from } => {
            let stale = may_have_wrapped(tsc().wrapping_sub(from.tsc), by.mask, by.hz);
            measure(by, if stale { by.sample() } else { from })
        }
    };
    let enough = Scale::new(NS_PER_S, tsc_hz).apply(SHORTEST_MEASUREMENT_NS);
    while tsc().wrapping_sub(start.timer.tsc) < enough {
        core::hint::spin_loop();
    }
    let now = timer::free_run();
    let (timer_ticks, tsc_ticks) = (
        now.count.wrapping_sub(start.timer.count),
        now.tsc.wrapping_sub(start.timer.tsc),
    );
    let lapic_hz = rate(timer_ticks, tsc_ticks, tsc_hz).unwrap_or(NS_PER_S);
    Rates { tsc_hz, lapic_hz }
}

fn measure(clock: Reference, from: Sample) -> u64 {
    let enough = Scale::new(NS_PER_S, clock.hz).apply(SHORTEST_MEASUREMENT_NS);
    loop {
        let now = clock.sample();
        let elapsed = clock.elapsed(from, now);
        if elapsed >= enough {
            return rate(now.tsc.wrapping_sub(from.tsc), elapsed, clock.hz).unwrap_or(NS_PER_S);
        }
    }
}

fn rates() -> &'static Rates {
    RATES.call_once(|| {
        let rates = finish();
        timer::set_rates(rates.tsc_hz, rates.lapic_hz);
        timer::init_this_cpu();
        TSC_TO_NS.store(
            Scale::new(rates.tsc_hz, NS_PER_S).to_bits(),
            Ordering::Relaxed,
        );
        NS_TO_TSC.store(
            Scale::new(NS_PER_S, rates.tsc_hz).to_bits(),
            Ordering::Relaxed,
        );
        rates
    })
}

/// Readies the timer of a CPU that was just started.
pub(crate) fn init_this_cpu() {
    rates();
    timer::init_this_cpu();
}

/// Counts of the TSC per second. The first call ends the calibration, which may take up to a millisecond, and must come
/// from the boot CPU; [`crate::init`] sees to that where there is more than one CPU.
pub fn tsc_hz() -> u64 {
    rates().tsc_hz
}

/// How long a count of the TSC takes, exactly as [`tsc_to_ns`] has it.
pub fn tsc_period() -> Period {
    Period::new(scale(&TSC_TO_NS).to_bits(), Scale::ONE_BITS)
}

/// Counts of the local APIC's timer per second, its divider being 1.
pub fn lapic_timer_hz() -> u64 {
    rates().lapic_hz
}

/// Nanoseconds since the TSC was zero.
#[inline]
pub fn now_ns() -> u64 {
    tsc_to_ns(tsc())
}

/// A TSC value in nanoseconds.
#[inline]
pub fn tsc_to_ns(tsc: u64) -> u64 {
    scale(&TSC_TO_NS).apply(tsc)
}

/// Nanoseconds as a TSC value.
#[inline]
pub fn ns_to_tsc(ns: u64) -> u64 {
    scale(&NS_TO_TSC).apply(ns)
}

#[inline]
fn scale(bits: &AtomicU64) -> Scale {
    match bits.load(Ordering::Relaxed) {
        0 => {
            rates();
            Scale::from_bits(bits.load(Ordering::Relaxed))
        }
        ready => Scale::from_bits(ready),
    }
}
