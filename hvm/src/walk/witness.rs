//! What an answer about the guest's code depends on.

use crate::regs::{Cr0, Registers};
use guest_mem::{Gpa, GuestMemory, Watch};

/// The registers that decide fetches, and words of guest memory, as they were when the answer was found. While all of
/// them are the same the answer is, too. AC and WP do not matter to fetches. With paging the first word is the entry of the table that CR3
/// names, so that another CR3 gives the same answer if it leads to an equal one.
#[derive(Clone, Copy)]
pub(crate) struct Witness {
    cr0: u64,
    cr3: u64,
    cr4: u64,
    efer: u64,
    cpl: u8,
    words: Watch,
}

impl Witness {
    /// Of the registers as they are now.
    pub fn of(cpu: &impl Registers, memory: &GuestMemory) -> Self {
        Self {
            cr0: cpu.cr0(),
            cr3: cpu.cr3(),
            cr4: cpu.cr4(),
            efer: cpu.efer(),
            cpl: cpu.cpl(),
            words: Watch::new(memory),
        }
    }

    /// One more aligned word, as it was read. One too many makes that the answer never holds again.
    pub fn add(&mut self, memory: &GuestMemory, at: Gpa, value: u64) {
        self.words.add(memory, at, value);
    }

    /// True if nothing has changed.
    #[inline(always)]
    pub fn holds(&self, cpu: &impl Registers, memory: &GuestMemory) -> bool {
        (self.is_of(cpu) || self.holds_from(cpu.cr3(), memory)) && self.holds_behind(cpu, memory)
    }

    /// True if CR3 is what it was.
    #[inline(always)]
    pub fn is_of(&self, cpu: &impl Registers) -> bool {
        self.cr3 == cpu.cr3()
    }

    /// True if nothing has changed but perhaps CR3.
    #[inline(always)]
    pub fn holds_behind(&self, cpu: &impl Registers, memory: &GuestMemory) -> bool {
        self.cr0 == cpu.cr0()
            && self.cr4 == cpu.cr4()
            && self.efer == cpu.efer()
            && self.cpl == cpu.cpl()
            && self.words.holds(memory)
    }

    /// True if a walk from this CR3 goes by the same entries behind the first: the kernel's part of all address spaces does.
    #[cold]
    #[inline(never)]
    fn holds_from(&self, cr3: u64, memory: &GuestMemory) -> bool {
        let table = Gpa(cr3 & super::ADDRESS);
        self.cr0 & Cr0::PG.bits() != 0 && self.words.begins_as_in(memory, table)
    }
}
