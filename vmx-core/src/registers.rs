//! The guest's registers in a VMCS.

use crate::bits::entry_controls;
use crate::controls::Controls;
use crate::live;
use crate::shadow;
use crate::vcpu::Vmx;
use crate::vmcs::{Field, Fields};
use crate::vpid::Flush;
use hvm::capability::{Features, NestedPaging, Options};
use hvm::regs::{
    Attributes, Cr0, Cr4, Efer, Gpr, Registers, Rflags, Segment, SegmentName, TableRegister,
};

/// The bits of CR4 that a guest changes without an exit. Not MCE: machine checks are the host's, and shut the CPU down where
/// it is clear; not VMXE, which VMX operation fixes; not what our CPUID never offers.
pub const CR4_OWN: u64 = 0x0077_0fff & !Cr4::MCE.bits();

/// What the guest has for itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    /// The bits of CR0 that it changes without an exit.
    pub cr0: u64,
    /// The same of CR4.
    pub cr4: u64,
    /// Where its CR3 is.
    pub cr3: Field,
    /// Where its EFER is.
    pub efer: EferPlace,
}

/// Where the guest's EFER is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EferPlace {
    /// In the field that the CPU loads it from.
    Field,
    /// In the area that it does.
    Area,
    /// With what is kept where the CPU pages otherwise than the guest.
    Apart,
}

/// The four fields of a segment register: selector, base, limit, access rights.
const fn segment_fields(name: SegmentName) -> [Field; 4] {
    match name {
        SegmentName::Es => [
            Field::GuestEsSelector,
            Field::GuestEsBase,
            Field::GuestEsLimit,
            Field::GuestEsAccessRights,
        ],
        SegmentName::Cs => [
            Field::GuestCsSelector,
            Field::GuestCsBase,
            Field::GuestCsLimit,
            Field::GuestCsAccessRights,
        ],
        SegmentName::Ss => [
            Field::GuestSsSelector,
            Field::GuestSsBase,
            Field::GuestSsLimit,
            Field::GuestSsAccessRights,
        ],
        SegmentName::Ds => [
            Field::GuestDsSelector,
            Field::GuestDsBase,
            Field::GuestDsLimit,
            Field::GuestDsAccessRights,
        ],
        SegmentName::Fs => [
            Field::GuestFsSelector,
            Field::GuestFsBase,
            Field::GuestFsLimit,
            Field::GuestFsAccessRights,
        ],
        SegmentName::Gs => [
            Field::GuestGsSelector,
            Field::GuestGsBase,
            Field::GuestGsLimit,
            Field::GuestGsAccessRights,
        ],
        SegmentName::Ldtr => [
            Field::GuestLdtrSelector,
            Field::GuestLdtrBase,
            Field::GuestLdtrLimit,
            Field::GuestLdtrAccessRights,
        ],
        SegmentName::Tr => [
            Field::GuestTrSelector,
            Field::GuestTrBase,
            Field::GuestTrLimit,
            Field::GuestTrAccessRights,
        ],
    }
}

impl<F: Fields> Vmx<F> {
    /// The bits of CR0 that the guest changes without an exit; those of paging and protection only where it may go without.
    #[inline]
    pub(crate) fn cr0_own(&self) -> u64 {
        self.own.cr0
    }

    /// The same of CR4.
    #[inline]
    pub(crate) fn cr4_own(&self) -> u64 {
        self.own.cr4
    }

    /// Both, without nested paging or with.
    pub(crate) fn choose_own(features: &Features, controls: &Controls) -> Own {
        if features.nested_paging == NestedPaging::Absent {
            return shadow::OWN;
        }
        let always = Cr0::MP | Cr0::EM | Cr0::TS | Cr0::WP | Cr0::AM;
        let cr0 = if features.options.contains(Options::UNRESTRICTED_GUEST) {
            (always | Cr0::PE | Cr0::PG).bits()
        } else {
            always.bits()
        };
        Own {
            cr0,
            cr4: CR4_OWN,
            cr3: Field::GuestCr3,
            efer: if controls.switch_msrs() {
                EferPlace::Field
            } else {
                EferPlace::Area
            },
        }
    }

    /// The bits of CR0 that VMX operation fixes to 1.
    pub(crate) fn cr0_fixed(&self) -> u64 {
        let fixed = self.msrs.cr0_fixed.0;
        if self.has(Options::UNRESTRICTED_GUEST) {
            fixed & !(Cr0::PE | Cr0::PG).bits()
        } else {
            fixed
        }
    }

    /// Has the CPU run the guest with that EFER.
    pub(crate) fn load_efer(&mut self, value: u64) {
        self.fields.write(Field::GuestEfer, value);
        self.areas_mut().set_efer(value);
        let controls = self.fields.read(Field::EntryControls) as u32;
        let long = value & Efer::LMA.bits() != 0;
        let wanted = if long {
            controls | entry_controls::IA32E_GUEST
        } else {
            controls & !entry_controls::IA32E_GUEST
        };
        self.fields.write(Field::EntryControls, wanted.into());
    }

    fn table(&self, base: Field, limit: Field) -> TableRegister {
        TableRegister {
            base: self.fields.read(base),
            limit: self.fields.read(limit) as u16,
        }
    }

    fn set_table(&mut self, (base, limit): (Field, Field), table: TableRegister) {
        self.fields.write(base, table.base);
        self.fields.write(limit, table.limit.into());
    }
}

