//! The 8254 interval timer and port 61h as the PIIX3 wires them (82371SB data sheet, "Timer/counter registers").
//!
//! Counter 0 drives IRQ 0, counter 1 was for memory refresh and has no effect, counter 2 drives the speaker.
//! [`Pit`] guarantees that a counter nobody looks at costs nothing. When rises of OUT 0 were missed, [`Pit::advance`] tells
//! of one: like the edge-triggered 8259, which cannot count either.

mod bits;
mod counter;
#[cfg(test)]
mod tests;

use crate::clock::Crystal;
use crate::saved;
use alloc::vec::Vec;
use bits::*;
use counter::{Counter, Gate};
use hvm::Instant;
use hvm::device::{Lifecycle, RestoreError};
use serde::{Deserialize, Serialize};

/// Version of the saved state.
const SAVED_VERSION: u16 = 1;
/// The host is woken for OUT 0 at most this often, whatever the count.
const MIN_PERIOD_NS: u64 = 10_000;
/// Refresh requests come every 18 ticks: about 15 µs (82371SB data sheet, "Counter 1, refresh request signal").
const REFRESH_TICKS: u64 = 18;

/// What happened at OUT 0 since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// It rose at least once by counting.
    pub rose: bool,
    /// Its level now.
    pub level: bool,
}

/// The timer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pit {
    counters: [Counter; 3],
    /// Bits 0 to 3 of port 61h.
    control: u8,
    /// Up to which tick rises of OUT 0 have been told.
    seen: i64,
}

impl Default for Pit {
    fn default() -> Self {
        Self::new()
    }
}

fn ticks(now: Instant) -> i64 {
    // At most 2⁶⁴ · 105 / 88 000: fits.
    Crystal::PIT.ticks(now) as i64
}

impl Pit {
    /// As after power-up: no counter runs.
    pub fn new() -> Self {
        Self {
            counters: [
                Counter::new(Gate::High),
                Counter::new(Gate::High),
                Counter::new(Gate::Low),
            ],
            control: 0,
            seen: 0,
        }
    }

    /// Reads port 40h + `register` (0…3). The control word cannot be read back this way.
    pub fn read(&mut self, register: u16, now: Instant) -> u8 {
        let now = ticks(now);
        match self.counters.get_mut(usize::from(register)) {
            Some(counter) => {
                counter.settle(now);
                counter.read(now)
            }
            None => 0xff,
        }
    }

    /// Writes port 40h + `register` (0…3). Call [`Pit::advance`] before and after.
    pub fn write(&mut self, register: u16, value: u8, now: Instant) {
        let now = ticks(now);
        for counter in &mut self.counters {
            counter.settle(now);
        }
        match self.counters.get_mut(usize::from(register)) {
            Some(counter) => counter.write(value, now),
            None => self.command(value, now),
        }
    }

    /// The control word register.
    fn command(&mut self, word: u8, now: i64) {
        let Some(counter) = self.counters.get_mut(usize::from(word >> SELECT_SHIFT)) else {
            self.read_back(word, now);
            return;
        };
        if word & 0x30 == 0 {
            counter.latch_count(now);
        } else {
            counter.set_control(word);
        }
    }

    fn read_back(&mut self, word: u8, now: i64) {
        for (index, counter) in self.counters.iter_mut().enumerate() {
            if word & 2 << index == 0 {
                continue;
            }
            if word & READ_BACK_NO_COUNT == 0 {
                counter.latch_count(now);
            }
            if word & READ_BACK_NO_STATUS == 0 {
                counter.latch_status(now);
            }
        }
    }

    /// Reads port 61h. The refresh bit toggles with time, not with reads.
    pub fn read_control(&mut self, now: Instant) -> u8 {
        let refresh = if (Crystal::PIT.ticks(now) / REFRESH_TICKS) & 1 != 0 {
            NMI_SC_REFRESH
        } else {
            0
        };
        let now = ticks(now);
        let counter = &mut self.counters[2];
        counter.settle(now);
        let out = if counter.out(now) { NMI_SC_OUT2 } else { 0 };
        self.control | refresh | out
    }

    /// Writes port 61h.
    pub fn write_control(&mut self, value: u8, now: Instant) {
        self.control = value & NMI_SC_WRITABLE;
        let gate = if value & NMI_SC_GATE2 != 0 {
            Gate::High
        } else {
            Gate::Low
        };
        let now = ticks(now);
        self.counters[2].settle(now);
        self.counters[2].set_gate(gate, now);
    }

    /// What the speaker cone gets: OUT 2 through its gate.
    pub fn speaker(&mut self, now: Instant) -> bool {
        self.control & NMI_SC_SPEAKER != 0 && self.read_control(now) & NMI_SC_OUT2 != 0
    }

    /// Brings counter 0 to `now`.
    pub fn advance(&mut self, now: Instant) -> Output {
        let now = ticks(now);
        let counter = &mut self.counters[0];
        let rose = counter.next_rise(self.seen).is_some_and(|rise| rise <= now);
        self.seen = self.seen.max(now);
        counter.settle(now);
        Output {
            rose,
            level: counter.out(now),
        }
    }

    /// When OUT 0 rises next; `None` if it will not by itself.
    pub fn deadline(&self) -> Option<Instant> {
        let rise = self.counters[0].next_rise(self.seen)?;
        let soonest = Crystal::PIT.instant(self.seen.max(0) as u64) + MIN_PERIOD_NS;
        Some(Crystal::PIT.instant(rise.max(0) as u64).max(soonest))
    }
}

impl Lifecycle for Pit {
    fn kind(&self) -> &'static str {
        "pit"
    }

    fn reset(&mut self) {
        *self = Self {
            seen: self.seen,
            ..Self::new()
        };
    }

    fn save(&self) -> Vec<u8> {
        saved::write(SAVED_VERSION, self)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let state: Self = saved::read(self.kind(), SAVED_VERSION, saved)?;
        *self = Self {
            counters: state.counters.map(Counter::sanitize),
            control: state.control & NMI_SC_WRITABLE,
            seen: state.seen.clamp(0, i64::MAX / 4),
        };
        Ok(())
    }
}
