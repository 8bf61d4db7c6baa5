//! Guest RAM out of host RAM, and the nested page tables that say so.

use super::rom::Roms;
use crate::mem::mtrr::Mtrrs;
use crate::mem::{PAGE_BYTES, frames, phys_to_virt};
use alloc::vec::Vec;
use boot::PhysRange;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use ept_npt::{Format, Level, MapError, Mapping, Rights, TableMemory, Tables, Tracked};
use guest_bios::platform::{HIGH_MEMORY, VGA_END};
use guest_mem::{
    Area, Backing, Gpa, GuestMemory, Hpa, PAGE_BYTES as GUEST_PAGE, Reads, Region, Writes,
};

const MIB: u64 = 1 << 20;
const LARGE: u64 = 2 * MIB;
const HUGE: u64 = 1 << 30;
/// Host memory that stays free beside a guest that asked for no amount: page tables, growth of the heap.
const RESERVE: u64 = 2 * MIB;

/// Host RAM does not suffice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLittle {
    /// What the guest is to have.
    pub wanted_mib: u64,
    /// What it could have.
    pub available_mib: u64,
}

impl fmt::Display for TooLittle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the guest is to have {} MiB, this host can give it {} MiB",
            self.wanted_mib, self.available_mib
        )
    }
}

/// How much RAM a guest can have at most, in MiB.
pub fn available_mib() -> u64 {
    let mut taken = Vec::new();
    let mut bytes = 0;
    while let Some(range) = frames::largest_free(LARGE) {
        match frames::alloc_contiguous(range.bytes, LARGE) {
            Some(range) => taken.push(range),
            None => break,
        }
        bytes += range.bytes;
    }
    taken.into_iter().for_each(frames::free);
    bytes.saturating_sub(RESERVE) / LARGE * (LARGE / MIB)
}

/// Takes host RAM for the layout's pieces, and makes the areas that are not RAM alone out of `roms` and the RAM behind the first MiB's
/// ROM segments. The RAM is not cleared: a PC's is not either, and what an earlier owner of the
/// machine left in it is no secret to the one who has the machine now.
pub fn allocate(memory_mib: u64, roms: &Roms) -> Result<GuestMemory, TooLittle> {
    let layout = guest_bios::memory::memory_layout(memory_mib);
    let mut chunks = Vec::new();
    for span in spans(&layout) {
        if !back(span, &mut chunks) {
            for (_, range) in chunks {
                frames::free(range);
            }
            return Err(TooLittle {
                wanted_mib: memory_mib,
                available_mib: available_mib(),
            });
        }
    }
    let mut regions = Vec::new();
    for (gpa, bytes) in layout.into_iter().flat_map(without_shadow) {
        for (base, range) in &chunks {
            let start = gpa.0.max(base.0);
            let end = (gpa.0 + bytes).min(base.0 + range.bytes);
            if start < end {
                let hpa = Hpa(range.base + (start - base.0));
                regions.push(Region {
                    gpa: Gpa(start),
                    bytes: end - start,
                    hpa,
                    host: phys_to_virt(hpa),
                });
            }
        }
    }
    // SAFETY: the chunks were just taken from the frame allocator for good; all RAM is mapped writable at `phys_to_virt`
    // for as long as the kernel runs, and nothing else refers to these frames.
    let memory = unsafe { GuestMemory::from_regions(regions) };
    let memory = memory.expect("layout pieces are sorted, disjoint and page-aligned");
    let shadow = |gpa: Gpa| {
        let mut chunks = chunks.iter();
        chunks.find_map(|(base, range)| {
            let offset = gpa.0.checked_sub(base.0)?;
            (offset < range.bytes).then(|| backing(Hpa(range.base + offset)))
        })
    };
    let areas = roms.areas(shadow);
    // SAFETY: what is behind the areas was taken for good too: a part of the chunks that is no region's, and the ROMs' memory.
    let memory = unsafe { memory.with_areas(areas) };
    Ok(memory.expect("the segments and the ROMs at the top of 4 GiB lie where no RAM is"))
}

/// Host memory, by its address and as we see it.
pub fn backing(hpa: Hpa) -> Backing {
    Backing {
        hpa,
        host: phys_to_virt(hpa),
    }
}

/// A piece of the layout without the first MiB's ROM segments.
fn without_shadow((gpa, bytes): (Gpa, u64)) -> impl Iterator<Item = (Gpa, u64)> {
    let end = gpa.0 + bytes;
    [(gpa.0, end.min(VGA_END.0)), (gpa.0.max(HIGH_MEMORY.0), end)]
        .into_iter()
        .filter(|(start, end)| start < end)
        .map(|(start, end)| (Gpa(start), end - start))
}

/// The layout's pieces widened to large pages, those that touch joined: what one stretch of host RAM should back.
fn spans(layout: &[(Gpa, u64)]) -> Vec<(Gpa, u64)> {
    let mut spans: Vec<(Gpa, u64)> = Vec::new();
    for &(gpa, bytes) in layout {
        let start = gpa.0 / LARGE * LARGE;
        let end = (gpa.0 + bytes).next_multiple_of(LARGE);
        match spans.last_mut() {
            Some((base, length)) if base.0 + *length >= start => *length = end - base.0,
            _ => spans.push((Gpa(start), end - start)),
        }
    }
    spans
}

