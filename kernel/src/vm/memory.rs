//! Guest RAM out of host RAM, and the nested page tables that say so.

use crate::mem::mtrr::Mtrrs;
use crate::mem::{PAGE_BYTES, frames, phys_to_virt};
use alloc::vec::Vec;
use boot::PhysRange;
use core::fmt;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use ept_npt::{Format, Level, MapError, Rights, TableMemory, Tables, Tracked};
use guest_bios::{bios, rom};
use guest_mem::{Gpa, GuestMemory, Hpa, Region};

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

/// Takes host RAM for the layout's pieces. The RAM is not cleared: a PC's is not either, and what an earlier owner of the
/// machine left in it is no secret to the one who has the machine now.
pub fn allocate(memory_mib: u64) -> Result<GuestMemory, TooLittle> {
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
    for (gpa, bytes) in layout {
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
    Ok(memory.expect("layout pieces are sorted, disjoint and page-aligned"))
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

/// Nested tables of any format.
pub trait NestedTables: Tracked + Send {
    /// Maps a page of host RAM, which the guest may read, write and execute.
    fn map_page(&mut self, gpa: Gpa, page: Hpa) -> Result<(), MapError>;
    /// Removes what [`NestedTables::map_page`] mapped there, if anything. The caller flushes the TLB.
    fn unmap_page(&mut self, gpa: Gpa);
}

impl<F: Format + Send> NestedTables for Tables<TablePages, F> {
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

/// Shows the ROM's last segment below 4 GiB.
fn map_reset_alias<F: Format>(
    tables: &mut Tables<TablePages, F>,
    memory: &GuestMemory,
    types: &Mtrrs,
) -> Result<(), MapError> {
    let Some((base, _)) = memory.translate(bios::ROM_SEGMENT) else {
        return Ok(());
    };
    let frames = PhysRange {
        base: base.0,
        bytes: rom::BYTES as u64,
    };
    for (piece, memory_type) in types.pieces(frames) {
        let gpa = bios::RESET_ALIAS.wrapping_add(piece.base - frames.base);
        let rights = Rights::ReadExecute;
        tables.map(gpa, Hpa(piece.base), piece.bytes, rights, memory_type)?;
    }
    Ok(())
}

/// Maps all of guest RAM, in pages of at most `largest`, each with the memory type that the host's MTRRs give its frames: no page lies
/// across two types, which no CPU allows (SDM vol. 3A, 12.11.9).
///
/// With a BIOS, its area is not writable, and its last segment is mapped a second time where CPUs start.
pub fn map<F: Format>(
    memory: &GuestMemory,
    largest: Level,
    rom: &Range<u64>,
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
            let cuts = [gpa.0, rom.start, rom.end, gpa.0 + piece.bytes];
            for (start, end) in cuts.into_iter().zip(cuts.into_iter().skip(1)) {
                let (start, end) = (start.max(gpa.0), end.min(gpa.0 + piece.bytes));
                if start >= end {
                    continue;
                }
                let rights = if rom.contains(&start) {
                    Rights::ReadExecute
                } else {
                    Rights::ReadWriteExecute
                };
                let hpa = Hpa(piece.base + (start - gpa.0));
                tables.map(Gpa(start), hpa, end - start, rights, memory_type)?;
            }
        }
    }
    if !rom.is_empty() {
        map_reset_alias(&mut tables, memory, &types)?;
    }
    Ok(tables)
}
