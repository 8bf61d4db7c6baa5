//! The executor of the service CPU: embassy's, with our own idea of "there is work".
//!
//! On a machine with several CPUs, [`run_forever`] owns CPU 0. On a machine with one, the VM calls [`poll`] between guest slices. Work
//! that turns up while nobody polls makes an interrupt on the service CPU, so that it leaves HLT or the guest; waking a task
//! takes no lock and is fit for the exit path.

use crate::{
    cpu::{
        self,
        events::{self, Events},
        interrupts,
    },
    smp,
};
use alloc::boxed::Box;
use core::{
    ptr,
    sync::atomic::{AtomicBool, Ordering},
};
use embassy_executor::{Spawner, raw::Executor};
use spin::Once;

/// The service CPU.
pub const SERVICE_CPU: usize = 0;
/// How often one call of [`poll`] goes round while tasks wake each other. The guest waits meanwhile on a machine with one CPU.
const ROUNDS: usize = 8;

struct OnServiceCpu(&'static Executor);

// SAFETY: an executor is not `Sync` because it is polled by one thread alone. `poll` here returns at once on any CPU but the service
// CPU, and spawning happens there too (`start`).
unsafe impl Sync for OnServiceCpu {}
// SAFETY: as above; the reference moves nowhere else.
unsafe impl Send for OnServiceCpu {}

static EXECUTOR: Once<OnServiceCpu> = Once::new();
/// Tasks are ready.
static PENDING: AtomicBool = AtomicBool::new(false);
/// [`poll`] is at work; it looks at [`PENDING`] again before it ends.
static POLLING: AtomicBool = AtomicBool::new(false);

/// Called by the executor when the first task becomes ready: from any CPU, and from interrupt handlers.
#[unsafe(export_name = "__pender")]
fn pender(_: *mut ()) {
    if PENDING.swap(true, Ordering::SeqCst) || POLLING.load(Ordering::SeqCst) {
        return;
    }
    // The service CPU itself is neither asleep nor in the guest, looks for tasks before it goes there, and does not sleep over an event.
    match cpu::index() {
        SERVICE_CPU => events::raise(Events::DEVICE),
        _ => smp::kick(SERVICE_CPU),
    }
}

/// Makes the executor and spawns its tasks. Once, on the service CPU.
pub fn start(spawn: impl FnOnce(Spawner)) {
    let executor: &'static Executor = Box::leak(Box::new(Executor::new(ptr::null_mut())));
    EXECUTOR.call_once(|| OnServiceCpu(executor));
    POLLING.store(true, Ordering::SeqCst);
    spawn(executor.spawner());
    POLLING.store(false, Ordering::SeqCst);
}

/// Whether tasks are ready: one plain load.
#[inline]
pub fn pending() -> bool {
    PENDING.load(Ordering::Relaxed)
}

/// Runs the tasks that are ready, and returns. Does nothing on other CPUs than the service CPU, and before [`start`].
#[inline]
pub fn poll() {
    if pending() {
        poll_ready();
    }
}

#[cold]
fn poll_ready() {
    let Some(executor) = EXECUTOR.get() else {
        return;
    };
    if cpu::index() != SERVICE_CPU || POLLING.swap(true, Ordering::SeqCst) {
        return;
    }
    for _ in 0..ROUNDS {
        if !PENDING.swap(false, Ordering::SeqCst) {
            break;
        }
        // SAFETY: on one CPU only, and `POLLING` keeps a task from polling its own executor.
        unsafe { executor.0.poll() };
    }
    POLLING.store(false, Ordering::SeqCst);
    // Woken after the last look, when `pender` still saw us at work.
    if PENDING.load(Ordering::SeqCst) {
        smp::kick(SERVICE_CPU);
    }
}

/// Runs tasks, does `besides` after each time, and sleeps when no task is ready. On the service CPU of a machine whose guest runs elsewhere,
/// or nowhere, or in `besides`.
pub fn run_forever(mut besides: impl FnMut()) -> ! {
    loop {
        // Events first: one that comes after this ends the wait below.
        super::alarm::take_events();
        poll();
        besides();
        if !pending() {
            interrupts::wait();
        }
    }
}
