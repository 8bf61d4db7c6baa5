//! ACPI fixed hardware: PM1 event and control blocks, the power management timer and an inert GPE0 block, laid out as in
//! the PIIX4 (ACPI 6.4, 4.8.3; Intel 82371AB data sheet, "Power management I/O space registers").
//!
//! The machine is always in ACPI mode: there is no SMI to leave legacy mode by, so SCI_EN reads 1 and FADT must give no SMI
//! command port (ACPI 6.4, 5.2.9). [`Power`] asks to be woken for the timer's carry only while that event is enabled.

mod bits;
#[cfg(test)]
mod tests;

use crate::clock::Crystal;
use crate::saved;
use alloc::vec::Vec;
use bits::*;
use hvm::device::{Lifecycle, PowerEvent, RestoreError, Signals};
use hvm::{Instant, Width};
use serde::{Deserialize, Serialize};

/// First port of the PM1 block and the timer.
pub const PM_BASE: u16 = 0x600;
/// Ports that the chip decodes from there.
pub const PM_PORTS: u16 = 0x40;
/// First port of the GPE0 block.
pub const GPE0_BASE: u16 = 0xafe0;
/// Its length: two status bytes, two enable bytes.
pub const GPE0_PORTS: u16 = 4;
/// SLP_TYP of S5.
pub const SLEEP_TYPE_S5: u8 = 0;
/// Version of the saved state.
const SAVED_VERSION: u16 = 1;

/// The power management block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Power {
    status: u16,
    enable: u16,
    control: u16,
    /// Half turns of the timer that the status has told of.
    half_turns: u64,
    /// GPE0 enable bits; its events never happen.
    gpe_enable: u16,
}

impl Power {
    /// As after reset.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads at `offset` from [`PM_BASE`], any width that lies within the block.
    pub fn read(&mut self, offset: u16, width: Width, now: Instant) -> u32 {
        let timer = Crystal::PM_TIMER.ticks(now) as u32 & ((1 << TIMER_BITS) - 1);
        if offset == TIMER && width == Width::Dword {
            return timer;
        }
        self.advance(now);
        let mut block = [0; PM_PORTS as usize];
        block[usize::from(STATUS)..][..2].copy_from_slice(&self.status.to_le_bytes());
        block[usize::from(ENABLE)..][..2].copy_from_slice(&self.enable.to_le_bytes());
        block[usize::from(CONTROL)..][..2].copy_from_slice(&(self.control | SCI_EN).to_le_bytes());
        block[usize::from(TIMER)..][..4].copy_from_slice(&timer.to_le_bytes());
        let mut value = [0; 4];
        let from = block.iter().skip(usize::from(offset)).take(width.bytes());
        for (into, &byte) in value.iter_mut().zip(from) {
            *into = byte;
        }
        u32::from_le_bytes(value)
    }

    /// Writes there; each register takes the bytes that reach it.
    pub fn write(
        &mut self,
        offset: u16,
        width: Width,
        value: u32,
        now: Instant,
        signals: &mut dyn Signals,
    ) {
        self.advance(now);
        let written = Written {
            offset,
            width,
            value,
        };
        if let Some((value, _)) = written.word(STATUS) {
            self.status &= !value;
        }
        if let Some((value, mask)) = written.word(ENABLE) {
            self.enable = (self.enable & !mask | value) & EVENTS;
        }
        if let Some((value, mask)) = written.word(CONTROL) {
            self.write_control(value, mask, signals);
        }
    }

    /// SLP_EN is a command: it reads 0 (ACPI 6.4, 4.8.3.2).
    fn write_control(&mut self, value: u16, mask: u16, signals: &mut dyn Signals) {
        self.control = (self.control & !mask | value) & SLEEP_TYPE;
        if value & SLEEP_ENABLE == 0 {
            return;
        }
        let sleep_type = (self.control >> SLEEP_TYPE_SHIFT) as u8;
        signals.power(if sleep_type == SLEEP_TYPE_S5 {
            PowerEvent::PowerOff
        } else {
            // A state that we do not offer: the machine is awake again at once, and software waits for that bit.
            self.status |= WAKE;
            PowerEvent::Sleep(sleep_type)
        });
    }

    /// Reads at `offset` from [`GPE0_BASE`]. No general-purpose event ever happens.
    pub fn read_gpe(&self, offset: u16, width: Width) -> u32 {
        let block = u32::from(self.gpe_enable) << 16;
        width.cut(u64::from(block) >> (8 * u32::from(offset & 3))) as u32
    }

    /// Writes there: the enable bits are stored.
    pub fn write_gpe(&mut self, offset: u16, width: Width, value: u32) {
        if let Some((value, mask)) = (Written {
            offset,
            width,
            value,
        })
        .word(2)
        {
            self.gpe_enable = self.gpe_enable & !mask | value;
        }
    }

    /// Someone pressed the power button (ACPI 6.4, 4.8.2.2.1).
    pub fn press_button(&mut self) {
        self.status |= POWER_BUTTON;
    }

    /// The level of SCI.
    #[inline]
    pub fn interrupt(&self) -> bool {
        self.status & self.enable & EVENTS != 0
    }

    /// Brings the timer's status bit to `now`: it tells of every change of the counter's top bit (ACPI 6.4, 4.8.3.3).
    pub fn advance(&mut self, now: Instant) {
        let half_turns = Crystal::PM_TIMER.ticks(now) >> (TIMER_BITS - 1);
        if half_turns > self.half_turns {
            self.half_turns = half_turns;
            self.status |= TIMER_EVENT;
        }
    }

    /// When SCI rises next by itself.
    pub fn deadline(&self) -> Option<Instant> {
        if self.enable & TIMER_EVENT == 0 || self.interrupt() {
            return None;
        }
        let next = self
            .half_turns
            .saturating_add(1)
            .min(u64::MAX >> TIMER_BITS);
        Some(Crystal::PM_TIMER.instant(next << (TIMER_BITS - 1)))
    }
}

/// A write that may cover several registers, or half of one.
struct Written {
    offset: u16,
    width: Width,
    value: u32,
}

impl Written {
    /// What it means for the word register at `register`: its value and which bits were written.
    fn word(&self, register: u16) -> Option<(u16, u16)> {
        let (mut value, mut mask) = (0, 0);
        for byte in 0..self.width.bytes().min(4) as u16 {
            let place = (self.offset + byte).wrapping_sub(register);
            if place < 2 {
                value |= (self.value >> (8 * byte) & 0xff) << (8 * place);
                mask |= 0xff << (8 * place);
            }
        }
        (mask != 0).then_some((value as u16, mask))
    }
}

impl Lifecycle for Power {
    fn kind(&self) -> &'static str {
        "acpi_pm"
    }

    fn reset(&mut self) {
        *self = Self {
            half_turns: self.half_turns,
            ..Self::default()
        };
    }

    fn save(&self) -> Vec<u8> {
        saved::write(SAVED_VERSION, self)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        *self = saved::read(self.kind(), SAVED_VERSION, saved)?;
        Ok(())
    }
}
