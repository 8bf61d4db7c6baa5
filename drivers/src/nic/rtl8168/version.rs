//! Versions of the chip, and what is different in them.

use super::super::{Failure, MOST_MTU, Sizes};
use super::bits::*;
use crate::window::Window;

/// Receive buffers: their lengths are multiples of eight.
const BUFFER_BYTES: usize = 1536;
const JUMBO_BUFFER_BYTES: usize = 9216;

/// A family of versions, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// The first on PCI Express; its descriptors are the RTL8169's.
    B,
    /// With descriptors of its own.
    C,
    /// With jumbo frames of 9 KiB.
    D,
    /// With a management processor.
    Dp,
    /// With less power.
    E,
    /// Of very low power.
    Evl,
    /// The last whose transceiver is reached directly.
    F,
    /// With a gate in front of its receiver.
    G,
    /// With a management processor.
    Ep,
    /// The last.
    H,
}

/// Who has the transceiver's registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transceiver {
    /// The register of old.
    Direct,
    /// The one of the RTL8168G.
    Behind,
    /// The management processor.
    Processor,
}

impl Version {
    /// Reads which it is.
    pub fn of(registers: &mut impl Window) -> Result<Self, Failure> {
        let config = registers.read_u32(TRANSMIT_CONFIG);
        if config == u32::MAX {
            return Err(Failure::Gone);
        }
        let version = config >> VERSION_SHIFT & VERSION_MASK;
        // The lowest three bits count steppings.
        Ok(match version & !0b111 {
            0x300 | 0x380 => Self::B,
            0x3c0 | 0x3c8 => Self::C,
            0x280 => Self::D,
            0x288 => Self::Dp,
            0x2c0 => Self::E,
            0x2c8 => Self::Evl,
            0x480 | 0x488 => Self::F,
            0x4c0 | 0x508 | 0x5c8 => Self::G,
            0x500 => Self::Ep,
            0x540 | 0x548 => Self::H,
            _ => return Err(Failure::Version(version)),
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::B => "Realtek RTL8168B",
            Self::C => "Realtek RTL8168C",
            Self::D => "Realtek RTL8168D",
            Self::Dp => "Realtek RTL8168DP",
            Self::E => "Realtek RTL8168E",
            Self::Evl => "Realtek RTL8168E-VL",
            Self::F => "Realtek RTL8168F",
            Self::G => "Realtek RTL8168G",
            Self::Ep => "Realtek RTL8168EP",
            Self::H => "Realtek RTL8168H",
        }
    }

    /// How long frames are, where `mtu` is wanted.
    pub fn sizes(self, mtu: usize) -> Sizes {
        let most = match self {
            Self::B => 4074,
            Self::C => 6122,
            _ => MOST_MTU,
        };
        Sizes::new(mtu, most, BUFFER_BYTES, JUMBO_BUFFER_BYTES)
    }

    /// Whether transmit descriptors are those of the RTL8169.
    pub fn has_old_descriptors(self) -> bool {
        self == Self::B
    }

    /// Who has the transceiver.
    pub fn transceiver(self) -> Transceiver {
        match self {
            Self::Dp | Self::Ep => Transceiver::Processor,
            Self::G | Self::H => Transceiver::Behind,
            _ => Transceiver::Direct,
        }
    }

    /// The receive configuration, beside what is accepted.
    pub fn receive_config(self) -> u32 {
        RECEIVE_BURSTS
            | match self {
                Self::B => RECEIVE_NO_THRESHOLD,
                Self::C => RECEIVE_128 | RECEIVE_MULTIPLE,
                Self::G | Self::Ep | Self::H => RECEIVE_128 | RECEIVE_MULTIPLE | RECEIVE_EARLY_OFF,
                _ => RECEIVE_128,
            }
    }

    /// The longest frame to be sent, in 128 bytes.
    pub fn transmit_most(self, sizes: Sizes) -> u8 {
        match self {
            Self::E if sizes.are_jumbo() => 0x24,
            Self::B | Self::C | Self::D | Self::Dp | Self::E => 0x3f,
            _ => 0x27,
        }
    }

    /// Bits of CONFIG3 and CONFIG4 by which long frames are let in, where there are such.
    pub fn jumbo(self) -> [(usize, u8); 2] {
        let (third, fourth) = match self {
            Self::B => (0, 1),
            Self::C | Self::D => (1 << 2, 1 << 1),
            Self::Dp => (1 << 2, 0),
            Self::E => (1 << 2, 1),
            _ => (0, 0),
        };
        [(CONFIG3, third), (CONFIG4, fourth)]
    }

    /// Bits that give its clocks power.
    pub fn clock_power(self) -> u8 {
        match self {
            Self::D | Self::Dp | Self::E => 0x80,
            Self::G | Self::Ep | Self::H => 0xc0,
            _ => 0,
        }
    }

    /// The thresholds of both FIFOs, where they are set.
    pub fn thresholds(self) -> Option<[(u32, u32); 2]> {
        let receive = match self {
            Self::Evl | Self::F => 0x10 << 16 | 2,
            Self::G | Self::Ep | Self::H => 0x08 << 16 | 2,
            _ => return None,
        };
        let transmit = 0x10 << 16 | 6;
        Some([
            (EXTENDED_RECEIVE_FIFO, receive),
            (EXTENDED_TRANSMIT_FIFO, transmit),
        ])
    }
}
