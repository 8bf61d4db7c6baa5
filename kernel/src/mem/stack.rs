//! Stacks, each above a page that is not mapped, so that an overflow faults instead of writing on.

use super::layout::STACKS_BASE;
use super::paging::{Bits, OutOfFrames, with_kernel_tables};
use super::{PAGE_BYTES, frames};
use boot::PhysRange;
use core::arch::naked_asm;
use core::sync::atomic::{AtomicU64, Ordering};

/// What the main flow of a CPU runs on. The deepest user is the start of a guest on the boot CPU.
const MAIN_BYTES: usize = 128 << 10;
/// What an exception runs on that must not trust the main stack.
const FAULT_BYTES: usize = 16 << 10;

#[repr(C, align(4096))]
struct Guarded<const BYTES: usize> {
    guard: [u8; PAGE_BYTES as usize],
    stack: [u8; BYTES],
}

impl<const BYTES: usize> Guarded<BYTES> {
    const fn new() -> Self {
        Self {
            guard: [0; PAGE_BYTES as usize],
            stack: [0; BYTES],
        }
    }
}

/// The stacks of one CPU.
#[repr(C, align(4096))]
pub struct CpuStacks {
    main: Guarded<MAIN_BYTES>,
    double_fault: Guarded<FAULT_BYTES>,
    nmi: Guarded<FAULT_BYTES>,
    machine_check: Guarded<FAULT_BYTES>,
}

/// Tops (first address past the end) of a CPU's stacks.
#[derive(Clone, Copy, Debug)]
pub struct StackTops {
    /// The main flow, interrupts and ordinary exceptions.
    pub main: u64,
    /// #DF.
    pub double_fault: u64,
    /// NMI.
    pub nmi: u64,
    /// #MC.
    pub machine_check: u64,
}

const GUARD_OFFSETS: [usize; 4] = [
    core::mem::offset_of!(CpuStacks, main),
    core::mem::offset_of!(CpuStacks, double_fault),
    core::mem::offset_of!(CpuStacks, nmi),
    core::mem::offset_of!(CpuStacks, machine_check),
];

/// The stacks of the boot CPU; entry code and hardware use them, nothing in Rust does.
pub static mut BOOT_CPU: CpuStacks = CpuStacks {
    main: Guarded::new(),
    double_fault: Guarded::new(),
    nmi: Guarded::new(),
    machine_check: Guarded::new(),
};

/// Offset from [`boot_base`] to the top of the boot CPU's main stack.
pub const BOOT_MAIN_TOP: usize =
    core::mem::offset_of!(CpuStacks, main) + size_of::<Guarded<MAIN_BYTES>>();

/// The boot CPU's stacks, part of the image.
pub const fn boot_base() -> *const CpuStacks {
    &raw const BOOT_CPU
}

/// Tops of the boot CPU's stacks.
pub fn boot_tops() -> StackTops {
    tops(boot_base().addr() as u64)
}

/// The pages under the boot CPU's stacks.
pub(super) fn boot_guards() -> [u64; 4] {
    GUARD_OFFSETS.map(|offset| boot_base().addr() as u64 + offset as u64)
}

/// Stacks for one more CPU.
pub fn alloc_for_cpu() -> Result<StackTops, OutOfFrames> {
    let base = alloc_slot(size_of::<CpuStacks>() as u64, &GUARD_OFFSETS)?;
    Ok(tops(base))
}

fn tops(base: u64) -> StackTops {
    let top = |offset: usize, bytes: usize| base + (offset + bytes) as u64;
    StackTops {
        main: base + BOOT_MAIN_TOP as u64,
        double_fault: top(GUARD_OFFSETS[1], size_of::<Guarded<FAULT_BYTES>>()),
        nmi: top(GUARD_OFFSETS[2], size_of::<Guarded<FAULT_BYTES>>()),
        machine_check: top(GUARD_OFFSETS[3], size_of::<Guarded<FAULT_BYTES>>()),
    }
}

/// Maps fresh frames in the next slot of the stack area, and leaves the guard pages out.
fn alloc_slot(bytes: u64, guards: &[usize]) -> Result<u64, OutOfFrames> {
    static NEXT: AtomicU64 = AtomicU64::new(STACKS_BASE);
    let base = NEXT.fetch_add(bytes, Ordering::Relaxed);
    let range = frames::alloc_contiguous(bytes, PAGE_BYTES).ok_or(OutOfFrames)?;
    with_kernel_tables(|tables| {
        for page in (0..bytes).step_by(PAGE_BYTES as usize) {
            let phys = PhysRange {
                base: range.base + page,
                bytes: PAGE_BYTES,
            };
            if guards.contains(&(page as usize)) {
                frames::free(phys);
            } else {
                tables.map(base + page, phys, Bits::DATA)?;
            }
        }
        Ok(base)
    })
}

/// Runs `work` on a new stack of `bytes` and comes back. The stack is kept: this is for the one deep job of a run
/// (interpreting AML), not for a loop.
pub fn run_on_new(bytes: u64, work: extern "C" fn()) -> Result<(), OutOfFrames> {
    let bytes = bytes.next_multiple_of(PAGE_BYTES) + PAGE_BYTES;
    let base = alloc_slot(bytes, &[0])?;
    // SAFETY: the slot is fresh, mapped and page-aligned, and nothing else uses it.
    unsafe { call_on(base + bytes, work) };
    Ok(())
}

/// # Safety
/// `top` is 16-aligned and ends a mapped stack that is not in use.
#[unsafe(naked)]
unsafe extern "C" fn call_on(top: u64, work: extern "C" fn()) {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "mov rsp, rdi",
        "call rsi",
        "mov rsp, rbp",
        "pop rbp",
        "ret",
    )
}
