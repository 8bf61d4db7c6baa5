//! A channel's bus master: it moves data between a drive and the memory that a table of descriptors names (Programming
//! Interface for Bus Master IDE Controller, revision 1.0; 82371SB data sheet, "Bus master IDE").
//!
//! [`BusMaster`] guarantees that a walk of the table ends: it looks at no more than the 64 KiB that a table may span.

use super::bits::bus_master::*;
use super::interface::DmaRequest;
use alloc::vec::Vec;
use guest_mem::{Gpa, GuestMemory, Unmapped};
use hvm::backend::{Segment, Transfer};
use serde::{Deserialize, Serialize};

/// Bytes of a descriptor: address, byte count, flags.
const DESCRIPTOR_BYTES: u64 = 8;
/// A table lies within an aligned piece of this length (1.2).
const TABLE_BYTES: u64 = 1 << 16;
/// Descriptors in the longest table.
pub(super) const MOST_DESCRIPTORS: usize = (TABLE_BYTES / DESCRIPTOR_BYTES) as usize;
/// The last descriptor of a table.
const END_OF_TABLE: u64 = 1 << 63;
/// Addresses and counts are even.
const ADDRESS: u64 = 0xffff_fffe;
const COUNT: u64 = 0xfffe;
/// What a count of 0 stands for.
const FULL_COUNT: u32 = 1 << 16;

/// The registers, and how far the transfer under way has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BusMaster {
    command: u8,
    /// All bits but ACTIVE.
    status: u8,
    table: u32,
    run: Run,
    /// The drive's interrupt line as last seen.
    line: bool,
}

/// What START began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Run {
    /// Nothing, or all of it is over.
    #[default]
    Idle,
    /// Descriptors are left; so many of their bytes have moved.
    Active {
        moved: u64,
        /// The piece being moved is the last that the table has.
        last: bool,
    },
}

/// Memory for a part of a transfer. The segments themselves are in the caller's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Their sum.
    pub(super) bytes: u64,
    /// No byte of the table is left after them.
    last: bool,
}

impl BusMaster {
    /// Reads a byte register.
    pub(super) fn read(&self, offset: u64) -> u8 {
        match offset {
            COMMAND => self.command,
            STATUS => self.status | if self.is_active() { ACTIVE } else { 0 },
            TABLE..PORTS => self.table.to_le_bytes()[(offset - TABLE) as usize & 3],
            _ => 0,
        }
    }

    /// Writes a byte register.
    pub(super) fn write(&mut self, offset: u64, value: u8) {
        match offset {
            COMMAND => self.write_command(value),
            STATUS => {
                let cleared = value & (ERROR | INTERRUPT);
                self.status = self.status & !cleared & !CAPABLE | value & CAPABLE;
            }
            TABLE..PORTS => {
                let mut bytes = self.table.to_le_bytes();
                bytes[(offset - TABLE) as usize & 3] = value;
                self.table = u32::from_le_bytes(bytes) & !3;
            }
            _ => {}
        }
    }

    /// START begins at the table's first descriptor; clearing it stops, and there is no going on (2.1).
    fn write_command(&mut self, value: u8) {
        let before = self.command;
        self.command = value & (START | TO_MEMORY);
        if self.command & START == 0 {
            self.run = Run::Idle;
        } else if before & START == 0 {
            self.run = Run::Active {
                moved: 0,
                last: false,
            };
        }
    }

    fn is_active(&self) -> bool {
        self.run != Run::Idle
    }

    /// True if the transfer that software started is what the drive asks for.
    pub(super) fn serves(&self, request: &DmaRequest) -> bool {
        let to_memory = self.command & TO_MEMORY != 0;
        self.is_active() && to_memory == (request.direction == Transfer::Read)
    }

    /// Takes over the level of the drive's interrupt line.
    #[inline]
    pub(super) fn see_line(&mut self, level: bool) {
        if level && !self.line {
            self.status |= INTERRUPT;
        }
        self.line = level;
    }

