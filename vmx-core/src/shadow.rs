//! A vCPU whose memory is found by shadow tables: what the CPU has in CR0, CR3, CR4 and EFER is not what the guest has.
//!
//! Those bits of CR0 and CR4 that decide on paging are the host's, so that the guest reads them from the read shadows and exits when it
//! changes one (SDM vol. 3C, 25.6.6). CR3 and EFER are kept apart, and the CPU's written when the kernel tells the root. No instruction
//! changes them without an exit.

use crate::registers::{EferPlace, Own};
use crate::vcpu::Vmx;
use crate::vmcs::{Field, Fields};
use crate::vpid::Flush;
use hvm::capability::{ApicVirtualization, Features, NestedPaging, Options};
use hvm::regs::{Cr0, Cr4, Efer, Registers};
use hvm::vcpu::{INTERCEPTED_EXCEPTIONS, ShadowRoot};

/// Page faults.
const PAGE_FAULT: u32 = 1 << 14;

/// Bits of CR0 and CR4 that have nothing to do with paging.
pub(crate) const OWN: Own = Own {
    cr0: Cr0::MP.union(Cr0::EM).union(Cr0::TS).union(Cr0::AM).bits(),
    cr4: Cr4::VME
        .union(Cr4::PVI)
        .union(Cr4::TSD)
        .union(Cr4::DE)
        .union(Cr4::PCE)
        .union(Cr4::OSFXSR)
        .union(Cr4::OSXMMEXCPT)
        .union(Cr4::UMIP)
        .union(Cr4::FSGSBASE)
        .union(Cr4::OSXSAVE)
        .bits(),
    // There are none to compare with (25.6.7), so nothing but us looks at it.
    cr3: Field::Cr3Target0,
    efer: EferPlace::Apart,
};

/// What of a CPU's features can be used: without nested paging nothing that builds on it. The local APIC is left to software then.
pub(crate) fn usable(features: &Features) -> Features {
    let mut usable = *features;
    if features.nested_paging == NestedPaging::Absent {
        usable.options -= Options::UNRESTRICTED_GUEST
            | Options::NESTED_DIRTY_BITS
            | Options::PAGE_MODIFICATION_LOG
            | Options::APIC_ACCESS_PAGE
            | Options::X2APIC_VIRTUALIZATION;
        usable.apic_virtualization = ApicVirtualization::Absent;
    }
    usable
}

/// The state of such a vCPU.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shadow {
    pub efer: u64,
    /// The registers are those that the root was made for.
    has_root: bool,
}

impl<F: Fields> Vmx<F> {
    pub(crate) fn intercepted_exceptions(&self) -> u32 {
        match self.shadow {
            None => INTERCEPTED_EXCEPTIONS,
            Some(_) => INTERCEPTED_EXCEPTIONS | PAGE_FAULT,
        }
    }

    pub(crate) fn lacks_root(&self) -> bool {
        self.shadow.is_some_and(|shadow| !shadow.has_root)
    }

    /// The registers are others than those that the root was made for.
    pub(crate) fn forget_root(&mut self) {
        if let Some(shadow) = &mut self.shadow {
            shadow.has_root = false;
        }
    }

    /// Writes what the CPU is to have. It pages whether the guest does or not, and respects read-only pages.
    pub(crate) fn take_root(&mut self, root: ShadowRoot) {
        let Some(shadow) = &mut self.shadow else {
            return;
        };
        shadow.has_root = true;
        let (cr0, cr4, efer) = (self.cr0(), self.cr4(), self.efer());
        let real = self.fields.read(Field::GuestCr0);
        self.fields
            .write(Field::GuestCr0, real | (Cr0::PG | Cr0::WP).bits());
        let mut kept = !(Cr4::PGE | Cr4::PCIDE).bits();
        if cr0 & Cr0::PG.bits() == 0 {
            kept &= !(Cr4::SMEP | Cr4::SMAP | Cr4::PKE).bits();
        }
        let (fixed, allowed) = self.msrs.cr4_fixed;
        let real = (cr4 & kept | fixed | (Cr4::PAE | Cr4::MCE).bits()) & allowed;
        self.fields.write(Field::GuestCr4, real);
        let efer = efer | Efer::NXE.bits();
        let long = (Efer::LME | Efer::LMA).bits();
        let (table, efer) = match root {
            ShadowRoot::Long(table) => (table, efer | long),
            ShadowRoot::Pae(pointers) => (pointers, efer & !long),
        };
        self.fields.write(Field::GuestCr3, table.0);
        self.load_efer(efer);
        self.forget(Flush::Linear);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::{entry_controls, primary};
    use crate::check::tests::vcpu::vcpu_with;
    use hvm::Hpa;
    use hvm::exit::Exit;
    use hvm::vcpu::Vcpu;

    #[test]
    fn what_would_change_the_root_exits() {
        let cpu = vcpu_with(NestedPaging::Absent);
        let primary = cpu.fields.read(Field::PrimaryControls) as u32;
        let wanted =
            primary::INVLPG_EXITING | primary::CR3_LOAD_EXITING | primary::CR3_STORE_EXITING;
        assert_eq!(primary & wanted, wanted);
        assert_ne!(
            cpu.fields.read(Field::ExceptionBitmap) & u64::from(PAGE_FAULT),
            0
        );
        let paging = (Cr0::PE | Cr0::PG | Cr0::WP).bits();
        assert_eq!(cpu.fields.read(Field::Cr0Mask) & paging, paging);
        let paging = (Cr4::PAE | Cr4::PSE | Cr4::PGE | Cr4::SMEP | Cr4::SMAP).bits();
        assert_eq!(cpu.fields.read(Field::Cr4Mask) & paging, paging);
    }

    #[test]
    fn the_guest_finds_its_own_values_and_the_cpu_others() {
        let mut cpu = vcpu_with(NestedPaging::Absent);
        cpu.set_efer(0x101);
        cpu.set_cr4(0x30_0090);
        cpu.set_cr3(0x7000);
        cpu.set_cr0(0x11);
        assert_eq!(cpu.run(), Exit::PagingChanged);
        cpu.set_shadow_root(ShadowRoot::Pae(Hpa(0x1000)));
        assert!(!cpu.needs_shadow_root());
        let guests = (cpu.cr0(), cpu.cr3(), cpu.cr4(), cpu.efer());
        assert_eq!(guests, (0x11, 0x7000, 0x30_0090, 0x101));
        let fields = &cpu.fields;
        let paging = (Cr0::PE | Cr0::PG | Cr0::WP).bits();
        assert_eq!(fields.read(Field::GuestCr0) & paging, paging);
        assert_eq!(fields.read(Field::GuestCr3), 0x1000);
        let unwanted = (Cr4::PGE | Cr4::SMEP | Cr4::SMAP).bits();
        assert_eq!(
            fields.read(Field::GuestCr4) & (unwanted | Cr4::PAE.bits()),
            Cr4::PAE.bits()
        );
        assert_eq!(fields.read(Field::GuestEfer), 1 | Efer::NXE.bits());
        let long = u64::from(entry_controls::IA32E_GUEST);
        assert_eq!(fields.read(Field::EntryControls) & long, 0);
        cpu.set_cr0(0x8000_0011);
        cpu.set_efer(0x501);
        assert!(cpu.needs_shadow_root());
        cpu.set_shadow_root(ShadowRoot::Long(Hpa(0x2000)));
        assert_ne!(cpu.fields.read(Field::EntryControls) & long, 0);
        assert_eq!(cpu.fields.read(Field::GuestCr3), 0x2000);
    }
}
