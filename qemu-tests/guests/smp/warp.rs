//! Time never goes backwards: all CPUs read the TSC and CLOCK_MONOTONIC in turn under a lock, and none may read less than the last.

use super::{Verdict, linux, say, team};
use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};

static LOCK: AtomicBool = AtomicBool::new(false);
// Guarded by the lock.
static LAST_TSC: AtomicU64 = AtomicU64::new(0);
static LAST_NS: AtomicU64 = AtomicU64::new(0);
static SAMPLES_LEFT: AtomicU64 = AtomicU64::new(0);
static LAST_CPU: AtomicU64 = AtomicU64::new(0);
static HANDOVERS: AtomicU64 = AtomicU64::new(0);
static TSC_WARPS: AtomicU64 = AtomicU64::new(0);
static CLOCK_WARPS: AtomicU64 = AtomicU64::new(0);
static WORST_TICKS: AtomicU64 = AtomicU64::new(0);

/// A clock is read with each of so many readings of the TSC; it costs a system call.
const CLOCK_EVERY: u64 = 8;
/// How long a CPU waits for another one before it takes the lock again.
const PATIENCE_SPINS: u32 = 50;

pub fn run(cpus: usize, samples: u64) -> Verdict {
    SAMPLES_LEFT.store(samples, SeqCst);
    team::run(cpus, member);
    let [tsc, clock, worst] = [&TSC_WARPS, &CLOCK_WARPS, &WORST_TICKS].map(|count| count.load(SeqCst));
    let handovers = HANDOVERS.load(SeqCst);
    let (verdict, word) = match (tsc, clock) {
        // With fewer handovers nothing was compared.
        (0, 0) if handovers >= cpus as u64 => (Verdict::Ok, "ok"),
        _ => (Verdict::Bad, "bad"),
    };
    say!("SMP warp {word} {samples} samples, {handovers} handovers, {tsc} TSC warps (worst {worst}), {clock} clock warps\n");
    verdict
}

extern "C" fn member(cpu: usize) {
    while sample(cpu as u64) {}
}

/// Takes one sample; false when there were enough.
fn sample(cpu: u64) -> bool {
    give_way(cpu);
    while LOCK.compare_exchange_weak(false, true, Acquire, Relaxed).is_err() {
        core::hint::spin_loop();
    }
    let left = SAMPLES_LEFT.load(Relaxed);
    if left > 0 {
        SAMPLES_LEFT.store(left - 1, Relaxed);
        if LAST_CPU.swap(cpu, Relaxed) != cpu {
            HANDOVERS.fetch_add(1, Relaxed);
        }
        let tsc = tsc();
        let last = LAST_TSC.swap(tsc, Relaxed);
        if tsc < last {
            TSC_WARPS.fetch_add(1, Relaxed);
            WORST_TICKS.fetch_max(last - tsc, Relaxed);
        }
        if left % CLOCK_EVERY == 0 {
            let ns = linux::now_ns();
            if ns < LAST_NS.swap(ns, Relaxed) {
                CLOCK_WARPS.fetch_add(1, Relaxed);
            }
        }
    }
    LOCK.store(false, Release);
    left > 0
}

/// Lets another CPU be next, if one comes soon: those that could may share a real CPU with this one.
fn give_way(cpu: u64) {
    for _ in 0..PATIENCE_SPINS {
        if LAST_CPU.load(Relaxed) != cpu {
            return;
        }
        core::hint::spin_loop();
    }
}

/// The counter, not read before the lock is held.
fn tsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe { asm!("lfence", "rdtsc", "lfence", out("eax") low, out("edx") high) };
    u64::from(high) << 32 | u64::from(low)
}
