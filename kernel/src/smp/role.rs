//! Giving a parked CPU something to do.

use super::kick;
use crate::cpu::{self, MAX_CPUS, events, interrupts, percpu};
use crate::time;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use spin::Once;

/// How long the other CPUs may take to answer.
const PATIENCE_NS: u64 = 500_000_000;

type Role = Box<dyn FnOnce() + Send>;

/// The role that waits for each CPU; null where none does.
static WAITING: [AtomicPtr<Role>; MAX_CPUS] = [const { AtomicPtr::new(ptr::null_mut()) }; MAX_CPUS];

/// The CPU is not there, is the boot CPU, or has not taken its last role yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotFree {
    /// Its index.
    pub cpu_index: usize,
}

impl fmt::Display for NotFree {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "CPU {} can take no role: {} CPUs run, and the first takes none",
            self.cpu_index,
            percpu::count()
        )
    }
}

/// Runs `role` on another CPU, as soon as it parks. It may run for ever.
pub fn run_on(cpu_index: usize, role: impl FnOnce() + Send + 'static) -> Result<(), NotFree> {
    let refusal = NotFree { cpu_index };
    if cpu_index == 0 || percpu::get(cpu_index).is_none() {
        return Err(refusal);
    }
    let new = Box::into_raw(Box::new(Box::new(role) as Role));
    let slot = &WAITING[cpu_index];
    if slot
        .compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Relaxed)
        .is_err()
    {
        // SAFETY: `new` was made by `into_raw` above, and nobody else got it.
        drop(unsafe { Box::from_raw(new) });
        return Err(refusal);
    }
    kick(cpu_index);
    Ok(())
}

/// Runs `work` on every CPU, this one (the boot CPU) last, and gives what came of it by index; `None` for a CPU that did not answer in
/// time.
pub fn on_every_cpu<T: Clone + Send + Sync + 'static>(work: fn() -> T) -> Vec<Option<T>> {
    let count = percpu::count();
    let slots: Arc<[Once<T>]> = (0..count).map(|_| Once::new()).collect();
    for index in 1..count {
        let slots = slots.clone();
        // A CPU that takes no role keeps its slot empty.
        let _ = run_on(index, move || {
            slots[index].call_once(work);
        });
    }
    slots[0].call_once(work);
    if count > 1 {
        time::poll_for(PATIENCE_NS, || slots.iter().all(Once::is_completed));
    }
    slots.iter().map(|slot| slot.get().cloned()).collect()
}

/// Takes roles for ever. On a CPU that was started, with interrupts off.
pub(super) fn park() -> ! {
    let slot = &WAITING[cpu::index()];
    loop {
        // Events before the slot: the kick that follows a new role then ends the wait below.
        events::take();
        let role = slot.swap(ptr::null_mut(), Ordering::AcqRel);
        if !role.is_null() {
            interrupts::enable();
            // SAFETY: `run_on` made it by `into_raw`, and the exchange gave it to us alone.
            let role = unsafe { Box::from_raw(role) };
            role();
        }
        interrupts::wait();
    }
}
