//! One counter of an 8254 (Intel 8254 data sheet, order 231164).
//!
//! Nothing is counted down step by step: the counting element and OUT follow from the mode, the count and the clock
//! ticks since the count was loaded, so an idle counter costs nothing and a late reader sees the truth. Times are in ticks.

use super::bits::{BCD, CONTROL, STATUS_NULL, STATUS_OUT};
use serde::{Deserialize, Serialize};

/// The six modes (data sheet, "Mode definitions").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    InterruptOnTerminalCount,
    OneShot,
    RateGenerator,
    SquareWave,
    SoftwareStrobe,
    HardwareStrobe,
}

/// Which bytes of the count a control word selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Low,
    High,
    Both,
}

/// What the counting element does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Run {
    /// Waits for a count, or for a trigger.
    #[default]
    Waiting,
    /// Counts, loaded at that tick (which lies one ahead right after a write: loading takes a clock pulse).
    Since(i64),
    /// Held by the gate after so many ticks.
    Held(i64),
}

/// A count that waits to be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Next {
    count: u16,
    /// When: the end of the running (half) cycle, or `i64::MAX` for "when triggered".
    at: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counter {
    /// Low six bits of the control word.
    control: u8,
    /// False until the first control word.
    programmed: bool,
    /// What the counting element was loaded with.
    count: u16,
    /// The count register, when it is not loaded yet.
    next: Option<Next>,
    /// First byte of a two-byte write.
    low_written: Option<u8>,
    /// The second byte of a two-byte read is due.
    high_next: bool,
    count_latch: Option<u16>,
    status_latch: Option<u8>,
    gate: bool,
    run: Run,
}

/// The gate input's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Low,
    High,
}

impl Counter {
    /// The state after power-up is undefined; ours is silent with OUT high.
    pub(super) fn new(gate: Gate) -> Self {
        Self {
            gate: gate == Gate::High,
            ..Self::default()
        }
    }

    fn mode(&self) -> Mode {
        match self.control >> 1 & 7 {
            0 => Mode::InterruptOnTerminalCount,
            1 => Mode::OneShot,
            2 | 6 => Mode::RateGenerator,
            3 | 7 => Mode::SquareWave,
            4 => Mode::SoftwareStrobe,
            _ => Mode::HardwareStrobe,
        }
    }

    fn access(&self) -> Access {
        match self.control >> 4 & 3 {
            1 => Access::Low,
            2 => Access::High,
            _ => Access::Both,
        }
    }

    fn bcd(&self) -> bool {
        self.control & BCD != 0
    }

    fn periodic(&self) -> bool {
        matches!(self.mode(), Mode::RateGenerator | Mode::SquareWave)
    }

    /// The counting element wraps at this many.
    fn modulus(&self) -> i64 {
        if self.bcd() { 10_000 } else { 0x1_0000 }
    }

    /// A count register's value as a number of ticks; 0 stands for the modulus. A period of 1 is illegal and
    /// runs as 2 here.
    fn ticks(&self, count: u16) -> i64 {
        let value = if self.bcd() {
            let digit = |place: u16| i64::from(count >> (4 * place) & 0xf);
            (digit(3) * 1000 + digit(2) * 100 + digit(1) * 10 + digit(0)) % 10_000
        } else {
            i64::from(count)
        };
        match value {
            0 => self.modulus(),
            1 if self.periodic() => 2,
            value => value,
        }
    }

    /// The counting element's value as software reads it.
    fn encode(&self, value: i64) -> u16 {
        let value = value.rem_euclid(self.modulus()) as u16;
        if self.bcd() {
            (value / 1000) << 12 | (value / 100 % 10) << 8 | (value / 10 % 10) << 4 | (value % 10)
        } else {
            value
        }
    }

    /// In mode 3, ticks for which OUT is high.
    fn high_half(period: i64) -> i64 {
        (period + 1) / 2
    }

