//! What a port may still send: a limit's credit, refilled at intervals, as Xen's back end keeps it.

use crate::rate::Rate;

/// Credit for bytes.
#[derive(Clone, Copy, Debug)]
pub struct Credit {
    /// What one interval brings, and how long it is.
    bytes: i64,
    interval_us: u64,
    left_bytes: i64,
    refilled_us: u64,
}

impl Credit {
    /// A limit, with an interval's credit.
    pub fn new(rate: Rate, now_us: u64) -> Self {
        let bytes = u128::from(rate.bytes_per_second) * u128::from(rate.interval_us) / 1_000_000;
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX).max(1);
        Self {
            bytes,
            interval_us: rate.interval_us,
            left_bytes: bytes,
            refilled_us: now_us,
        }
    }

    /// Microseconds to wait before the next frame may be sent; 0 if it may be now. What is not used within an interval is lost, and a
    /// frame larger than the credit leaves a debt.
    pub fn wait_us(&mut self, now_us: u64) -> u64 {
        let passed = now_us.saturating_sub(self.refilled_us) / self.interval_us;
        if passed > 0 {
            let gained = i64::try_from(passed).unwrap_or(i64::MAX);
            let gained = self.bytes.saturating_mul(gained);
            self.left_bytes = self.left_bytes.saturating_add(gained).min(self.bytes);
            self.refilled_us = self
                .refilled_us
                .saturating_add(passed.saturating_mul(self.interval_us));
        }
        if self.left_bytes > 0 {
            return 0;
        }
        let debt_bytes = 1 - self.left_bytes;
        let intervals = (debt_bytes as u64).div_ceil(self.bytes as u64);
        let due_us = self
            .refilled_us
            .saturating_add(intervals.saturating_mul(self.interval_us));
        due_us.saturating_sub(now_us).max(1)
    }

    /// A frame of so many bytes was sent.
    pub fn spend(&mut self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.left_bytes = self.left_bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn credit_is_spent_and_comes_back() {
        // 1000 bytes every 10 ms.
        let rate = Rate {
            bytes_per_second: 100_000,
            interval_us: 10_000,
        };
        let mut credit = Credit::new(rate, 0);
        assert_eq!(credit.wait_us(0), 0);
        credit.spend(999);
        assert_eq!(credit.wait_us(0), 0);
        credit.spend(1500);
        assert_eq!(credit.wait_us(3000), 17_000, "a debt of 1499 takes two");
        assert_eq!(credit.wait_us(19_999), 1);
        assert_eq!(credit.wait_us(20_000), 0);
        assert_eq!(credit.wait_us(1_000_000), 0);
        credit.spend(1000);
        assert_ne!(credit.wait_us(1_000_000), 0, "idle time is no credit");
    }

    proptest! {
        /// Over many intervals the limit holds, but for one frame and one interval.
        #[test]
        fn the_limit_holds(bytes_per_second in 1000_u64..1_000_000_000, interval_us in 100_u64..1_000_000, frames in prop::collection::vec(1_usize..70_000, 1..100)) {
            let mut credit = Credit::new(Rate { bytes_per_second, interval_us }, 0);
            let (mut now_us, mut sent) = (0, 0_u64);
            for frame in frames {
                let wait_us = credit.wait_us(now_us);
                now_us += wait_us;
                prop_assert_eq!(credit.wait_us(now_us), 0);
                credit.spend(frame);
                let interval = u128::from(bytes_per_second) * u128::from(interval_us) / 1_000_000;
                let allowed = (u128::from(now_us / interval_us) + 1) * interval.max(1);
                prop_assert!(u128::from(sent) < allowed, "{} bytes by {} us", sent, now_us);
                sent += frame as u64;
            }
        }
    }
}