    /// Finds memory for what the drive asks: as much as the rest of the table has. `segments` is cleared and filled;
    /// neighbours become one. Fails if the table itself is not in memory.
    pub(super) fn walk(
        &mut self,
        request: &DmaRequest,
        segments: &mut Vec<Segment>,
        memory: &GuestMemory,
    ) -> Result<Piece, Unmapped> {
        segments.clear();
        let Run::Active { moved, .. } = self.run else {
            return Ok(Piece {
                bytes: 0,
                last: true,
            });
        };
        let mut gatherer = Gatherer {
            segments,
            skip: moved,
            room: request.bytes,
            bytes: 0,
        };
        let mut last = true;
        let start = u64::from(self.table);
        let end = (start & !(TABLE_BYTES - 1)) + TABLE_BYTES;
        for at in (start..end).step_by(DESCRIPTOR_BYTES as usize) {
            if gatherer.room == 0 {
                last = false;
                break;
            }
            let descriptor = memory.load::<u64>(Gpa(at))?;
            let fits = gatherer.add(descriptor);
            if descriptor & END_OF_TABLE != 0 {
                last = fits;
                break;
            }
        }
        let bytes = gatherer.finish(request.granule);
        self.run = Run::Active { moved, last };
        Ok(Piece { bytes, last })
    }

    /// The drive moved `bytes` of the last piece.
    pub(super) fn moved(&mut self, bytes: u64) {
        if let Run::Active { moved, last } = &mut self.run {
            *moved = moved.saturating_add(bytes);
            if *last && bytes != 0 {
                self.run = Run::Idle;
            }
        }
    }

    /// The table is through, and the drive wants more: the transfer ends without an interrupt (2.2, "Interrupt 0, Active 0").
    pub(super) fn run_out(&mut self) {
        self.run = Run::Idle;
    }

    /// Memory did not answer.
    pub(super) fn fail(&mut self) {
        self.status |= ERROR;
        self.run = Run::Idle;
    }
}

/// Descriptors turned into segments.
struct Gatherer<'a> {
    segments: &'a mut Vec<Segment>,
    /// Bytes that have moved already.
    skip: u64,
    /// Bytes still wanted.
    room: u64,
    bytes: u64,
}

impl Gatherer<'_> {
    /// Takes a descriptor as far as it is wanted; true if all of it.
    #[inline]
    fn add(&mut self, descriptor: u64) -> bool {
        let count = match (descriptor >> 32 & COUNT) as u32 {
            0 => FULL_COUNT,
            count => count,
        };
        let skipped = self.skip.min(u64::from(count));
        self.skip -= skipped;
        let left = u64::from(count) - skipped;
        let taken = left.min(self.room);
        if taken != 0 {
            self.push((descriptor & ADDRESS) + skipped, taken as u32);
        }
        taken == left
    }

    #[inline]
    fn push(&mut self, gpa: u64, bytes: u32) {
        self.room -= u64::from(bytes);
        self.bytes += u64::from(bytes);
        if let Some(before) = self.segments.last_mut()
            && before.gpa.0 + u64::from(before.bytes) == gpa
            && let Some(sum) = before.bytes.checked_add(bytes)
        {
            before.bytes = sum;
        } else {
            self.segments.push(Segment {
                gpa: Gpa(gpa),
                bytes,
            });
        }
    }

    /// Cuts the end down to whole granules; returns the sum.
    fn finish(self, granule: u64) -> u64 {
        let mut surplus = self.bytes % granule.max(1);
        let bytes = self.bytes - surplus;
        while surplus != 0
            && let Some(end) = self.segments.last_mut()
        {
            let cut = surplus.min(u64::from(end.bytes));
            end.bytes -= cut as u32;
            surplus -= cut;
            if end.bytes == 0 {
                self.segments.pop();
            }
        }
        bytes
    }
}
