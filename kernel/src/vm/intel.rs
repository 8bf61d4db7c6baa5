//! vCPUs on VT-x.

use super::host::cpuid;
use super::vendor::{self, Vendor};
use alloc::string::{String, ToString};
use ept_npt::ept::Ept;
use guest_mem::Hpa;
use hvm::capability::Features;
use hvm::vcpu::Hlt;
use spin::Once;
use vmx_core::vmcs::Current;
use vmx_core::{Msrs, Pages, Vmx, host, unpaged};

/// VT-x.
pub enum Intel {}

fn msrs() -> Msrs {
    // SAFETY: only MSRs that a CPU with VMX has are read.
    let rdmsr = |register| unsafe { x86::msr::rdmsr(register) };
    Msrs::read(&cpuid, &rdmsr)
}

/// The APIC-access page: all vCPUs have the same one, because they share the tables that map it.
fn access_page() -> Result<Hpa, String> {
    static PAGE: Once<Hpa> = Once::new();
    PAGE.try_call_once(|| Ok(vendor::pages::<[u8; 4096]>()?.0))
        .copied()
}

/// The table for guests without paging, likewise.
fn identity_table() -> Result<Hpa, String> {
    static TABLE: Once<Hpa> = Once::new();
    TABLE
        .try_call_once(|| {
            let (base, mut table) = vendor::pages::<unpaged::Table>()?;
            // SAFETY: zeroed, just allocated, and not told anybody yet.
            unpaged::fill(unsafe { table.as_mut() });
            Ok(base)
        })
        .copied()
}

impl Vendor for Intel {
    type Cpu = Vmx;
    type Format = Ept;
    const NESTED_PAGING: &'static str = "nested paging (EPT)";

    /// SYSCALL's, and the swapped base of GS.
    fn live_msrs() -> impl Iterator<Item = u32> {
        const SYSCALL: [u32; 5] = [
            0xc000_0081,
            0xc000_0082,
            0xc000_0083,
            0xc000_0084,
            0xc000_0102,
        ];
        SYSCALL.into_iter().chain(vendor::unswapped_msrs())
    }

    unsafe fn enable() -> Result<&'static str, String> {
        let region = vendor::pages()?;
        // SAFETY: the caller vouches for VMX; the page was just allocated for this CPU.
        unsafe { host::enable(region, &msrs()) }.map_err(|refused| refused.to_string())?;
        Ok("VMXON is done")
    }

    unsafe fn vcpu(features: &Features, hlt: Hlt) -> Result<Vmx, String> {
        let msrs = msrs();
        let (apic, page) = vendor::pages()?;
        let pages = Pages {
            msr_bitmap: vendor::pages()?,
            io_bitmaps: vendor::pages()?,
            // SAFETY: zeroed, never freed, and accessed by us through its atomics only.
            apic: (apic, unsafe { page.as_ref() }),
            apic_access: access_page()?,
            areas: vendor::pages()?,
            identity: identity_table()?,
            modified: vendor::pages()?,
        };
        let (region, revision) = vendor::pages::<u32>()?;
        // SAFETY: VMX operation is on, by the caller's promise; all pages were just allocated zeroed, contiguous, and for this vCPU
        // alone, and are never freed. The kernel's descriptor tables, page tables and GS base never change on a CPU that runs.
        let mut cpu = unsafe {
            let fields = Current::load((region, revision), &msrs);
            Vmx::new(
                fields,
                pages,
                (msrs, &host::State::capture()),
                features,
                hlt,
            )
        };
        vendor::pass_through(&mut cpu, features);
        Ok(cpu)
    }
}
