//! AMD-V behind [`hvm`].
//!
//! Guarantees to `kernel`: [`Svm`] is an [`hvm::vcpu::Vcpu`]; nothing of VMCB layouts or exit codes leaves this crate.
//! File by file the mirror of `vmx-core`: `bits` constants, `vmcb` the control block, `enter` the world switch, `exit`
//! its codes in neutral form, `inject` events, `check` the state checker, `maps` MSR and I/O bitmaps, `asid` TLB tags,
//! `reset` the state after one, `live` what not all entries load, `registers` the guest's, `vcpu` the whole, `host` what a CPU needs before its first entry,
//! `capability` what it offers.
#![no_std]

#[cfg(test)]
extern crate std;

mod asid;
pub mod bits;
pub mod capability;
mod check;
mod enter;
mod exit;
pub mod host;
mod inject;
mod live;
mod maps;
mod nmi;
mod pause;
mod pended;
mod registers;
mod reset;
mod shadow;
mod vcpu;
mod vmcb;

pub use maps::{IOPM_BYTES, MSRPM_BYTES};
pub use vcpu::{Pages, Svm};
