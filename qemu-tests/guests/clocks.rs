//! Prints CLOCK_MONOTONIC_RAW and the TSC of one moment: `RAW <nanoseconds> TSC <ticks>`. A static Linux program, built by `rustc` alone.
#![no_std]
#![no_main]

use core::arch::{global_asm, x86_64::_rdtsc};

#[path = "linux.rs"]
mod linux;
use linux::{call, digits, exit, print};

global_asm!("_start:", "and rsp, -16", "call main", ".global _start");

const CLOCK_GETTIME: u64 = 228;
const CLOCK_MONOTONIC_RAW: u64 = 4;
/// Of so many readings the one that took the least counts: others were interrupted.
const READINGS: usize = 50;

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    let mut best = (u64::MAX, 0, 0);
    for _ in 0..READINGS {
        let mut time = [0_u64; 2];
        // SAFETY: RDTSC is allowed to programs.
        let before = unsafe { _rdtsc() };
        call(CLOCK_GETTIME, [CLOCK_MONOTONIC_RAW, time.as_mut_ptr() as u64, 0]);
        // SAFETY: as above.
        let width = unsafe { _rdtsc() }.wrapping_sub(before);
        if width < best.0 {
            best = (width, time[0] * 1_000_000_000 + time[1], before.wrapping_add(width / 2));
        }
    }
    let mut line = *b"RAW 00000000000000000000 TSC 00000000000000000000\n";
    digits(&mut line[4..24], best.1);
    digits(&mut line[29..49], best.2);
    print(&line);
    exit()
}
