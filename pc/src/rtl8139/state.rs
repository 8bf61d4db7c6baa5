//! All that the chip remembers, as it is saved.

use super::bits::{self, ReceiveConfig};
use super::eeprom::Eeprom;
use super::phy::Phy;
use super::timer::Timer;
use hvm::backend::Link;
use serde::{Deserialize, Serialize};

/// A transmit slot of the C mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    pub status: u32,
    pub address: u32,
}

/// The receive ring of the C mode, in one piece of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ring {
    /// Where it is.
    pub start: u32,
    /// Where the driver reads next, less 16 (CAPR).
    pub driver: u16,
    /// Where the chip writes next (CBR).
    pub chip: u16,
}

/// A ring of descriptors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptors {
    /// Where it is.
    pub base: u64,
    /// The next one.
    pub next: u32,
}

/// C+ mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CPlusState {
    pub command: u16,
    pub normal: Descriptors,
    pub high: Descriptors,
    pub receive: Descriptors,
    /// The transmit rings that are being worked off, as bits of the poll register.
    pub polling: u8,
    /// Payload of the frame at the head of a ring that is out already, when it is being cut.
    pub cut: u32,
    pub early_transmit: u8,
    pub tally_address: u64,
}

/// Frames counted since the reset (data sheet, "Tally Counters").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub sent: u64,
    pub received: u64,
    pub not_sent: u64,
    pub received_station: u64,
    pub received_broadcast: u64,
    pub received_multicast: u32,
    pub aborted: u16,
}

impl Tally {
    /// The 64 bytes that the chip writes to memory.
    pub fn to_bytes(self) -> [u8; 64] {
        let mut bytes = [0; 64];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &self.sent.to_le_bytes());
        put(8, &self.received.to_le_bytes());
        put(16, &self.not_sent.to_le_bytes());
        put(40, &self.received_station.to_le_bytes());
        put(48, &self.received_broadcast.to_le_bytes());
        put(56, &self.received_multicast.to_le_bytes());
        put(60, &self.aborted.to_le_bytes());
        bytes
    }
}

/// The registers and what is behind them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub address: [u8; 6],
    pub groups: [u8; 8],
    pub command: u8,
    pub interrupt_mask: u16,
    pub interrupt_status: u16,
    pub transmit_config: u32,
    pub receive_config: u32,
    pub missed: u32,
    pub eeprom: Eeprom,
    /// CONFIG0, 1, 3, 4, 5.
    pub config: [u8; 5],
    pub timer: Timer,
    pub multiple: u16,
    pub phy: Phy,
    pub media: u8,
    pub slots: [Slot; 4],
    /// The slot to send next.
    pub slot: u8,
    pub ring: Ring,
    pub cplus: CPlusState,
    pub nway_test: u16,
    /// The transceiver's tuning, kept for the driver.
    pub tuning: [u32; 3],
    /// Wake-up frames and their masks, kept for the driver.
    pub wake: alloc::vec::Vec<u32>,
    pub tally: Tally,
}

/// Wake-up registers.
const WAKE_DWORDS: usize = (bits::register::WAKE_END - bits::register::WAKE) as usize / 4;

impl State {
    /// As after power-on.
    pub fn new(mac: [u8; 6], link: Link) -> Self {
        let slot = Slot {
            status: bits::slot::OWN,
            address: 0,
        };
        let eeprom = Eeprom::new(mac);
        Self {
            address: mac,
            groups: [0; 8],
            command: 0,
            interrupt_mask: 0,
            interrupt_status: 0,
            transmit_config: 0x0300_0000,
            receive_config: 0,
            missed: 0,
            config: eeprom.config(),
            eeprom,
            timer: Timer::default(),
            multiple: 0,
            phy: Phy::new(link),
            media: 0,
            slots: [slot; 4],
            slot: 0,
            ring: Ring {
                driver: 0xfff0,
                ..Ring::default()
            },
            cplus: CPlusState::default(),
            nway_test: 0,
            tuning: [0; 3],
            wake: alloc::vec![0; WAKE_DWORDS],
            tally: Tally::default(),
        }
    }

    /// A software reset (data sheet, "Command Register", RST): transmitter, receiver, their FIFOs and rings; addresses, what
    /// came from the EEPROM, and the transceiver stay.
    pub fn soft_reset(&mut self) {
        let fresh = Self::new(self.address, self.phy.link());
        *self = Self {
            groups: self.groups,
            eeprom: self.eeprom.clone(),
            config: self.config,
            phy: self.phy.clone(),
            tuning: self.tuning,
            wake: core::mem::take(&mut self.wake),
            ..fresh
        };
        self.eeprom.reset();
    }

    /// True if this can be a saved state.
    pub fn is_sound(&self) -> bool {
        self.eeprom.is_sound()
            && self.wake.len() == WAKE_DWORDS
            && usize::from(self.slot) < self.slots.len()
            && u32::from(self.ring.chip) < self.receive().ring_bytes()
    }

    /// The receive configuration.
    pub fn receive(&self) -> ReceiveConfig {
        ReceiveConfig::from_bits_retain(self.receive_config)
    }
}
