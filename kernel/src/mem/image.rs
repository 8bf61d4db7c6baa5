//! The kernel image in memory: its segments, as the linker script `kernel.ld` lays them out.

use boot::{BootInfo, PhysRange};
use core::sync::atomic::{AtomicU64, Ordering};
use guest_mem::Hpa;

/// What may be done with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Instructions.
    ReadExecute,
    /// Constants.
    Read,
    /// Variables and stacks.
    ReadWrite,
}

/// A part of the image with the same rights throughout.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Linked address of the first byte; page-aligned.
    pub virt: u64,
    /// Physical range; whole pages.
    pub phys: PhysRange,
    /// Its rights.
    pub rights: Rights,
}

static BASE: AtomicU64 = AtomicU64::new(0);

/// Remembers where the loader put the image.
pub(super) fn init(boot: &BootInfo) {
    BASE.store(boot.kernel.base, Ordering::Relaxed);
}

/// Physical address of the image's first byte.
pub fn base() -> Hpa {
    Hpa(BASE.load(Ordering::Relaxed))
}

/// Offset in the image of a linked address, if it is one. Everything above the image's base counts: nothing else lives there.
pub fn offset_of(virt: u64) -> Option<u64> {
    virt.checked_sub(BootInfo::KERNEL_VIRTUAL_BASE)
}

#[cfg(target_os = "none")]
mod symbols {
    unsafe extern "C" {
        static __text_start: u8;
        static __rodata_start: u8;
        static __data_start: u8;
        static __image_end: u8;
    }

    /// Start of text, of constants, of data, and the end.
    pub fn bounds() -> [u64; 4] {
        [
            (&raw const __text_start).addr() as u64,
            (&raw const __rodata_start).addr() as u64,
            (&raw const __data_start).addr() as u64,
            (&raw const __image_end).addr() as u64,
        ]
    }
}

#[cfg(not(target_os = "none"))]
mod symbols {
    /// A hosted program has no image of ours.
    pub fn bounds() -> [u64; 4] {
        [super::BootInfo::KERNEL_VIRTUAL_BASE; 4]
    }
}

/// The three segments.
pub fn segments() -> [Segment; 3] {
    let bounds = symbols::bounds();
    let segment = |at: usize, rights| {
        let virt = bounds[at];
        let base = base().0 + (virt - BootInfo::KERNEL_VIRTUAL_BASE);
        Segment {
            virt,
            phys: PhysRange {
                base,
                bytes: bounds[at + 1] - virt,
            },
            rights,
        }
    };
    [
        segment(0, Rights::ReadExecute),
        segment(1, Rights::Read),
        segment(2, Rights::ReadWrite),
    ]
}
