//! The high-precision event timer: three timers on a 64-bit counter of 100 MHz (IA-PC HPET specification 1.0a). FSB delivery
//! is not offered: the capability bit says so.
//!
//! [`Hpet`] guarantees: the counter follows from the time passed in; a timer that cannot interrupt asks for no wake-up; when several
//! periods were missed, one interrupt tells of them, as an edge-triggered input that is not served would.

mod bits;
#[cfg(test)]
mod tests;
mod timer;

use crate::saved;
use alloc::vec::Vec;
use bits::*;
use hvm::device::{Lifecycle, RestoreError};
use hvm::{Instant, Width};
use serde::{Deserialize, Serialize};
use timer::Timer;

/// Bytes of memory that it decodes.
pub const WINDOW_BYTES: u64 = 0x400;
/// How many timers it has.
pub const TIMERS_COUNT: usize = 3;
/// Version of the saved state.
const SAVED_VERSION: u16 = 1;
/// The counter's period.
const TICK_NS: u64 = 10;
const TICK_FS: u64 = TICK_NS * 1_000_000;
/// Intel, revision 1, three timers, 64 bits, legacy replacement: as the ACPI table says.
const IDENTITY: u64 = 0x8086_a201;
/// The host is woken for a timer at most this often, whatever its period.
const MIN_PERIOD_NS: u64 = 10_000;

/// Where a timer's interrupt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Instead of the PIT: IRQ 0.
    Pit,
    /// Instead of the clock: IRQ 8.
    Rtc,
    /// To an input of the I/O APIC.
    IoApic(u8),
}

/// What a timer does to its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Level-triggered: the line is up or not.
    Level(bool),
    /// Edge-triggered: it fired since the last look, or not.
    Edge(bool),
}

/// The timer block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hpet {
    configuration: u64,
    status: u8,
    timers: [Timer; TIMERS_COUNT],
    /// The counter at `seen`.
    counter: u64,
    /// Up to which tick of the guest's clock all is told.
    seen: u64,
    /// Edges not yet taken by the board, one bit a timer.
    edges: u8,
}

impl Default for Hpet {
    fn default() -> Self {
        Self::new()
    }
}

fn ticks(now: Instant) -> u64 {
    now.ns / TICK_NS
}

impl Hpet {
    /// As after reset: the counter stands at 0.
    pub fn new() -> Self {
        Self {
            configuration: 0,
            status: 0,
            timers: [Timer::new(); TIMERS_COUNT],
            counter: 0,
            seen: 0,
            edges: 0,
        }
    }

    fn runs(&self) -> bool {
        self.configuration & ENABLE != 0
    }

    /// True while timers 0 and 1 have the lines of PIT and clock to themselves: the route counts only while the whole block is
    /// on (2.3.5).
    pub fn replaces_legacy(&self) -> bool {
        self.configuration & (ENABLE | LEGACY_ROUTE) == ENABLE | LEGACY_ROUTE
    }

    /// Reads at `offset` in the window. Only aligned dwords and qwords are registers (2.3.2).
    pub fn read(&mut self, offset: u64, width: Width, now: Instant) -> u64 {
        if !is_access(offset, width) {
            return 0;
        }
        self.advance(now);
        let register = self.read_register(offset & !7);
        width.cut(register >> ((offset & 4) * 8))
    }

    fn read_register(&self, register: u64) -> u64 {
        match register {
            CAPABILITIES => TICK_FS << 32 | IDENTITY,
            CONFIGURATION => self.configuration,
            STATUS => u64::from(self.status),
            COUNTER => self.counter,
            _ => {
                let Some((index, register)) = timer_register(register) else {
                    return 0;
                };
                match (self.timers.get(index), register) {
                    (Some(timer), TIMER_CONFIGURATION) => timer.read_configuration(),
                    (Some(timer), TIMER_COMPARATOR) => timer.comparator(),
                    _ => 0,
                }
            }
        }
    }

