//! The map of guest RAM: what lies where. The accesses to it are in the modules below.

mod access;
mod anonymous;
mod exchange;

use crate::area::{Area, Attributes, Backing, Writes};
use crate::{DirtyLog, Gpa, Hpa, PAGE_BYTES, TableLog};
use alloc::vec::Vec;
use anonymous::HeapPages;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use spin::Once;

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
    /// What of it lies on the heap.
    own: Vec<HeapPages>,
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
            own: Vec::new(),
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
mod tests;
