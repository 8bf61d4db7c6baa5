//! vCPUs on AMD-V.

use super::vendor::{self, Vendor};
use crate::mem::frames;
use alloc::string::String;
use ept_npt::npt::Npt;
use hvm::capability::Features;
use hvm::vcpu::Hlt;
use svm_core::{Pages, Svm, host};

/// AMD-V.
pub enum Amd {}

impl Vendor for Amd {
    type Cpu = Svm;
    type Format = Npt;
    const NESTED_PAGING: &'static str = "nested paging (NPT)";

    /// VMLOAD and VMSAVE move the others.
    fn live_msrs() -> impl Iterator<Item = u32> {
        vendor::unswapped_msrs()
    }

    unsafe fn enable() -> Result<&'static str, String> {
        let save_area = frames::alloc_zeroed_page().ok_or("no host memory left for SVM")?;
        // SAFETY: the caller vouches for SVM; the page was just allocated for this CPU.
        unsafe { host::enable(save_area) };
        Ok("SVM is on")
    }

    unsafe fn vcpu(features: &Features, hlt: Hlt) -> Result<Svm, String> {
        let pages = Pages {
            vmcb: vendor::pages()?,
            host: vendor::pages::<[u8; 4096]>()?.0,
            msrpm: vendor::pages()?,
            iopm: vendor::pages()?,
        };
        // SAFETY: SVM is on, by the caller's promise; the page was just allocated for this.
        unsafe { host::save_host(pages.host) };
        // SAFETY: all pages were just allocated zeroed, contiguous, and for this vCPU alone; they are never freed.
        let mut cpu = unsafe { Svm::new(pages, features, hlt) };
        vendor::pass_through(&mut cpu, features);
        Ok(cpu)
    }
}
