//! Reference time: what it is, and the page that tells how to compute it from the time-stamp counter (TLFS, 12.6 and 12.7).
//!
//! It counts in units of 100 ns: `(counter · scale >> 64) + offset`.

use crate::pvclock::{Stability, Time};

/// Units of reference time in a second.
pub const UNITS_PER_S: u64 = 10_000_000;
/// Bytes of the page that mean something.
pub const PAGE_BYTES: usize = 24;

const NS_PER_UNIT: u128 = 100;

/// How reference time follows from a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferenceTime {
    scale: u64,
    offset: i64,
}

impl ReferenceTime {
    /// For virtual processors whose counters tell this time. `None` if they do not agree, or count too slowly for the page (by less than
    /// a tick a unit): the guest has to ask the register then.
    pub fn new(time: &Time) -> Option<Self> {
        if time.stability != Stability::Common {
            return None;
        }
        let (ns, ticks) = time.period.fraction();
        let scale = (u128::from(ns) << 64) / (u128::from(ticks) * NS_PER_UNIT);
        let scale = u64::try_from(scale).ok()?;
        // Modulo 2⁶⁴ the counter may have begun far below zero.
        let at_zero = (i128::from(time.tsc_at_zero as i64) * i128::from(scale)) >> 64;
        let offset = i64::try_from(-at_zero).ok()?;
        Some(Self { scale, offset })
    }

    /// Reference time when the counter shows `tsc`, as a guest computes it.
    pub fn at(&self, tsc: u64) -> u64 {
        let product = u128::from(tsc) * u128::from(self.scale);
        ((product >> 64) as u64).wrapping_add_signed(self.offset)
    }

    /// The page's bytes, with that sequence number.
    pub fn bytes(&self, sequence: u32) -> [u8; PAGE_BYTES] {
        let mut bytes = [0; PAGE_BYTES];
        bytes[0..4].copy_from_slice(&sequence.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.scale.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.offset.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pvclock::tests::time;
    use crate::tsc::Period;
    use proptest::prelude::*;

    #[test]
    fn the_layout() {
        let reference = ReferenceTime::new(&time(20_000_000, 40)).unwrap();
        let bytes = reference.bytes(7);
        assert_eq!(bytes[0..8], [7, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[8..16], [0, 0, 0, 0, 0, 0, 0, 0x80]);
        assert_eq!(bytes[16..24], (-20_i64).to_le_bytes());
        assert_eq!(reference.at(50), 5);
    }

    #[test]
    fn counters_that_disagree_have_none() {
        let apart = Time {
            stability: Stability::Apart,
            ..time(1_000_000_000, 0)
        };
        assert_eq!(ReferenceTime::new(&apart), None);
        assert_eq!(ReferenceTime::new(&time(UNITS_PER_S, 0)), None, "too slow");
    }

    proptest! {
        #[test]
        fn it_is_the_guests_time(hz in 20_000_000_u64..20_000_000_000, at_zero in -(1_i64 << 50)..1 << 55, ms in 0_u64..1 << 33) {
            let ticks = (u128::from(ms) * u128::from(hz) / 1000) as u64;
            let tsc = (at_zero as u64).wrapping_add(ticks);
            // A counter that began below zero is past it by the time that a guest asks.
            prop_assume!(tsc >> 63 == 0);
            let exact = Period::of_hz(hz).ns(ticks) / 100;
            let got = ReferenceTime::new(&time(hz, at_zero as u64)).unwrap().at(tsc);
            // A part in 2⁶⁴ of each, and two roundings.
            prop_assert!(exact.abs_diff(got) <= 2, "{exact} {got}");
        }

        #[test]
        fn any_time_has_an_answer(ns: u64, ticks: u64, tsc_at_zero: u64, tsc: u64) {
            let time = Time { tsc_at_zero, period: Period::new(ns, ticks), stability: Stability::Common };
            if let Some(reference) = ReferenceTime::new(&time) {
                let _ = reference.at(tsc);
            }
        }
    }
}
