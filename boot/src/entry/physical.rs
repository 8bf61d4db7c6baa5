//! Reading physical memory that a loader points at, in page tables of our own.

use crate::{fail, handover, image};
use boot::{CommandLine, MAX_COMMAND_LINE_BYTES, PageTables, PhysRange, Table};
use core::arch::asm;
use core::slice;

const EARLY_TABLES: usize = 16;
/// PML4, one PDPT and four page directories: what the 32-bit entry makes.
const IDENTITY_TABLES: usize = 6;
const MAPPED_BELOW: u64 = 4 << 30;
/// No x86-64 CPU has more physical address bits.
const ADDRESS_LIMIT: u64 = 1 << 52;

unsafe extern "C" {
    static mut early_tables: [Table; EARLY_TABLES];
}

/// The tables' memory, and where it is.
///
/// # Safety
/// Once.
unsafe fn pool() -> (&'static mut [Table], u64) {
    let pool: *mut [Table; EARLY_TABLES] = &raw mut early_tables;
    // SAFETY: any bytes are valid tables; by the caller's promise there is no other reference.
    (unsafe { &mut *pool }, pool as u64)
}

/// Physical memory, all of it mapped one to one as far as it was asked for.
pub struct Physical {
    tables: PageTables<'static>,
}

impl Physical {
    /// Goes on with the tables that the 32-bit entry made and loaded.
    ///
    /// # Safety
    /// Once, by that entry's CPU.
    pub unsafe fn resume() -> Self {
        // SAFETY: once, says the caller.
        let (pool, base) = unsafe { pool() };
        Self {
            tables: PageTables::resume(pool, base, IDENTITY_TABLES),
        }
    }

    /// Leaves the loader's tables, which may lie where the kernel goes, for our own.
    ///
    /// # Safety
    /// Once; we run, mapped one to one, in four-level tables.
    pub unsafe fn take_over() -> Self {
        handover::require_four_level_paging();
        // SAFETY: once, says the caller.
        let (pool, base) = unsafe { pool() };
        let image = image::range();
        let made = PageTables::new(pool, base).and_then(|mut tables| {
            tables.map(0, 0, MAPPED_BELOW)?;
            tables.map(image.base, image.base, image.bytes)?;
            Ok(tables)
        });
        let Ok(tables) = made else {
            fail(format_args!("the first page tables do not fit"));
        };
        // SAFETY: the tables map this code, its stack and its data where they are.
        unsafe { asm!("mov cr3, {}", in(reg) tables.root(), options(nostack, preserves_flags)) };
        Self { tables }
    }

    /// The bytes at `range`. `None` if no CPU could address them or too many far-off places were asked for.
    ///
    /// # Safety
    /// Nobody writes there as long as the slice lives. (Where there is no memory, the bus answers; that is no fault.)
    pub unsafe fn bytes(&mut self, range: PhysRange) -> Option<&'static [u8]> {
        let end = range.base.checked_add(range.bytes)?;
        if range.base == 0 || end > ADDRESS_LIMIT {
            return None;
        }
        if end > MAPPED_BELOW {
            self.tables.map(range.base, range.base, range.bytes).ok()?;
        }
        // SAFETY: mapped, not null, and the caller says that it does not change.
        Some(unsafe { slice::from_raw_parts(range.base as *const u8, range.bytes as usize) })
    }

    /// Keeps the loader's NUL-terminated command line at `address`; none if that is 0.
    pub fn read_command_line(&mut self, address: u64, line: &mut CommandLine) {
        let range = PhysRange {
            base: address,
            bytes: MAX_COMMAND_LINE_BYTES as u64 + 1,
        };
        // SAFETY: the loader is done with its command line.
        if let Some(bytes) = unsafe { self.bytes(range) } {
            line.set(bytes.iter().copied());
        }
    }
}
