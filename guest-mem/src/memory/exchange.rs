//! Atomic accesses, and the marks of page tables.

use super::{GuestMemory, Unmapped};
use crate::{Gpa, PAGE_BYTES, raw};
use zerocopy::{FromBytes, IntoBytes};

impl GuestMemory {
    /// Atomic compare and exchange of an aligned dword: `Ok(Err(found))` if it held something else. An unaligned
    /// address is refused as unmapped.
    pub fn compare_exchange_u32(
        &self,
        gpa: Gpa,
        current: u32,
        new: u32,
    ) -> Result<Result<u32, u32>, Unmapped> {
        if !gpa.0.is_multiple_of(4) {
            return Err(Unmapped { gpa, bytes: 4 });
        }
        let Some(host) = self.host(gpa, 4).or_else(|| self.plain_area(gpa)) else {
            return self.exchange_in_area(gpa, current, new);
        };
        // SAFETY: inside one region; aligned, because regions are page-aligned on both sides.
        let found = unsafe { raw::compare_exchange_u32(host.cast(), current, new) };
        self.mark(gpa, 4);
        Ok(found)
    }

    /// Atomic compare and exchange of an aligned qword, as [`Self::compare_exchange_u32`].
    pub fn compare_exchange_u64(
        &self,
        gpa: Gpa,
        current: u64,
        new: u64,
    ) -> Result<Result<u64, u64>, Unmapped> {
        if !gpa.0.is_multiple_of(8) {
            return Err(Unmapped { gpa, bytes: 8 });
        }
        let Some(host) = self.host(gpa, 8).or_else(|| self.plain_area(gpa)) else {
            return self.exchange_in_area(gpa, current, new);
        };
        // SAFETY: inside one region; aligned, because regions are page-aligned on both sides.
        let found = unsafe { raw::compare_exchange_u64(host.cast(), current, new) };
        self.mark(gpa, 8);
        Ok(found)
    }

    /// As [`Self::compare_exchange_u32`], for the accessed and dirty bits of a page table's entry: they take nothing from anybody, so
    /// those that shadow the table are not told.
    pub fn set_marks_u32(
        &self,
        gpa: Gpa,
        current: u32,
        new: u32,
    ) -> Result<Result<u32, u32>, Unmapped> {
        match self.host(gpa, 4).filter(|_| gpa.0.is_multiple_of(4)) {
            // SAFETY: inside one region; aligned, because regions are page-aligned on both sides.
            Some(host) => Ok(self.marked(gpa, unsafe {
                raw::compare_exchange_u32(host.cast(), current, new)
            })),
            None => self.compare_exchange_u32(gpa, current, new),
        }
    }

    /// The same of a qword.
    pub fn set_marks_u64(
        &self,
        gpa: Gpa,
        current: u64,
        new: u64,
    ) -> Result<Result<u64, u64>, Unmapped> {
        match self.host(gpa, 8).filter(|_| gpa.0.is_multiple_of(8)) {
            // SAFETY: inside one region; aligned, because regions are page-aligned on both sides.
            Some(host) => Ok(self.marked(gpa, unsafe {
                raw::compare_exchange_u64(host.cast(), current, new)
            })),
            None => self.compare_exchange_u64(gpa, current, new),
        }
    }

    fn marked<T>(&self, gpa: Gpa, result: T) -> T {
        if let Some(dirty) = self.dirty.get() {
            dirty.mark(gpa.0 / PAGE_BYTES);
        }
        result
    }

    /// Compare and exchange where reads and writes go to different memory: no other CPU can do better there.
    #[cold]
    fn exchange_in_area<T: FromBytes + IntoBytes + zerocopy::Immutable + PartialEq>(
        &self,
        gpa: Gpa,
        current: T,
        new: T,
    ) -> Result<Result<T, T>, Unmapped> {
        let found: T = self.load(gpa)?;
        if found != current {
            return Ok(Err(found));
        }
        self.store(gpa, &new)?;
        Ok(Ok(found))
    }
}
