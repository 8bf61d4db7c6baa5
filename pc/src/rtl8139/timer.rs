//! The chip's timer: a counter of PCI clocks, and a count at which it interrupts.

use hvm::Instant;
use serde::{Deserialize, Serialize};

/// A PCI clock of 33 MHz lasts 30 ns.
const CLOCK_NS: u64 = 30;
const PERIOD_NS: u64 = CLOCK_NS << 32;

/// The timer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    started: Instant,
    /// The count that interrupts; 0: none.
    target: u32,
    deadline: Option<Instant>,
}

impl Timer {
    /// The count.
    pub fn count(&self, now: Instant) -> u32 {
        (now.since_ns(self.started) / CLOCK_NS) as u32
    }

    /// Starts counting anew.
    pub fn restart(&mut self, now: Instant) {
        self.started = now;
        self.arm(now);
    }

    /// The count that interrupts.
    pub fn target(&self) -> u32 {
        self.target
    }

    /// Sets it.
    pub fn set_target(&mut self, target: u32, now: Instant) {
        self.target = target;
        self.arm(now);
    }

    /// When it interrupts.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// True if the count was reached by now, for the first time since the last call.
    pub fn fires(&mut self, now: Instant) -> bool {
        let due = self.deadline.is_some_and(|deadline| deadline <= now);
        if due {
            self.arm(now);
        }
        due
    }

    /// Finds the next moment with that count, after now.
    fn arm(&mut self, now: Instant) {
        self.deadline = (self.target != 0).then(|| {
            let wanted = u64::from(self.target) * CLOCK_NS;
            let passed = now.since_ns(self.started);
            let turn = passed - passed % PERIOD_NS;
            let ahead = if passed % PERIOD_NS < wanted {
                0
            } else {
                PERIOD_NS
            };
            self.started + (turn + wanted + ahead)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_fires_once_a_turn() {
        let mut timer = Timer::default();
        timer.restart(Instant::from_ns(1000));
        timer.set_target(100, Instant::from_ns(1000));
        assert_eq!(timer.deadline(), Some(Instant::from_ns(4000)));
        assert!(!timer.fires(Instant::from_ns(3999)));
        assert!(timer.fires(Instant::from_ns(4000)));
        assert!(!timer.fires(Instant::from_ns(5000)));
        assert_eq!(timer.count(Instant::from_ns(4030)), 101);
        assert_eq!(timer.deadline(), Some(Instant::from_ns(4000 + PERIOD_NS)));
        timer.set_target(0, Instant::from_ns(5000));
        assert_eq!(timer.deadline(), None);
    }

    proptest! {
        #[test]
        fn the_deadline_lies_ahead(start in 0_u64..1 << 50, later in 0_u64..1 << 50, target in 1_u32..) {
            let mut timer = Timer::default();
            timer.restart(Instant::from_ns(start));
            let now = Instant::from_ns(start + later);
            timer.set_target(target, now);
            let deadline = timer.deadline().unwrap();
            prop_assert!(deadline > now);
            prop_assert!(deadline.since_ns(now) <= PERIOD_NS);
            prop_assert_eq!(timer.count(deadline), target);
        }
    }
}
