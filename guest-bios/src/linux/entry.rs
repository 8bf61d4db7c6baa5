//! What the first vCPU holds at the kernel's 64-bit entry, and the tables in guest memory that it points to.

use guest_mem::{Gpa, GuestMemory, PAGE_BYTES, Unmapped};

/// A segment register with its hidden part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Selector.
    pub selector: u16,
    /// Base address.
    pub base: u64,
    /// Limit in bytes, already scaled by the granularity.
    pub limit: u32,
    /// Attributes as in bytes 5 and 6 of a descriptor: bits 0-3 type, 4 S, 5-6 DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G.
    pub attributes: u16,
}

/// Registers at the entry; all others are zero, interrupts are off. Everything that it points to is in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryState {
    /// First instruction.
    pub rip: u64,
    /// The boot parameters.
    pub rsi: u64,
    /// Paging and protection on.
    pub cr0: u64,
    /// Tables that map the first 4 GiB one to one.
    pub cr3: u64,
    /// PAE.
    pub cr4: u64,
    /// Long mode enabled and active.
    pub efer: u64,
    /// The GDT.
    pub gdt_base: u64,
    /// Its limit.
    pub gdt_limit: u16,
    /// 64-bit code.
    pub cs: Segment,
    /// Flat data, for DS, ES and SS (FS and GS may have it too).
    pub ds: Segment,
}

const GDT: Gpa = Gpa(0x1000);
/// One PML4, one PDPT, four page directories.
const PAGE_TABLES: Gpa = Gpa(0x3000);

// Selectors that the boot protocol asks for (boot.rst, "64-bit Boot Protocol").
const BOOT_CS: u16 = 0x10;
const BOOT_DS: u16 = 0x18;
/// Present, ring 0, execute/read, accessed; L and G set.
const CODE: u16 = 0xa09b;
/// Present, ring 0, read/write, accessed; D/B and G set.
const DATA: u16 = 0xc093;

// Intel SDM vol. 3A, 2.5 and 2.2.1; AMD APM vol. 2, 3.1.
const CR0_PE: u64 = 1 << 0;
const CR0_ET: u64 = 1 << 4;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;

// Page-table entries (Intel SDM vol. 3A, 4.5).
const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const LARGE: u64 = 1 << 7;

/// Writes GDT and page tables, and points the registers at them.
pub(super) fn prepare(
    memory: &GuestMemory,
    kernel: Gpa,
    boot_params: Gpa,
) -> Result<EntryState, Unmapped> {
    let gdt = [0, 0, descriptor(CODE), descriptor(DATA)];
    memory.store(GDT, &gdt)?;
    write_page_tables(memory)?;
    let flat = |selector, attributes| Segment {
        selector,
        base: 0,
        limit: u32::MAX,
        attributes,
    };
    Ok(EntryState {
        rip: kernel.0 + super::header::ENTRY_64,
        rsi: boot_params.0,
        cr0: CR0_PE | CR0_ET | CR0_PG,
        cr3: PAGE_TABLES.0,
        cr4: CR4_PAE,
        efer: EFER_LME | EFER_LMA,
        gdt_base: GDT.0,
        gdt_limit: size_of_val(&gdt) as u16 - 1,
        cs: flat(BOOT_CS, CODE),
        ds: flat(BOOT_DS, DATA),
    })
}

/// A flat descriptor: base 0, limit FFFFFh (Intel SDM vol. 3A, 3.4.5).
const fn descriptor(attributes: u16) -> u64 {
    0x000f_0000_0000_ffff | (attributes as u64) << 40
}

/// Maps 0…4 GiB one to one in 2 MiB pages, which every CPU with long mode has.
fn write_page_tables(memory: &GuestMemory) -> Result<(), Unmapped> {
    let table = |index: u64| PAGE_TABLES.wrapping_add(index * PAGE_BYTES);
    memory.fill(table(0), 2 * PAGE_BYTES, 0)?;
    memory.store(table(0), &(table(1).0 | PRESENT | WRITABLE))?;
    for gib in 0..4 {
        let directory = table(2 + gib);
        let entry = table(1).wrapping_add(gib * 8);
        memory.store(entry, &(directory.0 | PRESENT | WRITABLE))?;
        let mut pages = [0_u64; 512];
        for (index, page) in (0..).zip(&mut pages) {
            *page = (gib << 30 | index << 21) | PRESENT | WRITABLE | LARGE;
        }
        memory.store(directory, &pages)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_map_four_gib_one_to_one() {
        let memory = GuestMemory::anonymous(&[(Gpa(0), 0x1_0000)]);
        let state = prepare(&memory, Gpa(0x100_0000), Gpa(0x2000)).unwrap();
        for address in [0_u64, 0x12_3456, 0x4000_0000, 0xfee0_0000, 0xffff_ffff] {
            let mut table = state.cr3;
            for shift in [39, 30] {
                let entry: u64 = memory
                    .load(Gpa(table + (address >> shift & 511) * 8))
                    .unwrap();
                assert_eq!(entry & 0x83, PRESENT | WRITABLE);
                table = entry & !0xfff;
            }
            let entry: u64 = memory.load(Gpa(table + (address >> 21 & 511) * 8)).unwrap();
            assert_eq!(entry & 0x83, PRESENT | WRITABLE | LARGE);
            assert_eq!(entry & !0x1f_ffff, address & !0x1f_ffff);
        }
    }

    #[test]
    fn the_gdt_holds_the_segments_that_the_registers_hold() {
        let memory = GuestMemory::anonymous(&[(Gpa(0), 0x1_0000)]);
        let state = prepare(&memory, Gpa(0x100_0000), Gpa(0x2000)).unwrap();
        assert_eq!(state.rip, 0x100_0200);
        assert_eq!(state.gdt_limit, 31);
        for (segment, raw) in [
            (state.cs, 0x00af_9b00_0000_ffff_u64),
            (state.ds, 0x00cf_9300_0000_ffff),
        ] {
            let at = Gpa(state.gdt_base + u64::from(segment.selector));
            assert_eq!(memory.load(at), Ok(raw));
        }
    }
}
