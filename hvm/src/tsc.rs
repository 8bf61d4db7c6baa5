//! The ratio of a guest's time-stamp counter to the host's (SDM vol. 3C, 26.3; APM vol. 2, 15.30.5).

/// The fraction's width.
const FRACTION_BITS: u32 = 48;

/// Guest ticks for each host tick, with 48 bits behind the binary point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale(u64);

impl Scale {
    /// The guest's counter runs as the host's.
    pub const ONE: Self = Self(1 << FRACTION_BITS);

    /// A guest of `guest_hz` on a host of `host_hz`. `None` if the ratio is 0 or 256 and more, which no CPU can do.
    pub fn new(guest_hz: u64, host_hz: u64) -> Option<Self> {
        let scaled = u128::from(guest_hz) << FRACTION_BITS;
        let ratio = scaled.checked_div(u128::from(host_hz))?;
        u64::try_from(ratio)
            .ok()
            .filter(|&ratio| ratio != 0 && ratio >> (FRACTION_BITS + 8) == 0)
            .map(Self)
    }

    /// The ratio as bits, 48 of them behind the point.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Guest ticks of host ticks, as the CPU computes them: the product without its last 48 bits, modulo 2⁶⁴.
    #[inline]
    pub const fn apply(self, host_ticks: u64) -> u64 {
        ((host_ticks as u128 * self.0 as u128) >> FRACTION_BITS) as u64
    }
}

/// How long a tick takes: nanoseconds, as a fraction. All that converts between a counter and time is made from one of these, so
/// that no two clocks of a guest drift apart by their rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    numerator: u64,
    denominator: u64,
}

impl Period {
    /// `numerator / denominator` nanoseconds; 0 counts as 1 in both.
    pub const fn new(numerator: u64, denominator: u64) -> Self {
        const fn positive(value: u64) -> u64 {
            if value == 0 { 1 } else { value }
        }
        Self {
            numerator: positive(numerator),
            denominator: positive(denominator),
        }
    }

    /// Of a counter of `hz` ticks a second.
    pub const fn of_hz(hz: u64) -> Self {
        Self::new(1_000_000_000, hz)
    }

    /// Nanoseconds above the line and below it.
    pub const fn fraction(self) -> (u64, u64) {
        (self.numerator, self.denominator)
    }

    /// Ticks in a second, rounded.
    pub fn hz(self) -> u64 {
        let ticks = u128::from(self.denominator) * 1_000_000_000 + u128::from(self.numerator) / 2;
        u64::try_from(ticks / u128::from(self.numerator)).unwrap_or(u64::MAX)
    }

    /// `ticks` in nanoseconds, rounded down, saturating.
    pub fn ns(self, ticks: u64) -> u64 {
        let ns = u128::from(ticks) * u128::from(self.numerator) / u128::from(self.denominator);
        u64::try_from(ns).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_period_is_the_inverse_of_a_rate() {
        assert_eq!(Period::of_hz(2_500_000_000).hz(), 2_500_000_000);
        assert_eq!(Period::of_hz(2_500_000_000).ns(5), 2);
        assert_eq!(Period::new(0, 0), Period::new(1, 1));
        assert_eq!(Period::new(u64::MAX, 1).ns(u64::MAX), u64::MAX);
    }

    #[test]
    fn halves_and_doubles() {
        assert_eq!(Scale::new(3, 3), Some(Scale::ONE));
        let half = Scale::new(1_000_000_000, 2_000_000_000).unwrap();
        assert_eq!(half.apply(1001), 500);
        assert_eq!(half.bits(), 1 << 47);
        assert_eq!(Scale::new(1, 0), None);
        assert_eq!(Scale::new(0, 1), None);
        assert_eq!(Scale::new(256, 1), None);
    }

    proptest! {
        #[test]
        fn one_changes_nothing_and_all_are_monotonic(ticks: u64, guest in 1_u64..1 << 40, host in 1_u64..1 << 40) {
            prop_assert_eq!(Scale::ONE.apply(ticks), ticks);
            if let Some(scale) = Scale::new(guest, host) {
                let early = ticks >> 10;
                prop_assert!(scale.apply(early + 1) >= scale.apply(early));
            }
        }
    }
}
