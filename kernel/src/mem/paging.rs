//! 4-level page tables: entries, the walk, and the tables that the kernel runs on. (Intel SDM vol. 3, 4.5.)

use super::image::{self, Rights};
use super::layout::{self, DIRECT_MAP_BASE, DIRECT_MAP_LIMIT};
use super::{HUGE_PAGE_BYTES, LARGE_PAGE_BYTES, PAGE_BYTES, frames, inward, phys_to_virt, stack};
use crate::cpu::features;
use bitflags::bitflags;
use boot::{BootInfo, MemoryKind, PhysRange};
use core::sync::atomic::{AtomicU64, Ordering};
use guest_mem::Hpa;
use spin::Mutex;

bitflags! {
    /// The bits of an entry beside the address. Memory types index the PAT as `crate::cpu::control` sets it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Bits: u64 {
        /// Valid.
        const PRESENT = 1 << 0;
        /// Writes allowed.
        const WRITABLE = 1 << 1;
        /// Low bit of the PAT index: alone, write-combining.
        const PWT = 1 << 3;
        /// Middle bit of the PAT index: with [`Self::PWT`], uncached.
        const PCD = 1 << 4;
        /// The entry maps a page of its level's size instead of naming a table.
        const LARGE = 1 << 7;
        /// Instruction fetches forbidden.
        const NO_EXECUTE = 1 << 63;
    }
}

impl Bits {
    /// Variables.
    pub const DATA: Self = Self::PRESENT.union(Self::WRITABLE).union(Self::NO_EXECUTE);
    /// Constants.
    pub const CONSTANT: Self = Self::PRESENT.union(Self::NO_EXECUTE);
    /// Instructions.
    pub const TEXT: Self = Self::PRESENT;
    /// Device registers.
    pub const DEVICE: Self = Self::DATA.union(Self::PWT).union(Self::PCD);
    /// Frame buffers.
    pub const WRITE_COMBINED: Self = Self::DATA.union(Self::PWT);
    /// An entry that names a table: all rights, so that the last level decides.
    const TABLE: Self = Self::PRESENT.union(Self::WRITABLE);
}

const ADDRESS_MASK: u64 = 0x000f_ffff_ffff_f000;

/// The kernel's own tables. Held while tables change; the CPUs read them without asking.
static ROOT: Mutex<Tables> = Mutex::new(Tables { root: Hpa(0) });
static NO_EXECUTE_MASK: AtomicU64 = AtomicU64::new(0);

/// A mapping could not be made because no frame was left for a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfFrames;

/// A set of page tables.
pub struct Tables {
    root: Hpa,
}

impl Tables {
    /// Maps `phys` at `virt`, both whole pages and equally aligned, in the largest pages that fit. What was mapped there
    /// before is replaced, large pages being split first.
    pub fn map(&mut self, virt: u64, phys: PhysRange, bits: Bits) -> Result<(), OutOfFrames> {
        let mut done = 0;
        while done < phys.bytes {
            let (at, hpa, left) = (virt + done, phys.base + done, phys.bytes - done);
            let level = [3, 2]
                .into_iter()
                .find(|&level| {
                    let bytes = level_bytes(level);
                    left >= bytes
                        && (at | hpa) % bytes == 0
                        && (level == 2 || features::huge_pages())
                })
                .unwrap_or(1);
            let large = if level == 1 {
                Bits::empty()
            } else {
                Bits::LARGE
            };
            self.write(at, level, hpa | encode(bits | large))?;
            done += level_bytes(level);
        }
        Ok(())
    }

    /// Removes the mapping of one page.
    pub fn unmap_page(&mut self, virt: u64) -> Result<(), OutOfFrames> {
        self.write(virt, 1, 0)
    }

    /// How much around an address is not mapped, as far as the tables tell without a closer look: the size of the absent
    /// entry, from a page to 512 GiB. 0 if the address is mapped.
    pub fn absent_bytes(&self, virt: u64) -> u64 {
        let mut table = self.root;
        for level in (1..=4).rev() {
            // SAFETY: `table` is a table of ours and the index is below 512.
            let entry = unsafe { entry_pointer(table, virt, level).read_volatile() };
            if entry & Bits::PRESENT.bits() == 0 {
                return level_bytes(level);
            }
            if level == 1 || entry & Bits::LARGE.bits() != 0 {
                break;
            }
            table = Hpa(entry & ADDRESS_MASK);
        }
        0
    }

    fn write(&mut self, virt: u64, level: u32, entry: u64) -> Result<(), OutOfFrames> {
        let mut table = self.root;
        for upper in (level + 1..=4).rev() {
            table = table_below(entry_pointer(table, virt, upper), upper)?;
        }
        // SAFETY: `table` is a table of ours and the index is below 512.
        unsafe { entry_pointer(table, virt, level).write_volatile(entry) };
        // A new or narrower mapping replaces at most an absent one on other CPUs, which is never cached (SDM 4.10.2.3):
        // the rights of mapped pages only change before they are started.
        forget_translation(virt);
        Ok(())
    }
}

