//! The real-time clock and its CMOS RAM: an MC146818A with 128 bytes (Motorola MC146818A data sheet; ports and NMI mask
//! as in the 82371SB data sheet, "NMI enable register").
//!
//! [`Rtc`] guarantees: time registers, flags and the update-in-progress bit follow from the time passed in, so a clock nobody
//! looks at costs nothing; [`Rtc::deadline`] asks to be woken only for an interrupt that is enabled and not yet raised.

mod alarm;
mod bits;
mod calendar;
#[cfg(test)]
mod tests;

use crate::saved;
use alarm::Alarm;
use alloc::string::String;
use alloc::vec::Vec;
use bits::*;
use calendar::{Format, Moment};
use hvm::Instant;
use hvm::device::{Lifecycle, RestoreError};
use serde::{Deserialize, Serialize};

/// Bytes of CMOS RAM, registers included.
pub const RAM_BYTES: usize = 128;
/// Version of the saved state.
const SAVED_VERSION: u16 = 1;
const SECOND_NS: u64 = 1_000_000_000;
/// The first update comes half a second after the divider starts (data sheet, "Divider stages").
const FIRST_UPDATE_NS: u64 = SECOND_NS / 2;
/// UIP rises 244 µs before an update cycle of 1984 µs (data sheet, "Update cycle times").
const UPDATE_NS: u64 = 244_000 + 1_984_000;
/// Port 70h: NMI is masked.
const NMI_MASK: u8 = 1 << 7;

/// The clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rtc {
    ram: [u8; RAM_BYTES],
    index: u8,
    nmi_masked: bool,
    /// When the divider chain started; `None` while it is held in reset.
    divider_start: Option<Instant>,
    /// Updates of this divider run that the time registers have seen, or were made to miss by SET.
    updates: u64,
    /// Up to when register C tells of periods.
    seen: Instant,
}

impl Rtc {
    /// A clock with its battery in: running, 24-hour BCD, at `epoch_seconds` since 1970-01-01 UTC.
    pub fn new(epoch_seconds: u64) -> Self {
        let mut rtc = Self {
            ram: [0; RAM_BYTES],
            index: 0,
            nmi_masked: false,
            divider_start: Some(Instant::ZERO),
            updates: 0,
            seen: Instant::ZERO,
        };
        // 1024 Hz, as PC firmware leaves it.
        rtc.ram[A] = A_DIVIDER_32K | 6;
        rtc.ram[B] = B_24H;
        rtc.ram[D] = D_VRT;
        let (century, moment) = Moment::from_epoch(epoch_seconds);
        rtc.set_moment(moment);
        rtc.ram[CENTURY] = rtc.format().encode(century);
        rtc
    }

    /// The time that the machine was given, `given` seconds since 1970 by now, was wrong: it is `right`. A clock that shows another time was set
    /// by its owner, and stays as it is.
    pub fn correct(&mut self, given: u64, right: u64, now: Instant) {
        /// A clock that was read and set shows the second before.
        const TOLERANCE_S: u64 = 1;
        self.advance(now);
        let (century, moment) = Moment::from_epoch(given);
        let shows = self.moment();
        let is_as_given = self.ram[CENTURY] == self.format().encode(century)
            && shows.seconds().abs_diff(moment.seconds()) <= TOLERANCE_S;
        if !is_as_given || self.ram[B] & B_SET != 0 || self.divider_start.is_none() {
            return;
        }
        let (century, moment) = Moment::from_epoch(right);
        self.set_moment(moment);
        self.ram[CENTURY] = self.format().encode(century);
    }

    /// Sets a byte of CMOS RAM on behalf of firmware (memory sizes, boot order). Registers and other indices are left alone.
    pub fn set_ram(&mut self, index: u8, value: u8) {
        if let Some(byte) = self
            .ram
            .get_mut(usize::from(index))
            .filter(|_| usize::from(index) > D)
        {
            *byte = value;
        }
    }

    /// True while bit 7 of port 70h masks NMI.
    pub fn nmi_masked(&self) -> bool {
        self.nmi_masked
    }

    /// Writes port 70h.
    pub fn select(&mut self, value: u8) {
        self.index = value & !NMI_MASK;
        self.nmi_masked = value & NMI_MASK != 0;
    }