    /// Loads a waiting count if its moment has come. To be called before all else with the present time.
    pub(super) fn settle(&mut self, now: i64) {
        let (Run::Since(start), Some(next)) = (self.run, self.next) else {
            return;
        };
        if now < next.at {
            return;
        }
        let mid_cycle = (next.at - start).rem_euclid(self.ticks(self.count)) != 0;
        let start = if mid_cycle {
            // Mode 3 at the end of its high half: the new count begins with its low half.
            next.at - Self::high_half(self.ticks(next.count))
        } else {
            next.at
        };
        self.count = next.count;
        self.next = None;
        self.run = Run::Since(start);
    }

    /// Ticks since loading; negative while the loading clock pulse is due. `None` if nothing was loaded.
    fn elapsed(&self, now: i64) -> Option<i64> {
        match self.run {
            Run::Waiting => None,
            Run::Since(start) => Some(now - start),
            Run::Held(elapsed) => Some(elapsed),
        }
    }

    /// The level of OUT.
    pub(super) fn out(&self, now: i64) -> bool {
        let count = self.ticks(self.count);
        match (self.mode(), self.elapsed(now)) {
            _ if !self.programmed => true,
            (Mode::InterruptOnTerminalCount, elapsed) => {
                elapsed.is_some_and(|elapsed| elapsed >= count)
            }
            (_, None) => true,
            (_, Some(elapsed)) if elapsed < 0 => true,
            (Mode::OneShot, Some(elapsed)) => elapsed >= count,
            // The gate holds OUT high in the periodic modes.
            (Mode::RateGenerator | Mode::SquareWave, _) if matches!(self.run, Run::Held(_)) => true,
            (Mode::RateGenerator, Some(elapsed)) => elapsed % count != count - 1,
            (Mode::SquareWave, Some(elapsed)) => elapsed % count < Self::high_half(count),
            (Mode::SoftwareStrobe | Mode::HardwareStrobe, Some(elapsed)) => elapsed != count,
        }
    }

    /// The counting element.
    fn element(&self, now: i64) -> u16 {
        let count = self.ticks(self.count);
        let elapsed = self.elapsed(now).unwrap_or(0).max(0);
        let value = match self.mode() {
            Mode::RateGenerator => count - elapsed % count,
            Mode::SquareWave => {
                // By twos from an even number, once for each half.
                let place = elapsed % count;
                let half = Self::high_half(count);
                let step = if place < half { place } else { place - half };
                (count & !1) - 2 * step
            }
            _ => count - elapsed,
        };
        self.encode(value)
    }

    /// The first tick after `after` at which OUT rises by counting alone.
    pub(super) fn next_rise(&self, after: i64) -> Option<i64> {
        let Run::Since(start) = self.run else {
            return None;
        };
        let count = self.ticks(self.count);
        let rise = match self.mode() {
            Mode::InterruptOnTerminalCount | Mode::OneShot => start + count,
            Mode::SoftwareStrobe | Mode::HardwareStrobe => start + count + 1,
            Mode::RateGenerator | Mode::SquareWave => {
                let cycles = (after - start).div_euclid(count).max(0) + 1;
                let rise = start + cycles * count;
                match self.next {
                    Some(next) if next.at < rise => {
                        let period = self.ticks(next.count);
                        next.at + period - Self::high_half(period)
                    }
                    _ => rise,
                }
            }
        };
        (rise > after).then_some(rise)
    }

    /// Moves the gate input.
    pub(super) fn set_gate(&mut self, gate: Gate, now: i64) {
        let high = gate == Gate::High;
        if high == self.gate {
            return;
        }
        self.gate = high;
        let reloads = Run::Since(now + 1);
        self.run = match (self.mode(), self.run, gate) {
            (
                Mode::InterruptOnTerminalCount | Mode::SoftwareStrobe,
                Run::Since(start),
                Gate::Low,
            ) => Run::Held((now - start).max(0)),
            (
                Mode::InterruptOnTerminalCount | Mode::SoftwareStrobe,
                Run::Held(elapsed),
                Gate::High,
            ) => Run::Since(now - elapsed),
            (Mode::RateGenerator | Mode::SquareWave, Run::Since(_), Gate::Low) => Run::Held(0),
            (Mode::RateGenerator | Mode::SquareWave, Run::Held(_), Gate::High) => {
                self.take_next();
                reloads
            }
            (Mode::OneShot | Mode::HardwareStrobe, run, Gate::High)
                if run != Run::Waiting || self.next.is_some() =>
            {
                self.take_next();
                reloads
            }
            (_, run, _) => run,
        };
    }

