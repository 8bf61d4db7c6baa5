//! The arithmetic of calibration: two samples of two clocks give the rate of one from the other's.

/// Nanoseconds in a second.
pub const NS_PER_S: u64 = 1_000_000_000;
/// Femtoseconds in a second; the HPET counts its period in them.
pub const FS_PER_S: u64 = 1_000_000_000_000_000;
/// A TSC is not slower than this, which bounds how long ago a sample was before its rate is known.
pub const SLOWEST_TSC_HZ: u64 = 500_000_000;

/// Rate of a clock that counted `ticks` while one of `known_hz` counted `known_ticks`; `None` if that says nothing.
pub fn rate(ticks: u64, known_ticks: u64, known_hz: u64) -> Option<u64> {
    let product = u128::from(ticks) * u128::from(known_hz);
    let known = u128::from(known_ticks);
    let hz = (product + known / 2).checked_div(known)?;
    u64::try_from(hz).ok().filter(|&hz| hz != 0)
}

/// Multiplies by a fixed ratio without dividing: what `now_ns` and the timer do all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale(u64);

impl Scale {
    /// 32 bits after the binary point: rates from 1 MHz to 100 GHz convert with an error below 1 in 2^25.
    const SHIFT: u32 = 32;
    /// The bits of a ratio of one.
    pub const ONE_BITS: u64 = 1 << Self::SHIFT;

    /// Converts counts of a clock of `from_hz` to counts of one of `to_hz`. Rates are not zero.
    pub fn new(from_hz: u64, to_hz: u64) -> Self {
        let ratio = (u128::from(to_hz) << Self::SHIFT) / u128::from(from_hz.max(1));
        Self(u64::try_from(ratio).unwrap_or(u64::MAX).max(1))
    }

    /// The ratio as bits; never 0.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// What [`Self::to_bits`] gave.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The converted count, rounded down, saturating.
    #[inline]
    pub fn apply(self, count: u64) -> u64 {
        let product = (u128::from(count) * u128::from(self.0)) >> Self::SHIFT;
        if product > u128::from(u64::MAX) {
            u64::MAX
        } else {
            product as u64
        }
    }
}

/// True if a counter that wraps after `wrap_ticks` at `hz` may have wrapped while the TSC counted `tsc_ticks`.
pub fn may_have_wrapped(tsc_ticks: u64, wrap_ticks: u64, hz: u64) -> bool {
    let wrap_tsc = u128::from(wrap_ticks) * u128::from(SLOWEST_TSC_HZ) / u128::from(hz.max(1));
    u128::from(tsc_ticks) >= wrap_tsc
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pm_timer_millisecond_at_three_gigahertz() {
        assert_eq!(rate(3_000_000, 3580, 3_579_545), Some(2_999_618_715));
        assert_eq!(rate(1, 0, 1), None);
        assert_eq!(rate(0, 10, 10), None);
    }

    #[test]
    fn one_gigahertz_is_nanoseconds() {
        assert_eq!(
            Scale::new(NS_PER_S, NS_PER_S).apply(123_456_789_012),
            123_456_789_012
        );
    }

    #[test]
    fn a_pit_wraps_within_nine_milliseconds_of_a_fast_tsc() {
        assert!(!may_have_wrapped(3_000_000, 0x10000, 1_193_182));
        assert!(may_have_wrapped(30_000_000, 0x10000, 1_193_182));
    }

    proptest! {
        #[test]
        fn scaling_is_close_and_monotonic(from in 1_000_000_u64..10_000_000_000, count in 0_u64..1 << 50) {
            let scale = Scale::new(from, NS_PER_S);
            let exact = (u128::from(count) * u128::from(NS_PER_S) / u128::from(from)) as u64;
            let got = scale.apply(count);
            prop_assert!(got <= exact && exact - got <= exact / (1 << 25) + 1);
            prop_assert!(scale.apply(count + 1) >= got);
        }

        #[test]
        fn nothing_overflows(ticks: u64, known: u64, hz: u64) {
            let _ = rate(ticks, known, hz);
            let _ = may_have_wrapped(ticks, known, hz);
            let _ = Scale::new(hz, ticks).apply(known);
        }
    }
}
