//! What a CPU needs before its first VM entry, and the state that VM exits bring back (SDM vol. 3C, 24.7 and 25.5).

use crate::bits::{FEATURE_CONTROL_LOCK, FEATURE_CONTROL_VMX_OUTSIDE_SMX, basic, msr};
use crate::controls::Msrs;
use crate::enter;
use crate::vmcs::{Field, Fields};
use core::arch::asm;
use core::fmt;
use core::ptr::NonNull;
use hvm::Hpa;
use hvm::regs::Cr4;
use x86::msr::{rdmsr, wrmsr};

/// VMXON was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(
            "VMXON failed: this CPU is in VMX operation already, or does not accept the region",
        )
    }
}

/// Turns VMX operation on for this CPU: IA32_FEATURE_CONTROL is locked in our favour if firmware left it open, CR0 and CR4 get the
/// bits that VMX operation fixes, and what the TLB may hold of a hypervisor before us is forgotten. INIT is blocked from then on
/// (SDM vol. 3C, 24.8).
///
/// # Safety
/// CPUID offers VMX and IA32_FEATURE_CONTROL does not forbid it; `msrs` are this CPU's. `region` is a page, zeroed, that this CPU
/// alone owns from now on, by its physical address and as we see it.
pub unsafe fn enable(region: (Hpa, NonNull<u32>), msrs: &Msrs) -> Result<(), Refused> {
    // SAFETY: every CPU with VMX has the register; it is written only while unlocked, and the fixed bits of CR0 (PE, NE, PG) are set
    // in a 64-bit kernel with native FPU errors already. VMXE enables nothing by itself.
    unsafe {
        let control = rdmsr(msr::IA32_FEATURE_CONTROL);
        if control & FEATURE_CONTROL_LOCK == 0 {
            let wanted = control | FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX_OUTSIDE_SMX;
            wrmsr(msr::IA32_FEATURE_CONTROL, wanted);
        }
        let cr0 = cr0() | msrs.cr0_fixed.0;
        let cr4 = cr4() | msrs.cr4_fixed.0 | Cr4::VMXE.bits();
        asm!("mov cr0, {}", "mov cr4, {}", in(reg) cr0, in(reg) cr4, options(nostack));
        region
            .1
            .write_volatile((msrs.basic & basic::REVISION) as u32);
    }
    let failed: u8;
    // SAFETY: the region carries the revision identifier and is ours.
    unsafe {
        asm!("vmxon [{}]", "setbe {}", in(reg) &region.0.0, out(reg_byte) failed, options(nostack));
    }
    if failed == 0 { Ok(()) } else { Err(Refused) }
}

/// The host state that VM exits load, as it is on this CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    cr0: u64,
    cr3: u64,
    cr4: u64,
    /// ES, CS, SS, DS.
    selectors: [u16; 4],
    tr: u16,
    fs_base: u64,
    gs_base: u64,
    tr_base: u64,
    gdtr_base: u64,
    idtr_base: u64,
    sysenter: [u64; 3],
    /// EFER, which the MSR area needs as well.
    pub efer: u64,
    /// PAT, likewise.
    pub pat: u64,
}

/// What SGDT and SIDT store.
#[repr(C, packed)]
#[derive(Default)]
struct Pointer {
    limit: u16,
    base: u64,
}