    fn take_next(&mut self) {
        if let Some(next) = self.next.take() {
            self.count = next.count;
        }
    }

    /// A control word for this counter, other than a latch command.
    pub(super) fn set_control(&mut self, word: u8) {
        *self = Self {
            control: word & CONTROL,
            programmed: true,
            gate: self.gate,
            ..Self::default()
        };
    }

    /// Latches the count, unless one is latched already.
    pub(super) fn latch_count(&mut self, now: i64) {
        if self.count_latch.is_none() {
            self.count_latch = Some(self.element(now));
        }
    }

    /// Latches the status byte, likewise.
    pub(super) fn latch_status(&mut self, now: i64) {
        if self.status_latch.is_some() {
            return;
        }
        let loaded = self.next.is_none() && self.elapsed(now).is_some_and(|elapsed| elapsed >= 0);
        let null = if loaded { 0 } else { STATUS_NULL };
        let out = if self.out(now) { STATUS_OUT } else { 0 };
        self.status_latch = Some(self.control | null | out);
    }

    /// Reads the counter's port.
    pub(super) fn read(&mut self, now: i64) -> u8 {
        if let Some(status) = self.status_latch.take() {
            return status;
        }
        let [low, high] = self
            .count_latch
            .unwrap_or_else(|| self.element(now))
            .to_le_bytes();
        let value = match (self.access(), self.high_next) {
            (Access::Low, _) => low,
            (Access::High, _) => high,
            (Access::Both, false) => {
                self.high_next = true;
                return low;
            }
            (Access::Both, true) => high,
        };
        self.high_next = false;
        self.count_latch = None;
        value
    }

    /// Writes the counter's port.
    pub(super) fn write(&mut self, value: u8, now: i64) {
        let count = match (self.access(), self.low_written.take()) {
            (Access::Low, _) => u16::from(value),
            (Access::High, _) => u16::from(value) << 8,
            (Access::Both, Some(low)) => u16::from_le_bytes([low, value]),
            (Access::Both, None) => {
                self.low_written = Some(value);
                if self.mode() == Mode::InterruptOnTerminalCount {
                    // The first byte stops the count and drives OUT low.
                    self.run = Run::Waiting;
                }
                return;
            }
        };
        if self.programmed {
            self.write_count(count, now);
        }
    }

    /// A whole count was written; when it is loaded depends on the mode.
    fn write_count(&mut self, count: u16, now: i64) {
        let mode = self.mode();
        let at = match (mode, self.run) {
            (Mode::OneShot | Mode::HardwareStrobe, _) => i64::MAX,
            (Mode::RateGenerator | Mode::SquareWave, Run::Since(start)) if now >= start => {
                let period = self.ticks(self.count);
                let into = (now - start) % period;
                let half = Self::high_half(period);
                let length = if mode == Mode::SquareWave && into < half {
                    half
                } else {
                    period
                };
                now - into + length
            }
            _ => {
                self.count = count;
                self.next = None;
                self.run = if self.gate {
                    Run::Since(now + 1)
                } else {
                    Run::Held(0)
                };
                return;
            }
        };
        self.next = Some(Next { count, at });
    }

    /// Makes a restored record safe to compute with: times lie within what a clock can reach.
    pub(super) fn sanitize(mut self) -> Self {
        const LIMIT: i64 = i64::MAX / 4;
        self.run = match self.run {
            Run::Waiting => Run::Waiting,
            Run::Since(start) => Run::Since(start.clamp(-LIMIT, LIMIT)),
            Run::Held(elapsed) => Run::Held(elapsed.clamp(0, LIMIT)),
        };
        self.next = self
            .next
            .filter(|next| next.at == i64::MAX || next.at.abs() < LIMIT);
        self
    }
}
