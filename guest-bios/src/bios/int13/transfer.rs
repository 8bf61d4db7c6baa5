//! Sectors between a drive and the caller's memory.
//!
//! The buffer is looked up in the caller's page tables first and moved in as few pieces as there are; a page that is
//! missing faults before a single byte moves there. Memory that is not RAM (video memory) gets its sectors one by one.

use super::super::call::{Call, Served};
use super::drives::Target;
use super::status::Status;
use guest_mem::Gva;
use hvm::backend::{BlockError, SECTOR_BYTES, Segment, Transfer};
use hvm::walk::AccessKind;

/// Pieces in one request to a drive.
const MAX_PIECES: usize = 32;

/// Moves `bytes`, whole sectors, from `sector` (of 512 bytes) on.
pub fn transfer(
    call: &mut Call<'_>,
    target: &Target,
    direction: Transfer,
    sector: u64,
    buffer: Gva,
    bytes: u64,
) -> Served<Result<(), Status>> {
    let Some(mut sector) = target.base.checked_add(sector) else {
        return Ok(Err(Status::NotFound));
    };
    let mut at = buffer;
    let mut left = bytes;
    while left > 0 {
        let mut pieces = Pieces::new();
        pieces.gather(call, direction, at, left)?;
        let (moved, result) = if pieces.bytes == 0 {
            let result = by_copy(call, target, direction, sector, at)?;
            (SECTOR_BYTES, result)
        } else {
            let segments = pieces.segments();
            let result = call
                .machine
                .transfer(target.drive, direction, sector, segments);
            (pieces.bytes, result)
        };
        if let Err(error) = result {
            return Ok(Err(status(error)));
        }
        sector += moved / SECTOR_BYTES;
        at = at.wrapping_add(moved);
        left -= moved;
    }
    Ok(Ok(()))
}

/// What a drive's error is to the caller.
pub fn status(error: BlockError) -> Status {
    match error {
        BlockError::OutOfRange => Status::NotFound,
        BlockError::ReadOnly => Status::WriteProtected,
        BlockError::BadMemory | BlockError::Medium => Status::Controller,
    }
}

/// The caller's buffer, page by page, neighbours joined.
struct Pieces {
    segments: [Segment; MAX_PIECES],
    count: usize,
    /// Whole sectors that the segments hold; 0 if the first sector is not all in RAM.
    bytes: u64,
}

impl Pieces {
    fn new() -> Self {
        let nothing = Segment {
            gpa: guest_mem::Gpa(0),
            bytes: 0,
        };
        Self {
            segments: [nothing; MAX_PIECES],
            count: 0,
            bytes: 0,
        }
    }

    fn segments(&self) -> &[Segment] {
        &self.segments[..self.count]
    }

    /// Takes as much of the buffer as is RAM and fits.
    fn gather(&mut self, call: &Call<'_>, direction: Transfer, start: Gva, bytes: u64) -> Served {
        let kind = match direction {
            Transfer::Read => AccessKind::Write,
            Transfer::Write => AccessKind::Read,
        };
        let mut found = 0;
        while found < bytes {
            let (gpa, room) = call.translate(call.wrap(start.wrapping_add(found)), kind)?;
            let piece = room.min(bytes - found);
            if !call.machine.memory().contains(gpa, piece) {
                break;
            }
            match self.segments[..self.count].last_mut() {
                Some(last) if last.gpa.wrapping_add(last.bytes.into()) == gpa => {
                    last.bytes += piece as u32;
                }
                _ if self.count == MAX_PIECES => break,
                _ => {
                    self.segments[self.count] = Segment {
                        gpa,
                        bytes: piece as u32,
                    };
                    self.count += 1;
                }
            }
            found += piece;
        }
        self.cut(found % SECTOR_BYTES);
        self.bytes = found - found % SECTOR_BYTES;
        Ok(())
    }

    /// Drops the last `bytes`: part of a sector.
    fn cut(&mut self, mut bytes: u64) {
        while bytes > 0
            && let Some(last) = self.segments[..self.count].last_mut()
        {
            let here = bytes.min(last.bytes.into());
            last.bytes -= here as u32;
            bytes -= here;
            if last.bytes == 0 {
                self.count -= 1;
            }
        }
    }
}

/// One sector of a buffer that is not RAM.
fn by_copy(
    call: &mut Call<'_>,
    target: &Target,
    direction: Transfer,
    sector: u64,
    buffer: Gva,
) -> Served<Result<(), BlockError>> {
    let mut bytes = [0; SECTOR_BYTES as usize];
    if direction == Transfer::Write {
        call.read(buffer, &mut bytes)?;
        return Ok(call.machine.write_sectors(target.drive, sector, &bytes));
    }
    let result = call.machine.read_sectors(target.drive, sector, &mut bytes);
    if result.is_ok() {
        call.write(buffer, &bytes)?;
    }
    Ok(result)
}
