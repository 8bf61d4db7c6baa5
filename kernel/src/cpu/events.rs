//! What interrupts leave for the main flow of their CPU.
//!
//! An interrupt handler sets a bit; the loop that runs a guest or the executor takes them all. A CPU that has nothing to do
//! calls [`super::interrupts::wait`], which cannot miss one.

use super::percpu::current;
use bitflags::bitflags;
use core::sync::atomic::{AtomicU32, Ordering};

bitflags! {
    /// Kinds of events.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Events: u32 {
        /// The timer that [`crate::time::timer`] armed on this CPU has fired.
        const TIMER = 1 << 0;
        /// Another CPU called [`crate::smp::kick`] for this one.
        const KICK = 1 << 1;
        /// A device interrupt was handled here.
        const DEVICE = 1 << 2;
    }
}

/// Pending events of one CPU.
pub(super) struct Pending(AtomicU32);

impl Pending {
    pub(super) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }
}

/// The events that wait, and clears them. On the CPU that they are for.
#[inline]
pub fn take() -> Events {
    let pending = &current().pending.0;
    // The read first: nearly always there is nothing, and a plain read costs less than an exchange.
    match pending.load(Ordering::Acquire) {
        0 => Events::empty(),
        _ => Events::from_bits_retain(pending.swap(0, Ordering::Acquire)),
    }
}

/// Forgets events of these kinds; the others go on waiting.
#[inline]
pub fn forget(kinds: Events) {
    current()
        .pending
        .0
        .fetch_and(!kinds.bits(), Ordering::Acquire);
}

/// The events that wait.
#[inline]
pub fn peek() -> Events {
    Events::from_bits_retain(current().pending.0.load(Ordering::Acquire))
}

/// Adds events for this CPU; from its interrupt handlers.
#[inline]
pub(crate) fn raise(events: Events) {
    current()
        .pending
        .0
        .fetch_or(events.bits(), Ordering::Release);
}
