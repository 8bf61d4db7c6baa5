//! The system calls that the tests use.

use core::arch::asm;
use core::sync::atomic::AtomicU32;

const WRITE: u64 = 1;
const READ: u64 = 0;
const SCHED_SETAFFINITY: u64 = 203;
const SCHED_GETAFFINITY: u64 = 204;
const FUTEX: u64 = 202;
const CLOCK_GETTIME: u64 = 228;
const EXIT_GROUP: u64 = 231;
const TIMERFD_CREATE: u64 = 283;
const TIMERFD_SETTIME: u64 = 286;
const MEMBARRIER: u64 = 324;
const CLOCK_MONOTONIC: u64 = 1;
/// `ETIMEDOUT`, as a system call returns it.
const TIMED_OUT: u64 = -110_i64 as u64;

/// `struct timespec`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Time {
    seconds: u64,
    nanoseconds: u64,
}

impl Time {
    pub fn from_ns(ns: u64) -> Self {
        Self {
            seconds: ns / 1_000_000_000,
            nanoseconds: ns % 1_000_000_000,
        }
    }
}

/// How many CPUs this program may use; they are taken to be 0 to n - 1.
pub fn cpus() -> usize {
    let mut mask = [0_u64; 16];
    call(SCHED_GETAFFINITY, [0, size_of_val(&mask) as u64, mask.as_mut_ptr() as u64, 0, 0, 0]);
    mask.iter().map(|word| word.count_ones() as usize).sum()
}

/// Keeps the calling thread on one CPU.
pub fn pin(cpu: usize) {
    let mut mask = [0_u64; 16];
    mask[cpu / 64] = 1 << (cpu % 64);
    call(SCHED_SETAFFINITY, [0, size_of_val(&mask) as u64, mask.as_ptr() as u64, 0, 0, 0]);
}

/// CLOCK_MONOTONIC.
pub fn now_ns() -> u64 {
    let mut time = Time::default();
    call(CLOCK_GETTIME, [CLOCK_MONOTONIC, &raw mut time as u64, 0, 0, 0, 0]);
    time.seconds * 1_000_000_000 + time.nanoseconds
}

/// How a wait ended.
#[derive(PartialEq, Eq)]
pub enum Woken {
    /// Woken, or the word had changed already.
    InTime,
    /// Nobody came.
    Late,
}

/// Sleeps while `word` is `seen`, at most this long.
pub fn wait(word: &AtomicU32, seen: u32, limit_ns: u64) -> Woken {
    const WAIT_PRIVATE: u64 = 128;
    let limit = Time::from_ns(limit_ns);
    let answer = call(FUTEX, [word.as_ptr() as u64, WAIT_PRIVATE, seen.into(), &raw const limit as u64, 0, 0]);
    if answer == TIMED_OUT { Woken::Late } else { Woken::InTime }
}

/// Wakes all that sleep on `word`.
pub fn wake(word: &AtomicU32) {
    const WAKE_PRIVATE: u64 = 129;
    call(FUTEX, [word.as_ptr() as u64, WAKE_PRIVATE, i32::MAX as u64, 0, 0, 0]);
}

/// Readies [`barrier`] for this process.
pub fn enable_barrier() {
    const REGISTER_PRIVATE_EXPEDITED: u64 = 1 << 4;
    call(MEMBARRIER, [REGISTER_PRIVATE_EXPEDITED, 0, 0, 0, 0, 0]);
}

/// Interrupts every CPU that runs a thread of this process; 0 if that worked.
pub fn barrier() -> u64 {
    const PRIVATE_EXPEDITED: u64 = 1 << 3;
    call(MEMBARRIER, [PRIVATE_EXPEDITED, 0, 0, 0, 0, 0])
}

/// A timer that goes off every `period_ns`, as a file.
pub fn periodic_timer(period_ns: u64) -> u64 {
    let file = call(TIMERFD_CREATE, [CLOCK_MONOTONIC, 0, 0, 0, 0, 0]);
    let setting = [Time::from_ns(period_ns); 2];
    call(TIMERFD_SETTIME, [file, 0, setting.as_ptr() as u64, 0, 0, 0]);
    file
}

/// Waits for the timer and tells how often it went off since the last time.
pub fn expirations(timer: u64) -> u64 {
    let mut count = 0_u64;
    call(READ, [timer, &raw mut count as u64, 8, 0, 0, 0]);
    count
}

/// Reads a line of standard input, and forgets it.
pub fn read_line() {
    let mut line = [0_u8; 64];
    call(READ, [0, line.as_mut_ptr() as u64, line.len() as u64, 0, 0, 0]);
}

pub fn write(text: &[u8]) {
    call(WRITE, [1, text.as_ptr() as u64, text.len() as u64, 0, 0, 0]);
}

pub fn exit(code: u64) -> ! {
    call(EXIT_GROUP, [code, 0, 0, 0, 0, 0]);
    loop {
        core::hint::spin_loop();
    }
}

pub fn call(number: u64, [a, b, c, d, e, f]: [u64; 6]) -> u64 {
    let result;
    // SAFETY: what a call reads or writes is the caller's and outlives it. SYSCALL itself clobbers RCX and R11.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
             in("r8") e, in("r9") f, out("rcx") _, out("r11") _);
    }
    result
}
