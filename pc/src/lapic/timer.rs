//! The APIC timer (SDM vol. 3A, 11.5.4). It counts at [`FREQUENCY_HZ`] over the divider.
//!
//! Policy for ticks that the guest was too slow to take: they are counted by arithmetic and become one interrupt, and a
//! periodic timer never fires more often than every [`MIN_PERIOD_NS`], so that no setting can tie up the host.

use super::bits::{LVT_TIMER_DEADLINE, LVT_TIMER_MODE, LVT_TIMER_PERIODIC};
use hvm::Instant;
use serde::{Deserialize, Serialize};

/// The timer's input clock: one tick a nanosecond.
pub const FREQUENCY_HZ: u64 = 1_000_000_000;
/// Shortest time between two interrupts of a periodic timer.
pub const MIN_PERIOD_NS: u64 = 10_000;

/// What the mode field of the timer's LVT entry selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    OneShot,
    Periodic,
    TscDeadline,
    /// The reserved encoding: the timer stands.
    Reserved,
}

impl Mode {
    pub(super) fn from_lvt(entry: u32) -> Self {
        match entry & LVT_TIMER_MODE {
            0 => Self::OneShot,
            LVT_TIMER_PERIODIC => Self::Periodic,
            LVT_TIMER_DEADLINE => Self::TscDeadline,
            _ => Self::Reserved,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Timer {
    initial: u32,
    divide: u32,
    expiry: Option<Instant>,
    tsc_deadline: u64,
}

impl Timer {
    pub(super) fn initial(&self) -> u32 {
        self.initial
    }

    pub(super) fn divide(&self) -> u32 {
        self.divide
    }

    /// log2 of the divisor: the encoding counts 2, 4, … 128, and 1 comes last.
    fn shift(&self) -> u32 {
        let code = self.divide >> 1 & 4 | self.divide & 3;
        (code + 1) & 7
    }

    fn period_ns(&self) -> u64 {
        u64::from(self.initial) << self.shift()
    }

    /// A write to the initial count starts the timer; 0 stops it. Ignored in TSC-deadline mode.
    pub(super) fn start(&mut self, count: u32, mode: Mode, now: Instant) {
        if matches!(mode, Mode::TscDeadline) {
            return;
        }
        self.initial = count;
        let runs = count != 0 && mode != Mode::Reserved;
        self.expiry = runs.then(|| now + self.period_ns());
    }

    /// A write to the divide register: what is left of the count goes on at the new rate.
    pub(super) fn set_divide(&mut self, divide: u32, mode: Mode, now: Instant) {
        let left = self.current(mode, now);
        self.divide = divide;
        if self.expiry.is_some() && mode != Mode::TscDeadline {
            self.expiry = Some(now + (u64::from(left) << self.shift()));
        }
    }

    /// The LVT entry changed from mode `old` to `new`: entering or leaving TSC-deadline mode disarms (11.5.4.1).
    pub(super) fn change_mode(&mut self, old: Mode, new: Mode) {
        if old != new && [old, new].iter().any(|mode| !mode.counts()) {
            self.expiry = None;
            self.tsc_deadline = 0;
        }
    }

    /// The current-count register. A one-shot that ran out reads 0, a periodic one starts over, both without help.
    pub(super) fn current(&self, mode: Mode, now: Instant) -> u32 {
        let (Some(expiry), true) = (self.expiry, mode.counts()) else {
            return 0;
        };
        let left_ns = if now < expiry {
            expiry.since_ns(now)
        } else if mode == Mode::Periodic {
            let period_ns = self.period_ns().max(1);
            period_ns - now.since_ns(expiry) % period_ns
        } else {
            0
        };
        left_ns.div_ceil(1 << self.shift()) as u32
    }

    pub(super) fn tsc_deadline(&self, now: Instant) -> u64 {
        match self.expiry {
            Some(expiry) if now < expiry => self.tsc_deadline,
            _ => 0,
        }
    }

    /// IA32_TSC_DEADLINE was written; `at` is when the counter will show `ticks`. 0 disarms.
    pub(super) fn arm_deadline(&mut self, ticks: u64, at: Instant) {
        self.tsc_deadline = ticks;
        self.expiry = (ticks != 0).then_some(at);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.expiry
    }

    /// True once for each time, or run of missed times, that the timer came to zero by `now`.
    #[inline]
    pub(super) fn expire(&mut self, mode: Mode, now: Instant) -> bool {
        let Some(expiry) = self.expiry.filter(|&expiry| now >= expiry) else {
            return false;
        };
        self.expiry = if mode == Mode::Periodic && self.initial != 0 {
            let period_ns = self.period_ns().max(1);
            let gap_ns = if period_ns < MIN_PERIOD_NS {
                MIN_PERIOD_NS
            } else {
                1
            };
            let periods = (now + gap_ns).since_ns(expiry).div_ceil(period_ns);
            Some(expiry + periods.saturating_mul(period_ns))
        } else {
            self.tsc_deadline = 0;
            None
        };
        true
    }
}

impl Mode {
    /// True if the count registers work in this mode.
    fn counts(self) -> bool {
        matches!(self, Self::OneShot | Self::Periodic)
    }
}
