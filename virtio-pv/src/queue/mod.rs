//! Split virtqueues, the device side (virtio 1.2, section 2.7).
//!
//! Bytes lie in [`layout`]; [`Placement`] says where; [`Chain`] is one request, checked; `Ring` moves the indices; a
//! [`Queue`] is a ring and the registers that it is made from; [`Queues`] is what a device gets to see.
//!
//! The driver writes all of it, at any time, and is not trusted: every index, address, length and flag is checked when
//! it is used, and read once. A ring that breaks the rules is a [`RingFault`], which stops the device.

mod chain;
mod fault;
pub mod layout;
mod placement;
mod queues;
mod ring;
mod slot;

pub use chain::{Chain, Head, MAX_SEGMENTS};
pub use fault::RingFault;
pub use placement::{MAX_SIZE, Placement, RingSize};
pub use queues::Queues;
pub use ring::{Kick, Notice, Patience, Wait};
pub use slot::{Queue, Registers, SavedQueue};
