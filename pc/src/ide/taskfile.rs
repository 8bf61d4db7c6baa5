//! The task file: the registers through which a host describes a command (ATA/ATAPI-6, clause 7).
//!
//! Features, count and the address registers are two deep, as the 48-bit commands need it (6.20): a write moves the
//! current content to the previous one.

use super::bits::device;
use serde::{Deserialize, Serialize};

/// A register of the command block, or one of the two at the control block's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// Data, 16 bits wide.
    Data,
    /// Error when read, features when written.
    Error,
    /// Sector count.
    Count,
    /// LBA bits 7:0.
    Low,
    /// LBA bits 15:8.
    Mid,
    /// LBA bits 23:16.
    High,
    /// Device and head.
    Device,
    /// Status when read, command when written.
    Status,
    /// Alternate status when read, device control when written.
    Control,
}

impl Register {
    /// All of them: the command block by offset, then the control block's.
    pub const ALL: [Self; 9] = [
        Self::Data,
        Self::Error,
        Self::Count,
        Self::Low,
        Self::Mid,
        Self::High,
        Self::Device,
        Self::Status,
        Self::Control,
    ];
}

/// A register two deep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Deep {
    pub(super) current: u8,
    pub(super) previous: u8,
}

impl Deep {
    fn write(&mut self, value: u8) {
        self.previous = self.current;
        self.current = value;
    }

    /// The host's choice by HOB.
    fn read(self, depth: Depth) -> u8 {
        match depth {
            Depth::Current => self.current,
            Depth::Previous => self.previous,
        }
    }
}

/// Which content a read shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    Current,
    Previous,
}

/// What a device leaves in its task file after a reset (9.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signature {
    Ata,
    Packet,
}

/// The registers of one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TaskFile {
    pub(super) features: Deep,
    pub(super) count: Deep,
    low: Deep,
    mid: Deep,
    high: Deep,
    pub(super) device: u8,
}

impl TaskFile {
    /// Takes a write to any register but data, command and control.
    pub(super) fn write(&mut self, register: Register, value: u8) {
        match register {
            Register::Error => self.features.write(value),
            Register::Count => self.count.write(value),
            Register::Low => self.low.write(value),
            Register::Mid => self.mid.write(value),
            Register::High => self.high.write(value),
            Register::Device => self.device = value,
            Register::Data | Register::Status | Register::Control => {}
        }
    }

    /// Reads count, address or device.
    pub(super) fn read(&self, register: Register, depth: Depth) -> u8 {
        match register {
            Register::Count => self.count.read(depth),
            Register::Low => self.low.read(depth),
            Register::Mid => self.mid.read(depth),
            Register::High => self.high.read(depth),
            Register::Device => self.device,
            Register::Error | Register::Data | Register::Status | Register::Control => 0,
        }
    }

    /// The address of a 28-bit command; CHS as cylinder, head and sector, if bit LBA says so.
    pub(super) fn address(&self) -> Address {
        let [low, mid, high] = [self.low, self.mid, self.high].map(|register| register.current);
        let head = self.device & device::HEAD;
        if self.device & device::LBA != 0 {
            Address::Block(u64::from(u32::from_le_bytes([low, mid, high, head])))
        } else {
            Address::Chs {
                cylinder: u16::from_le_bytes([mid, high]),
                head,
                sector: low,
            }
        }
    }

    /// The address of a 48-bit command.
    pub(super) fn address_48(&self) -> u64 {
        let registers = [self.low, self.mid, self.high];
        let [a, b, c] = registers.map(|register| register.current);
        let [d, e, f] = registers.map(|register| register.previous);
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }

    /// Shows an address of a 28-bit command.
    pub(super) fn set_address(&mut self, address: Address) {
        let (bytes, head) = match address {
            Address::Block(block) => {
                let [low, mid, high, head, ..] = block.to_le_bytes();
                ([low, mid, high], head & device::HEAD)
            }
            Address::Chs {
                cylinder,
                head,
                sector,
            } => {
                let [mid, high] = cylinder.to_le_bytes();
                ([sector, mid, high], head)
            }
        };
        self.device = self.device & !device::HEAD | head;
        for (register, byte) in self.address_registers().into_iter().zip(bytes) {
            register.current = byte;
        }
    }

    /// Shows an address of a 48-bit command.
    pub(super) fn set_address_48(&mut self, block: u64) {
        let [a, b, c, d, e, f, ..] = block.to_le_bytes();
        let bytes = [a, b, c].into_iter().zip([d, e, f]);
        for (register, (current, previous)) in self.address_registers().into_iter().zip(bytes) {
            *register = Deep { current, previous };
        }
    }

    /// Sectors that a 28-bit command names: 0 stands for 256.
    pub(super) fn sectors(&self) -> u32 {
        match self.count.current {
            0 => 256,
            count => u32::from(count),
        }
    }

    /// Sectors that a 48-bit command names: 0 stands for 65536.
    pub(super) fn sectors_48(&self) -> u32 {
        match u16::from_le_bytes([self.count.current, self.count.previous]) {
            0 => 1 << 16,
            count => u32::from(count),
        }
    }

    /// The byte count of a packet command: its limit, or what the data block holds.
    pub(super) fn byte_count(&self) -> u16 {
        u16::from_le_bytes([self.mid.current, self.high.current])
    }

    /// Tells the host how many bytes the data block holds.
    pub(super) fn set_byte_count(&mut self, bytes: u16) {
        [self.mid.current, self.high.current] = bytes.to_le_bytes();
    }

    /// Shows what kind of device this is. The bit that selects a device stays: the channel knows it.
    pub(super) fn sign(&mut self, signature: Signature) {
        let (mid, high) = match signature {
            Signature::Ata => (0, 0),
            Signature::Packet => (0x14, 0xeb),
        };
        let settled = |current| Deep {
            current,
            previous: 0,
        };
        self.count = settled(1);
        self.low = settled(1);
        self.mid = settled(mid);
        self.high = settled(high);
        self.device &= device::DEV;
    }

    fn address_registers(&mut self) -> [&mut Deep; 3] {
        [&mut self.low, &mut self.mid, &mut self.high]
    }
}

/// Where a 28-bit command starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Block(u64),
    Chs {
        cylinder: u16,
        head: u8,
        /// From 1 on.
        sector: u8,
    },
}
