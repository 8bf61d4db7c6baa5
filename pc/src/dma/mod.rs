//! ISA DMA: two cascaded 8237As and the page registers (Intel 8237A data sheet; 82371SB data sheet, "DMA controller").
//!
//! Channels 0 to 3 move bytes, 5 to 7 words. A device asks for as much as it has ([`Dma::to_memory`], [`Dma::from_memory`]) and gets
//! what the channel allows. [`Dma`] guarantees: addresses stay within the channel's 64 KiB or 128 KiB page as on the
//! chip; where the guest named memory that is not RAM, writes vanish and reads give all ones; no transfer is longer than the
//! device's own buffer.

mod bits;
mod chip;
#[cfg(test)]
mod tests;

use crate::saved;
use alloc::vec::Vec;
use bits::*;
use chip::Chip;
use guest_mem::{Gpa, GuestMemory};
use hvm::device::{Lifecycle, RestoreError};
use serde::{Deserialize, Serialize};

/// Version of the saved state.
const SAVED_VERSION: u16 = 1;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Bytes that were counted: all that were offered, unless the channel is closed or its count ran out.
    pub bytes: usize,
    /// The count ran out: the terminal count line went up.
    pub terminal: bool,
}

/// Both controllers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dma {
    bytes: Chip,
    words: Chip,
    /// Ports 80h to 8Fh.
    pages: [u8; 16],
}

impl Default for Dma {
    fn default() -> Self {
        Self::new()
    }
}

impl Dma {
    /// As firmware leaves it: cascaded, all other channels masked.
    pub fn new() -> Self {
        Self {
            bytes: Chip::new(),
            words: Chip::cascading(),
            pages: [0; 16],
        }
    }

    /// Reads port 00h…0Fh.
    pub fn read_bytes(&mut self, register: u8) -> u8 {
        self.bytes.read(register & 0xf)
    }

    /// Writes port 00h…0Fh.
    pub fn write_bytes(&mut self, register: u8, value: u8) {
        self.bytes.write(register & 0xf, value);
    }

    /// Reads port C0h + 2 × `register`.
    pub fn read_words(&mut self, register: u8) -> u8 {
        self.words.read(register & 0xf)
    }

    /// Writes port C0h + 2 × `register`.
    pub fn write_words(&mut self, register: u8, value: u8) {
        self.words.write(register & 0xf, value);
    }

    /// Reads port 80h + `index`. Those that belong to no channel keep what was written.
    pub fn read_page(&self, index: u8) -> u8 {
        self.pages[usize::from(index & 0xf)]
    }

    /// Writes port 80h + `index`.
    pub fn write_page(&mut self, index: u8, value: u8) {
        self.pages[usize::from(index & 0xf)] = value;
    }

    /// A device has `from` for memory. A channel that was programmed for another kind of cycle counts, but writes nothing.
    pub fn to_memory(&mut self, channel: u8, from: &[u8], memory: &GuestMemory) -> Moved {
        self.request(channel, from.len(), |cycle| {
            if let (TYPE_WRITE, Some(from)) = (cycle.kind, from.get(cycle.offset..)) {
                let bytes = from.len().min(cycle.bytes);
                // Where there is no RAM, the bus takes the bytes and nobody keeps them.
                let _ = memory.write(cycle.gpa, &from[..bytes]);
            }
        })
    }

    /// A device wants to fill `into` from memory.
    pub fn from_memory(&mut self, channel: u8, into: &mut [u8], memory: &GuestMemory) -> Moved {
        into.fill(0xff);
        self.request(channel, into.len(), |cycle| {
            if let (TYPE_READ, Some(into)) = (cycle.kind, into.get_mut(cycle.offset..)) {
                let bytes = into.len().min(cycle.bytes);
                let _ = memory.read(cycle.gpa, &mut into[..bytes]);
            }
        })
    }

    /// Counts what the device asks for, piece by piece: a piece lies in one stretch of memory.
    fn request(&mut self, channel: u8, bytes: usize, mut cycle: impl FnMut(Cycle)) -> Moved {
        let nothing = Moved {
            bytes: 0,
            terminal: false,
        };
        let index = usize::from(channel & 3);
        // The first controller's requests pass through the second one.
        let open = if channel < 4 {
            self.words.is_open(0) && self.bytes.is_open(index)
        } else {
            channel < 8 && index != 0 && self.words.is_open(index)
        };
        let page = PAGES
            .get(usize::from(channel))
            .and_then(|page| self.pages.get(*page));
        let (chip, shift) = if channel < 4 {
            (&mut self.bytes, 0)
        } else {
            (&mut self.words, 1)
        };
        let (true, Some(&page), Some(state)) = (open, page, chip.channels.get_mut(index)) else {
            return nothing;
        };
        if state.mode & SERVICE == SERVICE_CASCADE {
            return nothing;
        }
        let page = u64::from(page >> shift << shift) << 16;
        let (mut moved, mut terminal) = (0, false);
        while moved < bytes && !terminal {
            let wanted = ((bytes - moved) >> shift).max(1) as u32;
            let stretch = if state.mode & DOWN != 0 {
                1
            } else {
                0x1_0000 - u32::from(state.address)
            };
            let units = wanted.min(stretch).min(state.left());
            cycle(Cycle {
                kind: state.mode & TYPE,
                gpa: Gpa(page | u64::from(state.address) << shift),
                offset: moved,
                bytes: (units as usize) << shift,
            });
            moved += (units as usize) << shift;
            terminal = state.advance(units);
        }
        if terminal {
            chip.end(index);
        }
        Moved {
            bytes: moved.min(bytes),
            terminal,
        }
    }
}

/// A piece of a transfer.
struct Cycle {
    kind: u8,
    gpa: Gpa,
    /// Where in the device's buffer.
    offset: usize,
    bytes: usize,
}

impl Lifecycle for Dma {
    fn kind(&self) -> &'static str {
        "dma"
    }

    fn reset(&mut self) {
        *self = Self::new();
    }

    fn save(&self) -> Vec<u8> {
        saved::write(SAVED_VERSION, self)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let state: Self = saved::read(self.kind(), SAVED_VERSION, saved)?;
        *self = Self {
            bytes: state.bytes.sanitize(),
            words: state.words.sanitize(),
            pages: state.pages,
        };
        Ok(())
    }
}
