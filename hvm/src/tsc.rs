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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
