//! The services' clock: one alarm, which wakes the screen service.
//!
//! The service CPU has one timer. On a machine with one CPU the vCPU needs it, too, so both tell their deadlines here, and the
//! timer is armed for the earlier one.

use super::executor::SERVICE_CPU;
use super::screen;
use crate::cpu::{self, Events, events};
use crate::time::{self, timer};
use core::sync::atomic::{AtomicU64, Ordering};

/// No deadline.
const NEVER: u64 = u64::MAX;

/// The services' deadline and the vCPU's on this CPU, in the host's TSC. Both belong to the service CPU.
static SERVICES: AtomicU64 = AtomicU64::new(NEVER);
static GUEST: AtomicU64 = AtomicU64::new(NEVER);

/// Has the alarm ring at `tsc`, instead of when it was to. From a task.
pub fn set(tsc: u64) {
    SERVICES.store(tsc, Ordering::Relaxed);
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
    if SERVICES.load(Ordering::Relaxed) <= time::tsc() {
        SERVICES.store(NEVER, Ordering::Relaxed);
        screen::WORK.raise();
    }
    // A vCPU may go on with a timer of its own and never tell another deadline here: the one that is past would ring for ever.
    if GUEST.load(Ordering::Relaxed) <= time::tsc() {
        GUEST.store(NEVER, Ordering::Relaxed);
    }
    arm();
}

fn arm() {
    let guest = GUEST.load(Ordering::Relaxed);
    arm_for(SERVICES.load(Ordering::Relaxed).min(guest));
}

fn arm_for(tsc: u64) {
    match tsc {
        NEVER => timer::disarm(),
        deadline => timer::arm(deadline),
    }
}