/// Finds host RAM for a span, in as few pieces as there can be; huge-page-aligned where that is possible.
fn back((gpa, bytes): (Gpa, u64), chunks: &mut Vec<(Gpa, PhysRange)>) -> bool {
    let mut done = 0;
    while done < bytes {
        let left = bytes - done;
        let huge = (gpa.0 + done) % HUGE == 0 && left >= HUGE;
        let whole = if huge {
            frames::alloc_contiguous(left, HUGE)
        } else {
            None
        };
        let range = whole
            .or_else(|| frames::alloc_contiguous(left, LARGE))
            .or_else(|| {
                let largest = frames::largest_free(LARGE).filter(|range| range.bytes >= LARGE)?;
                frames::alloc_contiguous(largest.bytes.min(left), LARGE)
            });
        let Some(range) = range else { return false };
        chunks.push((Gpa(gpa.0 + done), range));
        done += range.bytes;
    }
    true
}

/// Table pages from the frame allocator.
pub struct TablePages;

impl TableMemory for TablePages {
    fn allocate(&mut self) -> Option<Hpa> {
        frames::alloc_zeroed_page()
    }

    fn release(&mut self, table: Hpa) {
        frames::free_page(table);
    }

    fn read(&self, table: Hpa, index: usize) -> u64 {
        // SAFETY: `table` came from `allocate`, `index` is masked to the page; the CPU only reads these entries or sets
        // bits in them, which a volatile access tolerates.
        unsafe {
            phys_to_virt(table)
                .cast::<u64>()
                .add(index & 511)
                .read_volatile()
        }
    }

    fn write(&mut self, table: Hpa, index: usize, entry: u64) {
        // SAFETY: as in `read`; the entry is stored whole.
        unsafe {
            phys_to_virt(table)
                .cast::<u64>()
                .add(index & 511)
                .write_volatile(entry)
        }
    }

    fn compare_exchange(
        &mut self,
        table: Hpa,
        index: usize,
        current: u64,
        new: u64,
    ) -> Result<(), u64> {
        // SAFETY: as in `read`; entries are aligned, and all that writes them does so in one access.
        let entry =
            unsafe { AtomicU64::from_ptr(phys_to_virt(table).cast::<u64>().add(index & 511)) };
        entry
            .compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
    }
}

/// Nested tables, page by page.
pub trait PageTables {
    /// Maps a page of host RAM, which the guest may read, write and execute.
    fn map_page(&mut self, gpa: Gpa, page: Hpa) -> Result<(), MapError>;
    /// Removes what [`PageTables::map_page`] mapped there, if anything. The caller flushes the TLB.
    fn unmap_page(&mut self, gpa: Gpa);
}

/// Nested tables of any format.
pub trait NestedTables: Tracked + PageTables + Send {
    /// Maps what the guest finds in an area now, instead of what it found there before. The caller flushes the TLB.
    fn show(&mut self, area: &Area) -> Result<(), MapError>;
    /// What is mapped there, if anything.
    fn translate(&self, gpa: Gpa) -> Option<Mapping>;
}

impl<F: Format> PageTables for Tables<TablePages, F> {
    fn map_page(&mut self, gpa: Gpa, page: Hpa) -> Result<(), MapError> {
        let frame = PhysRange {
            base: page.0,
            bytes: PAGE_BYTES,
        };
        for (piece, memory_type) in Mtrrs::of_this_cpu().pieces(frame) {
            let rights = Rights::ReadWriteExecute;
            self.map(gpa, Hpa(piece.base), piece.bytes, rights, memory_type)?;
        }
        Ok(())
    }

    fn unmap_page(&mut self, gpa: Gpa) {
        self.unmap(gpa);
    }
}

impl<F: Format + Send> NestedTables for Tables<TablePages, F> {
    fn translate(&self, gpa: Gpa) -> Option<Mapping> {
        Tables::translate(self, gpa)
    }

    fn show(&mut self, area: &Area) -> Result<(), MapError> {
        for offset in (0..area.bytes).step_by(GUEST_PAGE as usize) {
            self.unmap(area.gpa.wrapping_add(offset));
        }
        let Some(backing) = area.shown() else {
            return Ok(());
        };
        let attributes = area.attributes();
        let rights = match (attributes.reads, attributes.writes) {
            (Reads::Ram, Writes::Ram) => Rights::ReadWriteExecute,
            // Writes exit, and go where they are to go.
            _ => Rights::ReadExecute,
        };
        let frames = PhysRange {
            base: backing.hpa.0,
            bytes: area.bytes,
        };
        for (piece, memory_type) in Mtrrs::of_this_cpu().pieces(frames) {
            let gpa = area.gpa.wrapping_add(piece.base - frames.base);
            self.map(gpa, Hpa(piece.base), piece.bytes, rights, memory_type)?;
        }
        Ok(())
    }
}

/// Maps all of guest RAM, in pages of at most `largest`, each with the memory type that the host's MTRRs give its frames: no page lies
/// across two types, which no CPU allows (SDM vol. 3A, 12.11.9). Areas follow by themselves ([`super::dirty::Tracker::follow`]).
pub fn map<F: Format>(
    memory: &GuestMemory,
    largest: Level,
) -> Result<Tables<TablePages, F>, MapError> {
    let types = Mtrrs::of_this_cpu();
    let mut tables = Tables::new(TablePages, largest)?;
    for region in memory.regions() {
        let frames = PhysRange {
            base: region.hpa.0,
            bytes: region.bytes,
        };
        for (piece, memory_type) in types.pieces(frames) {
            let gpa = region.gpa.wrapping_add(piece.base - frames.base);
            let rights = Rights::ReadWriteExecute;
            tables.map(gpa, Hpa(piece.base), piece.bytes, rights, memory_type)?;
        }
    }
    Ok(tables)
}
