//! The virtual-machine control structure (SDM vol. 3C, chapter 25): its fields by name, and access to the current one.
//!
//! Its layout is the CPU's secret: fields are reached by encoding (SDM vol. 3D, appendix B), with VMREAD and VMWRITE, on the
//! CPU where it is current. What only needs field values takes any [`Fields`], so that it can be tested without a CPU.

use crate::bits::basic;
use crate::controls::Msrs;
use core::arch::asm;
use core::ptr::NonNull;
use hvm::Hpa;

/// A field, by its encoding (SDM vol. 3D, appendix B).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
#[allow(missing_docs)] // the names are the manual's
pub enum Field {
    // 16-bit control fields.
    Vpid = 0x0000,
    PostedInterruptNotificationVector = 0x0002,
    // 16-bit guest-state fields.
    GuestEsSelector = 0x0800,
    GuestCsSelector = 0x0802,
    GuestSsSelector = 0x0804,
    GuestDsSelector = 0x0806,
    GuestFsSelector = 0x0808,
    GuestGsSelector = 0x080a,
    GuestLdtrSelector = 0x080c,
    GuestTrSelector = 0x080e,
    GuestInterruptStatus = 0x0810,
    PmlIndex = 0x0812,
    // 16-bit host-state fields.
    HostEsSelector = 0x0c00,
    HostCsSelector = 0x0c02,
    HostSsSelector = 0x0c04,
    HostDsSelector = 0x0c06,
    HostFsSelector = 0x0c08,
    HostGsSelector = 0x0c0a,
    HostTrSelector = 0x0c0c,
    // 64-bit control fields.
    IoBitmapA = 0x2000,
    IoBitmapB = 0x2002,
    MsrBitmaps = 0x2004,
    ExitMsrStoreAddress = 0x2006,
    ExitMsrLoadAddress = 0x2008,
    EntryMsrLoadAddress = 0x200a,
    ExecutiveVmcsPointer = 0x200c,
    PmlAddress = 0x200e,
    TscOffset = 0x2010,
    VirtualApicAddress = 0x2012,
    ApicAccessAddress = 0x2014,
    PostedInterruptDescriptorAddress = 0x2016,
    EptPointer = 0x201a,
    EoiExitBitmap0 = 0x201c,
    EoiExitBitmap1 = 0x201e,
    EoiExitBitmap2 = 0x2020,
    EoiExitBitmap3 = 0x2022,
    XssExitingBitmap = 0x202c,
    TscMultiplier = 0x2032,
    // 64-bit read-only data field.
    GuestPhysicalAddress = 0x2400,
    // 64-bit guest-state fields.
    VmcsLinkPointer = 0x2800,
    GuestDebugctl = 0x2802,
    GuestPat = 0x2804,
    GuestEfer = 0x2806,
    GuestPerfGlobalCtrl = 0x2808,
    GuestPdpte0 = 0x280a,
    GuestPdpte1 = 0x280c,
    GuestPdpte2 = 0x280e,
    GuestPdpte3 = 0x2810,
    GuestBndcfgs = 0x2812,
    // 64-bit host-state fields.
    HostPat = 0x2c00,
    HostEfer = 0x2c02,
    HostPerfGlobalCtrl = 0x2c04,
    // 32-bit control fields.
    PinBasedControls = 0x4000,
    PrimaryControls = 0x4002,
    ExceptionBitmap = 0x4004,
    PageFaultErrorCodeMask = 0x4006,
    PageFaultErrorCodeMatch = 0x4008,
    Cr3TargetCount = 0x400a,
    ExitControls = 0x400c,
    ExitMsrStoreCount = 0x400e,
    ExitMsrLoadCount = 0x4010,
    EntryControls = 0x4012,
    EntryMsrLoadCount = 0x4014,
    EntryInterruptionInformation = 0x4016,
    EntryExceptionErrorCode = 0x4018,
    EntryInstructionLength = 0x401a,
    TprThreshold = 0x401c,
    SecondaryControls = 0x401e,
    PleGap = 0x4020,
    PleWindow = 0x4022,
    // 32-bit read-only data fields.
    InstructionError = 0x4400,
    ExitReason = 0x4402,
    ExitInterruptionInformation = 0x4404,
    ExitInterruptionErrorCode = 0x4406,
    IdtVectoringInformation = 0x4408,
    IdtVectoringErrorCode = 0x440a,
    ExitInstructionLength = 0x440c,
    ExitInstructionInformation = 0x440e,
    // 32-bit guest-state fields.
    GuestEsLimit = 0x4800,
    GuestCsLimit = 0x4802,
    GuestSsLimit = 0x4804,
    GuestDsLimit = 0x4806,
    GuestFsLimit = 0x4808,
    GuestGsLimit = 0x480a,
    GuestLdtrLimit = 0x480c,
    GuestTrLimit = 0x480e,
    GuestGdtrLimit = 0x4810,
    GuestIdtrLimit = 0x4812,
    GuestEsAccessRights = 0x4814,
    GuestCsAccessRights = 0x4816,
    GuestSsAccessRights = 0x4818,
    GuestDsAccessRights = 0x481a,
    GuestFsAccessRights = 0x481c,
    GuestGsAccessRights = 0x481e,
    GuestLdtrAccessRights = 0x4820,
    GuestTrAccessRights = 0x4822,
    GuestInterruptibility = 0x4824,
    GuestActivityState = 0x4826,
    GuestSysenterCs = 0x482a,
    PreemptionTimerValue = 0x482e,
    // 32-bit host-state field.
    HostSysenterCs = 0x4c00,
    // Natural-width control fields.
    Cr0Mask = 0x6000,
    Cr4Mask = 0x6002,
    Cr0ReadShadow = 0x6004,
    Cr4ReadShadow = 0x6006,
    Cr3Target0 = 0x6008,
    // Natural-width read-only data fields.
    ExitQualification = 0x6400,
    GuestLinearAddress = 0x640a,
    // Natural-width guest-state fields.
    GuestCr0 = 0x6800,
    GuestCr3 = 0x6802,
    GuestCr4 = 0x6804,
    GuestEsBase = 0x6806,
    GuestCsBase = 0x6808,
    GuestSsBase = 0x680a,
    GuestDsBase = 0x680c,
    GuestFsBase = 0x680e,
    GuestGsBase = 0x6810,
    GuestLdtrBase = 0x6812,
    GuestTrBase = 0x6814,
    GuestGdtrBase = 0x6816,
    GuestIdtrBase = 0x6818,
    GuestDr7 = 0x681a,
    GuestRsp = 0x681c,
    GuestRip = 0x681e,
    GuestRflags = 0x6820,
    GuestPendingDebugExceptions = 0x6822,
    GuestSysenterEsp = 0x6824,
    GuestSysenterEip = 0x6826,
    // Natural-width host-state fields.
    HostCr0 = 0x6c00,
    HostCr3 = 0x6c02,
    HostCr4 = 0x6c04,
    HostFsBase = 0x6c06,
    HostGsBase = 0x6c08,
    HostTrBase = 0x6c0a,
    HostGdtrBase = 0x6c0c,
    HostIdtrBase = 0x6c0e,
    HostSysenterEsp = 0x6c10,
    HostSysenterEip = 0x6c12,
    HostRsp = 0x6c14,
    HostRip = 0x6c16,
}

