//! Virtio 1.2, the device side.
//!
//! Layers, from the wire up: [`queue`] reads and writes split virtqueues in guest memory; [`endpoint`] is the life of a
//! virtio device (status, features, kicks) whatever it is attached by; [`pci`] attaches it to a PCI bus, for legacy and
//! modern drivers; [`block`], [`console`], [`entropy`] and [`net`] are devices, [`overlay`] and [`ram`] disks for the first of them.
//!
//! To the guest's driver the crate guarantees virtio 1.2. To the kernel it guarantees that whatever a driver writes
//! into registers, rings and buffers, the worst outcome is that this one device asks for a reset: no panic, no
//! allocation on the data path, and work per call that is bounded by the size of the rings. Packed rings,
//! per-queue reset and multiport consoles are **not** offered.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod block;
pub mod console;
pub mod device;
pub mod endpoint;
pub mod entropy;
pub mod features;
pub mod net;
pub mod overlay;
pub mod pci;
pub mod queue;
pub mod ram;
