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
    let timers = PERIODS_NS.map(Timer::start);
    let mut counts = [0; PERIODS_NS.len()];
    for _ in 0..ROUNDS.load(SeqCst) {
        for (count, timer) in counts.iter_mut().zip(&timers) {
            let before_ns = linux::now_ns();
            let due_ns = timer.started_ns + (*count + 1) * timer.period_ns;
            *count += linux::expirations(timer.file);
            let late_ns = linux::now_ns().saturating_sub(due_ns.max(before_ns));
            WORST_NS.fetch_max(late_ns, SeqCst);
        }
    }
    for (count, timer) in counts.iter_mut().zip(&timers) {
        // What had to come by now, before and after the count; one may be due whose interrupt has not come yet.
        let least = timer.least(linux::now_ns());
        *count += linux::expirations(timer.file);
        let most = timer.most(linux::now_ns());
        COUNTED.fetch_add(*count, SeqCst);
        if *count + 1 < least || *count > most {
            WRONG.fetch_add(1, SeqCst);
        }
    }
}

/// A periodic timer, started at some time between the two: the thread may have lost its CPU meanwhile.
struct Timer {
    period_ns: u64,
    starting_ns: u64,
    started_ns: u64,
    file: u64,
}

impl Timer {
    fn start(period_ns: u64) -> Self {
        let starting_ns = linux::now_ns();
        let file = linux::periodic_timer(period_ns);
        Self { period_ns, starting_ns, started_ns: linux::now_ns(), file }
    }

    /// How often it has expired at that time at least.
    fn least(&self, now_ns: u64) -> u64 {
        (now_ns - self.started_ns) / self.period_ns
    }

    /// And at most.
    fn most(&self, now_ns: u64) -> u64 {
        (now_ns - self.starting_ns) / self.period_ns
    }
}
