//! A parallel load that checks itself: every CPU computes the same sums, and its SSE registers keep what it put there.

use super::{Verdict, say, team};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

static ROUNDS: AtomicU64 = AtomicU64::new(0);
static SUMS: [AtomicU64; team::MAX] = [const { AtomicU64::new(0) }; team::MAX];
static STRAYED: AtomicU64 = AtomicU64::new(0);

pub fn run(cpus: usize, rounds: u64) -> Verdict {
    ROUNDS.store(rounds, SeqCst);
    team::run(cpus, member);
    let first = SUMS[0].load(SeqCst);
    let differing = SUMS[..cpus].iter().filter(|sum| sum.load(SeqCst) != first).count();
    let strayed = STRAYED.load(SeqCst);
    if differing == 0 && strayed == 0 {
        say!("SMP load ok {cpus} CPUs, {rounds} rounds, sum {first:x}\n");
        Verdict::Ok
    } else {
        say!("SMP load bad {differing} sums differ, {strayed} registers changed\n");
        Verdict::Bad
    }
}

extern "C" fn member(cpu: usize) {
    let mut sum = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..ROUNDS.load(SeqCst) {
        let mark = (cpu as u64) << 48 | round;
        let kept: u64;
        // SAFETY: the SSE registers are this thread's, and this program, built without SSE, has nothing in them.
        unsafe {
            asm!("movq xmm0, {mark}", "movq xmm7, {mark}", "movq xmm15, {mark}",
                 "2:", "imul {sum}, {factor}", "ror {sum}, 7", "xor {sum}, {round}", "dec {count}", "jnz 2b",
                 "paddq xmm0, xmm7", "paddq xmm0, xmm15", "movq {kept}, xmm0",
                 mark = in(reg) mark, sum = inout(reg) sum, factor = in(reg) 0x5851_f42d_4c95_7f2d_u64,
                 round = in(reg) round, count = inout(reg) 20_000_u64 => _, kept = out(reg) kept);
        }
        if kept != mark.wrapping_mul(3) {
            STRAYED.fetch_add(1, SeqCst);
        }
    }
    SUMS[cpu].store(sum, SeqCst);
}
