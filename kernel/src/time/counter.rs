//! The machine's one time line, as each CPU finds it from its own time-stamp counter.
//!
//! A **counter** is what RDTSC reads on one CPU. The **line** is what [`tsc`] gives, the same on all CPUs: the boot CPU's counter, and
//! on the others theirs with what they lack. Where counters cannot be trusted it is another clock, in the counter's ticks.

use super::knob;
use super::steady::Steady;
use crate::cpu::{MAX_CPUS, percpu};
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use spin::Once;

/// How the line is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Way {
    /// It is the counter.
    Counter,
    /// It is the counter and this CPU's shift.
    Shifted,
    /// By another clock.
    Steady,
    /// For tests: nobody makes up for what they did to the counters.
    Spoilt,
}

static WAY: AtomicU8 = AtomicU8::new(Way::Counter as u8);
/// What each CPU's counter lacks to the line, modulo 2⁶⁴.
static SHIFTS: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];
static STEADY: Once<Steady> = Once::new();

/// This CPU's counter.
#[inline]
pub(super) fn raw() -> u64 {
    // SAFETY: every CPU with long mode has RDTSC, and ring 0 may always use it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// This CPU's counter, in order with the accesses to memory around it, as tests would have it be.
pub(super) fn ordered_counter() -> u64 {
    // SAFETY: the fences have no effect but order. (SDM vol. 2B, RDTSC.)
    unsafe {
        core::arch::x86_64::_mm_mfence();
        core::arch::x86_64::_mm_lfence();
    }
    let counter = raw();
    // SAFETY: as above.
    unsafe { core::arch::x86_64::_mm_lfence() };
    knob::spoil(percpu::index(), counter)
}

/// The line, now: the time-stamp counter that all CPUs share.
#[inline]
pub fn tsc() -> u64 {
    let counter = raw();
    if WAY.load(Ordering::Relaxed) == Way::Counter as u8 {
        counter
    } else {
        line(counter)
    }
}

#[cold]
#[inline(never)]
fn line(counter: u64) -> u64 {
    match way() {
        Way::Counter => counter,
        Way::Shifted => counter.wrapping_add(shift()),
        Way::Steady => STEADY.get().map_or(counter, Steady::now),
        Way::Spoilt => knob::spoil(percpu::index(), counter),
    }
}

fn way() -> Way {
    match WAY.load(Ordering::Relaxed) {
        way if way == Way::Shifted as u8 => Way::Shifted,
        way if way == Way::Steady as u8 => Way::Steady,
        way if way == Way::Spoilt as u8 => Way::Spoilt,
        _ => Way::Counter,
    }
}

fn shift() -> u64 {
    SHIFTS[percpu::index()].load(Ordering::Relaxed)
}

/// What is added to this CPU's counter for the line. Means nothing where [`is_steady`] is false.
#[inline]
pub fn counter_shift() -> u64 {
    match way() {
        Way::Shifted => shift(),
        Way::Counter | Way::Steady | Way::Spoilt => 0,
    }
}

/// What this CPU's counter shows when the line is at `line`; about, and not for long, where [`is_steady`] is false.
#[inline]
pub fn counter_at(line: u64) -> u64 {
    match way() {
        Way::Counter => line,
        Way::Shifted => line.wrapping_sub(shift()),
        Way::Steady | Way::Spoilt => raw().saturating_add(line.saturating_sub(tsc())),
    }
}

/// True if a counter and its CPU's shift give the line. Otherwise nobody but [`tsc`] does, and guests must not read a counter.
#[inline]
pub fn is_steady() -> bool {
    matches!(way(), Way::Counter | Way::Shifted)
}

/// The clock that the line is read from, if it is not a counter.
pub(super) fn steady() -> Option<&'static Steady> {
    STEADY.get().filter(|_| way() == Way::Steady)
}

/// From now on counters are the line.
pub(super) fn use_counters() {
    WAY.store(Way::Counter as u8, Ordering::Release);
}

/// From now on the counters and these shifts are.
pub(super) fn use_shifts(shifts: impl Iterator<Item = u64>) {
    for (slot, shift) in SHIFTS.iter().zip(shifts) {
        slot.store(shift, Ordering::Relaxed);
    }
    WAY.store(Way::Shifted as u8, Ordering::Release);
}

/// From now on another clock is, which goes on where the line is. The first one stays.
pub(super) fn use_steady(make: impl FnOnce(u64) -> Steady) {
    STEADY.call_once(|| make(tsc()));
    WAY.store(Way::Steady as u8, Ordering::Release);
}

/// From now on the counters are, as tests spoil them.
pub(super) fn use_spoilt() {
    WAY.store(Way::Spoilt as u8, Ordering::Release);
}
