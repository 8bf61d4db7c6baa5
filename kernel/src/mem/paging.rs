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
                    left >= bytes && (at | hpa) % bytes == 0 && (level == 2 || features::huge_pages())
                })
                .unwrap_or(1);
            let large = if level == 1 { Bits::empty() } else { Bits::LARGE };
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
        // SAFETY: dropping a cached translation is always allowed.
        unsafe { x86::tlb::flush(virt as usize) };
        Ok(())
    }
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
        unsafe { phys_to_virt(table).cast::<u64>().add(index as usize).write_volatile(child) };
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
        if features::no_execute() { u64::MAX } else { !Bits::NO_EXECUTE.bits() },
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
    for region in boot.memory.regions().iter().filter(|region| is_ram(region.kind)) {
        let pages = inward(PhysRange { base: region.base, bytes: region.bytes });
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
    matches!(kind, MemoryKind::Usable | MemoryKind::AcpiReclaimable | MemoryKind::AcpiNvs)
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
