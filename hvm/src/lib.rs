//! HVM: the one layer over VT-x and AMD-V.
//!
//! Nothing above this crate knows the vendor. It guarantees to `kernel` and the device crates: one register model
//! ([`regs`]), one set of exits ([`exit`]), one event-injection state machine ([`event`]), one instruction emulator
//! ([`emulate`]), one CPUID map ([`cpuid`]), and the traits by which devices, back ends and viewers meet ([`device`],
//! [`pci`], [`backend`], [`display`], [`input`]). The vendor crates implement [`vcpu::Vcpu`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "testing"))]
extern crate std;

pub mod apic;
pub mod backend;
pub mod capability;
pub mod checksum;
pub mod cpuid;
pub mod device;
pub mod display;
pub mod emulate;
pub mod event;
pub mod exit;
pub mod gprs;
pub mod hyperv;
pub mod input;
pub mod interruption;
pub mod msix;
pub mod msr;
pub mod packet;
pub mod pci;
pub mod pci_config;
pub mod pv_eoi;
pub mod pvclock;
pub mod regs;
pub mod segment;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod tsc;
pub mod vcpu;
pub mod virtio;
pub mod virtual_apic;
pub mod vlan;
pub mod walk;
pub mod width;
pub mod xcr0;

pub use guest_mem::{Gpa, Gva, Hpa};
pub use time::Instant;
pub use width::Width;
