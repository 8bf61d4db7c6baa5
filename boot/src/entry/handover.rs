//! Places the kernel and what it is handed, and jumps.

use crate::{fail, image};
use boot::{BootInfo, Kernel, PageTables, PhysRange, Placement, Table, lz4};
use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::slice;

/// The `boot` range's content.
#[repr(C, align(4096))]
struct Handover {
    /// Eight for the contract, and up to four for ourselves, should we lie above 4 GiB and across a boundary.
    tables: [Table; 12],
    info: BootInfo,
}

/// Memory that a [`Handover`] takes.
pub const BYTES: u64 = size_of::<Handover>() as u64;

const EFER: u32 = 0xc000_0080;
const EFER_NXE: u32 = 1 << 11;
/// Of CPUID 8000_0001h EDX.
const CPUID_NX: u32 = 1 << 20;
/// PG, WP, NE, ET, MP, PE: what AMD64 and Linux' boot protocol agree on for a kernel's start.
const CR0: u64 = 0x8001_0033;
/// PAE; MCE stays as it is.
const CR4_PAE: u64 = 1 << 5;
const CR4_MCE: u64 = 1 << 6;
const CR4_LA57: u64 = 1 << 12;

/// The record, until its final place is known.
static mut INFO: BootInfo = BootInfo::EMPTY;

/// An empty record to fill.
///
/// # Safety
/// Once: there is one.
pub unsafe fn record() -> &'static mut BootInfo {
    let info = &raw mut INFO;
    // SAFETY: by the caller's promise there is no other reference to it.
    unsafe { &mut *info }
}

/// Unpacks the kernel's segments into `kernel_range` and clears what follows each in memory.
///
/// # Safety
/// The range is free memory of at least the kernel's size, mapped one to one and writable.
pub unsafe fn load(kernel: &Kernel, kernel_range: PhysRange) {
    for segment in kernel.segments() {
        let target = (kernel_range.base + segment.offset) as *mut u8;
        let bytes = segment.bytes as usize;
        // SAFETY: `Kernel` checked that every segment lies inside the kernel's size, and the range is ours and free; any bytes are valid.
        let into = unsafe {
            target.add(bytes).write_bytes(0, segment.zeros as usize);
            slice::from_raw_parts_mut(target, bytes)
        };
        if lz4::unpack(segment.packed, into).is_err() {
            fail(format_args!(
                "the kernel in this file is damaged. Load the file anew, or build it anew"
            ));
        }
    }
}

/// Writes tables and record into `placement.boot` and starts the kernel.
///
/// # Safety
/// The kernel is loaded; both ranges are free memory but for it, below 4 GiB, mapped one to one and writable; boot
/// services are over.
pub unsafe fn enter(info: &mut BootInfo, kernel: &Kernel, placement: Placement) -> ! {
    info.kernel = placement.kernel;
    info.boot = placement.boot;
    let handover = placement.boot.base as *mut Handover;
    // SAFETY: the range is ours, page-aligned, and as large as `BYTES`; any bytes are valid tables.
    let tables = unsafe { &mut (*handover).tables };
    let root = match map(tables, placement) {
        Ok(root) => root,
        Err(_) => fail(format_args!("the page tables for the kernel do not fit")),
    };
    // SAFETY: as above; the tables and the record do not overlap.
    let record = unsafe { &raw mut (*handover).info };
    // SAFETY: as above.
    unsafe { record.copy_from_nonoverlapping(info, 1) };
    // SAFETY: the new tables map us and the kernel where the contract in `BootInfo` says; nothing here needs the stack.
    unsafe {
        enable_nx();
        asm!(
            "cli",
            "mov cr4, {cr4}",
            "mov cr3, {root}",
            "mov cr0, {cr0}",
            "jmp {entry}",
            cr4 = in(reg) CR4_PAE | read_cr4() & CR4_MCE,
            root = in(reg) root,
            cr0 = in(reg) CR0,
            entry = in(reg) kernel.entry(),
            in("rdi") record,
            options(noreturn, nostack),
        )
    }
}

/// Stops if the CPU walks five levels of page tables: ours have four, and the number cannot change in long mode.
pub fn require_four_level_paging() {
    if read_cr4() & CR4_LA57 != 0 {
        fail(format_args!(
            "five-level paging (CR4.LA57) is on, and Monovisor starts with four levels; \
             turn it off in the firmware's setup, or start the system that loads us with `no5lvl`"
        ));
    }
}

/// The mappings that `BootInfo` promises, and our own pages, which run until the jump.
fn map(tables: &mut [Table], placement: Placement) -> Result<u64, boot::TablesExhausted> {
    let mut tables = PageTables::new(tables, placement.boot.base)?;
    tables.map(0, 0, 4 << 30)?;
    tables.map(
        BootInfo::KERNEL_VIRTUAL_BASE,
        placement.kernel.base,
        placement.kernel.bytes,
    )?;
    let image = image::range();
    tables.map(image.base, image.base, image.bytes)?;
    Ok(tables.root())
}

fn read_cr4() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr4", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Turns no-execute page protection on where the CPU has it.
///
/// # Safety
/// The mappings in use do not have bit 63 set for other reasons.
unsafe fn enable_nx() {
    if __cpuid(0x8000_0001).edx & CPUID_NX == 0 {
        return;
    }
    // SAFETY: EFER exists, for we are in long mode; only NXE changes.
    unsafe {
        asm!(
            "rdmsr",
            "or eax, {nxe}",
            "wrmsr",
            nxe = const EFER_NXE,
            in("ecx") EFER,
            out("eax") _,
            out("edx") _,
            options(nomem, nostack),
        );
    }
}
