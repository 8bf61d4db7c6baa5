//! The guest's registers: those that VMRUN and VMSAVE switch are in the control block, the others beside it.

use crate::bits::{EFER_SVME, clean};
use crate::vcpu::Svm;
use crate::{live, vmcb};
use hvm::regs::{Attributes, Gpr, Registers, Rflags, Segment, SegmentName, TableRegister};

impl Svm {
    fn segment_mut(&mut self, name: SegmentName) -> &mut vmcb::Segment {
        let save = &mut self.touch(clean::SEG).save;
        match name {
            SegmentName::Es => &mut save.es,
            SegmentName::Cs => &mut save.cs,
            SegmentName::Ss => &mut save.ss,
            SegmentName::Ds => &mut save.ds,
            SegmentName::Fs => &mut save.fs,
            SegmentName::Gs => &mut save.gs,
            SegmentName::Ldtr => &mut save.ldtr,
            SegmentName::Tr => &mut save.tr,
        }
    }
}

impl Registers for Svm {
    #[inline]
    fn gpr(&self, register: Gpr) -> u64 {
        match register {
            Gpr::Rax => self.vmcb().save.rax,
            Gpr::Rsp => self.vmcb().save.rsp,
            other => self.gprs[other as usize],
        }
    }

    #[inline]
    fn set_gpr(&mut self, register: Gpr, value: u64) {
        match register {
            Gpr::Rax => self.vmcb_mut().save.rax = value,
            Gpr::Rsp => self.vmcb_mut().save.rsp = value,
            other => self.gprs[other as usize] = value,
        }
    }

    #[inline]
    fn rip(&self) -> u64 {
        self.vmcb().save.rip
    }

    #[inline]
    fn set_rip(&mut self, value: u64) {
        self.vmcb_mut().save.rip = value;
    }

    #[inline]
    fn rflags(&self) -> u64 {
        self.vmcb().save.rflags & self.own_flags
    }

    fn set_rflags(&mut self, value: u64) {
        let borrowed = !self.own_flags;
        self.vmcb_mut().save.rflags = value | Rflags::FIXED.bits() | borrowed;
    }

    #[inline]
    fn segment(&self, name: SegmentName) -> Segment {
        let save = &self.vmcb().save;
        let raw = match name {
            SegmentName::Es => &save.es,
            SegmentName::Cs => &save.cs,
            SegmentName::Ss => &save.ss,
            SegmentName::Ds => &save.ds,
            SegmentName::Fs => &save.fs,
            SegmentName::Gs => &save.gs,
            SegmentName::Ldtr => &save.ldtr,
            SegmentName::Tr => &save.tr,
        };
        Segment {
            selector: raw.selector,
            attributes: Attributes::from_bits_retain(vmcb::unpack(raw.attributes)),
            limit: raw.limit,
            base: raw.base,
        }
    }

    fn set_segment(&mut self, name: SegmentName, segment: Segment) {
        let attributes = if segment.attributes.contains(Attributes::UNUSABLE) {
            0
        } else {
            vmcb::pack(segment.attributes.bits())
        };
        *self.segment_mut(name) = vmcb::Segment {
            selector: segment.selector,
            attributes,
            limit: segment.limit,
            base: segment.base,
        };
        if name == SegmentName::Ss {
            // The CPU takes CPL from its own field, not from SS (APM vol. 2, 15.5.1, "Segment State").
            self.vmcb_mut().save.cpl = segment.dpl();
        }
    }

    fn gdtr(&self) -> TableRegister {
        let raw = &self.vmcb().save.gdtr;
        TableRegister {
            base: raw.base,
            limit: raw.limit as u16,
        }
    }

    fn set_gdtr(&mut self, table: TableRegister) {
        let raw = &mut self.touch(clean::DT).save.gdtr;
        (raw.base, raw.limit) = (table.base, table.limit.into());
    }

    fn idtr(&self) -> TableRegister {
        let raw = &self.vmcb().save.idtr;
        TableRegister {
            base: raw.base,
            limit: raw.limit as u16,
        }
    }

    fn set_idtr(&mut self, table: TableRegister) {
        let raw = &mut self.touch(clean::DT).save.idtr;
        (raw.base, raw.limit) = (table.base, table.limit.into());
    }

    #[inline]
    fn cr0(&self) -> u64 {
        self.vmcb().save.cr0
    }

    fn set_cr0(&mut self, value: u64) {
        self.touch(clean::CRX).save.cr0 = value;
        self.forget_root();
        self.want_flush();
    }

    fn cr2(&self) -> u64 {
        self.vmcb().save.cr2
    }

    fn set_cr2(&mut self, value: u64) {
        self.touch(clean::CR2).save.cr2 = value;
        live::set_cr2(value);
    }

    #[inline]
    fn cr3(&self) -> u64 {
        self.vmcb().save.cr3
    }

    fn set_cr3(&mut self, value: u64) {
        self.touch(clean::CRX).save.cr3 = value;
        self.forget_root();
        self.want_flush();
    }

    #[inline]
    fn cr4(&self) -> u64 {
        self.vmcb().save.cr4
    }

    fn set_cr4(&mut self, value: u64) {
        self.touch(clean::CRX).save.cr4 = value;
        self.forget_root();
        self.want_flush();
    }

    #[inline]
    fn efer(&self) -> u64 {
        self.vmcb().save.efer & !EFER_SVME
    }

    fn set_efer(&mut self, value: u64) {
        self.touch(clean::CRX).save.efer = value | EFER_SVME;
        self.forget_root();
        self.want_flush();
    }

    #[inline]
    fn cpl(&self) -> u8 {
        self.vmcb().save.cpl & 3
    }
}
