//! The guest's time-stamp counter against guest time.

use hvm::Instant;
use hvm::tsc::Period;

/// A ratio as `multiplier / 2^shift`, the multiplier with its top bit set: good to one part in 2⁶³.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ratio {
    multiplier: u64,
    shift: u32,
}

impl Ratio {
    /// `numerator / denominator`, rounded up; both nonzero.
    fn new(numerator: u64, denominator: u64) -> Self {
        // The widest shift whose quotient still fits 64 bits.
        let mut shift = 64;
        loop {
            let quotient = (u128::from(numerator) << shift).div_ceil(u128::from(denominator));
            match u64::try_from(quotient) {
                Ok(multiplier) => return Self { multiplier, shift },
                Err(_) => shift -= 1,
            }
        }
    }

    #[inline]
    fn of(self, value: u64) -> u64 {
        let product = (u128::from(value) * u128::from(self.multiplier)) >> self.shift;
        u64::try_from(product).unwrap_or(u64::MAX)
    }
}

/// Converts between the guest's TSC and [`Instant`]: `tsc = at_zero + ns · hz / 10⁹`, modulo 2⁶⁴.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TscClock {
    at_zero: u64,
    ns_per_tick: Ratio,
    ticks_per_ns: Ratio,
}

impl TscClock {
    /// A counter of `hz` ticks a second (0 counts as 1) that showed `at_zero` at [`Instant::ZERO`].
    pub fn new(hz: u64, at_zero: u64) -> Self {
        Self::with_period(Period::of_hz(hz), at_zero)
    }

    /// The same, by the time that a tick takes.
    pub fn with_period(period: Period, at_zero: u64) -> Self {
        let (ns, ticks) = period.fraction();
        Self {
            at_zero,
            ns_per_tick: Ratio::new(ns, ticks),
            ticks_per_ns: Ratio::new(ticks, ns),
        }
    }

    /// The counter at `now`.
    #[inline]
    pub fn ticks(&self, now: Instant) -> u64 {
        self.at_zero.wrapping_add(self.ticks_per_ns.of(now.ns))
    }

    /// When the counter shows `ticks`, never too early. `now` itself if it is past that already.
    #[inline]
    pub fn instant(&self, ticks: u64, now: Instant) -> Instant {
        let left = ticks.saturating_sub(self.ticks(now));
        if left == 0 {
            now
        } else {
            now + self.ns_per_tick.of(left).saturating_add(1)
        }
    }
}
