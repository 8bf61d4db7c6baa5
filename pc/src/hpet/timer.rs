//! One comparator of the HPET (IA-PC HPET specification 1.0a, 2.3.8 and 2.3.9).

use super::bits::*;
use serde::{Deserialize, Serialize};

/// A timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Timer {
    /// The writable bits of the configuration, and VALUE_SET.
    configuration: u64,
    comparator: u64,
    period: u64,
}

impl Timer {
    pub(super) fn new() -> Self {
        Self {
            configuration: 0,
            comparator: u64::MAX,
            period: 0,
        }
    }

    pub(super) fn is_level(&self) -> bool {
        self.configuration & LEVEL != 0
    }

    pub(super) fn interrupts(&self) -> bool {
        self.configuration & INTERRUPT != 0
    }

    fn is_periodic(&self) -> bool {
        self.configuration & PERIODIC != 0
    }

    /// The I/O APIC input that it is routed to, if it is one that it can have.
    pub(super) fn route(&self) -> Option<u8> {
        let pin = (self.configuration & ROUTE) >> ROUTE_SHIFT;
        (ROUTES & 1 << pin != 0).then_some(pin as u8)
    }

    pub(super) fn read_configuration(&self) -> u64 {
        ROUTES << 32 | PERIODIC_CAPABLE | SIZE_CAPABLE | self.configuration & !VALUE_SET
    }

    pub(super) fn write_configuration(&mut self, value: u64) {
        self.configuration = value & (WRITABLE | VALUE_SET);
        if self.is_narrow() {
            self.comparator &= self.mask();
            self.period &= self.mask();
        }
    }

    pub(super) fn comparator(&self) -> u64 {
        self.comparator
    }

    /// Writes bits `mask` of the comparator. In periodic mode the value is the period, and the comparator itself takes it only
    /// right after VALUE_SET was written (2.3.9.2.2).
    pub(super) fn write_comparator(&mut self, value: u64, mask: u64) {
        let compared = self.mask();
        let merge = move |old: u64| (old & !mask | value & mask) & compared;
        if !self.is_periodic() {
            self.comparator = merge(self.comparator);
            return;
        }
        if self.configuration & VALUE_SET != 0 {
            self.comparator = merge(self.comparator);
            self.configuration &= !VALUE_SET;
        }
        self.period = merge(self.period);
    }

    fn is_narrow(&self) -> bool {
        self.configuration & MODE_32 != 0
    }

    /// The bits of counter and comparator that are compared.
    fn mask(&self) -> u64 {
        if self.is_narrow() {
            u64::from(u32::MAX)
        } else {
            u64::MAX
        }
    }

    /// Ticks after `counter` until it next equals the comparator: 1 at least.
    pub(super) fn ticks_to_match(&self, counter: u64) -> u64 {
        let ahead = self.comparator.wrapping_sub(counter) & self.mask();
        match ahead {
            // Equal now: matched before, and again after a whole turn.
            0 => self.mask().saturating_add(1),
            ahead => ahead,
        }
    }

    /// The counter moved from `from` on by `passed` ticks. True if there was a match; a periodic comparator then lies ahead.
    pub(super) fn advance(&mut self, from: u64, passed: u64) -> bool {
        let ahead = self.ticks_to_match(from);
        if passed < ahead {
            return false;
        }
        if self.is_periodic() && self.period != 0 {
            let periods = (passed - ahead) / self.period + 1;
            self.comparator = self
                .comparator
                .wrapping_add(self.period.wrapping_mul(periods))
                & self.mask();
        }
        true
    }

    /// A restored timer as one that can be.
    pub(super) fn sanitize(mut self) -> Self {
        self.write_configuration(self.configuration);
        self
    }
}