/// The fields of one VMCS. A field that the CPU does not have reads zero.
pub trait Fields {
    /// Reads a field.
    fn read(&self, field: Field) -> u64;
    /// Writes one.
    fn write(&mut self, field: Field, value: u64);
    /// Another VMCS may have been current on this CPU: this one is again.
    fn make_current(&mut self);
}

/// A VMCS, current on the CPU where it is used, by the address of its region.
#[derive(Debug)]
pub struct Current(Hpa);

impl Current {
    /// Makes a VMCS in `region` current, cleared: its launch state is "clear" (SDM vol. 3C, 25.11.3), its fields are not defined.
    ///
    /// # Safety
    /// VMX operation is on for this CPU, and `msrs` are its. `region` is a page, by its physical address and as we see it, that nothing
    /// else uses from now on. The value is used on this CPU only, and after another VMCS was made current there not before
    /// [`Fields::make_current`].
    pub unsafe fn load(region: (Hpa, NonNull<u32>), msrs: &Msrs) -> Self {
        // SAFETY: the page is ours. It starts with the revision identifier (25.2).
        unsafe {
            region
                .1
                .write_volatile((msrs.basic & basic::REVISION) as u32);
        }
        // SAFETY: by the caller's promise both instructions succeed.
        unsafe {
            asm!("vmclear [{0}]", "vmptrld [{0}]", in(reg) &region.0.0, options(nostack));
        }
        Self(region.0)
    }
}

impl Fields for Current {
    #[inline]
    fn read(&self, field: Field) -> u64 {
        let value: u64;
        // SAFETY: a VMCS is current; VMREAD of a field that does not exist fails and leaves the destination alone.
        unsafe {
            asm!("vmread {0}, {1}", inout(reg) 0_u64 => value, in(reg) field as u64, options(nomem, nostack));
        }
        value
    }

    #[inline]
    fn write(&mut self, field: Field, value: u64) {
        // SAFETY: a VMCS is current, owned by the vCPU that borrows us mutably; what the fields mean is checked by VM entry.
        unsafe {
            asm!("vmwrite {0}, {1}", in(reg) field as u64, in(reg) value, options(nomem, nostack));
        }
    }

    fn make_current(&mut self) {
        // SAFETY: the region was made a VMCS by `load`, on this CPU, where VMX operation is on. Its launch state is kept with it.
        unsafe { asm!("vmptrld [{0}]", in(reg) &self.0.0, options(nostack)) };
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A VMCS of plain numbers.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Plain(pub BTreeMap<Field, u64>);

    impl Fields for Plain {
        fn read(&self, field: Field) -> u64 {
            self.0.get(&field).copied().unwrap_or(0)
        }

        fn write(&mut self, field: Field, value: u64) {
            self.0.insert(field, value);
        }

        fn make_current(&mut self) {}
    }
}
