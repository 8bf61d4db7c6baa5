//! The map of guest RAM and the checked accesses to it.

use crate::{DirtyLog, Gpa, Hpa, PAGE_BYTES, raw};
use alloc::vec::Vec;
use core::fmt;
use spin::Once;
use zerocopy::{FromBytes, IntoBytes};

/// An access that does not lie wholly in guest RAM. Nothing was read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unmapped {
    /// First byte of the access.
    pub gpa: Gpa,
    /// Its length.
    pub bytes: u64,
}

impl fmt::Display for Unmapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "guest-physical {:#x}+{:#x} is not RAM",
            self.gpa.0, self.bytes
        )
    }
}

/// One contiguous piece of guest RAM.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// Where the guest sees it; page-aligned.
    pub gpa: Gpa,
    /// Length in bytes; whole pages.
    pub bytes: u64,
    /// Where it lies in host-physical memory, for nested page tables and DMA.
    pub hpa: Hpa,
    /// Where the hypervisor sees it.
    pub host: *mut u8,
}

/// A range that a device may DMA to or from: the host-physical side of guest RAM, contiguous.
///
/// Guest RAM of this hypervisor is never swapped or moved while the VM lives, so pinning is a translation and a
/// dirty mark, and the value may be dropped at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// First byte.
    pub hpa: Hpa,
    /// Length in bytes.
    pub bytes: u64,
}

/// All RAM of one guest.
pub struct GuestMemory {
    regions: Vec<Region>,
    /// The largest of them again, where most accesses go.
    main: Region,
    dirty: Once<DirtyLog>,
}

// SAFETY: the raw pointers name memory that `from_regions`' caller promised to be valid for the value's life and to have
// no Rust references; all accesses are copies that tolerate concurrent writers (module `raw`).
unsafe impl Send for GuestMemory {}
// SAFETY: as above.
unsafe impl Sync for GuestMemory {}

impl GuestMemory {
    /// Takes charge of `regions`, which must be sorted by GPA and not overlap (they are checked; `None` if not).
    ///
    /// # Safety
    /// For as long as the value lives, every region's `host..host+bytes` is mapped readable and writable, is the memory
    /// at `hpa`, and is not reachable by any Rust reference.
    pub unsafe fn from_regions(regions: Vec<Region>) -> Option<Self> {
        let mut free = 0;
        for region in &regions {
            let aligned = region.gpa.0 % PAGE_BYTES == 0
                && region.bytes % PAGE_BYTES == 0
                && region.bytes != 0;
            if !aligned || region.gpa.0 < free {
                return None;
            }
            free = region.gpa.0.checked_add(region.bytes)?;
        }
        let main = regions.iter().copied().max_by_key(|region| region.bytes);
        Some(Self {
            regions,
            main: main.unwrap_or(Region {
                gpa: Gpa(0),
                bytes: 0,
                hpa: Hpa(0),
                host: core::ptr::null_mut(),
            }),
            dirty: Once::new(),
        })
    }

    /// RAM on the heap, for tests and host tools: `(gpa, bytes)` pairs, whole pages, sorted. The memory is leaked.
    /// Its `hpa` is the host address.
    ///
    /// # Panics
    /// If the pairs are not page-aligned, sorted and disjoint.
    pub fn anonymous(pieces: &[(Gpa, u64)]) -> Self {
        let regions = pieces
            .iter()
            .map(|&(gpa, bytes)| {
                let pages: Vec<[u64; 512]> = alloc::vec![[0; 512]; (bytes / PAGE_BYTES) as usize];
                let host = pages.leak().as_mut_ptr().cast::<u8>();
                Region {
                    gpa,
                    bytes,
                    hpa: Hpa(host.addr() as u64),
                    host,
                }
            })
            .collect();
        // SAFETY: the pieces were just allocated and leaked; no reference to them is left.
        unsafe { Self::from_regions(regions) }
            .expect("pieces are page-aligned, sorted and disjoint")
    }

    /// The log of the hypervisor's writes, which starts with the first call and then stays; `None` if there is no memory for it.
    pub fn dirty_log(&self) -> Option<&DirtyLog> {
        let log = || DirtyLog::new(self.end().0).ok_or(());
        self.dirty.try_call_once(log).ok()
    }

    /// The pieces, sorted.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The largest piece.
    #[inline]
    pub(crate) fn main(&self) -> &Region {
        &self.main
    }

    /// Sum of the pieces' lengths.
    pub fn bytes(&self) -> u64 {
        self.regions.iter().map(|region| region.bytes).sum()
    }

    /// One past the last byte of RAM.
    pub fn end(&self) -> Gpa {
        self.regions
            .last()
            .map_or(Gpa(0), |last| Gpa(last.gpa.0 + last.bytes))
    }