    /// Reads port 71h.
    pub fn read(&mut self, now: Instant) -> u8 {
        self.advance(now);
        match usize::from(self.index) {
            A => self.ram[A] | if self.updating(now) { A_UIP } else { 0 },
            C => {
                let flags = self.ram[C] | if self.interrupt() { C_IRQF } else { 0 };
                self.ram[C] = 0;
                flags
            }
            index => self.ram.get(index).copied().unwrap_or(0xff),
        }
    }

    /// Writes port 71h.
    pub fn write(&mut self, value: u8, now: Instant) {
        self.advance(now);
        match usize::from(self.index) {
            A => self.write_a(value & !A_UIP, now),
            B => self.write_b(value),
            C | D => {}
            index => {
                if let Some(byte) = self.ram.get_mut(index) {
                    *byte = value;
                }
            }
        }
    }

    /// The level of IRQ: a flag is set whose interrupt is enabled.
    pub fn interrupt(&self) -> bool {
        self.ram[C] & self.ram[B] & CAUSES != 0
    }

    /// Brings time and flags to `now`.
    pub fn advance(&mut self, now: Instant) {
        let Some(start) = self.divider_start else {
            return;
        };
        let updates = update_count(start, now);
        let passed = updates.saturating_sub(self.updates);
        self.updates = updates.max(self.updates);
        if passed != 0 && self.ram[B] & B_SET == 0 {
            self.update(passed);
        }
        if let Some(period) = self.period_ticks() {
            let periods = |at: Instant| divider_ticks(at.since_ns(start)) / period;
            if periods(now) > periods(self.seen) {
                self.ram[C] |= C_PF;
            }
        }
        self.seen = self.seen.max(now);
    }

    /// When an enabled interrupt rises next; `None` if none will, or one is up already.
    pub fn deadline(&self) -> Option<Instant> {
        let start = self.divider_start?;
        let b = self.ram[B];
        if b & CAUSES == 0 || self.interrupt() {
            return None;
        }
        let period = self
            .period_ticks()
            .filter(|_| b & B_PIE != 0)
            .map(|period| {
                let periods = divider_ticks(self.seen.since_ns(start)) / period + 1;
                start + divider_ns(periods.saturating_mul(period))
            });
        let seconds = if b & B_SET != 0 {
            None
        } else if b & B_UIE != 0 {
            Some(1)
        } else if b & B_AIE != 0 {
            self.alarm().seconds_until(self.moment().time)
        } else {
            None
        };
        let update = seconds.map(|seconds| {
            let updates = self.updates.saturating_add(seconds);
            start + FIRST_UPDATE_NS + (updates - 1).saturating_mul(SECOND_NS)
        });
        period.into_iter().chain(update).min()
    }

    fn format(&self) -> Format {
        Format::from_b(self.ram[B])
    }

    fn moment(&self) -> Moment {
        let format = self.format();
        let field = |index: usize| format.decode(self.ram[index]);
        let hour = format.decode_hour(self.ram[HOURS]);
        Moment {
            year: field(YEAR),
            month: field(MONTH),
            day: field(DAY),
            weekday: field(WEEKDAY),
            time: u64::from(hour) * 3600
                + u64::from(field(MINUTES)) * 60
                + u64::from(field(SECONDS)),
        }
    }

    fn set_moment(&mut self, moment: Moment) {
        let format = self.format();
        self.ram[SECONDS] = format.encode((moment.time % 60) as u8);
        self.ram[MINUTES] = format.encode((moment.time / 60 % 60) as u8);
        self.ram[HOURS] = format.encode_hour((moment.time / 3600 % 24) as u8);
        self.ram[WEEKDAY] = format.encode(moment.weekday);
        self.ram[DAY] = format.encode(moment.day);
        self.ram[MONTH] = format.encode(moment.month);
        self.ram[YEAR] = format.encode(moment.year);
    }

    fn alarm(&self) -> Alarm {
        Alarm::new(
            self.format(),
            self.ram[HOURS_ALARM],
            self.ram[MINUTES_ALARM],
            self.ram[SECONDS_ALARM],
        )
    }

    /// `seconds` update cycles passed.
    fn update(&mut self, seconds: u64) {
        let mut moment = self.moment();
        if self
            .alarm()
            .seconds_until(moment.time)
            .is_some_and(|wait| wait <= seconds)
        {
            self.ram[C] |= C_AF;
        }
        moment.advance(seconds);
        self.set_moment(moment);
        self.ram[C] |= C_UF;
    }