/// Makes this CPU look at the tables again.
fn forget_translation(virt: u64) {
    #[cfg(target_os = "none")]
    // SAFETY: dropping a cached translation is always allowed.
    unsafe {
        x86::tlb::flush(virt as usize);
    }
    // A hosted test changes tables that no CPU uses.
    #[cfg(not(target_os = "none"))]
    let _ = virt;
}

const fn level_bytes(level: u32) -> u64 {
    PAGE_BYTES << (9 * (level - 1))
}

fn encode(bits: Bits) -> u64 {
    bits.bits() & NO_EXECUTE_MASK.load(Ordering::Relaxed)
}

fn entry_pointer(table: Hpa, virt: u64, level: u32) -> *mut u64 {
    let index = (virt / level_bytes(level)) % 512;
    phys_to_virt(table.wrapping_add(index * 8)).cast()
}

/// The table that the entry at `level` names; made if absent, and a large page is split into one.
fn table_below(entry: *mut u64, level: u32) -> Result<Hpa, OutOfFrames> {
    // SAFETY: the pointer comes from `entry_pointer` on a table of ours.
    let old = unsafe { entry.read_volatile() };
    let present = old & Bits::PRESENT.bits() != 0;
    let large = old & Bits::LARGE.bits() != 0;
    if present && !large {
        return Ok(Hpa(old & ADDRESS_MASK));
    }
    let table = frames::alloc_early_page().ok_or(OutOfFrames)?;
    let below = level_bytes(level - 1);
    for index in 0..512 {
        let child = match (present, level) {
            (false, _) => 0,
            (true, 2) => (old & !Bits::LARGE.bits()) + index * below,
            (true, _) => old + index * below,
        };
        // SAFETY: the frame is fresh, and reachable in the identity map (below 4 GiB) as in the direct map.
        unsafe {
            phys_to_virt(table)
                .cast::<u64>()
                .add(index as usize)
                .write_volatile(child)
        };
    }
    // SAFETY: as for the read.
    unsafe { entry.write_volatile(table.0 | Bits::TABLE.bits()) };
    Ok(table)
}

/// Builds the final tables and switches to them. The boot code's identity map is gone afterwards.
///
/// # Panics
/// If not even the frames for the tables can be had: there is no machine to run on.
pub(super) fn init(boot: &BootInfo) {
    image::init(boot);
    NO_EXECUTE_MASK.store(
        if features::no_execute() {
            u64::MAX
        } else {
            !Bits::NO_EXECUTE.bits()
        },
        Ordering::Relaxed,
    );
    let mut tables = ROOT.lock();
    tables.root = frames::alloc_early_page().expect("a frame below 4 GiB for the page tables");
    // SAFETY: the frame is fresh and in the identity map.
    unsafe { phys_to_virt(tables.root).write_bytes(0, PAGE_BYTES as usize) };
    build(&mut tables, boot).expect("frames below 4 GiB for the page tables");
    // SAFETY: the tables map the running text, data and stack where they are now, and all RAM in the direct map. The
    // record that the loader passed was copied before.
    unsafe { x86::controlregs::cr3_write(tables.root.0) };
    layout::use_direct_map();
}

fn build(tables: &mut Tables, boot: &BootInfo) -> Result<(), OutOfFrames> {
    for region in boot
        .memory
        .regions()
        .iter()
        .filter(|region| is_ram(region.kind))
    {
        let pages = inward(PhysRange {
            base: region.base,
            bytes: region.bytes,
        });
        if pages.base + pages.bytes <= DIRECT_MAP_LIMIT {
            tables.map(DIRECT_MAP_BASE + pages.base, pages, Bits::DATA)?;
        }
    }
    for segment in image::segments() {
        let (own, alias) = match segment.rights {
            Rights::ReadExecute => (Bits::TEXT, Bits::CONSTANT),
            Rights::Read => (Bits::CONSTANT, Bits::CONSTANT),
            Rights::ReadWrite => (Bits::DATA, Bits::DATA),
        };
        tables.map(segment.virt, segment.phys, own)?;
        tables.map(DIRECT_MAP_BASE + segment.phys.base, segment.phys, alias)?;
    }
    for guard in stack::boot_guards() {
        tables.unmap_page(guard)?;
    }
    Ok(())
}

/// Memory that holds data when the kernel starts, whoever owns it.
fn is_ram(kind: MemoryKind) -> bool {
    matches!(
        kind,
        MemoryKind::Usable | MemoryKind::AcpiReclaimable | MemoryKind::AcpiNvs
    )
}

