//! VT-x behind [`hvm`].
//!
//! Guarantees to `kernel`: [`Vmx`] is an [`hvm::vcpu::Vcpu`]; nothing of VMCS fields or exit reasons leaves this crate.
//! File by file the mirror of `svm-core`: `bits` constants, `vmcs` the control block, `enter` the world switch, `exit`
//! its reasons in neutral form, `inject` events, `check` the state checker, `maps` MSR and I/O bitmaps, `vpid` TLB tags,
//! `reset` the state after one, `vcpu` the whole with its `registers`, `host` what a CPU needs before its first entry, `capability`
//! what it offers. Without a twin, because AMD-V needs nothing of the kind: `controls` what of all that the CPU allows is used,
//! `apic` the local APIC as the CPU serves it, `posted` interrupts left for it, `areas` MSRs that are switched by list, `live` guest registers
//! that stay in the CPU, `pml` the page-modification log, `unpaged` guests without paging on CPUs that page always.
#![no_std]

#[cfg(test)]
extern crate std;

mod apic;
mod areas;
pub mod bits;
pub mod capability;
mod check;
pub mod controls;
mod enter;
mod exit;
pub mod host;
mod inject;
mod live;
mod maps;
mod pause;
mod pml;
pub mod posted;
mod registers;
mod reset;
mod shadow;
pub mod unpaged;
mod vcpu;
pub mod vmcs;
mod vpid;

pub use areas::Areas;
pub use controls::Msrs;
pub use maps::{IO_BITMAPS_BYTES, MSR_BITMAP_BYTES};
pub use pml::Log;
pub use vcpu::{Pages, Vmx};
