//! The services' clock: an alarm for each service that has use for one.
//!
//! The service CPU has one timer. On a machine with one CPU the vCPU needs it, too, so both tell their deadlines here, and the
//! timer is armed for the earlier one.

use super::executor::SERVICE_CPU;
use super::{screen, signal::Signal};
use crate::cpu::{self, Events, events};
use crate::net;
use crate::time::{self, timer};
use core::sync::atomic::{AtomicU64, Ordering};

/// No deadline.
const NEVER: u64 = u64::MAX;

/// Whom an alarm wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bell {
    /// The screen service.
    Screen,
    /// The network.
    Network,
}

/// All of them, in their order.
const BELLS: [Bell; 2] = [Bell::Screen, Bell::Network];

impl Bell {
    fn signal(self) -> &'static Signal {
        match self {
            Self::Screen => &screen::WORK,
            Self::Network => &net::WORK,
        }
    }
}

/// The services' deadlines and the vCPU's on this CPU, in the host's TSC. All belong to the service CPU.
static SERVICES: [AtomicU64; BELLS.len()] = [const { AtomicU64::new(NEVER) }; BELLS.len()];
static GUEST: AtomicU64 = AtomicU64::new(NEVER);

/// Has an alarm ring at `tsc`, instead of when it was to. From a task.
pub fn set(bell: Bell, tsc: u64) {
    let deadline = &SERVICES[bell as usize];
    if deadline.load(Ordering::Relaxed) != tsc {
        deadline.store(tsc, Ordering::Relaxed);
        arm();
    }
}

/// Has an alarm ring at `tsc`, if it was not to ring before. From a task.
pub fn advance(bell: Bell, tsc: u64) {
    SERVICES[bell as usize].fetch_min(tsc, Ordering::Relaxed);
    arm();
}

/// Arms this CPU's timer for a vCPU, or not for it.
pub fn arm_for_guest(tsc: Option<u64>) {
    if cpu::index() == SERVICE_CPU {
        GUEST.store(tsc.unwrap_or(NEVER), Ordering::Relaxed);
        arm();
    } else {
        arm_for(tsc.unwrap_or(NEVER));
    }
}

/// The events that wait for this CPU ([`events::take`]); an alarm among them rings.
#[inline]
pub fn take_events() -> Events {
    let events = events::take();
    if events.contains(Events::TIMER) {
        look();
    }
    events
}

/// The same of an alarm alone: a kick goes on waiting. True if the timer has fired.
#[inline]
pub fn take_timer() -> bool {
    let fired = events::peek().contains(Events::TIMER);
    if fired {
        events::forget(Events::TIMER);
        look();
    }
    fired
}

/// This CPU's timer has fired.
fn look() {
    if cpu::index() != SERVICE_CPU {
        return;
    }
    for bell in BELLS {
        let deadline = &SERVICES[bell as usize];
        if deadline.load(Ordering::Relaxed) <= time::tsc() {
            deadline.store(NEVER, Ordering::Relaxed);
            bell.signal().raise();
        }
    }
    // A vCPU may go on with a timer of its own and never tell another deadline here: the one that is past would ring for ever.
    if GUEST.load(Ordering::Relaxed) <= time::tsc() {
        GUEST.store(NEVER, Ordering::Relaxed);
    }
    arm();
}

fn arm() {
    let guest = GUEST.load(Ordering::Relaxed);
    let services = SERVICES.iter().map(|it| it.load(Ordering::Relaxed));
    arm_for(services.fold(guest, u64::min));
}

fn arm_for(tsc: u64) {
    match tsc {
        NEVER => timer::disarm(),
        deadline => timer::arm(deadline),
    }
}
