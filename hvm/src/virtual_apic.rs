//! The virtual-APIC page: a local APIC's registers in memory, in the layout of the hardware's register page, from which
//! the CPU itself serves the guest (SDM vol. 3C, 30.1).
//!
//! It guarantees to the CPU the layout and the alignment that it asks for, and to the rest that each register is read and
//! written whole.

use crate::Gpa;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

const BYTES: usize = 4096;

/// The page. Offsets are those of the xAPIC register page (SDM vol. 3A, table 11-1); those of x2APIC mode are the MSR's
/// low byte times 16.
///
/// The CPU that runs the vCPU works on it in guest mode, and software on the same CPU between an exit and the next entry,
/// so plain loads and stores are enough.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct VirtualApicPage([AtomicU32; BYTES / 4]);

impl VirtualApicPage {
    /// All registers 0.
    pub const fn new() -> Self {
        Self([const { AtomicU32::new(0) }; BYTES / 4])
    }

    /// The dword at `offset`, of which bits 11:2 count.
    #[inline]
    pub fn read(&self, offset: u16) -> u32 {
        self.0[usize::from(offset >> 2) % (BYTES / 4)].load(Relaxed)
    }

    /// Sets it.
    #[inline]
    pub fn write(&self, offset: u16, value: u32) {
        self.0[usize::from(offset >> 2) % (BYTES / 4)].store(value, Relaxed);
    }
}

impl Default for VirtualApicPage {
    fn default() -> Self {
        Self::new()
    }
}

/// How the guest reaches its local APIC, as far as a CPU can serve it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApicMode {
    /// By ways that software alone serves: the APIC is switched off.
    #[default]
    Software,
    /// By memory at this page: xAPIC mode.
    Memory(Gpa),
    /// By MSRs: x2APIC mode.
    Msrs,
}

/// What the CPU has to know beside the page to deliver interrupts (guest interrupt status and EOI-exit bitmap, SDM vol. 3C, 25.4.2
/// and 25.6.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The highest vector requested (RVI), 0 for none.
    pub requested: u8,
    /// The highest vector in service (SVI), 0 for none.
    pub in_service: u8,
    /// The vectors whose EOI must be told to somebody else, 64 to the word.
    pub eoi_exits: [u64; 4],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_cpu_expects() {
        assert_eq!(size_of::<VirtualApicPage>(), 4096);
        assert_eq!(align_of::<VirtualApicPage>(), 4096);
        let page = VirtualApicPage::new();
        page.write(0xffc, 7);
        page.write(0x80, 0x20);
        assert_eq!(
            (page.read(0xffe), page.read(0x80), page.read(0)),
            (7, 0x20, 0)
        );
    }
}