    /// True from when UIP rises until the update is done.
    fn updating(&self, now: Instant) -> bool {
        let Some(start) = self.divider_start else {
            return false;
        };
        let next = start + FIRST_UPDATE_NS + self.updates.saturating_mul(SECOND_NS);
        self.ram[B] & B_SET == 0 && next.since_ns(now) <= UPDATE_NS
    }

    /// Ticks of 32.768 kHz between periodic interrupts (data sheet, "Periodic interrupt rates"); `None` if the rate field turns them off.
    fn period_ticks(&self) -> Option<u64> {
        match self.ram[A] & A_RATE {
            0 => None,
            // The first two rates are those of 8 and 9 with this crystal.
            rate @ 1..=2 => Some(1 << (rate + 6)),
            rate => Some(1 << (rate - 1)),
        }
    }

    fn write_a(&mut self, value: u8, now: Instant) {
        let runs = value & A_DIVIDER == A_DIVIDER_32K;
        match (self.divider_start, runs) {
            (None, true) => {
                self.divider_start = Some(now);
                self.updates = 0;
            }
            (Some(_), false) => self.divider_start = None,
            _ => {}
        }
        self.ram[A] = value;
        self.seen = self.seen.max(now);
    }

    /// SET turns the update interrupt off (data sheet, "Register B").
    fn write_b(&mut self, value: u8) {
        self.ram[B] = if value & B_SET != 0 {
            value & !B_UIE
        } else {
            value
        };
    }

    /// Makes a restored record one that the chip can be in.
    fn from_saved(saved: Saved) -> Result<Self, RestoreError> {
        let found = saved.ram.len();
        let ram = saved.ram.try_into().map_err(|_| {
            RestoreError(alloc::format!(
                "rtc: found {found} bytes of RAM, want {RAM_BYTES}"
            ))
        })?;
        if saved.updates > u64::MAX / SECOND_NS {
            return Err(RestoreError(String::from(
                "rtc: the saved update count is absurd",
            )));
        }
        Ok(Self {
            ram,
            index: saved.index & !NMI_MASK,
            nmi_masked: saved.nmi_masked,
            divider_start: saved.divider_start,
            updates: saved.updates,
            seen: saved.seen,
        })
    }
}

/// Updates within a divider run.
fn update_count(start: Instant, now: Instant) -> u64 {
    now.since_ns(start)
        .saturating_add(SECOND_NS - FIRST_UPDATE_NS)
        / SECOND_NS
}

/// 32.768 kHz is 64 ticks in 1 953 125 ns, exactly.
const TICK_SPAN: (u64, u64) = (64, 1_953_125);

fn divider_ticks(ns: u64) -> u64 {
    ns / TICK_SPAN.1 * TICK_SPAN.0 + ns % TICK_SPAN.1 * TICK_SPAN.0 / TICK_SPAN.1
}

fn divider_ns(ticks: u64) -> u64 {
    let whole = (ticks / TICK_SPAN.0).saturating_mul(TICK_SPAN.1);
    whole.saturating_add((ticks % TICK_SPAN.0 * TICK_SPAN.1).div_ceil(TICK_SPAN.0))
}

/// The saved state.
#[derive(Serialize, Deserialize)]
struct Saved {
    ram: Vec<u8>,
    index: u8,
    nmi_masked: bool,
    divider_start: Option<Instant>,
    updates: u64,
    seen: Instant,
}

impl Lifecycle for Rtc {
    fn kind(&self) -> &'static str {
        "rtc"
    }

    /// The RESET pin: interrupts off, flags clear; time and RAM are the battery's (data sheet, "RESET").
    fn reset(&mut self) {
        self.ram[B] &= !(B_PIE | B_AIE | B_UIE | B_SQWE);
        self.ram[C] = 0;
        self.nmi_masked = false;
    }

    fn save(&self) -> Vec<u8> {
        let state = Saved {
            ram: self.ram.to_vec(),
            index: self.index,
            nmi_masked: self.nmi_masked,
            divider_start: self.divider_start,
            updates: self.updates,
            seen: self.seen,
        };
        saved::write(SAVED_VERSION, &state)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        *self = Self::from_saved(saved::read(self.kind(), SAVED_VERSION, saved)?)?;
        Ok(())
    }
}
