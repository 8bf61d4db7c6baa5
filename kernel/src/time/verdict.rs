//! What the machine's time-stamp counters are good for, and what is done about it.

use super::counter;
use super::reference::Reference;
use super::skew::{self, Promise, Sighting, Unsteady, Verdict};
use super::steady::Steady;
use super::{compare, knob, ns_to_tsc, tsc, tsc_hz};
use crate::acpi::Platform;
use crate::cpu::features::{cpuid, features};
use crate::cpu::percpu;
use alloc::vec::Vec;
use core::fmt;
use spin::{Mutex, Once};

/// From the first comparison to the second, at least: a difference of rates shows only over time.
const BASELINE_NS: u64 = 30_000_000;

/// The first comparison.
static FIRST: Once<Vec<Option<Sighting>>> = Once::new();
/// The last verdict.
static VERDICT: Mutex<Option<Verdict>> = Mutex::new(None);

/// The machine, kept for the second time.
static PLATFORM: Once<&'static Platform> = Once::new();

/// Compares all CPUs' counters for the first time, and acts on what comes of it. On the boot CPU, the others being parked.
pub(crate) fn judge_counters(platform: &'static Platform) {
    PLATFORM.call_once(|| platform);
    judge();
}

/// The same again, after CPUs were parked for a while, before anything goes by their counters: rates show the better the later. True if
/// there is something new. What was found unsteady stays so.
pub fn judge_counters_again() -> bool {
    let is_unsteady = matches!(*VERDICT.lock(), Some(Verdict::Unsteady(_)) | None);
    !is_unsteady && judge()
}

fn judge() -> bool {
    let Some(platform) = PLATFORM.get() else {
        return false;
    };
    let first = FIRST.call_once(compare::all);
    if let Some(seen) = first.iter().flatten().next() {
        let until = seen.at.wrapping_add(ns_to_tsc(BASELINE_NS));
        while (until.wrapping_sub(tsc()) as i64) > 0 {
            core::hint::spin_loop();
        }
    }
    let later = compare::all();
    let verdict = skew::judge(promise(), first, &later);
    act(platform, &verdict, &later);
    let mut last = VERDICT.lock();
    let changed = last.as_ref().is_none_or(|last| !last.is_like(&verdict));
    *last = Some(verdict);
    changed
}

/// The last verdict, in words, with what is done about it.
pub fn description() -> Description {
    Description(VERDICT.lock().clone())
}

/// True if what the guest reads as its counter always runs, at one rate: the CPUs' counters were found to, or a steady clock is under it.
/// (Nothing here changes the CPUs' clock rates, or lets them sleep deeper than HLT.)
pub fn keeps_its_rate() -> bool {
    counter::steady().is_some()
        || matches!(
            *VERDICT.lock(),
            Some(Verdict::Synchronised { .. } | Verdict::Skewed { .. })
        )
}

fn promise() -> Promise {
    let under_hypervisor = cpuid()
        .get_feature_info()
        .is_some_and(|it| it.has_hypervisor());
    if features().invariant_tsc {
        Promise::Invariant
    } else if under_hypervisor {
        Promise::Hypervisor
    } else {
        Promise::None
    }
}

fn act(platform: &Platform, verdict: &Verdict, sightings: &[Option<Sighting>]) {
    let added = (1..percpu::count()).map(knob::added_ticks);
    match verdict {
        // What tests added is no part of the CPU's own counter.
        _ if !knob::compensate() => match verdict {
            Verdict::Unsteady(_) => counter::use_spoilt(),
            _ => counter::use_shifts(core::iter::once(0).chain(added)),
        },
        Verdict::Synchronised { .. } => counter::use_counters(),
        Verdict::Skewed { .. } => {
            let shifts = sightings.iter().map(|&seen| skew::shift(seen));
            let real = shifts
                .zip(added)
                .map(|(shift, added)| shift.wrapping_add(added));
            counter::use_shifts(core::iter::once(0).chain(real));
        }
        Verdict::Unsteady(_) => {
            let clock = Reference::find(platform);
            if clock.is_shared() {
                counter::use_steady(|line| Steady::new(clock, line, tsc_hz()));
                // Nobody may leave it unread for a whole turn.
                super::timer::disarm();
            }
        }
    }
}

impl Verdict {
    fn is_like(&self, other: &Self) -> bool {
        core::mem::discriminant(self) == core::mem::discriminant(other)
    }
}

/// See [`description`].
pub struct Description(Option<Verdict>);

impl fmt::Display for Description {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => write!(out, "not compared"),
            Some(Verdict::Synchronised { error_ticks: 0 }) => {
                write!(out, "steady; the guest reads it directly")
            }
            Some(Verdict::Synchronised { error_ticks }) => write!(
                out,
                "synchronised on all CPUs, as far as can be seen ({error_ticks} ticks); the guest reads it directly"
            ),
            Some(Verdict::Skewed {
                cpu,
                ahead_ticks,
                error_ticks,
            }) => write!(
                out,
                "skewed, CPU {cpu} by {ahead_ticks} ticks, give or take {error_ticks}; {}",
                if knob::compensate() {
                    "each CPU has an offset for it"
                } else {
                    "left so for a test"
                }
            ),
            Some(Verdict::Unsteady(why)) => {
                match why {
                    Unsteady::NoPromise => write!(out, "not promised to be steady")?,
                    Unsteady::Drift { cpu, ppm } => {
                        write!(out, "unsteady, CPU {cpu} runs {ppm} ppm off CPU 0")?
                    }
                }
                match counter::steady() {
                    Some(clock) => {
                        write!(out, "; the guest's is emulated, from the {}", clock.name())
                    }
                    None if knob::compensate() => {
                        write!(out, "; used all the same, as there is no better clock")
                    }
                    None => write!(out, "; left so for a test"),
                }
            }
        }
    }
}
