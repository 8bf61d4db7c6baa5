//! Network for the host and the guest.
//!
//! So far this crate holds only what the configuration needs: [`Mac`] addresses and the guest's network interface as
//! xl-network-configuration(5) writes it ([`vif`]). **There is no switch, no TCP/IP stack and no protocol server yet.**
//!
//! It guarantees to the configuration loader that a parsed value is one that an Ethernet device may have: an
//! interface's address is never a group address and never all zeroes.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod mac;
pub mod rate;
pub mod vif;

pub use mac::{BadMac, Mac};
