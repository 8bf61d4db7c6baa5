//! The rates of the TSC and of the local APIC's timer, measured once.

use super::calibration::{NS_PER_S, Scale, may_have_wrapped, rate};
use super::reference::{Reference, Sample};
use super::{cpuid_rates, timer, tsc};
use crate::acpi::Platform;
use core::sync::atomic::{AtomicU64, Ordering};
use spin::{Mutex, Once};

/// Shorter measurements are not exact enough.
const SHORTEST_MEASUREMENT_NS: u64 = 1_000_000;

/// Measurement under way.
struct Start {
    reference: Option<Reference>,
    sample: Sample,
    known_tsc_hz: Option<u64>,
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
    timer::count_freely();
    let known_tsc_hz = cpuid_rates::tsc_hz();
    let reference = known_tsc_hz.is_none().then(|| Reference::find(platform));
    *START.lock() = Some(begin(reference, known_tsc_hz));
}

fn begin(reference: Option<Reference>, known_tsc_hz: Option<u64>) -> Start {
    let sample = reference.map_or_else(|| Sample { tsc: tsc(), count: 0 }, |clock| clock.sample());
    Start { reference, sample, known_tsc_hz }
}

/// Ends the measurement, and waits only if it began less than a millisecond ago.
///
/// # Panics
/// If time was asked for before [`start`]; an error in the order of `init`, seen at every boot.
fn finish() -> Rates {
    let mut start = START.lock().take().expect("the clocks were started before time is asked for");
    let waited_too_long = start
        .reference
        .is_some_and(|clock| may_have_wrapped(tsc().wrapping_sub(start.sample.tsc), clock.mask, clock.hz));
    if waited_too_long || timer::ran_out() {
        timer::count_freely();
        start = begin(start.reference, start.known_tsc_hz);
    }
    let tsc_hz = match (start.known_tsc_hz, start.reference) {
        (Some(hz), _) => {
            while tsc().wrapping_sub(start.sample.tsc) < Scale::new(NS_PER_S, hz).apply(SHORTEST_MEASUREMENT_NS) {
                core::hint::spin_loop();
            }
            hz
        }
        (None, Some(clock)) => measure(clock, start.sample),
        (None, None) => NS_PER_S,
    };
    let (timer_ticks, tsc_ticks) = timer::counted();
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
        TSC_TO_NS.store(Scale::new(rates.tsc_hz, NS_PER_S).to_bits(), Ordering::Relaxed);
        NS_TO_TSC.store(Scale::new(NS_PER_S, rates.tsc_hz).to_bits(), Ordering::Relaxed);
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