    /// True if the whole range is RAM.
    pub fn contains(&self, gpa: Gpa, bytes: u64) -> bool {
        self.check(gpa, bytes).is_ok()
    }

    /// Copies `into.len()` bytes out.
    #[inline]
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
        self.check(gpa, into.len() as u64)?;
        let mut rest = into;
        let mut at = gpa;
        while !rest.is_empty() {
            let (host, room) = self.piece(at)?;
            let (now, later) = rest.split_at_mut(room.min(rest.len() as u64) as usize);
            // SAFETY: `piece` gave `room` bytes in one region, and `now` is no longer than that.
            unsafe { raw::copy_out(host, now) };
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
            None => self.write_pieces(gpa, from)?,
        }
        self.mark(gpa, from.len() as u64);
        Ok(())
    }

    #[cold]
    fn write_pieces(&self, gpa: Gpa, from: &[u8]) -> Result<(), Unmapped> {
        self.check(gpa, from.len() as u64)?;
        let mut rest = from;
        let mut at = gpa;
        while !rest.is_empty() {
            let (host, room) = self.piece(at)?;
            let (now, later) = rest.split_at(room.min(rest.len() as u64) as usize);
            // SAFETY: `piece` gave `room` bytes in one region, and `now` is no longer than that.
            unsafe { raw::copy_in(host, now) };
            at = at.wrapping_add(now.len() as u64);
            rest = later;
        }
        Ok(())
    }

    /// Fills a range with one byte.
    pub fn fill(&self, gpa: Gpa, bytes: u64, value: u8) -> Result<(), Unmapped> {
        self.check(gpa, bytes)?;
        let mut done = 0;
        while done < bytes {
            let (host, room) = self.piece(gpa.wrapping_add(done))?;
            let now = room.min(bytes - done);
            // SAFETY: `piece` gave `room` bytes in one region, and `now` is no longer than that.
            unsafe { raw::fill(host, now as usize, value) };
            done += now;
        }
        self.mark(gpa, bytes);
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

    /// Atomic compare and exchange of an aligned dword: `Ok(Err(found))` if it held something else. An unaligned
    /// address is refused as unmapped.
    pub fn compare_exchange_u32(
        &self,
        gpa: Gpa,
        current: u32,
        new: u32,
    ) -> Result<Result<u32, u32>, Unmapped> {
        let host = self
            .host(gpa, 4)
            .filter(|_| gpa.0.is_multiple_of(4))
            .ok_or(Unmapped { gpa, bytes: 4 })?;
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
        let host = self
            .host(gpa, 8)
            .filter(|_| gpa.0.is_multiple_of(8))
            .ok_or(Unmapped { gpa, bytes: 8 })?;
        // SAFETY: inside one region; aligned, because regions are page-aligned on both sides.
        let found = unsafe { raw::compare_exchange_u64(host.cast(), current, new) };
        self.mark(gpa, 8);
        Ok(found)
    }

    /// The host-physical range for DMA. Fails also where the range is not contiguous on the host. A range that the
    /// device may write is marked dirty now.
    pub fn pin_for_write(&self, gpa: Gpa, bytes: u64) -> Result<Pinned, Unmapped> {
        let pinned = self.pin_for_read(gpa, bytes)?;
        self.mark(gpa, bytes);
        Ok(pinned)
    }

    /// As [`Self::pin_for_write`], for a device that only reads.
    pub fn pin_for_read(&self, gpa: Gpa, bytes: u64) -> Result<Pinned, Unmapped> {
        let region = self.region(gpa).ok_or(Unmapped { gpa, bytes })?;
        let offset = gpa.0 - region.gpa.0;
        if bytes > region.bytes - offset {
            return Err(Unmapped { gpa, bytes });
        }
        Ok(Pinned {
            hpa: region.hpa.wrapping_add(offset),
            bytes,
        })
    }

    /// Host-physical address of one byte of RAM, and how many bytes follow it in the same region.
    pub fn translate(&self, gpa: Gpa) -> Option<(Hpa, u64)> {
        let region = self.region(gpa)?;
        let offset = gpa.0 - region.gpa.0;
        Some((region.hpa.wrapping_add(offset), region.bytes - offset))
    }

    fn region(&self, gpa: Gpa) -> Option<&Region> {
        self.regions
            .iter()
            .find(|region| gpa.0.wrapping_sub(region.gpa.0) < region.bytes)
    }

    /// The host address of a range inside one region; the fast path.
    #[inline]
    fn host(&self, gpa: Gpa, bytes: u64) -> Option<*mut u8> {
        within(&self.main, gpa, bytes).or_else(|| self.host_elsewhere(gpa, bytes))
    }

    #[inline(never)]
    fn host_elsewhere(&self, gpa: Gpa, bytes: u64) -> Option<*mut u8> {
        within(self.region(gpa)?, gpa, bytes)
    }

    fn piece(&self, gpa: Gpa) -> Result<(*mut u8, u64), Unmapped> {
        let region = self.region(gpa).ok_or(Unmapped { gpa, bytes: 1 })?;
        let offset = gpa.0 - region.gpa.0;
        // SAFETY: offset < region.bytes, so the pointer stays in the region.
        Ok((
            unsafe { region.host.add(offset as usize) },
            region.bytes - offset,
        ))
    }

    fn check(&self, gpa: Gpa, bytes: u64) -> Result<(), Unmapped> {
        let end = gpa.0.checked_add(bytes).ok_or(Unmapped { gpa, bytes })?;
        let mut at = gpa.0;
        while at < end {
            let region = self.region(Gpa(at)).ok_or(Unmapped { gpa, bytes })?;
            at = region.gpa.0 + region.bytes;
        }
        Ok(())
    }

    /// Marks what was written. Always after the write: who takes the mark then sees what was written.
    #[inline]
    fn mark(&self, gpa: Gpa, bytes: u64) {
        if let Some(dirty) = self.dirty.get()
            && bytes != 0
        {
            for page in gpa.0 / PAGE_BYTES..=(gpa.0 + (bytes - 1)) / PAGE_BYTES {
                dirty.mark(page);
            }
        }
    }
}