    /// Writes there.
    pub fn write(&mut self, offset: u64, width: Width, value: u64, now: Instant) {
        if !is_access(offset, width) {
            return;
        }
        self.advance(now);
        let shift = (offset & 4) * 8;
        let mask = width.mask() << shift;
        let value = width.cut(value) << shift;
        let merge = |old: u64| old & !mask | value;
        match offset & !7 {
            CONFIGURATION => {
                self.configuration = merge(self.configuration) & (ENABLE | LEGACY_ROUTE);
            }
            STATUS => self.status &= !(value as u8),
            // Software must halt it first; one that runs goes on from the new value.
            COUNTER => self.counter = merge(self.counter),
            register => {
                let Some((index, register)) = timer_register(register) else {
                    return;
                };
                let Some(timer) = self.timers.get_mut(index) else {
                    return;
                };
                match register {
                    TIMER_CONFIGURATION => {
                        timer.write_configuration(merge(timer.read_configuration()));
                        // An edge leaves no status behind (2.3.6).
                        if !timer.is_level() {
                            self.status &= !(1 << index);
                        }
                    }
                    TIMER_COMPARATOR => timer.write_comparator(value, mask),
                    _ => {}
                }
            }
        }
    }

    /// Brings counter and timers to `now`.
    #[inline]
    pub fn advance(&mut self, now: Instant) {
        let ticks = ticks(now);
        let passed = ticks.saturating_sub(self.seen);
        self.seen = self.seen.max(ticks);
        if !self.runs() || passed == 0 {
            return;
        }
        for (index, timer) in self.timers.iter_mut().enumerate() {
            if timer.advance(self.counter, passed) {
                if timer.is_level() {
                    self.status |= 1 << index;
                } else {
                    self.edges |= 1 << index;
                }
            }
        }
        self.counter = self.counter.wrapping_add(passed);
    }

    /// What the timers do to their lines; each edge is told once.
    pub fn outputs(&mut self) -> [Option<(Route, Output)>; TIMERS_COUNT] {
        let edges = core::mem::take(&mut self.edges);
        core::array::from_fn(|index| {
            let timer = self.timers.get(index)?;
            let shown = timer.interrupts() && self.runs();
            let output = if timer.is_level() {
                Output::Level(shown && self.status & 1 << index != 0)
            } else {
                Output::Edge(shown && edges & 1 << index != 0)
            };
            Some((self.route(index)?, output))
        })
    }

    fn route(&self, index: usize) -> Option<Route> {
        match index {
            0 if self.replaces_legacy() => Some(Route::Pit),
            1 if self.replaces_legacy() => Some(Route::Rtc),
            _ => self.timers.get(index)?.route().map(Route::IoApic),
        }
    }

    /// When the next interrupt rises by itself, and where.
    pub fn deadlines(&self) -> [Option<(Route, Instant)>; TIMERS_COUNT] {
        core::array::from_fn(|index| {
            let timer = self.timers.get(index)?;
            let told = self.status & 1 << index != 0;
            if !self.runs() || !timer.interrupts() || told {
                return None;
            }
            let wait = timer.ticks_to_match(self.counter);
            let at = Instant::from_ns(self.seen.saturating_add(wait).saturating_mul(TICK_NS));
            let soonest = Instant::from_ns(self.seen.saturating_mul(TICK_NS)) + MIN_PERIOD_NS;
            Some((self.route(index)?, at.max(soonest)))
        })
    }

    /// The earliest of [`Hpet::deadlines`].
    pub fn deadline(&self) -> Option<Instant> {
        if !self.runs() {
            return None;
        }
        self.deadlines()
            .into_iter()
            .flatten()
            .map(|(_, at)| at)
            .min()
    }
}

fn is_access(offset: u64, width: Width) -> bool {
    matches!(width, Width::Dword | Width::Qword) && offset.is_multiple_of(width.bytes() as u64)
}

/// Which timer's which register lies at `register`.
fn timer_register(register: u64) -> Option<(usize, u64)> {
    let offset = register.checked_sub(TIMERS)?;
    Some(((offset / TIMER_STRIDE) as usize, offset % TIMER_STRIDE))
}

impl Lifecycle for Hpet {
    fn kind(&self) -> &'static str {
        "hpet"
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
            configuration: state.configuration & (ENABLE | LEGACY_ROUTE),
            timers: state.timers.map(Timer::sanitize),
            ..state
        };
        Ok(())
    }
}
