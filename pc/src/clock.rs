//! The board's oscillators against nanoseconds, without rounding drift.

use hvm::Instant;

/// A clock of `numerator / 88 000` ticks a nanosecond: all PC timers divide the 14.31818 MHz (315/22 MHz) crystal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crystal {
    numerator: u64,
}

/// Nanoseconds in which a [`Crystal`] makes `numerator` whole ticks.
const SPAN_NS: u64 = 88_000;

impl Crystal {
    /// The 8254's clock, 1.193181 MHz: the crystal over 12.
    pub(crate) const PIT: Self = Self { numerator: 105 };
    /// The ACPI timer's clock, 3.579545 MHz: the crystal over 4.
    pub(crate) const PM_TIMER: Self = Self { numerator: 315 };

    /// Whole ticks until `now`.
    #[inline]
    pub(crate) fn ticks(self, now: Instant) -> u64 {
        now.ns / SPAN_NS * self.numerator + now.ns % SPAN_NS * self.numerator / SPAN_NS
    }

    /// The first moment at which [`Crystal::ticks`] is `ticks`.
    pub(crate) fn instant(self, ticks: u64) -> Instant {
        let whole = (ticks / self.numerator).saturating_mul(SPAN_NS);
        let rest = (ticks % self.numerator * SPAN_NS).div_ceil(self.numerator);
        Instant::from_ns(whole.saturating_add(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_tick_starts_exactly_at_its_instant(ticks in 1_u64..1 << 40) {
            for crystal in [Crystal::PIT, Crystal::PM_TIMER] {
                let at = crystal.instant(ticks);
                prop_assert_eq!(crystal.ticks(at), ticks);
                prop_assert_eq!(crystal.ticks(at - 1), ticks - 1);
            }
        }
    }

    #[test]
    fn a_second_has_the_advertised_ticks() {
        assert_eq!(
            Crystal::PIT.ticks(Instant::from_ns(1_000_000_000)),
            1_193_181
        );
        assert_eq!(
            Crystal::PM_TIMER.ticks(Instant::from_ns(1_000_000_000)),
            3_579_545
        );
    }
}
