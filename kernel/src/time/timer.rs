//! This CPU's one-shot timer, in its local APIC.
//!
//! When it fires, [`crate::cpu::Events::TIMER`] is raised on this CPU. It may fire early where the hardware cannot count
//! that far, so whoever armed it looks at the clock and arms it again.

use super::calibration::Scale;
use super::counter::{self, counter_at, is_steady};
use super::reference::Sample;
use super::tsc;
use crate::apic::bits::{DIVIDE_BY_1, LVT_MASKED, LVT_TSC_DEADLINE, Register};
use crate::apic::{local, vector};
use crate::cpu::features::features;
use core::sync::atomic::{AtomicU64, Ordering};
use x86::msr::{IA32_TSC_DEADLINE, wrmsr};

/// TSC counts to timer counts, as bits of a [`Scale`].
static TSC_TO_TIMER: AtomicU64 = AtomicU64::new(0);

/// Fires when the TSC reaches `deadline_tsc`, or at once if it has. Replaces what was armed before. Cheap: one register
/// or MSR is written.
#[inline]
pub fn arm(deadline_tsc: u64) {
    if features().tsc_deadline {
        // SAFETY: the timer is in deadline mode, where this MSR exists; 0 would disarm.
        unsafe { wrmsr(IA32_TSC_DEADLINE, counter_at(deadline_tsc).max(1)) };
    } else {
        local::write(Register::InitialCount, counts_until(deadline_tsc));
    }
}

/// The timer has fired on this CPU: if the line comes from a clock that must not stay unread for long, that is read, and the timer fires
/// again in time whoever else wants it or not. Called by the interrupt's handler.
#[inline]
pub(crate) fn fired() {
    if !is_steady() {
        disarm();
    }
}

/// As [`arm`], for a time of [`super::now_ns`].
pub fn arm_ns(deadline_ns: u64) {
    arm(super::ns_to_tsc(deadline_ns));
}

/// The timer will not fire. An event that it has raised stays.
#[inline]
pub fn disarm() {
    if let Some(clock) = counter::steady() {
        arm(clock.now().saturating_add(clock.patience()));
    } else if features().tsc_deadline {
        // SAFETY: as in `arm`.
        unsafe { wrmsr(IA32_TSC_DEADLINE, 0) };
    } else {
        local::write(Register::InitialCount, 0);
    }
}

fn counts_until(deadline_tsc: u64) -> u32 {
    if TSC_TO_TIMER.load(Ordering::Relaxed) == 0 {
        super::tsc_hz();
    }
    let left = deadline_tsc.saturating_sub(tsc());
    let counts = Scale::from_bits(TSC_TO_TIMER.load(Ordering::Relaxed)).apply(left);
    // One more, because an early interrupt costs a second one; 0 would disarm.
    u32::try_from(counts.saturating_add(1)).unwrap_or(u32::MAX)
}

pub(super) fn set_rates(tsc_hz: u64, lapic_hz: u64) {
    TSC_TO_TIMER.store(Scale::new(tsc_hz, lapic_hz).to_bits(), Ordering::Relaxed);
}

/// Puts this CPU's timer in its mode, disarmed.
pub(super) fn init_this_cpu() {
    let mode = if features().tsc_deadline {
        LVT_TSC_DEADLINE
    } else {
        0
    };
    local::write(Register::DivideConfiguration, DIVIDE_BY_1);
    local::write(Register::InitialCount, 0);
    local::write(Register::LvtTimer, mode | u32::from(vector::TIMER));
    // The mode must be in force before the deadline is written. (SDM vol. 3, 11.5.4.1.)
    // SAFETY: a fence is always allowed.
    unsafe { core::arch::asm!("mfence", options(nostack, preserves_flags)) };
}

/// Lets the timer run down from its highest count without an interrupt, to be measured.
pub(super) fn count_freely() {
    local::write(Register::LvtTimer, LVT_MASKED | u32::from(vector::TIMER));
    local::write(Register::DivideConfiguration, DIVIDE_BY_1);
    local::write(Register::InitialCount, u32::MAX);
}

/// The free run's count, which starts at 0, and the TSC. The count stays at its end once it is there.
pub(super) fn free_run() -> Sample {
    Sample::narrowest(|| u64::from(u32::MAX - local::read(Register::CurrentCount)))
}

/// True if the free run has come to its end.
pub(super) fn ran_out() -> bool {
    local::read(Register::CurrentCount) == 0
}
