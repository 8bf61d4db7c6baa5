//! The control block as it is after a reset.

use crate::vcpu::Vmx;
use crate::vmcs::{Field, Fields};
use crate::vpid::{self, Flush};
use hvm::regs::{DR6_RESET, DR7_RESET, PAT_RESET};

/// No shadow VMCS (SDM vol. 3C, 25.4.2).
const NO_LINK: u64 = u64::MAX;

impl<F: Fields> Vmx<F> {
    /// Writes every field anew that is not the host's and not a register of [`hvm::regs::State`].
    pub(crate) fn clear_control_block(&mut self) {
        self.forget_requests();
        let (pages, controls) = (self.pages, self.controls);
        let masks = (!self.cr0_own(), !self.cr4_own());
        for (field, value) in [
            (Field::PinBasedControls, controls.pin.into()),
            (Field::PrimaryControls, controls.primary.into()),
            (Field::SecondaryControls, controls.secondary.into()),
            (Field::ExitControls, controls.exit.into()),
            (Field::EntryControls, controls.entry.into()),
            (Field::ExceptionBitmap, self.intercepted_exceptions().into()),
            (Field::PageFaultErrorCodeMask, 0),
            (Field::PageFaultErrorCodeMatch, 0),
            (Field::Cr3TargetCount, 0),
            (Field::Cr0Mask, masks.0),
            (Field::Cr4Mask, masks.1),
            (Field::IoBitmapA, pages.io_bitmaps.0.0),
            (Field::IoBitmapB, pages.io_bitmaps.0.0 + 0x1000),
            (Field::MsrBitmaps, pages.msr_bitmap.0.0),
            (Field::VirtualApicAddress, pages.apic.0.0),
            (Field::TprThreshold, 0),
            (Field::TscOffset, 0),
            (Field::Vpid, vpid::GUEST.into()),
            (Field::EptPointer, self.ept_pointer.0),
            (Field::VmcsLinkPointer, NO_LINK),
            (Field::EntryInterruptionInformation, 0),
            (Field::GuestInterruptibility, 0),
            (Field::GuestActivityState, 0),
            (Field::GuestPendingDebugExceptions, 0),
            (Field::GuestDebugctl, 0),
            (Field::GuestSysenterCs, 0),
            (Field::GuestSysenterEsp, 0),
            (Field::GuestSysenterEip, 0),
            (Field::GuestPat, PAT_RESET),
            (Field::GuestDr7, DR7_RESET),
        ] {
            self.fields.write(field, value);
        }
        self.areas_mut().set_pat(PAT_RESET);
        crate::live::set_dr6(DR6_RESET);
        self.flush = Flush::Nested;
    }
}