/// Runs `change` on the kernel's tables, alone.
pub fn with_kernel_tables<R>(change: impl FnOnce(&mut Tables) -> R) -> R {
    change(&mut ROOT.lock())
}

/// Physical address of the kernel's top table, for CR3 and for the host state of a VMCS or VMCB.
pub fn root() -> Hpa {
    ROOT.lock().root
}

const _: () = assert!(level_bytes(2) == LARGE_PAGE_BYTES && level_bytes(3) == HUGE_PAGE_BYTES);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const KEPT: Bits = Bits::DATA.union(Bits::PWT).union(Bits::PCD);

    /// Tables in this process's memory, which the identity "direct map" of a hosted build reaches.
    fn tables() -> Tables {
        NO_EXECUTE_MASK.store(u64::MAX, Ordering::Relaxed);
        let pages: &mut [[u64; 512]] = std::vec![[0; 512]; 600].leak();
        let base = pages.as_mut_ptr().expose_provenance() as u64;
        frames::release(PhysRange {
            base,
            bytes: 600 * PAGE_BYTES,
        });
        let root = frames::alloc_early_page().unwrap();
        // SAFETY: a page of the memory above.
        unsafe { phys_to_virt(root).write_bytes(0, PAGE_BYTES as usize) };
        Tables { root }
    }

    /// What the CPU would find.
    fn walk(tables: &Tables, virt: u64) -> Option<(u64, Bits)> {
        let mut table = tables.root;
        for level in (1..=4).rev() {
            // SAFETY: the tables were made by the code under test, in live memory.
            let entry = unsafe { entry_pointer(table, virt, level).read() };
            if entry & Bits::PRESENT.bits() == 0 {
                return None;
            }
            if level == 1 || entry & Bits::LARGE.bits() != 0 {
                let offset = virt % level_bytes(level);
                return Some((
                    (entry & ADDRESS_MASK) + offset,
                    Bits::from_bits_truncate(entry) & KEPT,
                ));
            }
            table = Hpa(entry & ADDRESS_MASK);
        }
        None
    }

    #[test]
    fn a_gib_is_one_entry_until_a_part_of_it_changes() {
        let mut tables = tables();
        let gib = PhysRange {
            base: 1 << 30,
            bytes: 1 << 30,
        };
        tables
            .map(DIRECT_MAP_BASE + gib.base, gib, Bits::DATA)
            .unwrap();
        let text = PhysRange {
            base: gib.base + 0x20_3000,
            bytes: 0x2000,
        };
        tables
            .map(DIRECT_MAP_BASE + text.base, text, Bits::CONSTANT)
            .unwrap();
        tables
            .unmap_page(DIRECT_MAP_BASE + gib.base + 0x1000)
            .unwrap();
        let at = |hpa: u64| walk(&tables, DIRECT_MAP_BASE + hpa);
        assert_eq!(at(gib.base), Some((gib.base, Bits::DATA)));
        assert_eq!(at(gib.base + 0x1fff), None);
        assert_eq!(
            at(text.base + 0x1fff),
            Some((text.base + 0x1fff, Bits::CONSTANT))
        );
        assert_eq!(
            at(text.base + 0x2000),
            Some((text.base + 0x2000, Bits::DATA))
        );
        assert_eq!(at(2 * gib.base - 1), Some((2 * gib.base - 1, Bits::DATA)));
        assert_eq!(tables.absent_bytes(DIRECT_MAP_BASE), HUGE_PAGE_BYTES);
        assert_eq!(
            tables.absent_bytes(DIRECT_MAP_BASE + gib.base + 0x1000),
            PAGE_BYTES
        );
        assert_eq!(tables.absent_bytes(DIRECT_MAP_BASE + gib.base), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn the_last_mapping_of_a_page_counts(
            steps in prop::collection::vec((0_u64..2048, 1_u64..1100, any::<bool>(), 0_u64..3), 1..6),
        ) {
            let mut tables = tables();
            let mut model = BTreeMap::new();
            for (page, count, text, shift) in steps {
                // Equally aligned to 2 MiB or not: both ways must give the same pages.
                let base = (page + 512 * 7 + shift) * PAGE_BYTES;
                let virt = page * PAGE_BYTES;
                let bits = if text { Bits::TEXT } else { Bits::DATA };
                tables.map(virt, PhysRange { base, bytes: count * PAGE_BYTES }, bits).unwrap();
                model.extend((0..count).map(|at| (page + at, (base + at * PAGE_BYTES, bits))));
            }
            for page in 0..3200 {
                prop_assert_eq!(walk(&tables, page * PAGE_BYTES), model.get(&page).copied());
            }
        }
    }
}
