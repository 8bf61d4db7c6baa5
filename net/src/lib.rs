//! Network for the host and the guest.
//!
//! An L2 [`switch`] has ports for the uplink, the host and the guest. A guest's card hangs on it by a [`cable`], whose guest end a vCPU
//! uses and whose other end the service CPU. [`stations`] knows whom guests' cards stand for. [`host`] is the hypervisor's own
//! TCP/IP stack, [`server`] what it serves. [`vif`] is the guest's interface as xl-network-configuration(5) writes it.
//!
//! It guarantees to the configuration loader that a parsed value is one that an Ethernet device may have (an interface's address is
//! never a group address and never all zeroes), and to the kernel that frames of any content cost a bounded time and no memory.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod cable;
pub mod credit;
pub mod gather;
pub mod host;
mod mac;
pub mod nat;
pub mod rate;
pub mod rfb;
pub mod server;
pub mod stations;
pub mod switch;
pub mod vif;

pub use mac::{BadMac, Mac};
