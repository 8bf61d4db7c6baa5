//! The map of guest RAM and the checked accesses to it.

use crate::area::{Area, Attributes, Backing, Writes};
use crate::{DirtyLog, Gpa, Hpa, PAGE_BYTES, TableLog, raw};
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
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

/// All RAM of one guest, and its ROMs.
pub struct GuestMemory {
    regions: Vec<Region>,
    /// The largest of them again, where most accesses go.
    main: Region,
    areas: Vec<Area>,
    /// What the areas lie in: a range below 1 MiB and one above, so that other addresses are told quickly.
    spans: [core::ops::Range<u64>; 2],
    /// Counts switches of areas.
    generation: AtomicU32,
    /// One of the logs is kept.
    is_logged: AtomicBool,
    dirty: Once<DirtyLog>,
    tables: Once<TableLog>,
}

/// What a piece of an access meets.
enum Piece {
    /// Memory.
    Host(*mut u8),
    /// A ROM that is written to.
    Lost,
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
            areas: Vec::new(),
            spans: [0..0, 0..0],
            generation: AtomicU32::new(0),
            is_logged: AtomicBool::new(false),
            dirty: Once::new(),
            tables: Once::new(),
        })
    }

    /// The same with areas, which must be sorted and overlap neither each other nor the regions; `None` if they do.
    ///
    /// # Safety
    /// As [`Self::from_regions`] asks for regions, of every memory behind an area. Areas may share memory.
    pub unsafe fn with_areas(self, areas: Vec<Area>) -> Option<Self> {
        const MIB: u64 = 1 << 20;
        let mut free = 0;
        let mut spans = [0..0, 0..0];
        for area in &areas {
            let (start, end) = (area.gpa.0, area.gpa.0.checked_add(area.bytes)?);
            let aligned = (start | area.bytes) % PAGE_BYTES == 0 && area.bytes != 0;
            let taken = self
                .regions
                .iter()
                .any(|region| region.gpa.0 < end && start < region.gpa.0 + region.bytes);
            if !aligned || start < free || taken {
                return None;
            }
            free = end;
            let span = &mut spans[usize::from(start >= MIB)];
            let first = if span.end == 0 { start } else { span.start };
            *span = first..end;
        }
        Some(Self {
            areas,
            spans,
            ..self
        })
    }

    /// Adds areas on the heap, for tests: place and length, each with RAM and ROM of its own, and RAM at first.
    ///
    /// # Panics
    /// As [`Self::anonymous`], and if they overlap its pieces.
    pub fn with_anonymous_areas(self, areas: &[(Gpa, u64)]) -> Self {
        let backing = |bytes: u64| {
            let host = anonymous_pages(bytes);
            let hpa = Hpa(host.addr() as u64);
            Some(Backing { hpa, host })
        };
        let areas = areas.iter().map(|&(gpa, bytes)| {
            Area::new(
                (gpa, bytes),
                backing(bytes),
                backing(bytes),
                Attributes::RAM,
            )
        });
        // SAFETY: the memory was just allocated and leaked; no reference to it is left.
        unsafe { self.with_areas(areas.collect()) }
            .expect("areas are page-aligned, sorted and disjoint")
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
                let host = anonymous_pages(bytes);
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

    /// As [`Self::anonymous`], and as if the memory lay at host-physical addresses of the test's choice.
    ///
    /// # Panics
    /// As there.
    pub fn anonymous_at(pieces: &[(Gpa, u64, Hpa)]) -> Self {
        let regions = pieces.iter().map(|&(gpa, bytes, hpa)| Region {
            gpa,
            bytes,
            hpa,
            host: anonymous_pages(bytes),
        });
        // SAFETY: the pieces were just allocated and leaked; no reference to them is left. Nobody maps their `hpa` in a test.
        unsafe { Self::from_regions(regions.collect()) }
            .expect("pieces are page-aligned, sorted and disjoint")
    }

    /// The log of the hypervisor's writes, which starts with the first call and then stays; `None` if there is no memory for it.
    pub fn dirty_log(&self) -> Option<&DirtyLog> {
        let log = || DirtyLog::new(self.end().0).ok_or(());
        let log = self.dirty.try_call_once(log).ok();
        self.is_logged.store(true, Ordering::SeqCst);
        log
    }

    /// The log of the hypervisor's writes to page tables that are shadowed; started as [`Self::dirty_log`] is.
    pub fn table_log(&self) -> Option<&TableLog> {
        self.tables.get().or_else(|| {
            let log = || TableLog::new(self.end().0).ok_or(());
            let log = self.tables.try_call_once(log).ok();
            self.is_logged.store(true, Ordering::SeqCst);
            log
        })
    }

    /// The pieces, sorted.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The areas, sorted.
    pub fn areas(&self) -> &[Area] {
        &self.areas
    }

    /// Switches those areas that lie wholly in a range. Whoever maps them for the guest sees by [`Self::generation`] that
    /// something changed.
    pub fn switch(&self, gpa: Gpa, bytes: u64, attributes: Attributes) {
        let inside = |area: &&Area| {
            area.gpa >= gpa && (area.gpa.0 - gpa.0).saturating_add(area.bytes) <= bytes
        };
        let mut changed = false;
        for area in self.areas.iter().filter(inside) {
            changed |= area.switch(attributes);
        }
        if changed {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Something else that is to show at guest-physical addresses has moved: whoever maps areas for the guest is to look again.
    pub fn announce(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Changes with every switch of an area, and with [`Self::announce`].
    #[inline]
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// True if an area is there.
    #[inline]
    pub fn is_area(&self, gpa: Gpa) -> bool {
        self.area(gpa).is_some()
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

    /// True if the whole range is memory, to read and to write, though ROM may be in it.
    pub fn contains(&self, gpa: Gpa, bytes: u64) -> bool {
        self.check(gpa, bytes, Self::read_piece).is_ok()
            && self.check(gpa, bytes, Self::write_piece).is_ok()
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

    #[inline]
    fn area(&self, gpa: Gpa) -> Option<&Area> {
        if !self.spans.iter().any(|span| span.contains(&gpa.0)) {
            return None;
        }
        self.areas.iter().find(|area| area.offset_of(gpa).is_some())
    }

    /// Where a byte of an area is that is read and written like RAM.
    #[cold]
    fn plain_area(&self, gpa: Gpa) -> Option<*mut u8> {
        let area = self
            .area(gpa)
            .filter(|area| area.attributes() == Attributes::RAM)?;
        // SAFETY: the offset lies in the area, and its RAM is as long.
        Some(unsafe { area.ram?.host.add(area.offset_of(gpa)? as usize) })
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

    /// What a read at `gpa` meets, and how many bytes further.
    fn read_piece(&self, gpa: Gpa) -> Result<(Piece, u64), Unmapped> {
        self.piece(gpa, |area| area.shown().map(Some))
    }

    /// The same for a write.
    fn write_piece(&self, gpa: Gpa) -> Result<(Piece, u64), Unmapped> {
        self.piece(gpa, |area| match area.attributes().writes {
            Writes::Ram => area.ram.map(Some),
            Writes::Lost => Some(None),
            Writes::Device => None,
        })
    }

    /// `choose` tells an area's memory, no memory that swallows writes, or nothing at all.
    #[inline]
    fn piece(
        &self,
        gpa: Gpa,
        choose: impl FnOnce(&Area) -> Option<Option<Backing>>,
    ) -> Result<(Piece, u64), Unmapped> {
        let unmapped = Unmapped { gpa, bytes: 1 };
        if let Some(region) = self.region(gpa) {
            let offset = gpa.0 - region.gpa.0;
            // SAFETY: offset < region.bytes, so the pointer stays in the region.
            let host = unsafe { region.host.add(offset as usize) };
            return Ok((Piece::Host(host), region.bytes - offset));
        }
        let area = self.area(gpa).ok_or(unmapped)?;
        let offset = gpa.0 - area.gpa.0;
        let piece = match choose(area).ok_or(unmapped)? {
            // SAFETY: offset < area.bytes, and the memory behind an area is as long.
            Some(backing) => Piece::Host(unsafe { backing.host.add(offset as usize) }),
            None => Piece::Lost,
        };
        Ok((piece, area.bytes - offset))
    }

    fn check(
        &self,
        gpa: Gpa,
        bytes: u64,
        piece: impl Fn(&Self, Gpa) -> Result<(Piece, u64), Unmapped>,
    ) -> Result<(), Unmapped> {
        let end = gpa.0.checked_add(bytes).ok_or(Unmapped { gpa, bytes })?;
        let mut at = gpa.0;
        while at < end {
            let (_, room) = piece(self, Gpa(at)).map_err(|_| Unmapped { gpa, bytes })?;
            at = at.saturating_add(room);
        }
        Ok(())
    }

    /// Marks what was written. Always after the write: who takes the mark then sees what was written.
    #[inline]
    fn mark(&self, gpa: Gpa, bytes: u64) {
        if self.is_logged.load(Ordering::Acquire) && bytes != 0 {
            self.log(gpa, bytes);
        }
    }

    #[cold]
    fn log(&self, gpa: Gpa, bytes: u64) {
        for page in gpa.0 / PAGE_BYTES..=(gpa.0 + (bytes - 1)) / PAGE_BYTES {
            if let Some(dirty) = self.dirty.get() {
                dirty.mark(page);
            }
            if let Some(tables) = self.tables.get() {
                tables.mark(page);
            }
        }
    }
}

/// Zeroed pages on the heap, for good.
fn anonymous_pages(bytes: u64) -> *mut u8 {
    let pages: Vec<[u64; 512]> = alloc::vec![[0; 512]; (bytes / PAGE_BYTES) as usize];
    pages.leak().as_mut_ptr().cast::<u8>()
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
    use crate::area::Reads;
    use alloc::vec;
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
    fn marks_are_logged_as_writes_but_not_as_changes_of_a_table() {
        let memory = two_pieces();
        let (log, tables) = (memory.dirty_log().unwrap(), memory.table_log().unwrap());
        tables.protect(1);
        memory.store(Gpa(0x1000), &1_u64).unwrap();
        let mut told = Vec::new();
        tables.take_written(&mut |page| told.push(page));
        assert_eq!(memory.set_marks_u64(Gpa(0x1000), 1, 0x21), Ok(Ok(1)));
        assert_eq!(memory.set_marks_u32(Gpa(0x1000), 1, 0x61), Ok(Err(0x21)));
        tables.take_written(&mut |page| told.push(page));
        assert_eq!(told, [1]);
        assert_eq!(log.take_word(0), Some(0b10));
    }

    #[test]
    fn compare_exchange_tells_what_it_found() {
        let memory = two_pieces();
        memory.store(Gpa(8), &5_u64).unwrap();
        assert_eq!(memory.compare_exchange_u64(Gpa(8), 4, 9), Ok(Err(5)));
        assert_eq!(memory.compare_exchange_u64(Gpa(8), 5, 9), Ok(Ok(5)));
        assert!(memory.compare_exchange_u64(Gpa(4), 0, 0).is_err());
    }

    fn with_an_area() -> GuestMemory {
        let memory = two_pieces().with_anonymous_areas(&[(Gpa(0x4000), 0x1000)]);
        memory.program(Gpa(0x4000), &[1; 0x1000]).unwrap();
        memory.fill(Gpa(0x4000), 0x1000, 2).unwrap();
        memory
    }

    #[test]
    fn areas_show_and_take_what_they_are_switched_to() {
        let memory = with_an_area();
        let at = Gpa(0x4ffc);
        let switch = |reads, writes| {
            memory.switch(Gpa(0x4000), 0x1000, Attributes { reads, writes });
        };
        assert_eq!(memory.load::<u8>(at), Ok(2));
        switch(Reads::Rom, Writes::Ram);
        memory.store(at, &3_u8).unwrap();
        assert_eq!(memory.load::<u8>(at), Ok(1));
        assert_eq!(
            memory.compare_exchange_u32(at, 0x0101_0101, 4),
            Ok(Ok(0x0101_0101))
        );
        switch(Reads::Ram, Writes::Lost);
        assert_eq!(memory.load::<u32>(at), Ok(4));
        memory.store(at, &5_u8).unwrap();
        assert_eq!(memory.compare_exchange_u32(at, 4, 9), Ok(Ok(4)));
        assert_eq!(memory.load::<u32>(at), Ok(4));
        assert!(memory.contains(at, 4));
        switch(Reads::Ram, Writes::Device);
        assert!(memory.store(at, &5_u8).is_err());
        assert!(memory.fill(at, 1, 0).is_err());
        assert!(!memory.contains(at, 4));
        switch(Reads::Device, Writes::Ram);
        assert!(memory.load::<u8>(at).is_err());
        memory.store(at, &6_u32).unwrap();
        switch(Reads::Ram, Writes::Ram);
        assert_eq!(memory.compare_exchange_u32(at, 6, 7), Ok(Ok(6)));
        assert_eq!(memory.load::<u32>(at), Ok(7));
    }

    #[test]
    fn a_switch_is_counted_only_if_it_changes_something() {
        let memory = with_an_area();
        let before = memory.generation();
        memory.switch(Gpa(0x4000), 0x1000, Attributes::RAM);
        memory.switch(Gpa(0x4000), 0xfff, Attributes::ROM);
        memory.switch(Gpa(0x4001), 0x2000, Attributes::ROM);
        assert_eq!(memory.generation(), before);
        memory.switch(Gpa(0), u64::MAX, Attributes::ROM);
        assert_ne!(memory.generation(), before);
    }

    #[test]
    fn areas_neither_overlap_nor_lie_in_ram() {
        let area = |gpa| Area::new((Gpa(gpa), 0x1000), None, None, Attributes::ROM);
        for areas in [
            vec![area(0x2000)],
            vec![area(0x5000), area(0x4000)],
            vec![area(0x4000), area(0x4000)],
            vec![area(0x4800)],
        ] {
            // SAFETY: areas without memory ask for nothing.
            assert!(unsafe { two_pieces().with_areas(areas) }.is_none());
        }
    }

    #[test]
    fn writes_that_are_lost_are_not_logged() {
        let memory = with_an_area();
        let log = memory.dirty_log().unwrap();
        memory.switch(Gpa(0x4000), 0x1000, Attributes::ROM);
        memory.store(Gpa(0x4000), &0_u32).unwrap();
        assert_eq!(log.take_word(0), Some(0));
        memory.program(Gpa(0x4000), &[0]).unwrap();
        assert_eq!(log.take_word(0), Some(1 << 4));
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
