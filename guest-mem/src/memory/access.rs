//! Copies in and out, each checked whole before its first byte moves.

use super::{GuestMemory, Piece, Unmapped, within};
use crate::{Gpa, raw};
use zerocopy::{FromBytes, IntoBytes};

impl GuestMemory {
    /// Copies `into.len()` bytes out.
    #[inline(always)]
    pub fn read(&self, gpa: Gpa, into: &mut [u8]) -> Result<(), Unmapped> {
        match self.host(gpa, into.len() as u64) {
            // SAFETY: `host` found the whole range inside one region.
            Some(host) => unsafe { raw::copy_out(host, into) },
            None => self.read_pieces(gpa, into)?,
        }
        Ok(())
    }

    /// Across regions that adjoin; out of the way of the fast path, which is inlined everywhere.
    #[cold]
    fn read_pieces(&self, gpa: Gpa, into: &mut [u8]) -> Result<(), Unmapped> {
        self.check(gpa, into.len() as u64, Self::read_piece)?;
        let mut rest = into;
        let mut at = gpa;
        while !rest.is_empty() {
            let (piece, room) = self.read_piece(at)?;
            let (now, later) = rest.split_at_mut(room.min(rest.len() as u64) as usize);
            if let Piece::Host(host) = piece {
                // SAFETY: `room` bytes of memory start there, and `now` is no longer than that.
                unsafe { raw::copy_out(host, now) };
            }
            at = at.wrapping_add(now.len() as u64);
            rest = later;
        }
        Ok(())
    }

    /// Copies `from` in, and marks the pages dirty.
    #[inline]
    pub fn write(&self, gpa: Gpa, from: &[u8]) -> Result<(), Unmapped> {
        match self.host(gpa, from.len() as u64) {
            // SAFETY: `host` found the whole range inside one region.
            Some(host) => unsafe { raw::copy_in(host, from) },
            None => return self.write_pieces(gpa, from),
        }
        self.mark(gpa, from.len() as u64);
        Ok(())
    }

    #[cold]
    fn write_pieces(&self, gpa: Gpa, from: &[u8]) -> Result<(), Unmapped> {
        self.check(gpa, from.len() as u64, Self::write_piece)?;
        let mut rest = from;
        let mut at = gpa;
        while !rest.is_empty() {
            let (piece, room) = self.write_piece(at)?;
            let (now, later) = rest.split_at(room.min(rest.len() as u64) as usize);
            if let Piece::Host(host) = piece {
                // SAFETY: `room` bytes of memory start there, and `now` is no longer than that.
                unsafe { raw::copy_in(host, now) };
                self.mark(at, now.len() as u64);
            }
            at = at.wrapping_add(now.len() as u64);
            rest = later;
        }
        Ok(())
    }

    /// Fills a range with one byte.
    pub fn fill(&self, gpa: Gpa, bytes: u64, value: u8) -> Result<(), Unmapped> {
        self.check(gpa, bytes, Self::write_piece)?;
        let mut done = 0;
        while done < bytes {
            let at = gpa.wrapping_add(done);
            let (piece, room) = self.write_piece(at)?;
            let now = room.min(bytes - done);
            if let Piece::Host(host) = piece {
                // SAFETY: `room` bytes of memory start there, and `now` is no longer than that.
                unsafe { raw::fill(host, now as usize, value) };
                self.mark(at, now);
            }
            done += now;
        }
        Ok(())
    }

    /// Reads a plain value. Aligned values of 1, 2, 4 and 8 bytes are read in one access.
    #[inline]
    pub fn load<T: FromBytes + IntoBytes>(&self, gpa: Gpa) -> Result<T, Unmapped> {
        if let Some(host) = within(&self.main, gpa, size_of::<T>() as u64) {
            let mut value = T::new_zeroed();
            // SAFETY: `within` found the whole value inside the region.
            unsafe { raw::copy_out(host, value.as_mut_bytes()) };
            return Ok(value);
        }
        self.load_elsewhere(gpa)
    }

    #[inline(never)]
    fn load_elsewhere<T: FromBytes + IntoBytes>(&self, gpa: Gpa) -> Result<T, Unmapped> {
        let mut value = T::new_zeroed();
        self.read(gpa, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Writes a plain value. Aligned values of 1, 2, 4 and 8 bytes are written in one access.
    #[inline]
    pub fn store<T: IntoBytes + zerocopy::Immutable>(
        &self,
        gpa: Gpa,
        value: &T,
    ) -> Result<(), Unmapped> {
        self.write(gpa, value.as_bytes())
    }

    /// Writes the ROM of areas, whatever becomes of the guest's writes there: how contents get into a ROM, and into a flash part.
    pub fn program(&self, gpa: Gpa, from: &[u8]) -> Result<(), Unmapped> {
        let mut at = gpa;
        let mut rest = from;
        while !rest.is_empty() {
            let unmapped = Unmapped { gpa: at, bytes: 1 };
            let area = self.area(at).ok_or(unmapped)?;
            let rom = area.rom.ok_or(unmapped)?;
            let offset = at.0 - area.gpa.0;
            let (now, later) = rest.split_at((area.bytes - offset).min(rest.len() as u64) as usize);
            // SAFETY: `offset` and the length of `now` stay in the area, and its ROM is as long.
            unsafe { raw::copy_in(rom.host.add(offset as usize), now) };
            self.mark(at, now.len() as u64);
            at = at.wrapping_add(now.len() as u64);
            rest = later;
        }
        Ok(())
    }
}
