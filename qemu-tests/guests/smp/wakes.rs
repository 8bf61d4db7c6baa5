//! A storm of interrupts between CPUs: a token goes round, each holder sleeping until the one before wakes it, and on each hop
//! every CPU that runs one of the threads is interrupted for a memory barrier.

use super::linux::{self, Woken};
use super::{Verdict, say, team};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

/// Hops so far; the holder is this modulo the team.
static HOPS: AtomicU32 = AtomicU32::new(0);
static GOAL: AtomicU32 = AtomicU32::new(0);
static TEAM: AtomicU32 = AtomicU32::new(1);
static LATE: AtomicU64 = AtomicU64::new(0);
static BARRIERS: AtomicU64 = AtomicU64::new(0);

/// A wake-up that takes longer counts as lost.
const PATIENCE_NS: u64 = 10_000_000_000;

pub fn run(cpus: usize, hops: u64) -> Verdict {
    GOAL.store(hops as u32, SeqCst);
    TEAM.store(cpus as u32, SeqCst);
    linux::enable_barrier();
    let start = linux::now_ns();
    team::run(cpus, member);
    let took_us = (linux::now_ns() - start) / 1000;
    let (done, late, barriers) = (HOPS.load(SeqCst), LATE.load(SeqCst), BARRIERS.load(SeqCst));
    if u64::from(done) == hops && late == 0 && barriers == hops {
        say!("SMP wakes ok {done} hops and {barriers} barriers on {cpus} CPUs in {took_us} us\n");
        Verdict::Ok
    } else {
        say!("SMP wakes bad {done} of {hops} hops, {barriers} barriers, {late} wake-ups lost\n");
        Verdict::Bad
    }
}

extern "C" fn member(cpu: usize) {
    let (goal, team) = (GOAL.load(SeqCst), TEAM.load(SeqCst));
    loop {
        let hops = HOPS.load(SeqCst);
        if hops >= goal {
            return;
        }
        if hops % team == cpu as u32 {
            if linux::barrier() == 0 {
                BARRIERS.fetch_add(1, SeqCst);
            }
            HOPS.store(hops + 1, SeqCst);
            linux::wake(&HOPS);
        } else if linux::wait(&HOPS, hops, PATIENCE_NS) == Woken::Late && HOPS.load(SeqCst) == hops {
            LATE.fetch_add(1, SeqCst);
            return;
        }
    }
}
