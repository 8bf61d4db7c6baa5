//! Page tables of 2 MiB pages, written and executed through, for the way into the kernel.
//!
//! Four-level paging (AMD64 manual 2, 5.3; Intel SDM 3, 4.5). The tables come from a pool whose physical address is
//! known, so that nothing here follows an address.

/// One table at any level.
pub type Table = [u64; 512];

/// What one entry of the last level that we use maps.
pub const LARGE_PAGE_BYTES: u64 = 2 << 20;
const TABLE_BYTES: u64 = 4096;
const PRESENT_WRITABLE: u64 = 0x3;
const LARGE: u64 = 0x80;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// The pool holds no further table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TablesExhausted;

/// Page tables under construction.
pub struct PageTables<'a> {
    pool: &'a mut [Table],
    base: u64,
    used: usize,
}

impl<'a> PageTables<'a> {
    /// Starts with an empty top table. The first byte of `pool` is at physical `base`, page-aligned.
    pub fn new(pool: &'a mut [Table], base: u64) -> Result<Self, TablesExhausted> {
        let mut tables = Self {
            pool,
            base,
            used: 0,
        };
        tables.take()?;
        Ok(tables)
    }

    /// Goes on with tables that were made before in the same pool: the first is the top, the first `used` are in use.
    pub fn resume(pool: &'a mut [Table], base: u64, used: usize) -> Self {
        let used = used.min(pool.len());
        Self { pool, base, used }
    }

    /// Physical address of the top table, for CR3.
    pub fn root(&self) -> u64 {
        self.base
    }

    /// How many tables are in use.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Maps every 2 MiB page that touches `bytes` bytes at `virtual_base` to where `physical_base` is; both have the same
    /// offset in their page. Mapping again replaces.
    pub fn map(
        &mut self,
        virtual_base: u64,
        physical_base: u64,
        bytes: u64,
    ) -> Result<(), TablesExhausted> {
        let in_page = virtual_base % LARGE_PAGE_BYTES;
        let mut address = virtual_base - in_page;
        let mut physical = physical_base.wrapping_sub(in_page);
        let mut pages = in_page.saturating_add(bytes).div_ceil(LARGE_PAGE_BYTES);
        while pages > 0 {
            let directory = self.directory(address)?;
            let first = index(address, 21);
            let run = pages.min(512 - first as u64);
            for entry in &mut self.pool[directory][first..first + run as usize] {
                *entry = physical | LARGE | PRESENT_WRITABLE;
                physical = physical.wrapping_add(LARGE_PAGE_BYTES);
            }
            address = address.wrapping_add(run * LARGE_PAGE_BYTES);
            pages -= run;
        }
        Ok(())
    }

    /// Which table of the pool is the page directory for `address`; makes it and what is above it if need be.
    fn directory(&mut self, address: u64) -> Result<usize, TablesExhausted> {
        let pointers = self.child(0, index(address, 39))?;
        self.child(pointers, index(address, 30))
    }

    fn child(&mut self, parent: usize, index: usize) -> Result<usize, TablesExhausted> {
        let entry = self.pool[parent][index];
        if entry != 0 {
            return Ok(((entry & ADDRESS).wrapping_sub(self.base) / TABLE_BYTES) as usize);
        }
        let child = self.take()?;
        self.pool[parent][index] = (self.base + child as u64 * TABLE_BYTES) | PRESENT_WRITABLE;
        Ok(child)
    }

    fn take(&mut self) -> Result<usize, TablesExhausted> {
        let table = self.used;
        *self.pool.get_mut(table).ok_or(TablesExhausted)? = [0; 512];
        self.used += 1;
        Ok(table)
    }
}

/// The index of `address` in the table whose entries each cover `1 << shift` bytes.
fn index(address: u64, shift: u32) -> usize {
    (address >> shift) as usize & 511
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    const POOL: u64 = 0x1234_5000;

    /// What the CPU would find.
    fn translate(pool: &[Table], address: u64) -> Option<u64> {
        let mut table = 0;
        for shift in [39, 30] {
            let entry = pool[table][index(address, shift)];
            if entry & 1 == 0 {
                return None;
            }
            table = ((entry & ADDRESS) - POOL) as usize / 4096;
        }
        let entry = pool[table][index(address, 21)];
        (entry & 1 != 0)
            .then(|| (entry & ADDRESS & !(LARGE_PAGE_BYTES - 1)) + address % LARGE_PAGE_BYTES)
    }

    #[test]
    fn the_kernel_contract_needs_eight_tables() {
        let mut pool = vec![[u64::MAX; 512]; 8];
        let mut tables = PageTables::new(&mut pool, POOL).unwrap();
        tables.map(0, 0, 4 << 30).unwrap();
        tables
            .map(0xffff_ffff_8000_0000, 0x60_0000, 5 << 20)
            .unwrap();
        assert_eq!((tables.root(), tables.used()), (POOL, 8));
        assert_eq!(translate(&pool, 0xffff_ffff), Some(0xffff_ffff));
        assert_eq!(translate(&pool, 4 << 30), None);
        assert_eq!(translate(&pool, 0xffff_ffff_8040_0001), Some(0xa0_0001));
        assert_eq!(translate(&pool, 0xffff_ffff_8060_0000), None);
    }

    #[test]
    fn an_empty_pool_is_an_error() {
        let mut pool = vec![[0; 512]; 2];
        let mut tables = PageTables::new(&mut pool, POOL).unwrap();
        assert_eq!(tables.map(0, 0, 1), Err(TablesExhausted));
    }

    proptest! {
        #[test]
        fn what_is_mapped_is_found(start in 0_u64..1 << 46, bytes in 1_u64..64 << 20, probe in any::<u64>()) {
            let mut pool = vec![[0; 512]; 9];
            let mut tables = PageTables::new(&mut pool, POOL).unwrap();
            tables.map(start, start, bytes).unwrap();
            let address = start + probe % bytes;
            prop_assert_eq!(translate(&pool, address), Some(address));
            prop_assert_eq!(translate(&pool, start + bytes + LARGE_PAGE_BYTES), None);
        }
    }
}
