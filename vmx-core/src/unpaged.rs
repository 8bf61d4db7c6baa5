//! Protected mode without paging, on a CPU with EPT that enters no guest without (SDM vol. 3C, 24.8): such a guest runs with a table that
//! maps each linear address to itself.
//!
//! The table lies in guest-physical memory, because that is where CR3 points: a guest that writes to it harms itself. While it is in use,
//! CR3, EFER and the bits of CR4 that decide on paging are kept apart, as under shadow tables.

use crate::bits::primary;
use crate::registers::{EferPlace, Own};
use crate::shadow;
use crate::vcpu::Vmx;
use crate::vmcs::{Field, Fields};
use hvm::Gpa;
use hvm::capability::{Features, NestedPaging, Options};
use hvm::regs::{Cr0, Cr4, Efer, Registers};

/// Where the table is: between the local APIC and the ROM, where no RAM and no device is.
pub const TABLE: Gpa = Gpa(0xfeff_c000);

/// Pages of 4 MiB that are present, writable, for user code, accessed and dirty.
const LARGE_PAGE: u32 = 0xe7;
const LARGE_PAGE_SHIFT: u32 = 22;

/// The table.
pub type Table = [u32; 1024];

/// Fills the table.
pub fn fill(table: &mut Table) {
    for (entry, page) in table.iter_mut().zip(0_u32..) {
        *entry = page << LARGE_PAGE_SHIFT | LARGE_PAGE;
    }
}

/// What such a vCPU keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unpaged {
    /// What the guest has for itself while it pages.
    paged: Own,
    /// EFER while it does not.
    pub efer: u64,
    /// The guest does not page.
    is_on: bool,
}

impl Unpaged {
    /// For a CPU with these features, if it needs that. The guest starts paged, which the first write of CR0 changes.
    pub fn choose(features: &Features, own: Own) -> Option<Self> {
        let needs = features.nested_paging != NestedPaging::Absent
            && !features.options.contains(Options::UNRESTRICTED_GUEST);
        needs.then_some(Self {
            paged: own,
            efer: 0,
            is_on: false,
        })
    }

    fn own(&self) -> Own {
        match self.is_on {
            true => Own {
                cr4: shadow::OWN.cr4,
                cr3: shadow::OWN.cr3,
                efer: EferPlace::Apart,
                ..self.paged
            },
            false => self.paged,
        }
    }
}

impl<F: Fields> Vmx<F> {
    pub(crate) fn is_unpaged(&self) -> bool {
        self.unpaged.is_some_and(|unpaged| unpaged.is_on)
    }

    /// The bits of CR4 that the CPU is to have, of those that the guest has.
    pub(crate) fn cr4_while_unpaged(value: u64) -> u64 {
        let of_paging = Cr4::PAE | Cr4::PGE | Cr4::PCIDE | Cr4::SMEP | Cr4::SMAP | Cr4::PKE;
        value & !of_paging.bits() | Cr4::PSE.bits()
    }

    /// Without paging there is no long mode.
    pub(crate) fn efer_while_unpaged(value: u64) -> u64 {
        value & !(Efer::LME | Efer::LMA).bits()
    }

    /// CR0 was written: puts the other registers where they now belong.
    pub(crate) fn follow_cr0(&mut self, cr0: u64) {
        let is_on = cr0 & Cr0::PG.bits() == 0;
        let Some(unpaged) = self.unpaged.filter(|unpaged| unpaged.is_on != is_on) else {
            return;
        };
        let (cr3, cr4, efer) = (self.cr3(), self.cr4(), self.efer());
        let now = Unpaged { is_on, ..unpaged };
        self.unpaged = Some(now);
        self.own = now.own();
        self.fields.write(Field::Cr4Mask, !self.cr4_own());
        let exiting = primary::CR3_LOAD_EXITING | primary::CR3_STORE_EXITING;
        // Some CPUs insist on these.
        let always = self.msrs.primary as u32 & exiting;
        self.control(exiting & !always, is_on);
        self.set_cr3(cr3);
        self.set_cr4(cr4);
        self.set_efer(efer);
        if is_on {
            self.fields.write(Field::GuestCr3, TABLE.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::entry_controls;
    use crate::check::first_violation;
    use crate::check::tests::vcpu::{restricted, run_flat};
    use hvm::exit::Exit;
    use hvm::vcpu::Vcpu;

    #[test]
    fn the_table_maps_addresses_to_themselves() {
        let mut table = [0; 1024];
        fill(&mut table);
        assert_eq!(
            (table[0], table[1], table[1023]),
            (0xe7, 0x40_00e7, 0xffc0_00e7)
        );
    }

    #[test]
    fn the_guest_finds_its_own_values_and_the_cpu_a_table() {
        let mut cpu = restricted();
        assert_eq!(cpu.run(), Exit::Emulate);
        run_flat(&mut cpu);
        cpu.set_efer(0x100);
        cpu.set_cr4(Cr4::PAE.bits());
        cpu.set_cr3(0x7000);
        assert!(cpu.executes());
        assert_eq!(
            first_violation(&cpu.fields, &cpu.msrs),
            "no rule that this checker knows is broken"
        );
        assert_eq!(
            (cpu.cr0() & !0x10, cpu.cr3(), cpu.cr4(), cpu.efer()),
            (1, 0x7000, 0x20, 0x100)
        );
        let fields = &cpu.fields;
        assert_eq!(fields.read(Field::GuestCr3), TABLE.0);
        let sizes = (Cr4::PSE | Cr4::PAE).bits();
        assert_eq!(fields.read(Field::GuestCr4) & sizes, Cr4::PSE.bits());
        assert_eq!(fields.read(Field::GuestEfer), 0);
        let exits = fields.read(Field::PrimaryControls) as u32;
        assert_ne!(exits & primary::CR3_LOAD_EXITING, 0);
        // Paging starts, and with it long mode.
        cpu.set_efer(0x500);
        cpu.set_cr0(0x8000_0011);
        let fields = &cpu.fields;
        assert_eq!(fields.read(Field::GuestCr3), 0x7000);
        assert_eq!(fields.read(Field::GuestEfer), 0x500);
        assert_eq!(fields.read(Field::GuestCr4) & sizes, Cr4::PAE.bits());
        assert_ne!(
            fields.read(Field::EntryControls) as u32 & entry_controls::IA32E_GUEST,
            0
        );
        let exits = fields.read(Field::PrimaryControls) as u32;
        assert_eq!(exits & primary::CR3_LOAD_EXITING, 0);
        assert_eq!((cpu.cr3(), cpu.cr4(), cpu.efer()), (0x7000, 0x20, 0x500));
    }

    #[test]
    fn segments_of_real_mode_are_beyond_it() {
        let mut cpu = restricted();
        run_flat(&mut cpu);
        assert!(cpu.executes());
        let mut code = cpu.segment(hvm::regs::SegmentName::Cs);
        code.attributes = hvm::regs::Attributes::from_bits_retain(0x93);
        cpu.set_segment(hvm::regs::SegmentName::Cs, code);
        assert!(!cpu.executes());
        run_flat(&mut cpu);
        cpu.set_cr0(0x10);
        assert!(!cpu.executes());
        assert_eq!(cpu.run(), Exit::Emulate);
    }
}
