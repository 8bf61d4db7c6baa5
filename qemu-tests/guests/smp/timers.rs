//! A storm of timers: each CPU has several of different periods, and none may miss an expiration.

use super::{Verdict, linux, say, team};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

const PERIODS_NS: [u64; 4] = [1_000_000, 1_500_000, 2_300_000, 4_000_000];
/// An expiration that is this late counts as lost: the CPU slept through its interrupt.
const PATIENCE_NS: u64 = 2_000_000_000;

static ROUNDS: AtomicU64 = AtomicU64::new(0);
static COUNTED: AtomicU64 = AtomicU64::new(0);
static WRONG: AtomicU64 = AtomicU64::new(0);
static WORST_NS: AtomicU64 = AtomicU64::new(0);

pub fn run(cpus: usize, rounds: u64) -> Verdict {
    ROUNDS.store(rounds, SeqCst);
    team::run(cpus, member);
    let [counted, wrong, worst_ns] = [&COUNTED, &WRONG, &WORST_NS].map(|count| count.load(SeqCst));
    let worst_us = worst_ns / 1000;
    if wrong == 0 && worst_ns < PATIENCE_NS {
        say!("SMP timers ok {counted} expirations on {cpus} CPUs, latest by {worst_us} us\n");
        Verdict::Ok
    } else {
        say!("SMP timers bad {wrong} timers miscounted of {counted} expirations, latest by {worst_us} us\n");
        Verdict::Bad
    }
}

extern "C" fn member(_cpu: usize) {
    let timers = PERIODS_NS.map(|period_ns| (period_ns, linux::now_ns(), linux::periodic_timer(period_ns)));
    let mut counts = [0; PERIODS_NS.len()];
    for _ in 0..ROUNDS.load(SeqCst) {
        for (count, &(period_ns, start_ns, timer)) in counts.iter_mut().zip(&timers) {
            let before_ns = linux::now_ns();
            let due_ns = start_ns + (*count + 1) * period_ns;
            *count += linux::expirations(timer);
            let late_ns = linux::now_ns().saturating_sub(due_ns.max(before_ns));
            WORST_NS.fetch_max(late_ns, SeqCst);
        }
    }
    for (count, &(period_ns, start_ns, timer)) in counts.iter_mut().zip(&timers) {
        // What had to come by now, before and after the count, one more for the moment between the clock's start and the timer's.
        let least = (linux::now_ns() - start_ns) / period_ns;
        *count += linux::expirations(timer);
        let most = (linux::now_ns() - start_ns) / period_ns;
        COUNTED.fetch_add(*count, SeqCst);
        if *count + 1 < least || *count > most {
            WRONG.fetch_add(1, SeqCst);
        }
    }
}