/// The host address of a range that starts in `region`, if it ends there too.
#[inline]
fn within(region: &Region, gpa: Gpa, bytes: u64) -> Option<*mut u8> {
    let offset = gpa.0.wrapping_sub(region.gpa.0);
    if offset > region.bytes || bytes > region.bytes - offset {
        return None;
    }
    // SAFETY: offset <= region.bytes, so the pointer stays in the region or at its end.
    Some(unsafe { region.host.add(offset as usize) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn two_pieces() -> GuestMemory {
        GuestMemory::anonymous(&[
            (Gpa(0), 0x2000),
            (Gpa(0x2000), 0x1000),
            (Gpa(0x10000), 0x1000),
        ])
    }

    #[test]
    fn a_value_across_adjoining_regions_round_trips() {
        let memory = two_pieces();
        memory
            .store(Gpa(0x1ffd), &0x1122_3344_5566_7788_u64)
            .unwrap();
        assert_eq!(memory.load::<u64>(Gpa(0x1ffd)), Ok(0x1122_3344_5566_7788));
    }

    #[test]
    fn an_access_that_leaves_ram_moves_nothing() {
        let memory = two_pieces();
        memory.fill(Gpa(0x2ff0), 16, 0xaa).unwrap();
        assert!(memory.write(Gpa(0x2ffc), &[0; 8]).is_err());
        assert_eq!(memory.load::<u64>(Gpa(0x2ff8)), Ok(0xaaaa_aaaa_aaaa_aaaa));
        assert!(memory.read(Gpa(u64::MAX), &mut [0; 2]).is_err());
        assert!(memory.fill(Gpa(u64::MAX - 1), 8, 0).is_err());
    }

    #[test]
    fn writes_are_logged_and_reads_are_not() {
        let memory = two_pieces();
        let log = memory.dirty_log().unwrap();
        let _ = memory.load::<u32>(Gpa(0));
        memory.store(Gpa(0x1ffe), &0_u32).unwrap();
        assert_eq!(log.take_word(0), Some(0b110));
        assert_eq!(log.take_word(0), Some(0));
    }

    #[test]
    fn compare_exchange_tells_what_it_found() {
        let memory = two_pieces();
        memory.store(Gpa(8), &5_u64).unwrap();
        assert_eq!(memory.compare_exchange_u64(Gpa(8), 4, 9), Ok(Err(5)));
        assert_eq!(memory.compare_exchange_u64(Gpa(8), 5, 9), Ok(Ok(5)));
        assert!(memory.compare_exchange_u64(Gpa(4), 0, 0).is_err());
    }

    proptest! {
        #[test]
        fn every_access_is_all_or_nothing(gpa in 0_u64..0x12000, bytes in 0_usize..0x1800) {
            let memory = two_pieces();
            let wanted = (gpa..gpa + bytes as u64).all(|at| at < 0x3000 || (0x10000..0x11000).contains(&at));
            prop_assert_eq!(memory.write(Gpa(gpa), &alloc::vec![7; bytes]).is_ok(), wanted);
            let mut back = alloc::vec![0; bytes];
            prop_assert_eq!(memory.read(Gpa(gpa), &mut back).is_ok(), wanted);
            prop_assert!(!wanted || back.iter().all(|&byte| byte == 7));
            prop_assert_eq!(memory.contains(Gpa(gpa), bytes as u64), wanted);
        }
    }
}
