//! How long the console takes there and back: asks, and whoever is at the other end answers with a line.

use super::{Verdict, linux, say};

/// Half of the answers have to come within this.
const LIMIT_NS: u64 = 50_000_000;
const MAX_ROUNDS: usize = 100;

pub fn run(rounds: u64) -> Verdict {
    let mut took_ns = [0; MAX_ROUNDS];
    let rounds = (rounds as usize).clamp(1, MAX_ROUNDS);
    for took in &mut took_ns[..rounds] {
        let start = linux::now_ns();
        say!("ECHO?\n");
        linux::read_line();
        *took = linux::now_ns() - start;
    }
    let took_ns = &mut took_ns[..rounds];
    took_ns.sort_unstable();
    let [median_us, worst_us] = [took_ns[rounds / 2], took_ns[rounds - 1]].map(|ns| ns / 1000);
    let (verdict, word) = match took_ns[rounds / 2] <= LIMIT_NS {
        true => (Verdict::Ok, "ok"),
        false => (Verdict::Bad, "bad"),
    };
    say!("SMP echo {word} half within {median_us} us, the latest in {worst_us} us\n");
    verdict
}