impl<F: Fields> Registers for Vmx<F> {
    #[inline]
    fn gpr(&self, register: Gpr) -> u64 {
        match register {
            Gpr::Rsp => self.fields.read(Field::GuestRsp),
            other => self.gprs[other as usize],
        }
    }

    #[inline]
    fn set_gpr(&mut self, register: Gpr, value: u64) {
        match register {
            Gpr::Rsp => self.fields.write(Field::GuestRsp, value),
            other => self.gprs[other as usize] = value,
        }
    }

    #[inline]
    fn rip(&self) -> u64 {
        self.fields.read(Field::GuestRip)
    }

    #[inline]
    fn set_rip(&mut self, value: u64) {
        self.fields.write(Field::GuestRip, value);
    }

    #[inline]
    fn rflags(&self) -> u64 {
        self.fields.read(Field::GuestRflags)
    }

    fn set_rflags(&mut self, value: u64) {
        self.fields
            .write(Field::GuestRflags, value | Rflags::FIXED.bits());
    }

    #[inline]
    fn segment(&self, name: SegmentName) -> Segment {
        let [selector, base, limit, rights] = segment_fields(name);
        Segment {
            selector: self.fields.read(selector) as u16,
            attributes: Attributes::from_bits_retain(self.fields.read(rights) as u32),
            limit: self.fields.read(limit) as u32,
            base: self.fields.read(base),
        }
    }

    /// A code or data segment that can be used is an accessed one, as VM entry insists (27.3.1.2) and loading it would have made it.
    fn set_segment(&mut self, name: SegmentName, segment: Segment) {
        const ACCESSED: u32 = 1;
        let mut rights = segment.attributes;
        if rights.contains(Attributes::S) && !rights.contains(Attributes::UNUSABLE) {
            rights |= Attributes::from_bits_retain(ACCESSED);
        }
        let [selector_field, base, limit, rights_field] = segment_fields(name);
        self.fields.write(selector_field, segment.selector.into());
        self.fields.write(base, segment.base);
        self.fields.write(limit, segment.limit.into());
        self.fields.write(rights_field, rights.bits().into());
    }

    fn gdtr(&self) -> TableRegister {
        self.table(Field::GuestGdtrBase, Field::GuestGdtrLimit)
    }

    fn set_gdtr(&mut self, table: TableRegister) {
        self.set_table((Field::GuestGdtrBase, Field::GuestGdtrLimit), table);
    }

    fn idtr(&self) -> TableRegister {
        self.table(Field::GuestIdtrBase, Field::GuestIdtrLimit)
    }

    fn set_idtr(&mut self, table: TableRegister) {
        self.set_table((Field::GuestIdtrBase, Field::GuestIdtrLimit), table);
    }

    #[inline]
    fn cr0(&self) -> u64 {
        let own = self.cr0_own();
        self.fields.read(Field::GuestCr0) & own | self.fields.read(Field::Cr0ReadShadow) & !own
    }

    /// CD and NW stay in the shadow: the caches are the host's.
    fn set_cr0(&mut self, value: u64) {
        let caches = (Cr0::CD | Cr0::NW).bits();
        let real = (value & !caches | self.cr0_fixed()) & self.msrs.cr0_fixed.1;
        self.fields.write(Field::GuestCr0, real);
        self.fields.write(Field::Cr0ReadShadow, value);
        self.follow_cr0(value);
        self.forget_root();
        self.forget(Flush::Linear);
    }

    fn cr2(&self) -> u64 {
        live::cr2()
    }

    fn set_cr2(&mut self, value: u64) {
        live::set_cr2(value);
    }

    #[inline]
    fn cr3(&self) -> u64 {
        self.fields.read(self.own.cr3)
    }

    fn set_cr3(&mut self, value: u64) {
        self.fields.write(self.own.cr3, value);
        self.forget_root();
        self.forget(Flush::Linear);
    }

    #[inline]
    fn cr4(&self) -> u64 {
        let own = self.cr4_own();
        self.fields.read(Field::GuestCr4) & own | self.fields.read(Field::Cr4ReadShadow) & !own
    }

    fn set_cr4(&mut self, value: u64) {
        let (fixed, allowed) = self.msrs.cr4_fixed;
        let wanted = match self.is_unpaged() {
            true => Self::cr4_while_unpaged(value),
            false => value,
        };
        let real = (wanted | fixed | Cr4::MCE.bits()) & allowed;
        self.fields.write(Field::GuestCr4, real);
        self.fields.write(Field::Cr4ReadShadow, value);
        self.forget_root();
        self.forget(Flush::Linear);
    }

    #[inline]
    fn efer(&self) -> u64 {
        match self.own.efer {
            EferPlace::Field => self.fields.read(Field::GuestEfer),
            EferPlace::Area => self.areas().efer(),
            EferPlace::Apart => match self.unpaged {
                Some(unpaged) => unpaged.efer,
                None => self.shadow.map_or(0, |shadow| shadow.efer),
            },
        }
    }

    fn set_efer(&mut self, value: u64) {
        match (self.own.efer, &mut self.shadow, &mut self.unpaged) {
            (EferPlace::Apart, Some(shadow), _) => shadow.efer = value,
            (EferPlace::Apart, None, Some(unpaged)) => {
                unpaged.efer = value;
                self.load_efer(Self::efer_while_unpaged(value));
            }
            _ => self.load_efer(value),
        }
        self.forget_root();
        self.forget(Flush::Linear);
    }

    /// As VM entry and exit have it: the privilege level of SS.
    #[inline]
    fn cpl(&self) -> u8 {
        (self.fields.read(Field::GuestSsAccessRights) >> 5) as u8 & 3
    }
}