impl State {
    /// Reads it off this CPU.
    ///
    /// # Safety
    /// The CPU runs with the descriptor tables, page tables and GS base that it will keep while it runs guests.
    pub unsafe fn capture() -> Self {
        let (mut gdtr, mut idtr) = (Pointer::default(), Pointer::default());
        let cr3: u64;
        let [es, cs, ss, ds, tr]: [u16; 5];
        // SAFETY: all of it only reads; every CPU with VMX has these MSRs.
        unsafe {
            asm!("sgdt [{}]", "sidt [{}]", in(reg) &raw mut gdtr, in(reg) &raw mut idtr, options(nostack, preserves_flags));
            asm!("mov {}, cr3", out(reg) cr3, options(nomem, nostack, preserves_flags));
            asm!(
                "mov {:x}, es", "mov {:x}, cs", "mov {:x}, ss", "mov {:x}, ds", "str {:x}",
                out(reg) es, out(reg) cs, out(reg) ss, out(reg) ds, out(reg) tr,
                options(nomem, nostack, preserves_flags)
            );
            Self {
                cr0: cr0(),
                cr3,
                cr4: cr4(),
                selectors: [es, cs, ss, ds],
                tr,
                fs_base: rdmsr(msr::IA32_FS_BASE),
                gs_base: rdmsr(msr::IA32_GS_BASE),
                tr_base: task_base(gdtr.base, tr),
                gdtr_base: gdtr.base,
                idtr_base: idtr.base,
                sysenter: [
                    rdmsr(msr::IA32_SYSENTER_CS),
                    rdmsr(msr::IA32_SYSENTER_ESP),
                    rdmsr(msr::IA32_SYSENTER_EIP),
                ],
                efer: rdmsr(msr::IA32_EFER),
                pat: rdmsr(msr::IA32_PAT),
            }
        }
    }

    /// Writes it into a VMCS. Selectors go in without RPL and TI, as 27.2.3 wants them; FS and GS are null but for their bases.
    pub fn store(&self, fields: &mut impl Fields) {
        let [es, cs, ss, ds] = self.selectors.map(|selector| u64::from(selector & !7));
        for (field, value) in [
            (Field::HostCr0, self.cr0),
            (Field::HostCr3, self.cr3),
            (Field::HostCr4, self.cr4),
            (Field::HostEsSelector, es),
            (Field::HostCsSelector, cs),
            (Field::HostSsSelector, ss),
            (Field::HostDsSelector, ds),
            (Field::HostFsSelector, 0),
            (Field::HostGsSelector, 0),
            (Field::HostTrSelector, u64::from(self.tr & !7)),
            (Field::HostFsBase, self.fs_base),
            (Field::HostGsBase, self.gs_base),
            (Field::HostTrBase, self.tr_base),
            (Field::HostGdtrBase, self.gdtr_base),
            (Field::HostIdtrBase, self.idtr_base),
            (Field::HostSysenterCs, self.sysenter[0]),
            (Field::HostSysenterEsp, self.sysenter[1]),
            (Field::HostSysenterEip, self.sysenter[2]),
            (Field::HostEfer, self.efer),
            (Field::HostPat, self.pat),
            (Field::HostRip, enter::exited as *const () as u64),
        ] {
            fields.write(field, value);
        }
    }
}

/// The base in the 16-byte TSS descriptor that `selector` names (SDM vol. 3A, figure 8-4).
///
/// # Safety
/// `gdt` is the base of the GDT that is loaded, and `selector` is in TR.
unsafe fn task_base(gdt: u64, selector: u16) -> u64 {
    let at = (gdt + u64::from(selector & !7)) as *const [u64; 2];
    // SAFETY: LTR has loaded this descriptor, so it is there.
    let [low, high] = unsafe { at.read_unaligned() };
    low >> 16 & 0xff_ffff | low >> 32 & 0xff00_0000 | high << 32
}

fn cr0() -> u64 {
    let value;
    // SAFETY: reading has no effect.
    unsafe { asm!("mov {}, cr0", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

fn cr4() -> u64 {
    let value;
    // SAFETY: reading has no effect.
    unsafe { asm!("mov {}, cr4", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_segments_base_is_put_together() {
        let gdt = [0_u64, 0, 0, 0x1200_8b34_5678_0067, 0xffff_8000];
        // SAFETY: the table is right here.
        let base = unsafe { task_base(gdt.as_ptr().addr() as u64, 0x1b) };
        assert_eq!(base, 0xffff_8000_1234_5678);
    }
}
