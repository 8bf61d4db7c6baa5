//! Areas whose memory can be switched while the guest runs: shadow RAM, ROM, flash.
//!
//! On a PC the first MiB's last quarter is RAM *and* ROM, and the chipset says for each piece which of them is read and which
//! written; a flash part shows its contents only while it is not told otherwise.

use crate::{Gpa, Hpa};
use core::sync::atomic::{AtomicU8, Ordering};

/// What a read finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reads {
    /// The RAM.
    Ram,
    /// The ROM.
    Rom,
    /// Neither: a device may answer.
    Device,
}

/// Where a write goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Writes {
    /// Into the RAM, whether or not reads find it.
    Ram,
    /// Nowhere.
    Lost,
    /// To whatever device answers.
    Device,
}

/// What becomes of accesses to an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Of reads, and of execution.
    pub reads: Reads,
    /// Of writes.
    pub writes: Writes,
}

impl Attributes {
    /// RAM like any other.
    pub const RAM: Self = Self {
        reads: Reads::Ram,
        writes: Writes::Ram,
    };
    /// RAM that is not to change: a ROM's copy.
    pub const PROTECTED_RAM: Self = Self {
        reads: Reads::Ram,
        writes: Writes::Lost,
    };
    /// ROM.
    pub const ROM: Self = Self {
        reads: Reads::Rom,
        writes: Writes::Lost,
    };
    /// A part that shows its contents and takes commands.
    pub const FLASH: Self = Self {
        reads: Reads::Rom,
        writes: Writes::Device,
    };
    /// No memory for now.
    pub const DEVICE: Self = Self {
        reads: Reads::Device,
        writes: Writes::Device,
    };

    const fn encode(self) -> u8 {
        self.reads as u8 | (self.writes as u8) << 2
    }

    const fn decode(bits: u8) -> Self {
        Self {
            reads: match bits & 3 {
                0 => Reads::Ram,
                1 => Reads::Rom,
                _ => Reads::Device,
            },
            writes: match bits >> 2 & 3 {
                0 => Writes::Ram,
                1 => Writes::Lost,
                _ => Writes::Device,
            },
        }
    }
}

/// Host memory behind an area, as long as it is.
#[derive(Clone, Copy, Debug)]
pub struct Backing {
    /// Where it lies in host-physical memory.
    pub hpa: Hpa,
    /// Where the hypervisor sees it.
    pub host: *mut u8,
}

/// An area. What it has no memory for is left to devices.
#[derive(Debug)]
pub struct Area {
    /// Where the guest sees it; page-aligned.
    pub gpa: Gpa,
    /// Length in bytes; whole pages.
    pub bytes: u64,
    /// Its RAM.
    pub ram: Option<Backing>,
    /// Its ROM. Other areas may have the same.
    pub rom: Option<Backing>,
    attributes: AtomicU8,
}

impl Area {
    /// An area in this state.
    pub fn new(
        (gpa, bytes): (Gpa, u64),
        ram: Option<Backing>,
        rom: Option<Backing>,
        attributes: Attributes,
    ) -> Self {
        Self {
            gpa,
            bytes,
            ram,
            rom,
            attributes: AtomicU8::new(attributes.encode()),
        }
    }

    /// What becomes of accesses now, as far as there is memory for it.
    #[inline]
    pub fn attributes(&self) -> Attributes {
        let Attributes { reads, writes } = self.wanted();
        Attributes {
            reads: match reads {
                Reads::Ram if self.ram.is_some() => Reads::Ram,
                Reads::Rom if self.rom.is_some() => Reads::Rom,
                _ => Reads::Device,
            },
            writes: match writes {
                Writes::Ram if self.ram.is_none() => Writes::Device,
                writes => writes,
            },
        }
    }

    fn wanted(&self) -> Attributes {
        Attributes::decode(self.attributes.load(Ordering::Acquire))
    }

    /// The memory that reads find now.
    #[inline]
    pub fn shown(&self) -> Option<Backing> {
        match self.attributes().reads {
            Reads::Ram => self.ram,
            Reads::Rom => self.rom,
            Reads::Device => None,
        }
    }

    /// Switches it; false if it was so before.
    pub(crate) fn switch(&self, attributes: Attributes) -> bool {
        let new = attributes.encode();
        self.attributes.swap(new, Ordering::AcqRel) != new
    }

    /// The place of an address in it.
    #[inline]
    pub(crate) fn offset_of(&self, gpa: Gpa) -> Option<u64> {
        let offset = gpa.0.wrapping_sub(self.gpa.0);
        (offset < self.bytes).then_some(offset)
    }
}
